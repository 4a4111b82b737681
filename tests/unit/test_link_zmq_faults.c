/* SPDX-License-Identifier: MIT */
/*
 * The zmq transport when libzmq says no: each step of opening an end fails in turn and leaves
 * nothing behind; a message of which one part cannot be sent is not sent at all.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zmq.h>

#include <base/clock.h>
#include <link/link.h>
#include <sluice/error.h>

#define DEADLINE_NS (20 * NS_PER_S)

static int fault_in = -1; /* calls until one fails; negative: none does */
static int live;          /* contexts, sockets and blocks of memory of ours */
static int sends_left = -1;
/* As libzmq does when a connection goes between two parts: the first is taken, and taken back. */
static bool roll_back;

static bool fault(void)
{
	return fault_in >= 0 && fault_in-- == 0;
}

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's --wrap makes these names */
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
	if (fault())
		return NULL;
	live++;
	return __real_calloc(count, size);
}

void __real_free(void *p);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
	live -= p != NULL;
	__real_free(p);
}

#define WRAP_OPEN(name, params, args)      \
	void *__real_##name params;        \
	void *__wrap_##name params;        \
	void *__wrap_##name params         \
	{                                  \
		if (fault()) {             \
			errno = EMFILE;    \
			return NULL;       \
		}                          \
		live++;                    \
		return __real_##name args; \
	}
WRAP_OPEN(zmq_ctx_new, (void), ())
WRAP_OPEN(zmq_socket, (void *ctx, int type), (ctx, type))

#define WRAP_CLOSE(name)                 \
	int __real_##name(void *p);      \
	int __wrap_##name(void *p);      \
	int __wrap_##name(void *p)       \
	{                                \
		live--;                  \
		return __real_##name(p); \
	}
WRAP_CLOSE(zmq_ctx_term)
WRAP_CLOSE(zmq_close)

#define WRAP_CALL(name, params, args)      \
	int __real_##name params;          \
	int __wrap_##name params;          \
	int __wrap_##name params           \
	{                                  \
		if (fault()) {             \
			errno = EINVAL;    \
			return -1;         \
		}                          \
		return __real_##name args; \
	}
WRAP_CALL(zmq_ctx_set, (void *ctx, int option, int value), (ctx, option, value))
WRAP_CALL(zmq_setsockopt, (void *s, int option, const void *value, size_t bytes),
	  (s, option, value, bytes))
WRAP_CALL(zmq_getsockopt, (void *s, int option, void *value, size_t *bytes),
	  (s, option, value, bytes))
WRAP_CALL(zmq_bind, (void *s, const char *endpoint), (s, endpoint))
WRAP_CALL(zmq_connect, (void *s, const char *endpoint), (s, endpoint))

int __real_zmq_msg_send(zmq_msg_t *msg, void *socket, int flags);
int __wrap_zmq_msg_send(zmq_msg_t *msg, void *socket, int flags);
int __wrap_zmq_msg_send(zmq_msg_t *msg, void *socket, int flags)
{
	if (sends_left == 0) {
		errno = EAGAIN;
		return -1;
	}
	if (roll_back && (flags & ZMQ_SNDMORE)) {
		const int bytes = (int)zmq_msg_size(msg);

		(void)zmq_msg_close(msg);
		(void)zmq_msg_init(msg);
		return bytes;
	}
	if (roll_back) {
		errno = EAGAIN;
		return -1;
	}
	if (sends_left > 0)
		sends_left--;
	return __real_zmq_msg_send(msg, socket, flags);
}

/* NOLINTEND(bugprone-reserved-identifier) */

static _Atomic unsigned int released;

static void count_released(void *ctx, void *cookie)
{
	(void)ctx;
	(void)cookie;
	atomic_fetch_add(&released, 1);
}

static struct link_sender_args sender_args(const char *endpoint)
{
	return (struct link_sender_args){
		.transport = "zmq",
		.endpoint = endpoint,
		.name = "board-0",
		.role = SLUICE_WIRE_SOURCE,
		.io_threads = 1,
		.released = count_released,
	};
}

static const struct link_receiver_args receiver_args = {
	.transport = "zmq",
	.bind = "tcp://127.0.0.1:*",
	.name = "aggregator-0",
	.role = SLUICE_WIRE_AGGREGATOR,
	.window = 100,
	.payload_max = 1 << 20,
	.io_threads = 1,
};

static void sender_unwinds_from_every_step(void **state)
{
	const struct link_sender_args args = sender_args("tcp://127.0.0.1:9");
	int ret = -1;
	int nth;

	(void)state;
	for (nth = 0; ret < 0; nth++) {
		struct link_sender *sender = NULL;
		struct sluice_error error = { "" };

		live = 0;
		fault_in = nth;
		ret = link_sender_open(&args, &sender, &error);
		if (fault_in < 0) {
			assert_true(ret < 0);
			assert_null(sender);
			assert_int_equal(live, 0);
			assert_non_null(strstr(error.text, args.endpoint));
			continue;
		}
		fault_in = -1;
		assert_int_equal(ret, 0);
		link_sender_close(sender);
		assert_int_equal(live, 0);
	}
	assert_true(nth > 10); /* there were steps */
}

static void receiver_unwinds_from_every_step(void **state)
{
	int ret = -1;
	int nth;

	(void)state;
	for (nth = 0; ret < 0; nth++) {
		struct link_receiver *receiver = NULL;
		struct sluice_error error = { "" };

		live = 0;
		fault_in = nth;
		ret = link_receiver_open(&receiver_args, &receiver, &error);
		if (fault_in < 0) {
			assert_true(ret < 0);
			assert_null(receiver);
			assert_int_equal(live, 0);
			assert_non_null(strstr(error.text, receiver_args.bind));
			continue;
		}
		fault_in = -1;
		assert_int_equal(ret, 0);
		link_receiver_close(receiver);
		assert_int_equal(live, 0);
	}
	assert_true(nth > 10);
}

struct pair {
	struct link_receiver *receiver;
	struct link_sender *sender;
};

/* Drives both until the sender has an event; messages of the receiver come to @message. */
static void await(struct pair *pair, int type, struct link_message *message)
{
	const uint64_t deadline_ns = now_ns() + DEADLINE_NS;

	for (;;) {
		struct link_pollitem items[] = { { .sender = pair->sender },
						 { .receiver = pair->receiver } };
		struct link_event event;

		assert_true(now_ns() < deadline_ns);
		assert_true(link_poll(items, 2, 20 * NS_PER_MS) >= 0);
		(void)link_sender_next(pair->sender, &event);
		if (link_receive(pair->receiver, message) < 0)
			continue;
		if ((int)message->type == type)
			return;
		link_message_release(message);
	}
}

static void open_pair(struct pair *pair)
{
	struct link_sender_args args;
	struct link_message message;

	assert_int_equal(link_receiver_open(&receiver_args, &pair->receiver, NULL), 0);
	args = sender_args(link_receiver_endpoint(pair->receiver));
	assert_int_equal(link_sender_open(&args, &pair->sender, NULL), 0);
	await(pair, LINK_MESSAGE_PEER_UP, &message);
	while (link_sender_credit(pair->sender) == 0) {
		struct link_pollitem item = { .sender = pair->sender };
		struct link_event event;

		assert_true(link_poll(&item, 1, DEADLINE_NS) >= 0);
		(void)link_sender_next(pair->sender, &event);
	}
}

static void close_pair(struct pair *pair)
{
	link_sender_close(pair->sender);
	link_receiver_close(pair->receiver);
}

static void message_is_sent_whole_or_not(void **state)
{
	static const uint8_t payload[1000] = { 1, 2, 3 };
	const struct sluice_wire_block table = { .frame = sluice_le64(1) };
	struct link_chunk chunk = {
		.scan = 1,
		.flags = SLUICE_WIRE_LAST_PART,
		.block_count = 1,
		.table = &table,
		.payload = payload,
		.payload_bytes = sizeof(payload),
	};
	struct link_message message;
	struct pair pair;

	(void)state;
	released = 0;
	open_pair(&pair);
	sends_left = 0; /* the head */
	assert_int_equal(link_send(pair.sender, &chunk), -EAGAIN);
	sends_left = -1;
	roll_back = true; /* the payload */
	assert_int_equal(link_send(pair.sender, &chunk), -EAGAIN);
	roll_back = false;
	assert_int_equal(link_sender_credit(pair.sender), receiver_args.window);
	assert_int_equal(released, 0);
	chunk.run = 1;
	assert_int_equal(link_send(pair.sender, &chunk), 0);
	await(&pair, LINK_MESSAGE_CHUNK, &message);
	assert_true(message.run == 1);
	link_message_release(&message);
	close_pair(&pair);
	assert_int_equal(released, 1);
}

static void forward_that_fails_keeps_the_message(void **state)
{
	static const uint8_t payload[5000] = { 9, 8, 7 };
	const struct sluice_wire_block table = { .frame = sluice_le64(1) };
	const struct link_chunk chunk = {
		.scan = 1,
		.flags = SLUICE_WIRE_LAST_PART,
		.block_count = 1,
		.table = &table,
		.payload = payload,
		.payload_bytes = sizeof(payload),
	};
	const unsigned int before = released;
	struct link_message message;
	struct pair pair;

	(void)state;
	open_pair(&pair);
	assert_int_equal(link_send(pair.sender, &chunk), 0);
	await(&pair, LINK_MESSAGE_CHUNK, &message);
	sends_left = 0;
	assert_int_equal(link_forward(pair.sender, &message, NULL), -EAGAIN);
	sends_left = -1;
	roll_back = true;
	assert_int_equal(link_forward(pair.sender, &message, NULL), -EAGAIN);
	roll_back = false;
	assert_memory_equal(message.payload, payload, sizeof(payload));
	assert_memory_equal(message.table, &table, sizeof(table));
	assert_int_equal(link_forward(pair.sender, &message, NULL), 0);
	await(&pair, LINK_MESSAGE_CHUNK, &message);
	assert_memory_equal(message.payload, payload, sizeof(payload));
	link_message_release(&message);
	close_pair(&pair);
	assert_int_equal(released, before + 2); /* once sent, once forwarded */
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(sender_unwinds_from_every_step),
		cmocka_unit_test(receiver_unwinds_from_every_step),
		cmocka_unit_test(message_is_sent_whole_or_not),
		cmocka_unit_test(forward_that_fails_keeps_the_message),
	};

	return cmocka_run_group_tests_name("link zmq", suite, NULL, NULL) ? EXIT_FAILURE
									  : EXIT_SUCCESS;
}
