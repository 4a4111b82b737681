/* SPDX-License-Identifier: MIT */
/*
 * The receiving end: a table of peers, each with one session over one connection.
 *
 * A peer is there from the hello that is welcomed until it is silent, unreachable, says goodbye,
 * breaks the protocol, or says hello anew. Whatever comes over a connection that has no session,
 * or names another, is answered with ESTALE: its sender then says hello.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <link/link.h>
#include <link/link_internal.h>
#include <link/link_ops.h>
#include <link/wire.h>

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

/* ---- what it says ---------------------------------------------------------------------- */

/* Sends the head whose body stands in receiver->head already. */
static int send_head(struct link_receiver *receiver, uint64_t to, const struct wire_head *head)
{
	const struct link_outgoing out = {
		.to = to,
		.head = receiver->head,
		.head_bytes = wire_seal(receiver->head, head),
	};

	return receiver->ops->send(receiver->port, &out);
}

/* To a peer: with its credit. -ENOTCONN: it is gone. */
static int send_peer(struct link_receiver *receiver, struct peer *peer, struct wire_head *head)
{
	int ret;

	head->session = peer->session;
	head->credit_limit = peer->limit;
	ret = send_head(receiver, peer->from, head);
	if (ret == 0)
		peer->say_ns = now_ns() + LINK_HEARTBEAT_NS;
	return ret;
}

static int say_heartbeat(struct link_receiver *receiver, struct peer *peer)
{
	struct wire_head head = { .type = SLUICE_WIRE_HEARTBEAT };

	return send_peer(receiver, peer, &head);
}

static int say_welcome(struct link_receiver *receiver, struct peer *peer)
{
	struct wire_head head = { .type = SLUICE_WIRE_WELCOME, .count = 1 };
	struct wire_hello hello = receiver->hello;

	hello.instance = peer->hello.instance;
	hello.attempt = peer->hello.attempt;
	wire_hello_put(receiver->head + WIRE_ENVELOPE_BYTES, &hello);
	return send_peer(receiver, peer, &head);
}

/* To whomever; that it may not arrive does not matter, the next message is answered again. */
static void say_refuse(struct link_receiver *receiver, uint64_t to, uint32_t session, int code,
		       const char *text)
{
	const struct wire_head head = { .type = SLUICE_WIRE_REFUSE,
					.count = 1,
					.session = session };

	wire_refuse_put(receiver->head + WIRE_ENVELOPE_BYTES, code, text);
	(void)send_head(receiver, to, &head);
}

/* ---- its peers ------------------------------------------------------------------------- */

static void sum_credits(struct link_receiver *receiver)
{
	uint64_t limit = 0;
	uint64_t started = 0;

	for (unsigned int i = 0; i < LINK_PEERS_MAX; i++) {
		if (!receiver->peers[i].up)
			continue;
		limit += receiver->peers[i].limit;
		started += receiver->peers[i].started;
	}
	link_gauge(&receiver->stats.credit_limit, limit);
	link_gauge(&receiver->stats.started, started);
}

static void event_push(struct link_receiver *receiver, enum link_message_type type,
		       const struct peer *peer)
{
	const unsigned int last = (receiver->events_first + receiver->events_count) % EVENTS_MAX;
	struct peer_event *event = &receiver->events[last];

	assert(receiver->events_count < EVENTS_MAX);
	event->type = type;
	event->peer = (unsigned int)(peer - receiver->peers);
	event->sector = peer->hello.sector;
	memcpy(event->name, peer->hello.name, sizeof(event->name));
	receiver->events_count++;
}

static void peer_drop(struct link_receiver *receiver, struct peer *peer)
{
	if (!peer || !peer->up)
		return;
	peer->up = false;
	event_push(receiver, LINK_MESSAGE_PEER_DOWN, peer);
	sum_credits(receiver);
}

static void peer_lose(struct link_receiver *receiver, struct peer *peer)
{
	link_count(&receiver->stats.peers_lost, 1);
	peer_drop(receiver, peer);
}

static struct peer *peer_by_connection(struct link_receiver *receiver, uint64_t from)
{
	for (unsigned int i = 0; i < LINK_PEERS_MAX; i++) {
		if (receiver->peers[i].up && receiver->peers[i].from == from)
			return &receiver->peers[i];
	}
	return NULL;
}

static struct peer *peer_by_name(struct link_receiver *receiver, const char *name)
{
	for (unsigned int i = 0; i < LINK_PEERS_MAX; i++) {
		if (receiver->peers[i].up && strcmp(receiver->peers[i].hello.name, name) == 0)
			return &receiver->peers[i];
	}
	return NULL;
}

static struct peer *peer_free(struct link_receiver *receiver)
{
	for (unsigned int i = 0; i < LINK_PEERS_MAX; i++) {
		if (!receiver->peers[i].up)
			return &receiver->peers[i];
	}
	return NULL;
}

/*
 * Whether @peer, whose name another wants, is alive. The same sender over a new connection is
 * its own successor; a process that was started again finds the connection of the one before it
 * closed, which a heartbeat tells at once.
 */
static bool name_taken(struct link_receiver *receiver, struct peer *peer, uint32_t instance,
		       uint64_t now)
{
	return peer->hello.instance != instance && now < peer->seen_ns + LINK_DEAD_NS &&
	       say_heartbeat(receiver, peer) != -ENOTCONN;
}

static uint32_t session_number(struct link_receiver *receiver)
{
	const uint32_t session = receiver->next_session++;

	if (receiver->next_session == 0)
		receiver->next_session = 1;
	return session;
}

static void peer_welcome(struct link_receiver *receiver, uint64_t from,
			 const struct wire_hello *hello, uint64_t now)
{
	struct peer *peer = peer_free(receiver);
	struct peer p = {
		.up = true,
		.from = from,
		.limit = receiver->window,
		.seen_ns = now,
		.hello = *hello,
	};

	if (!peer) {
		link_count(&receiver->stats.peers_refused, 1);
		say_refuse(receiver, from, 0, ENOSPC, "too many peers (LINK_PEERS_MAX)");
		return;
	}
	p.session = session_number(receiver);
	/* Not said: no session. Its next hello asks again. */
	if (say_welcome(receiver, &p) < 0)
		return;
	*peer = p;
	receiver->due_ns = 0;
	event_push(receiver, LINK_MESSAGE_PEER_UP, peer);
	link_count(&receiver->stats.sessions, 1);
	sum_credits(receiver);
}

static void take_hello(struct link_receiver *receiver, uint64_t from, const void *body)
{
	const uint64_t now = now_ns();
	struct wire_hello hello;
	struct peer *peer;

	wire_hello_get(body, &hello);
	peer = peer_by_connection(receiver, from);
	if (peer && peer->hello.instance == hello.instance &&
	    peer->hello.attempt == hello.attempt) {
		/* Said twice because we were slow; the welcome may be on its way. */
		(void)say_welcome(receiver, peer);
		return;
	}
	peer_drop(receiver, peer);
	peer = peer_by_name(receiver, hello.name);
	if (peer && name_taken(receiver, peer, hello.instance, now)) {
		link_count(&receiver->stats.peers_refused, 1);
		say_refuse(receiver, from, 0, EEXIST, "a live peer has this name");
		return;
	}
	peer_drop(receiver, peer);
	peer_welcome(receiver, from, &hello, now);
}

/* ---- what it hears --------------------------------------------------------------------- */

static void bad_message(struct link_receiver *receiver, uint64_t from)
{
	struct peer *peer = peer_by_connection(receiver, from);

	link_count(&receiver->stats.bad_messages, 1);
	if (peer)
		peer_lose(receiver, peer);
}

/* Whether the chunk is within what this peer was granted. */
static bool take_chunk(struct link_receiver *receiver, struct peer *peer,
		       const struct wire_head *head)
{
	if (head->payload_bytes > receiver->hello.payload_max)
		return false;
	if (head->part == 0) {
		if (peer->started >= peer->limit)
			return false;
		peer->started++;
		link_count(&receiver->stats.started, 1);
	}
	if (head->payload_bytes > 0) {
		link_count(&receiver->stats.chunks, 1);
		link_count(&receiver->stats.bytes, head->payload_bytes);
		link_count(&receiver->stats.blocks, head->count);
	}
	return true;
}

/* Fills all of @message but its transport bytes, in which the parcel lies already. */
static void fill_message(struct link_message *message, enum link_message_type type,
			 unsigned int peer, const struct wire_head *head)
{
	const struct link_parcel *parcel = (const struct link_parcel *)message->transport;
	const uint8_t *body = parcel->head + WIRE_ENVELOPE_BYTES;

	message->type = type;
	message->peer = peer;
	message->scan = head->scan;
	message->epoch = head->epoch;
	message->run = head->run;
	message->sector = head->sector;
	message->part = head->part;
	message->flags = head->flags;
	message->block_count = head->type == SLUICE_WIRE_CHUNK ? head->count : 0;
	message->table = head->type == SLUICE_WIRE_CHUNK ? (const void *)body : NULL;
	message->payload = parcel->payload;
	message->payload_bytes = head->payload_bytes;
	message->name[0] = '\0';
	if (type == LINK_MESSAGE_SCAN_BEGIN)
		memcpy(&message->scan_begin, body, sizeof(message->scan_begin));
	if (type == LINK_MESSAGE_SCAN_END)
		memcpy(&message->scan_end, body, sizeof(message->scan_end));
}

/* The peer whose session @head names; if none, its sender is told. */
static struct peer *find_session(struct link_receiver *receiver, uint64_t from,
				 const struct wire_head *head)
{
	struct peer *peer = peer_by_connection(receiver, from);

	if (peer && peer->session == head->session)
		return peer;
	if (head->type != SLUICE_WIRE_REFUSE)
		say_refuse(receiver, from, head->session, ESTALE, "no such session");
	return NULL;
}

/* Judges the parcel in @message. Returns whether the message is one for the caller. */
static bool take(struct link_receiver *receiver, struct link_message *message)
{
	const struct link_parcel *parcel = (const struct link_parcel *)message->transport;
	const uint64_t from = parcel->from;
	enum link_message_type type;
	struct wire_head head;
	struct peer *peer;
	int ret;

	ret = wire_open(parcel->head, parcel->head_bytes, parcel->payload_bytes, &head);
	if (ret == -EPROTO) {
		link_count(&receiver->stats.peers_refused, 1);
		peer_drop(receiver, peer_by_connection(receiver, from));
		say_refuse(receiver, from, 0, EPROTO, "this receiver speaks version 1 only");
		return false;
	}
	if (ret < 0)
		goto bad;
	if (head.type == SLUICE_WIRE_HELLO) {
		take_hello(receiver, from, parcel->head + WIRE_ENVELOPE_BYTES);
		return false;
	}
	peer = find_session(receiver, from, &head);
	if (!peer)
		return false;
	peer->seen_ns = now_ns();
	switch (head.type) {
	case SLUICE_WIRE_HEARTBEAT:
		return false;
	case SLUICE_WIRE_REFUSE:
		peer_drop(receiver, peer);
		return false;
	case SLUICE_WIRE_SCAN_BEGIN:
		type = LINK_MESSAGE_SCAN_BEGIN;
		break;
	case SLUICE_WIRE_SCAN_END:
		type = LINK_MESSAGE_SCAN_END;
		break;
	case SLUICE_WIRE_CHUNK:
		type = LINK_MESSAGE_CHUNK;
		if (!take_chunk(receiver, peer, &head))
			goto bad;
		break;
	default:
		goto bad;
	}
	fill_message(message, type, (unsigned int)(peer - receiver->peers), &head);
	return true;

bad:
	bad_message(receiver, from);
	return false;
}

uint64_t link_receiver_tick(struct link_receiver *receiver, uint64_t now)
{
	const uint64_t pause = link_pause(&receiver->looked_ns, now);

	if (now < receiver->due_ns && pause == 0)
		return receiver->due_ns;
	receiver->due_ns = UINT64_MAX;
	for (unsigned int i = 0; i < LINK_PEERS_MAX; i++) {
		struct peer *peer = &receiver->peers[i];
		uint64_t due;

		if (!peer->up)
			continue;
		peer->seen_ns += pause;
		if (now >= peer->say_ns) {
			const int ret = say_heartbeat(receiver, peer);

			if (ret == -ENOTCONN) {
				peer_lose(receiver, peer);
				continue;
			}
			if (ret < 0)
				peer->say_ns = now + LINK_RETRY_NS;
		}
		if (now >= peer->seen_ns + LINK_DEAD_NS) {
			peer_lose(receiver, peer);
			continue;
		}
		due = peer->seen_ns + LINK_DEAD_NS < peer->say_ns ? peer->seen_ns + LINK_DEAD_NS
								  : peer->say_ns;
		if (due < receiver->due_ns)
			receiver->due_ns = due;
	}
	return receiver->due_ns;
}

/* ---- link.h ---------------------------------------------------------------------------- */

int link_receiver_open(const struct link_receiver_args *args, struct link_receiver **ret_receiver,
		       struct sluice_error *reterr)
{
	const struct link_ops *ops = link_transport_find(args->transport);
	const struct link_port_args port = {
		.endpoint = args->bind,
		.io_threads = args->io_threads,
		.message_max = args->payload_max > WIRE_CHUNK_BYTES_MAX ? args->payload_max
									: WIRE_CHUNK_BYTES_MAX,
	};
	struct link_receiver *receiver;
	int ret;

	if (!ops)
		return error_set(reterr, -EINVAL, "link at %s: no transport is called %s",
				 args->bind, args->transport);
	if (wire_name_check(args->name) < 0 || args->role < SLUICE_WIRE_SOURCE ||
	    args->role > SLUICE_WIRE_CONSUMER || args->payload_max > SLUICE_WIRE_PAYLOAD_MAX ||
	    args->io_threads < 1 || args->io_threads > LINK_IO_THREADS_MAX)
		return error_set(reterr, -EINVAL,
				 "link at %s: name, role, payload or I/O threads out of range",
				 args->bind);
	receiver = calloc(1, sizeof(*receiver));
	if (!receiver)
		return error_set(reterr, -ENOMEM, "link at %s: no memory", args->bind);
	receiver->ops = ops;
	receiver->window = args->window;
	receiver->next_session = link_random();
	receiver->hello = (struct wire_hello){
		.role = args->role,
		.payload_max = args->payload_max,
	};
	memcpy(receiver->hello.name, args->name, strlen(args->name));
	receiver->looked_ns = now_ns();
	ret = ops->bind(&port, &receiver->port, reterr);
	if (ret < 0) {
		free(receiver);
		return ret;
	}
	*ret_receiver = receiver;
	return 0;
}

void link_receiver_close(struct link_receiver *receiver)
{
	if (!receiver)
		return;
	for (unsigned int i = 0; i < LINK_PEERS_MAX; i++) {
		const struct peer *peer = &receiver->peers[i];

		if (peer->up)
			say_refuse(receiver, peer->from, peer->session, ESHUTDOWN, "closed");
	}
	receiver->ops->close(receiver->port);
	free(receiver);
}

const char *link_receiver_endpoint(const struct link_receiver *receiver)
{
	return receiver->ops->endpoint(receiver->port);
}

static void give_event(struct link_receiver *receiver, struct link_message *message)
{
	const struct peer_event *event = &receiver->events[receiver->events_first];

	receiver->events_first = (receiver->events_first + 1) % EVENTS_MAX;
	receiver->events_count--;
	*message = (struct link_message){
		.type = event->type,
		.peer = event->peer,
		.sector = event->sector,
	};
	memcpy(message->name, event->name, sizeof(message->name));
}

int link_receive(struct link_receiver *receiver, struct link_message *ret_message)
{
	struct link_parcel *parcel = (struct link_parcel *)ret_message->transport;

	_Static_assert(sizeof(*parcel) <= sizeof(ret_message->transport), "a parcel fits");
	parcel->ops = NULL;
	(void)link_receiver_tick(receiver, now_ns());
	for (unsigned int i = 0; i < LINK_TAKE_MAX && receiver->events_count == 0; i++) {
		const int ret = receiver->ops->receive(receiver->port, parcel);

		if (ret == -EBADMSG) {
			bad_message(receiver, parcel->from);
			continue;
		}
		if (ret < 0)
			return ret;
		if (take(receiver, ret_message))
			return 0;
		receiver->ops->release(parcel);
	}
	if (receiver->events_count == 0)
		return -EAGAIN;
	give_event(receiver, ret_message);
	return 0;
}

void link_message_release(struct link_message *message)
{
	struct link_parcel *parcel = (struct link_parcel *)message->transport;

	if (!parcel->ops)
		return;
	parcel->ops->release(parcel);
	message->table = NULL;
	message->payload = NULL;
}

void link_message_move(struct link_message *dst, struct link_message *src)
{
	struct link_parcel *to = (struct link_parcel *)dst->transport;
	struct link_parcel *from = (struct link_parcel *)src->transport;

	memcpy(dst, src, offsetof(struct link_message, transport));
	*to = (struct link_parcel){ 0 };
	if (from->ops) {
		from->ops->move(to, from);
		if (dst->table)
			dst->table = (const void *)(to->head + WIRE_ENVELOPE_BYTES);
		dst->payload = to->payload;
	}
	src->table = NULL;
	src->payload = NULL;
}

/* The peer @index, or NULL with *@ret_error: -EINVAL no such number, -ENOTCONN it is gone. */
static struct peer *peer_of(struct link_receiver *receiver, unsigned int index, int *ret_error)
{
	*ret_error = index >= LINK_PEERS_MAX ? -EINVAL : -ENOTCONN;
	if (index >= LINK_PEERS_MAX || !receiver->peers[index].up)
		return NULL;
	return &receiver->peers[index];
}

int link_grant(struct link_receiver *receiver, unsigned int index, uint32_t credits, bool now)
{
	int ret;
	struct peer *peer = peer_of(receiver, index, &ret);

	if (!peer)
		return ret;
	peer->limit += credits;
	link_count(&receiver->stats.credit_limit, credits);
	if (!now)
		return 0;
	ret = say_heartbeat(receiver, peer);
	if (ret == -ENOTCONN)
		peer_lose(receiver, peer);
	else if (ret < 0)
		peer->say_ns = receiver->due_ns = now_ns() + LINK_RETRY_NS;
	return ret == -ENOTCONN ? ret : 0;
}

/* Sends the ack or nack in receiver->head to the peer @index. */
static int send_entries(struct link_receiver *receiver, unsigned int index, struct wire_head *head)
{
	int ret;
	struct peer *peer = peer_of(receiver, index, &ret);

	if (!peer)
		return ret;
	head->session = peer->session;
	if (wire_check(head, receiver->head + WIRE_ENVELOPE_BYTES) < 0)
		return -EINVAL;
	ret = send_peer(receiver, peer, head);
	if (ret == -ENOTCONN)
		peer_lose(receiver, peer);
	return ret;
}

int link_ack(struct link_receiver *receiver, unsigned int peer, uint32_t scan,
	     const struct sluice_wire_ack *ack, unsigned int acks,
	     const struct sluice_wire_reject *reject, unsigned int rejects)
{
	uint8_t *body = receiver->head + WIRE_ENVELOPE_BYTES;
	struct wire_head head = { .type = SLUICE_WIRE_ACK, .scan = scan };
	int ret;

	if (acks > SLUICE_WIRE_ENTRIES_MAX || rejects > SLUICE_WIRE_ENTRIES_MAX)
		return -EINVAL;
	head.count = (uint16_t)acks;
	head.rejects = (uint16_t)rejects;
	if (acks > 0)
		memcpy(body, ack, acks * sizeof(*ack));
	if (rejects > 0)
		memcpy(body + acks * sizeof(*ack), reject, rejects * sizeof(*reject));
	ret = send_entries(receiver, peer, &head);
	if (ret < 0)
		return ret;
	link_count(&receiver->stats.acks, acks);
	link_count(&receiver->stats.rejects, rejects);
	return 0;
}

int link_nack(struct link_receiver *receiver, unsigned int peer, uint32_t scan,
	      const struct sluice_wire_nack *nack, unsigned int nacks)
{
	struct wire_head head = { .type = SLUICE_WIRE_NACK, .scan = scan };
	int ret;

	if (nacks > SLUICE_WIRE_ENTRIES_MAX)
		return -EINVAL;
	head.count = (uint16_t)nacks;
	if (nacks > 0)
		memcpy(receiver->head + WIRE_ENVELOPE_BYTES, nack, nacks * sizeof(*nack));
	ret = send_entries(receiver, peer, &head);
	if (ret < 0)
		return ret;
	link_count(&receiver->stats.nacks, nacks);
	return 0;
}

const struct link_stats *link_receiver_stats(const struct link_receiver *receiver)
{
	return &receiver->stats;
}

bool link_receiver_pending(const struct link_receiver *receiver)
{
	return receiver->events_count > 0;
}

struct link_end link_receiver_end(const struct link_receiver *receiver)
{
	return (struct link_end){ .ops = receiver->ops, .port = receiver->port };
}
