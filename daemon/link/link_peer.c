/* SPDX-License-Identifier: MIT */
#include <link/link_peer.h>

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <link/link_internal.h>
#include <link/link_ops.h>

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

int peer_send(struct link_receiver *receiver, struct peer *peer, struct wire_head *head)
{
	int ret;

	head->session = peer->session;
	head->credit_limit = peer->limit;
	ret = send_head(receiver, peer->from, head);
	if (ret == 0)
		peer->say_ns = now_ns() + LINK_HEARTBEAT_NS;
	return ret;
}

int peer_heartbeat(struct link_receiver *receiver, struct peer *peer)
{
	struct wire_head head = { .type = SLUICE_WIRE_HEARTBEAT };

	return peer_send(receiver, peer, &head);
}

static int say_welcome(struct link_receiver *receiver, struct peer *peer)
{
	struct wire_head head = { .type = SLUICE_WIRE_WELCOME, .count = 1 };
	struct wire_hello hello = receiver->hello;

	hello.instance = peer->hello.instance;
	hello.attempt = peer->hello.attempt;
	wire_hello_put(receiver->head + WIRE_ENVELOPE_BYTES, &hello);
	return peer_send(receiver, peer, &head);
}

void peer_refuse(struct link_receiver *receiver, uint64_t to, uint32_t session, int code,
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

void peer_drop(struct link_receiver *receiver, struct peer *peer)
{
	if (!peer || !peer->up)
		return;
	peer->up = false;
	event_push(receiver, LINK_MESSAGE_PEER_DOWN, peer);
	sum_credits(receiver);
}

void peer_lose(struct link_receiver *receiver, struct peer *peer)
{
	count_add(&receiver->stats.peers_lost, 1);
	peer_drop(receiver, peer);
}

struct peer *peer_by_connection(struct link_receiver *receiver, uint64_t from)
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
	       peer_heartbeat(receiver, peer) != -ENOTCONN;
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
		count_add(&receiver->stats.peers_refused, 1);
		peer_refuse(receiver, from, 0, ENOSPC, "too many peers (LINK_PEERS_MAX)");
		return;
	}
	p.session = session_number(receiver);
	/* Not said: no session. Its next hello asks again. */
	if (say_welcome(receiver, &p) < 0)
		return;
	*peer = p;
	receiver->due_ns = 0;
	event_push(receiver, LINK_MESSAGE_PEER_UP, peer);
	count_add(&receiver->stats.sessions, 1);
	sum_credits(receiver);
}

void peer_hello(struct link_receiver *receiver, uint64_t from, const void *body)
{
	const uint64_t now = now_ns();
	struct wire_hello hello;
	struct peer *peer;

	wire_hello_get(body, &hello);
	peer = peer_by_connection(receiver, from);
	/* Said twice because we were slow: the welcome is on its way over this connection. */
	if (peer && peer->hello.instance == hello.instance && peer->hello.attempt == hello.attempt)
		return;
	peer_drop(receiver, peer);
	peer = peer_by_name(receiver, hello.name);
	if (peer && name_taken(receiver, peer, hello.instance, now)) {
		count_add(&receiver->stats.peers_refused, 1);
		peer_refuse(receiver, from, 0, EEXIST, "a live peer has this name");
		return;
	}
	peer_drop(receiver, peer);
	peer_welcome(receiver, from, &hello, now);
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
			const int ret = peer_heartbeat(receiver, peer);

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
