/* SPDX-License-Identifier: MIT */
/* The scans that sluice-counter is in: what waits, and where the results go. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/error.h>
#include <base/log.h>
#include <consume/counter.h>

/* Under @lock. */
static struct counter_scan *find(struct counter *counter, uint32_t scan)
{
	for (unsigned int i = 0; i < COUNTER_SCANS_MAX; i++) {
		if (counter->scan[i].scan == scan)
			return &counter->scan[i];
	}
	return NULL;
}

struct counter_scan *counter_scan_of(struct counter *counter, const struct sluice_run *run)
{
	const struct sluice_scan *info = sluice_run_scan(run);
	struct counter_scan *scan;

	(void)pthread_mutex_lock(&counter->lock);
	scan = find(counter, info->scan);
	if (!scan) {
		scan = find(counter, 0);
		if (scan) {
			*scan = (struct counter_scan){ .scan = info->scan,
						       .info = *info,
						       .serial = ++counter->serial };
			(void)pthread_mutex_init(&scan->part_lock, NULL);
		}
	}
	(void)pthread_mutex_unlock(&counter->lock);
	return scan;
}

static void scan_close(struct counter *counter, struct counter_scan *scan)
{
	for (unsigned int i = 0; i < scan->parked_count; i++)
		(void)sluice_consumer_drop(counter->consumer, scan->parked[i]);
	part_writer_close(scan->part);
	free(scan->parked);
	(void)pthread_mutex_destroy(&scan->part_lock);
	/* Another worker may look for its thresholds now. */
	(void)pthread_mutex_lock(&counter->lock);
	free(scan->offer);
	counter_sample_free(scan);
	*scan = (struct counter_scan){ .scan = 0 };
	(void)pthread_mutex_unlock(&counter->lock);
}

void counter_scan_end(struct counter *counter, uint32_t number)
{
	struct counter_scan *scan;
	int ret = 0;

	(void)pthread_mutex_lock(&counter->lock);
	scan = find(counter, number);
	(void)pthread_mutex_unlock(&counter->lock);
	if (scan && scan->part)
		ret = part_writer_sync(scan->part);
	/* Without a half the ledger stays open: nothing is reported as safe that is not. */
	if (ret < 0)
		counter_fail(counter, "scan %" PRIu32 ": %s: cannot make it safe: %s", number,
			     scan->path, error_name(ret));
	else
		counter_half_publish(counter, number, scan && scan->part ? scan->path : "");
	if (scan)
		scan_close(counter, scan);
}

void counter_scans_close(struct counter *counter)
{
	for (unsigned int i = 0; i < COUNTER_SCANS_MAX; i++) {
		if (counter->scan[i].scan != 0)
			scan_close(counter, &counter->scan[i]);
	}
}

int counter_scan_park(struct counter *counter, struct counter_scan *scan, struct sluice_run *run)
{
	int ret = 0;

	(void)pthread_mutex_lock(&counter->lock);
	if (scan->parked_count == scan->parked_max) {
		/* Bounded by the window: the library hands out no more than that. */
		const unsigned int want = scan->parked_max == 0 ? 16 : 2 * scan->parked_max;
		struct sluice_run **grown = realloc(scan->parked,
						    want * sizeof(struct sluice_run *));

		if (grown) {
			scan->parked = grown;
			scan->parked_max = want;
		} else {
			ret = -ENOMEM;
		}
	}
	if (ret == 0 && scan->parked_count == 0)
		scan->deadline_ns = now_ns() + THRESHOLDS_KNOWN_NS;
	if (ret == 0)
		scan->parked[scan->parked_count++] = run;
	(void)pthread_mutex_unlock(&counter->lock);
	return ret;
}

struct sluice_run *counter_scan_unpark(struct counter *counter)
{
	struct sluice_run *run = NULL;

	(void)pthread_mutex_lock(&counter->lock);
	for (unsigned int i = 0; i < COUNTER_SCANS_MAX && !run; i++) {
		struct counter_scan *scan = &counter->scan[i];

		if (scan->scan != 0 && scan->thresholds != THRESHOLDS_UNKNOWN &&
		    scan->parked_count > 0)
			run = scan->parked[--scan->parked_count];
	}
	(void)pthread_mutex_unlock(&counter->lock);
	return run;
}

/*
 * Under @part_lock. A part is never written over: one of the same name is from a process that was
 * here before, and what that acknowledged is in it.
 */
static int part_open(struct counter *counter, struct counter_scan *scan)
{
	struct part_info info = { .scan = scan->info, .threshold = scan->threshold };
	struct sluice_error error = { 0 };
	int ret = -EEXIST;

	(void)snprintf(info.consumer, sizeof(info.consumer), "%s", counter->config.id);
	if (counter->config.record_frames)
		info.pixel = counter_record_pixel(&scan->info);
	for (unsigned int n = 0; ret == -EEXIST && n < PARTS_PER_SCAN_MAX; n++) {
		char again[16] = "";

		if (n > 0)
			(void)snprintf(again, sizeof(again), ".%u", n);
		(void)snprintf(scan->path, sizeof(scan->path), "%s/scan%010" PRIu32 ".%s%s.part",
			       counter->output, scan->scan, counter->config.id, again);
		ret = part_writer_open(scan->path, &info, &scan->part, &error);
	}
	if (ret < 0) {
		counter_fail(counter, "scan %" PRIu32 ": %s", scan->scan, error.text);
		return ret;
	}
	return sluice_consumer_set_part(counter->consumer, scan->scan, scan->path);
}

int counter_scan_write(struct counter *counter, struct counter_scan *scan, uint64_t run,
		       const struct part_frame *frames, unsigned int count)
{
	int ret = 0;

	if (count == 0)
		return 0;
	(void)pthread_mutex_lock(&scan->part_lock);
	if (!scan->part)
		ret = part_open(counter, scan);
	if (ret == 0) {
		ret = part_writer_run(scan->part, run, frames, count);
		if (ret < 0)
			counter_fail(counter,
				     "scan %" PRIu32 ": %s: cannot write run %" PRIu64 ": %s",
				     scan->scan, scan->path, run, error_name(ret));
	}
	(void)pthread_mutex_unlock(&scan->part_lock);
	return ret;
}
