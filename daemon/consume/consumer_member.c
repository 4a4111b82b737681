/* SPDX-License-Identifier: MIT */
/* The consumer as a member: it answers plans, hears of aborts, and shows how it is. */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/error.h>
#include <consume/consumer_state.h>

int consumer_info(const struct sluice_consumer *c, const char *endpoint, char info[MEMBER_INFO_MAX])
{
	json_t *root = json_pack("{s:s, s:i, s:i}", "endpoint", endpoint, "window",
				 (int)c->window_runs, "pid", (int)getpid());
	size_t len;

	if (!root)
		return -ENOMEM;
	len = json_dumpb(root, info, MEMBER_INFO_MAX - 1, JSON_COMPACT);
	json_decref(root);
	if (len == 0 || len >= MEMBER_INFO_MAX)
		return -E2BIG;
	info[len] = '\0';
	return 0;
}

/* ---- plans --------------------------------------------------------------------------------- */

static void scan_from_plan(const struct scan_plan *plan, struct sluice_scan *ret_info)
{
	*ret_info = (struct sluice_scan){
		.scan = plan->scan,
		.scan_columns = plan->scan_columns,
		.scan_rows = plan->scan_rows,
		.frames_per_position = plan->frames_per_position,
		.run_frames = plan->run_frames,
		.frames_expected = plan->frames_expected,
		.geometry = plan->geometry,
		.consumers = plan->consumer_count,
		.background = plan->background,
		.xray = plan->xray,
	};
}

/*
 * The window is a promise to the aggregators: it must fit into this machine, and is taken now, so
 * that memory does not depend on how full the window happens to get.
 */
static int take_memory(const struct sluice_consumer *c, const struct scan_plan *plan,
		       struct sluice_error *reterr)
{
	const uint64_t block = sluice_sector_bytes(&plan->geometry) + SLUICE_BLOCK_HEADER_BYTES;
	const uint64_t run_mib = (block * plan->geometry.sectors * plan->run_frames >> 20) + 1;
	const uint64_t window = window_of(c, plan->run_frames);
	const uint64_t runs = window * plan->aggregator_count;
	const uint64_t have_mib =
		(uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) >> 20;

	if (runs <= have_mib / run_mib &&
	    link_reserve(runs * plan->geometry.sectors, block * plan->run_frames) == 0)
		return 0;
	return error_set(reterr, -ENOMEM,
			 "consumer %s: a window of %" PRIu64 " runs of %" PRIu64
			 " MiB for each of %u "
			 "aggregators does not fit into the %" PRIu64
			 " MiB of this machine: make window_runs at most %" PRIu64,
			 c->id, window, run_mib, plan->aggregator_count, have_mib,
			 have_mib / run_mib / plan->aggregator_count);
}

/*
 * Under @lock. SCAN_BEGIN may come before the plan does, as both are sent at once; the first run
 * comes after both.
 */
static int plan_take(struct sluice_consumer *c, const struct sluice_scan *info,
		     struct sluice_error *reterr)
{
	struct consumer_scan *slot = scan_slot(c, info->scan);

	if (slot && slot->state == SLOT_ENDED)
		return error_set(reterr, -EBUSY,
				 "consumer %s: scan %u of before has not been taken to its end",
				 c->id, info->scan);
	if (slot && slot->state == SLOT_ACTIVE && slot->info.consumers == 0) {
		slot->info.consumers = info->consumers;
		slot->info.background = info->background;
		slot->info.xray = info->xray;
	}
	/* Armed anew, the number is that of another scan. */
	if (slot)
		slot->deserted = false;
	return 0;
}

static struct prepared *prepared_slot(struct sluice_consumer *c, uint32_t scan)
{
	for (unsigned int i = 0; i < SCANS_MAX; i++) {
		if (c->prepared[i].scan == scan)
			return &c->prepared[i];
	}
	return &c->prepared[c->prepared_next++ % SCANS_MAX];
}

static int prepare(void *ctx, const struct scan_plan *plan, struct sluice_error *reterr)
{
	struct sluice_consumer *c = ctx;
	struct sluice_scan info;
	int ret;

	ret = take_memory(c, plan, reterr);
	if (ret < 0)
		return ret;
	scan_from_plan(plan, &info);
	if (c->prepare) {
		ret = c->prepare(c->ctx, &info, reterr);
		/* To a member -ENOENT says that the plan is not for it. */
		if (ret < 0)
			return ret == -ENOENT ? -EIO : ret;
	}
	(void)pthread_mutex_lock(&c->lock);
	ret = plan_take(c, &info, reterr);
	if (ret == 0) {
		*prepared_slot(c,
			       plan->scan) = (struct prepared){ .scan = plan->scan,
								.consumers = plan->consumer_count,
								.background = plan->background,
								.xray = plan->xray };
		*c->plan = *plan;
	}
	(void)pthread_mutex_unlock(&c->lock);
	return ret;
}

/* A consumer acts when SCAN_BEGIN comes by the link. */
static void run(void *ctx, const struct scan_plan *plan)
{
	(void)ctx;
	(void)plan;
}

static void abort_scan(void *ctx, uint32_t scan)
{
	struct sluice_consumer *c = ctx;
	struct consumer_scan *slot;

	(void)pthread_mutex_lock(&c->lock);
	slot = scan_slot(c, scan);
	if (slot && slot->abort_ns == 0)
		slot->abort_ns = now_ns() + c->abort_timeout_ns;
	else if (!slot)
		prepared_slot(c, scan)->aborted = true;
	(void)pthread_mutex_unlock(&c->lock);
	consumer_wake(c);
}

/* ---- status and metrics -------------------------------------------------------------------- */

static uint64_t stat_get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Counters, as they are named in the status and in the metrics. */
static const char since_start[] = "Since the start of the program";
static const struct {
	const char *name;
	struct metric metric;
	size_t offset; /* in struct consumer_stats */
} counts[] = {
#define COUNT(field)                                                                    \
	{                                                                               \
#field, { "sluice_consumer_" #field "_total", "counter", since_start }, \
			  offsetof(struct consumer_stats, field)                        \
	}
	COUNT(frames),
	COUNT(frames_incomplete),
	COUNT(blocks),
	COUNT(events),
	COUNT(blocks_twice),
	COUNT(bad_chunks),
	COUNT(bad_scans),
	COUNT(scans_deserted),
	COUNT(rejects_forgotten),
	COUNT(answers_dropped),
	COUNT(answers_unsendable),
	COUNT(blocks_misplaced),
	COUNT(given_up_forgotten),
#undef COUNT
};

enum {
	COUNTS = sizeof(counts) / sizeof(counts[0]),
};

static uint64_t count_get(const struct consumer_stats *s, size_t index)
{
	return stat_get((const _Atomic uint64_t *)((const char *)s + counts[index].offset));
}

static json_t *runs_json(const struct consumer_stats *s)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "assembling",
			 (json_int_t)stat_get(&s->runs_assembling), "ready",
			 (json_int_t)stat_get(&s->runs_ready), "in_hand",
			 (json_int_t)stat_get(&s->runs_in_hand), "acknowledged",
			 (json_int_t)stat_get(&s->runs_acked), "dropped",
			 (json_int_t)stat_get(&s->runs_dropped), "repeated",
			 (json_int_t)stat_get(&s->runs_repeated), "timed_out",
			 (json_int_t)stat_get(&s->runs_timed_out), "discarded",
			 (json_int_t)stat_get(&s->runs_discarded));
}

static json_t *rejected_json(const struct consumer_stats *s)
{
	json_t *object = json_object();

	for (unsigned int cause = 1; cause < SLUICE_LOSS_COUNT; cause++)
		(void)json_object_set_new(object, loss_name((enum sluice_loss)cause),
					  json_integer((json_int_t)stat_get(&s->rejected[cause])));
	return object;
}

/* Under @lock. */
static json_t *reports_json(const struct sluice_consumer *c)
{
	json_t *object = json_object();

	for (unsigned int i = 0; i < REPORTS_MAX && c->report[i].name[0] != '\0'; i++) {
		const struct report *r = &c->report[i];

		(void)json_object_set_new(object, r->name,
					  r->text[0] != '\0' ? json_string(r->text)
							     : json_real(r->number));
	}
	return object;
}

static void status(void *ctx, json_t *root)
{
	struct sluice_consumer *c = ctx;
	const struct consumer_stats *s = &c->stats;

	(void)json_object_update_new(root, json_pack("{s:s, s:i, s:I, s:o, s:o}", "endpoint",
						     link_receiver_endpoint(c->receiver),
						     "window_runs", (int)c->window_runs, "peers",
						     (json_int_t)stat_get(&s->peers), "runs",
						     runs_json(s), "rejected", rejected_json(s)));
	for (size_t i = 0; i < COUNTS; i++)
		(void)json_object_set_new(root, counts[i].name,
					  json_integer((json_int_t)count_get(s, i)));
	(void)pthread_mutex_lock(&c->lock);
	(void)json_object_set_new(root, "report", reports_json(c));
	(void)json_object_set_new(root, "shared", consumer_shared_json(c));
	(void)pthread_mutex_unlock(&c->lock);
}

static void metrics_runs(struct metrics *m, const struct consumer_stats *s)
{
	static const struct metric now = { "sluice_consumer_runs", "gauge",
					   "Runs in memory, by where they are" };
	static const struct metric total = { "sluice_consumer_runs_total", "counter",
					     "Runs, by what became of them" };

	metrics_u64(m, &now, "state=\"assembling\"", stat_get(&s->runs_assembling));
	metrics_u64(m, &now, "state=\"ready\"", stat_get(&s->runs_ready));
	metrics_u64(m, &now, "state=\"in_hand\"", stat_get(&s->runs_in_hand));
	metrics_u64(m, &total, "fate=\"acknowledged\"", stat_get(&s->runs_acked));
	metrics_u64(m, &total, "fate=\"dropped\"", stat_get(&s->runs_dropped));
	metrics_u64(m, &total, "fate=\"repeated\"", stat_get(&s->runs_repeated));
	metrics_u64(m, &total, "fate=\"timed_out\"", stat_get(&s->runs_timed_out));
	metrics_u64(m, &total, "fate=\"discarded\"", stat_get(&s->runs_discarded));
}

static void metrics_counts(struct metrics *m, const struct consumer_stats *s)
{
	static const struct metric rejected = {
		"sluice_consumer_blocks_rejected_total", "counter",
		"Blocks received that could not be used, by cause"
	};
	static const struct metric peers = { "sluice_consumer_peers", "gauge",
					     "Aggregators connected" };

	for (size_t i = 0; i < COUNTS; i++)
		metrics_u64(m, &counts[i].metric, NULL, count_get(s, i));
	metrics_u64(m, &peers, NULL, stat_get(&s->peers));
	for (unsigned int cause = 1; cause < SLUICE_LOSS_COUNT; cause++) {
		char labels[64] = "";

		metrics_label(labels, sizeof(labels), "cause", loss_name((enum sluice_loss)cause));
		metrics_u64(m, &rejected, labels, stat_get(&s->rejected[cause]));
	}
}

static void metrics_link(struct metrics *m, const struct link_stats *l)
{
	static const char help[] = "Of the link, since the start of the program";
	const struct {
		struct metric metric;
		const _Atomic uint64_t *value;
	} row[] = {
		{ { "sluice_link_chunks_total", "counter", help }, &l->chunks },
		{ { "sluice_link_bytes_total", "counter", help }, &l->bytes },
		{ { "sluice_link_blocks_total", "counter", help }, &l->blocks },
		{ { "sluice_link_acks_total", "counter", help }, &l->acks },
		{ { "sluice_link_nacks_total", "counter", help }, &l->nacks },
		{ { "sluice_link_rejects_total", "counter", help }, &l->rejects },
		{ { "sluice_link_credits_total", "counter", help }, &l->credit_limit },
		{ { "sluice_link_started_total", "counter", help }, &l->started },
		{ { "sluice_link_bad_messages_total", "counter", help }, &l->bad_messages },
		{ { "sluice_link_peers_lost_total", "counter", help }, &l->peers_lost },
		{ { "sluice_link_peers_refused_total", "counter", help }, &l->peers_refused },
		{ { "sluice_link_sessions_total", "counter", help }, &l->sessions },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		metrics_u64(m, &row[i].metric, NULL, stat_get(row[i].value));
}

static void metrics(void *ctx, struct metrics *m)
{
	static const struct metric report = { "sluice_consumer_report", "gauge",
					      "Numbers that the program reports of itself" };
	struct sluice_consumer *c = ctx;

	metrics_runs(m, &c->stats);
	metrics_counts(m, &c->stats);
	metrics_link(m, link_receiver_stats(c->receiver));
	(void)pthread_mutex_lock(&c->lock);
	for (unsigned int i = 0; i < REPORTS_MAX && c->report[i].name[0] != '\0'; i++) {
		char labels[NAME_LENGTH_MAX + 16] = "";

		if (c->report[i].text[0] != '\0')
			continue;
		metrics_label(labels, sizeof(labels), "name", c->report[i].name);
		metrics_f64(m, &report, labels, c->report[i].number);
	}
	(void)pthread_mutex_unlock(&c->lock);
}

const struct member_ops consumer_member_ops = {
	.prepare = prepare,
	.run = run,
	.abort = abort_scan,
	.status = status,
	.metrics = metrics,
};

/* Under @lock. */
static struct report *report_slot(struct sluice_consumer *c, const char *name)
{
	for (unsigned int i = 0; i < REPORTS_MAX; i++) {
		struct report *r = &c->report[i];

		if (r->name[0] == '\0')
			(void)snprintf(r->name, sizeof(r->name), "%s", name);
		if (strcmp(r->name, name) == 0)
			return r;
	}
	return NULL;
}

static int report(struct sluice_consumer *c, const char *name, double number, const char *text)
{
	struct report *r;

	if (!consumer_name_ok(name) ||
	    strnlen(text, SLUICE_REPORT_TEXT_MAX) == SLUICE_REPORT_TEXT_MAX)
		return -EINVAL;
	(void)pthread_mutex_lock(&c->lock);
	r = report_slot(c, name);
	if (r) {
		r->number = number;
		(void)snprintf(r->text, sizeof(r->text), "%s", text);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return r ? 0 : -ENOSPC;
}

int sluice_consumer_report_number(struct sluice_consumer *consumer, const char *name, double value)
{
	return report(consumer, name, value, "");
}

int sluice_consumer_report_text(struct sluice_consumer *consumer, const char *name,
				const char *text)
{
	return report(consumer, name, 0, text);
}
