/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <directory/watch_view.h>

/* FNV-1a, 64 bits (Fowler, Noll, Vo: draft-eastlake-fnv). */
static uint64_t hash_text(const char *s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
	return h;
}

/* Where @key is, or where it belongs. */
static bool find(const struct watch_view *view, const char *key, unsigned int *ret_index)
{
	unsigned int low = 0, high = view->count;

	while (low < high) {
		const unsigned int mid = low + (high - low) / 2;
		const int order = strcmp(view->seen[mid].key, key);

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

static int insert(struct watch_view *view, unsigned int index, const char *key)
{
	struct watch_seen *seen = view->seen;
	char *copy;

	if (view->count == DIRECTORY_ENTRIES_MAX)
		return -ENOSPC;
	if (view->count == view->capacity) {
		const unsigned int capacity = view->capacity ? 2 * view->capacity : 16;

		seen = reallocarray(view->seen, capacity, sizeof(*seen));
		if (!seen)
			return -ENOMEM;
		view->seen = seen;
		view->capacity = capacity;
	}
	copy = strdup(key);
	if (!copy)
		return -ENOMEM;
	(void)memmove(&seen[index + 1], &seen[index], (view->count - index) * sizeof(*seen));
	seen[index] = (struct watch_seen){ .key = copy };
	view->count++;
	return 0;
}

static void cut(struct watch_view *view, unsigned int index)
{
	struct watch_seen *seen = &view->seen[index];

	free(seen->key);
	view->count--;
	(void)memmove(seen, seen + 1, (view->count - index) * sizeof(*seen));
}

static int apply_put(struct watch_view *view, const struct directory_entry *entry,
		     directory_watcher watcher, void *ctx)
{
	unsigned int index;
	int ret;

	if (!find(view, entry->key, &index)) {
		ret = insert(view, index, entry->key);
		if (ret < 0)
			return ret;
	}
	view->seen[index].revision = entry->revision;
	view->seen[index].value_hash = hash_text(entry->value);
	watcher(ctx, DIRECTORY_PUT, entry->key, entry->value, entry->revision);
	return 0;
}

int watch_view_apply(struct watch_view *view, enum directory_change change,
		     const struct directory_entry *entry, directory_watcher watcher, void *ctx)
{
	unsigned int index;

	if (change == DIRECTORY_PUT)
		return apply_put(view, entry, watcher, ctx);
	if (find(view, entry->key, &index)) {
		cut(view, index);
		watcher(ctx, DIRECTORY_DELETED, entry->key, NULL, entry->revision);
	}
	return 0;
}

static int by_revision(const void *a, const void *b)
{
	const struct directory_entry *x = a, *y = b;

	if (x->revision != y->revision)
		return x->revision < y->revision ? -1 : 1;
	return strcmp(x->key, y->key);
}

int watch_view_compare(struct watch_view *view, struct directory_entries *entries, int64_t revision,
		       directory_watcher watcher, void *ctx)
{
	unsigned int index;
	int ret = 0;

	for (unsigned int i = 0; i < view->count; i++)
		view->seen[i].listed = false;
	for (unsigned int i = 0; i < entries->count; i++) {
		if (find(view, entries->entry[i].key, &index))
			view->seen[index].listed = true;
	}
	for (unsigned int i = view->count; i-- > 0;) {
		struct directory_entry gone = { .revision = revision };

		if (view->seen[i].listed)
			continue;
		(void)strncpy(gone.key, view->seen[i].key, sizeof(gone.key) - 1);
		(void)watch_view_apply(view, DIRECTORY_DELETED, &gone, watcher, ctx);
	}
	if (entries->count > 0)
		qsort(entries->entry, entries->count, sizeof(*entries->entry), by_revision);
	for (unsigned int i = 0; i < entries->count && ret == 0; i++) {
		const struct directory_entry *entry = &entries->entry[i];

		if (find(view, entry->key, &index) &&
		    view->seen[index].revision == entry->revision &&
		    view->seen[index].value_hash == hash_text(entry->value))
			continue;
		ret = apply_put(view, entry, watcher, ctx);
	}
	return ret;
}

void watch_view_fini(struct watch_view *view)
{
	for (unsigned int i = 0; i < view->count; i++)
		free(view->seen[i].key);
	free(view->seen);
	*view = (struct watch_view){ 0 };
}
