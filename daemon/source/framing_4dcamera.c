/* SPDX-License-Identifier: MIT */
/*
 * The raw block files of the 4D Camera, versions 5 and 4: a 16-byte header without magic, length
 * or checksum, then one sector of uint16. The versions differ in how the sectors lie.
 *
 * With no magic there is only plausibility: the probe position lies inside the scan, and the scan
 * number and size are those of the first block. From then on a header has 8 known bytes, which is
 * enough to find the next one after bytes that are no block.
 */
#include <errno.h>
#include <string.h>

#include <base/error.h>

#include "framing.h"

struct camera_header {
	struct sluice_le32 scan;
	struct sluice_le32 frame;
	struct sluice_le16 scan_columns;
	struct sluice_le16 scan_rows;
	struct sluice_le16 position_x;
	struct sluice_le16 position_y;
};
SLUICE_STATIC_ASSERT(sizeof(struct camera_header) == 16, "a 4D Camera header is 16 bytes");

static const struct sluice_geometry camera_v5 = {
	.sectors = 4,
	.layout = SLUICE_LAYOUT_ROWS,
	.rows = 144,
	.columns = 576,
	.pixel = SLUICE_PIXEL_U16,
};

static const struct sluice_geometry camera_v4 = {
	.sectors = 4,
	.layout = SLUICE_LAYOUT_COLUMNS,
	.rows = 576,
	.columns = 144,
	.pixel = SLUICE_PIXEL_U16,
};

/* The data has no geometry: what is configured holds, what is not is the camera's. */
static int learn(struct framing_format *format, const struct sluice_geometry *camera,
		 struct sluice_error *reterr)
{
	struct sluice_geometry *const g = &format->geometry;

	if (g->pixel != 0 && g->pixel != SLUICE_PIXEL_U16)
		return error_set(reterr, -EINVAL,
				 "geometry: pixel type %u is configured, framing %s has u16",
				 g->pixel, format->framing->name);
	g->pixel = SLUICE_PIXEL_U16;
	g->layout = camera->layout;
	g->sectors = g->sectors ? g->sectors : camera->sectors;
	g->rows = g->rows ? g->rows : camera->rows;
	g->columns = g->columns ? g->columns : camera->columns;
	format->header_bytes = sizeof(struct camera_header);
	return 0;
}

static int learn_v5(struct framing_format *format, const uint8_t *bytes,
		    struct sluice_error *reterr)
{
	(void)bytes;
	return learn(format, &camera_v5, reterr);
}

static int learn_v4(struct framing_format *format, const uint8_t *bytes,
		    struct sluice_error *reterr)
{
	(void)bytes;
	return learn(format, &camera_v4, reterr);
}

static enum framing_verdict check(const struct framing_format *format, const uint8_t *bytes,
				  struct framing_header *ret_header)
{
	struct camera_header h;

	memcpy(&h, bytes, sizeof(h));
	if (sluice_u16(h.position_x) >= sluice_u16(h.scan_columns) ||
	    sluice_u16(h.position_y) >= sluice_u16(h.scan_rows))
		return FRAMING_BAD_MAGIC;
	if (format->scan_columns != 0 && (sluice_u16(h.scan_columns) != format->scan_columns ||
					  sluice_u16(h.scan_rows) != format->scan_rows))
		return FRAMING_BAD_GEOMETRY;
	if ((format->scan_known && sluice_u32(h.scan) != format->scan) ||
	    sluice_u32(h.frame) >= format->frames)
		return FRAMING_BAD_SCAN;
	*ret_header = (struct framing_header){
		.frame = sluice_u32(h.frame),
		.scan = sluice_u32(h.scan),
		.scan_columns = sluice_u16(h.scan_columns),
		.scan_rows = sluice_u16(h.scan_rows),
		.position_x = sluice_u16(h.position_x),
		.position_y = sluice_u16(h.position_y),
	};
	return FRAMING_OK;
}

/* The scan's size where it is known, since a scan number may well look like pixels. */
static void anchor(const struct framing_format *format, struct framing_anchor *ret_anchor)
{
	struct sluice_le16 size[2];

	*ret_anchor = (struct framing_anchor){ .offset = 0 };
	if (format->scan_columns == 0)
		return;
	size[0] = sluice_le16(format->scan_columns);
	size[1] = sluice_le16(format->scan_rows);
	ret_anchor->offset = offsetof(struct camera_header, scan_columns);
	ret_anchor->len = sizeof(size);
	memcpy(ret_anchor->bytes, size, sizeof(size));
}

const struct framing framing_4dcamera_v5 = {
	.name = "4dcamera-v5",
	.learn_bytes = sizeof(struct camera_header),
	.has_scan = true,
	.has_position = true,
	.learn = learn_v5,
	.check = check,
	.anchor = anchor,
};

const struct framing framing_4dcamera_v4 = {
	.name = "4dcamera-v4",
	.learn_bytes = sizeof(struct camera_header),
	.has_scan = true,
	.has_position = true,
	.learn = learn_v4,
	.check = check,
	.anchor = anchor,
};
