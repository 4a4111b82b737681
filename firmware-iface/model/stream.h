/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/stream.h - one scan of one board, written to a stream socket.
 *
 * Blocks go out in batches, straight from the prepared frames. A host that does not read makes
 * the board wait, which is counted; the board keeps what the detector makes meanwhile, and
 * after the wait goes as fast as it can until it is back at its rate.
 *
 * Ownership: the caller's memory and descriptors. Threads: one per stream; counters are read by
 * any. Errors: -EPIPE: the host closed. -ECANCELED: @stop_fd became readable.
 */
#ifndef MODEL_STREAM_H
#define MODEL_STREAM_H

#include <stdatomic.h>
#include <stdint.h>

#include <model/batch.h>

/* One writer: the thread that streams. */
struct stream_counters {
	_Atomic uint64_t blocks_generated;
	_Atomic uint64_t blocks_sent;
	_Atomic uint64_t blocks_dropped;
	_Atomic uint64_t stall_ns; /* waiting for the host to read */
};

struct stream_args {
	struct batch_run run;
	double frames_per_s; /* 0: flat out */
	int fd;
	int stop_fd; /* readable: end at once */
};

/*
 * Runs the scan to its end. @ret_counts holds at every return what became of each block; those
 * of a batch that the host did not take are dropped.
 */
int stream_run(const struct stream_args *args, struct stream_counters *counters,
	       struct batch_counts *ret_counts);

#endif /* MODEL_STREAM_H */
