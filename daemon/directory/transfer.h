/* SPDX-License-Identifier: MIT */
/*
 * directory/transfer.h - one HTTP exchange through libcurl: bounded in time and in bytes.
 *
 * Ownership: the caller's struct; transfer_fini() frees the answer. The easy handle is lent.
 * Threads:   one at a time per transfer.
 * Errors:    -ECONNREFUSED: nobody there, or hung up; -ETIMEDOUT; -EACCES: TLS says no;
 *            -EBADMSG: no HTTP; -E2BIG: over answer_max; -ECANCELED: *stop; -ENOMEM.
 */
#ifndef DIRECTORY_TRANSFER_H
#define DIRECTORY_TRANSFER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

struct transfer {
	const char *url;
	const char *body;           /* POST with this; NULL: GET */
	const char *ca_file;        /* "" or NULL: the system's */
	struct curl_slist *headers; /* lent */
	const _Atomic bool *stop;   /* given up when it becomes true; NULL: never */
	uint64_t timeout_ns;        /* 0: it is a stream and has no end */
	size_t answer_max;
	bool fresh; /* on a new connection: libcurl then never sends it twice by itself */

	char *answer; /* NUL-terminated once there is any; else NULL */
	size_t answer_bytes, answer_room;
	bool answer_too_large;
	bool sent; /* something of the request left this machine */
	unsigned int status;
	char why[CURL_ERROR_SIZE];
};

/* libcurl's own start, once per process; any thread. */
int transfer_init(void);
/* Sets all of @t on @easy, which from then on appends to t->answer. */
int transfer_prepare(CURL *easy, struct transfer *t);
/* The same, performed. */
int transfer_run(CURL *easy, struct transfer *t);
/* What libcurl said, as -errno; fills t->why if libcurl did not. */
int transfer_error(struct transfer *t, CURLcode code);
void transfer_fini(struct transfer *t);

#endif /* DIRECTORY_TRANSFER_H */
