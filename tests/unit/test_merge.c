/* SPDX-License-Identifier: MIT */
/* What is taken from which part, what is refused, the picture, and the program. */
#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>

#include "merge_fixture.h"

/* Run 0 twice alike, run 1 first without and then with all sectors, run 2 the other way. */
static void test_each_frame_is_taken_once(void **state)
{
	const struct part_reader *reader;
	struct part_writer *a = open_part(part_a, &base_info), *b = open_part(part_b, &base_info);
	struct merge *m;

	(void)state;
	write_run(a, 0, COMPLETE, 0, false);
	write_run(b, 0, COMPLETE, 1, false);
	write_run(a, 0, COMPLETE, 2, false);
	write_run(a, 1, 7, 1, false);
	write_run(b, 1, COMPLETE, 0, false);
	write_run(a, 2, COMPLETE, 0, false);
	write_run(b, 2, 8, 1, false);
	write_run(b, 3, 0, 0, false); /* nothing of it arrived: that is no frame */
	part_writer_close(a);
	part_writer_close(b);
	m = open_merge(part_a, part_b);
	for (uint64_t f = 0; f < 3 * RUN; f++) {
		uint32_t events[16];
		const struct part_entry *entry = merge_frame(m, f, &reader);

		assert_non_null(entry);
		assert_int_equal(entry->sector_mask, COMPLETE);
		assert_int_equal(entry->event_count, events_of(f, events));
	}
	assert_null(merge_frame(m, 3 * RUN, &reader));
	assert_null(merge_frame(m, FRAMES, &reader));
	assert_int_equal(merge_counts(m)->duplicates, 4 * RUN);
	assert_int_equal(merge_counts(m)->frames_delivered, 3 * RUN);
	assert_int_equal(merge_counts(m)->frames_incomplete, 0);
	merge_close(m);
	merge_close(NULL);
}

static void test_a_torn_part_gives_its_whole_runs(void **state)
{
	struct stat st;
	struct merge *m;

	(void)state;
	write_parts(false);
	assert_int_equal(stat(part_a, &st), 0);
	assert_int_equal(truncate(part_a, st.st_size - 3), 0); /* run 0 came last */
	m = open_merge(part_a, part_b);
	assert_int_equal(merge_counts(m)->parts_torn, 1);
	assert_int_equal(merge_counts(m)->frames_delivered, FRAMES - 2 * RUN);
	merge_close(m);
}

static void test_parts_that_do_not_belong_together_are_named(void **state)
{
	const char *paths[] = { part_a, part_b };
	struct part_info other[5] = { base_info, base_info, base_info, base_info, base_info };
	struct merge *m = NULL;
	struct sluice_error error;

	(void)state;
	other[0].scan.scan = 43;
	other[1].scan.scan_rows++;
	other[2].pixel = SLUICE_PIXEL_U8;
	other[3].threshold.background += 1e-9;
	other[4].threshold.xray++;
	for (int i = 0; i < 5; i++) {
		part_writer_close(open_part(part_a, &base_info));
		part_writer_close(open_part(part_b, &other[i]));
		assert_int_equal(merge_open(paths, 2, &m, &error), -EINVAL);
		assert_non_null(strstr(error.text, part_a));
		assert_non_null(strstr(error.text, part_b));
	}
	(void)unlink(part_b);
	assert_int_equal(merge_open(paths, 2, &m, &error), -ENOENT);
	assert_int_equal(merge_open(paths, 0, &m, &error), -EINVAL);
	assert_null(m);
}

/* A byte of some event turned over after it was written: no file rather than a wrong one. */
static void test_a_failed_merge_leaves_no_file(void **state)
{
	struct sluice_error error;
	char temporary[128];
	struct stat st;
	struct merge *m;
	FILE *file;

	(void)state;
	remove_files();
	write_parts(false);
	assert_int_equal(stat(part_b, &st), 0);
	file = fopen(part_b, "r+b");
	assert_non_null(file);
	assert_int_equal(fseek(file, -1, SEEK_END), 0);
	assert_int_equal(fputc(0x77, file), 0x77);
	assert_int_equal(fclose(file), 0);
	m = open_merge(part_a, part_b);
	assert_int_equal(merge_write_hdf5(m, out, NULL, &error), -EBADMSG);
	assert_non_null(strstr(error.text, part_b));
	assert_int_equal(access(out, F_OK), -1);
	(void)snprintf(temporary, sizeof(temporary), "%s.%d.tmp", out, (int)getpid());
	assert_int_equal(access(temporary, F_OK), -1);
	assert_int_equal(merge_write_hdf5(m, "/nowhere/out.h5", NULL, &error), -EIO);
	assert_non_null(strstr(error.text, "/nowhere/out.h5"));
	merge_close(m);
}

static void test_images_are_the_sums_of_the_events(void **state)
{
	uint32_t diffraction[PIXELS] = { 0 }, bright[SCAN_ROWS * SCAN_COLUMNS] = { 0 };
	struct merge_images im;
	struct merge *m;

	(void)state;
	write_parts(false);
	m = open_merge(part_a, part_b);
	assert_int_equal(merge_images(m, &im, NULL), 0);
	for (uint64_t f = 0; f < FRAMES; f++) {
		uint32_t events[16];
		const uint32_t n = f / RUN == 5 ? 0 : events_of(f, events);

		for (uint32_t i = 0; i < n; i++) {
			const uint32_t row = events[i] / COLUMNS, column = events[i] % COLUMNS;
			const double dr = row - im.centre_row, dc = column - im.centre_column;

			diffraction[events[i]]++;
			bright[f / PER_POSITION] += dr * dr + dc * dc <= im.radius * im.radius;
		}
	}
	assert_memory_equal(im.diffraction, diffraction, sizeof(diffraction));
	assert_memory_equal(im.bright, bright, sizeof(bright));
	merge_images_free(&im);
	merge_images_free(&im);
	merge_images_free(NULL);
	merge_close(m);
}

static void test_the_picture_shows_both_images(void **state)
{
	png_image image = { .version = PNG_IMAGE_VERSION };
	struct merge_images im;
	struct merge *m;
	uint8_t *rgb;

	(void)state;
	write_parts(false);
	m = open_merge(part_a, part_b);
	assert_int_equal(merge_images(m, &im, NULL), 0);
	assert_int_equal(merge_write_picture(&im, picture, NULL), 0);
	assert_true(merge_write_picture(&im, "/nowhere/out.png", NULL) < 0);
	assert_true(png_image_begin_read_from_file(&image, picture));
	image.format = PNG_FORMAT_RGB;
	/* 5 x 3 positions by 102, a gap of 16, 20 x 12 pixels by 26. */
	assert_int_equal(image.width, 5 * 102 + 16 + 20 * 26);
	assert_int_equal(image.height, 12 * 26);
	rgb = malloc(PNG_IMAGE_SIZE(image));
	assert_non_null(rgb);
	assert_true(png_image_finish_read(&image, NULL, rgb, 0, NULL));
	for (uint32_t x = 510; x < 526; x++)
		assert_int_equal(rgb[(150 * image.width + x) * 3], 0);
	free(rgb);
	merge_images_free(&im);
	merge_close(m);
}

/* The program: exit code, and one line of JSON. */
static void test_the_program_merges(void **state)
{
	const char *bin = getenv("SLUICE_BIN");
	char command[1024], line[1024] = "";
	FILE *pipe;

	(void)state;
	assert_non_null(bin);
	remove_files();
	write_parts(false);
	(void)snprintf(command, sizeof(command),
		       "%s/sluice-merge %s %s --out %s --picture %s --json", bin, part_a, part_b,
		       out, picture);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	assert_non_null(fgets(line, sizeof(line), pipe));
	assert_int_equal(pclose(pipe), 0);
	assert_non_null(strstr(line, "\"scan\":42,"));
	assert_non_null(strstr(line, "\"frames_delivered\":26,"));
	assert_non_null(strstr(line, "\"frames_lost\":4,"));
	assert_int_equal(access(out, F_OK), 0);
	assert_int_equal(access(picture, F_OK), 0);
	(void)snprintf(command, sizeof(command), "%s/sluice-merge %s --out %s 2>/dev/null", bin,
		       picture, out);
	assert_int_equal(WEXITSTATUS(system(command)), EXIT_FAILURE);
}

static void write_ledger(bool closed, uint64_t frames, uint64_t events)
{
	FILE *file = fopen(ledger_path, "w");

	assert_non_null(file);
	assert_true(fprintf(file,
			    "{\"scan\":42,\"state\":\"%s\",\"closed\":%s,\"why\":\"\","
			    "\"frames_expected\":30,\"frames_delivered\":%lu,"
			    "\"frames_incomplete\":4,\"frames_lost\":4,\"events\":%lu,"
			    "\"sectors\":[]}",
			    closed ? "done" : "failed", closed ? "true" : "false",
			    (unsigned long)frames, (unsigned long)events) > 0);
	assert_int_equal(fclose(file), 0);
}

/* Merges in text mode; what it says on standard error. Returns the exit status. */
static int merge_text(const char *more, char *text, size_t size)
{
	char command[1024];
	size_t got;
	FILE *pipe;

	(void)snprintf(command, sizeof(command),
		       "%s/sluice-merge %s %s --out %s %s 2>&1 >/dev/null", getenv("SLUICE_BIN"),
		       part_a, part_b, out, more);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	got = fread(text, 1, size - 1, pipe);
	text[got] = '\0';
	return WEXITSTATUS(pclose(pipe));
}

static void test_the_program_names_torn_parts(void **state)
{
	char text[1024];
	struct stat st;

	(void)state;
	write_parts(false);
	assert_int_equal(merge_text("", text, sizeof(text)), EXIT_SUCCESS);
	assert_string_equal(text, "");
	assert_int_equal(stat(part_b, &st), 0);
	assert_int_equal(truncate(part_b, st.st_size - 3), 0);
	assert_int_equal(merge_text("", text, sizeof(text)), EXIT_SUCCESS);
	assert_non_null(strstr(text, part_b));
	assert_null(strstr(text, part_a));
}

static void test_the_program_compares_with_the_ledger(void **state)
{
	char more[128], text[1024];
	uint64_t events;
	struct merge *m;

	(void)state;
	remove_files();
	write_parts(false);
	m = open_merge(part_a, part_b);
	events = merge_counts(m)->events;
	merge_close(m);
	(void)snprintf(more, sizeof(more), "--ledger %s", ledger_path);
	write_ledger(true, 27, events);
	assert_int_equal(merge_text(more, text, sizeof(text)), EXIT_FAILURE);
	assert_non_null(strstr(text, " 26 frames"));
	assert_non_null(strstr(text, " 27 and "));
	assert_int_equal(access(out, F_OK), -1);
	write_ledger(true, 26, events + 1);
	assert_int_equal(merge_text(more, text, sizeof(text)), EXIT_FAILURE);
	/* An open one proves nothing. */
	write_ledger(false, 26, events + 1);
	assert_int_equal(merge_text(more, text, sizeof(text)), EXIT_SUCCESS);
	assert_non_null(strstr(text, "open"));
	write_ledger(true, 26, events);
	assert_int_equal(merge_text(more, text, sizeof(text)), EXIT_SUCCESS);
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(test_each_frame_is_taken_once),
		cmocka_unit_test(test_a_torn_part_gives_its_whole_runs),
		cmocka_unit_test(test_parts_that_do_not_belong_together_are_named),
		cmocka_unit_test(test_a_failed_merge_leaves_no_file),
		cmocka_unit_test(test_images_are_the_sums_of_the_events),
		cmocka_unit_test(test_the_picture_shows_both_images),
		cmocka_unit_test(test_the_program_merges),
		cmocka_unit_test(test_the_program_names_torn_parts),
		cmocka_unit_test(test_the_program_compares_with_the_ledger),
	};

	return cmocka_run_group_tests(suite, make_folder, remove_folder);
}
