/* SPDX-License-Identifier: MIT */
/* scan/ledger.h: what a board counted and what its daemon found must be the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sluice/error.h>

#include "ledger_fixture.h"

static void blocks_that_the_board_sent_and_nobody_read_are_named(void **state)
{
	struct ledger ledger;
	struct scan s;
	char *json;

	(void)state;
	scan_open(&s);
	s.counts[1].blocks_read--;
	expect_open(&s, (const char *const[4]){ "server/board1", "sent 40", "read 39" });
	/* Where bytes were skipped they may have been in them. */
	s.counts[1].bytes_skipped = 1;
	assert_int_equal(work_out(&s, &ledger, &json), 0);
	assert_true(ledger.closed);
	free(json);
	/* Where the scan was cut short they were not read to the end. */
	s.counts[1].bytes_skipped = 0;
	(void)strcpy(s.counts[1].reason, "nothing came for 10 ms");
	assert_int_equal(work_out(&s, &ledger, &json), 0);
	assert_true(ledger.closed);
	assert_string_equal(ledger.sector[1].counts.reason, "nothing came for 10 ms");
	free(json);
	/* Nor where the board does not tell. */
	s.counts[1].reason[0] = '\0';
	s.counts[1].board_known = false;
	assert_int_equal(work_out(&s, &ledger, &json), 0);
	assert_true(ledger.closed);
	free(json);
	scan_close(&s);
}

/* The board of sector 0, which dropped 2 frames, is one of our driver's. */
static void with_causes(struct scan *s)
{
	s->counts[0].has_whole_blocks = true;
	s->counts[0].board_has_causes = true;
	s->counts[0].board_overflow = 2;
}

static void what_the_board_dropped_is_in_the_ledger_by_cause(void **state)
{
	struct ledger ledger, again;
	struct scan s;
	char *json;

	(void)state;
	scan_open(&s);
	with_causes(&s);
	s.counts[0].board_stall_ns = 77;
	assert_int_equal(work_out(&s, &ledger, &json), 0);
	assert_string_equal(ledger.why, "");
	assert_int_equal(ledger_decode(json, &again, NULL), 0);
	assert_true(again.sector[0].counts.board_has_causes);
	assert_int_equal(again.sector[0].counts.board_overflow, 2);
	assert_int_equal(again.sector[0].counts.board_link, 0);
	assert_int_equal(again.sector[0].counts.board_stall_ns, 77);
	assert_false(again.sector[1].counts.board_has_causes);
	assert_non_null(strstr(json, "\"dropped_by\":{\"overflow\":2,\"link\":0,\"stop\":0}"));
	free(json);
	scan_close(&s);
}

/* Each counter that is off by one in turn, and what the ledger says of it. */
static void counters_that_do_not_reconcile_are_named_with_both_numbers(void **state)
{
	struct scan s;

	(void)state;
	scan_open(&s);
	with_causes(&s);
	s.counts[0].board_generated++;
	expect_open(&s, (const char *const[4]){ "server/board0", "41 blocks were made", "38 sent",
						"2 dropped" });
	s.counts[0].board_dropped++;
	expect_open(&s, (const char *const[4]){ "server/board0", "41 blocks were made",
						"the scan has 40" });
	s.counts[0].board_generated--;
	s.counts[0].board_sent--;
	expect_open(&s, (const char *const[4]){ "server/board0", "sent 37", "read 38" });
	/* A frame that was not made, and another that was sent twice. */
	s.counts[0].board_sent += 2;
	s.counts[0].board_dropped -= 2;
	s.counts[0].blocks_repeated = 1;
	expect_open(&s, (const char *const[4]){ "server/board0", "dropped 1", "2 never came" });
	scan_close(&s);
}

/* Broken blocks of a source of whole blocks are blocks all the same. */
static void broken_blocks_are_reconciled(void **state)
{
	struct ledger ledger;
	struct scan s;
	char *json;

	(void)state;
	scan_open(&s);
	with_causes(&s);
	s.counts[0].board_sent++;
	s.counts[0].board_dropped--;
	s.counts[0].board_overflow--;
	expect_open(&s, (const char *const[4]){ "server/board0", "sent 39", "read 38" });
	s.counts[0].blocks_skipped = 1;
	s.counts[0].bytes_skipped = 88;
	assert_int_equal(work_out(&s, &ledger, &json), 0);
	assert_string_equal(ledger.why, "");
	free(json);
	scan_close(&s);
}

static void a_counter_that_went_back_is_named(void **state)
{
	struct ledger ledger;
	struct scan s;
	char *json;

	(void)state;
	scan_open(&s);
	with_causes(&s);
	(void)strcpy(s.counts[0].board_flaw, "blocks_out went from 9 to 3");
	s.counts[0].board_sent = UINT64_MAX - 5;
	expect_open(&s, (const char *const[4]){ "server/board0", "blocks_out went from 9 to 3" });
	/* A scan that failed says why, and its counters prove nothing. */
	(void)strcpy(s.counts[0].reason, "reading failed: the board failed inside");
	assert_int_equal(work_out(&s, &ledger, &json), 0);
	assert_true(ledger.closed);
	free(json);
	scan_close(&s);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(blocks_that_the_board_sent_and_nobody_read_are_named),
		cmocka_unit_test(what_the_board_dropped_is_in_the_ledger_by_cause),
		cmocka_unit_test(counters_that_do_not_reconcile_are_named_with_both_numbers),
		cmocka_unit_test(broken_blocks_are_reconciled),
		cmocka_unit_test(a_counter_that_went_back_is_named),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
