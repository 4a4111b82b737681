/* SPDX-License-Identifier: MIT */
/*
 * base/count.h - a counter of the hot path: one writer, any reader, no locked instruction.
 *
 * Ownership: none. Threads: one writer per counter. Errors: none.
 */
#ifndef BASE_COUNT_H
#define BASE_COUNT_H

#include <stdatomic.h>
#include <stdint.h>

static inline void count_add(_Atomic uint64_t *counter, uint64_t n)
{
	/* Relaxed: each counter stands for itself, nobody concludes one from another. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

#endif /* BASE_COUNT_H */
