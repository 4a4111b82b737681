/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/error.h>
#include <directory/etcd.h>

enum {
	OPEN_RETRY_MS = 100,   /* between looks for an etcd that is not there yet */
	REVOKE_MS = 700,       /* of the 2 s that close may take */
	LIST_ATTEMPTS_MAX = 3, /* of a list whose moment is compacted away between its pages */
};

void etcd_full_key(const struct etcd *etcd, const char *key, char ret_key[ETCD_FULL_KEY_MAX])
{
	const int len = snprintf(ret_key, ETCD_FULL_KEY_MAX, "%s%s", etcd->root, key);

	assert(len > 0);
	assert(len < ETCD_FULL_KEY_MAX);
}

/* A call whose answer says nothing but that it was etcd who answered. Takes @body. */
static int plain_call(struct etcd *etcd, const char *path, char *body, uint64_t deadline_ns,
		      struct sluice_error *reterr)
{
	const struct etcd_call call = { .path = path,
					.body = body,
					.answer_max = ETCD_ANSWER_BYTES_MAX,
					.deadline_ns = deadline_ns };
	struct etcd_answer answer = { 0 };
	int ret = etcd_call(etcd, &call, &answer, reterr);

	if (ret == 0)
		ret = etcd_judge(etcd, path, etcd_decode_header(answer.text, answer.bytes), reterr);
	free(answer.text);
	free(body);
	return ret;
}

int etcd_put_call(struct etcd *etcd, const char *key, const char *value, int64_t lease,
		  uint64_t deadline_ns, struct sluice_error *reterr)
{
	char full[ETCD_FULL_KEY_MAX];

	etcd_full_key(etcd, key, full);
	return plain_call(etcd, "/v3/kv/put", etcd_encode_put(full, value, lease), deadline_ns,
			  reterr);
}

/* One page into @list. *next: where it begins (base64 or NULL), then where the next one does. */
static int list_page(struct etcd *etcd, const char *prefix, uint64_t deadline_ns,
		     struct etcd_list *list, char **next, struct sluice_error *reterr)
{
	const char *path = "/v3/kv/range";
	char *body = etcd_encode_range(prefix, *next, list->revision);
	const struct etcd_call call = { .path = path,
					.body = body,
					.answer_max = ETCD_PAGE_BYTES_MAX,
					.deadline_ns = deadline_ns };
	struct etcd_answer answer = { 0 };
	char *after = NULL;
	int ret = etcd_call(etcd, &call, &answer, reterr);

	if (ret == 0)
		ret = etcd_decode_range(answer.text, answer.bytes, etcd->root, list, &after);
	if (ret == -ENOSPC)
		(void)error_set(reterr, ret,
				"etcd: %s: over %d keys or %d bytes (DIRECTORY_ENTRIES_MAX, "
				"ETCD_LIST_BYTES_MAX); delete old ones",
				prefix, DIRECTORY_ENTRIES_MAX, ETCD_LIST_BYTES_MAX);
	else if (answer.text)
		ret = etcd_judge(etcd, path, ret, reterr);
	free(answer.text);
	free(body);
	free(*next);
	*next = after;
	return ret;
}

static int list_pages(struct etcd *etcd, const char *prefix, uint64_t deadline_ns,
		      struct etcd_list *ret_list, struct sluice_error *reterr)
{
	struct etcd_list list = { 0 };
	char *next = NULL;
	int ret;

	do {
		ret = list_page(etcd, prefix, deadline_ns, &list, &next, reterr);
	} while (ret == 0 && next);
	free(next);
	if (ret < 0)
		etcd_list_fini(&list);
	else
		*ret_list = list;
	return ret;
}

int etcd_list_call(struct etcd *etcd, const char *prefix, uint64_t deadline_ns,
		   struct etcd_list *ret_list, struct sluice_error *reterr)
{
	char full[ETCD_FULL_KEY_MAX];
	int ret = -ESTALE;

	etcd_full_key(etcd, prefix, full);
	for (int i = 0; i < LIST_ATTEMPTS_MAX && ret == -ESTALE; i++)
		ret = list_pages(etcd, full, deadline_ns, ret_list, reterr);
	if (ret == 0)
		(void)atomic_fetch_add(&etcd->base.stats.bad_answers, ret_list->skipped);
	return ret;
}

/* Looks until somebody answers: daemons and their etcd may be started in any order. */
static int wait_for_answer(struct etcd *etcd, struct sluice_error *reterr)
{
	const uint64_t deadline_ns = etcd_deadline(etcd);
	struct sluice_error why = { "" };
	char full[ETCD_FULL_KEY_MAX];
	int ret;

	etcd_full_key(etcd, "", full);
	for (;;) {
		struct etcd_list list = { 0 };
		char *next = NULL;

		ret = list_page(etcd, full, deadline_ns, &list, &next, &why);
		etcd_list_fini(&list);
		free(next);
		if (ret != -ECONNREFUSED && ret != -ETIMEDOUT)
			break;
		if (ns_until(deadline_ns) < OPEN_RETRY_MS * NS_PER_MS)
			break;
		(void)poll(NULL, 0, OPEN_RETRY_MS);
	}
	if (ret == -ECONNREFUSED || ret == -ETIMEDOUT)
		return error_set(reterr, -ECONNREFUSED,
				 "%s; start etcd there, or correct directory.endpoints", why.text);
	return ret < 0 ? error_set(reterr, ret, "%s", why.text) : 0;
}

static int copy_text(char *out, size_t size, const char *in, const char *what,
		     struct sluice_error *reterr)
{
	const size_t len = in ? strlen(in) : 0;

	if (len >= size)
		return error_set(reterr, -EINVAL, "directory: %s: over %zu characters", what,
				 size - 1);
	if (len > 0)
		(void)memcpy(out, in, len);
	out[len] = '\0';
	return 0;
}

static int copy_args(struct etcd *etcd, const struct directory_args *args,
		     struct sluice_error *reterr)
{
	int ret = copy_text(etcd->user, sizeof(etcd->user), args->user, "user", reterr);

	if (ret == 0)
		ret = copy_text(etcd->password, sizeof(etcd->password), args->password, "password",
				reterr);
	if (ret == 0)
		ret = copy_text(etcd->ca_file, sizeof(etcd->ca_file), args->ca_file, "ca_file",
				reterr);
	if (ret < 0)
		return ret;
	for (unsigned int i = 0; i < args->endpoint_count; i++) {
		size_t len = strlen(args->endpoints[i]);

		(void)memcpy(etcd->endpoint[i], args->endpoints[i], len + 1);
		while (len > 0 && etcd->endpoint[i][len - 1] == '/')
			etcd->endpoint[i][--len] = '\0';
	}
	etcd->endpoint_count = args->endpoint_count;
	(void)snprintf(etcd->root, sizeof(etcd->root), "/sluice/v1/%s/", args->instrument);
	etcd->lease_ttl_s = args->lease_ttl_s;
	etcd->timeout_ns = args->timeout_ns;
	return 0;
}

static int init_parts(struct etcd *etcd, struct sluice_error *reterr)
{
	int ret = -pthread_mutex_init(&etcd->pool_lock, NULL);

	if (ret < 0)
		goto err;
	ret = etcd_lease_init(etcd);
	if (ret < 0)
		goto err_pool;
	ret = etcd_watch_init(etcd);
	if (ret < 0)
		goto err_lease;
	return 0;

err_lease:
	etcd_lease_fini(etcd);
err_pool:
	(void)pthread_mutex_destroy(&etcd->pool_lock);
err:
	return error_set(reterr, ret, "directory: cannot be set up: %s", error_name(ret));
}

static int start_threads(struct etcd *etcd, struct sluice_error *reterr)
{
	int ret = etcd_lease_start(etcd);

	if (ret == 0)
		ret = etcd_watch_start(etcd);
	if (ret < 0)
		(void)error_set(reterr, ret, "directory: cannot start its threads: %s",
				error_name(ret));
	return ret;
}

/* Every part copes with one that was never started. */
static void etcd_close(struct directory *directory)
{
	struct etcd *etcd = (struct etcd *)directory;

	atomic_store(&etcd->stopping, true);
	etcd_watch_stop(etcd);
	etcd_lease_stop(etcd);
	etcd_lease_revoke(etcd, now_ns() + REVOKE_MS * NS_PER_MS);
	etcd_watch_fini(etcd);
	etcd_lease_fini(etcd);
	etcd_pool_fini(etcd);
	(void)pthread_mutex_destroy(&etcd->pool_lock);
	explicit_bzero(etcd->password, sizeof(etcd->password));
	explicit_bzero(etcd->token, sizeof(etcd->token));
	free(etcd);
}

static int etcd_open(const struct directory_args *args, struct directory **ret_directory,
		     struct sluice_error *reterr)
{
	struct etcd *etcd;
	int ret = transfer_init();

	if (ret < 0)
		return error_set(reterr, ret, "directory: libcurl does not start");
	etcd = calloc(1, sizeof(*etcd));
	if (!etcd)
		return error_set(reterr, -ENOMEM, "directory: out of memory");
	etcd->base.ops = &directory_etcd_ops;
	ret = copy_args(etcd, args, reterr);
	if (ret < 0)
		goto err_free;
	ret = init_parts(etcd, reterr);
	if (ret < 0)
		goto err_free;
	ret = wait_for_answer(etcd, reterr);
	if (ret == 0)
		ret = start_threads(etcd, reterr);
	if (ret < 0) {
		etcd_close(&etcd->base);
		return ret;
	}
	*ret_directory = &etcd->base;
	return 0;

err_free:
	free(etcd);
	return ret;
}

static int etcd_put(struct directory *directory, const char *key, const char *value, bool leased,
		    struct sluice_error *reterr)
{
	struct etcd *etcd = (struct etcd *)directory;
	const uint64_t deadline_ns = etcd_deadline(etcd);
	int ret;

	if (leased)
		return etcd_lease_put(etcd, key, value, deadline_ns, reterr);
	ret = etcd_lease_lock(etcd, deadline_ns, reterr);
	if (ret < 0)
		return ret;
	ret = etcd_put_call(etcd, key, value, 0, deadline_ns, reterr);
	if (ret == 0)
		etcd_lease_forget(etcd, key);
	etcd_lease_unlock(etcd);
	return ret;
}

static int etcd_put_if(struct directory *directory, const char *key, int64_t revision,
		       const char *value, struct sluice_error *reterr)
{
	struct etcd *etcd = (struct etcd *)directory;
	const uint64_t deadline_ns = etcd_deadline(etcd);
	struct etcd_call call = { .path = "/v3/kv/txn",
				  .answer_max = ETCD_ANSWER_BYTES_MAX,
				  .deadline_ns = deadline_ns,
				  .once = true };
	struct etcd_answer answer = { 0 };
	char full[ETCD_FULL_KEY_MAX], *body;
	bool succeeded = false;
	int ret = etcd_lease_lock(etcd, deadline_ns, reterr);

	if (ret < 0)
		return ret;
	etcd_full_key(etcd, key, full);
	body = etcd_encode_put_if(full, revision, value);
	call.body = body;
	ret = etcd_call(etcd, &call, &answer, reterr);
	if (ret == 0)
		ret = etcd_judge(etcd, call.path,
				 etcd_decode_txn(answer.text, answer.bytes, &succeeded), reterr);
	if (ret == 0 && succeeded)
		etcd_lease_forget(etcd, key);
	etcd_lease_unlock(etcd);
	if (ret == 0 && !succeeded)
		ret = error_set(reterr, -EEXIST, "etcd: %s: changed by somebody else meanwhile",
				key);
	free(answer.text);
	free(body);
	return ret;
}

static int etcd_remove(struct directory *directory, const char *key, struct sluice_error *reterr)
{
	struct etcd *etcd = (struct etcd *)directory;
	const uint64_t deadline_ns = etcd_deadline(etcd);
	char full[ETCD_FULL_KEY_MAX];
	int ret = etcd_lease_lock(etcd, deadline_ns, reterr);

	if (ret < 0)
		return ret;
	etcd_full_key(etcd, key, full);
	/* Forgotten in any case: who deletes a key does not want it put again. */
	etcd_lease_forget(etcd, key);
	ret = plain_call(etcd, "/v3/kv/deleterange", etcd_encode_delete(full), deadline_ns, reterr);
	etcd_lease_unlock(etcd);
	return ret;
}

static int etcd_list(struct directory *directory, const char *prefix,
		     struct directory_entries *ret_entries, struct sluice_error *reterr)
{
	struct etcd *etcd = (struct etcd *)directory;
	struct etcd_list list = { 0 };
	int ret = etcd_list_call(etcd, prefix, etcd_deadline(etcd), &list, reterr);

	if (ret == 0)
		*ret_entries = (struct directory_entries){ list.entry, list.count };
	return ret;
}

static int etcd_watch(struct directory *directory, const char *prefix, directory_watcher watcher,
		      void *ctx, struct sluice_error *reterr)
{
	return etcd_watch_add((struct etcd *)directory, prefix, watcher, ctx, reterr);
}

const struct directory_ops directory_etcd_ops = {
	.open = etcd_open,
	.close = etcd_close,
	.put = etcd_put,
	.put_if = etcd_put_if,
	.remove = etcd_remove,
	.list = etcd_list,
	.watch = etcd_watch,
};
