/* SPDX-License-Identifier: MIT */
/*
 * link/link.h - a connection that carries chunks one way, credits and acknowledgements the other.
 *
 * One protocol (sluice/wire.h, daemon/doc/protocol.md), several transports behind struct
 * link_ops. Everything here is non-blocking but link_poll(). Heartbeats go out by themselves
 * while the owner keeps calling; a peer that is silent for LINK_DEAD_NS is reported lost; a
 * sender goes on trying to reach its receiver and reports LINK_EVENT_UP for every new session.
 *
 * Ownership: open gives, close takes. A chunk's table and payload stay the caller's and must not
 *            change until the released() callback came for it (the transport is done with the
 *            memory) - which says nothing of delivery; the acknowledgement does.
 * Threads:   one thread at a time per sender or receiver. released() may come from any thread.
 * Errors:    -EAGAIN: not now (no credit, nothing there). -ENOTCONN: no session. Open: -EINVAL: an
 *            argument is out of range or no endpoint; -EADDRINUSE; -ENOMEM; -EMFILE.
 *            -EBADMSG: never reported to the caller: such a peer is dropped and counted.
 */
#ifndef LINK_LINK_H
#define LINK_LINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/wire.h>

struct sluice_error;
struct link_sender;
struct link_receiver;

#define LINK_HEARTBEAT_NS UINT64_C(500000000)
#define LINK_DEAD_NS      UINT64_C(2000000000)

enum {
	LINK_ENDPOINT_MAX = 256, /* bytes, NUL included */
	LINK_PEERS_MAX = 64,     /* of one receiver */
	LINK_POLL_MAX = 96,
	LINK_IO_THREADS_MAX = 16,
};

/* Counters of one end; one writer, any reader. */
struct link_stats {
	_Atomic uint64_t chunks, bytes, blocks; /* payload-carrying messages sent or received */
	_Atomic uint64_t acks, nacks, rejects;  /* entries */
	/* Sender: of the session. Receiver: sums over the peers that are there. */
	_Atomic uint64_t credit_limit, started;
	_Atomic uint64_t credit_waits; /* sends refused for want of credit */
	_Atomic uint64_t bad_messages; /* refused bytes from a peer */
	_Atomic uint64_t peers_refused, peers_lost, sessions;
};

/* ---- sender ---------------------------------------------------------------------------- */

struct link_sender_args {
	const char *transport;   /* "zmq" */
	const char *endpoint;    /* "tcp://host:port" */
	const char *name;        /* this member's id */
	uint16_t role;           /* enum sluice_wire_role */
	uint16_t sector;         /* of a source */
	unsigned int io_threads; /* of the transport; 1 or more */
	/* The transport no longer reads the chunk given with @cookie. Any thread. May be NULL. */
	void (*released)(void *ctx, void *cookie);
	void *ctx;
};

struct link_message;

struct link_chunk {
	uint32_t scan;
	uint32_t epoch;
	uint64_t run;
	uint16_t sector;
	uint16_t part;
	uint16_t flags;                        /* SLUICE_WIRE_LAST_PART, _RESENT */
	uint16_t block_count;                  /* 0: a void chunk, payload_bytes 0 too */
	const struct sluice_wire_block *table; /* offsets count from @payload; copied by send */
	const void *payload;                   /* sent from where it lies */
	uint32_t payload_bytes;
	void *cookie; /* for released(); comes exactly once per successful send with a payload */
};

enum link_event_type {
	LINK_EVENT_UP = 1,  /* a new session: nothing sent before it counts */
	LINK_EVENT_DOWN,    /* the peer is silent or gone; sends give -ENOTCONN */
	LINK_EVENT_REFUSED, /* by name and text; the sender will not try again */
	LINK_EVENT_ACK,     /* event.ack holds the entries */
	LINK_EVENT_NACK,
	LINK_EVENT_CREDIT, /* the limit rose */
};

struct link_event {
	enum link_event_type type;
	uint32_t scan; /* ack, nack */
	unsigned int acks, rejects, nacks;
	const struct sluice_wire_ack *ack; /* valid until the next call on this sender */
	const struct sluice_wire_reject *reject;
	const struct sluice_wire_nack *nack;
	char text[128]; /* peer's name at UP, its reason at REFUSED */
};

int link_sender_open(const struct link_sender_args *args, struct link_sender **ret_sender,
		     struct sluice_error *reterr);
/* Waits at most 1 s for what the transport still has to send, then lets go of everything. */
void link_sender_close(struct link_sender *sender);
/*
 * -EAGAIN: part 0 without a credit, or the transport is full. -ENOTCONN. -EMSGSIZE: more than the
 * receiver takes. -EINVAL: not a chunk of sluice/wire.h. Nothing was sent then, and released()
 * does not come.
 */
int link_send(struct link_sender *sender, const struct link_chunk *chunk);
/*
 * Passes a received chunk on from the receiver's buffer, without a copy. On success the
 * message is consumed (no link_message_release()), and released() comes with @cookie, if it has a
 * payload, when the memory of that has been freed; on failure the message is untouched.
 */
int link_forward(struct link_sender *sender, struct link_message *message, void *cookie);
int link_send_scan_begin(struct link_sender *sender, uint32_t scan, uint32_t epoch,
			 const struct sluice_wire_scan *body);
int link_send_scan_end(struct link_sender *sender, uint32_t scan, uint32_t epoch, uint16_t sector,
		       const struct sluice_wire_scan_end *body);
/* The next event, -EAGAIN when there is none. Drives heartbeats: call it at least every 100 ms. */
int link_sender_next(struct link_sender *sender, struct link_event *ret_event);
/* (run, sector)s that may still be started. */
uint64_t link_sender_credit(const struct link_sender *sender);
const struct link_stats *link_sender_stats(const struct link_sender *sender);

/* ---- receiver -------------------------------------------------------------------------- */

struct link_receiver_args {
	const char *transport;
	const char *bind; /* "tcp://127.0.0.1:*" */
	const char *name;
	uint16_t role;
	uint32_t window;      /* credits a new peer gets at once, (run, sector)s */
	uint32_t payload_max; /* bytes of one chunk it will take */
	unsigned int io_threads;
};

enum link_message_type {
	LINK_MESSAGE_PEER_UP = 1, /* hello taken: @peer, @name, @sector */
	LINK_MESSAGE_PEER_DOWN,
	LINK_MESSAGE_SCAN_BEGIN,
	LINK_MESSAGE_CHUNK,
	LINK_MESSAGE_SCAN_END,
};

struct link_message {
	enum link_message_type type;
	unsigned int peer; /* 0 ... LINK_PEERS_MAX - 1; reused only after PEER_DOWN */
	uint32_t scan;
	uint32_t epoch;
	uint64_t run;
	uint16_t sector;
	uint16_t part;
	uint16_t flags;
	uint16_t block_count;
	const struct sluice_wire_block *table; /* aligned to 8; checked: every block lies in the
						  payload's bounds by offset */
	const uint8_t *payload;
	uint32_t payload_bytes;
	struct sluice_wire_scan scan_begin;
	struct sluice_wire_scan_end scan_end;
	char name[SLUICE_WIRE_NAME_MAX];           /* PEER_UP, PEER_DOWN */
	_Alignas(16) unsigned char transport[192]; /* the transport's own: the buffers behind it */
};

int link_receiver_open(const struct link_receiver_args *args, struct link_receiver **ret_receiver,
		       struct sluice_error *reterr);
void link_receiver_close(struct link_receiver *receiver);
/* What peers connect to, the wildcard port resolved. */
const char *link_receiver_endpoint(const struct link_receiver *receiver);
/*
 * The next message, -EAGAIN when there is none; @ret_message is then empty. Call
 * link_message_release() for each got. Drives heartbeats: call it at least every 100 ms.
 */
int link_receive(struct link_receiver *receiver, struct link_message *ret_message);
/* Any thread, once; a message that was forwarded has nothing left to release. */
void link_message_release(struct link_message *message);
/* Moves ownership to @dst; @src is empty afterwards. The struct must not be copied by assignment.
 */
void link_message_move(struct link_message *dst, struct link_message *src);
/*
 * Raises the peer's credit by @credits, sent with the next ack or heartbeat, at once if @now.
 * This and the next two: -ENOTCONN: the peer is gone, PEER_DOWN says so. -EINVAL: no such peer,
 * or not entries of sluice/wire.h, or more than SLUICE_WIRE_ENTRIES_MAX of a kind. An ack or nack
 * can meet -EAGAIN: the peer does not take what it is sent; nothing was, try again.
 */
int link_grant(struct link_receiver *receiver, unsigned int peer, uint32_t credits, bool now);
int link_ack(struct link_receiver *receiver, unsigned int peer, uint32_t scan,
	     const struct sluice_wire_ack *ack, unsigned int acks,
	     const struct sluice_wire_reject *reject, unsigned int rejects);
int link_nack(struct link_receiver *receiver, unsigned int peer, uint32_t scan,
	      const struct sluice_wire_nack *nack, unsigned int nacks);
const struct link_stats *link_receiver_stats(const struct link_receiver *receiver);

/* ---- both ------------------------------------------------------------------------------ */

/* One of the three; ready is set by link_poll(): something can be got by next/receive or read. */
struct link_pollitem {
	struct link_sender *sender;
	struct link_receiver *receiver;
	int fd; /* used when both are NULL */
	bool ready;
};
/*
 * Waits until an item is ready, a signal came, or @timeout_ns passed; heartbeats go out meanwhile.
 * Returns how many are ready, or -errno. An end may be ready and have -EAGAIN to say: what came
 * was the link's own.
 */
int link_poll(struct link_pollitem *items, unsigned int count, uint64_t timeout_ns);

/*
 * Tells the allocator to keep freed message buffers instead of giving their pages back: receiving
 * programs call it once at start, before any thread. Process-wide.
 */
void link_tune_allocator(void);
/*
 * Has memory for @messages received messages of @bytes each resident from now on, so that a
 * process is as large when a scan begins as when it ends; at most 512 MiB, beyond which memory is
 * taken as messages come. Any thread. Does nothing for a process whose allocator is not tuned, for
 * messages above 32 MiB, and where as much was reserved before. -ENOMEM.
 */
int link_reserve(uint64_t messages, size_t bytes);

#endif /* LINK_LINK_H */
