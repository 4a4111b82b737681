/* SPDX-License-Identifier: MIT */
#include "board_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <firmware-iface/registers.h>
#include <model/pattern.h>
#include <sluice/block.h>

enum {
	PRBS_TELLS_BYTES = 8 /* a payload this long differs from another seed's */
};

/* Fails with the frame, or what should be one, and the sentence that does not hold. */
#define HOLDS(fact, frame, sentence)                                                       \
	do {                                                                               \
		if (!(fact))                                                               \
			fail_msg("frame %llu: %s", (unsigned long long)(frame), sentence); \
	} while (0)

static uint32_t crc_table[256];

uint32_t check_crc32c(const void *data, size_t bytes)
{
	const uint8_t *const p = data;
	uint32_t crc = UINT32_MAX;

	if (crc_table[1] == 0) {
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t v = i;

			for (int bit = 0; bit < 8; bit++)
				v = v >> 1 ^ (v & 1 ? 0x82f63b78u : 0);
			crc_table[i] = v;
		}
	}
	for (size_t i = 0; i < bytes; i++)
		crc = crc >> 8 ^ crc_table[(crc ^ p[i]) & 0xff];
	return ~crc;
}

static void check_position(const struct sluice_uapi_scan *asked, uint64_t frame,
			   const struct sluice_block_header *h)
{
	const uint64_t positions = (uint64_t)asked->columns * asked->rows;
	const uint64_t position = (uint64_t)((unsigned __int128)frame * positions / asked->frames);

	HOLDS(sluice_u16(h->scan_columns) == asked->columns, frame, "3.2: columns of the scan");
	HOLDS(sluice_u16(h->scan_rows) == asked->rows, frame, "3.2: rows of the scan");
	HOLDS(sluice_u16(h->position_x) == position % asked->columns, frame, "3.2: its position");
	HOLDS(sluice_u16(h->position_y) == position / asked->columns, frame, "3.2: its position");
}

static void check_geometry(const struct sluice_uapi_info *info, uint64_t frame,
			   const struct sluice_block_header *h)
{
	HOLDS(sluice_u16(h->sector) == info->sector, frame, "2.3: the sector");
	HOLDS(sluice_u16(h->sector_count) == info->sectors, frame, "2.3: the sectors of a frame");
	HOLDS(sluice_u16(h->rows) == info->rows, frame, "2.3: its rows");
	HOLDS(sluice_u16(h->columns) == info->columns, frame, "2.3: its columns");
	HOLDS(sluice_u16(h->pixel) == info->pixel, frame, "2.3: the type of its pixels");
	HOLDS(sluice_u32(h->payload_bytes) == info->block_bytes - SLUICE_BLOCK_HEADER_BYTES, frame,
	      "2.3: its length");
}

static void check_payload(struct bench_scan *scan, const struct sluice_block_header *h,
			  const uint8_t *pixels, size_t bytes)
{
	const uint64_t frame = sluice_u64(h->frame);
	const uint32_t crc = check_crc32c(pixels, bytes);

	HOLDS(crc == sluice_u32(h->payload_crc), frame, "3.2: the CRC of its pixels");
	switch (scan->asked.source) {
	case FW_SOURCE_COUNTER:
		HOLDS(sluice_u16(h->flags) == SLUICE_BLOCK_PATTERN_COUNTER, frame,
		      "3.2: its flags");
		HOLDS(counter_check(pixels, bytes) == 0, frame, "3.2: the counter pattern");
		break;
	case FW_SOURCE_PRBS:
		HOLDS(sluice_u16(h->flags) == SLUICE_BLOCK_PATTERN_PRBS, frame, "3.2: its flags");
		HOLDS(prbs_check(pixels, bytes) == 0, frame, "3.2: the PRBS");
		HOLDS(bytes < PRBS_TELLS_BYTES || scan->blocks == 0 || crc != scan->last_crc, frame,
		      "3.2: a seed of its own");
		break;
	default:
		HOLDS(sluice_u16(h->flags) == 0, frame, "3.2: its flags");
	}
	scan->last_crc = crc;
}

/* Frames go up; @first says that this block is the first of its chunk. */
static void check_order(struct bench_scan *scan, uint64_t frame, bool first)
{
	const uint32_t run_frames = scan->asked.run_frames;

	HOLDS(frame >= scan->next_frame, frame, "3.2: frame numbers go up");
	HOLDS(frame < scan->asked.frames, frame, "3.2: beyond the scan");
	if (run_frames > 0 && !first)
		HOLDS((frame / run_frames) == ((scan->next_frame - 1) / run_frames), frame,
		      "4.3: another run's block in the chunk");
	if (first && scan->room_left)
		HOLDS(run_frames > 0 && frame / run_frames != (scan->next_frame - 1) / run_frames,
		      frame, "4.3: it had room in the chunk before");
	scan->missing += frame - scan->next_frame;
	scan->next_frame = frame + 1;
}

static void check_block(const struct sluice_uapi_info *info, struct bench_scan *scan,
			const uint8_t *block, bool first)
{
	struct sluice_block_header h;
	uint64_t frame;

	memcpy(&h, block, sizeof(h));
	frame = sluice_u64(h.frame);
	HOLDS(sluice_u32(h.magic) == SLUICE_BLOCK_MAGIC, scan->next_frame, "a block: its magic");
	HOLDS(check_crc32c(&h, offsetof(struct sluice_block_header, header_crc)) ==
		      sluice_u32(h.header_crc),
	      scan->next_frame, "a block: the CRC of its header");
	HOLDS(sluice_u16(h.version) == SLUICE_BLOCK_VERSION, frame, "a block: its version");
	HOLDS(sluice_u16(h.header_bytes) == SLUICE_BLOCK_HEADER_BYTES, frame,
	      "a block: its header");
	HOLDS(sluice_u32(h.reserved) == 0, frame, "a block: reserved bytes are 0");
	HOLDS(sluice_u32(h.scan) == scan->asked.scan, frame, "3.2: the number of its scan");
	check_order(scan, frame, first);
	check_position(&scan->asked, frame, &h);
	check_geometry(info, frame, &h);
	check_payload(scan, &h, block + sizeof(h), info->block_bytes - sizeof(h));
}

void check_chunk(const struct sluice_uapi_info *info, struct bench_scan *scan, const uint8_t *data,
		 size_t bytes)
{
	const size_t block = info->block_bytes;

	HOLDS(bytes <= scan->read_bytes, scan->next_frame, "4.3: more than the chunk holds");
	HOLDS(bytes % block == 0, scan->next_frame, "4.3: no whole blocks");
	for (size_t at = 0; at < bytes; at += block) {
		check_block(info, scan, data + at, at == 0);
		scan->blocks++;
	}
	scan->room_left = bytes + block <= scan->read_bytes;
	scan->bytes += bytes;
	scan->reads += bytes > 0;
}
