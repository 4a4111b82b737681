// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The look at a board that needs no interrupt: what was missed, who is gone.
 *
 * Every SLUICE_WATCH_MS while there is a scan or a read, else every SLUICE_WATCH_IDLE_MS, and at
 * once on FW_VECTOR_EVENT. It is what gives every wait in this driver an end: it sees
 *   - a board that is gone (all ones),
 *   - completions whose interrupt never came,
 *   - a board that failed, or ended its scan, without the completion that says so,
 *   - a reader that was killed. io_uring and aio let go of a file only when its reads have ended,
 *     and cannot cancel them: so release() does not come, and somebody must look.
 */
#include <linux/ktime.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>

#include "board.h"
#include "judge.h"
#include "mmio.h"

/* Its threads may still be there, and wait for their reads. */
static bool owner_is_dead(struct pid *owner)
{
	struct task_struct *task;
	bool dead = true;

	rcu_read_lock();
	task = pid_task(owner, PIDTYPE_TGID);
	if (task)
		dead = !atomic_read(&task->signal->live) ||
		       READ_ONCE(task->signal->flags) & SIGNAL_GROUP_EXIT;
	rcu_read_unlock();
	return dead;
}

static bool any_owner_dead(const struct list_head *reads)
{
	const struct pid *alive = NULL;
	struct sluice_read *read;

	list_for_each_entry(read, reads, node) {
		if (read->owner == alive)
			continue;
		if (owner_is_dead(read->owner))
			return true;
		alive = read->owner;
	}
	return false;
}

static void watch_owners(struct sluice_board *board)
{
	bool dead;

	spin_lock(&board->lock);
	dead = any_owner_dead(&board->posted) || any_owner_dead(&board->waiting);
	spin_unlock(&board->lock);
	if (dead)
		sluice_scan_abort(board, -ECANCELED, -ECANCELED);
}

/* A completion that lies there for longer than it may: its interrupt was lost, or there is none. */
static void watch_completions(struct sluice_board *board)
{
	struct sluice_sight *sight = &board->sight;
	const ktime_t now = ktime_get();
	bool ready, due;
	u64 reaped;

	spin_lock(&board->lock);
	ready = board->ring.chains_out && sluice_ring_ready(&board->ring);
	reaped = board->ring.reaped;
	spin_unlock(&board->lock);
	if (!ready || !sight->ready || sight->reaped != reaped) {
		sight->ready = ready;
		sight->reaped = reaped;
		sight->since = now;
		if (!board->polled || board->vectors)
			return;
	}
	due = ktime_us_delta(now, sight->since) >= board->coalesce_us + SLUICE_WATCH_MS * 500;
	if (!due && !board->polled)
		return;
	sight->ready = false;
	if (sluice_reap(board) && due && !board->polled) {
		spin_lock(&board->lock);
		board->counts.interrupts_missed++;
		spin_unlock(&board->lock);
	}
}

static void watch_failed(struct sluice_board *board)
{
	const int err = sluice_fault_errno(sluice_read32(board, FW_FAULT));

	/* The chain at hand may have been completed with the fault. */
	sluice_reap(board);
	spin_lock(&board->lock);
	sluice_fail(board, err);
	spin_unlock(&board->lock);
}

/* The board says that its scan ended, and there is no completion that said so. */
static void watch_ended(struct sluice_board *board)
{
	LIST_HEAD(ended);

	sluice_reap(board);
	spin_lock(&board->lock);
	if (board->state == SLUICE_UAPI_RUNNING || board->state == SLUICE_UAPI_STOPPING) {
		if (board->ring.chains_out ||
		    sluice_read32(board, FW_COMPLETION_COUNT) != (u32)board->ring.reaped) {
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

/* Twice ahead of what can be seen: an entry of the ring was left out. */
static void watch_count(struct sluice_board *board)
{
	struct sluice_sight *sight = &board->sight;
	const u32 written = sluice_read32(board, FW_COMPLETION_COUNT);
	bool ahead;

	spin_lock(&board->lock);
	ahead = board->ring.chains_out && !sluice_ring_ready(&board->ring) &&
		(s32)(written - (u32)board->ring.reaped) > 0;
	if (ahead && sight->ahead) {
		board->counts.completions_lost++;
		sluice_fail(board, -ENODATA);
	}
	sight->ahead = ahead;
	spin_unlock(&board->lock);
}

static void watch_board(struct sluice_board *board)
{
	const enum sluice_uapi_state state = sluice_state(board);
	u32 said;

	if (sluice_is_gone(board)) {
		spin_lock(&board->lock);
		sluice_fail(board, -ENODEV);
		spin_unlock(&board->lock);
		return;
	}
	if (state == SLUICE_UAPI_IDLE || state == SLUICE_UAPI_FAILED)
		return;
	watch_completions(board);
	said = sluice_read32(board, FW_STATE);
	if (said == FW_STATE_FAILED)
		watch_failed(board);
	else if (said == FW_STATE_IDLE && state != SLUICE_UAPI_ARMED)
		watch_ended(board);
	else
		watch_count(board);
}

static unsigned long watch_period(struct sluice_board *board)
{
	bool busy, blind;

	spin_lock(&board->lock);
	busy = !list_empty(&board->posted) || !list_empty(&board->waiting) ||
	       (board->state != SLUICE_UAPI_IDLE && board->state != SLUICE_UAPI_FAILED);
	blind = board->state == SLUICE_UAPI_RUNNING && !board->vectors;
	spin_unlock(&board->lock);
	if (blind)
		return 1;
	return msecs_to_jiffies(busy ? SLUICE_WATCH_MS : SLUICE_WATCH_IDLE_MS);
}

void sluice_watch_work(struct work_struct *work)
{
	struct sluice_board *board = container_of(to_delayed_work(work), struct sluice_board,
						  watch);

	down_read(&board->access);
	if (board->absent)
		goto out;
	mutex_lock(&board->control);
	sluice_settle(board);
	if (sluice_state(board) != SLUICE_UAPI_GONE) {
		watch_board(board);
		watch_owners(board);
	}
	mutex_unlock(&board->control);
	if (sluice_state(board) != SLUICE_UAPI_GONE)
		queue_delayed_work(board->wq, &board->watch, watch_period(board));
out:
	up_read(&board->access);
}
