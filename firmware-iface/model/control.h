/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/control.h - lines of text on a Unix socket, each with an answer: how faults are ordered
 * while cards run.
 *
 * Each line, of at most CONTROL_LINE_MAX bytes, ended by a newline (a carriage return before it is
 * taken off), is given to a function, whose answer goes back. Empty lines, and lines that look like
 * answers, are passed over: a terminal between the two may send everything back.
 *
 * Ownership: control_open() on the caller's memory, control_close() takes all back and removes the
 *            socket. A control that was never opened is all zeros, and may be closed.
 * Threads:   one at a time per object.
 * Errors:    as listener_open(). A peer that does not read its answers is hung up on.
 */
#ifndef MODEL_CONTROL_H
#define MODEL_CONTROL_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include <model/listener.h>

struct sluice_error;

enum {
	CONTROL_PEERS_MAX = 4, /* others wait in the socket's queue */
	CONTROL_LINE_MAX = 1200,
	CONTROL_ANSWER_MAX = 16384,
	CONTROL_FDS = 1 + CONTROL_PEERS_MAX,
};

struct control_peer {
	int fd; /* -1: nobody */
	char line[CONTROL_LINE_MAX + 1];
	size_t used;
	bool too_long; /* what comes before the next newline is thrown away */
};

struct control {
	bool open;
	struct listener listener;
	struct control_peer peer[CONTROL_PEERS_MAX];
	/* Obeys @line. Writes the answer, "ok" or "error ...", lines before it beginning with '{'.
	 */
	void (*obey)(void *ctx, const char *line, char *answer, size_t size);
	void *ctx;
};

int control_open(struct control *control, const char *path, struct sluice_error *reterr);
void control_close(struct control *control);
/* Fills in CONTROL_FDS descriptors to be polled. */
void control_watch(const struct control *control, struct pollfd *fds);
/* Does what the poll of them found to do. */
void control_attend(struct control *control, const struct pollfd *fds);

#endif /* MODEL_CONTROL_H */
