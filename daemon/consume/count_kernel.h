/* SPDX-License-Identifier: MIT */
/*
 * consume/count_kernel.h - what a kernel is, for count.c and count_kernel.c only.
 *
 * A kernel works on one row with its neighbours. Thresholds are a half-open window [lo, hi): a
 * value outside counts as 0. lo is at least 1 (or above 0), so a row of zeros can stand for a
 * missing row and for one beyond the edge: it never holds a candidate's equal.
 *
 * Ownership: borrowed rows. Threads: any. Errors: none.
 */
#ifndef CONSUME_COUNT_KERNEL_H
#define CONSUME_COUNT_KERNEL_H

#include <stddef.h>
#include <stdint.h>

/* Where events go; @found goes on counting when the list is full. */
struct count_sink {
	uint32_t *events;
	uint32_t max;
	uint32_t found;
};

/* Three rows of uint16 at any alignment, none NULL. */
struct count_row_u16 {
	const uint8_t *above, *here, *below;
	uint32_t columns;
	uint32_t base;   /* index of the row's first pixel */
	uint32_t lo, hi; /* 1 <= lo < hi, lo <= 65535 */
};

/* The same of corrected values: those outside the window are 0 already. */
struct count_row_f32 {
	const float *above, *here, *below;
	uint32_t columns;
	uint32_t base;
	float lo; /* > 0 */
};

/* A row to be corrected by the gain map. */
struct count_scale {
	const uint8_t *src;
	const uint16_t *dark; /* may be NULL */
	const float *gain;
	float hi; /* a value not below it becomes 0 */
};

struct count_kernel {
	const char *name;
	void (*row_u16)(const struct count_row_u16 *row, struct count_sink *sink);
	void (*row_f32)(const struct count_row_f32 *row, struct count_sink *sink);
	/* dst = src - dark, wrapping. */
	void (*subtract)(uint16_t *dst, const uint8_t *src, const uint16_t *dark, uint32_t columns);
	/* dst = (float)(src - dark) * gain, or 0. */
	void (*scale)(const struct count_scale *scale, uint32_t columns, float *dst);
};

/* Those of x86 exist where COUNT_HAVE_X86 is defined. */
extern const struct count_kernel count_kernel_portable, count_kernel_wide;
extern const struct count_kernel count_kernel_avx2, count_kernel_avx512;

#endif /* CONSUME_COUNT_KERNEL_H */
