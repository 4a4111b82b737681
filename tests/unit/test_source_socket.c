/* SPDX-License-Identifier: MIT */
/* A source on a software board: the stream in order, its faults, its end. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>

#include "source_fixture.h"

enum {
	FRAMES = 16,
};

struct setting {
	struct source_fixture f;
	struct fake_board board;
	uint8_t bytes[(FRAMES + 4) * BLOCK];
	size_t len;
};

static int setup(void **state)
{
	struct setting *const s = calloc(1, sizeof(*s));

	source_fixture_init(&s->f, "sluice");
	source_fixture_spec(&s->f, "socket", "board{sector}");
	for (uint64_t i = 0; i < FRAMES; i++)
		block_write(s->bytes + i * BLOCK, SCAN, i);
	s->len = (size_t)FRAMES * BLOCK;
	s->board.sector = 1;
	*state = s;
	return 0;
}

static void serve(struct setting *s)
{
	s->board.bytes = s->bytes;
	s->board.len = s->len;
	fake_board_start(&s->board, source_fixture_path(&s->f, "board1"));
}

static int teardown(void **state)
{
	struct setting *const s = *state;

	if (s->board.listener > 0)
		fake_board_stop(&s->board);
	source_fixture_fini(&s->f);
	free(s);
	return 0;
}

static void run(struct setting *s)
{
	serve(s);
	source_fixture_open(&s->f);
	source_fixture_start(&s->f);
	source_fixture_run(&s->f);
}

static void test_whole_scan(void **state)
{
	struct setting *const s = *state;
	const struct source_stats *stats;

	run(s);
	assert_frames_from_0(&s->f, FRAMES);
	assert_int_equal(s->f.result.end, SOURCE_END_COMPLETE);
	/* Each buffer ends with a run's last block, so nothing was copied. */
	assert_int_equal(s->f.result.fills, FRAMES / RUN);
	stats = source_stats(s->f.source);
	assert_int_equal(stats->bytes, FRAMES * BLOCK);
	assert_int_equal(stats->blocks, FRAMES);
	assert_int_equal(stats->bytes_moved, 0);
	assert_int_equal(stats->bytes_skipped, 0);
	assert_string_equal(source_info(s->f.source)->name, "fake");
}

static void test_in_small_pieces(void **state)
{
	struct setting *const s = *state;

	s->board.piece = 61;
	run(s);
	assert_frames_from_0(&s->f, FRAMES);
	assert_int_equal(s->f.result.fills, FRAMES / RUN);
}

/* Several reads wait when the bytes come: they are filled one after the other. */
static void test_reads_in_flight_keep_order(void **state)
{
	struct setting *const s = *state;

	s->board.piece = 61;
	s->board.gated = true;
	serve(s);
	source_fixture_open(&s->f);
	source_fixture_start(&s->f);
	source_fixture_post(&s->f);
	assert_int_equal(source_fixture_reap(&s->f, 0), -EAGAIN);
	assert_int_equal(source_stats(s->f.source)->reads, s->f.args.depth);
	fake_board_let_send(&s->board);
	source_fixture_run(&s->f);
	assert_frames_from_0(&s->f, FRAMES);
	assert_int_equal(s->f.result.bytes_skipped, 0);
	assert_int_equal(s->f.result.fills, FRAMES / RUN);
}

/* A scan whose last run is short: its blocks do not wait for bytes that will not come. */
static void test_last_run_is_not_held_back(void **state)
{
	struct setting *const s = *state;

	s->f.scan.frames_expected = FRAMES - 2;
	s->f.scan.stall_ns = UINT64_MAX;
	s->len = (FRAMES - 2) * BLOCK;
	s->board.hold = true;
	serve(s);
	source_fixture_open(&s->f);
	source_fixture_start(&s->f);
	while (s->f.result.frames < FRAMES - 2) {
		source_fixture_post(&s->f);
		assert_int_equal(source_fixture_reap(&s->f, WAIT_NS), 0);
	}
	assert_int_equal(s->f.result.end, SOURCE_END_NONE);
}

static void test_scan_after_scan(void **state)
{
	struct setting *const s = *state;

	run(s);
	for (int i = 0; i < 2; i++) {
		source_fixture_start(&s->f);
		source_fixture_run(&s->f);
		assert_frames_from_0(&s->f, FRAMES);
		assert_int_equal(s->f.result.end, SOURCE_END_COMPLETE);
	}
	assert_int_equal(s->board.runs, 3);
}

static void test_geometry_comes_from_the_board(void **state)
{
	struct setting *const s = *state;

	s->f.args.geometry = (struct sluice_geometry){ 0 };
	run(s);
	assert_memory_equal(&source_info(s->f.source)->geometry, &small_geometry,
			    sizeof(small_geometry));
	assert_int_equal(source_info(s->f.source)->block_bytes, BLOCK);
	assert_frames_from_0(&s->f, FRAMES);
}

static void drop(struct setting *s, unsigned int frame)
{
	for (size_t at = 0; at < s->len; at += BLOCK) {
		uint8_t *const block = s->bytes + at;

		if (block[offsetof(struct sluice_block_header, frame)] != frame)
			continue;
		memmove(block, block + BLOCK, s->len - at - BLOCK);
		s->len -= BLOCK;
		return;
	}
}

/* After a gap the reads find back to the ends of runs. */
static void test_drop_and_alignment(void **state)
{
	static const uint64_t frames[] = { 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	struct setting *const s = *state;

	s->f.args.depth = 1;
	drop(s, 1);
	run(s);
	assert_frames(&s->f, frames, 15);
	assert_int_equal(s->f.result.end, SOURCE_END_COMPLETE);
	assert_int_equal(source_stats(s->f.source)->bytes_skipped, 0);
	/* 0 2 3 4 | 5 6 7 | 8 9 10 11 | ... */
	assert_int_equal(s->f.result.fill_blocks[0], 4);
	assert_int_equal(s->f.result.fill_blocks[1], 3);
	assert_int_equal(s->f.result.fill_blocks[2], 4);
	assert_int_equal(s->f.result.fill_blocks[3], 4);
}

static void test_bad_header_is_skipped(void **state)
{
	static const uint64_t frames[] = { 0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	struct setting *const s = *state;

	s->bytes[5 * BLOCK + 20] ^= 1;
	run(s);
	assert_frames(&s->f, frames, 15);
	assert_true(s->f.result.after_skip[5]);
	assert_int_equal(s->f.result.bytes_skipped, BLOCK);
	assert_int_equal(source_stats(s->f.source)->bad_header_crc, 1);
	assert_int_equal(s->f.result.end, SOURCE_END_COMPLETE);
}

/* Rubbish makes blocks straddle buffers; they come whole, and alignment comes back. */
static void test_straddle_and_alignment(void **state)
{
	struct setting *const s = *state;

	memmove(s->bytes + 2 * BLOCK + 30, s->bytes + 2 * BLOCK, s->len - 2 * BLOCK);
	memset(s->bytes + 2 * BLOCK, 0, 30);
	s->len += 30;
	s->f.args.depth = 1;
	run(s);
	assert_frames_from_0(&s->f, FRAMES);
	assert_true(s->f.result.after_skip[2]);
	assert_int_equal(s->f.result.bytes_skipped, 30);
	assert_int_equal(source_stats(s->f.source)->bytes_moved, 2 * (BLOCK - 30));
	/* 0 1 2 | (3) | 4 5 6 7 | ... */
	assert_int_equal(s->f.result.fill_blocks[0], 3);
	assert_int_equal(s->f.result.fill_blocks[1], 1);
	assert_int_equal(s->f.result.fill_blocks[2], 4);
}

static void test_cut(void **state)
{
	struct setting *const s = *state;

	s->len = 6 * BLOCK + 33;
	run(s);
	assert_frames_from_0(&s->f, 6);
	assert_int_equal(s->f.result.end, SOURCE_END_CUT);
	assert_int_equal(s->f.result.bytes_skipped, 33);
}

static void test_stall_delivers_what_came(void **state)
{
	struct setting *const s = *state;

	s->len = 6 * BLOCK + 33;
	s->board.hold = true;
	s->f.scan.stall_ns = STALL_NS;
	run(s);
	assert_frames_from_0(&s->f, 6);
	assert_int_equal(s->f.result.end, SOURCE_END_STALL);
}

/* A board that waits after its last frame has delivered the scan. */
static void test_stall_after_the_last_frame(void **state)
{
	struct setting *const s = *state;

	s->board.hold = true;
	s->f.scan.stall_ns = STALL_NS;
	run(s);
	assert_frames_from_0(&s->f, FRAMES);
	assert_int_equal(s->f.result.end, SOURCE_END_COMPLETE);
}

/* No time passes for the board while it is given no buffer. */
static void test_no_stall_without_buffers(void **state)
{
	struct setting *const s = *state;

	s->f.scan.stall_ns = 1;
	serve(s);
	source_fixture_open(&s->f);
	source_fixture_start(&s->f);
	assert_int_equal(source_fixture_reap(&s->f, STALL_NS), -EAGAIN);
	assert_int_equal(s->f.result.end, SOURCE_END_NONE);
}

static void *interrupt_thread(void *arg)
{
	source_interrupt(arg);
	return NULL;
}

static void test_interrupt(void **state)
{
	struct setting *const s = *state;
	pthread_t thread;

	s->len = 2 * BLOCK;
	s->board.hold = true;
	serve(s);
	source_fixture_open(&s->f);
	source_fixture_start(&s->f);
	source_fixture_post(&s->f);
	assert_int_equal(pthread_create(&thread, NULL, interrupt_thread, s->f.source), 0);
	source_fixture_run(&s->f);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(s->f.result.end, SOURCE_END_STOPPED);
	/* The interruption was of that scan only. */
	source_fixture_start(&s->f);
	source_fixture_post(&s->f);
	assert_int_equal(source_fixture_reap(&s->f, 0), -EAGAIN);
}

/* After source_stop() every buffer is the caller's, and nothing is written to it. */
static void test_stop_gives_buffers_back(void **state)
{
	struct setting *const s = *state;
	struct source_fill fill;

	s->len = BLOCK;
	s->board.hold = true;
	serve(s);
	source_fixture_open(&s->f);
	source_fixture_start(&s->f);
	source_fixture_post(&s->f);
	assert_int_equal(source_reap(s->f.source, 0, &fill), -EAGAIN);
	source_stop(s->f.source);
	source_stop(s->f.source);
	assert_int_equal(source_reap(s->f.source, 0, &fill), -EINVAL);
	memset(s->f.busy, 0, sizeof(s->f.busy));
	source_fixture_start(&s->f);
	source_fixture_post(&s->f);
}

static void test_board_counters(void **state)
{
	struct setting *const s = *state;
	struct source_board_counters c;

	run(s);
	assert_int_equal(source_board_counters(s->f.source, &c), 0);
	assert_int_equal(c.blocks_generated, 16);
	assert_int_equal(c.blocks_sent, 15);
	assert_int_equal(c.blocks_dropped, 1);
	assert_int_equal(c.stall_ns, 5);
}

static void test_counters_of_another_scan(void **state)
{
	struct setting *const s = *state;
	struct source_board_counters c;

	s->board.counters_scan = SCAN + 1;
	run(s);
	assert_int_equal(source_board_counters(s->f.source, &c), -ENODATA);
}

static void expect_open(struct setting *s, int code, const char *text)
{
	struct sluice_error error = { "" };

	assert_int_equal(source_open(&s->f.args, &s->f.source, &error), code);
	assert_null(s->f.source);
	assert_non_null(strstr(error.text, text));
}

static void test_nobody_there(void **state)
{
	struct setting *const s = *state;

	expect_open(s, -ENOENT, "start sluice-board");
}

static void test_wrong_sector(void **state)
{
	struct setting *const s = *state;

	s->board.sector = 0;
	serve(s);
	expect_open(s, -EINVAL, "sector 0");
}

static void test_wrong_geometry(void **state)
{
	struct setting *const s = *state;

	s->board.rows = ROWS + 1;
	serve(s);
	expect_open(s, -EINVAL, "rows");
}

static void test_not_a_board(void **state)
{
	struct setting *const s = *state;

	s->board.bad_magic = 1;
	serve(s);
	expect_open(s, -EBADMSG, "no sluice-board");
}

static void test_short_reply(void **state)
{
	struct setting *const s = *state;

	s->board.short_reply = 1;
	serve(s);
	expect_open(s, -EBADMSG, "no sluice-board");
}

static void test_mute_board(void **state)
{
	struct setting *const s = *state;

	s->board.mute = true;
	serve(s);
	expect_open(s, -ETIMEDOUT, "who it is");
}

static void test_busy_board(void **state)
{
	struct setting *const s = *state;
	struct sluice_error error = { "" };

	s->board.run_status = EBUSY;
	serve(s);
	source_fixture_open(&s->f);
	assert_int_equal(source_start(s->f.source, &s->f.scan, &error), -EBUSY);
	assert_non_null(strstr(error.text, "another scan"));
	s->board.run_status = 0;
	source_fixture_start(&s->f);
	source_fixture_run(&s->f);
	assert_frames_from_0(&s->f, FRAMES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_whole_scan),
		TEST(test_in_small_pieces),
		TEST(test_reads_in_flight_keep_order),
		TEST(test_last_run_is_not_held_back),
		TEST(test_scan_after_scan),
		TEST(test_geometry_comes_from_the_board),
		TEST(test_drop_and_alignment),
		TEST(test_bad_header_is_skipped),
		TEST(test_straddle_and_alignment),
		TEST(test_cut),
		TEST(test_stall_delivers_what_came),
		TEST(test_stall_after_the_last_frame),
		TEST(test_no_stall_without_buffers),
		TEST(test_interrupt),
		TEST(test_stop_gives_buffers_back),
		TEST(test_board_counters),
		TEST(test_counters_of_another_scan),
		TEST(test_nobody_there),
		TEST(test_wrong_sector),
		TEST(test_wrong_geometry),
		TEST(test_not_a_board),
		TEST(test_short_reply),
		TEST(test_mute_board),
		TEST(test_busy_board),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
