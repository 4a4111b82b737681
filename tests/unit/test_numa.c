/* SPDX-License-Identifier: MIT */
/* base/numa.h: nodes and pinning, on whatever machine this is. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/numa.h>

static void a_machine_has_a_node(void **state)
{
	(void)state;
	assert_true(node_count() >= 1);
}

static void any_node_pins_nothing(void **state)
{
	cpu_set_t before, after;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(thread_pin_to_node(NODE_ANY, NULL), 0);
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
}

static void an_unknown_node_is_named(void **state)
{
	struct sluice_error e = { "" };
	cpu_set_t before, after;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	assert_int_equal(thread_pin_to_node(900, &e), -ENODEV);
	assert_non_null(strstr(e.text, "node 900"));
	assert_int_equal(thread_pin_to_node(1 << 30, &e), -ENODEV);
	assert_int_equal(thread_pin_to_node(-2, &e), -ENODEV);
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
}

static void pinning_gives_no_processor_that_was_not_allowed(void **state)
{
	cpu_set_t before, after, both;
	int ret;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	ret = thread_pin_to_node(0, NULL);
	/* Node 0 may have no processor for this process. */
	assert_true(ret == 0 || ret == -ENODEV);
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_COUNT(&after) > 0);
	CPU_AND(&both, &before, &after);
	assert_true(CPU_EQUAL(&both, &after));
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(a_machine_has_a_node),
		cmocka_unit_test(any_node_pins_nothing),
		cmocka_unit_test(an_unknown_node_is_named),
		cmocka_unit_test(pinning_gives_no_processor_that_was_not_allowed),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
