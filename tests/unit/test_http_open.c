/* SPDX-License-Identifier: MIT */
/* Where the server listens, where it refuses to, and what each failed step leaves behind. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <control/http.h>
#include <sluice/error.h>

/* The n-th step that can fail does; -1: none. */
static int fail_at = -1;

static int fails(void)
{
	return fail_at >= 0 && fail_at-- == 0;
}

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's --wrap makes these names */
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

#define WRAP_INT(name, parameters, arguments)                  \
	int __real_##name parameters;                          \
	int __wrap_##name parameters;                          \
	int __wrap_##name parameters                           \
	{                                                      \
		errno = EMFILE;                                \
		return fails() ? -1 : __real_##name arguments; \
	}

WRAP_INT(socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP_INT(listen, (int fd, int backlog), (fd, backlog))
WRAP_INT(eventfd, (unsigned int count, int flags), (count, flags))

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg)
{
	return fails() ? EAGAIN : __real_pthread_create(thread, attr, run, arg);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir)) /* NOLINT(concurrency-mt-unsafe): one thread */
		count++;
	(void)closedir(dir);
	return count;
}

static void test_open_unwinds_from_every_step(void **state)
{
	const struct http_args args = { .listen = "127.0.0.1:0" };
	const int fds = count_fds();
	int nth = 0, ret = -1;

	(void)state;
	for (; ret < 0; nth++) {
		struct http_server *server = NULL;
		struct sluice_error error = { "" };

		fail_at = nth;
		ret = http_open(&args, &server, &error);
		fail_at = -1;
		if (ret < 0) {
			assert_null(server);
			assert_true(error.text[0]);
		}
		http_close(server);
		assert_int_equal(count_fds(), fds);
	}
	/* Memory, socket, listen, event descriptor, thread; then it succeeds. */
	assert_int_equal(nth, 5 + 1);
}

static int try_open(const char *listen, struct sluice_error *reterr)
{
	const struct http_args args = { .listen = listen };
	struct http_server *server = NULL;
	const int ret = http_open(&args, &server, reterr);

	http_close(server);
	return ret;
}

static void test_it_listens_on_loopback(void **state)
{
	const struct http_args args = { .listen = "127.0.0.1:0" };
	struct http_server *server = NULL;
	struct sluice_error error = { "" };

	(void)state;
	assert_int_equal(http_open(&args, &server, NULL), 0);
	assert_int_equal(strncmp(http_address(server), "127.0.0.1:", 10), 0);
	assert_true(strtoul(http_address(server) + 10, NULL, 10) > 0);
	assert_int_equal(try_open(http_address(server), &error), -EADDRINUSE);
	assert_true(strstr(error.text, http_address(server)) != NULL);
	http_close(server);
	assert_int_equal(try_open("localhost:0", NULL), 0);
	assert_int_equal(try_open("127.1.2.3:0", NULL), 0);
}

static void test_it_listens_nowhere_else(void **state)
{
	static const char *const elsewhere[] = { "0.0.0.0:0",   "192.168.0.1:80",
						 "[::]:0",      "8.8.8.8:1",
						 "128.0.0.1:0", "[::ffff:127.0.0.1]:0" };
	static const char *const wrong[] = { "",      ":",       "127.0.0.1",     "127.0.0.1:",
					     "x:80",  "[::1:80", "127.0.0.1:-1",  "127.0.0.1:65536",
					     "[]:80", "[",       "127.0.0.1:80x", "127.1:80",
					     "[:80",  "]:80" };
	struct sluice_error error = { "" };
	char longer[2 * HTTP_LISTEN_MAX];

	(void)state;
	for (unsigned int i = 0; i < sizeof(elsewhere) / sizeof(*elsewhere); i++) {
		assert_int_equal(try_open(elsewhere[i], &error), -EINVAL);
		assert_true(strstr(error.text,
				   "refused: control server listens on loopback only") != NULL);
		assert_true(strstr(error.text, elsewhere[i]) != NULL);
	}
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(try_open(wrong[i], &error), -EINVAL);
	(void)memset(longer, '1', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(try_open(longer, &error), -EINVAL);
	assert_int_equal(try_open(NULL, &error), -EINVAL);
}

static void nothing(void *ctx, const struct http_request *request, struct http_reply *reply)
{
	(void)ctx;
	(void)request;
	(void)reply;
}

static void test_wrong_routes_are_refused(void **state)
{
	static const struct http_route wrong[] = { { NULL, "/a", nothing, NULL },
						   { "GET", NULL, nothing, NULL },
						   { "GET", "a", nothing, NULL },
						   { "GET", "/a", NULL, NULL } };
	struct http_route many[HTTP_ROUTES_MAX + 1];
	struct http_server *server = NULL;
	struct http_args args = { .listen = "127.0.0.1:0", .route_count = 1 };

	(void)state;
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		args.routes = &wrong[i];
		assert_int_equal(http_open(&args, &server, NULL), -EINVAL);
	}
	for (unsigned int i = 0; i < HTTP_ROUTES_MAX + 1; i++)
		many[i] = (struct http_route){ "GET", "/a", nothing, NULL };
	args.routes = many;
	args.route_count = HTTP_ROUTES_MAX + 1;
	assert_int_equal(http_open(&args, &server, NULL), -EINVAL);
	assert_null(server);
	args.route_count = HTTP_ROUTES_MAX;
	assert_int_equal(http_open(&args, &server, NULL), 0);
	http_close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_unwinds_from_every_step),
		cmocka_unit_test(test_it_listens_on_loopback),
		cmocka_unit_test(test_it_listens_nowhere_else),
		cmocka_unit_test(test_wrong_routes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? EXIT_FAILURE : EXIT_SUCCESS;
}
