/* SPDX-License-Identifier: MIT */
/* source/framing.h: what a header must be, and what is said of one that is not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <source/framing.h>

#include "source_fixture.h"

static struct framing_format format_of(const char *name)
{
	struct framing_format f;
	struct sluice_error error = { "" };

	if (framing_format_init(&f, framing_find(name), &small_geometry, 1, NULL, &error) < 0)
		fail_msg("%s", error.text);
	f.frames = 100;
	return f;
}

static enum framing_verdict check(const struct framing_format *f, const uint8_t *bytes)
{
	struct framing_header h;

	return f->framing->check(f, bytes, &h);
}

static void test_names(void **state)
{
	(void)state;
	assert_ptr_equal(framing_find("sluice"), &framing_sluice);
	assert_ptr_equal(framing_find("4dcamera-v5"), &framing_4dcamera_v5);
	assert_ptr_equal(framing_find("4dcamera-v4"), &framing_4dcamera_v4);
	assert_ptr_equal(framing_find("merlin-mib"), &framing_merlin);
	assert_null(framing_find("sluic"));
}

static void test_sluice_header(void **state)
{
	const struct framing_format f = format_of("sluice");
	uint8_t block[BLOCK];
	struct framing_header h;

	(void)state;
	assert_int_equal(f.block_bytes, BLOCK);
	block_write(block, SCAN, 42);
	assert_int_equal(f.framing->check(&f, block, &h), FRAMING_OK);
	assert_int_equal(h.frame, 42);
	assert_int_equal(h.scan, SCAN);
	assert_int_equal(h.timestamp_ns, 1042);
}

/* Each field in turn is wrong, under a CRC that holds. */
static void test_sluice_refuses_by_kind(void **state)
{
	static const struct {
		size_t offset;
		enum framing_verdict verdict;
	} rows[] = {
		{ offsetof(struct sluice_block_header, magic), FRAMING_BAD_MAGIC },
		{ offsetof(struct sluice_block_header, version), FRAMING_BAD_MAGIC },
		{ offsetof(struct sluice_block_header, header_bytes), FRAMING_BAD_MAGIC },
		{ offsetof(struct sluice_block_header, scan), FRAMING_BAD_SCAN },
		{ offsetof(struct sluice_block_header, sector), FRAMING_BAD_GEOMETRY },
		{ offsetof(struct sluice_block_header, sector_count), FRAMING_BAD_GEOMETRY },
		{ offsetof(struct sluice_block_header, frame) + 1, FRAMING_BAD_SCAN },
		{ offsetof(struct sluice_block_header, rows), FRAMING_BAD_GEOMETRY },
		{ offsetof(struct sluice_block_header, columns), FRAMING_BAD_GEOMETRY },
		{ offsetof(struct sluice_block_header, pixel), FRAMING_BAD_GEOMETRY },
		{ offsetof(struct sluice_block_header, payload_bytes), FRAMING_BAD_LENGTH },
	};
	struct framing_format f = format_of("sluice");
	uint8_t block[BLOCK];

	(void)state;
	f.scan_known = true;
	f.scan = SCAN;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		block_write(block, SCAN, 5);
		assert_int_equal(check(&f, block), FRAMING_OK);
		block[rows[i].offset] ^= 0x10;
		block_seal(block);
		assert_int_equal(check(&f, block), rows[i].verdict);
	}
	/* Every byte of the header is under the CRC. */
	for (size_t i = 8; i < SLUICE_BLOCK_HEADER_BYTES; i++) {
		block_write(block, SCAN, 5);
		block[i] ^= 1;
		assert_int_equal(check(&f, block), FRAMING_BAD_HEADER_CRC);
	}
}

static void test_sluice_learns_geometry(void **state)
{
	const struct sluice_geometry unknown = { 0 };
	struct sluice_geometry other = small_geometry;
	struct framing_format f;
	uint8_t block[BLOCK];

	(void)state;
	block_write(block, SCAN, 0);
	assert_int_equal(framing_format_init(&f, &framing_sluice, &unknown, 1, block, NULL), 0);
	assert_memory_equal(&f.geometry, &small_geometry, sizeof(small_geometry));
	other.rows++;
	assert_int_equal(framing_format_init(&f, &framing_sluice, &other, 1, block, NULL), -EINVAL);
	assert_int_equal(framing_format_init(&f, &framing_sluice, &unknown, 1, NULL, NULL),
			 -EINVAL);
	assert_int_equal(framing_format_init(&f, &framing_sluice, &small_geometry, 2, NULL, NULL),
			 -EINVAL);
	block[0] = 0;
	assert_int_equal(framing_format_init(&f, &framing_sluice, &unknown, 1, block, NULL),
			 -EBADMSG);
}

static void test_camera_defaults(void **state)
{
	const struct sluice_geometry unknown = { 0 };
	struct sluice_geometry wide = { .pixel = SLUICE_PIXEL_U32 };
	struct framing_format f;

	(void)state;
	assert_int_equal(framing_format_init(&f, &framing_4dcamera_v5, &unknown, 3, NULL, NULL), 0);
	assert_int_equal(f.block_bytes, 165904);
	assert_int_equal(sluice_frame_rows(&f.geometry), 576);
	assert_int_equal(sluice_frame_columns(&f.geometry), 576);
	assert_int_equal(f.geometry.layout, SLUICE_LAYOUT_ROWS);
	assert_int_equal(framing_format_init(&f, &framing_4dcamera_v4, &unknown, 3, NULL, NULL), 0);
	assert_int_equal(f.block_bytes, 165904);
	assert_int_equal(f.geometry.layout, SLUICE_LAYOUT_COLUMNS);
	assert_int_equal(f.geometry.columns, 144);
	assert_int_equal(framing_format_init(&f, &framing_4dcamera_v5, &wide, 3, NULL, NULL),
			 -EINVAL);
}

static void test_camera_header(void **state)
{
	struct framing_format f = format_of("4dcamera-v5");
	uint8_t block[CAMERA_BLOCK];
	struct framing_header h;

	(void)state;
	camera_block_write(block, 20, 9, 5, 4);
	assert_int_equal(f.framing->check(&f, block, &h), FRAMING_OK);
	assert_int_equal(h.frame, 9);
	assert_int_equal(h.scan, 20);
	assert_int_equal(h.scan_columns, 5);
	assert_int_equal(h.scan_rows, 4);
	assert_int_equal(h.position_x, 4);
	assert_int_equal(h.position_y, 1);
	framing_lock(&f, &h);
	block[12] = 5; /* position beside the scan */
	assert_int_equal(check(&f, block), FRAMING_BAD_MAGIC);
	camera_block_write(block, 21, 9, 5, 4);
	assert_int_equal(check(&f, block), FRAMING_BAD_SCAN);
	camera_block_write(block, 20, 100, 5, 4);
	assert_int_equal(check(&f, block), FRAMING_BAD_SCAN);
	camera_block_write(block, 20, 9, 6, 4);
	assert_int_equal(check(&f, block), FRAMING_BAD_GEOMETRY);
	memset(block, 0, sizeof(block));
	assert_int_equal(check(&f, block), FRAMING_BAD_MAGIC);
}

static void merlin(char *dst, const char *start)
{
	memset(dst, 0, 512);
	(void)snprintf(dst, 512, "%s,   1x1,01,2021-05-07", start);
}

static void test_merlin_header(void **state)
{
	static const struct {
		const char *text;
		uint16_t pixel;
	} types[] = {
		{ "MQ1,000008,00384,01,0256,0128,U08", SLUICE_PIXEL_U8 },
		{ "MQ1,000008,00384,01,0256,0128,U16", SLUICE_PIXEL_U16BE },
		{ "MQ1,000008,00768,04,0256,0128,U32", SLUICE_PIXEL_U32BE },
	};
	const struct sluice_geometry unknown = { 0 };
	struct framing_format f;
	struct framing_header h;
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		merlin(text, types[i].text);
		assert_int_equal(framing_format_init(&f, &framing_merlin, &unknown, 0,
						     (const uint8_t *)text, NULL),
				 0);
		assert_int_equal(f.geometry.sectors, 1);
		assert_int_equal(f.geometry.columns, 256);
		assert_int_equal(f.geometry.rows, 128);
		assert_int_equal(f.geometry.pixel, types[i].pixel);
		f.frames = 8;
		assert_int_equal(f.framing->check(&f, (const uint8_t *)text, &h), FRAMING_OK);
		assert_int_equal(h.frame, 7);
		f.frames = 7;
		assert_int_equal(check(&f, (const uint8_t *)text), FRAMING_BAD_SCAN);
	}
}

static void test_merlin_refuses(void **state)
{
	static const struct {
		const char *text;
		enum framing_verdict verdict;
	} rows[] = {
		{ "MQ2,000001,00384,01,0256,0256,U08", FRAMING_BAD_MAGIC },
		{ "MQ1,000000,00384,01,0256,0256,U08", FRAMING_BAD_MAGIC },
		{ "MQ1,00000x,00384,01,0256,0256,U08", FRAMING_BAD_MAGIC },
		{ "MQ1;000001,00384,01,0256,0256,U08", FRAMING_BAD_MAGIC },
		{ "MQ1,000001,-0384,01,0256,0256,U08", FRAMING_BAD_MAGIC },
		{ "MQ1,000001,00001,01,0256,0256,U08", FRAMING_BAD_MAGIC },
		{ "MQ1,000001,99999,01,0256,0256,U08", FRAMING_BAD_MAGIC },
		{ "MQ1,000001,00384,01,0256,0256,U64", FRAMING_BAD_MAGIC },
		{ "MQ1,000001,00768,01,0256,0256,U08", FRAMING_BAD_LENGTH },
		{ "MQ1,000001,00384,01,0512,0256,U08", FRAMING_BAD_GEOMETRY },
		{ "MQ1,000001,00384,01,0256,0512,U08", FRAMING_BAD_GEOMETRY },
		{ "MQ1,000001,00384,01,0256,0256,U16", FRAMING_BAD_GEOMETRY },
	};
	const struct sluice_geometry unknown = { 0 };
	struct framing_format f;
	struct sluice_error error = { "" };
	char text[512];

	(void)state;
	merlin(text, "MQ1,000001,00384,01,0256,0256,U08");
	assert_int_equal(
		framing_format_init(&f, &framing_merlin, &unknown, 0, (const uint8_t *)text, NULL),
		0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		merlin(text, rows[i].text);
		assert_int_equal(check(&f, (const uint8_t *)text), rows[i].verdict);
	}
	merlin(text, "MQ1,000001,00384,01,0256,0256,R64");
	assert_int_equal(framing_format_init(&f, &framing_merlin, &unknown, 0,
					     (const uint8_t *)text, &error),
			 -ENOTSUP);
	assert_non_null(strstr(error.text, "R64"));
	/* A geometry that no detector has. */
	merlin(text, "MQ1,000001,00384,01,0000,0256,U08");
	assert_int_equal(framing_format_init(&f, &framing_merlin, &unknown, 0,
					     (const uint8_t *)text, &error),
			 -EINVAL);
}

/* The first good header is found at every offset; one that is cut off is not. */
static void test_search(void **state)
{
	static const char *const names[] = { "sluice", "4dcamera-v5" };
	uint8_t bytes[4 * BLOCK];

	(void)state;
	for (size_t n = 0; n < 2; n++) {
		struct framing_format f = format_of(names[n]);

		for (size_t at = 0; at + f.header_bytes <= sizeof(bytes) - PAYLOAD; at++) {
			memset(bytes, 'S', sizeof(bytes));
			if (n == 0) {
				block_write(bytes + at, SCAN, 3);
			} else {
				camera_block_write(bytes + at, SCAN, 3, 5, 4);
				f.scan_columns = 5;
				f.scan_rows = 4;
			}
			assert_int_equal(framing_search(&f, bytes, sizeof(bytes)), at);
			assert_int_equal(framing_search(&f, bytes, at + f.header_bytes), at);
			assert_int_equal(framing_search(&f, bytes, at + f.header_bytes - 1),
					 at + f.header_bytes - 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_sluice_header),
		cmocka_unit_test(test_sluice_refuses_by_kind),
		cmocka_unit_test(test_sluice_learns_geometry),
		cmocka_unit_test(test_camera_defaults),
		cmocka_unit_test(test_camera_header),
		cmocka_unit_test(test_merlin_header),
		cmocka_unit_test(test_merlin_refuses),
		cmocka_unit_test(test_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
