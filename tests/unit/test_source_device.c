/* SPDX-License-Identifier: MIT */
/* A source on a device; a FIFO and a memory file stand in for one. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>

#include "source_fixture.h"

enum {
	FRAMES = 16,
};

struct setting {
	struct source_fixture f;
	uint8_t bytes[FRAMES * BLOCK];
	int writer;
};

static int setup(void **state)
{
	struct setting *const s = calloc(1, sizeof(*s));

	source_fixture_init(&s->f, "sluice");
	source_fixture_spec(&s->f, "device", "fifo");
	assert_int_equal(mkfifo(source_fixture_path(&s->f, "fifo"), 0600), 0);
	for (uint64_t i = 0; i < FRAMES; i++)
		block_write(s->bytes + i * BLOCK, SCAN, i);
	s->writer = -1;
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct setting *const s = *state;

	if (s->writer >= 0)
		(void)close(s->writer);
	source_fixture_fini(&s->f);
	free(s);
	return 0;
}

/* The writer comes after the reader, who does not wait for it. */
static void open_both(struct setting *s)
{
	source_fixture_open(&s->f);
	s->writer = open(source_fixture_path(&s->f, "fifo"), O_WRONLY | O_CLOEXEC);
	assert_true(s->writer >= 0);
	source_fixture_start(&s->f);
}

static void device_sends(struct setting *s, size_t from, size_t len)
{
	assert_int_equal(write(s->writer, s->bytes + from, len), (ssize_t)len);
}

static void device_ends(struct setting *s)
{
	(void)close(s->writer);
	s->writer = -1;
}

/* The scan ends with its last frame, though the device would have more. */
static void test_ends_with_the_last_frame(void **state)
{
	struct setting *const s = *state;

	open_both(s);
	device_sends(s, 0, sizeof(s->bytes));
	source_fixture_run(&s->f);
	assert_frames_from_0(&s->f, FRAMES);
	assert_int_equal(s->f.result.end, SOURCE_END_COMPLETE);
	assert_int_equal(s->f.result.fills, FRAMES / RUN);
}

/* A pipe gives what it has: blocks come in pieces of any size. */
static void test_short_reads(void **state)
{
	struct setting *const s = *state;

	open_both(s);
	for (size_t at = 0; at < sizeof(s->bytes); at += 44) {
		source_fixture_post(&s->f);
		device_sends(s, at, 44);
		(void)source_fixture_reap(&s->f, WAIT_NS);
	}
	source_fixture_run(&s->f);
	assert_frames_from_0(&s->f, FRAMES);
	assert_int_equal(s->f.result.end, SOURCE_END_COMPLETE);
	assert_int_equal(s->f.result.bytes_skipped, 0);
}

static void test_end_before_the_last_frame(void **state)
{
	struct setting *const s = *state;

	open_both(s);
	device_sends(s, 0, 5 * BLOCK + 7);
	device_ends(s);
	source_fixture_run(&s->f);
	assert_frames_from_0(&s->f, 5);
	assert_int_equal(s->f.result.end, SOURCE_END_CUT);
	assert_int_equal(s->f.result.bytes_skipped, 7);
}

static void test_stall(void **state)
{
	struct setting *const s = *state;

	s->f.scan.stall_ns = STALL_NS;
	open_both(s);
	device_sends(s, 0, 5 * BLOCK);
	source_fixture_run(&s->f);
	assert_frames_from_0(&s->f, 5);
	assert_int_equal(s->f.result.end, SOURCE_END_STALL);
}

static void test_interrupt(void **state)
{
	struct setting *const s = *state;

	open_both(s);
	source_interrupt(s->f.source);
	source_fixture_run(&s->f);
	assert_int_equal(s->f.result.end, SOURCE_END_STOPPED);
}

static void test_camera_framing(void **state)
{
	struct setting *const s = *state;
	uint8_t bytes[FRAMES * CAMERA_BLOCK];

	for (uint32_t i = 0; i < FRAMES; i++)
		camera_block_write(bytes + (size_t)i * CAMERA_BLOCK, 99, i, 4, 4);
	s->f.args.framing = "4dcamera-v5";
	s->f.scan.scan_columns = 4;
	s->f.scan.scan_rows = 4;
	open_both(s);
	assert_int_equal(write(s->writer, bytes, sizeof(bytes)), (ssize_t)sizeof(bytes));
	source_fixture_run(&s->f);
	assert_frames_from_0(&s->f, FRAMES);
	assert_int_equal(s->f.result.end, SOURCE_END_COMPLETE);
}

/* A scan number that changes within a stream of a foreign framing is refused. */
static void test_camera_scan_changes(void **state)
{
	static const uint64_t frames[] = { 0, 1, 3 };
	struct setting *const s = *state;
	uint8_t bytes[4 * CAMERA_BLOCK];

	for (uint32_t i = 0; i < 4; i++)
		camera_block_write(bytes + (size_t)i * CAMERA_BLOCK, i == 2 ? 98 : 99, i, 4, 4);
	s->f.args.framing = "4dcamera-v5";
	open_both(s);
	assert_int_equal(write(s->writer, bytes, sizeof(bytes)), (ssize_t)sizeof(bytes));
	device_ends(s);
	source_fixture_run(&s->f);
	assert_frames(&s->f, frames, 3);
	assert_true(s->f.result.after_skip[2]);
	assert_int_equal(source_stats(s->f.source)->bad_scan, 1);
}

static void test_memory_file(void **state)
{
	struct setting *const s = *state;
	const int fd = memfd_create("device", MFD_CLOEXEC);
	char *spec;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, s->bytes, sizeof(s->bytes)), (ssize_t)sizeof(s->bytes));
	assert_true(asprintf(&spec, "device:/proc/self/fd/%d", fd) > 0);
	free((void *)(uintptr_t)s->f.args.spec);
	s->f.args.spec = spec;
	source_fixture_open(&s->f);
	source_fixture_start(&s->f);
	source_fixture_run(&s->f);
	assert_frames_from_0(&s->f, FRAMES);
	(void)close(fd);
}

/* Page 0 of a process is not there: the read fails, and the end says how. */
static void test_read_fails(void **state)
{
	struct setting *const s = *state;

	free((void *)(uintptr_t)s->f.args.spec);
	s->f.args.spec = strdup("device:/proc/self/mem");
	source_fixture_open(&s->f);
	source_fixture_start(&s->f);
	source_fixture_run(&s->f);
	assert_int_equal(s->f.result.frames, 0);
	assert_int_equal(s->f.result.end, SOURCE_END_READ);
	assert_int_equal(s->f.result.error, -EIO);
}

static void expect_open(struct setting *s, const char *spec, int code)
{
	struct sluice_error error = { "" };

	free((void *)(uintptr_t)s->f.args.spec);
	s->f.args.spec = strdup(spec);
	assert_int_equal(source_open(&s->f.args, &s->f.source, &error), code);
	assert_null(s->f.source);
	assert_non_null(strstr(error.text, spec + strlen("device:")));
}

static void test_no_device(void **state)
{
	expect_open(*state, "device:/nonexistent/sluice0", -ENOENT);
	expect_open(*state, "device:/tmp", -EISDIR);
}

static void test_needs_a_geometry(void **state)
{
	struct setting *const s = *state;
	struct sluice_error error = { "" };

	s->f.args.geometry = (struct sluice_geometry){ 0 };
	assert_int_equal(source_open(&s->f.args, &s->f.source, &error), -EINVAL);
	assert_non_null(strstr(error.text, "geometry"));
}

static void test_has_no_counters(void **state)
{
	struct setting *const s = *state;
	struct source_board_counters c;

	source_fixture_open(&s->f);
	assert_int_equal(source_board_counters(s->f.source, &c), -EOPNOTSUPP);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ends_with_the_last_frame),
		TEST(test_short_reads),
		TEST(test_end_before_the_last_frame),
		TEST(test_stall),
		TEST(test_interrupt),
		TEST(test_camera_framing),
		TEST(test_camera_scan_changes),
		TEST(test_memory_file),
		TEST(test_read_fails),
		TEST(test_no_device),
		TEST(test_needs_a_geometry),
		TEST(test_has_no_counters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
