/* SPDX-License-Identifier: MIT */
/* What the directory promises when etcd, a member or the way between them dies. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/clock.h>
#include <directory/directory.h>
#include <directory/fetch.h>
#include <sluice/error.h>

#include "support/etcd.h"
#include "support/watch_log.h"

enum {
	PATIENCE_S = 30, /* only a failing test waits so long */
	TTL_S = 2,
};

static struct etcd_server server;

static int open_as(const char (*endpoints)[DIRECTORY_URL_MAX], unsigned int count,
		   const char *password, struct directory **ret, struct sluice_error *reterr)
{
	const struct directory_args args = { .kind = DIRECTORY_ETCD,
					     .endpoints = endpoints,
					     .endpoint_count = count,
					     .instrument = "heal",
					     .user = password ? "root" : NULL,
					     .password = password,
					     .lease_ttl_s = TTL_S,
					     .timeout_ns = 5 * NS_PER_S };

	return directory_open(&args, ret, reterr);
}

static struct directory *open_directory(void)
{
	char endpoint[1][DIRECTORY_URL_MAX];
	struct sluice_error error = { "" };
	struct directory *directory = NULL;

	(void)snprintf(endpoint[0], sizeof(endpoint[0]), "%s", server.url);
	if (open_as(endpoint, 1, NULL, &directory, &error) != 0)
		fail_msg("%s", error.text);
	return directory;
}

static int setup_server(void **state)
{
	*state = NULL;
	etcd_start(&server, NULL);
	return 0;
}

static int setup(void **state)
{
	(void)setup_server(state);
	*state = open_directory();
	return 0;
}

static int teardown(void **state)
{
	directory_close(*state);
	etcd_stop(&server);
	return 0;
}

/* The keys under @prefix, or -1 when they cannot be listed now. */
static int count_keys(struct directory *directory, const char *prefix)
{
	struct directory_entries entries = { 0 };
	int count = -1;

	if (directory_list(directory, prefix, &entries, NULL) == 0)
		count = (int)entries.count;
	directory_entries_free(&entries);
	return count;
}

static void await_keys(struct directory *directory, const char *prefix, int count)
{
	const uint64_t end_ns = now_ns() + PATIENCE_S * NS_PER_S;

	while (count_keys(directory, prefix) != count) {
		if (now_ns() > end_ns)
			fail_msg("%s: not %d keys in time", prefix, count);
		(void)poll(NULL, 0, 20);
	}
}

static void await_count(const _Atomic uint64_t *counter, uint64_t at_least)
{
	const uint64_t end_ns = now_ns() + PATIENCE_S * NS_PER_S;

	while (atomic_load(counter) < at_least) {
		if (now_ns() > end_ns)
			fail_msg("a counter stands at %llu", (unsigned long long)*counter);
		(void)poll(NULL, 0, 20);
	}
}

static void put(struct directory *directory, const char *key, const char *value, bool leased)
{
	struct sluice_error error = { "" };

	if (directory_put(directory, key, value, leased, &error) != 0)
		fail_msg("%s", error.text);
}

/* Says something to etcd that the directory has no words for. */
static void post(const char *path, const char *body)
{
	char url[256], *answer = NULL;
	const struct fetch request = {
		.method = "POST", .url = url, .body = body, .timeout_ns = 10 * NS_PER_S
	};
	unsigned int status = 0;

	(void)snprintf(url, sizeof(url), "%s%s", server.url, path);
	assert_int_equal(fetch(&request, &status, &answer, NULL), 0);
	if (status != 200)
		fail_msg("%s: %u: %s", path, status, answer);
	free(answer);
}

static void test_leased_keys_live_on_while_their_owner_does(void **state)
{
	put(*state, "boards/b0", "here", true);
	await_count(&directory_stats(*state)->lease_renewals, 4);
	assert_int_equal(count_keys(*state, "boards/"), 1);
	assert_int_equal(atomic_load(&directory_stats(*state)->lease_losses), 0);
}

static void test_leased_keys_go_with_close(void **state)
{
	struct directory *other = open_directory();

	put(other, "boards/b0", "here", true);
	put(other, "kept", "for good", false);
	directory_close(other);
	assert_int_equal(count_keys(*state, "boards/"), 0);
	assert_int_equal(count_keys(*state, "kept"), 1);
}

static void test_leased_keys_go_with_their_owner(void **state)
{
	struct watch_log log = WATCH_LOG_INIT;
	int ready[2];
	char byte;
	pid_t child;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct directory *own = open_directory();

		if (directory_put(own, "boards/b0", "here", true, NULL) == 0)
			(void)!write(ready[1], "x", 1);
		for (;;)
			(void)pause();
	}
	(void)close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
	*state = open_directory();
	assert_int_equal(directory_watch(*state, "boards/", watch_log_write, &log, NULL), 0);
	watch_log_expect(&log, "PUT boards/b0 here");
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	watch_log_expect(&log, "DELETED boards/b0");
	assert_int_equal(count_keys(*state, "boards/"), 0);
	directory_close(*state);
	*state = NULL;
}

static void test_a_lease_that_was_revoked_is_taken_again(void **state)
{
	struct directory *other = open_directory();

	put(*state, "boards/b0", "old", true);
	put(*state, "boards/b0", "new", true);
	put(*state, "boards/b1", "gone", true);
	assert_int_equal(directory_delete(*state, "boards/b1", NULL), 0);
	put(*state, "boards/b2", "leased", true);
	put(*state, "boards/b2", "kept", false);
	/* Etcd forgets everything that hangs on a lease, as after a long silence. */
	etcd_restart(&server, true);
	await_keys(other, "boards/", 1);
	assert_true(atomic_load(&directory_stats(*state)->lease_losses) >= 1);
	assert_int_equal(count_keys(*state, "boards/b0"), 1);
	directory_close(other);
}

static void test_a_restart_heals(void **state)
{
	struct directory *other = open_directory();
	struct watch_log log = WATCH_LOG_INIT;

	put(*state, "boards/b0", "here", true);
	put(other, "scans/1", "armed", false);
	put(other, "scans/2", "armed", false);
	assert_int_equal(directory_watch(*state, "scans/", watch_log_write, &log, NULL), 0);
	watch_log_expect(&log, "PUT scans/1 armed");
	watch_log_expect(&log, "PUT scans/2 armed");
	etcd_kill(&server);
	assert_int_equal(directory_put(other, "scans/1", "lost", false, NULL), -ECONNREFUSED);
	assert_false(atomic_load(&directory_stats(other)->connected));
	etcd_restart(&server, false);
	/* Changes made before the watch is back. */
	put(other, "scans/1", "done", false);
	assert_int_equal(directory_delete(other, "scans/2", NULL), 0);
	put(other, "scans/3", "armed", false);
	assert_true(atomic_load(&directory_stats(other)->connected));
	watch_log_await(&log, "PUT scans/3 armed");
	assert_int_equal(watch_log_left(&log), 0);
	put(other, "scans/4", "armed", false);
	watch_log_await(&log, "PUT scans/4 armed");
	/* Each change was told once: two at first, a put, a deletion, two puts. */
	assert_int_equal(log.count, 6);
	assert_true(atomic_load(&directory_stats(*state)->watch_restarts) >= 1);
	await_keys(other, "boards/", 1);
	directory_close(*state);
	*state = NULL;
	directory_close(other);
}

static void test_an_emptied_etcd_heals(void **state)
{
	struct directory *other = open_directory();
	struct watch_log log = WATCH_LOG_INIT;

	put(other, "scans/1", "armed", false);
	put(*state, "boards/b0", "here", true);
	put(*state, "boards/b1", "there", true);
	assert_int_equal(directory_watch(other, "", watch_log_write, &log, NULL), 0);
	watch_log_await(&log, "PUT boards/b1 there");
	etcd_restart(&server, true);
	await_keys(other, "boards/", 2);
	await_count(&directory_stats(*state)->lease_losses, 1);
	watch_log_await(&log, "DELETED scans/1");
	/* Revisions count from the start again: one that was seen before is told all the same. */
	put(other, "scans/1", "armed", false);
	watch_log_await(&log, "PUT scans/1 armed");
	directory_close(other);
}

/* Writes and compacts while the etcd of the watch stands still. */
static void test_a_compaction_under_a_watch_heals(void **state)
{
	struct directory *other = open_directory();
	struct watch_log log = WATCH_LOG_INIT;
	char line[WATCH_LOG_LINE_MAX];

	put(other, "scans/1", "0", false);
	assert_int_equal(directory_watch(*state, "scans/", watch_log_write, &log, NULL), 0);
	watch_log_expect(&log, "PUT scans/1 0");
	for (int round = 1; round <= 3; round++) {
		char value[16], body[64];
		struct directory_entries entries = { 0 };

		etcd_restart(&server, false);
		for (int i = 0; i < 10; i++) {
			(void)snprintf(value, sizeof(value), "%d.%d", round, i);
			put(other, "scans/1", value, false);
		}
		assert_int_equal(directory_list(other, "scans/1", &entries, NULL), 0);
		(void)snprintf(body, sizeof(body), "{\"revision\":\"%lld\",\"physical\":true}",
			       (long long)entries.entry[0].revision);
		directory_entries_free(&entries);
		post("/v3/kv/compaction", body);
		(void)snprintf(line, sizeof(line), "PUT scans/1 %d.9", round);
		watch_log_await(&log, line);
	}
	directory_close(*state);
	*state = NULL;
	directory_close(other);
}

static void test_a_dead_first_endpoint_is_passed_over(void **state)
{
	char endpoint[3][DIRECTORY_URL_MAX];
	struct watch_log log = WATCH_LOG_INIT;
	struct directory *directory = NULL;

	(void)snprintf(endpoint[0], sizeof(endpoint[0]), "http://127.0.0.1:%u", free_port());
	(void)snprintf(endpoint[1], sizeof(endpoint[1]), "%s/", server.url);
	(void)snprintf(endpoint[2], sizeof(endpoint[2]), "http://127.0.0.1:%u", free_port());
	assert_int_equal(open_as(endpoint, 3, NULL, &directory, NULL), 0);
	assert_int_equal(directory_watch(directory, "", watch_log_write, &log, NULL), 0);
	put(directory, "a", "1", true);
	watch_log_expect(&log, "PUT a 1");
	assert_int_equal(count_keys(*state, "a"), 1);
	directory_close(directory);
}

static void test_nobody_there_is_said_with_the_remedy(void **state)
{
	char endpoint[2][DIRECTORY_URL_MAX];
	struct directory *directory = NULL;
	struct sluice_error error = { "" };
	const struct directory_args args = { .endpoints = endpoint,
					     .endpoint_count = 2,
					     .instrument = "heal",
					     .lease_ttl_s = TTL_S,
					     .timeout_ns = NS_PER_S / 4 };

	(void)state;
	(void)snprintf(endpoint[0], sizeof(endpoint[0]), "http://127.0.0.1:%u", free_port());
	(void)snprintf(endpoint[1], sizeof(endpoint[1]), "http://127.0.0.1:%u", free_port());
	assert_int_equal(directory_open(&args, &directory, &error), -ECONNREFUSED);
	assert_null(directory);
	assert_true(strstr(error.text, endpoint[0]) != NULL);
	assert_true(strstr(error.text, endpoint[1]) != NULL);
	assert_true(strstr(error.text, "start etcd") != NULL);
}

static void test_etcd_may_be_started_last(void **state)
{
	struct directory *directory;
	int status;
	pid_t child;

	(void)state;
	etcd_kill(&server);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		directory = open_directory();
		directory_close(directory);
		_exit(directory ? 0 : 1);
	}
	etcd_restart(&server, false);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Returns when every thread of it has stopped: the signal alone only asks for that. */
static void stand_still(void)
{
	int status;

	assert_int_equal(kill(server.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(server.pid, &status, WUNTRACED), server.pid);
	assert_true(WIFSTOPPED(status));
}

static void test_close_is_bounded_while_etcd_stands_still(void **state)
{
	struct watch_log log = WATCH_LOG_INIT;
	uint64_t begun_ns;

	put(*state, "boards/b0", "here", true);
	assert_int_equal(directory_watch(*state, "", watch_log_write, &log, NULL), 0);
	watch_log_expect(&log, "PUT boards/b0 here");
	stand_still();
	begun_ns = now_ns();
	directory_close(*state);
	*state = NULL;
	/* 2 s are promised; the rest is for a machine under load. */
	assert_true(now_ns() - begun_ns < 10 * NS_PER_S);
	assert_int_equal(kill(server.pid, SIGCONT), 0);
}

static void test_an_etcd_that_stands_still_times_out(void **state)
{
	const struct directory_stats *stats = directory_stats(*state);

	stand_still();
	assert_int_equal(directory_put(*state, "a", "1", false, NULL), -ETIMEDOUT);
	assert_false(atomic_load(&stats->connected));
	assert_int_equal(kill(server.pid, SIGCONT), 0);
	put(*state, "a", "2", false);
	assert_true(atomic_load(&stats->connected));
}

static void test_user_and_password(void **state)
{
	char endpoint[1][DIRECTORY_URL_MAX];
	struct watch_log log = WATCH_LOG_INIT;
	struct sluice_error error = { "" };
	struct directory *directory = NULL;

	(void)state;
	(void)snprintf(endpoint[0], sizeof(endpoint[0]), "%s", server.url);
	/* Authentication is asked for where etcd has none. */
	assert_int_equal(open_as(endpoint, 1, "secret", &directory, &error), 0);
	directory_close(directory);
	directory = NULL;
	post("/v3/auth/user/add", "{\"name\":\"root\",\"password\":\"secret\"}");
	post("/v3/auth/role/add", "{\"name\":\"root\"}");
	post("/v3/auth/user/grant", "{\"user\":\"root\",\"role\":\"root\"}");
	post("/v3/auth/enable", "{}");
	assert_int_equal(open_as(endpoint, 1, NULL, &directory, &error), -EACCES);
	assert_int_equal(open_as(endpoint, 1, "wrong", &directory, &error), -EACCES);
	assert_null(strstr(error.text, "wrong"));
	assert_int_equal(open_as(endpoint, 1, "secret", &directory, &error), 0);
	put(directory, "boards/b0", "here", true);
	assert_int_equal(directory_watch(directory, "", watch_log_write, &log, NULL), 0);
	watch_log_expect(&log, "PUT boards/b0 here");
	/* Its tokens are forgotten with the process. */
	etcd_restart(&server, false);
	put(directory, "a", "1", false);
	watch_log_await(&log, "PUT a 1");
	await_count(&directory_stats(directory)->lease_renewals, 2);
	assert_int_equal(count_keys(directory, "boards/"), 1);
	directory_close(directory);
}

#define HEAL(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
/* For those that fork: a process should have one thread then. */
#define HEAL_FORKED(test) cmocka_unit_test_setup_teardown(test, setup_server, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		HEAL(test_leased_keys_live_on_while_their_owner_does),
		HEAL(test_leased_keys_go_with_close),
		HEAL_FORKED(test_leased_keys_go_with_their_owner),
		HEAL(test_a_lease_that_was_revoked_is_taken_again),
		HEAL(test_a_restart_heals),
		HEAL(test_an_emptied_etcd_heals),
		HEAL(test_a_compaction_under_a_watch_heals),
		HEAL(test_a_dead_first_endpoint_is_passed_over),
		HEAL(test_nobody_there_is_said_with_the_remedy),
		HEAL_FORKED(test_etcd_may_be_started_last),
		HEAL(test_close_is_bounded_while_etcd_stands_still),
		HEAL(test_an_etcd_that_stands_still_times_out),
		HEAL(test_user_and_password),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? EXIT_FAILURE : EXIT_SUCCESS;
}
