/* SPDX-License-Identifier: MIT */
/*
 * member/member_state.h - the inside of a member, for the files of this folder.
 *
 * Ownership, errors: see member/member.h.
 * Threads: callbacks hold @call, so that they come one at a time; @lock guards what is kept for
 *          the status and is never held across a callback or a call to the directory.
 */
#ifndef MEMBER_MEMBER_STATE_H
#define MEMBER_MEMBER_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include <member/member.h>

enum {
	HALVES_KEPT = 16, /* the last ones published, for HTTP */
	MEMBER_URL_MAX = 160,
};

struct kept_half {
	uint32_t scan; /* 0: unused */
	char id[SLUICE_WIRE_NAME_MAX];
	char *json;
};

struct member {
	enum member_kind kind;
	struct member_entry entry[MEMBER_ENTRIES_MAX];
	unsigned int entry_count;
	char group[PLAN_GROUP_MAX];
	const struct member_ops *ops;
	void *ctx;
	bool closes_ledgers;
	struct http_server *http;
	struct directory *directory;
	char url[MEMBER_URL_MAX];

	pthread_mutex_t call;   /* one callback at a time */
	struct scan_plan *plan; /* the plan prepared last; scan 0: none yet */
	bool running;           /* its run() was called */

	pthread_mutex_t lock;
	struct kept_half half[HALVES_KEPT];
	unsigned int half_next;
	/* Somebody left the directory in this scan: at left_look_ns it is seen who is gone. */
	uint32_t left_scan; /* 0: nobody */
	uint64_t left_look_ns, gone_ns;
};

/* "boards/<id>", "aggregators/<id>", "consumers/<group>/<id>" */
void member_key(const struct member *member, unsigned int entry, char key[DIRECTORY_KEY_MAX]);
/* Whether @plan counts on this member. */
bool member_named_by(const struct member *member, const struct scan_plan *plan);
/* What a plan asks, whichever way it came. -ENOENT: it is not for this member. */
int member_offer(struct member *member, const struct scan_plan *plan, struct sluice_error *reterr);
bool member_has_run(struct member *member, const struct scan_plan *plan);
int member_run(struct member *member, uint32_t scan, struct sluice_error *reterr);
int member_abort(struct member *member, uint32_t scan, struct sluice_error *reterr);
/* Watches of the directory. */
void member_scan_changed(void *ctx, enum directory_change change, const char *key,
			 const char *value, int64_t revision);
void member_consumer_changed(void *ctx, enum directory_change change, const char *key,
			     const char *value, int64_t revision);
/* Somebody who may owe a half is registered no more. */
void member_left(void *ctx, enum directory_change change, const char *key, const char *value,
		 int64_t revision);
/* Writes the ledger of @scan if every half is there. */
void member_try_ledger(struct member *member, uint32_t scan);
/* The control server's routes. */
int member_http_open(struct member *member, const char *listen, struct sluice_error *reterr);

#endif /* MEMBER_MEMBER_STATE_H */
