/* SPDX-License-Identifier: MIT */
/* Section 4 of the firmware interface: chains, blocks, completions. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include <model/truth.h>

#include "card_host.h"

static struct host host;

static void a_scan_arrives_whole_and_in_order(void **state)
{
	uint64_t offset[4];

	(void)state;
	host_arm(&host, 10);
	for (unsigned int i = 0; i < 4; i++)
		offset[i] = host_post(&host, 3);
	host_run(&host);
	host_expect(&host, FW_STATUS_FULL, 0, 3);
	host_expect(&host, FW_STATUS_FULL, 3, 3);
	host_expect(&host, FW_STATUS_FULL, 6, 3);
	host_expect(&host, FW_STATUS_END, 9, 1);
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_IDLE);
	for (uint64_t f = 0; f < 10; f++)
		host_expect_block(&host, offset[f / 3] + f % 3 * HOST_BLOCK, f);
	assert_int_equal(host_get64(&host, FW_BLOCKS_OUT), 10);
	assert_int_equal(host_get64(&host, FW_BYTES_OUT), 10 * HOST_BLOCK);
	assert_int_equal(host_get64(&host, FW_COMPLETIONS), 4);
	assert_int_equal(host_get(&host, FW_COMPLETION_COUNT), 4);
	assert_int_equal(host_get(&host, FW_DESC_HEAD), 4);
	host_expect_guards(&host);
	host_expect_account(&host);
}

static void each_source_is_what_was_asked_for(void **state)
{
	(void)state;
	for (uint32_t source = 0; source < CARD_SOURCES; source++) {
		uint64_t offset;

		host_prepare(&host, 7);
		host_set(&host, FW_SOURCE, source);
		assert_int_equal(host_command(&host, FW_COMMAND_ARM), FW_ANSWER_DONE);
		offset = host_post(&host, 7);
		host_run(&host);
		host_expect(&host, FW_STATUS_END, 0, 7);
		for (uint64_t f = 0; f < 7; f++)
			host_expect_block(&host, offset + f * HOST_BLOCK, f);
	}
}

/* The truth of a scan is that of the detector, and is there when its first block is. */
static void the_truth_tells_of_the_detectors_scans(void **state)
{
	char path[] = "/tmp/sluice-truth-XXXXXX", line[8192];
	const int fd = mkstemp(path);
	struct truth *truth = NULL;
	unsigned int scans = 0;
	FILE *in;

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(truth_open(path, host.model[0], &truth, NULL), 0);
	card_destroy(host.card);
	host.args.truth = truth;
	host_open(&host);
	for (uint32_t source = 0; source < CARD_SOURCES; source++) {
		host_prepare(&host, 7);
		host_set(&host, FW_SOURCE, source);
		assert_int_equal(host_command(&host, FW_COMMAND_ARM), FW_ANSWER_DONE);
		host_run(&host);
		assert_int_equal(host_command(&host, FW_COMMAND_ABORT), FW_ANSWER_DONE);
	}
	truth_close(truth);
	in = fopen(path, "re");
	assert_non_null(in);
	while (fgets(line, sizeof(line), in))
		if (strstr(line, "\"kind\":\"scan\"")) {
			assert_non_null(strstr(line, "\"scan\":1,"));
			scans++;
		}
	assert_int_equal(scans, 1);
	(void)fclose(in);
	assert_int_equal(unlink(path), 0);
}

/* Addresses and lengths of any alignment: every block is cut in another way. */
static void a_chain_scatters_over_pieces_of_any_size(void **state)
{
	uint32_t bytes[20], total = 0;
	uint8_t joined[20 * HOST_BLOCK];
	uint64_t at = HOST_CHUNKS, frames;
	size_t got = 0;

	(void)state;
	for (uint32_t i = 0; i < 20; i++) {
		bytes[i] = 1 + i * 13 % 97;
		total += bytes[i];
	}
	frames = total / HOST_BLOCK;
	assert_true(frames > 4);
	host.entries = 32;
	host_arm(&host, frames);
	(void)host_write_chain(&host, bytes, 20);
	host_ring(&host);
	host_run(&host);
	host_expect(&host, FW_STATUS_END, 0, (uint32_t)frames);
	host_expect_guards(&host);
	for (uint32_t i = 0; i < 20; i++) {
		memcpy(joined + got, host.memory + at, bytes[i]);
		got += bytes[i];
		at += bytes[i] + HOST_GUARD_BYTES;
	}
	/* Put together again they are the blocks, and behind them nothing was written. */
	memcpy(host.memory + HOST_CHUNKS, joined, got);
	for (uint64_t f = 0; f < frames; f++)
		host_expect_block(&host, HOST_CHUNKS + f * HOST_BLOCK, f);
	for (size_t i = frames * HOST_BLOCK; i < got; i++)
		assert_int_equal(joined[i], HOST_GUARD);
	assert_int_equal(host_get(&host, FW_DESC_HEAD), 20);
}

/* Section 4.3: the data, then the completion, and its generation last. */
static void the_generation_is_written_last(void **state)
{
	const size_t before = offsetof(struct fw_completion, generation);
	uint64_t data;
	unsigned int seen = 0;

	(void)state;
	host_arm(&host, 9);
	data = host_post(&host, 3);
	(void)host_post(&host, 3);
	(void)host_post(&host, 3);
	host_run(&host);
	for (uint64_t w = 1; w < host.writes; w++) {
		const struct host_write *last = &host.log[w], *body = &host.log[w - 1];

		if (last->bytes != sizeof(uint32_t) || last->offset >= data)
			continue;
		assert_int_equal(last->offset, HOST_COMPLETIONS + 32 * seen + before);
		assert_int_equal(body->offset, HOST_COMPLETIONS + 32 * seen);
		assert_int_equal(body->bytes, before);
		/* Between it and the completion before: its data only. */
		assert_true(host.log[w - 2].offset >= data);
		seen++;
		/* No interrupt speaks of what is not written yet: RUN and ARM had one each. */
		assert_int_equal(last->raised, 2 + seen - 1);
	}
	assert_int_equal(seen, 3);
}

/* Many times round both rings. */
static void generations_count_the_rounds(void **state)
{
	(void)state;
	host.entries = 4;
	host_arm(&host, 40);
	host_run(&host);
	for (uint64_t i = 0; i < 40; i++) {
		const uint64_t offset = host_post(&host, 1);

		host_settle(&host);
		host_expect(&host, i < 39 ? FW_STATUS_FULL : FW_STATUS_END, i, 1);
		host_expect_block(&host, offset, i);
	}
	assert_int_equal(host_get(&host, FW_DESC_HEAD), 40);
	host_expect_guards(&host);
}

static void no_chunk_crosses_a_border_of_runs(void **state)
{
	(void)state;
	host_prepare(&host, 10);
	host_set(&host, FW_RUN_FRAMES, 4);
	assert_int_equal(host_command(&host, FW_COMMAND_ARM), FW_ANSWER_DONE);
	for (unsigned int i = 0; i < 5; i++)
		(void)host_post(&host, 3);
	host_run(&host);
	host_expect(&host, FW_STATUS_FULL, 0, 3);
	host_expect(&host, FW_STATUS_FULL, 3, 1);
	host_expect(&host, FW_STATUS_FULL, 4, 3);
	host_expect(&host, FW_STATUS_FULL, 7, 1);
	host_expect(&host, FW_STATUS_END, 8, 2);
}

/* A chunk is given back at the border at once, not when the next block comes. */
static void a_border_completes_without_waiting_for_the_next_block(void **state)
{
	(void)state;
	card_destroy(host.card);
	host.args.frames_per_s = 1.0;
	host_open(&host);
	host_prepare(&host, 10);
	host_set(&host, FW_RUN_FRAMES, 2);
	assert_int_equal(host_command(&host, FW_COMMAND_ARM), FW_ANSWER_DONE);
	(void)host_post(&host, 8);
	host_run(&host);
	host_pass(&host, 1500000000);
	host_expect(&host, FW_STATUS_FULL, 0, 2);
}

static void a_chain_is_left_with_what_does_not_hold_a_block(void **state)
{
	const uint32_t bytes = 3 * HOST_BLOCK - 1;
	uint64_t offset;

	(void)state;
	host_arm(&host, 4);
	offset = host_write_chain(&host, &bytes, 1);
	(void)host_write_chain(&host, &bytes, 1);
	host_ring(&host);
	host_run(&host);
	host_expect(&host, FW_STATUS_FULL, 0, 2);
	host_expect(&host, FW_STATUS_END, 2, 2);
	for (size_t i = 2 * HOST_BLOCK; i < bytes; i++)
		assert_int_equal(host.memory[offset + i], HOST_GUARD);
}

/* Chains posted beyond the end are forgotten; the next scan begins afresh. */
static void after_the_end_nothing_is_written(void **state)
{
	uint64_t writes;

	(void)state;
	host_arm(&host, 2);
	for (unsigned int i = 0; i < 4; i++)
		(void)host_post(&host, 2);
	host_run(&host);
	host_expect(&host, FW_STATUS_END, 0, 2);
	writes = host.writes;
	(void)host_post(&host, 2);
	host_pass(&host, 1000000000);
	assert_int_equal(host.writes, writes);
	host_arm(&host, 2);
	host_run(&host);
	assert_int_equal(host.writes, 0);
	(void)host_post(&host, 2);
	host_settle(&host);
	host_expect(&host, FW_STATUS_END, 0, 2);
}

/* The state becomes idle after the last write, and the account is closed before it. */
static void idle_means_that_no_write_comes(void **state)
{
	const struct host_write *last;

	(void)state;
	host_arm(&host, 3);
	(void)host_post(&host, 3);
	host_run(&host);
	host_expect(&host, FW_STATUS_END, 0, 3);
	last = &host.log[host.writes - 1];
	assert_int_equal(last->offset, HOST_COMPLETIONS + 28);
	/* Both interrupts of the end came after: completion, and state. */
	assert_int_equal(host.raised[0] + host.raised[1], last->raised + 2);
}

/* @status and @fault of a chain that was written with @bytes, then wrong in one way. */
static void expect_failure(enum fw_fault fault, enum fw_status status)
{
	const uint32_t events = host.raised[FW_VECTOR_EVENT];
	uint64_t writes;

	host_ring(&host);
	host_settle(&host);
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_FAILED);
	assert_int_equal(host_get(&host, FW_FAULT), fault);
	assert_int_equal(host.raised[FW_VECTOR_EVENT], events + 1);
	if (status != 0)
		host_expect(&host, status, 0, 0);
	host_expect_account(&host);
	host_expect_guards(&host);
	writes = host.writes;
	(void)host_post(&host, 2);
	host_pass(&host, 1000000000);
	assert_int_equal(host.writes, writes);
	assert_int_equal(host_command(&host, FW_COMMAND_RESET), FW_ANSWER_DONE);
}

static void begin(void)
{
	host.entries = 128;
	host_arm(&host, 20);
	host_run(&host);
}

static void descriptors_that_cannot_be_are_a_fault(void **state)
{
	const uint64_t data = HOST_BASE + HOST_CHUNKS;

	(void)state;
	begin(); /* a length of 0 */
	host_write_desc(&host, data, 0, FW_DESC_LAST);
	expect_failure(FW_FAULT_DESCRIPTOR, FW_STATUS_DESCRIPTOR);
	begin(); /* two tags in a chain */
	host_write_desc(&host, data, HOST_BLOCK, 0);
	host_write_desc(&host, data, HOST_BLOCK, 1 | FW_DESC_LAST);
	expect_failure(FW_FAULT_DESCRIPTOR, FW_STATUS_DESCRIPTOR);
	begin(); /* too small for a block */
	host_write_desc(&host, data, HOST_BLOCK - 1, FW_DESC_LAST);
	expect_failure(FW_FAULT_DESCRIPTOR, FW_STATUS_DESCRIPTOR);
	begin(); /* does not end before the tail */
	host_write_desc(&host, data, HOST_BLOCK, 0);
	expect_failure(FW_FAULT_DESCRIPTOR, FW_STATUS_DESCRIPTOR);
	/* Nor is what lies behind the tail looked at. */
	begin();
	host_write_desc(&host, data, HOST_BLOCK, 0);
	host_write_desc(&host, data + HOST_BLOCK, HOST_BLOCK, FW_DESC_LAST);
	host.tail--;
	expect_failure(FW_FAULT_DESCRIPTOR, FW_STATUS_DESCRIPTOR);
	begin(); /* longer than FW_CHAIN_MAX */
	for (unsigned int i = 0; i < 64; i++)
		host_write_desc(&host, data, HOST_BLOCK, 0);
	host_write_desc(&host, data, HOST_BLOCK, FW_DESC_LAST);
	expect_failure(FW_FAULT_DESCRIPTOR, FW_STATUS_DESCRIPTOR);
	begin(); /* a tail too far ahead: no chain is at hand */
	host.tail = 129;
	expect_failure(FW_FAULT_DESCRIPTOR, 0);
	begin(); /* a tail that went back */
	host.tail = UINT32_MAX;
	expect_failure(FW_FAULT_DESCRIPTOR, 0);
}

static void the_longest_chain_is_taken(void **state)
{
	uint32_t bytes[64];

	(void)state;
	for (unsigned int i = 0; i < 64; i++)
		bytes[i] = HOST_BLOCK / 4;
	host.entries = 64;
	host_arm(&host, 16);
	(void)host_write_chain(&host, bytes, 64);
	host_ring(&host);
	host_run(&host);
	host_expect(&host, FW_STATUS_END, 0, 16);
}

static void addresses_that_the_bus_refuses_are_a_fault(void **state)
{
	static const uint64_t bad[] = { 0,
					HOST_BASE - 1,
					HOST_BASE + HOST_BYTES - HOST_BLOCK + 1,
					UINT64_MAX,
					UINT64_MAX - HOST_BLOCK + 1,
					UINT64_MAX - HOST_BLOCK + 2 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin();
		host_write_desc(&host, bad[i], HOST_BLOCK, FW_DESC_LAST);
		/* What is memory of the third may be written. */
		memset(host.expected + HOST_BYTES - HOST_BLOCK + 1, 1, HOST_BLOCK - 1);
		expect_failure(FW_FAULT_DMA, FW_STATUS_DMA);
	}
	/* In the second piece: the first was written, but nothing in the chain counts. */
	begin();
	host_write_desc(&host, HOST_BASE + HOST_CHUNKS, 2 * HOST_BLOCK, 0);
	memset(host.expected + HOST_CHUNKS, 1, 2 * HOST_BLOCK);
	host_write_desc(&host, HOST_BASE + HOST_BYTES, HOST_BLOCK, FW_DESC_LAST);
	expect_failure(FW_FAULT_DMA, FW_STATUS_DMA);
	assert_int_equal(host_get64(&host, FW_BLOCKS_OUT), 0);
}

static void rings_that_the_bus_refuses_are_a_fault(void **state)
{
	(void)state;
	begin();
	host.refuse_reads = true;
	(void)host_write_chain(&host, (const uint32_t[]){ HOST_BLOCK }, 1);
	expect_failure(FW_FAULT_DMA, 0);
	host.refuse_reads = false;
	begin();
	host.refuse_writes = true;
	(void)host_write_chain(&host, (const uint32_t[]){ HOST_BLOCK }, 1);
	expect_failure(FW_FAULT_DMA, 0);
	host.refuse_writes = false;
	/* Only the completion is refused. */
	host_prepare(&host, 4);
	host_set64(&host, FW_COMPLETION_ADDRESS, HOST_BASE + HOST_BYTES);
	assert_int_equal(host_command(&host, FW_COMMAND_ARM), FW_ANSWER_DONE);
	host_run(&host);
	(void)host_write_chain(&host, (const uint32_t[]){ HOST_BLOCK }, 1);
	expect_failure(FW_FAULT_DMA, 0);
}

/* STOP finds the fault: it is answered all the same. */
static void a_fault_answers_the_stop_under_way(void **state)
{
	(void)state;
	host_arm(&host, 100);
	host_run(&host);
	host_write_desc(&host, 0, HOST_BLOCK, FW_DESC_LAST);
	host_set(&host, FW_DESC_TAIL, host.tail);
	assert_int_equal(host_command(&host, FW_COMMAND_STOP), FW_ANSWER_FAULT);
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_FAILED);
	host_expect_account(&host);
}

/* What the host changes in its ring after the chain was taken is not looked at again. */
static void descriptors_are_read_once(void **state)
{
	uint64_t offset;

	(void)state;
	card_destroy(host.card);
	host.args.frames_per_s = 1.0;
	host_open(&host);
	host_arm(&host, 4);
	offset = host_post(&host, 4);
	host_run(&host);
	assert_int_equal(host_get(&host, FW_DESC_HEAD), 1);
	memset(host.memory + HOST_DESCRIPTORS, 0xff, sizeof(struct fw_desc));
	host_pass(&host, 4000000000);
	host_expect(&host, FW_STATUS_END, 0, 4);
	host_expect_block(&host, offset + 3 * HOST_BLOCK, 3);
}

#define with_host(test) \
	cmocka_unit_test_prestate_setup_teardown(test, host_set_up, host_tear_down, &host)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_host(a_scan_arrives_whole_and_in_order),
		with_host(each_source_is_what_was_asked_for),
		with_host(the_truth_tells_of_the_detectors_scans),
		with_host(a_chain_scatters_over_pieces_of_any_size),
		with_host(the_generation_is_written_last),
		with_host(generations_count_the_rounds),
		with_host(no_chunk_crosses_a_border_of_runs),
		with_host(a_border_completes_without_waiting_for_the_next_block),
		with_host(a_chain_is_left_with_what_does_not_hold_a_block),
		with_host(after_the_end_nothing_is_written),
		with_host(idle_means_that_no_write_comes),
		with_host(descriptors_that_cannot_be_are_a_fault),
		with_host(the_longest_chain_is_taken),
		with_host(addresses_that_the_bus_refuses_are_a_fault),
		with_host(rings_that_the_bus_refuses_are_a_fault),
		with_host(a_fault_answers_the_stop_under_way),
		with_host(descriptors_are_read_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
