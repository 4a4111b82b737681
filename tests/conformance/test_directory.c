/* SPDX-License-Identifier: MIT */
/* One suite, every kind of directory: the sentences of directory.h and directory_ops.h. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/clock.h>
#include <directory/directory.h>
#include <sluice/error.h>

#include "support/etcd.h"
#include "support/watch_log.h"

static unsigned int kind;
static struct etcd_server server;
static unsigned int instruments; /* each test has its own: one etcd serves them all */

static struct directory *open_directory(unsigned int instrument)
{
	static char endpoint[1][DIRECTORY_URL_MAX];
	struct sluice_error error = { "" };
	struct directory *directory = NULL;
	char name[32];
	const struct directory_args args = { .kind = kind,
					     .endpoints = endpoint,
					     .endpoint_count = 1,
					     .instrument = name,
					     .lease_ttl_s = 5,
					     .timeout_ns = 10 * NS_PER_S };

	(void)snprintf(endpoint[0], sizeof(endpoint[0]), "%s", server.url);
	(void)snprintf(name, sizeof(name), "i%u", instrument);
	if (directory_open(&args, &directory, &error) != 0)
		fail_msg("%s", error.text);
	return directory;
}

static int setup(void **state)
{
	*state = open_directory(++instruments);
	return 0;
}

static int teardown(void **state)
{
	directory_close(*state);
	return 0;
}

static void put(struct directory *directory, const char *key, const char *value)
{
	struct sluice_error error = { "" };

	if (directory_put(directory, key, value, false, &error) != 0)
		fail_msg("%s", error.text);
}

static int64_t revision_of(struct directory *directory, const char *key)
{
	struct directory_entries entries = { 0 };
	int64_t revision = 0;

	assert_int_equal(directory_list(directory, key, &entries, NULL), 0);
	if (entries.count > 0) {
		assert_string_equal(entries.entry[0].key, key);
		revision = entries.entry[0].revision;
		assert_true(revision > 0);
	}
	directory_entries_free(&entries);
	return revision;
}

static void assert_value(struct directory *directory, const char *key, const char *value)
{
	struct directory_entries entries = { 0 };

	assert_int_equal(directory_list(directory, key, &entries, NULL), 0);
	assert_int_equal(entries.count, 1);
	assert_string_equal(entries.entry[0].value, value);
	directory_entries_free(&entries);
}

static void conform_a_put_is_listed(void **state)
{
	put(*state, "a", "1");
	assert_value(*state, "a", "1");
	put(*state, "a", "2");
	assert_value(*state, "a", "2");
	put(*state, "a", "");
	assert_value(*state, "a", "");
}

static void conform_a_list_is_ascending_and_of_its_prefix(void **state)
{
	static const char *const expected[] = { "p/a", "p/b", "p/c", "p/c/d" };
	struct directory_entries entries = { 0 };

	put(*state, "p/c", "3");
	put(*state, "p/c/d", "4");
	put(*state, "p/a", "1");
	put(*state, "o", "0");
	put(*state, "q", "5");
	put(*state, "p/b", "2");
	assert_int_equal(directory_list(*state, "p/", &entries, NULL), 0);
	assert_int_equal(entries.count, 4);
	for (unsigned int i = 0; i < 4; i++)
		assert_string_equal(entries.entry[i].key, expected[i]);
	directory_entries_free(&entries);
	assert_int_equal(entries.count, 0);
	assert_int_equal(directory_list(*state, "", &entries, NULL), 0);
	assert_int_equal(entries.count, 6);
	directory_entries_free(&entries);
	assert_int_equal(directory_list(*state, "nothing/", &entries, NULL), 0);
	assert_int_equal(entries.count, 0);
	directory_entries_free(&entries);
}

/* More than one page of any kind, and values of every size up to the limit. */
static void conform_a_long_list_is_whole(void **state)
{
	struct directory_entries entries = { 0 };
	char *big = malloc(DIRECTORY_VALUE_MAX);
	char key[32];

	assert_non_null(big);
	(void)memset(big, 'x', DIRECTORY_VALUE_MAX - 1);
	big[DIRECTORY_VALUE_MAX - 1] = '\0';
	for (unsigned int i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "long/%04u", i);
		put(*state, key, big + DIRECTORY_VALUE_MAX - 1 - i);
	}
	put(*state, "long/big", big);
	assert_int_equal(directory_list(*state, "long/", &entries, NULL), 0);
	assert_int_equal(entries.count, 101);
	for (unsigned int i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "long/%04u", i);
		assert_string_equal(entries.entry[i].key, key);
		assert_int_equal(strlen(entries.entry[i].value), i);
	}
	assert_int_equal(strlen(entries.entry[100].value), DIRECTORY_VALUE_MAX - 1);
	directory_entries_free(&entries);
	free(big);
}

static void conform_delete_takes_a_key_away(void **state)
{
	put(*state, "a", "1");
	assert_int_equal(directory_delete(*state, "a", NULL), 0);
	assert_int_equal(revision_of(*state, "a"), 0);
	assert_int_equal(directory_delete(*state, "a", NULL), 0);
}

static void conform_put_if_changes_only_what_it_knows(void **state)
{
	struct sluice_error error = { "" };
	int64_t first, second;

	assert_int_equal(directory_put_if(*state, "plan", 0, "one", NULL), 0);
	first = revision_of(*state, "plan");
	assert_int_equal(directory_put_if(*state, "plan", 0, "two", &error), -EEXIST);
	assert_true(strstr(error.text, "plan") != NULL);
	assert_value(*state, "plan", "one");
	assert_int_equal(directory_put_if(*state, "plan", first, "two", NULL), 0);
	second = revision_of(*state, "plan");
	assert_true(second > first);
	assert_int_equal(directory_put_if(*state, "plan", first, "three", NULL), -EEXIST);
	assert_value(*state, "plan", "two");
	assert_int_equal(directory_delete(*state, "plan", NULL), 0);
	assert_int_equal(directory_put_if(*state, "plan", second, "four", NULL), -EEXIST);
	assert_int_equal(directory_put_if(*state, "plan", 0, "four", NULL), 0);
}

enum {
	RIVALS = 8
};

static void *try_to_win(void *arg)
{
	return directory_put_if(arg, "won", 0, "me", NULL) == 0 ? arg : NULL;
}

static void conform_of_rivals_one_wins(void **state)
{
	pthread_t thread[RIVALS];
	unsigned int winners = 0;
	void *won;

	for (unsigned int i = 0; i < RIVALS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, try_to_win, *state), 0);
	for (unsigned int i = 0; i < RIVALS; i++) {
		assert_int_equal(pthread_join(thread[i], &won), 0);
		winners += won != NULL;
	}
	assert_int_equal(winners, 1);
}

static void conform_a_watch_reports_what_is_there_then_every_change(void **state)
{
	struct watch_log log = WATCH_LOG_INIT;
	char line[WATCH_LOG_LINE_MAX];

	put(*state, "w/a", "1");
	put(*state, "w/b", "2");
	put(*state, "other", "3");
	assert_int_equal(directory_watch(*state, "w/", watch_log_write, &log, NULL), 0);
	watch_log_expect(&log, "PUT w/a 1");
	watch_log_expect(&log, "PUT w/b 2");
	for (int i = 0; i < 50; i++) {
		char value[16];

		(void)snprintf(value, sizeof(value), "%d", i);
		put(*state, "w/c", value);
		put(*state, "v", value);
	}
	for (int i = 0; i < 50; i++) {
		(void)snprintf(line, sizeof(line), "PUT w/c %d", i);
		watch_log_expect(&log, line);
	}
	assert_int_equal(directory_delete(*state, "w/a", NULL), 0);
	watch_log_expect(&log, "DELETED w/a");
	assert_int_equal(watch_log_left(&log), 0);
	for (unsigned int i = 1; i < log.count; i++)
		assert_true(log.revision[i] > log.revision[i - 1]);
	directory_close(*state);
	*state = NULL;
}

struct answering {
	struct directory *directory;
	struct watch_log log;
};

/* As a member answers a plan: from within the watcher. */
static void answer_plan(void *ctx, enum directory_change change, const char *key, const char *value,
			int64_t revision)
{
	struct answering *a = ctx;
	struct directory_entries entries = { 0 };

	if (strcmp(key, "scan/plan") == 0) {
		assert_int_equal(directory_list(a->directory, "scan/", &entries, NULL), 0);
		directory_entries_free(&entries);
		assert_int_equal(directory_put(a->directory, "scan/ready", value, false, NULL), 0);
		assert_int_equal(directory_put_if(a->directory, "scan/half", 0, value, NULL), 0);
	}
	watch_log_write(&a->log, change, key, value, revision);
}

static void conform_a_watcher_may_call_back_in(void **state)
{
	struct answering a = { .directory = *state, .log = WATCH_LOG_INIT };

	assert_int_equal(directory_watch(*state, "scan/", answer_plan, &a, NULL), 0);
	put(*state, "scan/plan", "7");
	watch_log_expect(&a.log, "PUT scan/plan 7");
	watch_log_expect(&a.log, "PUT scan/ready 7");
	watch_log_expect(&a.log, "PUT scan/half 7");
	directory_close(*state);
	*state = NULL;
}

static void conform_watches_are_limited_by_name(void **state)
{
	struct watch_log log[DIRECTORY_WATCHES_MAX];
	struct sluice_error error = { "" };

	for (unsigned int i = 0; i < DIRECTORY_WATCHES_MAX; i++) {
		log[i] = (struct watch_log)WATCH_LOG_INIT;
		assert_int_equal(directory_watch(*state, "", watch_log_write, &log[i], NULL), 0);
	}
	assert_int_equal(directory_watch(*state, "", watch_log_write, &log[0], &error), -ENOSPC);
	assert_true(strstr(error.text, "DIRECTORY_WATCHES_MAX") != NULL);
	put(*state, "k", "v");
	for (unsigned int i = 0; i < DIRECTORY_WATCHES_MAX; i++)
		watch_log_expect(&log[i], "PUT k v");
	directory_close(*state);
	*state = NULL;
}

static void conform_calls_are_counted(void **state)
{
	const struct directory_stats *stats = directory_stats(*state);

	assert_true(atomic_load(&stats->connected));
	put(*state, "a", "1");
	assert_int_equal(directory_put_if(*state, "a", 0, "2", NULL), -EEXIST);
	assert_int_equal(directory_put(*state, "", "1", false, NULL), -EINVAL);
	assert_int_equal(atomic_load(&stats->calls), 3);
	assert_int_equal(atomic_load(&stats->failures), 1);
}

/* Closed at any moment, with a watch and changes under way: nothing is left, nothing hangs. */
static void conform_close_may_come_at_any_moment(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		struct directory *directory = open_directory(++instruments);
		struct watch_log log = WATCH_LOG_INIT;
		const uint64_t begun_ns = now_ns();

		assert_int_equal(directory_watch(directory, "", watch_log_write, &log, NULL), 0);
		put(directory, "a", "1");
		if (i > 2)
			watch_log_expect(&log, "PUT a 1");
		directory_close(directory);
		assert_true(now_ns() - begun_ns < 30 * NS_PER_S);
	}
	directory_close(NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test_setup_teardown(conform_a_put_is_listed, setup, teardown),
		cmocka_unit_test_setup_teardown(conform_a_list_is_ascending_and_of_its_prefix,
						setup, teardown),
		cmocka_unit_test_setup_teardown(conform_a_long_list_is_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(conform_delete_takes_a_key_away, setup, teardown),
		cmocka_unit_test_setup_teardown(conform_put_if_changes_only_what_it_knows, setup,
						teardown),
		cmocka_unit_test_setup_teardown(conform_of_rivals_one_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(
			conform_a_watch_reports_what_is_there_then_every_change, setup, teardown),
		cmocka_unit_test_setup_teardown(conform_a_watcher_may_call_back_in, setup,
						teardown),
		cmocka_unit_test_setup_teardown(conform_watches_are_limited_by_name, setup,
						teardown),
		cmocka_unit_test_setup_teardown(conform_calls_are_counted, setup, teardown),
		cmocka_unit_test(conform_close_may_come_at_any_moment),
	};
	int failed;

	if (argc != 2)
		return EXIT_FAILURE;
	kind = strcmp(argv[1], "none") == 0 ? DIRECTORY_NONE : DIRECTORY_ETCD;
	if (kind == DIRECTORY_ETCD)
		etcd_start(&server, NULL);
	failed = cmocka_run_group_tests_name(argv[1], suite, NULL, NULL);
	etcd_stop(&server);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
