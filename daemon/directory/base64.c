/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <directory/base64.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t len)
{
	const uint8_t *in = data;
	char *text = malloc((len + 2) / 3 * 4 + 1);
	char *out = text;

	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i += 3) {
		const size_t left = len - i;
		const uint32_t v = (uint32_t)in[i] << 16 |
				   (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
				   (left > 2 ? in[i + 2] : 0);

		*out++ = alphabet[v >> 18];
		*out++ = alphabet[v >> 12 & 63];
		*out++ = left > 1 ? alphabet[v >> 6 & 63] : '=';
		*out++ = left > 2 ? alphabet[v & 63] : '=';
	}
	*out = '\0';
	return text;
}

/* 0 ... 63, or -1. */
static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

int base64_decode(const char *text, size_t len, char **ret_data, size_t *ret_len)
{
	size_t padding = 0, digits, n = 0;
	uint32_t v = 0;
	char *data;

	if (len % 4 != 0)
		return -EINVAL;
	while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
		padding++;
	digits = len - padding;
	data = malloc(len / 4 * 3 + 1);
	if (!data)
		return -ENOMEM;
	for (size_t i = 0; i < digits; i++) {
		const int d = digit_value(text[i]);

		if (d < 0) {
			free(data);
			return -EINVAL;
		}
		v = v << 6 | (uint32_t)d;
		if (i % 4 == 3) {
			data[n++] = (char)(v >> 16 & 0xff);
			data[n++] = (char)(v >> 8 & 0xff);
			data[n++] = (char)(v & 0xff);
		}
	}
	if (padding == 1) {
		data[n++] = (char)(v >> 10 & 0xff);
		data[n++] = (char)(v >> 2 & 0xff);
	} else if (padding == 2) {
		data[n++] = (char)(v >> 4 & 0xff);
	}
	data[n] = '\0';
	*ret_data = data;
	*ret_len = n;
	return 0;
}
