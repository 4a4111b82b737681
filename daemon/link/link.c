/* SPDX-License-Identifier: MIT */
#include <link/link.h>

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <link/link_internal.h>
#include <link/link_ops.h>

static const struct link_ops *const transports[] = {
	&link_zmq_ops,
};

const struct link_ops *link_transport_find(const char *name)
{
	for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++) {
		if (strcmp(name, transports[i]->name) == 0)
			return transports[i];
	}
	return NULL;
}

uint32_t link_random(void)
{
	uint32_t v = 0;

	/* The kernel's pool is full long before a daemon starts; the clock stands in for it. */
	if (getrandom(&v, sizeof(v), GRND_NONBLOCK) != (ssize_t)sizeof(v))
		v = (uint32_t)now_ns();
	return v != 0 ? v : 1;
}

/* The ends of all items, of one transport. -EINVAL: mixed. */
static int collect(const struct link_pollitem *items, unsigned int count, struct link_wait *waits,
		   const struct link_ops **ret_ops)
{
	const struct link_ops *ops = NULL;

	for (unsigned int i = 0; i < count; i++) {
		struct link_end end = { 0 };

		if (items[i].sender)
			end = link_sender_end(items[i].sender);
		else if (items[i].receiver)
			end = link_receiver_end(items[i].receiver);
		if (end.ops && ops && end.ops != ops)
			return -EINVAL;
		if (end.ops)
			ops = end.ops;
		waits[i] = (struct link_wait){ .port = end.port, .fd = items[i].fd };
	}
	*ret_ops = ops ? ops : transports[0];
	return 0;
}

/* Runs every end's clock. Marks what is ready without waiting; returns when to do it again. */
static uint64_t tick_all(struct link_pollitem *items, unsigned int count, uint64_t now,
			 unsigned int *ret_ready)
{
	uint64_t due = UINT64_MAX;
	unsigned int ready = 0;

	for (unsigned int i = 0; i < count; i++) {
		uint64_t next = UINT64_MAX;

		items[i].ready = false;
		if (items[i].sender) {
			next = link_sender_tick(items[i].sender, now);
			items[i].ready = link_sender_pending(items[i].sender);
		} else if (items[i].receiver) {
			next = link_receiver_tick(items[i].receiver, now);
			items[i].ready = link_receiver_pending(items[i].receiver);
		}
		ready += items[i].ready;
		due = next < due ? next : due;
	}
	*ret_ready = ready;
	return due;
}

int link_poll(struct link_pollitem *items, unsigned int count, uint64_t timeout_ns)
{
	struct link_wait waits[LINK_POLL_MAX];
	const struct link_ops *ops;
	uint64_t now = now_ns();
	const uint64_t deadline = timeout_ns < UINT64_MAX - now ? now + timeout_ns : UINT64_MAX;
	int ret;

	if (count > LINK_POLL_MAX)
		return -EINVAL;
	ret = collect(items, count, waits, &ops);
	if (ret < 0)
		return ret;
	for (;;) {
		unsigned int ready;
		uint64_t due = tick_all(items, count, now, &ready);
		const bool pending = ready > 0;

		due = due < deadline ? due : deadline;
		ret = ops->wait(waits, count, pending || due <= now ? 0 : due - now);
		if (ret < 0)
			return ret;
		for (unsigned int i = 0; i < count; i++) {
			ready += waits[i].ready && !items[i].ready;
			items[i].ready |= waits[i].ready;
		}
		now = now_ns();
		if (ready > 0 || now >= deadline)
			return (int)ready;
	}
}
