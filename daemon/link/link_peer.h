/* SPDX-License-Identifier: MIT */
/*
 * link/link_peer.h - the table of a receiver's peers: hello, heartbeat, silence, good-bye.
 *
 * Ownership: all of it is the receiver's.
 * Threads:   the receiver's.
 * Errors:    -ENOTCONN: the peer's connection is gone. -EAGAIN: no room to send now.
 */
#ifndef LINK_LINK_PEER_H
#define LINK_LINK_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include <link/link.h>
#include <link/wire.h>

struct link_ops;
struct link_port;

enum {
	/* Each peer can go, and one message can end a session and begin one. */
	EVENTS_MAX = LINK_PEERS_MAX + 2,
};

struct peer {
	bool up;
	uint64_t from; /* its connection */
	uint32_t session;
	uint64_t limit; /* credits granted in this session, the window included */
	uint64_t started;
	uint64_t say_ns;  /* when a heartbeat is due */
	uint64_t seen_ns; /* when it was last heard */
	struct wire_hello hello;
};

/* PEER_UP or PEER_DOWN, for the caller. */
struct peer_event {
	enum link_message_type type;
	unsigned int peer;
	uint16_t sector;
	char name[SLUICE_WIRE_NAME_MAX];
};

struct link_receiver {
	const struct link_ops *ops;
	struct link_port *port;
	uint32_t window;
	uint32_t next_session;
	uint64_t due_ns;    /* no peer needs anything before */
	uint64_t looked_ns; /* when this end last looked */
	struct wire_hello hello;
	struct peer peers[LINK_PEERS_MAX];
	struct peer_event events[EVENTS_MAX];
	unsigned int events_first, events_count;
	struct link_stats stats;
	_Alignas(8) uint8_t head[WIRE_ACK_BYTES_MAX];
};

/* Sends the head whose body stands in receiver->head, with the peer's session and credit. */
int peer_send(struct link_receiver *receiver, struct peer *peer, struct wire_head *head);
int peer_heartbeat(struct link_receiver *receiver, struct peer *peer);
/* To whomever; that it may not arrive does not matter, the next message is answered again. */
void peer_refuse(struct link_receiver *receiver, uint64_t to, uint32_t session, int code,
		 const char *text);
/* Ends the session, and tells the caller by an event. @peer may be NULL. */
void peer_drop(struct link_receiver *receiver, struct peer *peer);
/* The same, counted as lost. */
void peer_lose(struct link_receiver *receiver, struct peer *peer);
/* NULL if no session is on the connection @from. */
struct peer *peer_by_connection(struct link_receiver *receiver, uint64_t from);
/* Welcomes or refuses whoever said the hello in @body, which wire_open() passed. */
void peer_hello(struct link_receiver *receiver, uint64_t from, const void *body);

#endif /* LINK_LINK_PEER_H */
