/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/stream.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <base/clock.h>
#include <base/error.h>

/* A wait is cut into these, so that counters move while it lasts. */
#define WAIT_SLICE_NS (100 * NS_PER_MS)
/* Paced boards wake no more often than this. */
#define PACE_NS (NS_PER_MS / 2)

struct stream {
	const struct stream_args *args;
	struct stream_counters *counters;
	struct batch_counts counts;
	struct batch batch;
	uint64_t start_ns;
	uint64_t stalled_frame; /* the stall before this one is over; UINT64_MAX: none was */
};

static void publish(_Atomic uint64_t *counter, uint64_t value)
{
	atomic_store_explicit(counter, value, memory_order_relaxed);
}

/* Waits for @events on the host's side, at most @timeout_ns. 0, or the end of the stream. */
static int wait_for(const struct stream *s, short events, uint64_t timeout_ns)
{
	struct pollfd fds[] = { { .fd = s->args->stop_fd, .events = POLLIN },
				{ .fd = s->args->fd, .events = events } };
	const struct timespec ts = { .tv_sec = (time_t)(timeout_ns / NS_PER_S),
				     .tv_nsec = (long)(timeout_ns % NS_PER_S) };

	if (ppoll(fds, 2, &ts, NULL) < 0)
		return errno == EINTR ? 0 : neg_errno();
	if (fds[0].revents != 0)
		return -ECANCELED;
	/* Both directions closed; a host may well close only its writing side. */
	if (fds[1].revents & (POLLERR | POLLHUP | POLLNVAL))
		return -EPIPE;
	return 0;
}

static int wait_until(const struct stream *s, uint64_t deadline_ns)
{
	for (;;) {
		const uint64_t left = ns_until(deadline_ns);
		int ret;

		if (left == 0)
			return 0;
		ret = wait_for(s, 0, left < WAIT_SLICE_NS ? left : WAIT_SLICE_NS);
		if (ret < 0)
			return ret;
	}
}

/* The host is behind: wait until it has read, or ends. */
static int wait_writable(struct stream *s)
{
	const uint64_t before = now_ns();
	const int ret = wait_for(s, POLLOUT, WAIT_SLICE_NS);
	const uint64_t so_far = atomic_load_explicit(&s->counters->stall_ns, memory_order_relaxed);

	publish(&s->counters->stall_ns, so_far + (now_ns() - before));
	return ret;
}

/* Takes @bytes off the front of the pieces. */
static void advance(struct iovec **piece, unsigned int *pieces, size_t bytes)
{
	while (*pieces > 0 && bytes >= (*piece)->iov_len) {
		bytes -= (*piece)->iov_len;
		(*piece)++;
		(*pieces)--;
	}
	if (*pieces > 0) {
		(*piece)->iov_base = (uint8_t *)(*piece)->iov_base + bytes;
		(*piece)->iov_len -= bytes;
	}
}

static int send_batch(struct stream *s)
{
	struct iovec *piece = s->batch.piece;
	unsigned int pieces = s->batch.pieces;

	while (pieces > 0) {
		const struct msghdr message = { .msg_iov = piece, .msg_iovlen = pieces };
		const ssize_t n = sendmsg(s->args->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
		int ret = 0;

		if (n >= 0)
			advance(&piece, &pieces, (size_t)n);
		else if (errno == EAGAIN)
			ret = wait_writable(s);
		else if (errno == EPIPE || errno == ECONNRESET)
			ret = -EPIPE;
		else if (errno != EINTR)
			ret = neg_errno();
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Frames that the detector has made by now. */
static uint64_t frames_due(const struct stream *s)
{
	const double rate = s->args->frames_per_s;
	double due;

	if (rate <= 0.0)
		return s->args->run.scan.frames;
	due = (double)(now_ns() - s->start_ns) / (double)NS_PER_S * rate + 1.0;
	return due >= (double)s->args->run.scan.frames ? s->args->run.scan.frames : (uint64_t)due;
}

/* Waits until @frame is made; *ret_due: how many are made then, more than @frame. */
static int wait_due(const struct stream *s, uint64_t frame, uint64_t *ret_due)
{
	uint64_t due;

	while ((due = frames_due(s)) <= frame) {
		const double at_ns = (double)frame / s->args->frames_per_s * (double)NS_PER_S;
		uint64_t deadline_ns = s->start_ns + (uint64_t)at_ns;
		const uint64_t soonest_ns = now_ns() + PACE_NS;
		int ret;

		if (deadline_ns < soonest_ns)
			deadline_ns = soonest_ns;
		ret = wait_until(s, deadline_ns);
		if (ret < 0)
			return ret;
	}
	*ret_due = due;
	return 0;
}

static bool stalls_at(const struct stream *s, uint64_t frame, uint32_t *ret_ms)
{
	const struct batch_run *run = &s->args->run;

	return run->faults && frame != s->stalled_frame &&
	       fault_at(run->faults, FAULT_STALL, run->sector, frame, ret_ms);
}

static int stall(struct stream *s, uint64_t frame, uint32_t ms)
{
	s->stalled_frame = frame;
	/* For ever ends as well: by the host, or by the stop. */
	return wait_until(s, ms == 0 ? UINT64_MAX : now_ns() + ms * NS_PER_MS);
}

/* Puts together the next blocks from @frame on, at least one; returns the frame after them. */
static uint64_t fill_batch(struct stream *s, uint64_t frame, uint64_t due)
{
	const double rate = s->args->frames_per_s;
	const uint64_t now = now_ns();
	uint32_t ms;

	batch_reset(&s->batch);
	do {
		const uint64_t exposed_ns =
			rate > 0.0
				? s->start_ns + (uint64_t)((double)frame / rate * (double)NS_PER_S)
				: now;

		batch_add(&s->batch, &s->args->run, frame, exposed_ns);
		frame++;
	} while (s->batch.blocks < BATCH_BLOCKS && !s->batch.cut && frame < due &&
		 !stalls_at(s, frame, &ms));
	return frame;
}

/* What of the batch reached the host: all, or nothing that counts. */
static void account(struct stream *s, bool taken)
{
	struct batch_counts counts = s->batch.counts;

	if (!taken) {
		counts = (struct batch_counts){ .blocks_generated = counts.blocks_generated,
						.blocks_dropped = counts.blocks_generated };
	}
	batch_counts_add(&s->counts, &counts);
	publish(&s->counters->blocks_sent, s->counts.blocks_sent);
	publish(&s->counters->blocks_dropped, s->counts.blocks_dropped);
}

static int run_scan(struct stream *s)
{
	const uint64_t frames = s->args->run.scan.frames;
	uint64_t frame = 0, due = 0;
	uint32_t ms;
	int ret;

	while (frame < frames) {
		ret = wait_for(s, 0, 0);
		if (ret == 0 && stalls_at(s, frame, &ms))
			ret = stall(s, frame, ms);
		if (ret == 0)
			ret = wait_due(s, frame, &due);
		if (ret < 0)
			return ret;
		frame = fill_batch(s, frame, due);
		publish(&s->counters->blocks_generated, frame);
		ret = send_batch(s);
		account(s, ret == 0);
		if (ret < 0)
			return ret;
		if (s->batch.cut)
			return 0;
	}
	return 0;
}

int stream_run(const struct stream_args *args, struct stream_counters *counters,
	       struct batch_counts *ret_counts)
{
	struct stream *s = malloc(sizeof(*s));
	int ret;

	*ret_counts = (struct batch_counts){ 0 };
	if (!s)
		return -ENOMEM;
	s->args = args;
	s->counters = counters;
	s->counts = (struct batch_counts){ 0 };
	s->start_ns = now_ns();
	s->stalled_frame = UINT64_MAX;
	ret = run_scan(s);
	*ret_counts = s->counts;
	free(s);
	return ret;
}
