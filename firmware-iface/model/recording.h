/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/recording.h - a scan written to files, as a file receiver would have left it.
 *
 * DIR/data_scan{scan, 10 digits}_module{sector}_dst0_file{file}.data: bare blocks of one
 * sector, no file header. Which file a block is in, and where, is by lot from the seed: blocks
 * stand in no order. Faults hold as on a socket: a cut ends that file, a stall is nothing.
 *
 * Ownership: none is kept. Threads: one per recording.
 * Errors:    -EINVAL: the framing does not fit the geometry. -EEXIST: a file is there already.
 *            -ECANCELED. -ENOSPC and others: the file system's; all with @reterr. Files that
 *            were begun are left when writing fails.
 */
#ifndef MODEL_RECORDING_H
#define MODEL_RECORDING_H

#include <signal.h>
#include <stdint.h>

#include <model/batch.h>

struct sluice_error;

enum {
	RECORDING_FILES_MAX = 64, /* per sector */
	RECORDING_FRAMES_MAX = 1 << 24,
};

struct recording_args {
	const char *folder;                /* must exist */
	struct batch_run run;              /* sector and framing are those of the files */
	unsigned int files;                /* 1 ... RECORDING_FILES_MAX */
	const volatile sig_atomic_t *stop; /* set: end soon; may be NULL */
};

int recording_write(const struct recording_args *args, struct batch_counts *ret_counts,
		    struct sluice_error *reterr);

#endif /* MODEL_RECORDING_H */
