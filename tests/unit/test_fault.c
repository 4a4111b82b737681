/* SPDX-License-Identifier: MIT */
/* model/fault.h: orders are taken strictly, and befall exactly the blocks they name. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <model/fault.h>
#include <model/model.h>

static struct fault_list list;

static int clear(void **state)
{
	(void)state;
	memset(&list, 0, sizeof(list));
	return 0;
}

static void lists_and_ranges_befall_their_frames(void **state)
{
	(void)state;
	assert_int_equal(fault_add(&list, "drop=5,10-12", NULL), 0);
	for (uint64_t f = 0; f < 20; f++)
		assert_int_equal(fault_at(&list, FAULT_DROP, 3, f, NULL),
				 f == 5 || (f >= 10 && f <= 12));
	assert_false(fault_at(&list, FAULT_CORRUPT, 3, 5, NULL));
}

static void every_befalls_the_last_of_so_many(void **state)
{
	(void)state;
	assert_int_equal(fault_add(&list, "corrupt=every:4", NULL), 0);
	for (uint64_t f = 0; f < 20; f++)
		assert_int_equal(fault_at(&list, FAULT_CORRUPT, 0, f, NULL), f % 4 == 3);
}

static void a_sector_is_meant_alone(void **state)
{
	(void)state;
	assert_int_equal(fault_add(&list, "2/badheader=0", NULL), 0);
	for (uint16_t s = 0; s < 4; s++)
		assert_int_equal(fault_at(&list, FAULT_BADHEADER, s, 0, NULL), s == 2);
}

static void numbers_behind_the_frame_are_kept(void **state)
{
	uint32_t value = 99;

	(void)state;
	assert_int_equal(fault_add(&list, "stall=7:250", NULL), 0);
	assert_int_equal(fault_add(&list, "stall=8", NULL), 0);
	assert_int_equal(fault_add(&list, "garbage=1:100", NULL), 0);
	assert_int_equal(fault_add(&list, "missing=2:3", NULL), 0);
	assert_int_equal(fault_add(&list, "cut=9", NULL), 0);
	assert_true(fault_at(&list, FAULT_STALL, 0, 7, &value));
	assert_int_equal(value, 250);
	assert_true(fault_at(&list, FAULT_STALL, 0, 8, &value));
	assert_int_equal(value, 0);
	assert_true(fault_at(&list, FAULT_GARBAGE, 0, 1, &value));
	assert_int_equal(value, 100);
	assert_true(fault_at(&list, FAULT_MISSING, 0, 2, &value));
	assert_int_equal(value, 3);
	assert_true(fault_at(&list, FAULT_CUT, 0, 9, &value));
	assert_false(fault_at(&list, FAULT_GARBAGE, 0, 2, &value));
	assert_int_equal(value, 0);
}

/* What several orders ask for together stays within the limit that memory was made for. */
static void bytes_add_up_to_the_limit_and_no_further(void **state)
{
	uint32_t value;

	(void)state;
	assert_int_equal(fault_add(&list, "garbage=1:10", NULL), 0);
	assert_int_equal(fault_add(&list, "garbage=1:20", NULL), 0);
	assert_true(fault_at(&list, FAULT_GARBAGE, 0, 1, &value));
	assert_int_equal(value, 30);
	assert_int_equal(fault_add(&list, "garbage=1:1048576", NULL), 0);
	assert_true(fault_at(&list, FAULT_GARBAGE, 0, 1, &value));
	assert_int_equal(value, FAULT_BYTES_MAX);
}

static void bad_orders_are_refused_and_change_nothing(void **state)
{
	static const struct {
		const char *order;
		int code;
	} bad[] = {
		{ "", -EINVAL },
		{ "drop", -EINVAL },
		{ "=5", -EINVAL },
		{ "drop=", -EINVAL },
		{ "drop=,", -EINVAL },
		{ "drop=5,", -EINVAL },
		{ "drop= 5", -EINVAL },
		{ "drop=-5", -EINVAL },
		{ "drop=5-", -EINVAL },
		{ "drop=5-4", -ERANGE },
		{ "drop=1,2,x", -EINVAL },
		{ "drop=268435456", -ERANGE },
		{ "drop=every:0", -ERANGE },
		{ "drop=every:", -EINVAL },
		{ "drop=1,every:2", -EINVAL },
		{ "Drop=1", -EINVAL },
		{ "lose=1", -EINVAL },
		{ "32/drop=1", -ERANGE },
		{ "/drop=1", -EINVAL },
		{ "x/drop=1", -EINVAL },
		{ "1/2/drop=1", -EINVAL },
		{ "cut=1:2", -EINVAL },
		{ "cut=1,2", -EINVAL },
		{ "stall=1:0", -ERANGE },
		{ "stall=1:3600001", -ERANGE },
		{ "stall=1:", -EINVAL },
		{ "garbage=1", -EINVAL },
		{ "garbage=1:1048577", -ERANGE },
		{ "missing=1:0", -ERANGE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sluice_error error = { "" };

		assert_int_equal(fault_add(&list, bad[i].order, &error), bad[i].code);
		assert_non_null(strstr(error.text, bad[i].order));
		assert_non_null(strstr(error.text, "allowed"));
		assert_int_equal(list.count, 0);
	}
}

static void there_is_a_limit_with_a_name(void **state)
{
	char order[FAULT_TEXT_MAX + 2] = "drop=";
	struct sluice_error error;

	(void)state;
	for (unsigned int i = 0; i < FAULT_ENTRIES_MAX; i++)
		assert_int_equal(fault_add(&list, "drop=1", NULL), 0);
	assert_int_equal(fault_add(&list, "drop=1", &error), -ENOSPC);
	assert_non_null(strstr(error.text, "256"));
	assert_int_equal(list.count, FAULT_ENTRIES_MAX);
	memset(order + 5, '1', sizeof(order) - 6);
	assert_int_equal(fault_add(&list, order, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(lists_and_ranges_befall_their_frames, clear),
		cmocka_unit_test_setup(every_befalls_the_last_of_so_many, clear),
		cmocka_unit_test_setup(a_sector_is_meant_alone, clear),
		cmocka_unit_test_setup(numbers_behind_the_frame_are_kept, clear),
		cmocka_unit_test_setup(bytes_add_up_to_the_limit_and_no_further, clear),
		cmocka_unit_test_setup(bad_orders_are_refused_and_change_nothing, clear),
		cmocka_unit_test_setup(there_is_a_limit_with_a_name, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
