/* SPDX-License-Identifier: MIT */
/*
 * base/parse.h - strict numbers: whole string, range checked, no plus, no spaces.
 *
 * Ownership: none. Threads: any.
 * Errors:    -EINVAL: not a number. -ERANGE: outside [min, max]. Outputs are touched on success
 * only.
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdint.h>

/* Decimal, or hexadecimal after 0x; no minus. */
int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret_v);
/* A finite decimal number, e.g. 28.5, -2 or 1e3, with a point in every locale. */
int parse_f64(const char *s, double min, double max, double *ret_v);
/* "64x48": two numbers, each in [1, max]. */
int parse_size(const char *s, uint32_t max, uint32_t *ret_columns, uint32_t *ret_rows);

#endif /* BASE_PARSE_H */
