/* SPDX-License-Identifier: MIT */
/* The sender thread of an outlet: sends, sends again, and lets go of what is acknowledged. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <base/clock.h>
#include <base/count.h>
#include <base/error.h>
#include <base/log.h>
#include <base/wake.h>

#include "outlet_state.h"

#define TICK_NS    UINT64_C(50000000)   /* the sender looks around at least so often */
#define GOODBYE_NS UINT64_C(1000000000) /* for the scan-end to be sent */

static void queue_push(struct parcel_queue *q, uint32_t index)
{
	assert(queue_count(q) < OUTLET_PARCELS);
	q->slot[q->tail++ % OUTLET_PARCELS] = index;
}

static void queue_push_front(struct parcel_queue *q, uint32_t index)
{
	assert(queue_count(q) < OUTLET_PARCELS);
	q->slot[--q->head % OUTLET_PARCELS] = index;
}

static uint32_t queue_at(const struct parcel_queue *q, uint32_t i)
{
	return q->slot[(q->head + i) % OUTLET_PARCELS];
}

static void send_home(struct outlet *o, uint32_t index)
{
	struct parcel *p = &o->parcel[index];
	bool pushed;

	if (p->chunk) {
		uint32_t *left = &o->chunk_parcels[p->chunk->index];

		assert(*left > 0);
		if (--*left == 0)
			ring_release(o->args.ring, p->chunk, o->args.aggregator);
	}
	pushed = spsc_push(&o->home, index);
	assert(pushed);
	wake_post(o->args.reader_wake);
}

/* An acknowledged parcel goes home, or lingers until the transport lets go of it. */
static void retire(struct outlet *o, uint32_t index)
{
	if (atomic_load_explicit(&o->parcel[index].wire_copies, memory_order_acquire) == 0)
		send_home(o, index);
	else
		queue_push(&o->lingering, index);
}

static void look_at_lingering(struct outlet *o)
{
	for (uint32_t n = queue_count(&o->lingering); n > 0; n--) {
		const uint32_t index = queue_at(&o->lingering, 0);

		o->lingering.head++;
		retire(o, index);
	}
}

/* Gives how many blocks had no fate before. */
static uint64_t settle(struct outlet *o, struct parcel *p, unsigned int fate)
{
	uint64_t moved = 0;

	for (uint16_t i = 0; i < p->block_count; i++)
		moved += tally_set(o->args.tally, sluice_u64(p->table[i].frame), 1, fate);
	return moved;
}

/* Acknowledged parcels leave from the front; those behind an unacknowledged one wait for it. */
static void pop_acked(struct outlet *o)
{
	while (queue_count(&o->in_flight) > 0 && o->parcel[queue_at(&o->in_flight, 0)].acked) {
		const uint32_t index = queue_at(&o->in_flight, 0);

		o->in_flight.head++;
		retire(o, index);
	}
}

static void take_rejects(struct outlet *o, const struct link_event *event)
{
	for (unsigned int i = 0; i < event->rejects; i++) {
		const struct sluice_wire_reject *r = &event->reject[i];
		const uint64_t frame = sluice_u64(r->frame);
		const uint16_t cause = sluice_u16(r->cause);

		if (sluice_u16(r->sector) != o->args.sector ||
		    frame >= o->args.plan->frames_expected || cause == SLUICE_LOSS_NONE ||
		    cause >= SLUICE_LOSS_COUNT || tally_fate(o->args.tally, frame) != TALLY_SEEN)
			continue;
		count_add(&o->stats.blocks_rejected,
			  tally_set(o->args.tally, frame, 1, TALLY_LOST + cause));
	}
}

static void take_ack(struct outlet *o, const struct link_event *event)
{
	/* First what is excepted: a block that is lost by name stays so. */
	take_rejects(o, event);
	for (unsigned int a = 0; a < event->acks; a++) {
		const uint64_t first = sluice_u64(event->ack[a].run_first);
		const uint64_t count = sluice_u32(event->ack[a].run_count);

		if (sluice_u16(event->ack[a].sector) != o->args.sector)
			continue;
		for (uint32_t i = 0; i < queue_count(&o->in_flight); i++) {
			struct parcel *p = &o->parcel[queue_at(&o->in_flight, i)];

			if (p->acked || p->run < first || p->run - first >= count)
				continue;
			count_add(&o->stats.blocks_acked, settle(o, p, TALLY_DELIVERED));
			p->acked = true;
			atomic_store(&o->progress_ns, now_ns());
		}
	}
	pop_acked(o);
}

/* Parcels in flight for which @again says so go back to the front of what is pending, in order. */
static void send_again(struct outlet *o, uint64_t first, uint64_t count)
{
	struct parcel_queue kept = { .head = 0, .tail = 0 };

	for (uint32_t i = queue_count(&o->in_flight); i > 0; i--) {
		const uint32_t index = queue_at(&o->in_flight, i - 1);
		struct parcel *p = &o->parcel[index];

		if (p->acked || p->run < first || p->run - first >= count) {
			queue_push_front(&kept, index);
			continue;
		}
		p->flags |= SLUICE_WIRE_RESENT;
		queue_push_front(&o->pending, index);
		count_add(&o->stats.parcels_resent, 1);
	}
	o->in_flight = kept;
	pop_acked(o);
}

static void take_nack(struct outlet *o, const struct link_event *event)
{
	for (unsigned int i = 0; i < event->nacks; i++) {
		if (sluice_u16(event->nack[i].sector) == o->args.sector)
			send_again(o, sluice_u64(event->nack[i].run_first),
				   sluice_u32(event->nack[i].run_count));
	}
}

static void link_is_up(struct outlet *o)
{
	/* Nothing sent in an earlier session counts: all of it again, with its run's first part. */
	o->scan_told = false;
	send_again(o, 0, UINT64_MAX);
	atomic_store(&o->link_state, LINK_STATE_UP);
}

static void take_events(struct outlet *o)
{
	struct link_event event;

	while (link_sender_next(o->link, &event) == 0) {
		switch (event.type) {
		case LINK_EVENT_UP:
			link_is_up(o);
			break;
		case LINK_EVENT_REFUSED:
			(void)memcpy(o->refusal, event.text, sizeof(o->refusal));
			o->refusal[sizeof(o->refusal) - 1] = '\0';
			/* Release by default: pairs with the load in outlet_wait_up(). */
			atomic_store(&o->link_state, LINK_STATE_REFUSED);
			break;
		case LINK_EVENT_ACK:
			take_ack(o, &event);
			break;
		case LINK_EVENT_NACK:
			take_nack(o, &event);
			break;
		case LINK_EVENT_DOWN:
		case LINK_EVENT_CREDIT:
			break;
		}
	}
}

static int send_one(struct outlet *o, uint32_t index)
{
	const struct scan_plan *plan = o->args.plan;
	struct parcel *p = &o->parcel[index];
	const struct link_chunk chunk = {
		.scan = plan->scan,
		.epoch = plan->epoch,
		.run = p->run,
		.sector = o->args.sector,
		.part = p->part,
		.flags = p->flags,
		.block_count = p->block_count,
		.table = p->table,
		.payload = p->payload,
		.payload_bytes = p->payload_bytes,
		.cookie = p,
	};
	int ret;

	if (!o->scan_told) {
		ret = link_send_scan_begin(o->link, plan->scan, plan->epoch, &o->scan);
		if (ret < 0)
			return ret;
		o->scan_told = true;
	}
	if (p->payload_bytes > 0)
		atomic_fetch_add_explicit(&p->wire_copies, 1, memory_order_relaxed);
	ret = link_send(o->link, &chunk);
	if (ret < 0 && p->payload_bytes > 0)
		atomic_fetch_sub_explicit(&p->wire_copies, 1, memory_order_relaxed);
	return ret;
}

static void send_pending(struct outlet *o)
{
	uint32_t index;

	while (spsc_pop(&o->queue, &index)) {
		/* From idle to busy: the time without an acknowledgement begins now. */
		if (queue_count(&o->pending) + queue_count(&o->in_flight) == 0)
			atomic_store(&o->progress_ns, now_ns());
		queue_push(&o->pending, index);
	}
	while (queue_count(&o->pending) > 0) {
		index = queue_at(&o->pending, 0);
		if (send_one(o, index) < 0)
			break;
		o->pending.head++;
		queue_push(&o->in_flight, index);
		count_add(&o->stats.parcels_sent, 1);
	}
	atomic_store_explicit(&o->stats.pending, queue_count(&o->pending), memory_order_relaxed);
	atomic_store_explicit(&o->stats.in_flight, queue_count(&o->in_flight),
			      memory_order_relaxed);
}

/* Nobody takes what is due: all of it is lost by name, and whatever still comes. */
void outlet_give_up(struct outlet *outlet)
{
	struct outlet *o = outlet;
	struct parcel_queue *const queues[] = { &o->in_flight, &o->pending };
	const uint64_t waited_ns = atomic_load(&o->give_up_ns);
	uint32_t pushed;

	/* The sender may have ended before it took what was pushed last. */
	while (spsc_pop(&o->queue, &pushed))
		queue_push(&o->pending, pushed);
	/* 0: the scan is taken back, and nobody waited. */
	if (!o->gave_up && waited_ns > 0 &&
	    queue_count(&o->pending) + queue_count(&o->in_flight) > 0)
		log_err("board %s: aggregator %s acknowledged nothing for %" PRIu64
			" ms: what it was to get is lost",
			o->args.name, o->peer, waited_ns / NS_PER_MS);
	o->gave_up = true;
	for (unsigned int q = 0; q < 2; q++) {
		while (queue_count(queues[q]) > 0) {
			const uint32_t index = queue_at(queues[q], 0);

			queues[q]->head++;
			count_add(&o->stats.blocks_given_up,
				  settle(o, &o->parcel[index], TALLY_LOST + SLUICE_LOSS_PEER));
			retire(o, index);
		}
	}
	look_at_lingering(o);
}

static bool is_overdue(const struct outlet *o)
{
	if (queue_count(&o->pending) + queue_count(&o->in_flight) == 0)
		return false;
	return o->gave_up || now_ns() - atomic_load(&o->progress_ns) > atomic_load(&o->give_up_ns);
}

static bool sender_done(struct outlet *o)
{
	/* Acquire: pairs with the release in outlet_finish(); nothing is pushed any more. */
	if (!atomic_load_explicit(&o->finishing, memory_order_acquire))
		return false;
	/* Only now is "empty" final. */
	send_pending(o);
	return queue_count(&o->pending) + queue_count(&o->in_flight) == 0;
}

static void sleep_until_work(struct outlet *o)
{
	struct link_pollitem item[] = { { .sender = o->link }, { .fd = o->wake } };
	/* Lingering parcels are let go of without a word: look again soon. */
	const uint64_t tick_ns = queue_count(&o->lingering) > 0 ? NS_PER_MS : TICK_NS;

	atomic_store(&o->asleep, true);
	atomic_thread_fence(memory_order_seq_cst);
	/* The last look: what was pushed before it saw us asleep would wake nobody. */
	if (atomic_load(&o->queue.head) != atomic_load(&o->queue.tail)) {
		atomic_store(&o->asleep, false);
		return;
	}
	(void)link_poll(item, 2, tick_ns);
	atomic_store(&o->asleep, false);
	if (item[1].ready)
		wake_take(o->wake);
}

/*
 * Also where the outlet gave up, if somebody is there to be told: whoever waits for what is lost
 * must not wait on. Of a scan that was taken back nobody need hear.
 */
static void say_goodbye(struct outlet *o)
{
	const struct sluice_wire_scan_end end = {
		.frames_expected = sluice_le64(o->args.plan->frames_expected),
		.blocks_acked = sluice_le64(atomic_load(&o->stats.blocks_acked)),
		.blocks_lost = sluice_le64(atomic_load(&o->stats.blocks_rejected) +
					   atomic_load(&o->stats.blocks_given_up)),
	};
	const uint64_t deadline_ns = now_ns() + GOODBYE_NS;

	if (o->gave_up && atomic_load(&o->give_up_ns) == 0)
		return;
	while (now_ns() < deadline_ns) {
		struct link_pollitem item = { .sender = o->link };
		int ret = 0;

		take_events(o);
		if (!o->scan_told)
			ret = link_send_scan_begin(o->link, o->args.plan->scan, o->args.plan->epoch,
						   &o->scan);
		if (ret == 0) {
			o->scan_told = true;
			ret = link_send_scan_end(o->link, o->args.plan->scan, o->args.plan->epoch,
						 o->args.sector, &end);
		}
		if (ret == 0 || (ret == -ENOTCONN && o->gave_up))
			return;
		(void)link_poll(&item, 1, TICK_NS);
	}
}

void *outlet_sender(void *arg)
{
	struct outlet *o = arg;
	struct sluice_error error = { 0 };

	if (thread_pin_to_node(o->args.node, &error) < 0)
		log_warn("board %s: %s", o->args.name, error.text);
	while (!atomic_load(&o->stop)) {
		take_events(o);
		look_at_lingering(o);
		send_pending(o);
		if (is_overdue(o))
			outlet_give_up(o);
		if (sender_done(o)) {
			say_goodbye(o);
			break;
		}
		sleep_until_work(o);
	}
	atomic_store(&o->done, true);
	wake_post(o->args.finished_wake);
	return NULL;
}
