/* SPDX-License-Identifier: MIT */
/*
 * directory/directory_ops.h - the seam under directory.h: what each kind of directory promises.
 *
 * Reached only through directory.c, which has judged keys, values and arguments before: keys and
 * prefixes are relative, printable ASCII and shorter than DIRECTORY_KEY_MAX.
 *
 * Ownership: open() gives a struct that begins with struct directory; close() takes it.
 * Threads:   any thread may call any function at any time between open() and close().
 * Errors:    those of directory.h.
 */
#ifndef DIRECTORY_DIRECTORY_OPS_H
#define DIRECTORY_DIRECTORY_OPS_H

#include <directory/directory.h>

struct directory_ops {
	/*
	 * open() - Reach the directory.
	 *
	 * Guarantees: returns 0 only after the directory has answered; on failure nothing is left
	 * behind, *ret_directory is untouched.
	 */
	int (*open)(const struct directory_args *args, struct directory **ret_directory,
		    struct sluice_error *reterr);
	/*
	 * close() - Let go.
	 *
	 * Guarantees: takes 2 s at most, beside a watcher that is still running; after it no
	 * watcher is called, and the leased keys are gone if the directory can be reached.
	 */
	void (*close)(struct directory *directory);
	/*
	 * put() - Set a key.
	 *
	 * Guarantees: after 0, a list() by anyone gives @value; a leased key outlives a loss of the
	 * directory's memory, but not its owner. On failure, the key is put later by nobody; it may
	 * have been put already if the answer was lost.
	 */
	int (*put)(struct directory *directory, const char *key, const char *value, bool leased,
		   struct sluice_error *reterr);
	/*
	 * put_if() - Set a key if its revision is @revision, in one transaction.
	 *
	 * Guarantees: sent once at most; of several who try with one revision, one gets 0.
	 */
	int (*put_if)(struct directory *directory, const char *key, int64_t revision,
		      const char *value, struct sluice_error *reterr);
	/*
	 * remove() - Delete a key.
	 *
	 * Guarantees: 0 also when there was none; a leased key is not put again.
	 */
	int (*remove)(struct directory *directory, const char *key, struct sluice_error *reterr);
	/*
	 * list() - All entries under @prefix, ascending by key.
	 *
	 * Guarantees: all of one moment; *ret_entries is touched on success only.
	 */
	int (*list)(struct directory *directory, const char *prefix,
		    struct directory_entries *ret_entries, struct sluice_error *reterr);
	/*
	 * watch() - Report every entry, then every change.
	 *
	 * Guarantees: one key's changes come in order, on one thread for all watches; the last
	 * report about a key is what a list() gives once the directory is at rest.
	 */
	int (*watch)(struct directory *directory, const char *prefix, directory_watcher watcher,
		     void *ctx, struct sluice_error *reterr);
};

struct directory {
	const struct directory_ops *ops;
	struct directory_stats stats;
};

extern const struct directory_ops directory_etcd_ops;
extern const struct directory_ops directory_none_ops;

#endif /* DIRECTORY_DIRECTORY_OPS_H */
