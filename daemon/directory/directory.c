/* SPDX-License-Identifier: MIT */
/* The dispatcher: a caller's mistakes end here, so that no kind of directory sees them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/error.h>
#include <directory/directory.h>
#include <directory/directory_ops.h>

enum {
	INSTRUMENT_MAX = 64, /* bytes, NUL included */
	LEASE_TTL_MIN_S = 2,
	LEASE_TTL_MAX_S = 60,
	TIMEOUT_MAX_S = 60,
};

static bool printable(const char *s)
{
	for (; *s; s++) {
		if (*s <= ' ' || *s > '~')
			return false;
	}
	return true;
}

static int check_key(const char *key, size_t min, struct sluice_error *reterr)
{
	const size_t len = key ? strlen(key) : 0;

	if (!key || len < min || len >= DIRECTORY_KEY_MAX || !printable(key))
		return error_set(reterr, -EINVAL,
				 "directory: a key is %zu to %d printable ASCII characters without "
				 "blanks",
				 min, DIRECTORY_KEY_MAX - 1);
	return 0;
}

static int check_value(const char *key, const char *value, struct sluice_error *reterr)
{
	if (!value || strnlen(value, DIRECTORY_VALUE_MAX) == DIRECTORY_VALUE_MAX)
		return error_set(reterr, -EINVAL, "directory: %s: a value is under %d bytes", key,
				 DIRECTORY_VALUE_MAX);
	return 0;
}

static int check_endpoints(const struct directory_args *args, struct sluice_error *reterr)
{
	if (args->endpoint_count == 0 || args->endpoint_count > DIRECTORY_ENDPOINTS_MAX)
		return error_set(reterr, -EINVAL, "directory: %u endpoints; allowed: 1 to %d",
				 args->endpoint_count, DIRECTORY_ENDPOINTS_MAX);
	for (unsigned int i = 0; i < args->endpoint_count; i++) {
		const char *url = args->endpoints[i];

		if (strnlen(url, DIRECTORY_URL_MAX) == DIRECTORY_URL_MAX || !printable(url) ||
		    (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
			return error_set(reterr, -EINVAL,
					 "directory: endpoint %u: not http://HOST:PORT or "
					 "https://HOST:PORT",
					 i);
	}
	return 0;
}

static int check_args(const struct directory_args *args, struct sluice_error *reterr)
{
	const char *instrument = args->instrument;

	if (!instrument || !*instrument || strlen(instrument) >= INSTRUMENT_MAX ||
	    strchr(instrument, '/') || !printable(instrument))
		return error_set(reterr, -EINVAL,
				 "directory: an instrument's name is 1 to %d characters without "
				 "\"/\" and blanks",
				 INSTRUMENT_MAX - 1);
	if (args->lease_ttl_s < LEASE_TTL_MIN_S || args->lease_ttl_s > LEASE_TTL_MAX_S)
		return error_set(reterr, -ERANGE, "directory: lease of %u s; allowed: %d to %d",
				 args->lease_ttl_s, LEASE_TTL_MIN_S, LEASE_TTL_MAX_S);
	if (args->timeout_ns == 0 || args->timeout_ns > TIMEOUT_MAX_S * NS_PER_S)
		return error_set(reterr, -ERANGE,
				 "directory: deadline of a call; allowed: up to %d s",
				 TIMEOUT_MAX_S);
	return args->kind == DIRECTORY_ETCD ? check_endpoints(args, reterr) : 0;
}

/* Every call ends here: counted, and the failure passed on. */
static int count_call(struct directory *directory, int ret)
{
	struct directory_stats *stats = &directory->stats;

	(void)atomic_fetch_add_explicit(&stats->calls, 1, memory_order_relaxed);
	/* A compare that failed is an answer. */
	if (ret < 0 && ret != -EEXIST)
		(void)atomic_fetch_add_explicit(&stats->failures, 1, memory_order_relaxed);
	return ret;
}

int directory_open(const struct directory_args *args, struct directory **ret_directory,
		   struct sluice_error *reterr)
{
	const struct directory_ops *ops;
	int ret = check_args(args, reterr);

	if (ret < 0)
		return ret;
	switch (args->kind) {
	case DIRECTORY_ETCD:
		ops = &directory_etcd_ops;
		break;
	case DIRECTORY_NONE:
		ops = &directory_none_ops;
		break;
	default:
		return error_set(reterr, -EINVAL, "directory: no kind %u", args->kind);
	}
	return ops->open(args, ret_directory, reterr);
}

void directory_close(struct directory *directory)
{
	if (directory)
		directory->ops->close(directory);
}

int directory_put(struct directory *directory, const char *key, const char *value, bool leased,
		  struct sluice_error *reterr)
{
	int ret = check_key(key, 1, reterr);

	if (ret == 0)
		ret = check_value(key, value, reterr);
	if (ret == 0)
		ret = directory->ops->put(directory, key, value, leased, reterr);
	return count_call(directory, ret);
}

int directory_put_if(struct directory *directory, const char *key, int64_t revision,
		     const char *value, struct sluice_error *reterr)
{
	int ret = check_key(key, 1, reterr);

	if (ret == 0)
		ret = check_value(key, value, reterr);
	if (ret == 0 && revision < 0)
		ret = error_set(reterr, -EINVAL, "directory: %s: a revision is not negative", key);
	if (ret == 0)
		ret = directory->ops->put_if(directory, key, revision, value, reterr);
	return count_call(directory, ret);
}

int directory_delete(struct directory *directory, const char *key, struct sluice_error *reterr)
{
	int ret = check_key(key, 1, reterr);

	if (ret == 0)
		ret = directory->ops->remove(directory, key, reterr);
	return count_call(directory, ret);
}

int directory_list(struct directory *directory, const char *prefix,
		   struct directory_entries *ret_entries, struct sluice_error *reterr)
{
	int ret = check_key(prefix, 0, reterr);

	if (ret == 0)
		ret = directory->ops->list(directory, prefix, ret_entries, reterr);
	return count_call(directory, ret);
}

void directory_entries_free(struct directory_entries *entries)
{
	if (!entries)
		return;
	for (unsigned int i = 0; i < entries->count; i++)
		free(entries->entry[i].value);
	free(entries->entry);
	*entries = (struct directory_entries){ 0 };
}

int directory_watch(struct directory *directory, const char *prefix, directory_watcher watcher,
		    void *ctx, struct sluice_error *reterr)
{
	int ret = check_key(prefix, 0, reterr);

	if (ret == 0 && !watcher)
		ret = error_set(reterr, -EINVAL, "directory: %s: a watch without a watcher",
				prefix);
	if (ret == 0)
		ret = directory->ops->watch(directory, prefix, watcher, ctx, reterr);
	return count_call(directory, ret);
}

const struct directory_stats *directory_stats(const struct directory *directory)
{
	return &directory->stats;
}
