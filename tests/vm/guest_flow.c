/* SPDX-License-Identifier: MIT */
/*
 * What a scan from emulated cards has left, judged in the guest: each event of each frame by the
 * plain reference, each lost frame by its cause, each board's counters by its daemon's; and what
 * `sluice list` says of the boards.
 *
 *   guest_flow whole|named_losses|gone HDF5 LEDGER
 *   guest_flow list JSON
 *
 * The cards are those of flow.cmake.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <integration/result.h>
#include <model/model.h>
#include <scan/ledger.h>
#include <sluice/error.h>
#include <support/reference.h>

enum {
	SECTORS = 2,
	ROWS = 24,
	COLUMNS = 96,
	DISTINCT = 16,
	SEED = 11,
	SERIAL = 1000,
	SCAN_COLUMNS = 33,
	SCAN_ROWS = 31,
	FRAMES = SCAN_COLUMNS * SCAN_ROWS,
	PIXELS = SECTORS * ROWS * COLUMNS,
	WHOLE = (1 << SECTORS) - 1,
};

static const char *result_path, *json_path;

/* ---- events ---------------------------------------------------------------------------------- */

/* The reference's events of one prepared frame, of the sectors that are there. */
struct counted {
	bool done;
	uint32_t count;
	uint32_t event[PIXELS];
};
static struct counted counted[DISTINCT][WHOLE + 1];

static struct model *make_model(void)
{
	const struct model_args args = {
		.geometry = { .sectors = SECTORS,
			      .rows = ROWS,
			      .columns = COLUMNS,
			      .pixel = SLUICE_PIXEL_U16 },
		.generator = MODEL_CAMERA,
		.seed = SEED,
		.distinct = DISTINCT,
		.sectors_served = WHOLE,
	};
	struct model *model;

	assert_int_equal(model_create(&args, &model, NULL), 0);
	return model;
}

static const struct counted *count_prepared(const struct model *model, const struct result *result,
					    uint32_t prepared, uint32_t mask)
{
	const struct reference_rule rule = { .background = result->background,
					     .xray = result->xray,
					     .sector_rows = ROWS,
					     .sector_mask = mask };
	struct counted *c = &counted[prepared][mask];
	static uint16_t pixels[PIXELS];

	if (c->done)
		return c;
	for (unsigned int s = 0; s < SECTORS; s++)
		memcpy(pixels + (size_t)s * ROWS * COLUMNS,
		       model_payload(model, prepared, (uint16_t)s),
		       (size_t)ROWS * COLUMNS * sizeof(pixels[0]));
	c->count = reference_count(&rule, pixels, SECTORS * ROWS, COLUMNS, c->event);
	c->done = true;
	return c;
}

/* Every event of every frame is the reference's, with @mask[frame] saying which sectors came. */
static void check_events(const uint32_t *mask)
{
	const struct model_scan scan = { .columns = SCAN_COLUMNS,
					 .rows = SCAN_ROWS,
					 .frames = FRAMES };
	struct model *model = make_model();
	struct result result;
	uint64_t all = 0;

	result_open(result_path, &result);
	assert_int_equal(result.frames, FRAMES);
	assert_int_equal(result.frame_rows, SECTORS * ROWS);
	assert_int_equal(result.frame_columns, COLUMNS);
	assert_int_equal(result.scan_columns, SCAN_COLUMNS);
	assert_int_equal(result.scan_rows, SCAN_ROWS);
	for (uint64_t f = 0; f < FRAMES; f++) {
		const uint32_t prepared = model_frame_choice(model_args(model), &scan, f);
		const struct counted *c = count_prepared(model, &result, prepared, mask[f]);

		assert_int_equal(result.mask[f], mask[f]);
		assert_int_equal(result.events[f].len, c->count);
		if (c->count > 0)
			assert_memory_equal(result.events[f].p, c->event,
					    c->count * sizeof(c->event[0]));
		all += c->count;
	}
	assert_true(all > FRAMES); /* there was something to count */
	result_close(&result);
	model_destroy(model);
}

/* ---- the ledger ------------------------------------------------------------------------------ */

static json_t *load(struct ledger *ret_ledger)
{
	json_t *root = json_load_file(json_path, 0, NULL);
	struct sluice_error error = { 0 };
	char *text;

	assert_non_null(root);
	text = json_dumps(root, JSON_COMPACT);
	assert_non_null(text);
	if (ledger_decode(text, ret_ledger, &error) < 0)
		fail_msg("%s: %s", json_path, error.text);
	free(text);
	if (!ret_ledger->closed)
		fail_msg("the ledger is open: %s", ret_ledger->why);
	assert_int_equal(ret_ledger->frames_expected, FRAMES);
	assert_int_equal(ret_ledger->sectors, SECTORS);
	return root;
}

static json_t *ranges_of(const json_t *root, unsigned int sector, const char *cause)
{
	const json_t *one = json_array_get(json_object_get(root, "sectors"), sector);

	return json_object_get(json_object_get(json_object_get(one, "lost"), cause), "ranges");
}

static void check_ranges(const json_t *root, unsigned int sector, const char *cause,
			 const char *ranges)
{
	char *is = json_dumps(ranges_of(root, sector, cause), JSON_COMPACT);

	if (!is)
		fail_msg("sector %u has lost nothing by %s", sector, cause);
	assert_string_equal(is, ranges);
	free(is);
}

struct board_account {
	uint64_t made, sent, dropped_link;
};

/* The board's own counters stand in the ledger, and are what its daemon read. */
static void check_board(const struct ledger *ledger, unsigned int sector,
			const struct board_account *is, uint64_t broken)
{
	const struct half_counts *c = &ledger->sector[sector].counts;

	assert_true(c->board_known);
	assert_true(c->board_has_causes);
	assert_true(c->has_whole_blocks);
	assert_string_equal(c->board_flaw, "");
	assert_string_equal(c->reason, "");
	assert_int_equal(c->board_generated, is->made);
	assert_int_equal(c->board_sent, is->sent);
	assert_int_equal(c->board_link, is->dropped_link);
	assert_int_equal(c->board_dropped, is->dropped_link);
	assert_int_equal(c->blocks_read + c->blocks_skipped, is->sent);
	assert_int_equal(ledger->sector[sector].delivered, is->sent - broken);
}

static void whole(void **state)
{
	const struct board_account account = { .made = FRAMES, .sent = FRAMES };
	uint32_t mask[FRAMES];
	struct ledger ledger;

	(void)state;
	json_decref(load(&ledger));
	assert_int_equal(ledger.state, SCAN_DONE);
	assert_int_equal(ledger.frames_delivered, FRAMES);
	assert_int_equal(ledger.frames_incomplete, 0);
	assert_int_equal(ledger.frames_lost, 0);
	for (unsigned int s = 0; s < SECTORS; s++)
		check_board(&ledger, s, &account, 0);
	for (unsigned int f = 0; f < FRAMES; f++)
		mask[f] = WHOLE;
	check_events(mask);
}

/* Sector 0 drops 5 and 20 to 22, sector 1 drops 700 and breaks 30; both drop 1000. */
static void named_losses(void **state)
{
	const struct board_account first = { FRAMES, FRAMES - 5, 5 };
	const struct board_account second = { FRAMES, FRAMES - 2, 2 };
	uint32_t mask[FRAMES];
	struct ledger ledger;
	json_t *root;

	(void)state;
	root = load(&ledger);
	assert_int_equal(ledger.frames_lost, 1);
	assert_int_equal(ledger.frames_delivered, FRAMES - 1);
	assert_int_equal(ledger.frames_incomplete, 4 + 2);
	check_ranges(root, 0, "gap", "[[5,1],[20,3],[1000,1]]");
	check_ranges(root, 1, "gap", "[[700,1],[1000,1]]");
	check_ranges(root, 1, "crc", "[[30,1]]");
	json_decref(root);
	check_board(&ledger, 0, &first, 0);
	check_board(&ledger, 1, &second, 1);
	for (unsigned int f = 0; f < FRAMES; f++)
		mask[f] = WHOLE;
	mask[5] = mask[20] = mask[21] = mask[22] = WHOLE & ~1u;
	mask[700] = mask[30] = WHOLE & ~2u;
	mask[1000] = 0;
	check_events(mask);
}

/* Sector 1 is pulled out in mid-scan: all of it from then on is lost, and its account says why. */
static void gone(void **state)
{
	const struct board_account account = { .made = FRAMES, .sent = FRAMES };
	uint32_t mask[FRAMES];
	struct ledger ledger;
	char range[64];
	uint64_t first;
	json_t *root;

	(void)state;
	root = load(&ledger);
	check_board(&ledger, 0, &account, 0);
	assert_int_equal(ledger.frames_lost, 0);
	first = ledger.sector[1].delivered;
	assert_in_range(first, 1, FRAMES - 1);
	assert_false(ledger.sector[1].counts.board_known);
	assert_non_null(strstr(ledger.sector[1].counts.reason, "the board is gone"));
	(void)snprintf(range, sizeof(range), "[[%" PRIu64 ",%" PRIu64 "]]", first, FRAMES - first);
	check_ranges(root, 1, "read", range);
	json_decref(root);
	for (unsigned int f = 0; f < FRAMES; f++)
		mask[f] = f < first ? WHOLE : 1u;
	check_events(mask);
}

/* ---- sluice list ----------------------------------------------------------------------------- */

/* A board's address is where the device of its class leads. */
static void check_address(const char *name, const char *pci)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *slash;
	ssize_t len;

	(void)snprintf(path, sizeof(path), "/sys/class/sluice/%s/device", name);
	len = readlink(path, target, sizeof(target) - 1);
	assert_true(len > 0);
	target[len] = '\0';
	slash = strrchr(target, '/');
	assert_non_null(slash);
	assert_string_equal(pci, slash + 1);
}

static const char *text_of(const json_t *board, const char *key)
{
	const char *text = json_string_value(json_object_get(board, key));

	if (!text)
		fail_msg("%s is missing, or no text", key);
	return text;
}

static json_int_t number_of(const json_t *board, const char *key)
{
	const json_t *number = json_object_get(board, key);

	if (!json_is_integer(number))
		fail_msg("%s is missing, or no number", key);
	return json_integer_value(number);
}

static void check_listed(const json_t *board, unsigned int *sectors)
{
	const unsigned int sector = (unsigned int)number_of(board, "sector");
	char serial[32];

	assert_in_range(sector, 0, SECTORS - 1);
	*sectors |= 1u << sector;
	/* Card N reads sector N and is on node N; its serial number counts on. */
	assert_int_equal(number_of(board, "numa_node"), sector);
	(void)snprintf(serial, sizeof(serial), "%016x", SERIAL + sector);
	assert_string_equal(text_of(board, "serial"), serial);
	assert_string_not_equal(text_of(board, "firmware"), "");
	assert_string_equal(text_of(board, "driver"), "sluice");
	assert_string_equal(text_of(board, "state"), "idle");
	assert_int_equal(number_of(board, "block_bytes"),
			 SLUICE_BLOCK_HEADER_BYTES + ROWS * COLUMNS * sizeof(uint16_t));
	check_address(text_of(board, "name"), text_of(board, "pci"));
}

static void list(void **state)
{
	json_t *root = json_load_file(result_path, 0, NULL), *boards, *board;
	unsigned int sectors = 0;
	size_t i;

	(void)state;
	boards = json_object_get(root, "boards");
	assert_int_equal(json_array_size(boards), SECTORS);
	json_array_foreach(boards, i, board)
	{
		check_listed(board, &sectors);
	}
	assert_int_equal(sectors, WHOLE);
	json_decref(root);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole),
		cmocka_unit_test(named_losses),
		cmocka_unit_test(gone),
		cmocka_unit_test(list),
	};

	if (argc < 3) {
		(void)fprintf(stderr, "guest_flow TEST FILE [LEDGER]\n");
		return EXIT_FAILURE;
	}
	cmocka_set_test_filter(argv[1]);
	result_path = argv[2];
	json_path = argc > 3 ? argv[3] : "";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
