/* SPDX-License-Identifier: MIT */
/* Every kernel gives exactly the events of the plain reference. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <consume/count.h>
#include <support/reference.h>

enum {
	SIDE_MAX = 200,
	PIXELS_MAX = SIDE_MAX * SIDE_MAX,
	SKIP = 77,
};

static const struct count_kernel *kernel; /* under test */
static uint64_t random_state = 1;

static uint32_t draw(uint32_t below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33) % below;
}

/* A frame as counting gets it: its rows at odd addresses, and room for the reference beside. */
struct frame {
	uint32_t rows, columns;
	uint16_t pixel[PIXELS_MAX];
	uint8_t *bytes;
	const void *row[SIDE_MAX];
	uint32_t expected[PIXELS_MAX], got[PIXELS_MAX];
};

static int make_frame(void **state)
{
	*state = calloc(1, sizeof(struct frame));
	return *state ? 0 : -1;
}

static int free_frame(void **state)
{
	free(*state);
	return 0;
}

static struct count_image image_of(struct frame *f, const struct reference_rule *rule,
				   uint32_t misalign)
{
	const size_t bytes = f->columns * sizeof(uint16_t);

	/* Exactly as large as the frame, so that a sanitizer sees one byte too far. */
	f->bytes = malloc(f->rows * bytes + misalign);
	assert_non_null(f->bytes);
	for (uint32_t r = 0; r < f->rows; r++) {
		uint8_t *row = f->bytes + misalign + r * bytes;
		const int there = rule->sector_rows == 0 ||
				  (rule->sector_mask >> (r / rule->sector_rows) & 1);

		memcpy(row, f->pixel + (size_t)r * f->columns, bytes);
		f->row[r] = there ? row : NULL;
	}
	return (struct count_image){ .row = f->row, .rows = f->rows, .columns = f->columns };
}

static void expect_same(struct frame *f, const struct reference_rule *rule)
{
	const struct count_rule given = { rule->background, rule->xray, rule->dark, rule->gain };
	const uint32_t n = reference_count(rule, f->pixel, f->rows, f->columns, f->expected);
	struct count_rule_compiled *compiled = NULL;
	struct count_image image;

	assert_int_equal(count_rule_compile(&given, f->rows, f->columns, &compiled, NULL), 0);
	for (uint32_t misalign = 0; misalign < 2; misalign++) {
		image = image_of(f, rule, misalign);
		assert_int_equal(count_events(kernel, compiled, &image, f->got, PIXELS_MAX), n);
		assert_memory_equal(f->got, f->expected, n * sizeof(uint32_t));
		free(f->bytes);
	}
	count_rule_free(compiled);
}

/* Background, sparse events with spill, rare x-rays. */
static void fill_like_camera(struct frame *f)
{
	const uint32_t n = f->rows * f->columns;

	for (uint32_t i = 0; i < n; i++)
		f->pixel[i] = (uint16_t)(14 + draw(7) + draw(7));
	for (uint32_t e = 0; e < n / 60 + 1; e++) {
		const uint32_t at = draw(n);

		f->pixel[at] = (uint16_t)(60 + draw(240));
		if (at + 1 < n)
			f->pixel[at + 1] = (uint16_t)(25 + draw(40));
		if (at >= f->columns)
			f->pixel[at - f->columns] = (uint16_t)(25 + draw(40));
	}
	if (draw(3) == 0)
		f->pixel[draw(n)] = 2500;
}

static const struct reference_rule usual = { .background = 28.5, .xray = 435.0 };

static void test_camera_frames_of_all_sizes(void **state)
{
	struct frame *f = *state;

	for (f->rows = 1; f->rows <= 67; f->rows++) {
		for (f->columns = 1; f->columns <= 67; f->columns++) {
			fill_like_camera(f);
			expect_same(f, &usual);
		}
	}
}

/* Several strides of the widest kernel, and every remainder behind them. */
static void test_wide_frames(void **state)
{
	struct frame *f = *state;

	for (f->columns = 68; f->columns <= SIDE_MAX; f->columns++) {
		f->rows = 1 + draw(6);
		fill_like_camera(f);
		expect_same(f, &usual);
	}
}

/* Few values, so that ties and plateaus are everywhere; all of them candidates. */
static void test_dense_frames_with_ties(void **state)
{
	const struct reference_rule rules[] = {
		{ .background = 0.0, .xray = 4.0 },      { .background = -1.0, .xray = 100.0 },
		{ .background = 1.5, .xray = 3.5 },      { .background = 2.0, .xray = 3.0 },
		{ .background = 5.0, .xray = INFINITY }, { .background = 1.0, .xray = 2.5 },
	};
	struct frame *f = *state;

	for (unsigned int round = 0; round < 300; round++) {
		f->rows = 1 + draw(20);
		f->columns = 1 + draw(150);
		for (uint32_t i = 0; i < f->rows * f->columns; i++)
			f->pixel[i] = (uint16_t)draw(7);
		expect_same(f, &rules[round % (sizeof(rules) / sizeof(rules[0]))]);
	}
}

static void test_any_pixels(void **state)
{
	struct frame *f = *state;

	for (unsigned int round = 0; round < 200; round++) {
		const struct reference_rule rule = { .background = draw(65536),
						     .xray = draw(65536) + 0.5 };

		f->rows = 1 + draw(12);
		f->columns = 1 + draw(SIDE_MAX);
		for (uint32_t i = 0; i < f->rows * f->columns; i++)
			f->pixel[i] = (uint16_t)draw(65536);
		expect_same(f, &rule);
	}
}

/* One bright pixel at every place: edges, corners, lanes; with a tie beside it: none. */
static void test_one_event_anywhere(void **state)
{
	struct frame *f = *state;

	f->rows = 3;
	f->columns = 140;
	for (uint32_t at = 0; at < f->rows * f->columns; at++) {
		memset(f->pixel, 0, sizeof(f->pixel));
		f->pixel[at] = 100;
		expect_same(f, &usual);
		assert_int_equal(f->got[0], at);
		f->pixel[at + 1 < f->rows * f->columns ? at + 1 : at - 1] = 100;
		expect_same(f, &usual);
	}
}

static void test_nothing_wraps_around(void **state)
{
	struct frame *f = *state;

	f->rows = 4;
	f->columns = 64;
	memset(f->pixel, 0, sizeof(f->pixel));
	f->pixel[63] = 100; /* end of row 0 and begin of row 1: no neighbours */
	f->pixel[64] = 90;
	expect_same(f, &usual);
	assert_int_equal(f->got[0], 63);
	assert_int_equal(f->got[1], 64);
}

static void test_thresholds_at_the_extremes(void **state)
{
	const double limits[] = { -INFINITY, -1e300, -1.0,    -0.0,    0.0,   1e-310, 0.5,
				  1.0,       65534,  65535.0, 65535.5, 65536, 1e300,  INFINITY };
	const uint16_t values[] = { 0, 1, 2, 65533, 65534, 65535 };
	const unsigned int n = sizeof(limits) / sizeof(limits[0]);
	static float gain[PIXELS_MAX];
	struct frame *f = *state;

	for (unsigned int i = 0; i < PIXELS_MAX; i++)
		gain[i] = 1.0f;
	f->rows = 5;
	f->columns = 70;
	for (unsigned int i = 0; i < n * n; i++) {
		struct reference_rule rule = { .background = limits[i / n], .xray = limits[i % n] };

		for (uint32_t p = 0; p < f->rows * f->columns; p++)
			f->pixel[p] = values[draw(6)];
		expect_same(f, &rule);
		rule.gain = gain;
		expect_same(f, &rule);
	}
}

static void test_missing_sectors_read_as_zeros(void **state)
{
	struct frame *f = *state;
	static uint16_t dark[PIXELS_MAX];

	for (uint32_t i = 0; i < PIXELS_MAX; i++)
		dark[i] = (uint16_t)(18 + draw(4));
	f->rows = 16;
	f->columns = 83;
	for (uint32_t mask = 0; mask < 16; mask++) {
		struct reference_rule rule = usual;

		rule.sector_rows = 4;
		rule.sector_mask = mask;
		fill_like_camera(f);
		/* Bright on both sides of each boundary. */
		for (uint32_t r = 3; r + 1 < f->rows; r += 4)
			for (uint32_t c = draw(5); c < f->columns; c += 1 + draw(6))
				f->pixel[(r + draw(2)) * f->columns + c] = (uint16_t)(90 + draw(4));
		expect_same(f, &rule);
		rule.dark = dark;
		rule.background = 8.5;
		expect_same(f, &rule);
	}
}

static void test_dark_wraps(void **state)
{
	static uint16_t dark[PIXELS_MAX];
	struct frame *f = *state;

	for (unsigned int round = 0; round < 100; round++) {
		const struct reference_rule rule = { .background = draw(20),
						     .xray = round % 2 ? 400.0 : 65530.0,
						     .dark = dark };

		f->rows = 1 + draw(10);
		f->columns = 1 + draw(150);
		fill_like_camera(f);
		for (uint32_t i = 0; i < PIXELS_MAX; i++)
			dark[i] = (uint16_t)(15 + draw(12));
		expect_same(f, &rule);
	}
}

static void test_gain_scales_in_single_precision(void **state)
{
	static float gain[PIXELS_MAX];
	static uint16_t dark[PIXELS_MAX];
	struct frame *f = *state;

	for (unsigned int round = 0; round < 200; round++) {
		struct reference_rule rule = { .background = 28.5 + draw(100) / 7.0,
					       .xray = 435.0,
					       .gain = gain };

		f->rows = 1 + draw(10);
		f->columns = 1 + draw(150);
		fill_like_camera(f);
		for (uint32_t i = 0; i < PIXELS_MAX; i++) {
			gain[i] = 0.7f + (float)draw(1000) / 1500.0f;
			dark[i] = (uint16_t)draw(10);
		}
		/* A threshold that some value meets exactly: equal is not above. */
		if (round % 3 == 0)
			rule.background = (double)((float)f->pixel[0] * gain[0]);
		if (round % 3 == 1)
			rule.xray = (double)((float)f->pixel[0] * gain[0]);
		rule.dark = round % 2 ? dark : NULL;
		expect_same(f, &rule);
	}
}

static void test_a_full_list_is_not_overrun(void **state)
{
	const struct count_rule rule = { .background = 28.5, .xray = 435.0 };
	const struct reference_rule plain = usual;
	struct count_rule_compiled *compiled = NULL;
	struct frame *f = *state;
	struct count_image image;
	uint32_t n;

	f->rows = 40;
	f->columns = 150;
	fill_like_camera(f);
	n = reference_count(&plain, f->pixel, f->rows, f->columns, f->expected);
	assert_true(n > 10);
	image = image_of(f, &plain, 0);
	assert_int_equal(count_rule_compile(&rule, f->rows, f->columns, &compiled, NULL), 0);
	for (uint32_t max = 0; max <= n + 1; max++) {
		uint32_t *events = malloc(max > 0 ? max * sizeof(*events) : 1);

		assert_non_null(events);
		assert_int_equal(count_events(kernel, compiled, &image, events, max), n);
		assert_memory_equal(events, f->expected, (max < n ? max : n) * sizeof(*events));
		free(events);
	}
	count_rule_free(compiled);
	free(f->bytes);
}

static void test_the_limit_is_reached_and_never_passed(void **state)
{
	struct frame *f = *state;

	for (f->rows = 1; f->rows <= 9; f->rows++) {
		for (f->columns = 1; f->columns <= 40; f->columns++) {
			const uint32_t limit = count_events_limit(f->rows, f->columns);

			for (uint32_t i = 0; i < f->rows * f->columns; i++)
				f->pixel[i] = (i / f->columns) % 2 == 0 && i % f->columns % 2 == 0
						      ? 100
						      : 0;
			expect_same(f, &usual);
			assert_int_equal(
				reference_count(&usual, f->pixel, f->rows, f->columns, f->expected),
				limit);
		}
	}
}

static void test_bad_rules_are_refused_by_name(void **state)
{
	float gain[4] = { 1.0f, 1.0f, -1.0f, 1.0f };
	const struct count_rule nan_low = { .background = NAN, .xray = 1.0 };
	const struct count_rule nan_high = { .background = 1.0, .xray = NAN };
	const struct count_rule bad_gain = { .background = 1.0, .xray = 9.0, .gain = gain };
	struct count_rule_compiled *compiled = NULL;
	struct sluice_error error;

	(void)state;
	assert_int_equal(count_rule_compile(&nan_low, 2, 2, &compiled, &error), -EINVAL);
	assert_int_equal(count_rule_compile(&nan_high, 2, 2, &compiled, &error), -EINVAL);
	assert_non_null(strstr(error.text, "threshold"));
	assert_int_equal(count_rule_compile(&bad_gain, 2, 2, &compiled, &error), -EINVAL);
	assert_non_null(strstr(error.text, "pixel 2"));
	gain[2] = INFINITY;
	assert_int_equal(count_rule_compile(&bad_gain, 2, 2, &compiled, &error), -EINVAL);
	gain[2] = NAN;
	assert_int_equal(count_rule_compile(&bad_gain, 2, 2, &compiled, &error), -EINVAL);
	gain[2] = 0.0f;
	assert_int_equal(count_rule_compile(&bad_gain, 0, 2, &compiled, &error), -EINVAL);
	assert_int_equal(count_rule_compile(&bad_gain, 2, 16385, &compiled, &error), -EINVAL);
	assert_null(compiled);
	assert_int_equal(count_rule_compile(&bad_gain, 2, 2, &compiled, &error), 0);
	count_rule_free(compiled);
	count_rule_free(NULL);
}

static void test_kernels_are_chosen_by_name(void **state)
{
	const struct count_kernel *k = NULL;
	struct sluice_error error;

	(void)state;
	assert_int_equal(unsetenv("SLUICE_COUNT_KERNEL"), 0);
	assert_int_equal(count_kernel_choose("portable", &k, NULL), 0);
	assert_string_equal(count_kernel_name(k), "portable");
	k = NULL;
	assert_int_equal(count_kernel_choose("sse9", &k, &error), -EINVAL);
	assert_null(k);
	assert_non_null(strstr(error.text, "sse9"));
	assert_int_equal(count_kernel_choose(NULL, &k, NULL), 0);
	assert_true(count_kernel_supported(k));
	for (unsigned int i = 0; count_kernel_at(i) != k; i++)
		assert_false(count_kernel_supported(count_kernel_at(i)));
	for (unsigned int i = 0; count_kernel_at(i); i++)
		if (!count_kernel_supported(count_kernel_at(i)))
			assert_int_equal(count_kernel_choose(count_kernel_name(count_kernel_at(i)),
							     &k, NULL),
					 -ENOTSUP);
}

static void test_the_environment_stands_in_for_auto(void **state)
{
	const struct count_kernel *k = NULL;

	(void)state;
	assert_int_equal(setenv("SLUICE_COUNT_KERNEL", "wide", 1), 0);
	assert_int_equal(count_kernel_choose("auto", &k, NULL), 0);
	assert_string_equal(count_kernel_name(k), "wide");
	assert_int_equal(count_kernel_choose("portable", &k, NULL), 0);
	assert_string_equal(count_kernel_name(k), "portable");
	assert_int_equal(setenv("SLUICE_COUNT_KERNEL", "none", 1), 0);
	assert_int_equal(count_kernel_choose(NULL, &k, NULL), -EINVAL);
	assert_int_equal(unsetenv("SLUICE_COUNT_KERNEL"), 0);
}

static int run_kernel_suite(const char *name)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(test_camera_frames_of_all_sizes),
		cmocka_unit_test(test_wide_frames),
		cmocka_unit_test(test_dense_frames_with_ties),
		cmocka_unit_test(test_any_pixels),
		cmocka_unit_test(test_one_event_anywhere),
		cmocka_unit_test(test_nothing_wraps_around),
		cmocka_unit_test(test_thresholds_at_the_extremes),
		cmocka_unit_test(test_missing_sectors_read_as_zeros),
		cmocka_unit_test(test_dark_wraps),
		cmocka_unit_test(test_gain_scales_in_single_precision),
		cmocka_unit_test(test_a_full_list_is_not_overrun),
		cmocka_unit_test(test_the_limit_is_reached_and_never_passed),
	};
	struct sluice_error error;
	const int ret = count_kernel_choose(name, &kernel, &error);

	if (ret < 0) {
		/* Not built for, or not in, this processor. */
		(void)fprintf(stderr, "skipped: %s\n", error.text);
		return SKIP;
	}
	return cmocka_run_group_tests_name(name, suite, make_frame, free_frame);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(test_bad_rules_are_refused_by_name),
		cmocka_unit_test(test_kernels_are_chosen_by_name),
		cmocka_unit_test(test_the_environment_stands_in_for_auto),
	};

	if (argc > 1)
		return run_kernel_suite(argv[1]);
	return cmocka_run_group_tests(suite, NULL, NULL);
}
