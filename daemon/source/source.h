/* SPDX-License-Identifier: MIT */
/*
 * source/source.h - what fills chunks: a device, a software board, a file; all through io_uring.
 *
 * The caller posts buffers that lie in memory registered once, and reaps them in the order in
 * which the board's bytes arrived, with a table of the blocks found in each. Several reads are
 * in flight. Foreign bytes are judged by the framing: whatever is no block is skipped, counted,
 * and marked on the block after it.
 *
 * Ownership: source_open() gives, source_close() takes. A posted buffer is the source's until
 *            it is reaped (or source_stop() returned).
 * Threads:   one thread (the board's reader) calls everything but source_stats() and
 *            source_interrupt(), which any thread may.
 * Errors:    -EINVAL with @reterr; -ENODEV: gone; -EBADMSG: the far end breaks the protocol.
 */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/block.h>
#include <sluice/wire.h>

struct sluice_error;
struct source;

enum {
	SOURCE_DEPTH_MAX = 64,       /* reads in flight */
	SOURCE_SPEC_MAX = 1024,      /* bytes of a spec, NUL included */
	SOURCE_FILES_MAX = 512,      /* files of one sector */
	SOURCE_FRAMES_MAX = 1 << 28, /* frames of a scan, loops included */
	SOURCE_NOTE_MAX = 512,
};

/* Of boards behind our driver; 0: the board's or the driver's own choice. */
struct source_device_args {
	uint32_t drop_threshold; /* blocks in the board's buffer above which it stalls its input */
	uint32_t coalesce_count; /* chunks for one interrupt, at most */
	uint32_t coalesce_us;    /* and the time */
};

struct source_args {
	/*
	 * "device:/dev/sluice0", "socket:/run/sluice/board0" or "file:PATH-OR-GLOB". A file spec
	 * with {sector} in it has that replaced by the sector number.
	 */
	const char *spec;
	const char *framing; /* "sluice", "4dcamera-v5", "4dcamera-v4", "merlin-mib" */
	uint16_t sector;     /* which one this board reads */
	struct sluice_geometry
		geometry;    /* what is configured; fields that are 0 come from the data */
	unsigned int depth;  /* reads in flight, 1 ... SOURCE_DEPTH_MAX */
	double frames_per_s; /* files: pace of play-back; 0: flat out */
	uint64_t loops;      /* files: times to play, frame numbers going on; at least 1 */
	struct source_device_args device;
	/*
	 * What all buffers lie in: registered with io_uring at open. NULL: source_attach() gives
	 * it later, for a caller who must know the geometry before there can be a ring.
	 */
	void *memory;
	size_t memory_bytes;
};

/* What the data says of itself, before a scan runs: from the board's identity or the files'
 * headers. */
struct source_info {
	struct sluice_geometry geometry;
	uint32_t header_bytes; /* of the framing, before the pixels of each block */
	uint32_t block_bytes;  /* header and pixels: what headroom must hold */
	bool whole_blocks;     /* none straddles two buffers: no headroom is needed */
	int node;              /* NUMA node of the board, NODE_ANY where nothing tells it */
	char pci[32];          /* address of the board, "" where it has none */
	uint32_t scan_columns; /* 0: the source follows whatever scan is armed */
	uint32_t scan_rows;
	uint64_t frames;            /* 0: likewise; loops included */
	uint64_t first_scan;        /* scan number in the recorded data; 0 where there is none */
	char name[64];              /* board name or file, for logs */
	char note[SOURCE_NOTE_MAX]; /* what is lacking and the command that gives it; "": nothing */
};

struct source_scan {
	uint32_t scan;
	uint32_t scan_columns;
	uint32_t scan_rows;
	uint64_t frames_expected;
	uint32_t run_frames; /* reads are sized to end on a run's last block where the stream allows
			      */
	uint64_t stall_ns;   /* nothing for so long: the scan ends with SOURCE_END_STALL */
};

/* A buffer to fill: @headroom bytes for the source's own use, then @capacity bytes of data. */
struct source_buffer {
	uint8_t *slot;
	uint32_t headroom;
	uint32_t capacity;
	struct sluice_wire_block *table; /* filled by the source; offsets count from @slot */
	uint32_t table_max;
	uint32_t cookie; /* the caller's; given back in the fill */
};

/* Set by the source in sluice_wire_block.reserved; the caller clears it before sending. */
enum {
	SOURCE_BLOCK_AFTER_SKIP = 1 << 0, /* bytes that are no block stood before this one */
};

enum source_end {
	SOURCE_END_NONE = 0, /* more will come */
	SOURCE_END_COMPLETE, /* the last frame of the scan was seen, and nothing more will come */
	SOURCE_END_CUT,      /* the stream or the files ended before the last frame */
	SOURCE_END_STALL,
	SOURCE_END_READ,    /* a read failed; source_fill.error says how */
	SOURCE_END_STOPPED, /* source_interrupt() was called */
};

/* Either a buffer or an end. Buffers that are posted when the end comes are back after
 * source_stop(). */
struct source_fill {
	uint32_t cookie;
	uint32_t block_count; /* entries in the buffer's table, in order of arrival; may be 0 */
	uint32_t bytes_read;
	uint32_t bytes_skipped; /* that belonged to no block */
	bool has_buffer;        /* false: only @end is reported */
	enum source_end end;    /* anything but NONE comes last, once per scan */
	int error;              /* -errno behind SOURCE_END_READ */
};

/* Counters; one writer (the reader thread), any reader. */
struct source_stats {
	_Atomic uint64_t reads, bytes, blocks;
	/* Blocks refused. bad_scan: another scan's number, or a frame number the scan does not
	 * have. */
	_Atomic uint64_t bad_magic, bad_length, bad_header_crc, bad_geometry, bad_scan;
	_Atomic uint64_t duplicates; /* files: blocks of a frame that an earlier block has */
	_Atomic uint64_t bytes_skipped, resyncs;
	_Atomic uint64_t bytes_moved; /* copied by the CPU to join blocks that straddle two reads */
};

/*
 * -EINVAL: an argument, or data that is not what is configured. -ENOENT, -ECONNREFUSED, -ENODEV,
 * -EACCES: the board or file. -ETIMEDOUT: the board does not answer. -EBADMSG: no block in it.
 * -ENOTSUP: a pixel format that Sluice does not read. -ENOSPC: a limit, named. -EPERM, -ENOSYS:
 * io_uring is not to be had here.
 */
int source_open(const struct source_args *args, struct source **ret_source,
		struct sluice_error *reterr);
/*
 * Registers the memory of all buffers, where source_open() was given none. Once, before
 * source_start(). -EINVAL: there is one already, or it is empty. Where the memlock limit is too
 * small, reads go into memory that is not registered, and source_info() has a note of it.
 */
int source_attach(struct source *source, void *memory, size_t memory_bytes,
		  struct sluice_error *reterr);
void source_close(struct source *source);
const struct source_info *source_info(const struct source *source);
/*
 * Connects and arms the board. No bytes flow before buffers are posted. -EINVAL: a number, or the
 * files hold a scan of another size. -EBUSY: a scan runs. Others as source_open().
 */
int source_start(struct source *source, const struct source_scan *scan,
		 struct sluice_error *reterr);
/*
 * -ENOSPC: depth buffers are posted already. -EINVAL: no scan runs, or the buffer lies outside the
 * memory or cannot hold one block.
 */
int source_post(struct source *source, const struct source_buffer *buffer);
/*
 * Submits what is posted; waits at most @timeout_ns for the next fill. -EAGAIN: none came.
 * -EINVAL: no scan runs, or its end was told.
 */
int source_reap(struct source *source, uint64_t timeout_ns, struct source_fill *ret_fill);
/* Any thread: makes the scan end with SOURCE_END_STOPPED within 100 ms of the next reap. */
void source_interrupt(struct source *source);
/*
 * Ends the scan. Guarantee: after it returns nothing is written to any posted buffer; all are the
 * caller's. A device that does not give its reads up within 10 s ends the process: its transfers
 * would spoil what the memory is used for next.
 */
void source_stop(struct source *source);
const struct source_stats *source_stats(const struct source *source);

/*
 * The board's own counters for the last scan, where the board has any (socket: asked on a second
 * connection). -EOPNOTSUPP: it has none. -ENODATA: there are none of this scan, or the scan was
 * given up and they still change. -ENODEV: the board is gone, and they with it.
 */
struct source_board_counters {
	uint64_t blocks_generated; /* frames the detector made */
	uint64_t blocks_sent;
	uint64_t blocks_dropped; /* by the board, on purpose or for want of room; of those: */
	uint64_t dropped_overflow, dropped_link, dropped_stop;
	uint64_t stall_ns;
	bool has_causes; /* dropped_... are known */
	char flaw[96];   /* a counter that went back, with both values; "" when none did */
};
int source_board_counters(struct source *source, struct source_board_counters *ret_counters);
/* What a source_fill.error means, and what to do about it: one line. */
const char *source_explain(const struct source *source, int error);

#endif /* SOURCE_SOURCE_H */
