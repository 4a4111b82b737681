/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The board's registers and doorbell, and the order between this CPU and the board.
 *
 * Ownership: the BARs are the board's; whoever calls holds board->access or has stopped remove().
 * Threads:   any; FW_COMMAND only under board->control, FW_DESC_TAIL only under board->lock.
 * Errors:    a board that is gone reads FW_GONE_32 or FW_GONE_64.
 */
#ifndef DRIVER_MMIO_H
#define DRIVER_MMIO_H

#include <linux/io.h>

#include <firmware-iface/registers.h>

#include "board.h"

static inline u32 sluice_read32(const struct sluice_board *board, u32 reg)
{
	return readl(board->regs + reg);
}

static inline u64 sluice_read64(const struct sluice_board *board, u32 reg)
{
	return readq(board->regs + reg);
}

static inline void sluice_write32(struct sluice_board *board, u32 reg, u32 value)
{
	writel(value, board->regs + reg);
}

static inline void sluice_write64(struct sluice_board *board, u32 reg, u64 value)
{
	writeq(value, board->regs + reg);
}

/* Memory and registers that were written before are with the board before the bell is. */
static inline void sluice_ring_bell(struct sluice_board *board, enum fw_doorbell bell)
{
	writel(bell, board->bell + FW_DOORBELL_OFFSET);
}

static inline bool sluice_is_gone(const struct sluice_board *board)
{
	return sluice_read32(board, FW_MAGIC) == FW_GONE_32;
}

/* A completion's generation was seen; the rest of it and the chunk are read next. */
static inline void sluice_after_generation(void)
{
	dma_rmb();
}

/* Descriptors were written; the tail that shows them to the board is written next. */
static inline void sluice_before_tail(void)
{
	dma_wmb();
}

#endif /* DRIVER_MMIO_H */
