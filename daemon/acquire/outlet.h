/* SPDX-License-Identifier: MIT */
/*
 * acquire/outlet.h - the way of one board to one aggregator in one scan, and its sender thread.
 *
 * The reader cuts chunks into *parcels*, one per (run, part), and hands them to the outlet that
 * the plan names for the run. The sender sends what credit allows, sends again what is asked
 * for, and lets go of a parcel's chunk when it is acknowledged and the transport is done with it.
 *
 *   reader --queue--> pending --link_send--> in flight --ack--> (lingering) --home--> reader
 *                        ^----- nack, new session -----'
 *
 * Ownership: outlet_open() gives, outlet_close() takes. A parcel is the reader's from
 *            outlet_parcel() to outlet_push(), then the outlet's.
 * Threads:   the board's reader calls outlet_parcel(), outlet_push(), outlet_finish(); the
 *            sender is the outlet's own; the control thread opens, waits and closes.
 * Errors:    -ENOSPC: no parcel is free now. Those of link_sender_open().
 */
#ifndef ACQUIRE_OUTLET_H
#define ACQUIRE_OUTLET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <link/link.h>
#include <ring/ring.h>
#include <scan/ledger.h>
#include <scan/plan.h>

struct outlet;
struct sluice_error;

enum {
	OUTLET_PARCELS = 2048
}; /* per outlet: sent, waiting, or coming home */

/* Longer than a link needs to find that its peer is dead, and to let go. */
#define OUTLET_LET_GO_NS (LINK_DEAD_NS + UINT64_C(1000000000))

struct parcel {
	uint64_t run;
	uint16_t part;
	uint16_t flags; /* SLUICE_WIRE_LAST_PART, _RESENT */
	uint16_t block_count;
	struct chunk *chunk; /* NULL: a void parcel */
	const struct sluice_wire_block *table;
	const uint8_t *payload;
	uint32_t payload_bytes;
	bool acked;                   /* sender only */
	_Atomic uint32_t wire_copies; /* that the transport may still read */
};

struct outlet_args {
	const struct scan_plan *plan; /* lives as long as the outlet */
	unsigned int aggregator;      /* index in the plan; also its number as a holder of chunks */
	uint16_t sector;
	int node;         /* where the sender runs, or NODE_ANY */
	const char *name; /* this board's id */
	const char *transport;
	unsigned int io_threads;
	uint64_t give_up_ns; /* no acknowledgement for so long while one is due: the rest is lost */
	struct ring *ring;
	struct tally *tally;
	int reader_wake;   /* eventfd: something came home */
	int finished_wake; /* eventfd: the sender is done */
};

struct outlet_stats {
	_Atomic uint64_t parcels_sent, parcels_resent, blocks_acked, blocks_rejected;
	_Atomic uint64_t blocks_given_up; /* nobody took them */
	_Atomic uint64_t pending, in_flight;
};

int outlet_open(const struct outlet_args *args, struct outlet **ret_outlet,
		struct sluice_error *reterr);
void outlet_close(struct outlet *outlet);

/* Control: waits until the link is up. -ETIMEDOUT, or the peer's refusal, with @reterr naming it.
 */
int outlet_wait_up(struct outlet *outlet, uint64_t deadline_ns, struct sluice_error *reterr);
/* Control: gives up @ns after the last progress from now on: an abort is not to wait for long. 0:
 * the scan is taken back, at once and without a scan-end. */
void outlet_hurry(struct outlet *outlet, uint64_t ns);
/* Control: whether the sender has nothing left to do. */
bool outlet_done(const struct outlet *outlet);

/* Reader. */
int outlet_parcel(struct outlet *outlet, struct parcel **ret_parcel);
/*
 * Reader, waiting since @since_ns: whether no parcel is to be awaited any more. The time to give up
 * is over, and the transport had OUTLET_LET_GO_NS more to let go of what it reads.
 */
bool outlet_is_stuck(const struct outlet *outlet, uint64_t since_ns);
void outlet_push(struct outlet *outlet, struct parcel *parcel);
/*
 * Reader: how many parcels of @chunk it will push; before the first of them. If it pushes fewer,
 * the chunk is let go of by outlet_close().
 */
void outlet_expect(struct outlet *outlet, const struct chunk *chunk, uint32_t parcels);
/* Reader: nothing more will be pushed. */
void outlet_finish(struct outlet *outlet);

const struct outlet_stats *outlet_stats(const struct outlet *outlet);
const struct link_stats *outlet_link_stats(const struct outlet *outlet);
/* The aggregator's id, for labels. */
const char *outlet_peer(const struct outlet *outlet);

#endif /* ACQUIRE_OUTLET_H */
