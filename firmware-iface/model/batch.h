/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/batch.h - some blocks as one list of pieces of memory, as the firmware would write them,
 * with the faults that befall them.
 *
 * Headers are stamped here; payloads stay where the model has them: nothing is copied.
 * Ownership: the caller's memory; pieces point into the batch and the model.
 * Threads:   one at a time per batch. Errors: none.
 */
#ifndef MODEL_BATCH_H
#define MODEL_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <model/fault.h>
#include <model/model.h>

enum {
	BATCH_BLOCKS = 16,
	BATCH_BLOCK_PIECES = 9, /* garbage, and two copies of header and payload in three parts */
	BATCH_PIECES = BATCH_BLOCKS * BATCH_BLOCK_PIECES,
};

/* How blocks are written: struct sluice_block_header, or the headers of 4D Camera files. */
enum batch_framing {
	BATCH_SLUICE = 0,
	BATCH_4DCAMERA_V5, /* sectors are stacked in rows */
	BATCH_4DCAMERA_V4, /* sectors lie side by side */
};

/* What stays the same for all blocks of a run of the board. */
struct batch_run {
	const struct model *model;
	const struct fault_list *faults;
	struct model_scan scan;
	uint32_t number; /* of the scan */
	uint16_t sector;
	enum batch_framing framing;
};

/* In blocks, but bytes where it says so; blocks_generated = blocks_sent + blocks_dropped. */
struct batch_counts {
	uint64_t blocks_generated;
	uint64_t blocks_sent;    /* whole, though a bit may be wrong; a duplicate counts once */
	uint64_t blocks_dropped; /* not sent, or not to the end */
	uint64_t blocks_corrupted;
	uint64_t blocks_duplicated;
	uint64_t headers_corrupted;
	uint64_t garbage_bytes;
	uint64_t missing_bytes;
};

struct batch {
	struct iovec piece[BATCH_PIECES];
	unsigned int pieces;
	unsigned int blocks; /* room is counted by these, dropped ones too */
	size_t bytes;
	bool cut;                   /* the stream ends behind this batch */
	struct batch_counts counts; /* of the blocks in it */
	uint8_t header[BATCH_BLOCKS][SLUICE_BLOCK_HEADER_BYTES];
	uint8_t changed[BATCH_BLOCKS]; /* the byte that a corrupt payload has instead */
};

void batch_reset(struct batch *batch);
/* Adds @frame, exposed at @timestamp_ns. The batch must have room: blocks < BATCH_BLOCKS. */
void batch_add(struct batch *batch, const struct batch_run *run, uint64_t frame,
	       uint64_t timestamp_ns);
/* Adds @more to @sum. */
void batch_counts_add(struct batch_counts *sum, const struct batch_counts *more);

/* Bytes of a block's header: 64 or 16. */
size_t batch_header_bytes(enum batch_framing framing);
/* Writes the header of @frame's block at @dst. */
void batch_header(const struct batch_run *run, uint64_t frame, uint64_t timestamp_ns, uint8_t *dst);

#endif /* MODEL_BATCH_H */
