/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include <sluice/error.h>

#include "support/acquire_rig.h"

/*
 * In place of daemon/source; @source is the rig. On the reader's thread, which is not cmocka's:
 * assert() it is.
 */
/* ---- the source ------------------------------------------ */

int source_start(struct source *source, const struct source_scan *scan, struct sluice_error *reterr)
{
	struct rig *rig = (struct rig *)source;

	(void)reterr;
	assert(scan->scan == rig->plan.scan);
	assert(scan->frames_expected == rig->plan.frames_expected);
	assert(scan->run_frames == RIG_RUN_FRAMES);
	atomic_fetch_add(&rig->starts, 1);
	return rig->script.start;
}

int source_post(struct source *source, const struct source_buffer *buffer)
{
	struct rig *rig = (struct rig *)source;
	const unsigned int room = sizeof(rig->posted) / sizeof(rig->posted[0]);

	assert(rig->posted_count < room);
	rig->posted[(rig->posted_first + rig->posted_count++) % room] = *buffer;
	return 0;
}

static void fill_buffer(struct rig *rig, struct source_fill *fill)
{
	const struct source_buffer *b = &rig->posted[rig->posted_first];
	uint8_t *at = b->slot + b->headroom;

	fill->block_count = rig->script.fill[rig->next_fill].count;
	assert(fill->block_count * RIG_BLOCK_BYTES <= b->capacity);
	for (unsigned int i = 0; i < fill->block_count; i++, at += RIG_BLOCK_BYTES) {
		const uint32_t number = rig->script.fill[rig->next_fill].frame[i];
		const uint32_t frame = number & ~(uint32_t)RIG_AFTER_SKIP;

		memset(at, 0xee, SLUICE_BLOCK_HEADER_BYTES);
		memset(at + SLUICE_BLOCK_HEADER_BYTES, (int)(frame & 0xff),
		       RIG_BLOCK_BYTES - SLUICE_BLOCK_HEADER_BYTES);
		b->table[i] = (struct sluice_wire_block){
			.frame = sluice_le64(frame),
			.offset = sluice_le32((uint32_t)(at + SLUICE_BLOCK_HEADER_BYTES - b->slot)),
			.reserved = sluice_le16(number & RIG_AFTER_SKIP ? SOURCE_BLOCK_AFTER_SKIP
									: 0),
		};
	}
	fill->cookie = b->cookie;
	fill->bytes_read = fill->block_count * RIG_BLOCK_BYTES;
	fill->has_buffer = true;
}

int source_reap(struct source *source, uint64_t timeout_ns, struct source_fill *ret_fill)
{
	struct rig *rig = (struct rig *)source;
	struct source_fill fill = { 0 };

	(void)timeout_ns;
	for (; atomic_load(&rig->stuck); (void)poll(NULL, 0, 1))
		atomic_store(&rig->is_stuck, true);
	if (atomic_load(&rig->interrupted)) {
		fill.end = SOURCE_END_STOPPED;
	} else if (rig->next_fill == rig->script.count && rig->script.end != SOURCE_END_NONE) {
		fill.end = rig->script.end;
		fill.error = rig->script.end == SOURCE_END_READ ? -EIO : 0;
	} else if (rig->next_fill < rig->script.count &&
		   rig->next_fill < atomic_load(&rig->allowed) && rig->posted_count > 0) {
		fill_buffer(rig, &fill);
		rig->next_fill++;
		rig->posted_first = (rig->posted_first + 1) %
				    (sizeof(rig->posted) / sizeof(rig->posted[0]));
		rig->posted_count--;
	} else {
		(void)poll(NULL, 0, 1);
		return -EAGAIN;
	}
	*ret_fill = fill;
	return 0;
}

const char *source_explain(const struct source *source, int error)
{
	(void)source;
	return error == -EIO ? "the board failed; mend it" : "?";
}

void source_interrupt(struct source *source)
{
	atomic_store(&((struct rig *)source)->interrupted, true);
}

void source_stop(struct source *source)
{
	atomic_fetch_add(&((struct rig *)source)->stops, 1);
}

/* ---- open and close ---------------------------------------------------------------------------
 */

void rig_init(struct rig *rig, uint64_t frames, unsigned int aggregators)
{
	memset(rig, 0, sizeof(*rig));
	assert_true(frames <= RIG_FRAMES_MAX);
	rig->plan = (struct scan_plan){
		.scan = 7,
		.epoch = 1,
		.scan_columns = (uint32_t)frames,
		.scan_rows = 1,
		.frames_per_position = 1,
		.frames_expected = frames,
		.run_frames = RIG_RUN_FRAMES,
		.geometry = { .sectors = 2, .rows = 2, .columns = 8, .pixel = SLUICE_PIXEL_U16 },
		.aggregator_count = aggregators
	};
	rig->script.end = SOURCE_END_COMPLETE;
	rig->chunks = 8;
	rig->give_up_ns = RIG_DEADLINE_NS;
	rig->wake = -1;
	rig->deadline_ns = now_ns() + RIG_DEADLINE_NS;
	atomic_store(&rig->allowed, RIG_FILLS_MAX);
	for (unsigned int i = 0; i < RIG_AGGREGATORS_MAX; i++)
		rig->aggregator[i].window = 64;
}

void rig_fill_one(struct rig *rig, const uint32_t *frames, unsigned int count)
{
	const unsigned int at = rig->script.count++;

	assert_true(at < RIG_FILLS_MAX && count <= RIG_FILL_BLOCKS_MAX);
	memcpy(rig->script.fill[at].frame, frames, count * sizeof(frames[0]));
	rig->script.fill[at].count = count;
}

void rig_fill(struct rig *rig, uint32_t first, unsigned int count)
{
	uint32_t frames[RIG_FILL_BLOCKS_MAX];

	for (unsigned int i = 0; i < count; i++)
		frames[i] = first + i;
	rig_fill_one(rig, frames, count);
}

static void open_receiver(struct rig_aggregator *a, unsigned int i)
{
	struct sluice_error error = { "" };
	const struct link_receiver_args args = {
		.transport = "zmq",
		.bind = a->endpoint[0] ? a->endpoint : "tcp://127.0.0.1:*",
		.name = i ? "agg1" : "agg0",
		.role = SLUICE_WIRE_AGGREGATOR,
		.window = a->window,
		.payload_max = 1 << 20,
		.io_threads = 1,
	};

	if (link_receiver_open(&args, &a->receiver, &error) < 0)
		fail_msg("%s", error.text);
	(void)snprintf(a->endpoint, sizeof(a->endpoint), "%s", link_receiver_endpoint(a->receiver));
}

static void open_ring(struct rig *rig)
{
	const struct ring_args args = {
		.chunks = rig->chunks,
		.chunk_bytes = RIG_FILL_BLOCKS_MAX * RIG_BLOCK_BYTES,
		.headroom_bytes = RIG_BLOCK_BYTES,
		.blocks_max = 64,
		.memory = { .node = NODE_ANY,
			    .allow_ordinary_pages = true,
			    .allow_unlocked = true },
	};

	assert_int_equal(ring_open(&args, &rig->ring, NULL), 0);
}

static bool all_connected(struct rig *rig)
{
	for (unsigned int i = 0; i < rig->plan.aggregator_count; i++) {
		if (!rig->aggregator[i].up ||
		    outlet_wait_up(rig->acquisition->outlet[i], 0, NULL) < 0)
			return false;
	}
	return true;
}

void rig_open(struct rig *rig, bool connected)
{
	struct sluice_error error = { "" };
	struct acquisition_args args = {
		.plan = &rig->plan,
		.id = "server/board1",
		.sector = RIG_SECTOR,
		.node = NODE_ANY,
		.depth = 2,
		.io_threads = 1,
		.stall_ns = NS_PER_S,
		.give_up_ns = rig->give_up_ns,
		.sector_bytes = RIG_BLOCK_BYTES - SLUICE_BLOCK_HEADER_BYTES,
		.source = (struct source *)rig,
	};

	open_ring(rig);
	rig->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	args.ring = rig->ring;
	args.wake = rig->wake;
	for (unsigned int i = 0; i < rig->plan.aggregator_count; i++) {
		struct plan_member m = { 0 };

		if (connected)
			open_receiver(&rig->aggregator[i], i);
		(void)snprintf(m.id, sizeof(m.id), "agg%u", i);
		/* Port 9, discard: nobody listens there. */
		(void)snprintf(m.endpoint, sizeof(m.endpoint), "%s",
			       connected ? rig->aggregator[i].endpoint : "tcp://127.0.0.1:9");
		rig->plan.aggregator[i] = m;
	}
	if (acquisition_open(&args, &rig->acquisition, &error) < 0)
		fail_msg("%s", error.text);
	if (connected)
		rig_until(rig, all_connected);
}

void rig_close(struct rig *rig)
{
	acquisition_close(rig->acquisition);
	assert_int_equal(ring_collect(rig->ring), 0);
	for (unsigned int i = 0; i < RIG_AGGREGATORS_MAX; i++)
		link_receiver_close(rig->aggregator[i].receiver);
	ring_close(rig->ring);
	if (rig->wake >= 0)
		(void)close(rig->wake);
	rig->acquisition = NULL;
	rig->ring = NULL;
	rig->wake = -1;
}

void rig_restart(struct rig *rig, unsigned int i)
{
	struct rig_aggregator *a = &rig->aggregator[i];

	link_receiver_close(a->receiver);
	a->up = false;
	open_receiver(a, i);
}

/* ---- the aggregators --------------------------------------------------------------------------
 */

static void ack_run(struct rig *rig, struct rig_aggregator *a, uint64_t run)
{
	const struct sluice_wire_ack ack = { .run_first = sluice_le64(run),
					     .run_count = sluice_le32(1),
					     .sector = sluice_le16(RIG_SECTOR) };

	int ret;

	a->run[run].acked = true;
	/* -EAGAIN: the link is full of acknowledgements that the sender has yet to take. */
	while ((ret = link_ack(a->receiver, a->peer, rig->plan.scan, &ack, 1, NULL, 0)) ==
		       -EAGAIN &&
	       now_ns() < rig->deadline_ns)
		(void)sched_yield();
	assert_int_equal(ret, 0);
}

static void take_blocks(struct rig *rig, struct rig_aggregator *a, const struct link_message *m)
{
	for (unsigned int i = 0; i < m->block_count; i++) {
		const uint64_t frame = sluice_u64(m->table[i].frame);
		const uint8_t *pixels = m->payload + sluice_u32(m->table[i].offset);

		assert_true(frame < rig->plan.frames_expected);
		assert_int_equal(frame / RIG_RUN_FRAMES, m->run);
		assert_int_equal(sluice_u16(m->table[i].reserved), 0);
		assert_int_equal(pixels[0], frame & 0xff);
		assert_int_equal(pixels[RIG_BLOCK_BYTES - SLUICE_BLOCK_HEADER_BYTES - 1],
				 frame & 0xff);
		a->frame[frame]++;
	}
}

static void take_chunk(struct rig *rig, struct rig_aggregator *a, const struct link_message *m)
{
	struct rig_run *run = &a->run[m->run];

	assert_true(a->begins > 0);
	assert_int_equal(m->scan, rig->plan.scan);
	assert_int_equal(m->epoch, rig->plan.epoch);
	assert_int_equal(m->sector, RIG_SECTOR);
	assert_true(m->run < plan_runs(&rig->plan));
	/* A run that is sent again begins again; else parts come in order. */
	if (m->part == 0)
		run->parts = run->last_parts = 0;
	assert_int_equal(m->part, run->parts);
	assert_int_equal(run->last_parts, 0);
	run->parts++;
	run->voids += m->block_count == 0;
	run->resent += (m->flags & SLUICE_WIRE_RESENT) != 0;
	a->chunks++;
	take_blocks(rig, a, m);
	if (!(m->flags & SLUICE_WIRE_LAST_PART))
		return;
	run->last_parts++;
	a->runs_whole++;
	(void)link_grant(a->receiver, a->peer, 1, true);
	if (!a->hold)
		ack_run(rig, a, m->run);
}

static void take_message(struct rig *rig, struct rig_aggregator *a, const struct link_message *m)
{
	switch (m->type) {
	case LINK_MESSAGE_PEER_UP:
		a->up = true;
		a->peer = m->peer;
		a->sessions++;
		assert_string_equal(m->name, "server/board1");
		assert_int_equal(m->sector, RIG_SECTOR);
		break;
	case LINK_MESSAGE_PEER_DOWN:
		a->up = false;
		break;
	case LINK_MESSAGE_SCAN_BEGIN:
		a->begins++;
		a->begin = m->scan_begin;
		break;
	case LINK_MESSAGE_CHUNK:
		take_chunk(rig, a, m);
		break;
	case LINK_MESSAGE_SCAN_END:
		a->ends++;
		a->end = m->scan_end;
		break;
	}
}

void rig_turn(struct rig *rig)
{
	struct link_pollitem item[RIG_AGGREGATORS_MAX + 1] = { { .fd = rig->wake } };
	struct link_message message;
	unsigned int count = 1;

	if (now_ns() > rig->deadline_ns)
		fail_msg("what is awaited does not come");
	for (unsigned int i = 0; i < RIG_AGGREGATORS_MAX; i++) {
		if (rig->aggregator[i].receiver)
			item[count++].receiver = rig->aggregator[i].receiver;
	}
	(void)link_poll(item, count, 2 * NS_PER_MS);
	if (item[0].ready)
		(void)!read(rig->wake, &(uint64_t){ 0 }, sizeof(uint64_t));
	for (unsigned int i = 0; i < RIG_AGGREGATORS_MAX; i++) {
		struct rig_aggregator *a = &rig->aggregator[i];

		while (a->receiver && link_receive(a->receiver, &message) == 0) {
			take_message(rig, a, &message);
			link_message_release(&message);
		}
	}
}

void rig_until(struct rig *rig, bool (*what)(struct rig *rig))
{
	while (!what(rig))
		rig_turn(rig);
}

static bool scan_is_done(struct rig *rig)
{
	return acquisition_done(rig->acquisition);
}

void rig_scan(struct rig *rig)
{
	acquisition_run(rig->acquisition);
	rig_until(rig, scan_is_done);
	/* What was said last is still to be heard. */
	rig_turn(rig);
	rig_turn(rig);
}

void rig_ack(struct rig *rig, unsigned int i, uint64_t run)
{
	ack_run(rig, &rig->aggregator[i], run);
}

void rig_ack_all(struct rig *rig, unsigned int i)
{
	struct rig_aggregator *a = &rig->aggregator[i];

	a->hold = false;
	for (uint64_t run = 0; run < plan_runs(&rig->plan); run++) {
		if (a->run[run].last_parts && !a->run[run].acked)
			ack_run(rig, a, run);
	}
}

void rig_nack(struct rig *rig, unsigned int i, uint64_t run)
{
	const struct sluice_wire_nack nack = { .run_first = sluice_le64(run),
					       .run_count = sluice_le32(1),
					       .sector = sluice_le16(RIG_SECTOR),
					       .cause = sluice_le16(SLUICE_LOSS_PEER) };
	struct rig_aggregator *a = &rig->aggregator[i];

	assert_int_equal(link_nack(a->receiver, a->peer, rig->plan.scan, &nack, 1), 0);
}

/* ---- what is expected -------------------------------------------------------------------------
 */

void rig_expect_fate(const struct rig *rig, uint64_t first, uint64_t count, unsigned int fate)
{
	for (uint64_t f = first; f < first + count; f++) {
		const unsigned int found = tally_fate(rig->acquisition->tally, f);

		if (found != fate)
			fail_msg("frame %u: fate %u and not %u", (unsigned int)f, found, fate);
	}
}

void rig_expect_whole(const struct rig *rig)
{
	for (unsigned int i = 0; i < rig->plan.aggregator_count; i++) {
		for (uint64_t run = 0; run < plan_runs(&rig->plan); run++) {
			const bool mine = plan_route(&rig->plan, run) == i;

			assert_int_equal(rig->aggregator[i].run[run].last_parts, mine);
		}
	}
}
