/* SPDX-License-Identifier: MIT */
/*
 * sluice/consumer.h - be a consumer: attach to a group, get runs of frames, acknowledge them.
 *
 * A run is up to run_frames consecutive frames; all sectors of a run come to one consumer.
 * Pixels are read where the network put them: nothing is copied. What is acknowledged is
 * delivered for good; what is not comes again, here or elsewhere.
 *
 * Ownership: sluice_consumer_open() gives, sluice_consumer_close() takes. A run is the caller's
 *            from next() until ack() or drop(); pointers into it die then.
 * Threads:   next(), ack() and drop() may be called from several threads; one run belongs to one
 *            thread at a time. sluice_consumer_close() when no other thread is inside.
 * Errors:    0 or -errno; @reterr, where taken, may be NULL.
 */
#ifndef SLUICE_CONSUMER_H
#define SLUICE_CONSUMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/block.h>
#include <sluice/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct sluice_consumer;
struct sluice_run;
struct sluice_scan;

enum {
	SLUICE_WINDOW_RUNS_MAX = 1024,
	SLUICE_RUN_TIMEOUT_MS_MAX = 3600000,
	SLUICE_REPORT_TEXT_MAX = 64,        /* bytes of a reported text, its NUL included */
	SLUICE_SHARED_TEXT_MAX = 512 << 10, /* bytes of a shared value, its NUL included */
	SLUICE_WINDOW_FRAMES_MAX = 65536,
};

struct sluice_consumer_args {
	size_t size;             /* sizeof this; lets the struct grow without an ABI break */
	const char *directory;   /* "http://host:2379", several with commas, or "none" */
	const char *instrument;  /* one path element */
	const char *group;       /* which group of consumers this one joins */
	const char *id;          /* this consumer's name; unique in the group */
	const char *listen;      /* where aggregators connect, "tcp://127.0.0.1:*" */
	const char *control;     /* where its status is served, "127.0.0.1:0" */
	uint32_t window_runs;    /* runs in memory at once, per aggregator: bounds memory */
	uint32_t run_timeout_ms; /* a sector that has not come so long after the first is missing */
	const char *directory_user; /* NULL or "": no authentication */
	const char *directory_password;
	const char *directory_ca_file;  /* certificates to trust; NULL or "": the system's */
	uint32_t directory_lease_ttl_s; /* 2 ... 60: after this a dead consumer is gone from it */
	uint32_t directory_timeout_ms;  /* 100 ... 60000: deadline of one call to it */
	/*
	 * Asked when a scan is armed, on a thread of the library's own, and to be answered within
	 * 500 ms. 0: ready; else -errno, and the arming fails with the text in @reterr. May be
	 * NULL.
	 */
	int (*prepare)(void *ctx, const struct sluice_scan *scan, struct sluice_error *reterr);
	void *ctx; /* for prepare() */
	/*
	 * A caller that keeps so many frames at once before it acknowledges any: where window_runs
	 * hold fewer, the window is as many runs as hold them.
	 */
	uint32_t window_frames;
};

#define SLUICE_CONSUMER_ARGS_INIT                                                               \
	{                                                                                       \
		.size = sizeof(struct sluice_consumer_args), .directory = "none",               \
		.instrument = "bench", .group = "default", .id = "consumer0",                   \
		.listen = "tcp://127.0.0.1:*", .control = "127.0.0.1:0", .window_runs = 8,      \
		.run_timeout_ms = 10000, .directory_user = NULL, .directory_password = NULL,    \
		.directory_ca_file = NULL, .directory_lease_ttl_s = 5,                          \
		.directory_timeout_ms = 2000, .prepare = NULL, .ctx = NULL, .window_frames = 0, \
	}

/* What is known of a scan. */
struct sluice_scan {
	uint32_t scan;
	uint32_t scan_columns; /* probe positions per row, flyback included */
	uint32_t scan_rows;
	uint32_t frames_per_position;
	uint32_t run_frames;
	uint64_t frames_expected;
	struct sluice_geometry geometry;
	/* From the plan, which may come after SCAN_BEGIN but before the first run; 0: not known. */
	uint32_t consumers; /* of the group when the scan was armed */
	double background;  /* thresholds of counting that the plan gives, pixel values; */
	double xray;        /* xray 0: to be fitted */
};

/* A frame of a run. */
struct sluice_frame {
	uint64_t frame; /* number in the scan; position = frame / frames_per_position */
	uint64_t timestamp_ns;
	uint32_t sector_mask; /* bit s: sector s is there and its CRC held */
	uint16_t flags;       /* sluice_block_header.flags of its blocks */
	/* geometry.rows x geometry.columns pixels each, row-major, unaligned; NULL where missing.
	 */
	const void *sector[SLUICE_SECTORS_MAX];
};

enum sluice_next {
	SLUICE_NEXT_RUN = 1,        /* *ret_run is the caller's */
	SLUICE_NEXT_SCAN_BEGIN = 2, /* a scan has begun: *ret_scan */
	SLUICE_NEXT_SCAN_END = 3,   /* every run of *ret_scan that came here is acknowledged */
};

/* -ECONNREFUSED, -ETIMEDOUT: the directory. -EADDRINUSE: listen. -EINVAL: an argument, named. */
int sluice_consumer_open(const struct sluice_consumer_args *args,
			 struct sluice_consumer **ret_consumer, struct sluice_error *reterr);
void sluice_consumer_close(struct sluice_consumer *consumer);

/*
 * Waits at most @timeout_ns. Returns an enum sluice_next, or -EAGAIN when nothing came, or
 * -ECANCELED after sluice_consumer_stop(). Begin and end of a scan are told to one thread, once:
 * the end after all runs of the scan are acknowledged.
 */
int sluice_consumer_next(struct sluice_consumer *consumer, uint64_t timeout_ns,
			 struct sluice_run **ret_run, struct sluice_scan *ret_scan);
/* Any thread, also a signal handler: every next() from now on returns -ECANCELED; ack() still
 * works.
 */
void sluice_consumer_stop(struct sluice_consumer *consumer);

const struct sluice_scan *sluice_run_scan(const struct sluice_run *run);
uint64_t sluice_run_number(const struct sluice_run *run);
unsigned int sluice_run_frames(const struct sluice_run *run);
/*
 * Frame @index (0 ... frames - 1) of the run. Checks the CRC32C of its blocks the first time:
 * one that fails is taken out of the mask and rejected by name with the acknowledgement.
 * -ERANGE: no such frame.
 */
int sluice_run_frame(struct sluice_run *run, unsigned int index, struct sluice_frame *ret_frame);
/* Of a whole frame. */
static inline size_t sluice_frame_pixels(const struct sluice_geometry *g)
{
	return (size_t)sluice_frame_rows(g) * sluice_frame_columns(g);
}
/*
 * Copies the frame's sectors together as host-order uint16, missing ones as 0, 32-bit pixels
 * above 65535 as 65535. @dst: sluice_frame_pixels() of the geometry, in
 * sluice_frame_rows() rows.
 */
void sluice_frame_assemble(const struct sluice_scan *scan, const struct sluice_frame *frame,
			   uint16_t *dst);

/*
 * The run's results are safe: its blocks are delivered, but those whose CRC32C was found wrong.
 * A frame that sluice_run_frame() was never asked for is delivered unchecked. @events: counted in
 * the run, for the ledger. The run is gone afterwards. -EINVAL: not a run of this consumer.
 */
int sluice_consumer_ack(struct sluice_consumer *consumer, struct sluice_run *run, uint64_t events);
/* The run could not be worked on: please send it again, to whomever. */
int sluice_consumer_drop(struct sluice_consumer *consumer, struct sluice_run *run);
/*
 * All of one scan that comes here, for a program with one thread: next() until the end of a scan,
 * each frame of each run given to @each, in order, also those of which nothing came (sector_mask
 * 0), ack() with 0 events when @each returned 0 or more for all of them, commit() at the end.
 * Returns 0; -ECANCELED after sluice_consumer_stop(); what @each returned below 0, its run then
 * being dropped; else as commit(). The next call takes the next scan.
 */
int sluice_consumer_take_scan(struct sluice_consumer *consumer,
			      int (*each)(void *ctx, const struct sluice_scan *scan,
					  const struct sluice_frame *frame),
			      void *ctx, struct sluice_error *reterr);
/* Whether the scan was aborted: its runs may go on coming for a while, and its end comes. */
bool sluice_consumer_aborted(struct sluice_consumer *consumer, uint32_t scan);
/* Where this consumer's part of scan @scan lies: told with its half of the ledger. Before SCAN_END
 * is taken. */
int sluice_consumer_set_part(struct sluice_consumer *consumer, uint32_t scan, const char *path);
/* After SCAN_END: the half of the ledger is published now. -ENOENT: no such scan has ended here. */
int sluice_consumer_commit(struct sluice_consumer *consumer, uint32_t scan,
			   struct sluice_error *reterr);

/*
 * A text that all consumers of a scan are to see alike, such as the thresholds: the first to share
 * one under @name decides, and later attempts change nothing (0 is returned for them as well).
 * -EINVAL: no name of 1 to 32 letters, digits, '-' and '_', or the value is too long.
 */
int sluice_consumer_share(struct sluice_consumer *consumer, uint32_t scan, const char *name,
			  const char *value, struct sluice_error *reterr);
/*
 * What was shared under @name, by whichever consumer of the scan's plan. Looks once; -EAGAIN: it is
 * not there (yet). Takes up to 2 s where the directory or another consumer does not answer.
 */
int sluice_consumer_shared(struct sluice_consumer *consumer, uint32_t scan, const char *name,
			   char *dst, size_t size, struct sluice_error *reterr);
/*
 * Shows a number or a text of the caller's under @name in this consumer's status, and numbers in
 * its metrics. -ENOSPC: 32 names are there. -EINVAL: as for share().
 */
int sluice_consumer_report_number(struct sluice_consumer *consumer, const char *name, double value);
int sluice_consumer_report_text(struct sluice_consumer *consumer, const char *name,
				const char *text);
/* Where aggregators connect, and where the status is served (http://host:port). */
const char *sluice_consumer_endpoint(const struct sluice_consumer *consumer);
const char *sluice_consumer_url(const struct sluice_consumer *consumer);
/* "0.1.0" */
const char *sluice_version(void);
/*
 * Tells malloc() to keep freed message buffers in one heap instead of giving their pages back, and
 * has the window's memory (up to 512 MiB) resident as soon as a scan is armed: worth a call at the
 * start of a program that does nothing else, before its first thread. Process-wide.
 */
void sluice_tune_allocator(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_CONSUMER_H */
