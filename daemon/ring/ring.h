/* SPDX-License-Identifier: MIT */
/*
 * ring/ring.h - the memory of one board, divided into chunks, and who owns each.
 *
 *   free -> filling -> filled -> in flight -> acknowledged -> free
 *
 * A chunk that goes to several links is in flight until the last one lets go. Before the data
 * of each chunk's slot there is headroom, for the part of a block that began in the chunk before.
 * The data area of each chunk starts on a multiple of 4096 bytes.
 *
 * Ownership: ring_open() gives the ring, ring_close() takes it back; nothing may hold a chunk then.
 * Threads:   the *reader* thread takes and fills; each *holder* (one thread each, a sender) lets
 *            go of what was given to it. They meet in atomics only: no lock, no allocation.
 * Errors:    -EINVAL: sizes; -ENOMEM; those of arena_open().
 */
#ifndef RING_RING_H
#define RING_RING_H

#include <stdatomic.h>
#include <stdint.h>

#include <base/numa.h>

struct sluice_error;
struct sluice_wire_block;

enum {
	RING_CHUNKS_MAX = 2048, /* per ring */
	RING_HOLDERS_MAX = 16,  /* links that one chunk may be given to */
};

enum chunk_state {
	CHUNK_FREE = 0,
	CHUNK_FILLING = 1,
	CHUNK_FILLED = 2,
	CHUNK_IN_FLIGHT = 3,
	CHUNK_ACKNOWLEDGED = 4,
	CHUNK_STATE_COUNT
};

struct chunk {
	uint8_t *slot;      /* headroom, then data: the data area starts at slot + headroom */
	uint32_t headroom;  /* bytes before the data area */
	uint32_t capacity;  /* bytes of the data area */
	uint32_t index;     /* of this chunk in its ring */
	uint32_t table_max; /* entries in @table */
	struct sluice_wire_block *table; /* block entries; offsets count from @slot */
	uint32_t block_count;            /* entries used; reader writes while filling */
	_Atomic uint32_t state;          /* enum chunk_state; the owner writes */
	_Atomic uint32_t holders;        /* set of links that have not let go */
};

struct ring_args {
	uint32_t chunks;          /* 2 ... RING_CHUNKS_MAX */
	uint32_t chunk_bytes;     /* data area of each */
	uint32_t headroom_bytes;  /* one block, header included; 0 where blocks never straddle reads
				   */
	uint32_t blocks_max;      /* block entries per chunk */
	struct arena_args memory; /* bytes is computed here */
};

struct ring;

int ring_open(const struct ring_args *args, struct ring **ret_ring, struct sluice_error *reterr);
void ring_close(struct ring *ring);

/* The memory behind all chunks, for registration with io_uring or a NIC. */
const struct arena *ring_arena(const struct ring *ring);
uint32_t ring_chunk_count(const struct ring *ring);
struct chunk *ring_chunk(struct ring *ring, uint32_t index);

/* Reader: the free chunk that was used last (its lines are warm), now filling; NULL when none is
 * free. */
struct chunk *ring_take(struct ring *ring);
/* Reader: an unused chunk goes back: filling -> free. */
void ring_untake(struct ring *ring, struct chunk *chunk);
/* Reader: filling -> filled, with @block_count entries in its table. */
void ring_filled(struct ring *ring, struct chunk *chunk, uint32_t block_count);
/* Reader: filled -> in flight, held by the links in the set @holders (bit i: link i; not 0). */
void ring_give(struct ring *ring, struct chunk *chunk, uint32_t holders);
/* Reader: filled -> free, for a chunk with nothing to send. */
void ring_discard(struct ring *ring, struct chunk *chunk);
/* Holder @holder: lets go. The last one makes it acknowledged; ring_take() finds it free later. */
void ring_release(struct ring *ring, struct chunk *chunk, unsigned int holder);

/*
 * Reader: takes home what holders let go of, and gives how many chunks are not free then. 0 when
 * nobody holds any.
 */
uint32_t ring_collect(struct ring *ring);

/* Any thread: how many chunks are in each state just now (a snapshot, not a cut in time). */
void ring_occupancy(const struct ring *ring, uint32_t ret_count[CHUNK_STATE_COUNT]);

#endif /* RING_RING_H */
