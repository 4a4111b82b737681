// SPDX-License-Identifier: MIT
/*
 * guest_driver NODE TEST [ARGUMENT...]: one promise of the driver, put to the test on a card.
 *
 * Exit status 0: kept; 1: broken, and the last line says how.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vm/guest_reader.h>

enum {
	FRAMES = 2000,
	CHUNK_BLOCKS = 20,
	SOURCE_COUNTER = 1,
	SOURCE_PRBS = 2,
	ENDLESS = 1 << 27, /* frames; nobody sees the end of it */
};

struct call {
	const char *node;
	char **argument; /* after the test's name; ends with NULL */
};

#define EXPECT(is, ...)                                \
	do {                                           \
		if (!(is)) {                           \
			printf("line %d: ", __LINE__); \
			printf(__VA_ARGS__);           \
			printf("\n");                  \
			return 1;                      \
		}                                      \
	} while (0)

/* A number of the board's, from sysfs; -1: not to be had. */
static long long attribute(const char *node, const char *name)
{
	char path[256];
	long long value = -1;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/sys/class/sluice/%s/%s", strrchr(node, '/') + 1, name);
	file = fopen(path, "re");
	if (!file)
		return -1;
	if (fscanf(file, "%lld", &value) != 1) // NOLINT(cert-err34-c): the kernel's own number
		value = -1;
	(void)fclose(file);
	return value;
}

static size_t chunk_of(const char *node)
{
	return (size_t)attribute(node, "block_bytes") * CHUNK_BLOCKS;
}

static struct reader_args args_of(const struct call *call, enum reader_mode mode,
				  unsigned int depth)
{
	return (struct reader_args){
		.node = call->node, .mode = mode, .depth = depth, .chunk = chunk_of(call->node)
	};
}

static struct sluice_uapi_scan scan_of(uint64_t frames)
{
	return (struct sluice_uapi_scan){
		.scan = 77, .columns = 64, .rows = 64, .source = SOURCE_COUNTER, .frames = frames
	};
}

static int good(const struct reader_args *args, uint32_t source, uint64_t frames)
{
	static struct reader reader;
	int ret = reader_open(&reader, args);

	if (ret == 0) {
		ret = reader_good_scan(&reader, 1, source, frames);
		/* And another, so that nothing of the first is left. */
		if (ret == 0)
			ret = reader_good_scan(&reader, 2, source, frames / 2 + 1);
	}
	reader_close(&reader);
	return ret ? 1 : 0;
}

static int test_sync(const struct call *call)
{
	const struct reader_args args = args_of(call, READER_SYNC, 1);

	return good(&args, SOURCE_COUNTER, FRAMES);
}

static int test_vector(const struct call *call)
{
	const struct reader_args args = args_of(call, READER_VECTOR, 1);

	return good(&args, SOURCE_COUNTER, FRAMES);
}

static int test_uring(const struct call *call)
{
	const struct reader_args args = args_of(call, READER_URING, 8);

	return good(&args, SOURCE_COUNTER, FRAMES);
}

static int test_uring_vector(const struct call *call)
{
	const struct reader_args args = args_of(call, READER_URING_VECTOR, 8);

	return good(&args, SOURCE_COUNTER, FRAMES);
}

static int test_sqpoll(const struct call *call)
{
	const struct reader_args args = args_of(call, READER_SQPOLL, 8);

	return good(&args, SOURCE_COUNTER, FRAMES);
}

static int test_aio(const struct call *call)
{
	const struct reader_args args = args_of(call, READER_AIO, 8);

	return good(&args, SOURCE_COUNTER, FRAMES);
}

/* Registered buffers go to DMA as they are. */
static int test_fixed(const struct call *call)
{
	const struct reader_args args = args_of(call, READER_FIXED, 8);
	const long long before = attribute(call->node, "counters/pages_pinned");

	if (good(&args, SOURCE_COUNTER, FRAMES))
		return 1;
	EXPECT(before >= 0 && attribute(call->node, "counters/pages_pinned") == before,
	       "%lld pages were pinned again",
	       attribute(call->node, "counters/pages_pinned") - before);
	return 0;
}

/* A huge page is one descriptor: the board's descriptors are few, whatever a chunk's size. */
static int test_huge(const struct call *call)
{
	struct reader_args args = args_of(call, READER_FIXED, 4);

	args.huge = true;
	args.chunk = (size_t)3 << 20;
	if (good(&args, SOURCE_COUNTER, FRAMES * 4))
		return 1;
	args.mode = READER_URING;
	return good(&args, SOURCE_COUNTER, FRAMES * 4);
}

static int test_misaligned(const struct call *call)
{
	static const size_t offsets[] = { 1, 2, 63, 64, 65, 2047, 4095 };

	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		for (enum reader_mode mode = READER_SYNC; mode <= READER_FIXED; mode++) {
			struct reader_args args = args_of(call, mode, mode < READER_URING ? 1 : 4);

			args.misalignment = offsets[i];
			args.chunk += 777; /* no whole blocks: the rest stays as it was */
			if (good(&args, SOURCE_COUNTER, 200))
				return 1;
		}
	}
	return 0;
}

static int test_polled(const struct call *call)
{
	const struct reader_args args = args_of(call, READER_POLLED, 8);
	const long long before = attribute(call->node, "counters/interrupts_taken");

	if (good(&args, SOURCE_COUNTER, FRAMES))
		return 1;
	EXPECT(attribute(call->node, "counters/interrupts_taken") == before,
	       "interrupts came though the board was to be polled");
	return 0;
}

static double seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* PRBS [MIB]: so many, every bit looked at. */
static int test_prbs(const struct call *call)
{
	static struct reader reader;
	struct reader_args args = args_of(call, READER_FIXED, 8);
	const long mib = call->argument[0] ? strtol(call->argument[0], NULL, 10) : 8;
	double began;
	int ret;

	args.chunk = (size_t)1 << 20;
	args.huge = true;
	ret = reader_open(&reader, &args);
	EXPECT(ret == 0, "no reader");
	began = seconds();
	ret = reader_good_scan(&reader, 3, SOURCE_PRBS,
			       ((uint64_t)mib << 20) / reader.info.block_bytes + 1);
	printf("%" PRIu64 " bytes in %.1f s\n", reader.bytes, seconds() - began);
	reader_close(&reader);
	return ret ? 1 : 0;
}

/* What the ABI says of numbers that cannot be, and of who may do what. */
static int test_abi(const struct call *call)
{
	struct reader_args args = args_of(call, READER_SYNC, 1);
	static struct reader reader, other;
	struct sluice_uapi_scan scan = scan_of(10);
	struct sluice_uapi_run run = { .flags = 1 };
	struct sluice_uapi_stop stop = { .how = 2 };
	char small[64];
	int looking;

	EXPECT(reader_open(&reader, &args) == 0 && reader_open(&other, &args) == 0, "no reader");
	EXPECT(reader.info.abi == SLUICE_UAPI_VERSION && reader.info.state == SLUICE_UAPI_IDLE,
	       "abi %u, state %u", reader.info.abi, reader.info.state);
	EXPECT(ioctl(reader.fd, _IO(SLUICE_IOC_MAGIC, 99)) < 0 && errno == ENOTTY, "unknown ioctl");
	scan.reserved[4] = 1;
	EXPECT(reader_arm(&reader, &scan) == -EINVAL, "a reserved field");
	scan = scan_of(0);
	EXPECT(reader_arm(&reader, &scan) == -EINVAL, "no frames");
	scan = scan_of(10);
	scan.source = 3;
	EXPECT(reader_arm(&reader, &scan) == -EINVAL, "no such source");
	scan = scan_of(10);
	EXPECT(ioctl(reader.fd, SLUICE_IOC_RUN, &run) < 0 && errno == EINVAL, "flags of RUN");
	EXPECT(ioctl(reader.fd, SLUICE_IOC_STOP, &stop) < 0 && errno == EINVAL, "how to STOP");
	EXPECT(ioctl(reader.fd, SLUICE_IOC_ARM, NULL) < 0 && errno == EFAULT, "no memory");
	EXPECT(reader_run(&reader) == -EINVAL, "RUN without ARM");
	EXPECT(reader_arm(&reader, &scan) == 0, "ARM");
	EXPECT(reader_arm(&reader, &scan) == -EBUSY, "ARM when armed");
	EXPECT(reader_arm(&other, &scan) == -EBUSY && reader_run(&other) == -EBUSY &&
		       reader_stop(&other, SLUICE_UAPI_STOP_ABORT) == -EBUSY,
	       "a second reader was let in");
	EXPECT(read(other.fd, small, sizeof(small)) < 0 && errno == EBUSY, "a second read");
	EXPECT(read(reader.fd, small, sizeof(small)) < 0 && errno == EINVAL, "less than a block");
	EXPECT(read(reader.fd, (void *)8, reader.info.block_bytes) < 0 && errno == EFAULT,
	       "no memory of ours");
	looking = open(call->node, O_WRONLY | O_CLOEXEC);
	EXPECT(looking >= 0 && ioctl(looking, SLUICE_IOC_ARM, &scan) < 0 && errno == EPERM,
	       "ARM on a node that is open for looking");
	EXPECT(ioctl(looking, SLUICE_IOC_INFO, &other.info) == 0 &&
		       other.info.state == SLUICE_UAPI_ARMED,
	       "looking");
	(void)close(looking);
	reader_close(&reader);
	EXPECT(reader_arm(&other, &scan) == 0, "the next reader, when the first is gone");
	reader_close(&other);
	return 0;
}

/* Reads before ARM wait; too small ones are told so; more than there is room for wait outside. */
static int test_before_arm(const struct call *call)
{
	static struct reader reader;
	const struct reader_args args = args_of(call, READER_FIXED, READER_DEPTH_MAX);
	const struct sluice_uapi_scan scan = scan_of(CHUNK_BLOCKS * READER_DEPTH_MAX);

	EXPECT(reader_open(&reader, &args) == 0, "no reader");
	EXPECT(reader.info.read_max < args.depth, "%u reads are no more than there is room for",
	       args.depth);
	EXPECT(reader_submit(&reader) == 0, "submitting");
	EXPECT(reader_arm(&reader, &scan) == 0 && reader_run(&reader) == 0, "ARM, RUN");
	EXPECT(reader_collect(&reader) == 0, "collecting");
	/* Those that waited outside came in in any order: whole chunks, each of them once. */
	for (unsigned int i = 0; i < args.depth; i++)
		EXPECT(reader.result[i] == (ssize_t)args.chunk, "read %u: %zd", i,
		       reader.result[i]);
	reader_close(&reader);
	return 0;
}

static int test_stop(const struct call *call)
{
	static struct reader reader;
	const struct reader_args args = args_of(call, READER_FIXED, 8);
	const struct sluice_uapi_scan scan = scan_of(ENDLESS);
	struct sluice_uapi_counters counters;
	int ret;

	EXPECT(reader_open(&reader, &args) == 0, "no reader");
	EXPECT(reader_arm(&reader, &scan) == 0 && reader_submit(&reader) == 0, "ARM, reads");
	EXPECT(reader_run(&reader) == 0 && reader_collect(&reader) == 0, "RUN");
	EXPECT(reader_submit(&reader) == 0, "reads");
	EXPECT(reader_stop(&reader, SLUICE_UAPI_STOP_DRAIN) == 0, "STOP");
	EXPECT(reader_collect(&reader) == 0, "collecting");
	EXPECT(reader_scan(&reader) == 0, "the end of the scan");
	EXPECT(reader_counters(&reader, &counters) == 0 && counters.timeouts == 0, "counters");
	EXPECT(counters.blocks_in == counters.blocks_out + counters.dropped_overflow +
					     counters.dropped_link + counters.dropped_stop,
	       "the board's account does not close");
	EXPECT(reader_arm(&reader, &scan) == 0 && reader_run(&reader) == 0, "ARM, RUN");
	EXPECT(reader_submit(&reader) == 0, "reads");
	EXPECT(reader_stop(&reader, SLUICE_UAPI_STOP_ABORT) == 0, "ABORT");
	EXPECT(reader_collect(&reader) == 0, "collecting");
	ret = reader_scan(&reader);
	EXPECT(ret == -ECANCELED, "after ABORT: %s", strerror(-ret));
	EXPECT(reader_good_scan(&reader, 9, SOURCE_COUNTER, FRAMES) == 0, "the next scan");
	reader_close(&reader);
	return 0;
}

static short events_of(int fd)
{
	struct pollfd at = { .fd = fd, .events = POLLIN | POLLPRI };

	return poll(&at, 1, 0) < 0 ? -1 : at.revents;
}

static int test_nonblock(const struct call *call)
{
	static struct reader reader;
	const struct reader_args args = args_of(call, READER_SYNC, 1);
	const struct sluice_uapi_scan scan = scan_of(CHUNK_BLOCKS);
	uint8_t *buffer;
	ssize_t got;

	EXPECT(reader_open(&reader, &args) == 0, "no reader");
	buffer = reader.memory;
	EXPECT(fcntl(reader.fd, F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
	EXPECT(read(reader.fd, buffer, args.chunk) < 0 && errno == EAGAIN, "before ARM");
	EXPECT(events_of(reader.fd) == 0, "events before ARM: %x", events_of(reader.fd));
	EXPECT(reader_arm(&reader, &scan) == 0, "ARM");
	EXPECT(read(reader.fd, buffer, args.chunk) < 0 && errno == EAGAIN, "before RUN");
	EXPECT(events_of(reader.fd) == POLLPRI, "the state changed: %x", events_of(reader.fd));
	EXPECT(ioctl(reader.fd, SLUICE_IOC_INFO, &reader.info) == 0, "INFO");
	EXPECT(events_of(reader.fd) == 0, "the change was seen: %x", events_of(reader.fd));
	EXPECT(reader_run(&reader) == 0, "RUN");
	EXPECT(events_of(reader.fd) & POLLIN, "while the scan runs: %x", events_of(reader.fd));
	got = read(reader.fd, buffer, args.chunk);
	EXPECT(got == (ssize_t)args.chunk, "a read while the scan runs: %zd", got);
	do {
		got = read(reader.fd, buffer, args.chunk);
	} while (got > 0);
	EXPECT(got == 0 && (events_of(reader.fd) & POLLIN), "the end: %zd", got);
	reader_close(&reader);
	return 0;
}

/* FAULT ERRNO: the scan ends with this errno at one read, and ECANCELED at the others. */
static int test_fault(const struct call *call)
{
	static struct reader reader;
	const struct reader_args args = args_of(call, READER_FIXED, 8);
	const struct sluice_uapi_scan scan = scan_of(ENDLESS);
	const int want = -(int)strtol(call->argument[0], NULL, 10);
	const double began = seconds();
	unsigned int first = 0;
	int ret;

	EXPECT(reader_open(&reader, &args) == 0, "no reader");
	ret = reader_arm(&reader, &scan);
	if (ret == 0)
		ret = reader_run(&reader);
	EXPECT(ret == 0, "ARM, RUN: %s", strerror(-ret));
	ret = reader_scan(&reader);
	EXPECT(ret == want, "%s, not %s", strerror(-ret), strerror(-want));
	while (reader.result[first] >= 0)
		first++;
	for (unsigned int i = first + 1; i < args.depth; i++)
		EXPECT(reader.result[i] == (want == -ENODEV ? -ENODEV : -ECANCELED),
		       "read %u after it: %zd", i, reader.result[i]);
	if (want == -ENODEV) {
		EXPECT(events_of(reader.fd) & POLLHUP, "no POLLHUP");
		EXPECT(reader_arm(&reader, &scan) == -ENODEV, "ARM of a board that is gone");
	} else {
		EXPECT(ioctl(reader.fd, SLUICE_IOC_INFO, &reader.info) == 0 &&
			       reader.info.state == SLUICE_UAPI_FAILED,
		       "state %u", reader.info.state);
	}
	EXPECT(reader_guards_whole(&reader), "memory outside the buffers");
	printf("after %.2f s\n", seconds() - began);
	reader_close(&reader);
	return 0;
}

/* STOP how ERRNO: of the ioctl, of a board that is told to hang. */
static int test_hang(const struct call *call)
{
	static struct reader reader;
	const struct reader_args args = args_of(call, READER_FIXED, 8);
	const struct sluice_uapi_scan scan = scan_of(ENDLESS);
	double began;
	int ret;

	EXPECT(reader_open(&reader, &args) == 0, "no reader");
	EXPECT(reader_arm(&reader, &scan) == 0 && reader_run(&reader) == 0, "ARM, RUN");
	EXPECT(reader_submit(&reader) == 0 && reader_collect(&reader) == 0, "reads");
	EXPECT(reader_submit(&reader) == 0, "reads");
	began = seconds();
	ret = reader_stop(&reader, SLUICE_UAPI_STOP_DRAIN);
	EXPECT(ret == -ETIMEDOUT, "STOP: %s", strerror(-ret));
	EXPECT(seconds() - began < 5, "STOP took %.1f s", seconds() - began);
	EXPECT(reader_collect(&reader) == 0, "the reads did not end");
	EXPECT(reader_guards_whole(&reader), "memory outside the buffers");
	reader_close(&reader);
	return 0;
}

static enum reader_mode mode_of(const char *name)
{
	static const char *const names[] = {
		[READER_SYNC] = "sync",     [READER_URING] = "uring", [READER_FIXED] = "fixed",
		[READER_POLLED] = "polled", [READER_AIO] = "aio",     [READER_SQPOLL] = "sqpoll",
	};

	for (size_t i = 0; name && i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i] && strcmp(names[i], name) == 0)
			return (enum reader_mode)i;
	return READER_FIXED;
}

/*
 * LINGER [how [armed]]: reads an endless scan until it is killed, or has an errno, its exit status
 * then. Armed only, its reads do not end by themselves.
 */
static int test_linger(const struct call *call)
{
	static struct reader reader;
	const enum reader_mode mode = mode_of(call->argument[0]);
	const struct reader_args args = args_of(call, mode, mode == READER_SYNC ? 1 : 8);
	struct sluice_uapi_scan scan = scan_of(ENDLESS);
	const bool armed = call->argument[0] && call->argument[1];
	int ret = reader_open(&reader, &args);

	/* Before ARM, so that who sees the board armed knows that its reads are under way. */
	if (ret == 0 && armed)
		ret = reader_submit(&reader);
	if (args.mode == READER_POLLED)
		scan.flags = SLUICE_UAPI_POLLED;
	if (ret == 0)
		ret = reader_arm(&reader, &scan);
	if (ret == 0 && !armed)
		ret = reader_run(&reader);
	if (ret == 0)
		ret = armed ? reader_collect(&reader) : reader_scan(&reader);
	printf("%" PRIu64 " blocks, then %s\n", reader.blocks, strerror(-ret));
	return -ret;
}

/* Looks at all there is to look at, over and over. */
static void observe(const struct call *call)
{
	static struct reader reader;
	const struct reader_args args = args_of(call, READER_SYNC, 1);
	struct sluice_uapi_counters counters;

	if (reader_open(&reader, &args))
		_exit(1);
	for (;;) {
		if (reader_counters(&reader, &counters) ||
		    ioctl(reader.fd, SLUICE_IOC_INFO, &reader.info) < 0 ||
		    attribute(call->node, "counters/blocks_in") < 0)
			_exit(1);
		(void)events_of(reader.fd);
	}
}

/* A ring that is closed lets go of its registered file a moment later, in the kernel's own time. */
static int arm_when_free(struct reader *reader, const struct sluice_uapi_scan *scan)
{
	const double began = seconds();
	int ret;

	do {
		ret = reader_arm(reader, scan);
	} while (ret == -EBUSY && seconds() - began < 5 && poll(NULL, 0, 1) == 0);
	return ret;
}

/* A scan that is ended at some moment, in one of the ways there are. */
static int cut_short(const struct call *call, unsigned int turn)
{
	static const enum reader_mode modes[] = { READER_FIXED, READER_URING, READER_AIO,
						  READER_SQPOLL };
	static struct reader reader;
	const struct reader_args args = args_of(call, modes[turn % 4],
						1 + turn * 37 % (turn % 5 ? 16 : 200));
	const struct sluice_uapi_scan scan = scan_of(turn % 3 ? ENDLESS : 1 + turn * 11 % 500);
	int ret;

	EXPECT(reader_open(&reader, &args) == 0, "turn %u: no reader", turn);
	ret = arm_when_free(&reader, &scan);
	EXPECT(ret == 0, "turn %u: ARM: %s", turn, strerror(-ret));
	if (turn % 2)
		EXPECT(reader_submit(&reader) == 0, "turn %u: reads before RUN", turn);
	if (turn % 7) {
		ret = reader_run(&reader);
		EXPECT(ret == 0, "turn %u: RUN: %s", turn, strerror(-ret));
	}
	if (!(turn % 2))
		EXPECT(reader_submit(&reader) == 0, "turn %u: reads after RUN", turn);
	(void)poll(NULL, 0, (int)(turn * 5 % 9));
	/* One turn in three has its reads under way as the file is closed. */
	if (turn % 3 < 2) {
		ret = reader_stop(&reader, turn % 3);
		EXPECT(ret == 0, "turn %u: STOP: %s", turn, strerror(-ret));
		EXPECT(reader_collect(&reader) == 0, "turn %u: a read did not end", turn);
		EXPECT(reader_guards_whole(&reader), "turn %u: guards", turn);
	}
	reader_close(&reader);
	return 0;
}

/* CHAOS [turns] */
static int test_chaos(const struct call *call)
{
	const unsigned int turns = call->argument[0]
					   ? (unsigned int)strtoul(call->argument[0], NULL, 10)
					   : 100;
	const struct reader_args args = args_of(call, READER_FIXED, 8);
	const struct sluice_uapi_scan scan = scan_of(10);
	static struct reader reader;
	const pid_t observer = fork();
	int status = 0;
	int failed = 0;

	if (observer == 0)
		observe(call);
	for (unsigned int turn = 0; turn < turns && !failed; turn++)
		failed = cut_short(call, turn);
	(void)kill(observer, SIGKILL);
	(void)waitpid(observer, &status, 0);
	if (failed)
		return 1;
	EXPECT(WIFSIGNALED(status), "the observer failed");
	EXPECT(reader_open(&reader, &args) == 0 && arm_when_free(&reader, &scan) == 0 &&
		       reader_stop(&reader, SLUICE_UAPI_STOP_ABORT) == 0 &&
		       reader_good_scan(&reader, 5, SOURCE_COUNTER, FRAMES) == 0,
	       "no good scan afterwards");
	reader_close(&reader);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(const struct call *call);
} tests[] = {
	{ "abi", test_abi },
	{ "sync", test_sync },
	{ "vector", test_vector },
	{ "uring", test_uring },
	{ "uring_vector", test_uring_vector },
	{ "sqpoll", test_sqpoll },
	{ "aio", test_aio },
	{ "fixed", test_fixed },
	{ "huge", test_huge },
	{ "misaligned", test_misaligned },
	{ "polled", test_polled },
	{ "prbs", test_prbs },
	{ "before_arm", test_before_arm },
	{ "stop", test_stop },
	{ "nonblock", test_nonblock },
	{ "fault", test_fault },
	{ "hang", test_hang },
	{ "linger", test_linger },
	{ "chaos", test_chaos },
};

int main(int argc, char **argv)
{
	if (argc < 3 || !strrchr(argv[1], '/')) {
		printf("usage: guest_driver NODE TEST [ARGUMENT...]\n");
		return 2;
	}
	const struct call call = { .node = argv[1], .argument = argv + 3 };

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		if (strcmp(tests[i].name, argv[2]) == 0)
			return tests[i].run(&call);
	printf("%s: no such test\n", argv[2]);
	return 2;
}
