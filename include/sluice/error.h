/* SPDX-License-Identifier: MIT */
/*
 * sluice/error.h - one line for humans beside the -errno.
 *
 * Ownership: the caller's memory. Threads: one at a time per object.
 * Errors:    every function of Sluice returns 0 or -errno; @reterr, where taken, may be NULL.
 */
#ifndef SLUICE_ERROR_H
#define SLUICE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

enum {
	SLUICE_ERROR_TEXT_MAX = 512
};

struct sluice_error {
	char text[SLUICE_ERROR_TEXT_MAX]; /* names the object, what was tried, why, and the remedy
					   */
};

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_ERROR_H */
