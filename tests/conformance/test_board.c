/* SPDX-License-Identifier: MIT */
/*
 * The conformance suite of a readout board: each test is a clause of firmware-iface/interface.md,
 * named by its section. It sees the board as a program does, through board_access.h.
 *
 *   test_board_device [/dev/sluice0]   a board behind the driver; or named by SLUICE_TEST_DEVICE
 *   test_board_model u8 u16 ...        the model's card, in shapes of board_model.c
 *
 * SLUICE_TEST_BLOCKS is the length of the long scans, in blocks; SLUICE_TEST_LONG adds the clause
 * that takes 66000 chunks where blocks are large. After each clause the next scan must be good.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "board_bench.h"
#include "board_check.h"
#include "board_clauses.h"

enum {
	EXIT_SKIP = 77,
	BLOCKS_DEFAULT = 512,
	BLOCKS_MAX = 1 << 28,
};

/* The suite's CRC is its own: it must be the one of the contract. */
static void the_suite_knows_its_crc(void **state)
{
	(void)state;
	assert_int_equal(check_crc32c("123456789", 9), 0xe3069283);
}

/* A clause that failed, or the scan after it, may have left a scan, and reads, behind. */
static int clean_up(void **state)
{
	struct bench *const b = *state;

	(void)board_access.stop(b->io, SLUICE_UAPI_STOP_ABORT);
	while (b->under_way > 0) {
		if (board_access.read_wait(b->io, &b->read[b->first], BENCH_TIMEOUT_NS) < 0)
			return -1;
		b->first = (b->first + 1) % b->depth;
		b->under_way--;
	}
	return 0;
}

/* Whatever went before, the next scan is good. */
static int next_scan_is_good(void **state)
{
	struct bench *const b = *state;
	struct bench_scan s;

	if (clean_up(state) < 0)
		return -1;
	bench_whole_scan(b, bench_any_source(b), CLAUSE_FRAMES, &s);
	return 0;
}

#define CLAUSE(name) cmocka_unit_test_prestate_setup_teardown(name, clean_up, next_scan_is_good, b)

static int run_suite(const char *where, struct bench *b)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(the_suite_knows_its_crc),
		CLAUSE(section_2_1_no_register_reads_all_ones),
		CLAUSE(section_2_2_identity_is_within_limits),
		CLAUSE(section_2_3_geometry_is_that_of_a_block),
		CLAUSE(section_3_1_arm_and_run_lead_through_the_states),
		CLAUSE(section_3_1_commands_in_the_wrong_state_are_refused),
		CLAUSE(section_3_1_scans_that_cannot_be_are_refused),
		CLAUSE(section_3_1_stop_lets_what_the_board_holds_come),
		CLAUSE(section_3_1_stop_and_abort_in_idle_are_done),
		CLAUSE(section_3_1_abort_ends_reads_at_once),
		CLAUSE(section_3_1_what_the_board_cannot_send_is_dropped_by_stop),
		CLAUSE(section_3_2_counter_pattern),
		CLAUSE(section_3_2_prbs_pattern),
		CLAUSE(section_3_2_detector),
		CLAUSE(section_3_2_scans_of_few_frames),
		CLAUSE(section_4_2_chunks_have_any_alignment_and_length),
		CLAUSE(section_4_2_tags_go_round),
		CLAUSE(section_4_3_chunks_are_full_or_end_at_a_border),
		CLAUSE(section_4_3_beyond_the_end_there_is_nothing),
		CLAUSE(section_4_4_interrupts_coalesce),
		CLAUSE(section_4_4_the_end_does_not_wait_for_others),
		CLAUSE(section_4_4_a_polled_scan_raises_no_interrupt),
		CLAUSE(section_5_1_counters_are_those_of_the_scan),
		CLAUSE(section_5_2_the_buffer_holds_what_it_says),
		CLAUSE(section_5_2_the_board_stalls_before_it_drops),
		CLAUSE(section_5_3_surroundings_can_be),
	};

	return cmocka_run_group_tests_name(where, suite, NULL, NULL);
}

/* Opened outside of a test: what fails there is said in a line, and is no clause. */
static int test_board(const char *where, uint64_t blocks)
{
	struct bench b = { 0 };
	struct board_io *io;
	int ret, failed;

	ret = board_access.open(where, &io);
	if (ret < 0) {
		(void)fprintf(stderr, "%s: cannot open: %s\n", where, strerrordesc_np(-ret));
		return 1;
	}
	ret = bench_open(&b, io);
	if (ret < 0) {
		(void)fprintf(stderr, "%s: does not tell what it is: %s\n", where,
			      strerrordesc_np(-ret));
		return 1;
	}
	b.blocks = blocks;
	failed = run_suite(where, &b);
	bench_close(&b);
	return failed;
}

static int parse_blocks(const char *text, uint64_t *ret_blocks)
{
	char *end;
	unsigned long long v;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || *end != '\0')
		return -EINVAL;
	if (v < 1 || v > BLOCKS_MAX)
		return -ERANGE;
	*ret_blocks = v;
	return 0;
}

int main(int argc, char **argv)
{
	const char *const text = getenv("SLUICE_TEST_BLOCKS");
	const char *const named = board_access.variable ? getenv(board_access.variable) : NULL;
	uint64_t blocks = BLOCKS_DEFAULT;
	int failed = 0;

	if (text && parse_blocks(text, &blocks) < 0) {
		(void)fprintf(stderr, "SLUICE_TEST_BLOCKS=%s: a number from 1 to %d\n", text,
			      BLOCKS_MAX);
		return EXIT_FAILURE;
	}
	if (argc < 2 && !named) {
		printf("no board: set %s\n",
		       board_access.variable ? board_access.variable : "its name as an argument");
		return EXIT_SKIP;
	}
	for (int i = 1; i < argc; i++)
		failed += test_board(argv[i], blocks);
	if (argc < 2)
		failed = test_board(named, blocks);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
