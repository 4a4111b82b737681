/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/fault.h - what a board does wrong, on purpose.
 *
 * An order is [SECTOR/]KIND=WHAT; without a sector it holds for all boards.
 *
 *   drop=FRAMES         the block is not sent
 *   corrupt=FRAMES      one bit of the payload is wrong, its CRC is that of the right one
 *   badheader=FRAMES    one bit of the header is wrong
 *   duplicate=FRAMES    the block is sent twice
 *   cut=FRAME           the stream ends in the middle of this block
 *   stall=FRAME[:MS]    nothing is sent for so long before this block; without MS, for ever
 *   garbage=FRAME:BYTES so many bytes that are no block stand before this block
 *   missing=FRAME:BYTES so many bytes at the end of this block are not sent; its payload at most
 *
 * FRAMES is a list of frames and ranges, "5,10-12", or "every:N": frames N - 1, 2 N - 1, ...
 *
 * Ownership: the caller's memory. Threads: any; read only while boards run.
 * Errors:    -EINVAL, -ERANGE, -ENOSPC (FAULT_ENTRIES_MAX), with @reterr that names the order.
 */
#ifndef MODEL_FAULT_H
#define MODEL_FAULT_H

#include <stdbool.h>
#include <stdint.h>

struct sluice_error;

enum {
	FAULT_ENTRIES_MAX = 256, /* frames, ranges and the like, all orders together */
	FAULT_TEXT_MAX = 1024,   /* bytes of one order */
	FAULT_BYTES_MAX = 1 << 20,
	FAULT_MS_MAX = 3600000,
};

enum fault_kind {
	FAULT_DROP = 0,
	FAULT_CORRUPT,
	FAULT_BADHEADER,
	FAULT_DUPLICATE,
	FAULT_CUT,
	FAULT_STALL,
	FAULT_GARBAGE,
	FAULT_MISSING,
	FAULT_KIND_COUNT
};

struct fault_entry {
	enum fault_kind kind;
	int sector;     /* -1: all */
	uint64_t every; /* 0: [first, last]; else the last of each so many frames */
	uint64_t first;
	uint64_t last;
	uint32_t value; /* stall: ms, 0 for ever; garbage, missing: bytes */
};

struct fault_list {
	struct fault_entry entry[FAULT_ENTRIES_MAX];
	unsigned int count;
};

/* Adds one order; a bad one changes nothing. */
int fault_add(struct fault_list *list, const char *order, struct sluice_error *reterr);
/* Whether @kind befalls block (@sector, @frame); @ret_value, may be NULL: the sum, for bytes. */
bool fault_at(const struct fault_list *list, enum fault_kind kind, uint16_t sector, uint64_t frame,
	      uint32_t *ret_value);

#endif /* MODEL_FAULT_H */
