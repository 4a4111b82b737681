/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * dma.h - what lies in host memory between host and board: descriptors and completions.
 *
 * Section numbers are those of firmware-iface/interface.md.
 *
 * Ownership: descriptors are written by the host and read by the board, completions the other way.
 * Threads:   plain data. Errors: fw_completion.status, and whatever does not agree with what was
 *            posted: judge it by fw_completion_judge().
 */
#ifndef FIRMWARE_IFACE_DMA_H
#define FIRMWARE_IFACE_DMA_H

#include <sluice/le.h>

/*
 * 4.2 One piece of a chunk: @bytes at the bus address @address, both of any alignment. The
 * descriptors of a chunk, its chain, follow each other, carry the same tag, and the last one has
 * FW_DESC_LAST.
 */
struct fw_desc {
	struct sluice_le64 address;
	struct sluice_le32 bytes;   /* at least 1 */
	struct sluice_le32 control; /* FW_DESC_... */
};
_Static_assert(sizeof(struct fw_desc) == 16, "interface 4.2: a descriptor is 16 bytes");

#define FW_DESC_TAG  0x0000ffffu
#define FW_DESC_LAST 0x80000000u /* of its chain */

/*
 * 4.3 What became of a chain. @generation is written last and says that the rest is there: 1 for
 * the first time round the ring, one more each time, and from 4294967295 on to 1 (never 0).
 */
struct fw_completion {
	struct sluice_le64 first_frame; /* of the first block; of no meaning where blocks is 0 */
	struct sluice_le32 bytes;       /* written, from the chain's start; blocks * block bytes */
	struct sluice_le32 blocks;
	struct sluice_le16 tag;    /* of the chain */
	struct sluice_le16 status; /* enum fw_status */
	struct sluice_le32 scan;
	struct sluice_le32 descriptors; /* of the chain */
	struct sluice_le32 generation;
};
_Static_assert(sizeof(struct fw_completion) == 32, "interface 4.3: a completion is 32 bytes");
_Static_assert(__builtin_offsetof(struct fw_completion, tag) == 16, "interface 4.3: tag at 16");
_Static_assert(__builtin_offsetof(struct fw_completion, generation) == 28,
	       "interface 4.3: the generation is last");

enum fw_status {
	FW_STATUS_FULL = 1, /* as many blocks as go in, or up to a border of runs */
	FW_STATUS_END = 2,  /* the last block of the scan is in it, or went before; may hold none */
	FW_STATUS_STOPPED = 3, /* STOP: what was there when it came; may hold none */
	/* As the faults of the same name: the board has failed, and nothing in the chain counts. */
	FW_STATUS_DMA = 4,
	FW_STATUS_DESCRIPTOR = 5,
	FW_STATUS_LINK = 6,
	FW_STATUS_INTERNAL = 7,
};

/* What the host posted, as a completion must agree with it. */
struct fw_expected {
	uint32_t scan;
	uint32_t block_bytes;
	uint32_t bytes;       /* of the chain */
	uint32_t descriptors; /* of the chain */
	uint16_t tag;         /* of the oldest chain that is not completed */
	uint16_t newest;      /* tag of the newest; tags go up by 1, modulo 65536 */
};

enum fw_verdict {
	FW_VERDICT_GOOD = 0,
	FW_VERDICT_LOST,   /* of a chain posted later: completions before it never came */
	FW_VERDICT_TWICE,  /* of a chain that is not out */
	FW_VERDICT_LENGTH, /* bytes, blocks or descriptors that do not agree with the chain */
	FW_VERDICT_SCAN,   /* another scan's */
	FW_VERDICT_STATUS, /* no enum fw_status */
};

/* The generation of entry number @index, counted from 0 since ARM, in a ring of 2^@order. */
static inline uint32_t fw_generation(uint64_t index, unsigned int order)
{
	return (uint32_t)((index >> order) % 0xffffffffu) + 1;
}

static inline int fw_length_agrees(const struct fw_completion *c, const struct fw_expected *e)
{
	const uint32_t bytes = sluice_u32(c->bytes), blocks = sluice_u32(c->blocks);

	/* Full of nothing: a reader would take it for the end. */
	if (blocks == 0 && sluice_u16(c->status) == FW_STATUS_FULL)
		return 0;
	return bytes <= e->bytes && (uint64_t)blocks * e->block_bytes == bytes &&
	       sluice_u32(c->descriptors) == e->descriptors;
}

/*
 * Judges a completion whose generation is right, while a chain is out (where none is, any is
 * FW_VERDICT_TWICE). The board is foreign: nothing in @c may be
 * used before this said FW_VERDICT_GOOD (or, for the tag only, FW_VERDICT_LOST).
 */
static inline enum fw_verdict fw_completion_judge(const struct fw_completion *c,
						  const struct fw_expected *e)
{
	const uint16_t tag = sluice_u16(c->tag), status = sluice_u16(c->status);

	const uint16_t ahead = (uint16_t)(tag - e->tag);

	if (ahead > (uint16_t)(e->newest - e->tag))
		return FW_VERDICT_TWICE;
	if (ahead > 0)
		return FW_VERDICT_LOST;
	if (status < FW_STATUS_FULL || status > FW_STATUS_INTERNAL)
		return FW_VERDICT_STATUS;
	if (sluice_u32(c->scan) != e->scan)
		return FW_VERDICT_SCAN;
	return fw_length_agrees(c, e) ? FW_VERDICT_GOOD : FW_VERDICT_LENGTH;
}

#endif /* FIRMWARE_IFACE_DMA_H */
