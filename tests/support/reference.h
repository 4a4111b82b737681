/* SPDX-License-Identifier: MIT */
/*
 * support/reference.h - the counting rule, written down as plainly as it goes.
 *
 * Shares no code with the kernels that it judges. Ownership: the caller's. Threads: any.
 */
#ifndef SUPPORT_REFERENCE_H
#define SUPPORT_REFERENCE_H

#include <stdint.h>

struct reference_rule {
	double background, xray;
	const uint16_t *dark; /* or NULL */
	const float *gain;    /* or NULL */
	/* Sectors stacked in rows: bit s set, rows [s * sector_rows, (s + 1) * sector_rows) are
	 * there. sector_rows 0: all are. */
	uint32_t sector_rows, sector_mask;
};

/* Events of @pixels (rows x columns) to @events, room for rows * columns. Returns how many. */
uint32_t reference_count(const struct reference_rule *rule, const uint16_t *pixels, uint32_t rows,
			 uint32_t columns, uint32_t *events);

#endif /* SUPPORT_REFERENCE_H */
