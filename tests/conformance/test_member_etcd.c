/* SPDX-License-Identifier: MIT */
/*
 * member/member.h over a real etcd: a board, an aggregator and a consumer that know of each other
 * through it alone, and the test in the place of `sluice arm`.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/clock.h>
#include <scan/ledger.h>

#include "support/etcd.h"
#include "support/fake_member.h"

struct bench {
	struct etcd_server etcd;
	struct directory *directory; /* the test's own */
	struct fake_member board, aggregator, consumer;
	uint32_t scan;
};

static struct bench bench;

static struct directory *open_directory(const char *url)
{
	char urls[1][DIRECTORY_URL_MAX];
	const struct directory_args args = { .kind = DIRECTORY_ETCD,
					     .endpoints = (const char(*)[DIRECTORY_URL_MAX])urls,
					     .endpoint_count = 1,
					     .instrument = "bench",
					     .lease_ttl_s = 2,
					     .timeout_ns = 5 * NS_PER_S };
	struct directory *directory;

	(void)snprintf(urls[0], sizeof(urls[0]), "%s", url);
	assert_int_equal(directory_open(&args, &directory, NULL), 0);
	return directory;
}

static void open_consumer(void)
{
	const struct fake_member_args args = { .kind = MEMBER_CONSUMER,
					       .id = "node0",
					       .info = "{\"endpoint\":\"tcp://127.0.0.1:5000\"}",
					       .url = bench.etcd.url };

	fake_member_open(&bench.consumer, &args);
}

static int group_setup(void **state)
{
	(void)state;
	etcd_start(&bench.etcd, NULL);
	bench.directory = open_directory(bench.etcd.url);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	directory_close(bench.directory);
	etcd_stop(&bench.etcd);
	return 0;
}

static int setup(void **state)
{
	const struct fake_member_args board = { .kind = MEMBER_BOARD,
						.id = "server/board0",
						.info = "{}",
						.url = bench.etcd.url,
						.closes_ledgers = true };
	const struct fake_member_args aggregator = { .kind = MEMBER_AGGREGATOR,
						     .id = "agg0",
						     .info = "{}",
						     .url = bench.etcd.url,
						     .closes_ledgers = true,
						     .hears_consumers = true };

	(void)state;
	bench.scan++;
	fake_member_open(&bench.board, &board);
	fake_member_open(&bench.aggregator, &aggregator);
	open_consumer();
	fake_member_expect(&bench.aggregator, "consumer counting node0 tcp://127.0.0.1:5000");
	return 0;
}

static int teardown(void **state)
{
	char key[PLAN_KEY_MAX];

	(void)state;
	/* Members of the next test would answer a plan that is armed still. */
	scan_key(key, bench.scan, "plan");
	(void)directory_delete(bench.directory, key, NULL);
	fake_member_close(&bench.board);
	fake_member_close(&bench.aggregator);
	fake_member_close(&bench.consumer);
	return 0;
}

static void expect_all(const char *fmt)
{
	struct fake_member *const fakes[] = { &bench.board, &bench.aggregator, &bench.consumer };
	char line[64];

	(void)snprintf(line, sizeof(line), "%s %u/1", fmt, bench.scan);
	for (unsigned int i = 0; i < 3; i++)
		fake_member_expect(fakes[i], line);
}

/* The value of scans/<this scan>/@leaf, as soon as it is there; the caller frees it. */
static char *await_leaf(const char *leaf)
{
	const uint64_t deadline_ns = now_ns() + 20 * NS_PER_S;
	struct directory_entries entries;
	char key[PLAN_KEY_MAX], *value = NULL;

	scan_key(key, bench.scan, leaf);
	while (!value) {
		assert_true(now_ns() < deadline_ns);
		assert_int_equal(directory_list(bench.directory, key, &entries, NULL), 0);
		if (entries.count > 0)
			value = strdup(entries.entry[0].value);
		directory_entries_free(&entries);
		(void)poll(NULL, 0, 5);
	}
	return value;
}

static void expect_leaf(const char *leaf, const char *value)
{
	char *found = await_leaf(leaf);

	assert_string_equal(found, value);
	free(found);
}

static void put_plan(enum scan_state state)
{
	struct scan_plan plan;

	fake_plan(&plan, bench.scan, 1, state);
	fake_plan_put(bench.directory, &plan);
}

static void every_member_of_a_plan_answers_and_runs(void **state)
{
	(void)state;
	put_plan(SCAN_ARMED);
	expect_leaf("ready/server/board0", "{\"ready\":true,\"epoch\":1}");
	expect_leaf("ready/agg0", "{\"ready\":true,\"epoch\":1}");
	expect_leaf("ready/node0", "{\"ready\":true,\"epoch\":1}");
	expect_all("prepare");
	put_plan(SCAN_ACQUIRING);
	expect_all("run");
}

static void a_refusal_reaches_whoever_arms(void **state)
{
	char line[32];

	(void)state;
	fake_member_refuse(&bench.aggregator, -ECONNREFUSED, "consumer node0 does not answer");
	put_plan(SCAN_ARMED);
	expect_leaf("ready/agg0", "{\"ready\":false,\"epoch\":1,"
				  "\"error\":\"consumer node0 does not answer\"}");
	expect_leaf("ready/node0", "{\"ready\":true,\"epoch\":1}");
	expect_all("prepare");
	/* It is taken back: those that were ready hear of it, the other has nothing to abort. */
	put_plan(SCAN_ABORTED);
	(void)snprintf(line, sizeof(line), "abort %u", bench.scan);
	fake_member_expect(&bench.board, line);
	fake_member_expect(&bench.consumer, line);
	assert_int_equal(watch_log_left(&bench.aggregator.log), 0);
}

/* Both who close ledgers see the last half; one of them writes. */
static void the_ledger_is_written_once_by_whoever_is_last(void **state)
{
	char *board = fake_half_board(bench.scan, 0), *consumer = fake_half_consumer(bench.scan, 8);
	struct directory_entries entries = { 0 };
	char prefix[PLAN_KEY_MAX], *text;
	struct scan_plan plan;
	struct ledger ledger;

	(void)state;
	put_plan(SCAN_ACQUIRING);
	assert_int_equal(
		member_publish_half(bench.board.member, bench.scan, "server/board0", board, NULL),
		0);
	assert_int_equal(
		member_publish_half(bench.consumer.member, bench.scan, "node0", consumer, NULL), 0);
	text = await_leaf("ledger");
	assert_int_equal(ledger_decode(text, &ledger, NULL), 0);
	assert_true(ledger.closed);
	assert_int_equal(ledger.frames_delivered, 8);
	free(text);
	do {
		text = await_leaf("plan");
		assert_int_equal(plan_decode(text, &plan, NULL), 0);
		free(text);
	} while (plan.state == SCAN_ACQUIRING);
	assert_int_equal(plan.state, SCAN_DONE);
	/* A half that is put again, as after a restart of etcd, changes nothing. */
	scan_key(prefix, bench.scan, "ledger");
	assert_int_equal(directory_list(bench.directory, prefix, &entries, NULL), 0);
	assert_int_equal(entries.count, 1);
	{
		const int64_t revision = entries.entry[0].revision;

		directory_entries_free(&entries);
		assert_int_equal(member_publish_half(bench.board.member, bench.scan,
						     "server/board0", board, NULL),
				 0);
		/* What comes after it shows that it was looked at. */
		bench.scan++;
		put_plan(SCAN_ARMED);
		expect_all("prepare");
		assert_int_equal(directory_list(bench.directory, prefix, &entries, NULL), 0);
		assert_int_equal(entries.entry[0].revision, revision);
		directory_entries_free(&entries);
	}
	free(board);
	free(consumer);
}

static void a_ledger_that_does_not_close_fails_the_scan(void **state)
{
	char *board = fake_half_board(bench.scan, 0), *consumer = fake_half_consumer(bench.scan, 7);
	struct ledger ledger;
	char *text;

	(void)state;
	put_plan(SCAN_ACQUIRING);
	assert_int_equal(
		member_publish_half(bench.consumer.member, bench.scan, "node0", consumer, NULL), 0);
	assert_int_equal(
		member_publish_half(bench.board.member, bench.scan, "server/board0", board, NULL),
		0);
	text = await_leaf("ledger");
	assert_int_equal(ledger_decode(text, &ledger, NULL), 0);
	assert_false(ledger.closed);
	assert_int_equal(ledger.state, SCAN_FAILED);
	assert_non_null(strstr(ledger.why, "server/board0"));
	free(text);
	free(board);
	free(consumer);
}

static void a_consumer_that_goes_is_missed_and_welcome_again(void **state)
{
	(void)state;
	fake_member_close(&bench.consumer);
	fake_member_expect(&bench.aggregator, "consumer counting node0 gone");
	open_consumer();
	fake_member_expect(&bench.aggregator, "consumer counting node0 tcp://127.0.0.1:5000");
}

/* The registration goes with the member. */
static void members_leave_no_keys_behind(void **state)
{
	struct directory_entries entries = { 0 };

	(void)state;
	assert_int_equal(directory_list(bench.directory, "boards/", &entries, NULL), 0);
	assert_int_equal(entries.count, 1);
	directory_entries_free(&entries);
	fake_member_close(&bench.board);
	assert_int_equal(directory_list(bench.directory, "boards/", &entries, NULL), 0);
	assert_int_equal(entries.count, 0);
	directory_entries_free(&entries);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test_setup_teardown(every_member_of_a_plan_answers_and_runs, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_refusal_reaches_whoever_arms, setup, teardown),
		cmocka_unit_test_setup_teardown(the_ledger_is_written_once_by_whoever_is_last,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_ledger_that_does_not_close_fails_the_scan, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_consumer_that_goes_is_missed_and_welcome_again,
						setup, teardown),
		cmocka_unit_test_setup_teardown(members_leave_no_keys_behind, setup, teardown),
	};

	return cmocka_run_group_tests(suite, group_setup, group_teardown);
}
