/* SPDX-License-Identifier: MIT */
/*
 * support/annotated.h - whether an example configuration shows every key, each with a comment.
 *
 * Ownership: none. Threads: any. Errors: what is missing fails the cmocka test, by name.
 */
#ifndef SUPPORT_ANNOTATED_H
#define SUPPORT_ANNOTATED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/config.h>

enum {
	ANNOTATED_LINES_MAX = 512,
	ANNOTATED_LINE_MAX = 128
};

struct annotated {
	char line[ANNOTATED_LINES_MAX][ANNOTATED_LINE_MAX]; /* without leading blanks and "- " */
	unsigned int count;
};

static inline void annotated_read(const char *path, struct annotated *ret_file)
{
	char line[ANNOTATED_LINE_MAX];
	FILE *in = fopen(path, "r");

	if (!in)
		fail_msg("%s: cannot open", path);
	ret_file->count = 0;
	while (fgets(line, sizeof(line), in)) {
		char *kept = ret_file->line[ret_file->count++];

		assert_true(ret_file->count < ANNOTATED_LINES_MAX);
		(void)strcpy(kept, line + strspn(line, " "));
		if (strncmp(kept, "- ", 2) == 0)
			(void)memmove(kept, kept + 2, strlen(kept + 2) + 1);
	}
	(void)fclose(in);
}

/* @row's key stands in the file, with a comment before it or beside it; likewise those in it. */
static inline void annotated_expect(const struct annotated *file, const struct config_row *rows)
{
	for (const struct config_row *row = rows; row->key; row++) {
		const char *dot = strrchr(row->key, '.'), *leaf = dot ? dot + 1 : row->key;
		bool found = false;

		for (unsigned int i = 1; !found && i < file->count; i++) {
			const char *line = file->line[i];

			found = strncmp(line, leaf, strlen(leaf)) == 0 &&
				line[strlen(leaf)] == ':' &&
				(strchr(line, '#') || file->line[i - 1][0] == '#');
		}
		if (!found)
			fail_msg("%s: not in the example, or without a comment", row->key);
		if (row->type == CONFIG_LIST)
			annotated_expect(file, row->rows);
	}
}

#endif /* SUPPORT_ANNOTATED_H */
