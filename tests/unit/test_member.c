/* SPDX-License-Identifier: MIT */
/*
 * member/member.h with directory "none": by HTTP, as `sluice arm` asks it, and through the table
 * in the process, which goes the way that etcd's answers go.
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
#include <directory/fetch.h>
#include <scan/ledger.h>

#include "support/fake_member.h"

static const struct fake_member_args board_args = {
	.kind = MEMBER_BOARD,
	.id = "server/board0",
	.info = "{\"sector\":0}",
	.closes_ledgers = true,
	.gone_ns = 1,
};

static int setup(void **state)
{
	struct fake_member *fake = calloc(1, sizeof(*fake));

	if (!fake)
		return -1;
	fake_member_open(fake, &board_args);
	*state = fake;
	return 0;
}

static int teardown(void **state)
{
	fake_member_close(*state);
	free(*state);
	return 0;
}

/* The answer's text must hold @word; gives the answer, or frees it when @ret_body is NULL. */
static unsigned int ask(struct fake_member *fake, const char *method, const char *path,
			const char *body, const char *word, char **ret_body)
{
	struct fetch request = { .method = method, .body = body, .timeout_ns = 20 * NS_PER_S };
	char url[256], *text = NULL;
	unsigned int code = 0;

	(void)snprintf(url, sizeof(url), "%s%s", member_url(fake->member), path);
	request.url = url;
	assert_int_equal(fetch(&request, &code, &text, NULL), 0);
	if (word && !strstr(text, word))
		fail_msg("%s: \"%s\" has no \"%s\"", path, text, word);
	if (ret_body)
		*ret_body = text;
	else
		free(text);
	return code;
}

static unsigned int arm(struct fake_member *fake, uint32_t scan, uint32_t epoch, const char *word)
{
	struct scan_plan plan;
	unsigned int code;
	char *json;

	fake_plan(&plan, scan, epoch, SCAN_ARMED);
	json = plan_encode(&plan);
	code = ask(fake, "POST", "/api/v1/arm", json, word, NULL);
	free(json);
	return code;
}

static void a_plan_by_http_is_prepared_run_and_aborted(void **state)
{
	struct fake_member *fake = *state;

	assert_int_equal(arm(fake, 7, 1, "\"ready\":true"), 200);
	fake_member_expect(fake, "prepare 7/1");
	assert_int_equal(ask(fake, "POST", "/api/v1/run?scan=7", "", "true", NULL), 200);
	fake_member_expect(fake, "run 7/1");
	assert_int_equal(ask(fake, "POST", "/api/v1/abort?scan=7", "", "true", NULL), 200);
	fake_member_expect(fake, "abort 7");
	assert_int_equal(arm(fake, 8, 1, "\"ready\":true"), 200);
	fake_member_expect(fake, "prepare 8/1");
	assert_int_equal(watch_log_left(&fake->log), 0);
}

static void what_is_told_twice_is_done_once(void **state)
{
	struct fake_member *fake = *state;

	assert_int_equal(arm(fake, 7, 2, "true"), 200);
	assert_int_equal(arm(fake, 7, 2, "true"), 200);
	assert_int_equal(arm(fake, 7, 1, "true"), 200);
	fake_member_expect(fake, "prepare 7/2");
	assert_int_equal(ask(fake, "POST", "/api/v1/run?scan=7", "", "true", NULL), 200);
	assert_int_equal(ask(fake, "POST", "/api/v1/run?scan=7", "", "true", NULL), 200);
	fake_member_expect(fake, "run 7/2");
	/* By whoever took the number again: no answer must look like another run. */
	assert_int_equal(arm(fake, 7, 2, "scan 7 has run here already"), 409);
	/* The plan moves on: again. */
	assert_int_equal(arm(fake, 7, 3, "true"), 200);
	fake_member_expect(fake, "prepare 7/3");
	assert_int_equal(ask(fake, "POST", "/api/v1/run?scan=7", "", "true", NULL), 200);
	fake_member_expect(fake, "run 7/3");
	assert_int_equal(watch_log_left(&fake->log), 0);
}

static void a_refusal_has_its_reason_and_may_pass(void **state)
{
	struct fake_member *fake = *state;

	fake_member_refuse(fake, -EBUSY, "board0 is still in scan 3");
	assert_int_equal(arm(fake, 7, 1, "board0 is still in scan 3"), 409);
	assert_int_equal(arm(fake, 7, 1, "\"ready\":false"), 409);
	fake_member_expect(fake, "prepare 7/1");
	fake_member_expect(fake, "prepare 7/1");
	/* What was refused cannot run. */
	assert_int_equal(ask(fake, "POST", "/api/v1/run?scan=7", "", "not armed", NULL), 404);
	fake_member_refuse(fake, -EINVAL, "");
	assert_int_equal(arm(fake, 7, 1, "Invalid argument"), 400);
	fake_member_expect(fake, "prepare 7/1");
	fake_member_refuse(fake, 0, "");
	assert_int_equal(arm(fake, 7, 1, "true"), 200);
	fake_member_expect(fake, "prepare 7/1");
	assert_int_equal(watch_log_left(&fake->log), 0);
}

static void requests_that_are_wrong_are_refused(void **state)
{
	static const char *const numbers[] = { "",        "?scan=",   "?scan=0",
					       "?scan=x", "?scan=-1", "?scan=4294967296" };
	static const char *const paths[] = { "run", "abort", "half" };
	struct fake_member *fake = *state;
	struct scan_plan plan;
	char path[64], *json;

	assert_int_equal(ask(fake, "POST", "/api/v1/arm", "{", "plan", NULL), 400);
	assert_int_equal(ask(fake, "POST", "/api/v1/arm", "{}", "schema_version", NULL), 400);
	fake_plan(&plan, 7, 1, SCAN_ARMED);
	(void)strcpy(plan.board[0].id, "server/other");
	json = plan_encode(&plan);
	assert_int_equal(ask(fake, "POST", "/api/v1/arm", json, "does not count on", NULL), 404);
	free(json);
	for (size_t p = 0; p < 3; p++) {
		for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
			(void)snprintf(path, sizeof(path), "/api/v1/%s%s", paths[p], numbers[i]);
			assert_int_equal(ask(fake, p == 2 ? "GET" : "POST", path,
					     p == 2 ? NULL : "", "scan=", NULL),
					 400);
		}
	}
	assert_int_equal(ask(fake, "POST", "/api/v1/run?scan=9", "", "scan 9", NULL), 404);
	assert_int_equal(ask(fake, "POST", "/api/v1/abort?scan=9", "", "scan 9", NULL), 404);
	assert_int_equal(watch_log_left(&fake->log), 0);
}

static void status_and_metrics_show_the_members_own(void **state)
{
	struct fake_member *fake = *state;
	json_t *root, *entry;
	char *text;

	assert_int_equal(arm(fake, 7, 1, "true"), 200);
	assert_int_equal(ask(fake, "GET", "/api/v1/status", NULL, NULL, &text), 200);
	root = json_loads(text, 0, NULL);
	assert_non_null(root);
	assert_int_equal(json_integer_value(json_object_get(root, "schema_version")), 1);
	assert_string_equal(json_string_value(json_object_get(root, "kind")), "board");
	assert_string_equal(json_string_value(json_object_get(root, "mood")), "calm");
	assert_string_equal(json_string_value(json_object_get(root, "url")),
			    member_url(fake->member));
	assert_int_equal(json_integer_value(json_object_get(root, "scan")), 7);
	entry = json_array_get(json_object_get(root, "entries"), 0);
	assert_string_equal(json_string_value(json_object_get(entry, "id")), "server/board0");
	entry = json_object_get(entry, "info");
	assert_string_equal(json_string_value(json_object_get(entry, "url")),
			    member_url(fake->member));
	assert_true(json_is_integer(json_object_get(entry, "sector")));
	json_decref(root);
	free(text);
	assert_int_equal(ask(fake, "GET", "/metrics", NULL, "\nfake_smiles_total 42\n", NULL), 200);
	assert_int_equal(
		ask(fake, "GET", "/metrics", NULL, "\nsluice_directory_connected 1\n", NULL), 200);
}

static size_t halves_of(struct fake_member *fake, uint32_t scan, const char *word)
{
	char path[64], *text;
	json_t *root;
	size_t count;

	(void)snprintf(path, sizeof(path), "/api/v1/half?scan=%u", scan);
	assert_int_equal(ask(fake, "GET", path, NULL, word, &text), 200);
	root = json_loads(text, 0, NULL);
	count = json_array_size(json_object_get(root, "halves"));
	json_decref(root);
	free(text);
	return count;
}

static void halves_are_kept_for_http(void **state)
{
	struct fake_member *fake = *state;

	assert_int_equal(halves_of(fake, 7, "[]"), 0);
	assert_int_equal(member_publish_half(fake->member, 7, "server/board0", "{\"a\":1}", NULL),
			 0);
	assert_int_equal(member_publish_half(fake->member, 7, "server/board1", "{\"b\":2}", NULL),
			 0);
	assert_int_equal(halves_of(fake, 7, "{\\\"a\\\":1}"), 2);
	/* Published again, because the directory did not take it at first: it is still one. */
	assert_int_equal(member_publish_half(fake->member, 7, "server/board0", "{\"a\":3}", NULL),
			 0);
	assert_int_equal(halves_of(fake, 7, "{\\\"a\\\":3}"), 2);
	assert_int_equal(halves_of(fake, 8, "[]"), 0);
	/* The oldest make room. */
	for (uint32_t scan = 10; scan < 26; scan++)
		assert_int_equal(member_publish_half(fake->member, scan, "b", "{}", NULL), 0);
	assert_int_equal(halves_of(fake, 7, "[]"), 0);
	assert_int_equal(halves_of(fake, 10, "{}"), 1);
	assert_int_equal(halves_of(fake, 25, "{}"), 1);
}

/* The value under @leaf of scan 7, as soon as it is there; the caller frees it. */
static char *await_leaf(struct fake_member *fake, const char *leaf)
{
	const uint64_t deadline_ns = now_ns() + 20 * NS_PER_S;
	struct directory_entries entries;
	char key[PLAN_KEY_MAX], *value = NULL;

	scan_key(key, 7, leaf);
	while (!value) {
		assert_true(now_ns() < deadline_ns);
		assert_int_equal(
			directory_list(member_directory(fake->member), key, &entries, NULL), 0);
		if (entries.count > 0)
			value = strdup(entries.entry[0].value);
		directory_entries_free(&entries);
		(void)poll(NULL, 0, 1);
	}
	return value;
}

static void a_plan_in_the_directory_is_answered(void **state)
{
	struct fake_member *fake = *state;
	struct scan_plan plan;
	char *text;

	fake_plan(&plan, 7, 1, SCAN_ARMED);
	fake_member_refuse(fake, -EBUSY, "the ring is on fire");
	fake_plan_put(member_directory(fake->member), &plan);
	text = await_leaf(fake, "ready/server/board0");
	assert_string_equal(text,
			    "{\"ready\":false,\"epoch\":1,\"error\":\"the ring is on fire\"}");
	free(text);
	fake_member_expect(fake, "prepare 7/1");
	fake_member_refuse(fake, 0, "");
	plan.epoch = 2;
	fake_plan_put(member_directory(fake->member), &plan);
	fake_member_expect(fake, "prepare 7/2");
	plan.state = SCAN_ACQUIRING;
	fake_plan_put(member_directory(fake->member), &plan);
	fake_member_expect(fake, "run 7/2");
	text = await_leaf(fake, "ready/server/board0");
	assert_string_equal(text, "{\"ready\":true,\"epoch\":2}");
	free(text);
	plan.state = SCAN_ABORTED;
	fake_plan_put(member_directory(fake->member), &plan);
	fake_member_expect(fake, "abort 7");
}

static void plans_that_are_not_for_it_or_none_are_passed_over(void **state)
{
	struct fake_member *fake = *state;
	struct directory *directory = member_directory(fake->member);
	struct scan_plan plan;
	char key[PLAN_KEY_MAX];

	scan_key(key, 7, "plan");
	assert_int_equal(directory_put(directory, key, "{}", false, NULL), 0);
	assert_int_equal(directory_put(directory, "scans/x/plan", "{}", false, NULL), 0);
	/* One that ran before this member began. */
	fake_plan(&plan, 7, 1, SCAN_ACQUIRING);
	fake_plan_put(directory, &plan);
	fake_plan(&plan, 8, 1, SCAN_ARMED);
	(void)strcpy(plan.board[0].id, "server/other");
	fake_plan_put(directory, &plan);
	/* Filed under another number than it says. */
	fake_plan(&plan, 9, 1, SCAN_ARMED);
	scan_key(key, 10, "plan");
	{
		char *json = plan_encode(&plan);

		assert_int_equal(directory_put(directory, key, json, false, NULL), 0);
		free(json);
	}
	/* Then one that is for it: the first that is heard of. */
	fake_plan(&plan, 11, 1, SCAN_ARMED);
	fake_plan_put(directory, &plan);
	fake_member_expect(fake, "prepare 11/1");
}

static void the_last_half_closes_the_ledger(void **state)
{
	struct fake_member *fake = *state;
	struct directory *directory = member_directory(fake->member);
	char *board = fake_half_board(7, 1), *consumer = fake_half_consumer(7, 7), *text;
	struct ledger ledger;
	struct scan_plan plan;

	assert_int_equal(directory_put(directory, "consumers/counting/node0", "{}", true, NULL), 0);
	fake_plan(&plan, 7, 1, SCAN_ARMED);
	fake_plan_put(directory, &plan);
	plan.state = SCAN_ACQUIRING;
	fake_plan_put(directory, &plan);
	assert_int_equal(member_publish_half(fake->member, 7, "server/board0", board, NULL), 0);
	/* The consumer's comes by the directory, from its own process. */
	assert_int_equal(
		directory_put(directory, "scans/0000000007/half/node0", consumer, false, NULL), 0);
	text = await_leaf(fake, "ledger");
	assert_int_equal(ledger_decode(text, &ledger, NULL), 0);
	assert_string_equal(ledger.why, "");
	assert_true(ledger.closed);
	assert_int_equal(ledger.sector[0].lost[SLUICE_LOSS_GAP], 1);
	free(text);
	/* The plan says how it ended. */
	do {
		text = await_leaf(fake, "plan");
		assert_int_equal(plan_decode(text, &plan, NULL), 0);
		free(text);
	} while (plan.state == SCAN_ACQUIRING);
	assert_int_equal(plan.state, SCAN_DONE);
	free(board);
	free(consumer);
}

/* The consumer's registration lapses before its half came: the ledger does not wait for it. */
/* As a daemon does that looks every now and then. */
static void look_until_ledger(struct fake_member *fake, uint32_t scan)
{
	const uint64_t deadline_ns = now_ns() + 10 * NS_PER_S;
	struct directory_entries entries = { 0 };
	char key[PLAN_KEY_MAX];
	unsigned int count = 0;

	scan_key(key, scan, "ledger");
	while (count == 0) {
		assert_true(now_ns() < deadline_ns);
		member_look(fake->member);
		assert_int_equal(
			directory_list(member_directory(fake->member), key, &entries, NULL), 0);
		count = entries.count;
		directory_entries_free(&entries);
	}
}

static void a_member_that_dies_leaves_the_ledger_open_by_name(void **state)
{
	struct fake_member *fake = *state;
	struct directory *directory = member_directory(fake->member);
	char *board = fake_half_board(7, 0), *text;
	struct directory_entries entries;
	struct ledger ledger;
	struct scan_plan plan;

	assert_int_equal(directory_put(directory, "consumers/counting/node0", "{}", true, NULL), 0);
	fake_plan(&plan, 7, 1, SCAN_ARMED);
	fake_plan_put(directory, &plan);
	fake_member_expect(fake, "prepare 7/1");
	assert_int_equal(member_publish_half(fake->member, 7, "server/board0", board, NULL), 0);
	plan.state = SCAN_ACQUIRING;
	fake_plan_put(directory, &plan);
	fake_member_expect(fake, "run 7/1");
	/* By now the half was looked at: there is no ledger as long as the other may come. */
	assert_int_equal(directory_list(directory, "scans/0000000007/ledger", &entries, NULL), 0);
	assert_int_equal(entries.count, 0);
	directory_entries_free(&entries);
	assert_int_equal(directory_delete(directory, "consumers/counting/node0", NULL), 0);
	look_until_ledger(fake, 7);
	text = await_leaf(fake, "ledger");
	assert_int_equal(ledger_decode(text, &ledger, NULL), 0);
	assert_false(ledger.closed);
	assert_non_null(strstr(ledger.why, "node0 is gone"));
	free(text);
	free(board);
}

static void expect_key(const struct fake_member_args *args, const char *key)
{
	struct directory_entries entries;
	struct fake_member fake;

	fake_member_open(&fake, args);
	assert_int_equal(directory_list(member_directory(fake.member), "", &entries, NULL), 0);
	assert_int_equal(entries.count, 1);
	assert_string_equal(entries.entry[0].key, key);
	assert_non_null(strstr(entries.entry[0].value, member_url(fake.member)));
	directory_entries_free(&entries);
	fake_member_close(&fake);
	fake_member_close(&fake);
}

static void each_kind_registers_in_its_own_place(void **state)
{
	struct fake_member_args args = board_args;

	(void)state;
	expect_key(&args, "boards/server/board0");
	args.kind = MEMBER_AGGREGATOR;
	args.id = "agg0";
	expect_key(&args, "aggregators/agg0");
	args.kind = MEMBER_CONSUMER;
	args.id = "node0";
	expect_key(&args, "consumers/counting/node0");
}

static void what_cannot_be_registered_is_refused(void **state)
{
	static char large[MEMBER_INFO_MAX];
	struct fake_member_args args = board_args;
	struct sluice_error error = { "" };
	struct fake_member fake;

	(void)state;
	args.info = "[]";
	assert_int_equal(fake_member_try(&fake, &args, &error), -EINVAL);
	assert_non_null(strstr(error.text, "server/board0"));
	(void)snprintf(large, sizeof(large), "{\"x\":\"%0*d\"}", MEMBER_INFO_MAX - 20, 0);
	args.info = large;
	assert_int_equal(fake_member_try(&fake, &args, &error), -ENOSPC);
	args = board_args;
	args.id = "no key";
	assert_int_equal(fake_member_try(&fake, &args, &error), -EINVAL);
	member_close(NULL);
}

static void consumers_come_and_go(void **state)
{
	struct fake_member_args args = board_args;
	struct directory *directory;
	struct fake_member fake;

	(void)state;
	args.kind = MEMBER_AGGREGATOR;
	args.id = "agg0";
	args.hears_consumers = true;
	fake_member_open(&fake, &args);
	directory = member_directory(fake.member);
	assert_int_equal(directory_put(directory, "consumers/counting/node0",
				       "{\"endpoint\":\"tcp://127.0.0.1:5000\"}", true, NULL),
			 0);
	fake_member_expect(&fake, "consumer counting node0 tcp://127.0.0.1:5000");
	/* What names no consumer, or no place to connect to, is passed over. */
	assert_int_equal(directory_put(directory, "consumers/counting/node1", "{}", true, NULL), 0);
	assert_int_equal(directory_put(directory, "consumers/counting/node1", "x", true, NULL), 0);
	assert_int_equal(directory_put(directory, "consumers/node1",
				       "{\"endpoint\":\"tcp://127.0.0.1:5000\"}", true, NULL),
			 0);
	assert_int_equal(directory_put(directory, "consumers/counting/",
				       "{\"endpoint\":\"tcp://127.0.0.1:5000\"}", true, NULL),
			 0);
	assert_int_equal(directory_delete(directory, "consumers/counting/node0", NULL), 0);
	fake_member_expect(&fake, "consumer counting node0 gone");
	fake_member_close(&fake);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test_setup_teardown(a_plan_by_http_is_prepared_run_and_aborted, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_told_twice_is_done_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_refusal_has_its_reason_and_may_pass, setup,
						teardown),
		cmocka_unit_test_setup_teardown(requests_that_are_wrong_are_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(status_and_metrics_show_the_members_own, setup,
						teardown),
		cmocka_unit_test_setup_teardown(halves_are_kept_for_http, setup, teardown),
		cmocka_unit_test_setup_teardown(a_plan_in_the_directory_is_answered, setup,
						teardown),
		cmocka_unit_test_setup_teardown(plans_that_are_not_for_it_or_none_are_passed_over,
						setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_half_closes_the_ledger, setup, teardown),
		cmocka_unit_test_setup_teardown(a_member_that_dies_leaves_the_ledger_open_by_name,
						setup, teardown),
		cmocka_unit_test(each_kind_registers_in_its_own_place),
		cmocka_unit_test(what_cannot_be_registered_is_refused),
		cmocka_unit_test(consumers_come_and_go),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
