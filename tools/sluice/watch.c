/* SPDX-License-Identifier: MIT */
/* sluice watch - follow a scan to its ledger. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/error.h>
#include <base/parse.h>

#include "client.h"
#include "sluice.h"

#define LOOK_NS (1 * NS_PER_S) /* deadline of one look at a member */
/* Nothing moves and no ledger comes: longer than every member waits for another. */
#define STILL_NS (90 * NS_PER_S)

enum {
	LOOK_EVERY_MS = 100,
	LINE_EVERY_MS = 1000, /* where the output is no terminal */
	BAR_CELLS = 30,
	EXIT_OPEN = 2, /* the ledger does not close */
};

struct arguments {
	struct client_args client;
	struct watch_args watch;
	uint64_t number;
};

struct progress {
	uint64_t begin_ns, line_ns;
	uint64_t moved_ns; /* when @blocks rose last */
	uint64_t blocks;   /* acknowledged, all sectors */
	uint64_t per_sector[SLUICE_SECTORS_MAX];
	bool terminal;
};

/* ---- how far it is --------------------------------------------------------------------------- */

static void read_board(const json_t *board, struct progress *p, uint32_t scan)
{
	const json_int_t sector = json_integer_value(json_object_get(board, "sector"));
	uint64_t blocks = 0;
	json_t *link;
	size_t i;

	if (sector < 0 || sector >= SLUICE_SECTORS_MAX ||
	    json_integer_value(json_object_get(board, "scan")) != (json_int_t)scan)
		return;
	json_array_foreach(json_object_get(board, "links"), i, link)
		blocks += (uint64_t)json_integer_value(json_object_get(link, "blocks_acked"));
	/* A board that is done tells no more: what it told last stands. */
	if (blocks > p->per_sector[sector])
		p->per_sector[sector] = blocks;
}

static void look(const struct scan_plan *plan, struct progress *p)
{
	const uint64_t before = p->blocks;

	for (unsigned int b = 0; b < plan->board_count; b++) {
		unsigned int earlier = 0;
		json_t *status, *board;
		size_t i;

		/* A daemon of several boards is asked once. */
		while (strcmp(plan->board[earlier].url, plan->board[b].url) != 0)
			earlier++;
		if (earlier < b ||
		    client_get(plan->board[b].url, "/api/v1/status", LOOK_NS, &status, NULL) < 0)
			continue;
		json_array_foreach(json_object_get(status, "boards"), i, board)
			read_board(board, p, plan->scan);
		json_decref(status);
	}
	p->blocks = 0;
	for (unsigned int s = 0; s < SLUICE_SECTORS_MAX; s++)
		p->blocks += p->per_sector[s];
	if (p->blocks != before)
		p->moved_ns = now_ns();
}

static double gbytes(const struct scan_plan *plan, uint64_t blocks)
{
	return (double)blocks * (double)sluice_sector_bytes(&plan->geometry) / 1e9;
}

static double seconds_since(uint64_t begin_ns)
{
	return (double)(now_ns() - begin_ns) / 1e9;
}

static void show(const struct scan_plan *plan, struct progress *p)
{
	const uint64_t all = plan->frames_expected * plan->geometry.sectors;
	const double part = (double)p->blocks / (double)all, gb = gbytes(plan, p->blocks);
	const double rate = gb / seconds_since(p->begin_ns);
	char bar[BAR_CELLS + 1];

	if (!p->terminal) {
		if (now_ns() < p->line_ns)
			return;
		p->line_ns = now_ns() + LINE_EVERY_MS * NS_PER_MS;
		(void)fprintf(stderr, "scan %" PRIu32 ": %3.0f %%, %.2f GB, %.2f GB/s\n",
			      plan->scan, part * 100, gb, rate);
		return;
	}
	for (unsigned int i = 0; i < BAR_CELLS; i++)
		bar[i] = i < part * BAR_CELLS ? '#' : '.';
	bar[BAR_CELLS] = '\0';
	(void)fprintf(stderr, "\rscan %" PRIu32 " [%s] %3.0f %%  %.2f GB  %.2f GB/s ", plan->scan,
		      bar, part * 100, gb, rate);
}

/* ---- the ledger ------------------------------------------------------------ */

static int ledger_from_directory(struct client *client, const struct scan_plan *plan,
				 char **ret_json, struct sluice_error *reterr)
{
	struct directory_entries entries;
	char key[PLAN_KEY_MAX];
	int ret;

	scan_key(key, plan->scan, "ledger");
	ret = directory_list(client->directory, key, &entries, reterr);
	if (ret < 0)
		return ret;
	if (entries.count == 0) {
		ret = error_set(reterr, -EAGAIN, "scan %" PRIu32 ": no ledger yet", plan->scan);
	} else {
		*ret_json = strdup(entries.entry[0].value);
		ret = *ret_json ? 0 : -ENOMEM;
	}
	directory_entries_free(&entries);
	return ret;
}

/* The halves that the member at @url has; the array of documents keeps what @halves borrows. */
static void add_halves(const char *url, uint32_t scan, json_t *documents,
		       struct ledger_half *halves, unsigned int *count)
{
	char path[64];
	json_t *document, *one;
	size_t i;

	(void)snprintf(path, sizeof(path), "/api/v1/half?scan=%" PRIu32, scan);
	if (client_get(url, path, LOOK_NS, &document, NULL) < 0)
		return;
	(void)json_array_append_new(documents, document);
	json_array_foreach(json_object_get(document, "halves"), i, one)
	{
		const char *id = json_string_value(json_object_get(one, "id"));
		const char *half = json_string_value(json_object_get(one, "half"));

		if (id && half && *count < CLIENT_MEMBERS_MAX)
			halves[(*count)++] = (struct ledger_half){ .id = id, .json = half };
	}
}

static int ledger_from_members(struct client *client, const struct scan_plan *plan, char **ret_json,
			       struct sluice_error *reterr)
{
	struct ledger_half halves[CLIENT_MEMBERS_MAX];
	json_t *documents = json_array();
	unsigned int count = 0;
	struct ledger ledger;
	int ret;

	for (unsigned int i = 0; i < client->args.member_count; i++)
		add_halves(client->args.member[i], plan->scan, documents, halves, &count);
	ret = ledger_close(plan, halves, count, &ledger, ret_json, reterr);
	json_decref(documents);
	return ret;
}

static int get_ledger(struct client *client, const struct scan_plan *plan, char **ret_json,
		      struct sluice_error *reterr)
{
	return client->directory ? ledger_from_directory(client, plan, ret_json, reterr)
				 : ledger_from_members(client, plan, ret_json, reterr);
}

static void print_dropped(const struct half_counts *c)
{
	const struct {
		const char *name;
		uint64_t blocks;
	} cause[] = { { "overflow", c->board_overflow },
		      { "link", c->board_link },
		      { "stop", c->board_stop } };
	const char *comma = "";

	(void)printf(" (dropped by the board:");
	if (!c->board_has_causes)
		(void)printf(" %" PRIu64, c->board_dropped);
	for (unsigned int i = 0; c->board_has_causes && i < sizeof(cause) / sizeof(cause[0]); i++) {
		if (cause[i].blocks == 0)
			continue;
		(void)printf("%s %s %" PRIu64, comma, cause[i].name, cause[i].blocks);
		comma = ",";
	}
	(void)printf(")");
}

static void print_causes(const struct ledger_sector *sector)
{
	for (unsigned int c = 1; c < SLUICE_LOSS_COUNT; c++) {
		if (sector->lost[c] > 0)
			(void)printf(" %s %" PRIu64, loss_name((enum sluice_loss)c),
				     sector->lost[c]);
	}
	if (sector->counts.board_known && sector->counts.board_dropped > 0)
		print_dropped(&sector->counts);
	(void)printf("\n");
	if (sector->counts.reason[0] != '\0')
		(void)printf("%-7s ended early: %s\n", "", sector->counts.reason);
}

static void print_table(const struct scan_plan *plan, const struct ledger *l)
{
	(void)printf("%-7s %-24s %10s %10s %10s  %s\n", "sector", "board", "expected", "delivered",
		     "lost", "causes");
	for (unsigned int s = 0; s < l->sectors; s++) {
		const struct ledger_sector *sector = &l->sector[s];

		(void)printf("%-7u %-24s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " ", s,
			     plan->board[s].id, sector->expected, sector->delivered,
			     sector->expected - sector->delivered);
		print_causes(sector);
	}
	(void)printf("frames: %" PRIu64 " expected, %" PRIu64 " delivered (%" PRIu64
		     " incomplete), %" PRIu64 " lost; %" PRIu64 " events\n",
		     l->frames_expected, l->frames_delivered, l->frames_incomplete, l->frames_lost,
		     l->events);
	if (l->closed)
		(void)printf("ledger: closed%s\n", l->state == SCAN_ABORTED ? ", aborted" : "");
	else
		(void)printf("ledger: OPEN: %s\n", l->why);
}

static void print_json(const struct scan_plan *plan, const struct ledger *l, double seconds)
{
	uint64_t blocks = 0;

	for (unsigned int s = 0; s < l->sectors; s++)
		blocks += l->sector[s].delivered;
	(void)printf("{\"schema_version\":1,\"scan\":%" PRIu32 ",\"frames_expected\":%" PRIu64
		     ",\"frames_delivered\":%" PRIu64 ",\"frames_incomplete\":%" PRIu64
		     ",\"frames_lost\":%" PRIu64 ",\"events\":%" PRIu64
		     ",\"seconds\":%.3f,\"gbytes_per_s\":%.3f,\"ledger\":\"%s\"}\n",
		     l->scan, l->frames_expected, l->frames_delivered, l->frames_incomplete,
		     l->frames_lost, l->events, seconds, gbytes(plan, blocks) / seconds,
		     l->closed ? "closed" : "open");
}

static int write_file(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");
	int ret = 0;

	if (!out)
		return neg_errno();
	if (fputs(text, out) < 0 || fputc('\n', out) < 0)
		ret = neg_errno();
	if (fclose(out) != 0 && ret == 0)
		ret = neg_errno();
	return ret;
}

static int report(const struct scan_plan *plan, const struct watch_args *args, const char *json,
		  double seconds)
{
	struct sluice_error error = { 0 };
	struct ledger ledger;
	int ret = ledger_decode(json, &ledger, &error);

	if (ret < 0) {
		(void)fprintf(stderr, "sluice watch: %s\n", error.text);
		return EXIT_FAILURE;
	}
	print_table(plan, &ledger);
	if (args->ledger)
		ret = write_file(args->ledger, json);
	if (ret < 0)
		(void)fprintf(stderr, "sluice watch: %s: cannot be written: %s\n", args->ledger,
			      error_name(ret));
	if (args->json)
		print_json(plan, &ledger, seconds);
	if (ret < 0)
		return EXIT_FAILURE;
	return ledger.closed ? EXIT_SUCCESS : EXIT_OPEN;
}

static bool is_over(const struct progress *p, const struct watch_args *args)
{
	return (args->timeout_s > 0 && seconds_since(p->begin_ns) > args->timeout_s) ||
	       now_ns() - p->moved_ns > STILL_NS;
}

static void say_if_silent(const char *kind, const struct plan_member *list, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct sluice_error error = { 0 };
		json_t *status;

		if (client_get(list[i].url, "/api/v1/status", LOOK_NS, &status, &error) == 0)
			json_decref(status);
		else
			(void)fprintf(stderr, "sluice watch: %s %s is silent: %s\n", kind,
				      list[i].id, error.text);
	}
}

static void say_who_is_silent(const struct scan_plan *plan)
{
	say_if_silent("board", plan->board, plan->board_count);
	say_if_silent("aggregator", plan->aggregator, plan->aggregator_count);
	say_if_silent("consumer", plan->consumer, plan->consumer_count);
}

int watch_scan(struct client *client, const struct scan_plan *plan, const struct watch_args *args)
{
	struct progress p = { .begin_ns = now_ns(),
			      .moved_ns = now_ns(),
			      .terminal = isatty(STDERR_FILENO) };
	struct sluice_error error = { 0 };
	char *json = NULL;
	int ret, status;

	for (;;) {
		ret = get_ledger(client, plan, &json, &error);
		if (ret == 0)
			break;
		if (is_over(&p, args)) {
			(void)fprintf(stderr,
				      "%ssluice watch: after %.0f s, %.0f s without a move: %s\n",
				      p.terminal ? "\n" : "", seconds_since(p.begin_ns),
				      seconds_since(p.moved_ns), error.text);
			say_who_is_silent(plan);
			return EXIT_FAILURE;
		}
		/* An unreachable directory is waited for: the scan goes on without it. */
		look(plan, &p);
		show(plan, &p);
		(void)poll(NULL, 0, LOOK_EVERY_MS);
	}
	if (p.terminal)
		(void)fprintf(stderr, "\r\033[K");
	status = report(plan, args, json, seconds_since(p.begin_ns));
	free(json);
	return status;
}

/* ---- the command
 * ---------------------------------------------------------------------------------- */

enum {
	KEY_LEDGER = 256,
	KEY_JSON,
	KEY_TIMEOUT
};

static const struct argp_option options[] = {
	{ "ledger", KEY_LEDGER, "FILE", 0, "write the ledger to FILE, JSON", 0 },
	{ "json", KEY_JSON, NULL, 0, "end with one line of JSON", 0 },
	{ "timeout", KEY_TIMEOUT, "S", 0,
	  "stop watching after S seconds (default: when nothing has moved for 90)", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->client;
		return 0;
	case KEY_LEDGER:
		a->watch.ledger = arg;
		return 0;
	case KEY_JSON:
		a->watch.json = true;
		return 0;
	case KEY_TIMEOUT:
		if (parse_f64(arg, 0, 1e9, &a->watch.timeout_s) < 0)
			argp_error(state, "--timeout %s: seconds are wanted, from 0", arg);
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0 || parse_u64(arg, 1, UINT32_MAX, &a->number) < 0)
			argp_error(state, "%s: one scan number is wanted, from 1", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int sluice_watch(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ &client_argp, 0, "Where members are found:", 1 }, { 0 }
	};
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.args_doc = "[SCAN]",
		.doc = "Follows a scan (the newest unless named) to its ledger and prints it. Exit "
		       "status 0: the ledger closes; 2: it does not; 1: anything else.",
		.children = children,
	};
	struct scan_plan *plan = calloc(1, sizeof(*plan));
	struct arguments a = { 0 };
	struct sluice_error error = { 0 };
	struct client client = { 0 };
	int ret, status = EXIT_FAILURE;
	int64_t revision;

	argv[0] = (char *)"sluice watch";
	(void)argp_parse(&argp, argc, argv, 0, NULL, &a);
	ret = plan ? client_open(&a.client, &client, &error) : -ENOMEM;
	if (ret == 0)
		ret = client_plan(&client, (uint32_t)a.number, plan, &revision, &error);
	if (ret < 0)
		(void)fprintf(stderr, "sluice watch: %s\n", error.text);
	else
		status = watch_scan(&client, plan, &a.watch);
	client_close(&client);
	free(plan);
	return status;
}
