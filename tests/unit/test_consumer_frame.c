/* SPDX-License-Identifier: MIT */
/* sluice_frame_assemble(): every pixel type, both layouts, missing sectors. */
#include <string.h>

#include "consumer_fixture.h"

enum {
	A_SECTORS = 3,
	A_ROWS = 2,
	A_COLUMNS = 5,
	A_PIXELS = A_ROWS * A_COLUMNS,
};

/* Values that show the byte order, and one that 16 bits do not hold. */
static uint32_t value_of(uint16_t pixel, unsigned int sector, unsigned int index)
{
	const uint32_t v = 0x100 * (sector + 1) + index;

	switch (pixel) {
	case SLUICE_PIXEL_U8:
		return 40 * sector + index;
	case SLUICE_PIXEL_U32:
	case SLUICE_PIXEL_U32BE:
		return index == 3 ? 65536 + v : index == 4 ? 65535 : v;
	default:
		return v;
	}
}

static void store(uint16_t pixel, uint8_t *dst, unsigned int index, uint32_t v)
{
	const unsigned int bytes = sluice_pixel_bytes(pixel);
	const bool big = pixel == SLUICE_PIXEL_U16BE || pixel == SLUICE_PIXEL_U32BE;

	for (unsigned int b = 0; b < bytes; b++)
		dst[index * bytes + (big ? bytes - 1 - b : b)] = (uint8_t)(v >> 8 * b);
}

static void check(uint16_t pixel, uint16_t layout, uint32_t mask)
{
	const struct sluice_scan scan = { .geometry = { .sectors = A_SECTORS,
							.layout = layout,
							.rows = A_ROWS,
							.columns = A_COLUMNS,
							.pixel = pixel } };
	uint8_t memory[A_SECTORS][A_PIXELS * 4 + 1];
	uint16_t image[A_SECTORS * A_PIXELS + 1];
	struct sluice_frame frame = { .sector_mask = mask };

	memset(image, 0xee, sizeof(image));
	for (unsigned int s = 0; s < A_SECTORS; s++) {
		for (unsigned int i = 0; i < A_PIXELS; i++)
			store(pixel, memory[s] + 1, i, value_of(pixel, s, i)); /* unaligned */
		frame.sector[s] = mask >> s & 1 ? memory[s] + 1 : NULL;
	}
	sluice_frame_assemble(&scan, &frame, image);
	for (unsigned int s = 0; s < A_SECTORS; s++) {
		for (unsigned int i = 0; i < A_PIXELS; i++) {
			const unsigned int y = i / A_COLUMNS, x = i % A_COLUMNS;
			const unsigned int at = layout == SLUICE_LAYOUT_ROWS
							? (s * A_ROWS + y) * A_COLUMNS + x
							: y * A_SECTORS * A_COLUMNS +
								  s * A_COLUMNS + x;
			const uint32_t v = value_of(pixel, s, i);

			assert_int_equal(image[at], mask >> s & 1 ? (v > 65535 ? 65535 : v) : 0);
		}
	}
	assert_int_equal(image[A_SECTORS * A_PIXELS], 0xeeee);
}

static void test_every_pixel_type_and_layout(void **state)
{
	static const uint16_t pixel[] = { SLUICE_PIXEL_U8, SLUICE_PIXEL_U16, SLUICE_PIXEL_U32,
					  SLUICE_PIXEL_U16BE, SLUICE_PIXEL_U32BE };

	(void)state;
	for (size_t p = 0; p < sizeof(pixel) / sizeof(pixel[0]); p++) {
		for (uint32_t mask = 0; mask < 1 << A_SECTORS; mask++) {
			check(pixel[p], SLUICE_LAYOUT_ROWS, mask);
			check(pixel[p], SLUICE_LAYOUT_COLUMNS, mask);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_pixel_type_and_layout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
