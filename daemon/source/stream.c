/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <assert.h>

#include "source_ops.h"

int stream_open(struct source *source)
{
	return scanner_init(&source->scanner, &source->format, &source->stats);
}

void stream_close(struct source *source)
{
	scanner_fini(&source->scanner);
}

void stream_start(struct source *source)
{
	const struct source_scan *const scan = &source->scan;
	const uint64_t positions = (uint64_t)scan->scan_columns * scan->scan_rows;
	struct framing_format format = source->format;

	format.frames = scan->frames_expected;
	if (format.framing->has_crc) {
		/* Our own boards write the number that they were armed with. */
		format.scan_known = true;
		format.scan = scan->scan;
	}
	if (scan->scan_columns <= UINT16_MAX && scan->scan_rows <= UINT16_MAX) {
		format.scan_columns = (uint16_t)scan->scan_columns;
		format.scan_rows = (uint16_t)scan->scan_rows;
	}
	scanner_reset(&source->scanner, &format);
	source->scanner.scan_columns = scan->scan_columns;
	source->scanner.frames_per_position = positions ? scan->frames_expected / positions : 0;
	source->stream_at = 0;
	source->stream_in_flight = 0;
}

uint32_t stream_read_bytes(struct source *source, const struct source_slot *slot)
{
	const uint64_t block = source->format.block_bytes;
	const uint64_t run = block * source->scan.run_frames;
	const uint64_t end = block * source->scan.frames_expected;
	const uint64_t at = source->stream_at + source->stream_in_flight;
	const uint64_t table = block * slot->buffer.table_max;
	uint64_t room = slot->buffer.capacity < table ? slot->buffer.capacity : table;
	uint64_t len = run - at % run;

	if (room > URING_READ_BYTES_MAX)
		room = URING_READ_BYTES_MAX;
	/* A read that waited for bytes beyond the scan would hold back its last blocks. */
	if (at < end && len > end - at)
		len = end - at;
	/* Not a whole run: then to the end of a block. A buffer holds at least one. */
	if (len > room)
		len = room - (at + room) % block;
	assert(len > 0 && len <= slot->buffer.capacity);
	source->stream_in_flight += len;
	return (uint32_t)len;
}

void stream_completed(struct source *source, struct source_slot *slot, struct source_fill *fill)
{
	const struct scanner *const scanner = &source->scanner;

	scanner_feed(&source->scanner, &slot->buffer, slot->received, fill);
	source->stream_in_flight -= slot->requested;
	if (scanner->seen)
		source->stream_at = (scanner->last_frame + 1) * source->format.block_bytes +
				    scanner->bytes_after;
	else
		source->stream_at += slot->received;
}
