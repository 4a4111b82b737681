/* SPDX-License-Identifier: MIT */
/* Sections 4 and 5 of the interface: chunks, completions, interrupts; accounts and surroundings. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <firmware-iface/registers.h>

#include "board_clauses.h"

enum {
	COALESCE_US_MAX = 1000000,
	TAGS_ROUND = 66000,      /* chunks: more than there are tags */
	TAGS_BLOCK_BYTES = 4096, /* more of so many blocks is for the long run */
	MILLIKELVIN_MIN = 200000,
	MILLIKELVIN_MAX = 420000,
};

/* Chunks of @read_bytes that begin anywhere: bytes around them stay, those within are right. */
static void scan_misaligned(struct bench *b, size_t read_bytes, uint32_t misaligned)
{
	struct bench_scan s;

	bench_plan(b, bench_any_source(b), 64, 1, &s);
	s.read_bytes = read_bytes;
	s.misaligned = misaligned;
	bench_arm(b, &s);
	bench_begin(b, &s);
	bench_run(b);
	bench_drain(b, &s);
	bench_close_account(b, &s);
	assert_int_equal(s.blocks, 64);
}

void section_4_2_chunks_have_any_alignment_and_length(void **state)
{
	struct bench *const b = *state;
	const size_t block = b->info.block_bytes;

	scan_misaligned(b, block, 0);
	scan_misaligned(b, block, 1);
	scan_misaligned(b, block, 4093);
	scan_misaligned(b, 3 * block, 67);
	scan_misaligned(b, 3 * block + 1, 2);
	scan_misaligned(b, 4 * block - 1, 1023);
}

void section_4_2_tags_go_round(void **state)
{
	struct bench *const b = *state;
	struct bench_scan s;

	if (!getenv("SLUICE_TEST_LONG") && b->info.block_bytes > TAGS_BLOCK_BYTES)
		skip();
	bench_plan(b, bench_any_source(b), TAGS_ROUND, 1, &s);
	bench_arm(b, &s);
	bench_begin(b, &s);
	bench_run(b);
	bench_drain(b, &s);
	bench_close_account(b, &s);
	assert_int_equal(s.reads, TAGS_ROUND);
}

void section_4_3_chunks_are_full_or_end_at_a_border(void **state)
{
	static const struct {
		uint32_t run_frames, chunk_blocks;
	} shape[] = { { 16, 16 }, { 16, 5 }, { 7, 16 }, { 1, 4 }, { 3, 3 }, { 0, 7 } };
	struct bench *const b = *state;
	struct bench_scan s;

	for (size_t i = 0; i < sizeof(shape) / sizeof(shape[0]); i++) {
		if (shape[i].run_frames > 0 && !clause_has(b, FW_CAP_RUN_BORDERS))
			continue;
		bench_plan(b, bench_any_source(b), 100, shape[i].chunk_blocks, &s);
		s.asked.run_frames = shape[i].run_frames;
		bench_arm(b, &s);
		bench_begin(b, &s);
		bench_run(b);
		bench_drain(b, &s);
		bench_close_account(b, &s);
		assert_int_equal(s.blocks, 100);
	}
}

void section_4_3_beyond_the_end_there_is_nothing(void **state)
{
	struct bench *const b = *state;
	struct bench_scan s;

	bench_whole_scan(b, bench_any_source(b), CLAUSE_FRAMES, &s);
	for (int i = 0; i < 3; i++) {
		bench_begin(b, &s);
		bench_take_rest(b, &s, 0);
	}
	bench_close_account(b, &s);
}

void section_4_4_interrupts_coalesce(void **state)
{
	struct bench *const b = *state;
	struct sluice_uapi_counters c;
	struct bench_scan s;

	if (!clause_has(b, FW_CAP_COALESCE))
		skip();
	bench_plan(b, bench_any_source(b), 512, 1, &s);
	s.asked.coalesce_count = b->depth / 2 > 0 ? b->depth / 2 : 1;
	s.asked.coalesce_us = 100000;
	bench_arm(b, &s);
	bench_begin(b, &s);
	bench_run(b);
	bench_drain(b, &s);
	bench_close_account(b, &s);
	bench_counters(b, &c);
	assert_true(c.interrupts > s.before.interrupts);
	if (s.asked.coalesce_count > 1)
		assert_true(c.interrupts - s.before.interrupts <
			    c.completions - s.before.completions);
}

void section_4_4_the_end_does_not_wait_for_others(void **state)
{
	struct bench *const b = *state;
	struct bench_scan s;
	uint64_t began_ns;

	if (!clause_has(b, FW_CAP_COALESCE))
		skip();
	bench_plan(b, bench_any_source(b), 3, 4, &s);
	s.asked.coalesce_count = 1000;
	s.asked.coalesce_us = COALESCE_US_MAX;
	bench_arm(b, &s);
	bench_begin(b, &s);
	began_ns = board_access.now_ns(b->io);
	bench_run(b);
	bench_drain(b, &s);
	assert_true(board_access.now_ns(b->io) - began_ns < COALESCE_US_MAX * UINT64_C(1000));
	bench_close_account(b, &s);
	assert_true(b->last.interrupts > s.before.interrupts);
}

void section_4_4_a_polled_scan_raises_no_interrupt(void **state)
{
	struct bench *const b = *state;
	struct sluice_uapi_counters c;
	struct bench_scan s;

	if (!board_access.can_poll(b->io))
		skip();
	bench_plan(b, bench_any_source(b), 128, 4, &s);
	s.asked.flags = SLUICE_UAPI_POLLED;
	bench_arm(b, &s);
	bench_begin(b, &s);
	bench_run(b);
	bench_drain(b, &s);
	bench_close_account(b, &s);
	assert_int_equal(s.blocks, 128);
	bench_counters(b, &c);
	assert_int_equal(c.interrupts, s.before.interrupts);
}

void section_5_1_counters_are_those_of_the_scan(void **state)
{
	struct bench *const b = *state;
	struct sluice_uapi_counters c;
	struct bench_scan s;

	for (int i = 0; i < 3; i++) {
		bench_whole_scan(b, bench_any_source(b), 100, &s);
		bench_counters(b, &c);
		assert_int_equal(c.blocks_in - s.before.blocks_in, 100);
		assert_int_equal(c.blocks_out - s.before.blocks_out, 100);
		assert_int_equal(c.bytes_out - s.before.bytes_out,
				 UINT64_C(100) * b->info.block_bytes);
	}
}

static bool all_in(const struct bench_scan *s, const struct sluice_uapi_counters *c)
{
	return c->blocks_in - s->before.blocks_in == s->asked.frames;
}

static bool held_up(const struct bench_scan *s, const struct sluice_uapi_counters *c)
{
	return c->stall_ns > s->before.stall_ns || c->dropped_overflow > s->before.dropped_overflow;
}

void section_5_2_the_buffer_holds_what_it_says(void **state)
{
	struct bench *const b = *state;
	struct bench_scan s;

	bench_plan(b, bench_any_source(b),
		   b->info.buffer_blocks < 256 ? b->info.buffer_blocks : 256, 8, &s);
	bench_arm(b, &s);
	bench_run(b);
	bench_wait_counters(b, &s, all_in);
	assert_int_equal(b->last.blocks_out, s.before.blocks_out);
	assert_int_equal(b->last.stall_ns, s.before.stall_ns);
	assert_int_equal(b->last.dropped_overflow, s.before.dropped_overflow);
	assert_true(b->last.buffer_high_water >= s.asked.frames);
	bench_begin(b, &s);
	bench_drain(b, &s);
	bench_close_account(b, &s);
	assert_int_equal(s.blocks, s.asked.frames);
}

/* A host that lends no memory: the board stalls, and drops only where the input cannot wait. */
static void hold_up(struct bench *b, uint32_t threshold)
{
	struct bench_scan s;

	bench_plan(b, bench_any_source(b), 4 * (uint64_t)b->info.buffer_blocks, 16, &s);
	s.asked.drop_threshold = threshold;
	bench_arm(b, &s);
	bench_run(b);
	bench_wait_counters(b, &s, held_up);
	if (b->last.dropped_overflow == s.before.dropped_overflow && threshold > 0)
		assert_true(b->last.blocks_in - s.before.blocks_in <= threshold);
	bench_begin(b, &s);
	bench_drain(b, &s);
	bench_close_account(b, &s);
	assert_int_equal(b->last.blocks_in - s.before.blocks_in, s.asked.frames);
	assert_int_equal(s.blocks + b->last.dropped_overflow - s.before.dropped_overflow,
			 s.asked.frames);
	if (b->last.stall_ns > s.before.stall_ns)
		assert_int_equal(b->last.dropped_overflow, s.before.dropped_overflow);
}

void section_5_2_the_board_stalls_before_it_drops(void **state)
{
	struct bench *const b = *state;

	hold_up(b, 0);
	hold_up(b, b->info.buffer_blocks / 2);
	hold_up(b, 1);
}

static bool clock_went_on(const struct bench_scan *s, const struct sluice_uapi_counters *c)
{
	/* PTP may set a clock back; one that counts from RESET goes up. */
	return c->clock_source == FW_CLOCK_PTP ? c->clock_ns != s->before.clock_ns
					       : c->clock_ns > s->before.clock_ns;
}

void section_5_3_surroundings_can_be(void **state)
{
	struct bench *const b = *state;
	struct bench_scan s;

	bench_counters(b, &s.before);
	bench_wait_counters(b, &s, clock_went_on);
	assert_true(b->last.lanes_up <= b->last.lanes);
	assert_in_range(b->last.clock_source, FW_CLOCK_FREE, FW_CLOCK_PTP);
	assert_in_range(b->last.clock_locked, 0, 1);
	if (clause_has(b, FW_CAP_TEMPERATURE))
		assert_in_range(b->last.temperature_mk, MILLIKELVIN_MIN, MILLIKELVIN_MAX);
}
