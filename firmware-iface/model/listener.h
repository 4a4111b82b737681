/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/listener.h - a Unix stream socket that is listened at.
 *
 * Ownership: listener_open() on the caller's memory, listener_close() removes the socket; the path
 *            must outlive it.
 * Threads:   one at a time per object.
 * Errors:    -EADDRINUSE: someone serves that path. -EEXIST: it is a file. -EINVAL: its length.
 *            Others: -errno; all with @reterr.
 */
#ifndef MODEL_LISTENER_H
#define MODEL_LISTENER_H

#include <sys/types.h>

struct sluice_error;

struct listener {
	const char *path;
	int fd;       /* does not block */
	dev_t device; /* of the socket that was made: another in its place is not removed */
	ino_t inode;
};

int listener_open(const char *path, struct listener *ret_listener, struct sluice_error *reterr);
void listener_close(struct listener *l);

#endif /* MODEL_LISTENER_H */
