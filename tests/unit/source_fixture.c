/* SPDX-License-Identifier: MIT */
#include "source_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/crc32c.h>
#include <base/error.h>

const struct sluice_geometry small_geometry = {
	.sectors = 2,
	.layout = SLUICE_LAYOUT_ROWS,
	.rows = ROWS,
	.columns = COLUMNS,
	.pixel = SLUICE_PIXEL_U16,
};

uint16_t block_pixel(uint64_t frame, unsigned int i)
{
	return (uint16_t)(frame * 131 + i * 7 + 1);
}

static void pixels_write(uint8_t *dst, uint64_t frame)
{
	for (unsigned int i = 0; i < ROWS * COLUMNS; i++) {
		const uint16_t v = htole16(block_pixel(frame, i));

		memcpy(dst + i * sizeof(v), &v, sizeof(v));
	}
}

void block_seal(uint8_t *block)
{
	const struct sluice_le32 crc = sluice_le32(
		crc32c(block, offsetof(struct sluice_block_header, header_crc)));

	memcpy(block + offsetof(struct sluice_block_header, header_crc), &crc, sizeof(crc));
}

void block_write(uint8_t *dst, uint32_t scan, uint64_t frame)
{
	struct sluice_block_header h = {
		.magic = sluice_le32(SLUICE_BLOCK_MAGIC),
		.version = sluice_le16(SLUICE_BLOCK_VERSION),
		.header_bytes = sluice_le16(SLUICE_BLOCK_HEADER_BYTES),
		.scan = sluice_le32(scan),
		.sector = sluice_le16(1),
		.sector_count = sluice_le16(2),
		.frame = sluice_le64(frame),
		.rows = sluice_le16(ROWS),
		.columns = sluice_le16(COLUMNS),
		.pixel = sluice_le16(SLUICE_PIXEL_U16),
		.payload_bytes = sluice_le32(PAYLOAD),
		.timestamp_ns = sluice_le64(1000 + frame),
	};

	pixels_write(dst + sizeof(h), frame);
	h.payload_crc = sluice_le32(crc32c(dst + sizeof(h), PAYLOAD));
	memcpy(dst, &h, sizeof(h));
	block_seal(dst);
}

void camera_block_write(uint8_t *dst, uint32_t scan, uint32_t frame, uint16_t columns,
			uint16_t rows)
{
	const uint32_t position = frame % ((uint32_t)columns * rows);
	const uint32_t words[] = { htole32(scan), htole32(frame) };
	const uint16_t halves[] = { htole16(columns), htole16(rows),
				    htole16((uint16_t)(position % columns)),
				    htole16((uint16_t)(position / columns)) };

	memcpy(dst, words, sizeof(words));
	memcpy(dst + sizeof(words), halves, sizeof(halves));
	pixels_write(dst + sizeof(words) + sizeof(halves), frame);
}

void source_fixture_init(struct source_fixture *f, const char *framing)
{
	*f = (struct source_fixture){
		.args = { .framing = framing,
			  .sector = 1,
			  .geometry = small_geometry,
			  .depth = 4,
			  .loops = 1 },
		.scan = { .scan = SCAN,
			  .frames_expected = 16,
			  .run_frames = RUN,
			  .stall_ns = WAIT_NS },
		.headroom = BLOCK,
		.capacity = RUN * BLOCK,
	};
	f->memory = aligned_alloc(4096, (size_t)BUFFERS * 4096);
	assert_non_null(f->memory);
	memset(f->memory, 0, (size_t)BUFFERS * 4096);
	f->args.memory = f->memory;
	f->args.memory_bytes = (size_t)BUFFERS * 4096;
	(void)snprintf(f->folder, sizeof(f->folder), "/tmp/sluice-source-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
}

static void folder_remove(const char *folder)
{
	DIR *const dir = opendir(folder);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			assert_int_equal(unlinkat(dirfd(dir), entry->d_name, 0), 0);
	(void)closedir(dir);
	assert_int_equal(rmdir(folder), 0);
}

void source_fixture_fini(struct source_fixture *f)
{
	source_close(f->source);
	f->source = NULL;
	free((void *)(uintptr_t)f->args.spec);
	free(f->memory);
	folder_remove(f->folder);
}

const char *source_fixture_path(struct source_fixture *f, const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	return path;
}

void source_fixture_spec(struct source_fixture *f, const char *kind, const char *name)
{
	char *spec;

	assert_true(asprintf(&spec, "%s:%s/%s", kind, f->folder, name) > 0);
	free((void *)(uintptr_t)f->args.spec);
	f->args.spec = spec;
}

void source_fixture_file(struct source_fixture *f, const char *name, const void *data, size_t len)
{
	const int fd = open(source_fixture_path(f, name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

void source_fixture_open(struct source_fixture *f)
{
	struct sluice_error error = { "" };

	if (source_open(&f->args, &f->source, &error) < 0)
		fail_msg("%s", error.text);
}

void source_fixture_start(struct source_fixture *f)
{
	struct sluice_error error = { "" };

	f->result = (struct source_result){ .frames = 0 };
	if (source_start(f->source, &f->scan, &error) < 0)
		fail_msg("%s", error.text);
}

void source_fixture_post(struct source_fixture *f)
{
	for (uint32_t i = 0; i < BUFFERS; i++) {
		const struct source_buffer buffer = {
			.slot = f->memory + (size_t)i * 4096,
			.headroom = f->headroom,
			.capacity = f->capacity,
			.table = f->table[i],
			.table_max = TABLE,
			.cookie = i,
		};
		int ret;

		if (f->busy[i])
			continue;
		ret = source_post(f->source, &buffer);
		if (ret == -ENOSPC)
			return;
		assert_int_equal(ret, 0);
		f->busy[i] = true;
	}
}

static void take_block(struct source_fixture *f, const struct sluice_wire_block *block,
		       uint32_t slot)
{
	struct source_result *const r = &f->result;
	const uint32_t offset = sluice_u32(block->offset);
	const uint8_t *const pixels = f->memory + (size_t)slot * 4096 + offset;

	assert_true(r->frames < FRAMES_MAX);
	assert_true(offset + PAYLOAD <= f->headroom + f->capacity);
	assert_int_equal(sluice_u32(block->crc), crc32c(pixels, PAYLOAD));
	r->after_skip[r->frames] = sluice_u16(block->reserved) == SOURCE_BLOCK_AFTER_SKIP;
	r->frame[r->frames++] = sluice_u64(block->frame);
}

int source_fixture_reap(struct source_fixture *f, uint64_t timeout_ns)
{
	struct source_result *const r = &f->result;
	struct source_fill fill;
	const int ret = source_reap(f->source, timeout_ns, &fill);

	if (ret < 0)
		return ret;
	r->bytes_skipped += fill.bytes_skipped;
	if (fill.has_buffer) {
		assert_int_equal(fill.end, SOURCE_END_NONE);
		assert_true(fill.cookie < BUFFERS);
		assert_true(f->busy[fill.cookie]);
		f->busy[fill.cookie] = false;
		for (uint32_t i = 0; i < fill.block_count; i++)
			take_block(f, &f->table[fill.cookie][i], fill.cookie);
		r->fill_blocks[r->fills++] = fill.block_count;
	} else {
		assert_int_not_equal(fill.end, SOURCE_END_NONE);
		r->end = fill.end;
		r->error = fill.error;
	}
	return 0;
}

void source_fixture_run(struct source_fixture *f)
{
	while (f->result.end == SOURCE_END_NONE) {
		source_fixture_post(f);
		assert_int_equal(source_fixture_reap(f, WAIT_NS), 0);
	}
	source_stop(f->source);
	memset(f->busy, 0, sizeof(f->busy));
}

void assert_frames(const struct source_fixture *f, const uint64_t *frames, unsigned int count)
{
	assert_int_equal(f->result.frames, count);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(f->result.frame[i], frames[i]);
}

void assert_frames_from_0(const struct source_fixture *f, unsigned int count)
{
	assert_int_equal(f->result.frames, count);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(f->result.frame[i], i);
}
