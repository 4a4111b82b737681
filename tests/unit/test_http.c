/* SPDX-License-Identifier: MIT */
/* The control server as its clients see it: raw bytes over a socket. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/clock.h>
#include <control/http.h>
#include <sluice/error.h>

enum {
	PATIENCE_MS = 20000, /* only a failing test waits so long */
	ANSWER_MAX = 8192,
};

/* Seconds that the server's clock is ahead. */
static _Atomic long ahead_s;

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's --wrap makes these names */
int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	const int ret = __real_clock_gettime(id, ts);

	ts->tv_sec += atomic_load(&ahead_s);
	return ret;
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* Says back what it was given. */
static void echo(void *ctx, const struct http_request *request, struct http_reply *reply)
{
	assert_string_equal(ctx, "context");
	if (asprintf(&reply->body, "%s %s scan=%s %zu %.10s", request->method, request->path,
		     request->query ? request->query : "-", request->body_bytes, request->body) < 0)
		reply->body = NULL;
}

static void teapot(void *ctx, const struct http_request *request, struct http_reply *reply)
{
	(void)ctx;
	(void)request;
	reply->status = 418;
	reply->content_type = "text/plain";
}

static char context[] = "context";
static const struct http_route routes[] = {
	{ "GET", "/api/v1/status", echo, context },
	{ "POST", "/api/v1/arm", echo, context },
	{ "GET", "/api/v1/teapot", teapot, NULL },
};

static int setup(void **state)
{
	const struct http_args args = { .listen = "127.0.0.1:0",
					.routes = routes,
					.route_count = sizeof(routes) / sizeof(*routes) };
	struct http_server *server = NULL;

	atomic_store(&ahead_s, 0);
	assert_int_equal(http_open(&args, &server, NULL), 0);
	*state = server;
	return 0;
}

static int teardown(void **state)
{
	http_close(*state);
	return 0;
}

static int dial(const struct http_server *server)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_port = htons((uint16_t)strtoul(strchr(http_address(server), ':') + 1, NULL, 10));
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void say(int fd, const char *text, size_t len)
{
	/* The server may have closed already: then the answer tells. */
	while (len > 0) {
		const ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

/* All that comes until the server closes. */
static size_t hear(int fd, char answer[ANSWER_MAX])
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	ssize_t n;

	for (;;) {
		if (poll(&p, 1, PATIENCE_MS) <= 0)
			fail_msg("the server neither answers nor closes");
		n = recv(fd, answer + len, ANSWER_MAX - 1 - len, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	answer[len] = '\0';
	return len;
}

/* One request on a connection of its own. */
static void ask(const struct http_server *server, const char *request, char answer[ANSWER_MAX])
{
	const int fd = dial(server);

	say(fd, request, strlen(request));
	(void)hear(fd, answer);
	(void)close(fd);
}

static void assert_has(const char *answer, const char *words)
{
	if (!strstr(answer, words))
		fail_msg("no \"%s\" in: %s", words, answer);
}

#define LAST " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"

static void test_routes_are_served(void **state)
{
	char answer[ANSWER_MAX];

	ask(*state, "GET /api/v1/status" LAST "\r\n", answer);
	assert_has(answer, "HTTP/1.1 200");
	assert_has(answer, "Content-Type: application/json");
	assert_has(answer, "GET /api/v1/status scan=- 0 ");
	ask(*state, "GET /api/v1/status?x=1&scan=42&y" LAST "\r\n", answer);
	assert_has(answer, "GET /api/v1/status scan=42 0 ");
	ask(*state, "POST /api/v1/arm" LAST "Content-Length: 7\r\n\r\n{\"a\":1}", answer);
	assert_has(answer, "POST /api/v1/arm scan=- 7 {\"a\":1}");
	ask(*state,
	    "POST /api/v1/arm" LAST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n"
	    "0\r\n\r\n",
	    answer);
	assert_has(answer, "POST /api/v1/arm scan=- 5 abcde");
	ask(*state, "GET /api/v1/teapot" LAST "\r\n", answer);
	assert_has(answer, "HTTP/1.1 418");
	assert_has(answer, "Content-Type: text/plain");
	assert_int_equal(http_refused(*state), 0);
}

static void test_refusals_are_json_and_counted(void **state)
{
	char answer[ANSWER_MAX];

	ask(*state, "GET /nothing" LAST "\r\n", answer);
	assert_has(answer, "HTTP/1.1 404");
	assert_has(answer, "Content-Type: application/json");
	assert_has(answer, "{\"error\": \"");
	ask(*state, "GET /api/v1/status/" LAST "\r\n", answer);
	assert_has(answer, "HTTP/1.1 404");
	ask(*state, "POST /api/v1/status" LAST "Content-Length: 0\r\n\r\n", answer);
	assert_has(answer, "HTTP/1.1 405");
	assert_has(answer, "Allow: GET");
	assert_has(answer, "{\"error\": \"");
	ask(*state, "POST /api/v1/arm" LAST "Content-Length: 1048577\r\n\r\n", answer);
	assert_has(answer, "HTTP/1.1 413");
	assert_has(answer, "{\"error\": \"");
	assert_int_equal(http_refused(*state), 4);
	ask(*state, "This is no HTTP\r\n\r\n", answer);
	assert_has(answer, "HTTP/1.1 400");
	assert_int_equal(http_refused(*state), 5);
}

static void test_headers_are_bounded(void **state)
{
	char answer[ANSWER_MAX], *request = malloc(65536);

	assert_non_null(request);
	(void)memset(request, 'a', 65536);
	(void)memcpy(request, "GET /", 5);
	request[65535] = '\0';
	ask(*state, request, answer);
	if (answer[0])
		assert_has(answer, "HTTP/1.1 4");
	assert_true(http_refused(*state) >= 1);
	ask(*state, "GET /api/v1/status" LAST "\r\n", answer);
	assert_has(answer, "HTTP/1.1 200");
	free(request);
}

/* Says nothing of its length in advance: 1 MiB is taken, a byte more is not. */
static void test_a_body_is_bounded_while_it_comes(void **state)
{
	static const char head[] = "POST /api/v1/arm" LAST "Transfer-Encoding: chunked\r\n\r\n";
	char *block = malloc(65536), answer[ANSWER_MAX];

	assert_non_null(block);
	(void)memset(block, 'b', 65536);
	for (int over = 0; over < 2; over++) {
		const int fd = dial(*state);

		say(fd, head, strlen(head));
		for (int i = 0; i < HTTP_BODY_MAX / 65536; i++) {
			say(fd, "10000\r\n", 7);
			say(fd, block, 65536);
			say(fd, "\r\n", 2);
		}
		say(fd, over ? "1\r\nb\r\n0\r\n\r\n" : "0\r\n\r\n", over ? 11 : 5);
		(void)hear(fd, answer);
		(void)close(fd);
		assert_has(answer, over ? "HTTP/1.1 413" : "1048576 bbbbbbbbbb");
	}
	assert_int_equal(http_refused(*state), 1);
	free(block);
}

static void test_a_connection_serves_several_requests(void **state)
{
	static const char both[] = "GET /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
				   "GET /api/v1/teapot" LAST "\r\n";
	char answer[ANSWER_MAX];

	ask(*state, both, answer);
	assert_has(answer, "HTTP/1.1 200");
	assert_has(answer, "HTTP/1.1 418");
}

/* Moves, but never gets done: closed when its time is over. */
static void test_a_request_that_trickles_is_closed(void **state)
{
	char answer[ANSWER_MAX];
	const int fd = dial(*state), other = dial(*state);

	say(fd, "GET /api/v1/status HTTP/1.1\r\nX-Slow: a", 38);
	say(other, "GET /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n", 40);
	assert_true(recv(other, answer, sizeof(answer), 0) > 0);
	atomic_store(&ahead_s, HTTP_REQUEST_S - 1);
	say(fd, "a", 1);
	ask(*state, "GET /api/v1/status" LAST "\r\n", answer);
	assert_has(answer, "HTTP/1.1 200");
	assert_int_equal(recv(fd, answer, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	atomic_store(&ahead_s, HTTP_REQUEST_S + 1);
	assert_int_equal(hear(fd, answer), 0);
	(void)close(fd);
	(void)close(other);
	ask(*state, "GET /api/v1/status" LAST "\r\n", answer);
	assert_has(answer, "HTTP/1.1 200");
}

/* Those over the limit wait until one goes; nobody is turned away, nothing breaks. */
static void test_connections_are_limited(void **state)
{
	int fd[HTTP_CONNECTIONS_MAX + 8];
	char answer[ANSWER_MAX];
	const unsigned int count = sizeof(fd) / sizeof(*fd);

	for (unsigned int i = 0; i < count; i++) {
		fd[i] = dial(*state);
		say(fd[i], "GET /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n", 40);
	}
	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++)
		assert_true(recv(fd[i], answer, sizeof(answer), 0) > 0);
	for (unsigned int i = HTTP_CONNECTIONS_MAX; i < count; i++)
		assert_int_equal(recv(fd[i], answer, sizeof(answer), MSG_DONTWAIT), -1);
	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++)
		(void)close(fd[i]);
	for (unsigned int i = HTTP_CONNECTIONS_MAX; i < count; i++) {
		struct pollfd p = { .fd = fd[i], .events = POLLIN };

		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		assert_true(recv(fd[i], answer, sizeof(answer), 0) > 0);
		(void)close(fd[i]);
	}
}

static void test_close_does_not_wait_for_clients(void **state)
{
	const int idle = dial(*state), half = dial(*state);
	char answer[ANSWER_MAX];

	say(half, "POST /api/v1/arm HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", 60);
	ask(*state, "GET /api/v1/status" LAST "\r\n", answer);
	http_close(*state);
	*state = NULL;
	(void)hear(idle, answer);
	(void)close(idle);
	(void)close(half);
	http_close(NULL);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(test_routes_are_served),
		SERVED(test_refusals_are_json_and_counted),
		SERVED(test_headers_are_bounded),
		SERVED(test_a_body_is_bounded_while_it_comes),
		SERVED(test_a_connection_serves_several_requests),
		SERVED(test_a_request_that_trickles_is_closed),
		SERVED(test_connections_are_limited),
		SERVED(test_close_does_not_wait_for_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? EXIT_FAILURE : EXIT_SUCCESS;
}
