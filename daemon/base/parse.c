/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <base/parse.h>

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret_v)
{
	const bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)s[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, hex ? 16 : 10);
	if (*end != '\0')
		return -EINVAL;
	if (errno != 0 || v < min || v > max)
		return -ERANGE;
	*ret_v = v;
	return 0;
}

/* Passes digits; returns NULL if there is none. */
static const char *skip_digits(const char *s)
{
	const char *const start = s;

	while (isdigit((unsigned char)*s))
		s++;
	return s > start ? s : NULL;
}

/* strtod() takes "inf", "nan", "0x1p3" and leading spaces as well: those are no numbers here. */
static bool is_decimal(const char *s)
{
	s = skip_digits(s[0] == '-' ? s + 1 : s);
	if (s && *s == '.')
		s = skip_digits(s + 1);
	if (s && (*s == 'e' || *s == 'E')) {
		s++;
		s = skip_digits(*s == '-' || *s == '+' ? s + 1 : s);
	}
	return s && *s == '\0';
}

int parse_f64(const char *s, double min, double max, double *ret_v)
{
	locale_t c_locale;
	double v;

	if (!is_decimal(s))
		return -EINVAL;
	/* The user's program may live in a locale with a decimal comma. */
	c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (c_locale == (locale_t)0)
		return -ENOMEM;
	v = strtod_l(s, NULL, c_locale);
	freelocale(c_locale);
	/* Written so that a NaN among the limits refuses. */
	if (!isfinite(v) || !(v >= min && v <= max))
		return -ERANGE;
	*ret_v = v;
	return 0;
}

int parse_size(const char *s, uint32_t max, uint32_t *ret_columns, uint32_t *ret_rows)
{
	char columns_text[16];
	const char *const x = skip_digits(s);
	const size_t len = x ? (size_t)(x - s) : 0;
	uint64_t columns, rows;
	int ret;

	if (!x || *x != 'x' || !skip_digits(x + 1))
		return -EINVAL;
	/* "0x12" would be one hexadecimal number for whoever reads it. */
	if (x[1] == '0' && x[2] == 'x')
		return -EINVAL;
	if (len >= sizeof(columns_text))
		return -ERANGE;
	memcpy(columns_text, s, len);
	columns_text[len] = '\0';
	ret = parse_u64(x + 1, 1, max, &rows);
	if (ret < 0)
		return ret;
	ret = parse_u64(columns_text, 1, max, &columns);
	if (ret < 0)
		return ret;
	*ret_columns = (uint32_t)columns;
	*ret_rows = (uint32_t)rows;
	return 0;
}
