/* SPDX-License-Identifier: MIT */
/*
 * acquire/acquisition.h: every run is told to the aggregator that the plan names, with one last
 * part, and every frame number ends as delivered or as lost with its cause.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/acquire_rig.h"

#define LOST(cause_) (TALLY_LOST + SLUICE_LOSS_##cause_)

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct rig));
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void every_frame_in_order_is_delivered(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 18, 1); /* runs of 4, 4, 4, 4 and 2 */
	rig_fill(rig, 0, 4);
	rig_fill(rig, 4, 7); /* ends within run 2 */
	rig_fill(rig, 11, 7);
	rig_open(rig, true);
	rig_scan(rig);
	rig_expect_whole(rig);
	rig_expect_fate(rig, 0, 18, TALLY_DELIVERED);
	for (unsigned int f = 0; f < 18; f++)
		assert_int_equal(rig->aggregator[0].frame[f], 1);
	for (unsigned int run = 0; run < 5; run++)
		assert_int_equal(rig->aggregator[0].run[run].voids, 0);
	assert_int_equal(atomic_load(&rig->acquisition->stats.blocks), 18);
	assert_int_equal(atomic_load(&rig->acquisition->stats.bytes), 18 * RIG_BLOCK_BYTES);
	assert_int_equal(atomic_load(&rig->stops), 1);
	rig_close(rig);
}

static void the_link_is_told_the_scan_and_its_end(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 8, 1);
	rig_fill(rig, 0, 8);
	rig_open(rig, true);
	rig->aggregator[0].hold = true;
	acquisition_run(rig->acquisition);
	while (rig->aggregator[0].runs_whole < 2)
		rig_turn(rig);
	assert_int_equal(rig->aggregator[0].begins, 1);
	assert_int_equal(sluice_u64(rig->aggregator[0].begin.frames_expected), 8);
	assert_int_equal(sluice_u16(rig->aggregator[0].begin.run_frames), RIG_RUN_FRAMES);
	/* Not before all is acknowledged. */
	rig_turn(rig);
	assert_int_equal(rig->aggregator[0].ends, 0);
	assert_false(acquisition_done(rig->acquisition));
	rig_ack_all(rig, 0);
	rig_scan(rig);
	assert_int_equal(rig->aggregator[0].ends, 1);
	assert_int_equal(sluice_u64(rig->aggregator[0].end.frames_expected), 8);
	assert_int_equal(sluice_u64(rig->aggregator[0].end.blocks_acked), 8);
	assert_int_equal(sluice_u64(rig->aggregator[0].end.blocks_lost), 0);
	rig_close(rig);
}

static void gaps_are_the_boards(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 20, 1);
	rig_fill(rig, 0, 3);  /* 3 is missing at the end of its run */
	rig_fill(rig, 5, 2);  /* 4 at its beginning, 7 again at the end */
	rig_fill(rig, 12, 8); /* run 2, frames 8 ... 11, is missing whole */
	rig_open(rig, true);
	rig_scan(rig);
	rig_expect_whole(rig);
	rig_expect_fate(rig, 0, 3, TALLY_DELIVERED);
	rig_expect_fate(rig, 3, 2, LOST(GAP));
	rig_expect_fate(rig, 5, 2, TALLY_DELIVERED);
	rig_expect_fate(rig, 7, 5, LOST(GAP));
	rig_expect_fate(rig, 12, 8, TALLY_DELIVERED);
	/* Nothing of run 2: one void part says so. */
	assert_int_equal(rig->aggregator[0].run[2].parts, 1);
	assert_int_equal(rig->aggregator[0].run[2].voids, 1);
	/* Run 0 was not full: a void part closes it. */
	assert_int_equal(rig->aggregator[0].run[0].parts, 2);
	rig_close(rig);
}

static void frames_lost_in_bytes_that_are_no_block_are_told_from_gaps(void **state)
{
	struct rig *rig = *state;
	const uint32_t frames[] = { 0, 1, 4 | RIG_AFTER_SKIP, 6 };

	rig_init(rig, 16, 1);
	rig_fill_one(rig, frames, 4);
	rig_fill(rig, 7, 1);
	/* Over the end of a chunk, and a whole run. */
	rig_fill_one(rig, (const uint32_t[]){ 15 | RIG_AFTER_SKIP }, 1);
	rig_open(rig, true);
	rig_scan(rig);
	rig_expect_whole(rig);
	rig_expect_fate(rig, 0, 2, TALLY_DELIVERED);
	rig_expect_fate(rig, 2, 2, LOST(HEADER));
	rig_expect_fate(rig, 4, 1, TALLY_DELIVERED);
	rig_expect_fate(rig, 5, 1, LOST(GAP));
	rig_expect_fate(rig, 6, 2, TALLY_DELIVERED);
	rig_expect_fate(rig, 8, 7, LOST(HEADER));
	rig_expect_fate(rig, 15, 1, TALLY_DELIVERED);
	rig_close(rig);
}

static void frames_of_an_open_run_may_come_in_any_order(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 8, 1);
	rig_fill_one(rig, (const uint32_t[]){ 2, 0, 3 }, 3);
	rig_fill_one(rig, (const uint32_t[]){ 1, 7, 4 }, 3);
	rig_fill_one(rig, (const uint32_t[]){ 6, 5 }, 2);
	rig_open(rig, true);
	rig_scan(rig);
	rig_expect_whole(rig);
	rig_expect_fate(rig, 0, 8, TALLY_DELIVERED);
	assert_int_equal(atomic_load(&rig->acquisition->stats.blocks_refused), 0);
	rig_close(rig);
}

static void a_frame_is_sent_once(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 8, 1);
	rig_fill_one(rig, (const uint32_t[]){ 0, 1, 1, 2 }, 4);
	rig_fill_one(rig, (const uint32_t[]){ 2, 3, 4, 0 }, 4); /* also when its run is closed */
	rig_fill_one(rig, (const uint32_t[]){ 5, 6, 7, 7 }, 4);
	rig_open(rig, true);
	rig_scan(rig);
	rig_expect_whole(rig);
	rig_expect_fate(rig, 0, 8, TALLY_DELIVERED);
	for (unsigned int f = 0; f < 8; f++)
		assert_int_equal(rig->aggregator[0].frame[f], 1);
	assert_int_equal(atomic_load(&rig->acquisition->stats.blocks_repeated), 4);
	assert_int_equal(atomic_load(&rig->acquisition->stats.blocks_refused), 0);
	rig_close(rig);
}

static void a_frame_whose_run_is_closed_is_lost_to_the_sequence(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 16, 1);
	rig_fill_one(rig, (const uint32_t[]){ 0, 1, 2, 4, 3 }, 5); /* 3 within the same chunk */
	rig_fill_one(rig, (const uint32_t[]){ 5, 6, 8 }, 3);
	rig_fill_one(rig, (const uint32_t[]){ 7, 9, 10, 11, 12, 13, 14, 15 }, 8);
	rig_open(rig, true);
	rig_scan(rig);
	rig_expect_whole(rig);
	rig_expect_fate(rig, 0, 3, TALLY_DELIVERED);
	rig_expect_fate(rig, 3, 1, LOST(SEQUENCE));
	rig_expect_fate(rig, 4, 3, TALLY_DELIVERED);
	rig_expect_fate(rig, 7, 1, LOST(SEQUENCE));
	rig_expect_fate(rig, 8, 8, TALLY_DELIVERED);
	rig_close(rig);
}

static void frames_that_the_scan_does_not_have_are_refused(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 6, 1);
	rig_fill_one(rig, (const uint32_t[]){ 0, 6, 1, 1000000, 2 }, 5);
	rig_fill_one(rig, (const uint32_t[]){ 7, 8 }, 2); /* nothing in it is sent */
	rig_fill_one(rig, (const uint32_t[]){ 3, 4, 5 }, 3);
	rig_open(rig, true);
	rig_scan(rig);
	rig_expect_whole(rig);
	rig_expect_fate(rig, 0, 6, TALLY_DELIVERED);
	assert_int_equal(atomic_load(&rig->acquisition->stats.blocks_refused), 4);
	rig_close(rig);
}

/* Whatever ends the scan: what is missing has its name, and the consumers hear of every run. */
static void how_it_ended_names_what_is_missing(void **state)
{
	static const struct {
		enum source_end end;
		enum sluice_loss cause;
		const char *reason;
	} ends[] = {
		{ SOURCE_END_COMPLETE, SLUICE_LOSS_GAP, "" },
		{ SOURCE_END_CUT, SLUICE_LOSS_CUT, "the stream ended before the scan" },
		{ SOURCE_END_STALL, SLUICE_LOSS_STALL, "nothing came for 1000 ms" },
		{ SOURCE_END_READ, SLUICE_LOSS_READ, "reading failed: the board failed; mend it" },
		{ SOURCE_END_STOPPED, SLUICE_LOSS_ABORT, "aborted" },
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		rig_init(rig, 20, 1);
		rig_fill(rig, 0, 6);
		rig->script.end = ends[i].end;
		rig_open(rig, true);
		rig_scan(rig);
		rig_expect_whole(rig);
		rig_expect_fate(rig, 0, 6, TALLY_DELIVERED);
		rig_expect_fate(rig, 6, 14, TALLY_LOST + ends[i].cause);
		assert_string_equal(rig->acquisition->reason.text, ends[i].reason);
		assert_int_equal(rig->aggregator[0].run[4].voids, 1);
		assert_int_equal(rig->aggregator[0].ends, 1);
		rig_close(rig);
	}
}

static void a_source_that_does_not_start_loses_the_scan_to_reading(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 8, 1);
	rig->script.start = -ENODEV;
	rig_open(rig, true);
	rig_scan(rig);
	rig_expect_whole(rig);
	rig_expect_fate(rig, 0, 8, LOST(READ));
	rig_close(rig);
}

static bool three_fills_were_given(struct rig *rig)
{
	return atomic_load(&rig->acquisition->stats.blocks) == 12;
}

static void what_was_read_before_an_abort_is_delivered(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 20, 1);
	rig_fill(rig, 0, 4);
	rig_fill(rig, 4, 4);
	rig_fill(rig, 8, 4);
	rig->script.end = SOURCE_END_NONE;
	rig_open(rig, true);
	acquisition_run(rig->acquisition);
	rig_until(rig, three_fills_were_given);
	assert_false(acquisition_done(rig->acquisition));
	acquisition_abort(rig->acquisition);
	rig_scan(rig);
	rig_expect_whole(rig);
	rig_expect_fate(rig, 0, 12, TALLY_DELIVERED);
	rig_expect_fate(rig, 12, 8, LOST(ABORT));
	rig_close(rig);
}

static void an_armed_scan_that_is_aborted_reads_nothing(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 20, 1);
	rig_fill(rig, 0, 4);
	rig_open(rig, true);
	rig_turn(rig);
	assert_int_equal(atomic_load(&rig->starts), 0); /* armed is not running */
	acquisition_abort(rig->acquisition);
	rig_scan(rig);
	assert_int_equal(atomic_load(&rig->starts), 0);
	rig_expect_whole(rig);
	rig_expect_fate(rig, 0, 20, LOST(ABORT));
	rig_close(rig);
}

/* Arming fails within a second: a scan of any length is taken back at once. */
static void an_armed_scan_is_taken_back_at_once(void **state)
{
	struct rig *rig = *state;
	uint64_t since_ns;

	rig_init(rig, RIG_FRAMES_MAX, 1); /* more runs than an outlet has parcels */
	rig_open(rig, false);
	since_ns = now_ns();
	rig_close(rig);
	/* An outlet that is aborted gives up after 5 s only. */
	assert_true(now_ns() - since_ns < 4 * NS_PER_S);
}

/* More runs than there are parcels, all void: the reader waits for parcels to come home. */
static void a_scan_may_have_any_number_of_runs(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, RIG_FRAMES_MAX, 2);
	rig->script.end = SOURCE_END_CUT;
	rig_open(rig, true);
	rig_scan(rig);
	rig_expect_whole(rig);
	rig_expect_fate(rig, 0, RIG_FRAMES_MAX, LOST(CUT));
	rig_close(rig);
}

static bool no_chunk_is_left(struct rig *rig)
{
	return atomic_load(&rig->acquisition->stats.waits_for_chunk) > 0;
}

/* The policy `block`: without acknowledgements the source gets no buffer, and nothing is lost. */
static void the_board_waits_while_no_chunk_is_free(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 40, 1);
	rig->chunks = 3;
	for (uint32_t f = 0; f < 40; f += 4)
		rig_fill(rig, f, 4);
	rig_open(rig, true);
	rig->aggregator[0].hold = true;
	acquisition_run(rig->acquisition);
	rig_until(rig, no_chunk_is_left);
	assert_int_equal(atomic_load(&rig->acquisition->stats.blocks), 12);
	rig_ack_all(rig, 0);
	rig_scan(rig);
	rig_expect_whole(rig);
	rig_expect_fate(rig, 0, 40, TALLY_DELIVERED);
	rig_close(rig);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(every_frame_in_order_is_delivered),
		cmocka_unit_test(the_link_is_told_the_scan_and_its_end),
		cmocka_unit_test(gaps_are_the_boards),
		cmocka_unit_test(frames_lost_in_bytes_that_are_no_block_are_told_from_gaps),
		cmocka_unit_test(frames_of_an_open_run_may_come_in_any_order),
		cmocka_unit_test(a_frame_is_sent_once),
		cmocka_unit_test(a_frame_whose_run_is_closed_is_lost_to_the_sequence),
		cmocka_unit_test(frames_that_the_scan_does_not_have_are_refused),
		cmocka_unit_test(how_it_ended_names_what_is_missing),
		cmocka_unit_test(a_source_that_does_not_start_loses_the_scan_to_reading),
		cmocka_unit_test(what_was_read_before_an_abort_is_delivered),
		cmocka_unit_test(an_armed_scan_that_is_aborted_reads_nothing),
		cmocka_unit_test(an_armed_scan_is_taken_back_at_once),
		cmocka_unit_test(a_scan_may_have_any_number_of_runs),
		cmocka_unit_test(the_board_waits_while_no_chunk_is_free),
	};

	return cmocka_run_group_tests(suite, setup, teardown);
}
