/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include <base/config_internal.h>
#include <base/error.h>
#include <base/parse.h>

size_t config_string_max(const struct config_row *row)
{
	assert(row->size > 1);
	if (row->type != CONFIG_STRING || row->max == 0)
		return row->size - 1;
	assert((size_t)row->max < row->size);
	return (size_t)row->max;
}

static void allowed_choices(const struct config_row *row, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (unsigned int i = 0; row->choices[i] && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "",
					 row->choices[i]);
}

void config_allowed(const struct config_row *row, char *text, size_t size)
{
	switch (row->type) {
	case CONFIG_U64:
		(void)snprintf(text, size, "%" PRIu64 " ... %" PRIu64, (uint64_t)row->min,
			       (uint64_t)row->max);
		break;
	case CONFIG_U32:
	case CONFIG_I32:
		(void)snprintf(text, size, "%" PRId64 " ... %" PRId64, row->min, row->max);
		break;
	case CONFIG_F64:
		(void)snprintf(text, size, "%.9g ... %.9g", row->fmin, row->fmax);
		break;
	case CONFIG_BOOL:
		(void)snprintf(text, size, "true, false");
		break;
	case CONFIG_STRING:
		(void)snprintf(text, size, "a string of %" PRId64 " ... %zu bytes", row->min,
			       config_string_max(row));
		break;
	case CONFIG_CHOICE:
		allowed_choices(row, text, size);
		break;
	case CONFIG_STRINGS:
		(void)snprintf(text, size,
			       "a list of %" PRId64 " ... %" PRId64
			       " strings of 1 ... %zu bytes each",
			       row->min, row->max, config_string_max(row));
		break;
	case CONFIG_LIST:
		(void)snprintf(text, size, "a list of %" PRId64 " ... %" PRId64 " mappings",
			       row->min, row->max);
		break;
	}
}

int config_take_string(const struct config_walk *walk, const yaml_node_t *node, const char *key,
		       const struct config_row *row, char *dest)
{
	/* An element of a list of strings is worth nothing when it is empty. */
	const size_t min = row->type == CONFIG_STRING ? (size_t)row->min : 1;
	const char *text = (const char *)node->data.scalar.value;
	const size_t len = node->data.scalar.length;
	char allowed[CONFIG_ALLOWED_MAX];

	config_allowed(row, allowed, sizeof(allowed));
	if (strlen(text) != len)
		return config_refuse(walk, node, key, "holds a NUL byte", allowed);
	if (len < min)
		return config_refuse(walk, node, key, "too short", allowed);
	if (len > config_string_max(row))
		return config_refuse(walk, node, key, "too long", allowed);
	if (dest)
		memcpy(dest, text, len + 1);
	return 0;
}

static int parse_i32(const char *s, int64_t min, int64_t max, int64_t *ret_v)
{
	const bool negative = s[0] == '-';
	uint64_t v;
	int64_t value;
	int ret = parse_u64(negative ? s + 1 : s, 0, INT32_MAX + UINT64_C(1), &v);

	if (ret < 0)
		return ret;
	value = negative ? -(int64_t)v : (int64_t)v;
	if (value < min || value > max)
		return -ERANGE;
	*ret_v = value;
	return 0;
}

/* -EINVAL: not of that type. -ERANGE: outside the limits. */
static int take_number(const char *s, const struct config_row *row, uint8_t *dest)
{
	double f64;
	int64_t i64;
	uint64_t u64;
	uint32_t u32;
	int32_t i32;
	int ret;

	if (row->type == CONFIG_F64) {
		ret = parse_f64(s, row->fmin, row->fmax, &f64);
		if (ret == 0 && dest)
			memcpy(dest + row->offset, &f64, sizeof(f64));
		return ret;
	}
	if (row->type == CONFIG_I32) {
		assert(row->min >= INT32_MIN && row->max <= INT32_MAX);
		ret = parse_i32(s, row->min, row->max, &i64);
		i32 = ret == 0 ? (int32_t)i64 : 0;
		if (ret == 0 && dest)
			memcpy(dest + row->offset, &i32, sizeof(i32));
		return ret;
	}
	ret = parse_u64(s, (uint64_t)row->min, (uint64_t)row->max, &u64);
	if (ret < 0 || !dest)
		return ret;
	if (row->type == CONFIG_U64) {
		memcpy(dest + row->offset, &u64, sizeof(u64));
		return 0;
	}
	assert(row->max <= UINT32_MAX);
	u32 = (uint32_t)u64;
	memcpy(dest + row->offset, &u32, sizeof(u32));
	return 0;
}

static int take_word(const char *s, const struct config_row *row, uint8_t *dest)
{
	const bool yes = strcmp(s, "true") == 0;
	unsigned int i = 0;

	if (row->type == CONFIG_BOOL) {
		if (!yes && strcmp(s, "false") != 0)
			return -EINVAL;
		if (dest)
			memcpy(dest + row->offset, &yes, sizeof(yes));
		return 0;
	}
	while (row->choices[i] && strcmp(s, row->choices[i]) != 0)
		i++;
	if (!row->choices[i])
		return -ERANGE;
	if (dest)
		memcpy(dest + row->offset, &i, sizeof(i));
	return 0;
}

static const char *type_name(enum config_type type)
{
	switch (type) {
	case CONFIG_F64:
		return "not a decimal number";
	case CONFIG_BOOL:
		return "neither true nor false";
	default:
		return "not a whole number";
	}
}

int config_take_scalar(const struct config_walk *walk, const yaml_node_t *node, const char *key,
		       const struct config_row *row, uint8_t *dest)
{
	const char *s = (const char *)node->data.scalar.value;
	const bool quoted = node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	char allowed[CONFIG_ALLOWED_MAX];
	char what[CONFIG_KEY_MAX];
	int ret;

	if (row->type == CONFIG_STRING)
		return config_take_string(walk, node, key, row,
					  dest ? (char *)dest + row->offset : NULL);
	config_allowed(row, allowed, sizeof(allowed));
	if (strlen(s) != node->data.scalar.length)
		return config_refuse(walk, node, key, "holds a NUL byte", allowed);
	/* A word of a choice is a string; a number or a truth value in quotes is not one. */
	if (quoted && row->type != CONFIG_CHOICE)
		ret = -EINVAL;
	else if (row->type == CONFIG_BOOL || row->type == CONFIG_CHOICE)
		ret = take_word(s, row, dest);
	else
		ret = take_number(s, row, dest);
	if (ret == 0)
		return 0;
	if (ret == -EINVAL)
		(void)snprintf(what, sizeof(what), "%s%.40s%s is %s", quoted ? "\"" : "", s,
			       quoted ? "\"" : "", type_name(row->type));
	else
		(void)snprintf(what, sizeof(what), "%.40s is not allowed", s);
	return config_refuse(walk, node, key, what, allowed);
}
