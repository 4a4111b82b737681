/* SPDX-License-Identifier: MIT */
/* sluice list - the readout boards of this host. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>

#include "sluice.h"
#include "sysfs.h"

enum {
	LIST_SCHEMA_VERSION = 1,
	KEY_JSON = 256,
	COLUMNS = 9,
	CELL_MAX = 2 * SYSFS_TEXT_MAX
};

static const struct argp_option options[] = {
	{ "json", KEY_JSON, NULL, 0, "print one JSON object", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	bool *json = state->input;

	switch (key) {
	case KEY_JSON:
		*json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument: %s", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- the table ----------------------------------------------------------------------------- */

struct row {
	char cell[COLUMNS][CELL_MAX];
};

static void put_text(char cell[CELL_MAX], const char *text)
{
	(void)snprintf(cell, CELL_MAX, "%s", text[0] != '\0' ? text : "-");
}

static void put_link(char cell[CELL_MAX], int64_t speed, int64_t width)
{
	if (speed > 0 && width > 0)
		(void)snprintf(cell, CELL_MAX, "%.1f GT/s x%" PRId64, (double)speed / 1e3, width);
	else
		put_text(cell, "");
}

static void fill(const struct sysfs_board *b, struct row *row)
{
	char number[32] = "";

	put_text(row->cell[0], b->name);
	put_text(row->cell[1], b->serial);
	put_text(row->cell[2], b->firmware);
	put_text(row->cell[3], b->pci);
	put_link(row->cell[4], b->link.speed, b->link.width);
	if (sysfs_link_is_down_trained(&b->link))
		(void)strcat(row->cell[4], " !");
	put_link(row->cell[5], b->link.speed_max, b->link.width_max);
	if (b->has_node)
		(void)snprintf(number, sizeof(number), "%" PRId64, b->node);
	put_text(row->cell[6], number);
	put_text(row->cell[7], b->driver);
	if (b->driver[0] != '\0' && b->driver_version[0] != '\0')
		(void)snprintf(row->cell[7], CELL_MAX, "%s %s", b->driver, b->driver_version);
	put_text(row->cell[8], b->state);
}

static void print_row(const struct row *row, const size_t width[COLUMNS])
{
	for (unsigned int c = 0; c + 1 < COLUMNS; c++)
		(void)printf("%-*s  ", (int)width[c], row->cell[c]);
	(void)printf("%s\n", row->cell[COLUMNS - 1]);
}

/* What is wrong with a board, and what mends it. */
static void print_remedy(const struct sysfs_board *b)
{
	char now[CELL_MAX], most[CELL_MAX];

	if (sysfs_link_is_down_trained(&b->link)) {
		put_link(now, b->link.speed, b->link.width);
		put_link(most, b->link.speed_max, b->link.width_max);
		(void)printf("%s: its PCIe link runs at %s, it can %s: reseat the card, or move "
			     "it to a slot that has so many lanes\n",
			     b->name, now, most);
	}
	if (strcmp(b->state, "failed") == 0)
		(void)printf("%s: it has failed: the next scan resets it; `dmesg` says why\n",
			     b->name);
	if (strcmp(b->state, "gone") == 0)
		(void)printf("%s: it is gone: look after its slot and its power supply, then "
			     "`echo 1 > /sys/bus/pci/rescan`\n",
			     b->name);
}

static void print_table(const struct sysfs_boards *boards)
{
	static struct row row[SYSFS_BOARDS_MAX + 1] = {
		{ { "board", "serial", "firmware", "pci", "link", "max", "node", "driver",
		    "state" } },
	};
	size_t width[COLUMNS] = { 0 };

	for (unsigned int i = 0; i < boards->count; i++)
		fill(&boards->board[i], &row[i + 1]);
	for (unsigned int i = 0; i <= boards->count; i++) {
		for (unsigned int c = 0; c < COLUMNS; c++) {
			const size_t len = strlen(row[i].cell[c]);

			width[c] = len > width[c] ? len : width[c];
		}
	}
	for (unsigned int i = 0; i <= boards->count; i++)
		print_row(&row[i], width);
	for (unsigned int i = 0; i < boards->count; i++)
		print_remedy(&boards->board[i]);
	if (boards->left_off > 0)
		(void)printf("%u more are not listed: at most %d are\n", boards->left_off,
			     SYSFS_BOARDS_MAX);
}

static void print_none(bool has_driver)
{
	if (has_driver)
		(void)printf("the driver is loaded and has no board: give it the PCI numbers of "
			     "one, `lspci -nn` lists them: `modprobe -r sluice; modprobe sluice "
			     "ids=VENDOR:DEVICE`; driver/README.md has each step\n");
	else
		(void)printf("no board: the driver is not loaded: `modprobe sluice`; "
			     "driver/README.md says how to build it and to bind a board\n");
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *text_or_null(const char *text)
{
	return text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *number_or_null(int64_t number)
{
	return number >= 0 ? json_integer(number) : json_null();
}

static json_t *board_to_json(const struct sysfs_board *b)
{
	json_t *link = json_pack(
		"{s:o, s:o, s:o, s:o, s:b}", "speed_mbit_s", number_or_null(b->link.speed), "width",
		number_or_null(b->link.width), "speed_max_mbit_s",
		number_or_null(b->link.speed_max), "width_max", number_or_null(b->link.width_max),
		"down_trained", sysfs_link_is_down_trained(&b->link) ? 1 : 0);

	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
			 b->name, "serial", text_or_null(b->serial), "firmware",
			 text_or_null(b->firmware), "interface", text_or_null(b->interface), "pci",
			 text_or_null(b->pci), "numa_node",
			 b->has_node ? json_integer(b->node) : json_null(), "driver",
			 text_or_null(b->driver), "driver_version", text_or_null(b->driver_version),
			 "state", text_or_null(b->state), "sector", number_or_null(b->sector),
			 "block_bytes", number_or_null(b->block_bytes), "link", link);
}

static int print_json(const struct sysfs_boards *boards)
{
	json_t *array = json_array(), *root;
	char *text;

	for (unsigned int i = 0; i < boards->count; i++)
		(void)json_array_append_new(array, board_to_json(&boards->board[i]));
	root = json_pack("{s:i, s:o, s:i}", "schema_version", LIST_SCHEMA_VERSION, "boards", array,
			 "boards_left_off", (int)boards->left_off);
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	if (text)
		(void)printf("%s\n", text);
	free(text);
	json_decref(root);
	return text ? EXIT_SUCCESS : EXIT_FAILURE;
}

int sluice_list(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Lists the readout boards of this host. A link that came up with less than "
		       "it can is marked by an exclamation mark.",
	};
	/* For tests: a folder in place of /sys. */
	const char *root = getenv("SLUICE_SYSFS"); /* NOLINT(concurrency-mt-unsafe): one thread */
	static struct sysfs_boards boards;
	bool json = false;
	int ret;

	argv[0] = (char *)"sluice list";
	(void)argp_parse(&argp, argc, argv, 0, NULL, &json);
	ret = sysfs_boards_read(root ? root : "/sys", &boards);
	if (ret < 0 && ret != -ENOENT) {
		(void)fprintf(stderr, "sluice list: %s/class/sluice: %s\n", root ? root : "/sys",
			      error_name(ret));
		return EXIT_FAILURE;
	}
	if (json)
		return print_json(&boards);
	if (boards.count == 0)
		print_none(ret == 0);
	else
		print_table(&boards);
	return EXIT_SUCCESS;
}
