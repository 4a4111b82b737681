/* SPDX-License-Identifier: MIT */
/* source/scanner.h: blocks are found however the stream is cut, and after whatever stands between
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include <source/scanner.h>

#include "source_fixture.h"

enum {
	HEAD = BLOCK,
	DATA = 16 * BLOCK,
};

struct bench {
	struct source_stats stats;
	struct scanner scanner;
	uint8_t slot[HEAD + DATA];
	struct sluice_wire_block table[32];
	uint32_t headroom;
	uint64_t frame[64];
	bool after_skip[64];
	unsigned int frames;
	uint64_t skipped;
	uint64_t damaged; /* frame whose pixels are not looked at; 0: none */
};

static void bench_init(struct bench *b)
{
	struct framing_format f;

	memset(b, 0, sizeof(*b));
	assert_int_equal(framing_format_init(&f, &framing_sluice, &small_geometry, 1, NULL, NULL),
			 0);
	f.frames = 64;
	f.scan_known = true;
	f.scan = SCAN;
	assert_int_equal(scanner_init(&b->scanner, &f, &b->stats), 0);
	b->headroom = HEAD;
}

static void feed(struct bench *b, const uint8_t *bytes, size_t len)
{
	const struct source_buffer buffer = {
		.slot = b->slot,
		.headroom = b->headroom,
		.capacity = DATA,
		.table = b->table,
		.table_max = 32,
	};
	struct source_fill fill;

	assert_true(len <= DATA);
	/* Nothing of the last buffer may be needed any more. */
	memset(b->slot, 0xee, sizeof(b->slot));
	memcpy(b->slot + b->headroom, bytes, len);
	scanner_feed(&b->scanner, &buffer, (uint32_t)len, &fill);
	b->skipped += fill.bytes_skipped;
	for (uint32_t i = 0; i < fill.block_count; i++) {
		const uint64_t frame = sluice_u64(b->table[i].frame);
		const uint8_t *const pixels = b->slot + sluice_u32(b->table[i].offset);
		uint8_t expected[BLOCK];

		block_write(expected, SCAN, frame);
		if (frame == 0 || frame != b->damaged)
			assert_memory_equal(pixels, expected + SLUICE_BLOCK_HEADER_BYTES, PAYLOAD);
		b->after_skip[b->frames] = sluice_u16(b->table[i].reserved) != 0;
		b->frame[b->frames++] = frame;
	}
}

static void expect(const struct bench *b, const char *frames)
{
	assert_int_equal(b->frames, strlen(frames));
	for (unsigned int i = 0; i < b->frames; i++)
		assert_int_equal(b->frame[i], frames[i] - '0');
}

static size_t blocks(uint8_t *dst, const char *frames)
{
	size_t n = 0;

	for (; frames[n]; n++)
		block_write(dst + n * BLOCK, SCAN, (uint64_t)(frames[n] - '0'));
	return n * BLOCK;
}

static void test_every_cut(void **state)
{
	uint8_t bytes[4 * BLOCK];
	const size_t len = blocks(bytes, "0123");

	(void)state;
	for (size_t first = 0; first <= len; first++) {
		for (size_t second = first; second <= len; second += 13) {
			struct bench b;

			bench_init(&b);
			feed(&b, bytes, first);
			feed(&b, bytes + first, second - first);
			feed(&b, bytes + second, len - second);
			expect(&b, "0123");
			assert_int_equal(b.skipped, 0);
			assert_int_equal(b.stats.resyncs, 0);
			assert_false(b.after_skip[3]);
			/* Joined by moving less than two blocks, out and in again. */
			assert_true(b.stats.bytes_moved < 4 * (uint64_t)BLOCK);
			if (first % BLOCK == 0 && second % BLOCK == 0)
				assert_int_equal(b.stats.bytes_moved, 0);
			scanner_fini(&b.scanner);
		}
	}
}

static void test_one_byte_at_a_time(void **state)
{
	uint8_t bytes[3 * BLOCK];
	const size_t len = blocks(bytes, "012");
	struct bench b;

	(void)state;
	bench_init(&b);
	for (size_t i = 0; i < len; i++)
		feed(&b, bytes + i, 1);
	expect(&b, "012");
	scanner_fini(&b.scanner);
}

/* Any bytes between two blocks are skipped, counted once, and the block after is marked. */
static void test_rubbish_between(void **state)
{
	uint8_t bytes[8 * BLOCK];

	(void)state;
	for (size_t rubbish = 1; rubbish < 2 * BLOCK; rubbish++) {
		for (size_t cut = 0; cut < 4 * BLOCK; cut += 17) {
			const size_t head = blocks(bytes, "01");
			struct bench b;
			size_t len;

			memset(bytes + head, 'S', rubbish);
			len = head + rubbish + blocks(bytes + head + rubbish, "23");
			bench_init(&b);
			feed(&b, bytes, cut);
			feed(&b, bytes + cut, len - cut);
			expect(&b, "0123");
			assert_int_equal(b.skipped, rubbish);
			assert_int_equal(b.stats.bytes_skipped, rubbish);
			assert_int_equal(b.stats.bad_magic, 1);
			assert_int_equal(b.stats.resyncs, 1);
			assert_false(b.after_skip[1]);
			assert_true(b.after_skip[2]);
			assert_false(b.after_skip[3]);
			scanner_fini(&b.scanner);
		}
	}
}

/* Of a header that is wrong in one field, exactly its block is lost, under the right name. */
static void test_bad_header(void **state)
{
	static const struct {
		size_t offset;
		bool sealed;
		size_t counter;
	} rows[] = {
		{ 0, true, offsetof(struct source_stats, bad_magic) },
		{ 40, true, offsetof(struct source_stats, bad_length) },
		{ 48, false, offsetof(struct source_stats, bad_header_crc) },
		{ 32, true, offsetof(struct source_stats, bad_geometry) },
		{ 8, true, offsetof(struct source_stats, bad_scan) },
		{ 17, true, offsetof(struct source_stats, bad_scan) },
	};
	uint8_t bytes[4 * BLOCK];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const size_t len = blocks(bytes, "0123");
		const _Atomic uint64_t *counter;
		struct bench b;

		bytes[BLOCK + rows[i].offset] ^= 0x40;
		if (rows[i].sealed)
			block_seal(bytes + BLOCK);
		bench_init(&b);
		feed(&b, bytes, len);
		expect(&b, "023");
		assert_true(b.after_skip[1]);
		assert_int_equal(b.skipped, BLOCK);
		counter = (const _Atomic uint64_t *)((const char *)&b.stats + rows[i].counter);
		assert_int_equal(*counter, 1);
		assert_int_equal(b.stats.bad_magic + b.stats.bad_length + b.stats.bad_header_crc +
					 b.stats.bad_geometry + b.stats.bad_scan,
				 1);
		scanner_fini(&b.scanner);
	}
}

/* Bytes are missing in block 1: block 2, whose header stands in its pixels, is not lost with it. */
static void test_missing_bytes(void **state)
{
	(void)state;
	for (size_t missing = 1; missing < BLOCK; missing++) {
		for (size_t at = 0; at + missing <= BLOCK; at += 7) {
			uint8_t bytes[4 * BLOCK];
			const size_t len = blocks(bytes, "0123");
			uint8_t *const from = bytes + BLOCK + at;
			struct bench b;

			memmove(from, from + missing, (size_t)(bytes + len - from) - missing);
			bench_init(&b);
			feed(&b, bytes, len - missing);
			expect(&b, "023");
			assert_true(b.after_skip[1]);
			assert_int_equal(b.skipped, BLOCK - missing);
			assert_int_equal(b.stats.blocks, 3);
			scanner_fini(&b.scanner);
		}
	}
}

/* The same where the block that lacks bytes ends a buffer, and was handed on: its CRC is wrong. */
static void test_missing_bytes_at_the_edge(void **state)
{
	(void)state;
	for (size_t missing = 1; missing <= PAYLOAD; missing++) {
		uint8_t bytes[4 * BLOCK];
		const size_t len = blocks(bytes, "0123") - missing;
		uint8_t *const from = bytes + BLOCK + SLUICE_BLOCK_HEADER_BYTES;
		struct bench b;

		memmove(from, from + missing, (size_t)(bytes + len - from));
		bench_init(&b);
		b.damaged = 1;
		feed(&b, bytes, 2 * BLOCK);
		feed(&b, bytes + 2 * BLOCK, len - 2 * BLOCK);
		expect(&b, "0123");
		assert_int_equal(b.stats.resyncs, 1);
		assert_int_equal(b.skipped, 0);
		scanner_fini(&b.scanner);
	}
}

enum {
	LARGE = SLUICE_BLOCK_HEADER_BYTES + 256,
};

/* A block with room for a header in its pixels, where there is one, of another frame. */
static void large_block(uint8_t *dst, uint64_t frame)
{
	struct sluice_block_header h;
	uint8_t small[BLOCK];

	block_write(small, SCAN, frame);
	memcpy(&h, small, sizeof(h));
	h.rows = sluice_le16(16);
	h.columns = sluice_le16(8);
	h.payload_bytes = sluice_le32(256);
	memset(dst, 0, LARGE);
	memcpy(dst, &h, sizeof(h));
	block_seal(dst);
	h.frame = sluice_le64(frame + 20);
	memcpy(dst + 100, &h, sizeof(h));
	block_seal(dst + 100);
}

static void large_init(struct bench *b)
{
	const struct sluice_geometry g = { .sectors = 2, .rows = 16, .columns = 8, .pixel = 2 };
	struct framing_format f;

	memset(b, 0, sizeof(*b));
	assert_int_equal(framing_format_init(&f, &framing_sluice, &g, 1, NULL, NULL), 0);
	assert_int_equal(f.block_bytes, LARGE);
	assert_int_equal(scanner_init(&b->scanner, &f, &b->stats), 0);
}

static unsigned int feed_large(struct bench *b, const uint8_t *bytes, size_t len)
{
	const struct source_buffer buffer = {
		.slot = b->slot,
		.headroom = LARGE,
		.capacity = DATA - LARGE,
		.table = b->table,
		.table_max = 4,
	};
	struct source_fill fill;

	memcpy(b->slot + LARGE, bytes, len);
	scanner_feed(&b->scanner, &buffer, (uint32_t)len, &fill);
	return fill.block_count;
}

/* A header inside pixels is an image of a header as long as the next block stands where it should.
 */
static void test_header_in_pixels(void **state)
{
	uint8_t bytes[2 * LARGE];
	struct bench b;

	(void)state;
	large_init(&b);
	large_block(bytes, 0);
	large_block(bytes + LARGE, 1);
	assert_int_equal(feed_large(&b, bytes, 2 * LARGE), 2);
	assert_int_equal(feed_large(&b, bytes, LARGE), 1);
	assert_int_equal(sluice_u64(b.table[0].frame), 0);
	assert_int_equal(b.stats.resyncs, 0);
	assert_int_equal(b.stats.bytes_moved, 0);
	scanner_fini(&b.scanner);
}

/* A whole header was handed on inside the block before it. */
static void test_many_bytes_missing_at_the_edge(void **state)
{
	uint8_t bytes[3 * LARGE];
	struct bench b;

	(void)state;
	large_init(&b);
	for (uint64_t i = 0; i < 3; i++)
		large_block(bytes + i * LARGE, i);
	memmove(bytes + 80, bytes + LARGE, 2 * LARGE);
	assert_int_equal(feed_large(&b, bytes, LARGE), 1);
	assert_int_equal(feed_large(&b, bytes + LARGE, LARGE + 80), 2);
	assert_int_equal(sluice_u64(b.table[0].frame), 1);
	assert_int_equal(sluice_u64(b.table[1].frame), 2);
	assert_int_equal(b.stats.bytes_skipped, 0);
	scanner_fini(&b.scanner);
}

static void test_no_headroom_skips(void **state)
{
	uint8_t bytes[4 * BLOCK];
	const size_t len = blocks(bytes, "0123");
	struct bench b;

	(void)state;
	bench_init(&b);
	b.headroom = 0;
	feed(&b, bytes, BLOCK + 70);
	feed(&b, bytes + BLOCK + 70, len - BLOCK - 70);
	expect(&b, "023");
	assert_true(b.after_skip[1]);
	assert_int_equal(b.skipped, BLOCK);
	scanner_fini(&b.scanner);
}

static void test_full_table_skips(void **state)
{
	uint8_t bytes[4 * BLOCK];
	const size_t len = blocks(bytes, "0123");
	struct sluice_wire_block table[2];
	struct source_buffer buffer = { .capacity = DATA, .table = table, .table_max = 2 };
	struct source_fill fill;
	struct bench b;

	(void)state;
	bench_init(&b);
	buffer.slot = bytes;
	scanner_feed(&b.scanner, &buffer, (uint32_t)len, &fill);
	assert_int_equal(fill.block_count, 2);
	assert_int_equal(fill.bytes_skipped, 2 * BLOCK);
	scanner_fini(&b.scanner);
}

static void test_finish_skips_the_rest(void **state)
{
	uint8_t bytes[2 * BLOCK];
	struct bench b;

	(void)state;
	(void)blocks(bytes, "01");
	bench_init(&b);
	feed(&b, bytes, BLOCK + 10);
	expect(&b, "0");
	assert_int_equal(scanner_finish(&b.scanner), 10);
	assert_int_equal(b.stats.bytes_skipped, 10);
	assert_int_equal(scanner_finish(&b.scanner), 0);
	scanner_fini(&b.scanner);
	scanner_fini(&b.scanner);
	scanner_fini(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_one_byte_at_a_time),
		cmocka_unit_test(test_rubbish_between),
		cmocka_unit_test(test_bad_header),
		cmocka_unit_test(test_missing_bytes),
		cmocka_unit_test(test_missing_bytes_at_the_edge),
		cmocka_unit_test(test_header_in_pixels),
		cmocka_unit_test(test_many_bytes_missing_at_the_edge),
		cmocka_unit_test(test_no_headroom_skips),
		cmocka_unit_test(test_full_table_skips),
		cmocka_unit_test(test_finish_skips_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
