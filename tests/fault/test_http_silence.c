/* SPDX-License-Identifier: MIT */
/* Clients that hold all connections and say nothing: each is closed, and the next is served. */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <control/http.h>

enum {
	PATIENCE_MS = (HTTP_IDLE_S + 30) * 1000
};

static void answer(void *ctx, const struct http_request *request, struct http_reply *reply)
{
	(void)ctx;
	(void)request;
	reply->body = strdup("{}");
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

static ssize_t hear(int fd, char text[64])
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	return recv(fd, text, 64, 0);
}

static void test_silent_clients_are_closed(void **state)
{
	static const char *const begun[] = {
		"", "G", "GET /a HTTP/1.1\r\nHost",
		"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"
	};
	static const char good[] = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
	const struct http_route routes[] = { { "GET", "/a", answer, NULL },
					     { "POST", "/a", answer, NULL } };
	const struct http_args args = { .listen = "127.0.0.1:0",
					.routes = routes,
					.route_count = 2 };
	struct http_server *server = NULL;
	int fd[HTTP_CONNECTIONS_MAX], late;
	char text[64];

	(void)state;
	assert_int_equal(http_open(&args, &server, NULL), 0);
	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		const char *words = begun[i % (sizeof(begun) / sizeof(*begun))];

		fd[i] = dial(server);
		assert_int_equal(send(fd[i], words, strlen(words), MSG_NOSIGNAL), strlen(words));
	}
	late = dial(server);
	assert_int_equal(send(late, good, strlen(good), MSG_NOSIGNAL), strlen(good));
	assert_true(hear(late, text) > 12);
	assert_memory_equal(text, "HTTP/1.1 200", 12);
	for (unsigned int i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		assert_true(hear(fd[i], text) <= 0);
		(void)close(fd[i]);
	}
	(void)close(late);
	http_close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_silent_clients_are_closed) };

	return cmocka_run_group_tests(tests, NULL, NULL) ? EXIT_FAILURE : EXIT_SUCCESS;
}
