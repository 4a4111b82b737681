/* SPDX-License-Identifier: MIT */
/*
 * The zmq transport: DEALER connects, ROUTER binds. One message part is the head, the next, if
 * any, the payload.
 *
 * Each port has a context of its own, hence its own I/O threads: senders of several boards do
 * not share one, and zmq_ctx_term() is what proves that libzmq let go of every payload.
 *
 * A connection is named by the number ROUTER gives it. A peer that names itself (a ZMTP routing
 * id) is no member: it could take the name of another.
 */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include <base/clock.h>
#include <base/error.h>
#include <link/link.h>
#include <link/link_ops.h>

enum {
	LENT_MAX = 2 * LINK_SEND_QUEUE, /* payloads libzmq holds: a full queue, one going down */
	EXTRA_PARTS_MAX = 1024,         /* parts of a hostile message drained in one call */
	ROUTING_ID_BYTES = 5,           /* those ROUTER makes: a 0 and 4 bytes */
	ROUTER_QUEUE = 256,             /* messages to one sender: acks of up to 128 KiB each */
	BACKLOG = 128,
	HANDSHAKE_MS = 5000, /* for a connection that never says who it is */
	RECONNECT_MS = 100,
	CONNECT_MS = 2000,
	UNACKED_MS = 5000, /* TCP_USER_TIMEOUT: a peer without power is given up */
	LOOPBACK_BYTES = 256 << 10,
	HEAD_ALIGN = 8,
};

/* One payload in libzmq's hands. */
struct lent {
	struct link_port *port;
	void *cookie;
	zmq_msg_t received; /* a payload that is passed on: the message it came in; else empty */
	bool silent;        /* taken back before it was sent: nobody is told */
	_Atomic bool busy;
};

struct link_port {
	void *ctx;
	void *socket;
	bool router;
	void (*released)(void *ctx, void *cookie);
	void *released_ctx;
	char endpoint[LINK_ENDPOINT_MAX];
	unsigned int next_lent;
	struct lent lent[]; /* LENT_MAX of a DEALER: payloads come back in the order they went */
};

/* What a parcel's transport bytes are. */
struct zmq_parts {
	zmq_msg_t head;
	zmq_msg_t payload; /* open also when there is none */
};
_Static_assert(sizeof(struct zmq_parts) <= sizeof(((struct link_parcel *)0)->transport),
	       "both parts fit a parcel");
_Static_assert(_Alignof(struct zmq_parts) <= 16, "a parcel's bytes are aligned to 16");

static struct zmq_parts *parts_of(struct link_parcel *parcel)
{
	return (struct zmq_parts *)parcel->transport;
}

/* libzmq's -1/errno, whose own numbers have no place among ours. */
static int zmq_neg_errno(void)
{
	const int code = zmq_errno();

	switch (code) {
	case EHOSTUNREACH:
		return -ENOTCONN;
	case ETERM:
	case EFSM:
	case EMTHREAD:
	case ENOCOMPATPROTO:
		return -EIO;
	default:
		return code > 0 ? -code : -EIO;
	}
}

/* ---- open and close -------------------------------------------------------------------- */

struct option {
	int name;
	int value;
};

static int set_options(void *socket, const struct option *options, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (zmq_setsockopt(socket, options[i].name, &options[i].value, sizeof(int)) != 0)
			return zmq_neg_errno();
	}
	return 0;
}

static int set_dealer(void *socket)
{
	const struct option options[] = {
		{ ZMQ_SNDHWM, LINK_SEND_QUEUE },
		{ ZMQ_RCVHWM, LINK_RECEIVE_QUEUE },
		/* No queue without a connection: what a lost one held must not reach the next. */
		{ ZMQ_IMMEDIATE, 1 },
		{ ZMQ_RECONNECT_IVL, RECONNECT_MS },
		{ ZMQ_CONNECT_TIMEOUT, CONNECT_MS },
	};

	return set_options(socket, options, sizeof(options) / sizeof(options[0]));
}

static int set_router(void *socket)
{
	const struct option options[] = {
		{ ZMQ_SNDHWM, ROUTER_QUEUE },
		{ ZMQ_RCVHWM, LINK_RECEIVE_QUEUE },
		/* An acknowledgement that cannot go is an error, not dropped in silence. */
		{ ZMQ_ROUTER_MANDATORY, 1 },
		{ ZMQ_ROUTER_HANDOVER, 0 },
		{ ZMQ_BACKLOG, BACKLOG },
	};

	return set_options(socket, options, sizeof(options) / sizeof(options[0]));
}

static int set_common(void *socket, uint32_t message_max)
{
	const int64_t max = message_max;
	const struct option options[] = {
		{ ZMQ_LINGER, LINK_CLOSE_MS },
		{ ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS },
		{ ZMQ_TCP_MAXRT, UNACKED_MS },
	};

	if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof(max)) != 0)
		return zmq_neg_errno();
	return set_options(socket, options, sizeof(options) / sizeof(options[0]));
}

static void port_close(struct link_port *port)
{
	if (!port)
		return;
	/*
	 * The linger period bounds both; a signal may only make the second start again. A ROUTER
	 * closed while a message of two parts is coming in loses the memory of its first part, at
	 * most 18 KiB per connection: libzmq 4.3.4 does not roll back what is not whole yet.
	 */
	(void)zmq_close(port->socket);
	while (zmq_ctx_term(port->ctx) != 0 && zmq_errno() == EINTR)
		;
	for (unsigned int i = 0; !port->router && i < LENT_MAX; i++)
		assert(!atomic_load_explicit(&port->lent[i].busy, memory_order_acquire));
	free(port);
}

static int port_create(const struct link_port_args *args, bool router, struct link_port **ret_port)
{
	const unsigned int lent = router ? 0 : LENT_MAX;
	struct link_port *port;
	int ret;

	port = calloc(1, sizeof(*port) + lent * sizeof(port->lent[0]));
	if (!port)
		return -ENOMEM;
	port->router = router;
	port->released = args->released;
	port->released_ctx = args->ctx;
	port->ctx = zmq_ctx_new();
	if (!port->ctx) {
		ret = zmq_neg_errno();
		goto err_free;
	}
	if (zmq_ctx_set(port->ctx, ZMQ_IO_THREADS, (int)args->io_threads) != 0) {
		ret = zmq_neg_errno();
		goto err_term;
	}
	port->socket = zmq_socket(port->ctx, router ? ZMQ_ROUTER : ZMQ_DEALER);
	if (!port->socket) {
		ret = zmq_neg_errno();
		goto err_term;
	}
	ret = set_common(port->socket, args->message_max);
	if (ret < 0)
		goto err_close;
	ret = router ? set_router(port->socket) : set_dealer(port->socket);
	if (ret < 0)
		goto err_close;
	*ret_port = port;
	return 0;

err_close:
	(void)zmq_close(port->socket);
err_term:
	(void)zmq_ctx_term(port->ctx);
err_free:
	free(port);
	assert(ret < 0);
	return ret;
}

/*
 * Over loopback the kernel lets the sender's buffer grow to megabytes, by which time the data have
 * left the cache: with 256 KiB they are read where they are warm, for a fifth less processor time
 * per GB. Over a network it must hold what is on the way, and is the kernel's to size.
 */
static int set_buffer(void *socket, const char *endpoint)
{
	static const char *const loopback[] = { "tcp://127.", "tcp://localhost:", "tcp://[::1]:" };
	const struct option option = { ZMQ_SNDBUF, LOOPBACK_BYTES };

	for (size_t i = 0; i < sizeof(loopback) / sizeof(loopback[0]); i++) {
		if (strncmp(endpoint, loopback[i], strlen(loopback[i])) == 0)
			return set_options(socket, &option, 1);
	}
	return 0;
}

static int port_connect(const struct link_port_args *args, struct link_port **ret_port,
			struct sluice_error *reterr)
{
	struct link_port *port = NULL;
	int ret = port_create(args, false, &port);

	if (ret < 0)
		return error_set(reterr, ret, "link to %s: cannot make a ZeroMQ socket: %s",
				 args->endpoint, error_name(ret));
	ret = set_buffer(port->socket, args->endpoint);
	if (ret < 0) {
		port_close(port);
		return error_set(reterr, ret, "link to %s: cannot size its buffer: %s",
				 args->endpoint, error_name(ret));
	}
	if (zmq_connect(port->socket, args->endpoint) != 0) {
		ret = zmq_neg_errno();
		port_close(port);
		return error_set(reterr, ret, "link to %s: cannot connect: %s", args->endpoint,
				 error_name(ret));
	}
	*ret_port = port;
	return 0;
}

static int port_bind(const struct link_port_args *args, struct link_port **ret_port,
		     struct sluice_error *reterr)
{
	struct link_port *port = NULL;
	size_t bytes = sizeof(port->endpoint);
	int ret = port_create(args, true, &port);

	if (ret < 0)
		return error_set(reterr, ret, "link at %s: cannot make a ZeroMQ socket: %s",
				 args->endpoint, error_name(ret));
	if (zmq_bind(port->socket, args->endpoint) != 0 ||
	    zmq_getsockopt(port->socket, ZMQ_LAST_ENDPOINT, port->endpoint, &bytes) != 0) {
		ret = zmq_neg_errno();
		port_close(port);
		return error_set(reterr, ret, "link at %s: cannot bind: %s", args->endpoint,
				 error_name(ret));
	}
	*ret_port = port;
	return 0;
}

static const char *port_endpoint(const struct link_port *port)
{
	return port->endpoint;
}

/* ---- sending --------------------------------------------------------------------------- */

/* Any thread of libzmq, or ours inside one of its calls. */
static void lent_free(void *data, void *hint)
{
	struct lent *lent = hint;

	(void)data;
	/* Acquire: pairs with the release in lent_take(); the entry is filled. */
	assert(atomic_load_explicit(&lent->busy, memory_order_acquire));
	(void)zmq_msg_close(&lent->received);
	if (!lent->silent && lent->port->released)
		lent->port->released(lent->port->released_ctx, lent->cookie);
	/* Release: pairs with the acquire in lent_take(); the entry may be filled anew. */
	atomic_store_explicit(&lent->busy, false, memory_order_release);
}

static struct lent *lent_take(struct link_port *port, void *cookie)
{
	struct lent *lent = &port->lent[port->next_lent];

	/* Acquire: pairs with the release in lent_free(). */
	if (atomic_load_explicit(&lent->busy, memory_order_acquire))
		return NULL;
	port->next_lent = (port->next_lent + 1) % LENT_MAX;
	lent->port = port;
	lent->cookie = cookie;
	lent->silent = false;
	(void)zmq_msg_init(&lent->received);
	/* Release: pairs with the acquire in lent_free(), which runs in another thread. */
	atomic_store_explicit(&lent->busy, true, memory_order_release);
	return lent;
}

/* It was not sent: nobody is told, and what it came in is the caller's. */
static void lent_take_back(struct lent *lent, zmq_msg_t *received)
{
	lent->silent = true;
	if (received)
		(void)zmq_msg_move(received, &lent->received);
}

/* @msg is libzmq's after 0; else it is still the caller's. */
static int send_part(struct link_port *port, zmq_msg_t *msg, bool more)
{
	const int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);

	for (;;) {
		if (zmq_msg_send(msg, port->socket, flags) >= 0)
			return 0;
		if (zmq_errno() != EINTR)
			return zmq_neg_errno();
	}
}

/* Copies @bytes at @data into a part. Nothing is sent unless a last part follows it. */
static int send_copy(struct link_port *port, const void *data, size_t bytes, bool more)
{
	zmq_msg_t msg;
	int ret;

	if (zmq_msg_init_size(&msg, bytes) != 0)
		return zmq_neg_errno();
	memcpy(zmq_msg_data(&msg), data, bytes);
	ret = send_part(port, &msg, more);
	if (ret < 0)
		(void)zmq_msg_close(&msg);
	return ret;
}

/* To whom (of a ROUTER), then the head. */
static int send_head(struct link_port *port, const struct link_outgoing *out, bool more)
{
	if (port->router) {
		unsigned char id[ROUTING_ID_BYTES] = { 0 };
		const uint32_t to = (uint32_t)out->to;
		int ret;

		memcpy(id + 1, &to, sizeof(to));
		ret = send_copy(port, id, sizeof(id), true);
		if (ret < 0)
			return ret;
	}
	return send_copy(port, out->head, out->head_bytes, more);
}

/*
 * A DEALER whose connection goes between two parts takes the first back by itself and says EAGAIN
 * to the second (libzmq's lb.cpp): all is sent or nothing. @received: what the payload came in, or
 * NULL; the caller's again on failure.
 */
static int send_lent(struct link_port *port, const struct link_outgoing *out, zmq_msg_t *received)
{
	void *payload = (void *)out->payload;
	struct lent *lent;
	zmq_msg_t msg;
	int ret;

	assert(!port->router);
	lent = lent_take(port, out->cookie);
	if (!lent)
		return -EAGAIN;
	if (received) {
		(void)zmq_msg_move(&lent->received, received);
		payload = zmq_msg_data(&lent->received);
	}
	if (zmq_msg_init_data(&msg, payload, out->payload_bytes, lent_free, lent) != 0) {
		lent_take_back(lent, received);
		lent_free(NULL, lent);
		return -ENOMEM;
	}
	ret = send_head(port, out, true);
	if (ret == 0)
		ret = send_part(port, &msg, false);
	if (ret < 0) {
		lent_take_back(lent, received);
		(void)zmq_msg_close(&msg);
	}
	return ret;
}

static int port_send(struct link_port *port, const struct link_outgoing *out)
{
	return out->payload_bytes > 0 ? send_lent(port, out, NULL) : send_head(port, out, false);
}

static void parcel_release(struct link_parcel *parcel)
{
	if (!parcel->ops)
		return;
	(void)zmq_msg_close(&parts_of(parcel)->head);
	(void)zmq_msg_close(&parts_of(parcel)->payload);
	*parcel = (struct link_parcel){ 0 };
}

/* libzmq does not say when it is through with a message of its own: so the payload is lent. */
static int port_forward(struct link_port *port, const struct link_outgoing *out,
			struct link_parcel *parcel)
{
	const int ret = parcel->payload ? send_lent(port, out, &parts_of(parcel)->payload)
					: send_head(port, out, false);

	if (ret == 0)
		parcel_release(parcel);
	return ret;
}

/* ---- receiving ------------------------------------------------------------------------- */

/* 0: @msg holds a part. -EAGAIN: there is none, @msg is closed. */
static int receive_part(struct link_port *port, zmq_msg_t *msg)
{
	int ret;

	(void)zmq_msg_init(msg);
	while (zmq_msg_recv(msg, port->socket, ZMQ_DONTWAIT) < 0) {
		if (zmq_errno() == EINTR)
			continue;
		ret = zmq_neg_errno();
		(void)zmq_msg_close(msg);
		return ret;
	}
	return 0;
}

/* Takes the parts that no message of ours has. */
static void drain(struct link_port *port, bool more)
{
	zmq_msg_t msg;

	/* What is left of a longer one comes as a message of its own, and is refused as such. */
	for (unsigned int i = 0; more && i < EXTRA_PARTS_MAX; i++) {
		if (receive_part(port, &msg) < 0)
			return;
		more = zmq_msg_more(&msg);
		(void)zmq_msg_close(&msg);
	}
}

/* The number of the connection that the first part names; 0 if it is not one of ROUTER's. */
static uint64_t routing_id(zmq_msg_t *msg)
{
	const unsigned char *id = zmq_msg_data(msg);
	uint32_t from;

	if (zmq_msg_size(msg) != ROUTING_ID_BYTES || id[0] != 0)
		return 0;
	memcpy(&from, id + 1, sizeof(from));
	/* Bit 32 says that there is a number, whatever it is. */
	return UINT64_C(1) << 32 | from;
}

/* Small parts lie anywhere in libzmq's receive buffer: such a head is copied to where it may be. */
static int align_head(zmq_msg_t *head)
{
	const size_t bytes = zmq_msg_size(head);
	zmq_msg_t aligned;

	if ((uintptr_t)zmq_msg_data(head) % HEAD_ALIGN == 0)
		return 0;
	if (zmq_msg_init_size(&aligned, bytes) != 0)
		return -ENOMEM;
	memcpy(zmq_msg_data(&aligned), zmq_msg_data(head), bytes);
	(void)zmq_msg_close(head);
	(void)zmq_msg_init(head);
	(void)zmq_msg_move(head, &aligned);
	(void)zmq_msg_close(&aligned);
	return (uintptr_t)zmq_msg_data(head) % HEAD_ALIGN == 0 ? 0 : -EBADMSG;
}

/* The payload, if the head in @parts announced one. -EBADMSG: not ours, and all of it is gone. */
static int receive_payload(struct link_port *port, struct zmq_parts *parts)
{
	bool more = zmq_msg_more(&parts->head);
	int ret = 0;

	if (!more)
		(void)zmq_msg_init(&parts->payload);
	else
		ret = receive_part(port, &parts->payload);
	if (ret < 0)
		goto err_head;
	more = more && zmq_msg_more(&parts->payload);
	if (more || align_head(&parts->head) < 0)
		goto err_payload;
	return 0;

err_payload:
	drain(port, more);
	(void)zmq_msg_close(&parts->payload);
err_head:
	(void)zmq_msg_close(&parts->head);
	return -EBADMSG;
}

static void point(struct link_parcel *parcel)
{
	struct zmq_parts *parts = parts_of(parcel);

	parcel->head = zmq_msg_data(&parts->head);
	parcel->head_bytes = zmq_msg_size(&parts->head);
	parcel->payload_bytes = zmq_msg_size(&parts->payload);
	parcel->payload = parcel->payload_bytes > 0 ? zmq_msg_data(&parts->payload) : NULL;
}

static int port_receive(struct link_port *port, struct link_parcel *ret_parcel)
{
	struct zmq_parts *parts = parts_of(ret_parcel);
	uint64_t from = 0;
	int ret;

	if (port->router) {
		zmq_msg_t id;

		ret = receive_part(port, &id);
		if (ret < 0)
			return ret;
		from = routing_id(&id);
		(void)zmq_msg_close(&id);
	}
	ret = receive_part(port, &parts->head);
	if (ret < 0)
		return port->router ? -EBADMSG : ret;
	ret_parcel->from = from;
	ret = receive_payload(port, parts);
	if (ret < 0)
		return ret;
	ret_parcel->ops = &link_zmq_ops;
	if (port->router && from == 0) {
		parcel_release(ret_parcel);
		return -EBADMSG;
	}
	point(ret_parcel);
	return 0;
}

static void parcel_move(struct link_parcel *dst, struct link_parcel *src)
{
	dst->ops = src->ops;
	dst->from = src->from;
	(void)zmq_msg_init(&parts_of(dst)->head);
	(void)zmq_msg_init(&parts_of(dst)->payload);
	(void)zmq_msg_move(&parts_of(dst)->head, &parts_of(src)->head);
	(void)zmq_msg_move(&parts_of(dst)->payload, &parts_of(src)->payload);
	point(dst);
	parcel_release(src);
}

static int port_wait(struct link_wait *waits, unsigned int count, uint64_t timeout_ns)
{
	zmq_pollitem_t items[LINK_POLL_MAX];
	int ready;

	assert(count <= LINK_POLL_MAX);
	for (unsigned int i = 0; i < count; i++) {
		items[i] = (zmq_pollitem_t){
			.socket = waits[i].port ? waits[i].port->socket : NULL,
			.fd = waits[i].port ? 0 : waits[i].fd,
			.events = ZMQ_POLLIN,
		};
	}
	ready = zmq_poll(items, (int)count, ms_from_ns(timeout_ns));
	if (ready < 0 && zmq_errno() != EINTR)
		return zmq_neg_errno();
	for (unsigned int i = 0; i < count; i++)
		waits[i].ready = ready > 0 && items[i].revents != 0;
	return ready > 0 ? ready : 0;
}

const struct link_ops link_zmq_ops = {
	.name = "zmq",
	.connect = port_connect,
	.bind = port_bind,
	.close = port_close,
	.endpoint = port_endpoint,
	.send = port_send,
	.forward = port_forward,
	.receive = port_receive,
	.release = parcel_release,
	.move = parcel_move,
	.wait = port_wait,
};
