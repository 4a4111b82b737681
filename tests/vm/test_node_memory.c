/* SPDX-License-Identifier: MIT */
/*
 * base/numa.h and ring/ring.h on a machine with two nodes and huge pages on each: nothing is faked
 * but what one test says. Runs as root, in a guest.
 */
#include <errno.h>
#include <numaif.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/numa.h>
#include <base/parse.h>
#include <ring/ring.h>

#define HUGE_2M     (UINT64_C(1) << 21)
#define ARENA_BYTES (8 * HUGE_2M)

enum {
	NODES = 2,
	NOBODY = 65534,
};

static bool mbind_does_nothing;

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's --wrap makes these names */
long __real_mbind(void *addr, unsigned long len, int mode, const unsigned long *mask,
		  unsigned long bits, unsigned int flags);
long __wrap_mbind(void *addr, unsigned long len, int mode, const unsigned long *mask,
		  unsigned long bits, unsigned int flags);

long __wrap_mbind(void *addr, unsigned long len, int mode, const unsigned long *mask,
		  unsigned long bits, unsigned int flags)
{
	return mbind_does_nothing ? 0 : __real_mbind(addr, len, mode, mask, bits, flags);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static uint64_t free_huge_pages(int node)
{
	char path[128];
	char text[32] = "";
	uint64_t v = 0;
	FILE *in;

	(void)snprintf(path, sizeof(path),
		       "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/free_hugepages",
		       node);
	in = fopen(path, "re");
	assert_non_null(in);
	assert_non_null(fgets(text, sizeof(text), in));
	(void)fclose(in);
	text[strcspn(text, "\n")] = '\0';
	assert_int_equal(parse_u64(text, 0, UINT32_MAX, &v), 0);
	return v;
}

/* The kernel is asked anew, for each page of 4 KiB. */
static void assert_pages_on(int node, uint8_t *base, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += 4096) {
		void *page = base + at;
		int where = -1;

		assert_int_equal(move_pages(0, 1, &page, NULL, &where, 0), 0);
		assert_int_equal(where, node);
	}
}

static int on_any_processor(void **state)
{
	cpu_set_t all;

	(void)state;
	mbind_does_nothing = false;
	CPU_ZERO(&all);
	for (int cpu = 0; cpu < NODES; cpu++)
		CPU_SET(cpu, &all);
	return sched_setaffinity(0, sizeof(all), &all);
}

static void both_nodes_are_seen(void **state)
{
	(void)state;
	assert_int_equal(node_count(), NODES);
}

static void a_thread_is_pinned_to_its_node(void **state)
{
	(void)state;
	for (int node = 0; node < NODES; node++) {
		unsigned int cpu = 99, where = 99;

		assert_int_equal(on_any_processor(NULL), 0);
		assert_int_equal(thread_pin_to_node(node, NULL), 0);
		assert_int_equal(getcpu(&cpu, &where), 0);
		assert_int_equal(where, node);
	}
}

/* From a processor of the other node, whose memory a first touch would take. */
static void huge_pages_come_from_the_node_asked_for(void **state)
{
	(void)state;
	for (int node = 0; node < NODES; node++) {
		const int other = NODES - 1 - node;
		const struct arena_args args = { .bytes = ARENA_BYTES,
						 .node = node,
						 .huge_page_bytes = HUGE_2M };
		const uint64_t before[NODES] = { free_huge_pages(0), free_huge_pages(1) };
		struct sluice_error e = { "" };
		struct arena a = { 0 };

		assert_int_equal(thread_pin_to_node(other, NULL), 0);
		assert_int_equal(arena_open(&args, &a, &e), 0);
		assert_string_equal(a.note, "");
		assert_int_equal(a.page_bytes, HUGE_2M);
		assert_int_equal(a.node, node);
		assert_true(a.locked);
		assert_pages_on(node, a.base, a.bytes);
		assert_int_equal(free_huge_pages(node), before[node] - ARENA_BYTES / HUGE_2M);
		assert_int_equal(free_huge_pages(other), before[other]);
		memset(a.base, 0xa5, a.bytes);
		assert_pages_on(node, a.base, a.bytes);
		arena_close(&a);
		assert_int_equal(free_huge_pages(node), before[node]);
		assert_int_equal(on_any_processor(NULL), 0);
	}
}

static void ordinary_pages_come_from_the_node_asked_for(void **state)
{
	(void)state;
	for (int node = 0; node < NODES; node++) {
		const struct arena_args args = { .bytes = ARENA_BYTES, .node = node };
		struct arena a = { 0 };

		assert_int_equal(thread_pin_to_node(NODES - 1 - node, NULL), 0);
		assert_int_equal(arena_open(&args, &a, NULL), 0);
		assert_int_equal(a.node, node);
		assert_pages_on(node, a.base, a.bytes);
		arena_close(&a);
		assert_int_equal(on_any_processor(NULL), 0);
	}
}

static void a_ring_lies_on_its_node(void **state)
{
	struct ring_args args = {
		.chunks = 8,
		.chunk_bytes = 1 << 20,
		.headroom_bytes = 83008,
		.blocks_max = 16,
		.memory = { .huge_page_bytes = HUGE_2M },
	};

	(void)state;
	for (int node = 0; node < NODES; node++) {
		struct ring *ring = NULL;

		args.memory.node = node;
		assert_int_equal(ring_open(&args, &ring, NULL), 0);
		assert_int_equal(ring_arena(ring)->page_bytes, HUGE_2M);
		for (uint32_t i = 0; i < ring_chunk_count(ring); i++) {
			struct chunk *chunk = ring_chunk(ring, i);

			assert_pages_on(node, chunk->slot, chunk->headroom + chunk->capacity);
		}
		ring_close(ring);
	}
}

/* The pages are really on the wrong node here: the binding was lost on the way to the kernel. */
static void pages_on_the_wrong_node_are_refused_or_noted(void **state)
{
	struct arena_args args = { .bytes = ARENA_BYTES, .node = 1, .huge_page_bytes = HUGE_2M };
	const uint64_t before = free_huge_pages(0);
	struct sluice_error e = { "" };
	struct arena a = { 0 };

	(void)state;
	assert_int_equal(thread_pin_to_node(0, NULL), 0);
	mbind_does_nothing = true;
	assert_int_equal(arena_open(&args, &a, &e), -EXDEV);
	assert_non_null(strstr(e.text, "8 of 8 pages are not on node 1 (the first: node 0)"));
	assert_int_equal(free_huge_pages(0), before);
	args.allow_wrong_node = true;
	assert_int_equal(arena_open(&args, &a, &e), 0);
	assert_int_equal(a.node, NODE_ANY);
	assert_non_null(strstr(a.note, "not on node 1"));
	arena_close(&a);
}

/* The command behind "as root: " in an error or a note. */
static const char *command_in(const char *text)
{
	const char *at = strstr(text, "as root: ");

	assert_non_null(at);
	return at + strlen("as root: ");
}

/* Mapping alone would succeed: node 0 has pages enough. The message's own command mends it. */
static void a_node_without_huge_pages_is_named_with_the_command_that_mends_it(void **state)
{
	struct arena_args args = { .bytes = ARENA_BYTES, .node = 1, .huge_page_bytes = HUGE_2M };
	struct arena_args all = { .node = 1, .huge_page_bytes = HUGE_2M };
	struct arena taken = { 0 }, a = { 0 };
	struct sluice_error e = { "" };

	(void)state;
	all.bytes = free_huge_pages(1) * HUGE_2M;
	assert_int_equal(arena_open(&all, &taken, NULL), 0);
	assert_int_equal(free_huge_pages(1), 0);
	assert_true(free_huge_pages(0) >= ARENA_BYTES / HUGE_2M);

	assert_int_equal(arena_open(&args, &a, &e), -ENOMEM);
	assert_null(a.base);
	assert_non_null(strstr(e.text, "8 of 2048 kB are lacking"));
	assert_non_null(strstr(e.text, "/sys/devices/system/node/node1/hugepages/"));

	args.allow_ordinary_pages = true;
	assert_int_equal(arena_open(&args, &a, NULL), 0);
	assert_int_equal(a.page_bytes, 4096);
	assert_int_equal(a.node, 1);
	assert_string_equal(command_in(a.note), command_in(e.text));
	assert_pages_on(1, a.base, a.bytes);
	arena_close(&a);

	args.allow_ordinary_pages = false;
	print_message("%s\n", command_in(e.text));
	assert_int_equal(system(command_in(e.text)), 0);
	assert_int_equal(arena_open(&args, &a, &e), 0);
	assert_int_equal(a.page_bytes, HUGE_2M);
	assert_pages_on(1, a.base, a.bytes);
	arena_close(&a);
	arena_close(&taken);
}

/* As one without privileges, in a process of its own; the limit is a real one. */
static void a_small_memlock_is_refused_with_what_mends_it(void **state)
{
	const struct rlimit limit = { .rlim_cur = 64 << 10, .rlim_max = 64 << 10 };
	const struct arena_args args = { .bytes = ARENA_BYTES, .node = 1 };
	struct sluice_error e = { "" };
	struct arena a = { 0 };
	int status = 0;
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		bool good = setrlimit(RLIMIT_MEMLOCK, &limit) == 0 && setuid(NOBODY) == 0 &&
			    arena_open(&args, &a, &e) == -EPERM;

		_exit(good && strstr(e.text, "memlock is 64 KiB") && strstr(e.text, "ulimit -l")
			      ? EXIT_SUCCESS
			      : EXIT_FAILURE);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(both_nodes_are_seen),
		cmocka_unit_test_teardown(a_thread_is_pinned_to_its_node, on_any_processor),
		cmocka_unit_test_teardown(huge_pages_come_from_the_node_asked_for,
					  on_any_processor),
		cmocka_unit_test_teardown(ordinary_pages_come_from_the_node_asked_for,
					  on_any_processor),
		cmocka_unit_test_teardown(a_ring_lies_on_its_node, on_any_processor),
		cmocka_unit_test_teardown(pages_on_the_wrong_node_are_refused_or_noted,
					  on_any_processor),
		cmocka_unit_test(a_node_without_huge_pages_is_named_with_the_command_that_mends_it),
		cmocka_unit_test(a_small_memlock_is_refused_with_what_mends_it),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
