/* SPDX-License-Identifier: MIT */
/* Any bytes as a configuration: refused with a line of text and nothing touched, or within limits.
 */
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <base/error.h>
#include <support/config_example.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct example *v)
{
	assert(memchr(v->name, '\0', sizeof(v->name)));
	assert(strlen(v->name) >= 1 && strlen(v->name) <= 6);
	assert(v->bytes >= 1);
	assert(v->chunks >= 2 && v->chunks <= 2048);
	assert(v->node >= -1 && v->node <= 7);
	assert(v->rate >= 0 && v->rate <= 1e5);
	assert(v->policy < 3);
	assert(v->peer_count <= PEERS_MAX);
	for (unsigned int i = 0; i < v->peer_count; i++)
		assert(memchr(v->peers[i], '\0', sizeof(v->peers[i])));
	assert(v->board_count <= BOARDS_MAX);
	for (unsigned int i = 0; i < v->board_count; i++) {
		assert(memchr(v->boards[i].source, '\0', sizeof(v->boards[i].source)));
		assert(v->boards[i].source[0] != '\0');
		assert(v->boards[i].sector <= 3);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sluice_error e = { "" };
	struct example before, v;
	int ret;

	example_defaults(&before);
	example_defaults(&v);
	ret = config_parse("f", (const char *)data, size, example_rows, &v, &e);
	if (ret == 0) {
		assert(e.text[0] == '\0');
		check(&v);
		return 0;
	}
	assert(ret == -EINVAL);
	assert(strncmp(e.text, "f:", 2) == 0);
	assert(!strpbrk(e.text, "\n\r\x1b"));
	/* Padding included: both were zeroed. */
	assert(memcmp((const char *)&v, (const char *)&before, sizeof(v)) == 0);
	return 0;
}
