/* SPDX-License-Identifier: MIT */
/* The consumer as a member: plans, aborts, what is shared, what is shown. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consumer_fixture.h"

#include <base/error.h>
#include <directory/fetch.h>

struct asked {
	unsigned int times;
	struct sluice_scan scan;
	int answer;
};

static int prepare(void *ctx, const struct sluice_scan *scan, struct sluice_error *reterr)
{
	struct asked *asked = ctx;

	asked->times++;
	asked->scan = *scan;
	return asked->answer < 0 ? error_set(reterr, asked->answer, "the dark reference is missing")
				 : 0;
}

static struct sluice_consumer *open_as(const char *id, struct asked *asked)
{
	struct sluice_consumer_args args = SLUICE_CONSUMER_ARGS_INIT;
	struct sluice_consumer *consumer = NULL;
	struct sluice_error error = { "" };

	args.id = id;
	args.window_runs = WINDOW;
	if (asked) {
		args.prepare = prepare;
		args.ctx = asked;
	}
	if (sluice_consumer_open(&args, &consumer, &error) < 0)
		fail_msg("%s", error.text);
	return consumer;
}

/* A plan for the consumers given, as it would be armed. */
static struct scan_plan *plan_for(uint32_t scan, struct sluice_consumer **consumer,
				  unsigned int count)
{
	struct scan_plan *plan = calloc(1, sizeof(*plan));

	assert_non_null(plan);
	*plan = (struct scan_plan){
		.scan = scan,
		.epoch = 1,
		.state = SCAN_ARMED,
		.scan_columns = SCAN_COLUMNS,
		.scan_rows = SCAN_ROWS,
		.frames_per_position = 1,
		.frames_expected = FRAMES,
		.run_frames = RUN_FRAMES,
		.geometry = { .sectors = SECTORS,
			      .rows = ROWS,
			      .columns = COLUMNS,
			      .pixel = SLUICE_PIXEL_U16 },
		.group = "default",
		.background = 20,
		.xray = 500,
		.board_count = SECTORS,
		.aggregator_count = 1,
		.consumer_count = count,
		.board = { { .id = "b0", .sector = 0 }, { .id = "b1", .sector = 1 } },
		.aggregator = { { .id = "agg0" } },
	};
	for (unsigned int i = 0; i < count; i++) {
		(void)snprintf(plan->consumer[i].id, sizeof(plan->consumer[i].id), "%s",
			       consumer[i]->id);
		(void)snprintf(plan->consumer[i].url, sizeof(plan->consumer[i].url), "%s",
			       sluice_consumer_url(consumer[i]));
	}
	return plan;
}

/* Returns the HTTP status; the answer is the caller's. */
static unsigned int ask(struct sluice_consumer *consumer, const char *method, const char *path,
			const char *body, char **ret_body)
{
	char url[512];
	const struct fetch request = {
		.method = method, .url = url, .body = body, .timeout_ns = DEADLINE_NS
	};
	unsigned int status = 0;

	(void)snprintf(url, sizeof(url), "%s%s", sluice_consumer_url(consumer), path);
	assert_int_equal(fetch(&request, &status, ret_body, NULL), 0);
	return status;
}

static unsigned int arm(struct sluice_consumer *consumer, const struct scan_plan *plan,
			char **ret_body)
{
	char *json = plan_encode(plan);
	unsigned int status;

	assert_non_null(json);
	status = ask(consumer, "POST", "/api/v1/arm", json, ret_body);
	free(json);
	return status;
}

static void arm_ok(struct sluice_consumer *consumer, const struct scan_plan *plan)
{
	char *body = NULL;

	if (arm(consumer, plan, &body) != 200)
		fail_msg("%s", body);
	free(body);
}

static void arm_refused(struct sluice_consumer *consumer, const struct scan_plan *plan,
			const char *names)
{
	char *body = NULL;

	assert_int_equal(arm(consumer, plan, &body), 409);
	if (!strstr(body, names))
		fail_msg("\"%s\" does not name \"%s\"", body, names);
	free(body);
}

static void test_the_program_is_asked_and_may_refuse(void **state)
{
	struct asked asked = { .answer = -ENOENT };
	struct sluice_consumer *consumer = open_as("c0", &asked);
	struct scan_plan *plan = plan_for(SCAN, &consumer, 1);

	(void)state;
	arm_refused(consumer, plan, "the dark reference is missing");
	asked.answer = 0;
	arm_ok(consumer, plan);
	assert_int_equal(asked.times, 2);
	assert_int_equal(asked.scan.scan, SCAN);
	assert_int_equal(asked.scan.frames_expected, FRAMES);
	assert_int_equal(asked.scan.consumers, 1);
	assert_true(asked.scan.background == 20 && asked.scan.xray == 500);
	free(plan);
	sluice_consumer_close(consumer);
}

static void test_a_window_that_does_not_fit_is_refused(void **state)
{
	struct sluice_consumer *consumer = open_as("c0", NULL);
	struct scan_plan *plan = plan_for(SCAN, &consumer, 1);

	(void)state;
	plan->geometry = (struct sluice_geometry){
		.sectors = 2, .rows = 4096, .columns = 4096, .pixel = SLUICE_PIXEL_U32
	};
	plan->run_frames = SLUICE_WIRE_RUN_FRAMES_MAX; /* 3 x 128 GiB */
	plan->aggregator_count = PLAN_MEMBERS_MAX;
	for (unsigned int i = 0; i < PLAN_MEMBERS_MAX; i++)
		(void)snprintf(plan->aggregator[i].id, sizeof(plan->aggregator[i].id), "agg%u", i);
	arm_refused(consumer, plan, "window_runs");
	free(plan);
	sluice_consumer_close(consumer);
}

/* What the plan says beyond SCAN_BEGIN is known with the first run, whichever comes first. */
static void test_runs_know_the_plan(void **state)
{
	struct sluice_run *run;
	struct scan_plan *plan;
	struct fixture f;

	(void)state;
	for (unsigned int plan_first = 0; plan_first < 2; plan_first++) {
		fixture_open(&f, 10000);
		plan = plan_for(SCAN, &f.consumer, 1);
		if (plan_first)
			arm_ok(f.consumer, plan);
		begin(&f);
		if (!plan_first)
			arm_ok(f.consumer, plan);
		send_run(&f.a, 0);
		run = expect_run(&f, 0);
		assert_int_equal(sluice_run_scan(run)->consumers, 1);
		assert_true(sluice_run_scan(run)->background == 20);
		assert_true(sluice_run_scan(run)->xray == 500);
		assert_int_equal(sluice_consumer_ack(f.consumer, run, 0), 0);
		free(plan);
		fixture_close(&f);
	}
}

static void abort_scan(struct sluice_consumer *consumer)
{
	char path[64], *body = NULL;

	(void)snprintf(path, sizeof(path), "/api/v1/abort?scan=%d", SCAN);
	assert_int_equal(ask(consumer, "POST", path, "", &body), 200);
	free(body);
}

/* Sources and aggregators end an aborted scan: what they still send is delivered. */
static void test_an_aborted_scan_is_ended_by_its_aggregators(void **state)
{
	struct scan_plan *plan;
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	plan = plan_for(SCAN, &f.consumer, 1);
	arm_ok(f.consumer, plan);
	begin(&f);
	assert_false(sluice_consumer_aborted(f.consumer, SCAN));
	abort_scan(f.consumer);
	assert_true(sluice_consumer_aborted(f.consumer, SCAN));
	assert_false(sluice_consumer_aborted(f.consumer, SCAN + 1));
	send_run(&f.a, 0);
	assert_int_equal(sluice_consumer_ack(f.consumer, expect_run(&f, 0), 0), 0);
	pump_until(&f, run_acked_a, 0);
	send_end(&f.a, 0);
	expect_end(&f, 0);
	free(plan);
	fixture_close(&f);
}

/* If they do not, it ends here by itself: without what is not in hand. */
static void test_an_aborted_scan_that_nobody_ends_ends_here(void **state)
{
	struct sluice_run *run;
	struct scan_plan *plan;
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	f.consumer->abort_timeout_ns = 50 * NS_PER_MS;
	plan = plan_for(SCAN, &f.consumer, 1);
	arm_ok(f.consumer, plan);
	begin(&f);
	send_run(&f.a, 0);
	run = expect_run(&f, 0);
	send_run(&f.a, 1);
	pump_until(&f, credit_is_a, (WINDOW - 2) * SECTORS);
	abort_scan(f.consumer);
	pump_until(&f, credit_is_a, (WINDOW - 1) * SECTORS); /* run 1 is let go */
	expect_nothing(&f);                                  /* one is in hand */
	assert_int_equal(sluice_consumer_ack(f.consumer, run, 0), 0);
	expect_end(&f, 0);
	assert_int_equal(sluice_consumer_commit(f.consumer, SCAN, NULL), 0);
	free(plan);
	fixture_close(&f);
}

/* ---- shared values ------------------------------------------------------------------------- */

static void test_the_first_to_share_decides(void **state)
{
	struct sluice_consumer *consumer = open_as("c0", NULL);
	char text[SLUICE_SHARED_TEXT_MAX + 1];

	(void)state;
	assert_int_equal(sluice_consumer_shared(consumer, SCAN, "v", text, sizeof(text), NULL),
			 -EAGAIN);
	assert_int_equal(sluice_consumer_share(consumer, SCAN, "v", "one", NULL), 0);
	assert_int_equal(sluice_consumer_share(consumer, SCAN, "v", "two", NULL), 0);
	assert_int_equal(sluice_consumer_shared(consumer, SCAN, "v", text, sizeof(text), NULL), 0);
	assert_string_equal(text, "one");
	assert_int_equal(sluice_consumer_shared(consumer, SCAN + 1, "v", text, sizeof(text), NULL),
			 -EAGAIN);
	assert_int_equal(sluice_consumer_shared(consumer, SCAN, "v", text, 3, NULL), -E2BIG);
	assert_int_equal(sluice_consumer_share(consumer, 0, "v", "x", NULL), -EINVAL);
	assert_int_equal(sluice_consumer_share(consumer, SCAN, "", "x", NULL), -EINVAL);
	assert_int_equal(sluice_consumer_share(consumer, SCAN, "a/b", "x", NULL), -EINVAL);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(sluice_consumer_share(consumer, SCAN, "w", text, NULL), -EINVAL);
	sluice_consumer_close(consumer);
}

static void test_values_are_seen_without_a_directory(void **state)
{
	struct sluice_consumer *consumer[3] = { open_as("c0", NULL), open_as("c1", NULL),
						open_as("c2", NULL) };
	struct scan_plan *plan = plan_for(SCAN, consumer, 3);
	char text[64];

	(void)state;
	arm_ok(consumer[2], plan);
	assert_int_equal(sluice_consumer_shared(consumer[2], SCAN, "v", text, sizeof(text), NULL),
			 -EAGAIN);
	assert_int_equal(sluice_consumer_share(consumer[1], SCAN, "v", "{\"b\":28.5}", NULL), 0);
	assert_int_equal(sluice_consumer_shared(consumer[2], SCAN, "v", text, sizeof(text), NULL),
			 0);
	assert_string_equal(text, "{\"b\":28.5}");
	/* One that is dead stands in nobody's way. */
	sluice_consumer_close(consumer[0]);
	assert_int_equal(sluice_consumer_shared(consumer[2], SCAN, "v", text, sizeof(text), NULL),
			 0);
	free(plan);
	sluice_consumer_close(consumer[1]);
	sluice_consumer_close(consumer[2]);
}

/* ---- what is shown ------------------------------------------------------------------------- */

static void test_reports_are_shown(void **state)
{
	struct sluice_consumer *consumer = open_as("c0", NULL);
	char *body = NULL, name[16];

	(void)state;
	assert_int_equal(sluice_consumer_report_number(consumer, "speed", 1.5), 0);
	assert_int_equal(sluice_consumer_report_number(consumer, "speed", 2.5), 0);
	assert_int_equal(sluice_consumer_report_text(consumer, "kernel", "avx2"), 0);
	assert_int_equal(sluice_consumer_report_text(consumer, "no good", "x"), -EINVAL);
	assert_int_equal(ask(consumer, "GET", "/api/v1/status", NULL, &body), 200);
	assert_non_null(strstr(body, "\"speed\":2.5"));
	assert_non_null(strstr(body, "\"kernel\":\"avx2\""));
	assert_non_null(strstr(body, sluice_consumer_endpoint(consumer)));
	free(body);
	assert_int_equal(ask(consumer, "GET", "/metrics", NULL, &body), 200);
	assert_non_null(strstr(body, "sluice_consumer_report{name=\"speed\"} 2.5"));
	assert_non_null(strstr(body, "sluice_consumer_runs_total{fate=\"acknowledged\"} 0"));
	assert_null(strstr(body, "avx2"));
	free(body);
	for (unsigned int i = 2; i < REPORTS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(sluice_consumer_report_number(consumer, name, i), 0);
	}
	assert_int_equal(sluice_consumer_report_number(consumer, "one-more", 0), -ENOSPC);
	assert_int_equal(sluice_consumer_report_number(consumer, "speed", 3), 0);
	sluice_consumer_close(consumer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_program_is_asked_and_may_refuse),
		cmocka_unit_test(test_a_window_that_does_not_fit_is_refused),
		cmocka_unit_test(test_runs_know_the_plan),
		cmocka_unit_test(test_an_aborted_scan_is_ended_by_its_aggregators),
		cmocka_unit_test(test_an_aborted_scan_that_nobody_ends_ends_here),
		cmocka_unit_test(test_the_first_to_share_decides),
		cmocka_unit_test(test_values_are_seen_without_a_directory),
		cmocka_unit_test(test_reports_are_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
