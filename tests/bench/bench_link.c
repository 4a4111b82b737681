/* SPDX-License-Identifier: MIT */
/*
 * Moves the same recorded blocks by several ways, one after the other in every round, so that a
 * machine which gets slower or faster meanwhile does so for all of them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/error.h>
#include <sluice/block.h>

#include "bench.h"

enum {
	ROWS_MAX = 16
};

/* NULL: not a pair of processes, but the copying. */
static const struct {
	const char *name;
	const struct bench_pair *pair;
} rows[] = {
	{ "memcpy", NULL },
	{ "tcp", &bench_tcp },
	{ "zmq_chunk", &bench_zmq_chunk },
	{ "zmq_tuned", &bench_zmq_tuned },
	{ "zmq_block", &bench_zmq_block },
	{ "zmq_file_chunk", &bench_zmq_file_chunk },
	{ "zmq_file_block", &bench_zmq_file_block },
	{ "link", &bench_link_alone },
	{ "sluice", &bench_sluice },
	{ "sluice_crc", &bench_sluice_crc },
};

enum {
	ROWS = sizeof(rows) / sizeof(rows[0])
};
_Static_assert((int)ROWS <= (int)ROWS_MAX, "each may be asked for");

static void copy(const struct bench_data *data, unsigned int round)
{
	struct bench_result result = { 0 };
	uint8_t *dst = bench_alloc(data->size);

	memset(dst, 1, data->size);
	result.begin_ns = now_ns();
	for (uint64_t loop = 0; loop < data->loops; loop++) {
		memcpy(dst, data->bytes, data->size);
		/* All of it: nobody reads it here. */
		__asm__ volatile("" : : "r"(dst) : "memory");
	}
	result.end_ns = now_ns();
	result.bytes = data->size * data->loops;
	result.frames = result.bytes / data->block_bytes;
	free(dst);
	bench_print("memcpy", round, &result);
}

/* Reads the file into memory of our own, and so also into the page cache. */
static void load(struct bench_data *data)
{
	struct sluice_block_header header;
	struct stat st;
	uint8_t *bytes;
	const int fd = open(data->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		bench_die("%s: %s", data->path, error_name(neg_errno()));
	data->size = (size_t)st.st_size;
	bytes = bench_alloc(data->size);
	for (size_t at = 0; at < data->size;) {
		const ssize_t n = read(fd, bytes + at, data->size - at);

		if (n <= 0)
			bench_die("%s: cannot be read", data->path);
		at += (size_t)n;
	}
	(void)close(fd);
	data->bytes = bytes;
	if (data->size < sizeof(header))
		bench_die("%s: no block in it", data->path);
	memcpy(&header, bytes, sizeof(header));
	data->block_bytes = sluice_u32(header.payload_bytes) + SLUICE_BLOCK_HEADER_BYTES;
	if (sluice_u32(header.magic) != SLUICE_BLOCK_MAGIC || data->size % data->block_bytes != 0)
		bench_die("%s: not whole blocks of the framing sluice", data->path);
}

static unsigned int find_row(const char *name)
{
	for (unsigned int r = 0; r < ROWS; r++)
		if (strcmp(rows[r].name, name) == 0)
			return r;
	bench_die("--row %s: no such row", name);
}

int main(int argc, char **argv)
{
	struct bench_data data = { .chunk_blocks = 16, .loops = 1, .ring_chunks = 16 };
	unsigned int wanted[ROWS_MAX], count = 0;
	unsigned int rounds = 1;

	for (int i = 1; i + 1 < argc; i += 2) {
		const char *key = argv[i], *value = argv[i + 1];

		if (strcmp(key, "--file") == 0)
			data.path = value;
		else if (strcmp(key, "--loops") == 0)
			data.loops = bench_parse(key, value, 1, BENCH_FRAMES_MAX);
		else if (strcmp(key, "--rounds") == 0)
			rounds = (unsigned int)bench_parse(key, value, 1, BENCH_ROUNDS_MAX);
		else if (strcmp(key, "--chunks") == 0)
			data.ring_chunks = (uint32_t)bench_parse(key, value, 2, 2048);
		else if (strcmp(key, "--row") == 0 && count < ROWS_MAX)
			wanted[count++] = find_row(value);
		else
			bench_die("%s: no such option", key);
	}
	if (!data.path || count == 0)
		bench_die("usage: bench_link --file FILE --row NAME... [--loops N] [--rounds N] "
			  "[--chunks N]");
	load(&data);
	for (unsigned int round = 0; round < rounds; round++) {
		for (unsigned int i = 0; i < count; i++) {
			/* There and back, so that no row always follows the same one. */
			const unsigned int r = wanted[round % 2 ? count - 1 - i : i];

			if (rows[r].pair)
				bench_run(rows[r].pair, &data, round);
			else
				copy(&data, round);
		}
	}
	return 0;
}
