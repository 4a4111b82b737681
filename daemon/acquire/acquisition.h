/* SPDX-License-Identifier: MIT */
/*
 * acquire/acquisition.h - one scan of one board: the reader thread, which moves blocks from the
 * source through the ring to the outlets and keeps account of every frame number.
 *
 * For every run it pushes to the outlet that the plan names: one parcel per stretch of blocks in
 * a chunk, the last of them flagged, or a void one where nothing of the run came. So whoever
 * gathers a run knows when it is complete without waiting for a time-out.
 *
 * Ownership: acquisition_open() gives, acquisition_close() takes.
 * Threads:   the control side calls; the reader thread is inside.
 * Errors:    those of outlet_open().
 */
#ifndef ACQUIRE_ACQUISITION_H
#define ACQUIRE_ACQUISITION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <sluice/error.h>

#include <ring/ring.h>
#include <scan/ledger.h>
#include <scan/plan.h>
#include <source/source.h>

#include "outlet.h"

struct acquisition_args {
	const struct scan_plan *plan; /* copied */
	const char *id;               /* of the board */
	uint16_t sector;
	int node;
	uint32_t depth; /* reads in flight */
	uint32_t io_threads;
	uint64_t stall_ns, give_up_ns;
	uint32_t sector_bytes; /* pixels of a block */
	struct source *source;
	struct ring *ring;
	int wake; /* eventfd of the control side: something ended */
};

struct acquisition_stats {
	_Atomic uint64_t blocks, bytes;
	_Atomic uint64_t blocks_refused;  /* too late, or of no frame of the scan */
	_Atomic uint64_t blocks_repeated; /* a frame that was there already */
	_Atomic uint64_t waits_for_chunk, waits_for_parcel;
	_Atomic uint64_t parcels_withheld; /* from an outlet that had none free for too long */
	_Atomic uint64_t turns;            /* of the reader's loops: it lives while they grow */
};

struct acquisition {
	struct acquisition_args args;
	struct scan_plan *plan;
	struct tally *tally;
	struct outlet *outlet[PLAN_MEMBERS_MAX];
	unsigned int outlet_count;
	pthread_t reader;
	bool has_reader;
	int reader_wake; /* eventfd: something came home, or run, or abort */

	/* Reader's own. */
	uint64_t run;        /* the run that is open */
	uint64_t run_seen;   /* blocks of it so far */
	uint64_t next_frame; /* one above the highest seen */
	uint16_t part;       /* of the open run: the next one */
	bool last_told;      /* its last part was pushed */
	unsigned int posted; /* buffers at the source */
	uint32_t stuck;      /* set of outlets that get nothing any more */
	bool gave_up;        /* no outlet lets go of a chunk: the rest is not read */
	/* Why the source was not read to the scan's end; "": it was. Read by others once the
	 * reader is done. */
	struct sluice_error reason;

	atomic_bool go, abort, reader_done;
	struct acquisition_stats stats;
};

int acquisition_open(const struct acquisition_args *args, struct acquisition **ret_acquisition,
		     struct sluice_error *reterr);
void acquisition_close(struct acquisition *acquisition);
void acquisition_run(struct acquisition *acquisition);
void acquisition_abort(struct acquisition *acquisition);
/* Whether reader and senders have nothing left to do. */
bool acquisition_done(const struct acquisition *acquisition);

/* acquisition_read.c: the reader thread; @arg is the acquisition. */
void *acquisition_reader(void *arg);

#endif /* ACQUIRE_ACQUISITION_H */
