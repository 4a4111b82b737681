/* SPDX-License-Identifier: MIT */
/* base/crc32c.h against the vectors of RFC 3720 section B.4 and against the definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <base/crc32c.h>

/* Bit by bit, as the polynomial says (0x1edc6f41, reflected). */
static uint32_t by_definition(const uint8_t *p, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (unsigned int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
	}
	return ~crc;
}

static void gives_the_published_values(void **state)
{
	uint8_t up[32], down[32], zeros[32] = { 0 }, ones[32];

	(void)state;
	memset(ones, 0xff, sizeof(ones));
	for (unsigned int i = 0; i < 32; i++) {
		up[i] = (uint8_t)i;
		down[i] = (uint8_t)(31 - i);
	}
	assert_true(crc32c("123456789", 9) == UINT32_C(0xe3069283));
	assert_true(crc32c("", 0) == 0);
	assert_true(crc32c(zeros, 32) == UINT32_C(0x8a9136aa));
	assert_true(crc32c(ones, 32) == UINT32_C(0x62a8ab43));
	assert_true(crc32c(up, 32) == UINT32_C(0x46dd794e));
	assert_true(crc32c(down, 32) == UINT32_C(0x113fdb5c));
}

static void agrees_with_the_definition_at_every_length_and_alignment(void **state)
{
	uint8_t bytes[700];
	uint32_t x = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++) {
		x = x * UINT32_C(1664525) + UINT32_C(1013904223);
		bytes[i] = (uint8_t)(x >> 24);
	}
	for (size_t start = 0; start < 16; start++) {
		for (size_t len = 0; len < 600; len += 1 + len / 64)
			assert_true(crc32c(bytes + start, len) ==
				    by_definition(bytes + start, len));
	}
}

static void one_flipped_bit_shows(void **state)
{
	uint8_t bytes[64] = { 0 };
	const uint32_t crc = crc32c(bytes, sizeof(bytes));

	(void)state;
	for (unsigned int bit = 0; bit < 8 * sizeof(bytes); bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(crc32c(bytes, sizeof(bytes)) != crc);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(gives_the_published_values),
		cmocka_unit_test(agrees_with_the_definition_at_every_length_and_alignment),
		cmocka_unit_test(one_flipped_bit_shows),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
