/* SPDX-License-Identifier: MIT */
/*
 * consume/threshold.h - the two thresholds of counting, fitted to sample frames.
 *
 * m and s are mean and standard deviation of all pixels of the samples; x = m + 175 s; a Gaussian
 * A exp(-(v - mu)^2 / (2 sigma^2)) is fitted to the histogram (bins of width 1) of the values
 * below x; b = mu + 4.5 |sigma|. The same samples in the same order give the same thresholds.
 *
 * The samples are 20 frames; which, is a function of a seed and of how many there are to choose
 * from (see consume/counter.h). How many there were is stated with the result.
 *
 * Ownership: threshold_sampler_open() gives, threshold_sampler_close() takes.
 * Threads:   one at a time per sampler. Errors: 0 or -errno; @reterr may be NULL.
 */
#ifndef CONSUME_THRESHOLD_H
#define CONSUME_THRESHOLD_H

#include <stdbool.h>
#include <stdint.h>

struct count_image;
struct count_rule;
struct sluice_error;
struct threshold_sampler;

enum {
	THRESHOLD_SAMPLES = 20, /* frames that are taken as samples, if there are as many */
};

/* What is stated in the output; without a fit all but the two thresholds are 0. */
struct threshold {
	bool calculated;
	double background; /* b */
	double xray;       /* x */
	uint32_t samples;  /* frames; in the output number_of_samples */
	double min, max;   /* of all their pixels */
	double mean, variance, std_dev;
	uint32_t bins;
	double xray_n_sigma, background_n_sigma;
	double optimized_mean, optimized_std_dev; /* of the Gaussian */
	uint64_t seed;                            /* of the choice of samples */
};

struct threshold_args {
	double xray_n_sigma;
	double background_n_sigma;
	uint64_t seed; /* as given to threshold_choose(), to be stated */
};

#define THRESHOLD_ARGS_INIT                                                  \
	{                                                                    \
		.xray_n_sigma = 175.0, .background_n_sigma = 4.5, .seed = 1, \
	}

/* Thresholds that were given, not fitted. */
struct threshold threshold_given(double background, double xray);

/*
 * Which of @frames frames are samples: min(@count, @frames) distinct numbers, ascending,
 * written to @ret_frames. Returns how many. The same arguments give the same frames, everywhere.
 */
unsigned int threshold_choose(uint64_t seed, uint64_t frames, unsigned int count,
			      uint64_t *ret_frames);

/*
 * Samples of @rows x @columns pixels. Of @correction only dark and gain are used (borrowed; NULL:
 * none); differences to the dark reference count as signed here. -EINVAL, -ENOMEM.
 */
int threshold_sampler_open(const struct count_rule *correction, uint32_t rows, uint32_t columns,
			   struct threshold_sampler **ret_sampler);
void threshold_sampler_close(struct threshold_sampler *sampler);
/* Rows that are missing are left out. -EINVAL: another shape. */
int threshold_sampler_add(struct threshold_sampler *sampler, const struct count_image *image);
/*
 * What was sampled as numbers of pixels by value, in ascending order: the first value from *@value
 * on that any pixel has. False: there is none.
 */
bool threshold_sampler_next(const struct threshold_sampler *sampler, int64_t *value,
			    uint64_t *ret_pixels);
/* Adds @pixels pixels of this value, as another sampler gave them. -ERANGE: no such value. */
int threshold_sampler_put(struct threshold_sampler *sampler, int64_t value, uint64_t pixels);
/* Frames that those pixels are of. */
void threshold_sampler_put_frames(struct threshold_sampler *sampler, uint32_t frames);
/*
 * -ENODATA: no sample was added. -EDOM: all pixels are alike, or no Gaussian fits; @reterr says
 * which, and to give the thresholds instead.
 */
int threshold_sampler_fit(const struct threshold_sampler *sampler,
			  const struct threshold_args *args, struct threshold *ret_threshold,
			  struct sluice_error *reterr);

#endif /* CONSUME_THRESHOLD_H */
