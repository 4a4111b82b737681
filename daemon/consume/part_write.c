/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <base/crc32c.h>
#include <base/error.h>
#include <consume/part_format.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	      "events and pixels are written as they lie in memory");

enum {
	/* Both records of a run: header, table, and the data of each frame. */
	PIECES_MAX = 2 * (2 + RECORD_TABLE_MAX),
};

struct record {
	struct record_header header;
	struct record_frame table[RECORD_TABLE_MAX];
};

struct part_writer {
	int fd;
	off_t end; /* of the last whole record */
	struct part_info info;
	struct record events, pixels; /* of the run being written */
	struct iovec piece[PIECES_MAX];
};

static int write_all(int fd, struct iovec *piece, size_t count)
{
	while (count > 0) {
		const int batch = count < IOV_MAX ? (int)count : IOV_MAX;
		ssize_t n = writev(fd, piece, batch);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return neg_errno();
		for (; count > 0 && (size_t)n >= piece->iov_len; piece++, count--)
			n -= (ssize_t)piece->iov_len;
		if (count > 0) {
			piece->iov_base = (uint8_t *)piece->iov_base + n;
			piece->iov_len -= (size_t)n;
		}
	}
	return 0;
}

int part_writer_open(const char *path, const struct part_info *info,
		     struct part_writer **ret_writer, struct sluice_error *reterr)
{
	struct part_header header;
	struct iovec piece = { .iov_base = &header, .iov_len = sizeof(header) };
	struct part_writer *w;
	int ret = part_info_check(info, reterr);

	if (ret < 0)
		return error_prefix(reterr, ret, "part %s", path);
	w = calloc(1, sizeof(*w));
	if (!w)
		return error_set(reterr, -ENOMEM, "part %s: out of memory", path);
	w->info = *info;
	w->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (w->fd < 0) {
		ret = neg_errno();
		(void)error_set(reterr, ret, "part %s: cannot make it: %s", path, error_name(ret));
		goto err_free;
	}
	part_header_encode(info, &header);
	ret = write_all(w->fd, &piece, 1);
	if (ret < 0) {
		(void)error_set(reterr, ret, "part %s: cannot write: %s", path, error_name(ret));
		goto err_unlink;
	}
	w->end = sizeof(header);
	*ret_writer = w;
	return 0;

err_unlink:
	(void)close(w->fd);
	(void)unlink(path);
err_free:
	free(w);
	return ret;
}

static int check_frames(const struct part_writer *w, uint64_t run, const struct part_frame *frames,
			unsigned int count)
{
	const struct sluice_scan *scan = &w->info.scan;

	if (count == 0 || count > RECORD_TABLE_MAX)
		return -EINVAL;
	for (unsigned int i = 0; i < count; i++) {
		if (frames[i].frame / scan->run_frames != run ||
		    frames[i].frame >= scan->frames_expected)
			return -EINVAL;
		if (frames[i].pixels && w->info.pixel == 0)
			return -EINVAL;
	}
	return 0;
}

static void add_piece(struct part_writer *w, size_t *count, const void *base, size_t len)
{
	w->piece[(*count)++] = (struct iovec){ .iov_base = (void *)(uintptr_t)base,
					       .iov_len = len };
}

static void seal(struct record *r, uint16_t kind, uint64_t run, unsigned int count, uint64_t bytes)
{
	r->header = (struct record_header){
		.magic = sluice_le32(RECORD_MAGIC),
		.kind = sluice_le16(kind),
		.count = sluice_le16((uint16_t)count),
		.run = sluice_le64(run),
		.data_bytes = sluice_le64(bytes),
		.table_crc = sluice_le32(crc32c(r->table, count * sizeof(r->table[0]))),
	};
	r->header.header_crc = sluice_le32(
		crc32c(&r->header, offsetof(struct record_header, header_crc)));
}

static struct record_frame table_entry(const struct part_frame *frame, const void *data,
				       uint32_t elements, size_t bytes)
{
	return (struct record_frame){
		.frame = sluice_le64(frame->frame),
		.sector_mask = sluice_le32(frame->sector_mask),
		.flags = sluice_le32(frame->flags),
		.elements = sluice_le32(elements),
		.data_crc = sluice_le32(crc32c(data, bytes)),
	};
}

static void add_events(struct part_writer *w, uint64_t run, const struct part_frame *frames,
		       unsigned int count, size_t *pieces)
{
	struct record *r = &w->events;
	uint64_t total = 0;

	add_piece(w, pieces, &r->header, sizeof(r->header));
	add_piece(w, pieces, r->table, count * sizeof(r->table[0]));
	for (unsigned int i = 0; i < count; i++) {
		const size_t bytes = frames[i].event_count * sizeof(uint32_t);

		r->table[i] = table_entry(&frames[i], frames[i].events, frames[i].event_count,
					  bytes);
		if (bytes > 0)
			add_piece(w, pieces, frames[i].events, bytes);
		total += bytes;
	}
	seal(r, RECORD_EVENTS, run, count, total);
}

static void add_pixels(struct part_writer *w, uint64_t run, const struct part_frame *frames,
		       unsigned int count, size_t *pieces)
{
	const struct sluice_geometry *g = &w->info.scan.geometry;
	const uint32_t elements = sluice_frame_rows(g) * sluice_frame_columns(g);
	const size_t bytes = part_frame_bytes(&w->info);
	const size_t header_at = *pieces;
	struct record *r = &w->pixels;
	unsigned int n = 0;

	*pieces += 2;
	for (unsigned int i = 0; i < count; i++) {
		if (!frames[i].pixels)
			continue;
		r->table[n++] = table_entry(&frames[i], frames[i].pixels, elements, bytes);
		add_piece(w, pieces, frames[i].pixels, bytes);
	}
	if (n == 0) {
		*pieces = header_at;
		return;
	}
	seal(r, RECORD_PIXELS, run, n, n * bytes);
	w->piece[header_at] = (struct iovec){ &r->header, sizeof(r->header) };
	w->piece[header_at + 1] = (struct iovec){ r->table, n * sizeof(r->table[0]) };
}

int part_writer_run(struct part_writer *writer, uint64_t run, const struct part_frame *frames,
		    unsigned int count)
{
	size_t pieces = 0;
	off_t bytes = 0;
	int ret = check_frames(writer, run, frames, count);

	if (ret < 0)
		return ret;
	/* Pixels first: events without their pixels could be taken for a whole run. */
	if (writer->info.pixel != 0)
		add_pixels(writer, run, frames, count, &pieces);
	add_events(writer, run, frames, count, &pieces);
	for (size_t i = 0; i < pieces; i++)
		bytes += (off_t)writer->piece[i].iov_len;
	ret = write_all(writer->fd, writer->piece, pieces);
	if (ret < 0) {
		/* Half a record would hide every later one from the reader. */
		if (ftruncate(writer->fd, writer->end) == 0)
			(void)lseek(writer->fd, writer->end, SEEK_SET);
		return ret;
	}
	writer->end += bytes;
	return 0;
}

int part_writer_sync(struct part_writer *writer)
{
	return fdatasync(writer->fd) < 0 ? neg_errno() : 0;
}

void part_writer_close(struct part_writer *writer)
{
	if (!writer)
		return;
	(void)close(writer->fd);
	free(writer);
}
