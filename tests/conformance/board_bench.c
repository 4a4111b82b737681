/* SPDX-License-Identifier: MIT */
#include "board_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <firmware-iface/registers.h>
#include <sluice/block.h>

#include "board_check.h"

enum {
	GUARD_BYTE = 0xa5,
	RUN_FRAMES = 16,
	CHUNK_BLOCKS_MAX = 16,
	PAGE = 4096,
	PAUSE_NS = 1000000, /* between two looks at a state */
};

static void check(int ret, const char *what)
{
	if (ret < 0)
		fail_msg("%s: %s", what, strerrordesc_np(-ret));
}

static int take_memory(struct bench *b)
{
	b->memory_bytes = (size_t)CHUNK_BLOCKS_MAX * b->info.block_bytes + BENCH_MISALIGN_MAX +
			  2 * (size_t)BENCH_GUARD;
	for (uint32_t i = 0; i < b->depth; i++) {
		b->memory[i] = aligned_alloc(PAGE, (b->memory_bytes + PAGE - 1) / PAGE * PAGE);
		if (!b->memory[i])
			return -ENOMEM;
		memset(b->memory[i], GUARD_BYTE, b->memory_bytes);
	}
	return 0;
}

int bench_open(struct bench *bench, struct board_io *io)
{
	struct bench b = { .io = io, .next_scan = 1 };
	int ret;

	ret = board_access.info(io, &b.info);
	if (ret == 0)
		ret = board_access.counters(io, &b.last);
	if (ret == 0 && (b.info.read_max < 1 || b.info.block_bytes > SLUICE_BLOCK_BYTES_MAX))
		ret = -EPROTO;
	if (ret == 0) {
		b.depth = b.info.read_max < BOARD_READS_MAX ? b.info.read_max : BOARD_READS_MAX;
		ret = take_memory(&b);
	}
	if (ret < 0) {
		bench_close(&b);
		return ret;
	}
	*bench = b;
	return 0;
}

void bench_close(struct bench *bench)
{
	if (!bench->io)
		return;
	board_access.close(bench->io);
	for (uint32_t i = 0; i < bench->depth; i++)
		free(bench->memory[i]);
	*bench = (struct bench){ 0 };
}

uint32_t bench_any_source(const struct bench *bench)
{
	if (bench->info.capabilities & FW_CAP_COUNTER)
		return FW_SOURCE_COUNTER;
	if (bench->info.capabilities & FW_CAP_PRBS)
		return FW_SOURCE_PRBS;
	return FW_SOURCE_DETECTOR;
}

void bench_plan(struct bench *bench, uint32_t source, uint64_t frames, uint32_t chunk_blocks,
		struct bench_scan *scan)
{
	assert_in_range(chunk_blocks, 1, CHUNK_BLOCKS_MAX);
	*scan = (struct bench_scan){
		.asked = {
			.scan = bench->next_scan++,
			.columns = 7,
			.rows = 5,
			.source = source,
			.frames = frames,
			.run_frames = bench->info.capabilities & FW_CAP_RUN_BORDERS ? RUN_FRAMES : 0,
		},
		.read_bytes = (size_t)chunk_blocks * bench->info.block_bytes,
	};
}

void bench_counters(struct bench *bench, struct sluice_uapi_counters *ret_counters)
{
	struct sluice_uapi_counters now;
	struct sluice_uapi_counters *const was = &bench->last;

	check(board_access.counters(bench->io, &now), "SLUICE_IOC_COUNTERS");
	/* Unless the driver had to reset the board: then all begin again (5.1). */
	if (now.resets == was->resets) {
		assert_true(now.blocks_in >= was->blocks_in);
		assert_true(now.blocks_out >= was->blocks_out);
		assert_true(now.dropped_overflow >= was->dropped_overflow);
		assert_true(now.dropped_link >= was->dropped_link);
		assert_true(now.dropped_stop >= was->dropped_stop);
		assert_true(now.link_crc_errors >= was->link_crc_errors);
		assert_true(now.stall_ns >= was->stall_ns);
		assert_true(now.buffer_high_water >= was->buffer_high_water);
		assert_true(now.completions >= was->completions);
		assert_true(now.interrupts >= was->interrupts);
		assert_true(now.bytes_out >= was->bytes_out);
		assert_true(now.lane_errors >= was->lane_errors);
	}
	*was = now;
	if (ret_counters)
		*ret_counters = now;
}

void bench_wait_counters(struct bench *bench, const struct bench_scan *scan,
			 bool (*wanted)(const struct bench_scan *scan,
					const struct sluice_uapi_counters *now))
{
	const uint64_t deadline_ns = board_access.now_ns(bench->io) + BENCH_TIMEOUT_NS;

	for (;;) {
		bench_counters(bench, NULL);
		if (wanted(scan, &bench->last))
			return;
		if (board_access.now_ns(bench->io) > deadline_ns)
			fail_msg("the counters do not come to what they should");
		board_access.pause(bench->io, PAUSE_NS);
	}
}

uint32_t bench_state(struct bench *bench)
{
	check(board_access.info(bench->io, &bench->info), "SLUICE_IOC_INFO");
	return bench->info.state;
}

void bench_wait_state(struct bench *bench, uint32_t state)
{
	const uint64_t deadline_ns = board_access.now_ns(bench->io) + BENCH_TIMEOUT_NS;

	while (bench_state(bench) != state) {
		if (board_access.now_ns(bench->io) > deadline_ns)
			fail_msg("state %u does not come; it is %u", state, bench->info.state);
		board_access.pause(bench->io, PAUSE_NS);
	}
}

void bench_arm(struct bench *bench, struct bench_scan *scan)
{
	bench_counters(bench, &scan->before);
	check(board_access.arm(bench->io, &scan->asked), "SLUICE_IOC_ARM");
	/* A driver may reset the board here: its counters then begin again. */
	bench_counters(bench, &scan->before);
	assert_int_equal(bench_state(bench), SLUICE_UAPI_ARMED);
}

void bench_run(struct bench *bench)
{
	check(board_access.run(bench->io), "SLUICE_IOC_RUN");
}

static bool is_guard(const uint8_t *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (p[i] != GUARD_BYTE)
			return false;
	return true;
}

void bench_begin(struct bench *bench, const struct bench_scan *scan)
{
	while (bench->under_way < bench->depth) {
		const uint32_t i = (bench->first + bench->under_way) % bench->depth;
		struct board_read *const r = &bench->read[i];

		assert_true(scan->read_bytes <=
			    bench->memory_bytes - BENCH_MISALIGN_MAX - 2 * BENCH_GUARD);
		bench->begun[i] = BENCH_GUARD +
				  (size_t)scan->misaligned * (i + 1) % BENCH_MISALIGN_MAX;
		*r = (struct board_read){
			.data = bench->memory[i] + bench->begun[i],
			.bytes = scan->read_bytes,
		};
		check(board_access.read_begin(bench->io, r), "cannot begin a read");
		bench->under_way++;
	}
}

int64_t bench_take(struct bench *bench, struct bench_scan *scan)
{
	const uint32_t i = bench->first;
	struct board_read *const r = &bench->read[i];
	uint8_t *const end = r->data + r->bytes;
	const size_t behind = (size_t)(bench->memory[i] + bench->memory_bytes - end);

	assert_true(bench->under_way > 0);
	check(board_access.read_wait(bench->io, r, BENCH_TIMEOUT_NS), "a read does not return");
	bench->first = (bench->first + 1) % bench->depth;
	bench->under_way--;
	if (!is_guard(bench->memory[i], bench->begun[i]) || !is_guard(end, behind))
		fail_msg("scan %u: bytes around a chunk were written", scan->asked.scan);
	if (r->result >= 0) {
		assert_false(scan->ended && r->result > 0);
		check_chunk(&bench->info, scan, r->data, (size_t)r->result);
		scan->ended = scan->ended || r->result == 0 ||
			      scan->next_frame == scan->asked.frames;
	}
	/* What a later scan does not write must not come to look like its blocks. */
	memset(r->data, GUARD_BYTE, r->bytes);
	return r->result;
}

void bench_check_untouched(const struct bench *bench)
{
	assert_int_equal(bench->under_way, 0);
	for (uint32_t i = 0; i < bench->depth; i++)
		if (!is_guard(bench->memory[i], bench->memory_bytes))
			fail_msg("memory was written that is not the board's any more");
}

void bench_take_rest(struct bench *bench, struct bench_scan *scan, int64_t want)
{
	while (bench->under_way > 0) {
		const int64_t got = bench_take(bench, scan);

		if (got != want)
			fail_msg("scan %u: a read gave %lld, not %lld", scan->asked.scan,
				 (long long)got, (long long)want);
	}
}

void bench_drain(struct bench *bench, struct bench_scan *scan)
{
	while (!scan->ended) {
		int64_t got;

		bench_begin(bench, scan);
		got = bench_take(bench, scan);
		if (got < 0)
			fail_msg("scan %u: a read failed: %s", scan->asked.scan,
				 strerrordesc_np((int)-got));
	}
	bench_take_rest(bench, scan, 0);
}

void bench_close_account(struct bench *bench, struct bench_scan *scan)
{
	const struct sluice_uapi_counters *const was = &scan->before;
	struct sluice_uapi_counters now;
	uint64_t in, out, lost;

	bench_wait_state(bench, SLUICE_UAPI_IDLE);
	bench_counters(bench, &now);
	in = now.blocks_in - was->blocks_in;
	out = now.blocks_out - was->blocks_out;
	lost = now.dropped_overflow - was->dropped_overflow + now.dropped_link - was->dropped_link +
	       now.dropped_stop - was->dropped_stop;
	if (in != out + lost)
		fail_msg("5.1: %llu blocks in, %llu out, %llu dropped", (unsigned long long)in,
			 (unsigned long long)out, (unsigned long long)lost);
	assert_int_equal(out, scan->blocks);
	assert_int_equal(now.bytes_out - was->bytes_out, scan->bytes);
	assert_true(now.completions - was->completions >= scan->reads);
	assert_true(now.buffer_high_water <= bench->info.buffer_blocks);
	/* Frames that came from the source and did not come here are the dropped ones. */
	assert_true(scan->missing <= lost);
	assert_true(in <= scan->asked.frames);
}

void bench_whole_scan(struct bench *bench, uint32_t source, uint64_t frames,
		      struct bench_scan *ret_scan)
{
	bench_plan(bench, source, frames, 8, ret_scan);
	bench_arm(bench, ret_scan);
	bench_begin(bench, ret_scan);
	bench_run(bench);
	bench_drain(bench, ret_scan);
	bench_close_account(bench, ret_scan);
	assert_int_equal(ret_scan->blocks, frames);
}
