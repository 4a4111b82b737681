/* SPDX-License-Identifier: MIT */
/* scan/ledger.h, scan/half.h: what a member says of a scan is read back as it was said. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <scan/half.h>
#include <scan/ledger.h>
#include <sluice/error.h>

static const struct half_counts counts = {
	.blocks_read = 90,
	.blocks_repeated = 3,
	.bytes_read = 12345,
	.bytes_skipped = 7,
	.board_generated = 100,
	.board_sent = 95,
	.board_dropped = 5,
	.board_known = true,
};

/* 100 frames: 4 ... 5 and 9 are the board's gaps, 10 came broken, 99 was cut off. */
static struct tally *example_tally(void)
{
	struct tally *tally;

	assert_int_equal(tally_open(2, 100, &tally), 0);
	(void)tally_set(tally, 4, 2, TALLY_LOST + SLUICE_LOSS_GAP);
	(void)tally_set(tally, 9, 1, TALLY_LOST + SLUICE_LOSS_GAP);
	(void)tally_set(tally, 10, 1, TALLY_LOST + SLUICE_LOSS_CRC);
	(void)tally_set(tally, 99, 1, TALLY_LOST + SLUICE_LOSS_CUT);
	(void)tally_set(tally, 0, 100, TALLY_DELIVERED);
	return tally;
}

static json_t *example_half(void)
{
	struct tally *tally = example_tally();
	char *text = half_encode_board(tally, "server0/board2", 7, SCAN_DONE, &counts);
	json_t *root = json_loads(text, 0, NULL);

	assert_non_null(root);
	free(text);
	tally_close(tally);
	return root;
}

static void a_boards_half_is_read_back(void **state)
{
	struct half_board half;
	json_t *root = example_half();

	(void)state;
	assert_int_equal(half_decode_board(root, &half, NULL), 0);
	assert_int_equal(half.sector, 2);
	assert_false(half.aborted);
	assert_int_equal(half.frames_expected, 100);
	assert_int_equal(half.delivered, 95);
	assert_int_equal(half.ranges_omitted, 0);
	for (unsigned int c = 0; c < SLUICE_LOSS_COUNT; c++)
		assert_int_equal(half.lost[c], c == SLUICE_LOSS_GAP   ? 3
					       : c == SLUICE_LOSS_CRC ? 1
					       : c == SLUICE_LOSS_CUT ? 1
								      : 0);
	assert_int_equal(half.counts.blocks_read, 90);
	assert_int_equal(half.counts.blocks_repeated, 3);
	assert_int_equal(half.counts.bytes_read, 12345);
	assert_int_equal(half.counts.bytes_skipped, 7);
	assert_true(half.counts.board_known);
	assert_int_equal(half.counts.board_generated, 100);
	assert_int_equal(half.counts.board_sent, 95);
	assert_int_equal(half.counts.board_dropped, 5);
	assert_false(half.counts.board_has_causes);
	assert_false(half.counts.has_whole_blocks);
	assert_string_equal(half.counts.reason, "");
	json_decref(root);
}

/* A board of our driver, whose scan failed: all that its half can hold. */
static void counters_by_cause_and_a_reason_are_read_back(void **state)
{
	struct half_counts told = counts;
	struct tally *tally = example_tally();
	struct half_board half;
	json_t *root;
	char *text;

	(void)state;
	told.has_whole_blocks = true;
	told.blocks_skipped = 2;
	told.board_has_causes = true;
	told.board_overflow = 1;
	told.board_link = 3;
	told.board_stop = 1;
	told.board_stall_ns = UINT64_MAX; /* beyond what JSON holds */
	(void)strcpy(told.board_flaw, "blocks_in went from 5 to 3");
	(void)strcpy(told.reason, "reading failed: the detector's link went down");
	text = half_encode_board(tally, "b", 1, SCAN_DONE, &told);
	root = json_loads(text, 0, NULL);
	assert_int_equal(half_decode_board(root, &half, NULL), 0);
	told.board_stall_ns = INT64_MAX;
	assert_memory_equal(&half.counts, &told, sizeof(told));
	json_decref(root);
	free(text);
	/* A text that was cut within a character is still told of. */
	(void)strcpy(told.reason, "reading failed: caf\xc3");
	text = half_encode_board(tally, "b", 1, SCAN_DONE, &told);
	assert_non_null(text);
	root = json_loads(text, 0, NULL);
	assert_int_equal(half_decode_board(root, &half, NULL), 0);
	assert_true(half.counts.reason[0] != '\0');
	json_decref(root);
	free(text);
	tally_close(tally);
}

static void losses_are_told_with_their_ranges(void **state)
{
	json_t *root = example_half(), *lost = json_object_get(root, "lost");
	char *text = json_dumps(lost, JSON_COMPACT | JSON_SORT_KEYS);

	(void)state;
	assert_string_equal(text, "{\"crc\":{\"blocks\":1,\"ranges\":[[10,1]]},"
				  "\"cut\":{\"blocks\":1,\"ranges\":[[99,1]]},"
				  "\"gap\":{\"blocks\":3,\"ranges\":[[4,2],[9,1]]}}");
	assert_string_equal(json_string_value(json_object_get(root, "id")), "server0/board2");
	assert_int_equal(json_integer_value(json_object_get(root, "scan")), 7);
	assert_string_equal(json_string_value(json_object_get(root, "state")), "done");
	free(text);
	json_decref(root);
}

static void a_board_without_counters_says_so(void **state)
{
	const struct half_counts none = { 0 };
	struct tally *tally = example_tally();
	char *text = half_encode_board(tally, "b", 1, SCAN_ABORTED, &none);
	json_t *root = json_loads(text, 0, NULL);
	struct half_board half;

	(void)state;
	assert_int_equal(half_decode_board(root, &half, NULL), 0);
	assert_false(half.counts.board_known);
	assert_true(half.aborted);
	json_decref(root);
	free(text);
	tally_close(tally);
}

/* Every second frame lost: more ranges than are told. The sums stay whole. */
static void ranges_beyond_the_limit_are_counted(void **state)
{
	const uint64_t frames = 2 * (HALF_RANGES_MAX + 50);
	const struct half_counts none = { 0 };
	struct half_board half;
	struct tally *tally;
	json_t *root, *ranges;
	char *text;

	(void)state;
	assert_int_equal(tally_open(0, frames, &tally), 0);
	for (uint64_t f = 0; f < frames; f += 2)
		(void)tally_set(tally, f, 1,
				TALLY_LOST + (f < frames / 2 ? SLUICE_LOSS_GAP : SLUICE_LOSS_CUT));
	(void)tally_set(tally, 0, frames, TALLY_DELIVERED);
	text = half_encode_board(tally, "b", 1, SCAN_DONE, &none);
	root = json_loads(text, 0, NULL);
	assert_int_equal(half_decode_board(root, &half, NULL), 0);
	assert_int_equal(half.lost[SLUICE_LOSS_GAP] + half.lost[SLUICE_LOSS_CUT], frames / 2);
	assert_int_equal(half.delivered, frames / 2);
	assert_int_equal(half.ranges_omitted, 50);
	ranges = json_object_get(json_object_get(half.lost_json, "cut"), "ranges");
	assert_int_equal(json_array_size(ranges), half.lost[SLUICE_LOSS_CUT] - half.ranges_omitted);
	json_decref(root);
	free(text);
	tally_close(tally);
}

static void a_consumers_half_is_read_back(void **state)
{
	struct half_consumer half = { .scan = 7,
				      .blocks = { 1, 2, 3, 4 },
				      .frames = 4,
				      .frames_incomplete = 3,
				      .events = 99,
				      .part = "/data/part0" };
	struct half_consumer again;
	char *text = half_encode_consumer(&half, "node0");
	json_t *root = json_loads(text, 0, NULL);

	(void)state;
	assert_non_null(root);
	assert_int_equal(half_decode_consumer(root, &again, NULL), 0);
	assert_memory_equal(again.blocks, half.blocks, sizeof(half.blocks));
	assert_int_equal(again.frames, 4);
	assert_int_equal(again.frames_incomplete, 3);
	assert_int_equal(again.events, 99);
	assert_string_equal(json_string_value(json_object_get(root, "part")), "/data/part0");
	json_decref(root);
	free(text);
}

/* What @key of a good half is replaced by makes it refused, by that name. */
static void board_refused(const char *key, const char *value, const char *word)
{
	struct sluice_error error = { "" };
	struct half_board half, before;
	json_t *root = example_half();

	(void)json_object_set_new(root, key, json_loads(value, JSON_DECODE_ANY, NULL));
	memset(&half, 0x5a, sizeof(half));
	before = half;
	if (half_decode_board(root, &half, &error) != -EBADMSG || !strstr(error.text, word))
		fail_msg("%s = %s: \"%s\" has no \"%s\"", key, value, error.text, word);
	assert_memory_equal(&half, &before, sizeof(half));
	json_decref(root);
}

static void a_board_that_says_nonsense_is_refused(void **state)
{
	(void)state;
	board_refused("sector", "32", "sector");
	board_refused("frames_expected", "0", "frames_expected");
	board_refused("delivered", "-1", "delivered");
	board_refused("delivered", "null", "delivered");
	board_refused("ranges_omitted", "0.5", "ranges_omitted");
	board_refused("blocks_read", "\"\"", "blocks_read");
	board_refused("blocks_repeated", "-1", "blocks_repeated");
	board_refused("bytes_read", "-1", "bytes_read");
	board_refused("bytes_skipped", "[]", "bytes_skipped");
	board_refused("board", "{}", "generated");
	board_refused("board", "{\"generated\":1}", "sent");
	board_refused("board", "{\"generated\":1,\"sent\":1,\"dropped\":-1}", "dropped");
	board_refused("board", "{\"generated\":1,\"sent\":1,\"dropped\":0}", "stall_ns");
	board_refused("board",
		      "{\"generated\":1,\"sent\":1,\"dropped\":0,\"stall_ns\":0,"
		      "\"dropped_by\":{\"overflow\":0,\"link\":0.5}}",
		      "link");
	board_refused("blocks_skipped", "-1", "blocks_skipped");
	board_refused("lost", "[]", "lost");
	board_refused("lost", "{\"bad luck\":{}}", "bad luck");
	board_refused("lost", "{\"none\":{\"blocks\":1,\"ranges\":[[0,1]]}}", "none");
	board_refused("lost", "{\"gap\":{\"ranges\":[]}}", "blocks");
	board_refused("lost", "{\"gap\":{\"blocks\":1}}", "ranges");
	board_refused("lost", "{\"gap\":{\"blocks\":101,\"ranges\":[[0,100]]}}", "blocks");
}

/* The ranges say the same as the number beside them, each frame once. */
static void ranges_that_do_not_add_up_are_refused(void **state)
{
	(void)state;
	board_refused("lost", "{\"gap\":{\"blocks\":1,\"ranges\":[[0,2]]}}", "ranges");
	board_refused("lost", "{\"gap\":{\"blocks\":3,\"ranges\":[[0,2]]}}", "ranges");
	board_refused("lost", "{\"gap\":{\"blocks\":2,\"ranges\":[[99,2]]}}", "ranges");
	board_refused("lost", "{\"gap\":{\"blocks\":2,\"ranges\":[[-1,2]]}}", "ranges");
	board_refused("lost", "{\"gap\":{\"blocks\":4,\"ranges\":[[0,2],[1,2]]}}", "ranges");
	board_refused("lost", "{\"gap\":{\"blocks\":1,\"ranges\":[[0,1],[5,0]]}}", "ranges");
	board_refused("lost", "{\"gap\":{\"blocks\":1,\"ranges\":[0]}}", "ranges");
	board_refused("lost", "{\"gap\":{\"blocks\":1,\"ranges\":[[0]]}}", "ranges");
	board_refused("lost", "{\"gap\":{\"blocks\":1,\"ranges\":[[0,\"1\"]]}}", "ranges");
	board_refused("lost", "{\"gap\":{\"blocks\":1,\"ranges\":[[0,1,2]]}}", "ranges");
}

static void a_consumer_that_says_nonsense_is_refused(void **state)
{
	static const char *const texts[] = {
		"{}",
		"{\"blocks\":{},\"frames\":1,\"frames_incomplete\":0,\"events\":0}",
		"{\"blocks\":[-1],\"frames\":1,\"frames_incomplete\":0,\"events\":0}",
		"{\"blocks\":[\"1\"],\"frames\":1,\"frames_incomplete\":0,\"events\":0}",
		"{\"blocks\":[1],\"frames\":-1,\"frames_incomplete\":0,\"events\":0}",
		"{\"blocks\":[1],\"frames\":1,\"events\":0}",
		"{\"blocks\":[1],\"frames\":1,\"frames_incomplete\":0}",
		("{\"blocks\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0],"
		 "\"frames\":1,\"frames_incomplete\":0,\"events\":0}"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct sluice_error error = { "" };
		struct half_consumer half;
		json_t *root = json_loads(texts[i], 0, NULL);

		assert_non_null(root);
		assert_int_equal(half_decode_consumer(root, &half, &error), -EBADMSG);
		assert_true(error.text[0] != '\0');
		json_decref(root);
	}
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(a_boards_half_is_read_back),
		cmocka_unit_test(counters_by_cause_and_a_reason_are_read_back),
		cmocka_unit_test(losses_are_told_with_their_ranges),
		cmocka_unit_test(a_board_without_counters_says_so),
		cmocka_unit_test(ranges_beyond_the_limit_are_counted),
		cmocka_unit_test(a_consumers_half_is_read_back),
		cmocka_unit_test(a_board_that_says_nonsense_is_refused),
		cmocka_unit_test(ranges_that_do_not_add_up_are_refused),
		cmocka_unit_test(a_consumer_that_says_nonsense_is_refused),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
