/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/spsc.h>
#include <ring/ring.h>
#include <sluice/wire.h>

_Static_assert((int)SPSC_SLOTS >= (int)RING_CHUNKS_MAX, "a way home has room for every chunk");
_Static_assert(RING_HOLDERS_MAX < 32, "chunk.holders is a 32-bit set");

enum {
	DATA_ALIGN = 4096 /* O_DIRECT and DMA engines want whole pages */
};

struct ring {
	struct arena arena;
	uint32_t chunks;
	uint32_t
		free_count; /* reader only, as is free[]: a stack, so that warm memory goes first */
	uint32_t free[RING_CHUNKS_MAX];
	struct chunk *chunk;                /* [chunks] */
	struct sluice_wire_block *table;    /* of all chunks */
	struct spsc home[RING_HOLDERS_MAX]; /* holder -> reader: indices of acknowledged chunks */
};

static uint64_t round_up(uint64_t v)
{
	return (v + DATA_ALIGN - 1) / DATA_ALIGN * DATA_ALIGN;
}

static int check_args(const struct ring_args *args, struct sluice_error *reterr)
{
	const uint64_t payload = (uint64_t)args->headroom_bytes + args->chunk_bytes;

	if (args->chunks < 2 || args->chunks > RING_CHUNKS_MAX)
		return error_set(reterr, -EINVAL, "ring: %u chunks; allowed: 2 ... %d",
				 args->chunks, RING_CHUNKS_MAX);
	if (args->chunk_bytes == 0 || payload > SLUICE_WIRE_PAYLOAD_MAX)
		return error_set(reterr, -EINVAL,
				 "ring: chunk of %u bytes behind %u of headroom; allowed: 1 ... %d "
				 "together",
				 args->chunk_bytes, args->headroom_bytes, SLUICE_WIRE_PAYLOAD_MAX);
	if (args->blocks_max == 0 || args->blocks_max > SLUICE_WIRE_BLOCKS_MAX)
		return error_set(reterr, -EINVAL, "ring: %u blocks per chunk; allowed: 1 ... %d",
				 args->blocks_max, SLUICE_WIRE_BLOCKS_MAX);
	return 0;
}

/* The data area of each chunk starts on a page; its headroom ends where that begins. */
static void lay_out(struct ring *ring, const struct ring_args *args)
{
	const uint64_t head = round_up(args->headroom_bytes);
	const uint64_t stride = head + round_up(args->chunk_bytes);

	for (uint32_t i = 0; i < ring->chunks; i++) {
		struct chunk *chunk = &ring->chunk[i];

		chunk->slot = ring->arena.base + i * stride + head - args->headroom_bytes;
		chunk->headroom = args->headroom_bytes;
		chunk->capacity = args->chunk_bytes;
		chunk->index = i;
		chunk->table_max = args->blocks_max;
		chunk->table = ring->table + (size_t)i * args->blocks_max;
		atomic_init(&chunk->state, CHUNK_FREE);
		atomic_init(&chunk->holders, 0);
		/* Downwards, so that chunk 0 is taken first. */
		ring->free[i] = ring->chunks - 1 - i;
	}
	ring->free_count = ring->chunks;
	for (unsigned int i = 0; i < RING_HOLDERS_MAX; i++)
		spsc_init(&ring->home[i]);
}

/* Zeroed by hand and not by calloc(): the pages are then there before the first block is. */
static void *zeroed_alloc(size_t bytes)
{
	const size_t line = 64;
	const size_t whole = (bytes + line - 1) / line * line;
	void *p = aligned_alloc(line, whole);

	if (p)
		memset(p, 0, whole);
	return p;
}

int ring_open(const struct ring_args *args, struct ring **ret_ring, struct sluice_error *reterr)
{
	struct arena_args memory = args->memory;
	struct ring *ring;
	int ret;

	ret = check_args(args, reterr);
	if (ret < 0)
		return ret;
	memory.bytes = (round_up(args->headroom_bytes) + round_up(args->chunk_bytes)) *
		       (uint64_t)args->chunks;

	ring = zeroed_alloc(sizeof(*ring));
	if (!ring)
		return error_set(reterr, -ENOMEM, "ring: no memory for its bookkeeping");
	ring->chunks = args->chunks;

	ring->chunk = zeroed_alloc(args->chunks * sizeof(*ring->chunk));
	if (!ring->chunk) {
		ret = error_set(reterr, -ENOMEM, "ring: no memory for %u chunks", args->chunks);
		goto err_ring;
	}
	ring->table = zeroed_alloc((size_t)args->chunks * args->blocks_max * sizeof(*ring->table));
	if (!ring->table) {
		ret = error_set(reterr, -ENOMEM, "ring: no memory for %u block tables",
				args->chunks);
		goto err_chunk;
	}
	ret = arena_open(&memory, &ring->arena, reterr);
	if (ret < 0)
		goto err_table;

	lay_out(ring, args);
	*ret_ring = ring;
	return 0;

err_table:
	free(ring->table);
err_chunk:
	free(ring->chunk);
err_ring:
	free(ring);
	return ret;
}

void ring_close(struct ring *ring)
{
	if (!ring)
		return;
	arena_close(&ring->arena);
	free(ring->table);
	free(ring->chunk);
	free(ring);
}

const struct arena *ring_arena(const struct ring *ring)
{
	return &ring->arena;
}

uint32_t ring_chunk_count(const struct ring *ring)
{
	return ring->chunks;
}

struct chunk *ring_chunk(struct ring *ring, uint32_t index)
{
	assert(index < ring->chunks);
	return &ring->chunk[index];
}

/*
 * One owner moves a chunk at a time, and hands it over by a single-producer ring, which orders
 * memory. The state itself is only watched by others: relaxed is enough.
 */
static void step(const struct ring *ring, struct chunk *chunk, enum chunk_state from,
		 enum chunk_state to)
{
	assert(chunk->index < ring->chunks);
	assert(chunk == &ring->chunk[chunk->index]);
	assert(atomic_load_explicit(&chunk->state, memory_order_relaxed) == from);
	atomic_store_explicit(&chunk->state, to, memory_order_relaxed);
}

static void push_free(struct ring *ring, uint32_t index)
{
	assert(ring->free_count < ring->chunks);
	ring->free[ring->free_count++] = index;
}

/* Bounded: no more comes home than the ring has chunks, since none is taken meanwhile. */
uint32_t ring_collect(struct ring *ring)
{
	for (unsigned int holder = 0; holder < RING_HOLDERS_MAX; holder++) {
		uint32_t index;

		while (spsc_pop(&ring->home[holder], &index)) {
			step(ring, ring_chunk(ring, index), CHUNK_ACKNOWLEDGED, CHUNK_FREE);
			push_free(ring, index);
		}
	}
	return ring->chunks - ring->free_count;
}

struct chunk *ring_take(struct ring *ring)
{
	struct chunk *chunk;

	(void)ring_collect(ring);
	if (ring->free_count == 0)
		return NULL;
	chunk = ring_chunk(ring, ring->free[--ring->free_count]);
	step(ring, chunk, CHUNK_FREE, CHUNK_FILLING);
	chunk->block_count = 0;
	return chunk;
}

void ring_untake(struct ring *ring, struct chunk *chunk)
{
	step(ring, chunk, CHUNK_FILLING, CHUNK_FREE);
	push_free(ring, chunk->index);
}

void ring_filled(struct ring *ring, struct chunk *chunk, uint32_t block_count)
{
	assert(block_count <= chunk->table_max);
	step(ring, chunk, CHUNK_FILLING, CHUNK_FILLED);
	chunk->block_count = block_count;
}

void ring_give(struct ring *ring, struct chunk *chunk, uint32_t holders)
{
	assert(holders != 0);
	assert(holders >> RING_HOLDERS_MAX == 0);
	assert(atomic_load_explicit(&chunk->holders, memory_order_relaxed) == 0);
	step(ring, chunk, CHUNK_FILLED, CHUNK_IN_FLIGHT);
	/* Release: pairs with the acquire in ring_release(); the chunk is filled. */
	atomic_store_explicit(&chunk->holders, holders, memory_order_release);
}

void ring_discard(struct ring *ring, struct chunk *chunk)
{
	step(ring, chunk, CHUNK_FILLED, CHUNK_FREE);
	push_free(ring, chunk->index);
}

void ring_release(struct ring *ring, struct chunk *chunk, unsigned int holder)
{
	uint32_t before, bit;
	bool pushed;

	assert(holder < RING_HOLDERS_MAX);
	bit = UINT32_C(1) << holder;
	/* Release our reads of the chunk; acquire the other holders', for the reader. */
	before = atomic_fetch_and_explicit(&chunk->holders, ~bit, memory_order_acq_rel);
	assert(before & bit); /* a holder lets go of a chunk once */
	if (before != bit)
		return;
	step(ring, chunk, CHUNK_IN_FLIGHT, CHUNK_ACKNOWLEDGED);
	pushed = spsc_push(&ring->home[holder], chunk->index);
	assert(pushed);
	(void)pushed;
}

void ring_occupancy(const struct ring *ring, uint32_t ret_count[CHUNK_STATE_COUNT])
{
	uint32_t count[CHUNK_STATE_COUNT] = { 0 };

	for (uint32_t i = 0; i < ring->chunks; i++) {
		const uint32_t state = atomic_load_explicit(&ring->chunk[i].state,
							    memory_order_relaxed);

		assert(state < CHUNK_STATE_COUNT);
		count[state]++;
	}
	memcpy(ret_count, count, sizeof(count));
}
