/* SPDX-License-Identifier: MIT */
/*
 * directory/base64.h - how etcd's JSON carries bytes (RFC 4648 section 4, padded).
 *
 * Ownership: what is returned is the caller's, to free(). Threads: any.
 * Errors:    -EINVAL: not base64 (alphabet, length or padding). -ENOMEM.
 */
#ifndef DIRECTORY_BASE64_H
#define DIRECTORY_BASE64_H

#include <stddef.h>

/* NUL-terminated base64 of @len bytes; NULL when out of memory. */
char *base64_encode(const void *data, size_t len);
/* The bytes, with a NUL after them that *ret_len does not count. */
int base64_decode(const char *text, size_t len, char **ret_data, size_t *ret_len);

#endif /* DIRECTORY_BASE64_H */
