/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <string.h>

#include <base/config_internal.h>

static const char *type_name(enum config_type type)
{
	switch (type) {
	case CONFIG_F64:
		return "decimal number";
	case CONFIG_CHOICE:
		return "one of";
	case CONFIG_BOOL:
	case CONFIG_STRING:
	case CONFIG_STRINGS:
	case CONFIG_LIST:
		return "";
	default:
		return "whole number";
	}
}

/* Values are copied out: a caller's struct may be laid out as it likes. */
static void print_default(const struct config_row *row, const uint8_t *defaults, FILE *out)
{
	const uint8_t *field = defaults + row->offset;
	unsigned int n = 0;
	uint64_t u64;
	uint32_t u32;
	int32_t i32;
	double f64;
	bool yes;

	switch (row->type) {
	case CONFIG_U64:
		memcpy(&u64, field, sizeof(u64));
		(void)fprintf(out, "%" PRIu64, u64);
		break;
	case CONFIG_U32:
		memcpy(&u32, field, sizeof(u32));
		(void)fprintf(out, "%" PRIu32, u32);
		break;
	case CONFIG_I32:
		memcpy(&i32, field, sizeof(i32));
		(void)fprintf(out, "%" PRId32, i32);
		break;
	case CONFIG_F64:
		memcpy(&f64, field, sizeof(f64));
		(void)fprintf(out, "%.9g", f64);
		break;
	case CONFIG_BOOL:
		memcpy(&yes, field, sizeof(yes));
		(void)fputs(yes ? "true" : "false", out);
		break;
	case CONFIG_STRING:
		(void)fprintf(out, "\"%s\"", (const char *)field);
		break;
	case CONFIG_CHOICE:
		memcpy(&n, field, sizeof(n));
		(void)fputs(row->choices[n], out);
		break;
	case CONFIG_STRINGS:
		memcpy(&n, defaults + row->count_offset, sizeof(n));
		(void)fputc('[', out);
		for (unsigned int i = 0; i < n; i++)
			(void)fprintf(out, "%s\"%s\"", i > 0 ? ", " : "",
				      (const char *)field + i * row->size);
		(void)fputc(']', out);
		break;
	case CONFIG_LIST:
		memcpy(&n, defaults + row->count_offset, sizeof(n));
		(void)fprintf(out, "%u elements", n);
		break;
	}
}

static void describe(const struct config_row *rows, const uint8_t *defaults, const char *where,
		     FILE *out)
{
	for (const struct config_row *row = rows; row->key; row++) {
		const char *type = type_name(row->type);
		char allowed[CONFIG_ALLOWED_MAX];
		char below[CONFIG_KEY_MAX];

		config_allowed(row, allowed, sizeof(allowed));
		(void)fprintf(out, "%s%s: %s%s%s; ", where, row->key, type,
			      type[0] != '\0' ? " " : "", allowed);
		if (row->required) {
			(void)fputs("required", out);
		} else {
			(void)fputs("default ", out);
			print_default(row, defaults, out);
		}
		(void)fprintf(out, "\n        %s\n", row->help);
		if (row->type != CONFIG_LIST)
			continue;
		(void)snprintf(below, sizeof(below), "%s%s[].", where, row->key);
		describe(row->rows, defaults + row->offset, below, out);
	}
}

void config_describe(const struct config_row *rows, const void *defaults, void *out)
{
	describe(rows, defaults, "", out);
}
