/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/camera.h - frames as a 4D Camera would take them: pedestal, noise, electrons, x-rays.
 *
 * A frame is noise about the pedestal (mean 20.5, sigma 1.79, rounded) and some electrons. Each
 * adds 60 to 300 counts, most of them to the pixel that it hit, the rest to its neighbours. The
 * electrons follow a diffraction pattern: a central disc, two rings of six discs, a halo. How many
 * go straight on, into the central disc, is the *beam state* of the frame: state 0 is the thickest
 * part of the specimen, the last state the thinnest. Every 32nd frame has an x-ray above 2000.
 *
 * Everything is a pure function of (seed, number of the frame, states, size of the frame).
 *
 * Ownership: the caller's memory. Threads: any; a camera is read only after camera_init().
 * Errors:    none.
 */
#ifndef MODEL_CAMERA_H
#define MODEL_CAMERA_H

#include <stdint.h>

enum {
	CAMERA_STATES_MAX = 8,  /* beam states */
	CAMERA_XRAY_EVERY = 32, /* one frame in so many has an x-ray */
	CAMERA_LEVELS = 64,     /* noise reaches from 0 to below this */
	CAMERA_EVENT_MIN = 60,  /* counts of an electron, all its pixels together */
	CAMERA_EVENT_MAX = 300,
	CAMERA_XRAY_MIN = 2000,
};

/* One electron or x-ray. */
struct camera_hit {
	uint16_t row; /* of the frame */
	uint16_t column;
	uint16_t counts; /* all its pixels together */
	uint16_t xray;   /* 1: an x-ray */
};

struct camera {
	uint64_t seed;
	uint32_t rows; /* of the frame */
	uint32_t columns;
	uint64_t level[CAMERA_LEVELS]; /* noise is <= v for so many of 2^32 numbers */
	uint8_t first[1 << 16];        /* the smallest level for the upper 16 bits of a number */
};

void camera_init(struct camera *camera, uint64_t seed, uint32_t rows, uint32_t columns);
/* The most hits that a frame can have. */
uint32_t camera_hits_max(const struct camera *camera);
/*
 * Frame @number in beam state @state of @states. @ret_pixels: rows x columns, row-major;
 * @ret_hits: room for camera_hits_max(). Returns the number of hits.
 */
uint32_t camera_expose(const struct camera *camera, uint32_t number, uint32_t state,
		       uint32_t states, uint16_t *ret_pixels, struct camera_hit *ret_hits);

/*
 * How much of the beam goes straight on where the specimen is hit at (@u, @v), each in [0, 1):
 * 0 ... 1. Round particles on a support with a soft lattice; where they lie follows from @seed.
 */
double camera_specimen(uint64_t seed, double u, double v);

#endif /* MODEL_CAMERA_H */
