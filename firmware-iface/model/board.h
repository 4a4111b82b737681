/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/board.h - one board: it answers requests (firmware-iface/board_socket.h), one scan at a
 * time.
 *
 * Ownership: board_create() gives, board_destroy() takes; model, faults, truth and name must
 *            outlive it. A connection's descriptor stays the caller's.
 * Threads:   board_serve() from any, one thread per connection. board_destroy() when none is
 * inside. Errors:    a host's mistakes are answered on its connection and never returned.
 */
#ifndef MODEL_BOARD_H
#define MODEL_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <model/batch.h>

struct board;
struct truth;

#define BOARD_REQUEST_TIMEOUT_NS UINT64_C(2000000000) /* from the connection to a whole request */
#define BOARD_REPLY_TIMEOUT_NS   UINT64_C(2000000000)
#define BOARD_BUSY_TIMEOUT_NS    UINT64_C(200000000) /* a scan that is just ending is waited for */

struct board_args {
	const struct model *model;
	const struct fault_list *faults; /* may be NULL */
	struct truth *truth;             /* may be NULL */
	const char *name;                /* under BOARD_NAME_MAX bytes */
	uint16_t sector;                 /* one that the model serves */
	double frames_per_s;             /* 0: flat out */
};

/* A request that was judged and found good. */
struct board_order {
	uint16_t command; /* enum board_command */
	uint32_t number;  /* BOARD_RUN: of the scan */
	struct model_scan scan;
};

/* What became of a connection. */
struct board_report {
	bool ran; /* a scan was run; the rest tells of it */
	uint32_t number;
	uint64_t frames;
	uint64_t stall_ns;
	/* 0: to its end, or to where a fault cut it. -EPIPE: the host closed. -ECANCELED. */
	int end;
	struct batch_counts counts;
};

/* -EINVAL: the sector is not served, or the name is too long. -ENOMEM. */
int board_create(const struct board_args *args, struct board **ret_board);
void board_destroy(struct board *board);
/*
 * Serves one connection to its end, or until @stop_fd becomes readable. Guarantee: the host then
 * sees the end of the stream, whether or not @fd is closed yet.
 */
void board_serve(struct board *board, int fd, int stop_fd, struct board_report *ret_report);
/*
 * Judges a request's bytes. -EPROTO: no request, or another version. -ENOSYS: unknown command.
 * -EINVAL: a scan that cannot be.
 */
int board_request_judge(const void *bytes, size_t len, struct board_order *ret_order);

#endif /* MODEL_BOARD_H */
