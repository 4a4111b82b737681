/* SPDX-License-Identifier: MIT */
/*
 * sluice-counter as a process, and an aggregator that is nothing but a link to it.
 *
 * The scan: 8 x 6 positions, 48 frames of two sectors of 16 x 32 uint16 pixels, 16 frames a run.
 */
#ifndef TESTS_INTEGRATION_COUNTER_FIXTURE_H
#define TESTS_INTEGRATION_COUNTER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include <consume/threshold.h>

struct link_sender;
struct scan_plan;

enum {
	SECTORS = 2,
	ROWS = 16,
	COLUMNS = 32,
	PIXELS = ROWS * COLUMNS,
	FRAME_PIXELS = SECTORS * PIXELS,
	RUN_FRAMES = 16,
	SCAN_COLUMNS = 8,
	SCAN_ROWS = 6,
	FRAMES = SCAN_COLUMNS * SCAN_ROWS,
	RUNS = FRAMES / RUN_FRAMES,
	SCAN = 5,
	COUNTERS_MAX = 2,
};

struct counter {
	pid_t pid;
	char program[512], id[32], log[128], out[128], endpoint[128], url[128];
	struct link_sender *link; /* of the aggregator */
	unsigned int acks;        /* (run, sector)s */
	bool up;
};

struct fixture {
	char folder[64];
	struct counter counter[COUNTERS_MAX];
	bool alike; /* all pixels have one value */
};

int counter_setup(void **state);
/* Ends what is left and removes the folder. */
int counter_teardown(void **state);

/* A pedestal with noise, and an electron here and there: the same whenever it is asked. */
uint16_t counter_pixel(const struct fixture *f, uint64_t frame, unsigned int index);

/* Starts sluice-counter with these options more (NULL-terminated), and waits until it listens. */
void counter_start(struct fixture *f, struct counter *c, const char *id, const char *const *more);
/* The same without waiting; and any program, whose name is arg[0]. */
void counter_spawn(struct fixture *f, struct counter *c, const char *id, const char *const *more);
void counter_spawn_program(struct fixture *f, struct counter *c, const char **arg, const char *id);
/* Waits until the program says where it listens, and connects the aggregator. */
void counter_meet(struct counter *c);
/* Its exit status when it has ended; 128 + signal if one ended it. */
int counter_reap(struct counter *c);
/* SIGTERM, then the same. */
int counter_stop(struct counter *c);
bool counter_log_has(const struct counter *c, const char *text);

/* A plan for the first @counters; to be freed. */
struct scan_plan *counter_plan(struct fixture *f, unsigned int counters);
/* One HTTP request; returns the status. */
unsigned int counter_ask(const struct counter *c, const char *method, const char *path,
			 const char *body, char **ret_body);
/* Arms all of them and begins the scan with each. */
void counter_begin(struct fixture *f, unsigned int counters);
/* Sectors of @mask whole, the others void. */
void counter_send_run(struct fixture *f, struct counter *c, uint64_t run, uint32_t mask);
void counter_wait_for_acks(struct counter *c, unsigned int acks);
void counter_send_end(struct counter *c);
/* Ends the scan, and waits for the half of the ledger. */
void counter_end(struct counter *c);
/* Each frame of the part has the events of the plain rule. Returns how many frames. */
size_t counter_check_part(struct fixture *f, const char *name, uint32_t mask,
			  struct threshold *ret_threshold);

#endif /* TESTS_INTEGRATION_COUNTER_FIXTURE_H */
