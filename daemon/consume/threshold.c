/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <consume/count.h>
#include <consume/gauss.h>
#include <consume/threshold.h>
#include <sluice/block.h>

enum {
	/* Values -32768 ... 65535: differences to a dark reference are signed. */
	VALUE_MIN = INT16_MIN,
	VALUE_MAX = UINT16_MAX,
	VALUES = VALUE_MAX - VALUE_MIN + 1,
};

struct threshold_sampler {
	uint32_t rows, columns;
	const uint16_t *dark;
	const float *gain;
	uint32_t samples;
	uint64_t pixels;
	uint64_t histogram[VALUES];
};

struct threshold threshold_given(double background, double xray)
{
	return (struct threshold){ .background = background, .xray = xray };
}

/* splitmix64 (Steele, Lea, Flood 2014): the same numbers on every machine. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Puts @frame into the ascending list, unless it is there already. */
static bool insert(uint64_t *list, unsigned int count, uint64_t frame)
{
	unsigned int at = count;

	for (unsigned int i = 0; i < count; i++)
		if (list[i] == frame)
			return false;
	while (at > 0 && list[at - 1] > frame) {
		list[at] = list[at - 1];
		at--;
	}
	list[at] = frame;
	return true;
}

unsigned int threshold_choose(uint64_t seed, uint64_t frames, unsigned int count,
			      uint64_t *ret_frames)
{
	const unsigned int wanted = frames < count ? (unsigned int)frames : count;
	uint64_t state = seed;
	unsigned int n = 0;

	/* Floyd's sampling: one draw per sample, from a range that grows to all frames. */
	for (uint64_t top = frames - wanted; n < wanted; top++, n++) {
		const uint64_t drawn = next_random(&state) % (top + 1);

		if (!insert(ret_frames, n, drawn))
			(void)insert(ret_frames, n, top);
	}
	return n;
}

int threshold_sampler_open(const struct count_rule *correction, uint32_t rows, uint32_t columns,
			   struct threshold_sampler **ret_sampler)
{
	struct threshold_sampler *s;

	if (rows == 0 || columns == 0 || rows > SLUICE_SIDE_MAX || columns > SLUICE_SIDE_MAX)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->rows = rows;
	s->columns = columns;
	if (correction) {
		s->dark = correction->dark;
		s->gain = correction->gain;
	}
	*ret_sampler = s;
	return 0;
}

void threshold_sampler_close(struct threshold_sampler *sampler)
{
	free(sampler);
}

static long value_of(const struct threshold_sampler *s, size_t index, uint16_t pixel)
{
	long v = pixel;

	if (s->dark)
		v = (int16_t)(uint16_t)(pixel - s->dark[index]);
	if (s->gain)
		v = lrint(fmin((double)v * (double)s->gain[index], VALUE_MAX));
	return v < VALUE_MIN ? VALUE_MIN : v;
}

int threshold_sampler_add(struct threshold_sampler *sampler, const struct count_image *image)
{
	if (image->rows != sampler->rows || image->columns != sampler->columns)
		return -EINVAL;
	for (uint32_t r = 0; r < image->rows; r++) {
		const uint8_t *row = image->row[r];

		if (!row)
			continue;
		sampler->pixels += image->columns;
		for (uint32_t c = 0; c < image->columns; c++) {
			uint16_t pixel;

			memcpy(&pixel, row + 2 * (size_t)c, sizeof(pixel));
			sampler->histogram[value_of(sampler, (size_t)r * image->columns + c,
						    pixel) -
					   VALUE_MIN]++;
		}
	}
	sampler->samples++;
	return 0;
}

bool threshold_sampler_next(const struct threshold_sampler *sampler, int64_t *value,
			    uint64_t *ret_pixels)
{
	if (*value < VALUE_MIN)
		*value = VALUE_MIN;
	for (; *value <= VALUE_MAX; (*value)++) {
		if (sampler->histogram[*value - VALUE_MIN] == 0)
			continue;
		*ret_pixels = sampler->histogram[*value - VALUE_MIN];
		return true;
	}
	return false;
}

int threshold_sampler_put(struct threshold_sampler *sampler, int64_t value, uint64_t pixels)
{
	if (value < VALUE_MIN || value > VALUE_MAX)
		return -ERANGE;
	sampler->histogram[value - VALUE_MIN] += pixels;
	sampler->pixels += pixels;
	return 0;
}

void threshold_sampler_put_frames(struct threshold_sampler *sampler, uint32_t frames)
{
	sampler->samples += frames;
}

/* Minimum, maximum, mean and variance: exact sums over the histogram, in one order. */
static void describe(const struct threshold_sampler *s, struct threshold *t)
{
	double squares = 0.0;
	int64_t sum = 0;
	int first = -1, last = -1;

	for (int i = 0; i < VALUES; i++) {
		if (s->histogram[i] == 0)
			continue;
		if (first < 0)
			first = i;
		last = i;
		sum += (int64_t)s->histogram[i] * (i + VALUE_MIN);
	}
	t->samples = s->samples;
	t->min = first + VALUE_MIN;
	t->max = last + VALUE_MIN;
	t->mean = (double)sum / (double)s->pixels;
	for (int i = first; i <= last; i++)
		squares += (double)s->histogram[i] * (i + VALUE_MIN - t->mean) *
			   (i + VALUE_MIN - t->mean);
	t->variance = s->pixels > 1 ? squares / (double)(s->pixels - 1) : 0.0;
	t->std_dev = sqrt(t->variance);
}

int threshold_sampler_fit(const struct threshold_sampler *sampler,
			  const struct threshold_args *args, struct threshold *ret_threshold,
			  struct sluice_error *reterr)
{
	struct threshold t = {
		.calculated = true,
		.xray_n_sigma = args->xray_n_sigma,
		.background_n_sigma = args->background_n_sigma,
		.seed = args->seed,
	};
	struct gauss gauss;
	double end;

	if (sampler->samples == 0)
		return error_set(reterr, -ENODATA,
				 "thresholds: no complete frame came as a sample; "
				 "give background and xray instead");
	describe(sampler, &t);
	if (t.variance <= 0.0)
		return error_set(reterr, -EDOM,
				 "thresholds: all pixels of %u samples are %g: nothing to fit; "
				 "give background and xray instead",
				 t.samples, t.min);
	t.xray = t.mean + t.xray_n_sigma * t.std_dev;
	end = fmin(ceil(t.xray), t.max + 1.0); /* the first value without a bin */
	t.bins = end > t.min ? (uint32_t)(end - t.min) : 0;
	if (gauss_fit(sampler->histogram + ((int)t.min - VALUE_MIN), t.bins, t.min, &gauss) < 0)
		return error_set(
			reterr, -EDOM,
			"thresholds: no Gaussian fits the histogram (%u bins from %g, mean "
			"%g, standard deviation %g); give background and xray instead",
			t.bins, t.min, t.mean, t.std_dev);
	t.optimized_mean = gauss.mean;
	t.optimized_std_dev = gauss.sigma;
	t.background = gauss.mean + t.background_n_sigma * gauss.sigma;
	if (!(t.background < t.xray))
		return error_set(reterr, -EDOM,
				 "thresholds: the background threshold %g is not below the x-ray "
				 "threshold %g; give both instead",
				 t.background, t.xray);
	*ret_threshold = t;
	return 0;
}
