/* SPDX-License-Identifier: MIT */
/*
 * source/scanner.h - finds the blocks in a stream that comes in pieces, one buffer after another.
 *
 *   buffer N    [ ...block | block | blo ]
 *   buffer N+1          [blo|ck | block | ... ]      the tail stands in N+1's headroom
 *
 * What is no block is skipped until the next good header; the block there is marked. A good
 * header inside the pixels of the block before it, where no header follows that block, means
 * that bytes are missing there: the block before is taken back, the one inside is kept. Of what
 * was handed on nothing is taken back: where the block before was a buffer's last, its CRC tells
 * the consumer.
 *
 * Ownership: scanner_init() takes memory for one block, scanner_fini() gives it back.
 * Threads:   one. Errors: bytes cannot make it fail; it counts.
 */
#ifndef SOURCE_SCANNER_H
#define SOURCE_SCANNER_H

#include <stdbool.h>
#include <stdint.h>

#include "framing.h"

struct source_buffer;
struct source_fill;
struct source_stats;

struct scanner {
	struct framing_format format;
	struct source_stats *stats;
	uint8_t *carry; /* the tail of the last buffer: less than a block */
	uint32_t carry_bytes;
	uint32_t suspect_bytes; /* in carry: of the last buffer's last block */
	bool lost;              /* no header was found yet since the last bad one */
	bool after_skip;        /* the next block is marked */
	bool whole_blocks;      /* no block straddles two buffers: none is joined with another */
	/* Of the scan, for positions where the framing has none; 0: not known. */
	uint32_t scan_columns;
	uint64_t frames_per_position;
	/* After a feed: where the stream stands. */
	bool seen;            /* a block was found in this feed: */
	uint64_t last_frame;  /* its frame number, of the last one */
	uint64_t bytes_after; /* bytes after it, skipped ones included */
};

/* -ENOMEM. */
int scanner_init(struct scanner *scanner, const struct framing_format *format,
		 struct source_stats *stats);
void scanner_fini(struct scanner *scanner);
/* A new stream begins, its blocks judged against @format. */
void scanner_reset(struct scanner *scanner, const struct framing_format *format);
/*
 * @bytes more have come and lie in @buffer's data area. Fills the buffer's table, and
 * block_count and bytes_skipped of @ret_fill. May write to the headroom.
 */
void scanner_feed(struct scanner *scanner, const struct source_buffer *buffer, uint32_t bytes,
		  struct source_fill *ret_fill);
/* The stream has ended: bytes still waiting for the rest of their block are skipped. Returns how
 * many. */
uint32_t scanner_finish(struct scanner *scanner);

/* Counts a refused header by its kind. */
void scanner_count(struct source_stats *stats, enum framing_verdict verdict);

#endif /* SOURCE_SCANNER_H */
