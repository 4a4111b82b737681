/* SPDX-License-Identifier: MIT */
/*
 * A process dies in a scan. Nobody waits for it for ever: the scan ends, its ledger stays open and
 * says who is gone, and who goes on is ready for the next scan.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <string.h>

#include "flow.h"

enum {
	BOARDS,
	AGGREGATOR,
	COUNTER0,
	COUNTER1,
	SLUICED,
	PROCESSES,
};

#define SIZE "9x7"

static const struct flow_boards slow_boards = {
	.sectors = 4,
	.rows = 24,
	.columns = 96,
	.pixel = "u16",
	.seed = "3",
	.rate = "20",
};

/* Three seconds of scan, of which the victim sees the beginning. */
static struct flow *kill_in_scan(void **state, unsigned int victim)
{
	static const char *const arm[] = { "arm",  "--scan", SIZE,  "--background",
					   "28.5", "--xray", "440", NULL };
	struct flow *flow = flow_setup(state, false);
	unsigned int process[PROCESSES];

	process[BOARDS] = flow_start_boards(flow, &slow_boards);
	process[AGGREGATOR] = flow_start_aggregator(flow, "aggregator0");
	process[COUNTER0] = flow_start_counter(flow, "counter0", "run_timeout_ms: 500\n");
	process[COUNTER1] = flow_start_counter(flow, "counter1", "run_timeout_ms: 500\n");
	process[SLUICED] = flow_start_sluiced(flow, 4, "sluice", NULL, "give_up_ms: 2000");
	assert_int_equal(flow_sluice(flow, "arm", arm), 0);
	flow_kill(flow, process[victim]);
	return flow;
}

static void check_open(struct flow *flow, const char *why)
{
	static const char *const watch[] = { "watch", "--json", "--timeout", "80", NULL };
	char *out;

	assert_int_equal(flow_sluice(flow, "watch", watch), 2);
	out = flow_read(flow, "watch.out");
	if (!strstr(out, "ledger: OPEN") || !strstr(out, why))
		fail_msg("\"%s\" is not said: %s", why, out);
	free(out);
}

static void a_dead_sluiced_is_named(void **state)
{
	check_open(kill_in_scan(state, SLUICED), "is gone without its account");
}

static void a_dead_consumer_is_named(void **state)
{
	check_open(kill_in_scan(state, COUNTER0), "counter0 is gone without its account");
}

/* What it had passed on and what it had not: the boards lose the rest by name, and it adds up. */
static void a_dead_aggregator_costs_what_it_had(void **state)
{
	static const char *const watch[] = { "watch", "--json", "--timeout", "80", NULL };
	struct flow *flow = kill_in_scan(state, AGGREGATOR);
	char *out;

	assert_int_not_equal(flow_sluice(flow, "watch", watch), 1);
	out = flow_read(flow, "watch.out");
	assert_non_null(strstr(out, "peer "));
	free(out);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_dead_sluiced_is_named, flow_teardown),
		cmocka_unit_test_teardown(a_dead_consumer_is_named, flow_teardown),
		cmocka_unit_test_teardown(a_dead_aggregator_costs_what_it_had, flow_teardown),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
