/* SPDX-License-Identifier: MIT */
#include "golden_file.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	LINE_MAX_BYTES = 128
};

/* A position in a line, and where the line is, for the message. */
struct cursor {
	const char *at;
	const char *file;
	unsigned int line;
};

static FILE *open_golden(const char *name)
{
	const char *const source = getenv("SLUICE_SOURCE");
	char path[4096];
	FILE *in;

	assert_non_null(source);
	(void)snprintf(path, sizeof(path), "%s/firmware-iface/golden/%s", source, name);
	in = fopen(path, "re");
	if (!in)
		fail_msg("%s: cannot be read", path);
	return in;
}

static void must(bool fact, const struct cursor *c, const char *what)
{
	if (!fact)
		fail_msg("golden/%s:%u: %s", c->file, c->line, what);
}

/* The next line that is no comment, without its end; false at the end of the file. */
static bool next_line(FILE *in, char *line, struct cursor *c)
{
	do {
		size_t len;

		if (!fgets(line, LINE_MAX_BYTES, in))
			return false;
		c->line++;
		len = strlen(line);
		must(len >= 2 && line[len - 1] == '\n', c, "empty, too long, or without an end");
		line[len - 1] = '\0';
		for (const char *p = line; *p; p++)
			must(*p >= ' ' && *p <= '~', c, "not a printable character");
		must(line[len - 2] != ' ', c, "a space at the end");
	} while (line[0] == '#');
	c->at = line;
	return true;
}

/* Exactly lower-case hexadecimal digits up to a space; @ret_digits says how many. */
static uint64_t take_number(struct cursor *c, unsigned int *ret_digits)
{
	uint64_t value = 0;
	unsigned int digits = 0;

	while (isdigit((unsigned char)*c->at) || (*c->at >= 'a' && *c->at <= 'f')) {
		const unsigned int digit = isdigit((unsigned char)*c->at)
						   ? (unsigned int)(*c->at - '0')
						   : (unsigned int)(*c->at - 'a' + 10);

		must(++digits <= 16, c, "more than 64 bits");
		value = value << 4 | digit;
		c->at++;
	}
	must(digits > 0, c, "no lower-case hexadecimal number");
	must(*c->at == ' ', c, "no single space after a number");
	c->at++;
	*ret_digits = digits;
	return value;
}

static void take_mark(struct cursor *c)
{
	must(c->at[0] == '#' && c->at[1] == ' ' && c->at[2] != ' ' && c->at[2] != '\0', c,
	     "no meaning behind the numbers");
	c->at += 2;
}

/* Where the meaning is a plain decimal number, it is that of the value. */
static void check_meaning(const struct cursor *c, const char *meaning, uint64_t value)
{
	char *end;
	unsigned long long said;

	if (strspn(meaning, "0123456789") != strlen(meaning))
		return;
	said = strtoull(meaning, &end, 10);
	must(*end == '\0' && said == value, c, "the meaning is another number");
}

static void take_field(struct cursor *c, struct golden_field *f)
{
	unsigned int digits;
	size_t len;

	f->offset = (uint32_t)take_number(c, &digits);
	must(digits == 4, c, "an offset has four digits");
	f->value = take_number(c, &digits);
	must(digits == 2 || digits == 4 || digits == 8 || digits == 16, c,
	     "a value has 8, 16, 32 or 64 bits");
	f->width = digits / 2;
	must(f->offset % f->width == 0, c, "not aligned to its width");
	take_mark(c);
	len = strcspn(c->at, ":");
	must(len > 0 && len < GOLDEN_NAME_MAX, c, "no name");
	must(c->at[len] == ':' && c->at[len + 1] == ' ' && c->at[len + 2] != '\0', c, "no meaning");
	(void)snprintf(f->name, sizeof(f->name), "%.*s", (int)len, c->at);
	must(strspn(f->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") ==
		     len,
	     c, "no name");
	check_meaning(c, c->at + len + 2, f->value);
}

void golden_read(const char *name, struct golden *ret_golden)
{
	struct golden *const g = ret_golden;
	struct cursor c = { .file = name };
	char line[LINE_MAX_BYTES];
	FILE *const in = open_golden(name);

	memset(g, 0, sizeof(*g));
	while (next_line(in, line, &c)) {
		struct golden_field *const f = &g->field[g->fields];

		must(g->fields < GOLDEN_FIELDS_MAX, &c, "too many fields");
		take_field(&c, f);
		must(f->offset >= g->bytes, &c, "over the field before, or behind it");
		must(f->offset + f->width <= GOLDEN_BYTES_MAX, &c, "beyond the largest file");
		g->gaps += f->offset != g->bytes;
		/* Little-endian, by hand: the headers' own conversions are under test. */
		for (uint32_t i = 0; i < f->width; i++)
			g->image[f->offset + i] = (uint8_t)(f->value >> 8 * i);
		g->bytes = f->offset + f->width;
		g->fields++;
	}
	(void)fclose(in);
	must(g->fields > 0, &c, "no field");
}

void golden_read_table(const char *name, const unsigned int *digits, struct golden_table *ret_table)
{
	struct golden_table *const t = ret_table;
	struct cursor c = { .file = name };
	char line[LINE_MAX_BYTES];
	FILE *const in = open_golden(name);

	memset(t, 0, sizeof(*t));
	while (next_line(in, line, &c)) {
		must(t->rows < GOLDEN_ROWS_MAX, &c, "too many rows");
		for (unsigned int i = 0; digits[i] != 0; i++) {
			unsigned int seen;

			assert_true(i < GOLDEN_COLUMNS_MAX);
			t->row[t->rows][i] = take_number(&c, &seen);
			must(seen == digits[i], &c, "a column of another width");
		}
		take_mark(&c);
		t->rows++;
	}
	(void)fclose(in);
	must(t->rows > 0, &c, "no row");
}

uint64_t golden_value(const struct golden *golden, size_t offset, const char *name, size_t width)
{
	for (unsigned int i = 0; i < golden->fields; i++) {
		const struct golden_field *const f = &golden->field[i];

		if (f->offset != offset)
			continue;
		assert_string_equal(f->name, name);
		assert_int_equal(f->width, width);
		return f->value;
	}
	fail_msg("no field %s at %04zx", name, offset);
	return 0;
}
