/* SPDX-License-Identifier: MIT */
/*
 * acquire/board.h - one board of this daemon: its source, its ring, and the scan it is in.
 *
 *   idle -> armed -> acquiring -> draining -> done -> idle
 *
 * Ownership: board_open() gives, board_close() takes.
 * Threads:   everything here is called by the control side, one thread at a time; a scan has a
 *            reader thread and one sender per aggregator of its own.
 * Errors:    those of source_open(), ring_open() and outlet_open(), with the board's name.
 */
#ifndef ACQUIRE_BOARD_H
#define ACQUIRE_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include <sluice/stats.h>

#include <ring/ring.h>
#include <scan/plan.h>
#include <source/source.h>

struct board;
struct outlet;
struct sluice_error;

enum {
	BOARDS_MAX = 8
};

struct board_config {
	char name[SLUICE_WIRE_NAME_MAX / 2];
	char source[SOURCE_SPEC_MAX];
	unsigned int framing;
	uint32_t sector;
	int32_t node; /* NODE_ANY: the board's own, where its driver tells it; else any */
	uint32_t depth;
	double frames_per_s;
	uint64_t loops;
	struct source_device_args device;
};

/* What is the same for all boards of the daemon. */
struct board_common {
	char server[SLUICE_WIRE_NAME_MAX / 2 - 1];
	struct sluice_geometry geometry; /* 0: from the data */
	uint32_t run_frames;             /* the largest a plan may ask for */
	uint32_t chunks;
	unsigned int huge_pages; /* index into board_huge_pages[] */
	bool require_huge_pages, require_locked, allow_wrong_node;
	uint32_t io_threads;
	uint32_t stall_timeout_ms, give_up_ms;
};

extern const char *const board_huge_pages[]; /* "none", "2M", "1G" */
extern const char *const board_framings[];

int board_open(const struct board_config *config, const struct board_common *common, int wake,
	       struct board **ret_board, struct sluice_error *reterr);
void board_close(struct board *board);

/* "server/name" */
const char *board_id(const struct board *board);
uint16_t board_sector(const struct board *board);
const struct source_info *board_info(const struct board *board);
const struct source_stats *board_source_stats(const struct board *board);
const struct ring *board_ring(const struct board *board);
/* idle, armed, acquiring, draining or done. */
enum scan_state board_state(const struct board *board);
/* The scan it is in, 0 when idle. */
uint32_t board_scan(const struct board *board);
/* Turns that the scan's reader has made; false: no reader is at work. */
bool board_turns(const struct board *board, uint64_t *ret_turns);
/* What the ring's memory lacks; "" when nothing. */
const char *board_note(const struct board *board);
/* NUMA node of its ring and threads, NODE_ANY when it has none. */
int board_node(const struct board *board);

/* Takes a plan: opens an outlet to each of its aggregators. -EBUSY: still in another scan. */
int board_arm(struct board *board, const struct scan_plan *plan, struct sluice_error *reterr);
/* Waits until every outlet is connected. */
int board_wait_ready(struct board *board, uint64_t deadline_ns, struct sluice_error *reterr);
/* Lets the armed scan run. */
void board_run(struct board *board);
/* Ends the scan soon: what was not read is lost by name; what was read is still delivered. */
void board_abort(struct board *board);
/* Takes an armed scan back that did not run. */
void board_disarm(struct board *board);
/*
 * Gives the half of the ledger, malloc()ed, of a scan that is done, and makes the board idle.
 * -EAGAIN: it is not done yet. The @wake of board_open() is signalled when to ask.
 */
int board_collect(struct board *board, uint32_t *ret_scan, char **ret_half);

/* Blocks lost for @cause since the daemon began. */
uint64_t board_lost(const struct board *board, enum sluice_loss cause);
/* Takes a sample of the bytes read, about every half second; and the rate between the last two. */
void board_measure(struct board *board);
uint64_t board_bytes_per_s(const struct board *board);

/* Outlet @i of the scan, NULL beyond the last: for status and metrics. */
const struct outlet *board_outlet(const struct board *board, unsigned int i);

#endif /* ACQUIRE_BOARD_H */
