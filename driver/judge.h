/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What a board's words mean to a reader: errno for completions, faults and answers.
 *
 * Compiles in user space too, where it is fuzzed. The board is foreign: all its numbers come here.
 *
 * Ownership: values only. Threads: any. Errors: the table of sluice/uapi.h.
 */
#ifndef DRIVER_JUDGE_H
#define DRIVER_JUDGE_H

#ifdef __KERNEL__
#include <linux/errno.h>
#else
#include <errno.h>
#endif

#include <firmware-iface/dma.h>
#include <firmware-iface/registers.h>

/* What the board said of its own failing, by FW_FAULT. */
static inline int sluice_fault_errno(uint32_t fault)
{
	switch (fault) {
	case FW_FAULT_DMA:
		return -EIO;
	case FW_FAULT_DESCRIPTOR:
		return -EFAULT;
	case FW_FAULT_LINK:
		return -ENOLINK;
	case FW_FAULT_INTERNAL:
		return -EREMOTEIO;
	default:
		return -EPROTO;
	}
}

/* The same, by the status of a completion; 0: no fault. */
static inline int sluice_status_errno(uint16_t status)
{
	switch (status) {
	case FW_STATUS_DMA:
		return -EIO;
	case FW_STATUS_DESCRIPTOR:
		return -EFAULT;
	case FW_STATUS_LINK:
		return -ENOLINK;
	case FW_STATUS_INTERNAL:
		return -EREMOTEIO;
	default:
		return 0;
	}
}

static inline int sluice_verdict_errno(enum fw_verdict verdict)
{
	switch (verdict) {
	case FW_VERDICT_GOOD:
		return 0;
	case FW_VERDICT_LOST:
		return -ENODATA;
	case FW_VERDICT_TWICE:
		return -EILSEQ;
	case FW_VERDICT_LENGTH:
		return -EMSGSIZE;
	case FW_VERDICT_SCAN:
		return -ESTALE;
	case FW_VERDICT_STATUS:
		return -EPROTO;
	}
	return -EPROTO;
}

/*
 * Judges a completion while a chain is out. 0: it is good, and its bytes are the reader's;
 * *ret_last says that it is the scan's last. Else the errno of the chain's read.
 */
static inline int sluice_completion_errno(const struct fw_completion *c,
					  const struct fw_expected *expected, int *ret_last)
{
	const enum fw_verdict verdict = fw_completion_judge(c, expected);
	const uint16_t status = sluice_u16(c->status);

	/* With a fault nothing in the chain counts, so neither does what it says of its length. */
	if ((verdict == FW_VERDICT_GOOD || verdict == FW_VERDICT_LENGTH) &&
	    sluice_status_errno(status))
		return sluice_status_errno(status);
	if (verdict != FW_VERDICT_GOOD)
		return sluice_verdict_errno(verdict);
	*ret_last = status != FW_STATUS_FULL;
	return 0;
}

/* What an answer to a command means to the caller of an ioctl. */
static inline int sluice_answer_errno(uint32_t answer)
{
	switch (answer) {
	case FW_ANSWER_DONE:
		return 0;
	case FW_ANSWER_STATE:
		return -EBUSY;
	case FW_ANSWER_SCAN:
	case FW_ANSWER_SOURCE:
		return -EINVAL;
	case FW_ANSWER_FAULT:
		return -EIO;
	default: /* we named no such command and no such ring: the board does not know its interface
		  */
		return -EPROTO;
	}
}

#endif /* DRIVER_JUDGE_H */
