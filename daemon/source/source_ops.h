/* SPDX-License-Identifier: MIT */
/*
 * source/source_ops.h - the seam between the dispatcher (source.c) and what is read.
 *
 *   posted -> prepared -> in flight -> (all reads back) -> judged -> reaped
 *
 * The dispatcher keeps the order, the deadlines and the end of a scan; a kind of source says
 * which reads fill a buffer, and what their bytes are.
 *
 * Ownership: a kind keeps its state in source->kind, made by open(), given back by close().
 * Threads:   the reader's only.
 * Errors:    0 or -errno; a call that fails has changed nothing.
 */
#ifndef SOURCE_SOURCE_OPS_H
#define SOURCE_SOURCE_OPS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "framing.h"
#include "scanner.h"
#include "source.h"
#include "uring.h"

/* A posted buffer, and how far it has come. */
struct source_slot {
	struct source_buffer buffer;
	bool prepared;       /* all its reads are with the kernel, or back */
	bool asked_back;     /* its read was asked to come back with what it has */
	bool cancelled;      /* its read came back for another reason than bytes or their end */
	uint32_t read_count; /* its reads in flight */
	uint32_t first_read; /* place of the first one: streams have one */
	uint32_t requested;  /* bytes */
	uint32_t received;   /* bytes */
	int error;           /* -errno of the first read that failed */
	uint64_t due_ns;     /* not to be reaped before */
	/* files: which blocks */
	uint64_t entry;  /* index entry of the first one */
	uint64_t offset; /* added to the frame numbers: loops before this one */
	uint32_t blocks;
	uint32_t blocks_prepared;
};

/* A read in flight; its place in the table is the tag. */
struct source_read {
	struct source_slot *slot;
	uint8_t *dst;
	uint32_t len;
	int fd;
	uint64_t offset;
};

enum source_state {
	SOURCE_OPEN = 0,
	SOURCE_RUNNING,
	SOURCE_ENDED, /* the end was told; source_stop() is due */
};

struct source_ops {
	const char *scheme; /* of the spec, "socket" */
	bool ordered;       /* one stream: a read that is asked back brings what has come */
	bool ends_by_count; /* the scan ends with its last frame, whether or not the stream does */
	bool short_is_end;  /* a read comes back short only at the end of the stream */
	/*
	 * Reads keep the word of sluice/uapi.h: whole blocks, 0 is the scan's end and not the
	 * stream's, and ECANCELED says that the board gave the scan up.
	 */
	bool by_uapi;

	/*
	 * open() - Find the board or files at @path, and what their blocks look like.
	 *
	 * Guarantees: source->format and source->info are complete, or it fails and holds nothing.
	 */
	int (*open)(struct source *source, const struct source_args *args, const char *path,
		    struct sluice_error *reterr);
	/*
	 * start() - Make the board send the scan in source->scan.
	 *
	 * Guarantees: ends within a deadline of its own; on failure the board is not sending.
	 */
	int (*start)(struct source *source, struct sluice_error *reterr);
	/*
	 * run() - The first reads are with the kernel: let the board send. NULL: start() did.
	 *
	 * Guarantees: called once per scan, between start() and stop().
	 */
	int (*run)(struct source *source);
	/*
	 * drain() - Nothing has come for the stall time: make the board write what it holds, and
	 * end. NULL: a read is asked back by io_uring.
	 *
	 * Guarantees: called once per scan; after 0 reads in flight come back soon.
	 */
	int (*drain)(struct source *source);
	/*
	 * prepare_read() - Prepare reads for @slot by one of the source_read functions.
	 *
	 * Guarantees: they lie within the slot's data area. -EAGAIN: call again when reads have
	 * come back. Sets source->exhausted when nothing is left to be read after this slot.
	 */
	int (*prepare_read)(struct source *source, struct source_slot *slot);
	/*
	 * short_read() - @read brought @received bytes, less than asked for, and no error.
	 * Needed where reads are not ordered.
	 *
	 * Guarantees: true: @read was changed to ask for the rest, and is to be prepared again.
	 * false: there is no rest, and what lies in the buffer there is no block.
	 */
	bool (*short_read)(struct source *source, struct source_read *read, uint32_t received);
	/*
	 * completed() - All reads of @slot, the oldest one, are back. Judge its bytes.
	 *
	 * Guarantees: table, block_count and bytes_skipped are set; offsets lie in the slot.
	 */
	void (*completed)(struct source *source, struct source_slot *slot,
			  struct source_fill *fill);
	/*
	 * stop() - Make reads in flight come back soon.
	 *
	 * Guarantees: may be called twice; the board is not sending any more, or nobody listens.
	 */
	void (*stop)(struct source *source);
	/* close() - Give back what open() took. May be called after a failed open(). */
	void (*close)(struct source *source);
	/* counters() - As source_board_counters(). NULL: there are none. */
	int (*counters)(struct source *source, struct source_board_counters *ret_counters);
	/* explain() - As source_explain(). NULL: the error's own name will do. */
	const char *(*explain)(int error);
};

extern const struct source_ops source_socket_ops;
extern const struct source_ops source_device_ops;
extern const struct source_ops source_file_ops;
/* Not a scheme: source_device_ops.open() puts it in its own place for a node of our driver. */
extern const struct source_ops source_node_ops;

struct source {
	const struct source_ops *ops;
	void *kind;
	struct source_info info;
	struct framing_format format; /* of every scan; the scan's own numbers are not in it */
	struct uring uring;
	struct source_stats stats;
	uint32_t depth;
	double frames_per_s;
	uint64_t loops;

	/* The scan. */
	struct source_scan scan;
	enum source_state state;
	enum source_end end; /* decided, perhaps not told yet */
	int end_error;
	bool exhausted;       /* nothing is left to be read for further slots */
	bool last_seen;       /* the scan's last frame was */
	bool let_run;         /* ops->run() was called */
	bool drained;         /* ops->drain() was: what ends now ends by a stall */
	uint64_t activity_ns; /* when bytes last came, or reads were first asked for */
	_Atomic bool interrupted;

	/* Posted buffers, oldest first. */
	struct source_slot slots[SOURCE_DEPTH_MAX];
	uint32_t head;
	uint32_t count;
	uint32_t prepared; /* of those, from the oldest on */

	struct source_read reads[URING_READS_MAX];
	uint32_t reads_free[URING_READS_MAX];
	uint32_t reads_free_count;

	/* Streams (stream.c). */
	struct scanner scanner;
	uint64_t stream_at; /* bytes of blocks before what was judged last, by frame number */
	uint64_t stream_in_flight; /* bytes asked for beyond */
};

/* For prepare_read(): false when no more reads can be in flight. */
static inline bool source_read_room(const struct source *source)
{
	return source->reads_free_count > 0;
}

void source_read_at(struct source *source, struct source_slot *slot, uint8_t *dst, uint32_t len,
		    int fd, uint64_t offset);
void source_read_next(struct source *source, struct source_slot *slot, uint32_t len, int fd);
void source_read_beside(struct source *source, struct source_slot *slot, uint32_t len, int fd);
void source_receive(struct source *source, struct source_slot *slot, uint32_t len, int fd);

#endif /* SOURCE_SOURCE_OPS_H */
