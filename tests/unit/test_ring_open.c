/* SPDX-License-Identifier: MIT */
/* ring/ring.h: the layout of the memory, and an open that leaves nothing behind when it fails. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <base/error.h>
#include <ring/ring.h>
#include <sluice/wire.h>

static const struct ring_args good = {
	.chunks = 5,
	.chunk_bytes = 10000,
	.headroom_bytes = 5000,
	.blocks_max = 7,
	.memory = { .node = NODE_ANY, .allow_unlocked = true },
};

static int fault_in; /* this step from now fails; negative: none */
static int live;     /* allocations and mappings that were not given back */

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's --wrap makes these names */
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void __real_free(void *p);
void __wrap_free(void *p);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *addr, size_t len);
int __wrap_munmap(void *addr, size_t len);

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	if (fault_in-- == 0)
		return NULL;
	live++;
	return __real_aligned_alloc(align, size);
}

void __wrap_free(void *p)
{
	live -= p != NULL;
	__real_free(p);
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (fault_in-- == 0) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	live++;
	return __real_mmap(addr, len, prot, flags, fd, offset);
}

int __wrap_munmap(void *addr, size_t len)
{
	live--;
	return __real_munmap(addr, len);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static int reset(void **state)
{
	(void)state;
	fault_in = -1;
	live = 0;
	return 0;
}

static void open_unwinds_from_every_step(void **state)
{
	struct ring *ring = NULL;

	(void)state;
	for (int nth = 0; nth < 4; nth++) {
		struct sluice_error e = { "" };

		fault_in = nth;
		assert_int_equal(ring_open(&good, &ring, &e), -ENOMEM);
		assert_null(ring);
		assert_true(strlen(e.text) > 0);
		assert_int_equal(live, 0);
	}
	fault_in = 4;
	assert_int_equal(ring_open(&good, &ring, NULL), 0);
	ring_close(ring);
	assert_int_equal(live, 0);
	assert_int_equal(fault_in, 4 - 4);
	ring_close(NULL);
}

static void slots_and_tables_do_not_overlap(void **state)
{
	static const uint32_t headrooms[] = { 0, 1, 64, 4096, 5000 };

	(void)state;
	for (unsigned int h = 0; h < sizeof(headrooms) / sizeof(headrooms[0]); h++) {
		struct ring_args args = good;
		const uint8_t *end;
		const struct sluice_wire_block *table_end = NULL;
		struct ring *ring;

		args.headroom_bytes = headrooms[h];
		assert_int_equal(ring_open(&args, &ring, NULL), 0);
		assert_int_equal(ring_chunk_count(ring), args.chunks);
		end = ring_arena(ring)->base;
		for (uint32_t i = 0; i < args.chunks; i++) {
			const struct chunk *c = ring_chunk(ring, i);

			assert_int_equal(c->index, i);
			assert_int_equal(c->headroom, args.headroom_bytes);
			assert_int_equal(c->capacity, args.chunk_bytes);
			assert_int_equal(c->table_max, args.blocks_max);
			assert_int_equal((uintptr_t)(c->slot + c->headroom) % 4096, 0);
			assert_true(c->slot >= end);
			end = c->slot + c->headroom + c->capacity;
			assert_true(!table_end || c->table >= table_end);
			table_end = c->table + c->table_max;
		}
		assert_true(end <= ring_arena(ring)->base + ring_arena(ring)->bytes);
		/* A sanitizer sees one byte too far. */
		memset(ring_chunk(ring, 0)->table, 0xff,
		       args.chunks * args.blocks_max * sizeof(struct sluice_wire_block));
		ring_close(ring);
	}
}

static void bad_sizes_are_refused(void **state)
{
	static const struct {
		uint32_t chunks, chunk_bytes, headroom_bytes, blocks_max;
	} bad[] = {
		{ 1, 4096, 0, 1 },
		{ RING_CHUNKS_MAX + 1, 4096, 0, 1 },
		{ 2, 0, 0, 1 },
		{ 2, SLUICE_WIRE_PAYLOAD_MAX, 1, 1 },
		{ 2, UINT32_MAX, UINT32_MAX, 1 },
		{ 2, 4096, UINT32_MAX, 1 },
		{ 2, 4096, 0, 0 },
		{ 2, 4096, 0, SLUICE_WIRE_BLOCKS_MAX + 1 },
	};
	struct ring *ring = NULL;

	(void)state;
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ring_args args = good;
		struct sluice_error e = { "" };

		args.chunks = bad[i].chunks;
		args.chunk_bytes = bad[i].chunk_bytes;
		args.headroom_bytes = bad[i].headroom_bytes;
		args.blocks_max = bad[i].blocks_max;
		assert_int_equal(ring_open(&args, &ring, &e), -EINVAL);
		assert_non_null(strstr(e.text, "allowed"));
		assert_null(ring);
	}
	assert_int_equal(live, 0);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test_setup(open_unwinds_from_every_step, reset),
		cmocka_unit_test_setup(slots_and_tables_do_not_overlap, reset),
		cmocka_unit_test_setup(bad_sizes_are_refused, reset),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
