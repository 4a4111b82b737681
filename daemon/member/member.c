/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/error.h>
#include <member/member_state.h>

/* A lease may lapse and be taken again: who is away for less than this is not gone. */
#define GONE_NS (10 * NS_PER_S)

void member_key(const struct member *member, unsigned int entry, char key[DIRECTORY_KEY_MAX])
{
	static const char *const folder[] = { "boards", "aggregators", "consumers" };
	const char *id = member->entry[entry].id;

	if (member->kind == MEMBER_CONSUMER)
		(void)snprintf(key, DIRECTORY_KEY_MAX, "consumers/%s/%s", member->group, id);
	else
		(void)snprintf(key, DIRECTORY_KEY_MAX, "%s/%s", folder[member->kind], id);
}

static int register_entry(struct member *member, unsigned int i, struct sluice_error *reterr)
{
	char key[DIRECTORY_KEY_MAX];
	json_t *info = json_loads(member->entry[i].info, 0, NULL);
	char *text = NULL;
	int ret = -EINVAL;

	if (!json_is_object(info)) {
		(void)error_set(reterr, ret, "%s: its info is no JSON object", member->entry[i].id);
		goto out;
	}
	(void)json_object_set_new(info, "url", json_string(member->url));
	text = json_dumps(info, JSON_COMPACT);
	if (!text || strlen(text) >= MEMBER_INFO_MAX) {
		ret = error_set(reterr, -ENOSPC, "%s: its info is over %d bytes",
				member->entry[i].id, MEMBER_INFO_MAX);
		goto out;
	}
	memcpy(member->entry[i].info, text, strlen(text) + 1);
	member_key(member, i, key);
	ret = directory_put(member->directory, key, text, true, reterr);
out:
	free(text);
	json_decref(info);
	return ret;
}

static int member_join(struct member *member, struct sluice_error *reterr)
{
	int ret = 0;

	/* What it hears of comes before what others hear of it. */
	if (member->ops->consumer)
		ret = directory_watch(member->directory, "consumers/", member_consumer_changed,
				      member, reterr);
	if (ret == 0 && member->closes_ledgers)
		ret = directory_watch(member->directory, "boards/", member_left, member, reterr);
	if (ret == 0 && member->closes_ledgers)
		ret = directory_watch(member->directory, "consumers/", member_left, member, reterr);
	if (ret == 0)
		ret = directory_watch(member->directory, "scans/", member_scan_changed, member,
				      reterr);
	for (unsigned int i = 0; ret == 0 && i < member->entry_count; i++)
		ret = register_entry(member, i, reterr);
	return ret;
}

static int member_fill(struct member *m, const struct member_args *args,
		       struct sluice_error *reterr)
{
	if (args->entry_count == 0 || args->entry_count > MEMBER_ENTRIES_MAX)
		return error_set(reterr, -EINVAL, "%u registrations; allowed: 1 to %d",
				 args->entry_count, MEMBER_ENTRIES_MAX);
	m->kind = args->kind;
	memcpy(m->entry, args->entries, args->entry_count * sizeof(m->entry[0]));
	m->entry_count = args->entry_count;
	(void)snprintf(m->group, sizeof(m->group), "%s", args->group ? args->group : "");
	m->ops = args->ops;
	m->ctx = args->ctx;
	m->closes_ledgers = args->closes_ledgers;
	m->gone_ns = args->gone_ns > 0 ? args->gone_ns : GONE_NS;
	(void)pthread_mutex_init(&m->call, NULL);
	(void)pthread_mutex_init(&m->lock, NULL);
	return 0;
}

int member_open(const struct member_args *args, struct member **ret_member,
		struct sluice_error *reterr)
{
	struct member *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return -ENOMEM;
	m->plan = calloc(1, sizeof(*m->plan));
	if (!m->plan) {
		ret = -ENOMEM;
		goto err_free;
	}
	ret = member_fill(m, args, reterr);
	if (ret < 0)
		goto err_plan;
	/*
	 * Held until the caller has the member: whatever calls back early waits instead of finding
	 * half of it.
	 */
	(void)pthread_mutex_lock(&m->call);
	ret = member_http_open(m, args->listen, reterr);
	if (ret < 0)
		goto err_unlock;
	(void)snprintf(m->url, sizeof(m->url), "http://%s", http_address(m->http));
	ret = directory_open(&args->directory, &m->directory, reterr);
	if (ret < 0)
		goto err_unlock;
	ret = member_join(m, reterr);
	if (ret < 0)
		goto err_unlock;
	*ret_member = m;
	(void)pthread_mutex_unlock(&m->call);
	return 0;

err_unlock:
	m->entry_count = 0; /* names it no more: a plan that waits is not for it */
	(void)pthread_mutex_unlock(&m->call);
	member_close(m);
	return ret;
err_plan:
	free(m->plan);
err_free:
	free(m);
	return ret;
}

void member_close(struct member *member)
{
	if (!member)
		return;
	directory_close(member->directory);
	http_close(member->http);
	for (unsigned int i = 0; i < HALVES_KEPT; i++)
		free(member->half[i].json);
	(void)pthread_mutex_destroy(&member->lock);
	(void)pthread_mutex_destroy(&member->call);
	free(member->plan);
	free(member);
}

const char *member_url(const struct member *member)
{
	return member->url;
}

struct directory *member_directory(struct member *member)
{
	return member->directory;
}

/* Where the half lies already, of a publishing that is tried again; else the oldest place. */
static struct kept_half *place_for_half(struct member *member, uint32_t scan, const char *id)
{
	for (unsigned int i = 0; i < HALVES_KEPT; i++) {
		struct kept_half *half = &member->half[i];

		if (half->json && half->scan == scan && strcmp(half->id, id) == 0)
			return half;
	}
	return &member->half[member->half_next++ % HALVES_KEPT];
}

static int keep_half(struct member *member, uint32_t scan, const char *id, const char *json)
{
	char *copy = strdup(json);
	struct kept_half *half;

	if (!copy)
		return -ENOMEM;
	(void)pthread_mutex_lock(&member->lock);
	half = place_for_half(member, scan, id);
	free(half->json);
	half->json = copy;
	half->scan = scan;
	(void)snprintf(half->id, sizeof(half->id), "%s", id);
	(void)pthread_mutex_unlock(&member->lock);
	return 0;
}

int member_publish_half(struct member *member, uint32_t scan, const char *id, const char *json,
			struct sluice_error *reterr)
{
	char leaf[SLUICE_WIRE_NAME_MAX + 8], key[PLAN_KEY_MAX];
	int ret = keep_half(member, scan, id, json);

	if (ret < 0)
		return error_set(reterr, ret, "scan %u: out of memory", scan);
	(void)snprintf(leaf, sizeof(leaf), "half/%s", id);
	scan_key(key, scan, leaf);
	return directory_put(member->directory, key, json, false, reterr);
}
