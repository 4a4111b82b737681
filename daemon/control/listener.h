/* SPDX-License-Identifier: MIT */
/*
 * control/listener.h - the socket on which a control server listens.
 *
 * Ownership: the caller gets a file descriptor. Threads: any.
 * Errors:    -EINVAL: not HOST:PORT, or not loopback; -EADDRINUSE; -EADDRNOTAVAIL; all with
 *            @reterr.
 */
#ifndef CONTROL_LISTENER_H
#define CONTROL_LISTENER_H

#include <control/http.h>

/* @ret_address: "127.0.0.1:41234", with the port that was got. */
int listener_open(const char *listen_on, int *ret_fd, char ret_address[HTTP_LISTEN_MAX],
		  struct sluice_error *reterr);

#endif /* CONTROL_LISTENER_H */
