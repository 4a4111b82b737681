/* SPDX-License-Identifier: MIT */
/* model/model.h: whole frames cut into sectors, their checksums, and which one stands for which. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/crc32c.h>
#include <base/error.h>
#include <model/camera.h>
#include <model/model.h>
#include <model/pattern.h>

enum {
	ROWS = 24,
	COLUMNS = 50,
	SECTORS = 3,
	DISTINCT = 5,
};

static const struct model_args small = {
	.geometry = { .sectors = SECTORS,
		      .layout = SLUICE_LAYOUT_ROWS,
		      .rows = ROWS,
		      .columns = COLUMNS,
		      .pixel = SLUICE_PIXEL_U16 },
	.seed = 7,
	.distinct = DISTINCT,
	.sectors_served = 7,
};

static struct model *make(const struct model_args *args)
{
	struct model *model = NULL;

	assert_int_equal(model_create(args, &model, NULL), 0);
	assert_non_null(model);
	return model;
}

/* The pixel of @payload at @index, by the definition of each type. */
static uint32_t pixel_at(const uint8_t *p, size_t index, uint16_t pixel)
{
	switch (pixel) {
	case SLUICE_PIXEL_U8:
		return p[index];
	case SLUICE_PIXEL_U16:
		return p[2 * index] | p[2 * index + 1] << 8;
	case SLUICE_PIXEL_U16BE:
		return p[2 * index + 1] | p[2 * index] << 8;
	case SLUICE_PIXEL_U32:
		return p[4 * index] | p[4 * index + 1] << 8 | p[4 * index + 2] << 16 |
		       (uint32_t)p[4 * index + 3] << 24;
	default:
		return p[4 * index + 3] | p[4 * index + 2] << 8 | p[4 * index + 1] << 16 |
		       (uint32_t)p[4 * index] << 24;
	}
}

static void check_cut(uint16_t layout, uint16_t pixel)
{
	struct model_args args = small;
	static struct camera camera;
	uint16_t frame[SECTORS * ROWS * COLUMNS];
	struct camera_hit *hits;
	struct model *model;
	uint32_t stride;

	args.geometry.layout = layout;
	args.geometry.pixel = pixel;
	model = make(&args);
	stride = sluice_frame_columns(&args.geometry);
	camera_init(&camera, args.seed, sluice_frame_rows(&args.geometry), stride);
	hits = calloc(camera_hits_max(&camera), sizeof(*hits));
	assert_non_null(hits);
	/* DISTINCT is below the number of beam states: each has its own. */
	(void)camera_expose(&camera, 2, 2, DISTINCT, frame, hits);
	for (unsigned int s = 0; s < SECTORS; s++) {
		const uint8_t *payload = model_payload(model, 2, (uint16_t)s);

		for (size_t i = 0; i < ROWS * COLUMNS; i++) {
			const size_t row = i / COLUMNS, column = i % COLUMNS;
			const size_t at = layout == SLUICE_LAYOUT_ROWS
						  ? (s * ROWS + row) * stride + column
						  : row * stride + s * COLUMNS + column;
			const uint16_t want = pixel == SLUICE_PIXEL_U8 && frame[at] > 255
						      ? 255
						      : frame[at];

			assert_int_equal(pixel_at(payload, i, pixel), want);
		}
	}
	free(hits);
	model_destroy(model);
}

static void sectors_are_cut_from_whole_frames(void **state)
{
	(void)state;
	for (unsigned int p = SLUICE_PIXEL_U8; p <= SLUICE_PIXEL_U32BE; p++) {
		check_cut(SLUICE_LAYOUT_ROWS, (uint16_t)p);
		check_cut(SLUICE_LAYOUT_COLUMNS, (uint16_t)p);
	}
}

static void checksums_are_those_of_the_payloads(void **state)
{
	struct model *model = make(&small);

	(void)state;
	for (uint32_t p = 0; p < DISTINCT; p++)
		for (unsigned int s = 0; s < SECTORS; s++)
			assert_int_equal(model_payload_crc(model, p, (uint16_t)s),
					 crc32c(model_payload(model, p, (uint16_t)s),
						sluice_sector_bytes(&small.geometry)));
	model_destroy(model);
}

/* Boards in programs of their own show the same frames as boards in one. */
static void a_sector_is_the_same_alone(void **state)
{
	struct model_args args = small;
	struct model *all = make(&small), *one;

	(void)state;
	args.sectors_served = 1 << 1;
	one = make(&args);
	for (uint32_t p = 0; p < DISTINCT; p++)
		assert_memory_equal(model_payload(all, p, 1), model_payload(one, p, 1),
				    sluice_sector_bytes(&small.geometry));
	model_destroy(one);
	model_destroy(all);
}

static void patterns_check_and_differ(void **state)
{
	const size_t bytes = sluice_sector_bytes(&small.geometry);

	(void)state;
	for (int g = MODEL_COUNTER; g <= MODEL_PRBS; g++) {
		struct model_args args = small;
		struct model *model;
		uint32_t hits = 1;

		args.generator = (enum model_generator)g;
		model = make(&args);
		for (uint32_t p = 0; p < DISTINCT; p++) {
			const uint8_t *payload = model_payload(model, p, 2);

			assert_int_equal(g == MODEL_COUNTER ? counter_check(payload, bytes)
							    : prbs_check(payload, bytes),
					 0);
			assert_memory_not_equal(payload, model_payload(model, p, 1), bytes);
		}
		assert_int_equal(model_block_flags(&args), g == MODEL_COUNTER
								   ? SLUICE_BLOCK_PATTERN_COUNTER
								   : SLUICE_BLOCK_PATTERN_PRBS);
		assert_null(model_hits(model, 0, &hits));
		assert_int_equal(hits, 0);
		model_destroy(model);
	}
	assert_int_equal(model_block_flags(&small), 0);
}

static void positions_follow_the_frames(void **state)
{
	const struct model_scan one_each = { .columns = 5, .rows = 4, .frames = 20 };
	const struct model_scan three_each = { .columns = 5, .rows = 4, .frames = 60 };
	const struct model_scan largest = { .columns = 65535,
					    .rows = 65535,
					    .frames = MODEL_FRAMES_MAX };

	(void)state;
	for (uint64_t f = 0; f < 20; f++)
		assert_int_equal(model_position(&one_each, f), f);
	for (uint64_t f = 0; f < 60; f++)
		assert_int_equal(model_position(&three_each, f), f / 3);
	assert_true(model_position(&largest, MODEL_FRAMES_MAX - 1) < UINT64_C(65535) * 65535);
}

static void the_choice_is_pure_and_in_range(void **state)
{
	const struct model_scan scan = { .columns = 33, .rows = 32, .frames = 33 * 32 };
	static const uint32_t counts[] = { 1, 2, 7, 8, 9, 64, 100, MODEL_DISTINCT_MAX };
	struct model_args args = small;

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		args.distinct = counts[i];
		for (uint64_t f = 0; f < scan.frames; f++) {
			const uint32_t choice = model_frame_choice(&args, &scan, f);

			assert_true(choice < counts[i]);
			assert_int_equal(model_frame_choice(&args, &scan, f), choice);
		}
	}
	args.generator = MODEL_PRBS;
	args.distinct = 7;
	for (uint64_t f = 0; f < 30; f++)
		assert_int_equal(model_frame_choice(&args, &scan, f), f % 7);
}

/* The mean beam state over a patch of the scan follows the specimen: there is a picture. */
static void the_choice_shows_the_specimen(void **state)
{
	const struct model_scan scan = { .columns = 64, .rows = 64, .frames = 64 * 64 };
	struct model_args args = small;
	double thick = 0, thin = 0;
	unsigned int thicks = 0, thins = 0;

	(void)state;
	args.distinct = 64;
	for (uint64_t f = 0; f < scan.frames; f++) {
		const uint64_t x = f % 64, y = f / 64;
		const double through = camera_specimen(args.seed, ((double)x + 0.5) / 64,
						       ((double)y + 0.5) / 64);
		const uint32_t beam_state = model_frame_choice(&args, &scan, f) / 8;

		thick += through < 0.4 ? beam_state : 0;
		thicks += through < 0.4;
		thin += through > 0.8 ? beam_state : 0;
		thins += through > 0.8;
	}
	assert_true(thicks > 10 && thins > 10);
	assert_true(thin / thins > thick / thicks + 2.0);
}

static void what_cannot_be_is_refused_by_name(void **state)
{
	struct model *model = NULL;
	struct sluice_error error;
	struct model_args args = small;

	(void)state;
	args.sectors_served = 1 << SECTORS;
	assert_int_equal(model_create(&args, &model, &error), -EINVAL);
	assert_non_null(strstr(error.text, "0 ... 2"));
	args.sectors_served = 0;
	assert_int_equal(model_create(&args, &model, &error), -EINVAL);
	args = small;
	args.distinct = MODEL_DISTINCT_MAX + 1;
	assert_int_equal(model_create(&args, &model, &error), -EINVAL);
	assert_non_null(strstr(error.text, "4096"));
	args.distinct = 0;
	assert_int_equal(model_create(&args, &model, &error), -EINVAL);
	args = small;
	args.geometry.pixel = 9;
	assert_int_equal(model_create(&args, &model, &error), -EINVAL);
	args = small;
	args.geometry.sectors = 1;
	args.geometry.rows = 4096;
	args.geometry.columns = 4096;
	args.distinct = MODEL_DISTINCT_MAX;
	args.sectors_served = 1;
	assert_int_equal(model_create(&args, &model, &error), -ENOSPC);
	assert_null(model);
	model_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sectors_are_cut_from_whole_frames),
		cmocka_unit_test(checksums_are_those_of_the_payloads),
		cmocka_unit_test(a_sector_is_the_same_alone),
		cmocka_unit_test(patterns_check_and_differ),
		cmocka_unit_test(positions_follow_the_frames),
		cmocka_unit_test(the_choice_is_pure_and_in_range),
		cmocka_unit_test(the_choice_shows_the_specimen),
		cmocka_unit_test(what_cannot_be_is_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
