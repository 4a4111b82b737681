/* SPDX-License-Identifier: MIT */
/* What every transport keeps of link.h when an end dies. The argument names the transport. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include <sluice/error.h>

#include "link_net.h"

extern char **environ;

/* ---- an end in a process of its own ---------------------------------------------------- */

static int child_sends(const char *transport, const char *endpoint, const char *name)
{
	const struct link_sender_args args = {
		.transport = transport,
		.endpoint = endpoint,
		.name = name,
		.role = SLUICE_WIRE_SOURCE,
		.io_threads = 1,
	};
	const uint64_t deadline_ns = now_ns() + 2 * NET_DEADLINE_NS;
	struct link_sender *sender;
	struct link_event event;

	if (link_sender_open(&args, &sender, NULL) < 0)
		return EXIT_FAILURE;
	while (now_ns() < deadline_ns) {
		struct link_pollitem item = { .sender = sender };

		(void)link_poll(&item, 1, LINK_HEARTBEAT_NS);
		while (link_sender_next(sender, &event) == 0)
			;
	}
	link_sender_close(sender);
	return EXIT_SUCCESS;
}

static int child_receives(const char *transport, const char *bind)
{
	const struct link_receiver_args args = {
		.transport = transport,
		.bind = bind,
		.name = "aggregator-0",
		.role = SLUICE_WIRE_AGGREGATOR,
		.window = 100,
		.payload_max = NET_PAYLOAD_MAX,
		.io_threads = 1,
	};
	const uint64_t deadline_ns = now_ns() + 2 * NET_DEADLINE_NS;
	struct link_receiver *receiver;
	struct link_message message;

	if (link_receiver_open(&args, &receiver, NULL) < 0)
		return EXIT_FAILURE;
	while (now_ns() < deadline_ns) {
		struct link_pollitem item = { .receiver = receiver };

		(void)link_poll(&item, 1, LINK_HEARTBEAT_NS);
		while (link_receive(receiver, &message) == 0)
			link_message_release(&message);
	}
	link_receiver_close(receiver);
	return EXIT_SUCCESS;
}

/* A sender of that name to net->endpoint, or the receiver there. */
static pid_t child_start(const struct net *net, const char *name)
{
	char *const argv[] = { (char *)"test_link_loss", (char *)net->transport,
			       (char *)net->endpoint, (char *)name, NULL };
	pid_t pid;

	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
	return pid;
}

static void child_end(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void killed_sender_is_lost(void **state)
{
	struct net *net = *state;
	struct net_end *receiver = net_receiver(net, "tcp://127.0.0.1:*", 4);
	const pid_t pid = child_start(net, "board-0");
	struct link_message message;

	net_expect_message(net, receiver, LINK_MESSAGE_PEER_UP);
	child_end(pid);
	net_message(net, receiver, &message);
	assert_int_equal(message.type, LINK_MESSAGE_PEER_DOWN);
	assert_string_equal(message.name, "board-0");
	assert_int_equal(link_receiver_stats(receiver->receiver)->peers_lost, 1);
	assert_int_equal(link_grant(receiver->receiver, message.peer, 1, true), -ENOTCONN);
}

static void killed_sender_can_be_started_again(void **state)
{
	struct net *net = *state;
	struct net_end *receiver = net_receiver(net, "tcp://127.0.0.1:*", 4);
	pid_t pid = child_start(net, "board-0");

	net_expect_message(net, receiver, LINK_MESSAGE_PEER_UP);
	child_end(pid);
	/* At once: its name is not taken by the dead. */
	pid = child_start(net, "board-0");
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_DOWN);
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_UP);
	assert_int_equal(link_receiver_stats(receiver->receiver)->peers_refused, 0);
	child_end(pid);
}

static void silent_sender_is_lost(void **state)
{
	struct net *net = *state;
	struct net_end *receiver = net_receiver(net, "tcp://127.0.0.1:*", 4);
	const pid_t pid = child_start(net, "board-0");
	uint64_t begun_ns;

	net_expect_message(net, receiver, LINK_MESSAGE_PEER_UP);
	assert_int_equal(kill(pid, SIGSTOP), 0); /* its connection stays */
	begun_ns = now_ns();
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_DOWN);
	assert_true(now_ns() - begun_ns > LINK_DEAD_NS - 2 * LINK_HEARTBEAT_NS);
	/* When it goes on, it learns that its session is over and says hello. */
	assert_int_equal(kill(pid, SIGCONT), 0);
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_UP);
	child_end(pid);
}

/* ---- ends of this process -------------------------------------------------------------- */

static void heartbeats_keep_an_idle_link(void **state)
{
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;

	net_pair(net, 4, &receiver, &sender);
	net_pass(net, LINK_DEAD_NS + LINK_HEARTBEAT_NS);
	assert_int_equal(receiver->count, 0);
	assert_int_equal(sender->count, 0);
}

static void closed_sender_is_gone_at_once(void **state)
{
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;

	net_pair(net, 4, &receiver, &sender);
	net_close(sender);
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_DOWN);
	assert_int_equal(link_receiver_stats(receiver->receiver)->peers_lost, 0);
	sender = net_sender(net, "board-0", 0);
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_UP);
	net_expect_event(net, sender, LINK_EVENT_UP);
}

static void what_was_sent_before_close_arrives(void **state)
{
	enum {
		CHUNKS = 8
	};
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct net_chunk made;

	net_pair(net, CHUNKS, &receiver, &sender);
	net_chunk_make(&made, 0, 1, 100000);
	for (int i = 0; i < CHUNKS; i++)
		net_send(net, sender, &made.chunk);
	net_close(sender);
	for (int i = 0; i < CHUNKS; i++)
		net_expect_message(net, receiver, LINK_MESSAGE_CHUNK);
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_DOWN);
	net_chunk_drop(net, &made);
}

static void silent_receiver_is_lost_and_found(void **state)
{
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct net_chunk made;

	net_pair(net, 4, &receiver, &sender);
	receiver->idle = true;
	net_chunk_make(&made, 0, 1, 1000);
	net_expect_event(net, sender, LINK_EVENT_DOWN);
	assert_int_equal(link_send(sender->sender, &made.chunk), -ENOTCONN);
	assert_int_equal(link_sender_credit(sender->sender), 0);
	receiver->idle = false;
	/* It did not look, so it does not call its peer silent; the new hello ends the session. */
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_DOWN);
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_UP);
	net_expect_event(net, sender, LINK_EVENT_UP);
	assert_int_equal(link_sender_credit(sender->sender), 4);
	assert_int_equal(link_send(sender->sender, &made.chunk), 0);
	net_expect_message(net, receiver, LINK_MESSAGE_CHUNK);
	net_chunk_drop(net, &made);
}

static void restarted_receiver_gives_a_new_session(void **state)
{
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct link_message message;
	struct net_chunk made;

	net_pair(net, 4, &receiver, &sender);
	net_chunk_make(&made, 0, 1, 1000);
	assert_int_equal(link_send(sender->sender, &made.chunk), 0);
	net_expect_message(net, receiver, LINK_MESSAGE_CHUNK);
	net_close(receiver);
	net_expect_event(net, sender, LINK_EVENT_DOWN);
	assert_int_equal(link_send(sender->sender, &made.chunk), -ENOTCONN);
	receiver = net_receiver(net, net->endpoint, 2);
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_UP);
	net_expect_event(net, sender, LINK_EVENT_UP);
	assert_int_equal(link_sender_credit(sender->sender), 2);
	assert_int_equal(link_sender_stats(sender->sender)->sessions, 2);

	made.chunk.run = 77;
	assert_int_equal(link_send(sender->sender, &made.chunk), 0);
	net_message(net, receiver, &message);
	net_chunk_compare(&message, &made.chunk); /* and nothing of the session before */
	link_message_release(&message);
	net_chunk_drop(net, &made);
}

static void all_is_released_over_a_lost_session(void **state)
{
	enum {
		CHUNKS = 30
	};
	struct net *net = *state;
	struct net_end *receiver = net_receiver(net, "tcp://127.0.0.1:*", CHUNKS);
	struct net_end *sender;
	struct net_chunk made;
	pid_t pid;

	net_close(receiver); /* its port is what the child binds */
	pid = child_start(net, "receiver");
	sender = net_sender(net, "board-0", 0);
	net_expect_event(net, sender, LINK_EVENT_UP);
	/* It dies with most of the bytes still here. */
	assert_int_equal(kill(pid, SIGSTOP), 0);
	net_chunk_make(&made, 0, 16, 2 << 20);
	for (int i = 0; i < CHUNKS; i++)
		assert_int_equal(link_send(sender->sender, &made.chunk), 0);
	child_end(pid);
	receiver = net_receiver(net, net->endpoint, CHUNKS);
	net_expect_event(net, sender, LINK_EVENT_DOWN);
	net_expect_event(net, sender, LINK_EVENT_UP);
	net_expect_message(net, receiver, LINK_MESSAGE_PEER_UP);
	for (int i = 0; i < 3; i++) {
		net_send(net, sender, &made.chunk);
		net_expect_message(net, receiver, LINK_MESSAGE_CHUNK);
	}
	net_close(sender);
	assert_int_equal(sender->released, CHUNKS + 3);
	net_chunk_drop(net, &made);
}

static void received_message_outlives_its_receiver(void **state)
{
	struct net *net = *state;
	struct net_end *receiver;
	struct net_end *sender;
	struct link_message message;
	struct net_chunk made;

	net_pair(net, 4, &receiver, &sender);
	net_chunk_make(&made, 0, 4, 100000);
	assert_int_equal(link_send(sender->sender, &made.chunk), 0);
	net_message(net, receiver, &message);
	net_close(sender);
	net_close(receiver);
	net_chunk_compare(&message, &made.chunk);
	link_message_release(&message);
	net_chunk_drop(net, &made);
}

static void open_says_what_is_wrong(void **state)
{
	struct net *net = *state;
	struct net_end *receiver = net_receiver(net, "tcp://127.0.0.1:*", 4);
	struct link_receiver_args in = {
		.transport = net->transport,
		.bind = net->endpoint, /* taken */
		.name = "aggregator-1",
		.role = SLUICE_WIRE_AGGREGATOR,
		.io_threads = 1,
	};
	struct link_sender_args out = {
		.transport = "pigeon",
		.endpoint = net->endpoint,
		.name = "board-0",
		.role = SLUICE_WIRE_SOURCE,
		.io_threads = 1,
	};
	struct link_receiver *no_receiver = NULL;
	struct link_sender *no_sender = NULL;
	struct sluice_error error = { "" };

	assert_non_null(receiver);
	assert_int_equal(link_receiver_open(&in, &no_receiver, &error), -EADDRINUSE);
	assert_non_null(strstr(error.text, net->endpoint));
	in.io_threads = 0;
	assert_int_equal(link_receiver_open(&in, &no_receiver, NULL), -EINVAL);
	assert_int_equal(link_sender_open(&out, &no_sender, &error), -EINVAL);
	assert_non_null(strstr(error.text, "pigeon"));
	out.transport = net->transport;
	out.endpoint = "nowhere";
	assert_int_equal(link_sender_open(&out, &no_sender, NULL), -EINVAL);
	out.endpoint = net->endpoint;
	out.name = "a name with spaces";
	assert_int_equal(link_sender_open(&out, &no_sender, NULL), -EINVAL);
	assert_null(no_receiver);
	assert_null(no_sender);
	link_receiver_close(NULL);
	link_sender_close(NULL);
}

#define PROMISE(f)                                      \
	{                                               \
#f, f, net_setup, net_teardown, argv[1] \
	}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[3], "receiver") == 0)
		return child_receives(argv[1], argv[2]);
	if (argc == 4)
		return child_sends(argv[1], argv[2], argv[3]);
	if (argc != 2)
		return EXIT_FAILURE;

	const struct CMUnitTest suite[] = {
		PROMISE(killed_sender_is_lost),
		PROMISE(killed_sender_can_be_started_again),
		PROMISE(silent_sender_is_lost),
		PROMISE(heartbeats_keep_an_idle_link),
		PROMISE(closed_sender_is_gone_at_once),
		PROMISE(what_was_sent_before_close_arrives),
		PROMISE(silent_receiver_is_lost_and_found),
		PROMISE(restarted_receiver_gives_a_new_session),
		PROMISE(all_is_released_over_a_lost_session),
		PROMISE(received_message_outlives_its_receiver),
		PROMISE(open_says_what_is_wrong),
	};

	return cmocka_run_group_tests_name(argv[1], suite, NULL, NULL) ? EXIT_FAILURE
								       : EXIT_SUCCESS;
}
