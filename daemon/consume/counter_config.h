/* SPDX-License-Identifier: MIT */
/*
 * consume/counter_config.h - the configuration of sluice-counter.
 *
 * Ownership: the caller's struct. Threads: any. Errors: those of config_load().
 */
#ifndef CONSUME_COUNTER_CONFIG_H
#define CONSUME_COUNTER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include <base/config.h>
#include <member/member_config.h>

enum {
	COUNTER_PATH_MAX = 512,
	COUNTER_ENDPOINT_MAX = 256,
	COUNTER_THREADS_MAX = 256,
};

struct counter_config {
	struct member_config member;
	char group[PLAN_GROUP_MAX];
	char id[SLUICE_WIRE_NAME_MAX];
	char listen[COUNTER_ENDPOINT_MAX];
	uint32_t window_runs;
	uint32_t run_timeout_ms;
	char output[COUNTER_PATH_MAX]; /* folder of the parts */
	uint32_t threads;              /* 0: one per processor */
	double background, xray;       /* xray 0: to be fitted */
	uint64_t seed;
	char dark[COUNTER_PATH_MAX]; /* "": none */
	char gain[COUNTER_PATH_MAX];
	bool record_frames;
	unsigned int kernel; /* index into counter_kernels */
};

extern const struct config_row counter_config_rows[];
extern const char *const counter_kernels[];

/* The defaults. */
void counter_config_init(struct counter_config *config);

#endif /* CONSUME_COUNTER_CONFIG_H */
