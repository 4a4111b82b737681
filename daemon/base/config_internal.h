/* SPDX-License-Identifier: MIT */
/*
 * base/config_internal.h - what config.c, config_check.c, config_value.c and config_describe.c
 * share: a tree of YAML nodes, walked along a table of rows.
 *
 * Ownership: config.c owns the document. Threads: one at a time per walk. Errors: -EINVAL.
 */
#ifndef BASE_CONFIG_INTERNAL_H
#define BASE_CONFIG_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <yaml.h>

#include <base/config.h>

enum {
	CONFIG_BYTES_MAX = 1 << 20, /* of a file */
	CONFIG_NODES_MAX = 65536,   /* scalars, lists and mappings in a file */
	CONFIG_DEPTH_MAX = 16,      /* lists and mappings within each other */
	CONFIG_ROWS_MAX = 256,      /* in one table */
	CONFIG_KEY_MAX = 128,       /* bytes of a dotted path in a message, its NUL included */
	CONFIG_ALLOWED_MAX = 256,   /* bytes of the list of what is allowed, its NUL included */
};

/* A file being read. */
struct config_walk {
	const char *name; /* of the file, for messages */
	yaml_document_t *document;
	struct sluice_error *reterr;
};

/* Writes "FILE:LINE: KEY: what; allowed: ..." and returns -EINVAL. @allowed may be NULL. */
int config_refuse(const struct config_walk *walk, const yaml_node_t *node, const char *key,
		  const char *what, const char *allowed);

/*
 * Refuses text that is not one YAML document, or that is larger, deeper or cleverer (anchors,
 * aliases, tags) than a configuration has any need to be.
 */
int config_check_text(const char *name, const char *text, size_t len, struct sluice_error *reterr);

/* Checks the scalar @node against @row; stores it unless @dest (the struct, not the field) is NULL.
 */
int config_take_scalar(const struct config_walk *walk, const yaml_node_t *node, const char *key,
		       const struct config_row *row, uint8_t *dest);
/* The same for one string of at most @size bytes, NUL included, and @min ... @max without it. */
int config_take_string(const struct config_walk *walk, const yaml_node_t *node, const char *key,
		       const struct config_row *row, char *dest);

/* What a value of @row may be, as in "2 ... 2048" or "block, spill, drop". */
void config_allowed(const struct config_row *row, char *text, size_t size);

/* The longest string, without its NUL, that a CONFIG_STRING row takes. */
size_t config_string_max(const struct config_row *row);

#endif /* BASE_CONFIG_INTERNAL_H */
