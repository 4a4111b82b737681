/* SPDX-License-Identifier: MIT */
/* model/stream.h: pace, stalls and ends of one scan on a socket. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/clock.h>
#include <model/stream.h>

#include "support/board_client.h"

enum {
	PAYLOAD = 4 * 8 * 2,
	BLOCK = SLUICE_BLOCK_HEADER_BYTES + PAYLOAD,
};

static struct model *model;
static struct fault_list faults;
static struct stream_args args;
static struct stream_counters counters;
static struct batch_counts counts;
static int host_fd, end;
static pthread_t thread;

static int set_up(void **state)
{
	const struct model_args model_args = {
		.geometry = { .sectors = 1, .rows = 4, .columns = 8, .pixel = SLUICE_PIXEL_U16 },
		.generator = MODEL_COUNTER,
		.distinct = 3,
		.sectors_served = 1,
	};
	int fds[2];

	(void)state;
	memset(&faults, 0, sizeof(faults));
	memset(&counters, 0, sizeof(counters));
	if (model_create(&model_args, &model, NULL) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	host_fd = fds[0];
	args = (struct stream_args){
		.run = { .model = model, .faults = &faults, .scan = { 8, 8, 64 }, .number = 1 },
		.fd = fds[1],
		.stop_fd = eventfd(0, EFD_CLOEXEC)
	};
	return args.stop_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	model_destroy(model);
	(void)close(host_fd);
	(void)close(args.fd);
	return close(args.stop_fd);
}

static void *stream(void *arg)
{
	end = stream_run(&args, &counters, &counts);
	(void)shutdown(args.fd, SHUT_WR);
	return arg;
}

static void start(void)
{
	assert_int_equal(pthread_create(&thread, NULL, stream, NULL), 0);
}

static uint64_t read_block(uint64_t *ret_timestamp_ns)
{
	uint8_t bytes[BLOCK];
	struct sluice_block_header h;

	assert_int_equal(client_read(host_fd, bytes, BLOCK), BLOCK);
	memcpy(&h, bytes, sizeof(h));
	*ret_timestamp_ns = sluice_u64(h.timestamp_ns);
	return sluice_u64(h.frame);
}

static void a_paced_scan_takes_its_time(void **state)
{
	const uint64_t before = now_ns();
	uint64_t first = 0, last = 0;

	(void)state;
	args.frames_per_s = 640;
	start();
	for (uint64_t f = 0; f < 64; f++)
		assert_int_equal(read_block(f == 0 ? &first : &last), f);
	(void)pthread_join(thread, NULL);
	assert_int_equal(end, 0);
	assert_true(now_ns() - before >= 98 * NS_PER_MS);
	/* Exposed by the detector's clock, whenever they were sent. */
	assert_in_range(last - first, 63 * NS_PER_S / 640 - 1000, 63 * NS_PER_S / 640 + 1000);
}

static void a_stall_is_a_pause(void **state)
{
	const uint64_t before = now_ns();
	uint64_t timestamp;

	(void)state;
	assert_int_equal(fault_add(&faults, "stall=5:60", NULL), 0);
	start();
	for (uint64_t f = 0; f < 64; f++)
		assert_int_equal(read_block(&timestamp), f);
	(void)pthread_join(thread, NULL);
	assert_int_equal(end, 0);
	assert_true(now_ns() - before >= 60 * NS_PER_MS);
	assert_int_equal(counts.blocks_sent, 64);
	assert_int_equal(atomic_load(&counters.blocks_generated), 64);
}

/* All before it came; then the host, or the stop, ends what would not end. */
static void a_stall_for_ever_ends_with_the_host(void **state)
{
	uint64_t timestamp;

	(void)state;
	assert_int_equal(fault_add(&faults, "stall=5", NULL), 0);
	start();
	for (uint64_t f = 0; f < 5; f++)
		assert_int_equal(read_block(&timestamp), f);
	(void)shutdown(host_fd, SHUT_RDWR);
	(void)pthread_join(thread, NULL);
	assert_int_equal(end, -EPIPE);
	assert_int_equal(counts.blocks_generated, 5);
}

static void the_stop_ends_a_stall(void **state)
{
	const uint64_t one = 1;

	(void)state;
	assert_int_equal(fault_add(&faults, "stall=0", NULL), 0);
	start();
	assert_int_equal(write(args.stop_fd, &one, sizeof(one)), sizeof(one));
	(void)pthread_join(thread, NULL);
	assert_int_equal(end, -ECANCELED);
	assert_int_equal(counts.blocks_generated, 0);
}

static void what_the_host_did_not_take_is_dropped(void **state)
{
	(void)state;
	(void)shutdown(host_fd, SHUT_RD);
	end = stream_run(&args, &counters, &counts);
	assert_int_equal(end, -EPIPE);
	assert_int_equal(counts.blocks_sent, 0);
	assert_true(counts.blocks_generated > 0);
	assert_int_equal(counts.blocks_dropped, counts.blocks_generated);
	assert_int_equal(atomic_load(&counters.blocks_dropped), counts.blocks_dropped);
}

#define with_stream(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_stream(a_paced_scan_takes_its_time),
		with_stream(a_stall_is_a_pause),
		with_stream(a_stall_for_ever_ends_with_the_host),
		with_stream(the_stop_ends_a_stall),
		with_stream(what_the_host_did_not_take_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
