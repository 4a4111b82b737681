/* SPDX-License-Identifier: MIT */
/*
 * The sending end.
 *
 *            welcome
 *   HELLO ------------> UP        HELLO: says hello every LINK_HEARTBEAT_NS
 *     ^                 |         UP:    may send; silence or a refusal with ESTALE or
 *     +-----------------+                ESHUTDOWN leads back, with a new attempt number
 *     |   lost: DOWN    |
 *     v                 v
 *   REFUSED <-----------+         any other refusal; the end
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

enum sender_state {
	SENDER_HELLO,
	SENDER_UP,
	SENDER_REFUSED,
};

/* Events that wait for the caller, in the order in which they are given. */
enum {
	PENDING_DOWN = 1 << 0,
	PENDING_UP = 1 << 1,
	PENDING_REFUSED = 1 << 2,
	PENDING_CREDIT = 1 << 3,
};

struct link_sender {
	const struct link_ops *ops;
	struct link_port *port;
	enum sender_state state;
	unsigned int pending;
	uint32_t session;
	uint32_t payload_max; /* the receiver's */
	uint64_t credit_limit;
	uint64_t started;
	uint64_t say_ns;    /* when a hello or heartbeat is due */
	uint64_t seen_ns;   /* when the receiver was last heard */
	uint64_t looked_ns; /* when this end last looked */
	struct wire_hello hello;
	char text[sizeof(((struct link_event *)0)->text)];
	struct link_stats stats;
	struct link_parcel parcel; /* behind the event that the caller has */
	_Alignas(8) uint8_t head[WIRE_CHUNK_BYTES_MAX];
};

/* ---- what it says ---------------------------------------------------------------------- */

/* Sends the head whose body stands in sender->head already. */
static int send_head(struct link_sender *sender, const struct wire_head *head,
		     struct link_outgoing *out, struct link_parcel *parcel)
{
	int ret;

	out->head = sender->head;
	out->head_bytes = wire_seal(sender->head, head);
	ret = parcel ? sender->ops->forward(sender->port, out, parcel)
		     : sender->ops->send(sender->port, out);
	if (ret == 0)
		sender->say_ns = now_ns() + LINK_HEARTBEAT_NS;
	return ret;
}

static int send_control(struct link_sender *sender, const struct wire_head *head)
{
	struct link_outgoing out = { 0 };

	return send_head(sender, head, &out, NULL);
}

static int say_hello(struct link_sender *sender)
{
	const struct wire_head head = { .type = SLUICE_WIRE_HELLO, .count = 1 };

	wire_hello_put(sender->head + WIRE_ENVELOPE_BYTES, &sender->hello);
	return send_control(sender, &head);
}

static int say_heartbeat(struct link_sender *sender)
{
	const struct wire_head head = { .type = SLUICE_WIRE_HEARTBEAT, .session = sender->session };

	return send_control(sender, &head);
}

static void say_goodbye(struct link_sender *sender)
{
	const struct wire_head head = { .type = SLUICE_WIRE_REFUSE,
					.count = 1,
					.session = sender->session };

	wire_refuse_put(sender->head + WIRE_ENVELOPE_BYTES, ESHUTDOWN, "closed");
	(void)send_control(sender, &head);
}

/* ---- its state ------------------------------------------------------------------------- */

static void session_lost(struct link_sender *sender, uint64_t now)
{
	if (sender->state != SENDER_UP)
		return;
	sender->state = SENDER_HELLO;
	sender->hello.attempt++;
	sender->session = 0;
	sender->say_ns = now;
	/* A session that the caller never heard of needs no end. */
	if (sender->pending & PENDING_UP)
		sender->pending &= ~(unsigned int)(PENDING_UP | PENDING_CREDIT);
	else
		sender->pending = PENDING_DOWN;
	sender->credit_limit = 0;
	sender->started = 0;
	count_add(&sender->stats.peers_lost, 1);
	link_gauge(&sender->stats.credit_limit, 0);
	link_gauge(&sender->stats.started, 0);
}

static void session_refused(struct link_sender *sender, const struct sluice_wire_refuse *body,
			    uint64_t now)
{
	session_lost(sender, now);
	sender->state = SENDER_REFUSED;
	sender->pending |= PENDING_REFUSED;
	count_add(&sender->stats.peers_refused, 1);
	(void)snprintf(sender->text, sizeof(sender->text), "%s", body->text);
}

static void take_welcome(struct link_sender *sender, const struct wire_head *head, const void *body)
{
	struct wire_hello welcome;

	wire_hello_get(body, &welcome);
	/* One that answers an earlier hello, or another's, is no news. */
	if (sender->state != SENDER_HELLO || welcome.instance != sender->hello.instance ||
	    welcome.attempt != sender->hello.attempt)
		return;
	sender->state = SENDER_UP;
	sender->pending |= PENDING_UP;
	sender->session = head->session;
	sender->payload_max = welcome.payload_max;
	sender->credit_limit = head->credit_limit;
	sender->started = 0;
	sender->seen_ns = now_ns();
	count_add(&sender->stats.sessions, 1);
	link_gauge(&sender->stats.credit_limit, head->credit_limit);
	link_gauge(&sender->stats.started, 0);
	(void)snprintf(sender->text, sizeof(sender->text), "%s", welcome.name);
}

static void take_refuse(struct link_sender *sender, const struct wire_head *head,
			const struct sluice_wire_refuse *body)
{
	const uint32_t code = sluice_u32(body->code);

	/* Of the session that is, or in answer to a hello; anything else is old. */
	if (sender->state == SENDER_REFUSED || head->session != sender->session)
		return;
	if (code == ESTALE || code == ESHUTDOWN)
		session_lost(sender, now_ns());
	else
		session_refused(sender, body, now_ns());
}

static void take_credit(struct link_sender *sender, uint64_t limit)
{
	if (limit <= sender->credit_limit)
		return;
	sender->credit_limit = limit;
	sender->pending |= PENDING_CREDIT;
	link_gauge(&sender->stats.credit_limit, limit);
}

static void fill_ack(struct link_sender *sender, const struct wire_head *head, const void *body,
		     struct link_event *event)
{
	const struct sluice_wire_ack *ack = body;

	*event = (struct link_event){
		.type = LINK_EVENT_ACK,
		.scan = head->scan,
		.acks = head->count,
		.rejects = head->rejects,
		.ack = ack,
		.reject = (const void *)(ack + head->count),
	};
	count_add(&sender->stats.acks, head->count);
	count_add(&sender->stats.rejects, head->rejects);
}

static void fill_nack(struct link_sender *sender, const struct wire_head *head, const void *body,
		      struct link_event *event)
{
	*event = (struct link_event){
		.type = LINK_EVENT_NACK,
		.scan = head->scan,
		.nacks = head->count,
		.nack = body,
	};
	count_add(&sender->stats.nacks, head->count);
}

/* Judges sender->parcel. Returns whether it made @event, which then points into it. */
static bool take(struct link_sender *sender, struct link_event *event)
{
	const struct link_parcel *parcel = &sender->parcel;
	const void *body = parcel->head + WIRE_ENVELOPE_BYTES;
	struct wire_head head;

	if (wire_open(parcel->head, parcel->head_bytes, parcel->payload_bytes, &head) < 0)
		goto bad;
	if (head.type == SLUICE_WIRE_WELCOME) {
		take_welcome(sender, &head, body);
		return false;
	}
	if (head.type == SLUICE_WIRE_REFUSE) {
		take_refuse(sender, &head, body);
		return false;
	}
	if (sender->state != SENDER_UP || head.session != sender->session)
		return false;
	if (head.type != SLUICE_WIRE_ACK && head.type != SLUICE_WIRE_NACK &&
	    head.type != SLUICE_WIRE_HEARTBEAT)
		goto bad;
	sender->seen_ns = now_ns();
	take_credit(sender, head.credit_limit);
	if (head.type == SLUICE_WIRE_HEARTBEAT)
		return false;
	if (head.type == SLUICE_WIRE_ACK)
		fill_ack(sender, &head, body, event);
	else
		fill_nack(sender, &head, body, event);
	return true;

bad:
	count_add(&sender->stats.bad_messages, 1);
	session_lost(sender, now_ns());
	return false;
}

uint64_t link_sender_tick(struct link_sender *sender, uint64_t now)
{
	const uint64_t pause = link_pause(&sender->looked_ns, now);

	if (sender->state == SENDER_REFUSED)
		return UINT64_MAX;
	if (sender->state == SENDER_UP) {
		sender->seen_ns += pause;
		if (now >= sender->seen_ns + LINK_DEAD_NS)
			session_lost(sender, now);
	}
	if (now >= sender->say_ns) {
		const int ret = sender->state == SENDER_UP ? say_heartbeat(sender)
							   : say_hello(sender);

		if (ret < 0)
			sender->say_ns = now + LINK_RETRY_NS;
	}
	if (sender->state == SENDER_UP && sender->seen_ns + LINK_DEAD_NS < sender->say_ns)
		return sender->seen_ns + LINK_DEAD_NS;
	return sender->say_ns;
}

/* ---- link.h ---------------------------------------------------------------------------- */

int link_sender_open(const struct link_sender_args *args, struct link_sender **ret_sender,
		     struct sluice_error *reterr)
{
	const struct link_ops *ops = link_transport_find(args->transport);
	const struct link_port_args port = {
		.endpoint = args->endpoint,
		.io_threads = args->io_threads,
		.message_max = WIRE_ACK_BYTES_MAX,
		.released = args->released,
		.ctx = args->ctx,
	};
	struct link_sender *sender;
	int ret;

	if (!ops)
		return error_set(reterr, -EINVAL, "link to %s: no transport is called %s",
				 args->endpoint, args->transport);
	if (wire_name_check(args->name) < 0 || args->sector >= SLUICE_SECTORS_MAX ||
	    args->role < SLUICE_WIRE_SOURCE || args->role > SLUICE_WIRE_CONSUMER ||
	    args->io_threads < 1 || args->io_threads > LINK_IO_THREADS_MAX)
		return error_set(reterr, -EINVAL,
				 "link to %s: name, role, sector or I/O threads out of range",
				 args->endpoint);
	sender = calloc(1, sizeof(*sender));
	if (!sender)
		return error_set(reterr, -ENOMEM, "link to %s: no memory", args->endpoint);
	sender->ops = ops;
	sender->hello = (struct wire_hello){
		.role = args->role,
		.sector = args->sector,
		.instance = link_random(),
		.attempt = 1,
	};
	memcpy(sender->hello.name, args->name, strlen(args->name));
	ret = ops->connect(&port, &sender->port, reterr);
	if (ret < 0) {
		free(sender);
		return ret;
	}
	sender->looked_ns = now_ns();
	sender->say_ns = sender->looked_ns;
	*ret_sender = sender;
	return 0;
}

void link_sender_close(struct link_sender *sender)
{
	if (!sender)
		return;
	if (sender->state == SENDER_UP)
		say_goodbye(sender);
	sender->ops->release(&sender->parcel);
	sender->ops->close(sender->port);
	free(sender);
}

/* The checks that all chunks take, and what is counted after one went. */
static int send_chunk(struct link_sender *sender, struct wire_head *head, struct link_outgoing *out,
		      struct link_parcel *parcel)
{
	int ret;

	if (sender->state != SENDER_UP)
		return -ENOTCONN;
	if (head->payload_bytes > sender->payload_max)
		return -EMSGSIZE;
	head->session = sender->session;
	if (head->part == 0 && sender->started >= sender->credit_limit) {
		count_add(&sender->stats.credit_waits, 1);
		return -EAGAIN;
	}
	ret = send_head(sender, head, out, parcel);
	if (ret < 0)
		return ret;
	if (head->part == 0)
		link_gauge(&sender->stats.started, ++sender->started);
	if (head->payload_bytes > 0) {
		count_add(&sender->stats.chunks, 1);
		count_add(&sender->stats.bytes, head->payload_bytes);
		count_add(&sender->stats.blocks, head->count);
	}
	return 0;
}

int link_send(struct link_sender *sender, const struct link_chunk *chunk)
{
	struct wire_head head = {
		.type = SLUICE_WIRE_CHUNK,
		.scan = chunk->scan,
		.epoch = chunk->epoch,
		.run = chunk->run,
		.sector = chunk->sector,
		.part = chunk->part,
		.flags = chunk->flags,
		.count = chunk->block_count,
		.payload_bytes = chunk->payload_bytes,
		.session = 1, /* for the check; send_chunk() sets the one that is */
	};
	struct link_outgoing out = {
		.payload = chunk->payload,
		.payload_bytes = chunk->payload_bytes,
		.cookie = chunk->cookie,
	};

	if (wire_check(&head, chunk->table) < 0)
		return -EINVAL;
	if (chunk->block_count > 0)
		memcpy(sender->head + WIRE_ENVELOPE_BYTES, chunk->table,
		       chunk->block_count * sizeof(*chunk->table));
	return send_chunk(sender, &head, &out, NULL);
}

int link_forward(struct link_sender *sender, struct link_message *message, void *cookie)
{
	struct link_parcel *parcel = (struct link_parcel *)message->transport;
	struct wire_head head = {
		.type = SLUICE_WIRE_CHUNK,
		.scan = message->scan,
		.epoch = message->epoch,
		.run = message->run,
		.sector = message->sector,
		.part = message->part,
		.flags = message->flags,
		.count = message->block_count,
		.payload_bytes = message->payload_bytes,
	};
	struct link_outgoing out = { .payload_bytes = message->payload_bytes, .cookie = cookie };
	int ret;

	if (message->type != LINK_MESSAGE_CHUNK || parcel->ops != sender->ops)
		return -EINVAL;
	memcpy(sender->head + WIRE_ENVELOPE_BYTES, message->table,
	       message->block_count * sizeof(*message->table));
	ret = send_chunk(sender, &head, &out, parcel);
	if (ret == 0) {
		message->table = NULL;
		message->payload = NULL;
	}
	return ret;
}

static int send_scan(struct link_sender *sender, struct wire_head *head, const void *body,
		     size_t body_bytes)
{
	if (sender->state != SENDER_UP)
		return -ENOTCONN;
	head->session = sender->session;
	memcpy(sender->head + WIRE_ENVELOPE_BYTES, body, body_bytes);
	if (wire_check(head, sender->head + WIRE_ENVELOPE_BYTES) < 0)
		return -EINVAL;
	return send_control(sender, head);
}

int link_send_scan_begin(struct link_sender *sender, uint32_t scan, uint32_t epoch,
			 const struct sluice_wire_scan *body)
{
	struct wire_head head = {
		.type = SLUICE_WIRE_SCAN_BEGIN, .scan = scan, .epoch = epoch, .count = 1
	};

	return send_scan(sender, &head, body, sizeof(*body));
}

int link_send_scan_end(struct link_sender *sender, uint32_t scan, uint32_t epoch, uint16_t sector,
		       const struct sluice_wire_scan_end *body)
{
	struct wire_head head = {
		.type = SLUICE_WIRE_SCAN_END,
		.scan = scan,
		.epoch = epoch,
		.sector = sector,
		.count = 1,
	};

	return send_scan(sender, &head, body, sizeof(*body));
}

static void give_pending(struct link_sender *sender, struct link_event *ret_event)
{
	static const struct {
		unsigned int bit;
		enum link_event_type type;
	} order[] = {
		{ PENDING_DOWN, LINK_EVENT_DOWN },
		{ PENDING_UP, LINK_EVENT_UP },
		{ PENDING_REFUSED, LINK_EVENT_REFUSED },
		{ PENDING_CREDIT, LINK_EVENT_CREDIT },
	};
	unsigned int i = 0;

	while (!(sender->pending & order[i].bit))
		i++;
	sender->pending &= ~order[i].bit;
	*ret_event = (struct link_event){ .type = order[i].type };
	if (order[i].type == LINK_EVENT_UP || order[i].type == LINK_EVENT_REFUSED)
		memcpy(ret_event->text, sender->text, sizeof(ret_event->text));
}

int link_sender_next(struct link_sender *sender, struct link_event *ret_event)
{
	sender->ops->release(&sender->parcel);
	(void)link_sender_tick(sender, now_ns());
	for (unsigned int i = 0; i < LINK_TAKE_MAX && !sender->pending; i++) {
		const int ret = sender->ops->receive(sender->port, &sender->parcel);

		if (ret == -EBADMSG) {
			count_add(&sender->stats.bad_messages, 1);
			session_lost(sender, now_ns());
			continue;
		}
		if (ret < 0)
			return ret;
		if (take(sender, ret_event))
			return 0;
		sender->ops->release(&sender->parcel);
	}
	if (!sender->pending)
		return -EAGAIN;
	give_pending(sender, ret_event);
	return 0;
}

uint64_t link_sender_credit(const struct link_sender *sender)
{
	return sender->credit_limit - sender->started;
}

const struct link_stats *link_sender_stats(const struct link_sender *sender)
{
	return &sender->stats;
}

bool link_sender_pending(const struct link_sender *sender)
{
	return sender->pending != 0;
}

struct link_end link_sender_end(const struct link_sender *sender)
{
	return (struct link_end){ .ops = sender->ops, .port = sender->port };
}
