/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdint.h>

#include <base/text.h>

/* Bytes of the UTF-8 sequence at @s (RFC 3629 section 4), 0 if there is none. */
static size_t sequence_length(const uint8_t *s)
{
	uint8_t second_min = 0x80;
	uint8_t second_max = 0xbf;
	size_t len;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (s[0] == 0xe0)
		second_min = 0xa0;
	else if (s[0] == 0xed)
		second_max = 0x9f;
	else if (s[0] == 0xf0)
		second_min = 0x90;
	else if (s[0] == 0xf4)
		second_max = 0x8f;
	if (s[1] < second_min || s[1] > second_max)
		return 0;
	/* The NUL at the end is no continuation: never reads past it. */
	for (size_t i = 2; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	return len;
}

void text_one_line(char *s)
{
	uint8_t *p = (uint8_t *)s;

	while (*p != '\0') {
		const size_t len = sequence_length(p);

		if (len == 0 || *p < 0x20 || *p == 0x7f) {
			*p++ = '?';
			continue;
		}
		p += len;
	}
}
