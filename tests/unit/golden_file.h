/* SPDX-License-Identifier: MIT */
/*
 * golden_file.h - reads the files of firmware-iface/golden, strictly: what its README.md does not
 * allow fails the test.
 *
 * Ownership: the caller's memory. Threads: one at a time. Errors: the running test fails.
 */
#ifndef GOLDEN_FILE_H
#define GOLDEN_FILE_H

#include <stddef.h>
#include <stdint.h>

enum {
	GOLDEN_FIELDS_MAX = 256,
	GOLDEN_BYTES_MAX = 4096,
	GOLDEN_NAME_MAX = 32,
	GOLDEN_ROWS_MAX = 32,
	GOLDEN_COLUMNS_MAX = 10,
};

struct golden_field {
	uint32_t offset;
	uint32_t width; /* in bytes */
	uint64_t value;
	char name[GOLDEN_NAME_MAX];
};

/* A file of fields, and the bytes that it stands for. */
struct golden {
	struct golden_field field[GOLDEN_FIELDS_MAX];
	unsigned int fields;
	size_t bytes; /* up to the end of the last field */
	unsigned int gaps;
	uint8_t image[GOLDEN_BYTES_MAX];
};

/* A file of rows; @digits says how wide each column is, and a 0 ends it. */
struct golden_table {
	uint64_t row[GOLDEN_ROWS_MAX][GOLDEN_COLUMNS_MAX];
	unsigned int rows;
};

void golden_read(const char *name, struct golden *ret_golden);
void golden_read_table(const char *name, const unsigned int *digits,
		       struct golden_table *ret_table);
/* The value at @offset, where a field of this name and width must be. */
uint64_t golden_value(const struct golden *golden, size_t offset, const char *name, size_t width);

#endif /* GOLDEN_FILE_H */
