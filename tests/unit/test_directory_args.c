/* SPDX-License-Identifier: MIT */
/* A caller's mistakes end in the dispatcher, with a text that says what is allowed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/clock.h>
#include <directory/directory.h>
#include <sluice/error.h>

static char endpoint[DIRECTORY_ENDPOINTS_MAX][DIRECTORY_URL_MAX];

static struct directory_args good_args(void)
{
	return (struct directory_args){ .kind = DIRECTORY_NONE,
					.endpoints = endpoint,
					.endpoint_count = 1,
					.instrument = "scope",
					.lease_ttl_s = 10,
					.timeout_ns = NS_PER_S };
}

static void refuse(const struct directory_args *args, int expected)
{
	struct directory *directory = NULL;
	struct sluice_error error = { "" };

	assert_int_equal(directory_open(args, &directory, &error), expected);
	assert_true(error.text[0]);
	assert_null(directory);
}

static void test_wrong_arguments_are_refused(void **state)
{
	static const char *const instruments[] = { NULL, "", "a/b", "a b", "a\n" };
	static const char *const urls[] = { "", "127.0.0.1:2379", "ftp://x", "http://a b" };
	struct directory_args args;

	(void)state;
	for (unsigned int i = 0; i < sizeof(instruments) / sizeof(*instruments); i++) {
		args = good_args();
		args.instrument = instruments[i];
		refuse(&args, -EINVAL);
	}
	args = good_args();
	args.kind = 7;
	refuse(&args, -EINVAL);
	args = good_args();
	args.lease_ttl_s = 1;
	refuse(&args, -ERANGE);
	args.lease_ttl_s = 61;
	refuse(&args, -ERANGE);
	args = good_args();
	args.timeout_ns = 0;
	refuse(&args, -ERANGE);
	args = good_args();
	args.kind = DIRECTORY_ETCD;
	args.endpoint_count = 0;
	refuse(&args, -EINVAL);
	args.endpoint_count = DIRECTORY_ENDPOINTS_MAX + 1;
	refuse(&args, -EINVAL);
	args.endpoint_count = 1;
	for (unsigned int i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
		(void)snprintf(endpoint[0], sizeof(endpoint[0]), "%s", urls[i]);
		refuse(&args, -EINVAL);
	}
}

static void test_wrong_keys_and_values_are_refused(void **state)
{
	static const char *const keys[] = { NULL, "", "a b", "a\n", "\xc3\xa4", "a\x7f" };
	char long_key[DIRECTORY_KEY_MAX + 1];
	char *big = malloc(DIRECTORY_VALUE_MAX + 1);
	struct directory_args args = good_args();
	struct directory *directory = NULL;
	struct directory_entries entries = { 0 };
	struct sluice_error error = { "" };

	(void)state;
	assert_non_null(big);
	assert_int_equal(directory_open(&args, &directory, NULL), 0);
	for (unsigned int i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		assert_int_equal(directory_put(directory, keys[i], "v", false, &error), -EINVAL);
	(void)memset(long_key, 'k', DIRECTORY_KEY_MAX);
	long_key[DIRECTORY_KEY_MAX] = '\0';
	assert_int_equal(directory_put(directory, long_key, "v", false, &error), -EINVAL);
	assert_int_equal(directory_delete(directory, long_key, &error), -EINVAL);
	assert_int_equal(directory_list(directory, long_key, &entries, &error), -EINVAL);
	assert_int_equal(directory_put_if(directory, long_key, 0, "v", &error), -EINVAL);
	long_key[DIRECTORY_KEY_MAX - 1] = '\0';
	assert_int_equal(directory_put(directory, long_key, "v", false, NULL), 0);
	(void)memset(big, 'v', DIRECTORY_VALUE_MAX);
	big[DIRECTORY_VALUE_MAX] = '\0';
	assert_int_equal(directory_put(directory, "a", big, false, &error), -EINVAL);
	assert_int_equal(directory_put(directory, "a", NULL, false, &error), -EINVAL);
	assert_int_equal(directory_put_if(directory, "a", -1, "v", &error), -EINVAL);
	assert_int_equal(directory_watch(directory, "", NULL, NULL, &error), -EINVAL);
	assert_int_equal(directory_list(directory, "", &entries, NULL), 0);
	assert_int_equal(entries.count, 1);
	directory_entries_free(&entries);
	directory_entries_free(NULL);
	directory_close(directory);
	free(big);
}

static void test_keys_of_the_process_table_are_limited(void **state)
{
	struct directory_args args = good_args();
	struct directory *directory = NULL;
	struct sluice_error error = { "" };
	char key[16];

	(void)state;
	assert_int_equal(directory_open(&args, &directory, NULL), 0);
	for (unsigned int i = 0; i < DIRECTORY_ENTRIES_MAX; i++) {
		int ret;

		(void)snprintf(key, sizeof(key), "%08u", i);
		/* The thread that tells watchers may be behind. */
		do {
			ret = directory_put(directory, key, "v", false, NULL);
		} while (ret == -ENOSPC);
		assert_int_equal(ret, 0);
	}
	assert_int_equal(directory_put(directory, "one-more", "v", false, &error), -ENOSPC);
	assert_true(strstr(error.text, "DIRECTORY_ENTRIES_MAX") != NULL);
	directory_close(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_arguments_are_refused),
		cmocka_unit_test(test_wrong_keys_and_values_are_refused),
		cmocka_unit_test(test_keys_of_the_process_table_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? EXIT_FAILURE : EXIT_SUCCESS;
}
