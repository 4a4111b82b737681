/* SPDX-License-Identifier: MIT */
/*
 * Ends of links driven together by one thread: each turn polls all of them and keeps what they
 * got, so that a test asks for the next thing of one end while the others go on.
 */
#ifndef CONFORMANCE_LINK_NET_H
#define CONFORMANCE_LINK_NET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <base/clock.h>
#include <link/link.h>

enum {
	NET_ENDS_MAX = 6,
	NET_KEPT_MAX = 512, /* messages or events of one end that no test asked for yet */
	NET_PAYLOAD_MAX = 4 << 20,
	NET_DROPPED_MAX = 32,
};

/* Far beyond what anything here takes; a test that meets it has failed. */
#define NET_DEADLINE_NS (20 * NS_PER_S)

/* An event with its entries copied. */
struct net_event {
	struct link_event event;
	void *entries;
};

struct net_end {
	struct link_sender *sender;
	struct link_receiver *receiver;
	bool idle; /* not driven: as if its owner were busy */
	struct link_message messages[NET_KEPT_MAX];
	struct net_event events[NET_KEPT_MAX];
	unsigned int first, count; /* of messages or events */
	_Atomic unsigned int released;
	void *_Atomic released_cookie;
};

struct net {
	const char *transport;
	struct net_end ends[NET_ENDS_MAX];
	char endpoint[LINK_ENDPOINT_MAX]; /* of the receiver opened last */
	void *dropped[NET_DROPPED_MAX];   /* payloads that outlive their chunk */
	unsigned int dropped_count;
};

/* cmocka's setup and teardown; *state is the transport's name before, the net after. */
int net_setup(void **state);
int net_teardown(void **state);

struct net_end *net_receiver(struct net *net, const char *bind, uint32_t window);
/* To net->endpoint. */
struct net_end *net_sender(struct net *net, const char *name, uint16_t sector);
void net_close(struct net_end *end);
/* One receiver, one sender with a session; the messages and events that say so are taken. */
void net_pair(struct net *net, uint32_t window, struct net_end **ret_receiver,
	      struct net_end **ret_sender);

/* Polls once, for at most 20 ms, and keeps what comes. */
void net_turn(struct net *net);
/* Drives all for that long. */
void net_pass(struct net *net, uint64_t ns);
/* The next message or event; the caller releases it. Fails the test at the deadline. */
void net_message(struct net *net, struct net_end *end, struct link_message *ret_message);
void net_event(struct net *net, struct net_end *end, struct net_event *ret_event);
/* The same, which must be of this type. What is behind it is let go. */
void net_expect_message(struct net *net, struct net_end *end, enum link_message_type type);
void net_expect_event(struct net *net, struct net_end *end, enum link_event_type type);
void net_event_release(struct net_event *event);
/* link_send() until it is taken; -EAGAIN is waited out. */
void net_send(struct net *net, struct net_end *end, const struct link_chunk *chunk);

/* A chunk of one sector's run with @blocks blocks that share @bytes bytes of a pattern. */
struct net_chunk {
	struct link_chunk chunk;
	struct sluice_wire_block table[SLUICE_WIRE_BLOCKS_MAX];
};
void net_chunk_make(struct net_chunk *made, uint64_t run, uint16_t blocks, uint32_t bytes);
/* Its payload is freed with the net: a sender may still be reading it. */
void net_chunk_drop(struct net *net, struct net_chunk *made);
/* Whether @message is what @chunk was. */
void net_chunk_compare(const struct link_message *message, const struct link_chunk *chunk);

#endif /* CONFORMANCE_LINK_NET_H */
