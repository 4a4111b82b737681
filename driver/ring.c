// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Descriptor and completion ring (interface 4).
 *
 * Entries of a chain are ours again when its completion was reaped: the board's FW_DESC_HEAD would
 * say so earlier, but it is the board's word.
 */
#include <linux/dma-mapping.h>
#include <linux/log2.h>

#include "mmio.h"

int sluice_ring_alloc(struct sluice_board *board, u32 descriptors)
{
	struct sluice_ring *ring = &board->ring;
	struct device *dev = &board->pdev->dev;

	ring->desc_entries = min(sluice_read32(board, FW_DESC_MAX), descriptors);
	ring->done_entries = min_t(u32, sluice_read32(board, FW_COMPLETION_MAX), SLUICE_READS_MAX);
	ring->done_order = ilog2(ring->done_entries);
	ring->desc = dma_alloc_coherent(dev, ring->desc_entries * sizeof(*ring->desc),
					&ring->desc_bus, GFP_KERNEL);
	if (!ring->desc)
		return -ENOMEM;
	ring->done = dma_alloc_coherent(dev, ring->done_entries * sizeof(*ring->done),
					&ring->done_bus, GFP_KERNEL);
	if (!ring->done)
		goto err_desc;
	return 0;

err_desc:
	dma_free_coherent(dev, ring->desc_entries * sizeof(*ring->desc), ring->desc,
			  ring->desc_bus);
	ring->desc = NULL;
	return -ENOMEM;
}

void sluice_ring_free(struct sluice_board *board)
{
	struct sluice_ring *ring = &board->ring;
	struct device *dev = &board->pdev->dev;

	if (!ring->desc)
		return;
	dma_free_coherent(dev, ring->done_entries * sizeof(*ring->done), ring->done,
			  ring->done_bus);
	dma_free_coherent(dev, ring->desc_entries * sizeof(*ring->desc), ring->desc,
			  ring->desc_bus);
	ring->done = NULL;
	ring->desc = NULL;
}

/* As ARM wants it; the board is at rest. */
void sluice_ring_clear(struct sluice_ring *ring)
{
	memset(ring->done, 0, ring->done_entries * sizeof(*ring->done));
	ring->tail = 0;
	ring->desc_out = 0;
	ring->chains_out = 0;
	ring->reaped = 0;
	ring->next_tag = 0;
}

bool sluice_ring_has_room(const struct sluice_ring *ring, u32 descriptors)
{
	return ring->chains_out < ring->done_entries &&
	       descriptors <= ring->desc_entries - ring->desc_out;
}

void sluice_ring_post(struct sluice_ring *ring, const struct sluice_read *read)
{
	const u32 mask = ring->desc_entries - 1;
	u32 left = read->bytes;
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_dma_sg(&read->sgt, sg, i) {
		struct fw_desc *desc = &ring->desc[ring->tail & mask];
		const u32 bytes = min(left, sg_dma_len(sg));
		u32 control = ring->next_tag;

		if (i == read->descriptors)
			break;
		left -= bytes;
		if (i == read->descriptors - 1)
			control |= FW_DESC_LAST;
		desc->address = sluice_le64(sg_dma_address(sg));
		desc->bytes = sluice_le32(bytes);
		desc->control = sluice_le32(control);
		ring->tail++;
	}
	ring->desc_out += read->descriptors;
	ring->chains_out++;
	ring->next_tag++;
}

void sluice_ring_show(struct sluice_board *board)
{
	sluice_before_tail();
	sluice_write32(board, FW_DESC_TAIL, board->ring.tail);
	sluice_ring_bell(board, FW_DOORBELL_DESCRIPTOR);
}

bool sluice_ring_ready(const struct sluice_ring *ring)
{
	const struct fw_completion *c = &ring->done[ring->reaped & (ring->done_entries - 1)];
	struct sluice_le32 generation = { READ_ONCE(c->generation.raw) };

	return sluice_u32(generation) == fw_generation(ring->reaped, ring->done_order);
}

/* The driver judges its own copy: the board can write at any moment. */
void sluice_ring_take(struct sluice_ring *ring, struct fw_completion *ret_completion)
{
	sluice_after_generation();
	*ret_completion = ring->done[ring->reaped & (ring->done_entries - 1)];
	ring->reaped++;
}
