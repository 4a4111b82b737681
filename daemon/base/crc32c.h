/* SPDX-License-Identifier: MIT */
/*
 * base/crc32c.h - CRC32C (Castagnoli, RFC 3720 section 12.1), at hardware speed by ISA-L.
 *
 * Ownership: none. Threads: any. Errors: none.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of @len bytes at @data; "123456789" gives 0xe3069283. */
uint32_t crc32c(const void *data, size_t len);

#endif /* BASE_CRC32C_H */
