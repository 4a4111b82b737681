/* SPDX-License-Identifier: MIT */
/* ring/ring.h: one owner at each moment, and every chunk comes home. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/clock.h>
#include <base/spsc.h>
#include <ring/ring.h>

enum {
	CHUNKS = 4,
	BYTES = 4096
};

static int open_ring(void **state)
{
	const struct ring_args args = {
		.chunks = CHUNKS,
		.chunk_bytes = BYTES,
		.headroom_bytes = 64,
		.blocks_max = 8,
		.memory = { .node = NODE_ANY, .allow_unlocked = true },
	};
	struct ring *ring;

	if (ring_open(&args, &ring, NULL) < 0)
		return -1;
	*state = ring;
	return 0;
}

static int close_ring(void **state)
{
	ring_close(*state);
	return 0;
}

static void assert_occupancy(const struct ring *ring, const uint32_t want[CHUNK_STATE_COUNT])
{
	uint32_t got[CHUNK_STATE_COUNT];

	ring_occupancy(ring, got);
	assert_memory_equal(got, want, sizeof(got));
}

static struct chunk *take_and_give(struct ring *ring, uint32_t holders)
{
	struct chunk *c = ring_take(ring);

	assert_non_null(c);
	ring_filled(ring, c, 1);
	ring_give(ring, c, holders);
	return c;
}

static void a_chunk_goes_round(void **state)
{
	struct ring *ring = *state;
	struct chunk *c;

	assert_occupancy(ring, (const uint32_t[]){ 4, 0, 0, 0, 0 });
	c = ring_take(ring);
	assert_int_equal(c->block_count, 0);
	assert_occupancy(ring, (const uint32_t[]){ 3, 1, 0, 0, 0 });
	ring_filled(ring, c, 8);
	assert_int_equal(c->block_count, 8);
	assert_occupancy(ring, (const uint32_t[]){ 3, 0, 1, 0, 0 });
	ring_give(ring, c, 1 << 3);
	assert_occupancy(ring, (const uint32_t[]){ 3, 0, 0, 1, 0 });
	ring_release(ring, c, 3);
	assert_occupancy(ring, (const uint32_t[]){ 3, 0, 0, 0, 1 });
	/* The warm one comes first, and its old entries are gone. */
	assert_ptr_equal(ring_take(ring), c);
	assert_int_equal(c->block_count, 0);
}

static void what_was_let_go_of_is_free_once_collected(void **state)
{
	struct ring *ring = *state;
	struct chunk *a, *b;

	assert_int_equal(ring_collect(ring), 0);
	a = take_and_give(ring, 1 << 2);
	b = take_and_give(ring, 1 << 2 | 1 << 5);
	assert_int_equal(ring_collect(ring), 2);
	ring_release(ring, a, 2);
	ring_release(ring, b, 2);
	assert_occupancy(ring, (const uint32_t[]){ 2, 0, 0, 1, 1 });
	assert_int_equal(ring_collect(ring), 1);
	assert_occupancy(ring, (const uint32_t[]){ 3, 0, 0, 1, 0 });
	ring_release(ring, b, 5);
	assert_int_equal(ring_collect(ring), 0);
	assert_occupancy(ring, (const uint32_t[]){ 4, 0, 0, 0, 0 });
}

static void reader_may_give_back_unused(void **state)
{
	struct ring *ring = *state;
	struct chunk *c = ring_take(ring);

	ring_untake(ring, c);
	assert_occupancy(ring, (const uint32_t[]){ 4, 0, 0, 0, 0 });
	assert_ptr_equal(ring_take(ring), c);
	ring_filled(ring, c, 0);
	ring_discard(ring, c);
	assert_occupancy(ring, (const uint32_t[]){ 4, 0, 0, 0, 0 });
}

static void the_ring_is_bounded(void **state)
{
	struct ring *ring = *state;
	struct chunk *c[CHUNKS];

	for (unsigned int i = 0; i < CHUNKS; i++) {
		c[i] = take_and_give(ring, 1);
		for (unsigned int k = 0; k < i; k++)
			assert_ptr_not_equal(c[i], c[k]);
	}
	assert_null(ring_take(ring));
	ring_release(ring, c[2], 0);
	assert_ptr_equal(ring_take(ring), c[2]);
	assert_null(ring_take(ring));
}

static void the_last_holder_sends_it_home(void **state)
{
	struct ring *ring = *state;
	const unsigned int last = RING_HOLDERS_MAX - 1;
	struct chunk *c = take_and_give(ring, 1 << 0 | 1 << 5 | UINT32_C(1) << last);

	ring_release(ring, c, 5);
	assert_occupancy(ring, (const uint32_t[]){ 3, 0, 0, 1, 0 });
	ring_release(ring, c, 0);
	assert_occupancy(ring, (const uint32_t[]){ 3, 0, 0, 1, 0 });
	ring_release(ring, c, last);
	assert_occupancy(ring, (const uint32_t[]){ 3, 0, 0, 0, 1 });
	assert_ptr_equal(ring_take(ring), c);
}

/* ---- our own bugs end the program: each of these must ---- */

static void release_twice(struct ring *ring)
{
	struct chunk *c = take_and_give(ring, 3);

	ring_release(ring, c, 0);
	ring_release(ring, c, 0);
}

static void release_by_a_stranger(struct ring *ring)
{
	ring_release(ring, take_and_give(ring, 1), 1);
}

static void release_by_nobody(struct ring *ring)
{
	ring_release(ring, take_and_give(ring, 1), RING_HOLDERS_MAX);
}

static void give_to_nobody(struct ring *ring)
{
	(void)take_and_give(ring, 0);
}

static void give_to_too_many(struct ring *ring)
{
	(void)take_and_give(ring, UINT32_C(1) << RING_HOLDERS_MAX);
}

static void give_unfilled(struct ring *ring)
{
	ring_give(ring, ring_take(ring), 1);
}

static void fill_twice(struct ring *ring)
{
	struct chunk *c = ring_take(ring);

	ring_filled(ring, c, 0);
	ring_filled(ring, c, 0);
}

static void fill_beyond_the_table(struct ring *ring)
{
	ring_filled(ring, ring_take(ring), 9);
}

static void untake_in_flight(struct ring *ring)
{
	ring_untake(ring, take_and_give(ring, 1));
}

static void discard_in_flight(struct ring *ring)
{
	ring_discard(ring, take_and_give(ring, 1));
}

static void chunk_beyond_the_ring(struct ring *ring)
{
	(void)ring_chunk(ring, CHUNKS);
}

static void our_bugs_end_the_program(void **state)
{
	static void (*const bugs[])(struct ring *) = {
		release_twice,     release_by_a_stranger, release_by_nobody,
		give_to_nobody,    give_to_too_many,      give_unfilled,
		fill_twice,        fill_beyond_the_table, untake_in_flight,
		discard_in_flight, chunk_beyond_the_ring,
	};

	for (unsigned int i = 0; i < sizeof(bugs) / sizeof(bugs[0]); i++) {
		int status = 0;
		const pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			const struct rlimit no_core = { 0 };

			(void)setrlimit(RLIMIT_CORE, &no_core);
			(void)signal(SIGABRT, SIG_DFL);
			(void)close(STDERR_FILENO);
			bugs[i](*state);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
			fail_msg("bug %u went unnoticed", i);
	}
}

/* ---- a reader and two holders, each a thread ---- */

enum {
	HOLDERS = 2,
	ROUNDS = 50000
};

struct holder {
	struct spsc given; /* reader -> holder */
	struct ring *ring;
	uint64_t seen;
	unsigned int number;
	bool wrong;
};

static _Alignas(64) struct holder holders[HOLDERS];

static void *hold(void *arg)
{
	const uint64_t deadline_ns = now_ns() + 30 * NS_PER_S;
	struct holder *h = arg;

	while (h->seen < ROUNDS && now_ns() < deadline_ns) {
		struct chunk *c;
		uint32_t index;

		if (!spsc_pop(&h->given, &index)) {
			(void)sched_yield();
			continue;
		}
		c = ring_chunk(h->ring, index);
		/* The round is written on the chunk, by the reader, while it was filling. */
		h->wrong |= *(const uint32_t *)(c->slot + c->headroom) != (uint32_t)h->seen;
		h->wrong |= c->block_count != 1 + h->seen % 8;
		ring_release(h->ring, c, h->number);
		h->seen++;
	}
	return NULL;
}

static void two_holders_and_a_reader_share_every_chunk(void **state)
{
	const uint64_t deadline_ns = now_ns() + 30 * NS_PER_S;
	uint32_t count[CHUNK_STATE_COUNT];
	pthread_t thread[HOLDERS];
	struct ring *ring = *state;
	uint32_t round = 0;

	for (unsigned int i = 0; i < HOLDERS; i++) {
		holders[i] = (struct holder){ .ring = ring, .number = i };
		spsc_init(&holders[i].given);
		assert_int_equal(pthread_create(&thread[i], NULL, hold, &holders[i]), 0);
	}
	while (round < ROUNDS && now_ns() < deadline_ns) {
		struct chunk *c = ring_take(ring);
		const uint32_t index = c ? c->index : 0;

		if (!c) {
			(void)sched_yield();
			continue;
		}
		*(uint32_t *)(c->slot + c->headroom) = round;
		ring_filled(ring, c, 1 + round % 8);
		ring_give(ring, c, (1 << HOLDERS) - 1);
		for (unsigned int i = 0; i < HOLDERS; i++)
			assert_true(spsc_push(&holders[i].given, index));
		ring_occupancy(ring, count);
		round++;
	}
	for (unsigned int i = 0; i < HOLDERS; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal(holders[i].seen, ROUNDS);
		assert_false(holders[i].wrong);
	}
	/* Everything came home. */
	for (unsigned int i = 0; i < CHUNKS; i++)
		assert_non_null(ring_take(ring));
	assert_occupancy(ring, (const uint32_t[]){ 0, 4, 0, 0, 0 });
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test_setup_teardown(a_chunk_goes_round, open_ring, close_ring),
		cmocka_unit_test_setup_teardown(what_was_let_go_of_is_free_once_collected,
						open_ring, close_ring),
		cmocka_unit_test_setup_teardown(reader_may_give_back_unused, open_ring, close_ring),
		cmocka_unit_test_setup_teardown(the_ring_is_bounded, open_ring, close_ring),
		cmocka_unit_test_setup_teardown(the_last_holder_sends_it_home, open_ring,
						close_ring),
		cmocka_unit_test_setup_teardown(our_bugs_end_the_program, open_ring, close_ring),
		cmocka_unit_test_setup_teardown(two_holders_and_a_reader_share_every_chunk,
						open_ring, close_ring),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
