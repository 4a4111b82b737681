/* SPDX-License-Identifier: MIT */
/* Arguments of a source: what is refused, by which name; and what a caller may not do. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>

#include "source_fixture.h"

static int setup(void **state)
{
	struct source_fixture *const f = calloc(1, sizeof(*f));
	uint8_t bytes[16 * BLOCK];

	source_fixture_init(f, "sluice");
	source_fixture_spec(f, "file", "blocks");
	for (uint64_t i = 0; i < 16; i++)
		block_write(bytes + i * BLOCK, SCAN, i);
	source_fixture_file(f, "blocks", bytes, sizeof(bytes));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	source_fixture_fini(*state);
	free(*state);
	return 0;
}

static void refused(const struct source_args *args, const char *text)
{
	struct source *source = NULL;
	struct sluice_error error = { "" };

	assert_int_equal(source_open(args, &source, &error), -EINVAL);
	assert_null(source);
	assert_non_null(strstr(error.text, text));
	assert_int_equal(source_open(args, &source, NULL), -EINVAL);
}

static void test_refused_arguments(void **state)
{
	struct source_fixture *const f = *state;
	char path[SOURCE_SPEC_MAX + 16] = "file:";
	struct source_args args;

	args = f->args, args.spec = NULL;
	refused(&args, "spec");
	args = f->args, args.spec = "tcp://host";
	refused(&args, "allowed: device:PATH");
	args = f->args, args.spec = "file:";
	refused(&args, "a path of 1");
	memset(path + 5, 'a', SOURCE_SPEC_MAX);
	args = f->args, args.spec = path;
	refused(&args, "a path of 1");
	/* One byte too long only with the sector's number in it. */
	memcpy(path + 5 + SOURCE_SPEC_MAX - 1, "{sector}", sizeof("{sector}"));
	refused(&args, "a path of 1");
	args = f->args, args.framing = "hdf5";
	refused(&args, "merlin-mib");
	args = f->args, args.framing = NULL;
	refused(&args, "framing");
	args = f->args, args.depth = 0;
	refused(&args, "depth");
	args = f->args, args.depth = SOURCE_DEPTH_MAX + 1;
	refused(&args, "depth");
	args = f->args, args.loops = 0;
	refused(&args, "loops");
	args = f->args, args.frames_per_s = -1;
	refused(&args, "frames per second");
	args = f->args, args.frames_per_s = NAN;
	refused(&args, "frames per second");
	args = f->args, args.sector = 2;
	refused(&args, "sector 2");
	args = f->args, args.geometry.pixel = SLUICE_PIXEL_U8;
	refused(&args, "pixel type");
}

static void not_started(struct source_fixture *f, struct source_scan scan, const char *text)
{
	struct sluice_error error = { "" };
	struct source_fill fill;

	assert_int_equal(source_start(f->source, &scan, &error), -EINVAL);
	assert_non_null(strstr(error.text, text));
	assert_int_equal(source_reap(f->source, 0, &fill), -EINVAL);
}

static void test_refused_scans(void **state)
{
	struct source_fixture *const f = *state;
	struct sluice_error error = { "" };
	struct source_scan scan;

	source_fixture_open(f);
	scan = f->scan, scan.frames_expected = 0;
	not_started(f, scan, "frames expected");
	scan = f->scan, scan.frames_expected = SOURCE_FRAMES_MAX + 1;
	not_started(f, scan, "frames expected");
	scan = f->scan, scan.run_frames = 0;
	not_started(f, scan, "runs");
	scan = f->scan, scan.run_frames = SLUICE_WIRE_RUN_FRAMES_MAX + 1;
	not_started(f, scan, "runs");
	scan = f->scan, scan.stall_ns = 0;
	not_started(f, scan, "stall");
	scan = f->scan, scan.scan_columns = 65536;
	not_started(f, scan, "65535");
	source_fixture_start(f);
	assert_int_equal(source_start(f->source, &f->scan, &error), -EBUSY);
}

static void test_refused_buffers(void **state)
{
	struct source_fixture *const f = *state;
	struct source_buffer good, b;

	good = (struct source_buffer){ .slot = f->memory,
				       .headroom = f->headroom,
				       .capacity = f->capacity,
				       .table = f->table[0],
				       .table_max = TABLE };
	source_fixture_open(f);
	assert_int_equal(source_post(f->source, &good), -EINVAL);
	source_fixture_start(f);
	b = good, b.slot = f->memory - 1;
	assert_int_equal(source_post(f->source, &b), -EINVAL);
	b = good, b.slot = f->memory + f->args.memory_bytes - f->headroom - f->capacity + 1;
	assert_int_equal(source_post(f->source, &b), -EINVAL);
	b = good, b.capacity = (uint32_t)f->args.memory_bytes;
	assert_int_equal(source_post(f->source, &b), -EINVAL);
	b = good, b.capacity = UINT32_MAX;
	assert_int_equal(source_post(f->source, &b), -EINVAL);
	b = good, b.capacity = BLOCK - 1;
	assert_int_equal(source_post(f->source, &b), -EINVAL);
	b = good, b.table_max = 0;
	assert_int_equal(source_post(f->source, &b), -EINVAL);
	for (unsigned int i = 0; i < f->args.depth; i++)
		assert_int_equal(source_post(f->source, &good), 0);
	assert_int_equal(source_post(f->source, &good), -ENOSPC);
}

/* Geometry first, the ring after. */
static void test_attach_later(void **state)
{
	struct source_fixture *const f = *state;
	struct sluice_error error = { "" };

	f->args.memory = NULL;
	f->args.geometry = (struct sluice_geometry){ 0 };
	source_fixture_open(f);
	assert_int_equal(source_info(f->source)->block_bytes, BLOCK);
	not_started(f, f->scan, "no ring");
	assert_int_equal(source_attach(f->source, NULL, 4096, &error), -EINVAL);
	assert_int_equal(source_attach(f->source, f->memory, (size_t)BUFFERS * 4096, &error), 0);
	assert_string_equal(source_info(f->source)->note, "");
	assert_int_equal(source_attach(f->source, f->memory, (size_t)BUFFERS * 4096, &error),
			 -EINVAL);
	source_fixture_start(f);
	source_fixture_run(f);
	assert_frames_from_0(f, 16);
}

/* Nothing comes after the end, and a scan ends once. */
static void test_end_is_told_once(void **state)
{
	struct source_fixture *const f = *state;
	struct source_fill fill;

	source_fixture_open(f);
	source_fixture_start(f);
	while (f->result.end == SOURCE_END_NONE) {
		source_fixture_post(f);
		assert_int_equal(source_fixture_reap(f, WAIT_NS), 0);
	}
	assert_int_equal(source_reap(f->source, 0, &fill), -EINVAL);
	source_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_refused_arguments), TEST(test_refused_scans),
		TEST(test_refused_buffers),   TEST(test_attach_later),
		TEST(test_end_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
