/* SPDX-License-Identifier: MIT */
/*
 * Any bytes in place of a request, to a real server in this process: sent, half closed, and read
 * to the end, or hung up where the server waits for more. Then it must answer a good request.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/clock.h>
#include <control/http.h>

enum {
	PATIENCE_MS = 20000,
	HANG_UP_MS = 10, /* the server may rightly wait for the rest of half a request */
	ANSWER_MAX = 4096,
	INPUT_MAX = 65536, /* more says nothing new, and fits no socket buffer */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_server *server;
static struct sockaddr_in address = { .sin_family = AF_INET };

static void echo(void *ctx, const struct http_request *request, struct http_reply *reply)
{
	(void)ctx;
	assert(strcmp(request->path, "/api/v1/arm") == 0 ||
	       strcmp(request->path, "/api/v1/status") == 0);
	assert(request->body[request->body_bytes] == '\0');
	assert(request->body_bytes <= HTTP_BODY_MAX);
	assert(!request->query || strlen(request->query) <= INPUT_MAX);
	reply->body = strdup(request->body);
}

static void close_server(void)
{
	http_close(server);
}

static void open_server(void)
{
	static const struct http_route routes[] = { { "GET", "/api/v1/status", echo, NULL },
						    { "POST", "/api/v1/arm", echo, NULL } };
	const struct http_args args = { .listen = "127.0.0.1:0",
					.routes = routes,
					.route_count = 2 };

	if (http_open(&args, &server, NULL) < 0)
		abort();
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons(
		(uint16_t)strtoul(strchr(http_address(server), ':') + 1, NULL, 10));
	(void)atexit(close_server);
}

/* What was answered within @patience_ms, cut to ANSWER_MAX. */
static void exchange(const void *request, size_t size, int patience_ms, char answer[ANSWER_MAX])
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char more[ANSWER_MAX];
	size_t len = 0;
	ssize_t n;

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		abort();
	(void)send(fd, request, size, MSG_NOSIGNAL);
	(void)shutdown(fd, SHUT_WR);
	while (poll(&p, 1, patience_ms) > 0) {
		n = recv(fd, more, sizeof(more), 0);
		if (n <= 0)
			break;
		if (len + (size_t)n < ANSWER_MAX) {
			(void)memcpy(answer + len, more, (size_t)n);
			len += (size_t)n;
		}
	}
	(void)close(fd);
	answer[len] = '\0';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char good[] =
		"GET /api/v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	const uint64_t deadline_ns = now_ns() + 30 * NS_PER_S;
	char answer[ANSWER_MAX];

	if (!server)
		open_server();
	if (size > INPUT_MAX)
		return 0;
	exchange(data, size, HANG_UP_MS, answer);
	/* Connections of earlier inputs may still be closing, and then there is no room at once. */
	do {
		if (now_ns() > deadline_ns)
			abort();
		exchange(good, sizeof(good) - 1, PATIENCE_MS, answer);
	} while (strncmp(answer, "HTTP/1.1 200", 12) != 0);
	return 0;
}
