/* SPDX-License-Identifier: MIT */
/* sluice abort - end a scan now. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <base/clock.h>
#include <base/error.h>
#include <base/parse.h>

#include "client.h"
#include "sluice.h"

#define CALL_NS (2 * NS_PER_S)

struct arguments {
	struct client_args client;
	uint64_t number;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->client;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0 || parse_u64(arg, 1, UINT32_MAX, &a->number) < 0)
			argp_error(state, "%s: one scan number is wanted, from 1", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int abort_by_directory(struct client *client, uint32_t scan, uint32_t *ret_scan,
			      struct sluice_error *reterr)
{
	struct scan_plan *plan = calloc(1, sizeof(*plan));
	char key[PLAN_KEY_MAX], *json = NULL;
	int64_t revision;
	int ret = -ENOMEM;

	if (!plan)
		return error_set(reterr, ret, "out of memory");
	ret = client_plan(client, scan, plan, &revision, reterr);
	if (ret < 0)
		goto out;
	if (plan->state >= SCAN_DONE) {
		ret = error_set(reterr, -EALREADY, "scan %" PRIu32 " has ended already: %s",
				plan->scan, scan_state_name(plan->state));
		goto out;
	}
	plan->state = SCAN_ABORTED;
	json = plan_encode(plan);
	scan_key(key, plan->scan, "plan");
	ret = json ? directory_put_if(client->directory, key, revision, json, reterr) : -ENOMEM;
	*ret_scan = plan->scan;
out:
	free(json);
	free(plan);
	return ret;
}

static int abort_by_address(struct client *client, uint32_t scan, struct sluice_error *reterr)
{
	char path[64];
	int ret = 0;

	if (scan == 0)
		return error_set(reterr, -EINVAL, "without a directory the scan is to be named");
	(void)snprintf(path, sizeof(path), "/api/v1/abort?scan=%" PRIu32, scan);
	/* Every one is told, whatever the others answer; the first error is reported. */
	for (unsigned int i = 0; i < client->args.member_count; i++) {
		const int one = client_post(client->args.member[i], path, NULL, CALL_NS,
					    ret == 0 ? reterr : NULL);

		if (one < 0 && ret == 0)
			ret = error_prefix(reterr, one, "%s", client->args.member[i]);
	}
	return ret;
}

int sluice_abort(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ &client_argp, 0, "Where members are found:", 1 }, { 0 }
	};
	static const struct argp argp = {
		.parser = parse_option,
		.args_doc = "[SCAN]",
		.doc = "Ends a scan (the newest unless named) now. What was read is still delivered; "
		       "the rest is in the ledger as lost, cause abort.",
		.children = children,
	};
	struct sluice_error error = { 0 };
	struct client client = { 0 };
	struct arguments a = { 0 };
	uint32_t scan;
	int ret;

	argv[0] = (char *)"sluice abort";
	(void)argp_parse(&argp, argc, argv, 0, NULL, &a);
	scan = (uint32_t)a.number;
	ret = client_open(&a.client, &client, &error);
	if (ret == 0)
		ret = client.directory ? abort_by_directory(&client, scan, &scan, &error)
				       : abort_by_address(&client, scan, &error);
	if (ret < 0)
		(void)fprintf(stderr, "sluice abort: %s\n", error.text);
	else
		(void)printf("scan %" PRIu32 ": aborted\n", scan);
	client_close(&client);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
