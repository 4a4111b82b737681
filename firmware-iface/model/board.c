/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/board.h>

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <base/clock.h>
#include <base/error.h>
#include <firmware-iface/board_socket.h>
#include <model/stream.h>
#include <model/truth.h>

/*
 * Root gets so much for its socket; others what net.core.wmem_max allows. More is slower: what
 * waits in it falls out of the cache before the host reads it (measured: 8 MiB halves the rate).
 */
enum {
	SEND_BUFFER_BYTES = 1 << 20
};

struct board {
	struct board_args args;
	char name[BOARD_NAME_MAX];
	struct stream_counters counters;
	pthread_mutex_t lock; /* running, number */
	pthread_cond_t ended;
	bool running;
	uint32_t number;
};

int board_create(const struct board_args *args, struct board **ret_board)
{
	const struct model_args *model = model_args(args->model);
	pthread_condattr_t attr;
	struct board *board;

	if (args->sector >= SLUICE_SECTORS_MAX || !(model->sectors_served >> args->sector & 1))
		return -EINVAL;
	if (strlen(args->name) >= BOARD_NAME_MAX)
		return -EINVAL;
	board = calloc(1, sizeof(*board));
	if (!board)
		return -ENOMEM;
	board->args = *args;
	memcpy(board->name, args->name, strlen(args->name) + 1);
	(void)pthread_mutex_init(&board->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&board->ended, &attr);
	(void)pthread_condattr_destroy(&attr);
	*ret_board = board;
	return 0;
}

void board_destroy(struct board *board)
{
	if (!board)
		return;
	(void)pthread_cond_destroy(&board->ended);
	(void)pthread_mutex_destroy(&board->lock);
	free(board);
}

int board_request_judge(const void *bytes, size_t len, struct board_order *ret_order)
{
	struct board_request request;
	struct board_order order;

	if (len != sizeof(request))
		return -EPROTO;
	memcpy(&request, bytes, sizeof(request));
	if (sluice_u32(request.magic) != BOARD_SOCKET_MAGIC ||
	    sluice_u16(request.version) != BOARD_SOCKET_VERSION)
		return -EPROTO;
	order = (struct board_order){
		.command = sluice_u16(request.command),
		.number = sluice_u32(request.scan),
		.scan = { .columns = sluice_u16(request.scan_columns),
			  .rows = sluice_u16(request.scan_rows),
			  .frames = sluice_u64(request.frames) },
	};
	if (order.command != BOARD_IDENTIFY && order.command != BOARD_RUN)
		return -ENOSYS;
	if (sluice_u64(request.reserved) != 0)
		return -EINVAL;
	if (order.command == BOARD_RUN &&
	    (order.scan.columns == 0 || order.scan.rows == 0 || order.scan.frames == 0 ||
	     order.scan.frames > MODEL_FRAMES_MAX))
		return -EINVAL;
	*ret_order = order;
	return 0;
}

/* Waits for @events on @fd. -ETIMEDOUT, -ECANCELED. */
static int wait_fd(int fd, int stop_fd, short events, uint64_t deadline_ns)
{
	struct pollfd fds[] = { { .fd = stop_fd, .events = POLLIN },
				{ .fd = fd, .events = events } };
	const uint64_t left = ns_until(deadline_ns);

	if (left == 0)
		return -ETIMEDOUT;
	if (poll(fds, 2, ms_from_ns(left)) < 0)
		return errno == EINTR ? 0 : neg_errno();
	return fds[0].revents != 0 ? -ECANCELED : 0;
}

/* -ECONNRESET: closed before the request was whole. */
static int read_request(int fd, int stop_fd, uint8_t bytes[sizeof(struct board_request)])
{
	const uint64_t deadline_ns = now_ns() + BOARD_REQUEST_TIMEOUT_NS;
	size_t got = 0;

	while (got < sizeof(struct board_request)) {
		ssize_t n;
		const int ret = wait_fd(fd, stop_fd, POLLIN, deadline_ns);

		if (ret < 0)
			return ret;
		n = recv(fd, bytes + got, sizeof(struct board_request) - got, MSG_DONTWAIT);
		if (n == 0)
			return -ECONNRESET;
		if (n > 0)
			got += (size_t)n;
		else if (errno != EAGAIN && errno != EINTR)
			return neg_errno();
	}
	return 0;
}

static int write_reply(int fd, int stop_fd, const struct board_reply *reply)
{
	const uint64_t deadline_ns = now_ns() + BOARD_REPLY_TIMEOUT_NS;
	const uint8_t *bytes = (const uint8_t *)reply;
	size_t sent = 0;

	while (sent < sizeof(*reply)) {
		const ssize_t n = send(fd, bytes + sent, sizeof(*reply) - sent,
				       MSG_DONTWAIT | MSG_NOSIGNAL);
		int ret = 0;

		if (n >= 0)
			sent += (size_t)n;
		else if (errno == EAGAIN)
			ret = wait_fd(fd, stop_fd, POLLOUT, deadline_ns);
		else if (errno != EINTR)
			ret = neg_errno();
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int reply(struct board *board, int fd, int stop_fd, int status)
{
	const struct sluice_geometry *g = &model_args(board->args.model)->geometry;
	struct stream_counters *c = &board->counters;
	struct board_reply r = {
		.magic = sluice_le32(BOARD_SOCKET_MAGIC),
		.version = sluice_le16(BOARD_SOCKET_VERSION),
		.status = sluice_le16((uint16_t)-status),
		.sector = sluice_le16(board->args.sector),
		.sectors = sluice_le16(g->sectors),
		.layout = sluice_le16(g->layout),
		.rows = sluice_le16(g->rows),
		.columns = sluice_le16(g->columns),
		.pixel = sluice_le16(g->pixel),
	};

	memcpy(r.name, board->name, sizeof(r.name));
	(void)pthread_mutex_lock(&board->lock);
	r.running = sluice_le16(board->running);
	r.scan = sluice_le32(board->number);
	r.blocks_generated = sluice_le64(atomic_load(&c->blocks_generated));
	r.blocks_sent = sluice_le64(atomic_load(&c->blocks_sent));
	r.blocks_dropped = sluice_le64(atomic_load(&c->blocks_dropped));
	r.stall_ns = sluice_le64(atomic_load(&c->stall_ns));
	(void)pthread_mutex_unlock(&board->lock);
	return write_reply(fd, stop_fd, &r);
}

/* -EBUSY: another scan runs, and does not end within BOARD_BUSY_TIMEOUT_NS. */
static int claim(struct board *board, uint32_t number)
{
	const uint64_t deadline_ns = now_ns() + BOARD_BUSY_TIMEOUT_NS;
	const struct timespec deadline = { .tv_sec = (time_t)(deadline_ns / NS_PER_S),
					   .tv_nsec = (long)(deadline_ns % NS_PER_S) };
	int ret = 0;

	(void)pthread_mutex_lock(&board->lock);
	while (board->running && ret == 0)
		ret = pthread_cond_timedwait(&board->ended, &board->lock, &deadline);
	if (!board->running) {
		board->running = true;
		board->number = number;
		atomic_store(&board->counters.blocks_generated, 0);
		atomic_store(&board->counters.blocks_sent, 0);
		atomic_store(&board->counters.blocks_dropped, 0);
		atomic_store(&board->counters.stall_ns, 0);
		ret = 0;
	} else {
		ret = -EBUSY;
	}
	(void)pthread_mutex_unlock(&board->lock);
	return ret;
}

static void unclaim(struct board *board)
{
	(void)pthread_mutex_lock(&board->lock);
	board->running = false;
	(void)pthread_cond_signal(&board->ended);
	(void)pthread_mutex_unlock(&board->lock);
}

static void run(struct board *board, int fd, int stop_fd, const struct board_order *order,
		struct board_report *report)
{
	static const int send_buffer = SEND_BUFFER_BYTES;
	const struct stream_args args = {
		.run = { .model = board->args.model,
			 .faults = board->args.faults,
			 .scan = order->scan,
			 .number = order->number,
			 .sector = board->args.sector,
			 .framing = BATCH_SLUICE },
		.frames_per_s = board->args.frames_per_s,
		.fd = fd,
		.stop_fd = stop_fd,
	};

	/* A refusal is no harm: it goes with what there is. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer, sizeof(send_buffer)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
	report->ran = true;
	report->number = order->number;
	report->frames = order->scan.frames;
	report->end = truth_scan(board->args.truth, order->number, &order->scan);
	if (report->end == 0)
		report->end = stream_run(&args, &board->counters, &report->counts);
	report->stall_ns = atomic_load(&board->counters.stall_ns);
}

/* What the host wrote and nobody read would turn its end of stream into a reset. */
static void drain(int fd)
{
	uint8_t rest[4096];

	for (unsigned int i = 0; i < 64; i++)
		if (recv(fd, rest, sizeof(rest), MSG_DONTWAIT) <= 0)
			return;
}

/* Does what a whole request asks for. */
static void obey(struct board *board, int fd, int stop_fd,
		 const uint8_t bytes[sizeof(struct board_request)], struct board_report *report)
{
	struct board_order order = { 0 };
	bool claimed = false;
	int status;

	status = board_request_judge(bytes, sizeof(struct board_request), &order);
	if (status == 0 && order.command == BOARD_RUN) {
		status = claim(board, order.number);
		claimed = status == 0;
	}
	if (reply(board, fd, stop_fd, status) == 0 && claimed)
		run(board, fd, stop_fd, &order, report);
	if (claimed)
		unclaim(board);
}

void board_serve(struct board *board, int fd, int stop_fd, struct board_report *ret_report)
{
	uint8_t bytes[sizeof(struct board_request)];

	*ret_report = (struct board_report){ 0 };
	if (read_request(fd, stop_fd, bytes) == 0)
		obey(board, fd, stop_fd, bytes, ret_report);
	/* The board is free and its counters are final before the host sees the end. */
	(void)shutdown(fd, SHUT_WR);
	drain(fd);
}
