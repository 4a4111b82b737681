/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault/fake_server.h"

enum {
	LOOK_MS = 20
};

#define HEADER_JSON          "\"header\":{\"member_id\":\"1\",\"revision\":\"5\"}"
#define ANSWER(status, body) "HTTP/1.1 " status "\r\nConnection: close\r\n\r\n" body

static const char *const answers[] = {
	[FAKE_GOOD] = ANSWER(
		"200 OK", "{" HEADER_JSON
			  ",\"succeeded\":true,\"ID\":\"7\",\"TTL\":\"2\",\"result\":{" HEADER_JSON
			  ",\"ID\":\"7\",\"TTL\":\"2\"}}\n"),
	[FAKE_GARBAGE] = ANSWER("200 OK", "{]\n"),
	[FAKE_STRANGER] = ANSWER("200 OK", "{\"hello\":\"world\"}\n"),
	[FAKE_HTML] = ANSWER("404 Not Found", "<html>Not here</html>\n"),
	[FAKE_GIANT] = ANSWER("200 OK", "{\"kvs\":["),
	[FAKE_TRICKLE] = ANSWER("200 OK", "{"),
	[FAKE_SILENT] = "",
	[FAKE_CLOSED] = "",
	[FAKE_HALF] = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{" HEADER_JSON,
	[FAKE_NO_HTTP] = "SSH-2.0-OpenSSH_9.2\r\n",
	[FAKE_UNAVAILABLE] = ANSWER("503 Service Unavailable",
				    "{\"error\":\"etcdserver: no leader\",\"code\":14}"),
	[FAKE_NO_SPACE] = ANSWER(
		"429 Too Many Requests",
		"{\"error\":\"etcdserver: mvcc: database space exceeded\",\"code\":8}"),
	[FAKE_LOGIN] = "",
};

static bool stopping(const struct fake_server *server)
{
	return atomic_load(&server->stopping);
}

/* False: time to stop, or the other side has hung up. */
static bool wait_for(const struct fake_server *server, int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	while (!stopping(server)) {
		if (poll(&p, 1, LOOK_MS) > 0)
			return p.revents & events && !(p.revents & (POLLERR | POLLHUP));
	}
	return false;
}

/* The whole of a request: headers, and as many bytes as they say. */
static bool read_request(const struct fake_server *server, int fd, char *text, size_t size)
{
	size_t len = 0;

	for (;;) {
		const char *body, *length;
		ssize_t n;

		if (len == size - 1 || !wait_for(server, fd, POLLIN))
			return false;
		n = recv(fd, text + len, size - 1 - len, 0);
		if (n <= 0)
			return false;
		len += (size_t)n;
		text[len] = '\0';
		body = strstr(text, "\r\n\r\n");
		length = strstr(text, "Content-Length: ");
		if (body &&
		    (!length || len >= (size_t)(body + 4 - text) + strtoul(length + 16, NULL, 10)))
			return true;
	}
}

static void write_forever(const struct fake_server *server, int fd, bool slowly)
{
	char zeros[65536];

	(void)memset(zeros, ' ', sizeof(zeros));
	while (wait_for(server, fd, POLLOUT)) {
		if (send(fd, zeros, slowly ? 1 : sizeof(zeros), MSG_NOSIGNAL) < 0)
			return;
		if (slowly)
			(void)poll(NULL, 0, LOOK_MS);
	}
}

/* etcd refuses a stale token to a login as well (auth.proto's calls are judged like all others). */
static const char *login_answer(struct fake_server *server, const char *request, char *text,
				size_t size)
{
	const char *line = strstr(request, "Authorization: ");
	const unsigned int token = atomic_load(&server->token);

	if (line && strtoul(line + 15, NULL, 10) == token)
		return answers[FAKE_GOOD];
	if (line || !strstr(request, " /v3/auth/authenticate "))
		return ANSWER("401 Unauthorized",
			      "{\"error\":\"etcdserver: invalid auth token\",\"code\":16}");
	(void)atomic_fetch_add(&server->logins, 1);
	(void)snprintf(text, size, ANSWER("200 OK", "{" HEADER_JSON ",\"token\":\"%u\"}\n"), token);
	return text;
}

static void reply(struct fake_server *server, int fd, const char *request)
{
	const unsigned int mode = atomic_load(&server->mode);
	const char *lines = atomic_load(&server->watch_answer), *text = answers[mode];
	const bool watch = strstr(request, " /v3/watch ") != NULL;
	char stream[4096];
	struct pollfd gone = { .fd = fd, .events = POLLIN };

	(void)atomic_fetch_add(watch ? &server->watches : &server->requests, 1);
	if (watch && lines) {
		(void)snprintf(stream, sizeof(stream), ANSWER("200 OK", "%s"), lines);
		text = stream;
	}
	if (mode == FAKE_LOGIN)
		text = login_answer(server, request, stream, sizeof(stream));
	(void)send(fd, text, strlen(text), MSG_NOSIGNAL);
	if (mode == FAKE_GIANT || mode == FAKE_TRICKLE)
		write_forever(server, fd, mode == FAKE_TRICKLE);
	while (mode == FAKE_SILENT && !stopping(server) && poll(&gone, 1, LOOK_MS) == 0)
		;
}

static void *serve(void *arg)
{
	struct fake_server *server = arg;
	char request[4096];

	while (wait_for(server, server->fd, POLLIN)) {
		const int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			continue;
		if (read_request(server, fd, request, sizeof(request)))
			reply(server, fd, request);
		(void)shutdown(fd, SHUT_WR);
		(void)close(fd);
	}
	return NULL;
}

void fake_server_start(struct fake_server *server)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	(void)memset(server, 0, sizeof(*server));
	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server->fd < 0 || bind(server->fd, (struct sockaddr *)&a, len) < 0 ||
	    listen(server->fd, 16) < 0 ||
	    getsockname(server->fd, (struct sockaddr *)&a, &len) < 0 ||
	    pthread_create(&server->thread, NULL, serve, server) != 0) {
		perror("fake server");
		abort();
	}
	(void)snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u", ntohs(a.sin_port));
}

void fake_server_stop(struct fake_server *server)
{
	atomic_store(&server->stopping, true);
	(void)pthread_join(server->thread, NULL);
	(void)close(server->fd);
}
