/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/crc32c.h>
#include <base/error.h>
#include <consume/part_format.h>

enum {
	NAME_MAX_BYTES = 256, /* of the file's name, for messages */
};

struct part_reader {
	int fd;
	char name[NAME_MAX_BYTES];
	struct part_info info;
	uint64_t size; /* of the file when it was opened */
	uint64_t torn;
	struct part_entry *entry;
	size_t count, room;
};

/* What is known of the run whose pixels came last: its events follow. */
struct pixel_table {
	uint64_t run;
	unsigned int count;
	struct part_entry entry[RECORD_TABLE_MAX];
};

static int read_all(int fd, void *dst, size_t len, uint64_t offset)
{
	size_t done = 0;

	while (done < len) {
		const ssize_t n = pread(fd, (uint8_t *)dst + done, len - done,
					(off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return neg_errno();
		if (n == 0)
			return -EBADMSG; /* cut after it was opened */
		done += (size_t)n;
	}
	return 0;
}

static int damaged(const struct part_reader *r, uint64_t offset, const char *what,
		   struct sluice_error *reterr)
{
	return error_set(reterr, -EBADMSG, "part %s: damaged at byte %lu: %s", r->name,
			 (unsigned long)offset, what);
}

static int add_entry(struct part_reader *r, const struct part_entry *entry)
{
	if (r->count == r->room) {
		const size_t room = r->room ? 2 * r->room : 1024;
		struct part_entry *grown = reallocarray(r->entry, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		r->entry = grown;
		r->room = room;
	}
	r->entry[r->count++] = *entry;
	return 0;
}

/* Elements a frame of @kind may have. */
static bool elements_ok(const struct part_reader *r, uint16_t kind, uint32_t elements)
{
	const struct sluice_geometry *g = &r->info.scan.geometry;
	const uint32_t pixels = sluice_frame_rows(g) * sluice_frame_columns(g);

	return kind == RECORD_EVENTS ? elements <= pixels : elements == pixels;
}

/* Judges the table of a record whose data begin at @offset, and turns it into entries. */
static int decode_table(const struct part_reader *r, const struct record_header *header,
			const struct record_frame *table, uint64_t offset,
			struct part_entry *entries)
{
	const struct sluice_scan *scan = &r->info.scan;
	const uint16_t kind = sluice_u16(header->kind);
	const uint64_t element_bytes = kind == RECORD_EVENTS ? sizeof(uint32_t)
							     : sluice_pixel_bytes(r->info.pixel);
	const uint64_t end = offset + sluice_u64(header->data_bytes);

	for (unsigned int i = 0; i < sluice_u16(header->count); i++) {
		const uint64_t frame = sluice_u64(table[i].frame);
		const uint32_t elements = sluice_u32(table[i].elements);

		if (frame >= scan->frames_expected ||
		    frame / scan->run_frames != sluice_u64(header->run) ||
		    !elements_ok(r, kind, elements) || elements * element_bytes > end - offset)
			return -EBADMSG;
		entries[i] = (struct part_entry){
			.frame = frame,
			.sector_mask = sluice_u32(table[i].sector_mask),
			.flags = sluice_u32(table[i].flags),
		};
		if (scan->geometry.sectors < 32 &&
		    entries[i].sector_mask >> scan->geometry.sectors != 0)
			return -EBADMSG;
		if (kind == RECORD_EVENTS) {
			entries[i].event_count = elements;
			entries[i].events_crc = sluice_u32(table[i].data_crc);
			entries[i].events_offset = offset;
		} else {
			entries[i].pixels_crc = sluice_u32(table[i].data_crc);
			entries[i].pixels_offset = offset;
		}
		offset += elements * element_bytes;
	}
	return offset == end ? 0 : -EBADMSG;
}

static void join_pixels(const struct pixel_table *pixels, uint64_t run, struct part_entry *entry)
{
	for (unsigned int i = 0; pixels->run == run && i < pixels->count; i++) {
		if (pixels->entry[i].frame != entry->frame)
			continue;
		entry->pixels_offset = pixels->entry[i].pixels_offset;
		entry->pixels_crc = pixels->entry[i].pixels_crc;
	}
}

static int check_header(const struct part_reader *r, const struct record_header *h)
{
	const uint16_t kind = sluice_u16(h->kind);

	if (sluice_u32(h->magic) != RECORD_MAGIC ||
	    sluice_u32(h->header_crc) != crc32c(h, offsetof(struct record_header, header_crc)))
		return -EBADMSG;
	if (kind != RECORD_EVENTS && (kind != RECORD_PIXELS || r->info.pixel == 0))
		return -EBADMSG;
	return sluice_u16(h->count) > 0 && sluice_u16(h->count) <= RECORD_TABLE_MAX ? 0 : -EBADMSG;
}

/* The record at @offset. Returns its bytes, 0 if it is torn, or -errno. */
static int64_t read_record(struct part_reader *r, uint64_t offset, struct record_frame *table,
			   struct pixel_table *pixels, struct sluice_error *reterr)
{
	const uint64_t left = r->size - offset;
	struct part_entry entries[RECORD_TABLE_MAX];
	struct record_header h;
	uint64_t table_bytes;
	unsigned int count;
	int ret;

	if (left < sizeof(h))
		return 0;
	ret = read_all(r->fd, &h, sizeof(h), offset);
	if (ret < 0 || check_header(r, &h) < 0)
		return damaged(r, offset, "no record begins there", reterr);
	count = sluice_u16(h.count);
	table_bytes = count * sizeof(table[0]);
	if (left - sizeof(h) < table_bytes ||
	    left - sizeof(h) - table_bytes < sluice_u64(h.data_bytes))
		return 0;
	ret = read_all(r->fd, table, table_bytes, offset + sizeof(h));
	if (ret < 0 || sluice_u32(h.table_crc) != crc32c(table, table_bytes) ||
	    decode_table(r, &h, table, offset + sizeof(h) + table_bytes, entries) < 0)
		return damaged(r, offset, "the record's table does not hold", reterr);
	if (sluice_u16(h.kind) == RECORD_PIXELS) {
		pixels->run = sluice_u64(h.run);
		pixels->count = count;
		memcpy(pixels->entry, entries, count * sizeof(entries[0]));
	}
	for (unsigned int i = 0; sluice_u16(h.kind) == RECORD_EVENTS && i < count; i++) {
		join_pixels(pixels, sluice_u64(h.run), &entries[i]);
		if (add_entry(r, &entries[i]) < 0)
			return error_set(reterr, -ENOMEM, "part %s: out of memory", r->name);
	}
	return (int64_t)(sizeof(h) + table_bytes + sluice_u64(h.data_bytes));
}

static int read_records(struct part_reader *r, struct sluice_error *reterr)
{
	uint64_t offset = sizeof(struct part_header);
	struct record_frame *table = calloc(RECORD_TABLE_MAX, sizeof(*table));
	struct pixel_table *pixels = calloc(1, sizeof(*pixels));
	int64_t bytes = 1;

	if (!table || !pixels) {
		bytes = error_set(reterr, -ENOMEM, "part %s: out of memory", r->name);
		goto out;
	}
	while (bytes > 0 && offset < r->size) {
		bytes = read_record(r, offset, table, pixels, reterr);
		if (bytes > 0)
			offset += (uint64_t)bytes;
	}
	r->torn = r->size - offset;
out:
	free(pixels);
	free(table);
	return bytes < 0 ? (int)bytes : 0;
}

static int read_header(struct part_reader *r, struct sluice_error *reterr)
{
	struct part_header header;
	struct stat st;
	int ret;

	if (fstat(r->fd, &st) < 0) {
		ret = neg_errno();
		return error_set(reterr, ret, "part %s: %s", r->name, error_name(ret));
	}
	r->size = (uint64_t)st.st_size;
	if (r->size < sizeof(header))
		return error_set(reterr, -EBADMSG, "part %s: shorter than its header", r->name);
	ret = read_all(r->fd, &header, sizeof(header), 0);
	if (ret < 0)
		return error_set(reterr, ret, "part %s: cannot read: %s", r->name, error_name(ret));
	ret = part_header_decode(&header, &r->info, reterr);
	return ret < 0 ? error_prefix(reterr, ret, "part %s", r->name) : 0;
}

int part_reader_open_fd(int fd, const char *name, struct part_reader **ret_reader,
			struct sluice_error *reterr)
{
	struct part_reader *r = calloc(1, sizeof(*r));
	int ret;

	if (!r) {
		(void)close(fd);
		return error_set(reterr, -ENOMEM, "part %s: out of memory", name);
	}
	r->fd = fd;
	(void)snprintf(r->name, sizeof(r->name), "%s", name);
	ret = read_header(r, reterr);
	if (ret < 0)
		goto err_close;
	ret = read_records(r, reterr);
	if (ret < 0)
		goto err_close;
	*ret_reader = r;
	return 0;

err_close:
	part_reader_close(r);
	return ret;
}

int part_reader_open(const char *path, struct part_reader **ret_reader, struct sluice_error *reterr)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		const int ret = neg_errno();

		return error_set(reterr, ret, "part %s: cannot open: %s", path, error_name(ret));
	}
	return part_reader_open_fd(fd, path, ret_reader, reterr);
}

void part_reader_close(struct part_reader *reader)
{
	if (!reader)
		return;
	(void)close(reader->fd);
	free(reader->entry);
	free(reader);
}

const struct part_info *part_reader_info(const struct part_reader *reader)
{
	return &reader->info;
}

const char *part_reader_name(const struct part_reader *reader)
{
	return reader->name;
}

uint64_t part_reader_torn(const struct part_reader *reader)
{
	return reader->torn;
}

size_t part_reader_count(const struct part_reader *reader)
{
	return reader->count;
}

const struct part_entry *part_reader_entry(const struct part_reader *reader, size_t index)
{
	return index < reader->count ? &reader->entry[index] : NULL;
}

static int bad_frame(const struct part_reader *r, const struct part_entry *entry, const char *what,
		     struct sluice_error *reterr)
{
	return error_set(reterr, -EBADMSG, "part %s: frame %lu: %s", r->name,
			 (unsigned long)entry->frame, what);
}

int part_reader_events(const struct part_reader *reader, const struct part_entry *entry,
		       uint32_t *events, struct sluice_error *reterr)
{
	const struct sluice_geometry *g = &reader->info.scan.geometry;
	const uint32_t pixels = sluice_frame_rows(g) * sluice_frame_columns(g);
	const size_t bytes = entry->event_count * sizeof(uint32_t);
	const int ret = read_all(reader->fd, events, bytes, entry->events_offset);

	if (ret < 0)
		return error_set(reterr, ret, "part %s: cannot read: %s", reader->name,
				 error_name(ret));
	if (crc32c(events, bytes) != entry->events_crc)
		return bad_frame(reader, entry, "the CRC of its events does not hold", reterr);
	for (uint32_t i = 0; i < entry->event_count; i++)
		if (events[i] >= pixels || (i > 0 && events[i] <= events[i - 1]))
			return bad_frame(reader, entry, "its events are not ascending pixels",
					 reterr);
	return 0;
}

int part_reader_pixels(const struct part_reader *reader, const struct part_entry *entry,
		       void *pixels, struct sluice_error *reterr)
{
	const size_t bytes = part_frame_bytes(&reader->info);
	int ret;

	if (entry->pixels_offset == 0)
		return -ENODATA;
	ret = read_all(reader->fd, pixels, bytes, entry->pixels_offset);
	if (ret < 0)
		return error_set(reterr, ret, "part %s: cannot read: %s", reader->name,
				 error_name(ret));
	if (crc32c(pixels, bytes) != entry->pixels_crc)
		return bad_frame(reader, entry, "the CRC of its pixels does not hold", reterr);
	return 0;
}
