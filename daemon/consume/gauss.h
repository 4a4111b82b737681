/* SPDX-License-Identifier: MIT */
/*
 * consume/gauss.h - fit of A exp(-(v - mu)^2 / (2 sigma^2)) to a histogram.
 *
 * Ownership: the caller's memory. Threads: any. Errors: -EDOM: no Gaussian fits.
 */
#ifndef CONSUME_GAUSS_H
#define CONSUME_GAUSS_H

#include <stdint.h>

struct gauss {
	double amplitude, mean, sigma;
};

/*
 * Least squares by Levenberg-Marquardt over @bins bins (at least 3) of width 1; bin i stands for
 * the value @first + i. Starts from the histogram's own peak and width.
 */
int gauss_fit(const uint64_t *histogram, uint32_t bins, double first, struct gauss *ret_gauss);

#endif /* CONSUME_GAUSS_H */
