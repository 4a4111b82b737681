/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/crc32c.h>
#include <base/error.h>
#include <consume/part_format.h>

enum {
	COLUMNS = 8,
	ROWS = 8,
	RUN = 4,
};

static int writev_fails_in = -1; /* calls until one fails; -1: none does */
static size_t writev_short; /* bytes that the failing call writes first, or each call at most */
static int calloc_fails_in = -1;

ssize_t __real_writev(int fd, const struct iovec *piece, int count);
ssize_t __wrap_writev(int fd, const struct iovec *piece, int count);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

ssize_t __wrap_writev(int fd, const struct iovec *piece, int count)
{
	struct iovec first = piece[0];

	if (writev_fails_in == 0) {
		errno = ENOSPC;
		return -1;
	}
	if (writev_fails_in > 0)
		writev_fails_in--;
	if (writev_short == 0)
		return __real_writev(fd, piece, count);
	if (first.iov_len > writev_short)
		first.iov_len = writev_short;
	return __real_writev(fd, &first, 1);
}

void *__wrap_calloc(size_t count, size_t size)
{
	if (calloc_fails_in >= 0 && calloc_fails_in-- == 0)
		return NULL;
	return __real_calloc(count, size);
}

static const struct part_info info = {
	.scan = { .scan = 7,
		  .scan_columns = 5,
		  .scan_rows = 4,
		  .frames_per_position = 1,
		  .run_frames = RUN,
		  .frames_expected = 20,
		  .geometry = { .sectors = 4,
				.layout = SLUICE_LAYOUT_ROWS,
				.rows = ROWS / 4,
				.columns = COLUMNS,
				.pixel = SLUICE_PIXEL_U16 } },
	.consumer = "counter0",
	.threshold = { .calculated = true,
		       .background = 28.5,
		       .xray = 435.25,
		       .samples = 20,
		       .min = 9.0,
		       .max = 2600.0,
		       .mean = 20.6,
		       .variance = 5.5,
		       .std_dev = 2.345,
		       .bins = 426,
		       .xray_n_sigma = 175.0,
		       .background_n_sigma = 4.5,
		       .optimized_mean = 20.5,
		       .optimized_std_dev = 1.79,
		       .seed = UINT64_C(0x123456789abcdef0) },
};

static char path[64];

static int make_path(void **state)
{
	(void)state;
	(void)strcpy(path, "/tmp/sluice-part-XXXXXX");
	return mkdtemp(path) ? (strcat(path, "/part"), 0) : -1;
}

static int remove_path(void **state)
{
	(void)state;
	(void)unlink(path);
	*strrchr(path, '/') = '\0';
	return rmdir(path);
}

static uint32_t events_of(uint64_t frame, uint32_t *events)
{
	const uint32_t n = (uint32_t)(frame * 5 % 9);

	for (uint32_t i = 0; i < n; i++)
		events[i] = i * 7 + (uint32_t)(frame % 5);
	return n;
}

static void pixels_of(uint64_t frame, uint16_t *pixels)
{
	for (uint32_t i = 0; i < ROWS * COLUMNS; i++)
		pixels[i] = (uint16_t)(i * 31 + frame);
}

static int write_run(struct part_writer *w, uint64_t run, bool with_pixels)
{
	static uint32_t events[RUN][16];
	static uint16_t pixels[RUN][ROWS * COLUMNS];
	struct part_frame frame[RUN];

	for (unsigned int i = 0; i < RUN; i++) {
		const uint64_t number = run * RUN + i;

		frame[i] = (struct part_frame){ .frame = number,
						.sector_mask = (uint32_t)(number % 15 + 1),
						.flags = (uint32_t)number,
						.event_count = events_of(number, events[i]),
						.events = events[i] };
		pixels_of(number, pixels[i]);
		/* Not every frame of a run need have its pixels. */
		if (with_pixels && number % 3 != 0)
			frame[i].pixels = pixels[i];
	}
	return part_writer_run(w, run, frame, RUN);
}

static void expect_run(const struct part_reader *r, size_t index, uint64_t run, bool with_pixels)
{
	uint32_t events[16], expected[16];
	uint16_t pixels[ROWS * COLUMNS], expected_pixels[ROWS * COLUMNS];

	for (unsigned int i = 0; i < RUN; i++) {
		const struct part_entry *entry = part_reader_entry(r, index + i);
		const uint64_t number = run * RUN + i;

		assert_non_null(entry);
		assert_int_equal(entry->frame, number);
		assert_int_equal(entry->sector_mask, number % 15 + 1);
		assert_int_equal(entry->flags, number);
		assert_int_equal(entry->event_count, events_of(number, expected));
		assert_int_equal(part_reader_events(r, entry, events, NULL), 0);
		assert_memory_equal(events, expected, entry->event_count * sizeof(uint32_t));
		if (!with_pixels || number % 3 == 0) {
			assert_int_equal(part_reader_pixels(r, entry, pixels, NULL), -ENODATA);
			continue;
		}
		pixels_of(number, expected_pixels);
		assert_int_equal(part_reader_pixels(r, entry, pixels, NULL), 0);
		assert_memory_equal(pixels, expected_pixels, sizeof(pixels));
	}
}

static void write_part(bool with_pixels, unsigned int runs)
{
	struct part_info recorded = info;
	struct part_writer *w;

	recorded.pixel = with_pixels ? SLUICE_PIXEL_U16 : 0;
	(void)unlink(path);
	assert_int_equal(part_writer_open(path, &recorded, &w, NULL), 0);
	for (unsigned int run = 0; run < runs; run++)
		assert_int_equal(write_run(w, run, with_pixels), 0);
	assert_int_equal(part_writer_sync(w), 0);
	part_writer_close(w);
}

static void test_what_is_written_is_read(void **state)
{
	(void)state;
	for (int with_pixels = 0; with_pixels < 2; with_pixels++) {
		struct part_reader *r;
		const struct part_info *got;

		write_part(with_pixels, 5);
		assert_int_equal(part_reader_open(path, &r, NULL), 0);
		got = part_reader_info(r);
		assert_int_equal(got->scan.scan, 7);
		assert_int_equal(got->scan.frames_expected, 20);
		assert_memory_equal(&got->scan.geometry, &info.scan.geometry,
				    sizeof(info.scan.geometry));
		assert_string_equal(got->consumer, "counter0");
		assert_true(got->threshold.calculated);
		assert_true(got->threshold.background == 28.5 && got->threshold.xray == 435.25);
		assert_true(got->threshold.seed == info.threshold.seed);
		assert_true(got->threshold.optimized_std_dev == 1.79);
		assert_int_equal(got->threshold.bins, 426);
		assert_int_equal(part_reader_torn(r), 0);
		assert_int_equal(part_reader_count(r), 20);
		assert_null(part_reader_entry(r, 20));
		for (unsigned int run = 0; run < 5; run++)
			expect_run(r, (size_t)run * RUN, run, with_pixels);
		part_reader_close(r);
	}
	part_reader_close(NULL);
	part_writer_close(NULL);
}

static off_t size_of(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

/* Cut at every byte: whole runs are there, the torn one is passed over, none is made up. */
static void test_a_torn_last_record_is_passed_over(void **state)
{
	off_t end[3], header = (off_t)sizeof(struct part_header);

	(void)state;
	for (unsigned int runs = 0; runs < 3; runs++) {
		write_part(true, runs);
		end[runs] = size_of();
	}
	assert_int_equal(end[0], header);
	for (off_t size = end[2]; size >= 0; size--) {
		const unsigned int whole = size == end[2] ? 2 : size >= end[1] ? 1 : 0;
		struct part_reader *r = NULL;

		assert_int_equal(truncate(path, size), 0);
		if (size < header) {
			assert_int_equal(part_reader_open(path, &r, NULL), -EBADMSG);
			assert_null(r);
			continue;
		}
		assert_int_equal(part_reader_open(path, &r, NULL), 0);
		assert_int_equal(part_reader_count(r), whole * RUN);
		assert_true(part_reader_torn(r) <= (uint64_t)(size - end[whole]));
		part_reader_close(r);
	}
}

/* The lowest bit of every byte of the file turned over: an error with a name, or exactly what was
 * written. */
static void test_damage_is_named(void **state)
{
	struct sluice_error error;
	off_t size;
	int fd;

	(void)state;
	write_part(true, 2);
	size = size_of();
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	for (off_t at = 0; at < size; at++) {
		struct part_reader *r;
		uint8_t byte;
		int ret;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 0x01;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		ret = part_reader_open(path, &r, &error);
		for (size_t i = 0; ret == 0 && i < part_reader_count(r); i++) {
			const struct part_entry *entry = part_reader_entry(r, i);
			uint16_t pixels[ROWS * COLUMNS];
			uint32_t events[64];

			ret = part_reader_events(r, entry, events, &error);
			if (ret == 0 && entry->pixels_offset)
				ret = part_reader_pixels(r, entry, pixels, &error);
			if (ret < 0)
				part_reader_close(r);
		}
		assert_int_equal(ret, -EBADMSG);
		assert_non_null(strstr(error.text, "part"));
		byte ^= 0x01;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	(void)close(fd);
}

/* A consumer that is killed after a run was written has not lost it. */
static void test_a_written_run_survives_sigkill(void **state)
{
	struct part_reader *r;
	int status, ready[2];
	char byte;
	pid_t pid;

	(void)state;
	(void)unlink(path);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct part_writer *w;

		if (part_writer_open(path, &info, &w, NULL) == 0 && write_run(w, 3, false) == 0)
			(void)!write(ready[1], "r", 1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(ready[0]);
	(void)close(ready[1]);
	assert_int_equal(part_reader_open(path, &r, NULL), 0);
	assert_int_equal(part_reader_count(r), RUN);
	expect_run(r, 0, 3, false);
	part_reader_close(r);
}

/* The disk fills at each step of a run: nothing of it is left, and the next can be written. */
static void test_a_failed_run_leaves_nothing(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < 700; piece += 13) {
		struct part_info recorded = info;
		struct part_reader *r;
		struct part_writer *w;

		recorded.pixel = SLUICE_PIXEL_U16;
		(void)unlink(path);
		assert_int_equal(part_writer_open(path, &recorded, &w, NULL), 0);
		assert_int_equal(write_run(w, 0, true), 0);
		writev_short = piece;
		writev_fails_in = 1;
		assert_int_equal(write_run(w, 1, true), -ENOSPC);
		writev_fails_in = -1;
		assert_int_equal(write_run(w, 2, true),
				 0); /* in short writes, whole all the same */
		writev_short = 0;
		part_writer_close(w);
		assert_int_equal(part_reader_open(path, &r, NULL), 0);
		assert_int_equal(part_reader_torn(r), 0);
		assert_int_equal(part_reader_count(r), 2 * RUN);
		expect_run(r, 0, 0, true);
		expect_run(r, RUN, 2, true);
		part_reader_close(r);
	}
}

static void test_open_unwinds_from_every_step(void **state)
{
	struct part_reader *r = NULL;
	struct part_writer *w = NULL;
	struct sluice_error error;

	(void)state;
	(void)unlink(path);
	calloc_fails_in = 0;
	assert_int_equal(part_writer_open(path, &info, &w, &error), -ENOMEM);
	assert_int_equal(access(path, F_OK), -1);
	writev_fails_in = 0;
	assert_int_equal(part_writer_open(path, &info, &w, &error), -ENOSPC);
	writev_fails_in = -1;
	assert_int_equal(access(path, F_OK), -1);
	assert_null(w);
	write_part(false, 1);
	assert_int_equal(part_writer_open(path, &info, &w, &error), -EEXIST);
	assert_non_null(strstr(error.text, path));
	assert_null(w);
	for (int nth = 0; nth < 3; nth++) {
		calloc_fails_in = nth;
		assert_int_equal(part_reader_open(path, &r, &error), -ENOMEM);
		assert_null(r);
	}
	calloc_fails_in = -1;
	(void)unlink(path);
	assert_int_equal(part_reader_open(path, &r, &error), -ENOENT);
	assert_non_null(strstr(error.text, path));
}

static void test_frames_must_be_of_the_run(void **state)
{
	struct part_frame frame = { .frame = 4 };
	struct part_writer *w;

	(void)state;
	(void)unlink(path);
	assert_int_equal(part_writer_open(path, &info, &w, NULL), 0);
	assert_int_equal(part_writer_run(w, 0, &frame, 1), -EINVAL);
	assert_int_equal(part_writer_run(w, 1, &frame, 0), -EINVAL);
	assert_int_equal(part_writer_run(w, 1, &frame, SLUICE_WIRE_RUN_FRAMES_MAX + 1), -EINVAL);
	frame.frame = 20; /* of a scan of 20 */
	assert_int_equal(part_writer_run(w, 5, &frame, 1), -EINVAL);
	frame = (struct part_frame){ .frame = 4, .pixels = &frame }; /* none are recorded */
	assert_int_equal(part_writer_run(w, 1, &frame, 1), -EINVAL);
	assert_int_equal(size_of(), sizeof(struct part_header));
	part_writer_close(w);
}

static void test_a_scan_out_of_range_is_refused(void **state)
{
	struct part_info bad[9];
	struct part_writer *w = NULL;
	struct sluice_error error;

	(void)state;
	(void)unlink(path);
	for (unsigned int i = 0; i < 9; i++)
		bad[i] = info;
	bad[0].scan.geometry.sectors = 33;
	bad[1].scan.scan_columns = 0;
	bad[2].scan.scan_rows = 65536;
	bad[3].scan.frames_per_position = UINT32_MAX;
	bad[4].scan.run_frames = 0;
	bad[5].scan.frames_expected = 21;
	bad[6].pixel = SLUICE_PIXEL_U16BE;
	bad[7].consumer[0] = '\0';
	bad[8].threshold.xray = __builtin_nan("");
	for (unsigned int i = 0; i < 9; i++) {
		error.text[0] = '\0';
		assert_int_equal(part_writer_open(path, &bad[i], &w, &error), -EINVAL);
		assert_true(error.text[0] != '\0');
	}
	assert_int_equal(access(path, F_OK), -1);
}

/* A record with sound CRCs whose numbers lie: each lie is found before it sizes anything. */
static void test_lying_tables_are_refused(void **state)
{
	(void)state;
	for (int lie = 0; lie < 6; lie++) {
		struct record_header h;
		struct record_frame table[RUN];
		struct part_reader *r = NULL;
		int fd;

		write_part(false, 1);
		fd = open(path, O_RDWR);
		assert_int_equal(pread(fd, &h, sizeof(h), sizeof(struct part_header)), sizeof(h));
		assert_int_equal(
			pread(fd, table, sizeof(table), sizeof(struct part_header) + sizeof(h)),
			sizeof(table));
		if (lie == 0)
			table[1].frame = sluice_le64(20); /* beyond the scan */
		if (lie == 1)
			table[1].frame = sluice_le64(9); /* of another run */
		if (lie == 2)
			table[1].elements = sluice_le32(ROWS * COLUMNS + 1);
		if (lie == 3)
			table[3].elements = sluice_le32(sluice_u32(table[3].elements) - 1);
		if (lie == 4)
			table[2].sector_mask = sluice_le32(16); /* a fifth sector of four */
		if (lie == 5)
			h.kind = sluice_le16(RECORD_PIXELS); /* none are recorded */
		h.table_crc = sluice_le32(crc32c(table, sizeof(table)));
		h.header_crc = sluice_le32(crc32c(&h, offsetof(struct record_header, header_crc)));
		assert_int_equal(pwrite(fd, &h, sizeof(h), sizeof(struct part_header)), sizeof(h));
		assert_int_equal(
			pwrite(fd, table, sizeof(table), sizeof(struct part_header) + sizeof(h)),
			sizeof(table));
		(void)close(fd);
		assert_int_equal(part_reader_open(path, &r, NULL), -EBADMSG);
		assert_null(r);
	}
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(test_what_is_written_is_read),
		cmocka_unit_test(test_a_torn_last_record_is_passed_over),
		cmocka_unit_test(test_damage_is_named),
		cmocka_unit_test(test_a_written_run_survives_sigkill),
		cmocka_unit_test(test_a_failed_run_leaves_nothing),
		cmocka_unit_test(test_open_unwinds_from_every_step),
		cmocka_unit_test(test_frames_must_be_of_the_run),
		cmocka_unit_test(test_a_scan_out_of_range_is_refused),
		cmocka_unit_test(test_lying_tables_are_refused),
	};

	return cmocka_run_group_tests(suite, make_path, remove_path);
}
