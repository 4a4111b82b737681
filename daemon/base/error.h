/* SPDX-License-Identifier: MIT */
/*
 * base/error.h - where libc's -1/errno becomes our 0/-errno, and where the one line is written.
 *
 * Ownership: the caller's memory. Threads: any, one at a time per object. Errors: none.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <errno.h>
#include <stdarg.h>

#include <sluice/error.h>

/*
 * The only place libc's -1/errno becomes our 0/-errno. A call that fails and leaves errno at 0
 * is a bug in the callee; it is reported as EIO rather than as success.
 */
static inline int neg_errno(void)
{
	return errno > 0 ? -errno : -EIO;
}

/* Writes one line to @reterr (may be NULL) and returns @code, so that a failure is one statement.
 */
int error_set(struct sluice_error *reterr, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the text that is there. @reterr may be NULL. Returns @code. */
int error_prefix(struct sluice_error *reterr, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The text for @code (0 or -errno), thread-safe, never NULL. */
const char *error_name(int code);

#endif /* BASE_ERROR_H */
