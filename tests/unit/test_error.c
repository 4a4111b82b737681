/* SPDX-License-Identifier: MIT */
/* base/error.h: one line for humans, whatever went into it. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/text.h>

static void set_returns_its_code(void **state)
{
	struct sluice_error e;

	(void)state;
	assert_int_equal(error_set(&e, -ENODEV, "board %d: gone", 3), -ENODEV);
	assert_string_equal(e.text, "board 3: gone");
	assert_int_equal(error_set(NULL, -ENODEV, "board %d: gone", 3), -ENODEV);
	assert_int_equal(error_prefix(NULL, -ENODEV, "board %d", 3), -ENODEV);
}

static void prefix_goes_before_the_text(void **state)
{
	struct sluice_error e;

	(void)state;
	(void)error_set(&e, -EINVAL, "no credit");
	assert_int_equal(error_prefix(&e, -EAGAIN, "link %s", "a"), -EAGAIN);
	assert_string_equal(e.text, "link a: no credit");
}

static void the_old_text_may_be_an_argument(void **state)
{
	struct sluice_error e;

	(void)state;
	(void)error_set(&e, -EINVAL, "inner");
	(void)error_set(&e, -EINVAL, "outer: %s", e.text);
	assert_string_equal(e.text, "outer: inner");
	(void)error_prefix(&e, -EINVAL, "%s", e.text);
	assert_string_equal(e.text, "outer: inner: outer: inner");
}

static void too_long_is_cut(void **state)
{
	char long_text[2 * SLUICE_ERROR_TEXT_MAX];
	struct sluice_error e;

	(void)state;
	memset(long_text, 'x', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	(void)error_set(&e, -EINVAL, "%s", long_text);
	assert_int_equal(strlen(e.text), SLUICE_ERROR_TEXT_MAX - 1);
	(void)error_prefix(&e, -EINVAL, "ab");
	assert_int_equal(strlen(e.text), SLUICE_ERROR_TEXT_MAX - 1);
	assert_memory_equal(e.text, "ab: xxx", 7);
	(void)error_prefix(&e, -EINVAL, "%s", long_text);
	assert_int_equal(strlen(e.text), SLUICE_ERROR_TEXT_MAX - 1);
}

static void text_is_one_line_of_utf8(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "a\nb\tc\x7f", "a?b?c?" },
		{ "\xc3\xa5 \xe2\x82\xac \xf0\x9f\x94\xac",
		  "\xc3\xa5 \xe2\x82\xac \xf0\x9f\x94\xac" },
		{ "\xff\xfe", "??" },
		{ "\x80x", "?x" },
		{ "\xc0\xaf", "??" },           /* overlong */
		{ "\xe0\x80\xaf", "???" },      /* overlong */
		{ "\xed\xa0\x80", "???" },      /* surrogate */
		{ "\xf4\x90\x80\x80", "????" }, /* beyond the last code point */
		{ "\xf0\x8f\xbf\xbf", "????" }, /* overlong */
		{ "\xe2\x82", "??" },           /* cut off at the end */
		{ "\xf0\x9f\x94", "???" },
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "%s", cases[i].in);
		text_one_line(text);
		assert_string_equal(text, cases[i].out);
	}
}

static void a_character_cut_in_two_goes_whole(void **state)
{
	char long_text[SLUICE_ERROR_TEXT_MAX + 8];
	struct sluice_error e;

	(void)state;
	memset(long_text, 'x', sizeof(long_text));
	/* The first byte of the letter is the last that fits. */
	memcpy(long_text + SLUICE_ERROR_TEXT_MAX - 2, "\xc3\xa5", 3);
	(void)error_set(&e, -EINVAL, "%s", long_text);
	assert_int_equal(strlen(e.text), SLUICE_ERROR_TEXT_MAX - 1);
	assert_int_equal(e.text[SLUICE_ERROR_TEXT_MAX - 2], '?');
}

static void every_code_has_a_name(void **state)
{
	(void)state;
	assert_string_equal(error_name(-ENOENT), "No such file or directory");
	assert_string_equal(error_name(0), "Success");
	assert_string_equal(error_name(-1000000), "Unknown error");
	assert_string_equal(error_name(5), "Unknown error");
	assert_string_equal(error_name(INT_MIN), "Unknown error");
}

static void a_silent_failure_is_eio(void **state)
{
	(void)state;
	errno = 0;
	assert_int_equal(neg_errno(), -EIO);
	errno = EPERM;
	assert_int_equal(neg_errno(), -EPERM);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(set_returns_its_code),
		cmocka_unit_test(prefix_goes_before_the_text),
		cmocka_unit_test(the_old_text_may_be_an_argument),
		cmocka_unit_test(too_long_is_cut),
		cmocka_unit_test(text_is_one_line_of_utf8),
		cmocka_unit_test(a_character_cut_in_two_goes_whole),
		cmocka_unit_test(every_code_has_a_name),
		cmocka_unit_test(a_silent_failure_is_eio),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
