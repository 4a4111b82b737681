/* SPDX-License-Identifier: MIT */
/* Sections 2 and 3 of the interface: what a board is, and what it does when it is told. */
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

#include "board_clauses.h"

#define LOOK_NS UINT64_C(50000000) /* long enough for what must not happen to happen */

void section_2_2_identity_is_within_limits(void **state)
{
	struct bench *const b = *state;

	assert_int_equal(b->info.abi, SLUICE_UAPI_VERSION);
	assert_int_equal(b->info.interface_version >> 16, FW_VERSION_MAJOR);
	assert_int_equal(b->info.state, SLUICE_UAPI_IDLE);
	assert_in_range(b->info.buffer_blocks, 1, UINT32_MAX - 1);
	for (size_t i = 0; i < sizeof(b->info.reserved) / sizeof(b->info.reserved[0]); i++)
		assert_int_equal(b->info.reserved[i], 0);
}

void section_2_1_no_register_reads_all_ones(void **state)
{
	struct bench *const b = *state;
	struct sluice_uapi_counters c;
	const uint64_t *const words = (const uint64_t *)&c;

	bench_counters(b, &c);
	for (size_t i = 0; i < offsetof(struct sluice_uapi_counters, lanes) / sizeof(*words); i++)
		assert_true(words[i] != FW_GONE_64);
	assert_true(c.lanes != FW_GONE_32 && c.lanes_up != FW_GONE_32);
	assert_true(c.clock_source != FW_GONE_32 && c.clock_locked != FW_GONE_32);
	assert_true(c.clock_ns != FW_GONE_64 && c.temperature_mk != FW_GONE_32);
	assert_true(b->info.firmware_build != FW_GONE_32 && b->info.serial != FW_GONE_64);
	assert_true(b->info.capabilities != FW_GONE_32);
}

void section_2_3_geometry_is_that_of_a_block(void **state)
{
	const struct sluice_uapi_info *const info = &((struct bench *)*state)->info;
	const struct sluice_geometry g = {
		.sectors = info->sectors,
		.layout = info->layout,
		.rows = info->rows,
		.columns = info->columns,
		.pixel = info->pixel,
	};

	assert_true(sluice_geometry_ok(&g));
	assert_true(info->sector < info->sectors);
	assert_int_equal(info->block_bytes, SLUICE_BLOCK_HEADER_BYTES + sluice_sector_bytes(&g));
}

void section_3_1_arm_and_run_lead_through_the_states(void **state)
{
	struct bench *const b = *state;
	struct bench_scan s;

	/* Longer than the scan before, of which nothing may go on. */
	bench_plan(b, bench_any_source(b), CLAUSE_FRAMES + 24, 8, &s);
	bench_arm(b, &s);
	bench_begin(b, &s);
	/* Armed, the board takes nothing from its source. */
	assert_int_equal(board_access.read_wait(b->io, &b->read[b->first], LOOK_NS), -ETIMEDOUT);
	assert_int_equal(bench_state(b), SLUICE_UAPI_ARMED);
	bench_counters(b, NULL);
	assert_int_equal(b->last.blocks_in, s.before.blocks_in);
	bench_run(b);
	bench_drain(b, &s);
	bench_close_account(b, &s);
	assert_int_equal(s.blocks, CLAUSE_FRAMES + 24);
}

void section_3_1_commands_in_the_wrong_state_are_refused(void **state)
{
	struct bench *const b = *state;
	struct bench_scan s, other;
	int ret;

	ret = board_access.run(b->io);
	assert_true(ret == -EBUSY || ret == -EINVAL);
	assert_int_equal(bench_state(b), SLUICE_UAPI_IDLE);

	bench_plan(b, bench_any_source(b), CLAUSE_ENDLESS, 4, &s);
	bench_plan(b, bench_any_source(b), 1, 4, &other);
	bench_arm(b, &s);
	bench_begin(b, &s);
	bench_run(b);
	assert_int_equal(board_access.arm(b->io, &other.asked), -EBUSY);
	ret = board_access.run(b->io);
	assert_true(ret == -EBUSY || ret == -EINVAL);
	assert_int_equal(bench_state(b), SLUICE_UAPI_RUNNING);
	/* And the scan goes on. */
	for (int i = 0; i < 8; i++) {
		assert_true(bench_take(b, &s) > 0);
		bench_begin(b, &s);
	}
	assert_int_equal(board_access.stop(b->io, SLUICE_UAPI_STOP_DRAIN), 0);
	bench_drain(b, &s);
	bench_close_account(b, &s);
}

void section_3_1_scans_that_cannot_be_are_refused(void **state)
{
	struct bench *const b = *state;
	const struct {
		size_t offset;
		uint32_t value;
	} wrong[] = {
		{ offsetof(struct sluice_uapi_scan, columns), 0 },
		{ offsetof(struct sluice_uapi_scan, columns), 65536 },
		{ offsetof(struct sluice_uapi_scan, rows), 0 },
		{ offsetof(struct sluice_uapi_scan, rows), 65536 },
		{ offsetof(struct sluice_uapi_scan, source), FW_SOURCE_PRBS + 1 },
		{ offsetof(struct sluice_uapi_scan, flags), SLUICE_UAPI_POLLED << 1 },
		{ offsetof(struct sluice_uapi_scan, coalesce_us), 1000001 },
		{ offsetof(struct sluice_uapi_scan, reserved), 1 },
	};
	struct bench_scan s;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		bench_plan(b, bench_any_source(b), 1, 1, &s);
		memcpy((uint8_t *)&s.asked + wrong[i].offset, &wrong[i].value,
		       sizeof(wrong[i].value));
		assert_int_equal(board_access.arm(b->io, &s.asked), -EINVAL);
		assert_int_equal(bench_state(b), SLUICE_UAPI_IDLE);
	}
	bench_plan(b, bench_any_source(b), 0, 1, &s);
	assert_int_equal(board_access.arm(b->io, &s.asked), -EINVAL);
	if (!clause_has(b, FW_CAP_PRBS)) {
		bench_plan(b, FW_SOURCE_PRBS, 1, 1, &s);
		assert_int_equal(board_access.arm(b->io, &s.asked), -EINVAL);
	}
	assert_int_equal(bench_state(b), SLUICE_UAPI_IDLE);
}

void section_3_1_stop_lets_what_the_board_holds_come(void **state)
{
	struct bench *const b = *state;
	struct bench_scan s;

	bench_plan(b, bench_any_source(b), CLAUSE_ENDLESS, 4, &s);
	bench_arm(b, &s);
	bench_begin(b, &s);
	bench_run(b);
	for (int i = 0; i < 20; i++) {
		assert_true(bench_take(b, &s) > 0);
		bench_begin(b, &s);
	}
	assert_int_equal(board_access.stop(b->io, SLUICE_UAPI_STOP_DRAIN), 0);
	bench_drain(b, &s);
	bench_close_account(b, &s);
	assert_true(s.next_frame < CLAUSE_ENDLESS);
	/* Beyond it, too, there is nothing. */
	bench_begin(b, &s);
	bench_take_rest(b, &s, 0);
}

void section_3_1_stop_and_abort_in_idle_are_done(void **state)
{
	struct bench *const b = *state;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(board_access.stop(b->io, SLUICE_UAPI_STOP_DRAIN), 0);
		assert_int_equal(bench_state(b), SLUICE_UAPI_IDLE);
		assert_int_equal(board_access.stop(b->io, SLUICE_UAPI_STOP_ABORT), 0);
		assert_int_equal(bench_state(b), SLUICE_UAPI_IDLE);
	}
}

/* Chunks that were there before the abort count; then all reads end, those of later too. */
static void abort_after(struct bench *b, int chunks, bool run)
{
	struct bench_scan s;

	bench_plan(b, bench_any_source(b), CLAUSE_ENDLESS, 4, &s);
	bench_arm(b, &s);
	bench_begin(b, &s);
	if (run)
		bench_run(b);
	for (int i = 0; i < chunks; i++) {
		assert_true(bench_take(b, &s) > 0);
		bench_begin(b, &s);
	}
	assert_int_equal(board_access.stop(b->io, SLUICE_UAPI_STOP_ABORT), 0);
	while (b->under_way > 0) {
		const int64_t got = bench_take(b, &s);

		if (got > 0)
			continue;
		assert_int_equal(got, -ECANCELED);
		bench_take_rest(b, &s, -ECANCELED);
	}
	bench_begin(b, &s);
	bench_take_rest(b, &s, -ECANCELED);
	board_access.pause(b->io, LOOK_NS);
	bench_check_untouched(b);
	bench_close_account(b, &s);
}

void section_3_1_abort_ends_reads_at_once(void **state)
{
	abort_after(*state, 0, false);
	abort_after(*state, 0, true);
	abort_after(*state, 12, true);
}

static bool some_in(const struct bench_scan *s, const struct sluice_uapi_counters *c)
{
	return c->blocks_in > s->before.blocks_in;
}

/* Ended without a chunk for what it holds. */
void section_3_1_what_the_board_cannot_send_is_dropped_by_stop(void **state)
{
	static const struct {
		uint32_t how;
		int64_t read;
	} end[] = { { SLUICE_UAPI_STOP_DRAIN, 0 }, { SLUICE_UAPI_STOP_ABORT, -ECANCELED } };
	struct bench *const b = *state;
	struct bench_scan s;

	for (size_t i = 0; i < sizeof(end) / sizeof(end[0]); i++) {
		bench_plan(b, bench_any_source(b), CLAUSE_ENDLESS, 4, &s);
		bench_arm(b, &s);
		bench_run(b);
		bench_wait_counters(b, &s, some_in);
		assert_int_equal(board_access.stop(b->io, end[i].how), 0);
		bench_begin(b, &s);
		bench_take_rest(b, &s, end[i].read);
		bench_close_account(b, &s);
		assert_int_equal(b->last.blocks_out, s.before.blocks_out);
		assert_true(b->last.dropped_stop > s.before.dropped_stop);
	}
}

void section_3_2_counter_pattern(void **state)
{
	struct bench *const b = *state;
	struct bench_scan s;

	if (!clause_has(b, FW_CAP_COUNTER))
		skip();
	bench_whole_scan(b, FW_SOURCE_COUNTER, b->blocks, &s);
}

void section_3_2_prbs_pattern(void **state)
{
	struct bench *const b = *state;
	struct bench_scan s;

	if (!clause_has(b, FW_CAP_PRBS))
		skip();
	bench_whole_scan(b, FW_SOURCE_PRBS, b->blocks, &s);
}

void section_3_2_detector(void **state)
{
	struct bench *const b = *state;
	struct bench_scan s;

	bench_counters(b, NULL);
	if (b->last.lanes == 0 || b->last.lanes_up < b->last.lanes) {
		print_message("the detector's link is down\n");
		skip();
	}
	bench_whole_scan(b, FW_SOURCE_DETECTOR, CLAUSE_FRAMES, &s);
}

void section_3_2_scans_of_few_frames(void **state)
{
	struct bench *const b = *state;
	struct bench_scan s;

	for (uint64_t frames = 1; frames <= 3; frames++)
		bench_whole_scan(b, bench_any_source(b), frames, &s);
	bench_whole_scan(b, bench_any_source(b), 8, &s);
	bench_whole_scan(b, bench_any_source(b), 16, &s);
}
