/* SPDX-License-Identifier: MIT */
/*
 * member/member_options.h - the command line that daemons have in common: one configuration file,
 * and the questions about it.
 *
 * Ownership: the caller's. Threads: before any other. Errors: logged, with the exit status.
 */
#ifndef MEMBER_MEMBER_OPTIONS_H
#define MEMBER_MEMBER_OPTIONS_H

#include <stdbool.h>

#include <base/config.h>

struct sluice_error;

struct member_program {
	const char *name;
	const char *doc; /* for --help */
	const struct config_row *rows;
	void *config; /* holds the defaults; filled from the file */
	/* Loads the file over the defaults and checks what no single row can. */
	int (*load)(const char *path, const struct config_row *rows, void *config,
		    struct sluice_error *reterr);
};

/* False: the program has done what was asked, and ends with *ret_status. */
bool member_options(const struct member_program *program, int argc, char **argv, int *ret_status);

#endif /* MEMBER_MEMBER_OPTIONS_H */
