/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/error.h>
#include <base/log.h>
#include <base/wake.h>

#include "aggregator.h"

#define TICK_NS  UINT64_C(50000000)
#define ABORT_NS (8 * NS_PER_S) /* an aborted scan whose sources do not end it */

void aggregator_wake(struct aggregator *aggregator)
{
	wake_post(aggregator->wake);
}

int aggregator_call(struct aggregator *aggregator,
		    int (*call)(struct aggregator *aggregator, void *arg,
				struct sluice_error *reterr),
		    void *arg, struct sluice_error *reterr)
{
	const uint64_t deadline_ns = now_ns() + AGGREGATOR_CALL_NS;
	const struct timespec deadline = { .tv_sec = (time_t)(deadline_ns / NS_PER_S),
					   .tv_nsec = (long)(deadline_ns % NS_PER_S) };
	int ret = 0;

	(void)pthread_mutex_lock(&aggregator->lock);
	aggregator->call_arg = arg;
	aggregator->call_error = reterr;
	aggregator->call = call;
	aggregator_wake(aggregator);
	while (aggregator->call && ret == 0)
		ret = -pthread_cond_clockwait(&aggregator->answered, &aggregator->lock,
					      CLOCK_MONOTONIC, &deadline);
	if (aggregator->call) {
		/* The loop holds the lock while it runs a call: this one has not begun. */
		aggregator->call = NULL;
		ret = error_set(reterr, -ETIMEDOUT,
				"aggregator %s: its loop did not turn for %d s: is the host "
				"overloaded?",
				aggregator->args.id, (int)(AGGREGATOR_CALL_NS / NS_PER_S));
	} else {
		ret = aggregator->call_result;
	}
	(void)pthread_mutex_unlock(&aggregator->lock);
	return ret;
}

/* Under the lock throughout: a caller whose time is up finds its call not begun, or done. */
static void answer_call(struct aggregator *a)
{
	(void)pthread_mutex_lock(&a->lock);
	if (a->call) {
		a->call_result = a->call(a, a->call_arg, a->call_error);
		a->call = NULL;
		(void)pthread_cond_signal(&a->answered);
	}
	(void)pthread_mutex_unlock(&a->lock);
}

static uint32_t sectors_of(const struct aggregator *a)
{
	uint32_t set = 0;

	for (unsigned int s = 0; s < a->plan->geometry.sectors; s++)
		set |= UINT32_C(1) << s;
	return set;
}

static void end_scan(struct aggregator *a)
{
	route_reset(a);
	if (!consumers_tell_end(a))
		return; /* the transport is full: the next turn tries again */
	log_info("scan %" PRIu32 ": %s", a->plan->scan, a->aborted ? "aborted" : "ended");
	a->active = false;
}

static void look_at_scan(struct aggregator *a)
{
	if (!a->active)
		return;
	consumers_tell_begin(a);
	route_look_at_sources(a);
	if (a->sectors_ended == sectors_of(a) || (a->aborted && now_ns() - a->abort_ns > ABORT_NS))
		end_scan(a);
}

static void wait_for_work(struct aggregator *a)
{
	struct link_pollitem item[CONSUMERS_MAX + 2] = { { .fd = a->wake } };
	unsigned int count = 1;

	/* Full: what is held must leave first. */
	if (a->held_count < HELD_MAX)
		item[count++].receiver = a->receiver;
	for (unsigned int i = 0; i < CONSUMERS_MAX; i++) {
		if (a->consumer[i].link)
			item[count++].sender = a->consumer[i].link;
	}
	if (link_poll(item, count, TICK_NS) > 0 && item[0].ready)
		wake_take(a->wake);
}

static void *loop_main(void *arg)
{
	struct aggregator *a = arg;

	while (!atomic_load(&a->stop)) {
		answer_call(a);
		consumers_take_events(a);
		look_at_scan(a);
		route_receive(a);
		route_forward(a);
		consumers_sweep(a);
		wait_for_work(a);
	}
	return NULL;
}

static int start(struct aggregator *a, struct sluice_error *reterr)
{
	const struct link_receiver_args receiver = {
		.transport = a->args.transport,
		.bind = a->args.bind,
		.name = a->args.id,
		.role = SLUICE_WIRE_AGGREGATOR,
		.window = a->args.window,
		.payload_max = a->args.payload_max,
		.io_threads = a->args.io_threads,
	};
	int ret;

	a->plan = calloc(1, sizeof(*a->plan));
	a->run = calloc(RUNS_MAX, sizeof(a->run[0]));
	a->held = calloc(HELD_MAX, sizeof(a->held[0]));
	a->answer = calloc(SLUICE_SECTORS_MAX, sizeof(a->answer[0]));
	if (!a->plan || !a->run || !a->held || !a->answer)
		return error_set(reterr, -ENOMEM, "out of memory");
	a->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->wake < 0)
		return error_set(reterr, neg_errno(), "no eventfd");
	ret = link_receiver_open(&receiver, &a->receiver, reterr);
	if (ret < 0)
		return ret;
	ret = -pthread_create(&a->thread, NULL, loop_main, a);
	if (ret < 0)
		return error_set(reterr, ret, "no thread for the loop");
	a->has_thread = true;
	return 0;
}

int aggregator_open(const struct aggregator_args *args, struct aggregator **ret_aggregator,
		    struct sluice_error *reterr)
{
	struct aggregator *a = calloc(1, sizeof(*a));
	int ret;

	if (!a)
		return error_set(reterr, -ENOMEM, "out of memory");
	a->args = *args;
	a->wake = -1;
	(void)pthread_mutex_init(&a->lock, NULL);
	(void)pthread_cond_init(&a->answered, NULL);
	ret = start(a, reterr);
	if (ret < 0) {
		aggregator_close(a);
		return ret;
	}
	*ret_aggregator = a;
	return 0;
}

void aggregator_close(struct aggregator *aggregator)
{
	struct aggregator *a = aggregator;

	if (!a)
		return;
	if (a->has_thread) {
		atomic_store(&a->stop, true);
		aggregator_wake(a);
		(void)pthread_join(a->thread, NULL);
		route_reset(a);
	}
	for (unsigned int i = 0; i < CONSUMERS_MAX; i++)
		link_sender_close(a->consumer[i].link);
	link_receiver_close(a->receiver);
	if (a->wake >= 0)
		(void)close(a->wake);
	free(a->answer);
	free(a->held);
	free(a->run);
	free(a->plan);
	(void)pthread_cond_destroy(&a->answered);
	(void)pthread_mutex_destroy(&a->lock);
	free(a);
}
