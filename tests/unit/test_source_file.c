/* SPDX-License-Identifier: MIT */
/* A source on recorded files: frame order, loops, pace, and files that are not what they seem. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>

#include "source_fixture.h"

static int setup(void **state)
{
	struct source_fixture *const f = calloc(1, sizeof(*f));

	source_fixture_init(f, "4dcamera-v5");
	source_fixture_spec(f, "file", "data_scan*_module{sector}_*.data");
	f->scan.scan_columns = 4;
	f->scan.scan_rows = 4;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	source_fixture_fini(*state);
	free(*state);
	return 0;
}

/* A file with the blocks of @frames (hexadecimal digits), in that order; "-" is 10 foreign bytes,
 * "!" half a block. */
static void camera_file(struct source_fixture *f, const char *name, const char *frames)
{
	uint8_t bytes[64 * CAMERA_BLOCK];
	size_t len = 0;

	for (; *frames; frames++) {
		const char digit[] = { *frames, '\0' };

		if (*frames == '-') {
			memset(bytes + len, 0xff, 10);
			len += 10;
			continue;
		}
		if (*frames == '!') {
			camera_block_write(bytes + len, 20, 15, 4, 4);
			len += CAMERA_BLOCK / 2;
			continue;
		}
		camera_block_write(bytes + len, 20, (uint32_t)strtoul(digit, NULL, 16), 4, 4);
		len += CAMERA_BLOCK;
	}
	source_fixture_file(f, name, bytes, len);
}

static void run(struct source_fixture *f)
{
	source_fixture_open(f);
	f->scan.frames_expected = source_info(f->source)->frames;
	source_fixture_start(f);
	source_fixture_run(f);
}

/* Blocks in any order, in several files; another sector's are not looked at. */
static void test_frame_order(void **state)
{
	struct source_fixture *const f = *state;
	const struct source_info *info;

	camera_file(f, "data_scan0000000020_module1_dst0_file0.data", "f30512");
	camera_file(f, "data_scan0000000020_module1_dst0_file1.data", "89ab4");
	camera_file(f, "data_scan0000000020_module1_dst1_file0.data", "e67dc");
	camera_file(f, "data_scan0000000020_module0_dst0_file0.data", "0123");
	run(f);
	assert_frames_from_0(f, 16);
	assert_int_equal(f->result.end, SOURCE_END_COMPLETE);
	/* One buffer holds one run. */
	assert_int_equal(f->result.fills, 4);
	assert_int_equal(f->result.bytes_skipped, 0);
	info = source_info(f->source);
	assert_int_equal(info->scan_columns, 4);
	assert_int_equal(info->scan_rows, 4);
	assert_int_equal(info->frames, 16);
	assert_int_equal(info->first_scan, 20);
	assert_int_equal(info->header_bytes, 16);
	assert_int_equal(info->block_bytes, CAMERA_BLOCK);
}

/* What lies together is read together. */
static void test_coalesces(void **state)
{
	struct source_fixture *const f = *state;

	camera_file(f, "data_scan_module1_a.data", "0123456789abcdef");
	run(f);
	assert_int_equal(source_stats(f->source)->reads, 16 / RUN);
	assert_int_equal(source_stats(f->source)->bytes, 16 * CAMERA_BLOCK);
}

static void test_loops(void **state)
{
	struct source_fixture *const f = *state;

	camera_file(f, "data_scan_module1_a.data", "fedcba9876543210");
	f->args.loops = 3;
	run(f);
	/* Pixels are the same in each loop, frame numbers go on. */
	assert_frames_from_0(f, 48);
	assert_int_equal(f->result.end, SOURCE_END_COMPLETE);
	assert_int_equal(source_info(f->source)->frames, 48);
}

static void test_stops_at_expected(void **state)
{
	struct source_fixture *const f = *state;

	camera_file(f, "data_scan_module1_a.data", "0123456789abcdef");
	f->args.loops = 3;
	source_fixture_open(f);
	f->scan.frames_expected = 21;
	source_fixture_start(f);
	source_fixture_run(f);
	assert_frames_from_0(f, 21);
	assert_int_equal(f->result.end, SOURCE_END_COMPLETE);
}

static void test_missing_frames(void **state)
{
	static const uint64_t frames[] = { 0, 1, 5, 6, 7, 14 };
	struct source_fixture *const f = *state;

	camera_file(f, "data_scan_module1_a.data", "17560e");
	run(f);
	assert_frames(f, frames, 6);
	/* The scan has 16 positions; its last frame is not in the file. */
	assert_int_equal(source_info(f->source)->frames, 16);
	assert_int_equal(f->result.end, SOURCE_END_CUT);
}

static void test_duplicates(void **state)
{
	struct source_fixture *const f = *state;

	camera_file(f, "data_scan_module1_a.data", "0123456789abcdef");
	camera_file(f, "data_scan_module1_b.data", "33f");
	run(f);
	assert_frames_from_0(f, 16);
	assert_int_equal(source_stats(f->source)->duplicates, 3);
}

static void test_foreign_bytes_between(void **state)
{
	struct source_fixture *const f = *state;

	camera_file(f, "data_scan_module1_a.data", "012-3456-789");
	camera_file(f, "data_scan_module1_b.data", "-abcdef!");
	run(f);
	assert_frames_from_0(f, 16);
	assert_int_equal(source_stats(f->source)->bytes_skipped, 30 + CAMERA_BLOCK / 2);
	assert_int_equal(source_stats(f->source)->resyncs, 3);
}

/* Half a block in the middle: the one after it is not lost with it. */
static void test_half_a_block(void **state)
{
	struct source_fixture *const f = *state;

	camera_file(f, "data_scan_module1_a.data", "012!3456789abcdef");
	run(f);
	assert_frames_from_0(f, 16);
	assert_int_equal(source_stats(f->source)->bad_length, 1);
	assert_int_equal(source_stats(f->source)->bytes_skipped, CAMERA_BLOCK / 2);
}

/* The file was overwritten after it was indexed: what is no longer there is not delivered. */
static void test_changed_since(void **state)
{
	static const uint64_t frames[] = { 0, 1, 3, 4, 5, 6, 7 };
	struct source_fixture *const f = *state;
	int fd;

	camera_file(f, "data_scan_module1_a.data", "0123456789abcdef");
	source_fixture_open(f);
	fd = open(source_fixture_path(f, "data_scan_module1_a.data"), O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 2 * CAMERA_BLOCK + 4), 1);
	assert_int_equal(ftruncate(fd, 8 * CAMERA_BLOCK + 20), 0);
	(void)close(fd);
	/* Such a block may well lie in the buffer from its last use. */
	for (int i = 0; i < BUFFERS; i++)
		for (int b = 0; b < RUN; b++)
			camera_block_write(f->memory + i * 4096 + BLOCK + b * CAMERA_BLOCK, 20,
					   (uint32_t)(8 + b), 4, 4);
	f->scan.frames_expected = 16;
	source_fixture_start(f);
	source_fixture_run(f);
	assert_frames(f, frames, 7);
	assert_true(f->result.after_skip[2]);
	assert_int_equal(f->result.bytes_skipped, 9 * CAMERA_BLOCK);
	assert_int_equal(f->result.end, SOURCE_END_CUT);
}

/* A buffer is not given before its last frame is due. */
static void test_pace(void **state)
{
	struct source_fixture *const f = *state;

	camera_file(f, "data_scan_module1_a.data", "0123456789abcdef");
	f->args.frames_per_s = 1e-3;
	source_fixture_open(f);
	source_fixture_start(f);
	source_fixture_post(f);
	while (source_stats(f->source)->bytes < 4 * RUN * CAMERA_BLOCK)
		assert_int_equal(source_fixture_reap(f, 1000000), -EAGAIN);
	assert_int_equal(source_fixture_reap(f, 0), -EAGAIN);
	source_interrupt(f->source);
	source_fixture_run(f);
	assert_int_equal(f->result.frames, 0);
	source_close(f->source);
	f->source = NULL;
	f->args.frames_per_s = 1e6;
	run(f);
	assert_frames_from_0(f, 16);
}

static void test_small_buffers(void **state)
{
	struct source_fixture *const f = *state;

	camera_file(f, "data_scan_module1_a.data", "0123456789abcdef");
	f->capacity = 3 * CAMERA_BLOCK;
	run(f);
	assert_frames_from_0(f, 16);
	assert_int_equal(f->result.fills, 8);
}

static void test_sluice_framing(void **state)
{
	struct source_fixture *const f = *state;
	uint8_t bytes[16 * BLOCK];

	for (uint64_t i = 0; i < 16; i++)
		block_write(bytes + i * BLOCK, 1234, 15 - i);
	source_fixture_file(f, "data_scan_module1_a.data", bytes, sizeof(bytes));
	f->args.framing = "sluice";
	f->args.geometry = (struct sluice_geometry){ 0 };
	run(f);
	assert_frames_from_0(f, 16);
	assert_int_equal(source_info(f->source)->first_scan, 1234);
	assert_int_equal(source_info(f->source)->scan_columns, 0);
}

static void expect_open(struct source_fixture *f, int code, const char *text)
{
	struct sluice_error error = { "" };

	assert_int_equal(source_open(&f->args, &f->source, &error), code);
	assert_null(f->source);
	assert_non_null(strstr(error.text, text));
}

static void test_refused_files(void **state)
{
	struct source_fixture *const f = *state;

	expect_open(f, -ENOENT, "there is none");
	camera_file(f, "data_scan_module1_a.data", "!");
	expect_open(f, -EBADMSG, "not one whole block");
	f->args.framing = "merlin-mib";
	f->args.geometry = (struct sluice_geometry){ 0 };
	f->args.sector = 0;
	source_fixture_spec(f, "file", "data_scan_module1_a.data");
	expect_open(f, -EBADMSG, "merlin-mib");
	source_fixture_spec(f, "file", "");
	expect_open(f, -EINVAL, "regular file");
}

static void test_refused_scans(void **state)
{
	struct source_fixture *const f = *state;
	struct sluice_error error = { "" };

	camera_file(f, "data_scan_module1_a.data", "0123");
	f->args.loops = SOURCE_FRAMES_MAX / 16 + 1;
	expect_open(f, -ERANGE, "at most");
	f->args.loops = 1;
	source_fixture_open(f);
	f->scan.scan_columns = 5;
	assert_int_equal(source_start(f->source, &f->scan, &error), -EINVAL);
	assert_non_null(strstr(error.text, "4 x 4"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_frame_order),
		TEST(test_coalesces),
		TEST(test_loops),
		TEST(test_stops_at_expected),
		TEST(test_missing_frames),
		TEST(test_duplicates),
		TEST(test_foreign_bytes_between),
		TEST(test_half_a_block),
		TEST(test_changed_since),
		TEST(test_pace),
		TEST(test_small_buffers),
		TEST(test_sluice_framing),
		TEST(test_refused_files),
		TEST(test_refused_scans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
