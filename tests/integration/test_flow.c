/* SPDX-License-Identifier: MIT */
/*
 * From boards to counted electrons, through every process, judged by the plain reference: each
 * event of each frame, and each frame that is lost by its cause.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <base/clock.h>
#include <model/model.h>
#include <support/reference.h>

#include "flow.h"
#include "result.h"

enum {
	SECTORS = 4,
	ROWS = 24,
	COLUMNS = 96,
	SCAN_COLUMNS = 9,
	SCAN_ROWS = 7,
	FRAMES = 63
};

#define SIZE "9x7"
#define SEED "11"

static const struct flow_boards good_boards = {
	.sectors = SECTORS,
	.rows = ROWS,
	.columns = COLUMNS,
	.pixel = "u16",
	.seed = SEED,
	.rate = "0",
};

static struct model *make_model(void)
{
	const struct model_args args = {
		.geometry = { .sectors = SECTORS,
			      .rows = ROWS,
			      .columns = COLUMNS,
			      .pixel = SLUICE_PIXEL_U16 },
		.generator = MODEL_CAMERA,
		.seed = 11,
		.distinct = MODEL_DISTINCT_DEFAULT,
		.sectors_served = 0xf,
	};
	struct model *model;

	assert_int_equal(model_create(&args, &model, NULL), 0);
	return model;
}

static void assemble(const struct model *model, uint64_t frame, uint16_t *pixels)
{
	const struct model_scan scan = { .columns = SCAN_COLUMNS,
					 .rows = SCAN_ROWS,
					 .frames = FRAMES };
	const uint32_t prepared = model_frame_choice(model_args(model), &scan, frame);

	for (unsigned int s = 0; s < SECTORS; s++)
		memcpy(pixels + (size_t)s * ROWS * COLUMNS, model_payload(model, prepared, s),
		       (size_t)ROWS * COLUMNS * sizeof(pixels[0]));
}

/* Every event of every frame is the reference's, with @mask[frame] saying which sectors came. */
static void check_events(const char *path, const uint32_t *mask)
{
	const size_t pixels_count = (size_t)SECTORS * ROWS * COLUMNS;
	uint16_t *pixels = malloc(pixels_count * sizeof(pixels[0]));
	uint32_t *events = malloc(pixels_count * sizeof(events[0]));
	struct model *model = make_model();
	struct result result;
	uint64_t all = 0;

	assert_non_null(pixels);
	assert_non_null(events);
	result_open(path, &result);
	assert_int_equal(result.frames, FRAMES);
	assert_int_equal(result.frame_rows, SECTORS * ROWS);
	assert_int_equal(result.frame_columns, COLUMNS);
	assert_int_equal(result.scan_columns, SCAN_COLUMNS);
	assert_int_equal(result.scan_rows, SCAN_ROWS);
	for (uint64_t f = 0; f < FRAMES; f++) {
		const struct reference_rule rule = { .background = result.background,
						     .xray = result.xray,
						     .sector_rows = ROWS,
						     .sector_mask = mask[f] };
		uint32_t count;

		assemble(model, f, pixels);
		count = reference_count(&rule, pixels, SECTORS * ROWS, COLUMNS, events);
		assert_int_equal(result.mask[f], mask[f]);
		assert_int_equal(result.events[f].len, count);
		if (count > 0)
			assert_memory_equal(result.events[f].p, events, count * sizeof(events[0]));
		all += count;
	}
	assert_true(all > FRAMES); /* there was something to count */
	result_close(&result);
	model_destroy(model);
	free(events);
	free(pixels);
}

static void whole_masks(uint32_t mask[FRAMES])
{
	for (unsigned int f = 0; f < FRAMES; f++)
		mask[f] = 0xf;
}

static void check_whole(struct flow *flow, unsigned int scan, const struct ledger *ledger)
{
	uint32_t mask[FRAMES];
	char path[FLOW_PATH_MAX];

	assert_true(ledger->closed);
	assert_int_equal(ledger->state, SCAN_DONE);
	assert_int_equal(ledger->frames_expected, FRAMES);
	assert_int_equal(ledger->frames_delivered, FRAMES);
	assert_int_equal(ledger->frames_incomplete, 0);
	assert_int_equal(ledger->frames_lost, 0);
	whole_masks(mask);
	flow_merge(flow, scan, path);
	check_events(path, mask);
}

/* ---- the flow ---------------------------------------------------------------- */

static void start_all(struct flow *flow, const struct flow_boards *boards)
{
	(void)flow_start_boards(flow, boards);
	(void)flow_start_aggregator(flow, "aggregator0");
	(void)flow_start_counter(flow, "counter0", "");
	(void)flow_start_counter(flow, "counter1", "");
	(void)flow_start_sluiced(flow, SECTORS, "sluice", NULL, "");
}

static void every_event_is_the_references(void **state)
{
	const char *const args[] = { "--scan", SIZE, NULL };
	struct flow *flow = flow_setup(state, false);
	struct ledger ledger;

	start_all(flow, &good_boards);
	assert_int_equal(flow_scan(flow, args, &ledger), 0);
	check_whole(flow, 1, &ledger);
	/* And again, by the same processes; short runs, thresholds given. */
	const char *const again[] = { "--scan", SIZE,     "--run-frames", "5", "--background",
				      "28.5",   "--xray", "440.0",        NULL };

	assert_int_equal(flow_scan(flow, again, &ledger), 0);
	assert_int_equal(ledger.scan, 2);
	check_whole(flow, 2, &ledger);
}

static void two_aggregators_share_the_runs(void **state)
{
	const char *const args[] = { "--scan", SIZE, "--run-frames", "4", NULL };
	struct flow *flow = flow_setup(state, false);
	struct ledger ledger;

	start_all(flow, &good_boards);
	(void)flow_start_aggregator(flow, "aggregator1");
	assert_int_equal(flow_scan(flow, args, &ledger), 0);
	check_whole(flow, 1, &ledger);
}

static void works_without_a_directory(void **state)
{
	const char *const args[] = {
		"--scan", SIZE, "--background", "28.5", "--xray", "440", NULL
	};
	struct flow *flow = flow_setup(state, true);
	struct ledger ledger;

	start_all(flow, &good_boards);
	assert_int_equal(flow_scan(flow, args, &ledger), 0);
	check_whole(flow, 1, &ledger);
}

/* ---- losses ------------------------------------------------------------------ */

/* Takes the sectors' bit from the frames that the ledger calls lost for @cause, in its words. */
static void check_lost(const struct flow *flow, unsigned int sector, const char *cause,
		       const char *ranges)
{
	char *text = flow_read(flow, "ledger.json");
	json_t *root = json_loads(text, 0, NULL), *one, *found;
	char *is;

	one = json_array_get(json_object_get(root, "sectors"), sector);
	found = json_object_get(json_object_get(json_object_get(one, "lost"), cause), "ranges");
	is = found ? json_dumps(found, JSON_COMPACT) : strdup("none");
	assert_string_equal(is, ranges);
	free(is);
	json_decref(root);
	free(text);
}

static void check_served(const struct flow *flow, const char *process, const char *path,
			 const char *const *lines)
{
	char *text = flow_get(flow, process, path);

	for (unsigned int i = 0; lines[i]; i++) {
		if (!strstr(text, lines[i]))
			fail_msg("%s%s lacks \"%s\": %s", process, path, lines[i], text);
	}
	free(text);
}

/* What is counted is served: losses by cause, chunks by state, blocks, credit, rates. */
static void check_what_is_served(const struct flow *flow)
{
	static const char *const sluiced[] = {
		"sluice_blocks_lost_total{board=\"test/board1\",cause=\"gap\"} 5\n",
		"sluice_blocks_lost_total{board=\"test/board2\",cause=\"crc\"} 1\n",
		"sluice_blocks_lost_total{board=\"test/board3\",cause=\"cut\"} 13\n",
		"sluice_source_blocks_total{board=\"test/board0\"} 62\n",
		"sluice_ring_chunks{board=\"test/board0\",state=\"free\"} ",
		"sluice_ring_chunks{board=\"test/board0\",state=\"in_flight\"} 0\n",
		"sluice_source_bytes_per_second{board=\"test/board0\"} ",
		"sluice_directory_connected 1\n",
		NULL,
	};
	static const char *const status[] = { "\"lost\":{\"gap\":1,\"crc\":1}",
					      "\"state\":\"idle\"", "\"bytes_per_s\":", NULL };
	static const char *const aggregator[] = { "sluice_runs_done_total 4\n",
						  "sluice_chunks_held 0\n",
						  "sluice_link_bad_messages_total 0\n", NULL };
	static const char *const counter[] = { "sluice_", "events", NULL };

	check_served(flow, "sluiced", "/metrics", sluiced);
	check_served(flow, "sluiced", "/api/v1/status", status);
	check_served(flow, "aggregator0", "/metrics", aggregator);
	check_served(flow, "counter0", "/metrics", counter);
}

/* What boards dropped themselves, in the ledger and in the table. */
static void check_what_the_boards_say(const struct flow *flow, const struct ledger *ledger)
{
	static const uint64_t dropped[SECTORS - 1] = { 1, 5, 1 };
	char *table = flow_read(flow, "arm.out");

	for (unsigned int s = 0; s < SECTORS - 1; s++) {
		const struct half_counts *c = &ledger->sector[s].counts;

		assert_true(c->board_known);
		assert_int_equal(c->board_generated, FRAMES);
		assert_int_equal(c->board_dropped, dropped[s]);
		assert_int_equal(c->board_sent, FRAMES - dropped[s]);
		assert_string_equal(c->reason, "");
	}
	assert_string_equal(ledger->sector[3].counts.reason, "the stream ended before the scan");
	assert_non_null(strstr(table, "gap 5 (dropped by the board: 5)\n"));
	assert_non_null(strstr(table, "ended early: the stream ended before the scan\n"));
	free(table);
}

static void every_lost_frame_is_named_with_its_cause(void **state)
{
	const struct flow_boards boards = {
		.sectors = SECTORS,
		.rows = ROWS,
		.columns = COLUMNS,
		.pixel = "u16",
		.seed = SEED,
		.rate = "0",
		/* 33 is dropped by every board; the others each by one. */
		.fault = { "drop=33", "1/drop=5,20-22", "2/corrupt=30", "3/cut=50" },
	};
	const char *const args[] = {
		"--scan", SIZE, "--background", "28.5", "--xray", "440", NULL
	};
	struct flow *flow = flow_setup(state, false);
	char path[FLOW_PATH_MAX];
	struct ledger ledger;
	uint32_t mask[FRAMES];

	start_all(flow, &boards);
	assert_int_equal(flow_scan(flow, args, &ledger), 0);
	assert_true(ledger.closed);
	assert_int_equal(ledger.frames_lost, 1);
	assert_int_equal(ledger.frames_delivered, FRAMES - 1);
	assert_int_equal(ledger.frames_incomplete, 4 + 1 + (FRAMES - 50));
	check_lost(flow, 0, "gap", "[[33,1]]");
	check_lost(flow, 1, "gap", "[[5,1],[20,3],[33,1]]");
	check_lost(flow, 2, "crc", "[[30,1]]");
	check_lost(flow, 2, "gap", "[[33,1]]");
	check_lost(flow, 3, "gap", "[[33,1]]");
	check_lost(flow, 3, "cut", "[[50,13]]");
	check_what_the_boards_say(flow, &ledger);
	check_what_is_served(flow);
	whole_masks(mask);
	mask[33] = 0;
	mask[5] = mask[20] = mask[21] = mask[22] = 0xf & ~(1u << 1);
	mask[30] = 0xf & ~(1u << 2);
	for (unsigned int f = 50; f < FRAMES; f++)
		mask[f] = 0xf & ~(1u << 3);
	flow_merge(flow, 1, path);
	check_events(path, mask);
}

static void bytes_that_are_no_block_cost_only_what_they_hit(void **state)
{
	const struct flow_boards boards = {
		.sectors = SECTORS,
		.rows = ROWS,
		.columns = COLUMNS,
		.pixel = "u16",
		.seed = SEED,
		.rate = "0",
		.fault = { "0/badheader=40", "1/garbage=17:999", "2/duplicate=9",
			   "3/stall=60:1000" },
	};
	const char *const args[] = {
		"--scan", SIZE, "--background", "28.5", "--xray", "440", NULL
	};
	struct flow *flow = flow_setup(state, false);
	char path[FLOW_PATH_MAX];
	struct ledger ledger;
	uint32_t mask[FRAMES];

	(void)flow_start_boards(flow, &boards);
	(void)flow_start_aggregator(flow, "aggregator0");
	(void)flow_start_counter(flow, "counter0", "");
	/* The board is silent for longer than is waited for. */
	(void)flow_start_sluiced(flow, SECTORS, "sluice", NULL, "stall_timeout_ms: 200");
	assert_int_equal(flow_scan(flow, args, &ledger), 0);
	assert_true(ledger.closed);
	check_lost(flow, 0, "header", "[[40,1]]");
	check_lost(flow, 1, "header", "none");
	check_lost(flow, 2, "sequence", "none");
	check_lost(flow, 3, "stall", "[[60,3]]");
	whole_masks(mask);
	mask[40] = 0xf & ~1u;
	mask[60] = mask[61] = mask[62] = 0xf & ~(1u << 3);
	flow_merge(flow, 1, path);
	check_events(path, mask);
}

/* The first @lost frames have no pixel, and no frame is ever complete. */
static void check_fit_to_what_there_is(void **state, const char *drop, unsigned int lost)
{
	const struct flow_boards boards = {
		.sectors = SECTORS,
		.rows = ROWS,
		.columns = COLUMNS,
		.pixel = "u16",
		.seed = SEED,
		.rate = "0",
		.fault = { drop, "3/cut=0" },
	};
	const char *const args[] = { "--scan", SIZE, NULL };
	struct flow *flow = flow_setup(state, false);
	char path[FLOW_PATH_MAX];
	struct ledger ledger;
	uint32_t mask[FRAMES];

	start_all(flow, &boards);
	assert_int_equal(flow_scan(flow, args, &ledger), 0);
	assert_true(ledger.closed);
	assert_int_equal(ledger.frames_lost, lost);
	assert_int_equal(ledger.frames_incomplete, FRAMES - lost);
	for (unsigned int f = 0; f < FRAMES; f++)
		mask[f] = f < lost ? 0 : 0x7;
	flow_merge(flow, 1, path);
	check_events(path, mask);
}

static void thresholds_are_fitted_to_what_there_is(void **state)
{
	check_fit_to_what_there_is(state, "drop=0-15", 16);
}

/* Then whoever has a run with pixels first fits to that. */
static void where_no_sample_frame_is_there_others_serve(void **state)
{
	check_fit_to_what_there_is(state, "drop=0-31", 32);
}

static void an_abort_ends_the_scan_and_its_ledger_closes(void **state)
{
	struct flow_boards boards = good_boards;
	const char *const arm[] = { "arm", "--scan", SIZE, NULL };
	static const char *const in_scan[] = {
		"sluice_link_credit_limit{board=\"test/board3\",aggregator=\"aggregator0\"} ",
		"sluice_outlet_in_flight{board=\"test/board3\",aggregator=\"aggregator0\"} ", NULL
	};
	const char *const abort_args[] = { "abort", NULL };
	const char *const watch[] = { "watch", "--json", "--timeout", "60", NULL };
	struct flow *flow = flow_setup(state, false);
	char *out;

	boards.rate = "20"; /* three seconds, if nobody stops it */
	start_all(flow, &boards);
	assert_int_equal(flow_sluice(flow, "arm", arm), 0);
	check_served(flow, "sluiced", "/metrics", in_scan);
	assert_int_equal(flow_sluice(flow, "abort", abort_args), 0);
	assert_int_equal(flow_sluice(flow, "watch", watch), 0);
	out = flow_read(flow, "watch.out");
	assert_non_null(strstr(out, "closed, aborted"));
	assert_non_null(strstr(out, "abort "));
	free(out);
	/* The next scan is as good as any. */
	assert_int_not_equal(flow_sluice(flow, "abort2", abort_args), 0);
}

/* ---- who is missing ------------------------------------------------------------ */

/* Arming fails within 1 s; the rest is the start of a process. */
#define ARM_FAILS_NS (1500 * NS_PER_MS)

static void check_arm_fails(struct flow *flow, const char *who)
{
	const char *const args[] = { "arm", "--scan", SIZE, NULL };
	const uint64_t began_ns = now_ns();
	char *log;

	assert_int_equal(flow_sluice(flow, "arm", args), 1);
	assert_true(now_ns() - began_ns < ARM_FAILS_NS);
	log = flow_read(flow, "arm.log");
	if (!strstr(log, who))
		fail_msg("\"%s\" is not named: %s", who, log);
	free(log);
}

static void arming_names_who_is_missing(void **state)
{
	struct flow *flow = flow_setup(state, false);
	const char *const args[] = { "--scan", SIZE, NULL };
	struct ledger ledger;
	unsigned int counter;
	int stopped;

	check_arm_fails(flow, "no board");
	(void)flow_start_boards(flow, &good_boards);
	(void)flow_start_sluiced(flow, SECTORS, "sluice", NULL, "");
	check_arm_fails(flow, "no aggregator");
	(void)flow_start_aggregator(flow, "aggregator0");
	check_arm_fails(flow, "no consumer");
	counter = flow_start_counter(flow, "counter0", "");
	/* Registered, and silent. */
	assert_int_equal(kill(flow->process[counter].pid, SIGSTOP), 0);
	assert_int_equal(waitpid(flow->process[counter].pid, &stopped, WUNTRACED),
			 flow->process[counter].pid);
	check_arm_fails(flow, "counter0");
	assert_int_equal(kill(flow->process[counter].pid, SIGCONT), 0);
	/* Whoever was ready stood down: the next arming is not in the way of the failed one. */
	(void)flow_scan(flow, args, &ledger);
	assert_true(ledger.closed);
	assert_int_equal(ledger.frames_delivered, FRAMES);
}

static void an_etcd_restart_between_scans_heals(void **state)
{
	const char *const args[] = { "--scan", SIZE, NULL };
	struct flow *flow = flow_setup(state, false);
	const uint64_t deadline_ns = now_ns() + 60 * NS_PER_S;
	const char *const status[] = { "status", "--json", NULL };
	struct ledger ledger;

	start_all(flow, &good_boards);
	assert_int_equal(flow_scan(flow, args, &ledger), 0);
	/* With all that it knew gone: the members put themselves back. */
	etcd_restart(&flow->etcd, true);
	for (;;) {
		char *out;
		bool all;

		(void)flow_sluice(flow, "status", status);
		out = flow_read(flow, "status.out");
		all = strstr(out, "board3") && strstr(out, "aggregator0") &&
		      strstr(out, "counter0") && strstr(out, "counter1");
		free(out);
		if (all)
			break;
		assert_true(now_ns() < deadline_ns);
	}
	assert_int_equal(flow_scan(flow,
				   (const char *const[]){ "--scan", SIZE, "--number", "9", NULL },
				   &ledger),
			 0);
	assert_int_equal(ledger.scan, 9);
	check_whole(flow, 9, &ledger);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(every_event_is_the_references, flow_teardown),
		cmocka_unit_test_teardown(two_aggregators_share_the_runs, flow_teardown),
		cmocka_unit_test_teardown(works_without_a_directory, flow_teardown),
		cmocka_unit_test_teardown(every_lost_frame_is_named_with_its_cause, flow_teardown),
		cmocka_unit_test_teardown(bytes_that_are_no_block_cost_only_what_they_hit,
					  flow_teardown),
		cmocka_unit_test_teardown(thresholds_are_fitted_to_what_there_is, flow_teardown),
		cmocka_unit_test_teardown(where_no_sample_frame_is_there_others_serve,
					  flow_teardown),
		cmocka_unit_test_teardown(an_abort_ends_the_scan_and_its_ledger_closes,
					  flow_teardown),
		cmocka_unit_test_teardown(arming_names_who_is_missing, flow_teardown),
		cmocka_unit_test_teardown(an_etcd_restart_between_scans_heals, flow_teardown),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
