/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <directory/watch_view.h>

static char told[4096];

static void tell(void *ctx, enum directory_change change, const char *key, const char *value,
		 int64_t revision)
{
	const size_t len = strlen(told);

	(void)ctx;
	(void)snprintf(told + len, sizeof(told) - len, "%c%s=%s@%lld ",
		       change == DIRECTORY_PUT ? '+' : '-', key, value ? value : "",
		       (long long)revision);
}

struct given {
	const char *key, *value;
	int64_t revision;
};

static void compare(struct watch_view *view, const struct given *given, unsigned int count,
		    const char *expected)
{
	struct directory_entries entries = { .count = count };

	entries.entry = calloc(count + 1, sizeof(*entries.entry));
	assert_non_null(entries.entry);
	for (unsigned int i = 0; i < count; i++) {
		(void)snprintf(entries.entry[i].key, sizeof(entries.entry[i].key), "%s",
			       given[i].key);
		entries.entry[i].value = strdup(given[i].value);
		entries.entry[i].revision = given[i].revision;
	}
	told[0] = '\0';
	assert_int_equal(watch_view_compare(view, &entries, 100, tell, NULL), 0);
	assert_string_equal(told, expected);
	directory_entries_free(&entries);
}

static void apply(struct watch_view *view, enum directory_change change, const char *key,
		  int64_t revision, const char *expected)
{
	struct directory_entry entry = { .value = (char *)"v", .revision = revision };

	(void)snprintf(entry.key, sizeof(entry.key), "%s", key);
	told[0] = '\0';
	assert_int_equal(watch_view_apply(view, change, &entry, tell, NULL), 0);
	assert_string_equal(told, expected);
}

static void test_the_difference_is_told(void **state)
{
	struct watch_view view = { 0 };
	const struct given first[] = { { "b", "1", 7 }, { "a", "2", 9 }, { "c", "3", 8 } };
	const struct given second[] = { { "a", "2", 9 }, { "c", "4", 12 }, { "d", "5", 11 } };

	(void)state;
	compare(&view, first, 3, "+b=1@7 +c=3@8 +a=2@9 ");
	compare(&view, first, 3, "");
	compare(&view, second, 3, "-b=@100 +d=5@11 +c=4@12 ");
	compare(&view, NULL, 0, "-d=@100 -c=@100 -a=@100 ");
	compare(&view, NULL, 0, "");
	watch_view_fini(&view);
	watch_view_fini(&view);
}

/* As after a store was emptied: the same revision, another value; or a lower one. */
static void test_a_revision_alone_proves_nothing(void **state)
{
	struct watch_view view = { 0 };
	const struct given before[] = { { "a", "1", 7 }, { "b", "1", 8 } };
	const struct given after[] = { { "a", "2", 7 }, { "b", "1", 3 } };

	(void)state;
	compare(&view, before, 2, "+a=1@7 +b=1@8 ");
	compare(&view, after, 2, "+b=1@3 +a=2@7 ");
	watch_view_fini(&view);
}

static void test_changes_enter_the_view(void **state)
{
	struct watch_view view = { 0 };
	const struct given listed[] = { { "a", "v", 3 } };

	(void)state;
	apply(&view, DIRECTORY_PUT, "b", 2, "+b=v@2 ");
	apply(&view, DIRECTORY_PUT, "a", 3, "+a=v@3 ");
	apply(&view, DIRECTORY_DELETED, "b", 4, "-b=@4 ");
	apply(&view, DIRECTORY_DELETED, "b", 5, "");
	compare(&view, listed, 1, "");
	watch_view_fini(&view);
}

static void ignore(void *ctx, enum directory_change change, const char *key, const char *value,
		   int64_t revision)
{
	(void)ctx;
	(void)change;
	(void)key;
	(void)value;
	(void)revision;
}

static void test_keys_are_limited(void **state)
{
	struct watch_view view = { 0 };
	struct directory_entry entry = { .value = (char *)"v" };

	(void)state;
	for (unsigned int i = 0; i < DIRECTORY_ENTRIES_MAX; i++) {
		(void)snprintf(entry.key, sizeof(entry.key), "%08u", i);
		assert_int_equal(watch_view_apply(&view, DIRECTORY_PUT, &entry, ignore, NULL), 0);
	}
	assert_int_equal(watch_view_apply(&view, DIRECTORY_PUT, &entry, ignore, NULL), 0);
	(void)snprintf(entry.key, sizeof(entry.key), "one-more");
	assert_int_equal(watch_view_apply(&view, DIRECTORY_PUT, &entry, ignore, NULL), -ENOSPC);
	assert_int_equal(view.count, DIRECTORY_ENTRIES_MAX);
	watch_view_fini(&view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_difference_is_told),
		cmocka_unit_test(test_a_revision_alone_proves_nothing),
		cmocka_unit_test(test_changes_enter_the_view),
		cmocka_unit_test(test_keys_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? EXIT_FAILURE : EXIT_SUCCESS;
}
