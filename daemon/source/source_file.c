/* SPDX-License-Identifier: MIT */
/*
 * Recorded files, played in frame order. A buffer holds the blocks of at most one run; blocks that
 * lie one behind the other in a file are read at once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/count.h>
#include <base/error.h>

#include "block_entry.h"
#include "file_index.h"
#include "source_ops.h"

struct file {
	struct file_index index;
	uint64_t frames_per_loop;
	/* Of the scan: what is read next. */
	uint64_t entry;
	uint64_t loop;
	uint64_t start_ns;
	bool after_skip; /* the next block is marked */
};

/* Frames of one loop: up to the last one found, and to the last position of the scan. */
static int loop_frames(struct source *source, const struct file_index *index, const char *path,
		       uint64_t *ret_frames, struct sluice_error *reterr)
{
	const uint64_t positions = (uint64_t)source->info.scan_columns * source->info.scan_rows;
	uint64_t frames = index->entries[index->count - 1].frame + 1;

	if (positions > 0)
		frames = (frames + positions - 1) / positions * positions;
	if (frames > SOURCE_FRAMES_MAX || source->loops > SOURCE_FRAMES_MAX / frames)
		return error_set(reterr, -ERANGE,
				 "file %s: %llu frames, played %llu times: at most %d in all", path,
				 (unsigned long long)frames, (unsigned long long)source->loops,
				 SOURCE_FRAMES_MAX);
	*ret_frames = frames;
	return 0;
}

static int file_open(struct source *source, const struct source_args *args, const char *path,
		     struct sluice_error *reterr)
{
	struct file *file = calloc(1, sizeof(*file));
	int ret;

	if (!file)
		return error_set(reterr, -ENOMEM, "file %s: no memory", path);
	ret = file_index_open(&file->index, path, args, &source->stats, &source->format, reterr);
	if (ret < 0)
		goto err_free;
	source->info.scan_columns = source->format.scan_columns;
	source->info.scan_rows = source->format.scan_rows;
	if (source->info.scan_columns == 0 || source->info.scan_rows == 0)
		source->info.scan_columns = source->info.scan_rows = 0;
	source->info.first_scan = source->format.scan;
	ret = loop_frames(source, &file->index, path, &file->frames_per_loop, reterr);
	if (ret < 0)
		goto err_index;
	source->info.frames = file->frames_per_loop * source->loops;
	(void)snprintf(source->info.name, sizeof(source->info.name), "%s",
		       strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
	source->kind = file;
	return 0;

err_index:
	file_index_close(&file->index);
err_free:
	free(file);
	return ret;
}

static uint64_t next_frame(const struct file *file)
{
	return file->index.entries[file->entry].frame + file->loop * file->frames_per_loop;
}

static void advance(struct source *source, struct file *file)
{
	if (++file->entry == file->index.count) {
		file->entry = 0;
		file->loop++;
	}
	if (file->loop == source->loops || next_frame(file) >= source->scan.frames_expected)
		source->exhausted = true;
}

static int file_start(struct source *source, struct sluice_error *reterr)
{
	struct file *const file = source->kind;

	(void)reterr;
	file->entry = 0;
	file->loop = 0;
	file->after_skip = false;
	file->start_ns = now_ns();
	source->exhausted = next_frame(file) >= source->scan.frames_expected;
	return 0;
}

/* Which blocks go into @slot: those of one run, in order, as many as it holds. */
static void choose(struct source *source, struct file *file, struct source_slot *slot)
{
	const uint64_t run_frames = source->scan.run_frames;
	const uint64_t run = next_frame(file) / run_frames;
	uint32_t room = slot->buffer.capacity / source->format.block_bytes;
	uint64_t last;

	if (room > slot->buffer.table_max)
		room = slot->buffer.table_max;
	slot->entry = file->entry;
	slot->offset = file->loop * file->frames_per_loop;
	do {
		last = next_frame(file);
		slot->blocks++;
		advance(source, file);
	} while (slot->blocks < room && file->entry != 0 && !source->exhausted &&
		 next_frame(file) / run_frames == run);
	if (source->frames_per_s > 0) {
		const double after_ns = (double)(last + 1) / source->frames_per_s *
					(double)NS_PER_S;

		slot->due_ns = after_ns < (double)(UINT64_MAX / 2)
				       ? file->start_ns + (uint64_t)after_ns
				       : UINT64_MAX;
	}
}

/* How many blocks from @entry on, @max at most, lie one behind the other in one file. */
static uint32_t together(const struct file *file, uint64_t entry, uint32_t max,
			 uint32_t block_bytes)
{
	const struct file_entry *const first = &file->index.entries[entry];
	uint32_t n = 1;

	if (max > URING_READ_BYTES_MAX / block_bytes)
		max = URING_READ_BYTES_MAX / block_bytes;
	while (n < max && first[n].place == first->place + (uint64_t)n * block_bytes)
		n++;
	return n;
}

static int file_prepare_read(struct source *source, struct source_slot *slot)
{
	struct file *const file = source->kind;
	const uint32_t block_bytes = source->format.block_bytes;

	if (slot->blocks == 0)
		choose(source, file, slot);
	while (slot->blocks_prepared < slot->blocks) {
		const uint64_t entry = slot->entry + slot->blocks_prepared;
		const struct file_entry *const first = &file->index.entries[entry];
		const uint32_t n = together(file, entry, slot->blocks - slot->blocks_prepared,
					    block_bytes);

		if (!source_read_room(source))
			return -EAGAIN;
		source_read_at(source, slot,
			       slot->buffer.slot + slot->buffer.headroom +
				       (size_t)slot->blocks_prepared * block_bytes,
			       n * block_bytes, file->index.fd[file_entry_file(first)],
			       file_entry_offset(first));
		slot->blocks_prepared += n;
	}
	return 0;
}

static bool file_short_read(struct source *source, struct source_read *read, uint32_t received)
{
	const struct source_buffer *const buffer = &read->slot->buffer;
	uint8_t *const data = buffer->slot + buffer->headroom;
	const uint32_t block_bytes = source->format.block_bytes;

	if (received > 0) {
		read->dst += received;
		read->len -= received;
		read->offset += received;
		return true;
	}
	/*
	 * The file has become shorter. What lies here is from the buffer's last use, and might be
	 * taken for a block: no header is all zeros.
	 */
	for (uint8_t *block = data + (size_t)(read->dst - data) / block_bytes * block_bytes;
	     block < read->dst + read->len; block += block_bytes)
		memset(block, 0, source->format.header_bytes);
	return false;
}

static void file_completed(struct source *source, struct source_slot *slot,
			   struct source_fill *fill)
{
	struct file *const file = source->kind;
	const struct framing_format *const f = &source->format;
	const uint64_t positions = (uint64_t)source->scan.scan_columns * source->scan.scan_rows;
	uint32_t offset = slot->buffer.headroom;

	for (uint32_t i = 0; i < slot->blocks; i++, offset += f->block_bytes) {
		struct sluice_wire_block *const entry = &slot->buffer.table[fill->block_count];
		const uint8_t *const at = slot->buffer.slot + offset;
		struct framing_header header;
		enum framing_verdict verdict = f->framing->check(f, at, &header);

		/* The file may have changed since it was indexed. */
		if (verdict == FRAMING_OK &&
		    header.frame != file->index.entries[slot->entry + i].frame)
			verdict = FRAMING_BAD_SCAN;
		if (verdict != FRAMING_OK) {
			scanner_count(&source->stats, verdict);
			count_add(&source->stats.bytes_skipped, f->block_bytes);
			fill->bytes_skipped += f->block_bytes;
			file->after_skip = true;
			continue;
		}
		header.frame += slot->offset;
		block_entry_set(entry, f, &header, at + f->header_bytes, offset + f->header_bytes);
		if (!f->framing->has_position)
			block_entry_place(entry, header.frame, source->scan.scan_columns,
					  positions ? source->scan.frames_expected / positions : 0);
		if (file->after_skip)
			entry->reserved = sluice_le16(SOURCE_BLOCK_AFTER_SKIP);
		file->after_skip = false;
		fill->block_count++;
	}
	count_add(&source->stats.blocks, fill->block_count);
}

static void file_stop(struct source *source)
{
	(void)source;
}

static void file_close(struct source *source)
{
	struct file *const file = source->kind;

	if (!file)
		return;
	file_index_close(&file->index);
	free(file);
	source->kind = NULL;
}

const struct source_ops source_file_ops = {
	.scheme = "file",
	.open = file_open,
	.start = file_start,
	.prepare_read = file_prepare_read,
	.short_read = file_short_read,
	.completed = file_completed,
	.stop = file_stop,
	.close = file_close,
};
