/* SPDX-License-Identifier: MIT */
/* scan/plan.h: a plan is read back as it was written, and nothing that is no plan is taken. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <scan/plan.h>
#include <sluice/error.h>

static void member_fill(struct plan_member *member, const char *id, const char *endpoint,
			uint16_t sector)
{
	(void)snprintf(member->id, sizeof(member->id), "%s", id);
	(void)snprintf(member->endpoint, sizeof(member->endpoint), "%s", endpoint);
	(void)snprintf(member->url, sizeof(member->url), "http://127.0.0.1:8080");
	member->sector = sector;
}

static void example(struct scan_plan *ret_plan)
{
	memset(ret_plan, 0, sizeof(*ret_plan));
	ret_plan->scan = 7;
	ret_plan->epoch = 2;
	ret_plan->state = SCAN_ARMED;
	ret_plan->scan_columns = 5;
	ret_plan->scan_rows = 4;
	ret_plan->frames_per_position = 2;
	ret_plan->frames_expected = 40;
	ret_plan->run_frames = 16;
	ret_plan->geometry = (struct sluice_geometry){ .sectors = 2,
						       .layout = SLUICE_LAYOUT_COLUMNS,
						       .rows = 144,
						       .columns = 576,
						       .pixel = SLUICE_PIXEL_U16 };
	(void)strcpy(ret_plan->group, "counting");
	ret_plan->background = 28.5;
	ret_plan->xray = 432;
	ret_plan->board_count = 2;
	member_fill(&ret_plan->board[0], "server0/board0", "", 0);
	member_fill(&ret_plan->board[1], "server0/board1", "", 1);
	ret_plan->aggregator_count = 2;
	member_fill(&ret_plan->aggregator[0], "agg0", "tcp://127.0.0.1:5000", 0);
	member_fill(&ret_plan->aggregator[1], "agg1", "tcp://127.0.0.1:5001", 0);
	ret_plan->consumer_count = 1;
	member_fill(&ret_plan->consumer[0], "node0", "tcp://127.0.0.1:6000", 0);
}

static void a_plan_is_read_back_as_it_was_written(void **state)
{
	struct scan_plan plan, again;
	char *json;

	(void)state;
	example(&plan);
	for (unsigned int s = 0; s < SCAN_STATE_COUNT; s++) {
		plan.state = (enum scan_state)s;
		json = plan_encode(&plan);
		assert_non_null(json);
		memset(&again, 0, sizeof(again));
		assert_int_equal(plan_decode(json, &again, NULL), 0);
		assert_memory_equal(&again, &plan, sizeof(plan));
		free(json);
	}
}

static void the_largest_plan_is_read_back(void **state)
{
	static struct scan_plan plan, again;
	char *json;

	(void)state;
	example(&plan);
	plan.scan = UINT32_MAX;
	plan.epoch = UINT32_MAX;
	plan.scan_columns = 16384;
	plan.scan_rows = 16384;
	plan.frames_per_position = 1;
	plan.frames_expected = PLAN_FRAMES_MAX;
	plan.run_frames = SLUICE_WIRE_RUN_FRAMES_MAX;
	plan.geometry.sectors = SLUICE_SECTORS_MAX;
	plan.geometry.columns = 512;
	plan.board_count = SLUICE_SECTORS_MAX;
	plan.aggregator_count = plan.consumer_count = PLAN_MEMBERS_MAX;
	memset(plan.group, 'g', PLAN_GROUP_MAX - 1);
	for (unsigned int i = 0; i < PLAN_MEMBERS_MAX; i++) {
		char id[SLUICE_WIRE_NAME_MAX], endpoint[PLAN_ENDPOINT_MAX];

		(void)snprintf(id, sizeof(id), "%063u", i);
		(void)snprintf(endpoint, sizeof(endpoint), "%0255u", i);
		member_fill(&plan.aggregator[i], id, endpoint, 0);
		member_fill(&plan.consumer[i], id, endpoint, 0);
		if (i < SLUICE_SECTORS_MAX)
			member_fill(&plan.board[i], id, "", (uint16_t)i);
	}
	json = plan_encode(&plan);
	assert_non_null(json);
	assert_int_equal(plan_decode(json, &again, NULL), 0);
	assert_memory_equal(&again, &plan, sizeof(plan));
	free(json);
}

static json_t *object_at(json_t *root, const char *path, char leaf[64])
{
	char name[64];
	const char *slash;

	while ((slash = strchr(path, '/'))) {
		(void)snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
		root = name[0] >= '0' && name[0] <= '9'
			       ? json_array_get(root, strtoul(name, NULL, 10))
			       : json_object_get(root, name);
		assert_non_null(root);
		path = slash + 1;
	}
	(void)snprintf(leaf, 64, "%s", path);
	return root;
}

/* One value of a good plan is replaced (NULL: taken out); the message must hold @word. */
static void refused(const char *path, const char *value, const char *word)
{
	struct sluice_error error = { "" };
	struct scan_plan plan, before;
	char *json, *text, leaf[64];
	json_t *root, *object;

	example(&plan);
	json = plan_encode(&plan);
	root = json_loads(json, 0, NULL);
	assert_non_null(root);
	object = object_at(root, path, leaf);
	if (value)
		assert_int_equal(
			json_object_set_new(object, leaf, json_loads(value, JSON_DECODE_ANY, NULL)),
			0);
	else
		assert_int_equal(json_object_del(object, leaf), 0);
	text = json_dumps(root, 0);
	memset(&plan, 0x5a, sizeof(plan));
	before = plan;
	if (plan_decode(text, &plan, &error) != -EBADMSG || !strstr(error.text, word))
		fail_msg("%s = %s: \"%s\" has no \"%s\"", path, value ? value : "(nothing)",
			 error.text, word);
	assert_memory_equal(&plan, &before, sizeof(plan));
	free(text);
	json_decref(root);
	free(json);
}

static void every_key_is_needed(void **state)
{
	static const char *const keys[] = {
		"schema_version",
		"scan",
		"epoch",
		"state",
		"policy",
		"scan_columns",
		"scan_rows",
		"frames_per_position",
		"frames_expected",
		"run_frames",
		"geometry/sectors",
		"geometry/layout",
		"geometry/rows",
		"geometry/columns",
		"geometry/pixel",
		"group",
		"background",
		"xray",
		"boards",
		"aggregators",
		"consumers",
		"boards/0/id",
		"boards/0/sector",
		"boards/0/url",
		"boards/0/endpoint",
		"aggregators/1/id",
		"consumers/0/id",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *leaf = strrchr(keys[i], '/');

		refused(keys[i], NULL, leaf ? leaf + 1 : keys[i]);
		refused(keys[i], "{}", leaf ? leaf + 1 : keys[i]);
	}
	refused("geometry", NULL, "sectors");
}

static void numbers_out_of_range_are_refused(void **state)
{
	static const struct {
		const char *key, *value;
	} bad[] = {
		{ "schema_version", "2" },
		{ "scan", "0" },
		{ "scan", "4294967296" },
		{ "scan", "-1" },
		{ "scan", "1.0" },
		{ "scan", "\"7\"" },
		{ "epoch", "0" },
		{ "scan_columns", "0" },
		{ "scan_columns", "65536" },
		{ "scan_rows", "0" },
		{ "scan_rows", "65536" },
		{ "frames_per_position", "0" },
		{ "frames_expected", "0" },
		{ "frames_expected", "268435457" },
		{ "run_frames", "0" },
		{ "run_frames", "1025" },
		{ "geometry/sectors", "0" },
		{ "geometry/sectors", "33" },
		{ "geometry/rows", "16385" },
		{ "geometry/columns", "0" },
		{ "geometry/layout", "\"x\"" },
		{ "geometry/pixel", "\"\"" },
		{ "geometry/pixel", "\"u64\"" },
		{ "state", "\"asleep\"" },
		{ "policy", "\"hope\"" },
		{ "background", "-1" },
		{ "background", "1e300" },
		{ "xray", "\"1\"" },
		{ "boards/0/sector", "32" },
		{ "group", "\"\"" },
		{ "group", "\"a\\nb\"" },
		{ "boards/1/id", "\"\"" },
		{ "boards/1/id", "\"a\\u007fb\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *leaf = strrchr(bad[i].key, '/');

		refused(bad[i].key, bad[i].value, leaf ? leaf + 1 : bad[i].key);
	}
}

static void numbers_that_contradict_each_other_are_refused(void **state)
{
	(void)state;
	refused("frames_expected", "41", "frames_expected");
	refused("geometry/columns", "16384", "beyond the limits");
	refused("geometry/sectors", "3", "2 boards for 3 sectors");
	refused("aggregators", "[]", "no aggregator");
	refused("boards/1/sector", "0", "board 1 reads sector 0");
}

static void too_long_names_and_lists_are_refused(void **state)
{
	char text[64 * PLAN_MEMBERS_MAX + 128] = "\"";

	(void)state;
	memset(text + 1, 'x', SLUICE_WIRE_NAME_MAX);
	(void)strcpy(text + 1 + SLUICE_WIRE_NAME_MAX, "\"");
	refused("aggregators/0/id", text, "id");
	refused("group", text, "group");
	memset(text + 1, 'x', PLAN_ENDPOINT_MAX);
	(void)strcpy(text + 1 + PLAN_ENDPOINT_MAX, "\"");
	refused("aggregators/0/endpoint", text, "endpoint");
	refused("consumers/0/url", text, "url");
	(void)strcpy(text, "[");
	for (unsigned int i = 0; i <= PLAN_MEMBERS_MAX; i++)
		(void)strcat(text,
			     i > 0 ? ",{\"id\":\"a\",\"endpoint\":\"\",\"url\":\"\",\"sector\":0}"
				   : "{\"id\":\"a\",\"endpoint\":\"\",\"url\":\"\",\"sector\":0}");
	(void)strcat(text, "]");
	refused("aggregators", text, "aggregators");
	refused("consumers", text, "consumers");
	refused("boards", text, "boards");
}

/* An id goes into keys of the directory and into hellos: it must be a word there. */
static void ids_that_are_no_words_are_refused(void **state)
{
	(void)state;
	refused("boards/0/id", "\"a b\"", "id");
	refused("consumers/0/id", "\"\\u00e9\"", "id");
	refused("group", "\"a b\"", "group");
	refused("group", "\"a/b\"", "group");
}

static void what_is_no_json_object_is_refused(void **state)
{
	static const char *const texts[] = {
		"", "{", "[]", "7", "null", "{\"scan\":1,\"scan\":1}"
	};
	struct sluice_error error;
	struct scan_plan plan;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		error.text[0] = '\0';
		assert_int_equal(plan_decode(texts[i], &plan, &error), -EBADMSG);
		assert_memory_equal(error.text, "plan: ", 6);
		assert_int_equal(plan_decode(texts[i], &plan, NULL), -EBADMSG);
	}
}

static void geometry_is_read_back(void **state)
{
	static const uint16_t pixels[] = { SLUICE_PIXEL_U8, SLUICE_PIXEL_U16, SLUICE_PIXEL_U32,
					   SLUICE_PIXEL_U16BE, SLUICE_PIXEL_U32BE };

	(void)state;
	for (unsigned int i = 0; i < 10; i++) {
		const struct sluice_geometry g = { .sectors = 4,
						   .layout = (uint16_t)(i % 2),
						   .rows = 144,
						   .columns = 576,
						   .pixel = pixels[i / 2] };
		struct sluice_geometry again = { 0 };
		json_t *json = geometry_to_json(&g);

		assert_int_equal(geometry_from_json(json, &again, NULL), 0);
		assert_memory_equal(&again, &g, sizeof(g));
		json_decref(json);
	}
}

static void runs_go_to_the_aggregators_in_turn(void **state)
{
	struct scan_plan plan;

	(void)state;
	example(&plan);
	assert_int_equal(plan_runs(&plan), 3); /* 16, 16 and 8 frames */
	plan.frames_expected = 48;
	assert_int_equal(plan_runs(&plan), 3);
	plan.frames_expected = 1;
	assert_int_equal(plan_runs(&plan), 1);
	for (uint64_t run = 0; run < 6; run++)
		assert_int_equal(plan_route(&plan, run), run % 2);
	assert_int_equal(plan_route(&plan, UINT64_MAX), 1);
}

static void a_link_is_told_what_the_plan_says(void **state)
{
	struct sluice_wire_scan scan;
	struct scan_plan plan;

	(void)state;
	example(&plan);
	memset(&scan, 0xff, sizeof(scan));
	plan_to_wire(&plan, &scan);
	assert_int_equal(sluice_u64(scan.frames_expected), 40);
	assert_int_equal(sluice_u16(scan.scan_columns), 5);
	assert_int_equal(sluice_u16(scan.scan_rows), 4);
	assert_int_equal(sluice_u32(scan.frames_per_position), 2);
	assert_int_equal(sluice_u16(scan.sectors), 2);
	assert_int_equal(sluice_u16(scan.layout), SLUICE_LAYOUT_COLUMNS);
	assert_int_equal(sluice_u16(scan.rows), 144);
	assert_int_equal(sluice_u16(scan.columns), 576);
	assert_int_equal(sluice_u16(scan.pixel), SLUICE_PIXEL_U16);
	assert_int_equal(sluice_u16(scan.run_frames), 16);
	assert_int_equal(sluice_u16(scan.aggregators), 2);
	assert_int_equal(sluice_u16(scan.reserved), 0);
}

static void keys_are_read_back(void **state)
{
	static const uint32_t scans[] = { 1, 7, 1000000000, UINT32_MAX };
	char key[PLAN_KEY_MAX];
	const char *leaf;
	uint32_t scan;

	(void)state;
	scan_key(key, 7, "plan");
	assert_string_equal(key, "scans/0000000007/plan");
	for (size_t i = 0; i < sizeof(scans) / sizeof(scans[0]); i++) {
		scan_key(key, scans[i], "half/server0/board0");
		assert_int_equal(scan_key_parse(key, &scan, &leaf), 0);
		assert_int_equal(scan, scans[i]);
		assert_string_equal(leaf, "half/server0/board0");
	}
}

static void keys_that_are_none_of_a_scan_are_refused(void **state)
{
	static const char *const keys[] = {
		"",
		"scans",
		"scans/",
		"scans/7/plan",
		"scan/0000000007/plan",
		"scans/0000000000/plan",
		"scans/4294967296/plan",
		"scans/00000000007/plan",
		"scans/000000000x/plan",
		"scans/0000000007",
		"scans/-000000007/plan",
		"scans/ 000000007/plan",
		"boards/0000000007/plan",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *leaf = "untouched";
		uint32_t scan = 99;

		assert_int_equal(scan_key_parse(keys[i], &scan, &leaf), -EINVAL);
		assert_int_equal(scan, 99);
		assert_string_equal(leaf, "untouched");
	}
}

static void states_have_names(void **state)
{
	(void)state;
	assert_string_equal(scan_state_name(SCAN_IDLE), "idle");
	assert_string_equal(scan_state_name(SCAN_ABORTED), "aborted");
	assert_string_equal(scan_state_name(SCAN_STATE_COUNT), "unknown");
	assert_null(scan_state_names[SCAN_STATE_COUNT]);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(a_plan_is_read_back_as_it_was_written),
		cmocka_unit_test(the_largest_plan_is_read_back),
		cmocka_unit_test(every_key_is_needed),
		cmocka_unit_test(numbers_out_of_range_are_refused),
		cmocka_unit_test(numbers_that_contradict_each_other_are_refused),
		cmocka_unit_test(too_long_names_and_lists_are_refused),
		cmocka_unit_test(ids_that_are_no_words_are_refused),
		cmocka_unit_test(what_is_no_json_object_is_refused),
		cmocka_unit_test(geometry_is_read_back),
		cmocka_unit_test(runs_go_to_the_aggregators_in_turn),
		cmocka_unit_test(a_link_is_told_what_the_plan_says),
		cmocka_unit_test(keys_are_read_back),
		cmocka_unit_test(keys_that_are_none_of_a_scan_are_refused),
		cmocka_unit_test(states_have_names),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
