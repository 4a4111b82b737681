/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/error.h>
#include <directory/fetch.h>

#include "client.h"

/* Arming is to be answered within 1 s, also where the directory stands still. */
#define CALL_NS NS_PER_S

static const char *const folders[] = { "boards/", "aggregators/", "consumers/" };
static const char *const kinds[] = { "board", "aggregator", "consumer", NULL };

static const struct argp_option options[] = {
	{ "directory", 'd', "URLS", 0,
	  "etcd, URLs with commas, or none (default: $SLUICE_DIRECTORY, else "
	  "http://127.0.0.1:2379)",
	  0 },
	{ "instrument", 'i', "NAME", 0, "instrument (default: bench)", 0 },
	{ "member", 'm', "URL", 0, "control server of a member, once each, where directory is none",
	  0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct client_args *args = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread yet */
		*args = (struct client_args){ .directory = getenv("SLUICE_DIRECTORY"),
					      .instrument = "bench" };
		if (!args->directory)
			args->directory = "http://127.0.0.1:2379";
		return 0;
	case 'd':
		args->directory = arg;
		return 0;
	case 'i':
		args->instrument = arg;
		return 0;
	case 'm':
		if (args->member_count == CLIENT_MEMBERS_MAX)
			argp_error(state, "over %d members", CLIENT_MEMBERS_MAX);
		args->member[args->member_count++] = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const struct argp client_argp = { .options = options, .parser = parse_option };

static int split_urls(const char *list, char (*ret_url)[DIRECTORY_URL_MAX], unsigned int *ret_count,
		      struct sluice_error *reterr)
{
	unsigned int count = 0;

	while (*list != '\0') {
		const size_t len = strcspn(list, ",");

		if (count == DIRECTORY_ENDPOINTS_MAX || len == 0 || len >= DIRECTORY_URL_MAX)
			return error_set(
				reterr, -EINVAL,
				"--directory: up to %d URLs of up to %d bytes, with commas",
				DIRECTORY_ENDPOINTS_MAX, DIRECTORY_URL_MAX - 1);
		memcpy(ret_url[count], list, len);
		ret_url[count++][len] = '\0';
		list += len + (list[len] == ',');
	}
	*ret_count = count;
	return 0;
}

int client_open(const struct client_args *args, struct client *ret_client,
		struct sluice_error *reterr)
{
	char url[DIRECTORY_ENDPOINTS_MAX][DIRECTORY_URL_MAX];
	struct directory_args directory = {
		.kind = DIRECTORY_ETCD,
		.endpoints = url,
		.instrument = args->instrument,
		.lease_ttl_s = 5,
		.timeout_ns = CALL_NS,
	};
	struct client client = { .args = *args };
	int ret;

	if (strcmp(args->directory, "none") == 0) {
		if (args->member_count == 0)
			return error_set(reterr, -EINVAL,
					 "--directory none: name the members, --member URL each");
		*ret_client = client;
		return 0;
	}
	ret = split_urls(args->directory, url, &directory.endpoint_count, reterr);
	if (ret == 0)
		ret = directory_open(&directory, &client.directory, reterr);
	if (ret == 0)
		*ret_client = client;
	return ret;
}

void client_close(struct client *client)
{
	directory_close(client->directory);
	client->directory = NULL;
}

int client_get(const char *url, const char *path, uint64_t timeout_ns, json_t **ret_json,
	       struct sluice_error *reterr)
{
	char full[PLAN_URL_MAX + 128], *body = NULL;
	const struct fetch request = { .method = "GET", .url = full, .timeout_ns = timeout_ns };
	unsigned int status;
	json_t *json;
	int ret;

	(void)snprintf(full, sizeof(full), "%s%s", url, path);
	ret = fetch(&request, &status, &body, reterr);
	if (ret < 0)
		return ret;
	json = json_loads(body, 0, NULL);
	free(body);
	if (!json || status != 200) {
		json_decref(json);
		return error_set(reterr, -EBADMSG, "%s: HTTP status %u", full, status);
	}
	*ret_json = json;
	return 0;
}

int client_post(const char *url, const char *path, const char *body, uint64_t timeout_ns,
		struct sluice_error *reterr)
{
	char full[PLAN_URL_MAX + 128], *answer = NULL;
	const struct fetch request = {
		.method = "POST", .url = full, .body = body, .timeout_ns = timeout_ns
	};
	unsigned int status;
	json_t *json;
	int ret;

	(void)snprintf(full, sizeof(full), "%s%s", url, path);
	ret = fetch(&request, &status, &answer, reterr);
	if (ret < 0)
		return ret;
	json = json_loads(answer, 0, NULL);
	free(answer);
	if (status != 200)
		ret = error_set(reterr, -EPROTO, "%s",
				json_string_value(json_object_get(json, "error"))
					?: "refused without a reason");
	json_decref(json);
	return ret;
}

/* ---- members -------------------------------------------------------------------------------- */

static int add_member(struct client_members *list, const struct client_member *member, json_t *info,
		      struct sluice_error *reterr)
{
	struct client_member *m = &list->member[list->count];

	if (list->count == CLIENT_MEMBERS_MAX) {
		json_decref(info);
		return error_set(reterr, -ENOSPC, "over %d members", CLIENT_MEMBERS_MAX);
	}
	*m = *member;
	m->info = info;
	(void)snprintf(m->url, sizeof(m->url), "%s",
		       json_string_value(json_object_get(info, "url")) ?: "");
	list->count++;
	return 0;
}

static int from_directory(struct client *client, struct client_members *list,
			  struct sluice_error *reterr)
{
	for (unsigned int kind = 0; kind < 3; kind++) {
		struct directory_entries entries;
		int ret = directory_list(client->directory, folders[kind], &entries, reterr);

		for (unsigned int i = 0; ret == 0 && i < entries.count; i++) {
			const char *rest = entries.entry[i].key + strlen(folders[kind]);
			struct client_member m = { .kind = (enum client_kind)kind };

			if (kind == CLIENT_CONSUMER) {
				const size_t len = strcspn(rest, "/");

				(void)snprintf(m.group, sizeof(m.group), "%.*s", (int)len, rest);
				rest += len + (rest[len] == '/');
			}
			(void)snprintf(m.id, sizeof(m.id), "%s", rest);
			ret = add_member(list, &m, json_loads(entries.entry[i].value, 0, NULL),
					 reterr);
		}
		if (ret < 0)
			return ret;
		directory_entries_free(&entries);
	}
	return 0;
}

static int from_address(const char *url, struct client_members *list, struct sluice_error *reterr)
{
	json_t *status, *entry;
	const char *kind;
	json_int_t scan;
	size_t i;
	int ret = client_get(url, "/api/v1/status", CALL_NS, &status, reterr);

	if (ret < 0)
		return error_prefix(reterr, ret, "member %s", url);
	kind = json_string_value(json_object_get(status, "kind")) ?: "";
	scan = json_integer_value(json_object_get(status, "scan"));
	if (scan > 0 && scan <= UINT32_MAX && (uint32_t)scan > list->highest_scan)
		list->highest_scan = (uint32_t)scan;
	json_array_foreach(json_object_get(status, "entries"), i, entry)
	{
		struct client_member m = { .kind = CLIENT_BOARD };

		while (kinds[m.kind] && strcmp(kinds[m.kind], kind) != 0)
			m.kind++;
		if (!kinds[m.kind]) {
			ret = error_set(reterr, -EBADMSG,
					"member %s: is no board, aggregator or consumer", url);
			break;
		}
		(void)snprintf(m.group, sizeof(m.group), "%s",
			       json_string_value(json_object_get(status, "group")) ?: "");
		(void)snprintf(m.id, sizeof(m.id), "%s",
			       json_string_value(json_object_get(entry, "id")) ?: "");
		ret = add_member(list, &m, json_incref(json_object_get(entry, "info")), reterr);
		if (ret < 0)
			break;
	}
	json_decref(status);
	return ret;
}

int client_members(struct client *client, struct client_members **ret_members,
		   struct sluice_error *reterr)
{
	struct client_members *list = calloc(1, sizeof(*list));
	int ret = 0;

	if (!list)
		return error_set(reterr, -ENOMEM, "out of memory");
	if (client->directory)
		ret = from_directory(client, list, reterr);
	for (unsigned int i = 0; ret == 0 && !client->directory && i < client->args.member_count;
	     i++)
		ret = from_address(client->args.member[i], list, reterr);
	if (ret < 0) {
		client_members_free(list);
		return ret;
	}
	*ret_members = list;
	return 0;
}

void client_members_free(struct client_members *members)
{
	for (unsigned int i = 0; members && i < members->count; i++)
		json_decref(members->member[i].info);
	free(members);
}

int client_plan(struct client *client, uint32_t scan, struct scan_plan *ret_plan,
		int64_t *ret_revision, struct sluice_error *reterr)
{
	struct directory_entries entries;
	const struct directory_entry *found = NULL;
	char prefix[PLAN_KEY_MAX] = "scans/";
	int ret;

	if (!client->directory)
		return error_set(reterr, -ENOENT,
				 "without a directory there are no plans to look up");
	if (scan > 0)
		scan_key(prefix, scan, "plan");
	ret = directory_list(client->directory, prefix, &entries, reterr);
	if (ret < 0)
		return ret;
	for (unsigned int i = 0; i < entries.count; i++) {
		const char *leaf;
		uint32_t number;

		if (scan_key_parse(entries.entry[i].key, &number, &leaf) == 0 &&
		    strcmp(leaf, "plan") == 0)
			found = &entries.entry[i]; /* ascending: the newest comes last */
	}
	if (!found) {
		ret = scan > 0 ? error_set(reterr, -ENOENT, "there is no scan %u", scan)
			       : error_set(reterr, -ENOENT, "there is no scan yet");
		goto out;
	}
	ret = plan_decode(found->value, ret_plan, reterr);
	if (ret == 0)
		*ret_revision = found->revision;
out:
	directory_entries_free(&entries);
	return ret;
}
