/* SPDX-License-Identifier: MIT */
/*
 * acquire/health.h - whether this daemon still does its work: what the watchdog is to be told.
 *
 * A sign of life is due every half of the time that the service manager allows. It is given by the
 * control thread, so it proves that this thread turns; and only when the reader of every board in
 * a scan has turned since the last one. Readers turn at least every 50 ms, data or none.
 *
 * Ownership: the caller's struct. Threads: one. Errors: none.
 */
#ifndef ACQUIRE_HEALTH_H
#define ACQUIRE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "board.h"

/* One board, as it is now. */
struct health_sign {
	const char *id;
	bool reads;     /* a reader thread is at work */
	uint64_t turns; /* that it has made */
};

struct health {
	uint64_t interval_ns; /* 0: nobody asks */
	uint64_t due_ns;
	uint64_t turns[BOARDS_MAX]; /* at the last sign of life */
	bool told[BOARDS_MAX];      /* that its reader stands still */
};

/* @watchdog_ns: notify_watchdog_ns(). The first sign of life is due at once. */
void health_init(struct health *health, uint64_t watchdog_ns, uint64_t now);
/* How long the control thread may wait, at most @most_ms. */
int health_wait_ms(const struct health *health, uint64_t now, int most_ms);
/*
 * Whether to give a sign of life now. Logs, once, a reader for which none was given half an
 * interval after it was due.
 */
bool health_look(struct health *health, const struct health_sign *sign, unsigned int count,
		 uint64_t now);

#endif /* ACQUIRE_HEALTH_H */
