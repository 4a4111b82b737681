/* SPDX-License-Identifier: MIT */
/*
 * scan/tally.h - the inside of a tally, for the files of this folder.
 *
 * Ownership, threads, errors: see scan/ledger.h.
 */
#ifndef SCAN_TALLY_H
#define SCAN_TALLY_H

#include <stdatomic.h>
#include <stdint.h>

#include <sluice/stats.h>

struct tally {
	uint16_t sector;
	uint64_t frames;
	/* Blocks lost so far, by cause: reader and senders count, whoever asks reads. */
	_Atomic uint64_t lost[SLUICE_LOSS_COUNT];
	_Atomic uint8_t fate[]; /* per frame: enum tally_fate, or TALLY_LOST + cause */
};

#endif /* SCAN_TALLY_H */
