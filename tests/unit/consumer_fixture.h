/* SPDX-License-Identifier: MIT */
/*
 * A consumer under test, and aggregators that are nothing but a link: they send what a test says.
 *
 * The scan: 6 x 3 positions, 18 frames of two sectors of 4 x 8 uint16 pixels, 4 frames a run: 5
 * runs, the last of 2 frames.
 */
#ifndef TESTS_UNIT_CONSUMER_FIXTURE_H
#define TESTS_UNIT_CONSUMER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <base/clock.h>
#include <consume/consumer_state.h>
#include <link/link.h>
#include <sluice/consumer.h>
#include <sluice/stats.h>

enum {
	SECTORS = 2,
	ROWS = 4,
	COLUMNS = 8,
	SECTOR_PIXELS = ROWS * COLUMNS,
	SECTOR_BYTES = 2 * SECTOR_PIXELS,
	RUN_FRAMES = 4,
	SCAN_COLUMNS = 6,
	SCAN_ROWS = 3,
	FRAMES = SCAN_COLUMNS * SCAN_ROWS,
	RUNS = (FRAMES + RUN_FRAMES - 1) / RUN_FRAMES,
	WINDOW = 3,
	ANSWERS_KEPT = 256,
	SCAN = 7,
};

#define DEADLINE_NS (5 * NS_PER_S)
#define SHORT_NS    (20 * NS_PER_MS) /* for what must not come */

struct aggregator {
	struct link_sender *link;
	bool up;
	unsigned int acks, rejects, nacks;
	struct sluice_wire_ack ack[ANSWERS_KEPT];
	struct sluice_wire_reject reject[ANSWERS_KEPT];
	struct sluice_wire_nack nack[ANSWERS_KEPT];
};

/* What is wrong with a chunk that is otherwise whole. */
struct chunk {
	uint32_t scan; /* 0: SCAN */
	uint32_t epoch;
	uint64_t run;
	unsigned int sector, part, flags;
	unsigned int first, count; /* blocks: frames of the run, from its first */
	uint64_t corrupt;          /* set of frames of the run whose CRC does not hold */
	int64_t frame_shift;       /* added to every frame number */
	uint32_t offset_shift;     /* added to every offset */
};

struct fixture {
	struct sluice_consumer *consumer;
	struct aggregator a, b;
};

/* With run_timeout_ms; nothing is connected yet. */
void fixture_open(struct fixture *f, uint32_t run_timeout_ms);
void fixture_close(struct fixture *f);

void aggregator_open(struct fixture *f, struct aggregator *a, const char *name);
void aggregator_close(struct aggregator *a);
/* Takes what has come for both; returns when @done says so, or the test fails. */
void pump_until(struct fixture *f, bool (*done)(const struct fixture *f, uint64_t arg),
		uint64_t arg);
/* The same for @timeout_ns, during which @done must not come true. */
void pump_never(struct fixture *f, bool (*done)(const struct fixture *f, uint64_t arg),
		uint64_t arg, uint64_t timeout_ns);

/* SCAN_BEGIN of scan @scan (0: SCAN). */
void send_begin(struct aggregator *a, uint32_t scan, unsigned int aggregators);
void send_end(struct aggregator *a, uint32_t scan);
/* Returns what link_send() did. */
int send_chunk(struct aggregator *a, const struct chunk *chunk);
/* Both sectors of a run, whole. */
void send_run(struct aggregator *a, uint64_t run);

unsigned int run_frames_of(uint64_t run);
uint16_t pixel_of(uint64_t frame, unsigned int sector, unsigned int index);

/* Whether the aggregator @a has had the answer. */
bool acked(const struct aggregator *a, uint64_t run, unsigned int sector);
unsigned int acked_times(const struct aggregator *a, uint64_t run, unsigned int sector);
bool nacked(const struct aggregator *a, uint64_t run, unsigned int sector);
/* The cause by which the block was rejected; SLUICE_LOSS_NONE: it was not. */
enum sluice_loss rejected(const struct aggregator *a, uint64_t frame, unsigned int sector);

/* Conditions for pump_until(): arg is a run. */
bool run_acked_a(const struct fixture *f, uint64_t run);
bool run_nacked_a(const struct fixture *f, uint64_t run);
/* arg: credits. */
bool credit_is_a(const struct fixture *f, uint64_t credits);

/* What next() must give; the test fails otherwise. */
void expect_begin(struct fixture *f, uint32_t scan);
void expect_end(struct fixture *f, uint32_t scan);
struct sluice_run *expect_run(struct fixture *f, uint64_t number);
void expect_nothing(struct fixture *f);
/* Begins SCAN with one aggregator, which has its credit. */
void begin(struct fixture *f);

uint64_t stat_of(const _Atomic uint64_t *counter);

#endif /* TESTS_UNIT_CONSUMER_FIXTURE_H */
