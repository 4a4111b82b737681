/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/model.h>

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <base/crc32c.h>
#include <base/error.h>
#include <model/camera.h>
#include <model/pattern.h>
#include <model/random.h>

enum {
	STREAM_CHOICE = 16,
	STREAM_DITHER,
	STREAM_PRBS,
	STREAM_GARBAGE,
};

struct model {
	struct model_args args;
	uint64_t sector_bytes;
	uint64_t map_bytes;
	uint8_t *map;                      /* payloads, [slot of the sector][prepared] */
	int slot_of[SLUICE_SECTORS_MAX];   /* -1: not served */
	uint32_t *crc[SLUICE_SECTORS_MAX]; /* per slot, [prepared] */
	struct camera_hit *hit;            /* [prepared][hits_max] */
	uint32_t hits_max;
	uint32_t *hit_count; /* [prepared] */
	uint8_t *garbage;
};

static uint32_t beam_states(uint32_t distinct)
{
	return distinct < CAMERA_STATES_MAX ? distinct : CAMERA_STATES_MAX;
}

static uint8_t *payload_at(const struct model *model, uint32_t prepared, uint16_t sector)
{
	const uint64_t slot = (uint64_t)model->slot_of[sector];

	return model->map + (slot * model->args.distinct + prepared) * model->sector_bytes;
}

/* One row of pixels as the board would store it. */
static void store_row(uint8_t *dst, const uint16_t *src, uint32_t columns, uint16_t pixel)
{
	for (uint32_t i = 0; i < columns; i++) {
		const uint16_t v = src[i];
		uint16_t half;
		uint32_t word;

		switch (pixel) {
		case SLUICE_PIXEL_U8:
			dst[i] = v > UINT8_MAX ? UINT8_MAX : (uint8_t)v;
			break;
		case SLUICE_PIXEL_U16:
		case SLUICE_PIXEL_U16BE:
			half = pixel == SLUICE_PIXEL_U16 ? htole16(v) : htobe16(v);
			memcpy(dst + 2 * (size_t)i, &half, sizeof(half));
			break;
		default:
			word = pixel == SLUICE_PIXEL_U32 ? htole32(v) : htobe32(v);
			memcpy(dst + 4 * (size_t)i, &word, sizeof(word));
		}
	}
}

static void cut_sector(const struct model *model, const uint16_t *frame, uint32_t prepared,
		       uint16_t sector)
{
	const struct sluice_geometry *g = &model->args.geometry;
	const size_t stride = sluice_frame_columns(g);
	const size_t row_bytes = (size_t)g->columns * sluice_pixel_bytes(g->pixel);
	uint8_t *dst = payload_at(model, prepared, sector);

	if (g->layout == SLUICE_LAYOUT_ROWS)
		frame += (size_t)sector * g->rows * stride;
	else
		frame += (size_t)sector * g->columns;
	for (uint32_t row = 0; row < g->rows; row++)
		store_row(dst + row * row_bytes, frame + row * stride, g->columns, g->pixel);
}

static void fill_pattern(const struct model *model, uint32_t prepared, uint16_t sector)
{
	const struct model_args *args = &model->args;
	uint8_t *dst = payload_at(model, prepared, sector);
	const uint64_t index = (uint64_t)prepared * SLUICE_SECTORS_MAX + sector;

	if (args->generator == MODEL_COUNTER)
		counter_fill(dst, model->sector_bytes, model_counter_first(prepared, sector));
	else
		prbs_fill(dst, model->sector_bytes,
			  (uint32_t)random_at(args->seed, STREAM_PRBS, index));
}

/* @frame: room for one whole frame; used by the camera only. */
static void prepare(struct model *model, const struct camera *camera, uint16_t *frame,
		    uint32_t prepared)
{
	const struct model_args *args = &model->args;
	const uint32_t states = beam_states(args->distinct);
	const uint32_t state = (uint32_t)((uint64_t)prepared * states / args->distinct);

	if (args->generator == MODEL_CAMERA)
		model->hit_count[prepared] = camera_expose(
			camera, prepared, state, states, frame,
			&model->hit[(size_t)prepared * model->hits_max]);
	for (uint16_t sector = 0; sector < args->geometry.sectors; sector++) {
		if (model->slot_of[sector] < 0)
			continue;
		if (args->generator == MODEL_CAMERA)
			cut_sector(model, frame, prepared, sector);
		else
			fill_pattern(model, prepared, sector);
		model->crc[model->slot_of[sector]][prepared] = crc32c(
			payload_at(model, prepared, sector), model->sector_bytes);
	}
}

static int check_args(const struct model_args *args, struct sluice_error *reterr)
{
	const struct sluice_geometry *g = &args->geometry;

	if (!sluice_geometry_ok(g))
		return error_set(reterr, -EINVAL,
				 "geometry: %u sectors of %u x %u pixels is beyond the limits "
				 "(%d sectors, %d pixels a side, %d bytes a block)",
				 g->sectors, g->rows, g->columns, SLUICE_SECTORS_MAX,
				 SLUICE_SIDE_MAX, SLUICE_BLOCK_BYTES_MAX);
	if (args->distinct < 1 || args->distinct > MODEL_DISTINCT_MAX)
		return error_set(reterr, -EINVAL, "distinct frames: %u; allowed: 1 ... %d",
				 args->distinct, MODEL_DISTINCT_MAX);
	if (args->generator > MODEL_PRBS)
		return error_set(reterr, -EINVAL, "generator %d: no such generator",
				 (int)args->generator);
	if (args->sectors_served == 0 ||
	    (g->sectors < 32 && args->sectors_served >> g->sectors != 0))
		return error_set(reterr, -EINVAL, "sectors served: allowed: 0 ... %u",
				 g->sectors - 1u);
	return 0;
}

static int allocate(struct model *model, struct sluice_error *reterr)
{
	const struct model_args *args = &model->args;
	const unsigned int slots = (unsigned int)__builtin_popcount(args->sectors_served);

	model->sector_bytes = sluice_sector_bytes(&args->geometry);
	model->map_bytes = model->sector_bytes * args->distinct * slots;
	if (model->map_bytes > MODEL_BYTES_MAX)
		return error_set(reterr, -ENOSPC,
				 "prepared frames would take %llu MB, the limit is %llu MB: ask "
				 "for fewer distinct frames",
				 (unsigned long long)(model->map_bytes >> 20),
				 (unsigned long long)(MODEL_BYTES_MAX >> 20));
	model->map = mmap(NULL, model->map_bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (model->map == MAP_FAILED) {
		model->map = NULL;
		return error_set(reterr, neg_errno(), "no memory for %u prepared frames",
				 args->distinct);
	}
	/* Advice only: ordinary pages do as well. */
	(void)madvise(model->map, model->map_bytes, MADV_HUGEPAGE);
	model->garbage = malloc(MODEL_GARBAGE_BYTES);
	if (!model->garbage)
		return error_set(reterr, -ENOMEM, "no memory for garbage");
	for (size_t i = 0; i < MODEL_GARBAGE_BYTES; i++)
		model->garbage[i] = (uint8_t)random_at(args->seed, STREAM_GARBAGE, i);
	for (unsigned int i = 0; i < slots; i++) {
		model->crc[i] = calloc(args->distinct, sizeof(*model->crc[i]));
		if (!model->crc[i])
			return error_set(reterr, -ENOMEM, "no memory for checksums");
	}
	return 0;
}

static int expose_all(struct model *model, struct sluice_error *reterr)
{
	const struct model_args *args = &model->args;
	const uint32_t rows = sluice_frame_rows(&args->geometry);
	const uint32_t columns = sluice_frame_columns(&args->geometry);
	struct camera *camera = malloc(sizeof(*camera));
	uint16_t *frame = malloc((size_t)rows * columns * sizeof(*frame));
	int ret = -ENOMEM;

	if (!camera || !frame)
		goto out;
	camera_init(camera, args->seed, rows, columns);
	if (args->generator == MODEL_CAMERA) {
		model->hits_max = camera_hits_max(camera);
		model->hit = calloc((size_t)args->distinct * model->hits_max, sizeof(*model->hit));
		model->hit_count = calloc(args->distinct, sizeof(*model->hit_count));
		if (!model->hit || !model->hit_count)
			goto out;
	}
	for (uint32_t prepared = 0; prepared < args->distinct; prepared++)
		prepare(model, camera, frame, prepared);
	ret = 0;
out:
	free(frame);
	free(camera);
	return ret < 0 ? error_set(reterr, ret, "no memory for frames and their electrons") : 0;
}

int model_create(const struct model_args *args, struct model **ret_model,
		 struct sluice_error *reterr)
{
	struct model *model;
	int slots = 0;
	int ret;

	ret = check_args(args, reterr);
	if (ret < 0)
		return ret;
	model = calloc(1, sizeof(*model));
	if (!model)
		return error_set(reterr, -ENOMEM, "no memory for a model");
	model->args = *args;
	for (unsigned int s = 0; s < SLUICE_SECTORS_MAX; s++)
		model->slot_of[s] = args->sectors_served >> s & 1 ? slots++ : -1;
	ret = allocate(model, reterr);
	if (ret < 0)
		goto err_destroy;
	ret = expose_all(model, reterr);
	if (ret < 0)
		goto err_destroy;
	(void)mprotect(model->map, model->map_bytes, PROT_READ);
	*ret_model = model;
	return 0;

err_destroy:
	model_destroy(model);
	return ret;
}

void model_destroy(struct model *model)
{
	if (!model)
		return;
	if (model->map)
		(void)munmap(model->map, model->map_bytes);
	for (unsigned int i = 0; i < SLUICE_SECTORS_MAX; i++)
		free(model->crc[i]);
	free(model->hit);
	free(model->hit_count);
	free(model->garbage);
	free(model);
}

const struct model_args *model_args(const struct model *model)
{
	return &model->args;
}

const uint8_t *model_payload(const struct model *model, uint32_t prepared, uint16_t sector)
{
	assert(prepared < model->args.distinct);
	assert(sector < SLUICE_SECTORS_MAX);
	assert(model->slot_of[sector] >= 0);
	return payload_at(model, prepared, sector);
}

uint32_t model_payload_crc(const struct model *model, uint32_t prepared, uint16_t sector)
{
	assert(prepared < model->args.distinct);
	assert(sector < SLUICE_SECTORS_MAX);
	assert(model->slot_of[sector] >= 0);
	return model->crc[model->slot_of[sector]][prepared];
}

const struct camera_hit *model_hits(const struct model *model, uint32_t prepared,
				    uint32_t *ret_count)
{
	assert(prepared < model->args.distinct);
	if (!model->hit) {
		*ret_count = 0;
		return NULL;
	}
	*ret_count = model->hit_count[prepared];
	return &model->hit[(size_t)prepared * model->hits_max];
}

const uint8_t *model_garbage(const struct model *model)
{
	return model->garbage;
}

uint16_t model_block_flags(const struct model_args *args)
{
	switch (args->generator) {
	case MODEL_COUNTER:
		return SLUICE_BLOCK_PATTERN_COUNTER;
	case MODEL_PRBS:
		return SLUICE_BLOCK_PATTERN_PRBS;
	default:
		return 0;
	}
}

uint64_t model_position(const struct model_scan *scan, uint64_t frame)
{
	const uint64_t positions = (uint64_t)scan->columns * scan->rows;

	/* 2^28 frames times 2^32 positions at most. */
	return frame * positions / scan->frames;
}

uint32_t model_frame_choice(const struct model_args *args, const struct model_scan *scan,
			    uint64_t frame)
{
	const uint32_t states = beam_states(args->distinct);
	const uint64_t position = model_position(scan, frame);
	const uint64_t x = position % scan->columns;
	const uint64_t y = position / scan->columns;
	const double u = ((double)x + 0.5) / scan->columns;
	const double v = ((double)y + 0.5) / scan->rows;
	double level;
	uint32_t state, first, next;

	if (args->generator != MODEL_CAMERA)
		return (uint32_t)(frame % args->distinct);
	/* Between two states the lot decides, so that few states give smooth tones. */
	level = camera_specimen(args->seed, u, v) * (states - 1) +
		random_unit_of(random_at(args->seed, STREAM_DITHER, frame));
	state = level >= states ? states - 1 : (uint32_t)level;
	first = (uint32_t)(((uint64_t)state * args->distinct + states - 1) / states);
	next = (uint32_t)(((uint64_t)(state + 1) * args->distinct + states - 1) / states);
	return first + (uint32_t)(random_at(args->seed, STREAM_CHOICE, frame) % (next - first));
}

uint16_t model_counter_first(uint32_t prepared, uint16_t sector)
{
	return (uint16_t)(prepared * 4099u + sector * 257u);
}
