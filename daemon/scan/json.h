/* SPDX-License-Identifier: MIT */
/*
 * scan/json.h - numbers and names out of JSON from outside, judged as they are read.
 *
 * Ownership: none is passed. Threads: any.
 * Errors:    -EBADMSG with @reterr naming the key and what is allowed. Outputs on success only.
 */
#ifndef SCAN_JSON_H
#define SCAN_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct sluice_error;

struct json_range {
	uint64_t min, max;
};

int json_get_u64(const json_t *object, const char *key, struct json_range range, uint64_t *ret_v,
		 struct sluice_error *reterr);
/* Printable text of 1 ... size - 1 bytes. */
int json_get_text(const json_t *object, const char *key, char *dst, size_t size,
		  struct sluice_error *reterr);
/* The same of printable ASCII without blanks: it goes into keys of the directory and hellos. */
int json_get_name(const json_t *object, const char *key, char *dst, size_t size,
		  struct sluice_error *reterr);
/* An array of at most @max elements; borrowed. */
int json_get_array(const json_t *object, const char *key, size_t max, json_t **ret_array,
		   struct sluice_error *reterr);
/* Index of the text at @key in @names (NULL-terminated). */
int json_get_choice(const json_t *object, const char *key, const char *const *names,
		    unsigned int *ret_index, struct sluice_error *reterr);

#endif /* SCAN_JSON_H */
