/* SPDX-License-Identifier: MIT */
/*
 * sluice/stats.h - the causes by which a block can be lost. The ledger knows no other.
 *
 * Ownership: constants. Threads: any. Errors: none.
 */
#ifndef SLUICE_STATS_H
#define SLUICE_STATS_H

#ifdef __cplusplus
extern "C" {
#endif

enum sluice_loss {
	SLUICE_LOSS_NONE = 0,
	SLUICE_LOSS_GAP = 1,      /* the board skipped the frame number */
	SLUICE_LOSS_HEADER = 2,   /* bytes that are no block stood in its place */
	SLUICE_LOSS_CRC = 3,      /* the payload's CRC32C did not hold */
	SLUICE_LOSS_SEQUENCE = 4, /* came after its run was closed, or twice, or of another scan */
	SLUICE_LOSS_CUT = 5,      /* the stream ended before the scan did */
	SLUICE_LOSS_STALL = 6,    /* the board sent nothing for the stall time */
	SLUICE_LOSS_READ = 7,     /* reading the board or file failed */
	SLUICE_LOSS_LATE = 8,     /* came after the consumer had given the run up */
	SLUICE_LOSS_POLICY = 9,   /* dropped, as the scan's policy says */
	SLUICE_LOSS_PEER = 10,    /* nobody was left to take it */
	SLUICE_LOSS_ABORT = 11,   /* the scan was aborted, or the daemon told to stop */
	SLUICE_LOSS_PROCESS = 12, /* was in the memory of a daemon that died */
	SLUICE_LOSS_COUNT
};

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_STATS_H */
