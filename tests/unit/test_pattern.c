/* SPDX-License-Identifier: MIT */
/* model/pattern.h: what the patterns are, and that their checkers see one wrong bit. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <model/pattern.h>

enum {
	BYTES = 1025
};

static void counter_counts_in_little_endian_words(void **state)
{
	const uint8_t want[] = { 0xfe, 0xff, 0xff, 0xff, 0x00, 0x00, 0x01 };
	uint8_t got[sizeof(want)];

	(void)state;
	counter_fill(got, sizeof(got), 0xfffe);
	assert_memory_equal(got, want, sizeof(want));
}

/* Bit by bit, from the definition. */
static void prbs_is_that_of_the_standard(void **state)
{
	uint8_t got[64];
	uint8_t bit[PRBS_BITS + 8 * sizeof(got)];
	const uint32_t start = 0x5a5a1234;

	(void)state;
	prbs_fill(got, sizeof(got), start);
	for (unsigned int i = 0; i < PRBS_BITS; i++)
		bit[i] = start >> i & 1;
	for (unsigned int i = PRBS_BITS; i < sizeof(bit); i++) {
		const unsigned int n = i - PRBS_BITS;

		bit[i] = bit[i - 31] ^ bit[i - 28];
		assert_int_equal(got[n / 8] >> (n % 8) & 1, bit[i]);
	}
}

static void prbs_never_starts_from_zero(void **state)
{
	uint8_t zero[BYTES], one[BYTES];

	(void)state;
	prbs_fill(zero, BYTES, 0x80000000);
	prbs_fill(one, BYTES, 1);
	assert_memory_equal(zero, one, BYTES);
	memset(zero, 0, BYTES);
	assert_true(prbs_check(zero, BYTES) > 0);
}

static void right_bytes_have_no_errors(void **state)
{
	uint8_t bytes[BYTES];

	(void)state;
	for (size_t len = 0; len < BYTES; len += 131) {
		counter_fill(bytes, len, (uint16_t)(len * 977));
		assert_int_equal(counter_check(bytes, len), 0);
		prbs_fill(bytes, len, (uint32_t)len + 1);
		assert_int_equal(prbs_check(bytes, len), 0);
	}
}

static void one_flipped_bit_is_seen_anywhere(void **state)
{
	uint8_t bytes[BYTES];

	(void)state;
	for (size_t bit = 0; bit < 8 * (size_t)BYTES; bit++) {
		counter_fill(bytes, BYTES, 7);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(counter_check(bytes, BYTES) > 0);
		if (bit >= 16)
			assert_int_equal(counter_check(bytes, BYTES), 1);
	}
	prbs_fill(bytes, BYTES, 99);
	for (size_t bit = 0; bit < 8 * (size_t)BYTES; bit += 1 + bit / 64) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(prbs_check(bytes, BYTES) > 0);
		/* Behind the first 31 the count is exact. */
		if (bit >= 31)
			assert_int_equal(prbs_check(bytes, BYTES), 1);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counter_counts_in_little_endian_words),
		cmocka_unit_test(prbs_is_that_of_the_standard),
		cmocka_unit_test(prbs_never_starts_from_zero),
		cmocka_unit_test(right_bytes_have_no_errors),
		cmocka_unit_test(one_flipped_bit_is_seen_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
