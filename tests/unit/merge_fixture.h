/* SPDX-License-Identifier: MIT */
/*
 * unit/merge_fixture.h - two parts of one scan in a folder of their own, for the tests of the
 * merge.
 *
 * Ownership: the caller closes what it opens. Threads: one. Errors: a step that fails fails the
 * test.
 */
#ifndef UNIT_MERGE_FIXTURE_H
#define UNIT_MERGE_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include <consume/merge.h>

enum {
	SCAN_COLUMNS = 5,
	SCAN_ROWS = 3,
	PER_POSITION = 2,
	FRAMES = SCAN_COLUMNS * SCAN_ROWS * PER_POSITION,
	ROWS = 12, /* not square, so that no one mixes up the sides */
	COLUMNS = 20,
	PIXELS = ROWS * COLUMNS,
	RUN = 4,
	COMPLETE = 15,
};

extern const struct part_info base_info;
/* Paths in the folder; no file is there at first. */
extern char part_a[96], part_b[96], out[96], out2[96], picture[96], ledger_path[96];

/* The set-up of a group of tests, and its end. */
int make_folder(void **state);
/* Also the promise that no temporary file is left behind. */
int remove_folder(void **state);
void remove_files(void);

/* What frame @frame holds: its events (at most 16; returns how many), its PIXELS pixels. */
uint32_t events_of(uint64_t frame, uint32_t *events);
void pixels_of(uint64_t frame, uint16_t *pixels);

struct part_writer *open_part(const char *path, const struct part_info *info);
/* All frames of a run with one mask; @events_less: how many of each frame's are left out. */
void write_run(struct part_writer *w, uint64_t run, uint32_t mask, uint32_t events_less,
	       bool with_pixels);
/* Even runs in part a, odd ones in part b; run 5 came to nobody, run 6 lacks two sectors. */
void write_parts(bool with_pixels);
/* @b may be NULL. */
struct merge *open_merge(const char *a, const char *b);

#endif /* UNIT_MERGE_FIXTURE_H */
