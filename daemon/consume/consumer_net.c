/* SPDX-License-Identifier: MIT */
/*
 * The network thread: takes messages from the link, puts runs together, and sends the answers.
 * It alone touches the link and the table of runs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/wake.h>
#include <consume/consumer_state.h>

/* ---- the table of runs --------------------------------------------------------------------- */

static struct sluice_run *table_find(const struct sluice_consumer *c,
				     const struct consumer_scan *scan, uint64_t number)
{
	struct sluice_run *run = c->bucket[number % RUN_BUCKETS];

	while (run && (run->scan != scan || run->number != number))
		run = run->bucket_next;
	return run;
}

static void table_add(struct sluice_consumer *c, struct sluice_run *run)
{
	struct sluice_run **bucket = &c->bucket[run->number % RUN_BUCKETS];

	run->bucket_next = *bucket;
	*bucket = run;
	run->scan->live++;
}

/* The run is gone; its owner gets its credits back. */
static void table_remove(struct sluice_consumer *c, struct sluice_run *run)
{
	struct sluice_run **at = &c->bucket[run->number % RUN_BUCKETS];

	while (*at != run)
		at = &(*at)->bucket_next;
	*at = run->bucket_next;
	run->scan->live--;
	if (run->owner != OWNER_NONE)
		c->peer[run->owner].returned += run->credits;
	if (run->assembling)
		stat_sub(&c->stats.runs_assembling, 1);
	run_destroy(run);
}

typedef void (*run_visitor)(struct sluice_consumer *c, struct sluice_run *run, const void *arg);

/* @visit may remove the run it is given. */
static void table_visit(struct sluice_consumer *c, run_visitor visit, const void *arg)
{
	for (unsigned int i = 0; i < RUN_BUCKETS; i++) {
		for (struct sluice_run *run = c->bucket[i], *next; run; run = next) {
			next = run->bucket_next;
			visit(c, run, arg);
		}
	}
}

static void withdraw(struct sluice_consumer *c, const struct consumer_scan *scan,
		     unsigned int owner)
{
	for (struct sluice_run *run = consumer_ready_withdraw(c, scan, owner), *next; run;
	     run = next) {
		next = run->done_next;
		stat_add(&c->stats.runs_discarded, 1);
		table_remove(c, run);
	}
}

/* ---- what callers give back ---------------------------------------------------------------- */

static void run_finish(struct sluice_consumer *c, struct sluice_run *run)
{
	struct answer answer = {
		.scan = run->scan,
		.run = run->number,
		.sectors = run->dropped ? scan_sectors_mask(run->scan)
					: run->complete | run->late_complete,
		.nack = run->dropped,
	};

	if (run->dropped) {
		account_forget(run->scan, run->number);
		stat_add(&c->stats.runs_dropped, 1);
	} else {
		account_commit(c, run);
	}
	for (unsigned int p = 0; p < LINK_PEERS_MAX; p++) {
		answer.peer = p;
		if (run->ack_to >> p & 1)
			answer_push(c, &answer);
	}
	table_remove(c, run);
}

static void done_take(struct sluice_consumer *c)
{
	while (c->answer_count + LINK_PEERS_MAX <= ANSWERS_MAX) {
		struct sluice_run *run;

		(void)pthread_mutex_lock(&c->lock);
		run = c->done;
		if (run) {
			c->done = run->done_next;
			if (!c->done)
				c->done_tail = &c->done;
		}
		(void)pthread_mutex_unlock(&c->lock);
		if (!run)
			return;
		run_finish(c, run);
	}
}

/* ---- messages ------------------------------------------------------------------------------ */

static void peer_up(struct sluice_consumer *c, const struct link_message *message)
{
	struct peer *peer = &c->peer[message->peer];

	*peer = (struct peer){ .up = true, .target = c->window_runs, .granted = c->window_runs };
	memcpy(peer->name, message->name, sizeof(peer->name));
	stat_add(&c->stats.peers, 1);
}

/* A run that is in hand stays; what becomes of it is told when somebody asks. */
static void orphan(struct sluice_consumer *c, struct sluice_run *run, const void *arg)
{
	const unsigned int *peer = arg;

	run->ack_to &= ~(UINT64_C(1) << *peer);
	if (run->owner != *peer)
		return;
	run->owner = OWNER_NONE;
	if (!run->assembling)
		return;
	stat_add(&c->stats.runs_discarded, 1);
	table_remove(c, run);
}

static void peer_down(struct sluice_consumer *c, unsigned int index)
{
	if (!c->peer[index].up)
		return;
	withdraw(c, NULL, index);
	table_visit(c, orphan, &index);
	for (unsigned int i = 0; i < c->answer_count; i++) {
		struct answer *answer = &c->answer[(c->answer_first + i) % ANSWERS_MAX];

		if (answer->peer == index)
			answer->sectors = 0;
	}
	scan_peer_lost(c, index);
	c->peer[index] = (struct peer){ .up = false };
	stat_sub(&c->stats.peers, 1);
}

static void run_ready(struct sluice_consumer *c, struct sluice_run *run)
{
	run->assembling = false;
	stat_sub(&c->stats.runs_assembling, 1);
	stat_add(&c->stats.runs_ready, 1);
	consumer_ready_push(c, &run->item);
}

/* The run was committed before: the acknowledgement of the sector is given again. */
static void ack_again(struct sluice_consumer *c, struct consumer_scan *scan,
		      const struct link_message *message)
{
	const struct answer answer = { .scan = scan,
				       .run = message->run,
				       .sectors = UINT32_C(1) << message->sector,
				       .peer = message->peer };

	stat_add(&c->stats.runs_repeated, message->part == 0);
	if (account_gave_up(scan, message->run, message->sector))
		account_reject_late(c, scan, message);
	if (message->flags & SLUICE_WIRE_LAST_PART)
		answer_push(c, &answer);
}

/* Nothing of the run is here (any more): please send all of it again. */
static void ask_again(struct sluice_consumer *c, struct consumer_scan *scan,
		      const struct link_message *message, struct sluice_run *run)
{
	const struct answer answer = { .scan = scan,
				       .run = message->run,
				       .sectors = scan_sectors_mask(scan),
				       .peer = message->peer,
				       .nack = true };

	if (run) {
		stat_add(&c->stats.runs_discarded, 1);
		table_remove(c, run);
	}
	answer_push(c, &answer);
}

/* Part of a run that is with next() or with the caller: a copy, or a sector that came too late. */
static void chunk_for_busy(struct sluice_consumer *c, struct sluice_run *run,
			   const struct link_message *message)
{
	const uint32_t bit = UINT32_C(1) << message->sector;

	run->ack_to |= UINT64_C(1) << message->peer;
	stat_add(&c->stats.runs_repeated, message->part == 0);
	if (!(run->given_up & bit))
		return;
	account_reject_late(c, run->scan, message);
	if (message->flags & SLUICE_WIRE_LAST_PART)
		run->late_complete |= bit;
}

/* The run that takes the chunk, made if need be. NULL: the chunk is to be let go. */
static struct sluice_run *run_for_chunk(struct sluice_consumer *c, struct consumer_scan *scan,
					const struct link_message *message)
{
	struct sluice_run *run = table_find(c, scan, message->run);

	if (run && !run->assembling) {
		chunk_for_busy(c, run, message);
		return NULL;
	}
	if (run && run->owner != message->peer) {
		if (message->epoch <= run->epoch) {
			stat_add(&c->stats.bad_chunks, 1);
			return NULL;
		}
		/* A newer plan has given the run to another aggregator, which sends all of it. */
		stat_add(&c->stats.runs_discarded, 1);
		table_remove(c, run);
		run = NULL;
	}
	if (run)
		return run;
	if (run_create(scan, message->run, &run) < 0) {
		ask_again(c, scan, message, NULL);
		return NULL;
	}
	run->owner = message->peer;
	run->ack_to = UINT64_C(1) << message->peer;
	run->epoch = message->epoch;
	run->deadline_ns = now_ns() + c->run_timeout_ns;
	table_add(c, run);
	stat_add(&c->stats.runs_assembling, 1);
	return run;
}

/* Takes the message, or says that it is to be let go. */
static bool chunk_take(struct sluice_consumer *c, struct link_message *message)
{
	struct consumer_scan *scan = scan_active(c, message->scan);
	const bool first = message->part == 0;
	struct sluice_run *run;
	int ret;

	if (!scan || !(scan->peers >> message->peer & 1) ||
	    message->sector >= scan->info.geometry.sectors || message->run >= scan->runs) {
		stat_add(&c->stats.bad_chunks, 1);
		return false;
	}
	if (account_committed(scan, message->run)) {
		ack_again(c, scan, message);
		return false;
	}
	run = run_for_chunk(c, scan, message);
	if (!run)
		return false;
	ret = run_add(run, message, &c->stats);
	if (ret < 0) {
		if (ret != -EEXIST) {
			stat_add(&c->stats.bad_chunks, 1);
			ask_again(c, scan, message, run);
		}
		return false;
	}
	run->credits += first;
	if (run->complete == scan_sectors_mask(scan))
		run_ready(c, run);
	return true;
}

/*
 * Of a scan that has ended here without this aggregator: others may still take it. The credit is
 * kept, so that they are asked, and not this consumer over and over.
 */
static void refuse_late(struct sluice_consumer *c, const struct link_message *message)
{
	const struct sluice_wire_nack nack = { .run_first = sluice_le64(message->run),
					       .run_count = sluice_le32(1),
					       .sector = sluice_le16(message->sector),
					       .cause = sluice_le16(SLUICE_LOSS_PEER) };

	stat_add(&c->stats.bad_chunks, 1);
	c->peer[message->peer].withheld += message->part == 0;
	if (message->flags & SLUICE_WIRE_LAST_PART)
		(void)link_nack(c->receiver, message->peer, message->scan, &nack, 1);
}

/* The link has seen to it that the peer had a credit; a chunk that is let go gives it back. */
static void chunk_received(struct sluice_consumer *c, struct link_message *message)
{
	const bool first = message->part == 0;

	if (!scan_active(c, message->scan) && scan_is_deserted(c, message->scan))
		refuse_late(c, message);
	else if (chunk_take(c, message))
		return;
	else
		c->peer[message->peer].returned += first;
	link_message_release(message);
}

struct leaving {
	const struct consumer_scan *scan;
	unsigned int owner; /* OWNER_NONE: whoever */
};

static void discard(struct sluice_consumer *c, struct sluice_run *run, const void *arg)
{
	const struct leaving *leaving = arg;

	if (!run->assembling || run->scan != leaving->scan ||
	    (leaving->owner != OWNER_NONE && run->owner != leaving->owner))
		return;
	stat_add(&c->stats.runs_discarded, 1);
	table_remove(c, run);
}

/* Nobody waits any more for what the aggregator sent in this scan: it is on the sources' books. */
static void discard_runs(struct sluice_consumer *c, const struct consumer_scan *scan,
			 unsigned int owner)
{
	const struct leaving leaving = { .scan = scan, .owner = owner };

	withdraw(c, scan, owner);
	table_visit(c, discard, &leaving);
}

static void scan_left_by(struct sluice_consumer *c, struct consumer_scan *scan, unsigned int peer)
{
	discard_runs(c, scan, peer);
	scan_ended_by(scan, c->peer[peer].name);
}

static void scan_begin_received(struct sluice_consumer *c, const struct link_message *message)
{
	const uint64_t bit = UINT64_C(1) << message->peer;

	if (!scan_begin(c, message))
		return;
	answer_grant(c, message->peer, true);
	/* An aggregator is in one scan at a time: what it did not end, it has forgotten. */
	for (unsigned int i = 0; i < SCANS_MAX; i++) {
		struct consumer_scan *scan = &c->scan[i];

		if (scan->active && (scan->peers & bit) && scan->info.scan != message->scan)
			scan_left_by(c, scan, message->peer);
	}
}

static void scan_end_received(struct sluice_consumer *c, const struct link_message *message)
{
	struct consumer_scan *scan = scan_active(c, message->scan);

	if (scan && (scan->peers >> message->peer & 1))
		scan_left_by(c, scan, message->peer);
}

static void message_received(struct sluice_consumer *c, struct link_message *message)
{
	if (message->peer >= LINK_PEERS_MAX)
		goto release;
	switch (message->type) {
	case LINK_MESSAGE_CHUNK:
		chunk_received(c, message);
		return;
	case LINK_MESSAGE_PEER_UP:
		peer_down(c, message->peer);
		peer_up(c, message);
		break;
	case LINK_MESSAGE_PEER_DOWN:
		peer_down(c, message->peer);
		break;
	case LINK_MESSAGE_SCAN_BEGIN:
		scan_begin_received(c, message);
		break;
	case LINK_MESSAGE_SCAN_END:
		scan_end_received(c, message);
		break;
	}
release:
	link_message_release(message);
}

/* ---- the round ----------------------------------------------------------------------------- */

static void give_up_late(struct sluice_consumer *c, struct sluice_run *run, const void *arg)
{
	const uint64_t *now = arg;

	if (!run->assembling || run->deadline_ns > *now || run_give_up(run) < 0)
		return;
	stat_add(&c->stats.runs_timed_out, 1);
	run_ready(c, run);
}

static void scan_look(struct sluice_consumer *c, struct consumer_scan *scan, uint64_t now)
{
	uint64_t abort_ns;

	(void)pthread_mutex_lock(&c->lock);
	abort_ns = scan->abort_ns;
	(void)pthread_mutex_unlock(&c->lock);
	/* As a rule the sources end an aborted scan, and the aggregators pass it on. */
	if (scan->active && abort_ns != 0 && abort_ns <= now) {
		scan->active = false;
		scan->aborting = true;
		discard_runs(c, scan, OWNER_NONE);
	}
	if (!scan->aborting && !scan_is_through(c, scan, now))
		return;
	if (scan->live == 0 && scan->answers == 0)
		scan_finish(c, scan);
}

static int receive_some(struct sluice_consumer *c)
{
	for (unsigned int i = 0; i < RECEIVE_BATCH; i++) {
		struct link_message message = { 0 };
		const int ret = link_receive(c->receiver, &message);

		if (ret == -EAGAIN)
			return 0;
		if (ret < 0)
			return ret;
		message_received(c, &message);
	}
	return 0;
}

static int network_round(struct sluice_consumer *c, uint64_t *swept_ns)
{
	struct link_pollitem item[] = { { .receiver = c->receiver }, { .fd = c->wake_fd } };
	const int polled = link_poll(item, 2, ROUND_NS);
	int ret;

	if (polled < 0 && polled != -EINTR)
		return polled;
	if (item[1].ready)
		wake_take(c->wake_fd);
	done_take(c);
	ret = receive_some(c);
	if (ret < 0)
		return ret;
	if (now_ns() - *swept_ns >= SWEEP_NS) {
		*swept_ns = now_ns();
		table_visit(c, give_up_late, swept_ns);
	}
	answers_send(c);
	for (unsigned int i = 0; i < SCANS_MAX; i++) {
		if (c->scan[i].active || c->scan[i].aborting)
			scan_look(c, &c->scan[i], now_ns());
	}
	for (unsigned int p = 0; p < LINK_PEERS_MAX; p++)
		answer_grant(c, p, true);
	return 0;
}

void *consumer_network(void *arg)
{
	struct sluice_consumer *c = arg;
	uint64_t swept_ns = 0;
	int ret = 0;

	while (ret == 0 && !atomic_load(&c->close)) {
		ret = network_round(c, &swept_ns);
		/* A signal handler cannot wake next(): this thread does it for stop(). */
		if (ret < 0 || atomic_load(&c->stop)) {
			(void)pthread_mutex_lock(&c->lock);
			c->failure = ret;
			(void)pthread_cond_broadcast(&c->ready_cond);
			(void)pthread_mutex_unlock(&c->lock);
		}
	}
	/* What was acknowledged just before close() still goes out. */
	done_take(c);
	answers_send(c);
	return NULL;
}
