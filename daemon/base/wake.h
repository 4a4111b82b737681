/* SPDX-License-Identifier: MIT */
/*
 * base/wake.h - one thread wakes another by an eventfd (EFD_NONBLOCK), which the other polls.
 *
 * Ownership: the caller's descriptor. Threads: any post, one takes. Errors: none.
 */
#ifndef BASE_WAKE_H
#define BASE_WAKE_H

#include <stdint.h>
#include <unistd.h>

static inline void wake_post(int eventfd)
{
	/* Only fails when the counter is full, and then the other is woken already. */
	(void)!write(eventfd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

/* Takes all that was posted; call it before the look for what it was about. */
static inline void wake_take(int eventfd)
{
	uint64_t count;

	/* Only fails when nothing was posted. */
	(void)!read(eventfd, &count, sizeof(count));
}

#endif /* BASE_WAKE_H */
