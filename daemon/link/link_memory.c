/* SPDX-License-Identifier: MIT */
/* The memory of received messages: libzmq takes each from malloc(), in a thread of its own. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include <link/link.h>

enum {
	MESSAGE_HEAP_MAX = 32 << 20,   /* bytes of a message that glibc can be told to put there */
	RESERVE_BYTES_MAX = 512 << 20, /* so that reserving takes no longer than arming may */
	RESERVE_SPARE = 2,             /* messages: small things settle where one has been */
	PAGE_BYTES = 4096,
};

static atomic_bool is_tuned;
static _Atomic uint64_t reserved_bytes;

void link_tune_allocator(void)
{
	/*
	 * Up to 32 MiB, the most that glibc takes, from the heap and not from fresh pages that
	 * fault one by one: 15 to 25 % less processor time per GB at 2.6 MB. One heap for all
	 * threads, of which nothing is given back: what link_reserve() took serves whichever thread
	 * receives, and where one message has been there is room for the next.
	 */
	/* NOLINTBEGIN(concurrency-mt-unsafe): link.h asks for it before any thread */
	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_MMAP_THRESHOLD, MESSAGE_HEAP_MAX);
	(void)mallopt(M_TRIM_THRESHOLD, -1);
	(void)mallopt(M_TOP_PAD, 16 << 20);
	/* NOLINTEND(concurrency-mt-unsafe) */
	atomic_store(&is_tuned, true);
}

/* A message's room, which says where the one before it lies. */
struct room {
	struct room *before;
};

static struct room *room_take(size_t bytes, struct room *before)
{
	struct room *room = malloc(bytes);

	/* Once per page is what makes it resident; volatile, for nothing reads it. */
	for (size_t at = 0; room && at < bytes; at += PAGE_BYTES)
		((volatile uint8_t *)room)[at] = 0;
	if (room)
		room->before = before;
	return room;
}

int link_reserve(uint64_t messages, size_t bytes)
{
	struct room *last = NULL;
	int ret = 0;

	if (!atomic_load(&is_tuned) || bytes < sizeof(*last) || bytes > MESSAGE_HEAP_MAX)
		return 0;
	messages += RESERVE_SPARE;
	if (messages > RESERVE_BYTES_MAX / bytes)
		messages = RESERVE_BYTES_MAX / bytes;
	if (messages * bytes <= atomic_load(&reserved_bytes))
		return 0;
	for (uint64_t i = 0; ret == 0 && i < messages; i++) {
		struct room *room = room_take(bytes, last);

		if (room)
			last = room;
		else
			ret = -ENOMEM;
	}
	while (last) {
		struct room *before = last->before;

		free(last);
		last = before;
	}
	if (ret == 0)
		atomic_store(&reserved_bytes, messages * bytes);
	return ret;
}
