/* SPDX-License-Identifier: MIT */
/*
 * aggregate/aggregator.h - brings the sectors of a run together and hands the run to one consumer.
 *
 * One thread owns everything: it receives chunks from the sources, gives each run to the consumer
 * with the most free credit when its first chunk comes, forwards every chunk as it comes, and
 * passes acknowledgements back. What finds no credit is held. A source gets a credit back when the
 * memory of what it paid for is free again, so that the sources' windows bound all that is here.
 *
 * Ownership: aggregator_open() gives, aggregator_close() takes.
 * Threads:   the loop is the aggregator's own; aggregator_call() brings work of other threads
 *            into it, one caller at a time.
 * Errors:    those of link_receiver_open().
 */
#ifndef AGGREGATE_AGGREGATOR_H
#define AGGREGATE_AGGREGATOR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <base/count.h>
#include <link/link.h>
#include <scan/plan.h>

struct sluice_error;

/* For a call to begin. The loop turns far more often; a call that has begun is waited for. */
#define AGGREGATOR_CALL_NS UINT64_C(3000000000)

enum {
	CONSUMERS_MAX = 64,
	RUNS_MAX = 8192, /* that are on their way at once */
	HELD_MAX = 4096, /* chunks that wait for a consumer's credit */
	NO_CONSUMER = UINT16_MAX,
	NO_PEER = UINT16_MAX,
};
_Static_assert(CONSUMERS_MAX + 2 <= LINK_POLL_MAX, "all links are polled at once");

/* A consumer that is connected to, or was. */
struct consumer {
	char id[SLUICE_WIRE_NAME_MAX];
	char group[PLAN_GROUP_MAX];
	char endpoint[PLAN_ENDPOINT_MAX];
	struct aggregator *aggregator;
	struct link_sender *link; /* NULL: the slot is free */
	bool up, refused;
	bool gone;             /* no longer in the directory: closed when no scan needs it */
	bool scan_told;        /* SCAN_BEGIN of the current scan was sent in this session */
	bool end_told;         /* and its SCAN_END */
	uint32_t reserved;     /* (run, sector)s of its runs that have not started */
	uint32_t runs;         /* its runs that are not acknowledged */
	uint64_t runs_acked;   /* in this scan */
	uint32_t forwarded;    /* (run, sector)s given to the link with a ticket; modulo 2^32 */
	_Atomic uint32_t left; /* of these, those that have left; any thread */
	char refusal[128];
};

/* A run on its way. */
struct run {
	uint64_t number;
	uint16_t consumer; /* index, NO_CONSUMER while it waits */
	uint16_t held;     /* its chunks in the held queue */
	uint32_t begun;    /* sectors whose part 0 came */
	uint32_t owed;     /* of these, which still hold the credit that their source paid */
	uint32_t started;  /* sectors whose part 0 was forwarded */
	uint32_t acked;    /* sectors acknowledged */
	bool used;
};

/* What the source of one sector is to be told. It stays here until the link takes it. */
struct answer {
	struct sluice_wire_ack ack[SLUICE_WIRE_ENTRIES_MAX];
	struct sluice_wire_reject reject[SLUICE_WIRE_ENTRIES_MAX];
	struct sluice_wire_nack nack[SLUICE_WIRE_ENTRIES_MAX];
	unsigned int acks, rejects, nacks;
};

struct aggregator_args {
	const char *id;
	const char *transport;
	const char *bind;
	uint32_t window;      /* (run, sector)s that each source may have here */
	uint32_t payload_max; /* bytes of a chunk */
	uint32_t io_threads;
};

struct aggregator_stats {
	_Atomic uint64_t chunks, bytes, blocks; /* received */
	_Atomic uint64_t runs_assigned, runs_done, runs_reassigned;
	_Atomic uint64_t refused;  /* chunks of no scan, run or sector that is known */
	_Atomic uint64_t outdated; /* parts of a pass of their run that was broken off */
	_Atomic uint64_t held;     /* now */
	_Atomic uint64_t acks, rejects;
	_Atomic uint64_t answers_lost; /* acks, rejects, nacks that a source's link did not take */
};

struct aggregator {
	struct aggregator_args args;
	struct link_receiver *receiver;
	struct consumer consumer[CONSUMERS_MAX];
	pthread_t thread;
	bool has_thread;
	int wake;
	atomic_bool stop;

	/* The scan. */
	struct scan_plan *plan; /* scan 0: none */
	bool active;            /* from prepare to scan-end */
	bool aborted;
	uint64_t abort_ns; /* when it was aborted */
	struct sluice_wire_scan scan;
	uint16_t peer_of_sector[SLUICE_SECTORS_MAX];
	uint64_t sector_down_ns[SLUICE_SECTORS_MAX]; /* since when no source of it is connected */
	uint32_t sectors_ended;
	struct run *run; /* RUNS_MAX, by number modulo */
	uint32_t runs_open, runs_displaced;
	struct answer *answer;     /* SLUICE_SECTORS_MAX, by sector */
	struct link_message *held; /* HELD_MAX, in order of arrival */
	uint32_t held_count;
	uint16_t sector_of_peer[LINK_PEERS_MAX]; /* + 1; 0: the peer is not connected */
	uint32_t grant[LINK_PEERS_MAX];          /* credits to give back at the end of this turn */
	_Atomic uint64_t left[LINK_PEERS_MAX];   /* of what left: its session << 32 | credits */
	struct aggregator_stats stats;

	/* aggregator_call(): one caller at a time. */
	pthread_mutex_t lock;
	pthread_cond_t answered;
	int (*call)(struct aggregator *aggregator, void *arg, struct sluice_error *reterr);
	void *call_arg;
	struct sluice_error *call_error;
	int call_result;
};

int aggregator_open(const struct aggregator_args *args, struct aggregator **ret_aggregator,
		    struct sluice_error *reterr);
void aggregator_close(struct aggregator *aggregator);
/* Has the loop turn at once. Any thread. */
void aggregator_wake(struct aggregator *aggregator);
/*
 * Runs @call in the loop's thread and gives its result. -ETIMEDOUT: the loop did not come to it
 * within AGGREGATOR_CALL_NS, and will not; @arg and @reterr are the caller's again.
 */
int aggregator_call(struct aggregator *aggregator,
		    int (*call)(struct aggregator *aggregator, void *arg,
				struct sluice_error *reterr),
		    void *arg, struct sluice_error *reterr);

/* ---- in the loop's thread only ------------------------------------------------------------- */

/* consumers.c */
int consumer_add(struct aggregator *a, const char *group, const char *id, const char *endpoint,
		 struct sluice_error *reterr);
void consumer_remove(struct aggregator *a, const char *group, const char *id);
void consumers_take_events(struct aggregator *a);
/* SCAN_BEGIN to every consumer of the plan's group that is up and has not had it. */
void consumers_tell_begin(struct aggregator *a);
/* SCAN_END likewise. True when every one has had it. */
bool consumers_tell_end(struct aggregator *a);
/* Closes links to consumers that are gone and not needed. */
void consumers_sweep(struct aggregator *a);
/*
 * The one with the most free credit that can take a whole run, or NO_CONSUMER. One that half of a
 * window waits to be sent to gets no more: it must not keep the others from theirs.
 */
uint16_t consumers_choose(const struct aggregator *a);
bool consumer_serves(const struct aggregator *a, const struct consumer *consumer);

/* route.c */
void route_begin(struct aggregator *a);
void route_receive(struct aggregator *a);
/* Sectors whose source has been gone for too long have ended: their daemon's ledger says what of.
 */
void route_look_at_sources(struct aggregator *a);
/* Forwards what is held, as far as credit goes; tells the sources what there is for them. */
void route_forward(struct aggregator *a);
void route_acknowledge(struct aggregator *a, uint16_t consumer, const struct link_event *event);
void route_nack(struct aggregator *a, uint16_t consumer, const struct link_event *event);
/* The consumer is lost: its runs are asked for again and go to others. */
void route_reassign(struct aggregator *a, uint16_t consumer);
/* Drops every run and everything held. */
void route_reset(struct aggregator *a);

/* credit.c */
/* That which the run still holds of the source of @sector. */
void credit_give_back(struct aggregator *a, struct run *run, uint16_t sector);
/* For the last part that @peer sent of a run, as it is given to a link. Never NULL. */
void *credit_ticket(const struct aggregator *a, unsigned int peer);
/*
 * Any thread: a consumer's link is through with a payload, and its memory is free. @cookie is its
 * ticket, or NULL.
 */
void credit_left(void *consumer, void *cookie);
/* Puts down for @peer what has left. */
void credit_collect(struct aggregator *a, unsigned int peer);
/* The source at @peer is gone: nothing goes back to it any more. */
void credit_end_session(struct aggregator *a, unsigned int peer);

#endif /* AGGREGATE_AGGREGATOR_H */
