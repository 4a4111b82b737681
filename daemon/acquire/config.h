/* SPDX-License-Identifier: MIT */
/*
 * acquire/config.h - the configuration of sluiced.
 *
 * Ownership: the caller's struct. Threads: any. Errors: those of config_load().
 */
#ifndef ACQUIRE_CONFIG_H
#define ACQUIRE_CONFIG_H

#include <base/config.h>
#include <member/member_config.h>

#include "board.h"

struct sluiced_config {
	struct member_config member;
	struct board_common common;
	uint32_t sectors, rows, columns; /* geometry; 0: from the data */
	unsigned int layout, pixel;      /* pixel 0: from the data */
	struct board_config board[BOARDS_MAX];
	unsigned int board_count;
};

extern const struct config_row sluiced_config_rows[];

/* The defaults. */
void sluiced_config_init(struct sluiced_config *config);
/* Loads @path over the defaults and checks what no single row can. */
int sluiced_config_load(const char *path, struct sluiced_config *config,
			struct sluice_error *reterr);

#endif /* ACQUIRE_CONFIG_H */
