/* SPDX-License-Identifier: MIT */
/*
 * consume/merge.h - all parts of one scan as one result: HDF5 file, images, picture.
 *
 * Each frame is taken once: from the first part that holds it, unless another has it with more
 * sectors. Parts of different scans, or that disagree about the scan or its thresholds, are refused
 * by name. In memory are an index of the frames and one batch of events; events are read when they
 * are due.
 *
 * Ownership: merge_open() gives, merge_close() takes; close accepts NULL.
 * Threads:   one at a time, in the whole process (libhdf5 is not thread-safe).
 * Errors:    0 or -errno with @reterr naming the part or the file.
 */
#ifndef CONSUME_MERGE_H
#define CONSUME_MERGE_H

#include <stddef.h>
#include <stdint.h>

#include <consume/part.h>

struct merge;
struct sluice_error;

enum {
	MERGE_PARTS_MAX = 4096,
};

/* Frames of the scan by what became of them. */
struct merge_counts {
	uint64_t frames_expected;
	uint64_t frames_delivered;  /* at least one sector arrived */
	uint64_t frames_incomplete; /* of those, a sector is missing */
	uint64_t frames_lost;       /* nothing arrived */
	uint64_t duplicates;        /* frames found again, and passed over */
	uint64_t events;
	unsigned int parts, parts_torn;
};

/* -EINVAL: no parts, or parts that do not belong together. Else as part_reader_open(). */
int merge_open(const char *const *paths, unsigned int count, struct merge **ret_merge,
	       struct sluice_error *reterr);
void merge_close(struct merge *merge);

const struct merge_counts *merge_counts(const struct merge *merge);
/* Of the scan; consumer and threshold are those of the first part. */
const struct part_info *merge_info(const struct merge *merge);
unsigned int merge_part_count(const struct merge *merge);
const struct part_info *merge_part_info(const struct merge *merge, unsigned int part);
const char *merge_part_name(const struct merge *merge, unsigned int part);
/* Bytes of its torn last record, 0 if there is none. */
uint64_t merge_part_torn(const struct merge *merge, unsigned int part);
/* Frames in the output: positions x frames per position. */
uint64_t merge_frames(const struct merge *merge);
/* What holds frame @frame, or NULL when nothing of it arrived; then *ret_reader is untouched. */
const struct part_entry *merge_frame(const struct merge *merge, uint64_t frame,
				     const struct part_reader **ret_reader);

/*
 * Writes the HDF5 file, layout "version 3", under a temporary name and renames it to @path.
 * @ledger_json goes to /sluice/ledger; NULL: there is none. -EIO: HDF5, @reterr names the dataset.
 */
int merge_write_hdf5(const struct merge *merge, const char *path, const char *ledger_json,
		     struct sluice_error *reterr);

/* Images of the scan, from its events. */
struct merge_images {
	uint32_t scan_columns, scan_rows, columns, rows;
	uint32_t *diffraction; /* rows x columns: events per pixel, of all frames */
	uint32_t *bright;      /* scan_rows x scan_columns: events inside the disc */
	double centre_row, centre_column, radius; /* of the disc, pixels */
};

/*
 * The disc is centred on the events' centre of mass; its radius is an eighth of the frame's
 * shorter side, at least 1 pixel. merge_images_free() takes the arrays.
 */
int merge_images(const struct merge *merge, struct merge_images *ret_images,
		 struct sluice_error *reterr);
void merge_images_free(struct merge_images *images);
/* PNG: bright field on the left, logarithm of the diffraction sum on the right. */
int merge_write_picture(const struct merge_images *images, const char *path,
			struct sluice_error *reterr);

#endif /* CONSUME_MERGE_H */
