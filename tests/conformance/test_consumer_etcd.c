/* SPDX-License-Identifier: MIT */
/* Consumers in a real etcd: how they register, what they share, where their half goes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/clock.h>
#include <directory/directory.h>
#include <sluice/consumer.h>
#include <support/etcd.h>

static struct etcd_server server;

static struct sluice_consumer *open_as(const char *id)
{
	struct sluice_consumer_args args = SLUICE_CONSUMER_ARGS_INIT;
	struct sluice_consumer *consumer = NULL;
	struct sluice_error error = { "" };

	args.directory = server.url;
	args.group = "night";
	args.id = id;
	if (sluice_consumer_open(&args, &consumer, &error) < 0)
		fail_msg("%s", error.text);
	return consumer;
}

static struct directory *observer(void)
{
	char url[1][DIRECTORY_URL_MAX];
	struct directory_args args = { .kind = DIRECTORY_ETCD,
				       .endpoints = (const char(*)[DIRECTORY_URL_MAX])url,
				       .endpoint_count = 1,
				       .instrument = "bench",
				       .lease_ttl_s = 5,
				       .timeout_ns = 2 * NS_PER_S };
	struct directory *directory = NULL;

	(void)snprintf(url[0], sizeof(url[0]), "%s", server.url);
	assert_int_equal(directory_open(&args, &directory, NULL), 0);
	return directory;
}

static void test_a_consumer_registers_and_leaves(void **state)
{
	struct sluice_consumer *consumer = open_as("c0");
	struct directory *directory = observer();
	struct directory_entries entries;

	(void)state;
	assert_int_equal(directory_list(directory, "consumers/", &entries, NULL), 0);
	assert_int_equal(entries.count, 1);
	assert_string_equal(entries.entry[0].key, "consumers/night/c0");
	assert_non_null(strstr(entries.entry[0].value, sluice_consumer_endpoint(consumer)));
	assert_non_null(strstr(entries.entry[0].value, sluice_consumer_url(consumer)));
	assert_non_null(strstr(entries.entry[0].value, "\"window\":8"));
	directory_entries_free(&entries);
	sluice_consumer_close(consumer);
	assert_int_equal(directory_list(directory, "consumers/", &entries, NULL), 0);
	assert_int_equal(entries.count, 0);
	directory_entries_free(&entries);
	directory_close(directory);
}

static void test_the_first_to_share_decides_for_all(void **state)
{
	struct sluice_consumer *a = open_as("c0"), *b = open_as("c1");
	struct sluice_error error = { "" };
	char text[64];

	(void)state;
	assert_int_equal(sluice_consumer_shared(a, 3, "v", text, sizeof(text), &error), -EAGAIN);
	assert_int_equal(sluice_consumer_share(b, 3, "v-longer", "other", &error), 0);
	assert_int_equal(sluice_consumer_shared(a, 3, "v", text, sizeof(text), &error), -EAGAIN);
	assert_int_equal(sluice_consumer_share(b, 3, "v", "{\"b\":28.5}", &error), 0);
	assert_int_equal(sluice_consumer_share(a, 3, "v", "too late", &error), 0);
	assert_int_equal(sluice_consumer_shared(a, 3, "v", text, sizeof(text), &error), 0);
	assert_string_equal(text, "{\"b\":28.5}");
	assert_int_equal(sluice_consumer_shared(b, 3, "v", text, sizeof(text), &error), 0);
	assert_string_equal(text, "{\"b\":28.5}");
	assert_int_equal(sluice_consumer_shared(b, 4, "v", text, sizeof(text), &error), -EAGAIN);
	sluice_consumer_close(a);
	sluice_consumer_close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_consumer_registers_and_leaves),
		cmocka_unit_test(test_the_first_to_share_decides_for_all),
	};
	int failed;

	etcd_start(&server, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	etcd_stop(&server);
	return failed;
}
