/* SPDX-License-Identifier: MIT */
/*
 * A table with a row of every type, for the tests of base/config.h and its fuzzer.
 *
 * Ownership: none. Threads: any. Errors: none.
 */
#ifndef TESTS_CONFIG_EXAMPLE_H
#define TESTS_CONFIG_EXAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <base/config.h>

enum {
	BOARDS_MAX = 3,
	PEERS_MAX = 2
};

struct example_board {
	char source[16];
	uint32_t sector;
	int32_t node;
};

struct example {
	char name[8];
	uint64_t bytes;
	uint32_t chunks;
	int32_t node;
	double rate;
	bool loop;
	unsigned int policy;
	char peers[PEERS_MAX][8];
	unsigned int peer_count;
	struct example_board boards[BOARDS_MAX];
	unsigned int board_count;
};

static const char *const example_policies[] = { "block", "spill", "drop", NULL };

static const struct config_row example_board_rows[] = {
	{ .key = "source",
	  .type = CONFIG_STRING,
	  .offset = offsetof(struct example_board, source),
	  .size = 16,
	  .min = 1,
	  .required = true,
	  .help = "where blocks come from" },
	{ .key = "sector",
	  .type = CONFIG_U32,
	  .offset = offsetof(struct example_board, sector),
	  .max = 3,
	  .help = "which sector" },
	{ .key = "memory.node",
	  .type = CONFIG_I32,
	  .offset = offsetof(struct example_board, node),
	  .min = -1,
	  .max = 7,
	  .help = "memory node" },
	{ 0 },
};

static const struct config_row example_rows[] = {
	{ .key = "name",
	  .type = CONFIG_STRING,
	  .offset = offsetof(struct example, name),
	  .size = 8,
	  .min = 1,
	  .max = 6,
	  .help = "of this member" },
	{ .key = "ring.bytes",
	  .type = CONFIG_U64,
	  .offset = offsetof(struct example, bytes),
	  .min = 1,
	  .max = -1, /* UINT64_MAX */
	  .help = "size of the ring, bytes" },
	{ .key = "ring.chunks",
	  .type = CONFIG_U32,
	  .offset = offsetof(struct example, chunks),
	  .min = 2,
	  .max = 2048,
	  .help = "chunks in the ring" },
	{ .key = "ring.memory.node",
	  .type = CONFIG_I32,
	  .offset = offsetof(struct example, node),
	  .min = -1,
	  .max = 7,
	  .help = "memory node, -1 for any" },
	{ .key = "rate",
	  .type = CONFIG_F64,
	  .offset = offsetof(struct example, rate),
	  .fmin = 0,
	  .fmax = 1e5,
	  .help = "frames/s" },
	{ .key = "loop",
	  .type = CONFIG_BOOL,
	  .offset = offsetof(struct example, loop),
	  .help = "again from the start" },
	{ .key = "policy",
	  .type = CONFIG_CHOICE,
	  .offset = offsetof(struct example, policy),
	  .choices = example_policies,
	  .help = "when the ring is full" },
	{ .key = "peers",
	  .type = CONFIG_STRINGS,
	  .offset = offsetof(struct example, peers),
	  .size = 8,
	  .count_offset = offsetof(struct example, peer_count),
	  .max = PEERS_MAX,
	  .help = "who else is there" },
	{ .key = "boards",
	  .type = CONFIG_LIST,
	  .offset = offsetof(struct example, boards),
	  .size = sizeof(struct example_board),
	  .count_offset = offsetof(struct example, board_count),
	  .min = 1,
	  .max = BOARDS_MAX,
	  .rows = example_board_rows,
	  .help = "the boards" },
	{ 0 },
};

static inline void example_defaults(struct example *ret_example)
{
	memset(ret_example, 0, sizeof(*ret_example));
	memcpy(ret_example->name, "noname", sizeof("noname"));
	ret_example->bytes = 4096;
	ret_example->chunks = 64;
	ret_example->node = -1;
	ret_example->rate = 100.5;
	ret_example->policy = 2;
	for (unsigned int i = 0; i < BOARDS_MAX; i++)
		ret_example->boards[i].node = -1;
}

#endif /* TESTS_CONFIG_EXAMPLE_H */
