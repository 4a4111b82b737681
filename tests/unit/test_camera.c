/* SPDX-License-Identifier: MIT */
/* model/camera.h: frames are a function of the seed, look like the real ones, and know their truth.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include <model/camera.h>

enum {
	SIDE = 576,
	PIXELS = SIDE * SIDE,
	FRAMES = 12,
	STATES = 4,
};

static struct camera camera;
static uint16_t pixels[PIXELS], again[PIXELS];
static struct camera_hit *hits;

static int set_up(void **state)
{
	(void)state;
	camera_init(&camera, 42, SIDE, SIDE);
	hits = calloc(camera_hits_max(&camera), sizeof(*hits));
	return hits ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	free(hits);
	return 0;
}

static void a_frame_is_a_function_of_seed_and_number(void **state)
{
	const uint32_t count = camera_expose(&camera, 3, 1, STATES, pixels, hits);
	const struct camera_hit first = hits[0];
	static struct camera other;

	(void)state;
	memset(again, 0xff, sizeof(again));
	assert_int_equal(camera_expose(&camera, 3, 1, STATES, again, hits), count);
	assert_memory_equal(&hits[0], &first, sizeof(first));
	assert_memory_equal(pixels, again, sizeof(pixels));
	(void)camera_expose(&camera, 4, 1, STATES, again, hits);
	assert_memory_not_equal(pixels, again, sizeof(pixels));
	camera_init(&other, 43, SIDE, SIDE);
	(void)camera_expose(&other, 3, 1, STATES, again, hits);
	assert_memory_not_equal(pixels, again, sizeof(pixels));
}

/* Beam-on data: pedestal 20.5, sigma 1.79, minimum 9 to 12, x-ray threshold about 432 to 442. */
static void noise_and_dose_are_those_of_the_reference(void **state)
{
	double sum = 0, sum2 = 0, low = 0, low2 = 0;
	uint64_t lows = 0;
	uint16_t min = UINT16_MAX, max = 0;
	const double n = (double)FRAMES * PIXELS;

	(void)state;
	for (uint32_t f = 0; f < FRAMES; f++) {
		(void)camera_expose(&camera, f, f % STATES, STATES, pixels, hits);
		for (size_t i = 0; i < PIXELS; i++) {
			const double v = pixels[i];

			sum += v;
			sum2 += v * v;
			min = pixels[i] < min ? pixels[i] : min;
			max = pixels[i] > max ? pixels[i] : max;
			if (v > 29)
				continue;
			lows++;
			low += v;
			low2 += v * v;
		}
	}
	/* Rounding adds 1/12 to the variance. */
	assert_true(fabs(low / (double)lows - 20.5) < 0.02);
	assert_true(fabs(sqrt(low2 / (double)lows - low * low / ((double)lows * (double)lows)) -
			 sqrt(1.79 * 1.79 + 1.0 / 12)) < 0.02);
	assert_in_range(min, 9, 12);
	assert_in_range(max, 235, 400);
	sum /= n;
	assert_in_range((uintmax_t)(sum + 175.0 * sqrt(sum2 / n - sum * sum)), 415, 460);
}

static int is_background(uint16_t v)
{
	return v <= 32;
}

static void each_true_electron_is_brighter_than_the_background(void **state)
{
	uint32_t electrons = 0;

	(void)state;
	for (uint32_t f = 0; f < FRAMES; f++) {
		const uint32_t count = camera_expose(&camera, f, 0, 1, pixels, hits);

		assert_true(count <= camera_hits_max(&camera));
		for (uint32_t i = 0; i < count; i++) {
			assert_in_range(hits[i].row, 0, SIDE - 1);
			assert_in_range(hits[i].column, 0, SIDE - 1);
			assert_in_range(hits[i].counts, CAMERA_EVENT_MIN, CAMERA_EVENT_MAX);
			assert_int_equal(hits[i].xray, 0);
			assert_false(is_background(pixels[hits[i].row * SIDE + hits[i].column]));
			electrons++;
		}
	}
	assert_in_range(electrons / FRAMES, 100, 160);
}

/* The other way round: nothing is bright but where a hit is, or beside one. */
static void what_is_bright_is_an_electron_or_its_neighbour(void **state)
{
	const uint32_t count = camera_expose(&camera, 0, 0, 1, pixels, hits);

	(void)state;
	for (uint32_t i = 0; i < count; i++)
		for (int r = hits[i].row - 1; r <= hits[i].row + 1; r++)
			for (int c = hits[i].column - 1; c <= hits[i].column + 1; c++)
				if (r >= 0 && r < SIDE && c >= 0 && c < SIDE)
					pixels[r * SIDE + c] = 20;
	for (size_t i = 0; i < PIXELS; i++)
		assert_true(is_background(pixels[i]));
}

static void xrays_are_rare_and_above_2000(void **state)
{
	uint32_t xrays = 0;

	(void)state;
	for (uint32_t f = 0; f < 2 * CAMERA_XRAY_EVERY; f++) {
		const uint32_t count = camera_expose(&camera, f, 0, 1, pixels, hits);

		for (uint32_t i = 0; i < count; i++) {
			if (!hits[i].xray)
				continue;
			assert_true(pixels[hits[i].row * SIDE + hits[i].column] > CAMERA_XRAY_MIN);
			xrays++;
		}
	}
	assert_int_equal(xrays, 2);
}

static double straight_electrons(uint32_t beam_state)
{
	double inside = 0;

	for (uint32_t f = 0; f < FRAMES; f++) {
		const uint32_t count = camera_expose(&camera, f, beam_state, STATES, pixels, hits);

		for (uint32_t i = 0; i < count; i++)
			inside += hypot(hits[i].row - SIDE / 2.0, hits[i].column - SIDE / 2.0) <
				  0.09 * SIDE + 1;
	}
	return inside / FRAMES;
}

static void more_goes_straight_on_where_the_specimen_is_thin(void **state)
{
	(void)state;
	for (uint32_t s = 1; s < STATES; s++)
		assert_true(straight_electrons(s) > straight_electrons(s - 1) + 10);
}

static void the_specimen_has_contrast_and_bounds(void **state)
{
	double min = 1, max = 0;

	(void)state;
	for (unsigned int i = 0; i < 100 * 100; i++) {
		const double t = camera_specimen(42, (i % 100) / 100.0, floor(i / 100.0) / 100.0);

		min = fmin(min, t);
		max = fmax(max, t);
	}
	assert_true(min >= 0.0 && min < 0.4);
	assert_true(max <= 1.0 && max > 0.85);
}

/* Also frames of one pixel, of an odd number of them, of one row. */
static void small_frames_stay_in_their_memory(void **state)
{
	static const uint32_t sizes[][2] = { { 1, 1 }, { 3, 3 }, { 1, 17 }, { 5, 1 } };
	static struct camera small;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const size_t count = (size_t)sizes[i][0] * sizes[i][1];
		uint16_t *frame = malloc(count * sizeof(*frame));
		struct camera_hit *room;

		camera_init(&small, i, sizes[i][0], sizes[i][1]);
		room = calloc(camera_hits_max(&small), sizeof(*room));
		assert_non_null(frame);
		assert_non_null(room);
		for (uint32_t f = 0; f < 64; f++)
			assert_true(camera_expose(&small, f, 0, 1, frame, room) <=
				    camera_hits_max(&small));
		free(room);
		free(frame);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_is_a_function_of_seed_and_number),
		cmocka_unit_test(noise_and_dose_are_those_of_the_reference),
		cmocka_unit_test(each_true_electron_is_brighter_than_the_background),
		cmocka_unit_test(what_is_bright_is_an_electron_or_its_neighbour),
		cmocka_unit_test(xrays_are_rare_and_above_2000),
		cmocka_unit_test(more_goes_straight_on_where_the_specimen_is_thin),
		cmocka_unit_test(the_specimen_has_contrast_and_bounds),
		cmocka_unit_test(small_frames_stay_in_their_memory),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
