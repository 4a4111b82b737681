/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/parse.h>
#include <directory/base64.h>
#include <directory/etcd_json.h>

enum {
	NUMBER_MAX = 24 /* characters of a 64-bit number, sign and NUL included */
};

static const char *number_text(char text[NUMBER_MAX], int64_t v)
{
	(void)snprintf(text, NUMBER_MAX, "%" PRId64, v);
	return text;
}

/* Sets object[name] to the base64 of @len bytes. */
static int set_bytes(json_t *object, const char *name, const void *data, size_t len)
{
	char *text = base64_encode(data, len);
	const int ret = text ? json_object_set_new(object, name, json_string(text)) : -1;

	free(text);
	return ret;
}

static int set_string(json_t *object, const char *name, const char *value)
{
	return set_bytes(object, name, value, strlen(value));
}

static int set_number(json_t *object, const char *name, int64_t v)
{
	char text[NUMBER_MAX];

	return json_object_set_new(object, name, json_string(number_text(text, v)));
}

/* key and range_end, so that the range is all that begins with @prefix. */
static int set_prefix(json_t *object, const char *prefix)
{
	char end[ETCD_FULL_KEY_MAX];
	const size_t len = strlen(prefix);

	if (len == 0 || len >= sizeof(end))
		return -1;
	(void)memcpy(end, prefix, len + 1);
	/* Keys are printable ASCII, so the last byte can be one more without a carry. */
	end[len - 1]++;
	return set_string(object, "key", prefix) || set_string(object, "range_end", end) ? -1 : 0;
}

/* Takes @object (NULL too). */
static char *dump(json_t *object, int failed)
{
	char *text = object && !failed ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	return text;
}

char *etcd_encode_put(const char *key, const char *value, int64_t lease)
{
	json_t *object = json_object();
	int failed = set_string(object, "key", key) || set_string(object, "value", value);

	if (lease != 0)
		failed |= set_number(object, "lease", lease);
	return dump(object, failed);
}

char *etcd_encode_put_if(const char *key, int64_t revision, const char *value)
{
	json_t *put = json_object(), *compare = json_object();
	const int failed = set_string(put, "key", key) || set_string(put, "value", value) ||
			   set_string(compare, "key", key) ||
			   set_number(compare, "mod_revision", revision) ||
			   json_object_set_new(compare, "target", json_string("MOD")) ||
			   json_object_set_new(compare, "result", json_string("EQUAL"));

	/* json_pack takes both references, on failure as well. */
	return dump(
		json_pack("{s:[o],s:[{s:o}]}", "compare", compare, "success", "request_put", put),
		failed);
}

char *etcd_encode_delete(const char *key)
{
	json_t *object = json_object();
	const int failed = set_string(object, "key", key);

	return dump(object, failed);
}

char *etcd_encode_range(const char *prefix, const char *from, int64_t revision)
{
	json_t *object = json_object();
	int failed = set_prefix(object, prefix) || set_number(object, "limit", ETCD_PAGE_ENTRIES);

	if (from)
		failed |= json_object_set_new(object, "key", json_string(from));
	if (revision != 0)
		failed |= set_number(object, "revision", revision);
	return dump(object, failed);
}

char *etcd_encode_watch(const char *prefix, int64_t start_revision)
{
	json_t *create = json_object();
	const int failed = set_prefix(create, prefix) ||
			   set_number(create, "start_revision", start_revision);

	return dump(json_pack("{s:o}", "create_request", create), failed);
}

char *etcd_encode_lease_grant(uint32_t ttl_s)
{
	json_t *object = json_object();
	const int failed = set_number(object, "TTL", ttl_s);

	return dump(object, failed);
}

char *etcd_encode_lease_id(int64_t lease)
{
	json_t *object = json_object();
	const int failed = set_number(object, "ID", lease);

	return dump(object, failed);
}

char *etcd_encode_authenticate(const char *user, const char *password)
{
	return dump(json_pack("{s:s,s:s}", "name", user, "password", password), 0);
}

/* The answer's object, a new reference. Error answers are followed by gRPC's trailer as text. */
static int load_object(const char *json, size_t len, bool trailer, json_t **ret_object)
{
	const size_t flags = JSON_REJECT_DUPLICATES | (trailer ? JSON_DISABLE_EOF_CHECK : 0);
	json_t *object = json_loadb(json, len, flags, NULL);

	if (!json_is_object(object)) {
		json_decref(object);
		return -EBADMSG;
	}
	*ret_object = object;
	return 0;
}

/* A 64-bit number that is 0 when left out. etcd writes strings; proto3 JSON allows numbers too. */
static int get_number(const json_t *object, const char *name, int64_t *ret_v)
{
	const json_t *value = json_object_get(object, name);
	uint64_t v = 0;

	if (json_is_integer(value)) {
		if (json_integer_value(value) < 0)
			return -EBADMSG;
		*ret_v = json_integer_value(value);
		return 0;
	}
	if (value) {
		if (!json_is_string(value) ||
		    parse_u64(json_string_value(value), 0, INT64_MAX, &v) < 0)
			return -EBADMSG;
	}
	*ret_v = (int64_t)v;
	return 0;
}

static int get_bool(const json_t *object, const char *name, bool *ret_v)
{
	const json_t *value = json_object_get(object, name);

	if (value && !json_is_boolean(value))
		return -EBADMSG;
	*ret_v = json_is_true(value);
	return 0;
}

/* Bytes that are empty when left out. */
static int get_bytes(const json_t *object, const char *name, char **ret_data, size_t *ret_len)
{
	const json_t *value = json_object_get(object, name);
	int ret;

	if (value && !json_is_string(value))
		return -EBADMSG;
	ret = base64_decode(value ? json_string_value(value) : "",
			    value ? json_string_length(value) : 0, ret_data, ret_len);
	return ret == -EINVAL ? -EBADMSG : ret;
}

static int get_header(const json_t *object, int64_t *ret_revision)
{
	const json_t *header = json_object_get(object, "header");
	const json_t *member = json_object_get(header, "member_id");

	if (!json_is_object(header) || !(json_is_string(member) || json_is_integer(member)))
		return -EBADMSG;
	return get_number(header, "revision", ret_revision);
}

static void get_text(const json_t *object, const char *name, char text[ETCD_REASON_MAX])
{
	const char *value = json_string_value(json_object_get(object, name));

	(void)snprintf(text, ETCD_REASON_MAX, "%s", value ? value : "no reason given");
	/* It ends in a message of one line. */
	for (char *c = text; *c; c++) {
		if ((unsigned char)*c < ' ')
			*c = ' ';
	}
}

int etcd_decode_header(const char *json, size_t len)
{
	json_t *object = NULL;
	int64_t revision;
	int ret = load_object(json, len, false, &object);

	if (ret == 0)
		ret = get_header(object, &revision);
	json_decref(object);
	return ret;
}

/* @object: an answer's "error", which is a string in plain answers and an object in streams. */
static int failure_from(const json_t *object, struct etcd_failure *ret_failure)
{
	const json_t *error = json_object_get(object, "error");
	struct etcd_failure f = { 0 };
	int ret;

	if (json_is_object(error)) {
		ret = get_number(error, "grpc_code", &f.code);
		get_text(error, "message", f.reason);
	} else if (json_is_string(error)) {
		ret = get_number(object, "code", &f.code);
		get_text(object, "error", f.reason);
	} else {
		ret = -EBADMSG;
	}
	if (ret == 0)
		*ret_failure = f;
	return ret;
}

int etcd_decode_failure(const char *json, size_t len, struct etcd_failure *ret_failure)
{
	json_t *object = NULL;
	int ret = load_object(json, len, true, &object);

	if (ret == 0)
		ret = failure_from(object, ret_failure);
	json_decref(object);
	return ret;
}

/* One key and value as a member may have put them. -ENOENT: nobody of ours has put this. */
static int get_kv(const json_t *kv, const char *root, struct etcd_event *ret_event)
{
	const size_t root_len = strlen(root);
	struct etcd_event e = { .change = DIRECTORY_PUT };
	size_t key_len, value_len;
	char *key = NULL;
	int ret;

	if (!json_is_object(kv))
		return -EBADMSG;
	ret = get_number(kv, "mod_revision", &e.revision);
	if (ret < 0)
		return ret;
	ret = get_bytes(kv, "key", &key, &key_len);
	if (ret < 0)
		return ret;
	if (key_len < root_len || memcmp(key, root, root_len) != 0) {
		ret = -EBADMSG; /* not what was asked for */
		goto out_key;
	}
	ret = get_bytes(kv, "value", &e.value, &value_len);
	if (ret < 0)
		goto out_key;
	key_len -= root_len;
	if (key_len == 0 || key_len >= sizeof(e.key) || memchr(key + root_len, '\0', key_len) ||
	    value_len >= DIRECTORY_VALUE_MAX || memchr(e.value, '\0', value_len)) {
		free(e.value);
		ret = -ENOENT;
		goto out_key;
	}
	(void)memcpy(e.key, key + root_len, key_len);
	*ret_event = e;
out_key:
	free(key);
	return ret;
}

/* Takes @event's value on success. */
static int list_append(struct etcd_list *list, const struct etcd_event *event)
{
	const size_t bytes = strlen(event->value) + 1;
	struct directory_entry *entry;

	if (list->count == DIRECTORY_ENTRIES_MAX || list->bytes + bytes > ETCD_LIST_BYTES_MAX)
		return -ENOSPC;
	if (list->count == list->capacity) {
		const unsigned int capacity = list->capacity ? 2 * list->capacity : 16;

		entry = reallocarray(list->entry, capacity, sizeof(*entry));
		if (!entry)
			return -ENOMEM;
		list->entry = entry;
		list->capacity = capacity;
	}
	entry = &list->entry[list->count++];
	(void)memcpy(entry->key, event->key, sizeof(entry->key));
	entry->value = event->value;
	entry->revision = event->revision;
	list->bytes += bytes;
	return 0;
}

/* base64 of the last key and a NUL: the smallest key behind it. */
static int next_from(const json_t *kvs, char **ret_next)
{
	const json_t *last = json_array_get(kvs, json_array_size(kvs) - 1);
	char *key = NULL, *next;
	size_t len;
	int ret = get_bytes(last, "key", &key, &len);

	if (ret < 0)
		return ret;
	next = base64_encode(key, len + 1);
	free(key);
	if (!next)
		return -ENOMEM;
	*ret_next = next;
	return 0;
}

static int append_kvs(const json_t *kvs, const char *root, struct etcd_list *list)
{
	int ret = 0;

	for (size_t i = 0; i < json_array_size(kvs) && ret == 0; i++) {
		struct etcd_event event;

		ret = get_kv(json_array_get(kvs, i), root, &event);
		if (ret == -ENOENT) {
			list->skipped++;
			ret = 0;
			continue;
		}
		if (ret < 0)
			break;
		ret = list_append(list, &event);
		if (ret < 0)
			free(event.value);
	}
	return ret;
}

int etcd_decode_range(const char *json, size_t len, const char *root, struct etcd_list *list,
		      char **ret_next)
{
	json_t *object = NULL, *kvs;
	char *next = NULL;
	int64_t revision = 0;
	bool more = false;
	int ret = load_object(json, len, false, &object);

	if (ret < 0)
		return ret;
	kvs = json_object_get(object, "kvs");
	ret = get_header(object, &revision);
	if (ret == 0)
		ret = get_bool(object, "more", &more);
	if (ret == 0 && ((kvs && !json_is_array(kvs)) || json_array_size(kvs) > ETCD_PAGE_ENTRIES ||
			 (more && !json_array_size(kvs))))
		ret = -EBADMSG;
	if (ret == 0)
		ret = append_kvs(kvs, root, list);
	if (ret == 0 && more)
		ret = next_from(kvs, &next);
	if (ret == 0) {
		if (list->revision == 0)
			list->revision = revision;
		*ret_next = next;
	}
	json_decref(object);
	return ret;
}

void etcd_list_fini(struct etcd_list *list)
{
	for (unsigned int i = 0; i < list->count; i++)
		free(list->entry[i].value);
	free(list->entry);
	*list = (struct etcd_list){ 0 };
}

int etcd_decode_txn(const char *json, size_t len, bool *ret_succeeded)
{
	json_t *object = NULL;
	int64_t revision;
	int ret = load_object(json, len, false, &object);

	if (ret == 0)
		ret = get_header(object, &revision);
	if (ret == 0)
		ret = get_bool(object, "succeeded", ret_succeeded);
	json_decref(object);
	return ret;
}

int etcd_decode_lease_grant(const char *json, size_t len, int64_t *ret_lease)
{
	json_t *object = NULL;
	int64_t revision, lease = 0, ttl_s = 0;
	int ret = load_object(json, len, false, &object);

	if (ret == 0)
		ret = get_header(object, &revision);
	if (ret == 0)
		ret = get_number(object, "ID", &lease);
	if (ret == 0)
		ret = get_number(object, "TTL", &ttl_s);
	if (ret == 0 && (lease == 0 || ttl_s == 0))
		ret = -EBADMSG;
	if (ret == 0)
		*ret_lease = lease;
	json_decref(object);
	return ret;
}

int etcd_decode_keepalive(const char *json, size_t len, int64_t *ret_ttl_s)
{
	json_t *object = NULL;
	const json_t *result;
	int64_t revision, ttl_s = 0;
	int ret = load_object(json, len, false, &object);

	result = json_object_get(object, "result");
	if (ret == 0)
		ret = get_header(result, &revision);
	if (ret == 0)
		ret = get_number(result, "TTL", &ttl_s);
	if (ret == 0)
		*ret_ttl_s = ttl_s;
	json_decref(object);
	return ret;
}

static int get_event(const json_t *object, const char *root, struct etcd_event *ret_event)
{
	const json_t *type = json_object_get(object, "type");
	const char *name = json_string_value(type);
	const bool deleted = name && strcmp(name, "DELETE") == 0;
	int ret;

	if (type && !deleted && (!name || strcmp(name, "PUT") != 0))
		return -EBADMSG;
	ret = get_kv(json_object_get(object, "kv"), root, ret_event);
	if (ret == 0 && deleted) {
		free(ret_event->value);
		ret_event->value = NULL;
		ret_event->change = DIRECTORY_DELETED;
	}
	return ret;
}

static int get_events(const json_t *events, const char *root, struct etcd_watch_answer *answer)
{
	const size_t count = json_array_size(events);
	int ret = 0;

	if ((events && !json_is_array(events)) || count > DIRECTORY_ENTRIES_MAX)
		return -EBADMSG;
	if (count == 0)
		return 0;
	answer->event = calloc(count, sizeof(*answer->event));
	if (!answer->event)
		return -ENOMEM;
	for (size_t i = 0; i < count && ret == 0; i++) {
		ret = get_event(json_array_get(events, i), root, &answer->event[answer->count]);
		if (ret == 0)
			answer->count++;
		if (ret == -ENOENT) {
			answer->skipped++;
			ret = 0;
		}
	}
	return ret;
}

int etcd_decode_watch(const char *json, size_t len, const char *root,
		      struct etcd_watch_answer *ret_answer)
{
	struct etcd_watch_answer answer = { 0 };
	struct etcd_failure failure;
	json_t *object = NULL;
	const json_t *result;
	int64_t revision;
	int ret = load_object(json, len, false, &object);

	if (ret < 0)
		return ret;
	result = json_object_get(object, "result");
	if (!result && failure_from(object, &failure) == 0) {
		answer.canceled = true;
		(void)memcpy(answer.reason, failure.reason, sizeof(answer.reason));
		goto out_object;
	}
	ret = get_header(result, &revision);
	if (ret == 0)
		ret = get_bool(result, "created", &answer.created);
	if (ret == 0)
		ret = get_bool(result, "canceled", &answer.canceled);
	if (ret == 0)
		ret = get_events(json_object_get(result, "events"), root, &answer);
	if (ret == 0 && answer.canceled)
		get_text(result, "cancel_reason", answer.reason);
out_object:
	json_decref(object);
	if (ret == 0)
		*ret_answer = answer;
	else
		etcd_watch_answer_fini(&answer);
	return ret;
}

void etcd_watch_answer_fini(struct etcd_watch_answer *answer)
{
	for (unsigned int i = 0; i < answer->count; i++)
		free(answer->event[i].value);
	free(answer->event);
	*answer = (struct etcd_watch_answer){ 0 };
}

int etcd_decode_token(const char *json, size_t len, char ret_token[ETCD_TOKEN_MAX])
{
	json_t *object = NULL;
	const char *token;
	int64_t revision;
	int ret = load_object(json, len, false, &object);

	if (ret == 0)
		ret = get_header(object, &revision);
	token = json_string_value(json_object_get(object, "token"));
	/* It becomes a header line, so nothing that could end one. */
	if (ret == 0 &&
	    (!token || !*token || strlen(token) >= ETCD_TOKEN_MAX || strpbrk(token, "\r\n")))
		ret = -EBADMSG;
	if (ret == 0)
		(void)snprintf(ret_token, ETCD_TOKEN_MAX, "%s", token);
	json_decref(object);
	return ret;
}
