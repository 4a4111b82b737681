/* SPDX-License-Identifier: MIT */
#include "uring.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <base/clock.h>
#include <base/error.h>

/*
 * The kernel registers at most 1 GiB as one buffer, and a read must lie within one. Windows that
 * overlap by the largest read make every read lie within one.
 */
static const size_t window_bytes = (size_t)1 << 30;
static const size_t window_stride = ((size_t)1 << 30) - URING_READ_BYTES_MAX;

enum {
	WINDOWS_MAX = 1024, /* 768 GiB of memory per ring */
};

static const uint64_t cancel_ns = 100 * NS_PER_MS;

int uring_open(struct uring *uring, struct sluice_error *reterr)
{
	struct io_uring_params params = { .flags = IORING_SETUP_COOP_TASKRUN };
	int ret;

	*uring = (struct uring){ 0 };
	ret = io_uring_queue_init_params(URING_READS_MAX, &uring->ring, &params);
	if (ret == -EPERM)
		return error_set(reterr, ret,
				 "io_uring is forbidden here; allow it by `sysctl -w "
				 "kernel.io_uring_disabled=0`, in a container by a seccomp profile "
				 "with io_uring_setup, io_uring_enter and io_uring_register");
	if (ret == -ENOSYS || ret == -EINVAL)
		return error_set(reterr, ret,
				 "io_uring is not in this kernel as needed; run Linux 6.1 or later "
				 "with CONFIG_IO_URING (container: a seccomp profile that has it)");
	if (ret < 0)
		return error_set(reterr, ret, "io_uring cannot be set up: %s", error_name(ret));
	if (!(params.features & IORING_FEAT_EXT_ARG)) {
		io_uring_queue_exit(&uring->ring);
		return error_set(reterr, -ENOSYS,
				 "io_uring of this kernel cannot wait with a deadline; run Linux "
				 "6.1 or later");
	}
	uring->open = true;
	return 0;
}

void uring_close(struct uring *uring)
{
	if (!uring || !uring->open)
		return;
	assert(uring->in_flight == 0);
	io_uring_queue_exit(&uring->ring);
	*uring = (struct uring){ 0 };
}

static void note_memlock(size_t bytes, char *note, size_t note_size)
{
	struct rlimit limit = { 0 };

	(void)getrlimit(RLIMIT_MEMLOCK, &limit);
	(void)snprintf(note, note_size,
		       "memlock limit %llu KiB is below the ring's %zu KiB: reads go into memory "
		       "that is not registered; raise it by `ulimit -l unlimited`, in a systemd "
		       "unit by LimitMEMLOCK=infinity",
		       (unsigned long long)limit.rlim_cur / 1024, bytes / 1024);
}

int uring_attach(struct uring *uring, void *memory, size_t bytes, char *note, size_t note_size,
		 struct sluice_error *reterr)
{
	struct iovec *windows;
	size_t count = 1;
	int ret;

	while ((count - 1) * window_stride + window_bytes < bytes)
		count++;
	if (count > WINDOWS_MAX)
		return error_set(reterr, -ENOSPC,
				 "ring of %zu bytes: at most %zu can be registered (WINDOWS_MAX)",
				 bytes, (WINDOWS_MAX - 1) * window_stride + window_bytes);
	windows = calloc(count, sizeof(*windows));
	if (!windows)
		return error_set(reterr, -ENOMEM, "no memory for %zu registrations", count);
	for (size_t i = 0; i < count; i++) {
		const size_t left = bytes - i * window_stride;

		windows[i].iov_base = (uint8_t *)memory + i * window_stride;
		windows[i].iov_len = left < window_bytes ? left : window_bytes;
	}
	ret = io_uring_register_buffers(&uring->ring, windows, (unsigned int)count);
	free(windows);
	note[0] = '\0';
	if (ret == -ENOMEM)
		note_memlock(bytes, note, note_size);
	else if (ret < 0)
		return error_set(reterr, ret, "ring of %zu bytes: cannot register it: %s", bytes,
				 error_name(ret));
	uring->registered = ret == 0;
	uring->memory = memory;
	uring->memory_bytes = bytes;
	return 0;
}

static struct io_uring_sqe *sqe_get(struct uring *uring)
{
	struct io_uring_sqe *sqe;

	assert(uring->in_flight < URING_READS_MAX);
	/* The queue has URING_READS_MAX places, and no more reads than that exist. */
	sqe = io_uring_get_sqe(&uring->ring);
	assert(sqe);
	uring->prepared++;
	uring->in_flight++;
	return sqe;
}

static struct io_uring_sqe *read_prepare(struct uring *uring, int fd, uint8_t *dst, uint32_t len,
					 uint64_t offset)
{
	struct io_uring_sqe *const sqe = sqe_get(uring);
	const size_t at = (size_t)(dst - uring->memory);

	assert(len <= URING_READ_BYTES_MAX);
	assert(at < uring->memory_bytes && len <= uring->memory_bytes - at);
	if (uring->registered)
		io_uring_prep_read_fixed(sqe, fd, dst, len, offset, (int)(at / window_stride));
	else
		io_uring_prep_read(sqe, fd, dst, len, offset);
	return sqe;
}

void uring_read_at(struct uring *uring, int fd, uint8_t *dst, uint32_t len, uint64_t offset,
		   uint32_t tag)
{
	read_prepare(uring, fd, dst, len, offset)->user_data = tag;
}

void uring_read_next(struct uring *uring, int fd, uint8_t *dst, uint32_t len, uint32_t tag)
{
	struct io_uring_sqe *const sqe = read_prepare(uring, fd, dst, len, UINT64_MAX);

	sqe->user_data = tag;
	sqe->flags |= IOSQE_IO_DRAIN;
}

void uring_read_beside(struct uring *uring, int fd, uint8_t *dst, uint32_t len, uint32_t tag)
{
	read_prepare(uring, fd, dst, len, UINT64_MAX)->user_data = tag;
}

void uring_receive(struct uring *uring, int fd, uint8_t *dst, uint32_t len, uint32_t tag)
{
	struct io_uring_sqe *const sqe = sqe_get(uring);

	io_uring_prep_recv(sqe, fd, dst, len, MSG_WAITALL);
	sqe->user_data = tag;
	sqe->flags |= IOSQE_IO_DRAIN;
}

static int submitted(struct uring *uring, int ret)
{
	if (ret == -EAGAIN || ret == -EBUSY || ret == -EINTR || ret == -ETIME)
		ret = 0;
	/* Counted by what is left, as a wait that timed out does not say what it submitted. */
	uring->prepared = io_uring_sq_ready(&uring->ring);
	return ret < 0 ? ret : 0;
}

int uring_submit(struct uring *uring)
{
	if (uring->prepared == 0)
		return 0;
	return submitted(uring, io_uring_submit(&uring->ring));
}

int uring_wait(struct uring *uring, uint64_t timeout_ns)
{
	struct __kernel_timespec ts = {
		.tv_sec = (long long)(timeout_ns / NS_PER_S),
		.tv_nsec = (long long)(timeout_ns % NS_PER_S),
	};
	struct io_uring_cqe *cqe = NULL;

	return submitted(uring, io_uring_submit_and_wait_timeout(&uring->ring, &cqe, 1, &ts, NULL));
}

int uring_next(struct uring *uring, uint32_t *ret_tag, int *ret_result)
{
	struct io_uring_cqe *cqe = NULL;

	if (io_uring_peek_cqe(&uring->ring, &cqe) != 0 || !cqe)
		return -EAGAIN;
	assert(uring->in_flight > 0);
	*ret_tag = (uint32_t)cqe->user_data;
	*ret_result = cqe->res;
	io_uring_cqe_seen(&uring->ring, cqe);
	uring->in_flight--;
	return 0;
}

static void cancel(struct uring *uring, uint32_t tag, unsigned int flags)
{
	struct io_uring_sync_cancel_reg reg = {
		.addr = tag,
		.fd = -1,
		.flags = flags,
		.timeout = { .tv_nsec = (long long)cancel_ns },
	};

	/* -ENOENT: it has completed meanwhile; -ETIME: it is asked again. */
	(void)io_uring_register_sync_cancel(&uring->ring, &reg);
}

void uring_cancel(struct uring *uring, uint32_t tag)
{
	cancel(uring, tag, 0);
}

void uring_cancel_all(struct uring *uring)
{
	cancel(uring, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
}
