/* SPDX-License-Identifier: MIT */
/*
 * acquire/acquisition.h: opening unwinds from every step; and what the architecture promises of a
 * scan that runs: reader and senders neither allocate nor lock.
 *
 * The counters see the calls of Sluice's own code. What libzmq does inside its shared object is not
 * wrapped and out of their scope.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include <sluice/error.h>

#include "support/acquire_rig.h"

static _Thread_local bool is_test; /* cmocka's thread; the others are reader and senders */
static atomic_bool running;        /* between the run and the end of a scan */
static atomic_uint allocations, locks;

static bool armed;
static int fault_in; /* this step from now fails; negative: none */
static atomic_int live;

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's --wrap makes these names */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t line, size_t size);
void *__wrap_aligned_alloc(size_t line, size_t size);
void __real_free(void *p);
void __wrap_free(void *p);
int __real_eventfd(unsigned int count, int flags);
int __wrap_eventfd(unsigned int count, int flags);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
			  void *arg);
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);

static bool fails(void)
{
	return is_test && armed && fault_in-- == 0;
}

static void count_allocation(void)
{
	if (!is_test && atomic_load(&running))
		atomic_fetch_add(&allocations, 1);
	else if (is_test && armed)
		atomic_fetch_add(&live, 1);
}

void *__wrap_malloc(size_t size)
{
	if (fails())
		return NULL;
	count_allocation();
	return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	if (fails())
		return NULL;
	count_allocation();
	return __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	count_allocation();
	return __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t line, size_t size)
{
	if (fails())
		return NULL;
	count_allocation();
	return __real_aligned_alloc(line, size);
}

void __wrap_free(void *p)
{
	if (!is_test && atomic_load(&running))
		atomic_fetch_add(&allocations, 1);
	else if (is_test && armed && p)
		atomic_fetch_sub(&live, 1);
	__real_free(p);
}

int __wrap_eventfd(unsigned int count, int flags)
{
	if (!fails())
		return __real_eventfd(count, flags);
	errno = EMFILE;
	return -1;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
			  void *arg)
{
	return fails() ? EAGAIN : __real_pthread_create(thread, attr, main, arg);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	if (!is_test && atomic_load(&running))
		atomic_fetch_add(&locks, 1);
	return __real_pthread_mutex_lock(mutex);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static int setup(void **state)
{
	is_test = true;
	*state = calloc(1, sizeof(struct rig));
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* Chunks, gaps, voids, resends and rejects: every path that a frame can take. */
static void reader_and_senders_neither_allocate_nor_lock(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 900, 2);
	for (uint32_t f = 0; f < 800; f += 16)
		rig_fill(rig, f, 13);
	rig->script.end = SOURCE_END_CUT;
	rig_open(rig, true);
	rig->aggregator[1].hold = true;
	atomic_store(&running, true);
	acquisition_run(rig->acquisition);
	while (rig->aggregator[1].run[3].last_parts == 0)
		rig_turn(rig);
	rig_nack(rig, 1, 3);
	while (rig->aggregator[1].run[3].resent == 0)
		rig_turn(rig);
	rig_ack_all(rig, 1);
	rig_scan(rig);
	atomic_store(&running, false);
	rig_expect_whole(rig);
	assert_int_equal(atomic_load(&rig->acquisition->stats.blocks), 650);
	assert_int_equal(atomic_load(&allocations), 0);
	assert_int_equal(atomic_load(&locks), 0);
	rig_close(rig);
}

static void opening_unwinds_from_every_step(void **state)
{
	struct rig *rig = *state;
	struct acquisition *opened = NULL;
	struct acquisition_args args;
	unsigned int step = 0;
	int ret;

	rig_init(rig, 40, 2);
	rig_open(rig, true);
	args = rig->acquisition->args;
	args.plan = &rig->plan;
	args.id = "server/other";
	do {
		struct sluice_error error = { "" };

		atomic_store(&live, 0);
		armed = true;
		fault_in = (int)step;
		ret = acquisition_open(&args, &opened, &error);
		armed = false;
		if (ret < 0) {
			assert_true(ret == -ENOMEM || ret == -EMFILE || ret == -EAGAIN);
			assert_int_equal(atomic_load(&live), 0);
			assert_true(error.text[0] != '\0');
			assert_null(opened);
		}
		assert_true(step++ < 64);
	} while (ret < 0);
	/* The structure, its plan, its tally, its eventfd, its thread; and those of the outlets. */
	assert_true(step > 15);
	acquisition_close(opened);
	acquisition_close(NULL);
	rig_close(rig);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(reader_and_senders_neither_allocate_nor_lock),
		cmocka_unit_test(opening_unwinds_from_every_step),
	};

	return cmocka_run_group_tests(suite, setup, teardown);
}
