/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/options.h - the command line of sluice-board: one table of rows.
 *
 * Ownership: strings are those of argv. Threads: one. Errors: a bad command line ends the
 * program with exit code 64 and one line that names the option and what is allowed.
 */
#ifndef MODEL_OPTIONS_H
#define MODEL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <model/batch.h>
#include <model/fault.h>
#include <model/model.h>

struct options {
	struct model_args model; /* geometry, generator, seed, distinct, sectors served */
	struct fault_list faults;
	const char *socket; /* {sector} in it stands for the sector */
	const char *name;   /* likewise */
	const char *truth;
	const char *write; /* a folder: files are written, nothing is served */
	double frames_per_s;
	bool once;
	enum batch_framing framing;
	uint32_t scan_columns, scan_rows; /* what is written */
	uint64_t frames;                  /* 0: one per probe position */
	uint32_t scan_number;
	uint32_t files;
	const char *card; /* {sector} as in socket */
	char *memory;     /* as guest_init() */
	const char *control;
	bool live;
	uint32_t buffer_blocks;
	uint32_t desc_max, chain_max, completion_max;
	uint64_t serial; /* of sector 0 */
};

void options_parse(int argc, char **argv, struct options *ret_options);
/* Writes @text with each {sector} replaced by @sector. -ENAMETOOLONG. */
int options_expand(const char *text, uint16_t sector, char *dst, size_t size);

#endif /* MODEL_OPTIONS_H */
