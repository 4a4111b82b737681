/* SPDX-License-Identifier: MIT */
/* A worker of sluice-counter: takes runs, counts them, writes the results, acknowledges. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <base/clock.h>
#include <base/error.h>
#include <base/log.h>
#include <consume/counter.h>

#define NEXT_NS (200 * NS_PER_MS)
#define LOOK_NS (20 * NS_PER_MS)

enum {
	EVENTS_FIRST = 1 << 16, /* room for events of a run, at first */
};

/* Thresholds and rows for the scan of this run. */
static int worker_prepare(struct counter_worker *w, const struct counter_scan *scan)
{
	const struct counter *c = w->counter;
	const struct sluice_geometry *g = &scan->info.geometry;
	const struct count_rule rule = { .background = scan->threshold.background,
					 .xray = scan->threshold.xray,
					 .dark = c->dark,
					 .gain = c->gain };
	struct sluice_error error = { 0 };
	int ret = counter_worker_setup(w, scan);

	if (ret < 0 || w->rule)
		return ret;
	ret = count_rule_compile(&rule, sluice_frame_rows(g), sluice_frame_columns(g), &w->rule,
				 &error);
	if (ret < 0)
		log_err("scan %" PRIu32 ": %s", scan->scan, error.text);
	return ret;
}

static int events_reserve(struct counter_worker *w, size_t want)
{
	size_t max = w->events_max == 0 ? EVENTS_FIRST : w->events_max;
	uint32_t *grown;

	while (max < want)
		max *= 2;
	if (max == w->events_max)
		return 0;
	grown = realloc(w->events, max * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	w->events = grown;
	w->events_max = max;
	return 0;
}

/* Appends the frame's events at @at; returns how many, or -ENOMEM. */
static int64_t count_frame(struct counter_worker *w, const struct count_image *image, size_t at)
{
	for (;;) {
		const size_t room = w->events_max - at;
		const uint32_t max = room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
		const uint32_t count = count_events(w->counter->kernel, w->rule, image,
						    w->events + at, max);

		if (count <= max)
			return count;
		if (events_reserve(w, at + count) < 0)
			return -ENOMEM;
	}
}

static int count_run(struct counter_worker *w, const struct counter_scan *scan,
		     struct sluice_run *run, unsigned int *ret_frames, uint64_t *ret_events)
{
	const unsigned int frames = sluice_run_frames(run);
	const size_t pixel_bytes = (size_t)sluice_frame_rows(&scan->info.geometry) *
				   sluice_frame_columns(&scan->info.geometry) *
				   sluice_pixel_bytes(scan->info.geometry.pixel);
	unsigned int count = 0;
	size_t events = 0;

	if (events_reserve(w, 1) < 0)
		return -ENOMEM;
	for (unsigned int i = 0; i < frames; i++) {
		struct part_frame *out = &w->frame[count];
		struct count_image image;
		struct sluice_frame frame;
		int64_t n;

		(void)sluice_run_frame(run, i, &frame);
		if (frame.sector_mask == 0)
			continue;
		image = counter_frame_image(w, &scan->info, &frame);
		n = count_frame(w, &image, events);
		if (n < 0)
			return (int)n;
		*out = (struct part_frame){ .frame = frame.frame,
					    .sector_mask = frame.sector_mask,
					    .flags = frame.flags,
					    .event_count = (uint32_t)n };
		if (w->pixels) {
			out->pixels = w->pixels + count * pixel_bytes;
			counter_frame_record(&scan->info, &frame, w->pixels + count * pixel_bytes);
		}
		events += (size_t)n;
		count++;
	}
	/* Only now: the list may have moved while it grew. */
	for (size_t i = 0, at = 0; i < count; at += w->frame[i].event_count, i++)
		w->frame[i].events = w->events + at;
	*ret_frames = count;
	*ret_events = events;
	return 0;
}

static int work_on(struct counter_worker *w, struct counter_scan *scan, struct sluice_run *run)
{
	unsigned int frames = 0;
	uint64_t events = 0;
	int ret = worker_prepare(w, scan);

	if (ret == 0)
		ret = count_run(w, scan, run, &frames, &events);
	if (ret < 0) {
		counter_fail(w->counter, "scan %" PRIu32 ": cannot count: %s", scan->scan,
			     error_name(ret));
		return ret;
	}
	ret = counter_scan_write(w->counter, scan, sluice_run_number(run), w->frame, frames);
	if (ret < 0)
		return ret;
	/* The results outlive this process: now, and not before, the run is delivered. */
	ret = sluice_consumer_ack(w->counter->consumer, run, events);
	if (ret < 0)
		return ret;
	(void)atomic_fetch_add(&w->counter->frames, frames);
	(void)atomic_fetch_add(&w->counter->events, events);
	return 0;
}

static int wait_for_thresholds(struct counter_worker *w, struct counter_scan *scan,
			       struct sluice_run *run)
{
	int ret = counter_sample_take(w, scan, run);

	if (ret < 0)
		return ret;
	/* Nothing to count in it: it need not wait, and must not be waited for. */
	if (!counter_run_has_pixels(run))
		return sluice_consumer_ack(w->counter->consumer, run, 0);
	if (counter_thresholds_fit_here(w->counter, scan)) {
		ret = counter_worker_setup(w, scan);
		if (ret < 0)
			return ret;
		counter_thresholds_fit(w, scan, run);
	}
	return counter_scan_park(w->counter, scan, run);
}

static int try_run(struct counter_worker *w, struct sluice_run *run)
{
	struct counter_scan *scan = counter_scan_of(w->counter, run);

	if (!scan)
		return -ENOSPC;
	switch (counter_thresholds_state(w->counter, scan)) {
	case THRESHOLDS_KNOWN:
		return work_on(w, scan, run);
	case THRESHOLDS_UNKNOWN:
		return wait_for_thresholds(w, scan, run);
	default:
		return -ENODATA;
	}
}

static void take_run(struct counter_worker *w, struct sluice_run *run)
{
	/* Somebody else may fare better with it. */
	if (try_run(w, run) < 0)
		(void)sluice_consumer_drop(w->counter->consumer, run);
}

void *counter_work(void *worker)
{
	struct counter_worker *w = worker;
	struct counter *c = w->counter;
	unsigned int waiting = 0;
	int ret = 0;

	while (ret != -ECANCELED) {
		struct sluice_run *run = counter_scan_unpark(c);
		struct sluice_scan scan;

		if (run) {
			take_run(w, run);
			continue;
		}
		ret = sluice_consumer_next(c->consumer, waiting > 0 ? LOOK_NS : NEXT_NS, &run,
					   &scan);
		if (ret == SLUICE_NEXT_RUN)
			take_run(w, run);
		else if (ret == SLUICE_NEXT_SCAN_BEGIN)
			log_info("scan %" PRIu32 ": begins, %" PRIu64 " frames", scan.scan,
				 scan.frames_expected);
		else if (ret == SLUICE_NEXT_SCAN_END)
			counter_scan_end(c, scan.scan);
		else if (ret < 0 && ret != -EAGAIN && ret != -ECANCELED) {
			counter_fail(c, "the link failed: %s", error_name(ret));
			break;
		}
		waiting = counter_thresholds_look(w);
		counter_halves_retry(c);
	}
	(void)pthread_mutex_lock(&c->lock);
	c->ended++;
	(void)pthread_cond_signal(&c->ended_cond);
	(void)pthread_mutex_unlock(&c->lock);
	return NULL;
}
