/* SPDX-License-Identifier: MIT */
/* base/log.h: one line, one write(), time and level first. */
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/log.h>

static char written[8192];
static size_t written_len;
static unsigned int writes;

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's --wrap makes these names */
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t __real_write(int fd, const void *bytes, size_t len);

/* Only the log writes to standard error by write() while a test runs. */
ssize_t __wrap_write(int fd, const void *bytes, size_t len)
{
	if (fd != STDERR_FILENO)
		return __real_write(fd, bytes, len);
	writes++;
	if (len >= sizeof(written))
		return -1;
	memcpy(written, bytes, len);
	written[len] = '\0';
	written_len = len;
	return (ssize_t)len;
}
/* NOLINTEND(bugprone-reserved-identifier) */

static int reset(void **state)
{
	(void)state;
	writes = 0;
	written_len = 0;
	written[0] = '\0';
	log_init("sluiced", LOG_LEVEL_INFO);
	return 0;
}

static bool matches(const char *pattern)
{
	regex_t re;
	int ret;

	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	ret = regexec(&re, written, 0, NULL, 0);
	regfree(&re);
	return ret == 0;
}

static void a_line_has_time_level_program_message(void **state)
{
	(void)state;
	log_err("board %s: cannot start", "a");
	assert_true(matches("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z "
			    "error sluiced: board a: cannot start\n$"));
	log_warn("w");
	assert_true(matches(" warning sluiced: w\n$"));
	log_info("i");
	assert_true(matches(" info sluiced: i\n$"));
	assert_int_equal(writes, 3);
}

static void lines_below_the_level_are_not_written(void **state)
{
	(void)state;
	log_debug("d");
	assert_int_equal(writes, 0);
	log_init("sluiced", LOG_LEVEL_DEBUG);
	log_debug("d");
	assert_int_equal(writes, 1);
	log_init("sluiced", LOG_LEVEL_ERROR);
	log_warn("w");
	assert_int_equal(writes, 1);
	log_err("e");
	assert_int_equal(writes, 2);
}

static void a_message_cannot_forge_a_second_line(void **state)
{
	(void)state;
	log_info("name \"%s\"", "x\n2026-01-01T00:00:00.000Z error sluiced: forged\r\x1b[2J");
	assert_int_equal(writes, 1);
	assert_ptr_equal(strchr(written, '\n'), written + written_len - 1);
	assert_null(strchr(written, '\r'));
	assert_null(strchr(written, '\x1b'));
}

static void a_long_message_is_cut_and_ends_with_a_newline(void **state)
{
	char text[6000];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_info("%s", text);
	assert_int_equal(writes, 1);
	assert_true(written_len <= 4096); /* PIPE_BUF: a pipe takes it whole */
	assert_int_equal(written[written_len - 1], '\n');
	assert_int_equal(strlen(written), written_len);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test_setup(a_line_has_time_level_program_message, reset),
		cmocka_unit_test_setup(lines_below_the_level_are_not_written, reset),
		cmocka_unit_test_setup(a_message_cannot_forge_a_second_line, reset),
		cmocka_unit_test_setup(a_long_message_is_cut_and_ends_with_a_newline, reset),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
