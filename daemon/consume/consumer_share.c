/* SPDX-License-Identifier: MIT */
/*
 * Values that all consumers of a scan see alike. Where there is a directory they live there, under
 * "scans/<n>/shared/<name>", put by a transaction: the first one stays. Where there is none each
 * consumer keeps what it shared, shows it in its status, and the others look there.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/error.h>
#include <consume/consumer_state.h>
#include <directory/fetch.h>

#define LOOK_NS (2 * NS_PER_S)

bool consumer_name_ok(const char *name)
{
	const size_t len = strnlen(name, NAME_LENGTH_MAX + 1);

	if (len == 0 || len > NAME_LENGTH_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)name[i]) && name[i] != '-' && name[i] != '_')
			return false;
	}
	return true;
}

json_t *consumer_shared_json(const struct sluice_consumer *c)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < SHARED_MAX; i++) {
		const struct shared_value *v = &c->shared[i];

		if (v->scan != 0)
			(void)json_array_append_new(array, json_pack("{s:I, s:s, s:s}", "scan",
								     (json_int_t)v->scan, "name",
								     v->name, "value", v->text));
	}
	return array;
}

static const struct shared_value *own_value(const struct sluice_consumer *c, uint32_t scan,
					    const char *name)
{
	for (unsigned int i = 0; i < SHARED_MAX; i++) {
		if (c->shared[i].scan == scan && strcmp(c->shared[i].name, name) == 0)
			return &c->shared[i];
	}
	return NULL;
}

static int share_here(struct sluice_consumer *c, uint32_t scan, const char *name, const char *value)
{
	char *text = strdup(value);

	if (!text)
		return -ENOMEM;
	(void)pthread_mutex_lock(&c->lock);
	if (!own_value(c, scan, name)) {
		/* The oldest gives way: its scan is long over. */
		struct shared_value *v = &c->shared[c->shared_next++ % SHARED_MAX];

		free(v->text);
		v->scan = scan;
		v->text = text;
		text = NULL;
		(void)snprintf(v->name, sizeof(v->name), "%s", name);
	}
	(void)pthread_mutex_unlock(&c->lock);
	free(text);
	return 0;
}

void consumer_shared_free(struct sluice_consumer *c)
{
	for (unsigned int i = 0; i < SHARED_MAX; i++)
		free(c->shared[i].text);
}

static void shared_key(char key[PLAN_KEY_MAX], uint32_t scan, const char *name)
{
	char leaf[NAME_LENGTH_MAX + 8];

	(void)snprintf(leaf, sizeof(leaf), "shared/%s", name);
	scan_key(key, scan, leaf);
}

int sluice_consumer_share(struct sluice_consumer *consumer, uint32_t scan, const char *name,
			  const char *value, struct sluice_error *reterr)
{
	char key[PLAN_KEY_MAX];
	int ret;

	if (scan == 0 || !consumer_name_ok(name) ||
	    strnlen(value, SLUICE_SHARED_TEXT_MAX) == SLUICE_SHARED_TEXT_MAX)
		return error_set(reterr, -EINVAL, "scan %u: \"%.40s\" cannot be shared", scan,
				 name);
	if (!consumer->has_directory) {
		ret = share_here(consumer, scan, name, value);
		return ret < 0 ? error_set(reterr, ret, "scan %u: no memory to share \"%s\"", scan,
					   name)
			       : 0;
	}
	shared_key(key, scan, name);
	ret = directory_put_if(member_directory(consumer->member), key, 0, value, reterr);
	return ret == -EEXIST ? 0 : ret;
}

static int text_take(const char *text, char *dst, size_t size)
{
	const size_t len = strlen(text);

	if (len >= size)
		return -E2BIG;
	memcpy(dst, text, len + 1);
	return 0;
}

static int look_in_directory(struct sluice_consumer *c, uint32_t scan, const char *name, char *dst,
			     size_t size, struct sluice_error *reterr)
{
	struct directory_entries entries = { 0 };
	char key[PLAN_KEY_MAX];
	int ret;

	shared_key(key, scan, name);
	ret = directory_list(member_directory(c->member), key, &entries, reterr);
	if (ret < 0)
		return ret;
	ret = -EAGAIN;
	for (unsigned int i = 0; i < entries.count; i++) {
		if (strcmp(entries.entry[i].key, key) == 0)
			ret = text_take(entries.entry[i].value, dst, size);
	}
	directory_entries_free(&entries);
	return ret;
}

/* @status: another consumer's answer, which is foreign bytes. */
static int look_in_status(const char *status, uint32_t scan, const char *name, char *dst,
			  size_t size)
{
	json_t *root = json_loads(status, 0, NULL), *one;
	int ret = -EAGAIN;
	size_t i;

	json_array_foreach(json_object_get(root, "shared"), i, one)
	{
		const char *its_name = json_string_value(json_object_get(one, "name"));
		const char *value = json_string_value(json_object_get(one, "value"));

		if (its_name && value && strcmp(its_name, name) == 0 &&
		    json_integer_value(json_object_get(one, "scan")) == (json_int_t)scan) {
			ret = text_take(value, dst, size);
			break;
		}
	}
	json_decref(root);
	return ret;
}

static int look_at_peer(const char *url, uint64_t timeout_ns, char **ret_body)
{
	char address[PLAN_URL_MAX + 16];
	const struct fetch request = { .method = "GET", .url = address, .timeout_ns = timeout_ns };
	unsigned int status = 0;
	int ret;

	(void)snprintf(address, sizeof(address), "%s/api/v1/status", url);
	ret = fetch(&request, &status, ret_body, NULL);
	if (ret < 0)
		return ret;
	if (status == 200)
		return 0;
	free(*ret_body);
	return -EBADMSG;
}

static int look_at_peers(struct sluice_consumer *c, uint32_t scan, const char *name, char *dst,
			 size_t size)
{
	const uint64_t deadline_ns = now_ns() + LOOK_NS;
	const char *own_url = member_url(c->member);
	unsigned int count = 0;
	char(*url)[PLAN_URL_MAX];
	int ret = -EAGAIN;

	url = calloc(PLAN_MEMBERS_MAX, sizeof(*url));
	if (!url)
		return -ENOMEM;
	(void)pthread_mutex_lock(&c->lock);
	for (unsigned int i = 0; c->plan->scan == scan && i < c->plan->consumer_count; i++) {
		const char *its = c->plan->consumer[i].url;

		if (its[0] != '\0' && strcmp(its, own_url) != 0)
			memcpy(url[count++], its, PLAN_URL_MAX);
	}
	(void)pthread_mutex_unlock(&c->lock);
	for (unsigned int i = 0; i < count && ret == -EAGAIN && ns_until(deadline_ns) > 0; i++) {
		char *body = NULL;

		/* One that does not answer may be one that does not have it. */
		if (look_at_peer(url[i], ns_until(deadline_ns), &body) < 0)
			continue;
		ret = look_in_status(body, scan, name, dst, size);
		free(body);
	}
	free(url);
	return ret;
}

int sluice_consumer_shared(struct sluice_consumer *consumer, uint32_t scan, const char *name,
			   char *dst, size_t size, struct sluice_error *reterr)
{
	const struct shared_value *own;
	int ret = -EAGAIN;

	if (scan == 0 || !consumer_name_ok(name))
		return error_set(reterr, -EINVAL, "scan %u: \"%.40s\" cannot be shared", scan,
				 name);
	if (consumer->has_directory)
		return look_in_directory(consumer, scan, name, dst, size, reterr);
	(void)pthread_mutex_lock(&consumer->lock);
	own = own_value(consumer, scan, name);
	if (own)
		ret = text_take(own->text, dst, size);
	(void)pthread_mutex_unlock(&consumer->lock);
	return own ? ret : look_at_peers(consumer, scan, name, dst, size);
}
