/* SPDX-License-Identifier: MIT */
/* The fake board of source_fixture.h. */
#include <board_socket.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "source_fixture.h"

static bool stopped(const struct fake_board *board, int fd, short events)
{
	struct pollfd p[] = {
		{ .fd = board->stop[0], .events = POLLIN },
		{ .fd = fd, .events = events },
	};

	(void)poll(p, 2, -1);
	return p[0].revents != 0;
}

static void send_bytes(const struct fake_board *board, int fd)
{
	if (board->gated && stopped(board, board->gate[0], POLLIN))
		return;
	for (size_t at = 0; at < board->len;) {
		size_t n = board->len - at;
		ssize_t sent;

		if (board->piece > 0 && n > board->piece)
			n = board->piece;
		if (stopped(board, fd, POLLOUT))
			return;
		sent = send(fd, board->bytes + at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN)
			return;
		at += sent > 0 ? (size_t)sent : 0;
	}
	if (board->hold)
		(void)stopped(board, fd, POLLRDHUP);
}

static void reply(struct fake_board *board, int fd, const struct board_request *request)
{
	const bool run = sluice_u16(request->command) == BOARD_RUN;
	const struct board_reply r = {
		.magic = sluice_le32(BOARD_SOCKET_MAGIC ^ board->bad_magic),
		.version = sluice_le16(BOARD_SOCKET_VERSION),
		.status = sluice_le16(run && board->run_status ? board->run_status : board->status),
		.sector = sluice_le16(board->sector),
		.sectors = sluice_le16(2),
		.rows = sluice_le16(board->rows ? board->rows : ROWS),
		.columns = sluice_le16(COLUMNS),
		.pixel = sluice_le16(SLUICE_PIXEL_U16),
		.name = "fake",
		.scan = sluice_le32(board->counters_scan ? board->counters_scan : board->last_scan),
		.blocks_generated = sluice_le64(16),
		.blocks_sent = sluice_le64(15),
		.blocks_dropped = sluice_le64(1),
		.stall_ns = sluice_le64(5),
	};

	if (run)
		board->last_scan = sluice_u32(request->scan);
	(void)send(fd, &r, sizeof(r) - board->short_reply, MSG_NOSIGNAL);
	if (run && sluice_u16(r.status) == 0) {
		atomic_fetch_add(&board->runs, 1);
		send_bytes(board, fd);
	}
}

static void *serve(void *arg)
{
	struct fake_board *const board = arg;

	while (!stopped(board, board->listener, POLLIN)) {
		const int fd = accept(board->listener, NULL, NULL);
		struct board_request request;

		if (fd < 0)
			continue;
		if (board->mute)
			(void)stopped(board, fd, POLLRDHUP);
		else if (recv(fd, &request, sizeof(request), MSG_WAITALL) ==
			 (ssize_t)sizeof(request))
			reply(board, fd, &request);
		(void)close(fd);
	}
	return NULL;
}

void fake_board_start(struct fake_board *board, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	assert_true(strlen(path) < sizeof(addr.sun_path));
	memcpy(addr.sun_path, path, strlen(path));
	board->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_true(board->listener >= 0);
	assert_int_equal(bind(board->listener, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(board->listener, 4), 0);
	assert_int_equal(pipe(board->stop), 0);
	assert_int_equal(pipe(board->gate), 0);
	assert_int_equal(pthread_create(&board->thread, NULL, serve, board), 0);
}

void fake_board_let_send(struct fake_board *board)
{
	assert_int_equal(write(board->gate[1], "", 1), 1);
}

void fake_board_stop(struct fake_board *board)
{
	assert_int_equal(write(board->stop[1], "", 1), 1);
	assert_int_equal(pthread_join(board->thread, NULL), 0);
	(void)close(board->listener);
	(void)close(board->stop[0]);
	(void)close(board->stop[1]);
	(void)close(board->gate[0]);
	(void)close(board->gate[1]);
}
