/* SPDX-License-Identifier: MIT */
/*
 * consume/count.h - electron counting: from the pixels of a frame to the indices of its events.
 *
 * The rule, per frame of uint16 pixels, background threshold b, x-ray threshold x:
 *   1. subtract the dark reference, if any (uint16, wraps); multiply by the gain map, if any
 *      (float32: (float)pixel * gain);
 *   2. a value <= b or >= x becomes 0;
 *   3. a pixel is an event iff it is strictly greater than every one of its existing neighbours
 *      (8; fewer at edges and corners; no wrap-around; a tie gives no event);
 *   4. the events are the ascending indices row * columns + column.
 * A missing row is 0 after step 2. Every kernel gives the same events, bit for bit.
 *
 * Ownership: count_rule_compile() gives, count_rule_free() takes; the dark reference and the gain
 *            map are borrowed until then. Kernels are constants.
 * Threads:   one thread at a time per compiled rule (it holds scratch rows); rules share nothing.
 * Errors:    0 or -errno; @reterr, where taken, may be NULL. Counting itself cannot fail.
 */
#ifndef CONSUME_COUNT_H
#define CONSUME_COUNT_H

#include <stdbool.h>
#include <stdint.h>

struct count_kernel;        /* one way to count, e.g. with AVX2 */
struct count_rule_compiled; /* thresholds turned into integers, and scratch rows */
struct sluice_error;

/* Thresholds in pixel values; infinities are allowed, NaN is not. */
struct count_rule {
	double background;    /* b: a value <= b is no electron */
	double xray;          /* x: a value >= x is no electron */
	const uint16_t *dark; /* rows * columns, or NULL */
	const float *gain;    /* rows * columns, each finite and >= 0, or NULL */
};

/* A frame as it lies in memory: sectors in rows are counted where they are. */
struct count_image {
	const void *const
		*row; /* @rows pointers to @columns uint16, any alignment; NULL: missing */
	uint32_t rows, columns;
};

/* -EINVAL: NaN threshold, a gain that is negative or not finite, no pixels. -ENOMEM. */
int count_rule_compile(const struct count_rule *rule, uint32_t rows, uint32_t columns,
		       struct count_rule_compiled **ret_compiled, struct sluice_error *reterr);
void count_rule_free(struct count_rule_compiled *compiled);

/*
 * Writes the first @events_max events of @image, whose shape is the rule's, to @events. Returns
 * how many there are: more than @events_max says that the list was cut.
 */
uint32_t count_events(const struct count_kernel *kernel, struct count_rule_compiled *compiled,
		      const struct count_image *image, uint32_t *events, uint32_t events_max);
/* No frame of this shape has more events: a list of so many is never cut. */
uint32_t count_events_limit(uint32_t rows, uint32_t columns);

/*
 * The kernel by name ("portable", "avx2", "avx512"), or for NULL, "" and "auto" the fastest that
 * this processor has; the environment's SLUICE_COUNT_KERNEL stands in for "auto".
 * -EINVAL: no such name. -ENOTSUP: this processor lacks it.
 */
int count_kernel_choose(const char *name, const struct count_kernel **ret_kernel,
			struct sluice_error *reterr);
/* Every kernel that was built, fastest first; NULL after the last. Some may not be supported. */
const struct count_kernel *count_kernel_at(unsigned int index);
const char *count_kernel_name(const struct count_kernel *kernel);
bool count_kernel_supported(const struct count_kernel *kernel);

#endif /* CONSUME_COUNT_H */
