/* SPDX-License-Identifier: MIT */
/*
 * sluice-aggregator - brings the sectors of each run together and hands the run to one consumer.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/error.h>
#include <base/log.h>
#include <member/member.h>
#include <member/member_options.h>

#include "aggregator.h"
#include "config.h"

/* Of the second in which an arming must be answered, what connecting may take. */
#define READY_NS (600 * NS_PER_MS)

enum {
	READY_POLL_MS = 5
};

struct daemon {
	struct aggregator_config config;
	struct aggregator *aggregator;
	struct member *member;
};

/* ---- in the loop's thread -------------------------------------------------------------------- */

static int add_planned(struct aggregator *a, const struct scan_plan *plan,
		       struct sluice_error *reterr)
{
	for (unsigned int i = 0; i < plan->consumer_count; i++) {
		const struct plan_member *m = &plan->consumer[i];
		int ret = consumer_add(a, plan->group, m->id, m->endpoint, reterr);

		if (ret < 0)
			return error_prefix(reterr, ret, "consumer %s", m->id);
	}
	return 0;
}

static bool is_orphaned(const struct aggregator *a)
{
	for (unsigned int s = 0; s < a->plan->geometry.sectors; s++) {
		if (a->peer_of_sector[s] == NO_PEER)
			return true;
	}
	return false;
}

static int begin(struct aggregator *a, void *arg, struct sluice_error *reterr)
{
	const struct scan_plan *plan = arg;
	const uint64_t held = (uint64_t)plan->geometry.sectors * a->args.window * plan->run_frames;
	int ret;

	/* A scan whose sources are all there goes on; one that lost a source, or never ran, ends.
	 */
	if (a->active && !is_orphaned(a))
		return error_set(reterr, -EBUSY, "aggregator %s is still in scan %" PRIu32,
				 a->args.id, a->plan->scan);
	if (held > HELD_MAX)
		return error_set(reterr, -ENOSPC,
				 "aggregator %s may have to hold %" PRIu64
				 " chunks, allowed are %d: lower its window (%" PRIu32
				 ") or the plan's run_frames (%" PRIu32 ")",
				 a->args.id, held, HELD_MAX, a->args.window, plan->run_frames);
	ret = add_planned(a, plan, reterr);
	if (ret < 0)
		return ret;
	if (a->active)
		route_reset(a);
	*a->plan = *plan;
	route_begin(a);
	a->active = true;
	return 0;
}

/* -EAGAIN: a consumer of the plan is not connected yet. */
static int all_up(struct aggregator *a, void *arg, struct sluice_error *reterr)
{
	const struct scan_plan *plan = arg;

	for (unsigned int p = 0; p < plan->consumer_count; p++) {
		for (unsigned int i = 0; i < CONSUMERS_MAX; i++) {
			const struct consumer *c = &a->consumer[i];

			if (!c->link || strcmp(c->id, plan->consumer[p].id) != 0 ||
			    strcmp(c->group, plan->group) != 0)
				continue;
			if (c->refused)
				return error_set(reterr, -ECONNREFUSED,
						 "consumer %s refuses aggregator %s: %s", c->id,
						 a->args.id, c->refusal);
			if (!c->up)
				return error_set(
					reterr, -EAGAIN,
					"consumer %s does not answer at %s: is it running, and "
					"may this host reach it?",
					c->id, c->endpoint);
		}
	}
	return 0;
}

static int take_back(struct aggregator *a, void *arg, struct sluice_error *reterr)
{
	(void)arg;
	(void)reterr;
	route_reset(a);
	a->active = false;
	return 0;
}

static int abort_in_loop(struct aggregator *a, void *arg, struct sluice_error *reterr)
{
	const uint32_t *scan = arg;

	(void)reterr;
	if (a->active && a->plan->scan == *scan && !a->aborted) {
		/* What the sources have read is still delivered; they end the scan. */
		a->aborted = true;
		a->abort_ns = now_ns();
	}
	return 0;
}

struct consumer_change {
	const char *group, *id, *endpoint;
};

static int change_consumer(struct aggregator *a, void *arg, struct sluice_error *reterr)
{
	const struct consumer_change *change = arg;

	if (change->endpoint)
		return consumer_add(a, change->group, change->id, change->endpoint, reterr);
	consumer_remove(a, change->group, change->id);
	return 0;
}

/* ---- the member's calls ---------------------------------------------------- */

static void take_plan_back(struct daemon *d, uint32_t scan)
{
	struct sluice_error error = { 0 };

	/* It stays until the next plan then, which finds it without sources and replaces it. */
	if (aggregator_call(d->aggregator, take_back, NULL, &error) < 0)
		log_err("scan %" PRIu32 ": cannot be taken back: %s", scan, error.text);
}

/* The windows of all sources: taken now, so that memory does not depend on how full they get. */
static int take_memory(const struct daemon *d, const struct scan_plan *plan,
		       struct sluice_error *reterr)
{
	const size_t block = sluice_sector_bytes(&plan->geometry) + SLUICE_BLOCK_HEADER_BYTES;
	const uint64_t chunks = (uint64_t)d->config.window * plan->geometry.sectors;

	if (link_reserve(chunks, block * plan->run_frames) == 0)
		return 0;
	return error_set(reterr, -ENOMEM,
			 "aggregator %s: no memory for %" PRIu64 " chunks of %zu bytes: lower its "
			 "window (%" PRIu32 ")",
			 d->config.id, chunks, block * plan->run_frames, d->config.window);
}

static int prepare(void *ctx, const struct scan_plan *plan, struct sluice_error *reterr)
{
	const uint64_t deadline_ns = now_ns() + READY_NS;
	struct scan_plan *copy = malloc(sizeof(*copy));
	struct daemon *d = ctx;
	int ret = -ENOMEM;

	if (!copy)
		return error_set(reterr, ret, "out of memory");
	*copy = *plan;
	ret = take_memory(d, plan, reterr);
	if (ret < 0)
		goto out;
	ret = aggregator_call(d->aggregator, begin, copy, reterr);
	if (ret < 0)
		goto out;
	while ((ret = aggregator_call(d->aggregator, all_up, copy, reterr)) == -EAGAIN &&
	       now_ns() < deadline_ns)
		(void)poll(NULL, 0, READY_POLL_MS);
	if (ret < 0)
		take_plan_back(d, plan->scan);
	else
		log_info("scan %" PRIu32 ": armed, %u consumers", plan->scan, plan->consumer_count);
out:
	free(copy);
	return ret;
}

static void run(void *ctx, const struct scan_plan *plan)
{
	(void)ctx;
	log_info("scan %" PRIu32 ": runs", plan->scan);
}

static void abort_scan(void *ctx, uint32_t scan)
{
	struct sluice_error error = { 0 };
	struct daemon *d = ctx;

	log_warn("scan %" PRIu32 ": aborted", scan);
	if (aggregator_call(d->aggregator, abort_in_loop, &scan, &error) < 0)
		log_err("scan %" PRIu32 ": cannot be aborted: %s", scan, error.text);
}

static void consumer_changed(void *ctx, const char *group, const char *id, const char *endpoint)
{
	struct consumer_change change = { group, id, endpoint };
	struct sluice_error error = { 0 };
	struct daemon *d = ctx;

	if (aggregator_call(d->aggregator, change_consumer, &change, &error) < 0)
		log_err("consumer %s: %s", id, error.text);
}

static int status_in_loop(struct aggregator *a, void *arg, struct sluice_error *reterr)
{
	json_t *status = arg, *array = json_array();

	(void)reterr;
	for (unsigned int i = 0; i < CONSUMERS_MAX; i++) {
		const struct consumer *c = &a->consumer[i];

		if (c->link)
			(void)json_array_append_new(
				array, json_pack("{s:s, s:s, s:b, s:I, s:I, s:I}", "id", c->id,
						 "endpoint", c->endpoint, "up", c->up ? 1 : 0,
						 "runs", (json_int_t)c->runs, "runs_acked",
						 (json_int_t)c->runs_acked, "credit",
						 (json_int_t)link_sender_credit(c->link)));
	}
	(void)json_object_set_new(status, "consumers", array);
	(void)json_object_set_new(status, "state",
				  json_string(!a->active   ? "idle"
					      : a->aborted ? "draining"
							   : "acquiring"));
	(void)json_object_set_new(status, "held", json_integer(a->held_count));
	(void)json_object_set_new(status, "runs_open", json_integer(a->runs_open));
	return 0;
}

static void add_status(void *ctx, json_t *status)
{
	struct sluice_error error = { 0 };
	struct daemon *d = ctx;

	if (aggregator_call(d->aggregator, status_in_loop, status, &error) < 0)
		(void)json_object_set_new(status, "error", json_string(error.text));
}

static void add_metrics(void *ctx, struct metrics *m)
{
	struct daemon *d = ctx;
	const struct aggregator_stats *s = &d->aggregator->stats;
	const struct link_stats *l = link_receiver_stats(d->aggregator->receiver);
	const struct {
		struct metric metric;
		const _Atomic uint64_t *value;
	} row[] = {
		{ { "sluice_chunks_total", "counter", "Chunks received" }, &s->chunks },
		{ { "sluice_bytes_total", "counter", "Bytes of pixels received" }, &s->bytes },
		{ { "sluice_blocks_total", "counter", "Blocks received" }, &s->blocks },
		{ { "sluice_runs_assigned_total", "counter", "Runs given to a consumer" },
		  &s->runs_assigned },
		{ { "sluice_runs_done_total", "counter", "Runs acknowledged whole" },
		  &s->runs_done },
		{ { "sluice_runs_reassigned_total", "counter", "Runs asked for again" },
		  &s->runs_reassigned },
		{ { "sluice_chunks_refused_total", "counter", "Chunks of no known scan or run" },
		  &s->refused },
		{ { "sluice_chunks_outdated_total", "counter",
		    "Chunks sent before their run was asked for again" },
		  &s->outdated },
		{ { "sluice_chunks_held", "gauge", "Chunks that wait for a consumer's credit" },
		  &s->held },
		{ { "sluice_answers_lost_total", "counter",
		    "Answers that a source's link did not take" },
		  &s->answers_lost },
		{ { "sluice_link_bad_messages_total", "counter", "Messages that break protocol" },
		  &l->bad_messages },
		{ { "sluice_link_peers_refused_total", "counter", "Peers turned away" },
		  &l->peers_refused },
		{ { "sluice_link_peers_lost_total", "counter", "Peers that fell silent" },
		  &l->peers_lost },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		metrics_u64(m, &row[i].metric, NULL, atomic_load(row[i].value));
}

static const struct member_ops ops = {
	.prepare = prepare,
	.run = run,
	.abort = abort_scan,
	.consumer = consumer_changed,
	.status = add_status,
	.metrics = add_metrics,
};

static int join(struct daemon *d, struct sluice_error *reterr)
{
	struct member_entry entry = { 0 };
	const struct member_args args = {
		.kind = MEMBER_AGGREGATOR,
		.entries = &entry,
		.entry_count = 1,
		.listen = d->config.member.control,
		.directory = member_directory_args(&d->config.member),
		.ops = &ops,
		.ctx = d,
		.closes_ledgers = true,
	};

	(void)strcpy(entry.id, d->config.id);
	(void)snprintf(entry.info, sizeof(entry.info),
		       "{\"endpoint\":\"%s\",\"transport\":\"zmq\",\"window\":%" PRIu32 "}",
		       link_receiver_endpoint(d->aggregator->receiver), d->config.window);
	return member_open(&args, &d->member, reterr);
}

static int daemon_main(struct daemon *d)
{
	const struct aggregator_args args = {
		.id = d->config.id,
		.transport = "zmq",
		.bind = d->config.listen,
		.window = d->config.window,
		.payload_max = d->config.payload_max,
		.io_threads = d->config.io_threads,
	};
	struct sluice_error error = { 0 };
	static const struct timespec look_every = { .tv_sec = 1 };
	sigset_t set;
	int ret;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	/* Before any thread is made, so that all inherit it. */
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	link_tune_allocator();
	ret = aggregator_open(&args, &d->aggregator, &error);
	if (ret == 0)
		ret = join(d, &error);
	if (ret < 0) {
		log_err("%s", error.text);
		goto out;
	}
	log_info("listens at %s, status at %s/api/v1/status",
		 link_receiver_endpoint(d->aggregator->receiver), member_url(d->member));
	while (sigtimedwait(&set, NULL, &look_every) < 0)
		member_look(d->member);
	log_info("ends");
out:
	member_close(d->member);
	aggregator_close(d->aggregator);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- the command line ------------------------------------------------------------------------ */

const char *argp_program_version = "sluice-aggregator " SLUICE_VERSION;

int main(int argc, char **argv)
{
	static struct daemon d;
	const struct member_program program = {
		.name = "sluice-aggregator",
		.doc = "Brings the sectors of each run together and hands the run to one consumer.",
		.rows = aggregator_config_rows,
		.config = &d.config,
		.load = config_load,
	};
	int status;

	aggregator_config_init(&d.config);
	if (!member_options(&program, argc, argv, &status))
		return status;
	log_init(program.name, (enum log_level)d.config.member.log_level);
	return daemon_main(&d);
}
