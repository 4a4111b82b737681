/* SPDX-License-Identifier: MIT */
/*
 * Loaded before a program (LD_PRELOAD): counts per thread who calls the allocator and who takes
 * locks - the program itself, the C library or any other library - by the address to which the
 * call returns. When the program ends it writes to the file named by BENCH_SHIM_OUT a line per
 * thread: where the thread began (hexadecimal, as `nm` prints it; 0: the main thread), then calls
 * of the allocator by program, C library and others, then locks by the same.
 */
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	THREADS_MAX = 512
};

enum caller {
	CALLER_PROGRAM = 0,
	CALLER_LIBC,
	CALLER_OTHER,
	CALLERS
};

struct range {
	uintptr_t base, begin, end;
};

struct counts {
	uintptr_t start;
	uint64_t allocations[CALLERS], locks[CALLERS]; /* the thread's own until it ends */
};

struct start {
	void *(*routine)(void *);
	void *arg;
};

static struct counts threads[THREADS_MAX];
static atomic_uint threads_used = 1; /* 0: the main thread */
static struct range program, libc;
/* Initial-exec: an access must not allocate. */
static _Thread_local struct counts *mine __attribute__((tls_model("initial-exec")));

#define EXPORT __attribute__((visibility("default")))

/* NOLINTBEGIN(bugprone-reserved-identifier): glibc's names for its own allocator */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *p);
/* NOLINTEND(bugprone-reserved-identifier) */

static enum caller caller_of(const void *address)
{
	const uintptr_t at = (uintptr_t)address;

	if (at >= program.begin && at < program.end)
		return CALLER_PROGRAM;
	return at >= libc.begin && at < libc.end ? CALLER_LIBC : CALLER_OTHER;
}

static struct counts *counts_of_thread(void)
{
	return mine ? mine : &threads[0];
}

#define COUNT(what) (counts_of_thread()->what[caller_of(__builtin_return_address(0))]++)

EXPORT void *malloc(size_t size)
{
	COUNT(allocations);
	return __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
	COUNT(allocations);
	return __libc_calloc(count, size);
}

EXPORT void *realloc(void *p, size_t size)
{
	COUNT(allocations);
	return __libc_realloc(p, size);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	COUNT(allocations);
	return __libc_memalign(align, size);
}

EXPORT int posix_memalign(void **ret_p, size_t align, size_t size)
{
	void *p;

	COUNT(allocations);
	p = __libc_memalign(align, size);
	if (!p)
		return ENOMEM;
	*ret_p = p;
	return 0;
}

EXPORT void free(void *p)
{
	if (p)
		COUNT(allocations);
	__libc_free(p);
}

/* The next definition of a function; asked for at each first call, as others' start may be
 * earlier than ours. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a type stands in none */
#define FORWARD_LOCK(name, type)                                         \
	EXPORT int name(type *lock)                                      \
	{                                                                \
		static int (*_Atomic next)(type *);                      \
                                                                         \
		if (!next)                                               \
			next = (int (*)(type *))dlsym(RTLD_NEXT, #name); \
		COUNT(locks);                                            \
		return next(lock);                                       \
	}
/* NOLINTEND(bugprone-macro-parentheses) */
FORWARD_LOCK(pthread_mutex_lock, pthread_mutex_t)
FORWARD_LOCK(pthread_mutex_trylock, pthread_mutex_t)
FORWARD_LOCK(pthread_rwlock_rdlock, pthread_rwlock_t)
FORWARD_LOCK(pthread_rwlock_wrlock, pthread_rwlock_t)
FORWARD_LOCK(sem_wait, sem_t)

static void *run_thread(void *arg)
{
	struct start start = *(struct start *)arg;
	const unsigned int at = atomic_fetch_add(&threads_used, 1);

	__libc_free(arg);
	if (at < THREADS_MAX) {
		threads[at].start = (uintptr_t)start.routine - program.base;
		mine = &threads[at];
	}
	return start.routine(start.arg);
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*routine)(void *),
			  void *arg)
{
	static int (*_Atomic next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
	struct start *start = __libc_malloc(sizeof(*start));
	int ret;

	if (!start)
		return EAGAIN;
	if (!next)
		next = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *),
				void *))dlsym(RTLD_NEXT, "pthread_create");
	*start = (struct start){ routine, arg };
	ret = next(thread, attr, run_thread, start);
	if (ret != 0)
		__libc_free(start);
	return ret;
}

/* The main program comes first; the C library is where one of its functions lies. */
static int note_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
	const uintptr_t in_libc = (uintptr_t)dlsym(RTLD_NEXT, "getpid");
	struct range range = { info->dlpi_addr, UINTPTR_MAX, 0 };

	(void)size;
	(void)ctx;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		const uintptr_t begin = info->dlpi_addr + segment->p_vaddr;

		if (segment->p_type != PT_LOAD)
			continue;
		range.begin = begin < range.begin ? begin : range.begin;
		range.end = begin + segment->p_memsz > range.end ? begin + segment->p_memsz
								 : range.end;
	}
	if (program.end == 0)
		program = range;
	else if (in_libc >= range.begin && in_libc < range.end)
		libc = range;
	return 0;
}

__attribute__((constructor)) static void begin(void)
{
	(void)dl_iterate_phdr(note_object, NULL);
}

__attribute__((destructor)) static void end(void)
{
	const char *path = getenv("BENCH_SHIM_OUT");
	const unsigned int used = atomic_load(&threads_used);
	FILE *out = path ? fopen(path, "w") : NULL;

	if (!out)
		return;
	for (unsigned int i = 0; i < used && i < THREADS_MAX; i++) {
		const struct counts *c = &threads[i];

		(void)fprintf(out, "%016" PRIxPTR, c->start);
		for (unsigned int k = 0; k < CALLERS; k++)
			(void)fprintf(out, " %" PRIu64, c->allocations[k]);
		for (unsigned int k = 0; k < CALLERS; k++)
			(void)fprintf(out, " %" PRIu64, c->locks[k]);
		(void)fputc('\n', out);
	}
	(void)fclose(out);
}
