/* SPDX-License-Identifier: MIT */
/*
 * Plans, whether they come by the directory or by HTTP:
 *
 *   armed      -> prepare(), then "ready/<id>" says yes or why not
 *   acquiring  -> run(), if this plan was prepared
 *   aborted    -> abort()
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/log.h>
#include <member/member_state.h>

static bool is_listed(const struct plan_member *list, unsigned int count, const char *id)
{
	for (unsigned int i = 0; i < count; i++) {
		if (strcmp(list[i].id, id) == 0)
			return true;
	}
	return false;
}

static bool entry_named(const struct member *member, const char *id, const struct scan_plan *plan)
{
	switch (member->kind) {
	case MEMBER_BOARD:
		return is_listed(plan->board, plan->board_count, id);
	case MEMBER_AGGREGATOR:
		return is_listed(plan->aggregator, plan->aggregator_count, id);
	case MEMBER_CONSUMER:
		return strcmp(plan->group, member->group) == 0 &&
		       is_listed(plan->consumer, plan->consumer_count, id);
	}
	return false;
}

bool member_named_by(const struct member *member, const struct scan_plan *plan)
{
	for (unsigned int i = 0; i < member->entry_count; i++) {
		if (entry_named(member, member->entry[i].id, plan))
			return true;
	}
	return false;
}

static int offer_locked(struct member *member, const struct scan_plan *plan,
			struct sluice_error *reterr)
{
	int ret;

	if (!member_named_by(member, plan))
		return error_set(reterr, -ENOENT, "scan %u does not count on this member",
				 plan->scan);
	if (member->plan->scan == plan->scan && plan->epoch <= member->plan->epoch)
		return 0; /* told twice */
	ret = member->ops->prepare(member->ctx, plan, reterr);
	if (ret < 0)
		return ret;
	*member->plan = *plan;
	member->running = false;
	return 0;
}

int member_offer(struct member *member, const struct scan_plan *plan, struct sluice_error *reterr)
{
	int ret;

	(void)pthread_mutex_lock(&member->call);
	ret = offer_locked(member, plan, reterr);
	(void)pthread_mutex_unlock(&member->call);
	return ret;
}

bool member_has_run(struct member *member, const struct scan_plan *plan)
{
	bool has_run;

	(void)pthread_mutex_lock(&member->call);
	has_run = member->plan->scan == plan->scan && member->running &&
		  plan->epoch <= member->plan->epoch;
	(void)pthread_mutex_unlock(&member->call);
	return has_run;
}

int member_run(struct member *member, uint32_t scan, struct sluice_error *reterr)
{
	int ret = 0;

	(void)pthread_mutex_lock(&member->call);
	if (member->plan->scan != scan) {
		ret = error_set(reterr, -ENOENT, "scan %u was not armed here", scan);
	} else if (!member->running) {
		member->running = true;
		member->ops->run(member->ctx, member->plan);
	}
	(void)pthread_mutex_unlock(&member->call);
	return ret;
}

int member_abort(struct member *member, uint32_t scan, struct sluice_error *reterr)
{
	int ret = 0;

	(void)pthread_mutex_lock(&member->call);
	if (member->plan->scan == scan)
		member->ops->abort(member->ctx, scan);
	else
		ret = error_set(reterr, -ENOENT, "scan %u was not armed here", scan);
	(void)pthread_mutex_unlock(&member->call);
	return ret;
}

/* Every registration of this member that the plan names answers for itself. */
static void answer(struct member *member, const struct scan_plan *plan, int code, const char *text)
{
	json_t *root = code == 0 ? json_pack("{s:b, s:I}", "ready", 1, "epoch",
					     (json_int_t)plan->epoch)
				 : json_pack("{s:b, s:I, s:s}", "ready", 0, "epoch",
					     (json_int_t)plan->epoch, "error", text);
	char *json = root ? json_dumps(root, JSON_COMPACT) : NULL;

	for (unsigned int i = 0; json && i < member->entry_count; i++) {
		char leaf[SLUICE_WIRE_NAME_MAX + 8], key[PLAN_KEY_MAX];
		struct sluice_error error = { 0 };

		if (!entry_named(member, member->entry[i].id, plan))
			continue;
		(void)snprintf(leaf, sizeof(leaf), "ready/%s", member->entry[i].id);
		scan_key(key, plan->scan, leaf);
		if (directory_put(member->directory, key, json, false, &error) < 0)
			log_err("scan %u: cannot answer the plan: %s", plan->scan, error.text);
	}
	free(json);
	json_decref(root);
}

static void plan_changed(struct member *member, uint32_t scan, const char *value)
{
	struct scan_plan *plan = calloc(1, sizeof(*plan));
	struct sluice_error error = { 0 };
	int ret;

	if (!plan)
		return;
	ret = plan_decode(value, plan, &error);
	if (ret < 0 || plan->scan != scan) {
		log_err("scan %u: not a plan: %s", scan, ret < 0 ? error.text : "other number");
		goto out;
	}
	if (!member_named_by(member, plan))
		goto out;
	switch (plan->state) {
	case SCAN_ARMED:
		ret = member_offer(member, plan, &error);
		if (ret < 0)
			log_warn("scan %u: not ready: %s", scan, error.text);
		answer(member, plan, ret, error.text);
		break;
	case SCAN_ACQUIRING:
		/* A plan that ran before this process began is not taken up: -ENOENT. */
		(void)member_run(member, scan, &error);
		break;
	case SCAN_ABORTED:
		(void)member_abort(member, scan, &error);
		break;
	default:
		break;
	}
out:
	free(plan);
}

void member_scan_changed(void *ctx, enum directory_change change, const char *key,
			 const char *value, int64_t revision)
{
	struct member *member = ctx;
	const char *leaf;
	uint32_t scan;

	(void)revision;
	if (change != DIRECTORY_PUT || scan_key_parse(key, &scan, &leaf) < 0)
		return;
	if (strcmp(leaf, "plan") == 0)
		plan_changed(member, scan, value);
	else if (member->closes_ledgers && strncmp(leaf, "half/", 5) == 0)
		member_try_ledger(member, scan);
}

void member_consumer_changed(void *ctx, enum directory_change change, const char *key,
			     const char *value, int64_t revision)
{
	static const char prefix[] = "consumers/";
	struct member *member = ctx;
	char group[PLAN_GROUP_MAX];
	const char *rest = key + sizeof(prefix) - 1, *slash;
	const char *endpoint = NULL;
	json_t *info = NULL;

	(void)revision;
	if (strncmp(key, prefix, sizeof(prefix) - 1) != 0)
		return;
	slash = strchr(rest, '/');
	if (!slash || (size_t)(slash - rest) >= sizeof(group) || strlen(slash + 1) == 0 ||
	    strlen(slash + 1) >= SLUICE_WIRE_NAME_MAX)
		return;
	memcpy(group, rest, (size_t)(slash - rest));
	group[slash - rest] = '\0';
	if (change == DIRECTORY_PUT) {
		info = json_loads(value, 0, NULL);
		endpoint = json_string_value(json_object_get(info, "endpoint"));
		if (!endpoint || strlen(endpoint) >= PLAN_ENDPOINT_MAX) {
			log_warn("consumer %s: registered without an endpoint", slash + 1);
			json_decref(info);
			return;
		}
	}
	(void)pthread_mutex_lock(&member->call);
	member->ops->consumer(member->ctx, group, slash + 1, endpoint);
	(void)pthread_mutex_unlock(&member->call);
	json_decref(info);
}
