/* SPDX-License-Identifier: MIT */
/*
 * Credits of the sources. One pays for part 0 of a run and gets that back once: when the memory of
 * the last part is free again, or, if that was not given to a link, when the run is forgotten or
 * begun anew, since the last part of that pass may then never come. So what is held here, and what
 * waits in the consumers' links to be sent, is together no more than the sources' windows.
 */
#include "aggregator.h"

void credit_give_back(struct aggregator *a, struct run *run, uint16_t sector)
{
	const uint32_t bit = UINT32_C(1) << sector;

	if (!(run->owed & bit))
		return;
	run->owed &= ~bit;
	if (a->peer_of_sector[sector] != NO_PEER)
		a->grant[a->peer_of_sector[sector]]++;
}

/*
 * A ticket names the session of the source that gets the credit: what is on its way when a source
 * goes must not add to the window of the next one in its place. NULL: nothing is to be given back.
 */
void *credit_ticket(const struct aggregator *a, unsigned int peer)
{
	/* Relaxed: only the loop's thread changes the session. */
	const uint64_t left = atomic_load_explicit(&a->left[peer], memory_order_relaxed);

	return (void *)(uintptr_t)((left >> 32) << 8 | (peer + 1));
}
_Static_assert(sizeof(uintptr_t) == 8 && LINK_PEERS_MAX < 256, "a ticket fits a pointer");

void credit_left(void *consumer, void *cookie)
{
	const uint64_t ticket = (uintptr_t)cookie;
	struct consumer *c = consumer;
	_Atomic uint64_t *left;
	uint64_t v;

	if (ticket == 0)
		return;
	left = &c->aggregator->left[(ticket & 0xff) - 1];
	v = atomic_load_explicit(left, memory_order_relaxed);
	while (v >> 32 == ticket >> 8 &&
	       !atomic_compare_exchange_weak_explicit(left, &v, v + 1, memory_order_relaxed,
						      memory_order_relaxed))
		;
	/* Release: pairs with the acquire in waiting(). */
	(void)atomic_fetch_add_explicit(&c->left, 1, memory_order_release);
	aggregator_wake(c->aggregator);
}

void credit_collect(struct aggregator *a, unsigned int peer)
{
	a->grant[peer] += (uint32_t)atomic_fetch_and_explicit(&a->left[peer], ~(uint64_t)UINT32_MAX,
							      memory_order_relaxed);
}

void credit_end_session(struct aggregator *a, unsigned int peer)
{
	const uint64_t left = atomic_load_explicit(&a->left[peer], memory_order_relaxed);

	atomic_store_explicit(&a->left[peer], ((left >> 32) + 1) << 32, memory_order_relaxed);
	a->grant[peer] = 0;
}
