/* SPDX-License-Identifier: MIT */
/*
 * source/block_entry.h - from a header to the entry in a chunk's table.
 *
 * Ownership: the caller's memory. Threads: any. Errors: none.
 */
#ifndef SOURCE_BLOCK_ENTRY_H
#define SOURCE_BLOCK_ENTRY_H

#include <base/crc32c.h>
#include <sluice/wire.h>

#include "framing.h"

/* @offset: of @pixels, as the table counts. Where the data has no CRC, it is taken here. */
static inline void block_entry_set(struct sluice_wire_block *ret_entry,
				   const struct framing_format *format,
				   const struct framing_header *header, const uint8_t *pixels,
				   uint32_t offset)
{
	*ret_entry = (struct sluice_wire_block){
		.frame = sluice_le64(header->frame),
		.timestamp_ns = sluice_le64(header->timestamp_ns),
		.offset = sluice_le32(offset),
		.crc = sluice_le32(format->framing->has_crc
					   ? header->payload_crc
					   : crc32c(pixels, format->payload_bytes)),
		.position_x = sluice_le16(header->position_x),
		.position_y = sluice_le16(header->position_y),
		.flags = sluice_le16(header->flags),
	};
}

/* The probe position by the frame number, where the data does not say it. */
static inline void block_entry_place(struct sluice_wire_block *entry, uint64_t frame,
				     uint32_t scan_columns, uint64_t frames_per_position)
{
	if (scan_columns == 0 || frames_per_position == 0)
		return;
	entry->position_x = sluice_le16((uint16_t)(frame / frames_per_position % scan_columns));
	entry->position_y = sluice_le16((uint16_t)(frame / frames_per_position / scan_columns));
}

#endif /* SOURCE_BLOCK_ENTRY_H */
