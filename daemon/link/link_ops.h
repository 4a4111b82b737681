/* SPDX-License-Identifier: MIT */
/*
 * link/link_ops.h - the seam under link.h: what a transport does, and nothing more.
 *
 * A transport moves messages of a head (envelope and body) and at most one payload over
 * connections. It knows no session, no credit, no time; the dispatcher above does
 * (link_sender.c, link_receiver.c), and is the only caller.
 *
 * Ownership: connect() and bind() give a port, close() takes it. A parcel that receive() filled
 *            is its holder's until release().
 * Threads:   one at a time per port; release() and move() of a parcel: any.
 * Errors:    as written at each operation; all leave their outputs untouched.
 */
#ifndef LINK_LINK_OPS_H
#define LINK_LINK_OPS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sluice_error;
struct link_ops;
struct link_port; /* one end of connections, the transport's own */

struct link_port_args {
	const char *endpoint;
	unsigned int io_threads;
	uint32_t message_max; /* bytes of the longest head or payload to be received */
	/* Of a connected port: see send(). Any thread. May be NULL. */
	void (*released)(void *ctx, void *cookie);
	void *ctx;
};

/* A message to be sent. */
struct link_outgoing {
	uint64_t to;      /* a bound port's connection, from a parcel; else ignored */
	const void *head; /* copied by send() */
	uint32_t head_bytes;
	uint32_t payload_bytes; /* 0: no payload */
	const void *payload;    /* not copied */
	void *cookie;
};

/* A message as it came. All zero: empty. */
struct link_parcel {
	const struct link_ops *ops; /* whose parcel it is; NULL when empty */
	uint64_t from;              /* the connection it came on; of a bound port only */
	const uint8_t *head;        /* aligned to 8 */
	size_t head_bytes;
	const uint8_t *payload; /* NULL: none */
	size_t payload_bytes;
	_Alignas(16) unsigned char transport[128];
};

struct link_wait {
	struct link_port *port;
	int fd; /* used when port is NULL */
	bool ready;
};

struct link_ops {
	const char *name; /* as in link_sender_args.transport */

	/*
	 * connect() - Make a port that reaches for one endpoint, and again whenever it is lost.
	 *
	 * Guarantees: returns at once, the endpoint need not exist. Over one connection messages
	 * arrive whole, in order, none missing; with a connection all that it held is gone.
	 * -EINVAL: not an endpoint. -ENOMEM, -EMFILE.
	 */
	int (*connect)(const struct link_port_args *args, struct link_port **ret_port,
		       struct sluice_error *reterr);

	/*
	 * bind() - Make a port that others reach.
	 *
	 * Guarantees: nobody can make it hold more than a fixed number of messages of
	 * message_max per connection. -EADDRINUSE, and as connect().
	 */
	int (*bind)(const struct link_port_args *args, struct link_port **ret_port,
		    struct sluice_error *reterr);

	/*
	 * close() - Send for at most LINK_CLOSE_MS what is still queued, then let go.
	 *
	 * Guarantees: when it returns, released() has come for every payload that was sent.
	 */
	void (*close)(struct link_port *port);

	/* endpoint() - What to connect to, of a bound port; lives as long as the port. */
	const char *(*endpoint)(const struct link_port *port);

	/*
	 * send() - Queue one message.
	 *
	 * Guarantees: all of it or nothing. After 0, and only then, released(ctx, cookie) comes
	 * exactly once if there is a payload; until then the payload is read in place.
	 * -EAGAIN: queue full, or a connected port has no connection. -ENOTCONN: a bound port's
	 * connection @to is gone. Never blocks.
	 */
	int (*send)(struct link_port *port, const struct link_outgoing *out);

	/*
	 * forward() - As send(), with the payload of @parcel in place of out->payload.
	 *
	 * Guarantees: the payload is not copied. After 0 @parcel is empty; else it is untouched.
	 * When released() comes, the payload's memory has been freed.
	 */
	int (*forward)(struct link_port *port, const struct link_outgoing *out,
		       struct link_parcel *parcel);

	/*
	 * receive() - Take the next message, from any connection in turn.
	 *
	 * Guarantees: a connection that sends without pause does not keep others from being heard.
	 * -EAGAIN: nothing there. -EBADMSG: a message that was not a head and at most one payload;
	 * it is gone, ret_parcel->from says whose it was (0: nobody's that could be a member).
	 */
	int (*receive)(struct link_port *port, struct link_parcel *ret_parcel);

	/* release() - Free what is behind @parcel and leave it empty. */
	void (*release)(struct link_parcel *parcel);

	/* move() - Make @dst (empty) what @src was, and @src empty; pointers are set anew. */
	void (*move)(struct link_parcel *dst, struct link_parcel *src);

	/*
	 * wait() - Wait until a port has a message, an fd can be read, or @timeout_ns passed.
	 *
	 * Guarantees: sets each .ready; a signal ends the wait early. Returns how many are ready,
	 * or -errno. All ports are this transport's.
	 */
	int (*wait)(struct link_wait *waits, unsigned int count, uint64_t timeout_ns);
};

enum {
	LINK_CLOSE_MS = 800,     /* leaves link_sender_close() some of its second */
	LINK_SEND_QUEUE = 1024,  /* messages queued in a port per connection, to be sent */
	LINK_RECEIVE_QUEUE = 64, /* the same, received and not yet taken */
};

extern const struct link_ops link_zmq_ops;

/* The transport of that name, or NULL. */
const struct link_ops *link_transport_find(const char *name);

#endif /* LINK_LINK_OPS_H */
