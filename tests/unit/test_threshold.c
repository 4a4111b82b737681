/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <consume/count.h>
#include <consume/gauss.h>
#include <consume/threshold.h>

enum {
	ROWS = 128,
	COLUMNS = 128,
	PIXELS = ROWS * COLUMNS,
};

static uint64_t random_state;

static double uniform(void)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return ((double)(random_state >> 33) + 0.5) / 2147483648.0;
}

static double normal(void)
{
	return sqrt(-2.0 * log(uniform())) * cos(6.283185307179586 * uniform());
}

/* Pedestal and noise of the camera, one event per 300 pixels, rare x-rays. */
static void fill(uint16_t *pixel, double mean, double sigma)
{
	for (uint32_t i = 0; i < PIXELS; i++) {
		pixel[i] = (uint16_t)lrint(fmax(0.0, mean + sigma * normal()));
		if (uniform() < 1.0 / 300.0)
			pixel[i] = (uint16_t)(60.0 + 240.0 * uniform());
	}
	pixel[PIXELS / 2] = 2600;
}

static struct count_image image_of(const uint16_t *pixel, const void **row)
{
	for (uint32_t r = 0; r < ROWS; r++)
		row[r] = pixel + (size_t)r * COLUMNS;
	return (struct count_image){ .row = row, .rows = ROWS, .columns = COLUMNS };
}

static int fit(const struct count_rule *correction, double mean, double sigma,
	       struct threshold *ret_threshold, struct sluice_error *reterr)
{
	const struct threshold_args args = THRESHOLD_ARGS_INIT;
	static uint16_t pixel[PIXELS];
	const void *row[ROWS];
	struct threshold_sampler *sampler;
	int ret;

	random_state = 7;
	assert_int_equal(threshold_sampler_open(correction, ROWS, COLUMNS, &sampler), 0);
	for (int i = 0; i < 5; i++) {
		struct count_image image;

		if (sigma > 0.0)
			fill(pixel, mean, sigma);
		else
			memset(pixel, (int)mean, sizeof(pixel));
		image = image_of(pixel, row);
		assert_int_equal(threshold_sampler_add(sampler, &image), 0);
	}
	ret = threshold_sampler_fit(sampler, &args, ret_threshold, reterr);
	threshold_sampler_close(sampler);
	return ret;
}

static void test_fit_finds_the_curve_it_was_given(void **state)
{
	const double means[] = { 3.2, 20.5, 77.7 }, sigmas[] = { 0.8, 1.79, 6.0 };
	uint64_t histogram[100];
	struct gauss g;

	(void)state;
	for (unsigned int m = 0; m < 3; m++) {
		for (unsigned int s = 0; s < 3; s++) {
			for (unsigned int i = 0; i < 100; i++) {
				const double u = (i - means[m]) / sigmas[s];

				histogram[i] = (uint64_t)llrint(1e12 * exp(-0.5 * u * u));
			}
			assert_int_equal(gauss_fit(histogram, 100, 1000.0, &g), 0);
			assert_true(fabs(g.mean - 1000.0 - means[m]) < 1e-6);
			assert_true(fabs(g.sigma - sigmas[s]) < 1e-6);
			assert_true(fabs(g.amplitude / 1e12 - 1.0) < 1e-6);
		}
	}
}

static void test_fit_refuses_what_is_no_gaussian(void **state)
{
	uint64_t histogram[64] = { 0 };
	struct gauss g = { .mean = -1.0 };

	(void)state;
	assert_int_equal(gauss_fit(histogram, 64, 0.0, &g), -EDOM); /* empty */
	histogram[10] = 1000;
	assert_int_equal(gauss_fit(histogram, 64, 0.0, &g), -EDOM);    /* one value */
	assert_int_equal(gauss_fit(histogram + 9, 2, 0.0, &g), -EDOM); /* too few bins */
	for (int i = 0; i < 64; i++)
		histogram[i] = 500;
	assert_int_equal(gauss_fit(histogram, 64, 0.0, &g), -EDOM); /* flat */
	assert_true(g.mean == -1.0);
}

static void test_camera_noise_gives_its_thresholds(void **state)
{
	struct threshold t;

	(void)state;
	assert_int_equal(fit(NULL, 20.5, 1.79, &t, NULL), 0);
	assert_true(t.calculated);
	assert_int_equal(t.samples, 5);
	assert_true(fabs(t.optimized_mean - 20.5) < 0.05);
	assert_true(fabs(t.optimized_std_dev - 1.8) < 0.05); /* rounding adds a little */
	assert_true(t.background == t.optimized_mean + 4.5 * t.optimized_std_dev);
	assert_true(t.xray == t.mean + 175.0 * t.std_dev);
	assert_true(fabs(t.std_dev * t.std_dev - t.variance) < 1e-9);
	assert_true(t.max == 2600.0);
	assert_true(t.bins <= 2601 - (uint32_t)t.min);
	assert_true(t.seed == 1);
}

static void test_the_same_samples_give_the_same_numbers(void **state)
{
	struct threshold a, b;

	(void)state;
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	assert_int_equal(fit(NULL, 20.5, 1.79, &a, NULL), 0);
	assert_int_equal(fit(NULL, 20.5, 1.79, &b, NULL), 0);
	assert_true(a.background == b.background && a.xray == b.xray && a.mean == b.mean &&
		    a.variance == b.variance);
}

/* Half of the differences to the dark reference are negative: they are no huge pixels. */
static void test_dark_and_gain_are_applied(void **state)
{
	static uint16_t dark[PIXELS];
	static float gain[PIXELS];
	struct count_rule correction = { .dark = dark };
	struct threshold t;

	(void)state;
	for (unsigned int i = 0; i < PIXELS; i++) {
		dark[i] = 20;
		gain[i] = 2.0f;
	}
	assert_int_equal(fit(&correction, 20.5, 1.79, &t, NULL), 0);
	assert_true(fabs(t.optimized_mean - 0.5) < 0.05);
	assert_true(t.min < 0.0);
	assert_true(t.max == 2580.0);
	correction = (struct count_rule){ .gain = gain };
	assert_int_equal(fit(&correction, 60.0, 6.0, &t, NULL), 0);
	assert_true(t.max == 5200.0);
}

static void test_flat_and_empty_data_are_named(void **state)
{
	const struct threshold_args args = THRESHOLD_ARGS_INIT;
	struct threshold_sampler *sampler;
	struct threshold t = { .background = -3.0 };
	struct sluice_error error;

	(void)state;
	assert_int_equal(fit(NULL, 20, 0.0, &t, &error), -EDOM);
	assert_non_null(strstr(error.text, "are 5140")); /* two bytes of 20 */
	assert_int_equal(threshold_sampler_open(NULL, 4, 4, &sampler), 0);
	assert_int_equal(threshold_sampler_fit(sampler, &args, &t, &error), -ENODATA);
	assert_non_null(strstr(error.text, "no complete frame"));
	assert_true(t.background == -3.0);
	threshold_sampler_close(sampler);
	threshold_sampler_close(NULL);
}

static void test_samples_are_of_one_shape(void **state)
{
	static const uint16_t pixel[PIXELS];
	const void *row[ROWS];
	struct count_image image = image_of(pixel, row);
	struct threshold_sampler *sampler;

	(void)state;
	assert_int_equal(threshold_sampler_open(NULL, 0, 4, &sampler), -EINVAL);
	assert_int_equal(threshold_sampler_open(NULL, ROWS, COLUMNS, &sampler), 0);
	image.rows = ROWS - 1;
	assert_int_equal(threshold_sampler_add(sampler, &image), -EINVAL);
	threshold_sampler_close(sampler);
}

/* Where a sector is missing there is nothing: no zeros that would pull the mean down. */
static void test_missing_rows_are_left_out(void **state)
{
	static const struct threshold_args args = THRESHOLD_ARGS_INIT;
	static uint16_t pixel[PIXELS];
	const void *row[ROWS];
	struct count_image image = image_of(pixel, row);
	struct threshold_sampler *sampler;
	struct threshold t;

	(void)state;
	random_state = 9;
	fill(pixel, 20.5, 1.79);
	for (unsigned int r = 0; r < ROWS / 4; r++)
		row[r] = NULL;
	assert_int_equal(threshold_sampler_open(NULL, ROWS, COLUMNS, &sampler), 0);
	assert_int_equal(threshold_sampler_add(sampler, &image), 0);
	assert_int_equal(threshold_sampler_fit(sampler, &args, &t, NULL), 0);
	threshold_sampler_close(sampler);
	assert_true(t.min > 5.0);
	assert_true(fabs(t.mean - 20.5) < 1.0);
	assert_true(fabs(t.optimized_mean - 20.5) < 0.2);
}

static void test_the_choice_of_samples_is_a_function(void **state)
{
	uint64_t a[THRESHOLD_SAMPLES], b[THRESHOLD_SAMPLES];

	(void)state;
	for (uint64_t frames = 0; frames < 300; frames++) {
		const unsigned int n = threshold_choose(frames, frames, THRESHOLD_SAMPLES, a);

		assert_int_equal(n, frames < THRESHOLD_SAMPLES ? frames : THRESHOLD_SAMPLES);
		for (unsigned int i = 0; i < n; i++) {
			assert_true(a[i] < frames);
			assert_true(i == 0 || a[i] > a[i - 1]);
		}
		assert_int_equal(threshold_choose(frames, frames, THRESHOLD_SAMPLES, b), n);
		assert_memory_equal(a, b, n * sizeof(a[0]));
	}
	assert_int_equal(threshold_choose(1, 4160, THRESHOLD_SAMPLES, a), THRESHOLD_SAMPLES);
	assert_int_equal(threshold_choose(2, 4160, THRESHOLD_SAMPLES, b), THRESHOLD_SAMPLES);
	assert_memory_not_equal(a, b, sizeof(a));
}

static void test_given_thresholds_are_stated_as_given(void **state)
{
	const struct threshold t = threshold_given(28.5, 435.0);

	(void)state;
	assert_false(t.calculated);
	assert_true(t.background == 28.5 && t.xray == 435.0 && t.samples == 0);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(test_fit_finds_the_curve_it_was_given),
		cmocka_unit_test(test_fit_refuses_what_is_no_gaussian),
		cmocka_unit_test(test_camera_noise_gives_its_thresholds),
		cmocka_unit_test(test_the_same_samples_give_the_same_numbers),
		cmocka_unit_test(test_dark_and_gain_are_applied),
		cmocka_unit_test(test_flat_and_empty_data_are_named),
		cmocka_unit_test(test_samples_are_of_one_shape),
		cmocka_unit_test(test_missing_rows_are_left_out),
		cmocka_unit_test(test_the_choice_of_samples_is_a_function),
		cmocka_unit_test(test_given_thresholds_are_stated_as_given),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
