/* SPDX-License-Identifier: MIT */
/* Memory that is there when a scan begins: link_reserve() takes it, and the heap keeps it. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <link/link.h>

enum {
	MESSAGE = 1 << 20,
	MESSAGES = 32,
	LARGE = MESSAGE / 2, /* allocations from here on are messages */
	SPARE = 2,
};

static _Atomic unsigned int taken, freed;
static _Atomic int left = -1; /* allocations of messages that succeed; below 0: all */
static unsigned int options;
static bool keeps; /* whether malloc() is the one that mallopt() tunes; a sanitizer's is not */

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's --wrap makes these names */
void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void __real_free(void *memory);
void __wrap_free(void *memory);
int __real_mallopt(int option, int value);
int __wrap_mallopt(int option, int value);

void *__wrap_malloc(size_t bytes)
{
	if (bytes < LARGE)
		return __real_malloc(bytes);
	if (left == 0)
		return NULL;
	if (left > 0)
		left--;
	taken++;
	return __real_malloc(bytes);
}

void __wrap_free(void *memory)
{
	if (memory && malloc_usable_size(memory) >= LARGE)
		freed++;
	__real_free(memory);
}

int __wrap_mallopt(int option, int value)
{
	options++;
	return __real_mallopt(option, value);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static uint64_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	char line[128] = "";
	char *end;
	uint64_t pages;

	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	assert_int_equal(fclose(file), 0);
	(void)strtoull(line, &end, 10); /* the first number is the size */
	pages = strtoull(end, NULL, 10);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int setup(void **state)
{
	(void)state;
	taken = freed = 0;
	left = -1;
	return 0;
}

/* A program whose malloc() is its own: nothing would be kept for it. */
static void nothing_is_taken_where_the_allocator_is_not_tuned(void **state)
{
	void *message;

	(void)state;
	assert_int_equal(link_reserve(MESSAGES, MESSAGE), 0);
	assert_int_equal(taken, 0);
	link_tune_allocator();
	assert_int_equal(options, 4);
	message = malloc(MESSAGE);
	keeps = mallinfo2().uordblks >= MESSAGE;
	free(message);
}

static void without_memory_nothing_is_left_behind(void **state)
{
	(void)state;
	for (left = 0; left < 4; left++) {
		const int there = left;

		taken = freed = 0;
		assert_int_equal(link_reserve(2 * MESSAGES, MESSAGE), -ENOMEM);
		assert_int_equal(taken, there);
		assert_int_equal(freed, there);
		left = there;
	}
}

static void *receive(void *arg)
{
	uint8_t **message = arg;

	for (unsigned int i = 0; i < MESSAGES; i++) {
		message[i] = malloc(MESSAGE);
		if (!message[i])
			return NULL;
		for (size_t at = 0; at < MESSAGE; at += 4096)
			message[i][at] = 1;
	}
	return arg;
}

/* As libzmq does: one thread takes the messages, another lets go of them. */
static void a_full_window_needs_no_more_than_was_reserved(void **state)
{
	const uint64_t before = resident_bytes();
	uint8_t *message[MESSAGES];
	uint64_t reserved;

	(void)state;
	assert_int_equal(link_reserve(MESSAGES, MESSAGE), 0);
	assert_int_equal(taken, MESSAGES + SPARE);
	assert_int_equal(freed, MESSAGES + SPARE);
	reserved = resident_bytes();
	if (keeps)
		assert_true(reserved >= before + (uint64_t)MESSAGES * MESSAGE);
	for (unsigned int round = 0; round < 3; round++) {
		pthread_t thread;
		void *done;

		assert_int_equal(pthread_create(&thread, NULL, receive, message), 0);
		assert_int_equal(pthread_join(thread, &done), 0);
		assert_non_null(done);
		for (unsigned int i = 0; i < MESSAGES; i++)
			free(message[(i * 7) % MESSAGES]);
		if (keeps)
			assert_true(resident_bytes() < reserved + MESSAGE);
	}
}

/* Each scan is armed with the same window: the first one took it. */
static void what_is_there_is_not_taken_again(void **state)
{
	(void)state;
	assert_int_equal(link_reserve(MESSAGES, MESSAGE), 0);
	assert_int_equal(link_reserve(MESSAGES / 2, MESSAGE), 0);
	assert_int_equal(taken, 0);
}

/* malloc() maps those, each anew. */
static void messages_above_32_mib_are_left_alone(void **state)
{
	(void)state;
	assert_int_equal(link_reserve(1, 64 << 20), 0);
	assert_int_equal(taken, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* In this order: tuning and reserving are of the whole process. */
		cmocka_unit_test_setup(nothing_is_taken_where_the_allocator_is_not_tuned, setup),
		cmocka_unit_test_setup(a_full_window_needs_no_more_than_was_reserved, setup),
		cmocka_unit_test_setup(what_is_there_is_not_taken_again, setup),
		cmocka_unit_test_setup(without_memory_nothing_is_left_behind, setup),
		cmocka_unit_test_setup(messages_above_32_mib_are_left_alone, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
