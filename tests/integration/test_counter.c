/* SPDX-License-Identifier: MIT */
/*
 * sluice-counter as a process: what its parts hold is compared with the rule of counting, written
 * down plainly.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "counter_fixture.h"

#include <consume/part.h>
#include <link/link.h>
#include <scan/plan.h>

/* ---- promises ------------------------------------------------------------------------------ */

static void test_given_thresholds(void **state)
{
	static const char *const more[] = { "--background", "27.5", "--xray", "200", NULL };
	struct fixture *f = *state;
	struct counter *c = &f->counter[0];
	struct threshold t;

	counter_start(f, c, "c0", more);
	counter_begin(f, 1);
	for (uint64_t run = 0; run < RUNS; run++)
		counter_send_run(f, c, run, 3);
	counter_wait_for_acks(c, RUNS * SECTORS);
	counter_end(c);
	assert_int_equal(counter_check_part(f, "scan0000000005.c0.part", 3, &t), FRAMES);
	assert_true(t.background == 27.5 && t.xray == 200 && !t.calculated);
	assert_int_equal(counter_stop(c), 0);
}

static void test_missing_sectors_are_counted_and_marked(void **state)
{
	static const char *const more[] = { "--background", "27", "--xray", "200", NULL };
	struct fixture *f = *state;
	struct counter *c = &f->counter[0];
	struct threshold t;

	counter_start(f, c, "c0", more);
	counter_begin(f, 1);
	counter_send_run(f, c, 1, 2);
	counter_send_run(f, c, 2, 0); /* nothing came: nothing is written */
	counter_wait_for_acks(c, 2 * SECTORS);
	counter_end(c);
	assert_int_equal(counter_check_part(f, "scan0000000005.c0.part", 2, &t), RUN_FRAMES);
	assert_int_equal(counter_stop(c), 0);
}

/* Whoever has run 0 fits for all; the others wait until it has come, and count alike. */
static void test_one_fit_serves_all(void **state)
{
	struct fixture *f = *state;
	struct counter *a = &f->counter[0], *b = &f->counter[1];
	struct threshold ta, tb;

	counter_start(f, a, "c0", NULL);
	counter_start(f, b, "c1", NULL);
	counter_begin(f, 2);
	counter_send_run(f, b, 1, 3);
	counter_send_run(f, b, 2, 3);
	counter_send_run(f, a, 0, 3);
	counter_wait_for_acks(a, SECTORS);
	counter_wait_for_acks(b, 2 * SECTORS);
	counter_end(a);
	counter_end(b);
	assert_int_equal(counter_check_part(f, "scan0000000005.c0.part", 3, &ta), RUN_FRAMES);
	assert_int_equal(counter_check_part(f, "scan0000000005.c1.part", 3, &tb), 2 * RUN_FRAMES);
	assert_true(ta.calculated && tb.calculated);
	assert_int_equal(ta.samples, RUN_FRAMES);
	assert_true(ta.background > 20 && ta.background < 40);
	assert_memory_equal(&ta.background, &tb.background, sizeof(ta.background));
	assert_memory_equal(&ta.xray, &tb.xray, sizeof(ta.xray));
	assert_int_equal(counter_stop(a), 0);
	assert_int_equal(counter_stop(b), 0);
}

static void test_what_cannot_be_fitted_is_named(void **state)
{
	struct fixture *f = *state;
	struct counter *c = &f->counter[0];

	f->alike = true;
	counter_start(f, c, "c0", NULL);
	counter_begin(f, 1);
	counter_send_run(f, c, 0, 3);
	assert_int_equal(counter_reap(c), EXIT_FAILURE);
	assert_true(counter_log_has(c, "give thresholds"));
}

/* A part is never written over: what a killed process acknowledged is in it. */
static void test_a_second_process_makes_a_part_of_its_own(void **state)
{
	static const char *const more[] = { "--background", "27", "--xray", "200", NULL };
	struct fixture *f = *state;
	struct counter *c = &f->counter[0];
	struct threshold t;

	counter_start(f, c, "c0", more);
	counter_begin(f, 1);
	counter_send_run(f, c, 0, 3);
	counter_wait_for_acks(c, SECTORS);
	assert_int_equal(kill(c->pid, SIGKILL), 0);
	assert_int_equal(counter_reap(c), 128 + SIGKILL);
	link_sender_close(c->link);
	counter_start(f, c, "c0", more);
	counter_begin(f, 1);
	counter_send_run(f, c, 1, 3);
	counter_send_run(f, c, 2, 3);
	counter_wait_for_acks(c, 2 * SECTORS);
	counter_end(c);
	assert_int_equal(counter_check_part(f, "scan0000000005.c0.part", 3, &t), RUN_FRAMES);
	assert_int_equal(counter_check_part(f, "scan0000000005.c0.1.part", 3, &t), 2 * RUN_FRAMES);
	assert_int_equal(counter_stop(c), 0);
}

static void test_recorded_frames_are_what_was_sent(void **state)
{
	const char *more[] = { "--background", "27", "--xray", "200", "-c", NULL, NULL };
	static uint16_t pixels[FRAME_PIXELS];
	struct fixture *f = *state;
	struct counter *c = &f->counter[0];
	struct part_reader *reader;
	char path[200];
	FILE *config;

	(void)snprintf(path, sizeof(path), "%s/c.yaml", f->folder);
	config = fopen(path, "w");
	assert_non_null(config);
	assert_true(fprintf(config, "record_frames: true\n") > 0);
	assert_int_equal(fclose(config), 0);
	more[5] = path;
	counter_start(f, c, "c0", more);
	counter_begin(f, 1);
	counter_send_run(f, c, 1, 3);
	counter_wait_for_acks(c, SECTORS);
	counter_end(c);
	(void)snprintf(path, sizeof(path), "%s/scan0000000005.c0.part", f->folder);
	assert_int_equal(part_reader_open(path, &reader, NULL), 0);
	assert_int_equal(part_reader_count(reader), RUN_FRAMES);
	for (size_t i = 0; i < RUN_FRAMES; i++) {
		const struct part_entry *entry = part_reader_entry(reader, i);

		assert_int_equal(part_reader_pixels(reader, entry, pixels, NULL), 0);
		for (unsigned int p = 0; p < FRAME_PIXELS; p++)
			assert_int_equal(pixels[p], counter_pixel(f, entry->frame, p));
	}
	part_reader_close(reader);
	assert_int_equal(counter_stop(c), 0);
}

static void test_what_it_cannot_start_with_is_named(void **state)
{
	const struct {
		const char *option, *value, *names;
	} row[] = {
		{ "-o", "/nowhere/at/all", "/nowhere/at/all" },
		{ "-t", "1000", "allowed: 0 to 256" },
		{ "--xray", "nan", "--xray" },
		{ "--control", "192.0.2.1:0", "192.0.2.1" },
		{ "-c", "/nowhere.yaml", "/nowhere.yaml" },
		{ "-i", "a/b", "a/b" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		const char *const more[] = { row[i].option, row[i].value, NULL };
		struct counter *c = &f->counter[0];

		counter_spawn(f, c, "c0", more);
		assert_int_equal(counter_reap(c), EXIT_FAILURE);
		if (!counter_log_has(c, row[i].names))
			fail_msg("%s %s: not named", row[i].option, row[i].value);
	}
}

static void test_a_reference_of_another_size_is_refused_at_arming(void **state)
{
	const char *more[] = { "-c", NULL, NULL };
	struct fixture *f = *state;
	struct counter *c = &f->counter[0];
	struct scan_plan *plan;
	char path[200], dark[200], *json, *answer = NULL;
	FILE *file;

	(void)snprintf(dark, sizeof(dark), "%s/dark.raw", f->folder);
	file = fopen(dark, "w");
	assert_non_null(file);
	assert_int_equal(fwrite("1234", 1, 4, file), 4);
	assert_int_equal(fclose(file), 0);
	(void)snprintf(path, sizeof(path), "%s/c.yaml", f->folder);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fprintf(file, "dark: %s\n", dark) > 0);
	assert_int_equal(fclose(file), 0);
	more[1] = path;
	counter_start(f, c, "c0", more);
	plan = counter_plan(f, 1);
	json = plan_encode(plan);
	assert_int_equal(counter_ask(c, "POST", "/api/v1/arm", json, &answer), 400);
	assert_non_null(strstr(answer, "2 pixels"));
	free(answer);
	free(json);
	free(plan);
	assert_int_equal(counter_stop(c), 0);
}

static void test_the_example_prints_each_frame(void **state)
{
	const char *arg[4] = { "example_consumer", "none", "ex" };
	struct fixture *f = *state;
	struct counter *c = &f->counter[0];
	char line[64], want[64];
	FILE *out;

	counter_spawn_program(f, c, arg, "ex");
	counter_meet(c);
	counter_begin(f, 1);
	counter_send_run(f, c, 1, 3);
	counter_wait_for_acks(c, SECTORS);
	/* It is there with the acknowledgement, not only when the program has ended. */
	out = fopen(c->out, "r");
	assert_non_null(out);
	for (uint64_t i = RUN_FRAMES; i < 2 * RUN_FRAMES; i++) {
		uint64_t sum = 0;

		for (unsigned int p = 0; p < FRAME_PIXELS; p++)
			sum += counter_pixel(f, i, p);
		(void)snprintf(want, sizeof(want), "%" PRIu64 " 0x3 %" PRIu64 "\n", i, sum);
		assert_non_null(fgets(line, sizeof(line), out));
		assert_string_equal(line, want);
	}
	assert_int_equal(fclose(out), 0);
	counter_send_end(c);
	assert_int_equal(counter_reap(c), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_given_thresholds, counter_setup,
						counter_teardown),
		cmocka_unit_test_setup_teardown(test_missing_sectors_are_counted_and_marked,
						counter_setup, counter_teardown),
		cmocka_unit_test_setup_teardown(test_one_fit_serves_all, counter_setup,
						counter_teardown),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_fitted_is_named, counter_setup,
						counter_teardown),
		cmocka_unit_test_setup_teardown(test_a_second_process_makes_a_part_of_its_own,
						counter_setup, counter_teardown),
		cmocka_unit_test_setup_teardown(test_recorded_frames_are_what_was_sent,
						counter_setup, counter_teardown),
		cmocka_unit_test_setup_teardown(test_what_it_cannot_start_with_is_named,
						counter_setup, counter_teardown),
		cmocka_unit_test_setup_teardown(
			test_a_reference_of_another_size_is_refused_at_arming, counter_setup,
			counter_teardown),
		cmocka_unit_test_setup_teardown(test_the_example_prints_each_frame, counter_setup,
						counter_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
