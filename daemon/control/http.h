/* SPDX-License-Identifier: MIT */
/*
 * control/http.h - the small HTTP server of a daemon: JSON under /api/v1/, /metrics for Prometheus.
 *
 * Ownership: http_open() gives, http_close() takes. A reply's body is malloc()ed by the handler
 *            and freed by the server.
 * Threads:   handlers run on the server's own thread, one at a time.
 * Errors:    -EADDRINUSE, -EINVAL with @reterr. Bad requests are answered and counted, never fatal.
 */
#ifndef CONTROL_HTTP_H
#define CONTROL_HTTP_H

#include <stddef.h>
#include <stdint.h>

struct sluice_error;
struct http_server;

enum {
	HTTP_ROUTES_MAX = 32,
	HTTP_CONNECTIONS_MAX = 32,
	HTTP_BODY_MAX = 1 << 20, /* bytes of a request's body */
	HTTP_IDLE_S = 10,        /* a connection that says nothing for so long is closed */
	HTTP_REQUEST_S = 30, /* a request and its reply take no longer, however slowly they move */
	HTTP_LISTEN_MAX = 128,
};

struct http_request {
	const char *method;
	const char *path;  /* without the query */
	const char *query; /* value of ?scan=, or NULL; other arguments are ignored */
	const char *body;  /* NUL-terminated; "" when there is none */
	size_t body_bytes;
};

struct http_reply {
	unsigned int status;      /* 200 unless the handler says otherwise */
	const char *content_type; /* static; "application/json" unless set */
	char *body;               /* malloc()ed, NUL-terminated, or NULL */
};

struct http_route {
	const char *method; /* "GET", "POST" */
	const char *path;   /* exact */
	void (*handle)(void *ctx, const struct http_request *request, struct http_reply *reply);
	void *ctx;
};

struct http_args {
	const char *listen;              /* "127.0.0.1:0": loopback only; port 0: any free one */
	const struct http_route *routes; /* copied */
	unsigned int route_count;
};

int http_open(const struct http_args *args, struct http_server **ret_server,
	      struct sluice_error *reterr);
void http_close(struct http_server *server);
/* "127.0.0.1:41234": where it listens. */
const char *http_address(const struct http_server *server);
/* Requests refused so far (unknown path, too large, malformed). */
uint64_t http_refused(const struct http_server *server);

#endif /* CONTROL_HTTP_H */
