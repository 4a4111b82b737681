/* SPDX-License-Identifier: MIT */
/* An aggregator that dies in a scan: the scan waits for it, and not for ever. */
#include <errno.h>

#include "consumer_fixture.h"

#define ABSENT_NS (50 * NS_PER_MS)

static uint64_t absent_ns; /* in place of the time-out; 0: it stays */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg)
{
	struct sluice_consumer *c = arg;

	/* While no other thread reads it. */
	if (start == consumer_network && absent_ns != 0)
		c->absent_timeout_ns = absent_ns;
	return __real_pthread_create(thread, attr, start, arg);
}

static int reset(void **state)
{
	(void)state;
	absent_ns = 0;
	return 0;
}

static bool peers_are(const struct fixture *f, uint64_t arg)
{
	return stat_of(&f->consumer->stats.peers) == arg;
}

static bool bad_scans_are(const struct fixture *f, uint64_t arg)
{
	return stat_of(&f->consumer->stats.bad_scans) == arg;
}

static void take_run(struct fixture *f, uint64_t run, uint64_t events)
{
	assert_int_equal(sluice_consumer_ack(f->consumer, expect_run(f, run), events), 0);
}

static void expect_half(struct fixture *f, uint64_t frames)
{
	assert_int_equal(sluice_consumer_commit(f->consumer, SCAN, NULL), 0);
	assert_int_equal(stat_of(&f->consumer->stats.frames), frames);
}

static void test_it_is_waited_for_10_s_or_the_time_out_of_runs(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 50);
	assert_int_equal(f.consumer->absent_timeout_ns, 10 * NS_PER_S);
	fixture_close(&f);
	fixture_open(&f, 12000);
	assert_int_equal(f.consumer->absent_timeout_ns, 12 * NS_PER_S);
	fixture_close(&f);
}

/* The other one ends the scan: what came of both is published. */
static void test_a_scan_ends_without_one_that_stays_away(void **state)
{
	struct fixture f;

	(void)state;
	absent_ns = ABSENT_NS;
	fixture_open(&f, 10000);
	aggregator_open(&f, &f.a, "agg0");
	aggregator_open(&f, &f.b, "agg1");
	send_begin(&f.a, 0, 2);
	send_begin(&f.b, 0, 2);
	expect_begin(&f, 0);
	pump_until(&f, credit_is_a, WINDOW * SECTORS);
	send_run(&f.a, 0);
	take_run(&f, 0, 0);
	pump_until(&f, run_acked_a, 0);
	aggregator_close(&f.b);
	pump_until(&f, peers_are, 1);
	/* The one that is there may take its time. */
	pump_never(&f, bad_scans_are, 1, 2 * ABSENT_NS);
	expect_nothing(&f);
	send_end(&f.a, 0);
	expect_end(&f, 0);
	assert_int_equal(stat_of(&f.consumer->stats.scans_deserted), 1);
	expect_half(&f, RUN_FRAMES);
	fixture_close(&f);
}

/* What is in hand when the time is over still counts. */
static void test_it_ends_when_what_is_in_hand_is_done(void **state)
{
	struct sluice_run *run;
	struct fixture f;

	(void)state;
	absent_ns = ABSENT_NS;
	fixture_open(&f, 10000);
	begin(&f);
	send_run(&f.a, 0);
	run = expect_run(&f, 0);
	aggregator_close(&f.a);
	pump_never(&f, bad_scans_are, 1, 2 * ABSENT_NS);
	expect_nothing(&f);
	assert_int_equal(sluice_consumer_ack(f.consumer, run, 0), 0);
	expect_end(&f, 0);
	expect_half(&f, RUN_FRAMES);
	fixture_close(&f);
}

static void test_one_that_returns_in_time_goes_on(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	send_run(&f.a, 0);
	take_run(&f, 0, 0);
	pump_until(&f, run_acked_a, 0);
	aggregator_close(&f.a);
	pump_until(&f, peers_are, 0);
	aggregator_open(&f, &f.a, "agg0");
	send_begin(&f.a, 0, 1);
	pump_until(&f, credit_is_a, WINDOW * SECTORS);
	send_run(&f.a, 1);
	take_run(&f, 1, 0);
	pump_until(&f, run_acked_a, 1);
	send_end(&f.a, 0);
	expect_end(&f, 0);
	assert_int_equal(stat_of(&f.consumer->stats.scans_deserted), 0);
	expect_half(&f, 2 * RUN_FRAMES);
	fixture_close(&f);
}

static bool credit_is_used_a(const struct fixture *f, uint64_t run)
{
	return run_nacked_a(f, run) && credit_is_a(f, WINDOW - SECTORS);
}

/* Its runs go to others, the half stays as it was published, and the next scan is as any other. */
static void test_one_that_returns_late_does_no_harm(void **state)
{
	struct fixture f;

	(void)state;
	absent_ns = ABSENT_NS;
	fixture_open(&f, 10000);
	begin(&f);
	send_run(&f.a, 0);
	take_run(&f, 0, 0);
	pump_until(&f, run_acked_a, 0);
	aggregator_close(&f.a);
	expect_end(&f, 0);
	expect_half(&f, RUN_FRAMES);
	aggregator_open(&f, &f.a, "agg0");
	send_begin(&f.a, 0, 1);
	pump_until(&f, bad_scans_are, 1);
	send_run(&f.a, 1);
	pump_until(&f, credit_is_used_a, 1);
	assert_int_equal(f.a.acks, 0);
	send_end(&f.a, 0);
	expect_nothing(&f);
	expect_half(&f, RUN_FRAMES);
	send_begin(&f.a, SCAN + 1, 1);
	expect_begin(&f, SCAN + 1);
	pump_until(&f, credit_is_a, WINDOW * SECTORS);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_it_is_waited_for_10_s_or_the_time_out_of_runs, reset),
		cmocka_unit_test_setup(test_a_scan_ends_without_one_that_stays_away, reset),
		cmocka_unit_test_setup(test_it_ends_when_what_is_in_hand_is_done, reset),
		cmocka_unit_test_setup(test_one_that_returns_in_time_goes_on, reset),
		cmocka_unit_test_setup(test_one_that_returns_late_does_no_harm, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
