/* SPDX-License-Identifier: MIT */
#include <assert.h>

#include <base/clock.h>
#include <base/log.h>

#include "health.h"

void health_init(struct health *health, uint64_t watchdog_ns, uint64_t now)
{
	*health = (struct health){ .interval_ns = watchdog_ns / 2, .due_ns = now };
}

int health_wait_ms(const struct health *health, uint64_t now, int most_ms)
{
	uint64_t left_ns;

	if (health->interval_ns == 0)
		return most_ms;
	/* Overdue: some reader stands still; a look now and then, not all the time. */
	left_ns = health->due_ns > now ? health->due_ns - now : health->interval_ns / 8;
	return left_ns < (uint64_t)most_ms * NS_PER_MS ? ms_from_ns(left_ns) : most_ms;
}

static bool stands_still(const struct health *health, const struct health_sign *sign,
			 unsigned int i)
{
	return sign[i].reads && sign[i].turns == health->turns[i];
}

/* A reader that was made a moment ago has not had the time to turn. */
static void tell_of(struct health *health, const char *id, unsigned int i, uint64_t now)
{
	if (health->told[i] || now - health->due_ns < health->interval_ns / 2)
		return;
	health->told[i] = true;
	log_err("board %s: its reader has stood still for %u s; unless it goes on, the watchdog "
		"ends this daemon",
		id, (unsigned int)((now - health->due_ns + health->interval_ns) / NS_PER_S));
}

bool health_look(struct health *health, const struct health_sign *sign, unsigned int count,
		 uint64_t now)
{
	bool alive = true;

	assert(count <= BOARDS_MAX);
	if (health->interval_ns == 0 || now < health->due_ns)
		return false;
	for (unsigned int i = 0; i < count; i++) {
		if (!stands_still(health, sign, i))
			continue;
		tell_of(health, sign[i].id, i, now);
		alive = false;
	}
	if (!alive)
		return false;
	for (unsigned int i = 0; i < count; i++) {
		health->turns[i] = sign[i].turns;
		health->told[i] = false;
	}
	health->due_ns = now + health->interval_ns;
	return true;
}
