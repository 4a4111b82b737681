/* SPDX-License-Identifier: MIT */
/*
 * base/config.h - one YAML file, one table of rows: name, type, limits, help, destination.
 *
 * The table is all there is: the parser, `--help-config` and the man page's section come from it.
 * Keys are dotted paths ("ring.chunks"): in the file, mappings within mappings. A list of mappings
 * is a row of type CONFIG_LIST with rows of its own. Every message is "FILE:LINE: KEY: what is
 * wrong; allowed: ...". A file holds at most 1 MiB, and no anchors, aliases or tags.
 *
 * Ownership: the caller's struct; strings are copied into its fixed arrays.
 * Threads:   any. Errors: -EINVAL with @reterr; -ENOENT, -EACCES: the file; -ENOMEM. The struct
 * is touched on success only.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sluice_error;

enum config_type {
	CONFIG_U64,     /* uint64_t in [min, max], both taken as uint64_t */
	CONFIG_U32,     /* uint32_t in [min, max] */
	CONFIG_I32,     /* int32_t in [min, max] (as signed) */
	CONFIG_F64,     /* double in [fmin, fmax] */
	CONFIG_BOOL,    /* bool: true or false */
	CONFIG_STRING,  /* char[size]; min ... max bytes without the NUL; max 0: size - 1 */
	CONFIG_CHOICE,  /* unsigned int: index into choices */
	CONFIG_STRINGS, /* char[max][size], and a count at count_offset: a list of min ... max */
	CONFIG_LIST,    /* min ... max elements of @size bytes, and a count at count_offset */
};

struct config_row {
	const char *key; /* dotted path; NULL ends the table */
	enum config_type type;
	size_t offset;       /* in the destination struct */
	size_t size;         /* bytes: of the char array, or of one element */
	size_t count_offset; /* of an unsigned int: elements found */
	int64_t min, max;
	double fmin, fmax;
	const char *const *choices;    /* NULL-terminated */
	const struct config_row *rows; /* of one element of a CONFIG_LIST */
	const char *help;              /* one line, with the unit */
	bool required;                 /* must be in the file, or in each element of its list */
};

/*
 * Fills @dest, which holds the defaults already; keys that are absent leave them. A list that is
 * present sets the count; what its elements leave out stays as @dest has it, so fill all @max
 * elements with defaults.
 */
int config_load(const char *path, const struct config_row *rows, void *dest,
		struct sluice_error *reterr);
/* The same from memory, for the fuzzer and for tests; @name stands for the file in messages. */
int config_parse(const char *name, const char *text, size_t len, const struct config_row *rows,
		 void *dest, struct sluice_error *reterr);
/* Prints every key with type, limits, default (read from @defaults) and help to @out (a FILE *). */
void config_describe(const struct config_row *rows, const void *defaults, void *out);

#endif /* BASE_CONFIG_H */
