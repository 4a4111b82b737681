/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <scan/json.h>

int json_get_u64(const json_t *object, const char *key, struct json_range range, uint64_t *ret_v,
		 struct sluice_error *reterr)
{
	const json_t *value = json_object_get(object, key);
	json_int_t v;

	if (!json_is_integer(value))
		return error_set(reterr, -EBADMSG, "\"%s\" is missing or no whole number", key);
	v = json_integer_value(value);
	if (v < 0 || (uint64_t)v < range.min || (uint64_t)v > range.max)
		return error_set(reterr, -EBADMSG,
				 "\"%s\" is %" JSON_INTEGER_FORMAT "; allowed: %" PRIu64
				 " to %" PRIu64,
				 key, v, range.min, range.max);
	*ret_v = (uint64_t)v;
	return 0;
}

int json_get_text(const json_t *object, const char *key, char *dst, size_t size,
		  struct sluice_error *reterr)
{
	const char *text = json_string_value(json_object_get(object, key));
	size_t len;

	if (!text)
		return error_set(reterr, -EBADMSG, "\"%s\" is missing or no text", key);
	len = strlen(text);
	if (len == 0 || len >= size)
		return error_set(reterr, -EBADMSG, "\"%s\" has %zu bytes; allowed: 1 to %zu", key,
				 len, size - 1);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return error_set(reterr, -EBADMSG, "\"%s\" holds a control character", key);
	}
	memcpy(dst, text, len + 1);
	return 0;
}

int json_get_name(const json_t *object, const char *key, char *dst, size_t size,
		  struct sluice_error *reterr)
{
	const char *text = json_string_value(json_object_get(object, key));

	for (; text && *text; text++) {
		if (*text <= ' ' || *text > '~')
			return error_set(reterr, -EBADMSG,
					 "\"%s\" is not of printable ASCII without blanks", key);
	}
	return json_get_text(object, key, dst, size, reterr);
}

int json_get_array(const json_t *object, const char *key, size_t max, json_t **ret_array,
		   struct sluice_error *reterr)
{
	json_t *array = json_object_get(object, key);

	if (!json_is_array(array))
		return error_set(reterr, -EBADMSG, "\"%s\" is missing or no list", key);
	if (json_array_size(array) > max)
		return error_set(reterr, -EBADMSG, "\"%s\" has %zu elements; allowed: up to %zu",
				 key, json_array_size(array), max);
	*ret_array = array;
	return 0;
}

int json_get_choice(const json_t *object, const char *key, const char *const *names,
		    unsigned int *ret_index, struct sluice_error *reterr)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (!text)
		return error_set(reterr, -EBADMSG, "\"%s\" is missing or no text", key);
	for (unsigned int i = 0; names[i]; i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret_index = i;
			return 0;
		}
	}
	return error_set(reterr, -EBADMSG, "\"%s\" is \"%.40s\", which is not known", key, text);
}
