/* SPDX-License-Identifier: MIT */
#include "board.h"

#include <board_socket.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/error.h>

#include "source.h"

_Static_assert(BOARD_NAME_MAX <= sizeof(((struct board_state *)0)->name), "a name fits");

/* A Unix socket has no connection in progress: a full backlog blocks, for the send time-out. */
static int board_connect(const char *path, uint64_t timeout_ns, int *ret_fd)
{
	const struct timeval tv = {
		.tv_sec = (time_t)(timeout_ns / NS_PER_S),
		.tv_usec = (suseconds_t)(timeout_ns % NS_PER_S / 1000),
	};
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return neg_errno();
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0 ||
	    connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		ret = neg_errno();
		(void)close(fd);
		return ret == -EAGAIN ? -ETIMEDOUT : ret;
	}
	*ret_fd = fd;
	return 0;
}

static int wait_for(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n;

	do {
		const uint64_t left = ns_until(deadline_ns);

		n = poll(&p, 1, ms_from_ns(left));
		if (n < 0 && errno != EINTR)
			return neg_errno();
		if (n <= 0 && left == 0)
			return -ETIMEDOUT;
	} while (n <= 0);
	return 0;
}

static int send_all(int fd, const void *data, size_t len, uint64_t deadline_ns)
{
	const uint8_t *at = data;

	while (len > 0) {
		const ssize_t n = send(fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			at += n;
			len -= (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return neg_errno();
		const int ret = wait_for(fd, POLLOUT, deadline_ns);

		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Exactly @len bytes: what follows them belongs to the ring. */
static int receive_all(int fd, void *data, size_t len, uint64_t deadline_ns)
{
	uint8_t *at = data;

	while (len > 0) {
		const ssize_t n = recv(fd, at, len, MSG_DONTWAIT);

		if (n > 0) {
			at += n;
			len -= (size_t)n;
			continue;
		}
		if (n == 0)
			return -EBADMSG;
		if (errno != EAGAIN && errno != EINTR)
			return neg_errno();
		const int ret = wait_for(fd, POLLIN, deadline_ns);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static int reply_read(const struct board_reply *reply, struct board_state *ret_state)
{
	struct board_state state = { 0 };

	if (sluice_u32(reply->magic) != BOARD_SOCKET_MAGIC ||
	    sluice_u16(reply->version) != BOARD_SOCKET_VERSION)
		return -EBADMSG;
	if (sluice_u16(reply->status) != 0)
		return -(int)sluice_u16(reply->status);
	if (!memchr(reply->name, '\0', sizeof(reply->name)))
		return -EBADMSG;
	memcpy(state.name, reply->name, sizeof(reply->name));
	/* The name goes to logs. */
	for (char *c = state.name; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	state.sector = sluice_u16(reply->sector);
	state.geometry.sectors = sluice_u16(reply->sectors);
	state.geometry.layout = sluice_u16(reply->layout);
	state.geometry.rows = sluice_u16(reply->rows);
	state.geometry.columns = sluice_u16(reply->columns);
	state.geometry.pixel = sluice_u16(reply->pixel);
	if (!sluice_geometry_ok(&state.geometry) || state.sector >= state.geometry.sectors)
		return -EBADMSG;
	state.scan = sluice_u32(reply->scan);
	state.blocks_generated = sluice_u64(reply->blocks_generated);
	state.blocks_sent = sluice_u64(reply->blocks_sent);
	state.blocks_dropped = sluice_u64(reply->blocks_dropped);
	state.stall_ns = sluice_u64(reply->stall_ns);
	*ret_state = state;
	return 0;
}

int board_ask(const char *path, const struct source_scan *scan, uint64_t timeout_ns,
	      struct board_state *ret_state, int *ret_fd)
{
	const uint64_t deadline_ns = now_ns() + timeout_ns;
	struct board_request request = {
		.magic = sluice_le32(BOARD_SOCKET_MAGIC),
		.version = sluice_le16(BOARD_SOCKET_VERSION),
		.command = sluice_le16(scan ? BOARD_RUN : BOARD_IDENTIFY),
	};
	struct board_reply reply;
	struct board_state state;
	int fd = -1;
	int ret;

	if (scan) {
		request.scan = sluice_le32(scan->scan);
		request.scan_columns = sluice_le16((uint16_t)scan->scan_columns);
		request.scan_rows = sluice_le16((uint16_t)scan->scan_rows);
		request.frames = sluice_le64(scan->frames_expected);
	}
	ret = board_connect(path, timeout_ns, &fd);
	if (ret < 0)
		return ret;
	ret = send_all(fd, &request, sizeof(request), deadline_ns);
	if (ret == 0)
		ret = receive_all(fd, &reply, sizeof(reply), deadline_ns);
	if (ret == 0)
		ret = reply_read(&reply, &state);
	if (ret < 0 || !ret_fd)
		(void)close(fd);
	if (ret < 0)
		return ret;
	*ret_state = state;
	if (ret_fd)
		*ret_fd = fd;
	return 0;
}
