/* SPDX-License-Identifier: MIT */
/*
 * tools/sluice/client.h - how the command line finds members: by the directory, or by address.
 *
 * Ownership: client_open() gives, client_close() takes.
 * Threads:   one. Errors: those of directory_open() and fetch(), with @reterr.
 */
#ifndef TOOLS_SLUICE_CLIENT_H
#define TOOLS_SLUICE_CLIENT_H

#include <argp.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <directory/directory.h>
#include <scan/ledger.h>
#include <scan/plan.h>

struct sluice_error;

enum {
	CLIENT_MEMBERS_MAX = 160,
	CLIENT_INFO_MAX = 4096
};

struct client_args {
	const char *directory; /* URLs with commas, or "none" */
	const char *instrument;
	const char *member[CLIENT_MEMBERS_MAX]; /* control servers, where there is no directory */
	unsigned int member_count;
};

enum client_kind {
	CLIENT_BOARD = 0,
	CLIENT_AGGREGATOR,
	CLIENT_CONSUMER,
};

struct client_member {
	enum client_kind kind;
	char id[SLUICE_WIRE_NAME_MAX];
	char group[PLAN_GROUP_MAX];
	char url[PLAN_URL_MAX];
	json_t *info; /* owned by the list */
};

struct client_members {
	struct client_member member[CLIENT_MEMBERS_MAX];
	unsigned int count;
	uint32_t highest_scan; /* that any of them was in; without a directory only */
};

struct client {
	struct client_args args;
	struct directory *directory; /* NULL: none */
};

/* Options that every subcommand has; the child's input is a struct client_args. */
extern const struct argp client_argp;

int client_open(const struct client_args *args, struct client *ret_client,
		struct sluice_error *reterr);
void client_close(struct client *client);

/* All members that are registered, or that answer at the addresses given. */
int client_members(struct client *client, struct client_members **ret_members,
		   struct sluice_error *reterr);
void client_members_free(struct client_members *members);

/* GET @url + @path as JSON; the reference is the caller's. */
int client_get(const char *url, const char *path, uint64_t timeout_ns, json_t **ret_json,
	       struct sluice_error *reterr);
/* POST; an answer that is no "ready" is an error with its text. */
int client_post(const char *url, const char *path, const char *body, uint64_t timeout_ns,
		struct sluice_error *reterr);

/* The plan of @scan, or of the newest scan if 0, with its revision. -ENOENT: none. */
int client_plan(struct client *client, uint32_t scan, struct scan_plan *ret_plan,
		int64_t *ret_revision, struct sluice_error *reterr);

#endif /* TOOLS_SLUICE_CLIENT_H */
