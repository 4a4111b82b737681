/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <stdbool.h>

#include <consume/gauss.h>

enum {
	PARAMETERS = 3,
	ITERATIONS_MAX = 200,
};

static const double damping_min = 1e-12, damping_max = 1e12, step_min = 1e-10;
static const double sigma_min = 0.1; /* bins */

struct fit {
	const uint64_t *histogram;
	uint32_t bins;
	double p[PARAMETERS];                  /* amplitude, mean (from bin 0), sigma */
	double cost;                           /* sum of squared residuals */
	double normal[PARAMETERS][PARAMETERS]; /* J^T J */
	double gradient[PARAMETERS];           /* J^T r */
};

static double cost_of(const struct fit *f, const double p[PARAMETERS])
{
	double cost = 0.0;

	for (uint32_t i = 0; i < f->bins; i++) {
		const double u = ((double)i - p[1]) / p[2];
		const double r = (double)f->histogram[i] - p[0] * exp(-0.5 * u * u);

		cost += r * r;
	}
	return cost;
}

static void linearise(struct fit *f)
{
	for (int a = 0; a < PARAMETERS; a++) {
		f->gradient[a] = 0.0;
		for (int b = 0; b < PARAMETERS; b++)
			f->normal[a][b] = 0.0;
	}
	for (uint32_t i = 0; i < f->bins; i++) {
		const double u = ((double)i - f->p[1]) / f->p[2];
		const double e = exp(-0.5 * u * u);
		const double r = (double)f->histogram[i] - f->p[0] * e;
		const double j[PARAMETERS] = { e, f->p[0] * e * u / f->p[2],
					       f->p[0] * e * u * u / f->p[2] };

		for (int a = 0; a < PARAMETERS; a++) {
			f->gradient[a] += j[a] * r;
			for (int b = 0; b < PARAMETERS; b++)
				f->normal[a][b] += j[a] * j[b];
		}
	}
}

static double minor2(const double m[PARAMETERS][PARAMETERS], int row, int column)
{
	const int r0 = (row + 1) % 3, r1 = (row + 2) % 3;
	const int c0 = (column + 1) % 3, c1 = (column + 2) % 3;

	return m[r0][c0] * m[r1][c1] - m[r0][c1] * m[r1][c0];
}

/* Solves (J^T J + damping diag(J^T J)) step = J^T r by cofactors. False: singular. */
static bool solve(const struct fit *f, double damping, double step[PARAMETERS])
{
	double m[PARAMETERS][PARAMETERS], determinant = 0.0;

	/* Scaled to a unit diagonal, or the determinant of unlike parameters loses all digits. */
	for (int a = 0; a < PARAMETERS; a++) {
		if (!(f->normal[a][a] > 0.0))
			return false;
		for (int b = 0; b < PARAMETERS; b++)
			m[a][b] = f->normal[a][b] / sqrt(f->normal[a][a] * f->normal[b][b]);
		m[a][a] = 1.0 + damping;
	}
	for (int b = 0; b < PARAMETERS; b++)
		determinant += m[0][b] * minor2(m, 0, b);
	if (!isfinite(determinant) || fabs(determinant) < 1e-30)
		return false;
	for (int a = 0; a < PARAMETERS; a++) {
		step[a] = 0.0;
		for (int b = 0; b < PARAMETERS; b++)
			step[a] += minor2(m, b, a) * f->gradient[b] / sqrt(f->normal[b][b]);
		step[a] /= determinant * sqrt(f->normal[a][a]);
	}
	return true;
}

/* The peak, and a width from the bins above half of it. */
static bool guess(struct fit *f)
{
	uint32_t peak = 0, above = 0;

	for (uint32_t i = 1; i < f->bins; i++)
		if (f->histogram[i] > f->histogram[peak])
			peak = i;
	for (uint32_t i = 0; i < f->bins; i++)
		above += 2 * f->histogram[i] > f->histogram[peak];
	f->p[0] = (double)f->histogram[peak];
	f->p[1] = (double)peak;
	f->p[2] = fmax(0.5, (double)above / 2.3548); /* full width at half maximum / sigma */
	f->cost = cost_of(f, f->p);
	return f->histogram[peak] > 0;
}

static bool small_step(const double step[PARAMETERS], const double p[PARAMETERS])
{
	for (int a = 0; a < PARAMETERS; a++)
		if (fabs(step[a]) > step_min * (fabs(p[a]) + step_min))
			return false;
	return true;
}

static bool iterate(struct fit *f)
{
	double damping = 1e-3;

	linearise(f);
	for (int i = 0; i < ITERATIONS_MAX; i++) {
		double step[PARAMETERS], p[PARAMETERS], cost;

		if (!solve(f, damping, step))
			return false;
		for (int a = 0; a < PARAMETERS; a++)
			p[a] = f->p[a] + step[a];
		cost = p[2] != 0.0 ? cost_of(f, p) : INFINITY;
		if (cost <= f->cost) {
			for (int a = 0; a < PARAMETERS; a++)
				f->p[a] = p[a];
			f->cost = cost;
			if (small_step(step, p))
				return true;
			linearise(f);
			damping = fmax(damping / 10.0, damping_min);
			continue;
		}
		/* No better even by the smallest of steps: this is the minimum. */
		if (small_step(step, f->p))
			return true;
		damping *= 10.0;
		if (!(damping < damping_max))
			return true;
	}
	return false;
}

int gauss_fit(const uint64_t *histogram, uint32_t bins, double first, struct gauss *ret_gauss)
{
	struct fit f = { .histogram = histogram, .bins = bins };

	if (bins < PARAMETERS || !guess(&f) || !iterate(&f))
		return -EDOM;
	/*
	 * A curve whose peak is not among the bins, that is wider than they are or too narrow to
	 * show in more than one, fits nothing.
	 */
	if (!isfinite(f.p[0]) || f.p[0] <= 0.0 || !(f.p[1] > -1.0) || !(f.p[1] < (double)bins) ||
	    !(fabs(f.p[2]) < (double)bins) || !(fabs(f.p[2]) > sigma_min))
		return -EDOM;
	*ret_gauss = (struct gauss){
		.amplitude = f.p[0],
		.mean = first + f.p[1],
		.sigma = fabs(f.p[2]),
	};
	return 0;
}
