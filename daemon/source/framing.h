/* SPDX-License-Identifier: MIT */
/*
 * source/framing.h - how blocks stand in a series of bytes: a header of known size, then pixels.
 *
 * All blocks of one series have the same size, which is known once the geometry is. Bytes are
 * foreign: every number of a header is judged against the format before anybody uses it.
 *
 * Ownership: the caller's memory. Threads: any, one at a time per format.
 * Errors:    -EINVAL: the data is not what is configured. -EBADMSG: no header. -ENOTSUP: named.
 */
#ifndef SOURCE_FRAMING_H
#define SOURCE_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/block.h>

struct sluice_error;
struct framing;

enum {
	FRAMING_HEADER_BYTES_MAX = 4096,
	FRAMING_ANCHOR_MAX = 4,
};

enum framing_verdict {
	FRAMING_OK = 0,
	FRAMING_BAD_MAGIC,
	FRAMING_BAD_LENGTH,
	FRAMING_BAD_HEADER_CRC,
	FRAMING_BAD_GEOMETRY,
	FRAMING_BAD_SCAN,
	FRAMING_VERDICT_COUNT
};

/* What one header says, judged. Fields that the framing does not have are 0. */
struct framing_header {
	uint64_t frame;
	uint64_t timestamp_ns;
	uint32_t scan;
	uint32_t payload_crc;
	uint16_t scan_columns;
	uint16_t scan_rows;
	uint16_t position_x;
	uint16_t position_y;
	uint16_t flags;
};

/* One series of blocks: what every header in it is judged against. */
struct framing_format {
	const struct framing *framing;
	struct sluice_geometry geometry;
	uint16_t sector;
	uint32_t header_bytes;
	uint32_t payload_bytes;
	uint32_t block_bytes;
	uint64_t frames; /* of the scan: numbers at or above are refused */
	bool scan_known; /* false: the first block's scan number is the series' */
	uint32_t scan;
	uint16_t scan_columns; /* 0: not known, not judged */
	uint16_t scan_rows;
};

/* Bytes that every header of a format has, at @offset. @len 0: there are none. */
struct framing_anchor {
	uint32_t offset;
	uint32_t len;
	uint8_t bytes[FRAMING_ANCHOR_MAX];
};

struct framing {
	const char *name;
	uint32_t learn_bytes; /* that learn() needs to see */
	bool has_crc;         /* headers carry the CRC32C of the pixels */
	bool has_scan;        /* headers carry a scan number */
	bool has_position;    /* headers carry the probe position */
	/*
	 * learn() - Complete @format's geometry and header size from the first header, @bytes
	 * (learn_bytes of them), or from what the framing fixes when @bytes is NULL.
	 *
	 * Guarantees: geometry fields that are configured stay, or it is -EINVAL.
	 */
	int (*learn)(struct framing_format *format, const uint8_t *bytes,
		     struct sluice_error *reterr);
	/*
	 * check() - Judge @bytes, header_bytes of them.
	 *
	 * Guarantees: *ret_header is written only with FRAMING_OK; reads nothing beyond.
	 */
	enum framing_verdict (*check)(const struct framing_format *format, const uint8_t *bytes,
				      struct framing_header *ret_header);
	/* anchor() - What to search for when a header is not where it should be. */
	void (*anchor)(const struct framing_format *format, struct framing_anchor *ret_anchor);
};

extern const struct framing framing_sluice;
extern const struct framing framing_4dcamera_v5;
extern const struct framing framing_4dcamera_v4;
extern const struct framing framing_merlin;

/* NULL: no framing of that name. */
const struct framing *framing_find(const char *name);

/*
 * Makes the format of a series from what is configured (@geometry; fields that are 0 come from
 * the data) and the first bytes of data, or NULL where none can be looked at beforehand.
 */
int framing_format_init(struct framing_format *ret_format, const struct framing *framing,
			const struct sluice_geometry *geometry, uint16_t sector,
			const uint8_t *bytes, struct sluice_error *reterr);

/* Takes fields of @data where those of @geometry are 0. -EINVAL: a field that is set differs. */
int framing_geometry_merge(struct sluice_geometry *geometry, const struct sluice_geometry *data,
			   struct sluice_error *reterr);

/* After a good block: what was not known of the scan is known now. */
void framing_lock(struct framing_format *format, const struct framing_header *header);

/* Offset of the first good header that lies whole within @len bytes; @len when there is none. */
size_t framing_search(const struct framing_format *format, const uint8_t *bytes, size_t len);

#endif /* SOURCE_FRAMING_H */
