/* SPDX-License-Identifier: MIT */
/* The annotated example configuration of sluice-counter: whole, and true to the defaults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <consume/counter_config.h>
#include <support/annotated.h>

static void example_path(char *path, size_t size)
{
	(void)snprintf(path, size, "%s/daemon/consume/sluice-counter.yaml",
		       getenv("SLUICE_SOURCE"));
}

static char *describe(const struct counter_config *config)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	config_describe(counter_config_rows, config, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* What the example says is what holds without it, so that nobody is misled by it. */
static void test_the_example_says_the_defaults(void **state)
{
	struct counter_config defaults, loaded;
	struct sluice_error error = { "" };
	char path[512], *want, *got;

	(void)state;
	example_path(path, sizeof(path));
	counter_config_init(&defaults);
	counter_config_init(&loaded);
	if (config_load(path, counter_config_rows, &loaded, &error) < 0)
		fail_msg("%s", error.text);
	want = describe(&defaults);
	got = describe(&loaded);
	assert_string_equal(got, want);
	free(want);
	free(got);
}

static void test_the_example_explains_every_key(void **state)
{
	static struct annotated file;
	char path[512];

	(void)state;
	example_path(path, sizeof(path));
	annotated_read(path, &file);
	annotated_expect(&file, counter_config_rows);
}

static void test_mistakes_are_named(void **state)
{
	static const struct {
		const char *text, *names;
	} row[] = {
		{ "thread: 2\n", "thread" },
		{ "threads: many\n", "threads" },
		{ "window_runs: 0\n", "window_runs" },
		{ "thresholds:\n  xray: -1\n", "thresholds.xray" },
		{ "kernel: sse\n", "avx2" },
		{ "record_frames: 2\n", "record_frames" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct sluice_error error = { "" };
		struct counter_config config;

		counter_config_init(&config);
		assert_true(config_parse("c.yaml", row[i].text, strlen(row[i].text),
					 counter_config_rows, &config, &error) < 0);
		assert_non_null(strstr(error.text, "c.yaml:"));
		if (!strstr(error.text, row[i].names))
			fail_msg("\"%s\" does not name %s", error.text, row[i].names);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_example_says_the_defaults),
		cmocka_unit_test(test_the_example_explains_every_key),
		cmocka_unit_test(test_mistakes_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
