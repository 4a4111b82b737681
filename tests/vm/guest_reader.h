/* SPDX-License-Identifier: MIT */
/*
 * vm/guest_reader.h - a scan read from /dev/sluiceN in one of the ways there are, and judged.
 *
 * Ownership: reader_open() on the caller's memory, reader_close() takes all back.
 * Threads:   one. Errors: 0 or -errno, said on standard output where they are found.
 */
#ifndef VM_GUEST_READER_H
#define VM_GUEST_READER_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/uapi.h>

enum {
	READER_DEPTH_MAX = 512,
	READER_GUARD = 4096,
	READER_GUARD_BYTE = 0xa5,
	READER_PIECES_MAX = 7,
	READER_TIMEOUT_S = 30, /* without a completion */
};

enum reader_mode {
	READER_SYNC,   /* read() */
	READER_VECTOR, /* readv(), pieces of odd sizes */
	READER_URING,  /* IORING_OP_READ */
	READER_FIXED,  /* IORING_OP_READ_FIXED */
	READER_POLLED, /* the same on a ring with IORING_SETUP_IOPOLL, board without interrupts */
	READER_URING_VECTOR,
	READER_AIO,
	READER_SQPOLL, /* a thread of the kernel submits, the file is a registered one */
};

struct reader_args {
	const char *node;
	enum reader_mode mode;
	unsigned int depth;  /* reads under way; 1 for the first two */
	size_t chunk;        /* bytes of a read */
	size_t misalignment; /* of each buffer */
	bool huge;           /* buffers in huge pages */
};

struct reader {
	struct reader_args args;
	int fd;
	struct sluice_uapi_info info;
	uint8_t *memory;
	size_t memory_bytes, stride;
	struct io_uring ring;
	bool ring_open;
	unsigned long aio;
	ssize_t result[READER_DEPTH_MAX]; /* of the reads of this turn */
	bool done[READER_DEPTH_MAX];

	/* Of the scan, so far. */
	struct sluice_uapi_scan scan;
	uint64_t next_frame;
	uint64_t blocks, bytes, gaps;
	uint64_t shorts; /* chunks that were not full */
};

int reader_open(struct reader *reader, const struct reader_args *args);
void reader_close(struct reader *reader);

/* ARM; @scan.scan, columns, rows, frames, source, flags as given. 0 or -errno of the ioctl. */
int reader_arm(struct reader *reader, const struct sluice_uapi_scan *scan);
int reader_run(struct reader *reader);
int reader_stop(struct reader *reader, uint32_t how);
int reader_counters(struct reader *reader, struct sluice_uapi_counters *ret_counters);

/* Starts a read into each buffer, and waits for all: their results are in reader->result. */
int reader_submit(struct reader *reader);
int reader_collect(struct reader *reader);
/*
 * Reads to the end of the scan, each block judged. 0: it ended. Else the errno of the first read
 * that had one; -EBADMSG: the board's bytes are not as they must be.
 */
int reader_scan(struct reader *reader);
/* ARM, RUN, read all of @frames and find each of them there. */
int reader_good_scan(struct reader *reader, uint32_t number, uint32_t source, uint64_t frames);
/* Whether what lies around the buffers is as it was. */
bool reader_guards_whole(const struct reader *reader);

#endif /* VM_GUEST_READER_H */
