/* SPDX-License-Identifier: MIT */
/* Sections 5.1 and 5.2 of the firmware interface: pace, back-pressure, counters. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/clock.h>

#include "card_host.h"

static struct host host;

static void frames_come_at_their_rate(void **state)
{
	struct sluice_block_header h;
	uint64_t offset;

	(void)state;
	host.args.frames_per_s = 1000.0;
	host_open(&host);
	host_arm(&host, 10);
	offset = host_post(&host, 10);
	host_run(&host);
	assert_int_equal(host_get64(&host, FW_BLOCKS_IN), 1);
	host_pass(&host, 3 * NS_PER_MS + 1);
	assert_int_equal(host_get64(&host, FW_BLOCKS_IN), 4);
	host_pass(&host, 6 * NS_PER_MS);
	host_expect(&host, FW_STATUS_END, 0, 10);
	memcpy(&h, host.memory + offset + 7 * HOST_BLOCK, sizeof(h));
	assert_int_equal(sluice_u64(h.timestamp_ns), UINT64_C(1000000000) + 7 * NS_PER_MS);
}

static void the_input_is_stalled_and_nothing_is_lost(void **state)
{
	(void)state;
	host.args.frames_per_s = 1000.0;
	host_open(&host);
	host_arm(&host, 30);
	host_run(&host);
	/* 8 blocks are in the buffer after 7 ms; the next is due at 8 ms. */
	host_pass(&host, 8 * NS_PER_MS + 100 * NS_PER_MS);
	assert_int_equal(host_get64(&host, FW_BLOCKS_IN), 8);
	assert_int_equal(host_get64(&host, FW_BUFFER_HIGH_WATER), 8);
	assert_in_range(host_get64(&host, FW_STALL_NS), 90 * NS_PER_MS, 100 * NS_PER_MS);
	(void)host_post(&host, 30);
	host_settle(&host);
	/* The detector goes on at its rate: what it did not expose is not made up for. */
	assert_in_range(host_get64(&host, FW_BLOCKS_IN), 8, 9);
	host_pass(&host, 22 * NS_PER_MS);
	host_expect(&host, FW_STATUS_END, 0, 30);
	assert_int_equal(host_get64(&host, FW_DROPPED_OVERFLOW), 0);
	host_expect_account(&host);
}

static void the_threshold_says_when_the_input_is_stalled(void **state)
{
	static const struct {
		uint32_t threshold, held;
	} table[] = { { 0, 8 }, { 1, 1 }, { 5, 5 }, { 8, 8 }, { 9, 8 }, { UINT32_MAX, 8 } };

	(void)state;
	host_open(&host);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		host_prepare(&host, 100);
		host_set(&host, FW_DROP_THRESHOLD, table[i].threshold);
		assert_int_equal(host_command(&host, FW_COMMAND_ARM), FW_ANSWER_DONE);
		host_run(&host);
		host_pass(&host, NS_PER_S);
		assert_int_equal(host_get64(&host, FW_BLOCKS_IN), table[i].held);
		assert_int_equal(host_command(&host, FW_COMMAND_RESET), FW_ANSWER_DONE);
	}
}

static void a_host_that_keeps_up_is_never_stalled_for(void **state)
{
	(void)state;
	host_open(&host);
	host_arm(&host, 100);
	for (unsigned int i = 0; i < 10; i++)
		(void)host_post(&host, 10);
	host_run(&host);
	host_pass(&host, NS_PER_S);
	assert_int_equal(host_get64(&host, FW_BLOCKS_OUT), 100);
	assert_int_equal(host_get64(&host, FW_STALL_NS), 0);
	assert_int_equal(host_get64(&host, FW_BUFFER_HIGH_WATER), 1);
}

/* Frames that are left out were dropped, and are counted: newest first to go. */
static void a_live_detector_drops_what_finds_the_buffer_full(void **state)
{
	(void)state;
	host.args.frames_per_s = 1000.0;
	host.args.live = true;
	host_open(&host);
	host_arm(&host, 40);
	host_run(&host);
	host_pass(&host, 19 * NS_PER_MS + 1);
	assert_int_equal(host_get64(&host, FW_BLOCKS_IN), 20);
	assert_int_equal(host_get64(&host, FW_DROPPED_OVERFLOW), 12);
	assert_int_equal(host_get64(&host, FW_STALL_NS), 0);
	(void)host_post(&host, 8);
	(void)host_post(&host, 32);
	host_settle(&host);
	host_expect(&host, FW_STATUS_FULL, 0, 8);
	host_pass(&host, 20 * NS_PER_MS);
	host_expect(&host, FW_STATUS_END, 20, 20);
	assert_int_equal(host_get64(&host, FW_BLOCKS_OUT), 28);
	host_expect_account(&host);
}

/* The last frames are dropped: END comes all the same, and may hold nothing. */
static void the_end_comes_when_the_last_frames_were_dropped(void **state)
{
	(void)state;
	host.args.frames_per_s = 1000.0;
	host.args.live = true;
	host_open(&host);
	host_arm(&host, 12);
	host_run(&host);
	host_pass(&host, 20 * NS_PER_MS);
	assert_int_equal(host_get64(&host, FW_DROPPED_OVERFLOW), 4);
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_RUNNING);
	(void)host_post(&host, 8);
	host_settle(&host);
	host_expect(&host, FW_STATUS_END, 0, 8);
	host_arm(&host, 12);
	host_run(&host);
	host_pass(&host, 20 * NS_PER_MS);
	(void)host_post(&host, 4);
	(void)host_post(&host, 4);
	host_settle(&host);
	host_expect(&host, FW_STATUS_FULL, 0, 4);
	host_expect(&host, FW_STATUS_END, 4, 4);
	host_expect_account(&host);
}

static void counters_run_on_over_scans(void **state)
{
	uint64_t high;

	(void)state;
	host_open(&host);
	for (uint64_t scan = 1; scan <= 3; scan++) {
		host_arm(&host, 5);
		(void)host_post(&host, 5);
		host_run(&host);
		assert_int_equal(host_get64(&host, FW_BLOCKS_IN), 5 * scan);
		assert_int_equal(host_get64(&host, FW_BLOCKS_OUT), 5 * scan);
		assert_int_equal(host_get64(&host, FW_COMPLETIONS), scan);
		assert_int_equal(host_get(&host, FW_COMPLETION_COUNT), 1);
	}
	host_arm(&host, 50);
	host_run(&host);
	high = host_get64(&host, FW_BUFFER_HIGH_WATER);
	assert_int_equal(high, 8);
	assert_int_equal(host_command(&host, FW_COMMAND_ABORT), FW_ANSWER_DONE);
	assert_int_equal(host_get64(&host, FW_DROPPED_STOP), 8);
	assert_int_equal(host_get64(&host, FW_BUFFER_HIGH_WATER), high);
	host_expect_account(&host);
}

/* The same calls give the same bytes. */
static void a_scan_is_determined(void **state)
{
	static uint8_t first[HOST_BYTES];
	static uint8_t registers[FW_REGISTERS_BYTES];

	(void)state;
	host.args.frames_per_s = 3000.0;
	for (unsigned int round = 0; round < 2; round++) {
		host.now_ns = 5;
		host.scan = 0;
		host.sequence = 0;
		host_open(&host);
		host_arm(&host, 50);
		for (unsigned int i = 0; i < 6; i++)
			(void)host_post(&host, 9);
		host_run(&host);
		host_pass(&host, NS_PER_S);
		if (round == 0) {
			memcpy(first, host.memory, sizeof(first));
			memcpy(registers, host.registers, sizeof(registers));
			card_destroy(host.card);
		}
	}
	assert_memory_equal(first, host.memory, sizeof(first));
	assert_memory_equal(registers, host.registers, sizeof(registers));
}

#define with_host(test) \
	cmocka_unit_test_prestate_setup_teardown(test, host_prepare_args, host_tear_down, &host)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_host(frames_come_at_their_rate),
		with_host(the_input_is_stalled_and_nothing_is_lost),
		with_host(the_threshold_says_when_the_input_is_stalled),
		with_host(a_host_that_keeps_up_is_never_stalled_for),
		with_host(a_live_detector_drops_what_finds_the_buffer_full),
		with_host(the_end_comes_when_the_last_frames_were_dropped),
		with_host(counters_run_on_over_scans),
		with_host(a_scan_is_determined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
