// SPDX-License-Identifier: MIT
/*
 * guest_bench NODE ROW ROUND BLOCKS READS DEPTH COALESCE COALESCE_US [copied|polled]: one scan of
 * the counter pattern, read as it is measured: registered buffers in huge pages, DEPTH reads of
 * BLOCKS blocks under way.
 *
 * Prints one line of JSON, for tests/bench/report.jq. copied: each chunk is copied once when it has
 * come, for comparison. Times begin after the first read, so that beginning and end of the scan are
 * not in them; interrupts are those of the whole scan.
 *
 * What is asked of each measurement, however long it takes: every block once and with its header,
 * no error in any counter, no more interrupts than coalescing allows. Exit status 0: so it was; 1:
 * not, and the last line says how.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <liburing.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <firmware-iface/registers.h>
#include <sluice/block.h>
#include <sluice/uapi.h>

enum {
	DEPTH_MAX = 128,
	CPUS = 2,
	TIMEOUT_S = 30, /* without a completion */
	SCAN_COLUMNS = 64,
	SCAN_ROWS = 64,
	NS_PER_US = 1000,
};
#define NS_PER_S   UINT64_C(1000000000)
#define HUGE_BYTES ((size_t)2 << 20)

/* The machine at one moment. */
struct moment {
	uint64_t ns, tsc;
	uint64_t busy_ns; /* not idle, all processors together */
};

struct bench {
	const char *row;
	unsigned int round, blocks, depth;
	uint64_t reads_wanted;
	uint32_t coalesce, coalesce_us;
	bool copied, polled;

	int fd;
	struct sluice_uapi_info info;
	size_t chunk, stride;
	uint8_t *memory, *copy;
	size_t memory_bytes, copy_bytes;
	struct io_uring ring;
	bool ring_open;

	/* What became of it. */
	uint64_t reads, bytes, wrong;
	struct moment armed, first, last;
	struct sluice_uapi_counters counters;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static int run_on(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

/* Takes the number from a line of the kernel's own account, if it is that line. */
static bool field(const char *line, const char *name, uint64_t *ret_value)
{
	line += strspn(line, " ");
	if (strncmp(line, name, strlen(name)) != 0)
		return false;
	line += strlen(name);
	*ret_value = strtoull(line + strspn(line, " :"), NULL, 10);
	return true;
}

/*
 * How long @cpu, on which this runs and which so is not idle now, has had something to do,
 * interrupts and their threads included: the kernel's own account, in ns.
 */
static int busy_of(unsigned int cpu, uint64_t *ret_ns)
{
	FILE *file = fopen("/proc/timer_list", "re");
	uint64_t at = UINT64_MAX, now = 0, idle = 0, waiting = 0;
	bool found = false;
	char line[256];

	if (!file)
		return -errno;
	while (!found && fgets(line, sizeof(line), file)) {
		(void)field(line, "now at", &now);
		(void)field(line, "cpu:", &at);
		if (at == cpu) {
			(void)field(line, ".idle_sleeptime", &idle);
			found = field(line, ".iowait_sleeptime", &waiting);
		}
	}
	(void)fclose(file);
	if (!found || now < idle + waiting)
		return -ENODATA;
	*ret_ns = now - idle - waiting;
	return 0;
}

/* Goes round the processors, so that none of them is idle when its account is read. */
static int moment_take(unsigned int home, struct moment *ret_moment)
{
	struct moment m = { 0 };
	int ret = 0;

	for (unsigned int i = 1; ret == 0 && i <= CPUS; i++) {
		const unsigned int cpu = (home + i) % CPUS;
		uint64_t busy_ns = 0;

		ret = run_on(cpu);
		if (ret == 0)
			ret = busy_of(cpu, &busy_ns);
		m.busy_ns += busy_ns;
	}
	if (ret < 0) {
		printf("what the processors do: %s\n", strerror(-ret));
		return ret;
	}
	m.ns = now_ns();
	m.tsc = __rdtsc();
	*ret_moment = m;
	return 0;
}

static uint8_t *buffer_at(const struct bench *b, unsigned int index)
{
	return b->memory + index * b->stride;
}

static size_t round_up(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

static int map_huge(size_t *bytes, uint8_t **ret_memory)
{
	void *memory;

	*bytes = round_up(*bytes, HUGE_BYTES);
	memory = mmap(NULL, *bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	*ret_memory = memory;
	return 0;
}

static int memory_get(struct bench *b)
{
	struct iovec whole;
	int ret;

	b->chunk = (size_t)b->blocks * b->info.block_bytes;
	b->stride = round_up(b->chunk, 4096);
	b->memory_bytes = b->stride * b->depth;
	b->copy_bytes = b->chunk;
	ret = map_huge(&b->memory_bytes, &b->memory);
	if (ret == 0 && b->copied)
		ret = map_huge(&b->copy_bytes, &b->copy);
	if (ret == 0)
		ret = io_uring_queue_init(DEPTH_MAX, &b->ring, b->polled ? IORING_SETUP_IOPOLL : 0);
	if (ret < 0)
		return ret;
	b->ring_open = true;
	whole = (struct iovec){ b->memory, b->memory_bytes };
	return io_uring_register_buffers(&b->ring, &whole, 1);
}

static int bench_open(struct bench *b, const char *node)
{
	int ret;

	b->fd = open(node, O_RDONLY | O_CLOEXEC | (b->polled ? O_DIRECT : 0));
	ret = b->fd < 0 || ioctl(b->fd, SLUICE_IOC_INFO, &b->info) < 0 ? -errno : 0;
	if (ret == 0 && (b->info.node < 0 || b->info.node >= CPUS))
		ret = -ENODEV;
	/* The guest's processor n is on node n; memory is taken where its first toucher is. */
	if (ret == 0)
		ret = run_on((unsigned int)b->info.node);
	if (ret == 0)
		ret = memory_get(b);
	if (ret < 0)
		printf("%s: %s\n", node, strerror(-ret));
	return ret;
}

static void bench_close(struct bench *b)
{
	if (b->fd >= 0)
		(void)close(b->fd);
	b->fd = -1;
	if (b->ring_open)
		io_uring_queue_exit(&b->ring);
	b->ring_open = false;
	if (b->memory)
		(void)munmap(b->memory, b->memory_bytes);
	if (b->copy)
		(void)munmap(b->copy, b->copy_bytes);
	b->memory = NULL;
	b->copy = NULL;
}

static int read_queue(struct bench *b, unsigned int index)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);

	if (!sqe)
		return -ENOSPC;
	io_uring_prep_read_fixed(sqe, b->fd, buffer_at(b, index), (unsigned int)b->chunk, 0, 0);
	io_uring_sqe_set_data64(sqe, index);
	return 0;
}

/* Hands on what is queued, and waits for at least one completion. */
static int wait_one(struct bench *b)
{
	struct __kernel_timespec limit = { .tv_sec = TIMEOUT_S };
	struct io_uring_cqe *cqe;
	uint64_t deadline_ns;
	int ret;

	if (!b->polled) {
		ret = io_uring_submit_and_wait_timeout(&b->ring, &cqe, 1, &limit, NULL);
		return ret < 0 ? ret : 0;
	}
	ret = io_uring_submit(&b->ring);
	deadline_ns = now_ns() + TIMEOUT_S * NS_PER_S;
	/* A ring that polls takes no timeout: it looks, and comes back. */
	while (ret >= 0) {
		ret = io_uring_peek_cqe(&b->ring, &cqe);
		if (ret != -EAGAIN)
			break;
		ret = now_ns() < deadline_ns ? 0 : -ETIME;
	}
	return ret < 0 ? ret : 0;
}

/*
 * By words, which is the quickest way where instructions are emulated; libc's memcpy changes its
 * ways with the size, and emulated they differ a hundredfold.
 */
static void copy_once(uint64_t *to, const uint64_t *from, size_t bytes)
{
	const uint64_t *end = from + bytes / sizeof(*from);

	for (; end - from >= 4; from += 4, to += 4) {
		const uint64_t a = from[0], b = from[1], c = from[2], d = from[3];

		to[0] = a;
		to[1] = b;
		to[2] = c;
		to[3] = d;
		/* Else the compiler finds a memcpy here. */
		__asm__ volatile("" ::: "memory");
	}
}

/* One read has come to its end. 1: it has read; 0: the scan has ended. */
static int read_take(struct bench *b, const struct io_uring_cqe *cqe)
{
	const uint8_t *chunk = buffer_at(b, (unsigned int)cqe->user_data);
	struct sluice_block_header header;

	if (cqe->res <= 0)
		return cqe->res;
	memcpy(&header, chunk, sizeof(header));
	b->wrong += sluice_u32(header.magic) != SLUICE_BLOCK_MAGIC ||
		    sluice_u32(header.scan) != b->round + 1;
	if (b->copied)
		copy_once((void *)b->copy, (const void *)chunk, (size_t)cqe->res);
	b->reads++;
	b->bytes += (uint64_t)cqe->res;
	return 1;
}

/* Reads to the end of the scan. */
static int read_all(struct bench *b)
{
	const unsigned int home = (unsigned int)b->info.node;
	unsigned int out = b->depth;
	struct io_uring_cqe *cqe;
	int ret = 0;

	for (unsigned int i = 0; ret == 0 && i < b->depth; i++)
		ret = read_queue(b, i);
	while (ret == 0 && out > 0) {
		ret = wait_one(b);
		while (ret == 0 && io_uring_peek_cqe(&b->ring, &cqe) == 0) {
			const unsigned int index = (unsigned int)cqe->user_data;
			const int got = read_take(b, cqe);

			io_uring_cqe_seen(&b->ring, cqe);
			out--;
			if (got < 0)
				ret = got;
			else if (got > 0 && b->reads == 1)
				ret = moment_take(home, &b->first);
			else if (got > 0 && b->reads == b->reads_wanted)
				ret = moment_take(home, &b->last);
			if (ret == 0 && got > 0) {
				ret = read_queue(b, index);
				out++;
			}
		}
	}
	return ret;
}

static int scan(struct bench *b)
{
	const struct sluice_uapi_scan scan = {
		.scan = b->round + 1,
		.columns = SCAN_COLUMNS,
		.rows = SCAN_ROWS,
		.source = FW_SOURCE_COUNTER,
		.frames = b->reads_wanted * b->blocks,
		.flags = b->polled ? SLUICE_UAPI_POLLED : 0,
		.coalesce_count = b->coalesce,
		.coalesce_us = b->coalesce_us,
	};
	const struct sluice_uapi_run run = { 0 };
	int ret = moment_take((unsigned int)b->info.node, &b->armed);

	if (ret == 0 &&
	    (ioctl(b->fd, SLUICE_IOC_COUNTERS, &b->counters) < 0 ||
	     ioctl(b->fd, SLUICE_IOC_ARM, &scan) < 0 || ioctl(b->fd, SLUICE_IOC_RUN, &run) < 0))
		ret = -errno;
	if (ret == 0)
		ret = read_all(b);
	return ret;
}

/* The counters become those of the scan. */
static int count(struct bench *b)
{
	const struct sluice_uapi_counters before = b->counters;
	struct sluice_uapi_counters c;

	if (ioctl(b->fd, SLUICE_IOC_COUNTERS, &c) < 0)
		return -errno;
	b->counters = c;
	b->counters.blocks_out -= before.blocks_out;
	b->counters.bytes_out -= before.bytes_out;
	b->counters.completions -= before.completions;
	b->counters.interrupts -= before.interrupts;
	b->counters.interrupts_taken -= before.interrupts_taken;
	return 0;
}

/* One for so many chunks, one when their time is up, one at the end; each for a chunk at least. */
static uint64_t interrupts_allowed(const struct bench *b)
{
	const uint64_t ns = now_ns() - b->armed.ns;
	const uint64_t most = b->counters.completions / b->coalesce +
			      ns / ((uint64_t)b->coalesce_us * NS_PER_US) + 2;

	if (b->polled)
		return 0;
	return most < b->counters.completions ? most : b->counters.completions;
}

static int judge(const struct bench *b, uint64_t allowed)
{
	const struct sluice_uapi_counters *c = &b->counters;
	const uint64_t frames = b->reads_wanted * b->blocks;
	const uint64_t bytes = frames * b->info.block_bytes;
	int faults = 0;

#define EXPECT(is, ...)                      \
	do {                                 \
		if (!(is)) {                 \
			printf(__VA_ARGS__); \
			printf("\n");        \
			faults++;            \
		}                            \
	} while (0)

	EXPECT(b->reads == b->reads_wanted, "%" PRIu64 " reads, not %" PRIu64, b->reads,
	       b->reads_wanted);
	EXPECT(b->bytes == bytes, "%" PRIu64 " bytes read, not %" PRIu64, b->bytes, bytes);
	EXPECT(c->bytes_out == bytes && c->blocks_out == frames,
	       "the board has given %" PRIu64 " bytes, not %" PRIu64, (uint64_t)c->bytes_out,
	       bytes);
	EXPECT(b->wrong == 0, "%" PRIu64 " chunks begin with no header of this scan", b->wrong);
	EXPECT(c->dropped_overflow == 0 && c->dropped_link == 0 && c->dropped_stop == 0 &&
		       c->link_crc_errors == 0,
	       "the board has dropped blocks");
	EXPECT(c->completions_lost == 0 && c->completions_twice == 0 && c->completions_bad == 0 &&
		       c->timeouts == 0,
	       "the driver has counted errors");
	EXPECT(c->interrupts <= allowed,
	       "%" PRIu64 " interrupts for %" PRIu64 " chunks: %" PRIu64 " at most are right",
	       (uint64_t)c->interrupts, (uint64_t)c->completions, allowed);
	EXPECT(c->interrupts_taken <= c->interrupts, "more interrupts than the board has raised");
	EXPECT(b->polled || c->interrupts_taken > 0, "no interrupt came");
#undef EXPECT
	return faults ? -EBADMSG : 0;
}

static void report(const struct bench *b, uint64_t allowed)
{
	const double ns = (double)(b->last.ns - b->first.ns);
	const double busy_ns = (double)(b->last.busy_ns - b->first.busy_ns);
	const double tsc_per_ns = (double)(b->last.tsc - b->first.tsc) / ns;

	/* All but the first read, with which the clock starts. */
	printf("{\"row\":\"%s\",\"round\":%u,\"chunk\":%zu,\"reads\":%" PRIu64 ",\"bytes\":%" PRIu64
	       ",\"frames\":%" PRIu64 ",\"seconds\":%.9f,\"cycles\":%.0f,\"completions\":%" PRIu64
	       ",\"interrupts\":%" PRIu64 ",\"interrupts_allowed\":%" PRIu64
	       ",\"crc\":0,\"gaps\":0,\"lost\":0,\"wrong\":0}\n",
	       b->row, b->round, b->chunk, b->reads - 1, b->bytes - b->chunk,
	       (b->reads - 1) * b->blocks, ns / 1e9, busy_ns * tsc_per_ns,
	       (uint64_t)b->counters.completions, (uint64_t)b->counters.interrupts, allowed);
}

static int number(const char *text, unsigned long most, unsigned long *ret_number)
{
	char *end;

	errno = 0;
	*ret_number = strtoul(text, &end, 10);
	if (errno || end == text || *end != '\0' || *ret_number > most) {
		printf("%s: not a number up to %lu\n", text, most);
		return -EINVAL;
	}
	return 0;
}

/* From what follows ROW. */
static int parse(struct bench *b, char **argv)
{
	static const unsigned long most[] = { 1000, 65536, 1000000, DEPTH_MAX, 65536, 1000000 };
	unsigned long n[sizeof(most) / sizeof(most[0])];

	for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++)
		if (number(argv[i], most[i], &n[i]) < 0 || (i > 0 && n[i] < 1))
			return -EINVAL;
	b->round = (unsigned int)n[0];
	b->blocks = (unsigned int)n[1];
	b->reads_wanted = n[2];
	b->depth = (unsigned int)n[3];
	b->coalesce = (uint32_t)n[4];
	b->coalesce_us = (uint32_t)n[5];
	return b->reads_wanted > 1 ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	static struct bench b = { .fd = -1 };
	uint64_t allowed;
	int ret;

	if (argc < 9 || argc > 10 || parse(&b, argv + 3) < 0) {
		printf("usage: guest_bench NODE ROW ROUND BLOCKS READS DEPTH COALESCE COALESCE_US "
		       "[copied|polled]\n");
		return 2;
	}
	b.row = argv[2];
	b.copied = argc > 9 && strcmp(argv[9], "copied") == 0;
	b.polled = argc > 9 && strcmp(argv[9], "polled") == 0;
	ret = bench_open(&b, argv[1]);
	if (ret == 0)
		ret = scan(&b);
	if (ret == 0)
		ret = count(&b);
	if (ret < 0)
		printf("%s, round %u: %s\n", b.row, b.round, strerror(-ret));
	if (ret == 0) {
		allowed = interrupts_allowed(&b);
		report(&b, allowed);
		ret = judge(&b, allowed);
	}
	bench_close(&b);
	return ret < 0 ? 1 : 0;
}
