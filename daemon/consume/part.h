/* SPDX-License-Identifier: MIT */
/*
 * consume/part.h - the part of a scan's result that one consumer writes as it goes.
 *
 * An append-only file: a header, then one record per run, written whole by one writev() before
 * the run is acknowledged. A consumer that is killed leaves at worst a torn last record, of a run
 * that was never acknowledged; the reader passes over it. All little-endian:
 *
 *   header (struct in part_format.h): scan, geometry, consumer, thresholds, CRC32C
 *   record: header of 32 bytes with CRC32C: kind, run, number of frames, bytes of data
 *           per frame 24 bytes: frame number, sector mask, flags, elements, CRC32C of its data
 *           the data: uint32 event indices (kind 1) or assembled pixels (kind 2)
 *
 * Ownership: open gives, close takes; close accepts NULL. What the reader returns lives with it.
 * Threads:   one at a time per object. Errors: 0 or -errno; @reterr may be NULL.
 */
#ifndef CONSUME_PART_H
#define CONSUME_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <consume/threshold.h>
#include <sluice/consumer.h>
#include <sluice/wire.h>

struct part_writer;
struct part_reader;

enum {
	PART_FRAMES_MAX = 1 << 28, /* frames of a scan: positions x frames per position */
};

struct part_info {
	struct sluice_scan scan;
	char consumer[SLUICE_WIRE_NAME_MAX];
	struct threshold threshold;
	uint16_t pixel; /* of the frames recorded with their pixels, host order: U8, U16, U32; 0:
			   none */
};

/* A frame to be written. */
struct part_frame {
	uint64_t frame;
	uint32_t sector_mask;
	uint32_t flags; /* sluice_frame.flags */
	uint32_t event_count;
	const uint32_t *events; /* ascending indices row * columns + column */
	const void *pixels;     /* assembled, of type info.pixel; NULL unless that is set */
};

/*
 * Makes the file and writes its header. -EEXIST: the file is there already; parts are never
 * written over. -EINVAL: @info is out of range.
 */
int part_writer_open(const char *path, const struct part_info *info,
		     struct part_writer **ret_writer, struct sluice_error *reterr);
/*
 * Appends run @run: @count frames (1 ... SLUICE_WIRE_RUN_FRAMES_MAX). When it returns 0 the run
 * outlives this process; on failure nothing of it is in the file and the next may be tried.
 * -EINVAL: a frame that is not of the run, or pixels that do not go with info.pixel.
 */
int part_writer_run(struct part_writer *writer, uint64_t run, const struct part_frame *frames,
		    unsigned int count);
/* Everything written outlives this machine's power, too. */
int part_writer_sync(struct part_writer *writer);
void part_writer_close(struct part_writer *writer);

/* A frame that a part holds. */
struct part_entry {
	uint64_t frame;
	uint32_t sector_mask;
	uint32_t flags;
	uint32_t event_count;
	uint32_t events_crc;
	uint64_t events_offset; /* in the file */
	uint64_t pixels_offset; /* 0: without pixels */
	uint32_t pixels_crc;
};

/* Indexes the part. -EBADMSG: not a part, or damaged before its last record. */
int part_reader_open(const char *path, struct part_reader **ret_reader,
		     struct sluice_error *reterr);
/* The same of an open file, which the reader closes, also on failure; @name is for messages. */
int part_reader_open_fd(int fd, const char *name, struct part_reader **ret_reader,
			struct sluice_error *reterr);
void part_reader_close(struct part_reader *reader);
const struct part_info *part_reader_info(const struct part_reader *reader);
const char *part_reader_name(const struct part_reader *reader);
/* Bytes of a torn last record, 0 if there is none. */
uint64_t part_reader_torn(const struct part_reader *reader);
/* In the order of writing; the same frame may come twice. */
size_t part_reader_count(const struct part_reader *reader);
const struct part_entry *part_reader_entry(const struct part_reader *reader, size_t index);
/* The events of @entry into room for event_count of them. -EBADMSG: CRC, order or range. */
int part_reader_events(const struct part_reader *reader, const struct part_entry *entry,
		       uint32_t *events, struct sluice_error *reterr);
/* Its pixels into room for part_frame_bytes(). -ENODATA: it has none. -EBADMSG: CRC. */
int part_reader_pixels(const struct part_reader *reader, const struct part_entry *entry,
		       void *pixels, struct sluice_error *reterr);

/* Frames of the whole scan: positions x frames per position. */
uint64_t part_frames(const struct part_info *info);
/* Bytes of one recorded frame's pixels; 0 when none are recorded. */
size_t part_frame_bytes(const struct part_info *info);
/* -EINVAL with @reterr naming what is out of range. */
int part_info_check(const struct part_info *info, struct sluice_error *reterr);

#endif /* CONSUME_PART_H */
