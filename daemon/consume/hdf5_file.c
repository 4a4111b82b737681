/* SPDX-License-Identifier: MIT */
/*
 * The HDF5 file as stempy and the users' notebooks read it ("version 3"), and /sluice beside it.
 * Without time stamps: the same parts give the same bytes.
 */
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <consume/merge.h>

enum {
	BATCH_FRAMES = 1024,    /* frames whose events are in memory at once, at most */
	BATCH_EVENTS = 1 << 22, /* and their events, unless one frame alone has more */
	PATH_BYTES_MAX = 4096,
};

struct output {
	const struct merge *merge;
	hid_t file;
	struct sluice_error *reterr;
};

static int failed(const struct output *out, const char *what)
{
	return error_set(out->reterr, -EIO, "HDF5: cannot write %s", what);
}

/* Writes a scalar attribute and closes @type if it is a copy of ours. */
static int put_attribute(hid_t object, const char *name, hid_t type, const void *value)
{
	const hid_t space = H5Screate(H5S_SCALAR);
	const hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
	int ret = -EIO;

	if (attribute >= 0 && H5Awrite(attribute, type, value) >= 0)
		ret = 0;
	if (attribute >= 0)
		(void)H5Aclose(attribute);
	if (space >= 0)
		(void)H5Sclose(space);
	return ret;
}

static int put_i64(hid_t object, const char *name, int64_t value)
{
	return put_attribute(object, name, H5T_NATIVE_INT64, &value);
}

static int put_f64(hid_t object, const char *name, double value)
{
	return put_attribute(object, name, H5T_NATIVE_DOUBLE, &value);
}

/* As h5py stores a bool: an enum of int8 with FALSE and TRUE. */
static int put_bool(hid_t object, const char *name, bool value)
{
	const hid_t type = H5Tenum_create(H5T_NATIVE_INT8);
	const int8_t no = 0, yes = 1, v = value;
	int ret = -EIO;

	if (type < 0)
		return ret;
	if (H5Tenum_insert(type, "FALSE", &no) >= 0 && H5Tenum_insert(type, "TRUE", &yes) >= 0)
		ret = put_attribute(object, name, type, &v);
	(void)H5Tclose(type);
	return ret;
}

static int put_group(hid_t file, const char *path)
{
	const hid_t group = H5Gcreate2(file, path, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);

	if (group < 0)
		return -EIO;
	return H5Gclose(group) < 0 ? -EIO : 0;
}

/* A dataset without time stamps; @chunk: NULL for contiguous. Negative when it fails. */
static hid_t make_dataset(hid_t file, const char *path, hid_t type, int rank, const hsize_t *size,
			  const hsize_t *chunk)
{
	const hid_t space = rank > 0 ? H5Screate_simple(rank, size, NULL) : H5Screate(H5S_SCALAR);
	const hid_t create = H5Pcreate(H5P_DATASET_CREATE);
	hid_t dataset = -1;

	if (space >= 0 && create >= 0 && H5Pset_obj_track_times(create, 0) >= 0 &&
	    (!chunk || H5Pset_chunk(create, rank, chunk) >= 0))
		dataset = H5Dcreate2(file, path, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
	if (create >= 0)
		(void)H5Pclose(create);
	if (space >= 0)
		(void)H5Sclose(space);
	return dataset;
}

/* Elements [first, first + count) of dimension 0; the other dimensions whole. */
static int write_slab(hid_t dataset, hid_t type, hsize_t first, hsize_t count, const void *data)
{
	const hid_t space = H5Dget_space(dataset);
	hsize_t start[3] = { first }, size[3] = { 0 };
	hid_t memory = -1;
	int rank, ret = -EIO;

	if (space < 0)
		return -EIO;
	rank = H5Sget_simple_extent_dims(space, size, NULL);
	if (rank < 1 || rank > 3)
		goto out;
	size[0] = count;
	memory = H5Screate_simple(rank, size, NULL);
	if (memory >= 0 &&
	    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, size, NULL) >= 0 &&
	    H5Dwrite(dataset, type, memory, space, H5P_DEFAULT, data) >= 0)
		ret = 0;
	if (memory >= 0)
		(void)H5Sclose(memory);
out:
	(void)H5Sclose(space);
	return ret;
}

/* A whole dataset at once. */
static int put_dataset(hid_t file, const char *path, hid_t type, int rank, const hsize_t *size,
		       const void *data)
{
	const hid_t dataset = make_dataset(file, path, type, rank, size, NULL);
	int ret = -EIO;

	if (dataset < 0)
		return ret;
	if (H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0)
		ret = 0;
	(void)H5Dclose(dataset);
	return ret;
}

/* Room for the events of one batch of frames. */
struct batch {
	hvl_t row[BATCH_FRAMES];
	uint32_t *events;
	size_t room, used;
};

static int batch_reserve(struct batch *b, size_t count)
{
	const size_t room = count > BATCH_EVENTS ? count : BATCH_EVENTS;
	uint32_t *grown;

	if (count <= b->room)
		return 0;
	grown = reallocarray(b->events, room, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	b->events = grown;
	b->room = room;
	return 0;
}

/* Reads frames from @first on, as many as the batch takes. Returns how many, or -errno. */
static int batch_fill(struct batch *b, const struct output *out, uint64_t first)
{
	const uint64_t frames = merge_frames(out->merge);
	int n = 0;

	b->used = 0;
	for (; n < BATCH_FRAMES && first + (uint64_t)n < frames; n++) {
		const struct part_reader *reader;
		const struct part_entry *entry = merge_frame(out->merge, first + (uint64_t)n,
							     &reader);
		const size_t count = entry ? entry->event_count : 0;
		int ret;

		if (n > 0 && b->used + count > b->room)
			break; /* growing now would move what the rows point at */
		if (n == 0 && batch_reserve(b, count) < 0)
			return error_set(out->reterr, -ENOMEM, "merge: out of memory");
		b->row[n] = (hvl_t){ .len = count, .p = count > 0 ? b->events + b->used : NULL };
		if (count == 0)
			continue;
		ret = part_reader_events(reader, entry, b->events + b->used, out->reterr);
		if (ret < 0)
			return ret;
		b->used += count;
	}
	return n;
}

static int write_events(const struct output *out, hid_t dataset, hid_t type)
{
	const uint64_t frames = merge_frames(out->merge);
	struct batch *b = calloc(1, sizeof(*b));
	uint64_t done = 0;
	int n = 0;

	if (!b || batch_reserve(b, 1) < 0) {
		free(b);
		return error_set(out->reterr, -ENOMEM, "merge: out of memory");
	}
	while (n >= 0 && done < frames) {
		n = batch_fill(b, out, done);
		if (n > 0 && write_slab(dataset, type, done, (hsize_t)n, b->row) < 0)
			n = failed(out, "/electron_events/frames");
		if (n > 0)
			done += (uint64_t)n;
	}
	free(b->events);
	free(b);
	return n < 0 ? n : 0;
}

static int put_frames(const struct output *out)
{
	const struct sluice_geometry *g = &merge_info(out->merge)->scan.geometry;
	const hsize_t size[1] = { merge_frames(out->merge) };
	const hid_t type = H5Tvlen_create(H5T_NATIVE_UINT32);
	const hid_t dataset = make_dataset(out->file, "/electron_events/frames", type, 1, size,
					   NULL);
	int ret;

	/* Readers take the shape as (Nx, Ny) and an index as row * Ny + column. */
	if (dataset < 0 || put_i64(dataset, "Nx", sluice_frame_rows(g)) < 0 ||
	    put_i64(dataset, "Ny", sluice_frame_columns(g)) < 0)
		ret = failed(out, "/electron_events/frames");
	else
		ret = write_events(out, dataset, type);
	if (dataset >= 0)
		(void)H5Dclose(dataset);
	if (type >= 0)
		(void)H5Tclose(type);
	return ret;
}

static int put_positions(const struct output *out)
{
	const struct sluice_scan *scan = &merge_info(out->merge)->scan;
	const hsize_t size[1] = { (hsize_t)scan->scan_columns * scan->scan_rows };
	const hid_t dataset = make_dataset(out->file, "/electron_events/scan_positions",
					   H5T_NATIVE_INT64, 1, size, NULL);
	int64_t positions[BATCH_FRAMES];
	int ret = -EIO;

	if (dataset >= 0 && put_i64(dataset, "Nx", scan->scan_columns) >= 0)
		ret = put_i64(dataset, "Ny", scan->scan_rows);
	for (hsize_t done = 0; ret == 0 && done < size[0]; done += BATCH_FRAMES) {
		const hsize_t n = size[0] - done < BATCH_FRAMES ? size[0] - done : BATCH_FRAMES;

		for (hsize_t i = 0; i < n; i++)
			positions[i] = (int64_t)(done + i);
		ret = write_slab(dataset, H5T_NATIVE_INT64, done, n, positions);
	}
	if (dataset >= 0)
		(void)H5Dclose(dataset);
	return ret < 0 ? failed(out, "/electron_events/scan_positions") : 0;
}

static int put_metadata(const struct output *out)
{
	const struct threshold *t = &merge_info(out->merge)->threshold;
	hid_t group = -1;
	int ret = -EIO;

	if (put_group(out->file, "/metadata") == 0 &&
	    put_group(out->file, "/metadata/electron_counting") == 0)
		group = H5Gopen2(out->file, "/metadata/electron_counting", H5P_DEFAULT);
	if (group < 0)
		return failed(out, "/metadata/electron_counting");
	if (put_bool(group, "threshold_calculated", t->calculated) == 0 &&
	    put_f64(group, "background_threshold", t->background) == 0 &&
	    put_f64(group, "x_ray_threshold", t->xray) == 0 &&
	    put_i64(group, "number_of_samples", t->samples) == 0 &&
	    put_i64(group, "min_sample", (int64_t)t->min) == 0 &&
	    put_i64(group, "max_sample", (int64_t)t->max) == 0 &&
	    put_f64(group, "mean", t->mean) == 0 && put_f64(group, "variance", t->variance) == 0 &&
	    put_f64(group, "std_dev", t->std_dev) == 0 &&
	    put_i64(group, "number_of_bins", t->bins) == 0 &&
	    put_f64(group, "x_ray_threshold_n_sigma", t->xray_n_sigma) == 0 &&
	    put_f64(group, "background_threshold_n_sigma", t->background_n_sigma) == 0 &&
	    put_f64(group, "optimized_mean", t->optimized_mean) == 0 &&
	    put_f64(group, "optimized_std_dev", t->optimized_std_dev) == 0)
		ret = put_i64(group, "sampling_seed", (int64_t)t->seed);
	(void)H5Gclose(group);
	return ret < 0 ? failed(out, "/metadata/electron_counting") : 0;
}

static int put_masks(const struct output *out)
{
	const hsize_t size[1] = { merge_frames(out->merge) };
	const hid_t dataset = make_dataset(out->file, "/sluice/sector_mask", H5T_NATIVE_UINT32, 1,
					   size, NULL);
	uint32_t mask[BATCH_FRAMES];
	int ret = dataset < 0 ? -EIO : 0;

	for (hsize_t done = 0; ret == 0 && done < size[0]; done += BATCH_FRAMES) {
		const hsize_t n = size[0] - done < BATCH_FRAMES ? size[0] - done : BATCH_FRAMES;

		for (hsize_t i = 0; i < n; i++) {
			const struct part_reader *reader;
			const struct part_entry *entry = merge_frame(out->merge, done + i, &reader);

			mask[i] = entry ? entry->sector_mask : 0;
		}
		ret = write_slab(dataset, H5T_NATIVE_UINT32, done, n, mask);
	}
	if (ret == 0)
		ret = put_i64(dataset, "sectors", merge_info(out->merge)->scan.geometry.sectors);
	if (dataset >= 0)
		(void)H5Dclose(dataset);
	return ret < 0 ? failed(out, "/sluice/sector_mask") : 0;
}

/* Thresholds of every part: consumers that fit them for themselves may differ. */
static int put_thresholds(const struct output *out)
{
	const unsigned int parts = merge_part_count(out->merge);
	const hsize_t size[2] = { parts, 2 };
	double *values = calloc(parts, 2 * sizeof(*values));
	int ret;

	if (!values)
		return error_set(out->reterr, -ENOMEM, "merge: out of memory");
	for (unsigned int i = 0; i < parts; i++) {
		values[2 * i] = merge_part_info(out->merge, i)->threshold.background;
		values[2 * i + 1] = merge_part_info(out->merge, i)->threshold.xray;
	}
	ret = put_dataset(out->file, "/sluice/thresholds", H5T_NATIVE_DOUBLE, 2, size, values);
	free(values);
	return ret < 0 ? failed(out, "/sluice/thresholds") : 0;
}

static int put_ledger(const struct output *out, const char *json)
{
	const hid_t type = H5Tcopy(H5T_C_S1);
	int ret = -EIO;

	if (type >= 0 && H5Tset_size(type, H5T_VARIABLE) >= 0 &&
	    H5Tset_cset(type, H5T_CSET_UTF8) >= 0)
		ret = put_dataset(out->file, "/sluice/ledger", type, 0, NULL, &json);
	if (type >= 0)
		(void)H5Tclose(type);
	return ret < 0 ? failed(out, "/sluice/ledger") : 0;
}

static hid_t pixel_type(uint16_t pixel)
{
	switch (pixel) {
	case SLUICE_PIXEL_U8:
		return H5T_NATIVE_UINT8;
	case SLUICE_PIXEL_U16:
		return H5T_NATIVE_UINT16;
	default:
		return H5T_NATIVE_UINT32;
	}
}

/* The frames as they were taken, where the parts hold them; missing ones are not stored. */
static int put_pixels(const struct output *out)
{
	const struct part_info *info = merge_info(out->merge);
	const struct sluice_geometry *g = &info->scan.geometry;
	const hsize_t size[3] = { merge_frames(out->merge), sluice_frame_rows(g),
				  sluice_frame_columns(g) };
	const hsize_t chunk[3] = { 1, size[1], size[2] };
	const hid_t type = pixel_type(info->pixel);
	const hid_t dataset = make_dataset(out->file, "/sluice/frames", type, 3, size, chunk);
	void *pixels = malloc(part_frame_bytes(info));
	int ret = 0;

	if (!pixels)
		ret = error_set(out->reterr, -ENOMEM, "merge: out of memory");
	else if (dataset < 0)
		ret = failed(out, "/sluice/frames");
	for (hsize_t f = 0; ret == 0 && f < size[0]; f++) {
		const struct part_reader *reader;
		const struct part_entry *entry = merge_frame(out->merge, f, &reader);

		if (!entry || entry->pixels_offset == 0)
			continue;
		ret = part_reader_pixels(reader, entry, pixels, out->reterr);
		if (ret == 0 && write_slab(dataset, type, f, 1, pixels) < 0)
			ret = failed(out, "/sluice/frames");
	}
	free(pixels);
	if (dataset >= 0)
		(void)H5Dclose(dataset);
	return ret;
}

static int write_file(const struct output *out, const char *ledger_json)
{
	int ret = 0;

	if (put_i64(out->file, "version", 3) < 0 || put_group(out->file, "/electron_events") < 0 ||
	    put_group(out->file, "/sluice") < 0)
		return failed(out, "its groups");
	ret = put_frames(out);
	if (ret == 0)
		ret = put_positions(out);
	if (ret == 0)
		ret = put_metadata(out);
	if (ret == 0)
		ret = put_masks(out);
	if (ret == 0)
		ret = put_thresholds(out);
	if (ret == 0 && ledger_json)
		ret = put_ledger(out, ledger_json);
	if (ret == 0 && merge_info(out->merge)->pixel != 0)
		ret = put_pixels(out);
	return ret;
}

int merge_write_hdf5(const struct merge *merge, const char *path, const char *ledger_json,
		     struct sluice_error *reterr)
{
	struct output out = { .merge = merge, .reterr = reterr };
	char temporary[PATH_BYTES_MAX];
	int ret;

	/* libhdf5 prints to standard error unless told not to; a library is silent. */
	(void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
	if (snprintf(temporary, sizeof(temporary), "%s.%d.tmp", path, (int)getpid()) >=
	    (int)sizeof(temporary))
		return error_set(reterr, -ENAMETOOLONG, "%s: the name is too long", path);
	out.file = H5Fcreate(temporary, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
	if (out.file < 0)
		return error_set(reterr, -EIO, "%s: HDF5 cannot make it", temporary);
	ret = write_file(&out, ledger_json);
	/* Closing writes what is still in memory: it can fail like any write. */
	if (H5Fclose(out.file) < 0 && ret == 0)
		ret = failed(&out, temporary);
	if (ret == 0 && rename(temporary, path) < 0) {
		ret = neg_errno();
		(void)error_set(reterr, ret, "%s: cannot rename to it: %s", path, error_name(ret));
	}
	if (ret < 0)
		(void)unlink(temporary);
	return ret;
}
