/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/camera.h>

#include <assert.h>
#include <math.h>
#include <stddef.h>

#include <model/random.h>

/* Beam-on data of the 4D Camera: pedestal and noise, counts per electron. */
#define PEDESTAL_MEAN  20.5
#define PEDESTAL_SIGMA 1.79
/* Gives the standard deviation of real frames, 2.36, from which the x-ray threshold follows. */
#define DOSE_PER_PIXEL (140.0 / (576.0 * 576.0))
#define EVENT_TAIL     40.0
#define XRAY_TAIL      1500.0

/* Lengths in parts of the frame's shorter side. */
#define DISC_RADIUS  0.09
#define SPOT_RADIUS  0.045
#define RING_INNER   0.20
#define RING_OUTER   0.36
#define HALO_SCALE   0.14
#define STRAIGHT_MIN 0.15 /* part of the electrons in the central disc, state 0 ... last */
#define STRAIGHT_MAX 0.90

enum {
	STREAM_NOISE = 1,
	STREAM_HITS,
	STREAM_SPECIMEN,
	PARTICLES = 9,
	NEIGHBOURS = 8,
};

static const double two_pi = 6.283185307179586;

void camera_init(struct camera *camera, uint64_t seed, uint32_t rows, uint32_t columns)
{
	uint32_t v = 0;

	camera->seed = seed;
	camera->rows = rows;
	camera->columns = columns;
	for (v = 0; v < CAMERA_LEVELS; v++) {
		const double z = ((double)v + 0.5 - PEDESTAL_MEAN) / (PEDESTAL_SIGMA * sqrt(2.0));

		camera->level[v] = (uint64_t)(0x1p32 * 0.5 * erfc(-z));
	}
	/* Every 32-bit number finds its level, whatever erfc() rounds to. */
	camera->level[CAMERA_LEVELS - 1] = UINT64_C(1) << 32;
	v = 0;
	for (uint32_t i = 0; i < 1u << 16; i++) {
		while (((uint64_t)i << 16) >= camera->level[v])
			v++;
		camera->first[i] = (uint8_t)v;
	}
}

static double camera_dose(const struct camera *camera)
{
	const double dose = DOSE_PER_PIXEL * camera->rows * camera->columns;

	return dose < 1.0 ? 1.0 : dose;
}

uint32_t camera_hits_max(const struct camera *camera)
{
	const double dose = camera_dose(camera);

	return (uint32_t)(dose + 10.0 * sqrt(dose)) + 16;
}

static inline uint16_t noise_of(const struct camera *camera, uint32_t number)
{
	uint16_t v = camera->first[number >> 16];

	while (number >= camera->level[v])
		v++;
	return v;
}

static void fill_noise(const struct camera *camera, uint32_t number, uint16_t *pixels)
{
	struct random r = { random_at(camera->seed, STREAM_NOISE, number) };
	const size_t count = (size_t)camera->rows * camera->columns;

	for (size_t i = 0; i + 1 < count; i += 2) {
		const uint64_t bits = random_next(&r);

		pixels[i] = noise_of(camera, (uint32_t)bits);
		pixels[i + 1] = noise_of(camera, (uint32_t)(bits >> 32));
	}
	if (count % 2 != 0)
		pixels[count - 1] = noise_of(camera, (uint32_t)random_next(&r));
}

/* Knuth's method, in steps: exp(-mean) must not vanish. */
static uint32_t poisson(struct random *r, double mean)
{
	uint32_t n = 0;

	while (mean > 0.0) {
		const double step = mean < 64.0 ? mean : 64.0;
		const double limit = exp(-step);
		double product = random_unit(r);

		while (product > limit) {
			n++;
			product *= random_unit(r);
		}
		mean -= step;
	}
	return n;
}

static void add_counts(const struct camera *camera, uint16_t *pixels, int64_t row, int64_t column,
		       double counts)
{
	uint32_t sum;
	uint16_t *pixel;

	if (row < 0 || row >= camera->rows || column < 0 || column >= camera->columns)
		return;
	pixel = &pixels[(size_t)row * camera->columns + (size_t)column];
	sum = *pixel + (uint32_t)lround(counts);
	*pixel = sum > UINT16_MAX ? UINT16_MAX : (uint16_t)sum;
}

/* Most of the charge stays in the pixel that was hit; the rest goes to its neighbours. */
static void deposit(const struct camera *camera, struct random *r, const struct camera_hit *hit,
		    uint16_t *pixels)
{
	static const int8_t step[NEIGHBOURS][2] = { { -1, 0 },  { 0, -1 }, { 0, 1 },  { 1, 0 },
						    { -1, -1 }, { -1, 1 }, { 1, -1 }, { 1, 1 } };
	const double kept = 0.62 + 0.26 * random_unit(r);
	double weight[NEIGHBOURS], sum = 0.0;

	for (unsigned int i = 0; i < NEIGHBOURS; i++) {
		const double corner = i < 4 ? 1.0 : 0.3;

		weight[i] = corner * (0.05 + random_unit(r));
		sum += weight[i];
	}
	add_counts(camera, pixels, hit->row, hit->column, kept * hit->counts);
	for (unsigned int i = 0; i < NEIGHBOURS; i++)
		add_counts(camera, pixels, hit->row + step[i][0], hit->column + step[i][1],
			   (1.0 - kept) * hit->counts * weight[i] / sum);
}

/* Where an electron lands, in parts of the shorter side from the centre. */
static void scatter(struct random *r, double straight, double *ret_x, double *ret_y)
{
	const double way = random_unit(r);
	const double rho = sqrt(random_unit(r));
	const double phi = two_pi * random_unit(r);
	double radius, angle, length;

	if (way < straight) {
		*ret_x = DISC_RADIUS * rho * cos(phi);
		*ret_y = DISC_RADIUS * rho * sin(phi);
		return;
	}
	if (random_unit(r) < 0.3) {
		length = -HALO_SCALE * log(1.0 - random_unit(r));
		*ret_x = length * cos(phi);
		*ret_y = length * sin(phi);
		return;
	}
	/* The outer ring is fainter, and turned against the inner one as in a hexagonal lattice. */
	radius = random_unit(r) < 0.65 ? RING_INNER : RING_OUTER;
	angle = two_pi / 6.0 * floor(6.0 * random_unit(r)) + (radius == RING_OUTER ? 0.82 : 0.3);
	*ret_x = radius * cos(angle) + SPOT_RADIUS * rho * cos(phi);
	*ret_y = radius * sin(angle) + SPOT_RADIUS * rho * sin(phi);
}

/* Returns 0 when the electron misses the detector. */
static int hit_electron(const struct camera *camera, struct random *r, double straight,
			struct camera_hit *ret_hit)
{
	const double side = camera->rows < camera->columns ? camera->rows : camera->columns;
	double x, y, row, column, counts;

	scatter(r, straight, &x, &y);
	counts = CAMERA_EVENT_MIN - EVENT_TAIL * log(1.0 - random_unit(r));
	row = floor(camera->rows / 2.0 + y * side);
	column = floor(camera->columns / 2.0 + x * side);
	if (row < 0.0 || row >= camera->rows || column < 0.0 || column >= camera->columns)
		return 0;
	*ret_hit = (struct camera_hit){
		.row = (uint16_t)row,
		.column = (uint16_t)column,
		.counts = (uint16_t)(counts > CAMERA_EVENT_MAX ? CAMERA_EVENT_MAX : counts),
	};
	return 1;
}

static void hit_xray(const struct camera *camera, struct random *r, struct camera_hit *ret_hit)
{
	/* So much that more than CAMERA_XRAY_MIN stays in the pixel that was hit. */
	const double counts = CAMERA_XRAY_MIN / 0.6 - XRAY_TAIL * log(1.0 - random_unit(r));

	*ret_hit = (struct camera_hit){
		.row = (uint16_t)(random_next(r) % camera->rows),
		.column = (uint16_t)(random_next(r) % camera->columns),
		.counts = (uint16_t)(counts > 16000.0 ? 16000.0 : counts),
		.xray = 1,
	};
}

uint32_t camera_expose(const struct camera *camera, uint32_t number, uint32_t state,
		       uint32_t states, uint16_t *ret_pixels, struct camera_hit *ret_hits)
{
	struct random r = { random_at(camera->seed, STREAM_HITS, number) };
	const uint32_t room = camera_hits_max(camera) - 1; /* and an x-ray */
	const double straight = STRAIGHT_MIN +
				(STRAIGHT_MAX - STRAIGHT_MIN) * (state + 0.5) / states;
	uint32_t electrons, hits = 0;

	assert(state < states);
	fill_noise(camera, number, ret_pixels);
	electrons = poisson(&r, camera_dose(camera));
	for (uint32_t i = 0; i < electrons && hits < room; i++) {
		if (!hit_electron(camera, &r, straight, &ret_hits[hits]))
			continue;
		deposit(camera, &r, &ret_hits[hits], ret_pixels);
		hits++;
	}
	if (number % CAMERA_XRAY_EVERY == CAMERA_XRAY_EVERY - 1) {
		hit_xray(camera, &r, &ret_hits[hits]);
		deposit(camera, &r, &ret_hits[hits], ret_pixels);
		hits++;
	}
	return hits;
}

double camera_specimen(uint64_t seed, double u, double v)
{
	double through = 0.86 + 0.09 * cos(two_pi * (5.0 * u + 2.0 * v)) * cos(two_pi * 5.0 * v);

	for (uint64_t i = 0; i < PARTICLES; i++) {
		const double x = random_unit_of(random_at(seed, STREAM_SPECIMEN, 3 * i));
		const double y = random_unit_of(random_at(seed, STREAM_SPECIMEN, 3 * i + 1));
		const double size = random_unit_of(random_at(seed, STREAM_SPECIMEN, 3 * i + 2));
		const double radius = 0.05 + 0.11 * size;
		const double far2 = ((u - x) * (u - x) + (v - y) * (v - y)) / (radius * radius);

		/* A sphere takes away by its thickness. */
		if (far2 < 1.0)
			through -= 0.65 * sqrt(1.0 - far2);
	}
	return through < 0.0 ? 0.0 : through;
}
