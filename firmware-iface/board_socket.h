/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * board_socket.h - how a board in software is spoken to over a Unix stream socket.
 *
 * A connection carries one request of the host, then one reply of the board. After a reply to
 * BOARD_RUN with status 0 the board's bytes follow: blocks as the firmware would write them,
 * until the scan is complete, when the board shuts its writing side (the reader sees the end of
 * the stream, as a short read at the end of a scan on a device). The host ends a scan early by
 * closing. One BOARD_RUN at a time per board; other requests are answered meanwhile, each on a
 * connection of its own.
 *
 * Ownership: plain data, little-endian. Threads: any. Errors: reply.status is a positive errno.
 */
#ifndef BOARD_SOCKET_H
#define BOARD_SOCKET_H

#include <sluice/block.h>
#include <sluice/le.h>

#define BOARD_SOCKET_MAGIC 0x44524253u /* "SBRD" in the byte stream */

enum {
	BOARD_SOCKET_VERSION = 1,
	BOARD_NAME_MAX = 32,
};

enum board_command {
	BOARD_IDENTIFY = 1, /* geometry, name, state; counters of the last scan */
	BOARD_RUN = 2,      /* send the scan described */
};

struct board_request {
	struct sluice_le32 magic;
	struct sluice_le16 version;
	struct sluice_le16 command; /* enum board_command */
	struct sluice_le32 scan;
	struct sluice_le16 scan_columns; /* probe positions per row, flyback included */
	struct sluice_le16 scan_rows;
	struct sluice_le64 frames;   /* expected; position = frame * positions / frames */
	struct sluice_le64 reserved; /* 0 */
};
SLUICE_STATIC_ASSERT(sizeof(struct board_request) == 32, "request is 32 bytes");

struct board_reply {
	struct sluice_le32 magic;
	struct sluice_le16 version;
	struct sluice_le16 status; /* 0, or a positive errno: EBUSY, EINVAL, ENOSYS, EPROTO */
	struct sluice_le16 sector;
	struct sluice_le16 sectors; /* struct sluice_geometry from here */
	struct sluice_le16 layout;
	struct sluice_le16 rows;
	struct sluice_le16 columns;
	struct sluice_le16 pixel;
	struct sluice_le16 running; /* 1 while a scan is being sent */
	struct sluice_le16 reserved;
	char name[BOARD_NAME_MAX]; /* NUL-terminated */
	/* Of the scan that runs, or the last one: */
	struct sluice_le32 scan;
	struct sluice_le32 reserved2;
	struct sluice_le64 blocks_generated;
	struct sluice_le64 blocks_sent;
	struct sluice_le64 blocks_dropped;
	struct sluice_le64 stall_ns; /* time spent waiting for the host to read */
};
SLUICE_STATIC_ASSERT(sizeof(struct board_reply) == 96, "reply is 96 bytes");

#endif /* BOARD_SOCKET_H */
