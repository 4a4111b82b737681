/* SPDX-License-Identifier: MIT */
/*
 * The reader thread: source -> ring -> parcels.
 *
 * Runs are closed in order. What is unseen of a run when a later one begins is lost: to the
 * board's gap, or, right before a block that came after bytes which are no block, to those. A
 * block of a run that is closed is refused, and the cause of its loss becomes `sequence`.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/count.h>
#include <base/error.h>
#include <base/log.h>
#include <base/wake.h>

#include "acquisition.h"

#define TICK_NS UINT64_C(50000000)

static void wait_for_wake(struct acquisition *a)
{
	struct pollfd fd = { .fd = a->reader_wake, .events = POLLIN };

	count_add(&a->stats.turns, 1);
	if (poll(&fd, 1, ms_from_ns(TICK_NS)) > 0)
		wake_take(a->reader_wake);
}

static uint64_t run_first_frame(const struct acquisition *a, uint64_t run)
{
	return run * a->plan->run_frames;
}

static uint64_t run_length(const struct acquisition *a, uint64_t run)
{
	const uint64_t left = a->plan->frames_expected - run_first_frame(a, run);

	return left < a->plan->run_frames ? left : a->plan->run_frames;
}

/*
 * A parcel, as soon as one is free: parcels come home with every acknowledgement or giving up, once
 * the transport lets go of them. NULL: that outlet's do not, and it gets nothing any more. An
 * abort shortens the wait by way of outlet_hurry().
 */
static struct parcel *get_parcel(struct acquisition *a, unsigned int holder)
{
	const uint32_t bit = UINT32_C(1) << holder;
	struct outlet *outlet = a->outlet[holder];
	uint64_t since_ns = 0;
	struct parcel *parcel;

	while (!(a->stuck & bit) && outlet_parcel(outlet, &parcel) < 0) {
		if (since_ns == 0)
			since_ns = now_ns();
		if (outlet_is_stuck(outlet, since_ns)) {
			log_err("board %s: the link to aggregator %s lets go of nothing: the rest "
				"of what it was to get is lost",
				a->args.id, outlet_peer(outlet));
			a->stuck |= bit;
			break;
		}
		count_add(&a->stats.waits_for_parcel, 1);
		wait_for_wake(a);
	}
	if (!(a->stuck & bit))
		return parcel;
	count_add(&a->stats.parcels_withheld, 1);
	return NULL;
}

static void push_void(struct acquisition *a, uint64_t run, uint16_t part)
{
	const unsigned int holder = plan_route(a->plan, run);
	struct parcel *parcel = get_parcel(a, holder);

	if (!parcel)
		return; /* whoever would gather the run has been given up */
	parcel->run = run;
	parcel->part = part;
	parcel->flags = SLUICE_WIRE_LAST_PART;
	outlet_push(a->outlet[holder], parcel);
}

/* The open run gets its last part; the next run opens. */
static void close_run(struct acquisition *a)
{
	if (!a->last_told)
		push_void(a, a->run, a->part);
	a->run++;
	a->run_seen = 0;
	a->part = 0;
	a->last_told = false;
}

static void lose_unseen(struct acquisition *a, uint64_t first, uint64_t end, enum sluice_loss cause)
{
	for (uint64_t f = first; f < end; f++) {
		if (tally_fate(a->tally, f) == TALLY_UNSEEN)
			(void)tally_set(a->tally, f, 1, TALLY_LOST + cause);
	}
}

/* Closes runs until @run is open. */
static void advance_to(struct acquisition *a, uint64_t run, enum sluice_loss cause)
{
	const uint64_t first = run_first_frame(a, a->run);
	const uint64_t frames = a->plan->frames_expected;
	const uint64_t end = run_first_frame(a, run) < frames ? run_first_frame(a, run) : frames;

	if (run > a->run)
		lose_unseen(a, first, end, cause);
	while (a->run < run)
		close_run(a);
}

/* A second copy of a frame changes nothing; a late one names its own loss better. */
static void refuse(struct acquisition *a, uint64_t frame, unsigned int fate)
{
	if (fate != TALLY_UNSEEN && fate < TALLY_LOST) {
		count_add(&a->stats.blocks_repeated, 1);
		return;
	}
	count_add(&a->stats.blocks_refused, 1);
	if (fate == TALLY_UNSEEN)
		lose_unseen(a, frame, frame + 1, SLUICE_LOSS_SEQUENCE);
	else if (fate == TALLY_LOST + SLUICE_LOSS_GAP)
		tally_recause(a->tally, frame, SLUICE_LOSS_SEQUENCE);
}

/*
 * Judges one block. True: it belongs to the run that is open now (runs before it may have been
 * closed by it), and is to be sent.
 */
static bool admit(struct acquisition *a, const struct sluice_wire_block *block)
{
	const uint64_t frame = sluice_u64(block->frame);
	const uint64_t run = frame / a->plan->run_frames;
	const bool after_skip = sluice_u16(block->reserved) & SOURCE_BLOCK_AFTER_SKIP;
	unsigned int fate;

	if (frame >= a->plan->frames_expected) {
		count_add(&a->stats.blocks_refused, 1);
		return false;
	}
	fate = tally_fate(a->tally, frame);
	if (run < a->run || fate != TALLY_UNSEEN) {
		refuse(a, frame, fate);
		return false;
	}
	if (after_skip && frame > a->next_frame)
		lose_unseen(a, a->next_frame, frame, SLUICE_LOSS_HEADER);
	if (frame >= a->next_frame)
		a->next_frame = frame + 1;
	return true;
}

/* A stretch of blocks of one run within a chunk. */
struct stretch {
	uint64_t run;
	uint32_t first, count; /* entries in the chunk's table */
};

static void withhold(struct acquisition *a, const struct sluice_wire_block *table, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		(void)tally_set(a->tally, sluice_u64(table[i].frame), 1,
				TALLY_LOST + SLUICE_LOSS_PEER);
}

static void push_stretch(struct acquisition *a, struct chunk *chunk, const struct stretch *s)
{
	const unsigned int holder = plan_route(a->plan, s->run);
	struct parcel *parcel = get_parcel(a, holder);
	struct sluice_wire_block *table = &chunk->table[s->first];
	const uint32_t base = sluice_u32(table[0].offset);
	const uint32_t end = sluice_u32(table[s->count - 1].offset) + a->args.sector_bytes;

	for (uint32_t i = 0; i < s->count; i++) {
		table[i].offset = sluice_le32(sluice_u32(table[i].offset) - base);
		table[i].reserved = sluice_le16(0);
	}
	if (!parcel) {
		withhold(a, table, s->count);
		return;
	}
	a->run_seen += s->count;
	parcel->run = s->run;
	parcel->part = a->part++;
	parcel->chunk = chunk;
	parcel->table = table;
	parcel->block_count = (uint16_t)s->count;
	parcel->payload = chunk->slot + base;
	parcel->payload_bytes = end - base;
	if (a->run_seen == run_length(a, s->run)) {
		parcel->flags = SLUICE_WIRE_LAST_PART;
		a->last_told = true;
	}
	outlet_push(a->outlet[holder], parcel);
}

/*
 * Throws out of the table what is not admitted, and finds the stretches. Runs are not closed
 * yet: first the chunk must be given to all the outlets that will hold it.
 */
static uint32_t find_stretches(struct acquisition *a, struct chunk *chunk, uint32_t entries,
			       struct stretch *stretch)
{
	const uint64_t open_run = a->run;
	uint32_t kept = 0, count = 0;

	for (uint32_t i = 0; i < entries; i++) {
		const struct sluice_wire_block block = chunk->table[i];
		const uint64_t run = sluice_u64(block.frame) / a->plan->run_frames;

		if (!admit(a, &block))
			continue;
		/* From here on blocks of earlier runs are late. */
		a->run = run;
		(void)tally_set(a->tally, sluice_u64(block.frame), 1, TALLY_SEEN);
		chunk->table[kept] = block;
		if (count > 0 && stretch[count - 1].run == run) {
			stretch[count - 1].count++;
		} else {
			stretch[count++] =
				(struct stretch){ .run = run, .first = kept, .count = 1 };
		}
		kept++;
	}
	a->run = open_run;
	count_add(&a->stats.blocks, kept);
	return count;
}

static void send_chunk(struct acquisition *a, struct chunk *chunk, uint32_t entries)
{
	struct stretch stretch[SLUICE_WIRE_BLOCKS_MAX];
	uint32_t parcels[RING_HOLDERS_MAX] = { 0 };
	uint32_t count, holders = 0;

	assert(entries <= SLUICE_WIRE_BLOCKS_MAX);
	count = find_stretches(a, chunk, entries, stretch);
	ring_filled(a->args.ring, chunk, entries);
	if (count == 0) {
		ring_discard(a->args.ring, chunk);
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		const unsigned int holder = plan_route(a->plan, stretch[i].run);

		parcels[holder]++;
		holders |= UINT32_C(1) << holder;
	}
	for (unsigned int h = 0; h < a->outlet_count; h++) {
		if (parcels[h] > 0)
			outlet_expect(a->outlet[h], chunk, parcels[h]);
	}
	ring_give(a->args.ring, chunk, holders);
	for (uint32_t i = 0; i < count; i++) {
		advance_to(a, stretch[i].run, SLUICE_LOSS_GAP);
		push_stretch(a, chunk, &stretch[i]);
	}
}

static void post_free_chunks(struct acquisition *a)
{
	while (a->posted < a->args.depth) {
		struct chunk *chunk = ring_take(a->args.ring);
		struct source_buffer buffer;

		if (!chunk)
			return;
		buffer = (struct source_buffer){ .slot = chunk->slot,
						 .headroom = chunk->headroom,
						 .capacity = chunk->capacity,
						 .table = chunk->table,
						 .table_max = chunk->table_max,
						 .cookie = chunk->index };
		if (source_post(a->args.source, &buffer) < 0) {
			ring_untake(a->args.ring, chunk);
			return;
		}
		a->posted++;
	}
}

/* Says why, where the scan was not read to its end. */
static void give_reason(struct acquisition *a, const struct source_fill *fill)
{
	switch (fill->end) {
	case SOURCE_END_NONE:
	case SOURCE_END_COMPLETE:
		return;
	case SOURCE_END_CUT:
		(void)error_set(&a->reason, 0, "the stream ended before the scan");
		break;
	case SOURCE_END_STALL:
		(void)error_set(&a->reason, 0, "nothing came for %" PRIu64 " ms",
				a->args.stall_ns / NS_PER_MS);
		break;
	case SOURCE_END_READ:
		(void)error_set(&a->reason, 0, "reading failed: %s",
				source_explain(a->args.source, fill->error));
		break;
	case SOURCE_END_STOPPED:
		(void)error_set(&a->reason, 0, "aborted");
		break;
	}
}

static enum sluice_loss cause_of_end(enum source_end end)
{
	switch (end) {
	case SOURCE_END_STALL:
		return SLUICE_LOSS_STALL;
	case SOURCE_END_READ:
		return SLUICE_LOSS_READ;
	case SOURCE_END_STOPPED:
		return SLUICE_LOSS_ABORT;
	case SOURCE_END_COMPLETE:
		return SLUICE_LOSS_GAP;
	case SOURCE_END_NONE:
	case SOURCE_END_CUT:
		break;
	}
	return SLUICE_LOSS_CUT;
}

static void take_fill(struct acquisition *a, const struct source_fill *fill)
{
	struct chunk *chunk = ring_chunk(a->args.ring, fill->cookie);

	assert(a->posted > 0);
	a->posted--;
	count_add(&a->stats.bytes, fill->bytes_read);
	if (fill->block_count == 0)
		ring_untake(a->args.ring, chunk);
	else
		send_chunk(a, chunk, fill->block_count);
}

/*
 * Every chunk is on its way: the board waits, by the policy `block`, while any outlet gets
 * acknowledgements, or may still give up and let go. @since_ns: of this wait, 0 at first.
 */
static void wait_for_chunk(struct acquisition *a, uint64_t *since_ns)
{
	bool stuck = true;

	if (*since_ns == 0)
		*since_ns = now_ns();
	for (unsigned int i = 0; i < a->outlet_count; i++)
		stuck &= outlet_is_stuck(a->outlet[i], *since_ns);
	if (stuck) {
		(void)error_set(&a->reason, 0, "no link lets go of a chunk: the rest is not read");
		a->gave_up = true;
		return;
	}
	count_add(&a->stats.waits_for_chunk, 1);
	wait_for_wake(a);
}

/* Until the source says that it was all. */
static enum source_end read_all(struct acquisition *a)
{
	uint64_t waits_since_ns = 0;
	struct source_fill fill;
	int ret;

	while (!a->gave_up) {
		count_add(&a->stats.turns, 1);
		if (atomic_load(&a->abort))
			source_interrupt(a->args.source);
		post_free_chunks(a);
		if (a->posted == 0 && !atomic_load(&a->abort)) {
			wait_for_chunk(a, &waits_since_ns);
			continue;
		}
		waits_since_ns = 0;
		ret = source_reap(a->args.source, TICK_NS, &fill);
		if (ret == -EAGAIN)
			continue;
		if (ret < 0)
			fill = (struct source_fill){ .end = SOURCE_END_READ, .error = ret };
		if (fill.has_buffer)
			take_fill(a, &fill);
		give_reason(a, &fill);
		if (fill.end != SOURCE_END_NONE)
			return fill.end;
	}
	return SOURCE_END_STOPPED;
}

/* Buffers that were posted and came back unfilled. */
static void take_back_chunks(struct acquisition *a)
{
	for (uint32_t i = 0; i < ring_chunk_count(a->args.ring); i++) {
		struct chunk *chunk = ring_chunk(a->args.ring, i);

		if (atomic_load_explicit(&chunk->state, memory_order_acquire) == CHUNK_FILLING)
			ring_untake(a->args.ring, chunk);
	}
	a->posted = 0;
}

static enum source_end acquire(struct acquisition *a)
{
	const struct scan_plan *plan = a->plan;
	const struct source_scan scan = {
		.scan = plan->scan,
		.scan_columns = plan->scan_columns,
		.scan_rows = plan->scan_rows,
		.frames_expected = plan->frames_expected,
		.run_frames = plan->run_frames,
		.stall_ns = a->args.stall_ns,
	};
	struct sluice_error error = { 0 };
	enum source_end end;

	if (source_start(a->args.source, &scan, &error) < 0) {
		(void)error_set(&a->reason, 0, "it does not start: %s", error.text);
		return SOURCE_END_READ;
	}
	end = read_all(a);
	source_stop(a->args.source);
	take_back_chunks(a);
	return end;
}

void *acquisition_reader(void *arg)
{
	struct acquisition *a = arg;
	struct sluice_error error = { 0 };
	enum source_end end = SOURCE_END_STOPPED;

	if (thread_pin_to_node(a->args.node, &error) < 0)
		log_warn("board %s: %s", a->args.id, error.text);
	/* Armed: whoever armed runs or aborts it; the daemon's end is an abort too. */
	while (!atomic_load(&a->go) && !atomic_load(&a->abort))
		wait_for_wake(a);
	if (!atomic_load(&a->abort))
		end = acquire(a);
	else
		(void)error_set(&a->reason, 0, "aborted");
	if (a->reason.text[0] != '\0' && !atomic_load(&a->abort))
		log_err("board %s: scan %" PRIu32 " ended early: %s", a->args.id, a->plan->scan,
			a->reason.text);
	/* What has not come by now will not: name it, and close every run that is left. */
	advance_to(a, plan_runs(a->plan), a->gave_up ? SLUICE_LOSS_PEER : cause_of_end(end));
	for (unsigned int i = 0; i < a->outlet_count; i++)
		outlet_finish(a->outlet[i]);
	atomic_store(&a->reader_done, true);
	wake_post(a->args.wake);
	return NULL;
}
