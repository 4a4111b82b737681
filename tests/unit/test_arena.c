/* SPDX-License-Identifier: MIT */
/* base/numa.h: memory where it should be, or one line that says what lacks; nothing left behind. */
#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/numa.h>

#define HUGE_2M (UINT64_C(1) << 21)
#define HUGE_1G (UINT64_C(1) << 30)

/* Of mmap()'s flags: log2 of the huge page's size, times 2^26. */
#define SIZE_BITS ((int)0xfc000000u)

enum {
	LEN = 3 << 20,
	CALLS_MAX = 64
};

enum step {
	MAP,
	BIND,
	POPULATE,
	LOCK,
	VERIFY,
	STEP_COUNT,
	NONE = STEP_COUNT,
	ADVISE /* for transparent huge pages: no step, as it may fail */
};

/* The kernel, as far as the arena sees it. */
static struct {
	bool faked; /* false: the real one */
	bool no_numa;
	bool huge_pages;     /* the pool has enough */
	bool huge_elsewhere; /* the pool has enough, but not on the node that is bound */
	bool old;            /* before Linux 5.14: no MADV_POPULATE_WRITE */
	enum step fails;
	int fails_with;
	int pages_on; /* node on which all pages lie but the stray one */
	size_t stray; /* number of one page that lies on node 5; SIZE_MAX: none */
	int live_maps;
	int flags;      /* of the last mmap() */
	size_t advised; /* bytes */
	size_t pages_asked;
	enum step calls[CALLS_MAX];
	unsigned int call_count;
} sys;

static int reset(void **state)
{
	(void)state;
	memset(&sys, 0, sizeof(sys));
	sys.faked = true;
	sys.fails = NONE;
	sys.stray = SIZE_MAX;
	return 0;
}

static bool fails(enum step step)
{
	assert_true(sys.call_count < CALLS_MAX);
	sys.calls[sys.call_count++] = step;
	if (sys.fails != step)
		return false;
	errno = sys.fails_with;
	return true;
}

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's --wrap makes these names */
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *addr, size_t len);
int __wrap_munmap(void *addr, size_t len);
int __real_madvise(void *addr, size_t len, int advice);
int __wrap_madvise(void *addr, size_t len, int advice);
int __real_mlock(const void *addr, size_t len);
int __wrap_mlock(const void *addr, size_t len);
long __real_mbind(void *addr, unsigned long len, int mode, const unsigned long *mask,
		  unsigned long bits, unsigned int flags);
long __wrap_mbind(void *addr, unsigned long len, int mode, const unsigned long *mask,
		  unsigned long bits, unsigned int flags);
long __real_move_pages(int pid, unsigned long count, void **pages, const int *nodes, int *status,
		       int flags);
long __wrap_move_pages(int pid, unsigned long count, void **pages, const int *nodes, int *status,
		       int flags);
int __real_numa_available(void);
int __wrap_numa_available(void);

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	void *p;

	sys.flags = flags;
	if (fails(MAP))
		return MAP_FAILED;
	if (sys.faked && (flags & MAP_HUGETLB)) {
		if (!sys.huge_pages && !sys.huge_elsewhere) {
			errno = ENOMEM;
			return MAP_FAILED;
		}
		flags &= ~(MAP_HUGETLB | SIZE_BITS);
		flags |= MAP_NORESERVE;
	}
	p = __real_mmap(addr, len, prot, flags, fd, offset);
	if (p != MAP_FAILED)
		sys.live_maps++;
	return p;
}

int __wrap_munmap(void *addr, size_t len)
{
	sys.live_maps--;
	return __real_munmap(addr, len);
}

int __wrap_madvise(void *addr, size_t len, int advice)
{
	if (advice == MADV_HUGEPAGE) {
		assert_int_equal(sys.flags & MAP_HUGETLB, 0);
		sys.advised = len;
		if (fails(ADVISE))
			return -1;
		return sys.faked ? 0 : __real_madvise(addr, len, advice);
	}
	if (fails(POPULATE))
		return -1;
	if (!sys.faked)
		return __real_madvise(addr, len, advice);
	if (sys.old || (sys.huge_elsewhere && (sys.flags & MAP_HUGETLB))) {
		errno = sys.old ? EINVAL : EFAULT;
		return -1;
	}
	return 0;
}

int __wrap_mlock(const void *addr, size_t len)
{
	if (fails(LOCK))
		return -1;
	return sys.faked ? 0 : __real_mlock(addr, len);
}

long __wrap_mbind(void *addr, unsigned long len, int mode, const unsigned long *mask,
		  unsigned long bits, unsigned int flags)
{
	assert_int_equal(mode, MPOL_BIND);
	if (fails(BIND))
		return -1;
	return sys.faked ? 0 : __real_mbind(addr, len, mode, mask, bits, flags);
}

long __wrap_move_pages(int pid, unsigned long count, void **pages, const int *nodes, int *status,
		       int flags)
{
	assert_null(nodes); /* a question, not an order */
	if (fails(VERIFY))
		return -1;
	if (!sys.faked)
		return __real_move_pages(pid, count, pages, nodes, status, flags);
	for (unsigned long i = 0; i < count; i++)
		status[i] = sys.pages_asked++ == sys.stray ? 5 : sys.pages_on;
	return 0;
}

int __wrap_numa_available(void)
{
	return sys.no_numa ? -1 : __real_numa_available();
}

static bool machine_has_numa(void)
{
	return __real_numa_available() >= 0;
}
/* NOLINTEND(bugprone-reserved-identifier) */

static void real_memory_is_zero_and_where_it_was_asked(void **state)
{
	const struct arena_args args = {
		.bytes = LEN + 1,
		.node = 0,
		.huge_page_bytes = HUGE_2M,
		.allow_ordinary_pages = true,
		.allow_unlocked = true,
		.allow_wrong_node = true,
	};
	struct arena a = { 0 };

	(void)state;
	sys.faked = false;
	assert_int_equal(arena_open(&args, &a, NULL), 0);
	assert_non_null(a.base);
	assert_true(a.bytes >= args.bytes);
	assert_int_equal(a.bytes % a.page_bytes, 0);
	for (size_t i = 0; i < a.bytes; i++)
		assert_int_equal(a.base[i], 0);
	memset(a.base, 0xa5, a.bytes);
	arena_close(&a);
	assert_int_equal(sys.live_maps, 0);
}

static void bound_before_touched_and_verified_last(void **state)
{
	static const enum step order[] = { MAP, BIND, POPULATE, LOCK, VERIFY };
	const struct arena_args args = { .bytes = LEN, .node = 0, .huge_page_bytes = HUGE_2M };
	struct arena a = { 0 };

	(void)state;
	if (!machine_has_numa())
		skip();
	sys.huge_pages = true;
	assert_int_equal(arena_open(&args, &a, NULL), 0);
	assert_int_equal(sys.call_count, 5);
	assert_memory_equal(sys.calls, order, sizeof(order));
	assert_int_equal(sys.flags & SIZE_BITS, 21 << 26);
	assert_int_equal(a.page_bytes, HUGE_2M);
	assert_int_equal(a.bytes, 2 * HUGE_2M); /* whole pages */
	assert_int_equal(sys.pages_asked, 2);   /* each */
	assert_int_equal(a.node, 0);
	assert_true(a.locked);
	assert_string_equal(a.note, "");
	arena_close(&a);
	assert_int_equal(sys.live_maps, 0);
}

/* On ordinary pages alone, all of them, after they are bound and before they are touched. */
static void ordinary_pages_are_advised_to_be_huge(void **state)
{
	static const enum step order[] = { MAP, BIND, ADVISE, POPULATE, LOCK, VERIFY };
	const struct arena_args args = { .bytes = LEN, .node = 0 };

	(void)state;
	if (!machine_has_numa())
		skip();
	/* The advice is taken, or not: a kernel without such pages says EINVAL. */
	for (int taken = 0; taken < 2; taken++) {
		struct arena a = { 0 };

		(void)reset(NULL);
		sys.fails = taken ? NONE : ADVISE;
		sys.fails_with = EINVAL;
		assert_int_equal(arena_open(&args, &a, NULL), 0);
		assert_true(sys.call_count >= sizeof(order) / sizeof(order[0]));
		assert_memory_equal(sys.calls, order, sizeof(order));
		assert_int_equal(sys.advised, a.bytes);
		assert_int_equal(a.page_bytes, sysconf(_SC_PAGESIZE));
		assert_string_equal(a.note, "");
		arena_close(&a);
		assert_int_equal(sys.live_maps, 0);
	}
}

static void pages_of_one_gib(void **state)
{
	const struct arena_args args = { .bytes = LEN,
					 .node = NODE_ANY,
					 .huge_page_bytes = HUGE_1G };
	struct arena a = { 0 };

	(void)state;
	sys.huge_pages = true;
	assert_int_equal(arena_open(&args, &a, NULL), 0);
	assert_int_equal(sys.flags & SIZE_BITS, 30 << 26);
	assert_int_equal(a.page_bytes, HUGE_1G);
	assert_int_equal(a.bytes, HUGE_1G);
	arena_close(&a);
}

/* Each step fails in turn; nothing may be left behind, and the output is as it was. */
static void open_unwinds_from_every_step(void **state)
{
	const struct arena_args args = { .bytes = LEN, .node = 0, .huge_page_bytes = 0 };

	(void)state;
	if (!machine_has_numa())
		skip();
	for (enum step step = MAP; step < STEP_COUNT; step++) {
		struct arena a, before;
		struct sluice_error e = { "" };

		(void)reset(NULL);
		memset(&a, 0x5a, sizeof(a));
		before = a;
		sys.fails = step;
		sys.fails_with = step == LOCK ? EPERM : ENOMEM;
		assert_int_equal(arena_open(&args, &a, &e), step == LOCK ? -EPERM : -ENOMEM);
		assert_memory_equal(&a, &before, sizeof(a));
		assert_int_equal(sys.live_maps, 0);
		assert_int_equal(sys.calls[sys.call_count - 1], step);
		assert_true(strlen(e.text) > 0);
	}
}

static void without_huge_pages_it_is_refused_or_noted_with_the_command(void **state)
{
	struct arena_args args = { .bytes = LEN, .node = NODE_ANY, .huge_page_bytes = HUGE_2M };
	struct sluice_error e = { "" };
	struct arena a = { 0 };

	(void)state;
	assert_int_equal(arena_open(&args, &a, &e), -ENOMEM);
	assert_non_null(strstr(e.text, "sysctl vm.nr_hugepages="));
	assert_null(a.base);
	args.allow_ordinary_pages = true;
	e.text[0] = '\0';
	assert_int_equal(arena_open(&args, &a, &e), 0);
	assert_string_equal(e.text, ""); /* a note is no error */
	assert_non_null(strstr(a.note, "sysctl vm.nr_hugepages="));
	assert_int_equal(a.page_bytes, sysconf(_SC_PAGESIZE));
	assert_int_equal(sys.flags & MAP_HUGETLB, 0);
	arena_close(&a);
	assert_int_equal(sys.live_maps, 0);

	args.huge_page_bytes = HUGE_1G;
	assert_int_equal(arena_open(&args, &a, &e), 0);
	assert_non_null(strstr(a.note, "hugepages-1048576kB/nr_hugepages"));
	arena_close(&a);
}

/* mmap() promises huge pages from all nodes; a touch would then end in SIGBUS. */
static void huge_pages_on_another_node_are_no_huge_pages(void **state)
{
	struct arena_args args = { .bytes = LEN, .node = 0, .huge_page_bytes = HUGE_2M };
	struct sluice_error e = { "" };
	struct arena a = { 0 };

	(void)state;
	if (!machine_has_numa())
		skip();
	sys.huge_elsewhere = true;
	assert_int_equal(arena_open(&args, &a, &e), -ENOMEM);
	assert_non_null(strstr(e.text, "/sys/devices/system/node/node0/hugepages"));
	assert_int_equal(sys.live_maps, 0);
	args.allow_ordinary_pages = true;
	assert_int_equal(arena_open(&args, &a, &e), 0);
	assert_int_equal(sys.live_maps, 1);
	assert_int_equal(a.node, 0);
	arena_close(&a);
	assert_int_equal(sys.live_maps, 0);
}

static void an_old_kernel_gives_ordinary_pages_touched_by_hand(void **state)
{
	struct arena_args args = { .bytes = LEN, .node = NODE_ANY };
	struct arena a = { 0 };

	(void)state;
	sys.old = true;
	assert_int_equal(arena_open(&args, &a, NULL), 0);
	assert_string_equal(a.note, "");
	arena_close(&a);
	args.huge_page_bytes = HUGE_2M;
	sys.huge_pages = true;
	assert_int_equal(arena_open(&args, &a, NULL), -ENOMEM);
	assert_int_equal(sys.live_maps, 0);
}

static void small_memlock_is_refused_or_noted_with_the_command(void **state)
{
	struct arena_args args = { .bytes = LEN, .node = NODE_ANY };
	struct sluice_error e = { "" };
	struct arena a = { 0 };

	(void)state;
	sys.fails = LOCK;
	sys.fails_with = ENOMEM; /* as Linux says it for a limit that is not 0 */
	assert_int_equal(arena_open(&args, &a, &e), -EPERM);
	assert_non_null(strstr(e.text, "ulimit -l"));
	assert_non_null(strstr(e.text, "LimitMEMLOCK"));
	args.allow_unlocked = true;
	assert_int_equal(arena_open(&args, &a, &e), 0);
	assert_false(a.locked);
	assert_non_null(strstr(a.note, "ulimit -l"));
	arena_close(&a);
	assert_int_equal(sys.live_maps, 0);
}

static void one_page_on_the_wrong_node_is_found(void **state)
{
	struct arena_args args = { .bytes = LEN, .node = 0 };
	const size_t pages = LEN / (size_t)sysconf(_SC_PAGESIZE);
	const size_t strays[] = { 0, 1, 255, 256, pages - 1 };

	(void)state;
	if (!machine_has_numa())
		skip();
	for (unsigned int i = 0; i < sizeof(strays) / sizeof(strays[0]); i++) {
		struct sluice_error e = { "" };
		struct arena a = { 0 };

		(void)reset(NULL);
		sys.stray = strays[i];
		assert_int_equal(arena_open(&args, &a, &e), -EXDEV);
		assert_non_null(strstr(e.text, "1 of 768 pages"));
		assert_non_null(strstr(e.text, "node 5"));
		assert_int_equal(sys.pages_asked, pages);
		assert_int_equal(sys.live_maps, 0);
	}
}

static void wrong_node_may_be_allowed(void **state)
{
	const struct arena_args args = { .bytes = LEN, .node = 0, .allow_wrong_node = true };

	(void)state;
	if (!machine_has_numa())
		skip();
	for (enum step step = BIND; step <= NONE; step++) {
		struct arena a = { 0 };

		if (step == POPULATE || step == LOCK)
			continue;
		(void)reset(NULL);
		sys.fails = step;
		sys.fails_with = EPERM; /* as in a container */
		sys.pages_on = 1;
		assert_int_equal(arena_open(&args, &a, NULL), 0);
		assert_int_equal(a.node, NODE_ANY); /* not verified to be on any */
		assert_true(strlen(a.note) > 0);
		arena_close(&a);
		assert_int_equal(sys.live_maps, 0);
	}
}

static void no_node_and_no_numa_bind_nothing(void **state)
{
	struct arena_args args = { .bytes = LEN, .node = NODE_ANY };
	struct sluice_error e = { "" };
	struct arena a = { 0 };

	(void)state;
	for (int with_node = 0; with_node < 2; with_node++) {
		(void)reset(NULL);
		sys.no_numa = with_node;
		args.node = with_node ? 0 : NODE_ANY;
		assert_int_equal(arena_open(&args, &a, NULL), 0);
		for (unsigned int i = 0; i < sys.call_count; i++) {
			assert_int_not_equal(sys.calls[i], BIND);
			assert_int_not_equal(sys.calls[i], VERIFY);
		}
		assert_int_equal(a.node, NODE_ANY);
		arena_close(&a);
	}
	args.node = 1;
	assert_int_equal(arena_open(&args, &a, &e), -ENODEV);
	assert_non_null(strstr(e.text, "node 1"));
}

static void notes_do_not_overflow(void **state)
{
	const struct arena_args args = {
		.bytes = LEN,
		.node = 0,
		.huge_page_bytes = HUGE_2M,
		.allow_wrong_node = true,
		.allow_ordinary_pages = true,
		.allow_unlocked = true,
	};
	struct arena a = { 0 };

	(void)state;
	if (!machine_has_numa())
		skip();
	sys.pages_on = 1;
	sys.fails = LOCK;
	sys.fails_with = ENOMEM;
	assert_int_equal(arena_open(&args, &a, NULL), 0);
	assert_non_null(memchr(a.note, '\0', sizeof(a.note)));
	assert_non_null(strstr(a.note, "nr_hugepages"));
	assert_non_null(strstr(a.note, "ulimit -l"));
	arena_close(&a);
}

static void bad_arguments_are_refused(void **state)
{
	const struct arena_args bad[] = {
		{ .bytes = 0, .node = NODE_ANY },
		{ .bytes = SIZE_MAX, .node = NODE_ANY },
		{ .bytes = SIZE_MAX - HUGE_1G + 1, .node = NODE_ANY },
		{ .bytes = LEN, .node = NODE_ANY, .huge_page_bytes = 4096 },
	};
	const int nodes[] = { -2, 900, 1 << 30 };
	struct arena a = { 0 };

	(void)state;
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(arena_open(&bad[i], &a, NULL), -EINVAL);
	for (unsigned int i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		const struct arena_args args = { .bytes = LEN, .node = nodes[i] };

		assert_int_equal(arena_open(&args, &a, NULL), -ENODEV);
	}
	assert_null(a.base);
	assert_int_equal(sys.call_count, 0);
}

static void close_may_be_called_twice(void **state)
{
	const struct arena_args args = { .bytes = LEN, .node = NODE_ANY };
	struct arena a = { 0 };

	(void)state;
	arena_close(NULL);
	arena_close(&a);
	assert_int_equal(arena_open(&args, &a, NULL), 0);
	arena_close(&a);
	arena_close(&a);
	assert_int_equal(sys.live_maps, 0);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test_setup(real_memory_is_zero_and_where_it_was_asked, reset),
		cmocka_unit_test_setup(bound_before_touched_and_verified_last, reset),
		cmocka_unit_test_setup(ordinary_pages_are_advised_to_be_huge, reset),
		cmocka_unit_test_setup(pages_of_one_gib, reset),
		cmocka_unit_test_setup(open_unwinds_from_every_step, reset),
		cmocka_unit_test_setup(without_huge_pages_it_is_refused_or_noted_with_the_command,
				       reset),
		cmocka_unit_test_setup(huge_pages_on_another_node_are_no_huge_pages, reset),
		cmocka_unit_test_setup(an_old_kernel_gives_ordinary_pages_touched_by_hand, reset),
		cmocka_unit_test_setup(small_memlock_is_refused_or_noted_with_the_command, reset),
		cmocka_unit_test_setup(one_page_on_the_wrong_node_is_found, reset),
		cmocka_unit_test_setup(wrong_node_may_be_allowed, reset),
		cmocka_unit_test_setup(no_node_and_no_numa_bind_nothing, reset),
		cmocka_unit_test_setup(notes_do_not_overflow, reset),
		cmocka_unit_test_setup(bad_arguments_are_refused, reset),
		cmocka_unit_test_setup(close_may_be_called_twice, reset),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
