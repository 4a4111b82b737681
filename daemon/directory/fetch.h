/* SPDX-License-Identifier: MIT */
/*
 * directory/fetch.h - one HTTP request to a member's control server, with a deadline.
 *
 * Ownership: the answer's body is the caller's, to free(). Threads: any.
 * Errors:    -ECONNREFUSED, -ETIMEDOUT, -EBADMSG: no HTTP; -E2BIG: body over FETCH_BODY_MAX.
 *            An HTTP status of 400 and up is no error here: see ret_status.
 */
#ifndef DIRECTORY_FETCH_H
#define DIRECTORY_FETCH_H

#include <stdint.h>

struct sluice_error;

enum {
	FETCH_BODY_MAX = 16 << 20
};

struct fetch {
	const char *method; /* "GET" or "POST" */
	const char *url;    /* http://host:port/path */
	const char *body;   /* JSON, or NULL */
	uint64_t timeout_ns;
};

int fetch(const struct fetch *request, unsigned int *ret_status, char **ret_body,
	  struct sluice_error *reterr);

#endif /* DIRECTORY_FETCH_H */
