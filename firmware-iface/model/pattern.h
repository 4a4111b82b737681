/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/pattern.h - payloads that are no image, by which a path is proven: each has a checker.
 *
 * Both are defined on bytes, whatever the pixel type.
 * - counter: 16-bit little-endian words, each one more than the one before, modulo 65536;
 * - PRBS-31 (ITU-T O.150, x^31 + x^28 + 1): bit n = bit n-31 xor bit n-28, least significant
 *   bit of a byte first, started from 31 bits that are not all zero.
 * The checkers need no seed: they take the beginning of the bytes at its word.
 *
 * Ownership: the caller's memory. Threads: any. Errors: none; checkers count what is wrong.
 */
#ifndef MODEL_PATTERN_H
#define MODEL_PATTERN_H

#include <stddef.h>
#include <stdint.h>

enum {
	PRBS_BITS = 31
};

void counter_fill(void *dst, size_t bytes, uint16_t first);
/* Words (the last may be a half) that do not follow from the first one. */
uint64_t counter_check(const void *src, size_t bytes);

/* The low 31 bits of @start are the state before the first bit; 0 is taken as 1. */
void prbs_fill(void *dst, size_t bytes, uint32_t start);
/*
 * Bits that do not follow from the first 31. A wrong bit among those makes about half of all
 * the others wrong; 31 zero bits at the start are wrong as such, and counted as one more.
 */
uint64_t prbs_check(const void *src, size_t bytes);

#endif /* MODEL_PATTERN_H */
