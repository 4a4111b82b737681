/* SPDX-License-Identifier: MIT */
/*
 * bench/bench.h - what the programs of the benchmark share: one measurement, how it is made by a
 * pair of processes, and how it is told.
 *
 * A measurement is a line of JSON on standard output, one object; tests/bench/run makes the table
 * of them. Times are those of the monotonic clock, which is the same in all processes.
 *
 * Ownership: the caller's memory.
 * Threads:   one.
 * Errors:    what goes wrong ends the process with status 1 and one line on standard error: a
 *            benchmark has nothing to save.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stddef.h>
#include <stdint.h>

enum {
	BENCH_ENDPOINT_MAX = 128,
	BENCH_FRAMES_MAX = 1 << 22, /* of one measurement */
	BENCH_ROUNDS_MAX = 1000,
};

/* The recorded blocks of one sector, in memory, and how they are sent. */
struct bench_data {
	const char *path;     /* of the file */
	const uint8_t *bytes; /* its contents, in memory of their own */
	size_t size;
	uint32_t block_bytes;
	uint32_t chunk_blocks;
	uint64_t loops; /* times the data are sent in one measurement */
	uint32_t ring_chunks;
};

/* In memory that the two processes of a measurement share. */
struct bench_result {
	uint64_t bytes, frames, chunks;
	uint64_t begin_ns, end_ns;
	uint64_t crc, gaps, lost;    /* errors, blocks */
	uint64_t wrong;              /* frames whose events differ */
	uint64_t bytes_moved;        /* copied by Sluice's own code */
	double sender_s, receiver_s; /* processor time of either, the kernel's share included */
};

/* The sending and the receiving half of a measurement, each in a process of its own. */
struct bench_pair {
	const char *row;
	/* Calls bench_tell() when it can be reached, and returns when it has received all. */
	void (*receive)(const struct bench_data *data, int tell, struct bench_result *result);
	void (*send)(const struct bench_data *data, const char *endpoint,
		     struct bench_result *result);
};

extern const struct bench_pair bench_tcp, bench_zmq_chunk, bench_zmq_tuned, bench_zmq_block;
extern const struct bench_pair bench_zmq_file_chunk, bench_zmq_file_block;
extern const struct bench_pair bench_link_alone, bench_sluice, bench_sluice_crc;

_Noreturn void bench_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void *bench_alloc(size_t bytes);
/* The receiver is ready at @endpoint. */
void bench_tell(int tell, const char *endpoint);
/* Processor time that this process has used, s. */
double bench_cpu_s(void);
/* Runs both halves and prints the measurement. */
void bench_run(const struct bench_pair *pair, const struct bench_data *data, unsigned int round);
void bench_print(const char *row, unsigned int round, const struct bench_result *result);
uint64_t bench_parse(const char *what, const char *text, uint64_t min, uint64_t max);

#endif /* BENCH_BENCH_H */
