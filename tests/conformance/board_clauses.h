/* SPDX-License-Identifier: MIT */
/*
 * board_clauses.h - the clauses of firmware-iface/interface.md that can be seen from a program,
 * each named by its section. *state is a struct bench, with the board idle.
 *
 * Ownership: none. Threads: one. Errors: the running test fails.
 */
#ifndef BOARD_CLAUSES_H
#define BOARD_CLAUSES_H

#include "board_bench.h"

enum {
	CLAUSE_FRAMES = 40,       /* of a scan of which only the outcome counts */
	CLAUSE_ENDLESS = 1 << 28, /* frames of one that is to be ended by hand */
};

static inline bool clause_has(const struct bench *bench, uint32_t capability)
{
	return (bench->info.capabilities & capability) != 0;
}

/* board_control.c: what the board is, and what it does when it is told. */
void section_2_2_identity_is_within_limits(void **state);
void section_2_1_no_register_reads_all_ones(void **state);
void section_2_3_geometry_is_that_of_a_block(void **state);
void section_3_1_arm_and_run_lead_through_the_states(void **state);
void section_3_1_commands_in_the_wrong_state_are_refused(void **state);
void section_3_1_scans_that_cannot_be_are_refused(void **state);
void section_3_1_stop_lets_what_the_board_holds_come(void **state);
void section_3_1_stop_and_abort_in_idle_are_done(void **state);
void section_3_1_abort_ends_reads_at_once(void **state);
void section_3_1_what_the_board_cannot_send_is_dropped_by_stop(void **state);
void section_3_2_counter_pattern(void **state);
void section_3_2_prbs_pattern(void **state);
void section_3_2_detector(void **state);
void section_3_2_scans_of_few_frames(void **state);

/* board_data.c: chunks, completions, interrupts, accounts. */
void section_4_2_chunks_have_any_alignment_and_length(void **state);
void section_4_2_tags_go_round(void **state);
void section_4_3_chunks_are_full_or_end_at_a_border(void **state);
void section_4_3_beyond_the_end_there_is_nothing(void **state);
void section_4_4_interrupts_coalesce(void **state);
void section_4_4_the_end_does_not_wait_for_others(void **state);
void section_4_4_a_polled_scan_raises_no_interrupt(void **state);
void section_5_1_counters_are_those_of_the_scan(void **state);
void section_5_2_the_buffer_holds_what_it_says(void **state);
void section_5_2_the_board_stalls_before_it_drops(void **state);
void section_5_3_surroundings_can_be(void **state);

#endif /* BOARD_CLAUSES_H */
