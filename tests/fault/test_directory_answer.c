/* SPDX-License-Identifier: MIT */
/* Wrong answers, of every kind that a network has: to calls, to a watch, to fetch(). */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/clock.h>
#include <directory/directory.h>
#include <directory/fetch.h>
#include <sluice/error.h>

#include "fault/fake_server.h"
#include "support/watch_log.h"

enum {
	PATIENCE_S = 30,
	SHORT_MS = 300 /* deadline of a call that is meant to miss it */
};

static struct fake_server server;

static const char *user; /* whom the next directory logs in as; NULL: nobody */

static struct directory *open_directory(unsigned int endpoints, uint64_t timeout_ns)
{
	char endpoint[2][DIRECTORY_URL_MAX];
	struct directory *directory = NULL;
	struct sluice_error error = { "" };
	const struct directory_args args = { .endpoints = endpoint,
					     .endpoint_count = endpoints,
					     .instrument = "fake",
					     .user = user,
					     .password = "secret",
					     .lease_ttl_s = 2,
					     .timeout_ns = timeout_ns };

	for (unsigned int i = 0; i < 2; i++)
		(void)snprintf(endpoint[i], sizeof(endpoint[i]), "%s", server.url);
	if (directory_open(&args, &directory, &error) != 0)
		fail_msg("%s", error.text);
	return directory;
}

static int setup(void **state)
{
	*state = NULL;
	fake_server_start(&server);
	return 0;
}

static int teardown(void **state)
{
	directory_close(*state);
	fake_server_stop(&server);
	return 0;
}

static void await(const _Atomic uint64_t *counter, uint64_t at_least)
{
	const uint64_t end_ns = now_ns() + PATIENCE_S * NS_PER_S;

	while (atomic_load(counter) < at_least) {
		if (now_ns() > end_ns)
			fail_msg("a counter stands at %llu", (unsigned long long)*counter);
		(void)poll(NULL, 0, 10);
	}
}

static const struct {
	enum fake_mode mode;
	int expected;
	bool bad_answer;
	const char *said;
} wrong[] = {
	{ FAKE_GARBAGE, -EBADMSG, true, "not etcd" },
	{ FAKE_STRANGER, -EBADMSG, true, "not etcd" },
	{ FAKE_HTML, -EBADMSG, true, "404" },
	{ FAKE_GIANT, -EBADMSG, true, "over" },
	{ FAKE_NO_HTTP, -EBADMSG, true, "" },
	{ FAKE_TRICKLE, -ETIMEDOUT, false, "" },
	{ FAKE_SILENT, -ETIMEDOUT, false, "" },
	{ FAKE_CLOSED, -ECONNREFUSED, false, "" },
	{ FAKE_HALF, -ECONNREFUSED, false, "" },
	{ FAKE_UNAVAILABLE, -ECONNREFUSED, false, "no leader" },
	{ FAKE_NO_SPACE, -ENOSPC, false, "space exceeded" },
};

static void test_every_wrong_answer_is_an_error_of_its_kind(void **state)
{
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		const bool slow = wrong[i].expected == -ETIMEDOUT;
		struct directory_entries entries = { 0 };
		struct sluice_error error = { "" };
		uint64_t bad;

		atomic_store(&server.mode, FAKE_GOOD);
		*state = open_directory(1, slow ? SHORT_MS * NS_PER_MS : 20 * NS_PER_S);
		bad = atomic_load(&directory_stats(*state)->bad_answers);
		atomic_store(&server.mode, wrong[i].mode);
		assert_int_equal(directory_put(*state, "a", "1", false, &error), wrong[i].expected);
		assert_true(strstr(error.text, server.url) != NULL);
		if (!strstr(error.text, wrong[i].said))
			fail_msg("mode %u: said: %s", wrong[i].mode, error.text);
		assert_int_equal(directory_put_if(*state, "a", 0, "1", NULL), wrong[i].expected);
		assert_int_equal(directory_delete(*state, "a", NULL), wrong[i].expected);
		assert_int_equal(directory_list(*state, "a", &entries, NULL), wrong[i].expected);
		assert_null(entries.entry);
		assert_int_equal(atomic_load(&directory_stats(*state)->bad_answers) - bad,
				 wrong[i].bad_answer ? 4 : 0);
		assert_int_equal(atomic_load(&directory_stats(*state)->failures), 4);
		/* And it goes on as soon as the answers are right. */
		atomic_store(&server.mode, FAKE_GOOD);
		assert_int_equal(directory_put(*state, "a", "1", false, NULL), 0);
		directory_close(*state);
		*state = NULL;
	}
}

static void test_open_refuses_what_is_not_etcd(void **state)
{
	char endpoint[1][DIRECTORY_URL_MAX];
	struct directory *directory = NULL;
	struct sluice_error error = { "" };
	struct directory_args args = { .endpoints = endpoint,
				       .endpoint_count = 1,
				       .instrument = "fake",
				       .lease_ttl_s = 2,
				       .timeout_ns = SHORT_MS * NS_PER_MS };

	(void)state;
	(void)snprintf(endpoint[0], sizeof(endpoint[0]), "%s", server.url);
	atomic_store(&server.mode, FAKE_STRANGER);
	assert_int_equal(directory_open(&args, &directory, &error), -EBADMSG);
	atomic_store(&server.mode, FAKE_SILENT);
	assert_int_equal(directory_open(&args, &directory, &error), -ECONNREFUSED);
	assert_true(strstr(error.text, server.url) != NULL);
	assert_null(directory);
}

static void test_a_transaction_is_sent_once(void **state)
{
	struct sluice_error error = { "" };
	unsigned int before;

	*state = open_directory(2, 20 * NS_PER_S);
	atomic_store(&server.mode, FAKE_CLOSED);
	before = atomic_load(&server.requests);
	assert_int_equal(directory_put_if(*state, "a", 0, "1", &error), -ECONNREFUSED);
	assert_int_equal(atomic_load(&server.requests) - before, 1);
	assert_true(strstr(error.text, "may have been done") != NULL);
	/* A put may be sent to each endpoint: twice is as good as once. */
	before = atomic_load(&server.requests);
	assert_int_equal(directory_put(*state, "a", "1", false, NULL), -ECONNREFUSED);
	assert_int_equal(atomic_load(&server.requests) - before, 2);
}

static void test_a_stale_token_is_renewed(void **state)
{
	struct directory_entries entries = { 0 };
	struct sluice_error error = { "" };

	atomic_store(&server.mode, FAKE_LOGIN);
	user = "root";
	*state = open_directory(1, 20 * NS_PER_S);
	user = NULL;
	assert_int_equal(atomic_load(&server.logins), 1);
	assert_int_equal(directory_put(*state, "a", "1", true, &error), 0);
	assert_int_equal(atomic_load(&server.logins), 1);
	/* A refused request was not done: even a transaction may be sent again. */
	atomic_store(&server.token, 2);
	assert_int_equal(directory_put_if(*state, "a", 0, "1", &error), 0);
	assert_int_equal(atomic_load(&server.logins), 2);
	atomic_store(&server.token, 3);
	assert_int_equal(directory_list(*state, "", &entries, &error), 0);
	directory_entries_free(&entries);
	assert_int_equal(atomic_load(&directory_stats(*state)->failures), 0);
}

#define STREAM_HEADER "\"header\":{\"member_id\":\"1\",\"revision\":\"9\"}"
#define CREATED       "{\"result\":{" STREAM_HEADER ",\"created\":true}}\n"

/* "L3NsdWljZS92MS9mYWtlL2E=" is /sluice/v1/fake/a, "MQ==" is 1. */
static const char event[] = CREATED "{\"result\":{" STREAM_HEADER ",\"events\":[{\"kv\":{\"key\":"
				    "\"L3NsdWljZS92MS9mYWtlL2E=\",\"mod_revision\":\"9\",\"value\":"
				    "\"MQ==\"}}]}}\n";

static const struct {
	const char *lines;
	bool bad_answer;
} streams[] = {
	{ "", false },      /* closed at once */
	{ CREATED, false }, /* closed after a good start */
	{ "{]\n", true },
	{ CREATED "{\"result\":{}}\n", true },
	{ CREATED "{\"result\":{" STREAM_HEADER ",\"events\":[{\"kv\":{\"key\":\"!\"}}]}}\n",
	  true },
	/* Half a line is no line. */
	{ CREATED "{\"result\":{" STREAM_HEADER ",\"eve", false },
	/* A compaction between the list and the stream. */
	{ CREATED "{\"result\":{" STREAM_HEADER ",\"canceled\":true,\"compact_revision\":\"8\"}}\n",
	  false },
	{ "{\"error\":{\"grpc_code\":14,\"message\":\"etcdserver: no leader\"}}\n", false },
};

static void test_a_watch_outlives_every_wrong_stream(void **state)
{
	for (unsigned int i = 0; i < sizeof(streams) / sizeof(*streams); i++) {
		struct watch_log log = WATCH_LOG_INIT;
		const struct directory_stats *stats;

		atomic_store(&server.watch_answer, streams[i].lines);
		*state = open_directory(1, 20 * NS_PER_S);
		stats = directory_stats(*state);
		assert_int_equal(directory_watch(*state, "", watch_log_write, &log, NULL), 0);
		await(&stats->watch_restarts, 1);
		if (streams[i].bad_answer)
			await(&stats->bad_answers, 1);
		else
			assert_int_equal(atomic_load(&stats->bad_answers), 0);
		atomic_store(&server.watch_answer, event);
		watch_log_expect(&log, "PUT a 1");
		/* This server's store is empty: each new list takes back what the stream gave. */
		watch_log_expect(&log, "DELETED a");
		directory_close(*state);
		*state = NULL;
	}
}

static int fetch_from(enum fake_mode mode, uint64_t timeout_ns, unsigned int *ret_status,
		      char **ret_body)
{
	const struct fetch request = { .method = "GET",
				       .url = server.url,
				       .timeout_ns = timeout_ns };

	atomic_store(&server.mode, mode);
	return fetch(&request, ret_status, ret_body, NULL);
}

static void test_fetch_says_what_happened(void **state)
{
	char *body = NULL;
	unsigned int status = 0;
	struct sluice_error error = { "" };
	struct fetch request = { .method = "POST",
				 .url = "http://127.0.0.1:1/x",
				 .timeout_ns = NS_PER_S };

	(void)state;
	assert_int_equal(fetch_from(FAKE_HALF, NS_PER_S * 20, &status, &body), -ECONNREFUSED);
	assert_int_equal(fetch_from(FAKE_NO_HTTP, NS_PER_S * 20, &status, &body), -EBADMSG);
	assert_int_equal(fetch_from(FAKE_CLOSED, NS_PER_S * 20, &status, &body), -ECONNREFUSED);
	assert_int_equal(fetch_from(FAKE_GIANT, NS_PER_S * 20, &status, &body), -E2BIG);
	assert_int_equal(fetch_from(FAKE_SILENT, SHORT_MS * NS_PER_MS, &status, &body), -ETIMEDOUT);
	assert_int_equal(fetch_from(FAKE_TRICKLE, SHORT_MS * NS_PER_MS, &status, &body),
			 -ETIMEDOUT);
	assert_null(body);
	assert_int_equal(status, 0);
	assert_int_equal(fetch_from(FAKE_HTML, NS_PER_S * 20, &status, &body), 0);
	assert_int_equal(status, 404);
	assert_string_equal(body, "<html>Not here</html>\n");
	free(body);
	body = NULL;
	assert_int_equal(fetch(&request, &status, &body, &error), -ECONNREFUSED);
	assert_true(strstr(error.text, request.url) != NULL);
	request.method = "PUT";
	assert_int_equal(fetch(&request, &status, &body, &error), -EINVAL);
	request.method = "GET";
	request.url = "file:///etc/hostname";
	assert_int_equal(fetch(&request, &status, &body, &error), -EBADMSG);
	assert_null(body);
}

#define ANSWERED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ANSWERED(test_every_wrong_answer_is_an_error_of_its_kind),
		ANSWERED(test_open_refuses_what_is_not_etcd),
		ANSWERED(test_a_transaction_is_sent_once),
		ANSWERED(test_a_stale_token_is_renewed),
		ANSWERED(test_a_watch_outlives_every_wrong_stream),
		ANSWERED(test_fetch_says_what_happened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? EXIT_FAILURE : EXIT_SUCCESS;
}
