/* SPDX-License-Identifier: MIT */
/* base/parse.h: the whole string is a number within its limits, or the output stays untouched. */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <base/parse.h>

static const uint64_t UNTOUCHED = 4711;

static void u64_accepts(void **state)
{
	static const struct {
		const char *s;
		uint64_t v;
	} cases[] = {
		{ "0", 0 },
		{ "7", 7 },
		{ "010", 10 }, /* no octal */
		{ "0x1f", 31 },
		{ "0XfF", 255 },
		{ "18446744073709551615", UINT64_MAX },
		{ "0xffffffffffffffff", UINT64_MAX },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t v = UNTOUCHED;

		assert_int_equal(parse_u64(cases[i].s, 0, UINT64_MAX, &v), 0);
		assert_true(v == cases[i].v);
	}
}

static void u64_refuses(void **state)
{
	static const char *const cases[] = { "",   " 1",  "1 ",   "-1", "+1", "1k",  "0x",  "x1",
					     "1.", "1e3", "0x-1", "--", "f",  "1\n", "0x 1" };

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t v = UNTOUCHED;

		assert_int_equal(parse_u64(cases[i], 0, UINT64_MAX, &v), -EINVAL);
		assert_true(v == UNTOUCHED);
	}
}

static void u64_keeps_its_limits(void **state)
{
	uint64_t v = UNTOUCHED;

	(void)state;
	assert_int_equal(parse_u64("4", 5, 7, &v), -ERANGE);
	assert_int_equal(parse_u64("8", 5, 7, &v), -ERANGE);
	assert_int_equal(parse_u64("18446744073709551616", 0, UINT64_MAX, &v), -ERANGE);
	assert_int_equal(parse_u64("0x10000000000000000", 0, UINT64_MAX, &v), -ERANGE);
	assert_true(v == UNTOUCHED);
	assert_int_equal(parse_u64("5", 5, 7, &v), 0);
	assert_int_equal(parse_u64("7", 5, 7, &v), 0);
	assert_true(v == 7);
}

static void f64_accepts(void **state)
{
	static const struct {
		const char *s;
		double v;
	} cases[] = {
		{ "0", 0 },       { "28.5", 28.5 }, { "1e3", 1000 }, { "1E-2", 0.01 },
		{ "2.5e+1", 25 }, { "-2", -2 },     { "00.5", 0.5 },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		double v = NAN;

		assert_int_equal(parse_f64(cases[i].s, -1e6, 1e6, &v), 0);
		assert_true(v == cases[i].v);
	}
}

static void f64_refuses(void **state)
{
	static const char *const cases[] = { "",    " 1",  "1 ", "inf",  "nan",     "0x1p3",
					     "1e",  "1e+", ".5", "5.",   "+1",      "-",
					     "1,5", "--1", "1d", "1e5.", "INFINITY" };

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		double v = 3.25;

		assert_int_equal(parse_f64(cases[i], -1e300, 1e300, &v), -EINVAL);
		assert_true(v == 3.25);
	}
}

static void f64_keeps_its_limits(void **state)
{
	double v = 3.25;

	(void)state;
	assert_int_equal(parse_f64("1e999", -INFINITY, INFINITY, &v), -ERANGE);
	assert_int_equal(parse_f64("-0.5", 0, 1, &v), -ERANGE);
	assert_int_equal(parse_f64("1.0001", 0, 1, &v), -ERANGE);
	assert_int_equal(parse_f64("0.5", NAN, 1, &v), -ERANGE);
	assert_true(v == 3.25);
	assert_int_equal(parse_f64("1", 0, 1, &v), 0);
	assert_true(v == 1);
}

/* The user's program may live in a locale with a decimal comma, where strtod() stops at a point. */
static unsigned int locale_numbers;

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's --wrap makes these names */
double __wrap_strtod(const char *s, char **end);
double __real_strtod_l(const char *s, char **end, locale_t locale);
double __wrap_strtod_l(const char *s, char **end, locale_t locale);

double __wrap_strtod(const char *s, char **end)
{
	(void)end;
	fail_msg("\"%s\" is read by the user's locale", s);
	return 0;
}

double __wrap_strtod_l(const char *s, char **end, locale_t locale)
{
	assert_string_equal(nl_langinfo_l(RADIXCHAR, locale), ".");
	locale_numbers++;
	return __real_strtod_l(s, end, locale);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static void f64_has_a_point_in_every_locale(void **state)
{
	double v = 0;

	(void)state;
	locale_numbers = 0;
	assert_int_equal(parse_f64("28.5", 0, 100, &v), 0);
	assert_true(v == 28.5);
	assert_int_equal(locale_numbers, 1);
}

static void size_is_two_numbers(void **state)
{
	static const struct {
		const char *s;
		int ret;
	} refused[] = {
		{ "", -EINVAL },
		{ "64", -EINVAL },
		{ "64x", -EINVAL },
		{ "x48", -EINVAL },
		{ "64x48x2", -EINVAL },
		{ "64 x48", -EINVAL },
		{ "-1x5", -EINVAL },
		{ "5x-1", -EINVAL },
		{ "64X48", -EINVAL },
		{ "3x0x10", -EINVAL },
		{ "0x5", -ERANGE },
		{ "5x0", -ERANGE },
		{ "101x5", -ERANGE },
		{ "5x101", -ERANGE },
		{ "4294967297x1", -ERANGE },
		{ "99999999999999999999x1", -ERANGE },
	};
	uint32_t columns = 4711, rows = 4711;

	(void)state;
	for (unsigned int i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_int_equal(parse_size(refused[i].s, 100, &columns, &rows), refused[i].ret);
		assert_int_equal(columns, 4711);
		assert_int_equal(rows, 4711);
	}
	assert_int_equal(parse_size("64x48", 100, &columns, &rows), 0);
	assert_int_equal(columns, 64);
	assert_int_equal(rows, 48);
	assert_int_equal(parse_size("4294967295x1", UINT32_MAX, &columns, &rows), 0);
	assert_true(columns == UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(u64_accepts),
		cmocka_unit_test(u64_refuses),
		cmocka_unit_test(u64_keeps_its_limits),
		cmocka_unit_test(f64_accepts),
		cmocka_unit_test(f64_refuses),
		cmocka_unit_test(f64_keeps_its_limits),
		cmocka_unit_test(f64_has_a_point_in_every_locale),
		cmocka_unit_test(size_is_two_numbers),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
