/* SPDX-License-Identifier: MIT */
/* Real detector output through the file source, pixel for pixel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/crc32c.h>
#include <base/error.h>

#include "source_fixture.h"

enum {
	HEADER = 384,
	PIXELS = 256 * 256,
	FRAMES = 8,
	SLOT = 2 * (HEADER + PIXELS),
	EXIT_SKIPPED = 77,
};

static uint8_t file[FRAMES * (HEADER + PIXELS)];
static uint8_t memory[FRAMES][SLOT];
static char spec[SOURCE_SPEC_MAX];

static void take_run(struct source *source, uint64_t run)
{
	struct sluice_wire_block table[2];
	const struct source_buffer buffer = {
		.slot = memory[run],
		.capacity = SLOT,
		.table = table,
		.table_max = 2,
	};
	struct source_fill fill;

	assert_int_equal(source_post(source, &buffer), 0);
	assert_int_equal(source_reap(source, WAIT_NS, &fill), 0);
	assert_int_equal(fill.block_count, 2);
	for (uint64_t i = 0; i < 2; i++) {
		const uint64_t frame = 2 * run + i;
		const uint8_t *const pixels = memory[run] + sluice_u32(table[i].offset);

		assert_int_equal(sluice_u64(table[i].frame), frame);
		assert_int_equal(sluice_u16(table[i].position_x), frame % 4);
		assert_int_equal(sluice_u16(table[i].position_y), frame / 4);
		assert_int_equal(sluice_u32(table[i].crc), crc32c(pixels, PIXELS));
		assert_memory_equal(pixels, file + frame * (HEADER + PIXELS) + HEADER, PIXELS);
	}
}

static void test_pixel_for_pixel(void **state)
{
	const struct source_args args = {
		.spec = spec,
		.framing = "merlin-mib",
		.depth = 1,
		.loops = 1,
		.memory = memory,
		.memory_bytes = sizeof(memory),
	};
	const struct source_scan scan = {
		.scan = 1,
		.scan_columns = 4,
		.scan_rows = 2,
		.frames_expected = FRAMES,
		.run_frames = 2,
		.stall_ns = WAIT_NS,
	};
	struct sluice_error error = { "" };
	struct source *source = NULL;
	struct source_fill fill;

	(void)state;
	if (source_open(&args, &source, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(source_info(source)->geometry.sectors, 1);
	assert_int_equal(source_info(source)->geometry.columns, 256);
	assert_int_equal(source_info(source)->geometry.rows, 256);
	assert_int_equal(source_info(source)->geometry.pixel, SLUICE_PIXEL_U8);
	assert_int_equal(source_info(source)->frames, FRAMES);
	assert_int_equal(source_start(source, &scan, &error), 0);
	for (uint64_t run = 0; run < FRAMES / 2; run++)
		take_run(source, run);
	assert_int_equal(source_reap(source, WAIT_NS, &fill), 0);
	assert_int_equal(fill.end, SOURCE_END_COMPLETE);
	source_close(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pixel_for_pixel),
	};
	const char *const root = getenv("SLUICE_SOURCE");
	FILE *in;

	(void)snprintf(spec, sizeof(spec), "file:%s/../shared/data/merlin-4x2-256x256-u8.mib",
		       root ? root : ".");
	in = fopen(spec + strlen("file:"), "rb");
	if (!in) {
		printf("skipped: no %s\n", spec + strlen("file:"));
		return EXIT_SKIPPED;
	}
	if (fread(file, 1, sizeof(file), in) != sizeof(file))
		return EXIT_FAILURE;
	(void)fclose(in);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
