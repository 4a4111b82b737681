/* SPDX-License-Identifier: MIT */
/* model/model.h: a model that cannot be made leaves nothing behind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/mman.h>

#include <model/model.h>

static int fault_in = -1; /* this step from now fails; negative: none */
static int live;          /* allocations and mappings that were not given back */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void __real_free(void *p);
void __wrap_free(void *p);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *addr, size_t len);
int __wrap_munmap(void *addr, size_t len);

void *__wrap_malloc(size_t size)
{
	if (fault_in-- == 0)
		return NULL;
	live++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	if (fault_in-- == 0)
		return NULL;
	live++;
	return __real_calloc(count, size);
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

static void create_unwinds_from_every_step(void **state)
{
	const struct model_args args = {
		.geometry = { .sectors = 2, .rows = 4, .columns = 8, .pixel = SLUICE_PIXEL_U16 },
		.distinct = 3,
		.sectors_served = 3,
	};
	struct model *model = NULL;
	int ret = -ENOMEM;
	int steps = 0;

	(void)state;
	for (; ret == -ENOMEM && steps < 100; steps++) {
		live = 0;
		fault_in = steps;
		ret = model_create(&args, &model, NULL);
		fault_in = -1;
		if (ret == 0)
			break;
		assert_null(model);
		assert_int_equal(live, 0);
	}
	/* The model, its map, garbage, two tables of checksums, and what frames need. */
	assert_int_equal(steps, 9);
	assert_int_equal(ret, 0);
	model_destroy(model);
	assert_int_equal(live, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(create_unwinds_from_every_step) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
