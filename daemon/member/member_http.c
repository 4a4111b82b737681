/* SPDX-License-Identifier: MIT */
/* The control server of a member: its status, its metrics, and plans where there is no directory.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/parse.h>
#include <member/member_state.h>

static void reply_json(struct http_reply *reply, json_t *root)
{
	reply->body = root ? json_dumps(root, JSON_COMPACT) : NULL;
	if (!reply->body)
		reply->status = 500;
	json_decref(root);
}

static void reply_result(struct http_reply *reply, int code, const struct sluice_error *error)
{
	if (code == 0) {
		reply_json(reply, json_pack("{s:b}", "ready", 1));
		return;
	}
	reply->status = code == -EBADMSG || code == -EINVAL ? 400 : code == -ENOENT ? 404 : 409;
	reply_json(reply, json_pack("{s:b, s:s}", "ready", 0, "error",
				    error->text[0] != '\0' ? error->text : error_name(code)));
}

static json_t *entries_to_json(const struct member *member)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < member->entry_count; i++)
		(void)json_array_append_new(
			array, json_pack("{s:s, s:o}", "id", member->entry[i].id, "info",
					 json_loads(member->entry[i].info, 0, NULL)));
	return array;
}

static json_t *directory_to_json(const struct member *member)
{
	const struct directory_stats *stats = directory_stats(member->directory);

	return json_pack("{s:b, s:I, s:I}", "connected", atomic_load(&stats->connected) ? 1 : 0,
			 "failures", (json_int_t)atomic_load(&stats->failures), "lease_losses",
			 (json_int_t)atomic_load(&stats->lease_losses));
}

static void get_status(void *ctx, const struct http_request *request, struct http_reply *reply)
{
	static const char *const kind[] = { "board", "aggregator", "consumer" };
	struct member *member = ctx;
	json_t *root;

	(void)request;
	(void)pthread_mutex_lock(&member->call);
	root = json_pack("{s:i, s:s, s:s, s:s, s:I, s:o, s:o}", "schema_version", 1, "kind",
			 kind[member->kind], "group", member->group, "url", member->url, "scan",
			 (json_int_t)member->plan->scan, "entries", entries_to_json(member),
			 "directory", directory_to_json(member));
	if (root && member->ops->status)
		member->ops->status(member->ctx, root);
	(void)pthread_mutex_unlock(&member->call);
	reply_json(reply, root);
}

static void add_own_metrics(const struct member *member, struct metrics *m)
{
	static const struct metric connected = { "sluice_directory_connected", "gauge",
						 "1 while the directory answers" };
	static const struct metric calls = { "sluice_directory_calls_total", "counter",
					     "Calls to the directory" };
	static const struct metric failures = { "sluice_directory_failures_total", "counter",
						"Calls to the directory that failed" };
	static const struct metric leases = { "sluice_directory_lease_losses_total", "counter",
					      "Leases that lapsed and were taken again" };
	static const struct metric refused = { "sluice_http_refused_total", "counter",
					       "Requests to this server that were refused" };
	const struct directory_stats *d = directory_stats(member->directory);

	metrics_u64(m, &connected, NULL, atomic_load(&d->connected));
	metrics_u64(m, &calls, NULL, atomic_load(&d->calls));
	metrics_u64(m, &failures, NULL, atomic_load(&d->failures));
	metrics_u64(m, &leases, NULL, atomic_load(&d->lease_losses));
	metrics_u64(m, &refused, NULL, http_refused(member->http));
}

static void get_metrics(void *ctx, const struct http_request *request, struct http_reply *reply)
{
	struct member *member = ctx;
	struct metrics m;

	(void)request;
	reply->content_type = "text/plain; version=0.0.4";
	if (metrics_init(&m) < 0) {
		reply->status = 500;
		return;
	}
	(void)pthread_mutex_lock(&member->call);
	add_own_metrics(member, &m);
	if (member->ops->metrics)
		member->ops->metrics(member->ctx, &m);
	(void)pthread_mutex_unlock(&member->call);
	if (metrics_finish(&m, &reply->body) < 0)
		reply->status = 500;
}

static void post_arm(void *ctx, const struct http_request *request, struct http_reply *reply)
{
	struct member *member = ctx;
	struct scan_plan *plan = calloc(1, sizeof(*plan));
	struct sluice_error error = { 0 };
	int ret = -ENOMEM;

	if (plan)
		ret = plan_decode(request->body, plan, &error);
	if (ret == 0 && member_has_run(member, plan))
		ret = error_set(&error, -EEXIST,
				"scan %u has run here already: take another number", plan->scan);
	else if (ret == 0)
		ret = member_offer(member, plan, &error);
	reply_result(reply, ret, &error);
	free(plan);
}

/* The scan number of "?scan=N"; a 400 answers when it is none. */
static int scan_argument(const struct http_request *request, struct http_reply *reply,
			 uint32_t *ret_scan)
{
	struct sluice_error error = { 0 };
	uint64_t scan;

	if (!request->query || parse_u64(request->query, 1, UINT32_MAX, &scan) < 0) {
		reply_result(reply, error_set(&error, -EINVAL, "?scan= is to be a number from 1"),
			     &error);
		return -EINVAL;
	}
	*ret_scan = (uint32_t)scan;
	return 0;
}

static void post_run(void *ctx, const struct http_request *request, struct http_reply *reply)
{
	struct sluice_error error = { 0 };
	uint32_t scan;

	if (scan_argument(request, reply, &scan) == 0)
		reply_result(reply, member_run(ctx, scan, &error), &error);
}

static void post_abort(void *ctx, const struct http_request *request, struct http_reply *reply)
{
	struct sluice_error error = { 0 };
	uint32_t scan;

	if (scan_argument(request, reply, &scan) == 0)
		reply_result(reply, member_abort(ctx, scan, &error), &error);
}

static void get_half(void *ctx, const struct http_request *request, struct http_reply *reply)
{
	struct member *member = ctx;
	json_t *halves;
	uint32_t scan;

	if (scan_argument(request, reply, &scan) < 0)
		return;
	halves = json_array();
	(void)pthread_mutex_lock(&member->lock);
	for (unsigned int i = 0; i < HALVES_KEPT; i++) {
		if (member->half[i].json && member->half[i].scan == scan)
			(void)json_array_append_new(halves, json_pack("{s:s, s:s}", "id",
								      member->half[i].id, "half",
								      member->half[i].json));
	}
	(void)pthread_mutex_unlock(&member->lock);
	reply_json(reply, json_pack("{s:i, s:o}", "schema_version", 1, "halves", halves));
}

int member_http_open(struct member *member, const char *listen, struct sluice_error *reterr)
{
	const struct http_route route[] = {
		{ "GET", "/api/v1/status", get_status, member },
		{ "GET", "/metrics", get_metrics, member },
		{ "POST", "/api/v1/arm", post_arm, member },
		{ "POST", "/api/v1/run", post_run, member },
		{ "POST", "/api/v1/abort", post_abort, member },
		{ "GET", "/api/v1/half", get_half, member },
	};
	const struct http_args args = { .listen = listen,
					.routes = route,
					.route_count = sizeof(route) / sizeof(route[0]) };

	return http_open(&args, &member->http, reterr);
}
