/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/pattern.h>

#define PRBS_MASK ((UINT32_C(1) << PRBS_BITS) - 1)

void counter_fill(void *dst, size_t bytes, uint16_t first)
{
	uint8_t *p = dst;

	for (size_t i = 0; i < bytes; i++) {
		const uint16_t word = (uint16_t)(first + i / 2);

		p[i] = (uint8_t)(i % 2 == 0 ? word : word >> 8);
	}
}

uint64_t counter_check(const void *src, size_t bytes)
{
	const uint8_t *p = src;
	uint64_t wrong = 0;
	uint16_t first;

	if (bytes < 2)
		return 0;
	first = (uint16_t)(p[0] | p[1] << 8);
	for (size_t i = 2; i < bytes; i += 2) {
		const uint16_t want = (uint16_t)(first + i / 2);

		if (p[i] != (uint8_t)want || (i + 1 < bytes && p[i + 1] != want >> 8))
			wrong++;
	}
	return wrong;
}

/*
 * The state holds the last 31 bits, the oldest lowest. Eight bits at once: none of them depends
 * on another, as the nearest tap lies 28 bits back.
 */
static uint8_t prbs_next(uint32_t *state)
{
	const uint8_t bits = (uint8_t)(*state ^ (*state >> 3));

	*state = ((*state >> 8) | ((uint32_t)bits << (PRBS_BITS - 8))) & PRBS_MASK;
	return bits;
}

void prbs_fill(void *dst, size_t bytes, uint32_t start)
{
	uint8_t *p = dst;
	uint32_t state = start & PRBS_MASK;

	if (state == 0)
		state = 1;
	for (size_t i = 0; i < bytes; i++)
		p[i] = prbs_next(&state);
}

uint64_t prbs_check(const void *src, size_t bytes)
{
	const uint8_t *p = src;
	uint64_t wrong = 0;
	uint32_t state, foretold;

	if (bytes < 4)
		return 0;
	state = (p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24) &
		PRBS_MASK;
	if (state == 0)
		wrong++;
	/* Bit 31 is the first that the others foretell. */
	foretold = (state ^ (state >> 3)) & 1;
	wrong += foretold != p[3] >> 7;
	state = (state >> 1) | (foretold << (PRBS_BITS - 1));
	for (size_t i = 4; i < bytes; i++)
		wrong += (uint64_t)__builtin_popcount(prbs_next(&state) ^ p[i]);
	return wrong;
}
