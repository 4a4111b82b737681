/* SPDX-License-Identifier: MIT */
/*
 * source/source_node.h - a device node of our own driver, told from other devices.
 *
 * Ownership: node_adopt() takes the descriptor over on success only.
 * Threads:   the reader's. Errors: those of sluice/uapi.h, and what contradicts the configuration.
 */
#ifndef SOURCE_SOURCE_NODE_H
#define SOURCE_SOURCE_NODE_H

#include <sluice/uapi.h>

struct source;
struct source_args;
struct sluice_error;

/* Opens without waiting (a FIFO would wait for its writer), then lets io_uring do the waiting. */
int device_open_waiting(const char *path, int *ret_fd);

/*
 * Asks who is behind @fd. -ENOTTY: a device of another maker. -EPROTO: our driver, but of another
 * ABI. Else what the board or its driver lacks.
 */
int node_ask(int fd, const char *path, struct sluice_uapi_info *ret_info,
	     struct sluice_error *reterr);
/*
 * Makes @source one on the board that @info tells of. -EINVAL: it is not the board that is
 * configured; the text has both. -ERANGE: more reads than it takes.
 */
int node_adopt(struct source *source, const struct source_args *args, const char *path, int fd,
	       const struct sluice_uapi_info *info, struct sluice_error *reterr);

#endif /* SOURCE_SOURCE_NODE_H */
