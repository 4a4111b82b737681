/* SPDX-License-Identifier: MIT */
/*
 * Halves of the ledger that could not be published when their scan ended: the directory was away.
 * Workers try again between runs, so that neither the next scan nor the program's end waits.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <base/clock.h>
#include <base/log.h>
#include <consume/counter.h>

#define RETRY_EVERY_NS (1 * NS_PER_S)

static void tell_published(uint32_t scan, const char *path)
{
	log_info("scan %" PRIu32 ": ended: %s", scan, path[0] != '\0' ? path : "no run came here");
}

static void tell_unpublished(uint32_t scan, const char *why)
{
	log_err("scan %" PRIu32 ": cannot publish its half of the ledger: %s", scan, why);
}

/* Under @lock. NULL: COUNTER_SCANS_MAX of them wait already. */
static struct counter_half *half_free(struct counter *counter)
{
	for (unsigned int i = 0; i < COUNTER_SCANS_MAX; i++) {
		if (counter->half[i].scan == 0)
			return &counter->half[i];
	}
	return NULL;
}

static bool half_wait(struct counter *counter, uint32_t scan, const char *path)
{
	struct counter_half *half;

	(void)pthread_mutex_lock(&counter->lock);
	half = half_free(counter);
	if (half) {
		*half = (struct counter_half){
			.scan = scan,
			.due_ns = now_ns() + RETRY_EVERY_NS,
			.deadline_ns = now_ns() + HALF_PUBLISHED_NS,
		};
		(void)snprintf(half->path, sizeof(half->path), "%s", path);
	}
	(void)pthread_mutex_unlock(&counter->lock);
	return half;
}

void counter_half_publish(struct counter *counter, uint32_t scan, const char *path)
{
	struct sluice_error error = { 0 };
	const int ret = sluice_consumer_commit(counter->consumer, scan, &error);

	if (ret == 0)
		tell_published(scan, path);
	else if (ret == -ENOENT || !half_wait(counter, scan, path))
		tell_unpublished(scan, error.text);
	else
		log_warn("scan %" PRIu32 ": cannot publish its half of the ledger yet, tries for "
			 "%" PRIu64 " s: %s",
			 scan, (uint64_t)(HALF_PUBLISHED_NS / NS_PER_S), error.text);
}

/* Whether this worker is to try now. */
static bool retry_begin(struct counter *counter, struct counter_half *half)
{
	bool now;

	(void)pthread_mutex_lock(&counter->lock);
	now = half->scan != 0 && !half->busy && now_ns() >= half->due_ns;
	if (now)
		half->busy = true;
	(void)pthread_mutex_unlock(&counter->lock);
	return now;
}

static void retry(struct counter *counter, struct counter_half *half)
{
	struct sluice_error error = { 0 };
	const int ret = sluice_consumer_commit(counter->consumer, half->scan, &error);
	const bool over = ret == 0 || ret == -ENOENT || now_ns() >= half->deadline_ns;

	if (ret == 0)
		tell_published(half->scan, half->path);
	else if (over)
		tell_unpublished(half->scan, error.text);
	(void)pthread_mutex_lock(&counter->lock);
	half->busy = false;
	half->due_ns = now_ns() + RETRY_EVERY_NS;
	if (over)
		half->scan = 0;
	(void)pthread_mutex_unlock(&counter->lock);
}

void counter_halves_retry(struct counter *counter)
{
	for (unsigned int i = 0; i < COUNTER_SCANS_MAX; i++) {
		if (retry_begin(counter, &counter->half[i]))
			retry(counter, &counter->half[i]);
	}
}

void counter_halves_close(struct counter *counter)
{
	for (unsigned int i = 0; i < COUNTER_SCANS_MAX; i++) {
		if (counter->half[i].scan != 0)
			tell_unpublished(counter->half[i].scan, "the program was told to end");
		counter->half[i].scan = 0;
	}
}
