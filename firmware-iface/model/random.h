/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/random.h - numbers that are a pure function of a seed: SplitMix64 (Steele, Lea, Flood,
 * "Fast splittable pseudorandom number generators", OOPSLA 2014).
 *
 * Ownership: the caller's memory. Threads: one at a time per object. Errors: none.
 */
#ifndef MODEL_RANDOM_H
#define MODEL_RANDOM_H

#include <stdint.h>

#define RANDOM_STEP UINT64_C(0x9e3779b97f4a7c15)

struct random {
	uint64_t state;
};

/* A number that depends on every bit of @x. */
static inline uint64_t random_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* A number for (@seed, @stream, @index): streams and indices do not know of each other. */
static inline uint64_t random_at(uint64_t seed, uint64_t stream, uint64_t index)
{
	return random_mix(random_mix(random_mix(seed + RANDOM_STEP) + stream * RANDOM_STEP) +
			  (index + 1) * RANDOM_STEP);
}

static inline uint64_t random_next(struct random *r)
{
	r->state += RANDOM_STEP;
	return random_mix(r->state);
}

/* Uniform in [0, 1). */
static inline double random_unit_of(uint64_t bits)
{
	return (double)(bits >> 11) * 0x1p-53;
}

static inline double random_unit(struct random *r)
{
	return random_unit_of(random_next(r));
}

#endif /* MODEL_RANDOM_H */
