/* SPDX-License-Identifier: MIT */
/* What every transport keeps of link.h while nothing goes wrong. The argument names it. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "link_net.h"

enum {
	CHUNK_BYTES = 16 * 144 * 576 * 2, /* a run of one sector of the 4D Camera */
};

static void sender_may_come_first(void **state)
{
	struct net *net = *state;
	struct net_end *receiver = net_receiver(net, "tcp://127.0.0.1:*", 4);
	struct net_end *sender;

	/* A port that is free, and that nobody serves yet. */
	net_close(receiver);
	sender = net_sender(net, "board-0", 0);
	net_pass(net, 300 * NS_PER_MS);
	assert_int_equal(sender->count, 0);
	receiver = net_receiver(net, net->endpoint, 4);
	net_expect_event(net, sender, LINK_EVENT_UP);
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_UP);
}

static void hello_tells_who_is_there(void **state)
{
	struct net *net = *state;
	struct net_end *receiver = net_receiver(net, "tcp://127.0.0.1:*", 5);
	struct net_end *sender = net_sender(net, "board-3", 3);
	struct link_message up;
	struct net_event event;

	net_message(net, receiver, &up);
	assert_int_equal(up.type, LINK_MESSAGE_PEER_UP);
	assert_string_equal(up.name, "board-3");
	assert_int_equal(up.sector, 3);
	net_event(net, sender, &event);
	assert_int_equal(event.event.type, LINK_EVENT_UP);
	assert_string_equal(event.event.text, "aggregator-0");
	assert_int_equal(link_sender_credit(sender->sender), 5);
	assert_int_equal(link_sender_stats(sender->sender)->sessions, 1);
}

static void name_of_a_live_peer_is_refused(void **state)
{
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct net_end *other;
	struct net_event event;
	struct net_chunk made;

	net_pair(net, 4, &receiver, &sender);
	other = net_sender(net, "board-0", 0);
	net_event(net, other, &event);
	assert_int_equal(event.event.type, LINK_EVENT_REFUSED);
	assert_true(event.event.text[0] != '\0');
	assert_int_equal(link_receiver_stats(receiver->receiver)->peers_refused, 1);

	net_chunk_make(&made, 0, 1, 100);
	assert_int_equal(link_send(other->sender, &made.chunk), -ENOTCONN);
	assert_int_equal(link_send(sender->sender, &made.chunk), 0);
	net_expect_message(net, receiver, LINK_MESSAGE_CHUNK);
	net_chunk_drop(net, &made);
}

static void nothing_starts_without_credit(void **state)
{
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct link_chunk empty = { .scan = 1, .flags = SLUICE_WIRE_LAST_PART };
	struct net_chunk made;
	struct link_message up;

	receiver = net_receiver(net, "tcp://127.0.0.1:*", 2);
	sender = net_sender(net, "board-0", 0);
	net_chunk_make(&made, 0, 1, 64);
	assert_int_equal(link_send(sender->sender, &made.chunk), -ENOTCONN);
	net_message(net, receiver, &up);
	net_expect_event(net, sender, LINK_EVENT_UP);

	assert_int_equal(link_send(sender->sender, &made.chunk), 0);
	assert_int_equal(link_send(sender->sender, &empty), 0); /* void ones take a credit too */
	assert_int_equal(link_sender_credit(sender->sender), 0);
	assert_int_equal(link_send(sender->sender, &made.chunk), -EAGAIN);
	assert_int_equal(link_send(sender->sender, &empty), -EAGAIN);
	assert_int_equal(link_sender_stats(sender->sender)->credit_waits, 2);
	made.chunk.part = 1; /* paid for by part 0 */
	assert_int_equal(link_send(sender->sender, &made.chunk), 0);
	made.chunk.part = 0;

	assert_int_equal(link_grant(receiver->receiver, up.peer, 3, true), 0);
	net_expect_event(net, sender, LINK_EVENT_CREDIT);
	assert_int_equal(link_sender_credit(sender->sender), 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(link_send(sender->sender, &made.chunk), 0);
	assert_int_equal(link_send(sender->sender, &made.chunk), -EAGAIN);
	for (int i = 0; i < 6; i++)
		net_expect_message(net, receiver, LINK_MESSAGE_CHUNK);
	net_chunk_drop(net, &made);
}

static void credit_comes_with_an_ack(void **state)
{
	const struct sluice_wire_ack ack = { .run_count = sluice_le32(1) };
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;

	net_pair(net, 0, &receiver, &sender);
	assert_int_equal(link_grant(receiver->receiver, 0, 4, false), 0);
	assert_int_equal(link_ack(receiver->receiver, 0, 1, &ack, 1, NULL, 0), 0);
	net_expect_event(net, sender, LINK_EVENT_ACK);
	net_expect_event(net, sender, LINK_EVENT_CREDIT);
	assert_int_equal(link_sender_credit(sender->sender), 4);
	/* And without an ack by a heartbeat, which nobody has to ask for. */
	assert_int_equal(link_grant(receiver->receiver, 0, 1, false), 0);
	net_expect_event(net, sender, LINK_EVENT_CREDIT);
	assert_int_equal(link_sender_credit(sender->sender), 5);
	assert_int_equal(link_receiver_stats(receiver->receiver)->credit_limit, 5);
}

static void bytes_arrive_as_they_were(void **state)
{
	static const struct {
		uint16_t blocks;
		uint32_t bytes;
	} cases[] = {
		{ 0, 0 },
		{ 1, 1 },
		{ 1, 33 },
		{ 1, 34 },
		{ 16, 4096 },
		{ SLUICE_WIRE_BLOCKS_MAX, 8193 },
		{ 3, 65536 },
		{ 16, CHUNK_BYTES },
		{ 1, NET_PAYLOAD_MAX },
	};
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;

	net_pair(net, 100, &receiver, &sender);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct link_message message;
		struct net_chunk made;

		net_chunk_make(&made, i, cases[i].blocks, cases[i].bytes);
		made.chunk.sector = 3;
		made.chunk.flags |= i % 2 ? SLUICE_WIRE_RESENT : 0;
		assert_int_equal(link_send(sender->sender, &made.chunk), 0);
		net_message(net, receiver, &message);
		net_chunk_compare(&message, &made.chunk);
		link_message_release(&message);
		net_chunk_drop(net, &made);
	}
}

static void what_is_no_chunk_is_not_sent(void **state)
{
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct net_chunk made;
	struct link_chunk chunk;

	net_pair(net, 100, &receiver, &sender);
	net_chunk_make(&made, 0, 4, 400);
	chunk = made.chunk;
	chunk.scan = 0;
	assert_int_equal(link_send(sender->sender, &chunk), -EINVAL);
	chunk = made.chunk;
	chunk.sector = SLUICE_SECTORS_MAX;
	assert_int_equal(link_send(sender->sender, &chunk), -EINVAL);
	chunk = made.chunk;
	chunk.flags = 1 << 15;
	assert_int_equal(link_send(sender->sender, &chunk), -EINVAL);
	chunk = made.chunk;
	chunk.payload_bytes = 300; /* the last block lies at 300 */
	assert_int_equal(link_send(sender->sender, &chunk), -EINVAL);
	chunk = made.chunk;
	chunk.payload_bytes = NET_PAYLOAD_MAX + 1;
	assert_int_equal(link_send(sender->sender, &chunk), -EMSGSIZE);
	assert_int_equal(link_sender_credit(sender->sender), 100);
	assert_int_equal(sender->released, 0);
	net_chunk_drop(net, &made);
}

static void order_is_kept(void **state)
{
	enum {
		RUNS = 200,
		PARTS = 3
	};
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct net_chunk made;

	net_pair(net, RUNS, &receiver, &sender);
	net_chunk_make(&made, 0, 2, 20000);
	for (unsigned int i = 0; i < RUNS * PARTS; i++) {
		made.chunk.run = i / PARTS;
		made.chunk.part = (uint16_t)(i % PARTS);
		made.chunk.flags = made.chunk.part == PARTS - 1 ? SLUICE_WIRE_LAST_PART : 0;
		net_send(net, sender, &made.chunk);
		if (i % 100 != 99)
			continue;
		for (unsigned int k = i - 99; k <= i; k++) {
			struct link_message message;

			net_message(net, receiver, &message);
			assert_true(message.run == k / PARTS);
			assert_int_equal(message.part, k % PARTS);
			assert_int_equal(message.flags, k % PARTS == PARTS - 1);
			link_message_release(&message);
		}
	}
	net_chunk_drop(net, &made);
}

static void payload_is_released_once(void **state)
{
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct net_chunk made;
	const uint64_t deadline_ns = now_ns() + NET_DEADLINE_NS;

	net_pair(net, 100, &receiver, &sender);
	net_chunk_make(&made, 0, 16, CHUNK_BYTES);
	for (int i = 0; i < 10; i++)
		net_send(net, sender, &made.chunk);
	for (int i = 0; i < 10; i++)
		net_expect_message(net, receiver, LINK_MESSAGE_CHUNK);
	while (sender->released < 10 && now_ns() < deadline_ns)
		net_turn(net);
	net_close(sender);
	assert_int_equal(sender->released, 10);
	assert_ptr_equal(sender->released_cookie, &made);
	net_chunk_drop(net, &made);
}

static void close_gives_all_payloads_back(void **state)
{
	enum {
		CHUNKS = 60
	};
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct net_chunk made;
	struct link_message message;
	enum link_message_type type;
	uint64_t begun_ns;

	net_pair(net, CHUNKS, &receiver, &sender);
	receiver->idle = true; /* takes nothing: most of it cannot leave */
	net_chunk_make(&made, 0, 16, CHUNK_BYTES);
	for (int i = 0; i < CHUNKS; i++)
		assert_int_equal(link_send(sender->sender, &made.chunk), 0);
	begun_ns = now_ns();
	net_close(sender);
	assert_int_equal(sender->released, CHUNKS);
	/* Promised is 1 s; a machine under load gets more before this is called endless. */
	assert_true(now_ns() - begun_ns < 5 * NS_PER_S);
	/* The receiver takes what did leave, and sees the end: it is not closed amid a message. */
	receiver->idle = false;
	do {
		net_message(net, receiver, &message);
		type = message.type;
		link_message_release(&message);
	} while (type == LINK_MESSAGE_CHUNK);
	assert_int_equal(type, LINK_MESSAGE_PEER_DOWN);
	net_chunk_drop(net, &made);
}

static void acks_and_nacks_come_back(void **state)
{
	static struct sluice_wire_ack acks[SLUICE_WIRE_ENTRIES_MAX];
	static struct sluice_wire_reject rejects[SLUICE_WIRE_ENTRIES_MAX];
	static struct sluice_wire_nack nacks[SLUICE_WIRE_ENTRIES_MAX];
	static const unsigned int counts[][2] = {
		{ 1, 0 }, { 0, 1 }, { 3, 5 }, { SLUICE_WIRE_ENTRIES_MAX, SLUICE_WIRE_ENTRIES_MAX }
	};
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct net_event event;

	net_pair(net, 4, &receiver, &sender);
	for (uint32_t i = 0; i < SLUICE_WIRE_ENTRIES_MAX; i++) {
		acks[i] = (struct sluice_wire_ack){
			sluice_le64(i * 3), sluice_le32(i + 1), sluice_le16(i % 4), { 0 }
		};
		rejects[i] = (struct sluice_wire_reject){
			sluice_le64(i), sluice_le16(i % 4), sluice_le16(3), { 0 }
		};
		nacks[i] = (struct sluice_wire_nack){ sluice_le64(i), sluice_le32(2),
						      sluice_le16(1), sluice_le16(10) };
	}
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		const unsigned int *n = counts[i];

		assert_int_equal(link_ack(receiver->receiver, 0, 9, acks, n[0], rejects, n[1]), 0);
		net_event(net, sender, &event);
		assert_int_equal(event.event.type, LINK_EVENT_ACK);
		assert_int_equal(event.event.scan, 9);
		assert_int_equal(event.event.acks, n[0]);
		assert_int_equal(event.event.rejects, n[1]);
		assert_memory_equal(event.event.ack, acks, n[0] * sizeof(acks[0]));
		assert_memory_equal(event.event.reject, rejects, n[1] * sizeof(rejects[0]));
		net_event_release(&event);
	}
	assert_int_equal(link_nack(receiver->receiver, 0, 9, nacks, SLUICE_WIRE_ENTRIES_MAX), 0);
	net_event(net, sender, &event);
	assert_int_equal(event.event.type, LINK_EVENT_NACK);
	assert_int_equal(event.event.nacks, SLUICE_WIRE_ENTRIES_MAX);
	assert_memory_equal(event.event.nack, nacks, sizeof(nacks));
	net_event_release(&event);

	assert_int_equal(link_ack(receiver->receiver, 0, 9, acks, 0, rejects, 0), -EINVAL);
	assert_int_equal(
		link_ack(receiver->receiver, 0, 9, acks, SLUICE_WIRE_ENTRIES_MAX + 1, rejects, 0),
		-EINVAL);
	assert_int_equal(link_nack(receiver->receiver, 0, 9, nacks, 0), -EINVAL);
	assert_int_equal(link_ack(receiver->receiver, 1, 9, acks, 1, NULL, 0), -ENOTCONN);
	assert_int_equal(link_ack(receiver->receiver, LINK_PEERS_MAX, 9, acks, 1, NULL, 0),
			 -EINVAL);
}

static void scan_begins_and_ends(void **state)
{
	const struct sluice_wire_scan begin = {
		.frames_expected = sluice_le64(4160),
		.scan_columns = sluice_le16(65),
		.scan_rows = sluice_le16(64),
		.frames_per_position = sluice_le32(1),
		.sectors = sluice_le16(4),
		.rows = sluice_le16(144),
		.columns = sluice_le16(576),
		.pixel = sluice_le16(SLUICE_PIXEL_U16),
		.run_frames = sluice_le16(16),
		.aggregators = sluice_le16(1),
	};
	const struct sluice_wire_scan_end end = {
		.frames_expected = sluice_le64(4160),
		.blocks_acked = sluice_le64(4158),
		.blocks_lost = sluice_le64(2),
	};
	struct sluice_wire_scan wrong = begin;
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct link_message message;

	net_pair(net, 4, &receiver, &sender);
	wrong.pixel = sluice_le16(99);
	assert_int_equal(link_send_scan_begin(sender->sender, 6, 2, &wrong), -EINVAL);
	assert_int_equal(link_send_scan_begin(sender->sender, 6, 2, &begin), 0);
	assert_int_equal(link_send_scan_end(sender->sender, 6, 2, 3, &end), 0);
	net_message(net, receiver, &message);
	assert_int_equal(message.type, LINK_MESSAGE_SCAN_BEGIN);
	assert_int_equal(message.scan, 6);
	assert_int_equal(message.epoch, 2);
	assert_memory_equal(&message.scan_begin, &begin, sizeof(begin));
	link_message_release(&message);
	net_message(net, receiver, &message);
	assert_int_equal(message.type, LINK_MESSAGE_SCAN_END);
	assert_int_equal(message.sector, 3);
	assert_memory_equal(&message.scan_end, &end, sizeof(end));
	link_message_release(&message);
}

static void *release_elsewhere(void *arg)
{
	link_message_release(arg);
	return NULL;
}

static void message_moves_and_is_released_anywhere(void **state)
{
	static const uint32_t bytes[] = { 1, 5000, CHUNK_BYTES };
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;

	net_pair(net, 4, &receiver, &sender);
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		struct link_message first;
		struct link_message second;
		struct net_chunk made;
		pthread_t thread;

		net_chunk_make(&made, i, 1, bytes[i]);
		assert_int_equal(link_send(sender->sender, &made.chunk), 0);
		net_message(net, receiver, &first);
		link_message_move(&second, &first);
		memset(first.transport, 0xff, sizeof(first.transport));
		net_chunk_compare(&second, &made.chunk);
		assert_int_equal(pthread_create(&thread, NULL, release_elsewhere, &second), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		net_chunk_drop(net, &made);
	}
}

static void expect_released(struct net *net, struct net_end *end, unsigned int count, void *cookie)
{
	const uint64_t deadline_ns = now_ns() + NET_DEADLINE_NS;

	while (atomic_load(&end->released) < count) {
		assert_true(now_ns() < deadline_ns);
		net_turn(net);
	}
	assert_int_equal(atomic_load(&end->released), count);
	if (count > 0)
		assert_ptr_equal(atomic_load(&end->released_cookie), cookie);
}

static void chunk_is_forwarded(void **state)
{
	struct net *net = *state;
	struct net_end *middle;
	struct net_end *source;
	struct net_end *consumer;
	struct net_end *onward;
	static const uint32_t bytes[] = { 0, 1, CHUNK_BYTES };
	unsigned int told = 0;

	net_pair(net, 4, &middle, &source);
	consumer = net_receiver(net, "tcp://127.0.0.1:*", 2);
	onward = net_sender(net, "aggregator-0", 0);
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		struct link_message message;
		struct net_chunk made;

		net_chunk_make(&made, i, bytes[i] > 0, bytes[i]);
		made.chunk.sector = 2;
		assert_int_equal(link_send(source->sender, &made.chunk), 0);
		net_message(net, middle, &message);
		if (i == 0) {
			net_expect_message(net, consumer, LINK_MESSAGE_PEER_UP);
			net_expect_event(net, onward, LINK_EVENT_UP);
		}
		if (i == 2) {
			/* Without a credit it stays what it was. */
			assert_int_equal(link_forward(onward->sender, &message, NULL), -EAGAIN);
			net_chunk_compare(&message, &made.chunk);
			assert_int_equal(link_grant(consumer->receiver, 0, 1, true), 0);
			net_expect_event(net, onward, LINK_EVENT_CREDIT);
		}
		assert_int_equal(atomic_load(&onward->released), told);
		assert_int_equal(link_forward(onward->sender, &message, &made), 0);
		assert_int_equal(link_forward(onward->sender, &message, NULL), -EINVAL);
		link_message_release(&message); /* nothing is left to release */
		net_message(net, consumer, &message);
		net_chunk_compare(&message, &made.chunk);
		link_message_release(&message);
		/* What has a payload is told of, once the transport is through with it. */
		told += bytes[i] > 0;
		expect_released(net, onward, told, &made);
		net_chunk_drop(net, &made);
	}
}

static void forward_without_a_session_changes_nothing(void **state)
{
	struct net *net = *state;
	struct net_end *middle;
	struct net_end *source;
	struct net_end *onward;
	struct link_message message;
	struct net_chunk made;

	net_pair(net, 4, &middle, &source);
	(void)snprintf(net->endpoint, sizeof(net->endpoint), "tcp://127.0.0.1:9");
	onward = net_sender(net, "aggregator-0", 0);
	net_chunk_make(&made, 0, 2, 5000);
	assert_int_equal(link_send(source->sender, &made.chunk), 0);
	net_message(net, middle, &message);
	assert_int_equal(link_forward(onward->sender, &message, NULL), -ENOTCONN);
	net_chunk_compare(&message, &made.chunk);
	link_message_release(&message);
	net_chunk_drop(net, &made);
}

static void two_senders_are_told_apart(void **state)
{
	struct net *net = *state;
	struct net_end *receiver = net_receiver(net, "tcp://127.0.0.1:*", 2);
	struct net_end *senders[2];
	unsigned int peers[2];
	struct net_chunk made;

	net_chunk_make(&made, 0, 1, 1000);
	for (uint16_t i = 0; i < 2; i++) {
		struct link_message up;

		senders[i] = net_sender(net, i ? "board-1" : "board-0", i);
		net_message(net, receiver, &up);
		peers[i] = up.peer;
		net_expect_event(net, senders[i], LINK_EVENT_UP);
	}
	assert_int_not_equal(peers[0], peers[1]);
	for (uint16_t i = 0; i < 2; i++) {
		struct link_message message;

		made.chunk.sector = i;
		assert_int_equal(link_send(senders[i]->sender, &made.chunk), 0);
		net_message(net, receiver, &message);
		assert_int_equal(message.peer, peers[i]);
		assert_int_equal(message.sector, i);
		link_message_release(&message);
	}
	/* A grant is for one of them. */
	assert_int_equal(link_grant(receiver->receiver, peers[1], 7, true), 0);
	net_expect_event(net, senders[1], LINK_EVENT_CREDIT);
	assert_int_equal(link_sender_credit(senders[0]->sender), 1);
	assert_int_equal(link_sender_credit(senders[1]->sender), 8);
	net_chunk_drop(net, &made);
}

#define PROMISE(f)                                      \
	{                                               \
#f, f, net_setup, net_teardown, argv[1] \
	}

int main(int argc, char **argv)
{
	if (argc != 2)
		return EXIT_FAILURE;

	const struct CMUnitTest suite[] = {
		PROMISE(sender_may_come_first),
		PROMISE(hello_tells_who_is_there),
		PROMISE(name_of_a_live_peer_is_refused),
		PROMISE(nothing_starts_without_credit),
		PROMISE(credit_comes_with_an_ack),
		PROMISE(bytes_arrive_as_they_were),
		PROMISE(what_is_no_chunk_is_not_sent),
		PROMISE(order_is_kept),
		PROMISE(payload_is_released_once),
		PROMISE(close_gives_all_payloads_back),
		PROMISE(acks_and_nacks_come_back),
		PROMISE(scan_begins_and_ends),
		PROMISE(message_moves_and_is_released_anywhere),
		PROMISE(chunk_is_forwarded),
		PROMISE(forward_without_a_session_changes_nothing),
		PROMISE(two_senders_are_told_apart),
	};

	return cmocka_run_group_tests_name(argv[1], suite, NULL, NULL) ? EXIT_FAILURE
								       : EXIT_SUCCESS;
}
