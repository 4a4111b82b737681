/* SPDX-License-Identifier: MIT */
/*
 * board_access.h - how the board suite reaches a board: one seam, one backend linked to it.
 *
 *   board_device.c   a device node, by sluice/uapi.h: real hardware, or the card in a virtual
 * machine board_model.c    the model's card, driven in this process by a small host of the suite's
 * own
 *
 * The calls say what sluice/uapi.h says, whatever lies beneath. Time is the backend's: that of the
 * model runs only when the suite waits.
 *
 * Ownership: open() gives, close() takes; the memory of reads is the caller's, and the board's from
 *            read_begin() until read_wait() returns 0.
 * Threads:   one.
 * Errors:    0 or -errno, as sluice/uapi.h lists them.
 */
#ifndef BOARD_ACCESS_H
#define BOARD_ACCESS_H

#include <stddef.h>
#include <stdint.h>

#include <sluice/uapi.h>

enum {
	BOARD_READS_MAX = 16 /* under way at once */
};

struct board_io; /* the backend's */

struct board_read {
	uint8_t *data;
	size_t bytes;
	int64_t result; /* when it is done: bytes, or -errno */
	int done;
};

struct board_access {
	const char *variable; /* of the environment: names the board; NULL: open() needs no name */

	int (*open)(const char *where, struct board_io **ret_io);
	/* Ends what runs, waits for all reads; no memory is written afterwards. */
	void (*close)(struct board_io *io);
	/* Whether scans with SLUICE_UAPI_POLLED can be read. */
	int (*can_poll)(struct board_io *io);

	int (*info)(struct board_io *io, struct sluice_uapi_info *ret_info);
	int (*arm)(struct board_io *io, const struct sluice_uapi_scan *scan);
	int (*run)(struct board_io *io);
	int (*stop)(struct board_io *io, uint32_t how);
	int (*counters)(struct board_io *io, struct sluice_uapi_counters *ret_counters);

	/* Reads of one scan are filled in the order in which they were begun. */
	int (*read_begin)(struct board_io *io, struct board_read *read);
	/* Waits until @read is done. -ETIMEDOUT: it still is under way. */
	int (*read_wait)(struct board_io *io, struct board_read *read, uint64_t timeout_ns);

	uint64_t (*now_ns)(struct board_io *io);
	/* Lets time pass. */
	void (*pause)(struct board_io *io, uint64_t ns);
};

extern const struct board_access board_access;

#endif /* BOARD_ACCESS_H */
