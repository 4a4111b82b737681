/* SPDX-License-Identifier: MIT */
/*
 * source/board.h - a conversation with a board in software (board_socket.h), with a deadline.
 *
 * Ownership: plain data; board_ask() gives a connection, to be closed.
 * Threads:   any.
 * Errors:    -ENOENT, -ECONNREFUSED: nobody serves there. -ETIMEDOUT. -EBADMSG: not a reply.
 *            Else what the board says: -EBUSY, -EINVAL, -ENOSYS, -EPROTO.
 */
#ifndef SOURCE_BOARD_H
#define SOURCE_BOARD_H

#include <stdint.h>

#include <sluice/block.h>

struct source_scan;

struct board_state {
	uint16_t sector;
	struct sluice_geometry geometry;
	char name[64];
	uint32_t scan;
	uint64_t blocks_generated;
	uint64_t blocks_sent;
	uint64_t blocks_dropped;
	uint64_t stall_ns;
};

/*
 * Asks the board at @path to run @scan, or, with NULL, who it is, within @timeout_ns. The
 * connection is given in @ret_fd unless that is NULL.
 */
int board_ask(const char *path, const struct source_scan *scan, uint64_t timeout_ns,
	      struct board_state *ret_state, int *ret_fd);

#endif /* SOURCE_BOARD_H */
