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

#include <consume/count.h>
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

/*
 * The thresholds of a plain fit: to the frames that the seed chooses of those of the first two
 * runs, whose sectors are in mask[run], as far as the sector masks allow: whole frames, if there is
 * one.
 */
static struct threshold fit_plainly(const struct fixture *f, const uint32_t mask[2])
{
	const bool whole = mask[0] == 3 || mask[1] == 3;
	const struct threshold_args args = THRESHOLD_ARGS_INIT;
	static uint16_t pixels[FRAME_PIXELS];
	struct threshold_sampler *sampler;
	uint64_t chosen[THRESHOLD_SAMPLES];
	struct threshold t;

	assert_int_equal(threshold_sampler_open(NULL, SECTORS * ROWS, COLUMNS, &sampler), 0);
	assert_int_equal(threshold_choose(args.seed, 2 * RUN_FRAMES, THRESHOLD_SAMPLES, chosen),
			 THRESHOLD_SAMPLES);
	for (unsigned int i = 0; i < THRESHOLD_SAMPLES; i++) {
		const uint32_t there = mask[chosen[i] / RUN_FRAMES];
		const void *row[SECTORS * ROWS] = { NULL };
		const struct count_image image = { row, SECTORS * ROWS, COLUMNS };

		if (there == 0 || (whole && there != 3))
			continue;
		for (unsigned int p = 0; p < FRAME_PIXELS; p++)
			pixels[p] = counter_pixel(f, chosen[i], p);
		for (unsigned int r = 0; r < SECTORS * ROWS; r++) {
			if (there >> r / ROWS & 1)
				row[r] = pixels + (size_t)r * COLUMNS;
		}
		assert_int_equal(threshold_sampler_add(sampler, &image), 0);
	}
	assert_int_equal(threshold_sampler_fit(sampler, &args, &t, NULL), 0);
	threshold_sampler_close(sampler);
	return t;
}

static void expect_thresholds(const struct threshold *got, const struct threshold *want)
{
	assert_true(got->calculated);
	assert_int_equal(got->samples, want->samples);
	assert_true(want->background > 20 && want->background < 40);
	assert_true(got->background == want->background && got->xray == want->xray);
	assert_true(got->mean == want->mean && got->variance == want->variance);
	assert_true(got->min == want->min && got->max == want->max && got->bins == want->bins);
}

static void test_thresholds_are_fitted_to_twenty_frames(void **state)
{
	struct fixture *f = *state;
	struct counter *c = &f->counter[0];
	const struct threshold want = fit_plainly(f, (const uint32_t[]){ 3, 3 });
	struct threshold t;

	assert_int_equal(want.samples, 20);
	counter_start(f, c, "c0", NULL);
	counter_begin(f, 1);
	for (uint64_t run = 0; run < RUNS; run++)
		counter_send_run(f, c, run, 3);
	counter_wait_for_acks(c, RUNS * SECTORS);
	counter_end(c);
	assert_int_equal(counter_check_part(f, "scan0000000005.c0.part", 3, &t), FRAMES);
	expect_thresholds(&t, &want);
	assert_int_equal(counter_stop(c), 0);
}

/*
 * Run 0 goes to consumer @first, run 1, before it, to the other: with sectors as the masks say. The
 * third run goes with run 1, and is whole. All is counted with the thresholds of the plain fit.
 */
static void check_shared_fit(struct fixture *f, unsigned int first, const uint32_t mask[2])
{
	static const char *const part[] = { "scan0000000005.c0.part", "scan0000000005.c1.part" };
	struct counter *a = &f->counter[first], *b = &f->counter[1 - first];
	const struct threshold want = fit_plainly(f, mask);
	struct threshold t;

	counter_start(f, &f->counter[0], "c0", NULL);
	counter_start(f, &f->counter[1], "c1", NULL);
	counter_begin(f, 2);
	counter_send_run(f, b, 1, mask[1]);
	counter_send_run(f, a, 0, mask[0]);
	counter_send_run(f, b, 2, mask[1] != 0 ? mask[1] : 3);
	counter_wait_for_acks(a, SECTORS);
	counter_wait_for_acks(b, 2 * SECTORS);
	counter_end(a);
	counter_end(b);
	if (mask[0] != 0) {
		assert_int_equal(counter_check_part(f, part[first], mask[0], &t), RUN_FRAMES);
		expect_thresholds(&t, &want);
	}
	assert_int_equal(counter_check_part(f, part[1 - first], mask[1] != 0 ? mask[1] : 3, &t),
			 mask[1] != 0 ? 2 * RUN_FRAMES : RUN_FRAMES);
	expect_thresholds(&t, &want);
	assert_int_equal(counter_stop(a), 0);
	assert_int_equal(counter_stop(b), 0);
}

static void test_two_consumers_share_the_samples(void **state)
{
	check_shared_fit(*state, 0, (const uint32_t[]){ 3, 3 });
}

static void test_it_does_not_matter_who_has_which(void **state)
{
	check_shared_fit(*state, 1, (const uint32_t[]){ 3, 3 });
}

static void test_samples_that_are_lost_are_done_without(void **state)
{
	check_shared_fit(*state, 0, (const uint32_t[]){ 3, 0 });
}

static void test_the_first_samples_may_be_the_lost_ones(void **state)
{
	check_shared_fit(*state, 0, (const uint32_t[]){ 0, 3 });
}

static void test_whole_samples_go_before_others(void **state)
{
	check_shared_fit(*state, 0, (const uint32_t[]){ 1, 3 });
}

static void test_without_a_whole_sample_all_serve(void **state)
{
	check_shared_fit(*state, 0, (const uint32_t[]){ 1, 1 });
}

static void test_what_cannot_be_fitted_is_named(void **state)
{
	struct fixture *f = *state;
	struct counter *c = &f->counter[0];

	f->alike = true;
	counter_start(f, c, "c0", NULL);
	counter_begin(f, 1);
	counter_send_run(f, c, 0, 3);
	counter_send_run(f, c, 1, 3);
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
		cmocka_unit_test_setup_teardown(test_thresholds_are_fitted_to_twenty_frames,
						counter_setup, counter_teardown),
		cmocka_unit_test_setup_teardown(test_two_consumers_share_the_samples, counter_setup,
						counter_teardown),
		cmocka_unit_test_setup_teardown(test_it_does_not_matter_who_has_which,
						counter_setup, counter_teardown),
		cmocka_unit_test_setup_teardown(test_samples_that_are_lost_are_done_without,
						counter_setup, counter_teardown),
		cmocka_unit_test_setup_teardown(test_the_first_samples_may_be_the_lost_ones,
						counter_setup, counter_teardown),
		cmocka_unit_test_setup_teardown(test_whole_samples_go_before_others, counter_setup,
						counter_teardown),
		cmocka_unit_test_setup_teardown(test_without_a_whole_sample_all_serve,
						counter_setup, counter_teardown),
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
