/* SPDX-License-Identifier: MIT */
/*
 * directory/directory.h - the place where members register and find each other: keys and values.
 *
 * Two kinds behind one ops table: "etcd" (v3 by its HTTP/JSON gateway, through libcurl) and
 * "none" (a table in this process: nobody else sees it). Keys are relative to
 * "/sluice/v1/<instrument>/", e.g. "aggregators/agg0".
 *
 * Leased keys vanish some seconds after their owner; the directory keeps the lease alive and,
 * after it lapsed or etcd came back, takes a new one and puts every leased key again by itself.
 *
 * Ownership: directory_open() gives, directory_close() takes (and revokes the lease).
 *            Close takes 2 s at most, beside a watcher that is still running.
 * Threads:   any thread may call; watch callbacks come on the directory's own thread, one at a
 *            time, and may call put, put_if, delete and list but not watch or close. With https
 *            the program ignores SIGPIPE.
 * Errors:    -ETIMEDOUT, -ECONNREFUSED: no endpoint answered in the call's deadline; -EACCES;
 *            -EBADMSG: an answer that is no etcd's; -EEXIST: a compare failed; -ENOSPC: a limit,
 *            named in the text; -EINVAL, -ERANGE: the caller's.
 */
#ifndef DIRECTORY_DIRECTORY_H
#define DIRECTORY_DIRECTORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sluice_error;
struct directory;

enum {
	DIRECTORY_ENDPOINTS_MAX = 8,
	DIRECTORY_URL_MAX = 256,
	DIRECTORY_KEY_MAX = 256,       /* bytes, NUL included, prefix not */
	DIRECTORY_VALUE_MAX = 1 << 20, /* bytes of a value */
	DIRECTORY_ENTRIES_MAX = 16384, /* of one list or watch */
	DIRECTORY_LEASED_MAX = 64,     /* leased keys of one member */
	DIRECTORY_WATCHES_MAX = 8,
};

struct directory_args {
	unsigned int kind;                          /* enum directory_kind */
	const char (*endpoints)[DIRECTORY_URL_MAX]; /* "http://127.0.0.1:2379", tried in turn */
	unsigned int endpoint_count;
	const char *instrument; /* one path element */
	const char *user;       /* "" or NULL: no authentication */
	const char *password;
	const char *ca_file;  /* "" or NULL: the system's */
	uint32_t lease_ttl_s; /* 2 ... 60 */
	uint64_t timeout_ns;  /* deadline of one call, all endpoints together */
};

enum directory_kind {
	DIRECTORY_ETCD = 0,
	DIRECTORY_NONE = 1,
};

struct directory_entry {
	char key[DIRECTORY_KEY_MAX];
	char *value;      /* NUL-terminated; freed by directory_entries_free() */
	int64_t revision; /* of the last change to this key */
};

struct directory_entries {
	struct directory_entry *entry;
	unsigned int count;
};

enum directory_change {
	DIRECTORY_PUT = 1,
	DIRECTORY_DELETED = 2,
};

/* @value is NULL when the key was deleted. */
typedef void (*directory_watcher)(void *ctx, enum directory_change change, const char *key,
				  const char *value, int64_t revision);

struct directory_stats {
	_Atomic uint64_t calls, failures, lease_renewals, lease_losses, watch_restarts, bad_answers;
	_Atomic bool connected;
};

/*
 * Looks for an endpoint that answers until args->timeout_ns is over, so that daemons and their etcd
 * may be started in any order. -ECONNREFUSED: none does; @reterr names them and the remedy.
 */
int directory_open(const struct directory_args *args, struct directory **ret_directory,
		   struct sluice_error *reterr);
void directory_close(struct directory *directory);

int directory_put(struct directory *directory, const char *key, const char *value, bool leased,
		  struct sluice_error *reterr);
/*
 * Puts only if the key's revision is @revision (0: only if there is no such key): a transaction.
 * -EEXIST: it is not; nothing was changed. Sent once at most: when the answer is lost, the text
 * says that it may have been done.
 */
int directory_put_if(struct directory *directory, const char *key, int64_t revision,
		     const char *value, struct sluice_error *reterr);
int directory_delete(struct directory *directory, const char *key, struct sluice_error *reterr);
/*
 * All keys that begin with @prefix, ascending, all of one moment. Keys that no member can have put
 * (too long, not text) are left out and counted as bad answers.
 */
int directory_list(struct directory *directory, const char *prefix,
		   struct directory_entries *ret_entries, struct sluice_error *reterr);
void directory_entries_free(struct directory_entries *entries);
/*
 * Calls @watcher for every key under @prefix that is there now, then for every change, in order,
 * until directory_close(). After a lost connection or a compaction the difference is worked out
 * and reported: no change is missed in its effect. Returns at once.
 */
int directory_watch(struct directory *directory, const char *prefix, directory_watcher watcher,
		    void *ctx, struct sluice_error *reterr);
const struct directory_stats *directory_stats(const struct directory *directory);

#endif /* DIRECTORY_DIRECTORY_H */
