/* SPDX-License-Identifier: MIT */
/*
 * support/acquire_rig.h - one board's acquisition between a source of the test's own (which takes
 * the place of daemon/source when the program is linked) and receivers of links on loopback, which
 * play the aggregators.
 *
 * Ownership: the caller's struct; rig_open() fills it, rig_close() empties it.
 * Threads:   the test's one; the acquisition has its own.
 * Errors:    what does not come in time fails the cmocka test.
 */
#ifndef SUPPORT_ACQUIRE_RIG_H
#define SUPPORT_ACQUIRE_RIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <acquire/acquisition.h>
#include <base/clock.h>

enum {
	RIG_SECTOR = 1,
	RIG_RUN_FRAMES = 4,
	RIG_BLOCK_BYTES = 96, /* header and 32 bytes of pixels */
	RIG_FRAMES_MAX = 40000,
	RIG_RUNS_MAX = RIG_FRAMES_MAX / RIG_RUN_FRAMES,
	RIG_AGGREGATORS_MAX = 2,
	RIG_FILLS_MAX = 160,
	RIG_FILL_BLOCKS_MAX = 16,
	RIG_AFTER_SKIP = 1 << 30, /* added to a frame number: bytes that are no block before it */
};

/* Far beyond what anything here takes; a test that meets it has failed. */
#define RIG_DEADLINE_NS (20 * NS_PER_S)

/* What the source gives: chunks with the blocks of these frames, then an end. */
struct rig_script {
	struct {
		uint32_t frame[RIG_FILL_BLOCKS_MAX];
		unsigned int count;
	} fill[RIG_FILLS_MAX];
	unsigned int count;
	enum source_end end; /* NONE: it waits until it is interrupted */
	int start;           /* what source_start() answers */
};

/* What came of one run at one aggregator. */
struct rig_run {
	unsigned int parts, last_parts, voids, resent;
	bool acked;
};

struct rig_aggregator {
	struct link_receiver *receiver;
	char endpoint[PLAN_ENDPOINT_MAX];
	bool up;
	unsigned int peer, sessions;
	unsigned int begins, ends;
	struct sluice_wire_scan begin;
	struct sluice_wire_scan_end end;
	struct rig_run run[RIG_RUNS_MAX];
	unsigned int runs_whole, chunks;
	uint8_t frame[RIG_FRAMES_MAX]; /* copies of its block that came */
	bool hold;                     /* does not acknowledge what comes */
	uint32_t window;
};

struct rig {
	struct scan_plan plan;
	struct rig_script script;
	struct rig_aggregator aggregator[RIG_AGGREGATORS_MAX];
	struct ring *ring;
	struct acquisition *acquisition;
	uint32_t chunks;
	uint64_t give_up_ns;
	int wake;
	uint64_t deadline_ns;

	/* The source's: the reader's thread. */
	struct source_buffer posted[16];
	unsigned int posted_first, posted_count, next_fill;
	atomic_uint allowed; /* fills that it gives */
	atomic_bool interrupted;
	atomic_uint starts, stops;
	atomic_bool stuck, is_stuck; /* source_reap() is to stay inside; it does */
};

/* Defaults: one aggregator that acknowledges, 8 chunks, all fills given at once. */
void rig_init(struct rig *rig, uint64_t frames, unsigned int aggregators);
/* One chunk more, of @count consecutive frames from @first. */
void rig_fill(struct rig *rig, uint32_t first, unsigned int count);
void rig_fill_one(struct rig *rig, const uint32_t *frames, unsigned int count);
/* Ring, receivers and the acquisition; waits for the links if @connected. */
void rig_open(struct rig *rig, bool connected);
/* Also: every chunk of the ring is free again. */
void rig_close(struct rig *rig);
/* Aggregator @i is closed, and opened anew at the same place. */
void rig_restart(struct rig *rig, unsigned int i);

/* One turn of every aggregator. Fails the test RIG_DEADLINE_NS after rig_init(). */
void rig_turn(struct rig *rig);
/* Turns until @what says so. */
void rig_until(struct rig *rig, bool (*what)(struct rig *rig));
/* Runs the scan and drives everything until it is done. */
void rig_scan(struct rig *rig);
void rig_ack(struct rig *rig, unsigned int i, uint64_t run);
/* Acknowledges every whole run that is not yet, and all that come from now on. */
void rig_ack_all(struct rig *rig, unsigned int i);
void rig_nack(struct rig *rig, unsigned int i, uint64_t run);

/* @count frames from @first have this fate. */
void rig_expect_fate(const struct rig *rig, uint64_t first, uint64_t count, unsigned int fate);
/* Every run came whole, with one last part, at the aggregator that the plan names only. */
void rig_expect_whole(const struct rig *rig);

#endif /* SUPPORT_ACQUIRE_RIG_H */
