/* SPDX-License-Identifier: MIT */
/*
 * board_check.h - one chunk of blocks, judged against what was asked of the board.
 *
 * Ownership: the caller's memory. Threads: any. Errors: the running test fails.
 */
#ifndef BOARD_CHECK_H
#define BOARD_CHECK_H

#include "board_bench.h"

/*
 * Judges the @bytes that one read of the scan gave, and adds them to @scan: whole blocks, in
 * ascending order, of this scan, sector and position, with right CRCs; patterns bit by bit; no
 * border of runs within, and no room left over without a reason (interface 3.2, 4.3).
 */
void check_chunk(const struct sluice_uapi_info *info, struct bench_scan *scan, const uint8_t *data,
		 size_t bytes);
/* CRC32C without a library, so that the suite goes into any small system. */
uint32_t check_crc32c(const void *data, size_t bytes);

#endif /* BOARD_CHECK_H */
