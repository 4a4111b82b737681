/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Judges what user space hands to the ioctls, on the driver's own copy.
 *
 * Compiles in user space too, where it is fuzzed.
 *
 * Ownership: values only. Threads: any. Errors: 0 or -EINVAL.
 */
#ifndef DRIVER_UAPI_CHECK_H
#define DRIVER_UAPI_CHECK_H

#ifdef __KERNEL__
#include <linux/errno.h>
#else
#include <errno.h>
#endif

#include <firmware-iface/registers.h>
#include <sluice/uapi.h>

#define SLUICE_COALESCE_US_MAX 1000000u

static inline int sluice_zero_check(const __u32 *reserved, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (reserved[i])
			return -EINVAL;
	return 0;
}

#define SLUICE_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline int sluice_scan_check(const struct sluice_uapi_scan *scan)
{
	if (sluice_zero_check(scan->reserved, SLUICE_COUNT(scan->reserved)))
		return -EINVAL;
	if (scan->flags & ~SLUICE_UAPI_POLLED)
		return -EINVAL;
	if (scan->columns < 1 || scan->columns > 65535 || scan->rows < 1 || scan->rows > 65535)
		return -EINVAL;
	/* All ones is what a board that is gone reads: no register may be made to say so. */
	if (scan->frames < 1 || scan->frames == FW_GONE_64 || scan->scan == FW_GONE_32 ||
	    scan->run_frames == FW_GONE_32 || scan->drop_threshold == FW_GONE_32 ||
	    scan->coalesce_count == FW_GONE_32)
		return -EINVAL;
	if (scan->source > FW_SOURCE_PRBS || scan->coalesce_us > SLUICE_COALESCE_US_MAX)
		return -EINVAL;
	return 0;
}

static inline int sluice_run_check(const struct sluice_uapi_run *run)
{
	return run->flags ? -EINVAL : sluice_zero_check(run->reserved, SLUICE_COUNT(run->reserved));
}

static inline int sluice_stop_check(const struct sluice_uapi_stop *stop)
{
	if (stop->how != SLUICE_UAPI_STOP_DRAIN && stop->how != SLUICE_UAPI_STOP_ABORT)
		return -EINVAL;
	return sluice_zero_check(stop->reserved, SLUICE_COUNT(stop->reserved));
}

#endif /* DRIVER_UAPI_CHECK_H */
