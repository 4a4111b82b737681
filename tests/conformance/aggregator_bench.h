/* SPDX-License-Identifier: MIT */
/*
 * conformance/aggregator_bench.h - an aggregator between sources and consumers that are links of
 * the test's own, all driven by link_net.h.
 *
 * Ownership: the caller's struct; bench_open() fills it, bench_close() empties it.
 * Threads:   the test's one; the aggregator has its own.
 * Errors:    what does not come before the deadline fails the cmocka test.
 */
#ifndef CONFORMANCE_AGGREGATOR_BENCH_H
#define CONFORMANCE_AGGREGATOR_BENCH_H

#include <stdatomic.h>
#include <stdint.h>

#include <aggregate/aggregator.h>

#include "link_net.h"

enum {
	SCAN = 7,
	EPOCH = 1,
	RUN_FRAMES = 4,
	RUNS = 64,
	SOURCES_MAX = 2,
	PART_BYTES = 64, /* pixels of a block */
	KEPT_MAX = 16,
};

struct bench {
	void *net_state;
	struct net *net;
	struct aggregator *aggregator;
	struct scan_plan plan;
	struct net_end *source[SOURCES_MAX];
	struct net_end *consumer[3];
	unsigned int consumers;
};

/* How often the link does not take an answer for a source. */
extern atomic_int bench_full;
/* How often it fails to, for good. */
extern atomic_int bench_broken;
/* While it has fewer than three chunks, no part 1 leaves it: as if the transport were full. */
extern struct aggregator *_Atomic bench_reluctant;
/* While it is true, whatever forwards a chunk stands still: as if the host were overloaded. */
extern atomic_bool bench_frozen;
/*
 * While it is true, payloads that are forwarded do not leave, as if the network were slow:
 * bench_kept[] are what credit_left() is to be called with, bench_kept_count of them.
 */
extern atomic_bool bench_keeping;
extern void *bench_kept[KEPT_MAX];
extern atomic_uint bench_kept_count;
/* Of every chunk here, PART_BYTES. */
extern const uint8_t bench_pixels[];

/* The linker's --wrap makes the names; what a consumer of the test's says goes past the wrap. */
int __real_link_ack(struct link_receiver *receiver, unsigned int peer, uint32_t scan,
		    const struct sluice_wire_ack *ack, unsigned int acks,
		    const struct sluice_wire_reject *reject, unsigned int rejects);
int __real_link_nack(struct link_receiver *receiver, unsigned int peer, uint32_t scan,
		     const struct sluice_wire_nack *nack, unsigned int nacks);

/* @windows: credits of each consumer, ended by -1. The scan has begun, and all are connected. */
void bench_open(struct bench *b, unsigned int sectors, uint32_t window, const int *windows);
void bench_close(struct bench *b);
/* For aggregator_call(); @arg is the plan of a scan that begins. */
int bench_begin(struct aggregator *a, void *arg, struct sluice_error *reterr);
void bench_open_source(struct bench *b, unsigned int sector);
/* Puts it into the plan; whoever wants the aggregator to know of it tells it. */
void bench_add_consumer(struct bench *b, uint32_t window);

/* Part @part of a run of @sector, with one block; -EAGAIN without credit. */
int bench_try_send(struct bench *b, unsigned int sector, uint64_t run, uint16_t part,
		   uint16_t flags);
/* The whole run in one part, as soon as credit allows. */
void bench_send(struct bench *b, unsigned int sector, uint64_t run);
/* The next chunk of consumer @i is of this run and sector. */
void bench_expect_chunk(struct bench *b, unsigned int i, uint64_t run, unsigned int sector);
/* The next two are both sectors of this run, in whatever order the sources came. */
void bench_expect_pair(struct bench *b, unsigned int i, uint64_t run);
/* Turns until the consumers have @count chunks together; ret_chunks[i]: those of consumer i. */
void bench_gather(struct bench *b, unsigned int count, unsigned int *ret_chunks);
void bench_drop_kept(struct bench *b, unsigned int i);
/* The next event of a source that is not of credit. */
void bench_source_event(struct bench *b, unsigned int sector, struct net_event *ret_event);
void bench_expect_nack(struct bench *b, unsigned int sector, uint64_t run);
struct sluice_wire_ack bench_ack_of(uint64_t run, unsigned int sector);
/* Turns until the counter has this value. */
void bench_await(struct bench *b, const _Atomic uint64_t *counter, uint64_t value);

#endif /* CONFORMANCE_AGGREGATOR_BENCH_H */
