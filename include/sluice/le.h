/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * sluice/le.h - little-endian numbers, for every layout that leaves a process.
 *
 * Distinct types, so that a missed conversion does not compile.
 * Ownership: values only. Threads: any. Errors: none.
 */
#ifndef SLUICE_LE_H
#define SLUICE_LE_H

#ifdef __KERNEL__
#include <asm/byteorder.h>
#include <linux/types.h>
#define htole16(v) ((__force uint16_t)cpu_to_le16(v))
#define htole32(v) ((__force uint32_t)cpu_to_le32(v))
#define htole64(v) ((__force uint64_t)cpu_to_le64(v))
#define le16toh(v) le16_to_cpu((__force __le16)(v))
#define le32toh(v) le32_to_cpu((__force __le32)(v))
#define le64toh(v) le64_to_cpu((__force __le64)(v))
#else
#include <endian.h>
#include <stdint.h>
#endif

struct sluice_le16 {
	uint16_t raw;
};
struct sluice_le32 {
	uint32_t raw;
};
struct sluice_le64 {
	uint64_t raw;
};

static inline struct sluice_le16 sluice_le16(uint16_t v)
{
	struct sluice_le16 le;

	le.raw = htole16(v);
	return le;
}

static inline struct sluice_le32 sluice_le32(uint32_t v)
{
	struct sluice_le32 le;

	le.raw = htole32(v);
	return le;
}

static inline struct sluice_le64 sluice_le64(uint64_t v)
{
	struct sluice_le64 le;

	le.raw = htole64(v);
	return le;
}

static inline uint16_t sluice_u16(struct sluice_le16 le)
{
	return le16toh(le.raw);
}

static inline uint32_t sluice_u32(struct sluice_le32 le)
{
	return le32toh(le.raw);
}

static inline uint64_t sluice_u64(struct sluice_le64 le)
{
	return le64toh(le.raw);
}

#endif /* SLUICE_LE_H */
