/* SPDX-License-Identifier: MIT */
/* aggregate/config.h: the example is good, says what the defaults are, and explains every key. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <aggregate/config.h>
#include <base/error.h>
#include <support/annotated.h>

static void example_path(char path[512])
{
	(void)snprintf(path, 512, "%s/daemon/aggregate/sluice-aggregator.yaml",
		       getenv("SLUICE_SOURCE"));
}

static void the_example_holds_the_defaults(void **state)
{
	struct aggregator_config config, defaults;
	struct sluice_error error = { "" };
	char path[512];

	(void)state;
	example_path(path);
	aggregator_config_init(&config);
	/* Whatever is not in the file would stay so. */
	memset(&config.window, 0, 3 * sizeof(uint32_t));
	memset(config.id, 0, sizeof(config.id));
	memset(config.listen, 0, sizeof(config.listen));
	if (config_load(path, aggregator_config_rows, &config, &error) < 0)
		fail_msg("%s", error.text);
	aggregator_config_init(&defaults);
	assert_memory_equal(&config, &defaults, sizeof(config));
}

static void the_example_explains_every_key(void **state)
{
	static struct annotated file;
	char path[512];

	(void)state;
	example_path(path);
	annotated_read(path, &file);
	annotated_expect(&file, aggregator_config_rows);
}

static void mistakes_are_named(void **state)
{
	static const struct {
		const char *text, *word;
	} bad[] = {
		{ "window: 0\n", "window" },
		{ "window: 257\n", "window" },
		{ "payload_max: 1\n", "payload_max" },
		{ "payload_max: 1073741825\n", "payload_max" },
		{ "io_threads: 17\n", "io_threads" },
		{ "id: \"\"\n", "id" },
		{ "listen: x\n", "listen" },
		{ "widow: 1\n", "widow" },
		{ "directory: {kind: dns}\n", "etcd, none" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sluice_error error = { "" };
		struct aggregator_config config;

		aggregator_config_init(&config);
		assert_int_equal(config_parse("f.yaml", bad[i].text, strlen(bad[i].text),
					      aggregator_config_rows, &config, &error),
				 -EINVAL);
		if (!strstr(error.text, bad[i].word))
			fail_msg("\"%s\" has no \"%s\"", error.text, bad[i].word);
	}
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(the_example_holds_the_defaults),
		cmocka_unit_test(the_example_explains_every_key),
		cmocka_unit_test(mistakes_are_named),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
