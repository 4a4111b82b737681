/* SPDX-License-Identifier: MIT */
/* scan/ledger.h: a tally says of each frame what became of it, once and for all. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <scan/ledger.h>

enum {
	FRAMES = 100
};

static int setup(void **state)
{
	struct tally *tally = NULL;

	if (tally_open(3, FRAMES, &tally) < 0)
		return -1;
	*state = tally;
	return 0;
}

static int teardown(void **state)
{
	tally_close(*state);
	return 0;
}

static void all_frames_are_unseen_at_first(void **state)
{
	for (uint64_t f = 0; f < FRAMES; f++)
		assert_int_equal(tally_fate(*state, f), TALLY_UNSEEN);
}

static void a_tally_has_at_least_one_frame_and_not_too_many(void **state)
{
	struct tally *tally = NULL;

	(void)state;
	assert_int_equal(tally_open(0, 0, &tally), -EINVAL);
	assert_int_equal(tally_open(0, PLAN_FRAMES_MAX + UINT64_C(1), &tally), -EINVAL);
	assert_int_equal(tally_open(0, UINT64_MAX, &tally), -EINVAL);
	assert_null(tally);
	tally_close(NULL);
}

static void frames_move_on_and_are_counted(void **state)
{
	assert_int_equal(tally_set(*state, 10, 5, TALLY_SEEN), 5);
	assert_int_equal(tally_fate(*state, 9), TALLY_UNSEEN);
	assert_int_equal(tally_fate(*state, 10), TALLY_SEEN);
	assert_int_equal(tally_fate(*state, 14), TALLY_SEEN);
	assert_int_equal(tally_fate(*state, 15), TALLY_UNSEEN);
	assert_int_equal(tally_set(*state, 10, 5, TALLY_DELIVERED), 5);
	assert_int_equal(tally_fate(*state, 12), TALLY_DELIVERED);
	assert_int_equal(tally_set(*state, FRAMES, 0, TALLY_SEEN), 0);
	assert_int_equal(tally_set(*state, FRAMES - 1, 1, TALLY_SEEN), 1);
}

static void what_is_delivered_or_lost_stays_so(void **state)
{
	assert_int_equal(tally_set(*state, 0, 2, TALLY_DELIVERED), 2);
	assert_int_equal(tally_set(*state, 2, 2, TALLY_LOST + SLUICE_LOSS_CRC), 2);
	assert_int_equal(tally_set(*state, 0, 5, TALLY_LOST + SLUICE_LOSS_PEER), 1);
	assert_int_equal(tally_set(*state, 0, 5, TALLY_DELIVERED), 0);
	assert_int_equal(tally_set(*state, 0, 5, TALLY_SEEN), 0);
	assert_int_equal(tally_fate(*state, 0), TALLY_DELIVERED);
	assert_int_equal(tally_fate(*state, 3), TALLY_LOST + SLUICE_LOSS_CRC);
	assert_int_equal(tally_fate(*state, 4), TALLY_LOST + SLUICE_LOSS_PEER);
}

static void only_what_is_lost_gets_a_better_cause(void **state)
{
	(void)tally_set(*state, 0, 1, TALLY_DELIVERED);
	(void)tally_set(*state, 1, 1, TALLY_SEEN);
	(void)tally_set(*state, 2, 1, TALLY_LOST + SLUICE_LOSS_GAP);
	for (uint64_t f = 0; f < 4; f++)
		tally_recause(*state, f, SLUICE_LOSS_SEQUENCE);
	assert_int_equal(tally_fate(*state, 0), TALLY_DELIVERED);
	assert_int_equal(tally_fate(*state, 1), TALLY_SEEN);
	assert_int_equal(tally_fate(*state, 2), TALLY_LOST + SLUICE_LOSS_SEQUENCE);
	assert_int_equal(tally_fate(*state, 3), TALLY_UNSEEN);
}

static void every_cause_has_its_own_name(void **state)
{
	(void)state;
	for (unsigned int a = 0; a < SLUICE_LOSS_COUNT; a++) {
		for (unsigned int b = 0; b < a; b++)
			assert_string_not_equal(loss_name((enum sluice_loss)a),
						loss_name((enum sluice_loss)b));
	}
	assert_string_equal(loss_name(SLUICE_LOSS_GAP), "gap");
	assert_string_equal(loss_name(SLUICE_LOSS_PROCESS), "process");
	assert_string_equal(loss_name(SLUICE_LOSS_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test_setup_teardown(all_frames_are_unseen_at_first, setup, teardown),
		cmocka_unit_test(a_tally_has_at_least_one_frame_and_not_too_many),
		cmocka_unit_test_setup_teardown(frames_move_on_and_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_delivered_or_lost_stays_so, setup,
						teardown),
		cmocka_unit_test_setup_teardown(only_what_is_lost_gets_a_better_cause, setup,
						teardown),
		cmocka_unit_test(every_cause_has_its_own_name),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
