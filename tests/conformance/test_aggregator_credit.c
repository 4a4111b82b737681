/* SPDX-License-Identifier: MIT */
/*
 * What a source pays for is here until its memory is free: also what was passed on, and waits in a
 * consumer's link to be sent.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sluice/stats.h>

#include "aggregator_bench.h"

/* So many, and no more when all has been said. */
static void expect_credit(struct bench *b, uint64_t credit)
{
	const uint64_t deadline_ns = now_ns() + NET_DEADLINE_NS;

	while (link_sender_credit(b->source[0]->sender) < credit) {
		assert_true(now_ns() < deadline_ns);
		net_turn(b->net);
	}
	/* A heartbeat either way: whatever would come too much has come. */
	net_pass(b->net, 2 * LINK_HEARTBEAT_NS);
	assert_int_equal(link_sender_credit(b->source[0]->sender), credit);
}

/* The payload that was forwarded as the @nth leaves, by the link of consumer @i. */
static void let_go(struct bench *b, unsigned int i, unsigned int nth)
{
	assert_true(nth < atomic_load(&bench_kept_count));
	credit_left(&b->aggregator->consumer[i], bench_kept[nth]);
}

static void credit_comes_back_when_the_payload_has_left(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 1, 3, (const int[]){ 32, 32, 32, -1 });
	atomic_store(&bench_keeping, true);
	for (uint64_t run = 0; run < 3; run++)
		bench_send(&b, 0, run);
	for (unsigned int i = 0; i < 3; i++)
		bench_expect_chunk(&b, i, i, 0);
	/* They went on, each to another; and are still in memory here. */
	expect_credit(&b, 0);
	let_go(&b, 1, 1);
	expect_credit(&b, 1);
	let_go(&b, 0, 0);
	let_go(&b, 2, 2);
	expect_credit(&b, 3);
	bench_close(&b);
}

/* By that time another is in its place, with a window of its own. */
static void what_leaves_after_its_source_gives_nobody_credit(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 1, 2, (const int[]){ 32, 32, -1 });
	atomic_store(&bench_keeping, true);
	bench_send(&b, 0, 0);
	bench_expect_chunk(&b, 0, 0, 0);
	net_close(b.source[0]);
	bench_open_source(&b, 0);
	bench_send(&b, 0, 1);
	bench_expect_chunk(&b, 1, 1, 0);
	expect_credit(&b, 1);
	let_go(&b, 0, 0);
	expect_credit(&b, 1);
	let_go(&b, 1, 1);
	expect_credit(&b, 2);
	bench_close(&b);
}

/* A run that is forgotten, as its consumer gave it back, is still on its way to that consumer. */
static void a_run_that_is_asked_for_again_costs_until_it_has_left(void **state)
{
	const struct sluice_wire_nack nack = { .run_count = sluice_le32(1),
					       .cause = sluice_le16(SLUICE_LOSS_LATE) };
	struct bench b;

	(void)state;
	bench_open(&b, 1, 2, (const int[]){ 32, -1 });
	atomic_store(&bench_keeping, true);
	bench_send(&b, 0, 0);
	bench_expect_chunk(&b, 0, 0, 0);
	assert_int_equal(link_nack(b.consumer[0]->receiver, 0, SCAN, &nack, 1), 0);
	bench_expect_nack(&b, 0, 0);
	expect_credit(&b, 1);
	let_go(&b, 0, 0);
	expect_credit(&b, 2);
	bench_close(&b);
}

static void a_slow_consumer_gets_no_more_than_half_the_window(void **state)
{
	unsigned int chunks[2];
	struct bench b;

	(void)state;
	bench_open(&b, 1, 8, (const int[]){ 64, 32, -1 });
	atomic_store(&bench_keeping, true);
	/* It has more credit than the other to the end, and nothing leaves its link. */
	for (uint64_t run = 0; run < 4; run++)
		bench_send(&b, 0, run);
	bench_gather(&b, 4, chunks);
	assert_int_equal(chunks[0], 4);
	atomic_store(&bench_keeping, false);
	for (uint64_t run = 4; run < 14; run++)
		bench_send(&b, 0, run);
	bench_gather(&b, 14, chunks);
	assert_int_equal(chunks[0], 4);
	assert_int_equal(chunks[1], 10);
	let_go(&b, 0, 0);
	bench_send(&b, 0, 14);
	bench_gather(&b, 15, chunks);
	assert_int_equal(chunks[0], 5);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(credit_comes_back_when_the_payload_has_left),
		cmocka_unit_test(what_leaves_after_its_source_gives_nobody_credit),
		cmocka_unit_test(a_run_that_is_asked_for_again_costs_until_it_has_left),
		cmocka_unit_test(a_slow_consumer_gets_no_more_than_half_the_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
