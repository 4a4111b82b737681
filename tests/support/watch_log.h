/* SPDX-License-Identifier: MIT */
/*
 * support/watch_log.h - a watcher that writes down what it is told, for a test to read in order.
 *
 * Ownership: the caller's struct. Threads: the watcher's and the test's.
 * Errors:    an expectation that is not met within its deadline fails the cmocka test.
 */
#ifndef SUPPORT_WATCH_LOG_H
#define SUPPORT_WATCH_LOG_H

#include <pthread.h>

#include <directory/directory.h>

enum {
	WATCH_LOG_LINES_MAX = 1024,
	WATCH_LOG_LINE_MAX = 128
};

struct watch_log {
	pthread_mutex_t lock;
	pthread_cond_t grown;
	char line[WATCH_LOG_LINES_MAX][WATCH_LOG_LINE_MAX]; /* "PUT key value", "DELETED key" */
	int64_t revision[WATCH_LOG_LINES_MAX];
	unsigned int count, read;
};

#define WATCH_LOG_INIT                                                               \
	{                                                                            \
		.lock = PTHREAD_MUTEX_INITIALIZER, .grown = PTHREAD_COND_INITIALIZER \
	}

/* A directory_watcher; ctx is the log. */
void watch_log_write(void *ctx, enum directory_change change, const char *key, const char *value,
		     int64_t revision);
/* The next line must be this one. */
void watch_log_expect(struct watch_log *log, const char *line);
/* Lines are read until this one comes. */
void watch_log_await(struct watch_log *log, const char *line);
/* Lines that nobody has read. */
unsigned int watch_log_left(struct watch_log *log);

#endif /* SUPPORT_WATCH_LOG_H */
