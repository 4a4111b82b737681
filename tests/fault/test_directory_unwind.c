/* SPDX-License-Identifier: MIT */
/* Each step of directory_open() fails in turn; nothing may be left behind. */
#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/clock.h>
#include <directory/directory.h>
#include <sluice/error.h>

#include "fault/fake_server.h"

/* The n-th step that can fail does; -1: none. */
static _Atomic int fail_at = -1;
static _Atomic int live; /* locks, conditions, threads and multi handles */

static bool fails(void)
{
	return atomic_load(&fail_at) >= 0 && atomic_fetch_sub(&fail_at, 1) == 0;
}

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's --wrap makes these names */
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

#define WRAP_OPEN(name, code, parameters, arguments)                        \
	int __real_##name parameters;                                       \
	int __wrap_##name parameters;                                       \
	int __wrap_##name parameters                                        \
	{                                                                   \
		const int ret = fails() ? (code) : __real_##name arguments; \
                                                                            \
		if (ret == 0)                                               \
			(void)atomic_fetch_add(&live, 1);                   \
		return ret;                                                 \
	}

#define WRAP_CLOSE(name, parameters, arguments)      \
	int __real_##name parameters;                \
	int __wrap_##name parameters;                \
	int __wrap_##name parameters                 \
	{                                            \
		(void)atomic_fetch_sub(&live, 1);    \
		return (int)__real_##name arguments; \
	}

WRAP_OPEN(pthread_create, EAGAIN,
	  (pthread_t * thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg),
	  (thread, attr, run, arg))
WRAP_OPEN(pthread_mutex_init, ENOMEM, (pthread_mutex_t * m, const pthread_mutexattr_t *attr),
	  (m, attr))
WRAP_OPEN(pthread_cond_init, ENOMEM, (pthread_cond_t * c, const pthread_condattr_t *attr),
	  (c, attr))
WRAP_CLOSE(pthread_join, (pthread_t thread, void **ret), (thread, ret))
WRAP_CLOSE(pthread_mutex_destroy, (pthread_mutex_t * m), (m))
WRAP_CLOSE(pthread_cond_destroy, (pthread_cond_t * c), (c))

CURLM *__real_curl_multi_init(void);
CURLM *__wrap_curl_multi_init(void);
CURLM *__wrap_curl_multi_init(void)
{
	CURLM *multi = fails() ? NULL : __real_curl_multi_init();

	if (multi)
		(void)atomic_fetch_add(&live, 1);
	return multi;
}

CURLMcode __real_curl_multi_cleanup(CURLM *multi);
CURLMcode __wrap_curl_multi_cleanup(CURLM *multi);
CURLMcode __wrap_curl_multi_cleanup(CURLM *multi)
{
	(void)atomic_fetch_sub(&live, 1);
	return __real_curl_multi_cleanup(multi);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir)) /* NOLINT(concurrency-mt-unsafe): this thread's own */
		count++;
	(void)closedir(dir);
	return count;
}

/* Gives the number of steps that can fail. */
static int unwind(enum directory_kind kind, const char *url)
{
	char endpoint[1][DIRECTORY_URL_MAX];
	const struct directory_args args = { .kind = kind,
					     .endpoints = endpoint,
					     .endpoint_count = 1,
					     .instrument = "unwind",
					     .lease_ttl_s = 2,
					     .timeout_ns = 20 * NS_PER_S };
	const int alive = atomic_load(&live);
	int nth = 0, ret = -1, fds = -1;

	(void)snprintf(endpoint[0], sizeof(endpoint[0]), "%s", url);
	for (; ret < 0; nth++) {
		struct directory *directory = NULL;
		struct sluice_error error = { "" };

		atomic_store(&fail_at, nth);
		ret = directory_open(&args, &directory, &error);
		atomic_store(&fail_at, -1);
		if (ret < 0) {
			assert_null(directory);
			assert_true(error.text[0]);
		}
		directory_close(directory);
		assert_int_equal(atomic_load(&live), alive);
		/* The first time, libcurl's own start may open something for good. */
		if (fds >= 0)
			assert_int_equal(count_fds(), fds);
		fds = count_fds();
	}
	return nth - 1;
}

static void test_none_unwinds_from_every_step(void **state)
{
	(void)state;
	/* Memory, lock, condition, thread. */
	assert_int_equal(unwind(DIRECTORY_NONE, ""), 4);
}

static void test_etcd_unwinds_from_every_step(void **state)
{
	struct fake_server server;

	(void)state;
	fake_server_start(&server);
	/* Memory, four locks, two conditions, the multi handle, two threads. */
	assert_int_equal(unwind(DIRECTORY_ETCD, server.url), 10);
	fake_server_stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none_unwinds_from_every_step),
		cmocka_unit_test(test_etcd_unwinds_from_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? EXIT_FAILURE : EXIT_SUCCESS;
}
