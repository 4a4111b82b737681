/* SPDX-License-Identifier: MIT */
/*
 * directory/watch_view.h - what a watcher has been told: each key's revision and its value's hash.
 *
 * It lets a watch that lost its stream work out what changed meanwhile. The hash is there because
 * a store that was emptied counts its revisions from the start: a revision alone may come twice.
 *
 * Ownership: the caller's struct; watch_view_fini() frees what it holds.
 * Threads:   one at a time.
 * Errors:    -ENOSPC: over DIRECTORY_ENTRIES_MAX keys; -ENOMEM.
 */
#ifndef DIRECTORY_WATCH_VIEW_H
#define DIRECTORY_WATCH_VIEW_H

#include <directory/directory.h>

struct watch_seen {
	char *key;
	int64_t revision;
	uint64_t value_hash;
	bool listed; /* in the list that is being compared */
};

struct watch_view {
	struct watch_seen *seen; /* ascending by key */
	unsigned int count, capacity;
};

/* One change enters the view and is reported. A deletion of what is not there is not reported. */
int watch_view_apply(struct watch_view *view, enum directory_change change,
		     const struct directory_entry *entry, directory_watcher watcher, void *ctx);
/*
 * Makes the view equal to @entries (any order; reordered here) and reports the difference:
 * deletions with @revision first, then puts in the order of their revisions.
 */
int watch_view_compare(struct watch_view *view, struct directory_entries *entries, int64_t revision,
		       directory_watcher watcher, void *ctx);
void watch_view_fini(struct watch_view *view);

#endif /* DIRECTORY_WATCH_VIEW_H */
