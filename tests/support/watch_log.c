/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "support/watch_log.h"

enum {
	PATIENCE_S = 20 /* for one line; only a failing test waits so long */
};

void watch_log_write(void *ctx, enum directory_change change, const char *key, const char *value,
		     int64_t revision)
{
	struct watch_log *log = ctx;

	(void)pthread_mutex_lock(&log->lock);
	if (log->count < WATCH_LOG_LINES_MAX) {
		(void)snprintf(log->line[log->count], WATCH_LOG_LINE_MAX,
			       change == DIRECTORY_PUT ? "PUT %s %s" : "DELETED %s", key,
			       value ? value : "");
		log->revision[log->count++] = revision;
	}
	(void)pthread_cond_signal(&log->grown);
	(void)pthread_mutex_unlock(&log->lock);
}

/* False: none came in time. */
static bool next_line(struct watch_log *log, char line[WATCH_LOG_LINE_MAX])
{
	struct timespec until;
	int ret = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += PATIENCE_S;
	(void)pthread_mutex_lock(&log->lock);
	while (log->read == log->count && ret == 0)
		ret = pthread_cond_clockwait(&log->grown, &log->lock, CLOCK_MONOTONIC, &until);
	if (log->read < log->count) {
		(void)memcpy(line, log->line[log->read++], WATCH_LOG_LINE_MAX);
		ret = 0;
	}
	(void)pthread_mutex_unlock(&log->lock);
	return ret == 0;
}

void watch_log_expect(struct watch_log *log, const char *line)
{
	char found[WATCH_LOG_LINE_MAX];

	if (!next_line(log, found))
		fail_msg("nothing was reported; awaited: %s", line);
	assert_string_equal(found, line);
}

void watch_log_await(struct watch_log *log, const char *line)
{
	char found[WATCH_LOG_LINE_MAX];

	do {
		if (!next_line(log, found))
			fail_msg("nothing more was reported; awaited: %s", line);
	} while (strcmp(found, line) != 0);
}

unsigned int watch_log_left(struct watch_log *log)
{
	unsigned int left;

	(void)pthread_mutex_lock(&log->lock);
	left = log->count - log->read;
	(void)pthread_mutex_unlock(&log->lock);
	return left;
}
