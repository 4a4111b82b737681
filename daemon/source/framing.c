/* SPDX-License-Identifier: MIT */
#include "framing.h"

#include <errno.h>
#include <string.h>

#include <base/error.h>

static const struct framing *const framings[] = {
	&framing_sluice,
	&framing_4dcamera_v5,
	&framing_4dcamera_v4,
	&framing_merlin,
};

const struct framing *framing_find(const char *name)
{
	for (size_t i = 0; i < sizeof(framings) / sizeof(framings[0]); i++)
		if (strcmp(framings[i]->name, name) == 0)
			return framings[i];
	return NULL;
}

static int merge_field(uint16_t *field, uint16_t data, const char *name,
		       struct sluice_error *reterr)
{
	if (*field == 0)
		*field = data;
	if (*field != data)
		return error_set(reterr, -EINVAL,
				 "geometry: %s is configured as %u, the data says %u", name, *field,
				 data);
	return 0;
}

int framing_geometry_merge(struct sluice_geometry *geometry, const struct sluice_geometry *data,
			   struct sluice_error *reterr)
{
	struct sluice_geometry g = *geometry;
	int ret;

	/* Layout 0 is a layout: it counts as configured only where the sectors are. */
	if (g.sectors == 0)
		g.layout = data->layout;
	else if (g.layout != data->layout)
		return error_set(reterr, -EINVAL,
				 "geometry: sectors are configured to lie in %s, the data says %s",
				 g.layout == SLUICE_LAYOUT_ROWS ? "rows" : "columns",
				 data->layout == SLUICE_LAYOUT_ROWS ? "rows" : "columns");
	ret = merge_field(&g.sectors, data->sectors, "sectors", reterr);
	if (ret == 0)
		ret = merge_field(&g.rows, data->rows, "rows of a sector", reterr);
	if (ret == 0)
		ret = merge_field(&g.columns, data->columns, "columns of a sector", reterr);
	if (ret == 0)
		ret = merge_field(&g.pixel, data->pixel, "pixel type", reterr);
	if (ret < 0)
		return ret;
	*geometry = g;
	return 0;
}

int framing_format_init(struct framing_format *ret_format, const struct framing *framing,
			const struct sluice_geometry *geometry, uint16_t sector,
			const uint8_t *bytes, struct sluice_error *reterr)
{
	struct framing_format f = {
		.framing = framing,
		.geometry = *geometry,
		.sector = sector,
		.frames = UINT64_MAX,
	};
	const int ret = framing->learn(&f, bytes, reterr);

	if (ret < 0)
		return ret;
	if (!sluice_geometry_ok(&f.geometry))
		return error_set(reterr, -EINVAL,
				 "geometry: %u sectors of %u x %u pixels of type %u: not known or "
				 "not possible; allowed: 1 to %d sectors, sides up to %d pixels, "
				 "blocks up to %d bytes",
				 f.geometry.sectors, f.geometry.rows, f.geometry.columns,
				 f.geometry.pixel, SLUICE_SECTORS_MAX, SLUICE_SIDE_MAX,
				 SLUICE_BLOCK_BYTES_MAX);
	if (sector >= f.geometry.sectors)
		return error_set(reterr, -EINVAL,
				 "sector %u: the detector has sectors 0 to %d; configure another",
				 sector, f.geometry.sectors - 1);
	f.payload_bytes = (uint32_t)sluice_sector_bytes(&f.geometry);
	f.block_bytes = f.header_bytes + f.payload_bytes;
	*ret_format = f;
	return 0;
}

void framing_lock(struct framing_format *format, const struct framing_header *header)
{
	if (format->scan_known || !format->framing->has_scan)
		return;
	format->scan_known = true;
	format->scan = header->scan;
	format->scan_columns = header->scan_columns;
	format->scan_rows = header->scan_rows;
}

size_t framing_search(const struct framing_format *format, const uint8_t *bytes, size_t len)
{
	struct framing_header header;
	struct framing_anchor anchor;

	format->framing->anchor(format, &anchor);
	for (size_t at = 0; len - at >= format->header_bytes; at++) {
		if (anchor.len > 0) {
			const uint8_t *const from = bytes + at + anchor.offset;
			const uint8_t *const hit = memmem(from, len - at - anchor.offset,
							  anchor.bytes, anchor.len);

			if (!hit)
				return len;
			at += (size_t)(hit - from);
			if (len - at < format->header_bytes)
				return len;
		}
		if (format->framing->check(format, bytes + at, &header) == FRAMING_OK)
			return at;
	}
	return len;
}
