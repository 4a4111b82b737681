/* SPDX-License-Identifier: MIT */
/*
 * Merlin .mib files: an ASCII header of comma-separated fields, "MQ1,000001,00384,01,0256,0256,
 * U08,...", padded to the length that it names, then big-endian pixels. One sector.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include <base/error.h>

#include "framing.h"

enum {
	MERLIN_FIXED_BYTES = 34, /* the fields that are read here, commas included */
	MERLIN_HEADER_BYTES_MIN = 256,
	MERLIN_HEADER_BYTES_ONE = 384, /* of a readout with one chip */
};

struct merlin_header {
	uint32_t frame; /* from 1 */
	uint32_t header_bytes;
	uint32_t columns;
	uint32_t rows;
	uint16_t pixel; /* 0: raw (R64), not unpacked */
};

static int digits(const uint8_t *at, unsigned int count, uint32_t *ret_v)
{
	uint32_t v = 0;

	for (unsigned int i = 0; i < count; i++) {
		if (!isdigit(at[i]))
			return -EBADMSG;
		v = v * 10 + (uint32_t)(at[i] - '0');
	}
	*ret_v = v;
	return 0;
}

static int pixel_type(const uint8_t *at, uint16_t *ret_pixel)
{
	static const struct {
		char name[4];
		uint16_t pixel;
	} types[] = {
		{ "U08", SLUICE_PIXEL_U8 },
		{ "U16", SLUICE_PIXEL_U16BE },
		{ "U32", SLUICE_PIXEL_U32BE },
		{ "R64", 0 },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (memcmp(at, types[i].name, 3) == 0) {
			*ret_pixel = types[i].pixel;
			return 0;
		}
	return -EBADMSG;
}

/* "MQ1,FFFFFF,HHHHH,CC,XXXX,YYYY,TTT," */
static int header_read(const uint8_t *at, struct merlin_header *ret_h)
{
	static const uint8_t commas[] = { 3, 10, 16, 19, 24, 29, 33 };
	struct merlin_header h = { 0 };
	uint32_t chips;

	if (memcmp(at, "MQ1", 3) != 0)
		return -EBADMSG;
	for (size_t i = 0; i < sizeof(commas); i++)
		if (at[commas[i]] != ',')
			return -EBADMSG;
	if (digits(at + 4, 6, &h.frame) < 0 || digits(at + 11, 5, &h.header_bytes) < 0 ||
	    digits(at + 17, 2, &chips) < 0 || digits(at + 20, 4, &h.columns) < 0 ||
	    digits(at + 25, 4, &h.rows) < 0 || pixel_type(at + 30, &h.pixel) < 0)
		return -EBADMSG;
	if (h.frame == 0 || h.header_bytes < MERLIN_HEADER_BYTES_MIN ||
	    h.header_bytes > FRAMING_HEADER_BYTES_MAX)
		return -EBADMSG;
	*ret_h = h;
	return 0;
}

static int learn(struct framing_format *format, const uint8_t *bytes, struct sluice_error *reterr)
{
	struct merlin_header h;
	struct sluice_geometry data;

	if (!bytes) {
		format->header_bytes = MERLIN_HEADER_BYTES_ONE;
		return 0;
	}
	if (header_read(bytes, &h) < 0)
		return error_set(reterr, -EBADMSG, "no Merlin header (MQ1,...)");
	if (h.pixel == 0)
		return error_set(reterr, -ENOTSUP,
				 "Merlin raw mode (R64) is not read; record with raw mode off");
	data = (struct sluice_geometry){
		.sectors = 1,
		.layout = format->geometry.layout,
		.rows = (uint16_t)h.rows,
		.columns = (uint16_t)h.columns,
		.pixel = h.pixel,
	};
	format->header_bytes = h.header_bytes;
	return framing_geometry_merge(&format->geometry, &data, reterr);
}

static enum framing_verdict check(const struct framing_format *format, const uint8_t *bytes,
				  struct framing_header *ret_header)
{
	struct merlin_header h;

	if (header_read(bytes, &h) < 0)
		return FRAMING_BAD_MAGIC;
	if (h.header_bytes != format->header_bytes)
		return FRAMING_BAD_LENGTH;
	if (h.columns != format->geometry.columns || h.rows != format->geometry.rows ||
	    h.pixel != format->geometry.pixel)
		return FRAMING_BAD_GEOMETRY;
	if (h.frame - 1 >= format->frames)
		return FRAMING_BAD_SCAN;
	*ret_header = (struct framing_header){ .frame = h.frame - 1 };
	return FRAMING_OK;
}

static void anchor(const struct framing_format *format, struct framing_anchor *ret_anchor)
{
	(void)format;
	*ret_anchor =
		(struct framing_anchor){ .offset = 0, .len = 4, .bytes = { 'M', 'Q', '1', ',' } };
}

const struct framing framing_merlin = {
	.name = "merlin-mib",
	.learn_bytes = MERLIN_FIXED_BYTES,
	.learn = learn,
	.check = check,
	.anchor = anchor,
};
