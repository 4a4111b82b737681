/* SPDX-License-Identifier: MIT */
/*
 * integration/flow.h - the whole flow as real processes on loopback: etcd, boards, sluiced, an
 * aggregator, counters; and one scan through it, merged.
 *
 * Ownership: flow_setup() gives; flow_teardown() takes, ends every process by its id and removes
 *            the folder.
 * Threads:   one. Errors: the cmocka test fails, with the logs printed.
 */
#ifndef INTEGRATION_FLOW_H
#define INTEGRATION_FLOW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <scan/ledger.h>
#include <support/etcd.h>

enum {
	FLOW_PROCESSES_MAX = 16,
	FLOW_ARGS_MAX = 48,
	FLOW_PATH_MAX = 512
};

struct flow_process {
	pid_t pid; /* 0: not running */
	char name[32];
};

struct flow {
	char dir[FLOW_PATH_MAX / 4];
	struct etcd_server etcd;
	bool none; /* without a directory */
	struct flow_process process[FLOW_PROCESSES_MAX];
	unsigned int count;
};

struct flow_boards {
	unsigned int sectors, rows, columns;
	const char *pixel;
	const char *seed;
	const char *rate;     /* frames/s, "0": flat out */
	const char *fault[4]; /* for --fault, NULL-terminated unless full */
};

/* A flow with a folder of its own, and etcd unless @none; *state keeps it for flow_teardown(). */
struct flow *flow_setup(void **state, bool none);
/* Prints every log, which the runner shows with a test that fails, and stops the flow. */
int flow_teardown(void **state);

/* Starts what its name says and returns when it answers; gives its index. */
unsigned int flow_start_boards(struct flow *flow, const struct flow_boards *boards);
unsigned int flow_start_aggregator(struct flow *flow, const char *id);
/* @extra: more lines of configuration, "" for none. */
unsigned int flow_start_counter(struct flow *flow, const char *id, const char *extra);
/* One daemon for all sectors. @source: with {sector} in it, NULL for the boards' sockets. */
unsigned int flow_start_sluiced(struct flow *flow, unsigned int sectors, const char *framing,
				const char *source, const char *extra);
/* SIGTERM; the exit status, or -1 if a signal ended it. */
int flow_end(struct flow *flow, unsigned int process);

/* SIGKILL. */
void flow_kill(struct flow *flow, unsigned int process);

/* Runs `sluice @args...` (NULL-terminated); its exit status. Output to "NAME.out" and ".log". */
int flow_sluice(struct flow *flow, const char *name, const char *const *args);
/* Arms, watches and decodes the ledger. The exit status of the command. */
int flow_scan(struct flow *flow, const char *const *args, struct ledger *ret_ledger);
/* Merges scan @scan into @ret_path. */
void flow_merge(struct flow *flow, unsigned int scan, char ret_path[FLOW_PATH_MAX]);
/* The text of a file in the flow's folder, malloc()ed; fails the test when it cannot be read. */
char *flow_read(const struct flow *flow, const char *name);
/* What the process serves at @path, "/metrics" say; malloc()ed. */
char *flow_get(const struct flow *flow, const char *process, const char *path);

#endif /* INTEGRATION_FLOW_H */
