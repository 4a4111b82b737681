/* SPDX-License-Identifier: MIT */
/* model/fault.h, of a card: what each order does to its host, and that the next scan is good. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/clock.h>
#include <base/crc32c.h>
#include <base/error.h>
#include <model/fault.h>

#include "unit/card_host.h"

enum {
	FRAMES = 12,
	CHUNK = 3, /* blocks */
	CHUNKS = FRAMES / CHUNK,
};

static struct host host;

static void order(const char *what)
{
	struct sluice_error error;

	if (card_fault(host.card, what, &error) < 0)
		fail_msg("%s", error.text);
}

/* A scan of CHUNKS chunks; returns the offset of the first. */
static uint64_t begin(void)
{
	uint64_t offset;

	host_arm(&host, FRAMES);
	offset = host_post(&host, CHUNK);
	for (unsigned int i = 1; i < CHUNKS + 1; i++)
		(void)host_post(&host, CHUNK);
	memset(host.raised, 0, sizeof(host.raised));
	host_run(&host);
	return offset;
}

/* All is as if there had never been a fault. */
static void expect_good_scan(void)
{
	const uint64_t stride = CHUNK * HOST_BLOCK + HOST_GUARD_BYTES;
	uint64_t offset;

	offset = begin();
	for (uint64_t i = 0; i < CHUNKS; i++)
		host_expect(&host, i < CHUNKS - 1 ? FW_STATUS_FULL : FW_STATUS_END, CHUNK * i,
			    CHUNK);
	for (uint64_t f = 0; f < FRAMES; f++)
		host_expect_block(&host, offset + f / CHUNK * stride + f % CHUNK * HOST_BLOCK, f);
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], CHUNKS);
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_IDLE);
	host_expect_guards(&host);
}

static void repair_and_go_on(void)
{
	card_repair(host.card, host.now_ns);
	assert_int_equal(host_command(&host, FW_COMMAND_RESET), FW_ANSWER_DONE);
	expect_good_scan();
	host_expect_account(&host);
}

static void dropped_blocks_are_the_links_and_leave_a_gap(void **state)
{
	struct sluice_block_header h;
	uint64_t offset;

	(void)state;
	order("drop=1,4-5");
	offset = begin();
	host_expect(&host, FW_STATUS_FULL, 0, CHUNK);
	memcpy(&h, host.memory + offset + HOST_BLOCK, sizeof(h));
	assert_int_equal(sluice_u64(h.frame), 2);
	host_expect(&host, FW_STATUS_FULL, 6, CHUNK);
	host_expect(&host, FW_STATUS_END, 9, CHUNK);
	assert_int_equal(host_get64(&host, FW_DROPPED_LINK), 3);
	assert_int_equal(host_get64(&host, FW_LINK_CRC_ERRORS), 3);
	host_expect_account(&host);
	repair_and_go_on();
}

static void the_last_frames_may_be_dropped(void **state)
{
	(void)state;
	order("drop=9-11");
	(void)begin();
	for (uint64_t i = 0; i < CHUNKS - 1; i++)
		host_expect(&host, FW_STATUS_FULL, CHUNK * i, CHUNK);
	host_expect(&host, FW_STATUS_END, 0, 0);
	host_expect_account(&host);
	repair_and_go_on();
}

/* The last frame of a run is dropped: its chunk is left when the next run's first block comes. */
static void a_border_is_kept_where_frames_are_dropped(void **state)
{
	(void)state;
	order("drop=3");
	host_prepare(&host, 8);
	host_set(&host, FW_RUN_FRAMES, 4);
	assert_int_equal(host_command(&host, FW_COMMAND_ARM), FW_ANSWER_DONE);
	for (unsigned int i = 0; i < 3; i++)
		(void)host_post(&host, 8);
	host_run(&host);
	host_expect(&host, FW_STATUS_FULL, 0, 3);
	host_expect(&host, FW_STATUS_END, 4, 4);
	repair_and_go_on();
}

static void a_corrupt_block_shows_by_its_crc(void **state)
{
	struct sluice_block_header h;
	uint64_t offset;

	(void)state;
	order("corrupt=1");
	order("badheader=2");
	offset = begin() + HOST_BLOCK;
	memcpy(&h, host.memory + offset, sizeof(h));
	assert_int_equal(sluice_u32(h.header_crc), crc32c(&h, 60));
	assert_int_not_equal(sluice_u32(h.payload_crc),
			     crc32c(host.memory + offset + sizeof(h), HOST_PAYLOAD));
	memcpy(&h, host.memory + offset + HOST_BLOCK, sizeof(h));
	assert_int_not_equal(sluice_u32(h.header_crc), crc32c(&h, 60));
	assert_int_equal(host_get64(&host, FW_BLOCKS_OUT), FRAMES);
	repair_and_go_on();
}

/* An order that comes late finds blocks that are in the buffer already: they go out whole. */
static void a_drop_ordered_late_spares_what_is_buffered(void **state)
{
	(void)state;
	host_arm(&host, FRAMES);
	host_run(&host);
	order("drop=every:1");
	for (unsigned int i = 0; i < CHUNKS; i++)
		(void)host_post(&host, CHUNK);
	host_settle(&host);
	host_expect(&host, FW_STATUS_FULL, 0, CHUNK);
	host_expect(&host, FW_STATUS_FULL, 3, CHUNK);
	host_expect(&host, FW_STATUS_END, 6, 2);
	assert_int_equal(host_get64(&host, FW_DROPPED_LINK), 4);
	host_expect_account(&host);
}

static struct fw_expected expected(uint16_t tag)
{
	return (struct fw_expected){ .scan = host.scan,
				     .block_bytes = HOST_BLOCK,
				     .bytes = CHUNK * HOST_BLOCK,
				     .descriptors = 1,
				     .tag = tag,
				     .newest = CHUNKS };
}

/* Takes completions as a driver would; the @nth must be judged @verdict, those before are good. */
static void expect_verdict(unsigned int nth, enum fw_verdict verdict)
{
	struct fw_completion c;

	for (unsigned int i = 0; i <= nth; i++) {
		const struct fw_expected e = expected((uint16_t)i);

		assert_true(host_reap(&host, &c));
		assert_int_equal(fw_completion_judge(&c, &e), i < nth ? FW_VERDICT_GOOD : verdict);
	}
}

static void a_wrong_length_is_judged_so(void **state)
{
	(void)state;
	order("length=2");
	(void)begin();
	expect_verdict(2, FW_VERDICT_LENGTH);
	repair_and_go_on();
}

static void a_completion_may_come_twice(void **state)
{
	(void)state;
	order("twice=1");
	(void)begin();
	expect_verdict(2, FW_VERDICT_TWICE);
	assert_int_equal(host_get64(&host, FW_COMPLETIONS), CHUNKS + 1);
	assert_int_equal(host_get64(&host, FW_BLOCKS_OUT), FRAMES);
	repair_and_go_on();
}

static void a_completion_may_be_lost(void **state)
{
	(void)state;
	order("lost=1");
	(void)begin();
	expect_verdict(1, FW_VERDICT_LOST);
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], CHUNKS - 1);
	/* What was in it went nowhere: the account is open by so much. */
	assert_int_equal(host_get64(&host, FW_BLOCKS_OUT), FRAMES - CHUNK);
	repair_and_go_on();
}

static void the_last_completion_may_be_lost(void **state)
{
	struct fw_completion c;

	(void)state;
	order("lost=3");
	(void)begin();
	for (unsigned int i = 0; i < CHUNKS - 1; i++)
		assert_true(host_reap(&host, &c));
	assert_false(host_reap(&host, &c));
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_IDLE);
	repair_and_go_on();
}

static void an_interrupt_may_be_lost(void **state)
{
	(void)state;
	order("silent=1,3");
	(void)begin();
	for (uint64_t i = 0; i < CHUNKS; i++)
		host_expect(&host, i < CHUNKS - 1 ? FW_STATUS_FULL : FW_STATUS_END, CHUNK * i,
			    CHUNK);
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], CHUNKS - 2);
	/* The board thinks that it raised them. */
	assert_int_equal(host_get64(&host, FW_INTERRUPTS), CHUNKS);
	repair_and_go_on();
}

static void a_counter_may_jump(void **state)
{
	(void)state;
	order("jump=4:1000");
	(void)begin();
	assert_int_equal(host_get64(&host, FW_BLOCKS_OUT), FRAMES + 1000);
	assert_int_equal(host_get64(&host, FW_BLOCKS_IN), FRAMES);
	repair_and_go_on();
}

static void a_stall_ends_after_its_time(void **state)
{
	struct fw_completion c;

	(void)state;
	order("stall=4:250");
	(void)begin();
	host_pass(&host, 249 * NS_PER_MS);
	host_expect(&host, FW_STATUS_FULL, 0, CHUNK);
	assert_false(host_reap(&host, &c));
	assert_int_equal(host_get64(&host, FW_BLOCKS_IN), 4);
	host_pass(&host, NS_PER_MS);
	host_expect(&host, FW_STATUS_FULL, 3, CHUNK);
	host_expect(&host, FW_STATUS_FULL, 6, CHUNK);
	host_expect(&host, FW_STATUS_END, 9, CHUNK);
	/* It is not the board that stalled its input. */
	assert_int_equal(host_get64(&host, FW_STALL_NS), 0);
	repair_and_go_on();
}

static void a_stall_for_ever_ends_by_stop_or_repair(void **state)
{
	(void)state;
	order("stall=4");
	(void)begin();
	host_pass(&host, 3600 * NS_PER_S);
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_RUNNING);
	assert_int_equal(host_command(&host, FW_COMMAND_STOP), FW_ANSWER_DONE);
	host_expect(&host, FW_STATUS_FULL, 0, CHUNK);
	host_expect(&host, FW_STATUS_STOPPED, 3, 1);
	host_expect_account(&host);
	(void)begin();
	card_repair(host.card, host.now_ns);
	host_settle(&host);
	assert_int_equal(host_get64(&host, FW_BLOCKS_OUT), 4 + FRAMES);
	repair_and_go_on();
}

static void the_board_may_fail_in_a_chunk(void **state)
{
	static const struct {
		const char *order;
		enum fw_fault fault;
		enum fw_status status;
	} table[] = {
		{ "dma=1", FW_FAULT_DMA, FW_STATUS_DMA },
		{ "internal=1", FW_FAULT_INTERNAL, FW_STATUS_INTERNAL },
		{ "descriptor=1", FW_FAULT_DESCRIPTOR, FW_STATUS_DESCRIPTOR },
		{ "link=4", FW_FAULT_LINK, FW_STATUS_LINK },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint64_t writes;

		order(table[i].order);
		(void)begin();
		assert_int_equal(host_get(&host, FW_STATE), FW_STATE_FAILED);
		assert_int_equal(host_get(&host, FW_FAULT), table[i].fault);
		host_expect(&host, FW_STATUS_FULL, 0, CHUNK);
		host_expect(&host, table[i].status, 0, 0);
		assert_int_equal(host.raised[FW_VECTOR_COMPLETION], 2);
		host_expect_account(&host);
		if (table[i].fault == FW_FAULT_LINK)
			assert_int_equal(host_get(&host, FW_LANES_UP), 0);
		writes = host.writes;
		host_ring(&host);
		host_pass(&host, NS_PER_S);
		assert_int_equal(host.writes, writes);
		host_expect_guards(&host);
		repair_and_go_on();
		assert_int_equal(host_get(&host, FW_LANES_UP), host_get(&host, FW_LANES));
	}
}

static void stop_and_abort_may_hang_but_reset_is_answered(void **state)
{
	uint64_t writes;

	(void)state;
	order("hang=stop");
	host_arm(&host, 1000);
	(void)host_post(&host, CHUNK);
	host_run(&host);
	assert_int_equal(host_command(&host, FW_COMMAND_STOP), 0);
	assert_int_equal(host_command(&host, FW_COMMAND_ABORT), 0);
	/* DMA goes on: the host may not take its memory back. */
	writes = host.writes;
	(void)host_post(&host, CHUNK);
	host_settle(&host);
	assert_true(host.writes > writes);
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_RUNNING);
	assert_int_equal(host_command(&host, FW_COMMAND_RESET), FW_ANSWER_DONE);
	writes = host.writes;
	(void)host_post(&host, CHUNK);
	host_pass(&host, NS_PER_S);
	assert_int_equal(host.writes, writes);
	expect_good_scan();
	repair_and_go_on();
}

static void all_commands_may_hang(void **state)
{
	uint64_t writes;

	(void)state;
	order("hang=reset");
	host_arm(&host, 1000);
	(void)host_post(&host, CHUNK);
	host_run(&host);
	assert_int_equal(host_command(&host, FW_COMMAND_STOP), 0);
	writes = host.writes;
	(void)host_post(&host, CHUNK);
	host_pass(&host, NS_PER_S);
	assert_int_equal(host.writes, writes);
	assert_int_equal(host_command(&host, FW_COMMAND_ABORT), 0);
	assert_int_equal(host_command(&host, FW_COMMAND_RESET), 0);
	(void)host_post(&host, CHUNK);
	host_pass(&host, NS_PER_S);
	assert_int_equal(host.writes, writes);
	assert_int_equal(host_get(&host, FW_MAGIC), FW_MAGIC_VALUE);
	repair_and_go_on();
}

static void expect_gone(void)
{
	for (uint32_t o = 0; o < FW_REGISTERS_BYTES; o += 4)
		assert_int_equal(host_get(&host, o), FW_GONE_32);
}

static void a_card_that_is_pulled_out_reads_all_ones(void **state)
{
	uint64_t writes;
	struct fw_completion c;

	(void)state;
	order("gone=1");
	(void)begin();
	expect_gone();
	host_expect(&host, FW_STATUS_FULL, 0, CHUNK);
	assert_false(host_reap(&host, &c));
	writes = host.writes;
	/* What a host writes to it is not there either. */
	assert_int_equal(host_command(&host, FW_COMMAND_RESET), 0);
	(void)host_post(&host, CHUNK);
	expect_gone();
	host_pass(&host, NS_PER_S);
	expect_gone();
	assert_int_equal(host.writes, writes);
	host_expect_guards(&host);
	repair_and_go_on();
	card_remove(host.card);
	expect_gone();
	repair_and_go_on();
}

/* Few descriptors, a small buffer: slow, and complete. */
static void a_starved_card_loses_nothing(void **state)
{
	(void)state;
	card_destroy(host.card);
	host.args.buffer_blocks = 1;
	host.args.desc_max = 4;
	host.args.chain_max = 4;
	host.args.completion_max = 4;
	host.entries = 4;
	host.sequence = 0;
	host_open(&host);
	host_arm(&host, 500);
	host_run(&host);
	for (uint64_t f = 0; f < 500; f++) {
		host_pass(&host, NS_PER_MS);
		(void)host_write_chain(&host,
				       (const uint32_t[]){ HOST_BLOCK / 4, HOST_BLOCK / 4,
							   HOST_BLOCK / 4, HOST_BLOCK / 4 },
				       4);
		host_ring(&host);
		host_settle(&host);
		host_expect(&host, f < 499 ? FW_STATUS_FULL : FW_STATUS_END, f, 1);
	}
	assert_int_equal(host_get64(&host, FW_BLOCKS_OUT), 500);
	assert_int_equal(host_get64(&host, FW_BUFFER_HIGH_WATER), 1);
	assert_in_range(host_get64(&host, FW_STALL_NS), 400 * NS_PER_MS, 500 * NS_PER_MS);
	host_expect_account(&host);
	host_expect_guards(&host);
}

/* An order for another sector is none for this card. */
static void a_sector_is_meant_alone(void **state)
{
	(void)state;
	order("0/lost=every:1");
	expect_good_scan();
	order("1/lost=every:1");
	(void)begin();
	assert_int_equal(host_get64(&host, FW_COMPLETIONS), CHUNKS);
}

static void what_a_card_cannot_do_is_refused(void **state)
{
	static const char *const bad[] = { "cut=1",    "garbage=1:5", "missing=1:5", "duplicate=1",
					   "hang=",    "hang=run",    "jump=1",      "link=1,2",
					   "gone=5-4", "nothing=1",   "lost=every:0" };
	struct fault_list list = { .count = 0 };
	struct card *none = NULL;
	struct sluice_error error;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(card_fault(host.card, bad[i], &error) < 0);
	expect_good_scan();
	assert_int_equal(fault_add(&list, "cut=1", NULL), 0);
	host.args.faults = &list;
	assert_int_equal(card_create(&host.args, 0, &none), -EINVAL);
	/* And what a socket cannot do. */
	assert_int_equal(fault_fits(&list, FAULT_STREAM, &error), 0);
	assert_int_equal(fault_add(&list, "lost=1", NULL), 0);
	assert_int_equal(fault_fits(&list, FAULT_STREAM, &error), -EINVAL);
	assert_non_null(strstr(error.text, "lost"));
}

static void orders_may_be_there_from_the_start(void **state)
{
	struct fault_list list = { .count = 0 };

	(void)state;
	card_destroy(host.card);
	assert_int_equal(fault_add(&list, "1/lost=0", NULL), 0);
	host.args.faults = &list;
	host.sequence = 0;
	host_open(&host);
	list.count = 0; /* it was copied */
	(void)begin();
	expect_verdict(0, FW_VERDICT_LOST);
	repair_and_go_on();
}

#define with_host(test) \
	cmocka_unit_test_prestate_setup_teardown(test, host_set_up, host_tear_down, &host)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_host(dropped_blocks_are_the_links_and_leave_a_gap),
		with_host(the_last_frames_may_be_dropped),
		with_host(a_border_is_kept_where_frames_are_dropped),
		with_host(a_corrupt_block_shows_by_its_crc),
		with_host(a_drop_ordered_late_spares_what_is_buffered),
		with_host(a_wrong_length_is_judged_so),
		with_host(a_completion_may_come_twice),
		with_host(a_completion_may_be_lost),
		with_host(the_last_completion_may_be_lost),
		with_host(an_interrupt_may_be_lost),
		with_host(a_counter_may_jump),
		with_host(a_stall_ends_after_its_time),
		with_host(a_stall_for_ever_ends_by_stop_or_repair),
		with_host(the_board_may_fail_in_a_chunk),
		with_host(stop_and_abort_may_hang_but_reset_is_answered),
		with_host(all_commands_may_hang),
		with_host(a_card_that_is_pulled_out_reads_all_ones),
		with_host(a_starved_card_loses_nothing),
		with_host(a_sector_is_meant_alone),
		with_host(what_a_card_cannot_do_is_refused),
		with_host(orders_may_be_there_from_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
