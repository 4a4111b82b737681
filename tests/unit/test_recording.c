/* SPDX-License-Identifier: MIT */
/* model/recording.h: every block is in one of the files, once, in no order. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <model/recording.h>

enum {
	FRAMES = 60,
	FILES = 3,
	NUMBER = 7,
};

static struct model_args small = {
	.geometry = { .sectors = 2, .rows = 4, .columns = 6, .pixel = SLUICE_PIXEL_U16 },
	.generator = MODEL_PRBS,
	.distinct = 7,
	.sectors_served = 3,
};
static struct model *model;
static struct fault_list faults;
static char folder[64];
static struct recording_args args;

static int set_up(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/sluice-recording-XXXXXX");
	memset(&faults, 0, sizeof(faults));
	small.geometry.layout = SLUICE_LAYOUT_ROWS;
	if (!mkdtemp(folder) || model_create(&small, &model, NULL) < 0)
		return -1;
	args = (struct recording_args){ .folder = folder,
					.run = { .model = model,
						 .faults = &faults,
						 .scan = { 10, 6, FRAMES },
						 .number = NUMBER,
						 .sector = 1,
						 .framing = BATCH_4DCAMERA_V5 },
					.files = FILES };
	return 0;
}

static void name_of(char path[128], unsigned int file)
{
	(void)snprintf(path, 128, "%s/data_scan0000000007_module1_dst0_file%u.data", folder, file);
}

static int tear_down(void **state)
{
	char path[128];

	(void)state;
	for (unsigned int f = 0; f < FILES; f++) {
		name_of(path, f);
		(void)unlink(path);
	}
	model_destroy(model);
	return rmdir(folder);
}

/* Takes one file apart: marks its frames in @seen; returns how many, *ret_ordered if ascending. */
static unsigned int read_file(unsigned int file, uint8_t seen[FRAMES], int *ret_ordered)
{
	const size_t payload = sluice_sector_bytes(&small.geometry);
	const size_t header = batch_header_bytes(args.run.framing);
	uint8_t block[256], want[64];
	unsigned int blocks = 0;
	uint32_t last = 0;
	char path[128];
	FILE *in;

	name_of(path, file);
	in = fopen(path, "r");
	assert_non_null(in);
	*ret_ordered = 1;
	while (fread(block, 1, header + payload, in) == header + payload) {
		const size_t at = args.run.framing == BATCH_SLUICE ? 16 : 4;
		const uint32_t frame = block[at] | (uint32_t)block[at + 1] << 8;

		assert_true(frame < FRAMES);
		seen[frame]++;
		*ret_ordered &= blocks == 0 || frame > last;
		last = frame;
		blocks++;
		if (args.run.framing != BATCH_SLUICE) {
			batch_header(&args.run, frame, 0, want);
			assert_memory_equal(block, want, header);
		}
		assert_memory_equal(block + header,
				    model_payload(model, (uint32_t)(frame % small.distinct), 1),
				    payload);
	}
	(void)fclose(in);
	return blocks;
}

static void check_files(unsigned int lost)
{
	uint8_t seen[FRAMES] = { 0 };
	unsigned int blocks = 0;

	for (unsigned int f = 0; f < FILES; f++) {
		int ordered;
		const unsigned int in_file = read_file(f, seen, &ordered);

		assert_true(in_file > 5);
		assert_false(ordered);
		blocks += in_file;
	}
	assert_int_equal(blocks, FRAMES - lost);
	for (unsigned int f = 0; f < FRAMES; f++)
		assert_true(seen[f] <= 1);
}

static void every_block_is_there_once(void **state)
{
	struct batch_counts counts;

	(void)state;
	assert_int_equal(recording_write(&args, &counts, NULL), 0);
	assert_int_equal(counts.blocks_sent, FRAMES);
	check_files(0);
}

static void our_own_framing_can_be_written(void **state)
{
	struct batch_counts counts;

	(void)state;
	args.run.framing = BATCH_SLUICE;
	assert_int_equal(recording_write(&args, &counts, NULL), 0);
	check_files(0);
}

static void faults_hold_for_files(void **state)
{
	struct batch_counts counts;

	(void)state;
	assert_int_equal(fault_add(&faults, "1/drop=3,9", NULL), 0);
	assert_int_equal(fault_add(&faults, "0/drop=4", NULL), 0);
	assert_int_equal(recording_write(&args, &counts, NULL), 0);
	assert_int_equal(counts.blocks_sent, FRAMES - 2);
	assert_int_equal(counts.blocks_dropped, 2);
	check_files(2);
}

static void a_file_that_is_there_is_not_overwritten(void **state)
{
	struct batch_counts counts;
	struct sluice_error error;

	(void)state;
	assert_int_equal(recording_write(&args, &counts, NULL), 0);
	assert_int_equal(recording_write(&args, &counts, &error), -EEXIST);
	assert_non_null(strstr(error.text, "file0.data"));
	check_files(0);
}

static void what_does_not_fit_is_refused(void **state)
{
	struct batch_counts counts;
	struct sluice_error error;
	const volatile sig_atomic_t stop = 1;
	char path[128];

	(void)state;
	args.run.framing = BATCH_4DCAMERA_V4;
	assert_int_equal(recording_write(&args, &counts, &error), -EINVAL);
	assert_non_null(strstr(error.text, "columns"));
	args.run.framing = BATCH_4DCAMERA_V5;
	args.files = 0;
	assert_int_equal(recording_write(&args, &counts, &error), -EINVAL);
	args.files = FILES;
	args.run.scan.frames = RECORDING_FRAMES_MAX + 1;
	assert_int_equal(recording_write(&args, &counts, &error), -EINVAL);
	args.run.scan.frames = FRAMES;
	args.stop = &stop;
	assert_int_equal(recording_write(&args, &counts, &error), -ECANCELED);
	name_of(path, 0);
	assert_int_equal(unlink(path), 0);
	args.stop = NULL;
	args.folder = "/dev/null";
	assert_int_equal(recording_write(&args, &counts, &error), -ENOTDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_block_is_there_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(our_own_framing_can_be_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(faults_hold_for_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_is_there_is_not_overwritten, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_does_not_fit_is_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
