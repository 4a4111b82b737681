/* SPDX-License-Identifier: MIT */
/*
 * member/member.h - what every daemon and consumer does beside its own work: it registers, serves
 * its status, answers plans with "ready", hears of starts and aborts and of its peers, and
 * publishes its half of the ledger. By etcd where there is a directory, else by HTTP.
 *
 * Ownership: member_open() gives, member_close() takes (and takes the registration back).
 * Threads:   callbacks come one at a time on threads of the member (directory or HTTP); they
 *            return within 500 ms. The functions here may be called from any thread.
 * Errors:    those of directory_open() and http_open().
 */
#ifndef MEMBER_MEMBER_H
#define MEMBER_MEMBER_H

#include <stdbool.h>

#include <control/http.h>
#include <control/metrics.h>
#include <directory/directory.h>
#include <jansson.h>
#include <scan/plan.h>

struct sluice_error;
struct member;

enum member_kind {
	MEMBER_BOARD = 0,      /* "boards/<id>", several per daemon */
	MEMBER_AGGREGATOR = 1, /* "aggregators/<id>" */
	MEMBER_CONSUMER = 2,   /* "consumers/<group>/<id>" */
};

enum {
	MEMBER_ENTRIES_MAX = 8,
	MEMBER_INFO_MAX = 2048
};

/* One registration. */
struct member_entry {
	char id[SLUICE_WIRE_NAME_MAX];
	char info[MEMBER_INFO_MAX]; /* JSON object: geometry, endpoint, ...; "url" is added */
};

struct member_ops {
	/*
	 * A plan that names one of this member's ids (consumers: its group) is offered. 0: ready to
	 * run it. Else -errno with the reason: the arming fails with that text. Called again with
	 * the same scan and a higher epoch when the plan moves on.
	 */
	int (*prepare)(void *ctx, const struct scan_plan *plan, struct sluice_error *reterr);
	/* The prepared plan starts. */
	void (*run)(void *ctx, const struct scan_plan *plan);
	/* The scan is to end now. Also when an armed scan is taken back. */
	void (*abort)(void *ctx, uint32_t scan);
	/* A consumer appeared (@endpoint) or went (@endpoint NULL). Aggregators only; may be NULL.
	 */
	void (*consumer)(void *ctx, const char *group, const char *id, const char *endpoint);
	/* Adds this daemon's fields to /api/v1/status. */
	void (*status)(void *ctx, json_t *status);
	/* Adds this daemon's samples to /metrics. */
	void (*metrics)(void *ctx, struct metrics *m);
};

struct member_args {
	enum member_kind kind;
	const struct member_entry *entries;
	unsigned int entry_count;
	const char *group;  /* consumers */
	const char *listen; /* control server, "127.0.0.1:0" */
	struct directory_args directory;
	const struct member_ops *ops;
	void *ctx;
	/* Each half of a ledger is tried against the others when it is published, and the ledger
	 * written. */
	bool closes_ledgers;
	uint64_t gone_ns; /* who left the directory for so long without a half is gone; 0: 10 s */
};

int member_open(const struct member_args *args, struct member **ret_member,
		struct sluice_error *reterr);
void member_close(struct member *member);
/*
 * Every second or so, by a member that closes ledgers: members of the scan's plan that have left
 * the directory for good without their half do not hold the ledger up any longer; it stays open,
 * and names them.
 */
void member_look(struct member *member);
/* The control server's URL, http://host:port. */
const char *member_url(const struct member *member);
/* Where this member is registered; its own until member_close(). */
struct directory *member_directory(struct member *member);
/* The half is kept for HTTP and put into the directory as "scans/<n>/half/<id>". */
int member_publish_half(struct member *member, uint32_t scan, const char *id, const char *json,
			struct sluice_error *reterr);

#endif /* MEMBER_MEMBER_H */
