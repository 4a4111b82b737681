/* SPDX-License-Identifier: MIT */
/*
 * base/clock.h - monotonic time in ns. Deadlines are now_ns() + something, never wall-clock time.
 *
 * Ownership: none. Threads: any. Errors: none.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* ns left until @deadline_ns, 0 when it has passed. */
static inline uint64_t ns_until(uint64_t deadline_ns)
{
	const uint64_t now = now_ns();

	return now < deadline_ns ? deadline_ns - now : 0;
}

/* The same in ms for poll() and its kin: rounded up, so that no wait ends early; capped. */
static inline int ms_from_ns(uint64_t ns)
{
	const uint64_t ms = (ns + NS_PER_MS - 1) / NS_PER_MS;

	return ms > 3600000 ? 3600000 : (int)ms;
}

#endif /* BASE_CLOCK_H */
