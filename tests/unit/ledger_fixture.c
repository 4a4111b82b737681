/* SPDX-License-Identifier: MIT */
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

void scan_open(struct scan *s)
{
	*s = (struct scan){ .state = SCAN_DONE };
	s->plan = (struct scan_plan){ .scan = 7,
				      .epoch = 1,
				      .scan_columns = FRAMES,
				      .scan_rows = 1,
				      .frames_per_position = 1,
				      .frames_expected = FRAMES,
				      .run_frames = 16,
				      .board_count = SECTORS,
				      .aggregator_count = 1,
				      .consumer_count = 2 };
	(void)strcpy(s->plan.consumer[0].id, "node0");
	(void)strcpy(s->plan.consumer[1].id, "node1");
	for (unsigned int i = 0; i < SECTORS; i++) {
		(void)snprintf(s->plan.board[i].id, SLUICE_WIRE_NAME_MAX, "server/board%u", i);
		s->plan.board[i].sector = (uint16_t)i;
		assert_int_equal(tally_open((uint16_t)i, FRAMES, &s->tally[i]), 0);
		(void)tally_set(s->tally[i], 9, 1, TALLY_LOST + SLUICE_LOSS_CRC);
		s->counts[i] = (struct half_counts){ .board_known = true,
						     .blocks_read = i == 0 ? FRAMES - 2 : FRAMES,
						     .board_generated = FRAMES,
						     .board_dropped = i == 0 ? 2 : 0,
						     .board_sent = i == 0 ? FRAMES - 2 : FRAMES };
	}
	(void)tally_set(s->tally[0], 3, 2, TALLY_LOST + SLUICE_LOSS_GAP);
	for (unsigned int i = 0; i < SECTORS; i++)
		(void)tally_set(s->tally[i], 0, FRAMES, TALLY_DELIVERED);
	/* Node 0 got run 0, node 1 the others. */
	s->consumer[0] = (struct half_consumer){
		.scan = 7, .blocks = { 13, 15 }, .frames = 15, .frames_incomplete = 2, .events = 100
	};
	s->consumer[1] = (struct half_consumer){
		.scan = 7, .blocks = { 24, 24 }, .frames = 24, .events = 50
	};
}

void scan_close(struct scan *s)
{
	for (unsigned int i = 0; i < SECTORS; i++)
		tally_close(s->tally[i]);
}

int work_out(const struct scan *s, struct ledger *ret_ledger, char **ret_json)
{
	struct sluice_error error = { "" };
	struct ledger_half half[4];
	int ret;

	for (unsigned int i = 0; i < SECTORS; i++) {
		half[i] = (struct ledger_half){ s->plan.board[i].id,
						half_encode_board(s->tally[i], s->plan.board[i].id,
								  7, s->state, &s->counts[i]) };
		half[SECTORS + i] = (struct ledger_half){
			s->plan.consumer[i].id,
			half_encode_consumer(&s->consumer[i], s->plan.consumer[i].id)
		};
	}
	ret = ledger_close(&s->plan, half, 4, ret_ledger, ret_json, &error);
	if (ret < 0)
		print_message("%s\n", error.text);
	for (unsigned int i = 0; i < 4; i++)
		free((char *)half[i].json);
	return ret;
}

void expect_open(const struct scan *s, const char *const words[4])
{
	struct ledger ledger, again;
	char *json;

	assert_int_equal(work_out(s, &ledger, &json), 0);
	assert_false(ledger.closed);
	assert_int_equal(ledger.state, SCAN_FAILED);
	for (unsigned int i = 0; i < 4 && words[i]; i++) {
		if (!strstr(ledger.why, words[i]))
			fail_msg("\"%s\" has no \"%s\"", ledger.why, words[i]);
	}
	assert_int_equal(ledger_decode(json, &again, NULL), 0);
	assert_false(again.closed);
	assert_string_equal(again.why, ledger.why);
	free(json);
}
