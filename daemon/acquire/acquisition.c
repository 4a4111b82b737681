/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/error.h>
#include <base/wake.h>

#include "acquisition.h"

/* What is left of a scan that is aborted must be taken within this. */
#define ABORT_NS (5 * NS_PER_S)

static int open_outlets(struct acquisition *a, struct sluice_error *reterr)
{
	struct outlet_args args = {
		.plan = a->plan,
		.sector = a->args.sector,
		.node = a->args.node,
		.name = a->args.id,
		.transport = "zmq",
		.io_threads = a->args.io_threads,
		.give_up_ns = a->args.give_up_ns,
		.ring = a->args.ring,
		.tally = a->tally,
		.reader_wake = a->reader_wake,
		.finished_wake = a->args.wake,
	};

	for (unsigned int i = 0; i < a->plan->aggregator_count; i++) {
		int ret;

		args.aggregator = i;
		ret = outlet_open(&args, &a->outlet[i], reterr);
		if (ret < 0)
			return ret;
		a->outlet_count++;
	}
	return 0;
}

int acquisition_open(const struct acquisition_args *args, struct acquisition **ret_acquisition,
		     struct sluice_error *reterr)
{
	struct acquisition *a = calloc(1, sizeof(*a));
	int ret = -ENOMEM;

	if (!a)
		return error_set(reterr, ret, "board %s: out of memory", args->id);
	a->args = *args;
	a->args.plan = NULL; /* the copy is used */
	a->reader_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->reader_wake < 0) {
		ret = error_set(reterr, neg_errno(), "board %s: no eventfd", args->id);
		goto err_close;
	}
	a->plan = malloc(sizeof(*a->plan));
	if (a->plan) {
		*a->plan = *args->plan;
		ret = tally_open(args->sector, a->plan->frames_expected, &a->tally);
	}
	if (ret < 0) {
		(void)error_set(reterr, ret, "board %s: no memory to account for the scan",
				args->id);
		goto err_close;
	}
	ret = open_outlets(a, reterr);
	if (ret < 0)
		goto err_close;
	ret = -pthread_create(&a->reader, NULL, acquisition_reader, a);
	if (ret < 0) {
		(void)error_set(reterr, ret, "board %s: no thread for its reader", args->id);
		goto err_close;
	}
	a->has_reader = true;
	*ret_acquisition = a;
	return 0;

err_close:
	acquisition_close(a);
	return ret;
}

void acquisition_close(struct acquisition *acquisition)
{
	struct acquisition *a = acquisition;

	if (!a)
		return;
	if (a->has_reader) {
		acquisition_abort(a);
		/* Nobody waits for what is left: the reader must not either. */
		for (unsigned int i = 0; i < a->outlet_count; i++)
			outlet_hurry(a->outlet[i], 0);
		(void)pthread_join(a->reader, NULL);
	}
	for (unsigned int i = 0; i < a->outlet_count; i++)
		outlet_close(a->outlet[i]);
	tally_close(a->tally);
	free(a->plan);
	if (a->reader_wake >= 0)
		(void)close(a->reader_wake);
	free(a);
}

void acquisition_run(struct acquisition *acquisition)
{
	atomic_store(&acquisition->go, true);
	wake_post(acquisition->reader_wake);
}

void acquisition_abort(struct acquisition *acquisition)
{
	atomic_store(&acquisition->abort, true);
	for (unsigned int i = 0; i < acquisition->outlet_count; i++)
		outlet_hurry(acquisition->outlet[i], ABORT_NS);
	wake_post(acquisition->reader_wake);
}

bool acquisition_done(const struct acquisition *acquisition)
{
	if (!atomic_load(&acquisition->reader_done))
		return false;
	for (unsigned int i = 0; i < acquisition->outlet_count; i++) {
		if (!outlet_done(acquisition->outlet[i]))
			return false;
	}
	return true;
}
