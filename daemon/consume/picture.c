/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <consume/merge.h>

enum {
	PANEL_PIXELS = 512, /* images are enlarged by whole factors to about this height */
	GAP_PIXELS = 16,
	RGB = 3,
	PATH_BYTES_MAX = 4096,
};

static int read_events(const struct merge *merge, uint64_t frame, uint32_t *events,
		       uint32_t *ret_count, struct sluice_error *reterr)
{
	const struct part_reader *reader;
	const struct part_entry *entry = merge_frame(merge, frame, &reader);

	*ret_count = entry ? entry->event_count : 0;
	return entry ? part_reader_events(reader, entry, events, reterr) : 0;
}

static void place_disc(struct merge_images *im)
{
	const uint32_t side = im->rows < im->columns ? im->rows : im->columns;
	double sum = 0.0, row = 0.0, column = 0.0;

	for (size_t i = 0; i < (size_t)im->rows * im->columns; i++) {
		const size_t at_row = i / im->columns, at_column = i % im->columns;

		sum += im->diffraction[i];
		row += (double)im->diffraction[i] * (double)at_row;
		column += (double)im->diffraction[i] * (double)at_column;
	}
	im->centre_row = sum > 0.0 ? row / sum : (im->rows - 1) / 2.0;
	im->centre_column = sum > 0.0 ? column / sum : (im->columns - 1) / 2.0;
	im->radius = fmax(1.0, side / 8.0);
}

static uint32_t inside_disc(const struct merge_images *im, const uint32_t *events, uint32_t count)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i++) {
		const uint32_t row = events[i] / im->columns, column = events[i] % im->columns;
		const double dr = row - im->centre_row, dc = column - im->centre_column;

		n += dr * dr + dc * dc <= im->radius * im->radius;
	}
	return n;
}

/* Twice over the events: the disc is known only when the sum is. */
static int sum_events(const struct merge *merge, struct merge_images *im, uint32_t *events,
		      struct sluice_error *reterr)
{
	const uint32_t per_position = merge_info(merge)->scan.frames_per_position;
	uint32_t count;

	for (uint64_t f = 0; f < merge_frames(merge); f++) {
		const int ret = read_events(merge, f, events, &count, reterr);

		if (ret < 0)
			return ret;
		for (uint32_t i = 0; i < count; i++)
			im->diffraction[events[i]]++;
	}
	place_disc(im);
	for (uint64_t f = 0; f < merge_frames(merge); f++) {
		const int ret = read_events(merge, f, events, &count, reterr);

		if (ret < 0)
			return ret;
		im->bright[f / per_position] += inside_disc(im, events, count);
	}
	return 0;
}

int merge_images(const struct merge *merge, struct merge_images *ret_images,
		 struct sluice_error *reterr)
{
	const struct sluice_scan *scan = &merge_info(merge)->scan;
	struct merge_images im = {
		.scan_columns = scan->scan_columns,
		.scan_rows = scan->scan_rows,
		.columns = sluice_frame_columns(&scan->geometry),
		.rows = sluice_frame_rows(&scan->geometry),
	};
	const size_t pixels = (size_t)im.rows * im.columns;
	uint32_t *events = calloc(pixels, sizeof(*events));
	int ret;

	im.diffraction = calloc(pixels, sizeof(*im.diffraction));
	im.bright = calloc((size_t)im.scan_rows * im.scan_columns, sizeof(*im.bright));
	if (!events || !im.diffraction || !im.bright)
		ret = error_set(reterr, -ENOMEM, "merge: out of memory for the images");
	else
		ret = sum_events(merge, &im, events, reterr);
	free(events);
	if (ret < 0) {
		merge_images_free(&im);
		return ret;
	}
	*ret_images = im;
	return 0;
}

void merge_images_free(struct merge_images *images)
{
	if (!images)
		return;
	free(images->diffraction);
	free(images->bright);
	images->diffraction = NULL;
	images->bright = NULL;
}

/* An image to be drawn: values from 0 to 1. */
struct panel {
	uint32_t columns, rows, zoom;
	float *value;
};

static uint32_t zoom_for(uint32_t columns, uint32_t rows)
{
	const uint32_t side = columns > rows ? columns : rows;

	return side >= PANEL_PIXELS ? 1 : (PANEL_PIXELS + side / 2) / side;
}

/* Scales from the smallest to the largest value; @logarithm for what spans decades. */
static int panel_open(const uint32_t *data, uint32_t columns, uint32_t rows, bool logarithm,
		      struct panel *ret_panel)
{
	const size_t count = (size_t)columns * rows;
	struct panel p = { columns, rows, zoom_for(columns, rows), NULL };
	float low = INFINITY, high = 0.0f;

	p.value = calloc(count, sizeof(*p.value));
	if (!p.value)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		p.value[i] = logarithm ? log1pf((float)data[i]) : (float)data[i];
		low = fminf(low, p.value[i]);
		high = fmaxf(high, p.value[i]);
	}
	for (size_t i = 0; i < count; i++)
		p.value[i] = high > low ? (p.value[i] - low) / (high - low) : 0.0f;
	*ret_panel = p;
	return 0;
}

/* A perceptually even map, dark blue over green to yellow, by straight lines between colours. */
static void colour(float value, uint8_t rgb[RGB])
{
	static const uint8_t map[][RGB] = { { 68, 1, 84 },    { 70, 50, 127 },  { 54, 92, 141 },
					    { 39, 127, 142 }, { 31, 161, 135 }, { 74, 194, 109 },
					    { 159, 218, 58 }, { 253, 231, 37 } };
	enum {
		STEPS = sizeof(map) / sizeof(map[0]) - 1
	};
	const float at = fminf(fmaxf(value, 0.0f), 1.0f) * STEPS;
	const unsigned int low = at >= STEPS ? STEPS - 1 : (unsigned int)at;
	const float part = at - (float)low;

	for (unsigned int i = 0; i < RGB; i++)
		rgb[i] = (uint8_t)lrintf((float)map[low][i] * (1.0f - part) +
					 (float)map[low + 1][i] * part);
}

static void draw(uint8_t *rgb, uint32_t width, uint32_t left, uint32_t top, const struct panel *p)
{
	for (uint32_t y = 0; y < p->rows * p->zoom; y++)
		for (uint32_t x = 0; x < p->columns * p->zoom; x++)
			colour(p->value[(size_t)(y / p->zoom) * p->columns + x / p->zoom],
			       rgb + ((size_t)(top + y) * width + left + x) * RGB);
}

static int write_png(const char *path, uint32_t width, uint32_t height, const uint8_t *rgb,
		     struct sluice_error *reterr)
{
	png_image image = { .version = PNG_IMAGE_VERSION,
			    .width = width,
			    .height = height,
			    .format = PNG_FORMAT_RGB };
	char temporary[PATH_BYTES_MAX];
	int ret = 0;

	if (snprintf(temporary, sizeof(temporary), "%s.%d.tmp", path, (int)getpid()) >=
	    (int)sizeof(temporary))
		return error_set(reterr, -ENAMETOOLONG, "%s: the name is too long", path);
	if (!png_image_write_to_file(&image, temporary, 0, rgb, 0, NULL))
		ret = error_set(reterr, -EIO, "%s: cannot write the picture: %s", path,
				image.message);
	if (ret == 0 && rename(temporary, path) < 0) {
		ret = neg_errno();
		(void)error_set(reterr, ret, "%s: cannot rename to it: %s", path, error_name(ret));
	}
	if (ret < 0)
		(void)unlink(temporary);
	return ret;
}

int merge_write_picture(const struct merge_images *images, const char *path,
			struct sluice_error *reterr)
{
	struct panel bright = { 0 }, diffraction = { 0 };
	uint32_t left_width, width, left_height, right_height, height;
	uint8_t *rgb = NULL;
	int ret = panel_open(images->bright, images->scan_columns, images->scan_rows, false,
			     &bright);

	if (ret == 0)
		ret = panel_open(images->diffraction, images->columns, images->rows, true,
				 &diffraction);
	if (ret < 0) {
		(void)error_set(reterr, ret, "%s: out of memory", path);
		goto out;
	}
	left_width = bright.columns * bright.zoom;
	left_height = bright.rows * bright.zoom;
	right_height = diffraction.rows * diffraction.zoom;
	width = left_width + GAP_PIXELS + diffraction.columns * diffraction.zoom;
	height = left_height > right_height ? left_height : right_height;
	rgb = calloc((size_t)width * height, RGB);
	if (!rgb) {
		ret = error_set(reterr, -ENOMEM, "%s: out of memory", path);
		goto out;
	}
	draw(rgb, width, 0, (height - left_height) / 2, &bright);
	draw(rgb, width, left_width + GAP_PIXELS, (height - right_height) / 2, &diffraction);
	ret = write_png(path, width, height, rgb, reterr);
out:
	free(rgb);
	free(diffraction.value);
	free(bright.value);
	return ret;
}
