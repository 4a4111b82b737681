/* SPDX-License-Identifier: MIT */
/* Reads the file back as the users' readers do (stempy: SparseArray.from_hdf5). */
#include <hdf5.h>
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
#include <consume/merge.h>

enum {
	SCAN_COLUMNS = 5,
	SCAN_ROWS = 3,
	PER_POSITION = 2,
	FRAMES = SCAN_COLUMNS * SCAN_ROWS * PER_POSITION,
	ROWS = 12, /* not square, so that no one mixes up the sides */
	COLUMNS = 20,
	PIXELS = ROWS * COLUMNS,
	RUN = 4,
	COMPLETE = 15,
};

static const struct part_info base_info = {
	.scan = { .scan = 42,
		  .scan_columns = SCAN_COLUMNS,
		  .scan_rows = SCAN_ROWS,
		  .frames_per_position = PER_POSITION,
		  .run_frames = RUN,
		  .frames_expected = FRAMES,
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
		       .min = -9.0,
		       .max = 2600.0,
		       .mean = 20.6,
		       .variance = 5.5,
		       .std_dev = 2.345,
		       .bins = 426,
		       .xray_n_sigma = 175.0,
		       .background_n_sigma = 4.5,
		       .optimized_mean = 20.5,
		       .optimized_std_dev = 1.79,
		       .seed = 99 },
};

static char folder[64], part_a[96], part_b[96], out[96], out2[96], picture[96];

static int make_folder(void **state)
{
	(void)state;
	(void)strcpy(folder, "/tmp/sluice-merge-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(part_a, sizeof(part_a), "%s/a.part", folder);
	(void)snprintf(part_b, sizeof(part_b), "%s/b.part", folder);
	(void)snprintf(out, sizeof(out), "%s/out.h5", folder);
	(void)snprintf(out2, sizeof(out2), "%s/out2.h5", folder);
	(void)snprintf(picture, sizeof(picture), "%s/out.png", folder);
	return 0;
}

static void remove_files(void)
{
	(void)unlink(part_a);
	(void)unlink(part_b);
	(void)unlink(out);
	(void)unlink(out2);
	(void)unlink(picture);
}

/* Also the promise that no temporary file is left behind. */
static int remove_folder(void **state)
{
	(void)state;
	remove_files();
	return rmdir(folder);
}

static uint32_t events_of(uint64_t frame, uint32_t *events)
{
	const uint32_t n = (uint32_t)(frame * 5 % 9);

	for (uint32_t i = 0; i < n; i++)
		events[i] = i * 26 + (uint32_t)(frame % 20);
	return n;
}

static void pixels_of(uint64_t frame, uint16_t *pixels)
{
	for (uint32_t i = 0; i < PIXELS; i++)
		pixels[i] = (uint16_t)(i * 31 + frame);
}

static struct part_writer *open_part(const char *path, const struct part_info *info)
{
	struct part_writer *w;

	(void)unlink(path);
	assert_int_equal(part_writer_open(path, info, &w, NULL), 0);
	return w;
}

/* All frames of a run with one mask; @events_less: how many of each frame's are left out. */
static void write_run(struct part_writer *w, uint64_t run, uint32_t mask, uint32_t events_less,
		      bool with_pixels)
{
	static uint32_t events[RUN][16];
	static uint16_t pixels[RUN][PIXELS];
	struct part_frame frame[RUN];
	unsigned int n = 0;

	for (; n < RUN && run * RUN + n < FRAMES; n++) {
		const uint64_t number = run * RUN + n;
		uint32_t count = events_of(number, events[n]);

		count = count > events_less ? count - events_less : 0;
		pixels_of(number, pixels[n]);
		frame[n] = (struct part_frame){ .frame = number,
						.sector_mask = mask,
						.event_count = count,
						.events = events[n],
						.pixels = with_pixels ? pixels[n] : NULL };
	}
	assert_int_equal(part_writer_run(w, run, frame, n), 0);
}

static struct merge *open_merge(const char *a, const char *b)
{
	const char *paths[] = { a, b };
	struct merge *m = NULL;

	assert_int_equal(merge_open(paths, b ? 2 : 1, &m, NULL), 0);
	return m;
}

/* Even runs in part a, odd ones in part b; run 5 came to nobody, run 6 lacks two sectors. */
static void write_parts(bool with_pixels)
{
	struct part_info info = base_info;
	struct part_writer *a, *b;

	info.pixel = with_pixels ? SLUICE_PIXEL_U16 : 0;
	a = open_part(part_a, &info);
	(void)strcpy(info.consumer, "counter1");
	info.threshold.background = 29.0;
	b = open_part(part_b, &info);
	for (uint64_t run = (FRAMES - 1) / RUN;; run--) {
		if (run != 5)
			write_run(run % 2 ? b : a, run, run == 6 ? 5 : COMPLETE, 0, with_pixels);
		if (run == 0)
			break;
	}
	part_writer_close(a);
	part_writer_close(b);
}

static int64_t attribute_i64(hid_t file, const char *object, const char *name)
{
	const hid_t a = H5Aopen_by_name(file, object, name, H5P_DEFAULT, H5P_DEFAULT);
	const hid_t type = H5Aget_type(a), space = H5Aget_space(a);
	int64_t v;

	assert_true(a >= 0);
	assert_int_equal(H5Sget_simple_extent_type(space), H5S_SCALAR);
	assert_true(H5Tequal(type, H5T_STD_I64LE) > 0);
	assert_true(H5Aread(a, H5T_NATIVE_INT64, &v) >= 0);
	(void)H5Sclose(space);
	(void)H5Tclose(type);
	(void)H5Aclose(a);
	return v;
}

static double attribute_f64(hid_t file, const char *name)
{
	const hid_t a = H5Aopen_by_name(file, "/metadata/electron_counting", name, H5P_DEFAULT,
					H5P_DEFAULT);
	const hid_t type = H5Aget_type(a);
	double v;

	assert_true(a >= 0);
	assert_true(H5Tequal(type, H5T_IEEE_F64LE) > 0);
	assert_true(H5Aread(a, H5T_NATIVE_DOUBLE, &v) >= 0);
	(void)H5Tclose(type);
	(void)H5Aclose(a);
	return v;
}

/* As h5py: a bool is an enum of int8 whose members are FALSE and TRUE. */
static bool attribute_bool(hid_t file, const char *name)
{
	const hid_t a = H5Aopen_by_name(file, "/metadata/electron_counting", name, H5P_DEFAULT,
					H5P_DEFAULT);
	const hid_t type = H5Aget_type(a);
	int8_t v;
	char text[8];

	assert_true(a >= 0);
	assert_int_equal(H5Tget_class(type), H5T_ENUM);
	assert_int_equal(H5Tget_size(type), 1);
	assert_true(H5Aread(a, type, &v) >= 0);
	assert_true(H5Tenum_nameof(type, &v, text, sizeof(text)) >= 0);
	assert_string_equal(text, v ? "TRUE" : "FALSE");
	(void)H5Tclose(type);
	(void)H5Aclose(a);
	return v != 0;
}

static hid_t open_dataset(hid_t file, const char *path, int rank, const hsize_t *size)
{
	const hid_t dataset = H5Dopen2(file, path, H5P_DEFAULT);
	const hid_t space = H5Dget_space(dataset);
	hsize_t got[3];

	assert_true(dataset >= 0);
	assert_int_equal(H5Sget_simple_extent_ndims(space), rank);
	assert_int_equal(H5Sget_simple_extent_dims(space, got, NULL), rank);
	for (int i = 0; i < rank; i++)
		assert_int_equal(got[i], size[i]);
	(void)H5Sclose(space);
	return dataset;
}

static void expect_frames(hid_t file)
{
	const hsize_t size[1] = { FRAMES };
	const hid_t dataset = open_dataset(file, "/electron_events/frames", 1, size);
	const hid_t type = H5Dget_type(dataset), element = H5Tget_super(type);
	const hid_t memory = H5Tvlen_create(H5T_NATIVE_UINT32), space = H5Dget_space(dataset);
	hvl_t rows[FRAMES];

	assert_int_equal(H5Tget_class(type), H5T_VLEN);
	assert_true(H5Tequal(element, H5T_STD_U32LE) > 0);
	assert_true(H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows) >= 0);
	for (uint64_t f = 0; f < FRAMES; f++) {
		uint32_t events[16];
		const uint32_t n = f / RUN == 5 ? 0 : events_of(f, events);

		assert_int_equal(rows[f].len, n);
		if (n > 0)
			assert_memory_equal(rows[f].p, events, n * sizeof(uint32_t));
	}
	(void)H5Dvlen_reclaim(memory, space, H5P_DEFAULT, rows);
	(void)H5Sclose(space);
	(void)H5Tclose(memory);
	(void)H5Tclose(element);
	(void)H5Tclose(type);
	(void)H5Dclose(dataset);
}

static void expect_metadata(hid_t file)
{
	const char *group = "/metadata/electron_counting";

	assert_true(attribute_bool(file, "threshold_calculated"));
	assert_true(attribute_f64(file, "background_threshold") == 28.5);
	assert_true(attribute_f64(file, "x_ray_threshold") == 435.25);
	assert_int_equal(attribute_i64(file, group, "number_of_samples"), 20);
	assert_int_equal(attribute_i64(file, group, "min_sample"), -9);
	assert_int_equal(attribute_i64(file, group, "max_sample"), 2600);
	assert_true(attribute_f64(file, "mean") == 20.6);
	assert_true(attribute_f64(file, "variance") == 5.5);
	assert_true(attribute_f64(file, "std_dev") == 2.345);
	assert_int_equal(attribute_i64(file, group, "number_of_bins"), 426);
	assert_true(attribute_f64(file, "x_ray_threshold_n_sigma") == 175.0);
	assert_true(attribute_f64(file, "background_threshold_n_sigma") == 4.5);
	assert_true(attribute_f64(file, "optimized_mean") == 20.5);
	assert_true(attribute_f64(file, "optimized_std_dev") == 1.79);
	assert_int_equal(attribute_i64(file, group, "sampling_seed"), 99);
}

static void expect_positions(hid_t file)
{
	const hsize_t size[1] = { SCAN_COLUMNS * SCAN_ROWS };
	const hid_t dataset = open_dataset(file, "/electron_events/scan_positions", 1, size);
	const hid_t type = H5Dget_type(dataset);
	int64_t positions[SCAN_COLUMNS * SCAN_ROWS];

	assert_true(H5Tequal(type, H5T_STD_I64LE) > 0);
	assert_true(H5Dread(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, positions) >=
		    0);
	for (int i = 0; i < SCAN_COLUMNS * SCAN_ROWS; i++)
		assert_int_equal(positions[i], i);
	(void)H5Tclose(type);
	(void)H5Dclose(dataset);
}

static void expect_masks(hid_t file)
{
	const hsize_t size[1] = { FRAMES }, pair[2] = { 2, 2 };
	hid_t dataset = open_dataset(file, "/sluice/sector_mask", 1, size);
	uint32_t mask[FRAMES];
	double thresholds[4];

	assert_true(H5Dread(dataset, H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, mask) >= 0);
	for (int f = 0; f < FRAMES; f++)
		assert_int_equal(mask[f], f / RUN == 5 ? 0 : f / RUN == 6 ? 5 : COMPLETE);
	(void)H5Dclose(dataset);
	dataset = open_dataset(file, "/sluice/thresholds", 2, pair);
	assert_true(H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT,
			    thresholds) >= 0);
	assert_true(thresholds[0] == 28.5 && thresholds[2] == 29.0);
	(void)H5Dclose(dataset);
}

static void expect_ledger(hid_t file, const char *expected)
{
	const hid_t dataset = H5Dopen2(file, "/sluice/ledger", H5P_DEFAULT);
	const hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
	char *text = NULL;

	assert_true(dataset >= 0);
	assert_true(H5Tis_variable_str(type) > 0);
	assert_int_equal(H5Tget_cset(type), H5T_CSET_UTF8);
	assert_true(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, &text) >= 0);
	assert_string_equal(text, expected);
	(void)H5Dvlen_reclaim(type, space, H5P_DEFAULT, &text);
	(void)H5Sclose(space);
	(void)H5Tclose(type);
	(void)H5Dclose(dataset);
}

static void test_the_file_reads_back_as_readers_expect(void **state)
{
	const char *ledger = "{\"closed\":true}";
	struct merge *m;
	hid_t file;

	(void)state;
	write_parts(false);
	m = open_merge(part_a, part_b);
	assert_int_equal(merge_counts(m)->frames_expected, FRAMES);
	assert_int_equal(merge_counts(m)->frames_delivered, FRAMES - RUN);
	assert_int_equal(merge_counts(m)->frames_incomplete, RUN);
	assert_int_equal(merge_counts(m)->frames_lost, RUN);
	assert_int_equal(merge_counts(m)->duplicates, 0);
	assert_int_equal(merge_write_hdf5(m, out, ledger, NULL), 0);
	merge_close(m);
	file = H5Fopen(out, H5F_ACC_RDONLY, H5P_DEFAULT);
	assert_true(file >= 0);
	assert_int_equal(attribute_i64(file, "/", "version"), 3);
	assert_int_equal(attribute_i64(file, "/electron_events/frames", "Nx"), ROWS);
	assert_int_equal(attribute_i64(file, "/electron_events/frames", "Ny"), COLUMNS);
	assert_int_equal(attribute_i64(file, "/electron_events/scan_positions", "Nx"),
			 SCAN_COLUMNS);
	assert_int_equal(attribute_i64(file, "/electron_events/scan_positions", "Ny"), SCAN_ROWS);
	expect_frames(file);
	expect_positions(file);
	expect_metadata(file);
	expect_masks(file);
	expect_ledger(file, ledger);
	assert_true(H5Lexists(file, "/sluice/frames", H5P_DEFAULT) == 0);
	assert_true(H5Fclose(file) >= 0);
}

static void test_recorded_pixels_come_through(void **state)
{
	const hsize_t size[3] = { FRAMES, ROWS, COLUMNS };
	static uint16_t got[FRAMES][PIXELS];
	struct merge *m;
	hid_t file, dataset;

	(void)state;
	write_parts(true);
	m = open_merge(part_a, part_b);
	assert_int_equal(merge_write_hdf5(m, out, NULL, NULL), 0);
	merge_close(m);
	file = H5Fopen(out, H5F_ACC_RDONLY, H5P_DEFAULT);
	dataset = open_dataset(file, "/sluice/frames", 3, size);
	assert_true(H5Dread(dataset, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, got) >= 0);
	for (uint64_t f = 0; f < FRAMES; f++) {
		uint16_t expected[PIXELS] = { 0 };

		if (f / RUN != 5)
			pixels_of(f, expected);
		assert_memory_equal(got[f], expected, sizeof(expected));
	}
	(void)H5Dclose(dataset);
	assert_true(H5Lexists(file, "/sluice/ledger", H5P_DEFAULT) == 0);
	(void)H5Fclose(file);
}

static char *read_file(const char *path, size_t *ret_size)
{
	FILE *in = fopen(path, "rb");
	struct stat st;
	char *bytes;

	assert_non_null(in);
	assert_int_equal(fstat(fileno(in), &st), 0);
	bytes = malloc((size_t)st.st_size + 1);
	assert_non_null(bytes);
	assert_int_equal(fread(bytes, 1, (size_t)st.st_size, in), st.st_size);
	(void)fclose(in);
	*ret_size = (size_t)st.st_size;
	return bytes;
}

/* A second merge may fall into the same second: look at the time stamps themselves. */
static void expect_no_time_stamps(void)
{
	const char *paths[] = { "/electron_events/frames", "/electron_events/scan_positions",
				"/sluice/sector_mask",     "/sluice/thresholds",
				"/sluice/ledger",          "/metadata/electron_counting" };
	const hid_t file = H5Fopen(out, H5F_ACC_RDONLY, H5P_DEFAULT);

	assert_true(file >= 0);
	for (unsigned int i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		H5O_info_t info;

		assert_true(H5Oget_info_by_name(file, paths[i], &info, H5P_DEFAULT) >= 0);
		assert_int_equal(info.mtime, 0);
		assert_int_equal(info.ctime, 0);
	}
	(void)H5Fclose(file);
}

static void test_merging_twice_gives_the_same_bytes(void **state)
{
	size_t first_size, second_size;
	char *first, *second;
	struct merge *m;

	(void)state;
	write_parts(false);
	for (int i = 0; i < 2; i++) {
		m = open_merge(part_a, part_b);
		assert_int_equal(merge_write_hdf5(m, i ? out2 : out, "{}", NULL), 0);
		merge_close(m);
	}
	expect_no_time_stamps();
	first = read_file(out, &first_size);
	second = read_file(out2, &second_size);
	assert_int_equal(first_size, second_size);
	assert_memory_equal(first, second, first_size);
	free(first);
	free(second);
}

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
	struct part_info other[3] = { base_info, base_info, base_info };
	struct merge *m = NULL;
	struct sluice_error error;

	(void)state;
	other[0].scan.scan = 43;
	other[1].scan.scan_rows++;
	other[2].pixel = SLUICE_PIXEL_U8;
	for (int i = 0; i < 3; i++) {
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
			const double dr = events[i] / COLUMNS - im.centre_row;
			const double dc = events[i] % COLUMNS - im.centre_column;

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

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(test_the_file_reads_back_as_readers_expect),
		cmocka_unit_test(test_recorded_pixels_come_through),
		cmocka_unit_test(test_merging_twice_gives_the_same_bytes),
		cmocka_unit_test(test_each_frame_is_taken_once),
		cmocka_unit_test(test_a_torn_part_gives_its_whole_runs),
		cmocka_unit_test(test_parts_that_do_not_belong_together_are_named),
		cmocka_unit_test(test_a_failed_merge_leaves_no_file),
		cmocka_unit_test(test_images_are_the_sums_of_the_events),
		cmocka_unit_test(test_the_picture_shows_both_images),
		cmocka_unit_test(test_the_program_merges),
	};

	return cmocka_run_group_tests(suite, make_folder, remove_folder);
}
