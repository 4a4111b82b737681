/* SPDX-License-Identifier: MIT */
#include <isa-l/crc.h>

#include <base/crc32c.h>

uint32_t crc32c(const void *data, size_t len)
{
	const size_t part_max = 1 << 30; /* ISA-L takes an int */
	/* ISA-L only reads; its prototype lacks the const. */
	unsigned char *p = (unsigned char *)(uintptr_t)data;
	uint32_t crc = UINT32_MAX;

	while (len > 0) {
		const size_t part = len < part_max ? len : part_max;

		crc = crc32_iscsi(p, (int)part, crc);
		p += part;
		len -= part;
	}
	/* ISA-L inverts neither at the start nor at the end; RFC 3720 does both. */
	return ~crc;
}
