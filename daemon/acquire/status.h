/* SPDX-License-Identifier: MIT */
/*
 * acquire/status.h - what sluiced tells of its boards, as JSON and for Prometheus.
 *
 * Ownership: nothing is kept. Threads: with the boards held still. Errors: none.
 */
#ifndef ACQUIRE_STATUS_H
#define ACQUIRE_STATUS_H

#include <jansson.h>

#include <control/metrics.h>

#include "board.h"

void status_add_boards(json_t *status, struct board *const *board, unsigned int count);
void status_add_metrics(struct metrics *m, struct board *const *board, unsigned int count);

#endif /* ACQUIRE_STATUS_H */
