/* SPDX-License-Identifier: MIT */
/* Every step of source_open() fails in turn; nothing may be left behind. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>

#include "unit/fake_node.h"
#include "unit/source_fixture.h"

struct io_uring;
struct io_uring_params;
struct iovec;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
int __real_io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
				      struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
				      struct io_uring_params *params);
void __real_io_uring_queue_exit(struct io_uring *ring);
void __wrap_io_uring_queue_exit(struct io_uring *ring);
int __real_io_uring_register_buffers(struct io_uring *ring, const struct iovec *iovecs,
				     unsigned int count);
int __wrap_io_uring_register_buffers(struct io_uring *ring, const struct iovec *iovecs,
				     unsigned int count);

static _Thread_local bool armed;
static int allocations_left;
static bool allocation_failed;
static int live_rings;
static int ring_result;
static int register_result;

static bool allocation_fails(void)
{
	if (!armed || allocations_left-- > 0)
		return false;
	allocation_failed = true;
	return true;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return allocation_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_malloc(size_t size)
{
	return allocation_fails() ? NULL : __real_malloc(size);
}

int __wrap_io_uring_queue_init_params(unsigned int entries, struct io_uring *ring,
				      struct io_uring_params *params)
{
	int ret = ring_result;

	if (ret == 0)
		ret = __real_io_uring_queue_init_params(entries, ring, params);
	if (ret == 0)
		live_rings++;
	return ret;
}

void __wrap_io_uring_queue_exit(struct io_uring *ring)
{
	live_rings--;
	__real_io_uring_queue_exit(ring);
}

int __wrap_io_uring_register_buffers(struct io_uring *ring, const struct iovec *iovecs,
				     unsigned int count)
{
	return register_result ? register_result
			       : __real_io_uring_register_buffers(ring, iovecs, count);
}

static unsigned int open_descriptors(void)
{
	DIR *const dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n;
}

struct setting {
	struct source_fixture f;
	struct fake_board board;
	uint8_t bytes[16 * BLOCK];
};

static int setup(void **state)
{
	struct setting *const s = __real_calloc(1, sizeof(*s));

	source_fixture_init(&s->f, "sluice");
	for (uint64_t i = 0; i < 16; i++)
		block_write(s->bytes + i * BLOCK, SCAN, i);
	source_fixture_file(&s->f, "blocks", s->bytes, sizeof(s->bytes));
	source_fixture_spec(&s->f, "file", "blocks");
	ring_result = 0;
	register_result = 0;
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct setting *const s = *state;

	armed = false;
	if (s->board.listener > 0)
		fake_board_stop(&s->board);
	source_fixture_fini(&s->f);
	assert_int_equal(live_rings, 0);
	free(s);
	return 0;
}

static void expect(struct setting *s, int code, const char *text)
{
	struct sluice_error error = { "" };

	assert_int_equal(source_open(&s->f.args, &s->f.source, &error), code);
	assert_null(s->f.source);
	assert_non_null(strstr(error.text, text));
	assert_int_equal(live_rings, 0);
}

/* The n-th allocation fails, for every n until one open needs no more. */
static void every_allocation_fails(struct setting *s)
{
	const unsigned int before = open_descriptors();
	int n = 0;

	do {
		struct sluice_error error = { "" };
		int ret;

		allocation_failed = false;
		allocations_left = n++;
		armed = true;
		ret = source_open(&s->f.args, &s->f.source, &error);
		armed = false;
		if (allocation_failed && ret < 0) {
			assert_null(s->f.source);
			assert_int_equal(ret, -ENOMEM);
			assert_true(error.text[0] != '\0');
		}
		source_close(s->f.source);
		s->f.source = NULL;
		assert_int_equal(live_rings, 0);
		assert_int_equal(open_descriptors(), before);
	} while (allocation_failed);
	assert_true(n > 3);
}

static void test_file_unwinds(void **state)
{
	every_allocation_fails(*state);
}

static void test_device_unwinds(void **state)
{
	struct setting *const s = *state;

	assert_int_equal(mkfifo(source_fixture_path(&s->f, "fifo"), 0600), 0);
	source_fixture_spec(&s->f, "device", "fifo");
	every_allocation_fails(s);
}

static void test_node_unwinds(void **state)
{
	struct setting *const s = *state;
	struct fake_node node;

	fake_node_init(&node);
	free((void *)(uintptr_t)s->f.args.spec);
	s->f.args.spec = strdup("device:" FAKE_NODE_PATH);
	/* The far end of a pair stays until the next open: there is one from here on. */
	source_fixture_open(&s->f);
	source_close(s->f.source);
	s->f.source = NULL;
	every_allocation_fails(s);
	fake_node_fini(&node);
}

static void test_socket_unwinds(void **state)
{
	struct setting *const s = *state;

	s->board.sector = 1;
	source_fixture_spec(&s->f, "socket", "board");
	fake_board_start(&s->board, source_fixture_path(&s->f, "board"));
	/* Descriptors are not counted: the board's thread has its own, coming and going. */
	for (int n = 0; n < 4; n++) {
		allocations_left = n;
		allocation_failed = false;
		armed = true;
		(void)source_open(&s->f.args, &s->f.source, NULL);
		armed = false;
		assert_true(allocation_failed == (s->f.source == NULL));
		source_close(s->f.source);
		s->f.source = NULL;
		assert_int_equal(live_rings, 0);
	}
}

static void test_io_uring_forbidden(void **state)
{
	ring_result = -EPERM;
	expect(*state, -EPERM, "kernel.io_uring_disabled=0");
	ring_result = -ENOSYS;
	expect(*state, -ENOSYS, "Linux 6.1");
	ring_result = -ENOMEM;
	expect(*state, -ENOMEM, "io_uring");
}

static void test_register_fails(void **state)
{
	register_result = -EFAULT;
	expect(*state, -EFAULT, "register");
}

/* A memlock limit that is too small: it runs all the same, and says what would mend it. */
static void test_memlock_too_small(void **state)
{
	struct setting *const s = *state;

	register_result = -ENOMEM;
	source_fixture_open(&s->f);
	assert_non_null(strstr(source_info(s->f.source)->note, "memlock"));
	assert_non_null(strstr(source_info(s->f.source)->note, "ulimit -l"));
	source_fixture_start(&s->f);
	source_fixture_run(&s->f);
	assert_frames_from_0(&s->f, 16);
}

/* Memory is for open: a scan takes none. */
static void test_no_allocation_in_a_scan(void **state)
{
	struct setting *const s = *state;

	source_fixture_open(&s->f);
	source_fixture_start(&s->f);
	allocations_left = 0;
	allocation_failed = false;
	armed = true;
	source_fixture_run(&s->f);
	armed = false;
	assert_false(allocation_failed);
	assert_frames_from_0(&s->f, 16);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_file_unwinds),       TEST(test_device_unwinds),
		TEST(test_node_unwinds),       TEST(test_socket_unwinds),
		TEST(test_io_uring_forbidden), TEST(test_register_fails),
		TEST(test_memlock_too_small),  TEST(test_no_allocation_in_a_scan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
