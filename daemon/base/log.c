/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <base/log.h>
#include <base/text.h>

enum {
	LINE_MAX_BYTES = 2048 /* below PIPE_BUF, so that a pipe takes a line whole */
};

static const char *_Atomic log_program = "sluice";
static _Atomic unsigned int log_threshold = LOG_LEVEL_INFO;

void log_init(const char *program, enum log_level level)
{
	atomic_store_explicit(&log_program, program, memory_order_relaxed);
	atomic_store_explicit(&log_threshold, (unsigned int)level, memory_order_relaxed);
}

static const char *level_name(enum log_level level)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };

	return (unsigned int)level < sizeof(names) / sizeof(names[0]) ? names[level] : "?";
}

/* "2026-01-31T12:34:56.789Z error sluiced: "; returns its length. */
static size_t write_head(char *line, size_t size, enum log_level level)
{
	char second[32];
	struct timespec ts;
	struct tm tm;
	int n;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	if (!gmtime_r(&ts.tv_sec, &tm) ||
	    strftime(second, sizeof(second), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		second[0] = '\0';
	n = snprintf(line, size, "%s.%03ldZ %s %s: ", second, ts.tv_nsec / 1000000,
		     level_name(level), atomic_load_explicit(&log_program, memory_order_relaxed));
	if (n < 0)
		return 0;
	return (size_t)n < size ? (size_t)n : size - 1;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	ssize_t written;
	va_list ap;
	size_t len;

	if ((unsigned int)level > atomic_load_explicit(&log_threshold, memory_order_relaxed))
		return;
	/* One byte is kept for the newline. */
	len = write_head(line, sizeof(line) - 1, level);
	va_start(ap, fmt);
	(void)vsnprintf(line + len, sizeof(line) - 1 - len, fmt, ap);
	va_end(ap);
	text_one_line(line);
	len = strlen(line);
	line[len++] = '\n';
	/* Nobody can be told that standard error is gone. */
	written = write(STDERR_FILENO, line, len);
	(void)written;
}
