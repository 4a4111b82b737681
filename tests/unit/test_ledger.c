/* SPDX-License-Identifier: MIT */
/* scan/ledger.h: the ledger closes if every number agrees, and else names the one that does not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <scan/ledger.h>
#include <sluice/error.h>

#include "ledger_fixture.h"

static void a_ledger_closes_when_all_agree(void **state)
{
	struct ledger ledger;
	struct scan s;
	char *json;

	(void)state;
	scan_open(&s);
	assert_int_equal(work_out(&s, &ledger, &json), 0);
	assert_string_equal(ledger.why, "");
	assert_true(ledger.closed);
	assert_int_equal(ledger.state, SCAN_DONE);
	assert_int_equal(ledger.scan, 7);
	assert_int_equal(ledger.frames_expected, FRAMES);
	assert_int_equal(ledger.frames_delivered, FRAMES - 1);
	assert_int_equal(ledger.frames_incomplete, 2);
	assert_int_equal(ledger.frames_lost, 1);
	assert_int_equal(ledger.events, 150);
	assert_int_equal(ledger.sectors, SECTORS);
	for (unsigned int i = 0; i < SECTORS; i++) {
		const struct ledger_sector *sector = &ledger.sector[i];
		uint64_t lost = 0;

		for (unsigned int c = 0; c < SLUICE_LOSS_COUNT; c++)
			lost += sector->lost[c];
		assert_int_equal(sector->expected, sector->delivered + lost);
	}
	assert_int_equal(ledger.sector[0].lost[SLUICE_LOSS_GAP], 2);
	assert_int_equal(ledger.sector[1].lost[SLUICE_LOSS_GAP], 0);
	assert_int_equal(ledger.sector[1].lost[SLUICE_LOSS_CRC], 1);
	free(json);
	scan_close(&s);
}

static void it_is_read_back_with_every_range(void **state)
{
	struct ledger ledger = { 0 }, again;
	json_t *root, *ranges;
	struct scan s;
	char *json;

	(void)state;
	scan_open(&s);
	assert_int_equal(work_out(&s, &ledger, &json), 0);
	memset(&again, 0, sizeof(again));
	assert_int_equal(ledger_decode(json, &again, NULL), 0);
	assert_memory_equal(&again, &ledger, sizeof(ledger));
	root = json_loads(json, 0, NULL);
	assert_int_equal(json_unpack(root, "{s:[{s:{s:{s:o}}}]}", "sectors", "lost", "gap",
				     "ranges", &ranges),
			 0);
	assert_int_equal(json_integer_value(json_array_get(json_array_get(ranges, 0), 0)), 3);
	assert_int_equal(json_integer_value(json_array_get(json_array_get(ranges, 0), 1)), 2);
	json_decref(root);
	free(json);
	scan_close(&s);
}

static void an_aborted_scan_closes_as_aborted(void **state)
{
	struct ledger ledger, again;
	struct scan s;
	char *json;

	(void)state;
	scan_open(&s);
	s.state = SCAN_ABORTED;
	assert_int_equal(work_out(&s, &ledger, &json), 0);
	assert_true(ledger.closed);
	assert_int_equal(ledger.state, SCAN_ABORTED);
	assert_int_equal(ledger_decode(json, &again, NULL), 0);
	assert_int_equal(again.state, SCAN_ABORTED);
	free(json);
	/* Aborted or not: what does not add up has failed. */
	s.consumer[0].blocks[0]++;
	assert_int_equal(work_out(&s, &ledger, &json), 0);
	assert_false(ledger.closed);
	assert_int_equal(ledger.state, SCAN_FAILED);
	free(json);
	scan_close(&s);
}

static void a_frame_that_nobody_accounts_for_is_named(void **state)
{
	struct scan s;

	(void)state;
	scan_open(&s);
	tally_close(s.tally[1]);
	assert_int_equal(tally_open(1, FRAMES, &s.tally[1]), 0);
	(void)tally_set(s.tally[1], 0, FRAMES - 1, TALLY_DELIVERED);
	(void)tally_set(s.tally[1], FRAMES - 1, 1, TALLY_SEEN);
	expect_open(&s, (const char *const[4]){ "server/board1", "expected 40", "delivered 39",
						"lost 0" });
	scan_close(&s);
}

static void a_board_with_another_number_of_frames_is_named(void **state)
{
	struct scan s;

	(void)state;
	scan_open(&s);
	tally_close(s.tally[1]);
	assert_int_equal(tally_open(1, FRAMES - 1, &s.tally[1]), 0);
	(void)tally_set(s.tally[1], 0, FRAMES - 1, TALLY_DELIVERED);
	expect_open(&s, (const char *const[4]){ "server/board1", "39", "plan 40" });
	scan_close(&s);
}

static void blocks_that_the_consumers_lack_are_named(void **state)
{
	struct scan s;

	(void)state;
	scan_open(&s);
	s.consumer[1].blocks[1]--;
	expect_open(&s, (const char *const[4]){ "sector 1", "server/board1", "39", "38" });
	scan_close(&s);
}

static void frames_that_the_consumers_lack_are_named(void **state)
{
	struct scan s;

	(void)state;
	scan_open(&s);
	s.consumer[0].frames--;
	expect_open(&s, (const char *const[4]){ "1 frames in all sectors", "lack 2" });
	s.consumer[0].frames = FRAMES;
	expect_open(&s, (const char *const[4]){ "committed 64 frames of 40" });
	scan_close(&s);
}

static void incomplete_frames_that_are_not_marked_are_named(void **state)
{
	struct scan s;

	(void)state;
	scan_open(&s);
	s.consumer[0].frames_incomplete = 1;
	expect_open(&s, (const char *const[4]){ "part of 2", "marked 1" });
	scan_close(&s);
}

static void a_half_that_is_missing_is_named(void **state)
{
	struct sluice_error error;
	struct ledger ledger;
	struct ledger_half half[4];
	struct scan s;
	char *json = NULL;

	(void)state;
	scan_open(&s);
	for (unsigned int i = 0; i < SECTORS; i++) {
		half[i] = (struct ledger_half){ s.plan.board[i].id,
						half_encode_board(s.tally[i], "b", 7, s.state,
								  &s.counts[i]) };
		half[SECTORS + i] = (struct ledger_half){
			s.plan.consumer[i].id, half_encode_consumer(&s.consumer[i], "c")
		};
	}
	for (unsigned int missing = 0; missing < 4; missing++) {
		struct ledger_half some[3];
		unsigned int n = 0;

		for (unsigned int i = 0; i < 4; i++) {
			if (i != missing)
				some[n++] = half[i];
		}
		error.text[0] = '\0';
		assert_int_equal(ledger_close(&s.plan, some, 3, &ledger, &json, &error), -EAGAIN);
		assert_non_null(strstr(error.text, half[missing].id));
		assert_null(json);
	}
	assert_int_equal(ledger_close(&s.plan, NULL, 0, &ledger, &json, NULL), -EAGAIN);
	/* One who joined later and is not in the plan counts as well. */
	s.plan.consumer_count = 1;
	assert_int_equal(ledger_close(&s.plan, half, 4, &ledger, &json, NULL), 0);
	assert_true(ledger.closed);
	free(json);
	for (unsigned int i = 0; i < 4; i++)
		free((char *)half[i].json);
	scan_close(&s);
}

/* A member that died will leave no half: the ledger is written, open, and says who. */
static void a_member_that_is_gone_is_named(void **state)
{
	struct ledger ledger, again;
	struct scan s;

	(void)state;
	scan_open(&s);
	for (unsigned int gone = 0; gone < 4; gone++) {
		struct ledger_half half[4];
		char *json;

		for (unsigned int i = 0; i < SECTORS; i++) {
			half[i] = (struct ledger_half){ s.plan.board[i].id,
							half_encode_board(s.tally[i], "b", 7,
									  s.state, &s.counts[i]) };
			half[SECTORS + i] = (struct ledger_half){
				s.plan.consumer[i].id, half_encode_consumer(&s.consumer[i], "c")
			};
		}
		free((char *)half[gone].json);
		half[gone].json = NULL;
		assert_int_equal(ledger_close(&s.plan, half, 4, &ledger, &json, NULL), 0);
		assert_false(ledger.closed);
		assert_int_equal(ledger.state, SCAN_FAILED);
		assert_non_null(strstr(ledger.why, half[gone].id));
		assert_non_null(strstr(ledger.why, "gone"));
		assert_int_equal(ledger_decode(json, &again, NULL), 0);
		assert_memory_equal(again.sector, ledger.sector, sizeof(ledger.sector));
		assert_string_equal(again.why, ledger.why);
		for (unsigned int i = 0; i < 4; i++)
			free((char *)half[i].json);
		free(json);
	}
	scan_close(&s);
}

static void a_half_that_is_none_is_refused_by_name(void **state)
{
	static const char *const texts[] = { "", "[]", "{}", "{\"sector\":0}" };
	struct ledger ledger;
	struct scan s;
	char *json = NULL, *other;

	(void)state;
	scan_open(&s);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		for (unsigned int m = 0; m < 2; m++) {
			const struct ledger_half half = { m ? "node0" : "server/board0", texts[i] };
			struct sluice_error error = { "" };

			assert_int_equal(ledger_close(&s.plan, &half, 1, &ledger, &json, &error),
					 -EBADMSG);
			assert_non_null(strstr(error.text, half.id));
		}
	}
	/* Board 0's account under board 1's name. */
	other = half_encode_board(s.tally[0], "b", 7, s.state, &s.counts[0]);
	{
		const struct ledger_half half = { "server/board1", other };
		struct sluice_error error = { "" };

		assert_int_equal(ledger_close(&s.plan, &half, 1, &ledger, &json, &error), -EBADMSG);
		assert_non_null(strstr(error.text, "sector 0"));
	}
	free(other);
	assert_null(json);
	scan_close(&s);
}

/* Every second frame lost, in more ranges than are told: the sums still have to agree. */
static void ranges_that_are_omitted_do_not_keep_it_open(void **state)
{
	const uint64_t frames = 100000;
	const struct half_counts none = { 0 };
	struct ledger ledger, again;
	struct ledger_half half[SECTORS + 1];
	struct half_consumer consumer = { .scan = 7, .frames = frames / 2 };
	struct tally *tally;
	struct scan s;
	char *json;

	(void)state;
	scan_open(&s);
	s.plan.scan_columns = (uint32_t)frames / 2;
	s.plan.scan_rows = 2;
	s.plan.frames_expected = frames;
	s.plan.consumer_count = 1;
	for (unsigned int i = 0; i < SECTORS; i++) {
		assert_int_equal(tally_open((uint16_t)i, frames, &tally), 0);
		for (uint64_t f = 0; f < frames; f += 2)
			(void)tally_set(tally, f, 1, TALLY_LOST + SLUICE_LOSS_GAP);
		(void)tally_set(tally, 0, frames, TALLY_DELIVERED);
		half[i] = (struct ledger_half){ s.plan.board[i].id,
						half_encode_board(tally, s.plan.board[i].id, 7,
								  SCAN_DONE, &none) };
		assert_true(strlen(half[i].json) < VALUE_MAX);
		tally_close(tally);
		consumer.blocks[i] = frames / 2;
	}
	half[SECTORS] = (struct ledger_half){ "node0", half_encode_consumer(&consumer, "node0") };
	assert_int_equal(ledger_close(&s.plan, half, SECTORS + 1, &ledger, &json, NULL), 0);
	assert_true(ledger.closed);
	assert_int_equal(ledger.frames_lost, frames / 2);
	/* It must go into the directory, and come back. */
	assert_true(strlen(json) < VALUE_MAX);
	assert_int_equal(ledger_decode(json, &again, NULL), 0);
	assert_int_equal(again.sector[1].lost[SLUICE_LOSS_GAP], frames / 2);
	for (unsigned int i = 0; i <= SECTORS; i++)
		free((char *)half[i].json);
	free(json);
	scan_close(&s);
}

/* All sectors together have far more ranges than one value of the directory has room for. */
static void the_ledger_of_many_sectors_fits_the_directory(void **state)
{
	const uint64_t frames = 60000;
	const struct half_counts none = { 0 };
	struct ledger_half half[SLUICE_SECTORS_MAX];
	static struct scan_plan plan;
	struct ledger ledger, again;
	struct tally *tally;
	uint64_t omitted = 0, told = 0;
	json_t *root, *sector;
	char *json;
	size_t i;

	(void)state;
	plan = (struct scan_plan){ .scan = 7,
				   .frames_expected = frames,
				   .run_frames = 16,
				   .board_count = SLUICE_SECTORS_MAX };
	for (unsigned int s = 0; s < SLUICE_SECTORS_MAX; s++) {
		(void)snprintf(plan.board[s].id, SLUICE_WIRE_NAME_MAX, "board%u", s);
		plan.board[s].sector = (uint16_t)s;
		assert_int_equal(tally_open((uint16_t)s, frames, &tally), 0);
		for (uint64_t f = 0; f < frames; f++)
			(void)tally_set(tally, f, 1,
					TALLY_LOST + (f % 4 ? SLUICE_LOSS_GAP : SLUICE_LOSS_CUT));
		half[s] = (struct ledger_half){ plan.board[s].id,
						half_encode_board(tally, plan.board[s].id, 7,
								  SCAN_DONE, &none) };
		tally_close(tally);
	}
	assert_int_equal(ledger_close(&plan, half, SLUICE_SECTORS_MAX, &ledger, &json, NULL), 0);
	assert_true(strlen(json) < VALUE_MAX);
	assert_int_equal(ledger_decode(json, &again, NULL), 0);
	assert_memory_equal(again.sector, ledger.sector, sizeof(ledger.sector));
	root = json_loads(json, 0, NULL);
	json_array_foreach(json_object_get(root, "sectors"), i, sector)
	{
		json_t *one;
		const char *name;

		omitted += (uint64_t)json_integer_value(json_object_get(sector, "ranges_omitted"));
		json_object_foreach(json_object_get(sector, "lost"), name, one)
			told += json_array_size(json_object_get(one, "ranges"));
	}
	/* Each sector has as many ranges of either cause as there are fours of frames. */
	assert_int_equal(told + omitted, SLUICE_SECTORS_MAX * 2 * (frames / 4));
	assert_true(told > 0);
	json_decref(root);
	for (unsigned int s = 0; s < SLUICE_SECTORS_MAX; s++)
		free((char *)half[s].json);
	free(json);
}

static void what_is_no_ledger_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{}",
		"{\"scan\":0}",
		"{\"scan\":1,\"frames_expected\":-1}",
		"{\"scan\":1,\"frames_expected\":1,\"frames_delivered\":1,\"frames_incomplete\":0,"
		"\"frames_lost\":0,\"events\":0,\"state\":\"merry\",\"sectors\":[]}",
		"{\"scan\":1,\"frames_expected\":1,\"frames_delivered\":1,\"frames_incomplete\":0,"
		"\"frames_lost\":0,\"events\":0,\"state\":\"done\",\"sectors\":[{}]}",
		"{\"scan\":1,\"frames_expected\":1,\"frames_delivered\":1,\"frames_incomplete\":0,"
		"\"frames_lost\":0,\"events\":0,\"state\":\"done\"}",
	};
	struct ledger ledger, before;

	(void)state;
	memset(&ledger, 0x5a, sizeof(ledger));
	before = ledger;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct sluice_error error = { "" };

		assert_int_equal(ledger_decode(texts[i], &ledger, &error), -EBADMSG);
		assert_true(error.text[0] != '\0');
		assert_memory_equal(&ledger, &before, sizeof(ledger));
	}
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(a_ledger_closes_when_all_agree),
		cmocka_unit_test(it_is_read_back_with_every_range),
		cmocka_unit_test(an_aborted_scan_closes_as_aborted),
		cmocka_unit_test(a_frame_that_nobody_accounts_for_is_named),
		cmocka_unit_test(a_board_with_another_number_of_frames_is_named),
		cmocka_unit_test(blocks_that_the_consumers_lack_are_named),
		cmocka_unit_test(frames_that_the_consumers_lack_are_named),
		cmocka_unit_test(incomplete_frames_that_are_not_marked_are_named),
		cmocka_unit_test(a_half_that_is_missing_is_named),
		cmocka_unit_test(a_member_that_is_gone_is_named),
		cmocka_unit_test(a_half_that_is_none_is_refused_by_name),
		cmocka_unit_test(ranges_that_are_omitted_do_not_keep_it_open),
		cmocka_unit_test(the_ledger_of_many_sectors_fits_the_directory),
		cmocka_unit_test(what_is_no_ledger_is_refused),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
