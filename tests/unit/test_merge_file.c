/* SPDX-License-Identifier: MIT */
/* Reads the file back as the users' readers do (stempy: SparseArray.from_hdf5). */
#include <hdf5.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "merge_fixture.h"

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
	assert_true(thresholds[0] == 28.5 && thresholds[1] == 435.25);
	assert_memory_equal(thresholds + 2, thresholds, sizeof(double[2]));
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

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(test_the_file_reads_back_as_readers_expect),
		cmocka_unit_test(test_recorded_pixels_come_through),
		cmocka_unit_test(test_merging_twice_gives_the_same_bytes),
	};

	return cmocka_run_group_tests(suite, make_folder, remove_folder);
}
