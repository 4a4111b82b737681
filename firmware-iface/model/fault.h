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
 *
 * Of a card (model/card.h), which writes whole blocks, only drop, corrupt, badheader and stall of
 * these, and
 *
 *   link=FRAME          the detector's link goes down before this frame: FW_FAULT_LINK
 *   jump=FRAME:BLOCKS   at this frame FW_BLOCKS_OUT goes up by so many that never were
 *   length=CHUNKS       the completion says one byte more than was written
 *   twice=CHUNKS        the completion is written twice
 *   lost=CHUNKS         the completion is not written
 *   silent=CHUNKS       an interrupt whose last completion is this one is not raised
 *   dma=CHUNKS          FW_FAULT_DMA after the first block of this chunk
 *   internal=CHUNKS     FW_FAULT_INTERNAL likewise
 *   descriptor=CHUNKS   FW_FAULT_DESCRIPTOR when this chunk's chain is taken
 *   gone=CHUNKS         the card is pulled out after the first block of this chunk
 *   hang=stop           STOP and ABORT are not answered, and DMA goes on; RESET is answered
 *   hang=reset          nor is RESET; from the first of them on the card does nothing at all
 *
 * FRAMES is a list of frames and ranges, "5,10-12", or "every:N": frames N - 1, 2 N - 1, ...
 * CHUNKS is the same, of the chains of a scan in the order in which they were posted, from 0.
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
	FAULT_LINK,
	FAULT_JUMP,
	FAULT_LENGTH,
	FAULT_TWICE,
	FAULT_LOST,
	FAULT_SILENT,
	FAULT_DMA,
	FAULT_INTERNAL,
	FAULT_DESCRIPTOR,
	FAULT_GONE,
	FAULT_HANG,
	FAULT_KIND_COUNT
};

/* What a board is: a set of these says where a kind of fault can be. */
enum fault_place {
	FAULT_STREAM = 1 << 0, /* sockets and files */
	FAULT_CARD = 1 << 1,
};

/* fault_entry.value of FAULT_HANG. */
enum fault_hang {
	FAULT_HANG_STOP = 1,
	FAULT_HANG_RESET = 2,
};

struct fault_entry {
	enum fault_kind kind;
	int sector;     /* -1: all */
	uint64_t every; /* 0: [first, last]; else the last of each so many frames or chunks */
	uint64_t first;
	uint64_t last;
	uint32_t value; /* stall: ms, 0 for ever; garbage, missing: bytes; jump: blocks; hang */
};

struct fault_list {
	struct fault_entry entry[FAULT_ENTRIES_MAX];
	unsigned int count;
};

/* Whether all of @list can befall a board that is a @place; if not, @reterr names one that cannot.
 */
int fault_fits(const struct fault_list *list, enum fault_place place, struct sluice_error *reterr);
/* Adds one order; a bad one changes nothing. */
int fault_add(struct fault_list *list, const char *order, struct sluice_error *reterr);
/* Whether @kind befalls block (@sector, @frame); @ret_value, may be NULL: the sum, for bytes. */
bool fault_at(const struct fault_list *list, enum fault_kind kind, uint16_t sector, uint64_t frame,
	      uint32_t *ret_value);

#endif /* MODEL_FAULT_H */
