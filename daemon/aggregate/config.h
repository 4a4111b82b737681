/* SPDX-License-Identifier: MIT */
/*
 * aggregate/config.h - the configuration of sluice-aggregator.
 *
 * Ownership: the caller's struct. Threads: any. Errors: those of config_load().
 */
#ifndef AGGREGATE_CONFIG_H
#define AGGREGATE_CONFIG_H

#include <base/config.h>
#include <link/link.h>
#include <member/member_config.h>

struct aggregator_config {
	struct member_config member;
	char id[SLUICE_WIRE_NAME_MAX];
	char listen[LINK_ENDPOINT_MAX];
	uint32_t window;
	uint32_t payload_max;
	uint32_t io_threads;
};

extern const struct config_row aggregator_config_rows[];

/* The defaults. */
void aggregator_config_init(struct aggregator_config *config);

#endif /* AGGREGATE_CONFIG_H */
