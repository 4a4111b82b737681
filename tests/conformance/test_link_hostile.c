/* SPDX-License-Identifier: MIT */
/*
 * Peers of the zmq transport that are no members: what they send is refused and counted, and a
 * good peer beside them notices nothing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
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
#include <zmq.h>

#include <link/wire.h>

#include "link_net.h"

struct hostile {
	struct net *net;
	void *ctx;
	void *socket;
	uint32_t random; /* xorshift: the same bytes in every run */
	_Alignas(8) uint8_t message[WIRE_CHUNK_BYTES_MAX];
};

static uint32_t hostile_random(struct hostile *h)
{
	h->random ^= h->random << 13;
	h->random ^= h->random >> 17;
	h->random ^= h->random << 5;
	return h->random;
}

static void hostile_open(struct hostile *h, struct net *net, int type)
{
	const int linger = 0;
	const int timeout_ms = 10000;

	*h = (struct hostile){ .net = net, .random = 2463534242u };
	h->ctx = zmq_ctx_new();
	assert_non_null(h->ctx);
	h->socket = zmq_socket(h->ctx, type);
	assert_non_null(h->socket);
	assert_int_equal(zmq_setsockopt(h->socket, ZMQ_LINGER, &linger, sizeof(linger)), 0);
	assert_int_equal(zmq_setsockopt(h->socket, ZMQ_SNDTIMEO, &timeout_ms, sizeof(int)), 0);
}

static void hostile_connect(struct hostile *h, struct net *net)
{
	hostile_open(h, net, ZMQ_DEALER);
	assert_int_equal(zmq_connect(h->socket, net->endpoint), 0);
}

static void hostile_close(struct hostile *h)
{
	assert_int_equal(zmq_close(h->socket), 0);
	assert_int_equal(zmq_ctx_term(h->ctx), 0);
}

/* A queue that is full empties while the receiver under test goes on. */
static void hostile_say(struct hostile *h, const void *bytes, size_t count, bool more)
{
	const uint64_t deadline_ns = now_ns() + NET_DEADLINE_NS;
	const int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);

	while (zmq_send(h->socket, bytes, count, flags) < 0) {
		assert_int_equal(zmq_errno(), EAGAIN);
		if (now_ns() > deadline_ns)
			fail_msg("could not send before the deadline");
		net_turn(h->net);
	}
}

static void hostile_say_wire(struct hostile *h, const struct wire_head *head)
{
	hostile_say(h, h->message, wire_seal(h->message, head), false);
}

/* Says hello as a member would, and gives the session that the welcome names. */
static uint32_t hostile_join(struct hostile *h, const char *name)
{
	const struct wire_head hello_head = { .type = SLUICE_WIRE_HELLO, .count = 1 };
	struct wire_hello hello = { .role = SLUICE_WIRE_SOURCE, .instance = 5, .attempt = 1 };
	const uint64_t deadline_ns = now_ns() + NET_DEADLINE_NS;
	struct wire_head head;
	int bytes;

	(void)snprintf(hello.name, sizeof(hello.name), "%s", name);
	wire_hello_put(h->message + WIRE_ENVELOPE_BYTES, &hello);
	hostile_say_wire(h, &hello_head);
	while ((bytes = zmq_recv(h->socket, h->message, sizeof(h->message), ZMQ_DONTWAIT)) < 0) {
		if (now_ns() > deadline_ns)
			fail_msg("no welcome before the deadline");
		net_turn(h->net);
	}
	assert_int_equal(wire_open(h->message, (size_t)bytes, 0, &head), 0);
	assert_int_equal(head.type, SLUICE_WIRE_WELCOME);
	return head.session;
}

static void await_bad_messages(struct net *net, struct net_end *receiver, uint64_t count)
{
	const uint64_t deadline_ns = now_ns() + NET_DEADLINE_NS;

	while (link_receiver_stats(receiver->receiver)->bad_messages < count) {
		if (now_ns() > deadline_ns)
			fail_msg("bad messages were not counted before the deadline");
		net_turn(net);
	}
}

/* The good peer's chunks arrive, and it was never taken for lost. */
static void good_peer_goes_on(struct net *net, struct net_end *receiver, struct net_end *sender)
{
	struct net_chunk made;
	struct link_message message;

	net_chunk_make(&made, 1, 16, 200000);
	for (int i = 0; i < 4; i++) {
		net_send(net, sender, &made.chunk);
		net_message(net, receiver, &message);
		net_chunk_compare(&message, &made.chunk);
		link_message_release(&message);
	}
	assert_int_equal(sender->count, 0);
	net_chunk_drop(net, &made);
}

static void random_bytes_are_counted(void **state)
{
	enum {
		MESSAGES = 2000
	};
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct hostile h;

	net_pair(net, 100, &receiver, &sender);
	hostile_connect(&h, net);
	for (int i = 0; i < MESSAGES; i++) {
		const size_t bytes = hostile_random(&h) % 300;

		for (size_t k = 0; k < bytes; k++)
			h.message[k] = (uint8_t)hostile_random(&h);
		hostile_say(&h, h.message, bytes, false);
	}
	good_peer_goes_on(net, receiver, sender);
	await_bad_messages(net, receiver, MESSAGES);
	hostile_close(&h);
}

static void wrong_parts_are_counted(void **state)
{
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct hostile h;
	uint32_t session;
	struct wire_head head = { .type = SLUICE_WIRE_HEARTBEAT };

	net_pair(net, 100, &receiver, &sender);
	hostile_connect(&h, net);
	hostile_say(&h, "", 0, false);
	for (int i = 0; i < 20; i++) /* many parts */
		hostile_say(&h, "part", 4, i < 19);
	await_bad_messages(net, receiver, 2);

	/* Of a peer that is known: one part too many, and it is one no longer. */
	session = hostile_join(&h, "hostile");
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_UP);
	head.session = session;
	hostile_say(&h, h.message, wire_seal(h.message, &head), true);
	hostile_say(&h, "payload", 7, true);
	hostile_say(&h, "more", 4, false);
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_DOWN);
	assert_int_equal(link_receiver_stats(receiver->receiver)->bad_messages, 3);
	good_peer_goes_on(net, receiver, sender);
	hostile_close(&h);
}

static void half_messages_are_counted(void **state)
{
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct net_chunk made;
	struct hostile h;
	struct wire_head head = {
		.type = SLUICE_WIRE_CHUNK,
		.scan = 1,
		.count = 4,
		.payload_bytes = 400,
	};
	uint32_t bytes;

	net_pair(net, 100, &receiver, &sender);
	hostile_connect(&h, net);
	head.session = hostile_join(&h, "hostile");
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_UP);
	net_chunk_make(&made, 0, 4, 400);
	memcpy(h.message + WIRE_ENVELOPE_BYTES, made.table, 4 * sizeof(made.table[0]));
	bytes = wire_seal(h.message, &head);
	hostile_say(&h, h.message, bytes, false); /* no payload */
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_DOWN);
	hostile_say(&h, h.message, bytes, true); /* half of it */
	hostile_say(&h, made.chunk.payload, 200, false);
	hostile_say(&h, h.message, bytes - 32, true); /* a table cut short */
	hostile_say(&h, made.chunk.payload, 400, false);
	hostile_say(&h, h.message, 17, false);
	await_bad_messages(net, receiver, 4);
	good_peer_goes_on(net, receiver, sender);
	net_chunk_drop(net, &made);
	hostile_close(&h);
}

static void more_than_the_credit_is_refused(void **state)
{
	enum {
		WINDOW = 3
	};
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct hostile h;
	struct wire_head head = {
		.type = SLUICE_WIRE_CHUNK,
		.scan = 1,
		.flags = SLUICE_WIRE_LAST_PART,
	};

	net_pair(net, WINDOW, &receiver, &sender);
	assert_int_equal(link_grant(receiver->receiver, 0, 100, true), 0);
	net_expect_event(net, sender, LINK_EVENT_CREDIT);
	hostile_connect(&h, net);
	head.session = hostile_join(&h, "hostile");
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_UP);
	for (int i = 0; i < WINDOW + 1; i++)
		hostile_say_wire(&h, &head);
	for (int i = 0; i < WINDOW; i++)
		net_expect_message(net, receiver, LINK_MESSAGE_CHUNK);
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_DOWN);
	assert_int_equal(link_receiver_stats(receiver->receiver)->bad_messages, 1);
	good_peer_goes_on(net, receiver, sender);
	hostile_close(&h);
}

static void session_of_another_is_refused(void **state)
{
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct hostile thief;
	struct hostile h;
	struct wire_head head = {
		.type = SLUICE_WIRE_CHUNK,
		.scan = 1,
		.flags = SLUICE_WIRE_LAST_PART,
	};
	const uint64_t deadline_ns = now_ns() + NET_DEADLINE_NS;
	int bytes;

	net_pair(net, 100, &receiver, &sender);
	hostile_connect(&h, net);
	hostile_connect(&thief, net);
	head.session = hostile_join(&h, "hostile");
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_UP);
	/* The number is right, the connection is not. */
	hostile_say_wire(&thief, &head);
	while ((bytes = zmq_recv(thief.socket, thief.message, sizeof(thief.message),
				 ZMQ_DONTWAIT)) < 0) {
		assert_true(now_ns() < deadline_ns);
		net_turn(net);
	}
	assert_int_equal(wire_open(thief.message, (size_t)bytes, 0, &head), 0);
	assert_int_equal(head.type, SLUICE_WIRE_REFUSE);
	assert_int_equal(receiver->count, 0);
	hostile_close(&thief);
	hostile_close(&h);
}

static void peer_that_names_its_connection_is_counted(void **state)
{
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct hostile h;
	const struct wire_head head = { .type = SLUICE_WIRE_HELLO, .count = 1 };
	struct wire_hello hello = { .role = SLUICE_WIRE_SOURCE, .instance = 5, .name = "hostile" };

	net_pair(net, 100, &receiver, &sender);
	hostile_open(&h, net, ZMQ_DEALER);
	assert_int_equal(zmq_setsockopt(h.socket, ZMQ_ROUTING_ID, "board-0", 7), 0);
	assert_int_equal(zmq_connect(h.socket, net->endpoint), 0);
	wire_hello_put(h.message + WIRE_ENVELOPE_BYTES, &hello);
	hostile_say_wire(&h, &head);
	await_bad_messages(net, receiver, 1);
	assert_int_equal(receiver->count, 0);
	good_peer_goes_on(net, receiver, sender);
	hostile_close(&h);
}

static void longer_than_the_limit_never_arrives(void **state)
{
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct hostile h;
	uint8_t *big = calloc(1, NET_PAYLOAD_MAX + 1);

	assert_non_null(big);
	net_pair(net, 100, &receiver, &sender);
	hostile_connect(&h, net);
	hostile_say(&h, big, NET_PAYLOAD_MAX + 1, false); /* its connection is closed for it */
	hostile_say(&h, big, 100, false);
	good_peer_goes_on(net, receiver, sender);
	await_bad_messages(net, receiver, 1);
	hostile_close(&h);
	free(big);
}

static void other_version_is_refused(void **state)
{
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct hostile h;
	const struct wire_head head = { .type = SLUICE_WIRE_HELLO, .count = 1 };
	struct wire_hello hello = { .role = SLUICE_WIRE_SOURCE, .instance = 5, .name = "newer" };
	struct sluice_wire_hello *body;
	struct wire_head answer;
	const uint64_t deadline_ns = now_ns() + NET_DEADLINE_NS;
	int bytes;

	net_pair(net, 100, &receiver, &sender);
	hostile_connect(&h, net);
	body = (struct sluice_wire_hello *)(h.message + WIRE_ENVELOPE_BYTES);
	wire_hello_put(body, &hello);
	body->version_min = sluice_le16(2);
	body->version_max = sluice_le16(3);
	hostile_say_wire(&h, &head);
	while ((bytes = zmq_recv(h.socket, h.message, sizeof(h.message), ZMQ_DONTWAIT)) < 0) {
		assert_true(now_ns() < deadline_ns);
		net_turn(net);
	}
	assert_int_equal(wire_open(h.message, (size_t)bytes, 0, &answer), 0);
	assert_int_equal(answer.type, SLUICE_WIRE_REFUSE);
	assert_int_equal(sluice_u32(((struct sluice_wire_refuse *)body)->code), EPROTO);
	assert_int_equal(link_receiver_stats(receiver->receiver)->peers_refused, 1);
	good_peer_goes_on(net, receiver, sender);
	hostile_close(&h);
}

static void plain_tcp_is_ignored(void **state)
{
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct sockaddr_in to = { .sin_family = AF_INET };
	static const uint8_t greeting[] = { 0xff, 0,    0, 0, 0,   0,   0,   0,
					    1,    0x7f, 3, 0, 'N', 'U', 'L', 'L' };
	uint8_t junk[4096];
	uint32_t random = 88172645;

	net_pair(net, 100, &receiver, &sender);
	assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &to.sin_addr), 1);
	to.sin_port = htons((uint16_t)strtoul(strrchr(net->endpoint, ':') + 1, NULL, 10));
	for (int i = 0; i < 20; i++) {
		const int fd = socket(AF_INET, SOCK_STREAM, 0);

		assert_true(fd >= 0);
		assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
		for (size_t k = 0; k < sizeof(junk); k++) {
			random ^= random << 13;
			random ^= random >> 17;
			random ^= random << 5;
			junk[k] = (uint8_t)random;
		}
		/* Some begin as ZeroMQ would, so that more of its reader is reached. */
		if (i % 2)
			memcpy(junk, greeting, sizeof(greeting));
		(void)send(fd, junk, sizeof(junk), MSG_NOSIGNAL);
		net_turn(net);
		assert_int_equal(close(fd), 0);
	}
	good_peer_goes_on(net, receiver, sender);
	assert_int_equal(receiver->count, 0);
}

static void hostile_receiver_is_counted(void **state)
{
	struct net *net = *state;
	struct net_end *sender;
	struct hostile h;
	size_t bytes = sizeof(net->endpoint);
	const uint64_t deadline_ns = now_ns() + NET_DEADLINE_NS;
	uint8_t id[8];
	int id_bytes;

	hostile_open(&h, net, ZMQ_ROUTER);
	assert_int_equal(zmq_bind(h.socket, "tcp://127.0.0.1:*"), 0);
	assert_int_equal(zmq_getsockopt(h.socket, ZMQ_LAST_ENDPOINT, net->endpoint, &bytes), 0);
	sender = net_sender(net, "board-0", 0);
	while ((id_bytes = zmq_recv(h.socket, id, sizeof(id), ZMQ_DONTWAIT)) < 0) {
		assert_true(now_ns() < deadline_ns);
		net_turn(net);
	}
	for (int i = 0; i < 100; i++) {
		for (size_t k = 0; k < 200; k++)
			h.message[k] = (uint8_t)hostile_random(&h);
		hostile_say(&h, id, (size_t)id_bytes, true);
		hostile_say(&h, h.message, 1 + (size_t)i * 2, i % 3 == 0);
		if (i % 3 == 0)
			hostile_say(&h, "payload", 7, i % 2 == 0);
		if (i % 3 == 0 && i % 2 == 0)
			hostile_say(&h, "more", 4, false);
	}
	while (link_sender_stats(sender->sender)->bad_messages < 100) {
		assert_true(now_ns() < deadline_ns);
		net_turn(net);
	}
	assert_int_equal(sender->count, 0);
	hostile_close(&h);
}

#define PROMISE(f)                                            \
	{                                                     \
#f, f, net_setup, net_teardown, (void *)"zmq" \
	}

int main(void)
{
	const struct CMUnitTest suite[] = {
		PROMISE(random_bytes_are_counted),
		PROMISE(wrong_parts_are_counted),
		PROMISE(half_messages_are_counted),
		PROMISE(more_than_the_credit_is_refused),
		PROMISE(session_of_another_is_refused),
		PROMISE(peer_that_names_its_connection_is_counted),
		PROMISE(longer_than_the_limit_never_arrives),
		PROMISE(other_version_is_refused),
		PROMISE(plain_tcp_is_ignored),
		PROMISE(hostile_receiver_is_counted),
	};

	return cmocka_run_group_tests_name("zmq, hostile", suite, NULL, NULL) ? EXIT_FAILURE
									      : EXIT_SUCCESS;
}
