/* SPDX-License-Identifier: MIT */
/*
 * tools/sluice/sysfs.h - the readout boards of this host, as their driver shows them in sysfs.
 *
 * Nothing in there is trusted: what is missing, too long or no number is not known; what could
 * spoil a terminal is replaced.
 *
 * Ownership: the caller's memory. Threads: one. Errors: -errno of the folder.
 */
#ifndef TOOLS_SLUICE_SYSFS_H
#define TOOLS_SLUICE_SYSFS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	SYSFS_BOARDS_MAX = 64, /* the driver's own limit */
	SYSFS_TEXT_MAX = 48
};

/* A number, or -1: not known. */
struct sysfs_link {
	int64_t speed, speed_max; /* Mbit/s for each lane */
	int64_t width, width_max; /* lanes */
};

/* Texts are "" where they are not known. */
struct sysfs_board {
	char name[SYSFS_TEXT_MAX];
	char serial[SYSFS_TEXT_MAX], firmware[SYSFS_TEXT_MAX], interface[SYSFS_TEXT_MAX];
	char state[SYSFS_TEXT_MAX];
	char pci[SYSFS_TEXT_MAX]; /* address */
	char driver[SYSFS_TEXT_MAX], driver_version[SYSFS_TEXT_MAX];
	bool has_node;
	int64_t node; /* -1: the platform does not say */
	int64_t sector, block_bytes;
	struct sysfs_link link;
};

struct sysfs_boards {
	struct sysfs_board board[SYSFS_BOARDS_MAX]; /* by number */
	unsigned int count;
	unsigned int left_off; /* beyond the limit */
};

/* @root: "/sys". -ENOENT: the driver is not loaded. */
int sysfs_boards_read(const char *root, struct sysfs_boards *ret_boards);
/* Whether the link came up with less than both ends can. */
bool sysfs_link_is_down_trained(const struct sysfs_link *link);

#endif /* TOOLS_SLUICE_SYSFS_H */
