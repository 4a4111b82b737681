/* SPDX-License-Identifier: MIT */
/* sluice status - list every member and its state. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/error.h>

#include "client.h"
#include "sluice.h"

#define LOOK_NS (1 * NS_PER_S)

struct arguments {
	struct client_args client;
	bool json;
};

enum {
	KEY_JSON = 256
};

static const struct argp_option options[] = {
	{ "json", KEY_JSON, NULL, 0, "print one JSON object", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->client;
		return 0;
	case KEY_JSON:
		a->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument: %s", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The board's own part of its daemon's status, borrowed. */
static const json_t *find_board(const json_t *status, const char *id)
{
	json_t *board;
	size_t i;

	json_array_foreach(json_object_get(status, "boards"), i, board)
	{
		if (strcmp(json_string_value(json_object_get(board, "id")) ?: "", id) == 0)
			return board;
	}
	return status;
}

static const char *state_of(const json_t *part)
{
	return json_string_value(json_object_get(part, "state")) ?: "answers";
}

static void print_member(const struct client_member *m, const json_t *status,
			 const struct sluice_error *error)
{
	static const char *const kind[] = { "board", "aggregator", "consumer" };
	const json_t *part = status ? find_board(status, m->id) : NULL;
	const json_t *chunks = json_object_get(json_object_get(part, "ring"), "chunks");

	(void)printf("%-11s %-28s %-10s %8" JSON_INTEGER_FORMAT "  %s", kind[m->kind], m->id,
		     part ? state_of(part) : "SILENT",
		     part ? json_integer_value(json_object_get(status, "scan")) : 0, m->url);
	if (chunks)
		(void)printf("  ring %" JSON_INTEGER_FORMAT " free, %" JSON_INTEGER_FORMAT
			     " in flight",
			     json_integer_value(json_object_get(chunks, "free")),
			     json_integer_value(json_object_get(chunks, "in_flight")));
	(void)printf("%s%s\n", part ? "" : "  ", part ? "" : error->text);
}

static int list_members(const struct client_members *members, bool json)
{
	json_t *all = json_array();
	unsigned int silent = 0;

	if (!json)
		(void)printf("%-11s %-28s %-10s %8s  %s\n", "kind", "id", "state", "scan",
			     "status");
	for (unsigned int i = 0; i < members->count; i++) {
		const struct client_member *m = &members->member[i];
		struct sluice_error error = { 0 };
		json_t *status = NULL;

		silent += client_get(m->url, "/api/v1/status", LOOK_NS, &status, &error) < 0;
		if (json)
			(void)json_array_append_new(all,
						    json_pack("{s:s, s:s, s:O?}", "id", m->id,
							      "url", m->url, "status", status));
		else
			print_member(m, status, &error);
		json_decref(status);
	}
	if (json) {
		json_t *root = json_pack("{s:i, s:O}", "schema_version", 1, "members", all);
		char *text = json_dumps(root, JSON_COMPACT);

		(void)printf("%s\n", text ? text : "{}");
		free(text);
		json_decref(root);
	} else if (members->count == 0) {
		(void)printf("nobody is registered: are sluiced, sluice-aggregator and a consumer "
			     "running?\n");
	}
	json_decref(all);
	return silent == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int sluice_status(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ &client_argp, 0, "Where members are found:", 1 }, { 0 }
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Lists every member and its state. Exit status 1 if one does not answer.",
		.children = children,
	};
	struct client_members *members = NULL;
	struct sluice_error error = { 0 };
	struct client client = { 0 };
	struct arguments a = { 0 };
	int ret, status = EXIT_FAILURE;

	argv[0] = (char *)"sluice status";
	(void)argp_parse(&argp, argc, argv, 0, NULL, &a);
	ret = client_open(&a.client, &client, &error);
	if (ret == 0)
		ret = client_members(&client, &members, &error);
	if (ret == 0)
		status = list_members(members, a.json);
	else
		(void)fprintf(stderr, "sluice status: %s\n", error.text);
	client_members_free(members);
	client_close(&client);
	return status;
}
