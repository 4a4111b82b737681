/* SPDX-License-Identifier: MIT */
/*
 * source/uring.h - the few things a source asks of io_uring.
 *
 * Reads marked *ordered* come from one stream, whose bytes belong to whoever reads first. Each
 * carries IOSQE_IO_DRAIN: the kernel starts it when everything before it has completed, so bytes
 * fill the buffers in the order in which they were posted. Against a chain of links: a chain can
 * be prolonged only after it has ended, so the stream would rest while user space wakes up; and
 * the first short read of a chain cancels the rest of it. Against nothing at all: a socket's
 * reads are retried by whichever poll fires first, and those of a device without non-blocking
 * reads by several kernel threads at once.
 *
 * Ownership: uring_open() gives, uring_close() takes; memory stays the caller's.
 * Threads:   one. Errors: -errno; with @reterr the remedy.
 */
#ifndef SOURCE_URING_H
#define SOURCE_URING_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sluice_error;

enum {
	URING_READS_MAX = 128,            /* in flight */
	URING_READ_BYTES_MAX = 256 << 20, /* of one read */
};

struct uring {
	struct io_uring ring;
	bool open;
	bool registered; /* memory is: reads are READ_FIXED */
	uint8_t *memory; /* all buffers lie in it */
	size_t memory_bytes;
	unsigned int prepared;  /* not submitted yet */
	unsigned int in_flight; /* prepared ones included */
};

/* -EPERM, -ENOSYS: io_uring is not to be had here; the text says what gives it. */
int uring_open(struct uring *uring, struct sluice_error *reterr);
void uring_close(struct uring *uring);
/*
 * Registers @memory. Where the memlock limit is too small it is not registered, reads go through
 * the slower READ, and @note (@note_size bytes) says so with the remedy; else it is "".
 */
int uring_attach(struct uring *uring, void *memory, size_t bytes, char *note, size_t note_size,
		 struct sluice_error *reterr);

/* At @offset of a file, or, ordered, at the stream's current position. The caller keeps in_flight
 * below URING_READS_MAX. @tag comes back with the completion. */
void uring_read_at(struct uring *uring, int fd, uint8_t *dst, uint32_t len, uint64_t offset,
		   uint32_t tag);
void uring_read_next(struct uring *uring, int fd, uint8_t *dst, uint32_t len, uint32_t tag);
/* At the stream's current position, not ordered: for a device that starts reads as they come. */
void uring_read_beside(struct uring *uring, int fd, uint8_t *dst, uint32_t len, uint32_t tag);
/* From a stream socket, ordered; completes when all of @len has come. */
void uring_receive(struct uring *uring, int fd, uint8_t *dst, uint32_t len, uint32_t tag);

/* Hands prepared reads to the kernel. What the kernel cannot take now stays prepared. */
int uring_submit(struct uring *uring);
/* Submits, and waits at most @timeout_ns for a completion to be there. 0, also when none came. */
int uring_wait(struct uring *uring, uint64_t timeout_ns);
/* The next completion that is there: its tag, and bytes or -errno. -EAGAIN: none. */
int uring_next(struct uring *uring, uint32_t *ret_tag, int *ret_result);

/* Asks the kernel to give the read @tag up; it completes with what it has, or -ECANCELED. */
void uring_cancel(struct uring *uring, uint32_t tag);
/* The same for all that are being worked on; deferred ones start then. Call until none is in
 * flight. */
void uring_cancel_all(struct uring *uring);

#endif /* SOURCE_URING_H */
