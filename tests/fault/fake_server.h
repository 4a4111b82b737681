/* SPDX-License-Identifier: MIT */
/*
 * fault/fake_server.h - a server on loopback that answers every request wrongly in one chosen way.
 *
 * Ownership: the caller's struct. Threads: one of its own; the mode may be changed at any time.
 * Errors:    abort(): a test cannot go on without it.
 */
#ifndef FAULT_FAKE_SERVER_H
#define FAULT_FAKE_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum fake_mode {
	FAKE_GOOD,        /* an answer that serves for every call but a watch */
	FAKE_GARBAGE,     /* status 200, no JSON */
	FAKE_STRANGER,    /* status 200, JSON, but not etcd's */
	FAKE_HTML,        /* status 404 and a page */
	FAKE_GIANT,       /* a body without an end */
	FAKE_TRICKLE,     /* a body that never gets done */
	FAKE_SILENT,      /* nothing */
	FAKE_CLOSED,      /* hangs up after the request */
	FAKE_HALF,        /* hangs up in the middle of the body */
	FAKE_NO_HTTP,     /* another protocol */
	FAKE_UNAVAILABLE, /* an etcd without a leader */
	FAKE_NO_SPACE,    /* an etcd whose store is full */
	FAKE_LOGIN,       /* good for those who have the token of the day; see token */
};

struct fake_server {
	char url[64];
	_Atomic unsigned int mode;          /* enum fake_mode: of all paths */
	_Atomic(const char *) watch_answer; /* lines; NULL: as the mode says */
	_Atomic unsigned int token,
		logins; /* the token is this number: change it, and it is stale */
	_Atomic unsigned int requests, watches;
	_Atomic bool stopping;
	int fd;
	pthread_t thread;
};

void fake_server_start(struct fake_server *server);
void fake_server_stop(struct fake_server *server);

#endif /* FAULT_FAKE_SERVER_H */
