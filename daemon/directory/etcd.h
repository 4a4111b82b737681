/* SPDX-License-Identifier: MIT */
/*
 * directory/etcd.h - the parts of the etcd directory among themselves; nobody else includes it.
 *
 *   directory_etcd.c  open, close, and the calls
 *   etcd_call.c       one call: endpoints in turn, within one deadline; the token
 *   etcd_lease.c      the lease, its keep-alive thread, the keys that hang on it
 *   etcd_watch.c      the watch thread: lists, streams, differences
 *   etcd_json.c       what goes over the wire
 *
 * Locks: the lease is taken over whole calls (etcd_lease_lock()), so that what is put again after a
 * lost lease never overtakes a newer value, and with a deadline. The mutexes are held for a few
 * instructions each, and never two of them.
 */
#ifndef DIRECTORY_ETCD_H
#define DIRECTORY_ETCD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <curl/curl.h>
#include <directory/directory_ops.h>
#include <directory/etcd_json.h>
#include <directory/transfer.h>
#include <directory/watch_view.h>

enum {
	ETCD_IDLE_MAX = 4, /* connections kept for the next call */
	ETCD_ROOT_MAX = 128,
	ETCD_NAME_MAX = 128, /* user, password */
	ETCD_URL_MAX = DIRECTORY_URL_MAX + 64,
	ETCD_RETRY_FIRST_MS = 100, /* doubled up to ETCD_RETRY_MAX_MS */
	ETCD_RETRY_MAX_MS = 2000,
};

struct etcd_lease_key {
	char key[DIRECTORY_KEY_MAX];
	char *value;
};

struct etcd_lease {
	pthread_mutex_t lock; /* guards taken */
	pthread_cond_t given_back;
	bool taken; /* by the one thread that may use everything up to wake_lock */
	int64_t id; /* 0: none */
	bool torn;  /* keys are missing under it: to be put again */
	struct etcd_lease_key key[DIRECTORY_LEASED_MAX];
	unsigned int key_count;

	pthread_mutex_t wake_lock;
	pthread_cond_t wake;
	bool woken; /* look at the lease now */
	pthread_t thread;
	bool started;
};

struct etcd_watch {
	struct etcd *etcd;
	char prefix[DIRECTORY_KEY_MAX];
	directory_watcher watcher;
	void *ctx;
	/* From here on the watch thread's own. */
	struct watch_view view;
	CURL *easy;
	struct transfer stream;
	char url[ETCD_URL_MAX];
	char *body;
	size_t scanned; /* bytes of stream.answer without an end of line */
	bool streaming, ended;
	unsigned int endpoint;
	unsigned int retry_ms;
	uint64_t started_ns, retry_at_ns;
};

struct etcd_watches {
	pthread_mutex_t lock; /* guards the adding of watches */
	struct etcd_watch watch[DIRECTORY_WATCHES_MAX];
	_Atomic unsigned int count;
	CURLM *multi;
	pthread_t thread;
	bool started;
};

struct etcd {
	struct directory base;
	/* Set once by open. */
	char endpoint[DIRECTORY_ENDPOINTS_MAX][DIRECTORY_URL_MAX];
	unsigned int endpoint_count;
	char root[ETCD_ROOT_MAX]; /* "/sluice/v1/<instrument>/" */
	char user[ETCD_NAME_MAX], password[ETCD_NAME_MAX];
	char ca_file[DIRECTORY_URL_MAX];
	uint32_t lease_ttl_s;
	uint64_t timeout_ns;

	_Atomic unsigned int good; /* the endpoint that answered last */
	_Atomic bool stopping;
	pthread_mutex_t pool_lock; /* guards idle and token */
	CURL *idle[ETCD_IDLE_MAX];
	unsigned int idle_count;
	char token[ETCD_TOKEN_MAX];

	struct etcd_lease lease;
	struct etcd_watches watches;
};

struct etcd_call {
	const char *path; /* "/v3/kv/put" */
	const char *body; /* NULL: out of memory while it was made */
	size_t answer_max;
	uint64_t deadline_ns;
	bool once; /* never sent twice */
	bool last; /* made by close: not given up for it */
};

struct etcd_answer {
	char *text; /* free() */
	size_t bytes;
};

/* etcd_call.c */
int etcd_call(struct etcd *etcd, const struct etcd_call *call, struct etcd_answer *ret_answer,
	      struct sluice_error *reterr);
/* Counts an answer that a decoder refused (@ret -EBADMSG) and says so. Returns @ret. */
int etcd_judge(struct etcd *etcd, const char *path, int ret, struct sluice_error *reterr);
/* What every request carries, to be freed by curl_slist_free_all(); NULL: out of memory. */
struct curl_slist *etcd_headers(struct etcd *etcd);
uint64_t etcd_deadline(const struct etcd *etcd);
void etcd_pool_fini(struct etcd *etcd);

/* directory_etcd.c */
void etcd_full_key(const struct etcd *etcd, const char *key, char ret_key[ETCD_FULL_KEY_MAX]);
int etcd_put_call(struct etcd *etcd, const char *key, const char *value, int64_t lease,
		  uint64_t deadline_ns, struct sluice_error *reterr);
int etcd_list_call(struct etcd *etcd, const char *prefix, uint64_t deadline_ns,
		   struct etcd_list *ret_list, struct sluice_error *reterr);

/* etcd_lease.c */
int etcd_lease_init(struct etcd *etcd);
int etcd_lease_start(struct etcd *etcd);
/* Ends the thread; after it the lease can be revoked. */
void etcd_lease_stop(struct etcd *etcd);
void etcd_lease_revoke(struct etcd *etcd, uint64_t deadline_ns);
void etcd_lease_fini(struct etcd *etcd);
/* Something happened that may have cost the lease. */
void etcd_lease_wake(struct etcd *etcd);
int etcd_lease_put(struct etcd *etcd, const char *key, const char *value, uint64_t deadline_ns,
		   struct sluice_error *reterr);
/* Held by whoever writes a key that may be leased; @key is then no longer put again. */
int etcd_lease_lock(struct etcd *etcd, uint64_t deadline_ns, struct sluice_error *reterr);
void etcd_lease_unlock(struct etcd *etcd);
void etcd_lease_forget(struct etcd *etcd, const char *key);

/* etcd_watch.c */
int etcd_watch_init(struct etcd *etcd);
int etcd_watch_start(struct etcd *etcd);
void etcd_watch_stop(struct etcd *etcd);
void etcd_watch_fini(struct etcd *etcd);
int etcd_watch_add(struct etcd *etcd, const char *prefix, directory_watcher watcher, void *ctx,
		   struct sluice_error *reterr);

#endif /* DIRECTORY_ETCD_H */
