/* SPDX-License-Identifier: MIT */
/* model/batch.h: a block's bytes as the contract has them, and what each fault does to them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/crc32c.h>
#include <model/batch.h>
#include <model/pattern.h>

enum {
	ROWS = 2,
	COLUMNS = 4,
	PAYLOAD = ROWS * COLUMNS * 2,
	BLOCK = SLUICE_BLOCK_HEADER_BYTES + PAYLOAD,
	SECTOR = 2,
	NUMBER = 0x01020304,
};

#define TIMESTAMP UINT64_C(0x1122334455667788)

/* Frame 5 of a scan of 3 x 2, counter pattern, worked out apart from this code. */
static const uint8_t golden[BLOCK] = {
	0x53, 0x42, 0x4c, 0x4b, 0x01, 0x00, 0x40, 0x00, 0x04, 0x03, 0x02, 0x01, 0x02, 0x00,
	0x03, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x00, 0x02, 0x00,
	0x02, 0x00, 0x01, 0x00, 0x02, 0x00, 0x04, 0x00, 0x02, 0x00, 0x01, 0x00, 0x10, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
	0x25, 0x65, 0xa5, 0xf6, 0x64, 0x49, 0xe2, 0x14, 0x05, 0x12, 0x06, 0x12, 0x07, 0x12,
	0x08, 0x12, 0x09, 0x12, 0x0a, 0x12, 0x0b, 0x12, 0x0c, 0x12,
};
/* The same frame's header in files of the 4D Camera. */
static const uint8_t golden_camera[] = { 0x04, 0x03, 0x02, 0x01, 0x05, 0x00, 0x00, 0x00,
					 0x03, 0x00, 0x02, 0x00, 0x02, 0x00, 0x01, 0x00 };

static struct model *model;
static struct fault_list faults;
static struct batch batch;
static struct batch_run run;
static uint8_t bytes[1 << 20];

static int set_up(void **state)
{
	const struct model_args args = {
		.geometry = { .sectors = 3,
			      .rows = ROWS,
			      .columns = COLUMNS,
			      .pixel = SLUICE_PIXEL_U16 },
		.generator = MODEL_COUNTER,
		.seed = 1,
		.distinct = 4,
		.sectors_served = 7,
	};

	(void)state;
	memset(&faults, 0, sizeof(faults));
	run = (struct batch_run){ .faults = &faults,
				  .scan = { .columns = 3, .rows = 2, .frames = 6 },
				  .number = NUMBER,
				  .sector = SECTOR };
	batch_reset(&batch);
	if (model_create(&args, &model, NULL) < 0)
		return -1;
	run.model = model;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	model_destroy(model);
	return 0;
}

/* All pieces in a row; returns how many bytes. */
static size_t gather(void)
{
	size_t at = 0;

	for (unsigned int i = 0; i < batch.pieces; i++) {
		assert_true(at + batch.piece[i].iov_len <= sizeof(bytes));
		memcpy(bytes + at, batch.piece[i].iov_base, batch.piece[i].iov_len);
		at += batch.piece[i].iov_len;
	}
	assert_int_equal(at, batch.bytes);
	return at;
}

static void order(const char *text)
{
	assert_int_equal(fault_add(&faults, text, NULL), 0);
}

static void counts_are(uint64_t generated, uint64_t sent)
{
	assert_int_equal(batch.counts.blocks_generated, generated);
	assert_int_equal(batch.counts.blocks_sent, sent);
	assert_int_equal(batch.counts.blocks_dropped, generated - sent);
}

static void a_block_is_as_the_contract_says(void **state)
{
	(void)state;
	batch_add(&batch, &run, 5, TIMESTAMP);
	assert_int_equal(gather(), BLOCK);
	assert_memory_equal(bytes, golden, BLOCK);
	counts_are(1, 1);
}

static void camera_files_have_their_own_header(void **state)
{
	(void)state;
	run.framing = BATCH_4DCAMERA_V5;
	batch_add(&batch, &run, 5, TIMESTAMP);
	assert_int_equal(batch_header_bytes(BATCH_4DCAMERA_V4), sizeof(golden_camera));
	assert_int_equal(gather(), sizeof(golden_camera) + PAYLOAD);
	assert_memory_equal(bytes, golden_camera, sizeof(golden_camera));
	assert_memory_equal(bytes + sizeof(golden_camera), golden + SLUICE_BLOCK_HEADER_BYTES,
			    PAYLOAD);
}

static void payloads_are_not_copied(void **state)
{
	(void)state;
	for (uint64_t f = 0; f < 6; f++)
		batch_add(&batch, &run, f, f);
	assert_int_equal(batch.pieces, 12);
	for (uint64_t f = 0; f < 6; f++)
		assert_ptr_equal(batch.piece[2 * f + 1].iov_base,
				 model_payload(model, (uint32_t)(f % 4), SECTOR));
}

static void a_dropped_block_is_not_there(void **state)
{
	(void)state;
	order("drop=5");
	batch_add(&batch, &run, 5, TIMESTAMP);
	assert_int_equal(gather(), 0);
	counts_are(1, 0);
}

static unsigned int bits_that_differ(const uint8_t *a, const uint8_t *b, size_t len)
{
	unsigned int bits = 0;

	for (size_t i = 0; i < len; i++)
		bits += (unsigned int)__builtin_popcount(a[i] ^ b[i]);
	return bits;
}

static void a_corrupt_payload_fails_its_checksum_by_one_bit(void **state)
{
	(void)state;
	order("corrupt=5");
	batch_add(&batch, &run, 5, TIMESTAMP);
	assert_int_equal(gather(), BLOCK);
	assert_memory_equal(bytes, golden, SLUICE_BLOCK_HEADER_BYTES);
	assert_int_equal(bits_that_differ(bytes, golden, BLOCK), 1);
	counts_are(1, 1);
	assert_int_equal(batch.counts.blocks_corrupted, 1);
	/* The prepared frame itself stays whole. */
	assert_int_equal(counter_check(model_payload(model, 1, SECTOR), PAYLOAD), 0);
}

static void a_bad_header_differs_by_one_bit(void **state)
{
	(void)state;
	order("badheader=0-5");
	for (uint64_t f = 0; f < 6; f++) {
		uint8_t good[SLUICE_BLOCK_HEADER_BYTES];

		batch_reset(&batch);
		batch_add(&batch, &run, f, TIMESTAMP);
		assert_int_equal(gather(), BLOCK);
		batch_header(&run, f, TIMESTAMP, good);
		assert_int_equal(bits_that_differ(bytes, good, sizeof(good)), 1);
		counts_are(1, 1);
		assert_int_equal(batch.counts.headers_corrupted, 1);
	}
}

static void a_duplicate_comes_twice_and_counts_once(void **state)
{
	(void)state;
	order("duplicate=5");
	batch_add(&batch, &run, 5, TIMESTAMP);
	assert_int_equal(gather(), 2 * BLOCK);
	assert_memory_equal(bytes, golden, BLOCK);
	assert_memory_equal(bytes + BLOCK, golden, BLOCK);
	counts_are(1, 1);
	assert_int_equal(batch.counts.blocks_duplicated, 1);
}

static void a_cut_ends_in_the_middle_of_the_block(void **state)
{
	(void)state;
	order("cut=5");
	batch_add(&batch, &run, 4, TIMESTAMP);
	assert_false(batch.cut);
	batch_add(&batch, &run, 5, TIMESTAMP);
	assert_true(batch.cut);
	assert_int_equal(gather(), BLOCK + BLOCK - PAYLOAD / 2);
	assert_memory_equal(bytes + BLOCK, golden, BLOCK - PAYLOAD / 2);
	counts_are(2, 1);
}

static void garbage_stands_before_the_block(void **state)
{
	(void)state;
	order("garbage=5:1000");
	batch_add(&batch, &run, 5, TIMESTAMP);
	assert_int_equal(gather(), 1000 + BLOCK);
	assert_memory_equal(bytes + 1000, golden, BLOCK);
	counts_are(1, 1);
	assert_int_equal(batch.counts.garbage_bytes, 1000);
}

static void missing_bytes_are_those_of_the_end(void **state)
{
	(void)state;
	order("missing=5:3");
	order("missing=4:1000");
	batch_add(&batch, &run, 5, TIMESTAMP);
	assert_int_equal(gather(), BLOCK - 3);
	assert_memory_equal(bytes, golden, BLOCK - 3);
	counts_are(1, 0);
	assert_int_equal(batch.counts.missing_bytes, 3);
	batch_add(&batch, &run, 4, TIMESTAMP);
	/* At most the payload. */
	assert_int_equal(gather(), BLOCK - 3 + SLUICE_BLOCK_HEADER_BYTES);
	assert_int_equal(batch.counts.missing_bytes, 3 + PAYLOAD);
}

static void a_full_batch_of_the_worst_fits(void **state)
{
	struct batch_counts sum = { 0 };

	(void)state;
	order("garbage=0:10");
	order("corrupt=every:1");
	order("duplicate=every:1");
	order("badheader=every:1");
	for (unsigned int i = 0; i < BATCH_BLOCKS; i++)
		batch_add(&batch, &run, 0, 0);
	assert_int_equal(gather(), BATCH_BLOCKS * (10 + 2 * BLOCK));
	batch_counts_add(&sum, &batch.counts);
	batch_counts_add(&sum, &batch.counts);
	assert_int_equal(sum.blocks_generated, 2 * BATCH_BLOCKS);
	assert_int_equal(sum.blocks_sent, 2 * BATCH_BLOCKS);
	assert_int_equal(sum.blocks_corrupted, 2 * BATCH_BLOCKS);
	assert_int_equal(sum.blocks_duplicated, 2 * BATCH_BLOCKS);
	assert_int_equal(sum.headers_corrupted, 2 * BATCH_BLOCKS);
	assert_int_equal(sum.garbage_bytes, 2 * BATCH_BLOCKS * 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_block_is_as_the_contract_says, set_up, tear_down),
		cmocka_unit_test_setup_teardown(camera_files_have_their_own_header, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(payloads_are_not_copied, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_dropped_block_is_not_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_corrupt_payload_fails_its_checksum_by_one_bit,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_bad_header_differs_by_one_bit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_duplicate_comes_twice_and_counts_once, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_cut_ends_in_the_middle_of_the_block, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(garbage_stands_before_the_block, set_up, tear_down),
		cmocka_unit_test_setup_teardown(missing_bytes_are_those_of_the_end, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_full_batch_of_the_worst_fits, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
