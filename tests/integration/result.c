/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "result.h"

static void read_attribute(hid_t object, const char *name, hid_t type, void *value)
{
	const hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);

	assert_true(attribute >= 0);
	assert_true(H5Aread(attribute, type, value) >= 0);
	(void)H5Aclose(attribute);
}

static void read_events(hid_t file, struct result *r)
{
	const hid_t dataset = H5Dopen(file, "/electron_events/frames", H5P_DEFAULT);
	hsize_t count;

	assert_true(dataset >= 0);
	r->events_space = H5Dget_space(dataset);
	assert_int_equal(H5Sget_simple_extent_dims(r->events_space, &count, NULL), 1);
	r->frames = (size_t)count;
	r->events = calloc(r->frames, sizeof(r->events[0]));
	r->events_type = H5Tvlen_create(H5T_NATIVE_UINT32);
	assert_true(H5Dread(dataset, r->events_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, r->events) >=
		    0);
	/* Of frames Nx are the rows, of the scan the columns: so do readers take them. */
	read_attribute(dataset, "Nx", H5T_NATIVE_UINT32, &r->frame_rows);
	read_attribute(dataset, "Ny", H5T_NATIVE_UINT32, &r->frame_columns);
	(void)H5Dclose(dataset);
}

static void read_masks(hid_t file, struct result *r)
{
	const hid_t dataset = H5Dopen(file, "/sluice/sector_mask", H5P_DEFAULT);

	assert_true(dataset >= 0);
	r->mask = calloc(r->frames, sizeof(r->mask[0]));
	assert_true(H5Dread(dataset, H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, r->mask) >=
		    0);
	(void)H5Dclose(dataset);
}

void result_open(const char *path, struct result *ret_result)
{
	const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
	struct result r = { 0 };
	hid_t object;
	int version;

	assert_true(file >= 0);
	read_attribute(file, "version", H5T_NATIVE_INT, &version);
	assert_int_equal(version, 3);
	read_events(file, &r);
	read_masks(file, &r);
	object = H5Dopen(file, "/electron_events/scan_positions", H5P_DEFAULT);
	assert_true(object >= 0);
	read_attribute(object, "Nx", H5T_NATIVE_UINT32, &r.scan_columns);
	read_attribute(object, "Ny", H5T_NATIVE_UINT32, &r.scan_rows);
	(void)H5Dclose(object);
	object = H5Gopen(file, "/metadata/electron_counting", H5P_DEFAULT);
	assert_true(object >= 0);
	read_attribute(object, "background_threshold", H5T_NATIVE_DOUBLE, &r.background);
	read_attribute(object, "x_ray_threshold", H5T_NATIVE_DOUBLE, &r.xray);
	(void)H5Gclose(object);
	(void)H5Fclose(file);
	*ret_result = r;
}

void result_close(struct result *result)
{
	(void)H5Dvlen_reclaim(result->events_type, result->events_space, H5P_DEFAULT,
			      result->events);
	(void)H5Tclose(result->events_type);
	(void)H5Sclose(result->events_space);
	free(result->events);
	free(result->mask);
}

uint16_t *result_pixels(const char *path, const struct result *result)
{
	const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
	const hid_t dataset = H5Dopen(file, "/sluice/frames", H5P_DEFAULT);
	uint16_t *pixels = malloc(result->frames * result->frame_rows * result->frame_columns *
				  sizeof(pixels[0]));

	assert_true(file >= 0);
	assert_true(dataset >= 0);
	assert_non_null(pixels);
	assert_true(H5Dread(dataset, H5T_NATIVE_UINT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, pixels) >=
		    0);
	(void)H5Dclose(dataset);
	(void)H5Fclose(file);
	return pixels;
}
