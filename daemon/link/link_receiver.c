/* SPDX-License-Identifier: MIT */
/*
 * The receiving end: a table of peers, each with one session over one connection.
 *
 * A peer is there from the hello that is welcomed until it is silent, unreachable, says goodbye,
 * breaks the protocol, or says hello anew. Whatever comes over a connection that has no session,
 * or names another, is answered with ESTALE: its sender then says hello.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <link/link.h>
#include <link/link_internal.h>
#include <link/link_ops.h>
#include <link/link_peer.h>
#include <link/wire.h>

/* ---- what it hears --------------------------------------------------------------------- */

static void bad_message(struct link_receiver *receiver, uint64_t from)
{
	struct peer *peer = peer_by_connection(receiver, from);

	count_add(&receiver->stats.bad_messages, 1);
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
		count_add(&receiver->stats.started, 1);
	}
	if (head->payload_bytes > 0) {
		count_add(&receiver->stats.chunks, 1);
		count_add(&receiver->stats.bytes, head->payload_bytes);
		count_add(&receiver->stats.blocks, head->count);
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
		peer_refuse(receiver, from, head->session, ESTALE, "no such session");
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
		count_add(&receiver->stats.peers_refused, 1);
		peer_drop(receiver, peer_by_connection(receiver, from));
		peer_refuse(receiver, from, 0, EPROTO, "this receiver speaks version 1 only");
		return false;
	}
	if (ret < 0)
		goto bad;
	if (head.type == SLUICE_WIRE_HELLO) {
		peer_hello(receiver, from, parcel->head + WIRE_ENVELOPE_BYTES);
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
			peer_refuse(receiver, peer->from, peer->session, ESHUTDOWN, "closed");
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
	count_add(&receiver->stats.credit_limit, credits);
	if (!now)
		return 0;
	ret = peer_heartbeat(receiver, peer);
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
	ret = peer_send(receiver, peer, head);
	if (ret == -ENOTCONN)
		peer_lose(receiver, peer);
	return ret;
}

/* NOLINTNEXTLINE(readability-function-size): two lists in one message, both with a length */
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
	count_add(&receiver->stats.acks, acks);
	count_add(&receiver->stats.rejects, rejects);
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
	count_add(&receiver->stats.nacks, nacks);
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
