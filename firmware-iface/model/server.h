/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/server.h - boards behind their Unix sockets: one listening socket a board, one thread a
 * connection.
 *
 * Ownership: server_open() gives, server_close() takes and removes the sockets; boards must
 *            outlive it.
 * Threads:   server_run() on one; server_stop() from any, a signal handler too; reports come one
 *            at a time, on the threads of the connections.
 * Errors:    -EADDRINUSE: someone serves that path. -EEXIST: it is a file. Others: -errno; all
 *            with @reterr.
 */
#ifndef MODEL_SERVER_H
#define MODEL_SERVER_H

#include <stdbool.h>

#include <sluice/block.h>

struct board;
struct board_report;
struct server;
struct sluice_error;

enum {
	/* A scan for each board, and as many short requests; others wait in the socket's queue. */
	SERVER_CONNECTIONS_MAX = 2 * SLUICE_SECTORS_MAX,
};

struct server_board {
	struct board *board;
	const char *path;
};

struct server_args {
	const struct server_board *boards; /* copied; the paths are not */
	unsigned int board_count;          /* 1 ... SLUICE_SECTORS_MAX */
	bool once;                         /* stop when each board has run a scan to its end */
	void (*report)(void *ctx, struct board *board, const struct board_report *report);
	void *ctx;
};

/* Listens; nobody is answered before server_run(). */
int server_open(const struct server_args *args, struct server **ret_server,
		struct sluice_error *reterr);
/* Serves until server_stop(), or `once` is fulfilled; all connections have ended then. */
int server_run(struct server *server);
void server_stop(struct server *server);
void server_close(struct server *server);

#endif /* MODEL_SERVER_H */
