/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * sluice/block.h - a block: one sector of one frame, a header and its pixels.
 *
 * What a readout board writes into the ring, in the framing named `sluice`. The header is 64
 * bytes, little-endian, followed at once by payload_bytes of pixels in row order.
 *
 * Ownership: plain data. Threads: any. Errors: none.
 */
#ifndef SLUICE_BLOCK_H
#define SLUICE_BLOCK_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/le.h>

#ifdef __cplusplus
extern "C" {
#define SLUICE_STATIC_ASSERT static_assert
#else
#define SLUICE_STATIC_ASSERT _Static_assert
#endif

#define SLUICE_BLOCK_MAGIC 0x4b4c4253u /* "SBLK" in the byte stream */

enum {
	SLUICE_BLOCK_VERSION = 1,
	SLUICE_BLOCK_HEADER_BYTES = 64,
};

/* How a pixel is stored. The BE forms exist because Merlin writes big-endian words. */
enum sluice_pixel {
	SLUICE_PIXEL_U8 = 1,
	SLUICE_PIXEL_U16 = 2,
	SLUICE_PIXEL_U32 = 3,
	SLUICE_PIXEL_U16BE = 4,
	SLUICE_PIXEL_U32BE = 5,
};

/* sluice_block_header.flags */
enum {
	SLUICE_BLOCK_PATTERN_COUNTER = 1 << 0, /* pixels are the counter pattern, not an image */
	SLUICE_BLOCK_PATTERN_PRBS = 1 << 1,    /* pixels are a pseudo-random bit sequence */
};

struct sluice_block_header {
	struct sluice_le32 magic;        /* SLUICE_BLOCK_MAGIC */
	struct sluice_le16 version;      /* SLUICE_BLOCK_VERSION */
	struct sluice_le16 header_bytes; /* SLUICE_BLOCK_HEADER_BYTES */
	struct sluice_le32 scan;         /* scan number */
	struct sluice_le16 sector;       /* 0 ... sector_count - 1 */
	struct sluice_le16 sector_count; /* sectors of a frame */
	struct sluice_le64 frame;        /* frame number in the scan, from 0 */
	struct sluice_le16 scan_columns; /* probe positions per row (x), flyback included */
	struct sluice_le16 scan_rows;    /* rows of probe positions (y) */
	struct sluice_le16 position_x;   /* probe position of this frame */
	struct sluice_le16 position_y;
	struct sluice_le16 rows;          /* pixel rows of this block */
	struct sluice_le16 columns;       /* pixel columns of this block */
	struct sluice_le16 pixel;         /* enum sluice_pixel */
	struct sluice_le16 flags;         /* SLUICE_BLOCK_... */
	struct sluice_le32 payload_bytes; /* rows * columns * bytes per pixel */
	struct sluice_le32 reserved;      /* 0 */
	struct sluice_le64 timestamp_ns;  /* when the frame was exposed, TAI or monotonic */
	struct sluice_le32 payload_crc;   /* CRC32C of the payload */
	struct sluice_le32 header_crc;    /* CRC32C of the 60 bytes before this field */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_block_header) == 64, "block header is 64 bytes");
SLUICE_STATIC_ASSERT(offsetof(struct sluice_block_header, frame) == 16, "frame at byte 16");
SLUICE_STATIC_ASSERT(offsetof(struct sluice_block_header, payload_bytes) == 40, "length at 40");
SLUICE_STATIC_ASSERT(offsetof(struct sluice_block_header, header_crc) == 60, "header CRC is last");

/* How the sectors of a frame lie: stacked in rows (4D Camera v5) or side by side (v4). */
enum sluice_layout {
	SLUICE_LAYOUT_ROWS = 0,
	SLUICE_LAYOUT_COLUMNS = 1,
};

/* Limits on what any geometry from outside may say. */
enum {
	SLUICE_SECTORS_MAX = 32,
	SLUICE_SIDE_MAX = 16384, /* pixel rows or columns of a frame */
	SLUICE_BLOCK_BYTES_MAX = 64 << 20,
};

/* The shape of a detector, and of the part that one board reads. */
struct sluice_geometry {
	uint16_t sectors; /* of a frame, 1 ... SLUICE_SECTORS_MAX */
	uint16_t layout;  /* enum sluice_layout */
	uint16_t rows;    /* pixel rows of one sector */
	uint16_t columns; /* pixel columns of one sector */
	uint16_t pixel;   /* enum sluice_pixel */
};

/* Bytes of one pixel, or 0 for a number that is no enum sluice_pixel. */
static inline uint32_t sluice_pixel_bytes(uint16_t pixel)
{
	switch (pixel) {
	case SLUICE_PIXEL_U8:
		return 1;
	case SLUICE_PIXEL_U16:
	case SLUICE_PIXEL_U16BE:
		return 2;
	case SLUICE_PIXEL_U32:
	case SLUICE_PIXEL_U32BE:
		return 4;
	default:
		return 0;
	}
}

/* Payload bytes of one block of @g. */
static inline uint64_t sluice_sector_bytes(const struct sluice_geometry *g)
{
	return (uint64_t)g->rows * g->columns * sluice_pixel_bytes(g->pixel);
}

static inline uint32_t sluice_frame_rows(const struct sluice_geometry *g)
{
	return g->layout == SLUICE_LAYOUT_ROWS ? (uint32_t)g->rows * g->sectors : g->rows;
}

static inline uint32_t sluice_frame_columns(const struct sluice_geometry *g)
{
	return g->layout == SLUICE_LAYOUT_ROWS ? g->columns : (uint32_t)g->columns * g->sectors;
}

/* Whether every number of @g is within the limits above: judge foreign numbers by it. */
static inline int sluice_geometry_ok(const struct sluice_geometry *g)
{
	return g->sectors >= 1 && g->sectors <= SLUICE_SECTORS_MAX &&
	       g->layout <= SLUICE_LAYOUT_COLUMNS && g->rows >= 1 && g->columns >= 1 &&
	       sluice_pixel_bytes(g->pixel) != 0 && sluice_frame_rows(g) <= SLUICE_SIDE_MAX &&
	       sluice_frame_columns(g) <= SLUICE_SIDE_MAX &&
	       sluice_sector_bytes(g) <= SLUICE_BLOCK_BYTES_MAX;
}

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_BLOCK_H */
