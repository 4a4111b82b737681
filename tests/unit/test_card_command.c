/* SPDX-License-Identifier: MIT */
/* Sections 2 and 3 of the firmware interface: identity, commands, states. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "card_host.h"

static struct host host;

static void the_card_says_what_it_is(void **state)
{
	(void)state;
	assert_int_equal(host_get(&host, FW_MAGIC), FW_MAGIC_VALUE);
	assert_int_equal(host_get(&host, FW_VERSION), FW_VERSION_MAJOR << 16 | FW_VERSION_MINOR);
	assert_int_equal(host_get(&host, FW_CAPABILITIES),
			 FW_CAP_COUNTER | FW_CAP_PRBS | FW_CAP_COALESCE | FW_CAP_RUN_BORDERS |
				 FW_CAP_TEMPERATURE);
	assert_int_equal(host_get64(&host, FW_SERIAL), 77);
	assert_in_range(host_get(&host, FW_ADDRESS_BITS), 32, 64);
	assert_int_equal(host_get(&host, FW_DESC_MAX), 1024);
	assert_int_equal(host_get(&host, FW_COMPLETION_MAX), 1024);
	assert_int_equal(host_get(&host, FW_CHAIN_MAX), 64);
	assert_int_equal(host_get(&host, FW_BUFFER_BLOCKS), 8);
	assert_int_equal(host_get(&host, FW_BLOCK_BYTES), HOST_BLOCK);
	assert_int_equal(host_get(&host, FW_PIXEL), SLUICE_PIXEL_U16);
	assert_int_equal(host_get(&host, FW_ROWS), HOST_ROWS);
	assert_int_equal(host_get(&host, FW_COLUMNS), HOST_COLUMNS);
	assert_int_equal(host_get(&host, FW_SECTOR), HOST_SECTOR);
	assert_int_equal(host_get(&host, FW_SECTORS), 2);
	assert_int_equal(host_get(&host, FW_LAYOUT), SLUICE_LAYOUT_ROWS);
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_IDLE);
	assert_int_equal(host_get(&host, FW_FAULT), FW_FAULT_NONE);
	assert_int_equal(host_get(&host, FW_LANES), host_get(&host, FW_LANES_UP));
	assert_true(host_get(&host, FW_LANES) > 0);
	assert_in_range(host_get(&host, FW_TEMPERATURE_MK), 250000, 400000);
}

/* Section 2.1: what is there never reads as what is gone, before, in and after a scan. */
static void nothing_reads_all_ones(void **state)
{
	(void)state;
	for (unsigned int when = 0; when < 3; when++) {
		for (uint32_t o = 0; o < FW_REGISTERS_BYTES; o += 4)
			assert_int_not_equal(host_get(&host, o), FW_GONE_32);
		if (when == 0)
			host_arm(&host, 10);
		if (when == 1) {
			(void)host_post(&host, 10);
			host_run(&host);
		}
	}
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_IDLE);
}

static void a_card_that_cannot_be_is_refused(void **state)
{
	struct card_args bad[12];
	const unsigned int count = sizeof(bad) / sizeof(bad[0]);
	struct card *card = NULL;

	(void)state;
	for (unsigned int i = 0; i < count; i++)
		bad[i] = host.args;
	bad[0].source[FW_SOURCE_DETECTOR] = NULL;
	bad[1].sector = 0; /* not served */
	bad[2].desc_max = 3;
	bad[3].desc_max = 2 * CARD_RING_MAX;
	bad[4].completion_max = 6;
	bad[5].chain_max = 0;
	bad[6].chain_max = 1025; /* more than desc_max */
	bad[7].buffer_blocks = 0;
	bad[8].buffer_blocks = CARD_BUFFER_MAX + 1;
	bad[9].live = true; /* without a rate */
	bad[10].registers = host.registers + 4;
	bad[11].sector = SLUICE_SECTORS_MAX;
	for (unsigned int i = 0; i < count; i++) {
		assert_int_equal(card_create(&bad[i], 0, &card), -EINVAL);
		assert_null(card);
	}
	card_destroy(NULL);
}

static void each_command_is_answered_by_its_state(void **state)
{
	static const struct {
		enum fw_command command;
		enum fw_answer idle, armed;
	} table[] = {
		{ FW_COMMAND_RUN, FW_ANSWER_STATE, 0 },
		{ FW_COMMAND_STOP, FW_ANSWER_DONE, FW_ANSWER_STATE },
		{ FW_COMMAND_ABORT, FW_ANSWER_DONE, FW_ANSWER_DONE },
		{ FW_COMMAND_RESET, FW_ANSWER_DONE, FW_ANSWER_DONE },
		{ FW_COMMAND_ARM, 0, FW_ANSWER_STATE },
		{ (enum fw_command)0, FW_ANSWER_UNKNOWN, FW_ANSWER_UNKNOWN },
		{ (enum fw_command)6, FW_ANSWER_UNKNOWN, FW_ANSWER_UNKNOWN },
		{ (enum fw_command)0xffff, FW_ANSWER_UNKNOWN, FW_ANSWER_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint32_t events = host.raised[FW_VECTOR_EVENT];

		if (table[i].idle != 0) {
			assert_int_equal(host_command(&host, table[i].command), table[i].idle);
			assert_int_equal(host_get(&host, FW_STATE), FW_STATE_IDLE);
			assert_int_equal(host.raised[FW_VECTOR_EVENT], events + 1);
		}
		if (table[i].armed == 0)
			continue;
		host_arm(&host, 4);
		events = host.raised[FW_VECTOR_EVENT];
		assert_int_equal(host_command(&host, table[i].command), table[i].armed);
		assert_int_equal(host.raised[FW_VECTOR_EVENT], events + 1);
		assert_int_equal(host_command(&host, FW_COMMAND_ABORT), FW_ANSWER_DONE);
		assert_int_equal(host_get(&host, FW_STATE), FW_STATE_IDLE);
	}
}

static void commands_in_a_running_scan_are_answered_by_state(void **state)
{
	(void)state;
	host_arm(&host, 100);
	host_run(&host);
	assert_int_equal(host_command(&host, FW_COMMAND_ARM), FW_ANSWER_STATE);
	assert_int_equal(host_command(&host, FW_COMMAND_RUN), FW_ANSWER_STATE);
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_RUNNING);
	/* One that is there already, and one that is none. */
	card_doorbell(host.card, FW_DOORBELL_COMMAND, host.now_ns);
	card_doorbell(host.card, 17, host.now_ns);
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_RUNNING);
}

static void the_same_sequence_number_is_no_new_command(void **state)
{
	(void)state;
	host_arm(&host, 4);
	host_set(&host, FW_COMMAND, (uint32_t)host.sequence << 16 | FW_COMMAND_ABORT);
	card_doorbell(host.card, FW_DOORBELL_COMMAND, host.now_ns);
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_ARMED);
}

static void numbers_that_cannot_be_are_refused_at_arm(void **state)
{
	static const struct {
		uint32_t offset;
		uint64_t value;
		enum fw_answer answer;
	} bad[] = {
		{ FW_SCAN_COLUMNS, 0, FW_ANSWER_SCAN },
		{ FW_SCAN_COLUMNS, 65536, FW_ANSWER_SCAN },
		{ FW_SCAN_ROWS, 0, FW_ANSWER_SCAN },
		{ FW_SCAN_ROWS, UINT32_MAX, FW_ANSWER_SCAN },
		{ FW_FRAMES, 0, FW_ANSWER_SCAN },
		{ FW_FRAMES, UINT64_MAX, FW_ANSWER_SCAN },
		{ FW_SOURCE, 3, FW_ANSWER_SOURCE },
		{ FW_SOURCE, UINT32_MAX, FW_ANSWER_SOURCE },
		{ FW_DESC_ENTRIES, 0, FW_ANSWER_RING },
		{ FW_DESC_ENTRIES, 2, FW_ANSWER_RING },
		{ FW_DESC_ENTRIES, 12, FW_ANSWER_RING },
		{ FW_DESC_ENTRIES, 2048, FW_ANSWER_RING },
		{ FW_DESC_ENTRIES, 0x80000000, FW_ANSWER_RING },
		{ FW_COMPLETION_ENTRIES, 0, FW_ANSWER_RING },
		{ FW_COMPLETION_ENTRIES, 2, FW_ANSWER_RING },
		{ FW_COMPLETION_ENTRIES, 2048, FW_ANSWER_RING },
		{ FW_DESC_ADDRESS, HOST_BASE + 8, FW_ANSWER_RING },
		{ FW_DESC_ADDRESS, UINT64_MAX - 63, FW_ANSWER_RING },
		{ FW_COMPLETION_ADDRESS, HOST_BASE + 32, FW_ANSWER_RING },
		{ FW_COMPLETION_ADDRESS, UINT64_MAX - 63, FW_ANSWER_RING },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		host_prepare(&host, 4);
		if (bad[i].offset == FW_FRAMES || bad[i].offset == FW_DESC_ADDRESS ||
		    bad[i].offset == FW_COMPLETION_ADDRESS)
			host_set64(&host, bad[i].offset, bad[i].value);
		else
			host_set(&host, bad[i].offset, (uint32_t)bad[i].value);
		assert_int_equal(host_command(&host, FW_COMMAND_ARM), bad[i].answer);
		assert_int_equal(host_get(&host, FW_STATE), FW_STATE_IDLE);
	}
	host_arm(&host, 4);
}

static void a_source_that_the_card_lacks_is_refused(void **state)
{
	(void)state;
	card_destroy(host.card);
	host.args.source[FW_SOURCE_PRBS] = NULL;
	host_open(&host);
	assert_false(host_get(&host, FW_CAPABILITIES) & FW_CAP_PRBS);
	host_prepare(&host, 4);
	host_set(&host, FW_SOURCE, FW_SOURCE_PRBS);
	assert_int_equal(host_command(&host, FW_COMMAND_ARM), FW_ANSWER_SOURCE);
}

static void reset_is_as_at_power_on(void **state)
{
	uint8_t power_on[FW_REGISTERS_BYTES];

	(void)state;
	memcpy(power_on, host.registers, sizeof(power_on));
	host_arm(&host, 100);
	(void)host_post(&host, 4);
	host_run(&host);
	assert_true(host_get64(&host, FW_BLOCKS_OUT) > 0);
	assert_int_equal(host_command(&host, FW_COMMAND_RESET), FW_ANSWER_DONE);
	/* But for the command, which stays, and its answer. */
	memcpy(power_on + FW_COMMAND, host.registers + FW_COMMAND, 8);
	assert_memory_equal(power_on, host.registers, sizeof(power_on));
	host_arm(&host, 4);
	(void)host_post(&host, 4);
	host_run(&host);
	host_expect(&host, FW_STATUS_END, 0, 4);
}

/* Section 3.1: after these the memory is the host's again. */
static void after_abort_and_reset_nothing_is_written(void **state)
{
	static const enum fw_command command[] = { FW_COMMAND_ABORT, FW_COMMAND_RESET };

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t writes;

		host_arm(&host, 1000);
		for (unsigned int c = 0; c < 4; c++)
			(void)host_post(&host, 4);
		/* In the middle: blocks have been written, chains are left. */
		assert_int_equal(host_begin(&host, FW_COMMAND_RUN), FW_ANSWER_DONE);
		(void)card_step(host.card, host.now_ns);
		assert_int_equal(host_begin(&host, command[i]), FW_ANSWER_DONE);
		assert_int_equal(host_get(&host, FW_STATE), FW_STATE_IDLE);
		writes = host.writes;
		host_expect_account(&host);
		host_ring(&host);
		host_pass(&host, 1000000000);
		assert_int_equal(host.writes, writes);
		host_expect_guards(&host);
	}
}

static void abort_gives_no_completion_and_counts_what_was_under_way(void **state)
{
	struct fw_completion c;

	(void)state;
	host_arm(&host, 1000);
	(void)host_post(&host, 4);
	(void)host_post(&host, 400);
	/* One step, which ends in the middle of the second chunk. */
	assert_int_equal(host_begin(&host, FW_COMMAND_RUN), FW_ANSWER_DONE);
	(void)card_step(host.card, host.now_ns);
	host_expect(&host, FW_STATUS_FULL, 0, 4);
	assert_int_equal(host_command(&host, FW_COMMAND_ABORT), FW_ANSWER_DONE);
	assert_false(host_reap(&host, &c));
	assert_int_equal(host_get64(&host, FW_BLOCKS_OUT), 4);
	assert_int_equal(host_get64(&host, FW_DROPPED_STOP), CARD_STEP_BLOCKS - 4);
	host_expect_account(&host);
	/* Each block once: the next abort has nothing to count. */
	host_arm(&host, 10);
	assert_int_equal(host_command(&host, FW_COMMAND_ABORT), FW_ANSWER_DONE);
	host_expect_account(&host);
}

static void stop_writes_what_is_buffered_and_one_stopped(void **state)
{
	(void)state;
	host_arm(&host, 1000);
	host_run(&host);
	/* Nothing was posted: the buffer is full, 8 blocks. */
	assert_int_equal(host_get64(&host, FW_BLOCKS_IN), 8);
	for (unsigned int i = 0; i < 4; i++)
		(void)host_write_chain(&host, (const uint32_t[]){ 3 * HOST_BLOCK }, 1);
	host_set(&host, FW_DESC_TAIL, host.tail);
	/* The tail is read at this doorbell as well. */
	assert_int_equal(host_begin(&host, FW_COMMAND_STOP), 0);
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_STOPPING);
	host_settle(&host);
	assert_int_equal(host_get(&host, FW_ANSWER),
			 (uint32_t)host.sequence << 16 | FW_ANSWER_DONE);
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_IDLE);
	host_expect(&host, FW_STATUS_FULL, 0, 3);
	host_expect(&host, FW_STATUS_FULL, 3, 3);
	host_expect(&host, FW_STATUS_STOPPED, 6, 2);
	assert_int_equal(host_get64(&host, FW_BLOCKS_OUT), 8);
	assert_int_equal(host_get64(&host, FW_DROPPED_STOP), 0);
	host_expect_guards(&host);
}

static void stop_drops_what_has_no_chain(void **state)
{
	struct fw_completion c;

	(void)state;
	host_arm(&host, 1000);
	host_run(&host);
	(void)host_write_chain(&host, (const uint32_t[]){ 3 * HOST_BLOCK }, 1);
	host_set(&host, FW_DESC_TAIL, host.tail);
	assert_int_equal(host_command(&host, FW_COMMAND_STOP), FW_ANSWER_DONE);
	host_expect(&host, FW_STATUS_FULL, 0, 3);
	assert_false(host_reap(&host, &c));
	assert_int_equal(host_get64(&host, FW_DROPPED_STOP), 5);
	host_expect_account(&host);
}

static void stopped_may_hold_nothing(void **state)
{
	const uint64_t ns = 1000000000;

	(void)state;
	card_destroy(host.card);
	host.args.frames_per_s = 1.0;
	host_open(&host);
	host_arm(&host, 1000);
	(void)host_post(&host, 1);
	(void)host_post(&host, 1);
	host_run(&host);
	host_pass(&host, ns / 2);
	assert_int_equal(host_command(&host, FW_COMMAND_STOP), FW_ANSWER_DONE);
	host_expect(&host, FW_STATUS_FULL, 0, 1);
	host_expect(&host, FW_STATUS_STOPPED, 0, 0);
	host_pass(&host, 10 * ns);
	assert_int_equal(host_get64(&host, FW_BLOCKS_IN), 1);
}

/* Section 3.1: ABORT and RESET replace a STOP that is under way. */
static void abort_replaces_stop(void **state)
{
	static const enum fw_command command[] = { FW_COMMAND_ABORT, FW_COMMAND_RESET };

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		host_arm(&host, 1000);
		host_run(&host);
		(void)host_write_chain(&host, (const uint32_t[]){ 3 * HOST_BLOCK }, 1);
		host_set(&host, FW_DESC_TAIL, host.tail);
		assert_int_equal(host_begin(&host, FW_COMMAND_STOP), 0);
		assert_int_equal(host_begin(&host, command[i]), FW_ANSWER_DONE);
		host_settle(&host);
		assert_int_equal(host_get(&host, FW_ANSWER),
				 (uint32_t)host.sequence << 16 | FW_ANSWER_DONE);
		assert_int_equal(host.writes, 0);
		host_expect_account(&host);
		/* Nor is it answered later, when something else ends. */
		host_arm(&host, 4);
		host_set(&host, FW_DESC_TAIL, HOST_ENTRIES + 1);
		card_doorbell(host.card, FW_DOORBELL_DESCRIPTOR, host.now_ns);
		assert_int_equal(host_get(&host, FW_STATE), FW_STATE_FAILED);
		assert_int_equal(host_get(&host, FW_ANSWER),
				 (uint32_t)host.sequence << 16 | FW_ANSWER_DONE);
		assert_int_equal(host_command(&host, FW_COMMAND_RESET), FW_ANSWER_DONE);
	}
}

static void a_failed_card_answers_reset_only(void **state)
{
	(void)state;
	host_arm(&host, 4);
	host_set(&host, FW_DESC_TAIL, HOST_ENTRIES + 1);
	card_doorbell(host.card, FW_DOORBELL_DESCRIPTOR, host.now_ns);
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_FAILED);
	assert_int_equal(host_get(&host, FW_FAULT), FW_FAULT_DESCRIPTOR);
	for (int c = FW_COMMAND_ARM; c <= FW_COMMAND_ABORT; c++)
		assert_int_equal(host_command(&host, (enum fw_command)c), FW_ANSWER_FAULT);
	assert_int_equal(host_command(&host, FW_COMMAND_RESET), FW_ANSWER_DONE);
	assert_int_equal(host_get(&host, FW_FAULT), FW_FAULT_NONE);
	host_arm(&host, 4);
}

/* Section 5.3: time goes on in any state, from RESET. */
static void the_clock_counts_from_reset(void **state)
{
	(void)state;
	host_pass(&host, 50000000);
	assert_int_equal(host_get64(&host, FW_CLOCK_NS), 50000000);
	assert_int_equal(host_command(&host, FW_COMMAND_RESET), FW_ANSWER_DONE);
	assert_int_equal(host_get64(&host, FW_CLOCK_NS), 0);
}

#define with_host(test) \
	cmocka_unit_test_prestate_setup_teardown(test, host_set_up, host_tear_down, &host)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_host(the_card_says_what_it_is),
		with_host(nothing_reads_all_ones),
		with_host(a_card_that_cannot_be_is_refused),
		with_host(each_command_is_answered_by_its_state),
		with_host(commands_in_a_running_scan_are_answered_by_state),
		with_host(the_same_sequence_number_is_no_new_command),
		with_host(numbers_that_cannot_be_are_refused_at_arm),
		with_host(a_source_that_the_card_lacks_is_refused),
		with_host(reset_is_as_at_power_on),
		with_host(after_abort_and_reset_nothing_is_written),
		with_host(abort_gives_no_completion_and_counts_what_was_under_way),
		with_host(stop_writes_what_is_buffered_and_one_stopped),
		with_host(stop_drops_what_has_no_chain),
		with_host(stopped_may_hold_nothing),
		with_host(abort_replaces_stop),
		with_host(a_failed_card_answers_reset_only),
		with_host(the_clock_counts_from_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
