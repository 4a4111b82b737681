/* SPDX-License-Identifier: MIT */
/* sluice arm - plan a scan, arm every member, start it. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/error.h>
#include <base/parse.h>

#include "client.h"
#include "plan_make.h"
#include "sluice.h"

/* From the writing of the plan to the last "ready". */
#define ARM_NS NS_PER_S

enum {
	ASK_AGAIN_MS = 5,
	NUMBER_TRIES = 16
};

struct arguments {
	struct client_args client;
	struct watch_args watch_args;
	struct plan_wish wish;
	uint64_t number;
	bool watch;
};

enum {
	KEY_WATCH = 256,
	KEY_LEDGER,
	KEY_JSON,
	KEY_TIMEOUT
};

static const struct argp_option options[] = {
	{ "scan", 's', "WxH", 0,
	  "probe positions: columns x rows, flyback included (default: as "
	  "the boards' data say)",
	  0 },
	{ "frames-per-position", 'f', "N", 0,
	  "frames at each position (default: as the boards' data say, else 1)", 0 },
	{ "number", 'n', "N", 0, "scan number (default: the next free one)", 0 },
	{ "run-frames", 'r', "N", 0, "frames of a run, the unit that is routed (default: 16)", 0 },
	{ "group", 'g', "NAME", 0, "group of consumers that gets the frames (default: default)",
	  0 },
	{ "background", 'b', "V", 0, "background threshold of counting (default: fitted)", 0 },
	{ "xray", 'x', "V", 0, "x-ray threshold of counting (default: fitted)", 0 },
	{ "watch", KEY_WATCH, NULL, 0, "then do as sluice watch does", 0 },
	{ "ledger", KEY_LEDGER, "FILE", 0, "with --watch: write the ledger to FILE, JSON", 0 },
	{ "json", KEY_JSON, NULL, 0, "end with one line of JSON", 0 },
	{ "timeout", KEY_TIMEOUT, "S", 0, "with --watch: stop watching after S seconds", 0 },
	{ 0 },
};

static void number_option(struct argp_state *state, const char *name, const char *arg, uint64_t max,
			  uint64_t *ret_v)
{
	if (parse_u64(arg, 1, max, ret_v) < 0)
		argp_error(state, "--%s %s: a number from 1 to %" PRIu64 " is wanted", name, arg,
			   max);
}

static void value_option(struct argp_state *state, const char *name, const char *arg, double *ret_v)
{
	if (parse_f64(arg, 0, 4294967295.0, ret_v) < 0)
		argp_error(state, "--%s %s: a number from 0 to 4294967295 is wanted", name, arg);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->client;
		return 0;
	case 's':
		if (parse_size(arg, UINT16_MAX, &a->wish.columns, &a->wish.rows) < 0)
			argp_error(state, "--scan %s: WxH is wanted, each from 1 to %d", arg,
				   UINT16_MAX);
		return 0;
	case 'f':
		number_option(state, "frames-per-position", arg, 1 << 20,
			      &a->wish.frames_per_position);
		return 0;
	case 'n':
		number_option(state, "number", arg, UINT32_MAX, &a->number);
		return 0;
	case 'r':
		number_option(state, "run-frames", arg, SLUICE_WIRE_RUN_FRAMES_MAX,
			      &a->wish.run_frames);
		return 0;
	case 'g':
		a->wish.group = arg;
		return 0;
	case 'b':
		value_option(state, "background", arg, &a->wish.background);
		return 0;
	case 'x':
		value_option(state, "xray", arg, &a->wish.xray);
		return 0;
	case KEY_WATCH:
		a->watch = true;
		return 0;
	case KEY_LEDGER:
		a->watch_args.ledger = arg;
		return 0;
	case KEY_JSON:
		a->watch_args.json = true;
		return 0;
	case KEY_TIMEOUT:
		value_option(state, "timeout", arg, &a->watch_args.timeout_s);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument: %s", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- by the directory ------------------------------------------------------ */

static int write_plan(struct client *client, const struct scan_plan *plan, int64_t revision,
		      struct sluice_error *reterr)
{
	char *json = plan_encode(plan), key[PLAN_KEY_MAX];
	int ret;

	if (!json)
		return error_set(reterr, -ENOMEM, "out of memory");
	scan_key(key, plan->scan, "plan");
	ret = directory_put_if(client->directory, key, revision, json, reterr);
	free(json);
	return ret;
}

static int propose(struct client *client, const struct arguments *a, struct scan_plan *plan,
		   struct sluice_error *reterr)
{
	struct scan_plan *newest = calloc(1, sizeof(*newest));
	int64_t revision;
	int ret = -ENOMEM;

	if (!newest)
		return error_set(reterr, ret, "out of memory");
	plan->scan = (uint32_t)a->number;
	if (plan->scan == 0) {
		ret = client_plan(client, 0, newest, &revision, reterr);
		plan->scan = ret == 0 ? newest->scan + 1 : 1;
	}
	free(newest);
	/* Somebody else may take the number meanwhile: the transaction tells, the next one is
	 * tried. */
	for (unsigned int tries = 0;; tries++) {
		ret = write_plan(client, plan, 0, reterr);
		if (ret != -EEXIST)
			return ret;
		if (a->number != 0 || tries == NUMBER_TRIES)
			return error_set(reterr, -EEXIST, "scan %" PRIu32 " exists already",
					 plan->scan);
		plan->scan++;
	}
}

/* 1: it is ready. 0: not yet. Negative: it refuses. */
static int read_answer(const struct directory_entries *answers, const struct scan_plan *plan,
		       const char *id, struct sluice_error *reterr)
{
	for (unsigned int i = 0; i < answers->count; i++) {
		const char *leaf;
		uint32_t scan;
		json_t *json;
		int ret;

		if (scan_key_parse(answers->entry[i].key, &scan, &leaf) < 0 || scan != plan->scan ||
		    strncmp(leaf, "ready/", 6) != 0 || strcmp(leaf + 6, id) != 0)
			continue;
		json = json_loads(answers->entry[i].value, 0, NULL);
		ret = json_is_true(json_object_get(json, "ready"))
			      ? 1
			      : error_set(reterr, -EPROTO, "%s is not ready: %s", id,
					  json_string_value(json_object_get(json, "error"))
						  ?: "no reason given");
		json_decref(json);
		return ret;
	}
	return 0;
}

static int all_ready(const struct directory_entries *answers, const struct scan_plan *plan,
		     struct sluice_error *reterr)
{
	const struct {
		const struct plan_member *list;
		unsigned int count;
		const char *what;
	} kind[] = { { plan->board, plan->board_count, "board" },
		     { plan->aggregator, plan->aggregator_count, "aggregator" },
		     { plan->consumer, plan->consumer_count, "consumer" } };
	int missing = 1;

	for (unsigned int k = 0; k < 3; k++) {
		for (unsigned int i = 0; i < kind[k].count; i++) {
			const char *id = kind[k].list[i].id;
			const int ready = read_answer(answers, plan, id, reterr);

			if (ready < 0)
				return ready;
			if (ready == 0 && missing == 1)
				missing = error_set(
					reterr, -ETIMEDOUT,
					"%s %s did not answer within 1 s: is it running?",
					kind[k].what, id);
		}
	}
	return missing;
}

static int wait_ready(struct client *client, const struct scan_plan *plan, uint64_t deadline_ns,
		      struct sluice_error *reterr)
{
	char prefix[PLAN_KEY_MAX];
	int ret;

	scan_key(prefix, plan->scan, "ready/");
	for (;;) {
		const bool last = now_ns() >= deadline_ns;
		struct directory_entries answers;

		ret = directory_list(client->directory, prefix, &answers, reterr);
		if (ret < 0)
			return ret;
		ret = all_ready(&answers, plan, reterr);
		directory_entries_free(&answers);
		if (ret != -ETIMEDOUT || last)
			return ret < 0 ? ret : 0;
		(void)poll(NULL, 0, ASK_AGAIN_MS);
	}
}

static void forget_answers(struct client *client, const struct scan_plan *plan)
{
	struct directory_entries answers;
	char prefix[PLAN_KEY_MAX];

	scan_key(prefix, plan->scan, "ready/");
	if (directory_list(client->directory, prefix, &answers, NULL) < 0)
		return;
	for (unsigned int i = 0; i < answers.count; i++)
		(void)directory_delete(client->directory, answers.entry[i].key, NULL);
	directory_entries_free(&answers);
}

/* The plan is ours from its writing to its start: its revision says whether it still is. */
static int change_state(struct client *client, struct scan_plan *plan, enum scan_state state,
			struct sluice_error *reterr)
{
	struct scan_plan *now = calloc(1, sizeof(*now));
	int64_t revision;
	int ret = -ENOMEM;

	if (now)
		ret = client_plan(client, plan->scan, now, &revision, reterr);
	if (ret == 0) {
		plan->state = state;
		ret = write_plan(client, plan, revision, reterr);
	}
	free(now);
	return ret;
}

static int arm_by_directory(struct client *client, const struct arguments *a,
			    struct scan_plan *plan, struct sluice_error *reterr)
{
	const uint64_t deadline_ns = now_ns() + ARM_NS;
	int ret = propose(client, a, plan, reterr);

	if (ret < 0)
		return ret;
	ret = wait_ready(client, plan, deadline_ns, reterr);
	if (ret < 0) {
		/* Members that are ready stand down. */
		(void)change_state(client, plan, SCAN_ABORTED, NULL);
		forget_answers(client, plan);
		return ret;
	}
	ret = change_state(client, plan, SCAN_ACQUIRING, reterr);
	forget_answers(client, plan);
	return ret;
}

/* ---- by address ---------------------------------------------------------------------------- */

static int post_to_all(const struct client_members *members, const struct arguments *a,
		       const char *path, const char *body, uint64_t deadline_ns,
		       struct sluice_error *reterr)
{
	char done[CLIENT_MEMBERS_MAX][PLAN_URL_MAX];
	unsigned int count = 0;

	/* From the consumers back to the boards: each finds the next one there. */
	for (int kind = CLIENT_CONSUMER; kind >= CLIENT_BOARD; kind--) {
		for (unsigned int i = 0; i < members->count; i++) {
			const struct client_member *m = &members->member[i];
			unsigned int seen = 0;
			int ret;

			if ((int)m->kind != kind ||
			    (kind == CLIENT_CONSUMER && strcmp(m->group, a->wish.group) != 0))
				continue;
			/* A daemon of several boards is asked once. */
			while (seen < count && strcmp(done[seen], m->url) != 0)
				seen++;
			if (seen < count)
				continue;
			ret = client_post(m->url, path, body, ns_until(deadline_ns) + 1, reterr);
			if (ret < 0)
				return error_prefix(reterr, ret, "%s", m->id);
			(void)snprintf(done[count++], PLAN_URL_MAX, "%s", m->url);
		}
	}
	return 0;
}

static int arm_by_address(const struct client_members *members, const struct arguments *a,
			  struct scan_plan *plan, struct sluice_error *reterr)
{
	const uint64_t deadline_ns = now_ns() + ARM_NS;
	char path[64], *json;
	int ret;

	plan->scan = a->number ? (uint32_t)a->number : members->highest_scan + 1;
	json = plan_encode(plan);
	if (!json)
		return error_set(reterr, -ENOMEM, "out of memory");
	ret = post_to_all(members, a, "/api/v1/arm", json, deadline_ns, reterr);
	free(json);
	(void)snprintf(path, sizeof(path), "/api/v1/%s?scan=%" PRIu32, ret < 0 ? "abort" : "run",
		       plan->scan);
	if (ret < 0) {
		(void)post_to_all(members, a, path, NULL, now_ns() + ARM_NS, NULL);
		return ret;
	}
	plan->state = SCAN_ACQUIRING;
	return post_to_all(members, a, path, NULL, now_ns() + ARM_NS, reterr);
}

/* ---- the command ----------------------------------------------------------- */

static int arm(struct client *client, struct arguments *a, struct scan_plan *plan,
	       struct sluice_error *reterr)
{
	struct client_members *members;
	int ret = client_members(client, &members, reterr);

	if (ret < 0)
		return ret;
	ret = plan_make(&a->wish, members, plan, reterr);
	if (ret == 0)
		ret = client->directory ? arm_by_directory(client, a, plan, reterr)
					: arm_by_address(members, a, plan, reterr);
	client_members_free(members);
	return ret;
}

int sluice_arm(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ &client_argp, 0, "Where members are found:", 1 }, { 0 }
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Plans a scan, arms every member within 1 s, and starts it. Fails with the name "
		       "of who is missing or not ready.",
		.children = children,
	};
	struct arguments a = { .wish = { .run_frames = 16, .group = "default" } };
	struct scan_plan *plan = calloc(1, sizeof(*plan));
	struct sluice_error error = { 0 };
	struct client client = { 0 };
	int ret, status = EXIT_FAILURE;

	argv[0] = (char *)"sluice arm";
	(void)argp_parse(&argp, argc, argv, 0, NULL, &a);
	ret = plan ? client_open(&a.client, &client, &error) : -ENOMEM;
	if (ret == 0)
		ret = arm(&client, &a, plan, &error);
	if (ret < 0) {
		(void)fprintf(stderr, "sluice arm: %s\n", error.text);
	} else if (a.watch) {
		status = watch_scan(&client, plan, &a.watch_args);
	} else {
		status = EXIT_SUCCESS;
		(void)printf(a.watch_args.json ? "{\"schema_version\":1,\"scan\":%" PRIu32
						 ",\"frames_expected\":%" PRIu64 "}\n"
					       : "scan %" PRIu32 " runs: %" PRIu64 " frames\n",
			     plan->scan, plan->frames_expected);
	}
	client_close(&client);
	free(plan);
	return status;
}
