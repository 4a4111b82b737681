/* SPDX-License-Identifier: MIT */
/*
 * A board behind the driver: a device node, its ioctls, and reads by io_uring. Scans that are
 * polled have a ring of their own, since such a ring can do nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "board_access.h"

enum {
	INTERRUPTED, /* completions come by interrupt */
	POLLED,
	RINGS
};

#define NS_PER_S         UINT64_C(1000000000)
#define CLOSE_TIMEOUT_NS (UINT64_C(10) * NS_PER_S)

struct board_io {
	int fd;
	struct io_uring ring[RINGS];
	bool there[RINGS];
	unsigned int under_way[RINGS];
	unsigned int now; /* the ring of this scan */
};

/* libc's -1/errno becomes our 0/-errno. */
static int neg_errno(void)
{
	return errno > 0 ? -errno : -EIO;
}

static uint64_t device_now_ns(struct board_io *io)
{
	struct timespec t;

	(void)io;
	if (clock_gettime(CLOCK_MONOTONIC, &t) < 0)
		abort();
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void device_pause(struct board_io *io, uint64_t ns)
{
	struct timespec t = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) };

	(void)io;
	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

static int call(const struct board_io *io, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(io->fd, request, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? neg_errno() : 0;
}

static int device_info(struct board_io *io, struct sluice_uapi_info *ret_info)
{
	return call(io, SLUICE_IOC_INFO, ret_info);
}

static int device_counters(struct board_io *io, struct sluice_uapi_counters *ret_counters)
{
	return call(io, SLUICE_IOC_COUNTERS, ret_counters);
}

static int device_arm(struct board_io *io, const struct sluice_uapi_scan *scan)
{
	struct sluice_uapi_scan copy = *scan;
	const int ret = call(io, SLUICE_IOC_ARM, &copy);

	if (ret == 0)
		io->now = scan->flags & SLUICE_UAPI_POLLED ? POLLED : INTERRUPTED;
	return ret;
}

static int device_run(struct board_io *io)
{
	struct sluice_uapi_run run = { 0 };

	return call(io, SLUICE_IOC_RUN, &run);
}

static int device_stop(struct board_io *io, uint32_t how)
{
	struct sluice_uapi_stop stop = { .how = how };

	return call(io, SLUICE_IOC_STOP, &stop);
}

static int device_can_poll(struct board_io *io)
{
	return io->there[POLLED];
}

/* Takes what has come to @ring. Returns whether anything had. */
static bool take_done(struct board_io *io, unsigned int ring)
{
	struct io_uring_cqe *cqe;
	bool any = false;

	while (io->under_way[ring] > 0 && io_uring_peek_cqe(&io->ring[ring], &cqe) == 0) {
		struct board_read *const read = io_uring_cqe_get_data(cqe);

		read->result = cqe->res;
		read->done = 1;
		io_uring_cqe_seen(&io->ring[ring], cqe);
		io->under_way[ring]--;
		any = true;
	}
	return any;
}

/* Waits until something has come to @ring, at most up to @deadline_ns. */
static int wait_done(struct board_io *io, unsigned int ring, uint64_t deadline_ns)
{
	for (;;) {
		const uint64_t now_ns = device_now_ns(io);
		const uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
		struct __kernel_timespec t = { .tv_sec = (long long)(left_ns / NS_PER_S),
					       .tv_nsec = (long long)(left_ns % NS_PER_S) };
		struct io_uring_cqe *cqe;
		int ret = 0;

		if (take_done(io, ring))
			return 0;
		if (left_ns == 0)
			return -ETIMEDOUT;
		/* A polled ring is polled by peeking; a wait there would know no time. */
		if (ring == INTERRUPTED)
			ret = io_uring_wait_cqe_timeout(&io->ring[ring], &cqe, &t);
		if (ret < 0 && ret != -ETIME && ret != -EINTR)
			return ret;
	}
}

static int device_read_begin(struct board_io *io, struct board_read *read)
{
	struct io_uring *const ring = &io->ring[io->now];
	struct io_uring_sqe *sqe;
	int ret;

	if (!io->there[io->now])
		return -EOPNOTSUPP;
	sqe = io_uring_get_sqe(ring);
	if (!sqe)
		return -ENOSPC;
	io_uring_prep_read(sqe, io->fd, read->data, (unsigned int)read->bytes, 0);
	io_uring_sqe_set_data(sqe, read);
	ret = io_uring_submit(ring);
	if (ret != 1)
		return ret < 0 ? ret : -EIO;
	io->under_way[io->now]++;
	return 0;
}

static int device_read_wait(struct board_io *io, struct board_read *read, uint64_t timeout_ns)
{
	const uint64_t deadline_ns = device_now_ns(io) + timeout_ns;

	while (!read->done) {
		const int ret = wait_done(io, io->now, deadline_ns);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static void device_close(struct board_io *io)
{
	if (!io)
		return;
	(void)device_stop(io, SLUICE_UAPI_STOP_ABORT);
	for (unsigned int i = 0; i < RINGS; i++) {
		const uint64_t deadline_ns = device_now_ns(io) + CLOSE_TIMEOUT_NS;

		while (io->under_way[i] > 0) {
			if (wait_done(io, i, deadline_ns) == 0)
				continue;
			/* Its memory is still the board's: none of it may be given back. */
			(void)fprintf(stderr, "%u reads do not end after an abort\n",
				      io->under_way[i]);
			abort();
		}
		if (io->there[i])
			io_uring_queue_exit(&io->ring[i]);
	}
	if (io->fd >= 0)
		(void)close(io->fd);
	free(io);
}

static int device_open(const char *where, struct board_io **ret_io)
{
	struct board_io *const io = calloc(1, sizeof(*io));
	int ret;

	if (!io)
		return -ENOMEM;
	/* O_DIRECT is what io_uring asks of whom it polls. */
	io->fd = open(where, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (io->fd >= 0) {
		ret = io_uring_queue_init(BOARD_READS_MAX, &io->ring[POLLED], IORING_SETUP_IOPOLL);
		io->there[POLLED] = ret == 0;
	} else if (errno == EINVAL) {
		io->fd = open(where, O_RDONLY | O_CLOEXEC);
	}
	if (io->fd < 0) {
		ret = neg_errno();
		free(io);
		return ret;
	}
	ret = io_uring_queue_init(BOARD_READS_MAX, &io->ring[INTERRUPTED], 0);
	io->there[INTERRUPTED] = ret == 0;
	if (ret < 0) {
		device_close(io);
		return ret;
	}
	*ret_io = io;
	return 0;
}

const struct board_access board_access = {
	.variable = "SLUICE_TEST_DEVICE",
	.open = device_open,
	.close = device_close,
	.can_poll = device_can_poll,
	.info = device_info,
	.arm = device_arm,
	.run = device_run,
	.stop = device_stop,
	.counters = device_counters,
	.read_begin = device_read_begin,
	.read_wait = device_read_wait,
	.now_ns = device_now_ns,
	.pause = device_pause,
};
