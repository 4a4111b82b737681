/* SPDX-License-Identifier: MIT */
/* The framing of our own boards: the 64-byte header of sluice/block.h. */
#include <errno.h>
#include <string.h>

#include <base/crc32c.h>
#include <base/error.h>

#include "framing.h"

static enum framing_verdict header_read(const uint8_t *bytes, struct sluice_block_header *ret_h)
{
	memcpy(ret_h, bytes, sizeof(*ret_h));
	if (sluice_u32(ret_h->magic) != SLUICE_BLOCK_MAGIC ||
	    sluice_u16(ret_h->version) != SLUICE_BLOCK_VERSION ||
	    sluice_u16(ret_h->header_bytes) != SLUICE_BLOCK_HEADER_BYTES)
		return FRAMING_BAD_MAGIC;
	if (sluice_u32(ret_h->header_crc) !=
	    crc32c(bytes, offsetof(struct sluice_block_header, header_crc)))
		return FRAMING_BAD_HEADER_CRC;
	return FRAMING_OK;
}

static int learn(struct framing_format *format, const uint8_t *bytes, struct sluice_error *reterr)
{
	struct sluice_block_header h;
	struct sluice_geometry data;

	format->header_bytes = SLUICE_BLOCK_HEADER_BYTES;
	if (!bytes)
		return 0;
	if (header_read(bytes, &h) != FRAMING_OK)
		return error_set(reterr, -EBADMSG, "no block header of framing sluice");
	data = (struct sluice_geometry){
		.sectors = sluice_u16(h.sector_count),
		/* The header does not say how the sectors lie: that stays as configured. */
		.layout = format->geometry.layout,
		.rows = sluice_u16(h.rows),
		.columns = sluice_u16(h.columns),
		.pixel = sluice_u16(h.pixel),
	};
	return framing_geometry_merge(&format->geometry, &data, reterr);
}

static enum framing_verdict check(const struct framing_format *format, const uint8_t *bytes,
				  struct framing_header *ret_header)
{
	struct sluice_block_header h;
	const enum framing_verdict verdict = header_read(bytes, &h);

	if (verdict != FRAMING_OK)
		return verdict;
	if (sluice_u16(h.rows) != format->geometry.rows ||
	    sluice_u16(h.columns) != format->geometry.columns ||
	    sluice_u16(h.pixel) != format->geometry.pixel ||
	    sluice_u16(h.sector_count) != format->geometry.sectors ||
	    sluice_u16(h.sector) != format->sector)
		return FRAMING_BAD_GEOMETRY;
	if (sluice_u32(h.payload_bytes) != format->payload_bytes)
		return FRAMING_BAD_LENGTH;
	if ((format->scan_known && sluice_u32(h.scan) != format->scan) ||
	    sluice_u64(h.frame) >= format->frames)
		return FRAMING_BAD_SCAN;
	*ret_header = (struct framing_header){
		.frame = sluice_u64(h.frame),
		.timestamp_ns = sluice_u64(h.timestamp_ns),
		.scan = sluice_u32(h.scan),
		.payload_crc = sluice_u32(h.payload_crc),
		.scan_columns = sluice_u16(h.scan_columns),
		.scan_rows = sluice_u16(h.scan_rows),
		.position_x = sluice_u16(h.position_x),
		.position_y = sluice_u16(h.position_y),
		.flags = sluice_u16(h.flags),
	};
	return FRAMING_OK;
}

static void anchor(const struct framing_format *format, struct framing_anchor *ret_anchor)
{
	const struct sluice_le32 magic = sluice_le32(SLUICE_BLOCK_MAGIC);

	(void)format;
	*ret_anchor = (struct framing_anchor){ .offset = 0, .len = sizeof(magic) };
	memcpy(ret_anchor->bytes, &magic, sizeof(magic));
}

const struct framing framing_sluice = {
	.name = "sluice",
	.learn_bytes = SLUICE_BLOCK_HEADER_BYTES,
	.has_crc = true,
	.has_scan = true,
	.has_position = true,
	.learn = learn,
	.check = check,
	.anchor = anchor,
};
