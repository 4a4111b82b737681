/* SPDX-License-Identifier: MIT */
/*
 * board_client.h - the host's end of a board's socket, for tests: every wait has a deadline.
 *
 * Ownership: descriptors are the caller's. Threads: one per descriptor.
 * Errors:    -ETIMEDOUT after CLIENT_TIMEOUT_MS; -errno.
 */
#ifndef TESTS_BOARD_CLIENT_H
#define TESTS_BOARD_CLIENT_H

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <firmware-iface/board_socket.h>

enum {
	CLIENT_TIMEOUT_MS = 20000
};

static inline struct board_request client_request(uint16_t command, uint32_t scan, uint16_t columns,
						  uint16_t rows, uint64_t frames)
{
	return (struct board_request){
		.magic = sluice_le32(BOARD_SOCKET_MAGIC),
		.version = sluice_le16(BOARD_SOCKET_VERSION),
		.command = sluice_le16(command),
		.scan = sluice_le32(scan),
		.scan_columns = sluice_le16(columns),
		.scan_rows = sluice_le16(rows),
		.frames = sluice_le64(frames),
	};
}

/* Up to @len bytes, fewer at the end of the stream. */
static inline ssize_t client_read(int fd, void *dst, size_t len)
{
	size_t got = 0;

	while (got < len) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, CLIENT_TIMEOUT_MS) != 1)
			return -ETIMEDOUT;
		n = recv(fd, (uint8_t *)dst + got, len - got, 0);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

/* The reply to @request, 0; or -EPIPE where the board answers nothing. */
static inline int client_ask(int fd, const struct board_request *request,
			     struct board_reply *ret_reply)
{
	ssize_t n = send(fd, request, sizeof(*request), MSG_NOSIGNAL);

	if (n != (ssize_t)sizeof(*request))
		return n < 0 ? -errno : -EIO;
	n = client_read(fd, ret_reply, sizeof(*ret_reply));
	if (n < 0)
		return (int)n;
	return n == (ssize_t)sizeof(*ret_reply) ? 0 : -EPIPE;
}

#endif /* TESTS_BOARD_CLIENT_H */
