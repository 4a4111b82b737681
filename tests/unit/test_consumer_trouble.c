/* SPDX-License-Identifier: MIT */
/* Runs that do not come as they should: late, damaged, twice, from the dead, or made up. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "consumer_fixture.h"

enum {
	TIMEOUT_MS = 50
};

static uint32_t mask_of(struct sluice_run *run, unsigned int index)
{
	struct sluice_frame frame;

	assert_int_equal(sluice_run_frame(run, index, &frame), 0);
	return frame.sector_mask;
}

static bool sector_acked_a(const struct fixture *f, uint64_t arg)
{
	return acked(&f->a, arg / SECTORS, arg % SECTORS);
}

static bool up_again_a(const struct fixture *f, uint64_t arg)
{
	(void)arg;
	return f->a.up;
}

static bool stat_is(const struct fixture *f, const _Atomic uint64_t *counter, uint64_t value)
{
	(void)f;
	return atomic_load(counter) == value;
}

static bool all_resolved_a(const struct fixture *f, uint64_t arg)
{
	(void)arg;
	return link_sender_credit(f->a.link) == WINDOW * SECTORS;
}

static bool peers_are(const struct fixture *f, uint64_t arg)
{
	return stat_is(f, &f->consumer->stats.peers, arg);
}

static bool assembling_are(const struct fixture *f, uint64_t arg)
{
	return stat_is(f, &f->consumer->stats.runs_assembling, arg);
}

static bool run_acked_b(const struct fixture *f, uint64_t run)
{
	return acked(&f->b, run, 0) && acked(&f->b, run, 1);
}

static bool bad_chunks_are(const struct fixture *f, uint64_t arg)
{
	return stat_is(f, &f->consumer->stats.bad_chunks, arg);
}

static bool repeated_are(const struct fixture *f, uint64_t arg)
{
	return stat_is(f, &f->consumer->stats.runs_repeated, arg);
}

/* ---- late ---------------------------------------------------------------------------------- */

static void test_a_sector_that_does_not_come_is_given_up(void **state)
{
	struct chunk chunk = { .run = 1, .flags = SLUICE_WIRE_LAST_PART, .count = RUN_FRAMES };
	struct sluice_run *run;
	struct fixture f;

	(void)state;
	fixture_open(&f, TIMEOUT_MS);
	begin(&f);
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	/* Sector 1 begins and does not end: what came of it is not delivered either. */
	chunk = (struct chunk){ .run = 1, .sector = 1, .count = 2 };
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	run = expect_run(&f, 1);
	for (unsigned int i = 0; i < RUN_FRAMES; i++)
		assert_int_equal(mask_of(run, i), 1);
	assert_int_equal(sluice_consumer_ack(f.consumer, run, 0), 0);
	pump_until(&f, sector_acked_a, 1 * SECTORS + 0);
	pump_until(&f, all_resolved_a, 0);
	assert_false(acked(&f.a, 1, 1));
	assert_int_equal(f.a.rejects, 0);
	/* Now it comes: every block is rejected by name, the early ones too. */
	chunk = (struct chunk){ .run = 1,
				.sector = 1,
				.part = 1,
				.flags = SLUICE_WIRE_LAST_PART,
				.first = 2,
				.count = 2 };
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	pump_until(&f, sector_acked_a, 1 * SECTORS + 1);
	for (uint64_t i = 0; i < RUN_FRAMES; i++) {
		assert_int_equal(rejected(&f.a, RUN_FRAMES + i, 1), SLUICE_LOSS_LATE);
		assert_int_equal(rejected(&f.a, RUN_FRAMES + i, 0), SLUICE_LOSS_NONE);
	}
	expect_nothing(&f);
	assert_int_equal(stat_of(&f.consumer->stats.frames_incomplete), RUN_FRAMES);
	assert_int_equal(stat_of(&f.consumer->stats.blocks), RUN_FRAMES);
	pump_until(&f, all_resolved_a, 0);
	fixture_close(&f);
}

static void test_a_sector_that_comes_while_its_run_is_worked_on_is_late(void **state)
{
	struct chunk chunk = { .run = 0, .flags = SLUICE_WIRE_LAST_PART, .count = RUN_FRAMES };
	struct sluice_run *run;
	struct fixture f;

	(void)state;
	fixture_open(&f, TIMEOUT_MS);
	begin(&f);
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	run = expect_run(&f, 0);
	chunk.sector = 1;
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	pump_until(&f, repeated_are, 1);
	assert_int_equal(mask_of(run, 0), 1);
	assert_int_equal(sluice_consumer_ack(f.consumer, run, 0), 0);
	pump_until(&f, run_acked_a, 0);
	for (uint64_t i = 0; i < RUN_FRAMES; i++)
		assert_int_equal(rejected(&f.a, i, 1), SLUICE_LOSS_LATE);
	assert_int_equal(f.a.rejects, RUN_FRAMES);
	fixture_close(&f);
}

/* Frames 18 and 19 would be in the last run, were the scan not over before them. */
static void test_late_blocks_that_are_not_of_the_run_are_not_kept(void **state)
{
	const uint64_t last = RUNS - 1;
	struct chunk chunk = { .run = last,
			       .flags = SLUICE_WIRE_LAST_PART,
			       .count = run_frames_of(last) };
	struct fixture f;

	(void)state;
	fixture_open(&f, TIMEOUT_MS);
	begin(&f);
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	assert_int_equal(sluice_consumer_ack(f.consumer, expect_run(&f, last), 0), 0);
	pump_until(&f, sector_acked_a, last * SECTORS);
	chunk = (struct chunk){ .run = last,
				.sector = 1,
				.flags = SLUICE_WIRE_LAST_PART,
				.count = RUN_FRAMES,
				.frame_shift = -1 };
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	pump_until(&f, sector_acked_a, last * SECTORS + 1);
	assert_int_equal(f.a.rejects, 2);
	assert_int_equal(rejected(&f.a, FRAMES - 2, 1), SLUICE_LOSS_LATE);
	assert_int_equal(rejected(&f.a, FRAMES - 1, 1), SLUICE_LOSS_LATE);
	assert_int_equal(stat_of(&f.consumer->stats.blocks_misplaced), 2);
	fixture_close(&f);
}

/* Dropped, it comes again and is judged anew: what was late then is not late now. */
static void test_a_dropped_run_forgets_what_was_late(void **state)
{
	struct chunk chunk = { .run = 0, .flags = SLUICE_WIRE_LAST_PART, .count = RUN_FRAMES };
	struct sluice_run *run;
	struct fixture f;

	(void)state;
	fixture_open(&f, TIMEOUT_MS);
	begin(&f);
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	run = expect_run(&f, 0);
	chunk.sector = 1;
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	pump_until(&f, repeated_are, 1);
	assert_int_equal(sluice_consumer_drop(f.consumer, run), 0);
	pump_until(&f, run_nacked_a, 0);
	/* A block of it is damaged now, so that there is something to reject. */
	chunk.corrupt = 1;
	for (chunk.sector = 0; chunk.sector < SECTORS; chunk.sector++)
		assert_int_equal(send_chunk(&f.a, &chunk), 0);
	run = expect_run(&f, 0);
	assert_int_equal(mask_of(run, 0), 0);
	assert_int_equal(mask_of(run, 1), 3);
	assert_int_equal(sluice_consumer_ack(f.consumer, run, 0), 0);
	pump_until(&f, run_acked_a, 0);
	assert_int_equal(f.a.rejects, SECTORS);
	assert_int_equal(rejected(&f.a, 0, 1), SLUICE_LOSS_CRC);
	fixture_close(&f);
}

/* ---- damaged ------------------------------------------------------------------------------- */

static void test_a_block_whose_crc_fails_is_rejected(void **state)
{
	struct chunk chunk = { .run = 0,
			       .sector = 1,
			       .flags = SLUICE_WIRE_LAST_PART,
			       .count = RUN_FRAMES,
			       .corrupt = 1 << 2 };
	const struct chunk whole = { .flags = SLUICE_WIRE_LAST_PART, .count = RUN_FRAMES };
	struct sluice_frame frame;
	struct sluice_run *run;
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	assert_int_equal(send_chunk(&f.a, &whole), 0);
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	run = expect_run(&f, 0);
	for (unsigned int i = 0; i < RUN_FRAMES; i++)
		assert_int_equal(mask_of(run, i), i == 2 ? 1 : 3);
	assert_int_equal(sluice_run_frame(run, 2, &frame), 0);
	assert_null(frame.sector[1]);
	assert_non_null(frame.sector[0]);
	assert_int_equal(sluice_consumer_ack(f.consumer, run, 0), 0);
	pump_until(&f, run_acked_a, 0);
	assert_int_equal(f.a.rejects, 1);
	assert_int_equal(rejected(&f.a, 2, 1), SLUICE_LOSS_CRC);
	assert_int_equal(stat_of(&f.consumer->stats.frames_incomplete), 1);
	assert_int_equal(stat_of(&f.consumer->stats.rejected[SLUICE_LOSS_CRC]), 1);
	fixture_close(&f);
}

/* Numbers from a peer are judged before they index anything. */
static void test_blocks_that_do_not_fit_are_rejected(void **state)
{
	struct chunk chunk = { .sector = 0, .flags = SLUICE_WIRE_LAST_PART, .count = 2 };
	struct sluice_run *run;
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	chunk.offset_shift = SECTOR_BYTES /
			     2; /* the second one's pixels would end behind the payload */
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	chunk = (struct chunk){
		.sector = 1, .flags = SLUICE_WIRE_LAST_PART, .count = RUN_FRAMES, .frame_shift = 2
	}; /* two of them are of the next run */
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	run = expect_run(&f, 0);
	/* Shifted pixels are not what their CRC says. */
	assert_int_equal(mask_of(run, 0), 0);
	assert_int_equal(mask_of(run, 1), 0);
	assert_int_equal(mask_of(run, 2), 2);
	assert_int_equal(mask_of(run, 3), 2);
	assert_int_equal(sluice_consumer_ack(f.consumer, run, 0), 0);
	pump_until(&f, run_acked_a, 0);
	assert_int_equal(rejected(&f.a, 0, 0), SLUICE_LOSS_CRC);
	assert_int_equal(rejected(&f.a, 1, 0), SLUICE_LOSS_HEADER);
	assert_int_equal(rejected(&f.a, RUN_FRAMES, 1), SLUICE_LOSS_SEQUENCE);
	assert_int_equal(rejected(&f.a, RUN_FRAMES + 1, 1), SLUICE_LOSS_SEQUENCE);
	assert_int_equal(f.a.rejects, 4);
	fixture_close(&f);
}

/* The account is kept by number: a number that has come is delivered, once. */
static void test_a_block_that_comes_twice_counts_once(void **state)
{
	struct chunk chunk = { .count = 2 };
	struct sluice_run *run;
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	for (chunk.sector = 0; chunk.sector < SECTORS; chunk.sector++) {
		chunk.part = 0;
		chunk.flags = 0;
		assert_int_equal(send_chunk(&f.a, &chunk), 0);
		chunk.part = 1;
		chunk.flags = SLUICE_WIRE_LAST_PART;
		assert_int_equal(send_chunk(&f.a, &chunk), 0);
	}
	run = expect_run(&f, 0);
	assert_int_equal(mask_of(run, 0), 3);
	assert_int_equal(mask_of(run, 2), 0);
	assert_int_equal(sluice_consumer_ack(f.consumer, run, 0), 0);
	pump_until(&f, run_acked_a, 0);
	assert_int_equal(f.a.rejects, 0);
	assert_int_equal(stat_of(&f.consumer->stats.blocks_twice), 4);
	assert_int_equal(stat_of(&f.consumer->stats.blocks), 4);
	assert_int_equal(stat_of(&f.consumer->stats.frames), 2);
	fixture_close(&f);
}

static void test_chunks_that_belong_nowhere_are_let_go(void **state)
{
	const struct chunk odd[] = {
		{ .scan = SCAN + 1, .flags = SLUICE_WIRE_LAST_PART, .count = 1 },
		{ .run = RUNS, .flags = SLUICE_WIRE_LAST_PART, .count = 1 },
		{ .sector = SECTORS, .flags = SLUICE_WIRE_LAST_PART, .count = 1 },
		{ .run = UINT64_MAX, .flags = SLUICE_WIRE_LAST_PART },
	};
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		assert_int_equal(send_chunk(&f.a, &odd[i]), 0);
	pump_until(&f, bad_chunks_are, sizeof(odd) / sizeof(odd[0]));
	pump_until(&f, all_resolved_a, 0); /* the credit comes back */
	expect_nothing(&f);
	send_run(&f.a, 0);
	assert_int_equal(sluice_consumer_ack(f.consumer, expect_run(&f, 0), 0), 0);
	fixture_close(&f);
}

static void test_a_part_that_is_missing_makes_the_run_come_again(void **state)
{
	struct chunk chunk = { .run = 3, .count = 1 };
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	chunk.part = 2;
	chunk.flags = SLUICE_WIRE_LAST_PART;
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	pump_until(&f, run_nacked_a, 3);
	pump_until(&f, all_resolved_a, 0);
	send_run(&f.a, 3);
	assert_int_equal(sluice_consumer_ack(f.consumer, expect_run(&f, 3), 0), 0);
	pump_until(&f, run_acked_a, 3);
	fixture_close(&f);
}

/* ---- twice --------------------------------------------------------------------------------- */

static void resend(struct aggregator *a, uint64_t run, uint64_t corrupt)
{
	for (unsigned int s = 0; s < SECTORS; s++) {
		const struct chunk chunk = { .run = run,
					     .sector = s,
					     .flags = SLUICE_WIRE_LAST_PART | SLUICE_WIRE_RESENT,
					     .count = RUN_FRAMES,
					     .corrupt = corrupt };

		assert_int_equal(send_chunk(a, &chunk), 0);
	}
}

static bool acked_twice_a(const struct fixture *f, uint64_t run)
{
	return acked_times(&f->a, run, 0) == 2 && acked_times(&f->a, run, 1) == 2;
}

static void test_a_committed_run_is_acknowledged_again_alike(void **state)
{
	struct sluice_run *run;
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	resend(&f.a, 0, 1 << 1);
	run = expect_run(&f, 0);
	assert_int_equal(mask_of(run, 1), 0);
	assert_int_equal(sluice_consumer_ack(f.consumer, run, 5), 0);
	pump_until(&f, run_acked_a, 0);
	assert_int_equal(f.a.rejects, 2);
	resend(&f.a, 0, 0); /* whatever it holds now: the answer was given */
	pump_until(&f, acked_twice_a, 0);
	assert_int_equal(f.a.rejects, 4);
	for (unsigned int i = 0; i < f.a.rejects; i++)
		assert_int_equal(sluice_u64(f.a.reject[i].frame), 1);
	expect_nothing(&f);
	pump_until(&f, all_resolved_a, 0);
	assert_int_equal(stat_of(&f.consumer->stats.events), 5);
	assert_int_equal(stat_of(&f.consumer->stats.runs_acked), 1);
	fixture_close(&f);
}

static void test_a_copy_of_a_run_in_hand_is_let_go(void **state)
{
	struct sluice_run *run;
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	send_run(&f.a, 0);
	run = expect_run(&f, 0);
	resend(&f.a, 0, 0);
	pump_until(&f, repeated_are, SECTORS);
	expect_nothing(&f);
	assert_int_equal(sluice_consumer_ack(f.consumer, run, 0), 0);
	pump_until(&f, run_acked_a, 0);
	pump_until(&f, all_resolved_a, 0);
	assert_int_equal(acked_times(&f.a, 0, 0), 1);
	fixture_close(&f);
}

/* ---- aggregators that go, or disagree ------------------------------------------------------ */

static void test_what_a_lost_aggregator_sent_is_dropped(void **state)
{
	const struct chunk begun = { .run = 2, .count = 1 };
	struct sluice_run *in_hand;
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	send_run(&f.a, 0);
	in_hand = expect_run(&f, 0);
	send_run(&f.a, 1); /* ready, not taken */
	assert_int_equal(send_chunk(&f.a, &begun), 0);
	pump_until(&f, credit_is_a, 1);
	aggregator_close(&f.a);
	aggregator_open(&f, &f.b, "agg0b");
	pump_until(&f, peers_are, 1);
	expect_nothing(&f);
	assert_int_equal(stat_of(&f.consumer->stats.runs_discarded), 2);
	/* A new session of it sends again what was not acknowledged. */
	aggregator_close(&f.b);
	aggregator_open(&f, &f.a, "agg0");
	pump_until(&f, up_again_a, 0);
	send_begin(&f.a, 0, 1);
	pump_until(&f, all_resolved_a, 0);
	send_run(&f.a, 1);
	assert_int_equal(sluice_consumer_ack(f.consumer, expect_run(&f, 1), 0), 0);
	resend(&f.a, 0, 0);
	/* The copy is let go; its sender hears when the first one is done. */
	pump_until(&f, repeated_are, SECTORS);
	assert_int_equal(sluice_consumer_ack(f.consumer, in_hand, 0), 0);
	pump_until(&f, run_acked_a, 0);
	pump_until(&f, run_acked_a, 1);
	send_end(&f.a, 0);
	expect_end(&f, 0);
	fixture_close(&f);
}

/* A run has one aggregator; which, only a newer plan can change, and then all of it comes again. */
static void test_a_newer_plan_gives_a_run_to_another_aggregator(void **state)
{
	struct chunk chunk = { .run = 0, .flags = SLUICE_WIRE_LAST_PART, .count = RUN_FRAMES };
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	aggregator_open(&f, &f.a, "agg0");
	aggregator_open(&f, &f.b, "agg1");
	send_begin(&f.a, 0, 2);
	send_begin(&f.b, 0, 2);
	expect_begin(&f, 0);
	pump_until(&f, all_resolved_a, 0);
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	pump_until(&f, assembling_are, 1);
	chunk.sector = 1;
	assert_int_equal(send_chunk(&f.b, &chunk), 0);
	pump_until(&f, bad_chunks_are, 1);
	expect_nothing(&f);
	chunk.epoch = 2;
	assert_int_equal(send_chunk(&f.b, &chunk), 0);
	chunk.sector = 0;
	pump_until(&f, all_resolved_a, 0);
	assert_int_equal(send_chunk(&f.b, &chunk), 0);
	assert_int_equal(sluice_consumer_ack(f.consumer, expect_run(&f, 0), 0), 0);
	pump_until(&f, run_acked_b, 0);
	assert_int_equal(f.a.acks, 0);
	fixture_close(&f);
}

static void test_an_aggregator_that_disagrees_is_refused(void **state)
{
	const struct chunk chunk = { .flags = SLUICE_WIRE_LAST_PART, .count = 1 };
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	aggregator_open(&f, &f.b, "agg1");
	send_begin(&f.b, 0, 2); /* two aggregators, it says */
	assert_int_equal(send_chunk(&f.b, &chunk), 0);
	pump_until(&f, bad_chunks_are, 1);
	assert_int_equal(stat_of(&f.consumer->stats.bad_scans), 1);
	send_end(&f.b, 0);
	expect_nothing(&f); /* its word does not count */
	send_end(&f.a, 0);
	expect_end(&f, 0);
	fixture_close(&f);
}

/* What has not been acknowledged when the sources have ended is lost on their books. */
static void test_the_end_discards_what_nobody_waits_for(void **state)
{
	const struct chunk begun = { .run = 2, .count = 1 };
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	assert_int_equal(send_chunk(&f.a, &begun), 0);
	send_end(&f.a, 0);
	expect_end(&f, 0);
	assert_int_equal(stat_of(&f.consumer->stats.frames), 0);
	pump_until(&f, all_resolved_a, 0);
	fixture_close(&f);
}

static void test_a_new_scan_ends_the_one_that_was_forgotten(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	send_begin(&f.a, SCAN + 1, 1);
	expect_begin(&f, SCAN + 1);
	expect_end(&f, SCAN);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sector_that_does_not_come_is_given_up),
		cmocka_unit_test(test_a_sector_that_comes_while_its_run_is_worked_on_is_late),
		cmocka_unit_test(test_late_blocks_that_are_not_of_the_run_are_not_kept),
		cmocka_unit_test(test_a_dropped_run_forgets_what_was_late),
		cmocka_unit_test(test_a_block_whose_crc_fails_is_rejected),
		cmocka_unit_test(test_blocks_that_do_not_fit_are_rejected),
		cmocka_unit_test(test_a_block_that_comes_twice_counts_once),
		cmocka_unit_test(test_chunks_that_belong_nowhere_are_let_go),
		cmocka_unit_test(test_a_part_that_is_missing_makes_the_run_come_again),
		cmocka_unit_test(test_a_committed_run_is_acknowledged_again_alike),
		cmocka_unit_test(test_a_copy_of_a_run_in_hand_is_let_go),
		cmocka_unit_test(test_what_a_lost_aggregator_sent_is_dropped),
		cmocka_unit_test(test_a_newer_plan_gives_a_run_to_another_aggregator),
		cmocka_unit_test(test_an_aggregator_that_disagrees_is_refused),
		cmocka_unit_test(test_the_end_discards_what_nobody_waits_for),
		cmocka_unit_test(test_a_new_scan_ends_the_one_that_was_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
