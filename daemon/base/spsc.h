/* SPDX-License-Identifier: MIT */
/*
 * base/spsc.h - a bounded ring of 32-bit numbers between one producer and one consumer thread.
 *
 * Ownership: the caller's memory; capacity is SPSC_SLOTS, fixed. Threads: exactly one pushes,
 * exactly one pops. Errors: push says false when full, pop says false when empty.
 */
#ifndef BASE_SPSC_H
#define BASE_SPSC_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	SPSC_SLOTS = 4096
};
_Static_assert((SPSC_SLOTS & (SPSC_SLOTS - 1)) == 0, "indices wrap by remainder");

struct spsc {
	/* A line each: the two threads would otherwise take turns owning one. */
	_Alignas(64) _Atomic uint32_t head; /* written by the producer */
	_Alignas(64) _Atomic uint32_t tail; /* written by the consumer */
	_Alignas(64) uint32_t slot[SPSC_SLOTS];
};

static inline void spsc_init(struct spsc *r)
{
	atomic_init(&r->head, 0);
	atomic_init(&r->tail, 0);
}

/* Producer only. Returns false when full; the caller decides drop or wait. */
static inline bool spsc_push(struct spsc *r, uint32_t v)
{
	const uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	/* Acquire: pairs with the release in spsc_pop(); the slot is free. */
	const uint32_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);

	assert(head - tail <= SPSC_SLOTS);
	if (head - tail == SPSC_SLOTS)
		return false;
	r->slot[head % SPSC_SLOTS] = v;
	/* Release: pairs with the acquire in spsc_pop(); the slot is filled. */
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
	return true;
}

/* Consumer only. Returns false when empty. */
static inline bool spsc_pop(struct spsc *r, uint32_t *ret_v)
{
	const uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	/* Acquire: pairs with the release in spsc_push(); the slot is filled. */
	const uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);

	assert(head - tail <= SPSC_SLOTS);
	if (head == tail)
		return false;
	*ret_v = r->slot[tail % SPSC_SLOTS];
	/* Release: pairs with the acquire in spsc_push(); the slot is free again. */
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
	return true;
}

#endif /* BASE_SPSC_H */
