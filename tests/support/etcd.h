/* SPDX-License-Identifier: MIT */
/*
 * support/etcd.h - a real etcd on loopback, for one test program.
 *
 * Ownership: the caller's struct; etcd_stop() ends the process and removes a folder of our own.
 *            The process dies with the test in any case.
 * Threads:   one at a time.
 * Errors:    a test cannot go on without its etcd: exit 77 where none is installed, else abort().
 */
#ifndef SUPPORT_ETCD_H
#define SUPPORT_ETCD_H

#include <stdbool.h>
#include <sys/types.h>

struct etcd_server {
	pid_t pid; /* 0: not running */
	unsigned int client_port, peer_port;
	char url[64]; /* "http://127.0.0.1:41234" */
	char dir[256];
	bool own_dir;
};

/* @dir NULL: a folder of its own, new and empty. Returns when etcd says that it is healthy. */
void etcd_start(struct etcd_server *server, const char *dir);
/* Same ports, same folder; @emptied: whose contents are lost. Kills it first if it runs. */
void etcd_restart(struct etcd_server *server, bool emptied);
/* SIGKILL; the folder stays. */
void etcd_kill(struct etcd_server *server);
/* SIGTERM, and SIGKILL if that is not enough. */
void etcd_stop(struct etcd_server *server);
/* A TCP port on loopback that nobody listened on a moment ago. */
unsigned int free_port(void);

#endif /* SUPPORT_ETCD_H */
