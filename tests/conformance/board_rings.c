/* SPDX-License-Identifier: MIT */
#include "board_rings.h"

#include <errno.h>
#include <string.h>

#include <driver/judge.h>

void rings_clear(struct rings *rings, uint32_t scan, uint32_t block_bytes)
{
	memset(rings, 0, sizeof(*rings));
	rings->scan = scan;
	rings->block_bytes = block_bytes;
}

int rings_post(struct rings *rings, const struct rings_piece *piece, uint32_t pieces, void *owner)
{
	struct rings_chain *const chain = &rings->chain[rings->next_tag % RINGS_CHAINS];

	if (pieces > RINGS_DESCRIPTORS - rings->descriptors_out ||
	    rings->chains_out == RINGS_CHAINS)
		return -ENOSPC;
	*chain = (struct rings_chain){ .descriptors = pieces, .owner = owner };
	for (uint32_t i = 0; i < pieces; i++) {
		const uint32_t last = i + 1 == pieces ? FW_DESC_LAST : 0;

		rings->desc[rings->tail % RINGS_DESCRIPTORS] = (struct fw_desc){
			.address = sluice_le64(piece[i].address),
			.bytes = sluice_le32(piece[i].bytes),
			.control = sluice_le32(rings->next_tag | last),
		};
		chain->bytes += piece[i].bytes;
		rings->tail++;
	}
	rings->descriptors_out += pieces;
	rings->chains_out++;
	rings->next_tag++;
	return 0;
}

int rings_reap(struct rings *rings, struct rings_done *ret_done)
{
	const struct fw_completion *const entry = &rings->completion[rings->taken % RINGS_CHAINS];
	const uint16_t oldest = (uint16_t)(rings->next_tag - rings->chains_out);
	const struct rings_chain *const chain = &rings->chain[oldest % RINGS_CHAINS];
	const struct fw_expected expected = {
		.scan = rings->scan,
		.block_bytes = rings->block_bytes,
		.bytes = chain->bytes,
		.descriptors = chain->descriptors,
		.tag = oldest,
		.newest = (uint16_t)(rings->next_tag - 1),
	};
	struct rings_done done = { .owner = chain->owner };
	struct fw_completion c;
	int ret;

	/* Acquire: pairs with the board's writing it last; the rest is there. */
	c.generation.raw = __atomic_load_n(&entry->generation.raw, __ATOMIC_ACQUIRE);
	if (sluice_u32(c.generation) != fw_generation(rings->taken, RINGS_ORDER))
		return 0;
	if (rings->chains_out == 0)
		return -EILSEQ;
	/* Read once, judge the copy. */
	c = *entry;
	ret = sluice_completion_errno(&c, &expected, &done.last);
	if (ret < 0)
		return ret;
	rings->taken++;
	rings->chains_out--;
	rings->descriptors_out -= chain->descriptors;
	done.bytes = sluice_u32(c.bytes);
	*ret_done = done;
	return 1;
}

void *rings_forget(struct rings *rings)
{
	const uint16_t oldest = (uint16_t)(rings->next_tag - rings->chains_out);

	if (rings->chains_out == 0)
		return NULL;
	rings->chains_out--;
	rings->descriptors_out -= rings->chain[oldest % RINGS_CHAINS].descriptors;
	return rings->chain[oldest % RINGS_CHAINS].owner;
}
