/* SPDX-License-Identifier: MIT */
/*
 * One thread turns libmicrohttpd's wheel (its "external" mode) and, between turns, closes what
 * has been on a request for too long: the library itself only knows how long nothing came.
 */
#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/error.h>
#include <base/parse.h>
#include <control/http.h>
#include <control/listener.h>

enum {
	HEADERS_MAX = 16 << 10, /* bytes of a request's line and headers */
	LOOK_MS = 250,          /* at least so often the thread looks at the clock */
	BODY_ROOM_FIRST = 4096, /* doubled up to HTTP_BODY_MAX */
};

struct connection {
	int fd; /* -1: the slot is free */
	uint64_t begun_ns;
};

struct http_server {
	struct http_route route[HTTP_ROUTES_MAX];
	unsigned int route_count;
	char address[HTTP_LISTEN_MAX];
	struct MHD_Daemon *daemon;
	struct connection connection[HTTP_CONNECTIONS_MAX]; /* the thread's own */
	int epoll_fd, wake_fd;
	_Atomic bool stopping;
	_Atomic uint64_t refused;
	pthread_t thread;
};

/* A request whose body is coming in. */
struct upload {
	const struct http_route *route;
	char *body;
	size_t bytes, room;
	bool too_large;
};

/* Takes @body (malloc()ed), also on failure. */
static enum MHD_Result send_reply(struct MHD_Connection *connection, unsigned int status,
				  const char *content_type, char *body, const char *allow)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		body ? strlen(body) : 0, body,
		body ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	enum MHD_Result result = MHD_NO;

	if (!response) {
		free(body);
		return MHD_NO;
	}
	if (MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type) ==
		    MHD_YES &&
	    (!allow || MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow) == MHD_YES))
		result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result refuse(struct http_server *server, struct MHD_Connection *connection,
			      unsigned int status, const char *why, const char *allow)
{
	char *body = NULL;

	(void)atomic_fetch_add_explicit(&server->refused, 1, memory_order_relaxed);
	if (asprintf(&body, "{\"error\": \"%s\"}\n", why) < 0)
		return MHD_NO;
	return send_reply(connection, status, "application/json", body, allow);
}

/* *ret_allow: a method that the path knows, NULL when the path is unknown. */
static const struct http_route *find_route(const struct http_server *server, const char *method,
					   const char *path, const char **ret_allow)
{
	*ret_allow = NULL;
	for (unsigned int i = 0; i < server->route_count; i++) {
		const struct http_route *route = &server->route[i];

		if (strcmp(route->path, path) != 0)
			continue;
		if (strcmp(route->method, method) == 0)
			return route;
		*ret_allow = route->method;
	}
	return NULL;
}

static bool announces_too_much(struct MHD_Connection *connection)
{
	const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
							 MHD_HTTP_HEADER_CONTENT_LENGTH);
	uint64_t bytes;

	return length && parse_u64(length, 0, HTTP_BODY_MAX, &bytes) < 0;
}

/* The request line and the headers are in: what can be refused now is, before any body. */
static enum MHD_Result begin_request(struct http_server *server, struct MHD_Connection *connection,
				     const char *path, const char *method, void **request)
{
	const char *allow;
	const struct http_route *route = find_route(server, method, path, &allow);
	struct upload *upload;

	if (!route && allow)
		return refuse(server, connection, MHD_HTTP_METHOD_NOT_ALLOWED,
			      "this path does not know this method", allow);
	if (!route)
		return refuse(server, connection, MHD_HTTP_NOT_FOUND, "no such path", NULL);
	if (announces_too_much(connection))
		return refuse(server, connection, MHD_HTTP_CONTENT_TOO_LARGE,
			      "the body is over 1 MiB", NULL);
	upload = calloc(1, sizeof(*upload));
	if (!upload)
		return MHD_NO;
	upload->route = route;
	*request = upload;
	return MHD_YES;
}

static enum MHD_Result take_body(struct upload *upload, const char *data, size_t bytes)
{
	size_t room = upload->room ? upload->room : BODY_ROOM_FIRST;
	char *body;

	if (upload->too_large || bytes > HTTP_BODY_MAX - upload->bytes) {
		upload->too_large = true;
		return MHD_YES;
	}
	while (room < upload->bytes + bytes + 1)
		room *= 2;
	if (room != upload->room) {
		body = realloc(upload->body, room);
		if (!body)
			return MHD_NO;
		upload->body = body;
		upload->room = room;
	}
	(void)memcpy(upload->body + upload->bytes, data, bytes);
	upload->bytes += bytes;
	upload->body[upload->bytes] = '\0';
	return MHD_YES;
}

static enum MHD_Result answer(struct http_server *server, struct MHD_Connection *connection,
			      const char *path, struct upload *upload)
{
	const struct http_route *route = upload->route;
	struct http_reply reply = { .status = MHD_HTTP_OK, .content_type = "application/json" };
	const struct http_request request = { .method = route->method,
					      .path = path,
					      .query = MHD_lookup_connection_value(
						      connection, MHD_GET_ARGUMENT_KIND, "scan"),
					      .body = upload->body ? upload->body : "",
					      .body_bytes = upload->bytes };

	if (upload->too_large)
		return refuse(server, connection, MHD_HTTP_CONTENT_TOO_LARGE,
			      "the body is over 1 MiB", NULL);
	route->handle(route->ctx, &request, &reply);
	return send_reply(connection, reply.status, reply.content_type, reply.body, NULL);
}

/* NOLINTNEXTLINE(readability-function-size): the library's signature */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *path,
				  const char *method, const char *version, const char *data,
				  size_t *bytes, void **request)
{
	struct upload *upload = *request;
	enum MHD_Result result;

	(void)version;
	if (!upload)
		return begin_request(ctx, connection, path, method, request);
	if (*bytes == 0)
		return answer(ctx, connection, path, upload);
	result = take_body(upload, data, *bytes);
	*bytes = 0;
	return result;
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **request,
			 enum MHD_RequestTerminationCode code)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct connection *c = info ? info->socket_context : NULL;
	struct upload *upload = *request;

	(void)ctx;
	(void)code;
	if (c)
		c->begun_ns = now_ns(); /* the next request on it begins */
	if (!upload)
		return;
	free(upload->body);
	free(upload);
	*request = NULL;
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **socket_context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http_server *server = ctx;
	struct connection *c = *socket_context;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (c)
			c->fd = -1;
		return;
	}
	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		c = &server->connection[i];
		if (c->fd >= 0)
			continue;
		c->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
				->connect_fd;
		c->begun_ns = now_ns();
		*socket_context = c;
		return;
	}
}

/* What libmicrohttpd refuses by itself reaches nobody but its log. */
static void on_log(void *ctx, const char *format, va_list args)
{
	struct http_server *server = ctx;

	(void)args;
	if (strncmp(format, "Error processing request", 24) == 0)
		(void)atomic_fetch_add_explicit(&server->refused, 1, memory_order_relaxed);
}

static void close_overdue(struct http_server *server)
{
	const uint64_t now = now_ns();

	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		struct connection *c = &server->connection[i];

		/* The library sees the end of the stream and closes the connection itself. */
		if (c->fd >= 0 && now - c->begun_ns > HTTP_REQUEST_S * NS_PER_S)
			(void)shutdown(c->fd, SHUT_RDWR);
	}
}

static void *serve(void *arg)
{
	struct http_server *server = arg;
	struct pollfd fds[] = { { .fd = server->epoll_fd, .events = POLLIN },
				{ .fd = server->wake_fd, .events = POLLIN } };

	while (!atomic_load(&server->stopping)) {
		MHD_UNSIGNED_LONG_LONG wish_ms;
		int wait_ms = LOOK_MS;

		if (MHD_get_timeout(server->daemon, &wish_ms) == MHD_YES && wish_ms < LOOK_MS)
			wait_ms = (int)wish_ms;
		(void)poll(fds, 2, wait_ms);
		(void)MHD_run(server->daemon);
		close_overdue(server);
	}
	return NULL;
}

static int start_thread(struct http_server *server)
{
	sigset_t all, before;
	int ret;

	/* Signals are for the program's own threads; a closed socket must not end it either. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = -pthread_create(&server->thread, NULL, serve, server);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ret;
}

static int start_daemon(struct http_server *server, int listen_fd)
{
	const union MHD_DaemonInfo *info;

	errno = 0;
	/* The logger comes first: it is wanted for the other options already. */
	server->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, server,
		MHD_OPTION_EXTERNAL_LOGGER, on_log, server, MHD_OPTION_LISTEN_SOCKET, listen_fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)HTTP_CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)HTTP_IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADERS_MAX,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_NOTIFY_CONNECTION,
		on_connection, server, MHD_OPTION_END);
	if (!server->daemon)
		return neg_errno();
	info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	assert(info);
	server->epoll_fd = info->epoll_fd;
	return 0;
}

static int check_routes(const struct http_args *args, struct sluice_error *reterr)
{
	if (args->route_count > HTTP_ROUTES_MAX)
		return error_set(reterr, -EINVAL, "control server: %u routes; allowed: up to %d",
				 args->route_count, HTTP_ROUTES_MAX);
	for (unsigned int i = 0; i < args->route_count; i++) {
		const struct http_route *route = &args->routes[i];

		if (!route->method || !route->path || route->path[0] != '/' || !route->handle)
			return error_set(reterr, -EINVAL,
					 "control server: route %u lacks method, /path or handler",
					 i);
	}
	return 0;
}

int http_open(const struct http_args *args, struct http_server **ret_server,
	      struct sluice_error *reterr)
{
	struct http_server *server;
	int listen_fd = -1, ret = check_routes(args, reterr);

	if (ret < 0)
		return ret;
	server = calloc(1, sizeof(*server));
	if (!server)
		return error_set(reterr, -ENOMEM, "control server: out of memory");
	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++)
		server->connection[i].fd = -1;
	if (args->route_count > 0)
		(void)memcpy(server->route, args->routes,
			     args->route_count * sizeof(*args->routes));
	server->route_count = args->route_count;
	ret = listener_open(args->listen, &listen_fd, server->address, reterr);
	if (ret < 0)
		goto err_free;
	server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (server->wake_fd < 0) {
		ret = error_set(reterr, neg_errno(), "control server: no event descriptor");
		goto err_listener;
	}
	ret = start_daemon(server, listen_fd);
	if (ret < 0) {
		(void)error_set(reterr, ret, "control server: libmicrohttpd does not start on %s",
				server->address);
		goto err_wake;
	}
	ret = start_thread(server);
	if (ret < 0) {
		(void)error_set(reterr, ret, "control server: cannot start its thread: %s",
				error_name(ret));
		goto err_daemon;
	}
	*ret_server = server;
	return 0;

err_daemon:
	/* It closes the listening socket as well. */
	MHD_stop_daemon(server->daemon);
	listen_fd = -1;
err_wake:
	(void)close(server->wake_fd);
err_listener:
	if (listen_fd >= 0)
		(void)close(listen_fd);
err_free:
	free(server);
	return ret;
}

void http_close(struct http_server *server)
{
	const uint64_t one = 1;

	if (!server)
		return;
	atomic_store(&server->stopping, true);
	/* A full counter wakes the thread just as well. */
	if (write(server->wake_fd, &one, sizeof(one)) < 0)
		assert(errno == EAGAIN);
	(void)pthread_join(server->thread, NULL);
	MHD_stop_daemon(server->daemon);
	(void)close(server->wake_fd);
	free(server);
}

const char *http_address(const struct http_server *server)
{
	return server->address;
}

uint64_t http_refused(const struct http_server *server)
{
	return atomic_load_explicit(&server->refused, memory_order_relaxed);
}
