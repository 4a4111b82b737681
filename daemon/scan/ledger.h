/* SPDX-License-Identifier: MIT */
/*
 * scan/ledger.h - the account of a scan.
 *
 * Each board keeps a *tally*: what became of each of its blocks. Each consumer counts what it
 * committed. Both publish their *half* as JSON; the ledger is worked out from all halves, and
 * closes if for every sector expected = delivered + lost and both sides agree on every number.
 *
 * Ownership: tally_open() gives, tally_close() takes; encode gives malloc()ed text.
 * Threads:   one tally, one thread at a time (sluiced: the lock-free hot path touches counters
 *            of its own thread only; see acquire/). Errors: -ENOMEM, -EBADMSG with @reterr.
 */
#ifndef SCAN_LEDGER_H
#define SCAN_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include <sluice/stats.h>
#include <sluice/wire.h>

#include <scan/plan.h>

struct sluice_error;

/* "gap", "header", "crc", ...; never NULL. */
const char *loss_name(enum sluice_loss cause);

/* What became of each block of one sector: one byte per frame, atomic, taken at arming. */
struct tally;

enum tally_fate {
	TALLY_UNSEEN = 0,
	TALLY_SEEN = 1,      /* read from the board */
	TALLY_DELIVERED = 2, /* acknowledged by a consumer */
	TALLY_LOST = 16,     /* TALLY_LOST + enum sluice_loss */
};

int tally_open(uint16_t sector, uint64_t frames, struct tally **ret_tally);
void tally_close(struct tally *tally);
/*
 * Moves frames [first, first + count) that are not yet delivered or lost to @fate. Returns how
 * many moved. One caller per frame at a time: the reader until it hands a block on, then the
 * sender that was given it.
 */
uint64_t tally_set(struct tally *tally, uint64_t first, uint64_t count, unsigned int fate);
/* The same for frames that are lost already: a late finding names the cause better. */
void tally_recause(struct tally *tally, uint64_t frame, enum sluice_loss cause);
unsigned int tally_fate(const struct tally *tally, uint64_t frame);
/* Any thread: blocks lost so far for @cause. */
uint64_t tally_lost(const struct tally *tally, enum sluice_loss cause);

enum {
	HALF_REASON_MAX = 256,
	HALF_FLAW_MAX = 96
};

struct half_counts {
	uint64_t blocks_read; /* the first copy of each */
	uint64_t blocks_repeated, bytes_read, bytes_skipped;
	uint64_t blocks_skipped; /* the same as bytes_skipped, valid if has_whole_blocks */
	/* The board's own, valid if board_known. */
	uint64_t board_generated, board_sent, board_dropped, board_stall_ns;
	uint64_t board_overflow, board_link, board_stop; /* of those dropped, if board_has_causes */
	char board_flaw[HALF_FLAW_MAX]; /* a counter that went back; "" when none did */
	char reason[HALF_REASON_MAX];   /* why it was not read to its end; "" when it was */
	bool has_whole_blocks;          /* the source gives nothing but whole blocks */
	bool board_known, board_has_causes;
};

/* A board's half: expected, delivered, lost per cause with frame ranges, counters. */
char *half_encode_board(const struct tally *tally, const char *id, uint32_t scan,
			enum scan_state state, const struct half_counts *counts);

/* A consumer's half. */
struct half_consumer {
	uint32_t scan;
	uint64_t blocks[SLUICE_SECTORS_MAX]; /* committed, per sector */
	uint64_t frames,
		frames_incomplete; /* committed with at least one block; with some missing */
	uint64_t events;
	char part[1024]; /* path of its part of the output; "" when it writes none */
};
char *half_encode_consumer(const struct half_consumer *half, const char *id);

struct ledger_range {
	uint64_t first, count;
};

struct ledger_sector {
	uint64_t expected, delivered, lost[SLUICE_LOSS_COUNT];
	struct half_counts counts; /* what its board and its reader counted */
};

struct ledger {
	uint32_t scan;
	enum scan_state state; /* done: closed; failed: open; aborted */
	bool closed;
	uint64_t frames_expected, frames_delivered, frames_incomplete, frames_lost, events;
	unsigned int sectors;
	struct ledger_sector sector[SLUICE_SECTORS_MAX];
	char why[512]; /* if it does not close: the first disagreement, by name and number */
};

/*
 * Works the ledger out. -EAGAIN: a half of a member named in @plan is missing still (@reterr
 * names it). *ret_json (malloc()ed) is the whole ledger with the ranges of each loss.
 */
struct ledger_half {
	const char *id;
	const char *json; /* NULL: the member is gone without one; the ledger cannot close then */
};
int ledger_close(const struct scan_plan *plan, const struct ledger_half *halves,
		 unsigned int half_count, struct ledger *ret_ledger, char **ret_json,
		 struct sluice_error *reterr);
/* Reads back what ledger_close() wrote. */
int ledger_decode(const char *json, struct ledger *ret_ledger, struct sluice_error *reterr);

#endif /* SCAN_LEDGER_H */
