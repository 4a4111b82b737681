/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/card_server.h - cards in a virtual machine: each behind its socket for QEMU's device
 * ivshmem-doorbell, all with the same guest's memory.
 *
 * Orders, a line each (model/control.h); SECTOR may be left out, which means all:
 *   fault [SECTOR/]KIND=WHAT   as model/fault.h
 *   repair [SECTOR]            no faults any more; cards that are gone or hang are there again
 *   remove [SECTOR]            pull the card out
 *   report                     a line of JSON for each card
 *
 * Ownership: card_server_open() gives, card_server_close() takes and removes the sockets; models,
 *            truth and paths must outlive it.
 * Threads:   card_server_run() on one; card_server_stop() from any, a signal handler too.
 * Errors:    -EADDRINUSE, -EEXIST: as listener_open(). -ETIMEDOUT: the guest's memory did not come.
 *            Others: -errno; all with @reterr.
 */
#ifndef MODEL_CARD_SERVER_H
#define MODEL_CARD_SERVER_H

#include <model/card.h>
#include <sluice/block.h>

struct card_server;
struct sluice_error;

/* From the first guest's connection until its memory is there. */
#define CARD_MEMORY_TIMEOUT_NS UINT64_C(30000000000)

struct card_server_card {
	struct card_args card; /* host, host_ctx and registers are the server's to set */
	const char *path;
};

/* What a scan took: of the card, and of the processor that plays it. */
struct card_server_scan {
	uint16_t sector;
	uint32_t scan;
	uint64_t frames; /* wanted */
	uint64_t blocks, bytes;
	uint64_t completions, interrupts, descriptors;
	uint64_t ns;      /* from RUN to its end */
	uint64_t copy_ns; /* of that, copying blocks into the guest's memory */
	uint64_t copy_bytes;
	enum fw_state state; /* idle, or failed by @fault */
	enum fw_fault fault;
};

struct card_server_args {
	const struct card_server_card *cards; /* copied; the paths are not */
	unsigned int card_count;              /* 1 ... SLUICE_SECTORS_MAX */
	char *memory;                         /* as guest_init(); taken apart */
	const char *control;                  /* path of the socket for orders; NULL: none */
	void (*report)(void *ctx, const struct card_server_scan *scan);
	void *ctx;
};

/* Listens; nobody is answered before card_server_run(). */
int card_server_open(const struct card_server_args *args, struct card_server **ret_server,
		     struct sluice_error *reterr);
/* Serves until card_server_stop(), or all guests that came have hung up again. */
int card_server_run(struct card_server *server, struct sluice_error *reterr);
void card_server_stop(struct card_server *server);
void card_server_close(struct card_server *server);

#endif /* MODEL_CARD_SERVER_H */
