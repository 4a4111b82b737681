/* SPDX-License-Identifier: MIT */
/*
 * tools/sluice/sluice.h - the subcommands. Each takes its own argv and gives the exit status.
 *
 * Ownership: none. Threads: one. Errors: told on standard error; the status is then 1, or 2 for
 *            a ledger that does not close.
 */
#ifndef TOOLS_SLUICE_SLUICE_H
#define TOOLS_SLUICE_SLUICE_H

#include <stdbool.h>

struct client;
struct scan_plan;

int sluice_arm(int argc, char **argv);
int sluice_watch(int argc, char **argv);
int sluice_status(int argc, char **argv);
int sluice_abort(int argc, char **argv);
int sluice_list(int argc, char **argv);

struct watch_args {
	const char *ledger; /* file the ledger is written to, or NULL */
	bool json;          /* the last line is one JSON object */
	double timeout_s;   /* 0: as long as something moves */
};

/* Follows a scan to its ledger and prints it. The exit status. */
int watch_scan(struct client *client, const struct scan_plan *plan, const struct watch_args *args);

#endif /* TOOLS_SLUICE_SLUICE_H */
