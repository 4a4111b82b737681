/* SPDX-License-Identifier: MIT */
/* The reader of part files against any bytes. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <base/crc32c.h>
#include <consume/part_format.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	FRAME_BYTES_MAX = 1 << 20, /* larger recorded frames are opened, but not read */
};

/* Makes the CRCs of header and records hold, so that the checks behind them are reached. */
static void mend(uint8_t *bytes, size_t size)
{
	struct part_header header;
	size_t at = sizeof(header);

	if (size < sizeof(header))
		return;
	memcpy(&header, bytes, sizeof(header));
	header.header_crc = sluice_le32(crc32c(&header, offsetof(struct part_header, header_crc)));
	memcpy(bytes, &header, sizeof(header));
	while (size - at >= sizeof(struct record_header)) {
		struct record_header r;
		size_t table, left = size - at - sizeof(r);

		memcpy(&r, bytes + at, sizeof(r));
		table = sluice_u16(r.count) * sizeof(struct record_frame);
		if (table > left)
			return;
		r.table_crc = sluice_le32(crc32c(bytes + at + sizeof(r), table));
		r.header_crc = sluice_le32(crc32c(&r, offsetof(struct record_header, header_crc)));
		memcpy(bytes + at, &r, sizeof(r));
		if (sluice_u64(r.data_bytes) > left - table)
			return;
		at += sizeof(r) + table + sluice_u64(r.data_bytes);
	}
}

static void read_part(const uint8_t *data, size_t size)
{
	struct part_reader *reader;
	const int fd = memfd_create("part", MFD_CLOEXEC);
	size_t bytes;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	if (part_reader_open_fd(fd, "fuzz", &reader, NULL) < 0)
		return;
	bytes = part_frame_bytes(part_reader_info(reader));
	for (size_t i = 0; i < part_reader_count(reader); i++) {
		const struct part_entry *entry = part_reader_entry(reader, i);
		uint32_t *events = calloc(entry->event_count + 1, sizeof(*events));

		if (!events)
			abort();
		(void)part_reader_events(reader, entry, events, NULL);
		free(events);
		if (bytes > 0 && bytes <= FRAME_BYTES_MAX) {
			uint8_t *pixels = malloc(bytes);

			if (!pixels)
				abort();
			(void)part_reader_pixels(reader, entry, pixels, NULL);
			free(pixels);
		}
	}
	part_reader_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *mended;

	read_part(data, size);
	if (size == 0)
		return 0;
	mended = malloc(size);
	if (!mended)
		abort();
	memcpy(mended, data, size);
	mend(mended, size);
	read_part(mended, size);
	free(mended);
	return 0;
}
