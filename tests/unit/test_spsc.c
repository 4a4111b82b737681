/* SPDX-License-Identifier: MIT */
/* base/spsc.h: in order, each once, bounded; between two threads too. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/clock.h>
#include <base/spsc.h>

static struct spsc ring;

static void empty_pops_nothing(void **state)
{
	uint32_t v = 4711;

	(void)state;
	spsc_init(&ring);
	assert_false(spsc_pop(&ring, &v));
	assert_int_equal(v, 4711);
}

static void full_pushes_nothing(void **state)
{
	uint32_t v;

	(void)state;
	spsc_init(&ring);
	for (uint32_t i = 0; i < SPSC_SLOTS; i++)
		assert_true(spsc_push(&ring, i));
	assert_false(spsc_push(&ring, 4711));
	assert_true(spsc_pop(&ring, &v));
	assert_int_equal(v, 0);
	assert_true(spsc_push(&ring, SPSC_SLOTS));
	assert_false(spsc_push(&ring, 4711));
	for (uint32_t i = 1; i <= SPSC_SLOTS; i++) {
		assert_true(spsc_pop(&ring, &v));
		assert_int_equal(v, i);
	}
	assert_false(spsc_pop(&ring, &v));
}

/* After 2^32 pushes the counters wrap; the content must not notice. */
static void counters_may_wrap(void **state)
{
	const uint32_t near_end = UINT32_MAX - SPSC_SLOTS / 2;
	uint32_t v;

	(void)state;
	spsc_init(&ring);
	atomic_store(&ring.head, near_end);
	atomic_store(&ring.tail, near_end);
	for (uint32_t i = 0; i < SPSC_SLOTS; i++)
		assert_true(spsc_push(&ring, i));
	assert_false(spsc_push(&ring, 0));
	for (uint32_t i = 0; i < SPSC_SLOTS; i++) {
		assert_true(spsc_pop(&ring, &v));
		assert_int_equal(v, i);
	}
	assert_false(spsc_pop(&ring, &v));
}

enum {
	NUMBERS = 200000
};

/* What each number stands for is written before it is pushed: TSan watches the hand-over. */
static uint32_t payload[NUMBERS];

static void *produce(void *arg)
{
	const uint64_t deadline_ns = now_ns() + 30 * NS_PER_S;

	(void)arg;
	for (uint32_t i = 0; i < NUMBERS && now_ns() < deadline_ns;) {
		payload[i] = ~i;
		if (spsc_push(&ring, i))
			i++;
		else
			(void)sched_yield();
	}
	return NULL;
}

static void two_threads_keep_order(void **state)
{
	const uint64_t deadline_ns = now_ns() + 30 * NS_PER_S;
	uint32_t expected = 0;
	pthread_t producer;

	(void)state;
	spsc_init(&ring);
	assert_int_equal(pthread_create(&producer, NULL, produce, NULL), 0);
	while (expected < NUMBERS && now_ns() < deadline_ns) {
		uint32_t v;

		if (!spsc_pop(&ring, &v)) {
			(void)sched_yield();
			continue;
		}
		if (v != expected || payload[v] != ~v)
			break;
		expected++;
	}
	assert_int_equal(pthread_join(producer, NULL), 0);
	assert_int_equal(expected, NUMBERS);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(empty_pops_nothing),
		cmocka_unit_test(full_pushes_nothing),
		cmocka_unit_test(counters_may_wrap),
		cmocka_unit_test(two_threads_keep_order),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
