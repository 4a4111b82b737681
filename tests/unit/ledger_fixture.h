/* SPDX-License-Identifier: MIT */
/*
 * unit/ledger_fixture.h - a scan of two boards and two consumers, before it is written down.
 *
 * Ownership: scan_open() takes memory, scan_close() gives it back. Threads: one.
 * Errors:    a step that fails fails the cmocka test.
 */
#ifndef UNIT_LEDGER_FIXTURE_H
#define UNIT_LEDGER_FIXTURE_H

#include <scan/ledger.h>

enum {
	SECTORS = 2,
	FRAMES = 40,
	VALUE_MAX = 1 << 20, /* what a directory takes as one value */
};

struct scan {
	struct scan_plan plan;
	struct tally *tally[SECTORS];
	struct half_counts counts[SECTORS];
	struct half_consumer consumer[2];
	enum scan_state state;
};

/* Frames 3 ... 4 are lost in sector 0 only; frame 9 in both. All numbers agree. */
void scan_open(struct scan *s);
void scan_close(struct scan *s);
/* Writes the halves down and calls ledger_close(). */
int work_out(const struct scan *s, struct ledger *ret_ledger, char **ret_json);
/* Works out @s, which must fail, for the reason that @words tell. */
void expect_open(const struct scan *s, const char *const words[4]);

#endif /* UNIT_LEDGER_FIXTURE_H */
