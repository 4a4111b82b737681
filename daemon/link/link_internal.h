/* SPDX-License-Identifier: MIT */
/*
 * link/link_internal.h - what link_poll() must know of both ends, and what both ends share.
 *
 * Ownership, threads, errors: as in link.h.
 */
#ifndef LINK_LINK_INTERNAL_H
#define LINK_LINK_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <base/clock.h>
#include <base/count.h>
#include <link/link.h>
#include <link/link_ops.h>

enum {
	LINK_TAKE_MAX = 256, /* messages looked at in one call that gives the caller none */
};

/* A heartbeat or hello that the transport had no room for is tried again after this. */
#define LINK_RETRY_NS (20 * NS_PER_MS)

/* What link_poll() waits on. */
struct link_end {
	const struct link_ops *ops;
	struct link_port *port;
};

/*
 * Does what is due at @now: hello, heartbeat, giving up a silent peer. Returns when it has to be
 * called again, UINT64_MAX for never.
 */
uint64_t link_sender_tick(struct link_sender *sender, uint64_t now);
uint64_t link_receiver_tick(struct link_receiver *receiver, uint64_t now);
/* Whether there is something for the caller that needs no message to come. */
bool link_sender_pending(const struct link_sender *sender);
bool link_receiver_pending(const struct link_receiver *receiver);
struct link_end link_sender_end(const struct link_sender *sender);
struct link_end link_receiver_end(const struct link_receiver *receiver);

/* Random and not 0. */
uint32_t link_random(void);

static inline void link_gauge(_Atomic uint64_t *gauge, uint64_t v)
{
	atomic_store_explicit(gauge, v, memory_order_relaxed);
}

/*
 * Silence counts only while somebody listens. After a pause of the owner, what came meanwhile
 * has not been looked at; returns by how much to put off judging.
 */
static inline uint64_t link_pause(uint64_t *looked_ns, uint64_t now)
{
	const uint64_t pause = now - *looked_ns;

	*looked_ns = now;
	/* link_poll() alone can wait for a heartbeat's time. */
	return pause > 2 * LINK_HEARTBEAT_NS ? pause : 0;
}

#endif /* LINK_LINK_INTERNAL_H */
