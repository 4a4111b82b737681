/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <consume/count.h>
#include <consume/count_kernel.h>
#include <sluice/block.h>

enum {
	VALUES = 65536, /* of a uint16 pixel */
	SCRATCH_ROWS = 3,
};

/* Stands for every row that is missing or beyond the edge; never written. */
static float zeros[SLUICE_SIDE_MAX];

struct count_rule_compiled {
	uint32_t rows, columns;
	uint32_t lo, hi;       /* a pixel counts iff lo <= v < hi; 1 <= lo <= VALUES */
	float lo_f32, hi_f32;  /* the same of a corrected value; lo_f32 > 0 */
	const uint16_t *dark;  /* borrowed, may be NULL */
	const float *gain;     /* borrowed, may be NULL */
	uint16_t *scratch_u16; /* SCRATCH_ROWS rows, if dark without gain */
	float *scratch_f32;    /* SCRATCH_ROWS rows, if gain */
};

/* The smallest whole pixel value above @background: what is not above 0 is no event anyway. */
static uint32_t lowest_pixel(double background)
{
	if (background < 0.0)
		return 1;
	if (background >= VALUES - 1)
		return VALUES;
	return (uint32_t)floor(background) + 1;
}

/* The smallest whole pixel value that is not below @xray. */
static uint32_t ceiling_pixel(double xray)
{
	if (xray <= 0.0)
		return 0;
	if (xray > VALUES - 1)
		return VALUES;
	return (uint32_t)ceil(xray);
}

/* The smallest float above @background, and above 0. */
static float lowest_f32(double background)
{
	const float f = (float)background;

	if (background < 0.0)
		return nextafterf(0.0f, 1.0f);
	return (double)f > background ? f : nextafterf(f, INFINITY);
}

/* The smallest float that is not below @xray. */
static float ceiling_f32(double xray)
{
	const float f = (float)xray;

	return (double)f >= xray ? f : nextafterf(f, INFINITY);
}

static int check_rule(const struct count_rule *rule, uint32_t rows, uint32_t columns,
		      struct sluice_error *reterr)
{
	if (rows == 0 || columns == 0 || rows > SLUICE_SIDE_MAX || columns > SLUICE_SIDE_MAX)
		return error_set(reterr, -EINVAL,
				 "counting: a frame of %u x %u pixels; allowed: sides of 1 to %u",
				 rows, columns, (unsigned int)SLUICE_SIDE_MAX);
	if (isnan(rule->background) || isnan(rule->xray))
		return error_set(reterr, -EINVAL, "counting: a threshold is not a number");
	for (size_t i = 0; rule->gain && i < (size_t)rows * columns; i++)
		if (!isfinite(rule->gain[i]) || rule->gain[i] < 0.0f)
			return error_set(reterr, -EINVAL,
					 "gain map: pixel %zu is %g; allowed: finite, at least 0",
					 i, (double)rule->gain[i]);
	return 0;
}

int count_rule_compile(const struct count_rule *rule, uint32_t rows, uint32_t columns,
		       struct count_rule_compiled **ret_compiled, struct sluice_error *reterr)
{
	struct count_rule_compiled *c;
	int ret = check_rule(rule, rows, columns, reterr);

	if (ret < 0)
		return ret;
	c = calloc(1, sizeof(*c));
	if (!c)
		return error_set(reterr, -ENOMEM, "counting: out of memory");
	*c = (struct count_rule_compiled){
		.rows = rows,
		.columns = columns,
		.lo = lowest_pixel(rule->background),
		.hi = ceiling_pixel(rule->xray),
		.lo_f32 = lowest_f32(rule->background),
		.hi_f32 = ceiling_f32(rule->xray),
		.dark = rule->dark,
		.gain = rule->gain,
	};
	if (c->gain)
		c->scratch_f32 = calloc((size_t)SCRATCH_ROWS * columns, sizeof(float));
	else if (c->dark)
		c->scratch_u16 = calloc((size_t)SCRATCH_ROWS * columns, sizeof(uint16_t));
	if ((c->gain && !c->scratch_f32) || (!c->gain && c->dark && !c->scratch_u16)) {
		ret = error_set(reterr, -ENOMEM, "counting: out of memory for %u columns", columns);
		goto err_free;
	}
	*ret_compiled = c;
	return 0;

err_free:
	free(c);
	return ret;
}

void count_rule_free(struct count_rule_compiled *compiled)
{
	if (!compiled)
		return;
	free(compiled->scratch_f32);
	free(compiled->scratch_u16);
	free(compiled);
}

uint32_t count_events_limit(uint32_t rows, uint32_t columns)
{
	/* Of any 2 x 2 pixels at most one is greater than the others. */
	return ((rows + 1) / 2) * ((columns + 1) / 2);
}

/* Row @r; before the first, @r has wrapped and is beyond the last. */
static const void *row_or_zeros(const struct count_image *image, uint32_t r)
{
	return r < image->rows && image->row[r] ? image->row[r] : zeros;
}

static void count_raw(const struct count_kernel *kernel, const struct count_rule_compiled *rule,
		      const struct count_image *image, struct count_sink *sink)
{
	for (uint32_t r = 0; r < image->rows; r++) {
		const struct count_row_u16 here = {
			.above = row_or_zeros(image, r - 1),
			.here = image->row[r],
			.below = row_or_zeros(image, r + 1),
			.columns = image->columns,
			.base = r * image->columns,
			.lo = rule->lo,
			.hi = rule->hi,
		};

		if (here.here)
			kernel->row_u16(&here, sink);
	}
}

/* Row @r with the dark reference taken off, in the scratch row that is @r's. */
static const uint8_t *corrected_u16(const struct count_kernel *kernel,
				    const struct count_rule_compiled *rule,
				    const struct count_image *image, uint32_t r)
{
	uint16_t *dst = rule->scratch_u16 + (size_t)(r % SCRATCH_ROWS) * rule->columns;

	if (r >= image->rows || !image->row[r])
		return (const uint8_t *)zeros;
	kernel->subtract(dst, image->row[r], rule->dark + (size_t)r * rule->columns, rule->columns);
	return (const uint8_t *)dst;
}

static void count_dark(const struct count_kernel *kernel, const struct count_rule_compiled *rule,
		       const struct count_image *image, struct count_sink *sink)
{
	struct count_row_u16 here = {
		.here = (const uint8_t *)zeros,
		.below = corrected_u16(kernel, rule, image, 0),
		.columns = image->columns,
		.lo = rule->lo,
		.hi = rule->hi,
	};

	for (uint32_t r = 0; r < image->rows; r++) {
		here.above = here.here;
		here.here = here.below;
		here.below = corrected_u16(kernel, rule, image, r + 1);
		here.base = r * image->columns;
		kernel->row_u16(&here, sink);
	}
}

static const float *corrected_f32(const struct count_kernel *kernel,
				  const struct count_rule_compiled *rule,
				  const struct count_image *image, uint32_t r)
{
	const size_t first = (size_t)r * rule->columns;
	struct count_scale scale = { .gain = rule->gain + first, .hi = rule->hi_f32 };
	float *dst = rule->scratch_f32 + (size_t)(r % SCRATCH_ROWS) * rule->columns;

	if (r >= image->rows || !image->row[r])
		return zeros;
	scale.src = image->row[r];
	scale.dark = rule->dark ? rule->dark + first : NULL;
	kernel->scale(&scale, rule->columns, dst);
	return dst;
}

static void count_gain(const struct count_kernel *kernel, const struct count_rule_compiled *rule,
		       const struct count_image *image, struct count_sink *sink)
{
	struct count_row_f32 here = {
		.here = zeros,
		.below = corrected_f32(kernel, rule, image, 0),
		.columns = image->columns,
		.lo = rule->lo_f32,
	};

	for (uint32_t r = 0; r < image->rows; r++) {
		here.above = here.here;
		here.here = here.below;
		here.below = corrected_f32(kernel, rule, image, r + 1);
		here.base = r * image->columns;
		kernel->row_f32(&here, sink);
	}
}

uint32_t count_events(const struct count_kernel *kernel, struct count_rule_compiled *compiled,
		      const struct count_image *image, uint32_t *events, uint32_t events_max)
{
	struct count_sink sink = { .events = events, .max = events_max };

	assert(image->rows == compiled->rows);
	assert(image->columns == compiled->columns);
	if (image->rows == 1 && image->columns == 1) {
		/* No neighbour exists, so even a 0 is greater than all of them. */
		if (events_max > 0)
			events[0] = 0;
		return 1;
	}
	if (compiled->gain)
		count_gain(kernel, compiled, image, &sink);
	else if (compiled->lo >= compiled->hi)
		return 0; /* the window is empty */
	else if (compiled->dark)
		count_dark(kernel, compiled, image, &sink);
	else
		count_raw(kernel, compiled, image, &sink);
	return sink.found;
}

static const struct count_kernel *const kernels[] = {
#ifdef COUNT_HAVE_X86
	&count_kernel_avx512,
	&count_kernel_avx2,
#endif
	&count_kernel_portable,
	&count_kernel_wide,
};

enum {
	KERNELS = sizeof(kernels) / sizeof(kernels[0]),
};

const struct count_kernel *count_kernel_at(unsigned int index)
{
	return index < KERNELS ? kernels[index] : NULL;
}

const char *count_kernel_name(const struct count_kernel *kernel)
{
	return kernel->name;
}

bool count_kernel_supported(const struct count_kernel *kernel)
{
#ifdef COUNT_HAVE_X86
	if (kernel == &count_kernel_avx512)
		return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi");
	if (kernel == &count_kernel_avx2)
		return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi");
#endif
	(void)kernel;
	return true;
}

static bool is_auto(const char *name)
{
	return !name || name[0] == '\0' || strcmp(name, "auto") == 0;
}

int count_kernel_choose(const char *name, const struct count_kernel **ret_kernel,
			struct sluice_error *reterr)
{
	if (is_auto(name))
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): chosen before there is another thread */
		name = getenv("SLUICE_COUNT_KERNEL");
	for (unsigned int i = 0; i < KERNELS; i++) {
		const bool supported = count_kernel_supported(kernels[i]);

		if (is_auto(name) ? !supported : strcmp(name, kernels[i]->name) != 0)
			continue;
		if (!supported)
			return error_set(reterr, -ENOTSUP,
					 "counting kernel %s: this processor lacks it; use auto",
					 name);
		*ret_kernel = kernels[i];
		return 0;
	}
	return error_set(
		reterr, -EINVAL,
		"counting kernel %s: no such kernel; allowed: auto, avx512, avx2, portable", name);
}
