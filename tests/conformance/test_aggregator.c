/* SPDX-License-Identifier: MIT */
/*
 * aggregate/aggregator.h between sources and consumers that are links of the test's own: runs meet
 * whole at one consumer, credit decides at which, and nothing goes astray when an end dies.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <sluice/error.h>
#include <sluice/stats.h>

#include "aggregator_bench.h"

static void a_chunk_is_forwarded_before_its_run_is_whole(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 2, 8, (const int[]){ 8, -1 });
	/* The other sector has sent nothing, nor has this one sent its last part. */
	assert_int_equal(bench_try_send(&b, 0, 0, 0, 0), 0);
	bench_expect_chunk(&b, 0, 0, 0);
	assert_int_equal(bench_try_send(&b, 0, 0, 1, SLUICE_WIRE_LAST_PART), 0);
	bench_expect_chunk(&b, 0, 0, 0);
	bench_send(&b, 1, 0);
	bench_expect_chunk(&b, 0, 0, 1);
	bench_close(&b);
}

static void parts_keep_their_order_when_one_has_to_wait(void **state)
{
	struct link_message m;
	struct bench b;

	(void)state;
	bench_open(&b, 1, 8, (const int[]){ 8, -1 });
	atomic_store(&bench_reluctant, b.aggregator);
	assert_int_equal(bench_try_send(&b, 0, 0, 0, 0), 0);
	bench_expect_chunk(&b, 0, 0, 0);
	assert_int_equal(bench_try_send(&b, 0, 0, 1, 0), 0);
	bench_await(&b, &b.aggregator->stats.held, 1);
	assert_int_equal(bench_try_send(&b, 0, 0, 2, SLUICE_WIRE_LAST_PART), 0);
	for (unsigned int part = 1; part < 3; part++) {
		net_message(b.net, b.consumer[0], &m);
		assert_int_equal(m.part, part);
		link_message_release(&m);
	}
	bench_close(&b);
}

static void all_sectors_of_a_run_meet_at_one_consumer(void **state)
{
	unsigned int chunks[3], of_run[RUNS] = { 0 };
	struct link_message m;
	struct bench b;

	(void)state;
	bench_open(&b, 2, 32, (const int[]){ 20, 20, 20, -1 });
	for (uint64_t run = 0; run < 15; run++)
		bench_send(&b, 0, run);
	for (uint64_t run = 0; run < 15; run++)
		bench_send(&b, 1, run);
	bench_gather(&b, 30, chunks);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(chunks[i], 10); /* equal credit, equal shares */
		for (unsigned int c = 0; c < chunks[i]; c++) {
			net_message(b.net, b.consumer[i], &m);
			of_run[m.run] |= 1u << (8 * i + m.sector);
			link_message_release(&m);
		}
	}
	for (unsigned int run = 0; run < 15; run++)
		assert_true(of_run[run] == 3u || of_run[run] == 3u << 8 || of_run[run] == 3u << 16);
	bench_close(&b);
}

static void the_most_free_credit_gets_the_run(void **state)
{
	unsigned int chunks[2];
	struct bench b;

	(void)state;
	bench_open(&b, 1, 64, (const int[]){ 20, 2, -1 });
	for (uint64_t run = 0; run < 22; run++)
		bench_send(&b, 0, run);
	bench_gather(&b, 22, chunks);
	assert_int_equal(chunks[0], 20);
	assert_int_equal(chunks[1], 2);
	/* From here on as well: a tenth of the credit is a tenth of the runs. */
	bench_drop_kept(&b, 0);
	bench_drop_kept(&b, 1);
	assert_int_equal(link_grant(b.consumer[0]->receiver, 0, 10, true), 0);
	assert_int_equal(link_grant(b.consumer[1]->receiver, 0, 1, true), 0);
	for (uint64_t run = 22; run < 33; run++)
		bench_send(&b, 0, run);
	bench_gather(&b, 11, chunks);
	assert_int_equal(chunks[0], 10);
	assert_int_equal(chunks[1], 1);
	bench_close(&b);
}

/* A consumer that cannot take every sector of a run does not get it. */
static void a_run_waits_for_room_for_all_its_sectors(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 2, 8, (const int[]){ 1, -1 });
	bench_send(&b, 0, 0);
	bench_await(&b, &b.aggregator->stats.held, 1);
	assert_int_equal(link_grant(b.consumer[0]->receiver, 0, 1, true), 0);
	bench_expect_chunk(&b, 0, 0, 0);
	bench_send(&b, 1, 0);
	bench_expect_chunk(&b, 0, 0, 1);
	bench_close(&b);
}

static void what_is_held_is_bounded_by_the_sources_credit(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 2, 3, (const int[]){ 0, -1 });
	for (unsigned int s = 0; s < 2; s++) {
		for (uint64_t run = 0; run < 3; run++)
			assert_int_equal(bench_try_send(&b, s, run, 0, SLUICE_WIRE_LAST_PART), 0);
		assert_int_equal(bench_try_send(&b, s, 3, 0, SLUICE_WIRE_LAST_PART), -EAGAIN);
	}
	bench_await(&b, &b.aggregator->stats.held, 6);
	/* In order of arrival of the runs, and only as many as there is room for. */
	assert_int_equal(link_grant(b.consumer[0]->receiver, 0, 2, true), 0);
	bench_expect_pair(&b, 0, 0);
	bench_await(&b, &b.aggregator->stats.held, 4);
	/* Each of the two may now start one more, and no second. */
	for (unsigned int s = 0; s < 2; s++) {
		bench_send(&b, s, 3);
		assert_int_equal(bench_try_send(&b, s, 4, 0, SLUICE_WIRE_LAST_PART), -EAGAIN);
	}
	bench_await(&b, &b.aggregator->stats.held, 6);
	bench_close(&b);
}

/* What a source left behind when it went does not add to its successor's credit. */
static void a_source_that_comes_back_has_one_window(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 1, 3, (const int[]){ 0, -1 });
	for (uint64_t run = 0; run < 3; run++)
		bench_send(&b, 0, run);
	bench_await(&b, &b.aggregator->stats.held, 3);
	net_close(b.source[0]);
	bench_await(&b, &b.aggregator->stats.held, 0);
	bench_open_source(&b, 0);
	for (uint64_t run = 0; run < 3; run++)
		assert_int_equal(bench_try_send(&b, 0, run, 0, SLUICE_WIRE_LAST_PART), 0);
	assert_int_equal(bench_try_send(&b, 0, 3, 0, SLUICE_WIRE_LAST_PART), -EAGAIN);
	bench_await(&b, &b.aggregator->stats.held, 3);
	assert_int_equal(link_grant(b.consumer[0]->receiver, 0, 3, true), 0);
	for (uint64_t run = 0; run < 3; run++)
		bench_expect_chunk(&b, 0, run, 0);
	bench_await(&b, &b.aggregator->stats.held, 0);
	/* One credit back for each that went on: three, not six. */
	while (link_sender_credit(b.source[0]->sender) < 3)
		net_turn(b.net);
	net_turn(b.net);
	assert_int_equal(link_sender_credit(b.source[0]->sender), 3);
	bench_close(&b);
}

static void acknowledgements_go_to_the_source_that_they_are_for(void **state)
{
	const struct sluice_wire_reject reject[] = {
		{ .frame = sluice_le64(1),
		  .sector = sluice_le16(1),
		  .cause = sluice_le16(SLUICE_LOSS_CRC) },
		{ .frame = sluice_le64(2),
		  .sector = sluice_le16(9),
		  .cause = sluice_le16(SLUICE_LOSS_CRC) },
	};
	struct sluice_wire_ack ack[2];
	struct net_event e;
	struct bench b;

	(void)state;
	bench_open(&b, 2, 8, (const int[]){ 8, -1 });
	bench_send(&b, 0, 0);
	bench_send(&b, 1, 0);
	net_expect_message(b.net, b.consumer[0], LINK_MESSAGE_CHUNK);
	net_expect_message(b.net, b.consumer[0], LINK_MESSAGE_CHUNK);
	ack[0] = bench_ack_of(0, 0);
	ack[1] = bench_ack_of(0, 1);
	assert_int_equal(link_ack(b.consumer[0]->receiver, 0, SCAN, ack, 2, reject, 2), 0);
	for (unsigned int s = 0; s < 2; s++) {
		bench_source_event(&b, s, &e);
		assert_int_equal(e.event.type, LINK_EVENT_ACK);
		assert_int_equal(e.event.scan, SCAN);
		assert_int_equal(e.event.acks, 1);
		assert_int_equal(sluice_u64(e.event.ack[0].run_first), 0);
		assert_int_equal(sluice_u16(e.event.ack[0].sector), s);
		assert_int_equal(e.event.rejects, s);
		if (s == 1) {
			assert_int_equal(sluice_u64(e.event.reject[0].frame), 1);
			assert_int_equal(sluice_u16(e.event.reject[0].cause), SLUICE_LOSS_CRC);
		}
		net_event_release(&e);
	}
	bench_await(&b, &b.aggregator->stats.runs_done, 1);
	bench_close(&b);
}

/* The test acknowledges past the wrap, so that the aggregator alone meets a full link. */
static void consumer_ack(struct bench *b, uint64_t run)
{
	const struct sluice_wire_ack ack = bench_ack_of(run, 0);

	assert_int_equal(__real_link_ack(b->consumer[0]->receiver, 0, SCAN, &ack, 1, NULL, 0), 0);
}

static void an_answer_that_the_link_does_not_take_is_told_later(void **state)
{
	const struct sluice_wire_nack nack = { .run_first = sluice_le64(2),
					       .run_count = sluice_le32(1),
					       .cause = sluice_le16(SLUICE_LOSS_LATE) };
	uint64_t acked = 0;
	struct net_event e;
	struct bench b;

	(void)state;
	bench_open(&b, 1, 8, (const int[]){ 8, -1 });
	for (uint64_t run = 0; run < 3; run++) {
		bench_send(&b, 0, run);
		bench_expect_chunk(&b, 0, run, 0);
	}
	atomic_store(&bench_full, 3);
	consumer_ack(&b, 0);
	consumer_ack(&b, 1);
	assert_int_equal(__real_link_nack(b.consumer[0]->receiver, 0, SCAN, &nack, 1), 0);
	/* Both acknowledgements, in one message or two, and the request to send again. */
	do {
		bench_source_event(&b, 0, &e);
		for (unsigned int i = 0; e.event.type == LINK_EVENT_ACK && i < e.event.acks; i++)
			acked |= UINT64_C(1) << sluice_u64(e.event.ack[i].run_first);
		if (e.event.type == LINK_EVENT_NACK)
			acked |= UINT64_C(4) << (sluice_u64(e.event.nack[0].run_first) - 2);
		net_event_release(&e);
	} while (acked != 7);
	assert_true(atomic_load(&bench_full) <= 0);
	bench_close(&b);
}

static void an_answer_that_the_link_refuses_is_counted(void **state)
{
	const struct sluice_wire_nack nack = { .run_first = sluice_le64(1),
					       .run_count = sluice_le32(1),
					       .cause = sluice_le16(SLUICE_LOSS_LATE) };
	struct bench b;

	(void)state;
	bench_open(&b, 1, 8, (const int[]){ 8, -1 });
	for (uint64_t run = 0; run < 2; run++) {
		bench_send(&b, 0, run);
		bench_expect_chunk(&b, 0, run, 0);
	}
	atomic_store(&bench_broken, 1);
	consumer_ack(&b, 0);
	bench_await(&b, &b.aggregator->stats.answers_lost, 1);
	atomic_store(&bench_broken, 1);
	assert_int_equal(__real_link_nack(b.consumer[0]->receiver, 0, SCAN, &nack, 1), 0);
	bench_await(&b, &b.aggregator->stats.answers_lost, 2);
	bench_close(&b);
}

static void runs_of_a_consumer_that_is_lost_go_to_another(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 2, 8, (const int[]){ 8, 4, -1 });
	bench_send(&b, 0, 0);
	bench_expect_chunk(&b, 0, 0, 0);
	bench_send(&b, 1, 0);
	bench_expect_chunk(&b, 0, 0, 1);
	net_close(b.consumer[0]);
	bench_expect_nack(&b, 0, 0);
	bench_expect_nack(&b, 1, 0);
	bench_send(&b, 0, 0);
	bench_send(&b, 1, 0);
	bench_expect_pair(&b, 1, 0);
	assert_int_equal(atomic_load(&b.aggregator->stats.runs_reassigned), 1);
	bench_close(&b);
}

static void a_run_that_a_consumer_gives_back_is_sent_again(void **state)
{
	const struct sluice_wire_nack nack = { .run_first = sluice_le64(0),
					       .run_count = sluice_le32(UINT32_MAX),
					       .sector = sluice_le16(0),
					       .cause = sluice_le16(SLUICE_LOSS_LATE) };
	struct sluice_wire_ack ack;
	struct bench b;

	(void)state;
	bench_open(&b, 1, 8, (const int[]){ 8, -1 });
	bench_send(&b, 0, 0);
	bench_expect_chunk(&b, 0, 0, 0);
	assert_int_equal(link_nack(b.consumer[0]->receiver, 0, SCAN, &nack, 1), 0);
	bench_expect_nack(&b, 0, 0);
	bench_send(&b, 0, 0);
	bench_expect_chunk(&b, 0, 0, 0);
	ack = bench_ack_of(0, 0);
	assert_int_equal(link_ack(b.consumer[0]->receiver, 0, SCAN, &ack, 1, NULL, 0), 0);
	bench_await(&b, &b.aggregator->stats.runs_done, 1);
	bench_close(&b);
}

static void await_credit(struct bench *b, uint64_t credit)
{
	const uint64_t deadline_ns = now_ns() + NET_DEADLINE_NS;

	while (link_sender_credit(b->source[0]->sender) < credit) {
		assert_true(now_ns() < deadline_ns);
		net_turn(b->net);
	}
}

/* So many, and no more when all has been said. */
static void expect_credit(struct bench *b, uint64_t credit)
{
	await_credit(b, credit);
	/* A heartbeat either way: whatever would come too much has come. */
	net_pass(b->net, 2 * LINK_HEARTBEAT_NS);
	assert_int_equal(link_sender_credit(b->source[0]->sender), credit);
}

static void give_run_back(struct bench *b, uint64_t run)
{
	const struct sluice_wire_nack nack = { .run_first = sluice_le64(run),
					       .run_count = sluice_le32(1),
					       .cause = sluice_le16(SLUICE_LOSS_LATE) };

	assert_int_equal(link_nack(b->consumer[0]->receiver, 0, SCAN, &nack, 1), 0);
	bench_expect_nack(b, 0, run);
}

/* The source begins a run that is asked for again anew: it never sends the old last part. */
static void a_run_broken_off_in_the_middle_costs_no_credit(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 1, 2, (const int[]){ 32, -1 });
	/* Oftener than there are credits. */
	for (unsigned int again = 0; again < 4; again++) {
		assert_int_equal(bench_try_send(&b, 0, 0, 0, 0), 0);
		bench_expect_chunk(&b, 0, 0, 0);
		give_run_back(&b, 0);
		await_credit(&b, 2);
	}
	bench_send(&b, 0, 0);
	bench_expect_chunk(&b, 0, 0, 0);
	expect_credit(&b, 2);
	bench_close(&b);
}

/* The rest of the old pass is still on its way when the run is asked for again. */
static void the_rest_of_a_broken_off_run_gives_no_second_credit(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 1, 2, (const int[]){ 32, -1 });
	assert_int_equal(bench_try_send(&b, 0, 0, 0, 0), 0);
	bench_expect_chunk(&b, 0, 0, 0);
	give_run_back(&b, 0);
	assert_int_equal(bench_try_send(&b, 0, 0, 1, SLUICE_WIRE_LAST_PART), 0);
	bench_await(&b, &b.aggregator->stats.outdated, 1);
	expect_credit(&b, 2);
	/* It does not reach the consumer, and the new pass does. */
	bench_send(&b, 0, 0);
	bench_expect_chunk(&b, 0, 0, 0);
	assert_int_equal(b.consumer[0]->count, 0);
	/* Part 0 twice without a word from here, as when two requests cross. */
	assert_int_equal(bench_try_send(&b, 0, 1, 0, 0), 0);
	bench_send(&b, 0, 1);
	bench_expect_chunk(&b, 0, 1, 0);
	bench_expect_chunk(&b, 0, 1, 0);
	expect_credit(&b, 2);
	bench_close(&b);
}

static int join(struct aggregator *a, void *arg, struct sluice_error *reterr)
{
	const struct plan_member *m = arg;

	return consumer_add(a, "counting", m->id, m->endpoint, reterr);
}

/* In the middle of a scan: it is told the scan first, and gets what waits. */
static void a_consumer_may_join_while_a_scan_runs(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, 1, 8, (const int[]){ 0, -1 });
	bench_send(&b, 0, 0);
	bench_await(&b, &b.aggregator->stats.held, 1);
	bench_add_consumer(&b, 4);
	assert_int_equal(aggregator_call(b.aggregator, join, &b.plan.consumer[1], NULL), 0);
	net_expect_message(b.net, b.consumer[1], LINK_MESSAGE_PEER_UP);
	net_expect_message(b.net, b.consumer[1], LINK_MESSAGE_SCAN_BEGIN);
	bench_expect_chunk(&b, 1, 0, 0);
	bench_close(&b);
}

static void end_source(struct bench *b, unsigned int sector)
{
	const struct sluice_wire_scan_end end = {
		.frames_expected = sluice_le64(RUNS * RUN_FRAMES),
	};

	assert_int_equal(
		link_send_scan_end(b->source[sector]->sender, SCAN, EPOCH, (uint16_t)sector, &end),
		0);
}

static void the_end_is_passed_on_after_every_sectors(void **state)
{
	struct link_message m;
	struct bench b;

	(void)state;
	bench_open(&b, 2, 8, (const int[]){ 8, 8, -1 });
	end_source(&b, 0);
	/* Had the first one's end been passed on, it would come before this. */
	bench_send(&b, 0, 0);
	bench_send(&b, 1, 0);
	bench_expect_pair(&b, 0, 0);
	end_source(&b, 1);
	for (unsigned int i = 0; i < 2; i++) {
		net_message(b.net, b.consumer[i], &m);
		assert_int_equal(m.type, LINK_MESSAGE_SCAN_END);
		assert_int_equal(m.scan, SCAN);
		assert_int_equal(sluice_u64(m.scan_end.frames_expected), RUNS * RUN_FRAMES);
		link_message_release(&m);
	}
	/* The next scan begins on the same links. */
	b.plan.scan++;
	assert_int_equal(aggregator_call(b.aggregator, bench_begin, &b.plan, NULL), 0);
	for (unsigned int i = 0; i < 2; i++)
		net_expect_message(b.net, b.consumer[i], LINK_MESSAGE_SCAN_BEGIN);
	bench_close(&b);
}

/* Refused, counted, and the credit given back: the source is not stopped by it. */
static void chunks_of_nothing_that_is_known_are_refused(void **state)
{
	const struct sluice_wire_block table = { .frame = sluice_le64(0) };
	struct link_chunk chunk = { .scan = SCAN + 1,
				    .epoch = EPOCH,
				    .flags = SLUICE_WIRE_LAST_PART,
				    .block_count = 1,
				    .table = &table,
				    .payload = bench_pixels,
				    .payload_bytes = PART_BYTES };
	struct bench b;

	(void)state;
	bench_open(&b, 1, 2, (const int[]){ 8, -1 });
	net_send(b.net, b.source[0], &chunk);
	chunk.scan = SCAN;
	chunk.run = RUNS;
	net_send(b.net, b.source[0], &chunk);
	chunk.run = 0;
	chunk.sector = 1;
	net_send(b.net, b.source[0], &chunk);
	bench_await(&b, &b.aggregator->stats.refused, 3);
	bench_send(&b, 0, 0);
	bench_expect_chunk(&b, 0, 0, 0);
	assert_int_equal(atomic_load(&b.aggregator->stats.held), 0);
	bench_close(&b);
}

static int count_call(struct aggregator *a, void *arg, struct sluice_error *reterr)
{
	(void)a;
	(void)reterr;
	return ++*(int *)arg;
}

static void a_call_that_the_loop_does_not_come_to_is_withdrawn(void **state)
{
	struct sluice_error error = { "" };
	int withdrawn = 0, later = 0;
	struct bench b;

	(void)state;
	bench_open(&b, 1, 8, (const int[]){ 8, -1 });
	atomic_store(&bench_frozen, true);
	bench_send(&b, 0, 0);
	bench_await(&b, &b.aggregator->stats.chunks, 1);
	assert_int_equal(aggregator_call(b.aggregator, count_call, &withdrawn, &error), -ETIMEDOUT);
	assert_non_null(strstr(error.text, "aggregator-0"));
	atomic_store(&bench_frozen, false);
	assert_int_equal(aggregator_call(b.aggregator, count_call, &later, NULL), 1);
	/* The loop has turned since, and left alone what was not its own any more. */
	assert_int_equal(withdrawn, 0);
	bench_expect_chunk(&b, 0, 0, 0);
	bench_close(&b);
}

static void strangers_do_not_disturb_a_scan(void **state)
{
	static const char garbage[] = "GET / HTTP/1.1\r\nHost: not a member\r\n\r\n";
	struct sockaddr_in at = { .sin_family = AF_INET };
	const char *endpoint;
	struct net_event e;
	struct net_end *other;
	struct bench b;
	int fd;

	(void)state;
	bench_open(&b, 1, 8, (const int[]){ 8, -1 });
	endpoint = link_receiver_endpoint(b.aggregator->receiver);
	at.sin_port = htons((uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10));
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(write(fd, garbage, sizeof(garbage)), sizeof(garbage));
	/* Another who says that it is this board. */
	(void)snprintf(b.net->endpoint, sizeof(b.net->endpoint), "%s", endpoint);
	other = net_sender(b.net, "board-0", 0);
	net_event(b.net, other, &e);
	assert_int_equal(e.event.type, LINK_EVENT_REFUSED);
	net_event_release(&e);
	bench_send(&b, 0, 0);
	bench_expect_chunk(&b, 0, 0, 0);
	(void)close(fd);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(a_chunk_is_forwarded_before_its_run_is_whole),
		cmocka_unit_test(parts_keep_their_order_when_one_has_to_wait),
		cmocka_unit_test(all_sectors_of_a_run_meet_at_one_consumer),
		cmocka_unit_test(the_most_free_credit_gets_the_run),
		cmocka_unit_test(a_run_waits_for_room_for_all_its_sectors),
		cmocka_unit_test(what_is_held_is_bounded_by_the_sources_credit),
		cmocka_unit_test(a_source_that_comes_back_has_one_window),
		cmocka_unit_test(acknowledgements_go_to_the_source_that_they_are_for),
		cmocka_unit_test(an_answer_that_the_link_does_not_take_is_told_later),
		cmocka_unit_test(an_answer_that_the_link_refuses_is_counted),
		cmocka_unit_test(runs_of_a_consumer_that_is_lost_go_to_another),
		cmocka_unit_test(a_run_that_a_consumer_gives_back_is_sent_again),
		cmocka_unit_test(a_run_broken_off_in_the_middle_costs_no_credit),
		cmocka_unit_test(the_rest_of_a_broken_off_run_gives_no_second_credit),
		cmocka_unit_test(a_consumer_may_join_while_a_scan_runs),
		cmocka_unit_test(the_end_is_passed_on_after_every_sectors),
		cmocka_unit_test(chunks_of_nothing_that_is_known_are_refused),
		cmocka_unit_test(a_call_that_the_loop_does_not_come_to_is_withdrawn),
		cmocka_unit_test(strangers_do_not_disturb_a_scan),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
