// SPDX-License-Identifier: MIT
#include <vm/guest_reader.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <firmware-iface/registers.h>
#include <model/pattern.h>
#include <sluice/block.h>

#define HUGE_BYTES ((size_t)2 << 20)

static bool is_uring(enum reader_mode mode)
{
	return mode == READER_URING || mode == READER_FIXED || mode == READER_POLLED ||
	       mode == READER_URING_VECTOR || mode == READER_SQPOLL;
}

static bool is_fixed(enum reader_mode mode)
{
	return mode == READER_FIXED || mode == READER_POLLED || mode == READER_SQPOLL;
}

static uint8_t *buffer_at(const struct reader *reader, unsigned int index)
{
	return reader->memory + index * reader->stride + READER_GUARD + reader->args.misalignment;
}

/* Each buffer between two guards, so that a byte too many is seen on either side. */
static int memory_get(struct reader *reader)
{
	const struct reader_args *args = &reader->args;
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (args->huge ? MAP_HUGETLB : 0);
	size_t bytes;

	reader->stride = (args->chunk + args->misalignment + 2 * READER_GUARD + 4095) / 4096 * 4096;
	bytes = (reader->stride * args->depth + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES;
	reader->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (reader->memory == MAP_FAILED) {
		reader->memory = NULL;
		return -errno;
	}
	reader->memory_bytes = bytes;
	memset(reader->memory, READER_GUARD_BYTE, bytes);
	return 0;
}

static int ring_get(struct reader *reader)
{
	const enum reader_mode mode = reader->args.mode;
	const struct iovec whole = { reader->memory, reader->memory_bytes };
	const unsigned int flags = mode == READER_POLLED   ? IORING_SETUP_IOPOLL
				   : mode == READER_SQPOLL ? IORING_SETUP_SQPOLL
							   : 0;
	int ret = io_uring_queue_init(READER_DEPTH_MAX, &reader->ring, flags);

	if (ret < 0)
		return ret;
	reader->ring_open = true;
	if (is_fixed(mode))
		ret = io_uring_register_buffers(&reader->ring, &whole, 1);
	if (ret == 0 && mode == READER_SQPOLL)
		ret = io_uring_register_files(&reader->ring, &reader->fd, 1);
	return ret;
}

int reader_open(struct reader *reader, const struct reader_args *args)
{
	int ret;

	*reader = (struct reader){ .args = *args };
	reader->fd = open(args->node,
			  O_RDONLY | O_CLOEXEC | (args->mode == READER_POLLED ? O_DIRECT : 0));
	if (reader->fd < 0) {
		printf("open %s: %s\n", args->node, strerror(errno));
		return -errno;
	}
	ret = ioctl(reader->fd, SLUICE_IOC_INFO, &reader->info) < 0 ? -errno : 0;
	if (ret == 0)
		ret = memory_get(reader);
	if (ret == 0 && is_uring(args->mode))
		ret = ring_get(reader);
	if (ret == 0 && args->mode == READER_AIO &&
	    syscall(SYS_io_setup, READER_DEPTH_MAX, &reader->aio) < 0)
		ret = -errno;
	if (ret < 0) {
		printf("a reader of %s: %s\n", args->node, strerror(-ret));
		reader_close(reader);
	}
	return ret;
}

void reader_close(struct reader *reader)
{
	if (reader->fd >= 0)
		(void)close(reader->fd);
	reader->fd = -1;
	if (reader->ring_open)
		io_uring_queue_exit(&reader->ring);
	reader->ring_open = false;
	if (reader->aio)
		(void)syscall(SYS_io_destroy, reader->aio);
	reader->aio = 0;
	if (reader->memory)
		(void)munmap(reader->memory, reader->memory_bytes);
	reader->memory = NULL;
}

int reader_arm(struct reader *reader, const struct sluice_uapi_scan *scan)
{
	if (ioctl(reader->fd, SLUICE_IOC_ARM, scan) < 0)
		return -errno;
	reader->scan = *scan;
	reader->next_frame = 0;
	reader->blocks = 0;
	reader->bytes = 0;
	reader->gaps = 0;
	reader->shorts = 0;
	return 0;
}

int reader_run(struct reader *reader)
{
	const struct sluice_uapi_run run = { 0 };

	return ioctl(reader->fd, SLUICE_IOC_RUN, &run) < 0 ? -errno : 0;
}

int reader_stop(struct reader *reader, uint32_t how)
{
	const struct sluice_uapi_stop stop = { .how = how };

	return ioctl(reader->fd, SLUICE_IOC_STOP, &stop) < 0 ? -errno : 0;
}

int reader_counters(struct reader *reader, struct sluice_uapi_counters *ret_counters)
{
	return ioctl(reader->fd, SLUICE_IOC_COUNTERS, ret_counters) < 0 ? -errno : 0;
}

/* Pieces of odd sizes, the last as long as is left. */
static unsigned int cut(uint8_t *buffer, size_t bytes, struct iovec *pieces)
{
	static const size_t sizes[READER_PIECES_MAX - 1] = { 1, 63, 4097, 2, 8191, 333 };
	unsigned int count = 0;

	for (; count < READER_PIECES_MAX - 1 && bytes > sizes[count]; count++) {
		pieces[count] = (struct iovec){ buffer, sizes[count] };
		buffer += sizes[count];
		bytes -= sizes[count];
	}
	pieces[count] = (struct iovec){ buffer, bytes };
	return count + 1;
}

static int submit_uring(struct reader *reader)
{
	static struct iovec pieces[READER_DEPTH_MAX][READER_PIECES_MAX];
	const unsigned int bytes = (unsigned int)reader->args.chunk;

	for (unsigned int i = 0; i < reader->args.depth; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&reader->ring);
		uint8_t *buffer = buffer_at(reader, i);

		if (!sqe)
			return -ENOSPC;
		if (is_fixed(reader->args.mode))
			io_uring_prep_read_fixed(sqe, reader->fd, buffer, bytes, 0, 0);
		else if (reader->args.mode == READER_URING_VECTOR)
			io_uring_prep_readv(sqe, reader->fd, pieces[i],
					    cut(buffer, bytes, pieces[i]), 0);
		else
			io_uring_prep_read(sqe, reader->fd, buffer, bytes, 0);
		if (reader->args.mode == READER_SQPOLL) {
			sqe->fd = 0;
			io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
		}
		io_uring_sqe_set_data64(sqe, i);
	}
	const int ret = io_uring_submit(&reader->ring);

	return ret < 0 ? ret : 0;
}

static int submit_aio(struct reader *reader)
{
	static struct iocb iocb[READER_DEPTH_MAX];
	static struct iocb *list[READER_DEPTH_MAX];

	for (unsigned int i = 0; i < reader->args.depth; i++) {
		iocb[i] = (struct iocb){ .aio_lio_opcode = IOCB_CMD_PREAD,
					 .aio_data = i,
					 .aio_fildes = (uint32_t)reader->fd,
					 .aio_buf = (uint64_t)(uintptr_t)buffer_at(reader, i),
					 .aio_nbytes = reader->args.chunk };
		list[i] = &iocb[i];
	}
	const long ret = syscall(SYS_io_submit, reader->aio, (long)reader->args.depth, list);

	if (ret < 0)
		return -errno;
	return ret == (long)reader->args.depth ? 0 : -EAGAIN;
}

int reader_submit(struct reader *reader)
{
	memset(reader->done, 0, sizeof(reader->done));
	if (is_uring(reader->args.mode))
		return submit_uring(reader);
	if (reader->args.mode == READER_AIO)
		return submit_aio(reader);
	return 0;
}

static int take(struct reader *reader, uint64_t index, ssize_t result)
{
	if (index >= reader->args.depth || reader->done[index]) {
		printf("a completion of read %llu, which is not under way\n",
		       (unsigned long long)index);
		return -EBADMSG;
	}
	reader->done[index] = true;
	reader->result[index] = result;
	return 0;
}

static int collect_uring(struct reader *reader)
{
	struct __kernel_timespec limit = { .tv_sec = READER_TIMEOUT_S };
	const bool polled = reader->args.mode == READER_POLLED;
	const time_t deadline = time(NULL) + READER_TIMEOUT_S;
	struct io_uring_cqe *cqe;
	int ret = 0;

	for (unsigned int n = 0; n < reader->args.depth && ret == 0; n++) {
		/* A ring that polls takes no timeout: it looks, and comes back. EINTR: we were
		 * frozen.
		 */
		do {
			ret = polled ? io_uring_peek_cqe(&reader->ring, &cqe)
				     : io_uring_wait_cqe_timeout(&reader->ring, &cqe, &limit);
		} while ((ret == -EINTR || (polled && ret == -EAGAIN)) && time(NULL) < deadline);
		if (ret < 0) {
			printf("waiting for read %u of %u: %s\n", n, reader->args.depth,
			       strerror(-ret));
			return ret;
		}
		ret = take(reader, cqe->user_data, cqe->res);
		io_uring_cqe_seen(&reader->ring, cqe);
	}
	return ret;
}

static int collect_aio(struct reader *reader)
{
	static struct io_event events[READER_DEPTH_MAX];
	struct timespec limit = { .tv_sec = READER_TIMEOUT_S };
	const long want = (long)reader->args.depth;
	const long got = syscall(SYS_io_getevents, reader->aio, want, want, events, &limit);
	int ret = got == want ? 0 : -ETIMEDOUT;

	for (long n = 0; n < got && ret == 0; n++)
		ret = take(reader, events[n].data, (ssize_t)events[n].res);
	return ret;
}

int reader_collect(struct reader *reader)
{
	struct iovec pieces[READER_PIECES_MAX];
	ssize_t got;

	if (is_uring(reader->args.mode))
		return collect_uring(reader);
	if (reader->args.mode == READER_AIO)
		return collect_aio(reader);
	if (reader->args.mode == READER_VECTOR)
		got = readv(reader->fd, pieces,
			    (int)cut(buffer_at(reader, 0), reader->args.chunk, pieces));
	else
		got = read(reader->fd, buffer_at(reader, 0), reader->args.chunk);
	return take(reader, 0, got < 0 ? -errno : got);
}

static bool payload_right(const struct reader *reader, const uint8_t *payload, size_t bytes)
{
	switch (reader->scan.source) {
	case FW_SOURCE_COUNTER:
		return counter_check(payload, bytes) == 0;
	case FW_SOURCE_PRBS:
		return prbs_check(payload, bytes) == 0;
	default:
		return true;
	}
}

static int judge_block(struct reader *reader, const uint8_t *block)
{
	struct sluice_block_header header;
	uint64_t frame;

	memcpy(&header, block, sizeof(header));
	frame = sluice_u64(header.frame);
	if (sluice_u32(header.magic) != SLUICE_BLOCK_MAGIC ||
	    sluice_u32(header.scan) != reader->scan.scan ||
	    sluice_u16(header.sector) != reader->info.sector) {
		printf("block %llu: no header of scan %u\n", (unsigned long long)reader->blocks,
		       reader->scan.scan);
		return -EBADMSG;
	}
	if (frame < reader->next_frame || frame >= reader->scan.frames) {
		printf("frame %llu where %llu is due\n", (unsigned long long)frame,
		       (unsigned long long)reader->next_frame);
		return -EBADMSG;
	}
	reader->gaps += frame - reader->next_frame;
	reader->next_frame = frame + 1;
	reader->blocks++;
	if (!payload_right(reader, block + sizeof(header),
			   reader->info.block_bytes - sizeof(header))) {
		printf("frame %llu: its pixels are not the pattern\n", (unsigned long long)frame);
		return -EBADMSG;
	}
	return 0;
}

static int judge_chunk(struct reader *reader, const uint8_t *chunk, ssize_t bytes)
{
	const size_t block = reader->info.block_bytes;
	int ret = 0;

	if ((size_t)bytes % block != 0 || (size_t)bytes > reader->args.chunk) {
		printf("a chunk of %zd bytes, blocks of %zu\n", bytes, block);
		return -EBADMSG;
	}
	if ((size_t)bytes + block <= reader->args.chunk)
		reader->shorts++;
	reader->bytes += (uint64_t)bytes;
	for (size_t at = 0; at < (size_t)bytes && ret == 0; at += block)
		ret = judge_block(reader, chunk + at);
	return ret;
}

int reader_scan(struct reader *reader)
{
	for (;;) {
		int ret = reader_submit(reader);
		bool ended = false;

		if (ret == 0)
			ret = reader_collect(reader);
		if (ret < 0)
			return ret;
		for (unsigned int i = 0; i < reader->args.depth; i++) {
			const ssize_t got = reader->result[i];

			if (got < 0)
				return (int)got;
			if (got > 0 && ended) {
				printf("a read with bytes after one without\n");
				return -EBADMSG;
			}
			ended = got == 0;
			ret = judge_chunk(reader, buffer_at(reader, i), got);
			if (ret < 0)
				return ret;
		}
		if (ended)
			return 0;
	}
}

int reader_good_scan(struct reader *reader, uint32_t number, uint32_t source, uint64_t frames)
{
	const struct sluice_uapi_scan scan = {
		.scan = number,
		.columns = 64,
		.rows = 64,
		.source = source,
		.frames = frames,
		.flags = reader->args.mode == READER_POLLED ? SLUICE_UAPI_POLLED : 0,
	};
	int ret = reader_arm(reader, &scan);

	if (ret == 0)
		ret = reader_run(reader);
	if (ret == 0)
		ret = reader_scan(reader);
	if (ret < 0) {
		printf("scan %u: %s\n", number, strerror(-ret));
		return ret;
	}
	if (reader->blocks != frames || reader->gaps != 0) {
		printf("scan %u: %llu of %llu frames\n", number, (unsigned long long)reader->blocks,
		       (unsigned long long)frames);
		return -ENODATA;
	}
	return reader_guards_whole(reader) ? 0 : -EBADMSG;
}

bool reader_guards_whole(const struct reader *reader)
{
	size_t at = 0;

	for (unsigned int i = 0; i <= reader->args.depth; i++) {
		const size_t end = i < reader->args.depth
					   ? (size_t)(buffer_at(reader, i) - reader->memory)
					   : reader->memory_bytes;

		for (; at < end; at++) {
			if (reader->memory[at] != READER_GUARD_BYTE) {
				printf("byte %zu, before buffer %u, was written to\n", at, i);
				return false;
			}
		}
		at = end + reader->args.chunk;
	}
	return true;
}
