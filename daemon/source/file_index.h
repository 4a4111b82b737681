/* SPDX-License-Identifier: MIT */
/*
 * source/file_index.h - which block of recorded files holds which frame.
 *
 * Ownership: file_index_open() takes descriptors and memory, file_index_close() gives them back.
 *            16 bytes of memory per block of data.
 * Threads:   one. Errors: with @reterr naming the file.
 */
#ifndef SOURCE_FILE_INDEX_H
#define SOURCE_FILE_INDEX_H

#include <stdint.h>

#include "framing.h"
#include "source.h"

struct sluice_error;

struct file_entry {
	uint64_t frame;
	uint64_t place; /* number of the file in the upper 16 bits, offset in it below */
};

struct file_index {
	int fd[SOURCE_FILES_MAX];
	uint64_t bytes[SOURCE_FILES_MAX];
	unsigned int files;
	struct file_entry *entries; /* ascending frame, each once */
	uint64_t count;
};

static inline unsigned int file_entry_file(const struct file_entry *entry)
{
	return (unsigned int)(entry->place >> 48);
}

static inline uint64_t file_entry_offset(const struct file_entry *entry)
{
	return entry->place & ((UINT64_C(1) << 48) - 1);
}

/*
 * Opens the files that @pattern (a glob) names, completes *ret_format from the first header and
 * indexes every block. What is no block is counted in @stats and passed over.
 *
 * -ENOENT: no such file. -ENOSPC: too many files or frames. -EBADMSG: not one block in them.
 */
int file_index_open(struct file_index *ret_index, const char *pattern,
		    const struct source_args *args, struct source_stats *stats,
		    struct framing_format *ret_format, struct sluice_error *reterr);
void file_index_close(struct file_index *index);

#endif /* SOURCE_FILE_INDEX_H */
