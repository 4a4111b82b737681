/* SPDX-License-Identifier: MIT */
/*
 * map -> bind -> (advise) -> populate -> lock -> verify. Each step has a remedy that its message
 * names; where the caller allows less, the message becomes a note in the arena and the work goes
 * on. The advice to use transparent huge pages may fail without a word.
 */
#include <inttypes.h>
#include <numa.h>
#include <numaif.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <base/error.h>
#include <base/numa.h>
#include <base/parse.h>

#define HUGE_2M (UINT64_C(1) << 21)
#define HUGE_1G (UINT64_C(1) << 30)

/* As in <linux/mman.h>: log2 of the page size, at bit 26; and Linux 5.14's madvise(). */
#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

enum {
	VERIFY_BATCH = 256, /* pages per move_pages() */
	NODES_MAX = 1024,   /* bits of a node mask; the kernel's own limit */
};

static void note_add(struct arena *arena, const char *text)
{
	const size_t used = strlen(arena->note);

	(void)snprintf(arena->note + used, sizeof(arena->note) - used, "%s%s", used > 0 ? "; " : "",
		       text);
}

static unsigned int mib(uint64_t bytes)
{
	return (unsigned int)((bytes + (1 << 20) - 1) >> 20);
}

/* ---- huge pages: what lacks, and the command ---- */

/* The number in a file of the kernel's pool of huge pages; 0 when it cannot be read. */
static uint64_t pool_read(const char *folder, const char *file)
{
	char path[160];
	char text[32] = "";
	uint64_t v = 0;
	FILE *in;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, file);
	in = fopen(path, "re");
	if (!in)
		return 0;
	if (fgets(text, sizeof(text), in)) {
		text[strcspn(text, "\n")] = '\0';
		if (parse_u64(text, 0, UINT32_MAX, &v) < 0)
			v = 0;
	}
	(void)fclose(in);
	return v;
}

static void describe_shortage(uint64_t page_bytes, const struct arena_args *args, int code,
			      struct sluice_error *ret_text)
{
	const uint64_t pages = (args->bytes + page_bytes - 1) / page_bytes;
	const unsigned int page_kib = (unsigned int)(page_bytes >> 10);
	uint64_t in_pool, free_pages, lacking;
	char command[160];
	char folder[128];

	if (args->node == NODE_ANY)
		(void)snprintf(folder, sizeof(folder), "/sys/kernel/mm/hugepages/hugepages-%ukB",
			       page_kib);
	else
		(void)snprintf(folder, sizeof(folder),
			       "/sys/devices/system/node/node%d/hugepages/hugepages-%ukB",
			       args->node, page_kib);
	in_pool = pool_read(folder, "nr_hugepages");
	free_pages = pool_read(folder, "free_hugepages");
	lacking = free_pages < pages ? pages - free_pages : pages;
	if (args->node == NODE_ANY && page_bytes == HUGE_2M)
		(void)snprintf(command, sizeof(command), "sysctl vm.nr_hugepages=%" PRIu64,
			       in_pool + lacking);
	else
		(void)snprintf(command, sizeof(command), "echo %" PRIu64 " > %s/nr_hugepages",
			       in_pool + lacking, folder);
	(void)error_set(ret_text, code,
			"huge pages: %" PRIu64 " of %u kB are lacking (%s); as root: %s", lacking,
			page_kib, error_name(code), command);
}

/* ---- the steps ---- */

static int check_args(const struct arena_args *args, struct sluice_error *reterr)
{
	if (args->bytes == 0 || args->bytes > SIZE_MAX - HUGE_1G)
		return error_set(reterr, -EINVAL, "memory: %zu bytes asked for", args->bytes);
	if (args->huge_page_bytes != 0 && args->huge_page_bytes != HUGE_2M &&
	    args->huge_page_bytes != HUGE_1G)
		return error_set(reterr, -EINVAL,
				 "memory: huge pages of %" PRIu64
				 " bytes; allowed: 0, 2097152, 1073741824",
				 args->huge_page_bytes);
	if (args->node == NODE_ANY || (args->node == 0 && numa_available() < 0))
		return 0;
	if (args->node < 0 || args->node >= NODES_MAX || numa_available() < 0 ||
	    !numa_bitmask_isbitset(numa_nodes_ptr, (unsigned int)args->node))
		return error_set(reterr, -ENODEV,
				 "memory: node %d: no such node here; `numactl --hardware` lists "
				 "them",
				 args->node);
	return 0;
}

static int map(uint64_t page_bytes, const struct arena_args *args, struct arena *a)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	void *p;

	if (page_bytes == HUGE_2M)
		flags |= MAP_HUGETLB | 21 << MAP_HUGE_SHIFT;
	else if (page_bytes == HUGE_1G)
		flags |= MAP_HUGETLB | 30 << MAP_HUGE_SHIFT;
	a->page_bytes = page_bytes;
	a->bytes = (args->bytes + page_bytes - 1) / page_bytes * page_bytes;
	p = mmap(NULL, a->bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (p == MAP_FAILED)
		return neg_errno();
	a->base = p;
	return 0;
}

/* Before first touch: pages that are there already do not move. */
static int bind_to_node(const struct arena_args *args, struct arena *a, struct sluice_error *reterr)
{
	const unsigned int bits = 8 * sizeof(unsigned long);
	unsigned long mask[NODES_MAX / (8 * sizeof(unsigned long))] = { 0 };
	struct sluice_error text;
	int ret;

	if (args->node == NODE_ANY || numa_available() < 0)
		return 0;
	mask[(unsigned int)args->node / bits] = 1UL << ((unsigned int)args->node % bits);
	/* The kernel takes one bit less than it is told. */
	if (mbind(a->base, a->bytes, MPOL_BIND, mask, NODES_MAX + 1, 0) == 0) {
		a->node = args->node;
		return 0;
	}
	ret = neg_errno();
	(void)error_set(&text, ret,
			"memory: cannot bind to node %d: %s; in a container: --cap-add SYS_NICE",
			args->node, error_name(ret));
	if (!args->allow_wrong_node)
		return error_set(reterr, ret, "%s", text.text);
	note_add(a, text.text);
	return 0;
}

/*
 * Ordinary pages may be put together to huge ones: fewer of them for io_uring to pin and for the
 * processor to look up. Before first touch, as the kernel does it at once then, and only in its own
 * time later. No error and no note if it fails (a kernel without them: -EINVAL): the pages are then
 * what was asked for, and the note on huge pages, whose number is certain, stands in either case.
 */
static void advise_huge_pages(const struct arena *a)
{
	if (a->page_bytes < HUGE_2M)
		(void)madvise(a->base, a->bytes, MADV_HUGEPAGE);
}

/*
 * MADV_POPULATE_WRITE zeroes every page now, and says -EFAULT where a touch would be answered with
 * SIGBUS: huge pages are promised by mmap() from all nodes, but a bound one must come from its own.
 */
static int populate(struct arena *a)
{
	int ret;

	if (madvise(a->base, a->bytes, MADV_POPULATE_WRITE) == 0)
		return 0;
	ret = neg_errno();
	/* A kernel before 5.14 knows no such advice; only ordinary pages are safe to touch there.
	 */
	if (ret != -EINVAL || a->page_bytes >= HUGE_2M)
		return ret;
	for (size_t i = 0; i < a->bytes; i += a->page_bytes)
		((volatile uint8_t *)a->base)[i] = 0;
	return 0;
}

static int place(uint64_t page_bytes, const struct arena_args *args, struct arena *a,
		 struct sluice_error *reterr)
{
	int ret = map(page_bytes, args, a);

	if (ret < 0)
		return error_set(reterr, ret, "memory: cannot map %u MiB: %s", mib(args->bytes),
				 error_name(ret));
	ret = bind_to_node(args, a, reterr);
	if (ret < 0)
		goto err_munmap;
	advise_huge_pages(a);
	ret = populate(a);
	if (ret < 0) {
		ret = error_set(reterr, ret == -EFAULT ? -ENOMEM : ret,
				"memory: cannot get %u MiB%s: %s", mib(args->bytes),
				args->node == NODE_ANY ? "" : " on the node asked for",
				error_name(ret));
		goto err_munmap;
	}
	return 0;

err_munmap:
	(void)munmap(a->base, a->bytes);
	a->base = NULL;
	return ret;
}

/* Huge pages if wished and there, else ordinary ones if allowed. */
static int get_pages(const struct arena_args *args, struct arena *ret_arena,
		     struct sluice_error *reterr)
{
	struct arena a = { .node = NODE_ANY };
	struct sluice_error text = { "" };
	int ret;

	if (args->huge_page_bytes != 0) {
		ret = place(args->huge_page_bytes, args, &a, &text);
		if (ret == 0) {
			*ret_arena = a;
			return 0;
		}
		/* Not a matter of huge pages: ordinary ones would meet the same. */
		if (ret != -ENOMEM && ret != -EINVAL)
			return error_set(reterr, ret, "%s", text.text);
		describe_shortage(args->huge_page_bytes, args, ret, &text);
		if (!args->allow_ordinary_pages)
			return error_set(reterr, -ENOMEM, "memory: %s", text.text);
		a = (struct arena){ .node = NODE_ANY };
		note_add(&a, text.text);
	}
	ret = place((uint64_t)sysconf(_SC_PAGESIZE), args, &a, reterr);
	if (ret < 0)
		return ret;
	*ret_arena = a;
	return 0;
}

static int lock(const struct arena_args *args, struct arena *a, struct sluice_error *reterr)
{
	struct rlimit limit = { 0 };
	struct sluice_error text;
	char limit_text[32] = "unlimited";
	int ret;

	if (mlock(a->base, a->bytes) == 0) {
		a->locked = true;
		return 0;
	}
	ret = neg_errno();
	(void)getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur != RLIM_INFINITY)
		(void)snprintf(limit_text, sizeof(limit_text), "%" PRIu64 " KiB",
			       (uint64_t)limit.rlim_cur / 1024);
	(void)error_set(&text, ret,
			"memory: cannot lock %u MiB (%s), memlock is %s: `ulimit -l unlimited`, or "
			"LimitMEMLOCK=infinity in the systemd unit",
			mib(a->bytes), error_name(ret), limit_text);
	if (!args->allow_unlocked)
		return error_set(reterr, -EPERM, "%s", text.text);
	note_add(a, text.text);
	return 0;
}

/* Counts the pages that lie elsewhere than on @a->node, and names the node of the first. */
static int count_strays(const struct arena *a, uint64_t *ret_strays, int *ret_where)
{
	const uint64_t pages = a->bytes / a->page_bytes;
	void *page[VERIFY_BATCH];
	int status[VERIFY_BATCH];
	uint64_t strays = 0;
	int where = a->node;

	for (uint64_t first = 0; first < pages; first += VERIFY_BATCH) {
		const uint64_t left = pages - first;
		const unsigned int n = left < VERIFY_BATCH ? (unsigned int)left : VERIFY_BATCH;

		for (unsigned int i = 0; i < n; i++)
			page[i] = a->base + (first + i) * a->page_bytes;
		/* No list of nodes: only asks where the pages are. */
		if (move_pages(0, n, page, NULL, status, 0) < 0)
			return neg_errno();
		for (unsigned int i = 0; i < n; i++) {
			if (status[i] == a->node)
				continue;
			if (strays++ == 0)
				where = status[i];
		}
	}
	*ret_strays = strays;
	*ret_where = where;
	return 0;
}

static int verify(const struct arena_args *args, struct arena *a, struct sluice_error *reterr)
{
	struct sluice_error text;
	uint64_t strays = 0;
	int where = NODE_ANY;
	int ret;

	if (a->node == NODE_ANY)
		return 0;
	ret = count_strays(a, &strays, &where);
	if (ret == 0 && strays == 0)
		return 0;
	if (ret < 0) {
		(void)error_set(&text, ret,
				"memory: cannot ask which node its pages are on: %s; in a "
				"container: --cap-add SYS_NICE",
				error_name(ret));
	} else {
		ret = -EXDEV;
		(void)error_set(&text, ret,
				"memory: %" PRIu64 " of %" PRIu64
				" pages are not on node %d (the first: %s %d); `numactl "
				"--hardware` shows what is free there",
				strays, (uint64_t)(a->bytes / a->page_bytes), a->node,
				where < 0 ? "error" : "node", where);
	}
	if (!args->allow_wrong_node)
		return error_set(reterr, ret, "%s", text.text);
	note_add(a, text.text);
	a->node = NODE_ANY;
	return 0;
}

int arena_open(const struct arena_args *args, struct arena *ret_arena, struct sluice_error *reterr)
{
	struct arena a = { .node = NODE_ANY };
	int ret;

	ret = check_args(args, reterr);
	if (ret < 0)
		return ret;
	ret = get_pages(args, &a, reterr);
	if (ret < 0)
		return ret;
	ret = lock(args, &a, reterr);
	if (ret < 0)
		goto err_munmap;
	ret = verify(args, &a, reterr);
	if (ret < 0)
		goto err_munmap;
	*ret_arena = a;
	return 0;

err_munmap:
	(void)munmap(a.base, a.bytes);
	return ret;
}

void arena_close(struct arena *arena)
{
	if (!arena || !arena->base)
		return;
	(void)munmap(arena->base, arena->bytes);
	*arena = (struct arena){ .node = NODE_ANY };
}
