/* SPDX-License-Identifier: MIT */
/*
 * consume/consumer_state.h - the inside of libsluice-consumer, for its own files.
 *
 *                    network thread                              callers
 *   link_receive -> ASSEMBLING -(all sectors, or time-out)-> ready queue -next()-> in hand
 *   link_ack     <-  done queue  <------------------------------------- ack(), drop()
 *
 * Ownership: every run that lives is in the table of struct consumer_runs; closing frees them.
 * Threads:   what stands under "network thread" in a struct is touched by that thread only. The
 *            queues, the state of scan slots, counts and texts are guarded by @lock. A run in hand
 *            belongs to the caller's thread; it comes back through the done queue.
 *
 * Credit: a peer has been granted `granted` (run, sector)s in its session and has had `returned`
 * of them resolved (acknowledged, refused or found to be copies). What may be outstanding is
 * `target` = window x sectors of the scan at hand; so granted is raised to target + returned
 * whenever it is below, and simply stays while it is above because the last scan had more
 * sectors. Nothing is carried over from scan to scan, so nothing can drift.
 */
#ifndef CONSUME_CONSUMER_STATE_H
#define CONSUME_CONSUMER_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <link/link.h>
#include <member/member.h>
#include <scan/ledger.h>
#include <sluice/consumer.h>

enum {
	SCANS_MAX = 4,              /* slots: scans that run, or have ended and are remembered */
	RUN_BUCKETS = 256,          /* of the table of runs that live */
	REJECTS_KEPT_MAX = 1 << 20, /* of one scan, so that an acknowledgement is repeated alike */
	REJECT_BUCKETS = 1024,
	GIVEN_UP_MAX = 4096, /* runs of one scan with a sector given up */
	ANSWERS_MAX = 4096,  /* acks and nacks that wait for the transport */
	RECEIVE_BATCH = 64,  /* messages between two looks at the other queues */
	REPORTS_MAX = 32,
	SHARED_MAX = 32,
	NAME_LENGTH_MAX = 32, /* of a report or a shared value */
	OWNER_NONE = LINK_PEERS_MAX,
};
_Static_assert(LINK_PEERS_MAX <= 64, "sets of peers are 64-bit words");
_Static_assert(SLUICE_SECTORS_MAX <= 32, "sets of sectors are 32-bit words");

#define ROUND_NS UINT64_C(100000000) /* the network thread looks round at least so often */
#define SWEEP_NS UINT64_C(10000000)  /* and for time-outs at most so often */

/* What waits for next(). */
struct ready_item {
	struct ready_item *next;
	enum sluice_next type;
	struct sluice_run *run;
	struct consumer_scan *scan;
};

/* ---- a run --------------------------------------------------------------------------------- */

enum block_state {
	BLOCK_MISSING = 0,
	BLOCK_UNCHECKED, /* there, CRC not taken yet */
	BLOCK_GOOD,
	BLOCK_BAD, /* its CRC did not hold */
};

struct run_block {
	const uint8_t *pixels;
	uint64_t timestamp_ns;
	uint32_t crc;
	uint16_t flags;
	uint8_t state; /* enum block_state */
};

struct run_part {
	struct run_part *next;
	struct link_message message;
};

struct run_sector {
	struct run_part *parts; /* newest first */
	uint32_t entries;       /* blocks named by them so far */
	uint16_t part_next;
};

struct sluice_run {
	struct ready_item item; /* @lock while queued */
	struct sluice_run *done_next;

	struct sluice_run *bucket_next; /* network thread, from here */
	bool assembling;
	unsigned int owner;     /* the peer it came from, OWNER_NONE once that is gone */
	unsigned int credits;   /* of the owner, to be returned with the run */
	uint64_t ack_to;        /* set of peers that want to hear of its end */
	uint32_t late_complete; /* sectors that came whole after they were given up */
	uint32_t epoch;
	uint64_t deadline_ns;

	struct consumer_scan *scan; /* whoever has the run, from here */
	uint64_t number, frame_first;
	unsigned int frames;
	uint32_t complete, given_up; /* sets of sectors */
	struct run_sector sector[SLUICE_SECTORS_MAX];
	struct run_block *block; /* frames x sectors */
	struct sluice_wire_reject *reject;
	unsigned int reject_count, reject_max;

	bool dropped; /* the caller's verdict, from here */
	uint64_t events, frames_there, frames_incomplete;
	uint64_t blocks[SLUICE_SECTORS_MAX];
};

/* ---- a scan -------------------------------------------------------------------------------- */

enum slot_state {
	SLOT_FREE = 0,
	SLOT_ACTIVE,
	SLOT_ENDED, /* its end waits for next() */
	SLOT_TOLD,
};

struct given_up {
	uint64_t run;
	uint32_t sectors;
};

/* Rejected blocks by run, in chains: @head and @next are indices + 1. */
struct kept_reject {
	struct sluice_wire_reject reject;
	uint64_t run;
	uint32_t next;
};

struct consumer_scan {
	enum slot_state state;   /* @lock */
	struct sluice_scan info; /* constant while active */
	struct ready_item begin, end;
	struct half_consumer half; /* @lock */
	uint64_t abort_ns;         /* @lock: when the scan ends here in any case; 0: not aborted */
	bool deserted;             /* @lock: ended here without all of its aggregators */

	bool active;          /* network thread, from here: takes runs */
	bool aborting;        /* no more, but some are in hand */
	unsigned int answers; /* that wait to be sent */
	uint64_t peers;       /* who sends in it */
	unsigned int aggregators, ended_count;
	uint64_t absent_ns; /* an aggregator that is not here by then counts as ended */
	char ended[PLAN_MEMBERS_MAX][SLUICE_WIRE_NAME_MAX];
	uint64_t live;      /* runs in the table */
	uint64_t runs;      /* of the whole scan */
	uint64_t begun;     /* order of the slots' use */
	uint8_t *committed; /* one bit per run */
	struct kept_reject *kept;
	uint32_t kept_count, kept_max, kept_head[REJECT_BUCKETS];
	struct given_up *given_up; /* GIVEN_UP_MAX of them */
	unsigned int given_up_count;
};

/* ---- the consumer -------------------------------------------------------------------------- */

struct peer {
	bool up;
	uint64_t target, granted, returned;
	uint64_t withheld; /* credits used for a scan that is over here: due with the next scan */
	char name[SLUICE_WIRE_NAME_MAX];
};

/* An ack or a nack that is to be sent. */
struct answer {
	struct consumer_scan *scan;
	uint64_t run;
	uint32_t sectors;
	unsigned int peer;
	bool nack;
};

/* What the plan of an armed scan says beyond SCAN_BEGIN. */
struct prepared {
	uint32_t scan; /* 0: unused */
	bool aborted;  /* before it began here */
	uint32_t consumers;
	double background, xray;
};

struct consumer_stats {
	_Atomic uint64_t runs_assembling, runs_ready, runs_in_hand, peers;
	_Atomic uint64_t runs_acked, runs_dropped, runs_repeated, runs_timed_out, runs_discarded;
	_Atomic uint64_t frames, frames_incomplete, blocks, events;
	_Atomic uint64_t blocks_twice, bad_chunks, bad_scans, scans_deserted, rejects_forgotten;
	_Atomic uint64_t answers_dropped, answers_unsendable;
	_Atomic uint64_t blocks_misplaced, given_up_forgotten;
	_Atomic uint64_t rejected[SLUICE_LOSS_COUNT];
};

struct report {
	char name[NAME_LENGTH_MAX + 1];
	double number; /* when there is no text */
	char text[SLUICE_REPORT_TEXT_MAX];
};

struct shared_value {
	uint32_t scan; /* 0: unused */
	char name[NAME_LENGTH_MAX + 1];
	char *text;
};

struct sluice_consumer {
	char id[SLUICE_WIRE_NAME_MAX], group[PLAN_GROUP_MAX];
	uint32_t window_runs, window_frames;
	uint64_t run_timeout_ns;
	uint64_t abort_timeout_ns;  /* an aborted scan that nobody ends, ends here after this */
	uint64_t absent_timeout_ns; /* an aggregator away for so long has ended its scan */
	int (*prepare)(void *ctx, const struct sluice_scan *scan, struct sluice_error *reterr);
	void *ctx;
	bool has_directory;

	struct link_receiver *receiver; /* the network thread's, once that runs */
	struct member *member;
	pthread_t thread;
	int wake_fd;
	atomic_bool stop, close; /* stop: next() is over; close: so is the network thread */
	struct consumer_stats stats;

	pthread_mutex_t lock;
	pthread_cond_t ready_cond;
	struct ready_item *ready, **ready_tail;
	struct sluice_run *done, **done_tail;
	int failure; /* why the network thread gave up, or 0 */
	struct consumer_scan scan[SCANS_MAX];
	struct prepared prepared[SCANS_MAX];
	unsigned int prepared_next;
	struct report report[REPORTS_MAX];
	struct shared_value shared[SHARED_MAX];
	unsigned int shared_next;
	struct scan_plan *plan; /* prepared last: where the other consumers are */

	struct peer peer[LINK_PEERS_MAX];  /* network thread, from here */
	struct answer answer[ANSWERS_MAX]; /* a ring */
	unsigned int answer_first, answer_count;
	struct sluice_wire_reject scratch[SLUICE_WIRE_ENTRIES_MAX];
	struct sluice_run *bucket[RUN_BUCKETS];
	uint64_t scans_begun;
};

static inline void stat_add(_Atomic uint64_t *counter, uint64_t n)
{
	(void)atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline void stat_sub(_Atomic uint64_t *counter, uint64_t n)
{
	(void)atomic_fetch_sub_explicit(counter, n, memory_order_relaxed);
}

/* consumer_run.c: network thread until the run is ready. */

/* -ENOMEM. */
int run_create(struct consumer_scan *scan, uint64_t number, struct sluice_run **ret_run);
void run_destroy(struct sluice_run *run);
/*
 * Takes the message (moves it) into the run. -EEXIST: this part is there already. -EBADMSG: it
 * does not fit what came before. -ENOMEM. On failure the message is untouched.
 */
int run_add(struct sluice_run *run, struct link_message *message, struct consumer_stats *stats);
/* Sectors that are not complete are taken out of the run, their blocks rejected as late. */
int run_give_up(struct sluice_run *run);
/* Lets go of the pixels: whoever has the run. */
void run_release(struct sluice_run *run);
/* Counts what is delivered and rejects what failed its CRC. -ENOMEM: nothing was changed. */
int run_settle(struct sluice_run *run);
static inline uint32_t scan_sectors_mask(const struct consumer_scan *scan)
{
	return (uint32_t)((UINT64_C(1) << scan->info.geometry.sectors) - 1);
}

/* Runs of so many frames that one aggregator may have here at once. */
static inline uint64_t window_of(const struct sluice_consumer *c, uint32_t run_frames)
{
	const uint64_t runs = ((uint64_t)c->window_frames + run_frames - 1) / run_frames;

	return runs > c->window_runs ? runs : c->window_runs;
}

/* consumer_scan.c: the network thread. */

/* The active scan of this number, or NULL. */
struct consumer_scan *scan_active(struct sluice_consumer *c, uint32_t scan);
/* The slot of this number, whatever its state, or NULL. Under @lock. */
struct consumer_scan *scan_slot(struct sluice_consumer *c, uint32_t scan);
/* SCAN_BEGIN came: whether @message->peer may send in the scan. If not, it is counted. */
bool scan_begin(struct sluice_consumer *c, const struct link_message *message);
/* An aggregator of this name has ended the scan. */
void scan_ended_by(struct consumer_scan *scan, const char *name);
/* Whether each aggregator has ended the scan, or has been away for absent_timeout_ns. */
bool scan_is_through(const struct sluice_consumer *c, const struct consumer_scan *scan,
		     uint64_t now);
/* The peer is gone from the scans it was in: they wait for its return, but not for ever. */
void scan_peer_lost(struct sluice_consumer *c, unsigned int peer);
/* Whether the scan has ended here without an aggregator, which may come back with more of it. */
bool scan_is_deserted(struct sluice_consumer *c, uint32_t scan);
/* No run lives any more: the end is put before next(). */
void scan_finish(struct sluice_consumer *c, struct consumer_scan *scan);
void scan_free(struct consumer_scan *scan);

/* consumer_account.c: the network thread. */

/* -ENOMEM. */
int account_open(struct consumer_scan *scan);
void account_close(struct consumer_scan *scan);
bool account_committed(const struct consumer_scan *scan, uint64_t run);
/* The run's blocks are delivered or rejected, for good; counted under @lock. */
void account_commit(struct sluice_consumer *c, const struct sluice_run *run);
/* The run was dropped: it will come again, and be judged anew. */
void account_forget(struct consumer_scan *scan, uint64_t run);
bool account_gave_up(const struct consumer_scan *scan, uint64_t run, unsigned int sector);
/*
 * Rejects the blocks of a sector that came after it was given up; each block is named once. Blocks
 * that are not of the run are counted only.
 */
void account_reject_late(struct sluice_consumer *c, struct consumer_scan *scan,
			 const struct link_message *message);
/* How many rejects are kept for these sectors of the run; up to @max of them into @dst. */
unsigned int account_rejects(const struct consumer_scan *scan, uint64_t run, uint32_t sectors,
			     struct sluice_wire_reject *dst, unsigned int max);

/* consumer.c: any thread. */

void consumer_ready_push(struct sluice_consumer *c, struct ready_item *item);
/*
 * Takes the runs of @scan (NULL: of any) that came from @owner (OWNER_NONE: from any) out of the
 * queue again, as a list by done_next. The network thread.
 */
struct sluice_run *consumer_ready_withdraw(struct sluice_consumer *c,
					   const struct consumer_scan *scan, unsigned int owner);
/* For poll() of the network thread to end. Also from a signal handler. */
void consumer_wake(struct sluice_consumer *c);

/* consumer_answer.c: the network thread. */

/* An answer for answers_send(), counted and let go when ANSWERS_MAX wait. */
void answer_push(struct sluice_consumer *c, const struct answer *answer);
/* Raises the peer's credit to what it may have; told at once if @now, else with an answer. */
void answer_grant(struct sluice_consumer *c, unsigned int peer, bool now);
/* Sends what the transport takes. */
void answers_send(struct sluice_consumer *c);

/* consumer_net.c */

void *consumer_network(void *arg);

/* consumer_member.c */

extern const struct member_ops consumer_member_ops;
/* The registration's JSON. -E2BIG. */
int consumer_info(const struct sluice_consumer *c, const char *endpoint,
		  char info[MEMBER_INFO_MAX]);

/* consumer_share.c: under @lock. */

/* [{"scan":n,"name":"...","value":"..."}]: what this process shared where there is no directory. */
json_t *consumer_shared_json(const struct sluice_consumer *c);
bool consumer_name_ok(const char *name);
/* Nobody looks any more. */
void consumer_shared_free(struct sluice_consumer *c);

#endif /* CONSUME_CONSUMER_STATE_H */
