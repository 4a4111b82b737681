/* SPDX-License-Identifier: MIT */
/*
 * base/numa.h - processors and memory nodes, and memory that lies where it should.
 *
 * Ownership: arena_open() gives memory, arena_close() takes it back.
 * Threads:   any; one at a time per arena.
 * Errors:    -errno with @reterr naming the node or the limit, and the command that mends it.
 */
#ifndef BASE_NUMA_H
#define BASE_NUMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sluice_error;

enum {
	NODE_ANY = -1
}; /* no node is known or asked for */

/* Nodes of this machine, at least 1; 1 where the kernel has no NUMA. */
unsigned int node_count(void);
/* Pins the calling thread to the processors of @node; NODE_ANY pins nothing. -ENODEV: no such node.
 */
int thread_pin_to_node(int node, struct sluice_error *reterr);

struct arena_args {
	size_t bytes;             /* rounded up to whole pages */
	int node;                 /* memory node, or NODE_ANY */
	uint64_t huge_page_bytes; /* 0: ordinary pages; else 2 MiB or 1 GiB pages are tried first */
	bool allow_wrong_node;    /* pages found on another node are then a note, not an error */
	bool allow_ordinary_pages; /* fall back to ordinary pages where huge ones are short; those
				      the kernel may put together to transparent huge pages */
	bool allow_unlocked;       /* go on where memlock is too small */
};

struct arena {
	uint8_t *base;
	size_t bytes;
	uint64_t page_bytes; /* what was got: 4 KiB, 2 MiB or 1 GiB */
	int node;            /* as verified page by page, NODE_ANY if not bound */
	bool locked;
	char note[512]; /* what is lacking and the command that gives it; "" when nothing is */
};

/*
 * Maps, binds to the node before first touch, zeroes, locks, verifies with move_pages().
 * -ENOMEM: no memory. -EPERM: memlock. -EXDEV: pages on the wrong node.
 */
int arena_open(const struct arena_args *args, struct arena *ret_arena, struct sluice_error *reterr);
void arena_close(struct arena *arena);

#endif /* BASE_NUMA_H */
