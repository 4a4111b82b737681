/* SPDX-License-Identifier: MIT */
#include "scanner.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <base/count.h>

#include "block_entry.h"
#include "source.h"

int scanner_init(struct scanner *scanner, const struct framing_format *format,
		 struct source_stats *stats)
{
	uint8_t *const carry = malloc(format->block_bytes);

	if (!carry)
		return -ENOMEM;
	*scanner = (struct scanner){ .format = *format, .stats = stats, .carry = carry };
	return 0;
}

void scanner_fini(struct scanner *scanner)
{
	if (!scanner)
		return;
	free(scanner->carry);
	scanner->carry = NULL;
}

void scanner_reset(struct scanner *scanner, const struct framing_format *format)
{
	assert(format->block_bytes == scanner->format.block_bytes);
	*scanner = (struct scanner){
		.format = *format,
		.stats = scanner->stats,
		.carry = scanner->carry,
	};
}

void scanner_count(struct source_stats *stats, enum framing_verdict verdict)
{
	switch (verdict) {
	case FRAMING_BAD_MAGIC:
		count_add(&stats->bad_magic, 1);
		break;
	case FRAMING_BAD_LENGTH:
		count_add(&stats->bad_length, 1);
		break;
	case FRAMING_BAD_HEADER_CRC:
		count_add(&stats->bad_header_crc, 1);
		break;
	case FRAMING_BAD_GEOMETRY:
		count_add(&stats->bad_geometry, 1);
		break;
	case FRAMING_BAD_SCAN:
		count_add(&stats->bad_scan, 1);
		break;
	case FRAMING_OK:
	case FRAMING_VERDICT_COUNT:
		break;
	}
}

static void skip(struct scanner *scanner, uint64_t bytes, struct source_fill *fill)
{
	if (bytes == 0)
		return;
	fill->bytes_skipped += (uint32_t)bytes;
	count_add(&scanner->stats->bytes_skipped, bytes);
	scanner->after_skip = true;
}

/* Where scanning of a buffer has come to. */
struct scan {
	const struct source_buffer *buffer;
	const uint8_t *at;    /* not judged yet */
	const uint8_t *end;   /* of the bytes that came */
	const uint8_t *block; /* the block before @at, NULL when @at follows a skip */
	const uint8_t *after; /* end of the last block found */
};

/*
 * Where no block begins with this buffer, one may begin in what was kept of the last one's last
 * block, and reach into this buffer. Returns where, or @data.
 */
static const uint8_t *join_suspect(struct scanner *scanner, uint8_t *data, uint32_t headroom,
				   uint32_t received)
{
	const struct framing_format *const f = &scanner->format;
	const uint32_t bytes = scanner->suspect_bytes;
	struct framing_header header;
	size_t found;

	scanner->suspect_bytes = 0;
	if (bytes == 0 || bytes > headroom || received < f->header_bytes ||
	    f->framing->check(f, data, &header) == FRAMING_OK)
		return data;
	memcpy(data - bytes, scanner->carry, bytes);
	found = framing_search(f, data - bytes, bytes + f->header_bytes - 1);
	if (found >= bytes)
		return data;
	count_add(&scanner->stats->bytes_moved, bytes);
	count_add(&scanner->stats->resyncs, 1);
	return data - bytes + found;
}

/* Copies the tail of the last buffer to stand right before this one's @received bytes. */
static const uint8_t *join(struct scanner *scanner, const struct source_buffer *buffer,
			   uint32_t received, struct source_fill *fill)
{
	uint8_t *const data = buffer->slot + buffer->headroom;
	const uint32_t bytes = scanner->carry_bytes;

	scanner->carry_bytes = 0;
	if (bytes == 0)
		return join_suspect(scanner, data, buffer->headroom, received);
	if (bytes > buffer->headroom) {
		skip(scanner, bytes, fill);
		return data;
	}
	memcpy(data - bytes, scanner->carry, bytes);
	count_add(&scanner->stats->bytes_moved, bytes);
	return data - bytes;
}

/* Keeps what may be the beginning of a block until the rest comes. */
static void keep_tail(struct scanner *scanner, const struct scan *scan)
{
	const size_t bytes = (size_t)(scan->end - scan->at);

	assert(bytes < scanner->format.block_bytes);
	memcpy(scanner->carry, scan->at, bytes);
	scanner->carry_bytes = (uint32_t)bytes;
	count_add(&scanner->stats->bytes_moved, bytes);
}

/*
 * The buffer ends with a block, and nothing shows yet whether bytes are missing in it. If so, the
 * block after it begins inside, and its first bytes go out of hand with this buffer: keep them.
 */
static void keep_suspect(struct scanner *scanner, const struct scan *scan)
{
	const uint8_t *const from = scan->block + scanner->format.header_bytes;
	const size_t len = (size_t)(scan->end - from);
	const size_t found = framing_search(&scanner->format, from, len);

	size_t bytes = len - found;

	assert(scan->after == scan->end);
	/* The last bytes may be the first of a header. */
	if (bytes == 0)
		bytes = len < scanner->format.header_bytes - 1 ? len
							       : scanner->format.header_bytes - 1;
	memcpy(scanner->carry, scan->end - bytes, bytes);
	scanner->suspect_bytes = (uint32_t)bytes;
}

static void accept(struct scanner *scanner, struct scan *scan, const struct framing_header *header,
		   struct source_fill *fill)
{
	const struct framing_format *const f = &scanner->format;
	struct sluice_wire_block *const entry = &scan->buffer->table[fill->block_count];
	const uint8_t *const pixels = scan->at + f->header_bytes;

	block_entry_set(entry, f, header, pixels, (uint32_t)(pixels - scan->buffer->slot));
	if (!f->framing->has_position)
		block_entry_place(entry, header->frame, scanner->scan_columns,
				  scanner->frames_per_position);
	if (scanner->after_skip)
		entry->reserved = sluice_le16(SOURCE_BLOCK_AFTER_SKIP);
	scanner->after_skip = false;
	scanner->lost = false;
	scanner->seen = true;
	scanner->last_frame = header->frame;
	framing_lock(&scanner->format, header);
	fill->block_count++;
	scan->block = scan->at;
	scan->at += f->block_bytes;
	scan->after = scan->at;
}

/* At @scan->at there is no header: on to the next one, which may lie within the block before. */
static void resync(struct scanner *scanner, struct scan *scan, struct source_fill *fill)
{
	const struct framing_format *const f = &scanner->format;
	const uint8_t *const from = scan->block ? scan->block + f->header_bytes : scan->at;
	const size_t len = (size_t)(scan->end - from);
	const size_t found = framing_search(f, from, len);
	const uint8_t *to = from + found;

	if (found == len) {
		/* The last bytes may be the first of a header. */
		to = scan->end - (f->header_bytes - 1);
		scanner->lost = true;
	}
	if (to < scan->at && found < len) {
		count_add(&scanner->stats->bad_length, 1);
		fill->block_count--;
		scan->at = scan->block;
	} else if (to < scan->at) {
		to = scan->at;
	}
	skip(scanner, (uint64_t)(to - scan->at), fill);
	scan->at = to;
	scan->block = NULL;
}

/* Returns false when the rest is less than a block, or the table is full. */
static bool scan_next(struct scanner *scanner, struct scan *scan, struct source_fill *fill)
{
	const struct framing_format *const f = &scanner->format;
	const size_t left = (size_t)(scan->end - scan->at);
	struct framing_header header;
	enum framing_verdict verdict;

	if (left < f->header_bytes)
		return false;
	verdict = f->framing->check(f, scan->at, &header);
	if (verdict != FRAMING_OK) {
		if (!scanner->lost) {
			scanner_count(scanner->stats, verdict);
			count_add(&scanner->stats->resyncs, 1);
		}
		resync(scanner, scan, fill);
		return true;
	}
	if (left < f->block_bytes)
		return false;
	if (fill->block_count == scan->buffer->table_max) {
		/* Reads are sized so that a table holds what comes; what does not fit is lost. */
		skip(scanner, left, fill);
		scan->at = scan->end;
		scan->block = NULL;
		return false;
	}
	accept(scanner, scan, &header, fill);
	return true;
}

void scanner_feed(struct scanner *scanner, const struct source_buffer *buffer, uint32_t bytes,
		  struct source_fill *ret_fill)
{
	struct scan scan = { .buffer = buffer };

	assert(bytes <= buffer->capacity);
	ret_fill->block_count = 0;
	ret_fill->bytes_skipped = 0;
	scanner->seen = false;
	scan.at = join(scanner, buffer, bytes, ret_fill);
	scan.end = buffer->slot + buffer->headroom + bytes;
	while (scan_next(scanner, &scan, ret_fill))
		;
	scanner->bytes_after = scanner->seen ? (uint64_t)(scan.end - scan.after) : 0;
	if (scanner->whole_blocks)
		skip(scanner, (uint64_t)(scan.end - scan.at), ret_fill);
	else if (scan.at < scan.end)
		keep_tail(scanner, &scan);
	else if (scan.block)
		keep_suspect(scanner, &scan);
	count_add(&scanner->stats->blocks, ret_fill->block_count);
}

uint32_t scanner_finish(struct scanner *scanner)
{
	struct source_fill fill = { 0 };

	skip(scanner, scanner->carry_bytes, &fill);
	scanner->carry_bytes = 0;
	return fill.bytes_skipped;
}
