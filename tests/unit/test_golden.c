/* SPDX-License-Identifier: MIT */
/*
 * firmware-iface/golden against the headers: every number of the files is where the structs have
 * it, every struct made from the numbers has the files' bytes, and the functions of the headers
 * and of the model say what the files say.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/crc32c.h>
#include <firmware-iface/dma.h>
#include <firmware-iface/registers.h>
#include <model/batch.h>
#include <model/model.h>
#include <model/pattern.h>
#include <sluice/block.h>

#include "golden_file.h"

enum {
	RING_ENTRIES = 8, /* of the golden descriptor rings */
	FIRST_ROUNDS =
		12, /* of the good completions: as a ring of 8 gets them; the rest comes later */
	BLOCK_BYTES = 80,
	SCAN = 0x1234,
};

/*
 * Both directions for one member: what the struct at @base of the file's bytes reads is the
 * file's number, under the member's name and at its place; and the number is stored in `made`.
 */
#define AGREES(golden, base, seen, made, member, bits)                                         \
	do {                                                                                   \
		const uint64_t number = golden_value(                                          \
			golden, (base) + offsetof(typeof(seen), member), #member, (bits) / 8); \
                                                                                               \
		_Static_assert(sizeof((seen).member) == (bits) / 8, "width of " #member);      \
		assert_true(sluice_u##bits((seen).member) == number);                          \
		(made).member = sluice_le##bits((uint##bits##_t)number);                       \
	} while (0)

static void read_desc(const struct golden *g, unsigned int entry, struct fw_desc *ret_desc)
{
	const size_t at = entry * sizeof(struct fw_desc);
	struct fw_desc seen, made;

	memcpy(&seen, g->image + at, sizeof(seen));
	AGREES(g, at, seen, made, address, 64);
	AGREES(g, at, seen, made, bytes, 32);
	AGREES(g, at, seen, made, control, 32);
	assert_memory_equal(&made, g->image + at, sizeof(made));
	*ret_desc = seen;
}

static void read_completion(const struct golden *g, unsigned int index,
			    struct fw_completion *ret_completion)
{
	const size_t at = index * sizeof(struct fw_completion);
	struct fw_completion seen, made;

	memcpy(&seen, g->image + at, sizeof(seen));
	AGREES(g, at, seen, made, first_frame, 64);
	AGREES(g, at, seen, made, bytes, 32);
	AGREES(g, at, seen, made, blocks, 32);
	AGREES(g, at, seen, made, tag, 16);
	AGREES(g, at, seen, made, status, 16);
	AGREES(g, at, seen, made, scan, 32);
	AGREES(g, at, seen, made, descriptors, 32);
	AGREES(g, at, seen, made, generation, 32);
	assert_memory_equal(&made, g->image + at, sizeof(made));
	*ret_completion = seen;
}

static void read_block_header(const struct golden *g, struct sluice_block_header *ret_header)
{
	struct sluice_block_header seen, made;

	memcpy(&seen, g->image, sizeof(seen));
	AGREES(g, 0, seen, made, magic, 32);
	AGREES(g, 0, seen, made, version, 16);
	AGREES(g, 0, seen, made, header_bytes, 16);
	AGREES(g, 0, seen, made, scan, 32);
	AGREES(g, 0, seen, made, sector, 16);
	AGREES(g, 0, seen, made, sector_count, 16);
	AGREES(g, 0, seen, made, frame, 64);
	AGREES(g, 0, seen, made, scan_columns, 16);
	AGREES(g, 0, seen, made, scan_rows, 16);
	AGREES(g, 0, seen, made, position_x, 16);
	AGREES(g, 0, seen, made, position_y, 16);
	AGREES(g, 0, seen, made, rows, 16);
	AGREES(g, 0, seen, made, columns, 16);
	AGREES(g, 0, seen, made, pixel, 16);
	AGREES(g, 0, seen, made, flags, 16);
	AGREES(g, 0, seen, made, payload_bytes, 32);
	AGREES(g, 0, seen, made, reserved, 32);
	AGREES(g, 0, seen, made, timestamp_ns, 64);
	AGREES(g, 0, seen, made, payload_crc, 32);
	AGREES(g, 0, seen, made, header_crc, 32);
	assert_memory_equal(&made, g->image, sizeof(made));
	*ret_header = seen;
}

/* Adds up the chain that begins at @head; returns the count behind it. */
static uint32_t walk_chain(const struct golden *g, uint32_t head, uint32_t *ret_tag,
			   uint64_t *ret_bytes)
{
	struct fw_desc d;
	uint32_t tag = 0;
	uint64_t bytes = 0;
	unsigned int n = 0;

	do {
		read_desc(g, head % RING_ENTRIES, &d);
		if (n == 0)
			tag = sluice_u32(d.control) & FW_DESC_TAG;
		assert_int_equal(sluice_u32(d.control) & ~(FW_DESC_LAST | FW_DESC_TAG), 0);
		assert_int_equal(sluice_u32(d.control) & FW_DESC_TAG, tag);
		assert_true(sluice_u32(d.bytes) > 0);
		bytes += sluice_u32(d.bytes);
		head++;
		assert_true(++n <= RING_ENTRIES);
	} while (!(sluice_u32(d.control) & FW_DESC_LAST));
	*ret_tag = tag;
	*ret_bytes = bytes;
	return head;
}

static void descriptors_are_chains(void **state)
{
	static const char *const name[] = { "descriptors_first.txt", "descriptors_wrap.txt" };
	const unsigned int digits[] = { 2, 8, 8, 4, 8, 0 };
	struct golden_table t;
	struct golden g[2];

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		golden_read(name[i], &g[i]);
		assert_int_equal(g[i].gaps, 0);
		assert_int_equal(g[i].fields, 3 * RING_ENTRIES);
		assert_int_equal(g[i].bytes, RING_ENTRIES * sizeof(struct fw_desc));
		for (unsigned int entry = 0; entry < RING_ENTRIES; entry++) {
			struct fw_desc d;

			read_desc(&g[i], entry, &d);
		}
	}
	golden_read_table("chains.txt", digits, &t);
	for (unsigned int i = 0; i < t.rows; i++) {
		uint32_t tag;
		uint64_t bytes;

		assert_in_range(t.row[i][0], 0, 1);
		assert_int_equal(walk_chain(&g[t.row[i][0]], (uint32_t)t.row[i][1], &tag, &bytes),
				 t.row[i][2]);
		assert_int_equal(tag, t.row[i][3]);
		assert_int_equal(bytes, t.row[i][4]);
		assert_true(bytes >= BLOCK_BYTES);
		/* In one ring tags go up by one. */
		if (i > 0 && t.row[i][0] == t.row[i - 1][0])
			assert_int_equal(tag, (uint16_t)(t.row[i - 1][3] + 1));
	}
}

/* Every completion of @completions gets the verdict that @verdicts foretells. */
static void judge_all(const char *completions, const char *verdicts, bool good)
{
	const unsigned int digits[] = { 2, 8, 8, 8, 8, 4, 4, 2, 0 };
	struct golden_table t;
	struct golden g;
	unsigned int seen = 0;

	golden_read(completions, &g);
	golden_read_table(verdicts, digits, &t);
	assert_int_equal(g.gaps, 0);
	assert_int_equal(g.bytes, t.rows * sizeof(struct fw_completion));
	assert_int_equal(g.fields, t.rows * 8);
	for (unsigned int i = 0; i < t.rows; i++) {
		const struct fw_expected e = {
			.scan = (uint32_t)t.row[i][1],
			.block_bytes = (uint32_t)t.row[i][2],
			.bytes = (uint32_t)t.row[i][3],
			.descriptors = (uint32_t)t.row[i][4],
			.tag = (uint16_t)t.row[i][5],
			.newest = (uint16_t)t.row[i][6],
		};
		struct fw_completion c;

		assert_int_equal(t.row[i][0], i);
		read_completion(&g, i, &c);
		assert_int_equal(fw_completion_judge(&c, &e), t.row[i][7]);
		assert_int_equal(t.row[i][7] == FW_VERDICT_GOOD, good);
		if (good && i < FIRST_ROUNDS)
			assert_int_equal(sluice_u32(c.generation), fw_generation(i, 3));
		seen |= 1u << (good ? sluice_u16(c.status) : t.row[i][7]);
	}
	/* The good ones show each status, the bad ones each verdict. */
	if (good)
		assert_int_equal(seen, (2u << FW_STATUS_INTERNAL) - (1u << FW_STATUS_FULL));
	else
		assert_int_equal(seen, (2u << FW_VERDICT_STATUS) - (1u << FW_VERDICT_LOST));
}

static void good_completions_are_good(void **state)
{
	(void)state;
	judge_all("completions_good.txt", "verdicts_good.txt", true);
}

static void bad_completions_are_seen_through(void **state)
{
	(void)state;
	judge_all("completions_bad.txt", "verdicts_bad.txt", false);
}

static void generations_go_round(void **state)
{
	const unsigned int digits[] = { 16, 2, 8, 0 };
	struct golden_table t;

	(void)state;
	golden_read_table("generations.txt", digits, &t);
	for (unsigned int i = 0; i < t.rows; i++)
		assert_int_equal(fw_generation(t.row[i][0], (unsigned int)t.row[i][1]),
				 t.row[i][2]);
}

/* The header that the model makes for the same block; the CRCs are of its own payload. */
static void check_against_model(const struct sluice_block_header *h, enum model_generator generator)
{
	const struct model_args args = {
		.geometry = { .sectors = 4, .rows = 2, .columns = 4, .pixel = SLUICE_PIXEL_U16 },
		.generator = generator,
		.distinct = 2,
		.sectors_served = 1 << 1,
	};
	struct batch_run run = {
		.scan = { .columns = 3, .rows = 2, .frames = 24 },
		.number = SCAN,
		.sector = 1,
	};
	uint8_t made[SLUICE_BLOCK_HEADER_BYTES];
	struct model *model;

	assert_int_equal(model_create(&args, &model, NULL), 0);
	run.model = model;
	batch_header(&run, sluice_u64(h->frame), sluice_u64(h->timestamp_ns), made);
	assert_memory_equal(made, h, offsetof(struct sluice_block_header, payload_crc));
	model_destroy(model);
}

static void check_block(const char *name, enum model_generator generator)
{
	struct sluice_block_header h;
	const uint8_t *pixels;
	struct golden g;

	golden_read(name, &g);
	assert_int_equal(g.gaps, 0);
	assert_int_equal(g.bytes, BLOCK_BYTES);
	read_block_header(&g, &h);
	for (size_t at = sizeof(h); at < BLOCK_BYTES; at += 2)
		(void)golden_value(&g, at, "pixels", 2);
	pixels = g.image + sizeof(h);
	assert_int_equal(crc32c(pixels, BLOCK_BYTES - sizeof(h)), sluice_u32(h.payload_crc));
	assert_int_equal(crc32c(&h, offsetof(struct sluice_block_header, header_crc)),
			 sluice_u32(h.header_crc));
	if (generator == MODEL_COUNTER)
		assert_int_equal(counter_check(pixels, BLOCK_BYTES - sizeof(h)), 0);
	if (generator == MODEL_PRBS)
		assert_int_equal(prbs_check(pixels, BLOCK_BYTES - sizeof(h)), 0);
	check_against_model(&h, generator);
}

static void blocks_are_whole(void **state)
{
	(void)state;
	check_block("block_detector.txt", MODEL_CAMERA);
	check_block("block_counter.txt", MODEL_COUNTER);
	check_block("block_prbs.txt", MODEL_PRBS);
}

static void prbs_begins_from_its_seed(void **state)
{
	const unsigned int digits[] = { 8, 8, 8, 8, 8, 8, 8, 8, 8, 0 };
	struct golden_table t;

	(void)state;
	golden_read_table("prbs31.txt", digits, &t);
	for (unsigned int i = 0; i < t.rows; i++) {
		struct sluice_le32 word[8];

		prbs_fill(word, sizeof(word), (uint32_t)t.row[i][0]);
		for (unsigned int k = 0; k < 8; k++)
			assert_int_equal(sluice_u32(word[k]), t.row[i][1 + k]);
		assert_int_equal(prbs_check(word, sizeof(word)), 0);
	}
}

static void frames_have_positions(void **state)
{
	const unsigned int digits[] = { 16, 4, 4, 16, 4, 4, 0 };
	struct golden_table t;

	(void)state;
	golden_read_table("positions.txt", digits, &t);
	for (unsigned int i = 0; i < t.rows; i++) {
		const struct model_scan scan = {
			.columns = (uint32_t)t.row[i][1],
			.rows = (uint32_t)t.row[i][2],
			.frames = t.row[i][3],
		};
		const uint64_t position = model_position(&scan, t.row[i][0]);

		assert_true(t.row[i][0] < scan.frames);
		assert_int_equal(position % scan.columns, t.row[i][4]);
		assert_int_equal(position / scan.columns, t.row[i][5]);
	}
}

static void crc_is_castagnoli(void **state)
{
	const unsigned int digits[] = { 16, 16, 8, 0 };
	struct golden_table t;

	(void)state;
	golden_read_table("crc32c.txt", digits, &t);
	for (unsigned int i = 0; i < t.rows; i++) {
		const struct sluice_le64 words[2] = { sluice_le64(t.row[i][0]),
						      sluice_le64(t.row[i][1]) };

		assert_int_equal(crc32c(words, sizeof(words)), t.row[i][2]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptors_are_chains),
		cmocka_unit_test(good_completions_are_good),
		cmocka_unit_test(bad_completions_are_seen_through),
		cmocka_unit_test(generations_go_round),
		cmocka_unit_test(blocks_are_whole),
		cmocka_unit_test(prbs_begins_from_its_seed),
		cmocka_unit_test(frames_have_positions),
		cmocka_unit_test(crc_is_castagnoli),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
