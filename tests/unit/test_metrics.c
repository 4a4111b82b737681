/* SPDX-License-Identifier: MIT */
/* The text against Prometheus' exposition format 0.0.4. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <control/metrics.h>

static const struct metric chunks = { "sluice_ring_chunks", "gauge", "Chunks per state." };
static const struct metric bytes = { "sluice_bytes", "counter", "Bytes \\ with a\nline." };

static void test_the_text_is_prometheus(void **state)
{
	struct metrics m;
	char labels[64] = "", *text = NULL;

	(void)state;
	assert_int_equal(metrics_init(&m), 0);
	metrics_label(labels, sizeof(labels), "board", "b0");
	metrics_label(labels, sizeof(labels), "state", "free");
	metrics_u64(&m, &chunks, labels, 7);
	metrics_u64(&m, &chunks, "board=\"b1\"", UINT64_MAX);
	metrics_f64(&m, &bytes, NULL, 0.5);
	metrics_f64(&m, &bytes, "", (double)NAN);
	metrics_f64(&m, &bytes, NULL, (double)INFINITY);
	metrics_f64(&m, &bytes, NULL, -(double)INFINITY);
	assert_int_equal(metrics_finish(&m, &text), 0);
	assert_string_equal(text, "# HELP sluice_ring_chunks Chunks per state.\n"
				  "# TYPE sluice_ring_chunks gauge\n"
				  "sluice_ring_chunks{board=\"b0\",state=\"free\"} 7\n"
				  "sluice_ring_chunks{board=\"b1\"} 18446744073709551615\n"
				  "# HELP sluice_bytes Bytes \\\\ with a\\nline.\n"
				  "# TYPE sluice_bytes counter\n"
				  "sluice_bytes 0.5\n"
				  "sluice_bytes NaN\n"
				  "sluice_bytes +Inf\n"
				  "sluice_bytes -Inf\n");
	free(text);
}

static void test_no_sample_is_an_empty_text(void **state)
{
	struct metrics m;
	char *text = NULL;

	(void)state;
	assert_int_equal(metrics_init(&m), 0);
	assert_int_equal(metrics_finish(&m, &text), 0);
	assert_string_equal(text, "");
	free(text);
}

static void test_values_of_labels_are_escaped(void **state)
{
	char labels[64] = "";

	(void)state;
	metrics_label(labels, sizeof(labels), "a", "x\"y\\z\n");
	assert_string_equal(labels, "a=\"x\\\"y\\\\z\\n\"");
}

/* Whole or not at all, at every size; never a byte beyond. */
static void test_a_label_that_does_not_fit_is_left_out(void **state)
{
	static const char whole[] = "k=\"v\",a=\"\\n\"";
	char labels[32];

	(void)state;
	for (size_t size = 6; size < sizeof(labels); size++) {
		(void)memset(labels, '#', sizeof(labels));
		(void)memcpy(labels, "k=\"v\"", 6);
		metrics_label(labels, size, "a", "\n");
		if (size >= sizeof(whole) + 1)
			assert_string_equal(labels, whole);
		else
			assert_true(strcmp(labels, "k=\"v\"") == 0 || strcmp(labels, whole) == 0);
		for (size_t i = size; i < sizeof(labels); i++)
			assert_int_equal(labels[i], '#');
	}
}

static void test_a_failure_sticks(void **state)
{
	struct metrics m;
	char *text = NULL;

	(void)state;
	assert_int_equal(metrics_init(&m), 0);
	metrics_u64(&m, &chunks, NULL, 1);
	m.error = -ENOMEM;
	metrics_u64(&m, &chunks, NULL, 2);
	metrics_f64(&m, &chunks, NULL, 3);
	assert_int_equal(metrics_finish(&m, &text), -ENOMEM);
	assert_null(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_text_is_prometheus),
		cmocka_unit_test(test_no_sample_is_an_empty_text),
		cmocka_unit_test(test_values_of_labels_are_escaped),
		cmocka_unit_test(test_a_label_that_does_not_fit_is_left_out),
		cmocka_unit_test(test_a_failure_sticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? EXIT_FAILURE : EXIT_SUCCESS;
}
