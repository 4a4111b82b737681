/* SPDX-License-Identifier: MIT */
/*
 * A directory within the process: a sorted table, and a thread that tells the watchers. It serves
 * a bench whose members know each other's addresses, and tests.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/error.h>
#include <directory/directory_ops.h>

enum {
	CHANGES_MAX = 4096 /* not yet told to the watchers */
};

struct none_change {
	struct none_change *next;
	enum directory_change change;
	struct directory_entry entry;
	unsigned int begin, end; /* the watches that are told */
};

struct none_watch {
	char prefix[DIRECTORY_KEY_MAX];
	directory_watcher watcher;
	void *ctx;
};

struct none {
	struct directory base;
	pthread_mutex_t lock; /* guards everything below */
	pthread_cond_t wake;
	struct directory_entry *entry; /* ascending by key */
	unsigned int count, capacity;
	int64_t revision;
	struct none_watch watch[DIRECTORY_WATCHES_MAX];
	unsigned int watch_count;
	struct none_change *first, **last;
	unsigned int change_count;
	bool stopping;
	pthread_t thread;
};

static bool find(const struct none *none, const char *key, unsigned int *ret_index)
{
	unsigned int low = 0, high = none->count;

	while (low < high) {
		const unsigned int mid = low + (high - low) / 2;
		const int order = strcmp(none->entry[mid].key, key);

		if (order == 0) {
			*ret_index = mid;
			return true;
		}
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*ret_index = low;
	return false;
}

static int entry_copy(const struct directory_entry *entry, struct directory_entry *ret_copy)
{
	struct directory_entry copy = *entry;

	copy.value = entry->value ? strdup(entry->value) : NULL;
	if (entry->value && !copy.value)
		return -ENOMEM;
	*ret_copy = copy;
	return 0;
}

static struct none_change *change_create(enum directory_change change,
					 const struct directory_entry *entry, unsigned int begin,
					 unsigned int end)
{
	struct none_change *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	if (entry_copy(entry, &c->entry) < 0) {
		free(c);
		return NULL;
	}
	c->change = change;
	c->begin = begin;
	c->end = end;
	return c;
}

static void change_destroy(struct none_change *c)
{
	free(c->entry.value);
	free(c);
}

static void change_append(struct none *none, struct none_change *c)
{
	*none->last = c;
	none->last = &c->next;
	none->change_count++;
	(void)pthread_cond_signal(&none->wake);
}

static bool begins_with(const struct directory_entry *entry, const char *prefix)
{
	return strncmp(entry->key, prefix, strlen(prefix)) == 0;
}

/* Without the lock: watches are only ever added, so those that a change names stay as they are. */
static void change_tell(struct none *none, const struct none_change *c)
{
	for (unsigned int i = c->begin; i < c->end; i++) {
		const struct none_watch *w = &none->watch[i];

		if (begins_with(&c->entry, w->prefix))
			w->watcher(w->ctx, c->change, c->entry.key, c->entry.value,
				   c->entry.revision);
	}
}

static void *watch_main(void *arg)
{
	struct none *none = arg;

	(void)pthread_mutex_lock(&none->lock);
	while (!none->stopping) {
		struct none_change *c = none->first;

		if (!c) {
			(void)pthread_cond_wait(&none->wake, &none->lock);
			continue;
		}
		none->first = c->next;
		if (!none->first)
			none->last = &none->first;
		none->change_count--;
		/* Watchers may call back in. */
		(void)pthread_mutex_unlock(&none->lock);
		change_tell(none, c);
		change_destroy(c);
		(void)pthread_mutex_lock(&none->lock);
	}
	(void)pthread_mutex_unlock(&none->lock);
	return NULL;
}

static int none_open(const struct directory_args *args, struct directory **ret_directory,
		     struct sluice_error *reterr)
{
	struct none *none = calloc(1, sizeof(*none));
	int ret;

	(void)args;
	if (!none)
		return error_set(reterr, -ENOMEM, "directory: out of memory");
	none->base.ops = &directory_none_ops;
	none->last = &none->first;
	ret = -pthread_mutex_init(&none->lock, NULL);
	if (ret < 0)
		goto err_free;
	ret = -pthread_cond_init(&none->wake, NULL);
	if (ret < 0)
		goto err_lock;
	ret = -pthread_create(&none->thread, NULL, watch_main, none);
	if (ret < 0)
		goto err_wake;
	atomic_store(&none->base.stats.connected, true);
	*ret_directory = &none->base;
	return 0;

err_wake:
	(void)pthread_cond_destroy(&none->wake);
err_lock:
	(void)pthread_mutex_destroy(&none->lock);
err_free:
	free(none);
	return error_set(reterr, ret, "directory: cannot start its thread: %s", error_name(ret));
}

static void none_close(struct directory *directory)
{
	struct none *none = (struct none *)directory;

	(void)pthread_mutex_lock(&none->lock);
	none->stopping = true;
	(void)pthread_cond_signal(&none->wake);
	(void)pthread_mutex_unlock(&none->lock);
	(void)pthread_join(none->thread, NULL);
	while (none->first) {
		struct none_change *c = none->first;

		none->first = c->next;
		change_destroy(c);
	}
	for (unsigned int i = 0; i < none->count; i++)
		free(none->entry[i].value);
	free(none->entry);
	(void)pthread_cond_destroy(&none->wake);
	(void)pthread_mutex_destroy(&none->lock);
	free(none);
}

/* Room for one more entry. */
static int reserve(struct none *none)
{
	unsigned int capacity = none->capacity ? 2 * none->capacity : 64;
	struct directory_entry *entry;

	if (none->count == DIRECTORY_ENTRIES_MAX)
		return -ENOSPC;
	if (none->count < none->capacity)
		return 0;
	entry = reallocarray(none->entry, capacity, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	none->entry = entry;
	none->capacity = capacity;
	return 0;
}

/* Lock held. */
static int store(struct none *none, const char *key, const char *value)
{
	struct directory_entry entry = { .revision = none->revision + 1 }, *at;
	struct none_change *change;
	unsigned int index;
	int ret = 0;

	if (none->change_count == CHANGES_MAX)
		return -ENOSPC;
	(void)memcpy(entry.key, key, strlen(key) + 1);
	entry.value = strdup(value);
	change = entry.value ? change_create(DIRECTORY_PUT, &entry, 0, none->watch_count) : NULL;
	if (!change) {
		ret = -ENOMEM;
		goto err_value;
	}
	if (!find(none, key, &index)) {
		ret = reserve(none);
		if (ret < 0)
			goto err_change;
		at = &none->entry[index];
		(void)memmove(at + 1, at, (none->count - index) * sizeof(*at));
		none->count++;
	} else {
		free(none->entry[index].value);
	}
	none->entry[index] = entry;
	none->revision++;
	change_append(none, change);
	return 0;

err_change:
	change_destroy(change);
err_value:
	free(entry.value);
	return ret;
}

static int say(int ret, const char *key, struct sluice_error *reterr)
{
	if (ret == -ENOSPC)
		return error_set(
			reterr, ret,
			"directory: %s: over %d keys (DIRECTORY_ENTRIES_MAX) or %d changes "
			"that watchers have not taken (CHANGES_MAX)",
			key, DIRECTORY_ENTRIES_MAX, CHANGES_MAX);
	return ret < 0 ? error_set(reterr, ret, "directory: %s: %s", key, error_name(ret)) : 0;
}

static int none_put(struct directory *directory, const char *key, const char *value, bool leased,
		    struct sluice_error *reterr)
{
	struct none *none = (struct none *)directory;
	int ret;

	/* The table goes with its owner: every key is as good as leased. */
	(void)leased;
	(void)pthread_mutex_lock(&none->lock);
	ret = store(none, key, value);
	(void)pthread_mutex_unlock(&none->lock);
	return say(ret, key, reterr);
}

static int none_put_if(struct directory *directory, const char *key, int64_t revision,
		       const char *value, struct sluice_error *reterr)
{
	struct none *none = (struct none *)directory;
	unsigned int index;
	int64_t found;
	int ret;

	(void)pthread_mutex_lock(&none->lock);
	found = find(none, key, &index) ? none->entry[index].revision : 0;
	ret = found == revision ? store(none, key, value) : -EEXIST;
	(void)pthread_mutex_unlock(&none->lock);
	return say(ret, key, reterr);
}

static int none_remove(struct directory *directory, const char *key, struct sluice_error *reterr)
{
	struct none *none = (struct none *)directory;
	struct none_change *change;
	unsigned int index;
	int ret = 0;

	(void)pthread_mutex_lock(&none->lock);
	if (!find(none, key, &index))
		goto out;
	ret = none->change_count == CHANGES_MAX ? -ENOSPC : -ENOMEM;
	change = ret == -ENOMEM ? change_create(DIRECTORY_DELETED, &none->entry[index], 0,
						none->watch_count)
				: NULL;
	if (!change)
		goto out;
	free(change->entry.value);
	change->entry.value = NULL;
	change->entry.revision = ++none->revision;
	free(none->entry[index].value);
	none->count--;
	(void)memmove(&none->entry[index], &none->entry[index + 1],
		      (none->count - index) * sizeof(*none->entry));
	change_append(none, change);
	ret = 0;
out:
	(void)pthread_mutex_unlock(&none->lock);
	return say(ret, key, reterr);
}

static int none_list(struct directory *directory, const char *prefix,
		     struct directory_entries *ret_entries, struct sluice_error *reterr)
{
	struct none *none = (struct none *)directory;
	struct directory_entries entries = { 0 };
	unsigned int first, count = 0;
	int ret = 0;

	(void)pthread_mutex_lock(&none->lock);
	(void)find(none, prefix, &first);
	while (first + count < none->count && begins_with(&none->entry[first + count], prefix))
		count++;
	if (count > 0) {
		entries.entry = calloc(count, sizeof(*entries.entry));
		ret = entries.entry ? 0 : -ENOMEM;
	}
	while (ret == 0 && entries.count < count) {
		ret = entry_copy(&none->entry[first + entries.count],
				 &entries.entry[entries.count]);
		entries.count += ret == 0;
	}
	(void)pthread_mutex_unlock(&none->lock);
	if (ret < 0)
		directory_entries_free(&entries);
	else
		*ret_entries = entries;
	return say(ret, prefix, reterr);
}

/* The entries that are there, as changes for the watch that is being added. */
static int queue_present(struct none *none, const char *prefix, struct none_change **ret_first)
{
	struct none_change *first = NULL, **last = &first;
	unsigned int count = 0;

	for (unsigned int i = 0; i < none->count; i++) {
		if (!begins_with(&none->entry[i], prefix))
			continue;
		*last = change_create(DIRECTORY_PUT, &none->entry[i], none->watch_count,
				      none->watch_count + 1);
		count++;
		if (*last && count <= CHANGES_MAX - none->change_count) {
			last = &(*last)->next;
			continue;
		}
		while (first) {
			struct none_change *c = first;

			first = c->next;
			change_destroy(c);
		}
		return count > CHANGES_MAX - none->change_count ? -ENOSPC : -ENOMEM;
	}
	*ret_first = first;
	return 0;
}

static int none_watch(struct directory *directory, const char *prefix, directory_watcher watcher,
		      void *ctx, struct sluice_error *reterr)
{
	struct none *none = (struct none *)directory;
	struct none_change *first = NULL;
	struct none_watch *w;
	int ret;

	(void)pthread_mutex_lock(&none->lock);
	if (none->watch_count == DIRECTORY_WATCHES_MAX) {
		(void)pthread_mutex_unlock(&none->lock);
		return error_set(reterr, -ENOSPC,
				 "directory: %s: over %d watches (DIRECTORY_WATCHES_MAX)", prefix,
				 DIRECTORY_WATCHES_MAX);
	}
	ret = queue_present(none, prefix, &first);
	if (ret == 0) {
		w = &none->watch[none->watch_count];
		*w = (struct none_watch){ .watcher = watcher, .ctx = ctx };
		(void)memcpy(w->prefix, prefix, strlen(prefix) + 1);
		none->watch_count++;
	}
	while (first) {
		struct none_change *c = first;

		first = c->next;
		c->next = NULL;
		change_append(none, c);
	}
	(void)pthread_mutex_unlock(&none->lock);
	return say(ret, prefix, reterr);
}

const struct directory_ops directory_none_ops = {
	.open = none_open,
	.close = none_close,
	.put = none_put,
	.put_if = none_put_if,
	.remove = none_remove,
	.list = none_list,
	.watch = none_watch,
};
