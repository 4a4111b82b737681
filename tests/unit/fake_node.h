/* SPDX-License-Identifier: MIT */
/*
 * unit/fake_node.h - a board behind our driver, below open(), ioctl() and the kernel's answers.
 *
 * The node is one end of a SOCK_SEQPACKET pair: a packet is what one read brings, an empty one the
 * scan's end. Packets are put there at ARM, before any read, so reads take them in their order.
 * Programs that link this wrap open, ioctl and uring_next.
 *
 * Ownership: fake_node_init() takes descriptors, fake_node_fini() gives them back.
 * Threads:   one. Errors: a step that fails fails the cmocka test.
 */
#ifndef UNIT_FAKE_NODE_H
#define UNIT_FAKE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/uapi.h>

#define FAKE_NODE_PATH "/dev/sluice7"

enum {
	FAKE_NODE_PACKETS_MAX = 32,
};

struct fake_node {
	/* What it says. */
	struct sluice_uapi_info info;
	struct sluice_uapi_counters before, after; /* after: once it was stopped */
	int open_errno, info_errno, arm_errno, run_errno, drain_errno, counters_errno; /* 0: none */
	bool gone;       /* until it is opened again: ENODEV */
	bool never_ends; /* reads beyond the packets wait */
	int read_errno;  /* of the read after @reads_good good ones */
	unsigned int reads_good;
	struct {
		const uint8_t *bytes;
		size_t len;
	} packet[FAKE_NODE_PACKETS_MAX], drained; /* drained: what a STOP_DRAIN brings */
	unsigned int packets;

	/* What it was told. */
	struct sluice_uapi_scan scan;
	unsigned int opens, arms, runs, drains, aborts, counts;
	bool order_broken;  /* a call came that was not due */
	bool unread_at_run; /* there was a packet that no read had taken */

	/* Private. */
	int fd, far;
	bool armed, running, stopped;
	unsigned int reads_seen;
};

/* A board of the fixture's geometry and sector 1; there is one at a time. */
void fake_node_init(struct fake_node *node);
void fake_node_fini(struct fake_node *node);
/* One read more: @len bytes from @bytes, which stay the caller's. */
void fake_node_packet(struct fake_node *node, const uint8_t *bytes, size_t len);

#endif /* UNIT_FAKE_NODE_H */
