// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Reads: taken from a caller, given to the board, finished.
 *
 * All of it runs in threads (a caller's, the interrupt's, the work queue's, a poller's), so
 * memory can be given back at once by whoever reaped the completion.
 */
#include <linux/freezer.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/uio.h>

#include "board.h"
#include "judge.h"
#include "mmio.h"

/* A scan is under way, and the board has kept its word. */
static bool may_take(const struct sluice_board *board)
{
	return board->state == SLUICE_UAPI_ARMED || board->state == SLUICE_UAPI_RUNNING ||
	       board->state == SLUICE_UAPI_STOPPING;
}

static bool may_post(const struct sluice_board *board)
{
	return may_take(board) && !board->closing;
}

void sluice_reads_post(struct sluice_board *board)
{
	struct sluice_read *read, *next;
	bool posted = false;

	lockdep_assert_held(&board->lock);
	if (!may_post(board))
		return;
	list_for_each_entry_safe(read, next, &board->waiting, node) {
		if (!sluice_ring_has_room(&board->ring, read->descriptors))
			break;
		sluice_ring_post(&board->ring, read);
		list_move_tail(&read->node, &board->posted);
		posted = true;
	}
	if (posted)
		sluice_ring_show(board);
}

static void end_list(struct list_head *reads, int *first, int rest, struct list_head *ended)
{
	struct sluice_read *read;

	list_for_each_entry(read, reads, node) {
		read->result = *first;
		*first = rest;
	}
	list_splice_tail_init(reads, ended);
}

void sluice_reads_end(struct sluice_board *board, int first, int rest, struct list_head *ret_ended)
{
	lockdep_assert_held(&board->lock);
	end_list(&board->posted, &first, rest, ret_ended);
	end_list(&board->waiting, &first, rest, ret_ended);
	board->ring.desc_out = 0;
	board->ring.chains_out = 0;
	board->over = true;
	board->over_errno = first;
}

/* Puts @read among the idle ones. */
static void read_put(struct sluice_board *board, struct sluice_read *read)
{
	put_pid(read->owner);
	read->owner = NULL;
	read->iocb = NULL;
	spin_lock(&board->lock);
	list_add(&read->node, &board->idle);
	spin_unlock(&board->lock);
	wake_up(&board->room);
}

void sluice_reads_finish(struct sluice_board *board, struct list_head *ended)
{
	struct sluice_read *read, *next;

	list_for_each_entry_safe(read, next, ended, node) {
		struct kiocb *iocb = read->iocb;
		const ssize_t result = read->result;

		list_del_init(&read->node);
		sluice_chain_free(board, read);
		if (!iocb) {
			complete(&read->done);
			continue;
		}
		/* After it is told the caller may close, and with the file the board may go. */
		read_put(board, read);
		iocb->ki_complete(iocb, result);
	}
}

static void count_bad(struct sluice_board *board, int err)
{
	switch (err) {
	case -ENODATA:
		board->counts.completions_lost++;
		break;
	case -EILSEQ:
		board->counts.completions_twice++;
		break;
	case -EMSGSIZE:
	case -ESTALE:
	case -EPROTO:
		board->counts.completions_bad++;
		break;
	}
}

/* Judges one completion. False: nothing more is to be taken. */
static bool take_one(struct sluice_board *board, struct list_head *ended)
{
	struct sluice_ring *ring = &board->ring;
	struct sluice_read *read;
	struct fw_completion c;
	int err = -EILSEQ, last = 0;

	sluice_ring_take(ring, &c);
	read = list_first_entry_or_null(&board->posted, struct sluice_read, node);
	if (read) {
		const struct fw_expected expected = {
			.scan = ring->scan,
			.block_bytes = ring->block_bytes,
			.bytes = read->bytes,
			.descriptors = read->descriptors,
			.tag = ring->next_tag - ring->chains_out,
			.newest = ring->next_tag - 1,
		};

		err = sluice_completion_errno(&c, &expected, &last);
	}
	if (err) {
		count_bad(board, err);
		sluice_fail(board, err);
		return false;
	}
	ring->desc_out -= read->descriptors;
	ring->chains_out--;
	read->result = sluice_u32(c.bytes);
	board->counts.reads++;
	board->counts.read_bytes += read->result;
	list_move_tail(&read->node, ended);
	if (!last)
		return true;
	/* Interface 4.3: chains beyond the last are forgotten, and the board is at rest. */
	sluice_reads_end(board, 0, 0, ended);
	sluice_state_set(board, SLUICE_UAPI_IDLE);
	return false;
}

unsigned int sluice_reap(struct sluice_board *board)
{
	unsigned int count = 0;
	LIST_HEAD(ended);

	spin_lock(&board->lock);
	/* Bounded: each turn but the last takes one of the chains that are out. */
	while (may_take(board) && sluice_ring_ready(&board->ring)) {
		count++;
		if (!take_one(board, &ended))
			break;
	}
	if (count)
		sluice_reads_post(board);
	spin_unlock(&board->lock);
	sluice_reads_finish(board, &ended);
	return count;
}

static struct sluice_read *try_get_idle(struct sluice_board *board)
{
	struct sluice_read *read;

	spin_lock(&board->lock);
	read = list_first_entry_or_null(&board->idle, struct sluice_read, node);
	if (read)
		list_del_init(&read->node);
	spin_unlock(&board->lock);
	return read;
}

static bool has_idle(struct sluice_board *board)
{
	bool has;

	spin_lock(&board->lock);
	has = !list_empty(&board->idle);
	spin_unlock(&board->lock);
	return has;
}

/* May wait for a read to end; the watch ends all reads of a board that is gone. */
static int read_get(struct sluice_board *board, struct kiocb *iocb, bool nowait,
		    struct sluice_read **ret_read)
{
	struct sluice_read *read = try_get_idle(board);
	int ret;

	if (!read && nowait)
		return -EAGAIN;
	while (!read) {
		ret = wait_event_interruptible(board->room, has_idle(board));
		if (ret)
			return ret;
		read = try_get_idle(board);
	}
	read->iocb = is_sync_kiocb(iocb) ? NULL : iocb;
	read->owner = get_pid(task_tgid(current));
	read->result = 0;
	read->mapped = false;
	read->pinned = false;
	reinit_completion(&read->done);
	*ret_read = read;
	return 0;
}

/* lock held. 1: the read is taken; else what it gets at once. */
static int read_queue(struct sluice_board *board, struct sluice_read *read, bool nowait)
{
	const bool armed = may_post(board);
	const u32 block = armed ? board->ring.block_bytes : sluice_block_bytes(board);
	int err;

	if (board->state == SLUICE_UAPI_GONE)
		return -ENODEV;
	if (board->closing)
		return -ECANCELED;
	if (board->over) {
		err = board->over_errno;
		/* What went wrong is told once. */
		if (err)
			board->over_errno = -ECANCELED;
		return err;
	}
	if (read->bytes < block)
		return -EINVAL;
	/* A thread that must not wait, and would: for ARM, RUN or room. */
	if (!read->iocb && nowait &&
	    (!(armed && board->state != SLUICE_UAPI_ARMED) || !list_empty(&board->waiting) ||
	     !sluice_ring_has_room(&board->ring, read->descriptors)))
		return -EAGAIN;
	list_add_tail(&read->node, &board->waiting);
	sluice_reads_post(board);
	return 1;
}

/* access held. */
static int read_start(struct sluice_board *board, struct sluice_read *read, struct iov_iter *to,
		      bool nowait)
{
	int ret;

	/* Asleep, or being recovered: the scan that this read is of was aborted. */
	if (board->absent)
		return sluice_state(board) == SLUICE_UAPI_GONE ? -ENODEV : -ECANCELED;
	ret = sluice_chain_build(board, read, to);
	if (ret)
		return ret;
	spin_lock(&board->lock);
	ret = read_queue(board, read, nowait);
	spin_unlock(&board->lock);
	if (ret != 1)
		sluice_chain_free(board, read);
	return ret;
}

/* Takes a read that the board does not have back from the waiting ones. */
static bool read_withdraw(struct sluice_board *board, struct sluice_read *read)
{
	struct sluice_read *each;
	bool found = false;

	spin_lock(&board->lock);
	list_for_each_entry(each, &board->waiting, node) {
		if (each == read) {
			list_del_init(&read->node);
			found = true;
			break;
		}
	}
	spin_unlock(&board->lock);
	return found;
}

/*
 * Waits for a read of a thread. The watch ends it when the board is gone, so this wait ends too; it
 * wakes by itself to reap where no interrupt does it.
 */
static ssize_t read_wait(struct sluice_board *board, struct sluice_read *read)
{
	bool told = false;
	long ret;

	for (;;) {
		const unsigned long look = READ_ONCE(board->polled) ? 1 : HZ;

		ret = told ? wait_for_completion_killable_timeout(&read->done, look)
			   : wait_for_completion_interruptible_timeout(&read->done, look);
		if (ret > 0)
			return read->result;
		try_to_freeze();
		if (ret == 0 && !board->polled)
			continue;
		down_read(&board->access);
		if (!board->absent && ret == 0)
			sluice_reap(board);
		if (ret < 0 && read_withdraw(board, read)) {
			sluice_chain_free(board, read);
			up_read(&board->access);
			return -ERESTARTSYS;
		}
		if (ret < 0 && fatal_signal_pending(current) && !board->absent) {
			mutex_lock(&board->control);
			sluice_scan_abort(board, -ECANCELED, -ECANCELED);
			mutex_unlock(&board->control);
		}
		up_read(&board->access);
		if (ret < 0 && fatal_signal_pending(current)) {
			/* By the abort, or by remove(): both come to an end by deadlines. */
			wait_for_completion(&read->done);
			return read->result;
		}
		/* The board has the memory: a signal that does not kill must wait. */
		told = told || ret < 0;
	}
}

ssize_t sluice_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct sluice_file *file = iocb->ki_filp->private_data;
	struct sluice_board *board = file->board;
	const bool sync = is_sync_kiocb(iocb);
	/* O_NONBLOCK is for who calls read(): asynchronous ones do not wait as it is. */
	const bool nowait = iocb->ki_flags & IOCB_NOWAIT ||
			    (sync && iocb->ki_filp->f_flags & O_NONBLOCK);
	struct sluice_read *read;
	ssize_t ret;

	if (!iov_iter_count(to))
		return -EINVAL;
	ret = sluice_reader_claim(board, file);
	if (ret)
		return ret;
	ret = read_get(board, iocb, nowait, &read);
	if (ret)
		return ret;
	down_read(&board->access);
	ret = read_start(board, read, to, nowait);
	up_read(&board->access);
	/* An asynchronous read that was taken may have ended: nothing of it is ours any more. */
	if (ret == 1 && !sync)
		return -EIOCBQUEUED;
	if (ret == 1)
		ret = read_wait(board, read);
	read_put(board, read);
	return ret;
}

/* A poller of io_uring looks by itself; it may come when no interrupts do. */
int sluice_iopoll(struct kiocb *iocb, struct io_comp_batch *batch, unsigned int flags)
{
	struct sluice_file *file = iocb->ki_filp->private_data;
	struct sluice_board *board = file->board;
	unsigned int count = 0;

	if (!down_read_trylock(&board->access))
		return 0;
	if (!board->absent)
		count = sluice_reap(board);
	up_read(&board->access);
	return count;
}
