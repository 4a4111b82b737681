/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "consumer_fixture.h"

#include <base/crc32c.h>

void fixture_open(struct fixture *f, uint32_t run_timeout_ms)
{
	struct sluice_consumer_args args = SLUICE_CONSUMER_ARGS_INIT;
	struct sluice_error error = { "" };

	*f = (struct fixture){ 0 };
	args.window_runs = WINDOW;
	args.run_timeout_ms = run_timeout_ms;
	if (sluice_consumer_open(&args, &f->consumer, &error) < 0)
		fail_msg("%s", error.text);
}

void fixture_close(struct fixture *f)
{
	sluice_consumer_close(f->consumer);
	aggregator_close(&f->a);
	aggregator_close(&f->b);
}

/* ---- an aggregator ------------------------------------------------------------------------- */

static void released(void *ctx, void *cookie)
{
	(void)ctx;
	free(cookie);
}

static void pump(struct aggregator *a)
{
	struct link_event event;

	while (a->link && link_sender_next(a->link, &event) == 0) {
		a->up = event.type == LINK_EVENT_UP     ? true
			: event.type == LINK_EVENT_DOWN ? false
							: a->up;
		assert_true(a->acks + event.acks <= ANSWERS_KEPT);
		assert_true(a->rejects + event.rejects <= ANSWERS_KEPT);
		assert_true(a->nacks + event.nacks <= ANSWERS_KEPT);
		if (event.type == LINK_EVENT_ACK) {
			memcpy(a->ack + a->acks, event.ack, event.acks * sizeof(*event.ack));
			a->acks += event.acks;
			if (event.rejects > 0)
				memcpy(a->reject + a->rejects, event.reject,
				       event.rejects * sizeof(*event.reject));
			a->rejects += event.rejects;
		}
		if (event.type == LINK_EVENT_NACK) {
			memcpy(a->nack + a->nacks, event.nack, event.nacks * sizeof(*event.nack));
			a->nacks += event.nacks;
		}
	}
}

static bool turn(struct fixture *f, bool (*done)(const struct fixture *f, uint64_t arg),
		 uint64_t arg)
{
	struct link_pollitem item[2] = { { .sender = NULL } };
	unsigned int count = 0;

	if (f->a.link)
		item[count++].sender = f->a.link;
	if (f->b.link)
		item[count++].sender = f->b.link;
	pump(&f->a);
	pump(&f->b);
	if (done(f, arg))
		return true;
	(void)link_poll(item, count, 5 * NS_PER_MS);
	return false;
}

void pump_until(struct fixture *f, bool (*done)(const struct fixture *f, uint64_t arg),
		uint64_t arg)
{
	const uint64_t deadline_ns = now_ns() + DEADLINE_NS;

	while (!turn(f, done, arg)) {
		if (ns_until(deadline_ns) == 0)
			fail_msg("what was waited for did not come (%" PRIu64 ")", arg);
	}
}

void pump_never(struct fixture *f, bool (*done)(const struct fixture *f, uint64_t arg),
		uint64_t arg, uint64_t timeout_ns)
{
	const uint64_t deadline_ns = now_ns() + timeout_ns;

	while (ns_until(deadline_ns) > 0)
		assert_false(turn(f, done, arg));
}

static bool both_up(const struct fixture *f, uint64_t arg)
{
	(void)arg;
	return (!f->a.link || f->a.up) && (!f->b.link || f->b.up);
}

void aggregator_open(struct fixture *f, struct aggregator *a, const char *name)
{
	const struct link_sender_args args = {
		.transport = "zmq",
		.endpoint = sluice_consumer_endpoint(f->consumer),
		.name = name,
		.role = SLUICE_WIRE_AGGREGATOR,
		.io_threads = 1,
		.released = released,
	};
	struct sluice_error error = { "" };

	*a = (struct aggregator){ 0 };
	if (link_sender_open(&args, &a->link, &error) < 0)
		fail_msg("%s", error.text);
	pump_until(f, both_up, 0);
}

void aggregator_close(struct aggregator *a)
{
	link_sender_close(a->link);
	a->link = NULL;
	a->up = false;
}

void send_begin(struct aggregator *a, uint32_t scan, unsigned int aggregators)
{
	const struct sluice_wire_scan body = {
		.frames_expected = sluice_le64(FRAMES),
		.scan_columns = sluice_le16(SCAN_COLUMNS),
		.scan_rows = sluice_le16(SCAN_ROWS),
		.frames_per_position = sluice_le32(1),
		.sectors = sluice_le16(SECTORS),
		.layout = sluice_le16(SLUICE_LAYOUT_ROWS),
		.rows = sluice_le16(ROWS),
		.columns = sluice_le16(COLUMNS),
		.pixel = sluice_le16(SLUICE_PIXEL_U16),
		.run_frames = sluice_le16(RUN_FRAMES),
		.aggregators = sluice_le16((uint16_t)aggregators),
	};

	assert_int_equal(link_send_scan_begin(a->link, scan ? scan : SCAN, 1, &body), 0);
}

void send_end(struct aggregator *a, uint32_t scan)
{
	const struct sluice_wire_scan_end body = { .frames_expected = sluice_le64(FRAMES) };

	assert_int_equal(link_send_scan_end(a->link, scan ? scan : SCAN, 1, 0, &body), 0);
}

unsigned int run_frames_of(uint64_t run)
{
	return run == RUNS - 1 ? FRAMES - (RUNS - 1) * RUN_FRAMES : RUN_FRAMES;
}

uint16_t pixel_of(uint64_t frame, unsigned int sector, unsigned int index)
{
	return (uint16_t)(frame * 1000 + sector * 100 + index);
}

static void fill(uint8_t *dst, uint64_t frame, unsigned int sector)
{
	for (unsigned int i = 0; i < SECTOR_PIXELS; i++) {
		const struct sluice_le16 v = sluice_le16(pixel_of(frame, sector, i));

		memcpy(dst + 2 * i, &v, sizeof(v));
	}
}

int send_chunk(struct aggregator *a, const struct chunk *chunk)
{
	struct sluice_wire_block table[RUN_FRAMES * 4] = { { .frame = { 0 } } };
	uint8_t *payload = chunk->count > 0 ? malloc((size_t)chunk->count * SECTOR_BYTES) : NULL;
	const struct link_chunk send = {
		.scan = chunk->scan ? chunk->scan : SCAN,
		.epoch = chunk->epoch ? chunk->epoch : 1,
		.run = chunk->run,
		.sector = (uint16_t)chunk->sector,
		.part = (uint16_t)chunk->part,
		.flags = (uint16_t)chunk->flags,
		.block_count = (uint16_t)chunk->count,
		.table = table,
		.payload = payload,
		.payload_bytes = chunk->count * SECTOR_BYTES,
		.cookie = payload,
	};
	int ret;

	assert_true(chunk->count <= RUN_FRAMES * 4);
	for (unsigned int i = 0; i < chunk->count; i++) {
		const uint64_t frame = chunk->run * RUN_FRAMES + chunk->first + i;
		uint8_t *pixels = payload + (size_t)i * SECTOR_BYTES;
		const uint32_t damage = chunk->corrupt >> (chunk->first + i) & 1 ? 1 : 0;

		fill(pixels, frame, chunk->sector);
		table[i] = (struct sluice_wire_block){
			.frame = sluice_le64(frame + (uint64_t)chunk->frame_shift),
			.timestamp_ns = sluice_le64(frame * 10 + 5),
			.offset = sluice_le32(i * SECTOR_BYTES + chunk->offset_shift),
			.crc = sluice_le32(crc32c(pixels, SECTOR_BYTES) ^ damage),
			.flags = sluice_le16(SLUICE_BLOCK_PATTERN_COUNTER),
		};
	}
	ret = link_send(a->link, &send);
	if (ret < 0)
		free(payload);
	return ret;
}

void send_run(struct aggregator *a, uint64_t run)
{
	for (unsigned int s = 0; s < SECTORS; s++) {
		const struct chunk chunk = { .run = run,
					     .sector = s,
					     .flags = SLUICE_WIRE_LAST_PART,
					     .count = run_frames_of(run) };

		assert_int_equal(send_chunk(a, &chunk), 0);
	}
}

/* ---- what came back ------------------------------------------------------------------------ */

unsigned int acked_times(const struct aggregator *a, uint64_t run, unsigned int sector)
{
	unsigned int times = 0;

	for (unsigned int i = 0; i < a->acks; i++) {
		const uint64_t first = sluice_u64(a->ack[i].run_first);

		times += sluice_u16(a->ack[i].sector) == sector && run >= first &&
			 run - first < sluice_u32(a->ack[i].run_count);
	}
	return times;
}

bool acked(const struct aggregator *a, uint64_t run, unsigned int sector)
{
	return acked_times(a, run, sector) > 0;
}

bool nacked(const struct aggregator *a, uint64_t run, unsigned int sector)
{
	for (unsigned int i = 0; i < a->nacks; i++) {
		if (sluice_u16(a->nack[i].sector) == sector &&
		    sluice_u64(a->nack[i].run_first) == run)
			return true;
	}
	return false;
}

enum sluice_loss rejected(const struct aggregator *a, uint64_t frame, unsigned int sector)
{
	for (unsigned int i = 0; i < a->rejects; i++) {
		if (sluice_u16(a->reject[i].sector) == sector &&
		    sluice_u64(a->reject[i].frame) == frame)
			return sluice_u16(a->reject[i].cause);
	}
	return SLUICE_LOSS_NONE;
}

bool run_acked_a(const struct fixture *f, uint64_t run)
{
	for (unsigned int s = 0; s < SECTORS; s++) {
		if (!acked(&f->a, run, s))
			return false;
	}
	return true;
}

bool run_nacked_a(const struct fixture *f, uint64_t run)
{
	for (unsigned int s = 0; s < SECTORS; s++) {
		if (!nacked(&f->a, run, s))
			return false;
	}
	return true;
}

bool credit_is_a(const struct fixture *f, uint64_t credits)
{
	return link_sender_credit(f->a.link) == credits;
}

/* ---- what next() gives --------------------------------------------------------------------- */

void expect_begin(struct fixture *f, uint32_t scan)
{
	struct sluice_scan info = { 0 };
	struct sluice_run *run = NULL;

	assert_int_equal(sluice_consumer_next(f->consumer, DEADLINE_NS, &run, &info),
			 SLUICE_NEXT_SCAN_BEGIN);
	assert_int_equal(info.scan, scan ? scan : SCAN);
	assert_int_equal(info.frames_expected, FRAMES);
	assert_int_equal(info.run_frames, RUN_FRAMES);
	assert_int_equal(info.scan_columns, SCAN_COLUMNS);
	assert_int_equal(info.scan_rows, SCAN_ROWS);
	assert_int_equal(info.geometry.sectors, SECTORS);
	assert_null(run);
}

void expect_end(struct fixture *f, uint32_t scan)
{
	struct sluice_scan info = { 0 };
	struct sluice_run *run = NULL;

	assert_int_equal(sluice_consumer_next(f->consumer, DEADLINE_NS, &run, &info),
			 SLUICE_NEXT_SCAN_END);
	assert_int_equal(info.scan, scan ? scan : SCAN);
	assert_null(run);
}

struct sluice_run *expect_run(struct fixture *f, uint64_t number)
{
	struct sluice_scan info = { 0 };
	struct sluice_run *run = NULL;

	assert_int_equal(sluice_consumer_next(f->consumer, DEADLINE_NS, &run, &info),
			 SLUICE_NEXT_RUN);
	assert_non_null(run);
	assert_int_equal(sluice_run_number(run), number);
	return run;
}

void expect_nothing(struct fixture *f)
{
	struct sluice_scan info = { 0 };
	struct sluice_run *run = NULL;

	assert_int_equal(sluice_consumer_next(f->consumer, SHORT_NS, &run, &info), -EAGAIN);
}

void begin(struct fixture *f)
{
	aggregator_open(f, &f->a, "agg0");
	send_begin(&f->a, 0, 1);
	expect_begin(f, 0);
	pump_until(f, credit_is_a, WINDOW * SECTORS);
}

uint64_t stat_of(const _Atomic uint64_t *counter)
{
	return atomic_load(counter);
}
