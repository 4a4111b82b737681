/* SPDX-License-Identifier: MIT */
/*
 * Sessions, heartbeats and silence under a clock and over a transport that the test holds: two
 * ends in one process whose messages lie in a list until they are let through.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <base/clock.h>
#include <link/link.h>
#include <link/link_ops.h>
#include <link/wire.h>

enum {
	QUEUE_MAX = 64,
	SENDERS_MAX = LINK_PEERS_MAX + 1,
	HEAD_MAX = 512,
};

/* ---- a clock --------------------------------------------------------------------------- */

static uint64_t clock_ns;

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's --wrap makes these names */
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	(void)id;
	ts->tv_sec = (time_t)(clock_ns / NS_PER_S);
	ts->tv_nsec = (long)(clock_ns % NS_PER_S);
	return 0;
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* ---- a transport ----------------------------------------------------------------------- */

struct queued {
	uint64_t from;
	uint32_t head_bytes;
	_Alignas(8) uint8_t head[HEAD_MAX];
};

struct link_port {
	uint64_t connection; /* of a sender: its number, from 1; of the receiver 0 */
	struct queued queue[QUEUE_MAX];
	unsigned int first, count;
};

static struct link_port *bound;
static struct link_port *connected[SENDERS_MAX + 1]; /* by connection; NULL: it is gone */
static uint64_t connections;
static bool full; /* nothing can be sent */

static int fake_connect(const struct link_port_args *args, struct link_port **ret_port,
			struct sluice_error *reterr)
{
	struct link_port *port = calloc(1, sizeof(*port));

	(void)args;
	(void)reterr;
	assert_non_null(port);
	port->connection = ++connections;
	assert_true(port->connection <= SENDERS_MAX);
	connected[port->connection] = port;
	*ret_port = port;
	return 0;
}

static int fake_bind(const struct link_port_args *args, struct link_port **ret_port,
		     struct sluice_error *reterr)
{
	(void)args;
	(void)reterr;
	bound = calloc(1, sizeof(*bound));
	assert_non_null(bound);
	*ret_port = bound;
	return 0;
}

static void fake_close(struct link_port *port)
{
	if (port == bound)
		bound = NULL;
	else
		connected[port->connection] = NULL;
	free(port);
}

static const char *fake_endpoint(const struct link_port *port)
{
	(void)port;
	return "fake";
}

static int fake_send(struct link_port *port, const struct link_outgoing *out)
{
	struct link_port *to = port == bound ? connected[out->to] : bound;
	struct queued *q;

	if (!to && port == bound)
		return -ENOTCONN;
	if (full || !to)
		return -EAGAIN;
	assert_true(out->head_bytes <= HEAD_MAX && out->payload_bytes == 0);
	assert_true(to->count < QUEUE_MAX);
	q = &to->queue[(to->first + to->count++) % QUEUE_MAX];
	q->from = port->connection;
	q->head_bytes = out->head_bytes;
	memcpy(q->head, out->head, out->head_bytes);
	return 0;
}

static int fake_receive(struct link_port *port, struct link_parcel *ret_parcel)
{
	const struct queued *q = &port->queue[port->first];

	if (port->count == 0)
		return -EAGAIN;
	port->first = (port->first + 1) % QUEUE_MAX;
	port->count--;
	*ret_parcel = (struct link_parcel){
		.ops = link_transport_find("fake"),
		.from = q->from,
		.head = q->head,
		.head_bytes = q->head_bytes,
	};
	return 0;
}

static void fake_release(struct link_parcel *parcel)
{
	*parcel = (struct link_parcel){ 0 };
}

/* Waiting is what moves the clock, as far as it was asked to. */
static int fake_wait(struct link_wait *waits, unsigned int count, uint64_t timeout_ns)
{
	int ready = 0;

	for (unsigned int i = 0; i < count; i++) {
		waits[i].ready = waits[i].port && waits[i].port->count > 0;
		ready += waits[i].ready;
	}
	if (ready == 0)
		clock_ns += timeout_ns;
	return ready;
}

static const struct link_ops fake_ops = {
	.name = "fake",
	.connect = fake_connect,
	.bind = fake_bind,
	.close = fake_close,
	.endpoint = fake_endpoint,
	.send = fake_send,
	.receive = fake_receive,
	.release = fake_release,
	.wait = fake_wait,
};

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's --wrap makes these names */
const struct link_ops *__wrap_link_transport_find(const char *name);
const struct link_ops *__wrap_link_transport_find(const char *name)
{
	(void)name;
	return &fake_ops;
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* ---- two ends -------------------------------------------------------------------------- */

struct ends {
	struct link_receiver *receiver;
	struct link_sender *sender;
};

static struct link_sender *open_sender(const char *name)
{
	const struct link_sender_args args = {
		.transport = "fake",
		.endpoint = "fake",
		.name = name,
		.role = SLUICE_WIRE_SOURCE,
		.io_threads = 1,
	};
	struct link_sender *sender;

	assert_int_equal(link_sender_open(&args, &sender, NULL), 0);
	return sender;
}

static struct link_receiver *open_receiver(void)
{
	const struct link_receiver_args args = {
		.transport = "fake",
		.bind = "fake",
		.name = "aggregator-0",
		.role = SLUICE_WIRE_AGGREGATOR,
		.window = 4,
		.payload_max = 1000,
		.io_threads = 1,
	};
	struct link_receiver *receiver;

	assert_int_equal(link_receiver_open(&args, &receiver, NULL), 0);
	return receiver;
}

static void expect_message(struct link_receiver *receiver, int type)
{
	struct link_message message;
	const int ret = link_receive(receiver, &message);

	assert_int_equal(ret, type ? 0 : -EAGAIN);
	if (type)
		assert_int_equal(message.type, type);
}

static void expect_event(struct link_sender *sender, int type)
{
	struct link_event event;
	const int ret = link_sender_next(sender, &event);

	assert_int_equal(ret, type ? 0 : -EAGAIN);
	if (type)
		assert_int_equal(event.type, type);
}

static int setup(void **state)
{
	static struct ends ends;

	clock_ns = 1000 * NS_PER_S;
	connections = 0;
	full = false;
	ends.receiver = open_receiver();
	ends.sender = open_sender("board-0");
	expect_event(ends.sender, 0);
	expect_message(ends.receiver, LINK_MESSAGE_PEER_UP);
	expect_event(ends.sender, LINK_EVENT_UP);
	*state = &ends;
	return 0;
}

static int teardown(void **state)
{
	struct ends *ends = *state;

	link_sender_close(ends->sender);
	link_receiver_close(ends->receiver);
	return 0;
}

static uint16_t queued_type(const struct link_port *port, unsigned int i)
{
	const struct queued *q = &port->queue[(port->first + i) % QUEUE_MAX];
	struct wire_head head;

	assert_true(i < port->count);
	assert_int_equal(wire_open(q->head, q->head_bytes, 0, &head), 0);
	return head.type;
}

/* ---- the promises ---------------------------------------------------------------------- */

static void hello_is_said_until_welcomed(void **state)
{
	struct link_sender *sender;

	(void)state;
	sender = open_sender("board-1");
	for (unsigned int i = 1; i <= 3; i++) {
		expect_event(sender, 0);
		assert_int_equal(bound->count, i);
		assert_int_equal(queued_type(bound, i - 1), SLUICE_WIRE_HELLO);
		clock_ns += LINK_HEARTBEAT_NS - 1;
		expect_event(sender, 0);
		assert_int_equal(bound->count, i);
		clock_ns += 1;
	}
	link_sender_close(sender);
}

static void hello_said_twice_makes_one_session(void **state)
{
	struct ends *ends = *state;
	struct link_sender *sender = open_sender("board-1");

	expect_event(sender, 0);
	clock_ns += LINK_HEARTBEAT_NS;
	expect_event(sender, 0);
	expect_message(ends->receiver, LINK_MESSAGE_PEER_UP);
	expect_message(ends->receiver, 0);
	expect_event(sender, LINK_EVENT_UP);
	expect_event(sender, 0);
	assert_int_equal(link_sender_stats(sender)->sessions, 1);
	link_sender_close(sender);
}

static void heartbeats_go_when_nothing_else_did(void **state)
{
	struct ends *ends = *state;
	const struct link_chunk chunk = { .scan = 1, .flags = SLUICE_WIRE_LAST_PART };

	clock_ns += LINK_HEARTBEAT_NS - 1;
	expect_event(ends->sender, 0);
	assert_int_equal(bound->count, 0);
	assert_int_equal(link_send(ends->sender, &chunk), 0);
	clock_ns += LINK_HEARTBEAT_NS - 1; /* the chunk stood for one */
	expect_event(ends->sender, 0);
	assert_int_equal(bound->count, 1);
	clock_ns += 1;
	expect_event(ends->sender, 0);
	assert_int_equal(bound->count, 2);
	assert_int_equal(queued_type(bound, 1), SLUICE_WIRE_HEARTBEAT);

	expect_message(ends->receiver, LINK_MESSAGE_CHUNK);
	expect_message(ends->receiver, 0);
	assert_int_equal(queued_type(connected[1], 0), SLUICE_WIRE_HEARTBEAT);
}

static void poll_sends_heartbeats_while_it_waits(void **state)
{
	struct ends *ends = *state;
	struct link_pollitem item = { .sender = ends->sender };

	/* Less than what makes the receiver lost. */
	assert_int_equal(link_poll(&item, 1, 3 * LINK_HEARTBEAT_NS + 1), 0);
	assert_int_equal(bound->count, 3);
	/* More: what is ready then is that the receiver is lost, and when. */
	assert_int_equal(link_poll(&item, 1, 100 * NS_PER_S), 1);
	assert_true(item.ready);
	assert_true(clock_ns == 1000 * NS_PER_S + LINK_DEAD_NS);
	expect_event(ends->sender, LINK_EVENT_DOWN);
}

static void silence_is_judged_to_the_ns(void **state)
{
	struct ends *ends = *state;

	for (unsigned int i = 0; i < 4; i++) {
		clock_ns += LINK_DEAD_NS / 4 - (i == 3);
		expect_message(ends->receiver, 0);
	}
	clock_ns += 1;
	expect_message(ends->receiver, LINK_MESSAGE_PEER_DOWN);
	assert_int_equal(link_receiver_stats(ends->receiver)->peers_lost, 1);
}

static void pause_of_the_owner_is_no_silence(void **state)
{
	struct ends *ends = *state;

	clock_ns += 10 * LINK_DEAD_NS;
	expect_message(ends->receiver, 0);
	expect_event(ends->sender, 0);
	/* From here on both look, and hear each other. */
	clock_ns += LINK_HEARTBEAT_NS;
	expect_message(ends->receiver, 0);
	expect_event(ends->sender, 0);
}

static void lost_session_begins_anew(void **state)
{
	struct ends *ends = *state;
	const struct link_chunk chunk = { .scan = 1, .flags = SLUICE_WIRE_LAST_PART };

	for (unsigned int i = 0; i < 4; i++) {
		expect_event(ends->sender, 0);
		clock_ns += LINK_DEAD_NS / 4;
	}
	assert_int_equal(link_send(ends->sender, &chunk), 0); /* of the session that ends now */
	expect_event(ends->sender, LINK_EVENT_DOWN);
	assert_int_equal(link_send(ends->sender, &chunk), -ENOTCONN);
	expect_event(ends->sender, 0);
	expect_message(ends->receiver, LINK_MESSAGE_CHUNK);
	expect_message(ends->receiver, LINK_MESSAGE_PEER_DOWN);
	expect_message(ends->receiver, LINK_MESSAGE_PEER_UP);
	expect_event(ends->sender, LINK_EVENT_UP);
	assert_int_equal(link_sender_credit(ends->sender), 4);
}

static void stale_session_is_told_so(void **state)
{
	struct ends *ends = *state;
	const struct link_chunk chunk = { .scan = 1, .flags = SLUICE_WIRE_LAST_PART };
	struct link_port *port = connected[1];

	/* Another receiver at the same place, and the first had no time for a good-bye. */
	connected[1] = NULL;
	link_receiver_close(ends->receiver);
	connected[1] = port;
	ends->receiver = open_receiver();
	assert_int_equal(link_send(ends->sender, &chunk), 0);
	assert_int_equal(link_send(ends->sender, &chunk), 0);
	expect_message(ends->receiver, 0);
	expect_event(ends->sender, LINK_EVENT_DOWN);
	expect_event(ends->sender, 0); /* the second refusal is of the same session */
	expect_message(ends->receiver, LINK_MESSAGE_PEER_UP);
	expect_event(ends->sender, LINK_EVENT_UP);
	assert_int_equal(link_sender_stats(ends->sender)->peers_lost, 1);
}

static void name_goes_to_whom_the_dead_left_it(void **state)
{
	struct ends *ends = *state;
	struct link_port *port = connected[1];
	struct link_sender *sender;

	/* Alive: refused, for good. */
	sender = open_sender("board-0");
	expect_event(sender, 0);
	expect_message(ends->receiver, 0);
	expect_event(sender, LINK_EVENT_REFUSED);
	clock_ns += LINK_HEARTBEAT_NS;
	expect_event(sender, 0);
	assert_int_equal(bound->count, 0);
	link_sender_close(sender);

	/* Its connection closed: a heartbeat would say so, and the name is free. */
	connected[1] = NULL;
	sender = open_sender("board-0");
	expect_event(sender, 0);
	expect_message(ends->receiver, LINK_MESSAGE_PEER_DOWN);
	expect_message(ends->receiver, LINK_MESSAGE_PEER_UP);
	expect_event(sender, LINK_EVENT_UP);
	link_sender_close(sender);
	connected[1] = port;
}

static void same_sender_over_a_new_connection_is_its_successor(void **state)
{
	struct ends *ends = *state;
	struct link_port *port = connected[1];
	const struct link_chunk chunk = { .scan = 1, .flags = SLUICE_WIRE_LAST_PART };

	/* The receiver does not know yet that the old connection is dead: it takes messages. */
	connected[1] = calloc(1, sizeof(*port));
	assert_non_null(connected[1]);
	port->connection = ++connections;
	connected[port->connection] = port;
	/* What comes over the new one names a session of the old one. */
	assert_int_equal(link_send(ends->sender, &chunk), 0);
	expect_message(ends->receiver, 0);
	expect_event(ends->sender, LINK_EVENT_DOWN);
	expect_event(ends->sender, 0);
	expect_message(ends->receiver, LINK_MESSAGE_PEER_DOWN);
	expect_message(ends->receiver, LINK_MESSAGE_PEER_UP);
	expect_event(ends->sender, LINK_EVENT_UP);
	assert_int_equal(link_receiver_stats(ends->receiver)->peers_refused, 0);
	free(connected[1]);
	connected[1] = NULL;
}

static void one_too_many_is_refused(void **state)
{
	struct ends *ends = *state;
	struct link_sender *senders[LINK_PEERS_MAX];
	char name[32];

	for (unsigned int i = 1; i <= LINK_PEERS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "board-%u", i);
		senders[i - 1] = open_sender(name);
		expect_event(senders[i - 1], 0);
		expect_message(ends->receiver, i < LINK_PEERS_MAX ? LINK_MESSAGE_PEER_UP : 0);
		expect_event(senders[i - 1],
			     i < LINK_PEERS_MAX ? LINK_EVENT_UP : LINK_EVENT_REFUSED);
	}
	assert_int_equal(link_receiver_stats(ends->receiver)->peers_refused, 1);
	for (unsigned int i = 0; i < LINK_PEERS_MAX; i++)
		link_sender_close(senders[i]);
	for (unsigned int i = 1; i < LINK_PEERS_MAX; i++)
		expect_message(ends->receiver, LINK_MESSAGE_PEER_DOWN);
	expect_message(ends->receiver, 0);
}

static void all_peers_lost_at_once_are_all_reported(void **state)
{
	struct ends *ends = *state;
	struct link_sender *senders[LINK_PEERS_MAX - 1];
	char name[32];

	for (unsigned int i = 0; i < LINK_PEERS_MAX - 1; i++) {
		(void)snprintf(name, sizeof(name), "board-%u", i + 1);
		senders[i] = open_sender(name);
		expect_event(senders[i], 0);
		expect_message(ends->receiver, LINK_MESSAGE_PEER_UP);
	}
	for (unsigned int i = 0; i < 4; i++) {
		expect_message(ends->receiver, 0);
		clock_ns += LINK_DEAD_NS / 4;
	}
	for (unsigned int i = 0; i < LINK_PEERS_MAX; i++)
		expect_message(ends->receiver, LINK_MESSAGE_PEER_DOWN);
	expect_message(ends->receiver, 0);
	assert_int_equal(link_receiver_stats(ends->receiver)->peers_lost, LINK_PEERS_MAX);
	for (unsigned int i = 0; i < LINK_PEERS_MAX - 1; i++)
		link_sender_close(senders[i]);
}

static void full_queue_loses_no_ack(void **state)
{
	struct ends *ends = *state;
	const struct sluice_wire_ack ack = { .run_count = sluice_le32(1) };
	struct link_pollitem item = { .receiver = ends->receiver };

	full = true;
	assert_int_equal(link_ack(ends->receiver, 0, 1, &ack, 1, NULL, 0), -EAGAIN);
	assert_int_equal(link_receiver_stats(ends->receiver)->acks, 0);
	/* A grant is kept and said as soon as there is room, without a second call. */
	assert_int_equal(link_grant(ends->receiver, 0, 3, true), 0);
	assert_int_equal(link_poll(&item, 1, LINK_HEARTBEAT_NS / 10), 0);
	full = false;
	assert_int_equal(link_poll(&item, 1, LINK_HEARTBEAT_NS / 10), 0);
	expect_event(ends->sender, LINK_EVENT_CREDIT);
	assert_int_equal(link_sender_credit(ends->sender), 7);
	assert_int_equal(link_ack(ends->receiver, 0, 1, &ack, 1, NULL, 0), 0);
	expect_event(ends->sender, LINK_EVENT_ACK);
}

#define PROMISE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest suite[] = {
		PROMISE(hello_is_said_until_welcomed),
		PROMISE(hello_said_twice_makes_one_session),
		PROMISE(heartbeats_go_when_nothing_else_did),
		PROMISE(poll_sends_heartbeats_while_it_waits),
		PROMISE(silence_is_judged_to_the_ns),
		PROMISE(pause_of_the_owner_is_no_silence),
		PROMISE(lost_session_begins_anew),
		PROMISE(stale_session_is_told_so),
		PROMISE(name_goes_to_whom_the_dead_left_it),
		PROMISE(same_sender_over_a_new_connection_is_its_successor),
		PROMISE(one_too_many_is_refused),
		PROMISE(all_peers_lost_at_once_are_all_reported),
		PROMISE(full_queue_loses_no_ack),
	};

	return cmocka_run_group_tests_name("link clock", suite, NULL, NULL) ? EXIT_FAILURE
									    : EXIT_SUCCESS;
}
