/* SPDX-License-Identifier: MIT */
/*
 * consume/part_format.h - the bytes of a part file, for part_*.c only. See consume/part.h.
 *
 * Doubles are their IEEE 754 bits as a 64-bit number.
 * Ownership: plain data. Threads: any. Errors: see each function.
 */
#ifndef CONSUME_PART_FORMAT_H
#define CONSUME_PART_FORMAT_H

#include <assert.h>
#include <stddef.h>

#include <consume/part.h>
#include <sluice/le.h>

#define PART_MAGIC   UINT64_C(0x3154524150434c53) /* "SLCPART1" in the byte stream */
#define RECORD_MAGIC 0x44524353u                  /* "SCRD" */

enum {
	PART_VERSION = 1,
	RECORD_EVENTS = 1,
	RECORD_PIXELS = 2,
	RECORD_TABLE_MAX = SLUICE_WIRE_RUN_FRAMES_MAX,
};

struct part_header {
	struct sluice_le64 magic;
	struct sluice_le16 version;
	struct sluice_le16 header_bytes;
	struct sluice_le32 scan;
	struct sluice_le64 frames_expected;
	struct sluice_le32 scan_columns, scan_rows;
	struct sluice_le32 frames_per_position;
	struct sluice_le32 run_frames;
	struct sluice_le16 sectors, layout, rows, columns, pixel;
	struct sluice_le16 recorded_pixel; /* part_info.pixel */
	struct sluice_le32 calculated;     /* struct threshold from here */
	struct sluice_le32 samples, bins;
	struct sluice_le32 reserved; /* 0 */
	struct sluice_le64 seed;
	struct sluice_le64 background, xray;
	struct sluice_le64 min, max, mean, variance, std_dev;
	struct sluice_le64 xray_n_sigma, background_n_sigma;
	struct sluice_le64 optimized_mean, optimized_std_dev;
	char consumer[SLUICE_WIRE_NAME_MAX]; /* NUL-terminated */
	struct sluice_le32 reserved2;        /* 0 */
	struct sluice_le32 header_crc;       /* CRC32C of the bytes before this field */
};
static_assert(sizeof(struct part_header) == 240, "part header is 240 bytes");
static_assert(offsetof(struct part_header, header_crc) == 236, "CRC is last");

struct record_header {
	struct sluice_le32 magic;
	struct sluice_le16 kind;  /* RECORD_... */
	struct sluice_le16 count; /* frames in the table */
	struct sluice_le64 run;
	struct sluice_le64 data_bytes; /* after the table */
	struct sluice_le32 table_crc;  /* CRC32C of the table */
	struct sluice_le32 header_crc; /* CRC32C of the 28 bytes before this field */
};
static_assert(sizeof(struct record_header) == 32, "record header is 32 bytes");

struct record_frame {
	struct sluice_le64 frame;
	struct sluice_le32 sector_mask;
	struct sluice_le32 flags;
	struct sluice_le32 elements; /* events, or pixels */
	struct sluice_le32 data_crc;
};
static_assert(sizeof(struct record_frame) == 24, "table entry is 24 bytes");

void part_header_encode(const struct part_info *info, struct part_header *ret_header);
/* -EBADMSG with @reterr: not a part's header, or a number out of range. */
int part_header_decode(const struct part_header *header, struct part_info *ret_info,
		       struct sluice_error *reterr);

#endif /* CONSUME_PART_FORMAT_H */
