/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/model.h - frames prepared ahead, so that a board in software is not the bottleneck.
 *
 * A model holds `distinct` *prepared frames*, cut into sectors, each sector with its CRC32C.
 * Whole frames are made and then cut: an electron on the border of two sectors is in both.
 * What a scan shows is made by choosing: model_frame_choice() says which prepared frame stands
 * for a frame of a scan.
 * - camera: prepared frames differ by beam state (see model/camera.h). The specimen at the
 *   frame's probe position asks for a state; one of the prepared frames of that state is taken
 *   by lot. So the virtual bright field is a picture of the specimen, though pixels repeat.
 * - counter, prbs: prepared frame = frame % distinct.
 *
 * Ownership: model_create() gives, model_destroy() takes; payloads and hits are the model's.
 * Threads:   any; a model does not change after model_create().
 * Errors:    -EINVAL, -ENOSPC (MODEL_BYTES_MAX), -ENOMEM, with @reterr.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stdint.h>

#include <sluice/block.h>

struct camera_hit; /* model/camera.h */
struct model;
struct sluice_error;

#define MODEL_BYTES_MAX (UINT64_C(8) << 30) /* of prepared payloads */

enum {
	MODEL_DISTINCT_MAX = 4096,
	MODEL_DISTINCT_DEFAULT = 64,
	MODEL_FRAMES_MAX = 1 << 28, /* of a scan */
	MODEL_GARBAGE_BYTES = 1 << 20,
};

enum model_generator {
	MODEL_CAMERA = 0,
	MODEL_COUNTER = 1, /* first word: see model_counter_first() */
	MODEL_PRBS = 2,
};

struct model_args {
	struct sluice_geometry geometry;
	enum model_generator generator;
	uint64_t seed;
	uint32_t distinct;
	uint32_t sectors_served; /* set of the sectors whose payloads are kept */
};

/* What of a scan decides which prepared frame is taken. */
struct model_scan {
	uint32_t columns; /* probe positions per row, flyback included */
	uint32_t rows;
	uint64_t frames; /* 1 ... MODEL_FRAMES_MAX */
};

int model_create(const struct model_args *args, struct model **ret_model,
		 struct sluice_error *reterr);
void model_destroy(struct model *model);
const struct model_args *model_args(const struct model *model);

/* Prepared frame @prepared of served sector @sector: sluice_sector_bytes() bytes. */
const uint8_t *model_payload(const struct model *model, uint32_t prepared, uint16_t sector);
uint32_t model_payload_crc(const struct model *model, uint32_t prepared, uint16_t sector);
/* The true electrons and x-rays of a prepared frame; none unless the generator is the camera. */
const struct camera_hit *model_hits(const struct model *model, uint32_t prepared,
				    uint32_t *ret_count);
/* MODEL_GARBAGE_BYTES that are no block. */
const uint8_t *model_garbage(const struct model *model);
/* SLUICE_BLOCK_PATTERN_... of its blocks. */
uint16_t model_block_flags(const struct model_args *args);

/* Index of the probe position of @frame: frame * positions / frames, row-major. */
uint64_t model_position(const struct model_scan *scan, uint64_t frame);
/* Which prepared frame stands for @frame: a pure function, the same for all sectors. */
uint32_t model_frame_choice(const struct model_args *args, const struct model_scan *scan,
			    uint64_t frame);
/* The first word of a counter payload: each (prepared, sector) begins elsewhere. */
uint16_t model_counter_first(uint32_t prepared, uint16_t sector);

#endif /* MODEL_MODEL_H */
