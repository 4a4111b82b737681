/* SPDX-License-Identifier: MIT */
/* The pixels of one frame, as the counting kernels and the part want them. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <consume/counter.h>

static size_t record_bytes(const struct sluice_scan *info)
{
	return (size_t)sluice_frame_rows(&info->geometry) * sluice_frame_columns(&info->geometry) *
	       sluice_pixel_bytes(info->geometry.pixel);
}

void counter_worker_clear(struct counter_worker *worker)
{
	count_rule_free(worker->rule);
	free(worker->assembled);
	free(worker->row);
	free(worker->events);
	free(worker->pixels);
	free(worker->frame);
	*worker = (struct counter_worker){ .counter = worker->counter, .thread = worker->thread };
}

int counter_worker_setup(struct counter_worker *worker, const struct counter_scan *scan)
{
	const struct sluice_geometry *g = &scan->info.geometry;
	const size_t rows = sluice_frame_rows(g), columns = sluice_frame_columns(g);

	if (worker->serial == scan->serial)
		return 0;
	assert(rows > 0 && columns > 0); /* the library judged the geometry */
	counter_worker_clear(worker);
	worker->assembled = malloc(rows * columns * sizeof(*worker->assembled));
	worker->row = calloc(rows, sizeof(*worker->row));
	worker->frame = calloc(scan->info.run_frames, sizeof(*worker->frame));
	if (worker->counter->config.record_frames)
		worker->pixels = malloc(scan->info.run_frames * record_bytes(&scan->info));
	if (!worker->assembled || !worker->row || !worker->frame ||
	    (worker->counter->config.record_frames && !worker->pixels))
		return -ENOMEM;
	worker->serial = scan->serial;
	return 0;
}

/* Rows that lie whole in a message, as host uint16, are counted where they are. */
static bool lies_in_rows(const struct sluice_geometry *g)
{
	return g->layout == SLUICE_LAYOUT_ROWS && g->pixel == SLUICE_PIXEL_U16 &&
	       __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
}

/*
 * A missing sector beside another one shares its rows. It gets the dark reference, so that it is 0
 * when that was subtracted, as a missing row is.
 */
static void fill_missing(const struct counter *c, const struct sluice_geometry *g,
			 const struct sluice_frame *frame, uint16_t *assembled)
{
	const size_t columns = sluice_frame_columns(g);

	for (unsigned int s = 0; c->dark && s < g->sectors; s++) {
		if (frame->sector[s])
			continue;
		for (size_t y = 0; y < g->rows; y++) {
			const size_t at = y * columns + (size_t)s * g->columns;

			memcpy(assembled + at, c->dark + at, g->columns * sizeof(*assembled));
		}
	}
}

struct count_image counter_frame_image(struct counter_worker *worker,
				       const struct sluice_scan *info,
				       const struct sluice_frame *frame)
{
	const struct sluice_geometry *g = &info->geometry;
	const uint32_t rows = sluice_frame_rows(g), columns = sluice_frame_columns(g);
	const bool stacked = g->layout == SLUICE_LAYOUT_ROWS;
	const bool in_place = lies_in_rows(g);

	if (!in_place)
		sluice_frame_assemble(info, frame, worker->assembled);
	if (!stacked)
		fill_missing(worker->counter, g, frame, worker->assembled);
	for (uint32_t y = 0; y < rows; y++) {
		const uint8_t *sector = stacked ? frame->sector[y / g->rows] : NULL;

		if (stacked && !sector)
			worker->row[y] = NULL;
		else if (in_place)
			worker->row[y] = sector +
					 (size_t)(y % g->rows) * columns * sizeof(uint16_t);
		else
			worker->row[y] = worker->assembled + (size_t)y * columns;
	}
	return (struct count_image){ .row = worker->row, .rows = rows, .columns = columns };
}

uint16_t counter_record_pixel(const struct sluice_scan *info)
{
	switch (info->geometry.pixel) {
	case SLUICE_PIXEL_U16BE:
		return SLUICE_PIXEL_U16;
	case SLUICE_PIXEL_U32BE:
		return SLUICE_PIXEL_U32;
	default:
		return info->geometry.pixel;
	}
}

static void to_host(uint16_t pixel, uint8_t *row, size_t columns)
{
	for (size_t x = 0; x < columns; x++) {
		if (pixel == SLUICE_PIXEL_U16BE) {
			uint16_t v;

			memcpy(&v, row + 2 * x, sizeof(v));
			v = be16toh(v);
			memcpy(row + 2 * x, &v, sizeof(v));
		} else if (pixel == SLUICE_PIXEL_U32BE) {
			uint32_t v;

			memcpy(&v, row + 4 * x, sizeof(v));
			v = be32toh(v);
			memcpy(row + 4 * x, &v, sizeof(v));
		}
	}
}

void counter_frame_record(const struct sluice_scan *info, const struct sluice_frame *frame,
			  uint8_t *dst)
{
	const struct sluice_geometry *g = &info->geometry;
	const size_t row_bytes = (size_t)g->columns * sluice_pixel_bytes(g->pixel);
	const bool stacked = g->layout == SLUICE_LAYOUT_ROWS;
	const size_t pitch = stacked ? row_bytes : row_bytes * g->sectors;

	for (unsigned int s = 0; s < g->sectors; s++) {
		uint8_t *at = dst + (size_t)s * (stacked ? g->rows * row_bytes : row_bytes);

		for (size_t y = 0; y < g->rows; y++, at += pitch) {
			const uint8_t *src = frame->sector[s];

			if (!src) {
				memset(at, 0, row_bytes);
				continue;
			}
			memcpy(at, src + y * row_bytes, row_bytes);
			to_host(g->pixel, at, g->columns);
		}
	}
}
