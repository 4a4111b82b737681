/* SPDX-License-Identifier: MIT */
/*
 * Runs on their way through an aggregator.
 *
 *   chunk comes -> run known? -> has a consumer? -> forward, else hold
 *   credit comes -> held chunks in order of arrival: choose a consumer, forward
 *   acknowledged for every sector -> forgotten
 *
 * Every source sends its runs in the same order, so the first chunk of an earlier run always
 * comes before that of a later one, and consumers are given out in that order: the chunk that a
 * consumer's run lacks is never behind one that waits for credit.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <sluice/stats.h>

#include <base/clock.h>
#include <base/log.h>

#include "aggregator.h"

/* A source that is away for so long does not come back into this scan. */
#define SOURCE_GONE_NS (10 * NS_PER_S)

static uint32_t all_sectors(const struct aggregator *a)
{
	return a->plan->geometry.sectors == 32 ? UINT32_MAX
					       : (UINT32_C(1) << a->plan->geometry.sectors) - 1;
}

static unsigned int count_bits(uint32_t set)
{
	return (unsigned int)__builtin_popcount(set);
}

/*
 * A run lies at its number modulo RUNS_MAX, or anywhere if that place is taken: one that stays
 * long must not keep a later one out.
 */
static struct run *find_run(struct aggregator *a, uint64_t number)
{
	struct run *run = &a->run[number % RUNS_MAX];

	if (run->used && run->number == number)
		return run;
	for (unsigned int i = 0; a->runs_displaced > 0 && i < RUNS_MAX; i++) {
		if (a->run[i].used && a->run[i].number == number)
			return &a->run[i];
	}
	return NULL;
}

static bool is_displaced(const struct aggregator *a, const struct run *run)
{
	return run != &a->run[run->number % RUNS_MAX];
}

/* NULL: RUNS_MAX runs are on their way. */
static struct run *get_run(struct aggregator *a, uint64_t number)
{
	struct run *run = find_run(a, number);

	if (run || a->runs_open == RUNS_MAX)
		return run;
	run = &a->run[number % RUNS_MAX];
	for (unsigned int i = 0; run->used; i++)
		run = &a->run[i];
	*run = (struct run){ .number = number, .consumer = NO_CONSUMER, .used = true };
	a->runs_open++;
	a->runs_displaced += is_displaced(a, run);
	return run;
}

static void leave_consumer(struct aggregator *a, struct run *run)
{
	struct consumer *c;

	if (run->consumer == NO_CONSUMER)
		return;
	c = &a->consumer[run->consumer];
	assert(c->runs > 0);
	c->runs--;
	c->reserved -= count_bits(all_sectors(a) & ~run->started);
	run->consumer = NO_CONSUMER;
}

static void forget_run(struct aggregator *a, struct run *run)
{
	for (uint16_t s = 0; run->owed != 0; s++)
		credit_give_back(a, run, s);
	leave_consumer(a, run);
	a->runs_displaced -= is_displaced(a, run);
	run->used = false;
	a->runs_open--;
}

void route_reset(struct aggregator *a)
{
	for (uint32_t i = 0; i < a->held_count; i++)
		link_message_release(&a->held[i]);
	a->held_count = 0;
	for (unsigned int i = 0; i < RUNS_MAX; i++) {
		if (a->run[i].used)
			forget_run(a, &a->run[i]);
	}
}

/* ---- what the sources are told ------------------------------------------------------------- */

static void clear_answer(struct answer *answer)
{
	answer->acks = answer->rejects = answer->nacks = 0;
}

/* Tells the source of sector @s what is put down for it, as far as the link takes it now. */
static void tell_source(struct aggregator *a, uint16_t s)
{
	const uint16_t peer = a->peer_of_sector[s];
	struct answer *answer = &a->answer[s];
	int ret;

	if (peer == NO_PEER) {
		/* Its next session sends anew what it was not told of. */
		clear_answer(answer);
		return;
	}
	if (answer->acks + answer->rejects > 0) {
		ret = link_ack(a->receiver, peer, a->plan->scan, answer->ack, answer->acks,
			       answer->reject, answer->rejects);
		if (ret == -EAGAIN)
			return;
		if (ret < 0)
			count_add(&a->stats.answers_lost, answer->acks + answer->rejects);
		answer->acks = answer->rejects = 0;
	}
	if (answer->nacks > 0) {
		ret = link_nack(a->receiver, peer, a->plan->scan, answer->nack, answer->nacks);
		if (ret == -EAGAIN)
			return;
		if (ret < 0)
			count_add(&a->stats.answers_lost, answer->nacks);
		answer->nacks = 0;
	}
}

void route_begin(struct aggregator *a)
{
	route_reset(a);
	plan_to_wire(a->plan, &a->scan);
	a->sectors_ended = 0;
	memset(a->sector_down_ns, 0, sizeof(a->sector_down_ns));
	a->aborted = false;
	for (unsigned int s = 0; s < SLUICE_SECTORS_MAX; s++) {
		a->peer_of_sector[s] = NO_PEER;
		clear_answer(&a->answer[s]);
	}
	for (unsigned int i = 0; i < CONSUMERS_MAX; i++) {
		a->consumer[i].scan_told = false;
		a->consumer[i].end_told = false;
		a->consumer[i].runs_acked = 0;
	}
}

/* The answer for sector @s, with room for so many entries more. */
static struct answer *make_room(struct aggregator *a, uint16_t s, unsigned int acks,
				unsigned int rejects, unsigned int nacks)
{
	struct answer *answer = &a->answer[s];

	assert(acks <= SLUICE_WIRE_ENTRIES_MAX);
	assert(rejects <= SLUICE_WIRE_ENTRIES_MAX);
	if (answer->acks + acks <= SLUICE_WIRE_ENTRIES_MAX &&
	    answer->rejects + rejects <= SLUICE_WIRE_ENTRIES_MAX &&
	    answer->nacks + nacks <= SLUICE_WIRE_ENTRIES_MAX)
		return answer;
	tell_source(a, s);
	if (answer->acks + answer->rejects + answer->nacks > 0) {
		const unsigned int lost = answer->acks + answer->rejects + answer->nacks;

		log_err("scan %" PRIu32 ": the source of sector %u does not take its answers, "
			"%u of them are lost",
			a->plan->scan, s, lost);
		count_add(&a->stats.answers_lost, lost);
		clear_answer(answer);
	}
	return answer;
}

/* ---- towards the consumers --------------------------------------------------------------- */

static bool assign(struct aggregator *a, struct run *run)
{
	const uint16_t index = consumers_choose(a);
	struct consumer *c;

	if (index == NO_CONSUMER)
		return false;
	c = &a->consumer[index];
	run->consumer = index;
	c->runs++;
	c->reserved += count_bits(all_sectors(a) & ~run->started);
	count_add(&a->stats.runs_assigned, 1);
	return true;
}

/* True: the message has left, to the run's consumer. */
static bool forward(struct aggregator *a, struct run *run, struct link_message *m)
{
	/* Before the message is gone: link_forward() takes it. */
	const uint32_t bit = UINT32_C(1) << m->sector;
	const uint16_t sector = m->sector, flags = m->flags;
	struct consumer *c;
	void *ticket = NULL;

	if (run->consumer == NO_CONSUMER && !assign(a, run))
		return false;
	c = &a->consumer[run->consumer];
	if ((flags & SLUICE_WIRE_LAST_PART) && m->payload_bytes > 0 && (run->owed & bit))
		ticket = credit_ticket(a, m->peer);
	if (link_forward(c->link, m, ticket) < 0)
		return false;
	if (ticket) {
		c->forwarded++;
		run->owed &= ~bit;
	} else if (flags & SLUICE_WIRE_LAST_PART) {
		credit_give_back(a, run, sector);
	}
	if (!(run->started & bit)) {
		assert(c->reserved > 0);
		c->reserved--;
		run->started |= bit;
	}
	return true;
}

static bool is_known(const struct aggregator *a, const struct link_message *m)
{
	return a->active && m->scan == a->plan->scan && m->sector < a->plan->geometry.sectors &&
	       m->run < plan_runs(a->plan);
}

/* Of no run that has room here. Only part 0 was paid for. */
static void refuse(struct aggregator *a, struct link_message *m)
{
	count_add(&a->stats.refused, 1);
	if (m->part == 0)
		a->grant[m->peer]++;
	link_message_release(m);
}

/* False: a part of a pass whose beginning was forgotten; the source has begun anew, or will. */
static bool is_of_this_pass(struct aggregator *a, struct run *run, const struct link_message *m)
{
	const uint32_t bit = UINT32_C(1) << m->sector;

	if (m->part > 0)
		return run->begun & bit;
	credit_give_back(a, run, m->sector); /* of a pass that was broken off at the source */
	a->peer_of_sector[m->sector] = (uint16_t)m->peer;
	run->begun |= bit;
	run->owed |= bit;
	return true;
}

static void take_chunk(struct aggregator *a, struct link_message *m)
{
	struct run *run;

	count_add(&a->stats.chunks, 1);
	count_add(&a->stats.bytes, m->payload_bytes);
	count_add(&a->stats.blocks, m->block_count);
	if (!is_known(a, m)) {
		refuse(a, m);
		return;
	}
	run = m->part == 0 ? get_run(a, m->run) : find_run(a, m->run);
	if (!run && m->part == 0) {
		refuse(a, m);
		return;
	}
	if (!run || !is_of_this_pass(a, run, m)) {
		count_add(&a->stats.outdated, 1);
		link_message_release(m);
		return;
	}
	/* What is held of this run goes first: parts keep their order. */
	if (run->held == 0 && forward(a, run, m))
		return;
	assert(a->held_count < HELD_MAX); /* route_receive() takes no more than there is room for */
	link_message_move(&a->held[a->held_count++], m);
	run->held++;
}

void route_forward(struct aggregator *a)
{
	uint32_t kept = 0;
	bool out_of_credit = false;

	for (uint32_t i = 0; i < a->held_count; i++) {
		struct link_message *m = &a->held[i];
		struct run *run = find_run(a, m->run);

		assert(run && run->held > 0);
		/* A run that found no consumer: those behind it find none either. */
		if ((out_of_credit && run->consumer == NO_CONSUMER) || !forward(a, run, m)) {
			out_of_credit |= run->consumer == NO_CONSUMER;
			if (kept != i)
				link_message_move(&a->held[kept], m);
			kept++;
			continue;
		}
		run->held--;
	}
	a->held_count = kept;
	atomic_store_explicit(&a->stats.held, kept, memory_order_relaxed);
	for (uint16_t s = 0; s < a->plan->geometry.sectors; s++)
		tell_source(a, s);
	for (unsigned int p = 0; p < LINK_PEERS_MAX; p++) {
		credit_collect(a, p);
		if (a->grant[p] > 0)
			(void)link_grant(a->receiver, p, a->grant[p], true);
		a->grant[p] = 0;
	}
}

/* ---- from the sources ---------------------------------------------------------------------- */

/* What is held of a source that is gone: its next session sends it again, on its own credit. */
static void drop_held_of(struct aggregator *a, unsigned int peer)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < a->held_count; i++) {
		struct link_message *m = &a->held[i];

		if (m->peer == peer) {
			find_run(a, m->run)->held--;
			link_message_release(m);
			continue;
		}
		if (kept != i)
			link_message_move(&a->held[kept], m);
		kept++;
	}
	a->held_count = kept;
}

static void source_is_down(struct aggregator *a, const struct link_message *m)
{
	uint32_t gone = 0;

	drop_held_of(a, m->peer);
	for (unsigned int s = 0; s < SLUICE_SECTORS_MAX; s++) {
		if (a->peer_of_sector[s] != m->peer)
			continue;
		a->peer_of_sector[s] = NO_PEER;
		gone |= UINT32_C(1) << s;
	}
	/* Its successor begins with a window of its own, and every run with part 0. */
	for (unsigned int i = 0; i < RUNS_MAX; i++) {
		a->run[i].begun &= ~gone;
		a->run[i].owed &= ~gone;
	}
	a->sector_of_peer[m->peer] = 0;
	credit_end_session(a, m->peer);
	log_warn("source %s: disconnected", m->name);
}

static void source_has_ended(struct aggregator *a, const struct link_message *m)
{
	if (!a->active || m->scan != a->plan->scan || m->sector >= a->plan->geometry.sectors)
		return;
	a->sectors_ended |= UINT32_C(1) << m->sector;
	if (a->sectors_ended == all_sectors(a) && a->runs_open > 0) {
		/* The sources have given up what is still here: their ledger names it. */
		log_warn("scan %" PRIu32 ": ended by the sources with %u runs not acknowledged",
			 m->scan, a->runs_open);
		route_reset(a);
	}
}

static bool is_connected(const struct aggregator *a, unsigned int sector)
{
	for (unsigned int p = 0; p < LINK_PEERS_MAX; p++) {
		if (a->sector_of_peer[p] == sector + 1)
			return true;
	}
	return false;
}

void route_look_at_sources(struct aggregator *a)
{
	for (unsigned int s = 0; s < a->plan->geometry.sectors; s++) {
		const uint32_t bit = UINT32_C(1) << s;

		if ((a->sectors_ended & bit) || is_connected(a, s)) {
			a->sector_down_ns[s] = 0;
		} else if (a->sector_down_ns[s] == 0) {
			a->sector_down_ns[s] = now_ns();
		} else if (now_ns() - a->sector_down_ns[s] > SOURCE_GONE_NS) {
			log_err("scan %" PRIu32 ": the source of sector %u (%s) is gone: what it "
				"has not sent will not come",
				a->plan->scan, s, a->plan->board[s].id);
			a->sectors_ended |= bit;
		}
	}
}

void route_receive(struct aggregator *a)
{
	struct link_message m;

	while (a->held_count < HELD_MAX && link_receive(a->receiver, &m) == 0) {
		switch (m.type) {
		case LINK_MESSAGE_CHUNK:
			take_chunk(a, &m);
			continue; /* it is forwarded, held or released */
		case LINK_MESSAGE_PEER_DOWN:
			source_is_down(a, &m);
			break;
		case LINK_MESSAGE_SCAN_END:
			source_has_ended(a, &m);
			break;
		case LINK_MESSAGE_PEER_UP:
			a->sector_of_peer[m.peer] = (uint16_t)(m.sector + 1);
			break;
		case LINK_MESSAGE_SCAN_BEGIN: /* the plan has said it already */
			break;
		}
		link_message_release(&m);
	}
}

/* ---- back from the consumers --------------------------------------------------------------- */

static void mark_acked(struct aggregator *a, uint16_t consumer, const struct sluice_wire_ack *ack)
{
	const uint64_t first = sluice_u64(ack->run_first);
	const uint32_t bit = UINT32_C(1) << sluice_u16(ack->sector);
	uint32_t count = sluice_u32(ack->run_count);

	/* No more runs than there can be: a peer's number does not set the length of our loop. */
	for (count = count < RUNS_MAX ? count : RUNS_MAX; count > 0; count--) {
		struct run *run = find_run(a, first + count - 1);

		if (!run || run->consumer != consumer)
			continue;
		run->acked |= bit;
		if ((run->acked & all_sectors(a)) == all_sectors(a) && run->held == 0) {
			a->consumer[consumer].runs_acked++;
			forget_run(a, run);
			count_add(&a->stats.runs_done, 1);
		}
	}
}

/* Puts the entries of sector @s down for the source that sent it. */
static void take_answer(struct aggregator *a, uint16_t consumer, const struct link_event *event,
			uint16_t s)
{
	struct answer *answer = make_room(a, s, event->acks, event->rejects, 0);

	for (unsigned int i = 0; i < event->acks; i++) {
		if (sluice_u16(event->ack[i].sector) != s)
			continue;
		mark_acked(a, consumer, &event->ack[i]);
		answer->ack[answer->acks++] = event->ack[i];
		count_add(&a->stats.acks, 1);
	}
	for (unsigned int i = 0; i < event->rejects; i++) {
		if (sluice_u16(event->reject[i].sector) != s)
			continue;
		answer->reject[answer->rejects++] = event->reject[i];
		count_add(&a->stats.rejects, 1);
	}
}

void route_acknowledge(struct aggregator *a, uint16_t consumer, const struct link_event *event)
{
	if (!a->active || event->scan != a->plan->scan)
		return;
	for (uint16_t s = 0; s < a->plan->geometry.sectors; s++)
		take_answer(a, consumer, event, s);
}

/* Asks every source for the run again and forgets what is here of it. */
static void ask_again(struct aggregator *a, struct run *run, enum sluice_loss cause)
{
	const uint64_t number = run->number;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < a->held_count; i++) {
		if (a->held[i].run == number) {
			link_message_release(&a->held[i]);
			continue;
		}
		if (kept != i)
			link_message_move(&a->held[kept], &a->held[i]);
		kept++;
	}
	a->held_count = kept;
	forget_run(a, run);
	for (uint16_t s = 0; s < a->plan->geometry.sectors; s++) {
		const struct sluice_wire_nack nack = { .run_first = sluice_le64(number),
						       .run_count = sluice_le32(1),
						       .sector = sluice_le16(s),
						       .cause = sluice_le16(cause) };
		struct answer *answer = make_room(a, s, 0, 0, 1);

		answer->nack[answer->nacks++] = nack;
	}
	count_add(&a->stats.runs_reassigned, 1);
}

void route_nack(struct aggregator *a, uint16_t consumer, const struct link_event *event)
{
	if (!a->active || event->scan != a->plan->scan)
		return;
	for (unsigned int i = 0; i < event->nacks; i++) {
		uint32_t count = sluice_u32(event->nack[i].run_count);

		for (count = count < RUNS_MAX ? count : RUNS_MAX; count > 0; count--) {
			struct run *run = find_run(a, sluice_u64(event->nack[i].run_first) + count -
							      1);

			if (run && run->consumer == consumer)
				ask_again(a, run, sluice_u16(event->nack[i].cause));
		}
	}
}

void route_reassign(struct aggregator *a, uint16_t consumer)
{
	for (unsigned int i = 0; a->consumer[consumer].runs > 0 && i < RUNS_MAX; i++) {
		if (a->run[i].used && a->run[i].consumer == consumer)
			ask_again(a, &a->run[i], SLUICE_LOSS_PEER);
	}
	a->consumer[consumer].reserved = 0;
}
