/* SPDX-License-Identifier: MIT */
/*
 * board_rings.h - the host's side of the two rings (interface 4): chains are posted, completions
 * judged and taken.
 *
 * Ownership: the caller's memory, which the board may write to at any time. Threads: one, besides
 *            the board.
 * Errors:    of rings_reap(), as sluice/uapi.h lists them.
 */
#ifndef BOARD_RINGS_H
#define BOARD_RINGS_H

#include <stdint.h>

#include <firmware-iface/dma.h>

enum {
	RINGS_DESCRIPTORS = 512,
	RINGS_ORDER = 4, /* of the completion ring */
	RINGS_CHAINS = 1 << RINGS_ORDER,
};

struct rings_piece {
	uint64_t address;
	uint32_t bytes;
};

struct rings_chain {
	uint32_t bytes;
	uint32_t descriptors;
	void *owner;
};

struct rings {
	struct fw_desc desc[RINGS_DESCRIPTORS];
	struct fw_completion completion[RINGS_CHAINS];
	struct rings_chain chain[RINGS_CHAINS]; /* by tag */
	uint32_t tail;                          /* descriptors posted since ARM */
	uint32_t descriptors_out;
	uint32_t chains_out;
	uint64_t taken; /* completions since ARM */
	uint16_t next_tag;
	uint32_t scan;
	uint32_t block_bytes;
};

/* What became of the oldest chain. */
struct rings_done {
	void *owner;
	uint32_t bytes;
	int last; /* of the scan */
};

/* Before ARM: nothing is posted, and no old completion is there. */
void rings_clear(struct rings *rings, uint32_t scan, uint32_t block_bytes);
/* -ENOSPC: one of the rings is full. The doorbell is the caller's to ring, with rings->tail. */
int rings_post(struct rings *rings, const struct rings_piece *piece, uint32_t pieces, void *owner);
/* 1: a chain came back. 0: none is there. Less: the board does not keep the contract, or failed. */
int rings_reap(struct rings *rings, struct rings_done *ret_done);
/* Gives up the oldest chain that is out. NULL: none is. */
void *rings_forget(struct rings *rings);

#endif /* BOARD_RINGS_H */
