// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * A scan from ARM to its end: the ioctls' side, and the ways a scan is ended early.
 *
 * All with board->control held. A scan may end by itself at any moment, in the interrupt's thread:
 * so state is looked at again, under board->lock, after each command.
 */
#include "board.h"
#include "mmio.h"

/* What the board said to a command other than yes. The scan is over when it went silent. */
static int command_failed(struct sluice_board *board, int ret)
{
	if (ret == -ETIMEDOUT) {
		sluice_scan_abort(board, -ECANCELED, -ECANCELED);
	} else if (ret == -ENODEV) {
		spin_lock(&board->lock);
		sluice_fail(board, -ENODEV);
		spin_unlock(&board->lock);
	}
	return ret;
}

void sluice_scan_abort(struct sluice_board *board, int first, int rest)
{
	LIST_HEAD(ended);

	lockdep_assert_held(&board->control);
	spin_lock(&board->lock);
	board->closing = true;
	spin_unlock(&board->lock);
	sluice_quiesce(board);
	/* What was completed before is the reader's, unless the board's word is in doubt. */
	sluice_reap(board);
	spin_lock(&board->lock);
	/* Among it may also be what cannot be: then that is why the scan ended. */
	if (board->settle_due && first == -ECANCELED) {
		first = board->over_errno;
		board->reset_due = true;
	}
	board->settle_due = false;
	/* The scan's own end may have been among it. */
	if (!board->over || first != -ECANCELED)
		sluice_reads_end(board, first, rest, &ended);
	board->closing = false;
	sluice_state_set(board, board->reset_due ? SLUICE_UAPI_FAILED : SLUICE_UAPI_IDLE);
	spin_unlock(&board->lock);
	sluice_reads_finish(board, &ended);
}

void sluice_settle(struct sluice_board *board)
{
	int first;
	bool due;

	lockdep_assert_held(&board->control);
	spin_lock(&board->lock);
	due = board->settle_due;
	first = board->over_errno;
	spin_unlock(&board->lock);
	if (!due)
		return;
	/* A board that broke its word is trusted again only after a reset. */
	board->reset_due = true;
	sluice_scan_abort(board, first, first == -ENODEV ? -ENODEV : -ECANCELED);
}

void sluice_settle_work(struct work_struct *work)
{
	struct sluice_board *board = container_of(work, struct sluice_board, settle);

	mutex_lock(&board->control);
	sluice_settle(board);
	mutex_unlock(&board->control);
}

static void program_scan(struct sluice_board *board, const struct sluice_uapi_scan *scan)
{
	const struct sluice_ring *ring = &board->ring;

	sluice_write32(board, FW_SOURCE, scan->source);
	sluice_write32(board, FW_SCAN, scan->scan);
	sluice_write32(board, FW_SCAN_COLUMNS, scan->columns);
	sluice_write32(board, FW_SCAN_ROWS, scan->rows);
	sluice_write64(board, FW_FRAMES, scan->frames);
	sluice_write32(board, FW_RUN_FRAMES, scan->run_frames);
	sluice_write32(board, FW_DROP_THRESHOLD, scan->drop_threshold);
	sluice_write64(board, FW_DESC_ADDRESS, ring->desc_bus);
	sluice_write32(board, FW_DESC_ENTRIES, ring->desc_entries);
	sluice_write32(board, FW_DESC_TAIL, 0);
	sluice_write32(board, FW_COMPLETION_ENTRIES, ring->done_entries);
	sluice_write64(board, FW_COMPLETION_ADDRESS, ring->done_bus);
}

static void program_interrupts(struct sluice_board *board, const struct sluice_uapi_scan *scan)
{
	const bool off = scan->flags & SLUICE_UAPI_POLLED || !board->vectors;
	const u32 count = scan->coalesce_count ?: SLUICE_COALESCE_COUNT_USUAL;

	WRITE_ONCE(board->polled, off);
	board->coalesce_us = scan->coalesce_us ?: SLUICE_COALESCE_US_USUAL;
	sluice_write32(board, FW_COALESCE_COUNT, count);
	sluice_write32(board, FW_COALESCE_US, board->coalesce_us);
	sluice_write32(board, FW_INTERRUPT_MODE, off ? FW_INTERRUPT_OFF : FW_INTERRUPT_ON);
}

/* lock held. Reads that came before anybody knew what a block would be. */
static void refuse_small(struct sluice_board *board, struct list_head *ended)
{
	struct sluice_read *read, *next;

	list_for_each_entry_safe(read, next, &board->waiting, node) {
		if (read->bytes >= board->ring.block_bytes)
			continue;
		read->result = -EINVAL;
		list_move_tail(&read->node, ended);
	}
}

/* Whatever was before, the board is now idle and fit to be armed. */
static int make_ready(struct sluice_board *board)
{
	enum sluice_uapi_state state;
	int ret;

	sluice_settle(board);
	state = sluice_state(board);
	if (state == SLUICE_UAPI_GONE)
		return -ENODEV;
	if (state != SLUICE_UAPI_IDLE && state != SLUICE_UAPI_FAILED)
		return -EBUSY;
	/* The completion that ended a scan is seen before the board says that it is idle. */
	if (!board->reset_due && state == SLUICE_UAPI_IDLE && !sluice_idle_wait(board))
		return 0;
	ret = sluice_reset(board);
	if (ret)
		return command_failed(board, ret);
	spin_lock(&board->lock);
	sluice_state_set(board, SLUICE_UAPI_IDLE);
	spin_unlock(&board->lock);
	return 0;
}

int sluice_scan_arm(struct sluice_board *board, const struct sluice_uapi_scan *scan)
{
	LIST_HEAD(ended);
	int ret;

	lockdep_assert_held(&board->control);
	ret = make_ready(board);
	if (ret)
		return ret;
	spin_lock(&board->lock);
	sluice_ring_clear(&board->ring);
	board->ring.scan = scan->scan;
	board->ring.block_bytes = sluice_block_bytes(board);
	spin_unlock(&board->lock);
	if (!board->ring.block_bytes)
		return -EPROTO;
	board->sight = (struct sluice_sight){ 0 };
	program_scan(board, scan);
	program_interrupts(board, scan);
	ret = sluice_command(board, FW_COMMAND_ARM);
	if (ret)
		return command_failed(board, ret);
	spin_lock(&board->lock);
	board->over = false;
	sluice_state_set(board, SLUICE_UAPI_ARMED);
	refuse_small(board, &ended);
	sluice_reads_post(board);
	spin_unlock(&board->lock);
	sluice_reads_finish(board, &ended);
	mod_delayed_work(board->wq, &board->watch, msecs_to_jiffies(SLUICE_WATCH_MS));
	return 0;
}

int sluice_scan_run(struct sluice_board *board)
{
	int ret;

	lockdep_assert_held(&board->control);
	sluice_settle(board);
	switch (sluice_state(board)) {
	case SLUICE_UAPI_ARMED:
		break;
	case SLUICE_UAPI_GONE:
		return -ENODEV;
	case SLUICE_UAPI_RUNNING:
	case SLUICE_UAPI_STOPPING:
		return -EBUSY;
	default:
		return -EINVAL;
	}
	ret = sluice_command(board, FW_COMMAND_RUN);
	if (ret)
		return command_failed(board, ret);
	spin_lock(&board->lock);
	/* A short scan may be over by now. */
	if (board->state == SLUICE_UAPI_ARMED)
		sluice_state_set(board, SLUICE_UAPI_RUNNING);
	spin_unlock(&board->lock);
	/* Without interrupts the watch takes their place, at its own quick pace. */
	if (!board->vectors)
		mod_delayed_work(board->wq, &board->watch, 0);
	return 0;
}

/* The board is idle, and what it completed was reaped: what is left gets 0. */
static void end_scan(struct sluice_board *board)
{
	LIST_HEAD(ended);

	spin_lock(&board->lock);
	if (!board->closing && board->state != SLUICE_UAPI_IDLE) {
		/* By its own count it wrote completions that never came. */
		if (sluice_read32(board, FW_COMPLETION_COUNT) != (u32)board->ring.reaped) {
			board->counts.completions_lost++;
			sluice_fail(board, -ENODATA);
		} else {
			sluice_reads_end(board, 0, 0, &ended);
			sluice_state_set(board, SLUICE_UAPI_IDLE);
		}
	}
	spin_unlock(&board->lock);
	sluice_reads_finish(board, &ended);
}

int sluice_scan_stop(struct sluice_board *board)
{
	enum sluice_uapi_state state;
	int ret;

	lockdep_assert_held(&board->control);
	sluice_settle(board);
	spin_lock(&board->lock);
	if (board->state == SLUICE_UAPI_RUNNING)
		sluice_state_set(board, SLUICE_UAPI_STOPPING);
	state = board->state;
	spin_unlock(&board->lock);
	if (state == SLUICE_UAPI_GONE)
		return -ENODEV;
	if (state == SLUICE_UAPI_IDLE || state == SLUICE_UAPI_FAILED)
		return 0;
	/* Armed, a board holds nothing that could come. */
	ret = sluice_command(board,
			     state == SLUICE_UAPI_ARMED ? FW_COMMAND_ABORT : FW_COMMAND_STOP);
	/* After the answer all completions of the scan are there; if it ended by itself, too. */
	sluice_reap(board);
	if (ret)
		return command_failed(board, ret);
	end_scan(board);
	return 0;
}
