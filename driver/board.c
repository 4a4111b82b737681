// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Identity, commands with deadlines, and the ways to bring a board to rest.
 */
#include <linux/delay.h>
#include <linux/kernfs.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/sysfs.h>

#include "board.h"
#include "judge.h"
#include "mmio.h"

enum {
	ANSWER_LOOK_US = 10, /* between the first two looks; doubled up to the next */
	ANSWER_LOOK_US_MAX = 1000,
	RING_ENTRIES_MIN = 4,
	RING_ENTRIES_MAX = 65536,
	ADDRESS_BITS_MIN = 32,
	ADDRESS_BITS_MAX = 64,
};

static bool ring_limit_ok(u32 entries)
{
	return is_power_of_2(entries) && entries >= RING_ENTRIES_MIN && entries <= RING_ENTRIES_MAX;
}

/* Interface 2.2: what makes no sense is refused, with both numbers. */
static int identity_check(struct sluice_board *board, u32 desc_max, u32 completion_max)
{
	struct device *dev = &board->pdev->dev;

	if (board->version >> 16 != FW_VERSION_MAJOR) {
		dev_err(dev,
			"firmware interface %u.%u, but this driver speaks %u.x: update one of them\n",
			board->version >> 16, board->version & 0xffff, FW_VERSION_MAJOR);
		return -EPROTONOSUPPORT;
	}
	if (!ring_limit_ok(desc_max) || !ring_limit_ok(completion_max)) {
		dev_err(dev, "rings of at most %u descriptors and %u completions cannot be\n",
			desc_max, completion_max);
		return -EPROTO;
	}
	if (board->chain_max < 1 || board->chain_max > desc_max) {
		dev_err(dev, "chains of at most %u descriptors in a ring of %u cannot be\n",
			board->chain_max, desc_max);
		return -EPROTO;
	}
	if (board->address_bits < ADDRESS_BITS_MIN || board->address_bits > ADDRESS_BITS_MAX) {
		dev_err(dev, "%u address bits cannot be\n", board->address_bits);
		return -EPROTO;
	}
	return 0;
}

int sluice_board_identify(struct sluice_board *board)
{
	struct device *dev = &board->pdev->dev;
	const u32 magic = sluice_read32(board, FW_MAGIC);

	if (magic == FW_GONE_32) {
		dev_err(dev, "registers read all ones: the board does not answer on the bus\n");
		return -ENODEV;
	}
	if (magic != FW_MAGIC_VALUE) {
		dev_err(dev, "magic is 0x%08x, not 0x%08x: no readout board, or no firmware\n",
			magic, FW_MAGIC_VALUE);
		return -ENODEV;
	}
	board->version = sluice_read32(board, FW_VERSION);
	board->build = sluice_read32(board, FW_BUILD);
	board->capabilities = sluice_read32(board, FW_CAPABILITIES);
	board->serial = sluice_read64(board, FW_SERIAL);
	board->address_bits = sluice_read32(board, FW_ADDRESS_BITS);
	board->chain_max = sluice_read32(board, FW_CHAIN_MAX);
	board->buffer_blocks = sluice_read32(board, FW_BUFFER_BLOCKS);
	/* A driver that was here before may have used any number. */
	board->sequence = sluice_read32(board, FW_COMMAND) >> 16;
	return identity_check(board, sluice_read32(board, FW_DESC_MAX),
			      sluice_read32(board, FW_COMPLETION_MAX));
}

/* Bytes of a block, or 0 when the board says what cannot be. */
u32 sluice_block_bytes(struct sluice_board *board)
{
	const u32 bytes = sluice_read32(board, FW_BLOCK_BYTES);

	return bytes <= SLUICE_BLOCK_BYTES_MAX ? bytes : 0;
}

void sluice_state_set(struct sluice_board *board, enum sluice_uapi_state state)
{
	lockdep_assert_held(&board->lock);
	if (board->state == state || board->state == SLUICE_UAPI_GONE)
		return;
	board->state = state;
	board->state_changes++;
	if (board->state_attr)
		sysfs_notify_dirent(board->state_attr);
	wake_up_all(&board->changed);
}

enum sluice_uapi_state sluice_state(struct sluice_board *board)
{
	enum sluice_uapi_state state;

	spin_lock(&board->lock);
	state = board->state;
	spin_unlock(&board->lock);
	return state;
}

void sluice_fail(struct sluice_board *board, int err)
{
	lockdep_assert_held(&board->lock);
	if (board->state == SLUICE_UAPI_GONE)
		return;
	if (board->state == SLUICE_UAPI_FAILED && err != -ENODEV)
		return;
	board->closing = true;
	board->settle_due = true;
	board->over_errno = err;
	sluice_state_set(board, err == -ENODEV ? SLUICE_UAPI_GONE : SLUICE_UAPI_FAILED);
	queue_work(board->wq, &board->settle);
}

/* A number that is neither the last command's nor the last answer's. */
static u16 sequence_next(struct sluice_board *board)
{
	const u16 answered = sluice_read32(board, FW_ANSWER) >> 16;

	do {
		board->sequence++;
	} while (board->sequence == answered);
	return board->sequence;
}

static int answer_wait(struct sluice_board *board, u16 sequence, u32 *ret_answer)
{
	const ktime_t deadline = ktime_add_ms(ktime_get(), FW_ANSWER_TIMEOUT_MS);
	unsigned int look_us = ANSWER_LOOK_US;

	for (;;) {
		/* Before the read: who slept too long still looks once more. */
		const bool last = ktime_after(ktime_get(), deadline);
		const u32 answer = sluice_read32(board, FW_ANSWER);

		if (answer == FW_GONE_32)
			return -ENODEV;
		if (answer >> 16 == sequence) {
			*ret_answer = answer & 0xffff;
			return 0;
		}
		if (last)
			return -ETIMEDOUT;
		usleep_range(look_us, 2 * look_us);
		look_us = min_t(unsigned int, 2 * look_us, ANSWER_LOOK_US_MAX);
	}
}

int sluice_command(struct sluice_board *board, enum fw_command command)
{
	u32 answer = 0;
	u16 sequence;
	int ret;

	lockdep_assert_held(&board->control);
	if (sluice_is_gone(board))
		return -ENODEV;
	sequence = sequence_next(board);
	sluice_write32(board, FW_COMMAND, (u32)sequence << 16 | command);
	sluice_ring_bell(board, FW_DOORBELL_COMMAND);
	ret = answer_wait(board, sequence, &answer);
	if (ret == -ETIMEDOUT) {
		spin_lock(&board->lock);
		board->counts.timeouts++;
		spin_unlock(&board->lock);
		dev_warn_ratelimited(&board->pdev->dev, "command %u: no answer in %u ms\n", command,
				     FW_ANSWER_TIMEOUT_MS);
	}
	if (ret)
		return ret;
	ret = sluice_answer_errno(answer);
	if (ret == -EPROTO)
		dev_err_ratelimited(&board->pdev->dev, "command %u: answer %u cannot be\n", command,
				    answer);
	return ret;
}

int sluice_idle_wait(struct sluice_board *board)
{
	const ktime_t deadline = ktime_add_ms(ktime_get(), FW_ANSWER_TIMEOUT_MS);

	for (;;) {
		const bool last = ktime_after(ktime_get(), deadline);

		switch (sluice_read32(board, FW_STATE)) {
		case FW_STATE_IDLE:
			return 0;
		case FW_STATE_FAILED:
			return -EIO;
		case FW_GONE_32:
			return -ENODEV;
		}
		if (last)
			return -ETIMEDOUT;
		usleep_range(ANSWER_LOOK_US, 2 * ANSWER_LOOK_US);
	}
}

int sluice_reset(struct sluice_board *board)
{
	int ret = sluice_command(board, FW_COMMAND_RESET);

	if (ret)
		return ret;
	board->reset_due = false;
	spin_lock(&board->lock);
	board->counts.resets++;
	spin_unlock(&board->lock);
	/* Only a board that was reset, and so is at rest, may reach memory again. */
	if (!board->mastering) {
		pci_set_master(board->pdev);
		board->mastering = true;
	}
	return 0;
}

/* Interface 3.4: each step only if the one before did not bring rest. */
void sluice_quiesce(struct sluice_board *board)
{
	u32 state;
	int ret;

	lockdep_assert_held(&board->control);
	ret = sluice_command(board, FW_COMMAND_ABORT);
	if (!ret)
		return;
	board->reset_due = true;
	if (ret != -ENODEV && ret != -ETIMEDOUT) {
		state = sluice_read32(board, FW_STATE);
		if (state == FW_STATE_IDLE || state == FW_STATE_FAILED)
			return;
	}
	if (ret != -ENODEV && !sluice_reset(board))
		return;
	pci_clear_master(board->pdev);
	board->mastering = false;
	board->reset_due = true;
	if (ret == -ENODEV)
		return;
	dev_warn(&board->pdev->dev, "neither ABORT nor RESET was answered: bus mastering off\n");
	/* What the board sent before has arrived when nothing is pending on its side. */
	if (!pci_wait_for_pending_transaction(board->pdev))
		dev_err(&board->pdev->dev, "transactions pending after bus mastering went off\n");
}
