/* SPDX-License-Identifier: MIT */
/*
 * acquire/outlet_state.h - the inside of an outlet, for outlet.c (its ends) and outlet_send.c (its
 * sender thread).
 *
 * Ownership, threads, errors: see outlet.h; each field says who writes it.
 */
#ifndef ACQUIRE_OUTLET_STATE_H
#define ACQUIRE_OUTLET_STATE_H

#include <assert.h>
#include <pthread.h>
#include <unistd.h>

#include <base/spsc.h>

#include "outlet.h"

_Static_assert((int)OUTLET_PARCELS <= (int)SPSC_SLOTS, "every parcel finds room on its way home");

enum link_state {
	LINK_STATE_CONNECTING = 0,
	LINK_STATE_UP,
	LINK_STATE_REFUSED,
};

/* Indices of parcels in the order in which they are to be sent, or were. Never holds more than
 * there are. */
struct parcel_queue {
	uint32_t slot[OUTLET_PARCELS];
	uint32_t head, tail;
};

struct outlet {
	struct outlet_args args;
	char peer[SLUICE_WIRE_NAME_MAX];
	struct sluice_wire_scan scan;
	struct link_sender *link;
	pthread_t thread;
	bool has_thread;
	int wake; /* eventfd: the reader pushed, or the control thread wants something */

	struct parcel *parcel;
	struct spsc queue;       /* reader -> sender */
	struct spsc home;        /* sender -> reader */
	uint32_t fresh;          /* reader: parcels never used so far */
	uint32_t *chunk_parcels; /* per chunk: the reader sets before it pushes, the sender counts
				    down */

	/* Sender's own. */
	struct parcel_queue pending, in_flight, lingering;
	bool scan_told;
	bool gave_up;

	_Atomic uint64_t progress_ns; /* sender writes; the reader's patience counts from it too */
	atomic_bool
		asleep; /* pairs in outlet_push(): set before the last look, taken by the waker */
	atomic_bool finishing, stop, done;
	_Atomic uint64_t give_up_ns;
	_Atomic uint32_t link_state;
	char refusal[128]; /* written before link_state says REFUSED */
	struct outlet_stats stats;
};

static inline uint32_t queue_count(const struct parcel_queue *q)
{
	return q->tail - q->head;
}

/* The sender thread; @arg is the outlet. */
void *outlet_sender(void *arg);
/* Everything that is queued is lost, by name, and goes home. Sender, or after it has ended. */
void outlet_give_up(struct outlet *outlet);

#endif /* ACQUIRE_OUTLET_STATE_H */
