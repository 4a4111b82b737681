/* SPDX-License-Identifier: MIT */
/* The consumers that an aggregator is connected to. */
#include <errno.h>
#include <string.h>

#include <base/error.h>
#include <base/log.h>

#include "aggregator.h"

static struct consumer *find(struct aggregator *a, const char *group, const char *id)
{
	for (unsigned int i = 0; i < CONSUMERS_MAX; i++) {
		struct consumer *c = &a->consumer[i];

		if (c->link && strcmp(c->group, group) == 0 && strcmp(c->id, id) == 0)
			return c;
	}
	return NULL;
}

static void close_consumer(struct consumer *c)
{
	link_sender_close(c->link); /* credit_left() has come for all that it had */
	*c = (struct consumer){ 0 };
}

static struct consumer *free_slot(struct aggregator *a)
{
	for (unsigned int i = 0; i < CONSUMERS_MAX; i++) {
		if (!a->consumer[i].link)
			return &a->consumer[i];
	}
	return NULL;
}

int consumer_add(struct aggregator *a, const char *group, const char *id, const char *endpoint,
		 struct sluice_error *reterr)
{
	struct link_sender_args args = {
		.transport = a->args.transport,
		.endpoint = endpoint,
		.name = a->args.id,
		.role = SLUICE_WIRE_AGGREGATOR,
		.io_threads = a->args.io_threads,
		.released = credit_left,
	};
	struct consumer *c = find(a, group, id);
	struct link_sender *link;
	int ret;

	if (c && strcmp(c->endpoint, endpoint) == 0 && !c->refused) {
		c->gone = false;
		return 0;
	}
	if (c) { /* it was started again somewhere else */
		route_reassign(a, (uint16_t)(c - a->consumer));
		close_consumer(c);
	} else {
		c = free_slot(a);
	}
	if (!c)
		return error_set(reterr, -ENOSPC, "consumer %s: %d consumers are connected already",
				 id, CONSUMERS_MAX);
	args.ctx = c;
	ret = link_sender_open(&args, &link, reterr);
	if (ret < 0)
		return ret;
	*c = (struct consumer){ .aggregator = a, .link = link };
	(void)strncpy(c->id, id, sizeof(c->id) - 1);
	(void)strncpy(c->group, group, sizeof(c->group) - 1);
	(void)strncpy(c->endpoint, endpoint, sizeof(c->endpoint) - 1);
	return 0;
}

void consumer_remove(struct aggregator *a, const char *group, const char *id)
{
	struct consumer *c = find(a, group, id);

	if (c)
		c->gone = true;
}

void consumers_sweep(struct aggregator *a)
{
	/* Closing may wait for the transport: not while a scan runs. */
	for (unsigned int i = 0; i < CONSUMERS_MAX && !a->active; i++) {
		if (a->consumer[i].link && a->consumer[i].gone)
			close_consumer(&a->consumer[i]);
	}
}

bool consumer_serves(const struct aggregator *a, const struct consumer *consumer)
{
	return consumer->link && consumer->up && strcmp(consumer->group, a->plan->group) == 0;
}

static void consumer_is_up(struct consumer *c)
{
	c->up = true;
	c->scan_told = false;
	c->end_told = false;
	log_info("consumer %s: connected", c->id);
}

static void consumer_is_down(struct aggregator *a, struct consumer *c)
{
	if (c->up)
		log_warn("consumer %s: lost, %u runs go to others", c->id, c->runs);
	c->up = false;
	route_reassign(a, (uint16_t)(c - a->consumer));
}

static void take_event(struct aggregator *a, struct consumer *c, const struct link_event *event)
{
	const uint16_t index = (uint16_t)(c - a->consumer);

	switch (event->type) {
	case LINK_EVENT_UP:
		/* A new session knows nothing of what the old one was sent. */
		route_reassign(a, index);
		consumer_is_up(c);
		break;
	case LINK_EVENT_DOWN:
		consumer_is_down(a, c);
		break;
	case LINK_EVENT_REFUSED:
		c->refused = true;
		(void)memcpy(c->refusal, event->text, sizeof(c->refusal));
		c->refusal[sizeof(c->refusal) - 1] = '\0';
		log_err("consumer %s: refuses: %s", c->id, c->refusal);
		consumer_is_down(a, c);
		break;
	case LINK_EVENT_ACK:
		route_acknowledge(a, index, event);
		break;
	case LINK_EVENT_NACK:
		route_nack(a, index, event);
		break;
	case LINK_EVENT_CREDIT:
		break;
	}
}

void consumers_take_events(struct aggregator *a)
{
	for (unsigned int i = 0; i < CONSUMERS_MAX; i++) {
		struct consumer *c = &a->consumer[i];
		struct link_event event;

		while (c->link && link_sender_next(c->link, &event) == 0)
			take_event(a, c, &event);
	}
}

void consumers_tell_begin(struct aggregator *a)
{
	for (unsigned int i = 0; a->active && i < CONSUMERS_MAX; i++) {
		struct consumer *c = &a->consumer[i];

		if (consumer_serves(a, c) && !c->scan_told)
			c->scan_told = link_send_scan_begin(c->link, a->plan->scan, a->plan->epoch,
							    &a->scan) == 0;
	}
}

bool consumers_tell_end(struct aggregator *a)
{
	const struct sluice_wire_scan_end end = { .frames_expected = sluice_le64(
							  a->plan->frames_expected) };
	bool all = true;

	for (unsigned int i = 0; i < CONSUMERS_MAX; i++) {
		struct consumer *c = &a->consumer[i];

		if (!consumer_serves(a, c) || !c->scan_told || c->end_told)
			continue;
		c->end_told = link_send_scan_end(c->link, a->plan->scan, a->plan->epoch, 0, &end) ==
			      0;
		all &= c->end_told;
	}
	return all;
}

/* (run, sector)s that the transport has not sent it yet. */
static uint32_t waiting(const struct consumer *c)
{
	/* Acquire: pairs with the release in credit_left(). */
	return c->forwarded - atomic_load_explicit(&c->left, memory_order_acquire);
}

uint16_t consumers_choose(const struct aggregator *a)
{
	const uint64_t need = a->plan->geometry.sectors;
	const uint64_t waiting_max = need * (a->args.window > 1 ? a->args.window / 2 : 1);
	uint16_t best = NO_CONSUMER;
	uint64_t best_free = 0;

	for (unsigned int i = 0; i < CONSUMERS_MAX; i++) {
		const struct consumer *c = &a->consumer[i];
		uint64_t credit;

		if (!consumer_serves(a, c) || !c->scan_told || c->gone || waiting(c) >= waiting_max)
			continue;
		credit = link_sender_credit(c->link);
		if (credit < c->reserved + need)
			continue;
		if (credit - c->reserved > best_free) {
			best_free = credit - c->reserved;
			best = (uint16_t)i;
		}
	}
	return best;
}
