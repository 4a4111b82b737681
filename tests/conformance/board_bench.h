/* SPDX-License-Identifier: MIT */
/*
 * board_bench.h - scans of a board under test: read, and every byte of them judged.
 *
 * Ownership: bench_open() fills the caller's struct and takes the board, bench_close() gives both
 * back. Threads:   one. Errors:    the running test fails, with the block and what is wrong with
 * it; but bench_open().
 */
#ifndef BOARD_BENCH_H
#define BOARD_BENCH_H

#include <stdbool.h>

#include "board_access.h"

enum {
	BENCH_GUARD = 64, /* bytes around each read's memory that must stay as they are */
	BENCH_MISALIGN_MAX = 4096,
};

#define BENCH_TIMEOUT_NS UINT64_C(10000000000) /* for one read, or for a state to come */

struct bench {
	struct board_io *io;
	struct sluice_uapi_info info;
	struct sluice_uapi_counters last; /* seen: none may go back */
	uint32_t depth;                   /* reads under way at once */
	uint32_t next_scan;               /* number of the next scan */
	uint64_t blocks;                  /* of the long scans */
	uint8_t *memory[BOARD_READS_MAX];
	size_t memory_bytes;           /* of each */
	size_t begun[BOARD_READS_MAX]; /* where each read's memory starts */
	struct board_read read[BOARD_READS_MAX];
	uint32_t first, under_way; /* of @read, a ring */
};

/* A scan under test: what was asked, and what has come so far. */
struct bench_scan {
	struct sluice_uapi_scan asked;
	size_t read_bytes;   /* of each read */
	uint32_t misaligned; /* each read starts a multiple of this further from a page's start */

	struct sluice_uapi_counters before;
	uint64_t blocks, bytes, reads; /* that came; reads with blocks only */
	uint64_t next_frame;           /* the lowest that may come */
	uint64_t missing;              /* frames left out */
	uint32_t last_crc;             /* of the last payload */
	bool room_left;    /* in the last chunk, which only a border or the end explains */
	uint64_t next_run; /* the first run that the block after may be in */
	bool ended;
};

/* Takes @io over. -errno of the board's first answers. */
int bench_open(struct bench *bench, struct board_io *io);
void bench_close(struct bench *bench);

/* A source that the board has, for scans in which any will do. */
uint32_t bench_any_source(const struct bench *bench);
/* Fills @scan: @frames frames of @source in chunks of @chunk_blocks, runs of 16. */
void bench_plan(struct bench *bench, uint32_t source, uint64_t frames, uint32_t chunk_blocks,
		struct bench_scan *scan);
void bench_arm(struct bench *bench, struct bench_scan *scan);
void bench_run(struct bench *bench);
/* Begins reads until as many as may be are under way. */
void bench_begin(struct bench *bench, const struct bench_scan *scan);
/* Takes the oldest read and judges it. Returns its result, which may be an error. */
int64_t bench_take(struct bench *bench, struct bench_scan *scan);
/* Reads until the scan has ended, and takes all reads back. */
void bench_drain(struct bench *bench, struct bench_scan *scan);
/* Takes back all reads, each of which must give @want. */
void bench_take_rest(struct bench *bench, struct bench_scan *scan, int64_t want);
/* No read is under way: nothing was written to memory that was taken back. */
void bench_check_untouched(const struct bench *bench);
/* After a scan: state idle, counters agree with what came. */
void bench_close_account(struct bench *bench, struct bench_scan *scan);
/* All of it: a scan of @frames frames from arm to account. */
void bench_whole_scan(struct bench *bench, uint32_t source, uint64_t frames,
		      struct bench_scan *ret_scan);

/* Reads the counters: none has gone back. */
void bench_counters(struct bench *bench, struct sluice_uapi_counters *ret_counters);
/* Waits until @wanted is true of the counters. */
void bench_wait_counters(struct bench *bench, const struct bench_scan *scan,
			 bool (*wanted)(const struct bench_scan *scan,
					const struct sluice_uapi_counters *now));
uint32_t bench_state(struct bench *bench);
void bench_wait_state(struct bench *bench, uint32_t state);

#endif /* BOARD_BENCH_H */
