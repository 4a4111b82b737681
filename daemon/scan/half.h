/* SPDX-License-Identifier: MIT */
/*
 * scan/half.h - reading halves back, for the files of this folder.
 *
 * Ownership: decoded halves borrow from the JSON. Threads: any. Errors: -EBADMSG with @reterr.
 */
#ifndef SCAN_HALF_H
#define SCAN_HALF_H

#include <jansson.h>
#include <stdbool.h>

#include <scan/ledger.h>

enum {
	HALF_SCHEMA_VERSION = 1,
	/* Ranges told in one half, all causes together: keeps it below a directory value's limit.
	 */
	HALF_RANGES_MAX = 20000,
};

struct half_board {
	uint16_t sector;
	bool aborted;
	uint64_t frames_expected, delivered, ranges_omitted;
	uint64_t lost[SLUICE_LOSS_COUNT];
	struct half_counts counts;
	json_t *lost_json; /* borrowed: {"gap":{"blocks":n,"ranges":[[first,count],...]}} */
};

int half_decode_board(const json_t *root, struct half_board *ret_half, struct sluice_error *reterr);
int half_decode_consumer(const json_t *root, struct half_consumer *ret_half,
			 struct sluice_error *reterr);

#endif /* SCAN_HALF_H */
