/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <base/clock.h>
#include <base/error.h>
#include <base/wake.h>

#include "outlet_state.h"

/* ---- the reader's side ------------------------------------------------------------------- */

int outlet_parcel(struct outlet *outlet, struct parcel **ret_parcel)
{
	uint32_t index;

	if (!spsc_pop(&outlet->home, &index)) {
		if (outlet->fresh == OUTLET_PARCELS)
			return -ENOSPC;
		index = outlet->fresh++;
	}
	*ret_parcel = &outlet->parcel[index];
	**ret_parcel = (struct parcel){ 0 };
	return 0;
}

bool outlet_is_stuck(const struct outlet *outlet, uint64_t since_ns)
{
	const uint64_t progress_ns = atomic_load(&outlet->progress_ns);
	const uint64_t from_ns = progress_ns > since_ns ? progress_ns : since_ns;

	return now_ns() - from_ns > atomic_load(&outlet->give_up_ns) + OUTLET_LET_GO_NS;
}

void outlet_push(struct outlet *outlet, struct parcel *parcel)
{
	const bool pushed = spsc_push(&outlet->queue, (uint32_t)(parcel - outlet->parcel));

	assert(pushed); /* there are fewer parcels than slots */
	/* Sequentially consistent with the sender's store and last look before it sleeps. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_exchange(&outlet->asleep, false))
		wake_post(outlet->wake);
}

void outlet_expect(struct outlet *outlet, const struct chunk *chunk, uint32_t parcels)
{
	outlet->chunk_parcels[chunk->index] = parcels;
}

void outlet_finish(struct outlet *outlet)
{
	/* Release: pairs with the acquire in sender_done(); all was pushed before. */
	atomic_store_explicit(&outlet->finishing, true, memory_order_release);
	wake_post(outlet->wake);
}

/* ---- the control thread's side ------------------------------------------------------------- */

int outlet_wait_up(struct outlet *outlet, uint64_t deadline_ns, struct sluice_error *reterr)
{
	const struct plan_member *peer = &outlet->args.plan->aggregator[outlet->args.aggregator];

	for (;;) {
		const bool last = now_ns() >= deadline_ns;
		const uint32_t state = atomic_load(&outlet->link_state);

		if (state == LINK_STATE_UP)
			return 0;
		if (state == LINK_STATE_REFUSED)
			return error_set(reterr, -ECONNREFUSED,
					 "aggregator %s refuses board %s: %s", peer->id,
					 outlet->args.name, outlet->refusal);
		if (last)
			return error_set(
				reterr, -ETIMEDOUT,
				"aggregator %s does not answer at %s: is it running, and may "
				"this host reach it?",
				peer->id, peer->endpoint);
		(void)poll(NULL, 0, 2);
	}
}

void outlet_hurry(struct outlet *outlet, uint64_t ns)
{
	atomic_store(&outlet->give_up_ns, ns);
	wake_post(outlet->wake);
}

bool outlet_done(const struct outlet *outlet)
{
	return atomic_load(&outlet->done);
}

const struct outlet_stats *outlet_stats(const struct outlet *outlet)
{
	return &outlet->stats;
}

const struct link_stats *outlet_link_stats(const struct outlet *outlet)
{
	return link_sender_stats(outlet->link);
}

const char *outlet_peer(const struct outlet *outlet)
{
	return outlet->peer;
}

/* The transport no longer reads a copy. Any thread of the transport. */
static void released(void *ctx, void *cookie)
{
	struct parcel *p = cookie;

	(void)ctx;
	/* Release: pairs with the acquire in retire(); its reads of the chunk are over. */
	atomic_fetch_sub_explicit(&p->wire_copies, 1, memory_order_release);
}

static int outlet_connect(struct outlet *o, struct sluice_error *reterr)
{
	const struct plan_member *peer = &o->args.plan->aggregator[o->args.aggregator];
	const struct link_sender_args args = {
		.transport = o->args.transport,
		.endpoint = peer->endpoint,
		.name = o->args.name,
		.role = SLUICE_WIRE_SOURCE,
		.sector = o->args.sector,
		.io_threads = o->args.io_threads,
		.released = released,
		.ctx = o,
	};

	(void)memcpy(o->peer, peer->id, sizeof(o->peer));
	plan_to_wire(o->args.plan, &o->scan);
	return link_sender_open(&args, &o->link, reterr);
}

int outlet_open(const struct outlet_args *args, struct outlet **ret_outlet,
		struct sluice_error *reterr)
{
	struct outlet *o = aligned_alloc(64, (sizeof(*o) + 63) / 64 * 64);
	int ret = -ENOMEM;

	if (!o)
		return error_set(reterr, ret, "board %s: out of memory", args->name);
	(void)memset(o, 0, sizeof(*o));
	o->args = *args;
	atomic_init(&o->give_up_ns, args->give_up_ns);
	spsc_init(&o->queue);
	spsc_init(&o->home);
	o->parcel = calloc(OUTLET_PARCELS, sizeof(o->parcel[0]));
	o->chunk_parcels = calloc(ring_chunk_count(args->ring), sizeof(o->chunk_parcels[0]));
	o->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (o->wake < 0) {
		ret = error_set(reterr, neg_errno(), "board %s: no eventfd", args->name);
		goto err_free;
	}
	if (!o->parcel || !o->chunk_parcels) {
		(void)error_set(reterr, ret, "board %s: out of memory", args->name);
		goto err_free;
	}
	ret = outlet_connect(o, reterr);
	if (ret < 0)
		goto err_free;
	ret = -pthread_create(&o->thread, NULL, outlet_sender, o);
	if (ret < 0) {
		(void)error_set(reterr, ret, "board %s: no thread for its sender", args->name);
		goto err_free;
	}
	o->has_thread = true;
	*ret_outlet = o;
	return 0;

err_free:
	outlet_close(o);
	return ret;
}

/* Chunks of which the reader pushed fewer parcels than it said: all that were are home. */
static void release_unpushed(struct outlet *o)
{
	for (uint32_t i = 0; i < ring_chunk_count(o->args.ring); i++) {
		if (o->chunk_parcels[i] > 0)
			ring_release(o->args.ring, ring_chunk(o->args.ring, i), o->args.aggregator);
		o->chunk_parcels[i] = 0;
	}
}

void outlet_close(struct outlet *outlet)
{
	if (!outlet)
		return;
	if (outlet->has_thread) {
		atomic_store(&outlet->stop, true);
		wake_post(outlet->wake);
		(void)pthread_join(outlet->thread, NULL);
	}
	/* After this the transport reads no chunk any more. */
	link_sender_close(outlet->link);
	if (outlet->has_thread) {
		outlet_give_up(outlet);
		release_unpushed(outlet);
	}
	if (outlet->wake >= 0)
		(void)close(outlet->wake);
	free(outlet->chunk_parcels);
	free(outlet->parcel);
	free(outlet);
}
