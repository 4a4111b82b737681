/* SPDX-License-Identifier: MIT */
/*
 * acquire/outlet.h: what was sent is kept until it is acknowledged, and sent again where it went
 * astray; what nobody takes is lost by name; every chunk goes home.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sluice/error.h>

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

static void send_ack(struct rig *rig, const struct sluice_wire_ack *ack, unsigned int acks,
		     const struct sluice_wire_reject *reject, unsigned int rejects)
{
	struct rig_aggregator *a = &rig->aggregator[0];

	assert_int_equal(link_ack(a->receiver, a->peer, rig->plan.scan, ack, acks, reject, rejects),
			 0);
}

static bool all_runs_are_whole(struct rig *rig)
{
	unsigned int whole = 0;

	for (unsigned int i = 0; i < rig->plan.aggregator_count; i++)
		whole += rig->aggregator[i].runs_whole;
	return whole >= plan_runs(&rig->plan);
}

static void blocks_rejected_by_name_are_lost_to_that_cause(void **state)
{
	struct rig *rig = *state;
	const struct sluice_wire_ack ack = { .run_first = sluice_le64(0),
					     .run_count = sluice_le32(3),
					     .sector = sluice_le16(RIG_SECTOR) };
	const struct sluice_wire_reject reject[] = {
		{ .frame = sluice_le64(2),
		  .sector = sluice_le16(RIG_SECTOR),
		  .cause = sluice_le16(SLUICE_LOSS_CRC) },
		{ .frame = sluice_le64(9),
		  .sector = sluice_le16(RIG_SECTOR),
		  .cause = sluice_le16(SLUICE_LOSS_LATE) },
		/* Of another board, which has its own account. */
		{ .frame = sluice_le64(3),
		  .sector = sluice_le16(0),
		  .cause = sluice_le16(SLUICE_LOSS_CRC) },
		/* A frame that the scan does not have. */
		{ .frame = sluice_le64(12),
		  .sector = sluice_le16(RIG_SECTOR),
		  .cause = sluice_le16(SLUICE_LOSS_CRC) },
		/* Lost at the board already: that cause stays. */
		{ .frame = sluice_le64(11),
		  .sector = sluice_le16(RIG_SECTOR),
		  .cause = sluice_le16(SLUICE_LOSS_CRC) },
	};

	rig_init(rig, 12, 1);
	rig_fill(rig, 0, 11);
	rig_open(rig, true);
	rig->aggregator[0].hold = true;
	acquisition_run(rig->acquisition);
	rig_until(rig, all_runs_are_whole);
	send_ack(rig, &ack, 1, reject, sizeof(reject) / sizeof(reject[0]));
	rig_scan(rig);
	rig_expect_fate(rig, 0, 2, TALLY_DELIVERED);
	rig_expect_fate(rig, 2, 1, LOST(CRC));
	rig_expect_fate(rig, 3, 6, TALLY_DELIVERED);
	rig_expect_fate(rig, 9, 1, LOST(LATE));
	rig_expect_fate(rig, 10, 1, TALLY_DELIVERED);
	rig_expect_fate(rig, 11, 1, LOST(GAP));
	assert_int_equal(sluice_u64(rig->aggregator[0].end.blocks_acked), 9);
	assert_int_equal(sluice_u64(rig->aggregator[0].end.blocks_lost), 2);
	rig_close(rig);
}

/* Acknowledgements may come in any order, twice, and for what was never sent. */
static void acknowledgements_that_are_odd_do_no_harm(void **state)
{
	struct rig *rig = *state;
	const struct sluice_wire_ack acks[] = {
		{ .run_first = sluice_le64(2),
		  .run_count = sluice_le32(1),
		  .sector = sluice_le16(RIG_SECTOR) },
		{ .run_first = sluice_le64(2),
		  .run_count = sluice_le32(1),
		  .sector = sluice_le16(RIG_SECTOR) },
		{ .run_first = sluice_le64(UINT64_MAX),
		  .run_count = sluice_le32(UINT32_MAX),
		  .sector = sluice_le16(RIG_SECTOR) },
		/* Not of this sector. */
		{ .run_first = sluice_le64(0),
		  .run_count = sluice_le32(3),
		  .sector = sluice_le16(0) },
	};

	rig_init(rig, 12, 1);
	rig_fill(rig, 0, 12);
	rig_open(rig, true);
	rig->aggregator[0].hold = true;
	acquisition_run(rig->acquisition);
	rig_until(rig, all_runs_are_whole);
	for (size_t i = 0; i < sizeof(acks) / sizeof(acks[0]); i++)
		(void)link_ack(rig->aggregator[0].receiver, rig->aggregator[0].peer, 7, &acks[i], 1,
			       NULL, 0);
	rig_ack(rig, 0, 1);
	while (tally_fate(rig->acquisition->tally, 4) != TALLY_DELIVERED)
		rig_turn(rig);
	/* The messages before it have been taken. */
	rig_expect_fate(rig, 0, 4, TALLY_SEEN);
	rig_expect_fate(rig, 8, 4, TALLY_DELIVERED);
	assert_false(acquisition_done(rig->acquisition));
	rig_ack(rig, 0, 0);
	rig_scan(rig);
	rig_expect_fate(rig, 0, 12, TALLY_DELIVERED);
	rig_close(rig);
}

static bool run_1_came_again(struct rig *rig)
{
	return rig->aggregator[0].run[1].resent >= 2 && rig->aggregator[0].run[1].last_parts == 1;
}

static void what_is_asked_for_is_sent_again_whole(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 12, 1);
	rig_fill(rig, 0, 6); /* run 1 in two parts */
	rig_fill(rig, 6, 6);
	rig_open(rig, true);
	rig->aggregator[0].hold = true;
	acquisition_run(rig->acquisition);
	rig_until(rig, all_runs_are_whole);
	assert_int_equal(rig->aggregator[0].run[1].parts, 2);
	rig_nack(rig, 0, 1);
	rig_until(rig, run_1_came_again);
	assert_int_equal(rig->aggregator[0].run[1].parts, 2);
	assert_int_equal(rig->aggregator[0].run[0].resent, 0);
	assert_int_equal(rig->aggregator[0].run[2].resent, 0);
	assert_int_equal(atomic_load(&outlet_stats(rig->acquisition->outlet[0])->parcels_resent),
			 2);
	rig_ack_all(rig, 0);
	rig_scan(rig);
	rig_expect_fate(rig, 0, 12, TALLY_DELIVERED);
	/* Nothing to send again of what is acknowledged. */
	rig_close(rig);
}

static bool run_0_is_acknowledged(struct rig *rig)
{
	return tally_fate(rig->acquisition->tally, 0) == TALLY_DELIVERED;
}

static bool two_runs_came_again(struct rig *rig)
{
	return rig->aggregator[0].sessions == 2 && rig->aggregator[0].run[1].resent > 0 &&
	       rig->aggregator[0].run[2].resent > 0;
}

static void a_new_session_gets_all_that_is_not_acknowledged(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 12, 1);
	rig_fill(rig, 0, 12);
	rig_open(rig, true);
	rig->aggregator[0].hold = true;
	acquisition_run(rig->acquisition);
	rig_until(rig, all_runs_are_whole);
	rig_ack(rig, 0, 0);
	rig_until(rig, run_0_is_acknowledged);
	rig_restart(rig, 0);
	rig_until(rig, two_runs_came_again);
	/* The scan was announced to it as to the first one. */
	assert_int_equal(rig->aggregator[0].begins, 2);
	assert_int_equal(rig->aggregator[0].run[0].resent, 0);
	rig_ack_all(rig, 0);
	rig_scan(rig);
	rig_expect_fate(rig, 0, 12, TALLY_DELIVERED);
	rig_close(rig);
}

static void runs_go_to_two_aggregators_in_turn(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 22, 2);
	rig_fill(rig, 0, 11); /* runs 0, 1 and a part of 2: both hold it */
	rig_fill(rig, 11, 11);
	rig_open(rig, true);
	rig->aggregator[1].hold = true;
	acquisition_run(rig->acquisition);
	rig_until(rig, all_runs_are_whole);
	rig_expect_whole(rig);
	assert_int_equal(sluice_u16(rig->aggregator[1].begin.aggregators), 2);
	while (!outlet_done(rig->acquisition->outlet[0]))
		rig_turn(rig);
	{
		uint32_t count[CHUNK_STATE_COUNT];

		/* One has let go of all; the other holds both chunks still. */
		ring_occupancy(rig->ring, count);
		assert_int_equal(count[CHUNK_IN_FLIGHT], 2);
	}
	rig_ack_all(rig, 1);
	rig_scan(rig);
	rig_expect_fate(rig, 0, 22, TALLY_DELIVERED);
	assert_int_equal(rig->aggregator[0].ends, 1);
	assert_int_equal(rig->aggregator[1].ends, 1);
	rig_close(rig);
}

/* More runs than credits: the rest waits, in order, until credit comes. */
static void nothing_is_sent_without_credit(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 24, 1);
	rig->aggregator[0].window = 2;
	rig_fill(rig, 0, 12);
	rig_fill(rig, 12, 12);
	rig_open(rig, true);
	rig_scan(rig);
	rig_expect_whole(rig);
	rig_expect_fate(rig, 0, 24, TALLY_DELIVERED);
	assert_int_equal(atomic_load(&outlet_link_stats(rig->acquisition->outlet[0])->started), 6);
	rig_close(rig);
}

static void what_nobody_acknowledges_is_lost_to_the_peer(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 40, 1);
	rig->give_up_ns = 50 * NS_PER_MS;
	rig->chunks = 2; /* the rest is read, and lost, after it gave up */
	for (uint32_t f = 0; f < 40; f += 4)
		rig_fill(rig, f, 4);
	rig_open(rig, true);
	rig->aggregator[0].hold = true;
	rig_scan(rig);
	rig_expect_fate(rig, 0, 40, LOST(PEER));
	/* It does not wait for what will not come. */
	assert_int_equal(rig->aggregator[0].ends, 1);
	assert_int_equal(sluice_u64(rig->aggregator[0].end.blocks_acked), 0);
	assert_int_equal(sluice_u64(rig->aggregator[0].end.blocks_lost), 40);
	rig_close(rig);
}

static void where_nobody_listens_all_is_lost_to_the_peer(void **state)
{
	struct sluice_error error = { "" };
	struct rig *rig = *state;

	rig_init(rig, 40, 1);
	rig->give_up_ns = 50 * NS_PER_MS;
	rig_fill(rig, 0, 4);
	rig->script.end = SOURCE_END_CUT;
	rig_open(rig, false);
	assert_int_equal(
		outlet_wait_up(rig->acquisition->outlet[0], now_ns() + 20 * NS_PER_MS, &error),
		-ETIMEDOUT);
	assert_non_null(strstr(error.text, "agg0"));
	assert_non_null(strstr(error.text, "tcp://127.0.0.1:9"));
	rig_scan(rig);
	rig_expect_fate(rig, 0, 4, LOST(PEER));
	rig_expect_fate(rig, 4, 36, LOST(CUT));
	rig_close(rig);
}

/* An aggregator has a live source of this name already: another sluiced, by mistake. */
static void a_refusal_is_told_by_name(void **state)
{
	struct sluice_error error = { "" };
	struct rig *rig = *state;
	struct outlet_args args;
	struct outlet *second;

	rig_init(rig, 4, 1);
	rig_open(rig, true);
	args = (struct outlet_args){ .plan = rig->acquisition->plan,
				     .node = NODE_ANY,
				     .name = "server/board1",
				     .transport = "zmq",
				     .io_threads = 1,
				     .give_up_ns = NS_PER_S,
				     .ring = rig->ring,
				     .tally = rig->acquisition->tally,
				     .reader_wake = rig->wake,
				     .finished_wake = rig->wake };
	assert_int_equal(outlet_open(&args, &second, NULL), 0);
	while (outlet_wait_up(second, 0, &error) != -ECONNREFUSED)
		rig_turn(rig);
	assert_int_equal(outlet_wait_up(second, 0, &error), -ECONNREFUSED);
	assert_non_null(strstr(error.text, "agg0"));
	assert_non_null(strstr(error.text, "server/board1"));
	assert_non_null(strstr(error.text, "has this name"));
	outlet_close(second);
	outlet_close(NULL);
	acquisition_abort(rig->acquisition);
	rig_scan(rig);
	rig_close(rig);
}

/* ---- a transport that keeps what it is given -------------------------------------------- */

static struct {
	atomic_bool on;
	struct link_sender_args args;
	void *cookie[2 * OUTLET_PARCELS];
	unsigned int count;
} keeper;

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's --wrap makes these names */
int __real_link_sender_open(const struct link_sender_args *args, struct link_sender **ret_sender,
			    struct sluice_error *reterr);
int __wrap_link_sender_open(const struct link_sender_args *args, struct link_sender **ret_sender,
			    struct sluice_error *reterr);
void __real_link_sender_close(struct link_sender *sender);
void __wrap_link_sender_close(struct link_sender *sender);
int __real_link_send(struct link_sender *sender, const struct link_chunk *chunk);
int __wrap_link_send(struct link_sender *sender, const struct link_chunk *chunk);

int __wrap_link_sender_open(const struct link_sender_args *args, struct link_sender **ret_sender,
			    struct sluice_error *reterr)
{
	keeper.args = *args;
	return __real_link_sender_open(args, ret_sender, reterr);
}

/* Says that it sent the chunk, and reads it until it is closed. */
int __wrap_link_send(struct link_sender *sender, const struct link_chunk *chunk)
{
	if (!atomic_load(&keeper.on))
		return __real_link_send(sender, chunk);
	if (chunk->payload_bytes > 0) {
		assert_true(keeper.count < sizeof(keeper.cookie) / sizeof(keeper.cookie[0]));
		keeper.cookie[keeper.count++] = chunk->cookie;
	}
	return 0;
}

void __wrap_link_sender_close(struct link_sender *sender)
{
	__real_link_sender_close(sender);
	while (keeper.count > 0)
		keeper.args.released(keeper.args.ctx, keeper.cookie[--keeper.count]);
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* More parcels than an outlet has, none of which comes home: the scan ends all the same. */
static void a_link_that_lets_go_of_nothing_holds_no_scan_up(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, (uint64_t)RIG_FILLS_MAX * RIG_FILL_BLOCKS_MAX * RIG_RUN_FRAMES, 1);
	rig->give_up_ns = 50 * NS_PER_MS;
	rig->chunks = RIG_FILLS_MAX + 1; /* it does not wait for chunks */
	/* One block of each run: a parcel for each, and a void one that ends the run. */
	for (uint32_t fill = 0, run = 0; fill < RIG_FILLS_MAX; fill++) {
		uint32_t frame[RIG_FILL_BLOCKS_MAX];

		for (unsigned int i = 0; i < RIG_FILL_BLOCKS_MAX; i++)
			frame[i] = RIG_RUN_FRAMES * run++;
		rig_fill_one(rig, frame, RIG_FILL_BLOCKS_MAX);
	}
	rig_open(rig, true);
	atomic_store(&keeper.on, true);
	rig_scan(rig);
	assert_true(atomic_load(&rig->acquisition->stats.parcels_withheld) > 0);
	for (uint64_t run = 0; run < plan_runs(&rig->plan); run++) {
		rig_expect_fate(rig, RIG_RUN_FRAMES * run, 1, LOST(PEER));
		rig_expect_fate(rig, RIG_RUN_FRAMES * run + 1, RIG_RUN_FRAMES - 1, LOST(GAP));
	}
	assert_int_equal(rig->aggregator[0].ends, 1);
	rig_close(rig);
	atomic_store(&keeper.on, false);
}

static void a_link_that_holds_every_chunk_ends_the_scan(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 40, 1);
	rig->give_up_ns = 50 * NS_PER_MS;
	rig->chunks = 2;
	for (uint32_t f = 0; f < 40; f += 4)
		rig_fill(rig, f, 4);
	rig_open(rig, true);
	atomic_store(&keeper.on, true);
	rig_scan(rig);
	rig_expect_fate(rig, 0, 40, LOST(PEER));
	assert_int_equal(atomic_load(&rig->acquisition->stats.blocks), 8);
	assert_int_equal(rig->aggregator[0].ends, 1);
	rig_close(rig);
	atomic_store(&keeper.on, false);
}

/* The daemon ends in the middle: whatever is on its way, nothing is left held. */
static void a_scan_may_be_closed_at_any_time(void **state)
{
	struct rig *rig = *state;

	for (unsigned int turns = 0; turns < 6; turns++) {
		rig_init(rig, 400, 2);
		rig->aggregator[1].window = 1;
		for (uint32_t f = 0; f < 400; f += 16)
			rig_fill(rig, f, 13);
		rig_open(rig, true);
		rig->aggregator[0].hold = turns % 2;
		acquisition_run(rig->acquisition);
		for (unsigned int i = 0; i < turns; i++)
			rig_turn(rig);
		rig_close(rig);
	}
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(blocks_rejected_by_name_are_lost_to_that_cause),
		cmocka_unit_test(acknowledgements_that_are_odd_do_no_harm),
		cmocka_unit_test(what_is_asked_for_is_sent_again_whole),
		cmocka_unit_test(a_new_session_gets_all_that_is_not_acknowledged),
		cmocka_unit_test(runs_go_to_two_aggregators_in_turn),
		cmocka_unit_test(nothing_is_sent_without_credit),
		cmocka_unit_test(what_nobody_acknowledges_is_lost_to_the_peer),
		cmocka_unit_test(where_nobody_listens_all_is_lost_to_the_peer),
		cmocka_unit_test(a_refusal_is_told_by_name),
		cmocka_unit_test(a_link_that_lets_go_of_nothing_holds_no_scan_up),
		cmocka_unit_test(a_link_that_holds_every_chunk_ends_the_scan),
		cmocka_unit_test(a_scan_may_be_closed_at_any_time),
	};

	return cmocka_run_group_tests(suite, setup, teardown);
}
