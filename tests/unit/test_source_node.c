/* SPDX-License-Identifier: MIT */
/* A source on a node of our driver: sluice/uapi.h, sentence by sentence. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/numa.h>

#include "fake_node.h"
#include "source_fixture.h"

enum {
	FRAMES = 16,
};

struct setting {
	struct source_fixture f;
	struct fake_node node;
	uint8_t bytes[FRAMES * BLOCK];
};

static int setup(void **state)
{
	struct setting *const s = calloc(1, sizeof(*s));

	source_fixture_init(&s->f, "sluice");
	s->f.args.spec = strdup("device:" FAKE_NODE_PATH);
	s->f.headroom = 0;
	s->f.scan.scan_columns = 8;
	s->f.scan.scan_rows = 2;
	fake_node_init(&s->node);
	for (uint64_t i = 0; i < FRAMES; i++)
		block_write(s->bytes + i * BLOCK, SCAN, i);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct setting *const s = *state;

	source_fixture_fini(&s->f);
	fake_node_fini(&s->node);
	free(s);
	return 0;
}

/* A read that brings @count frames from @first on. */
static void brings(struct setting *s, uint64_t first, unsigned int count)
{
	fake_node_packet(&s->node, s->bytes + first * BLOCK, (size_t)count * BLOCK);
}

static void brings_all(struct setting *s)
{
	for (unsigned int run = 0; run < FRAMES / RUN; run++)
		brings(s, run * RUN, RUN);
}

static void run(struct setting *s)
{
	source_fixture_open(&s->f);
	source_fixture_start(&s->f);
	source_fixture_run(&s->f);
}

/* One run for each read, several at once, into the ring itself. */
static void test_a_scan(void **state)
{
	struct setting *const s = *state;
	const struct source_stats *stats;

	brings_all(s);
	s->f.args.device = (struct source_device_args){ 30, 4, 250 };
	run(s);
	assert_frames_from_0(&s->f, FRAMES);
	assert_int_equal(s->f.result.end, SOURCE_END_COMPLETE);
	assert_int_equal(s->f.result.fills, FRAMES / RUN);
	for (unsigned int i = 0; i < s->f.result.fills; i++)
		assert_int_equal(s->f.result.fill_blocks[i], RUN);
	stats = source_stats(s->f.source);
	assert_int_equal(stats->bytes_moved, 0);
	assert_int_equal(stats->bytes, sizeof(s->bytes));
	assert_int_equal(stats->bytes_skipped, 0);
	assert_int_equal(s->node.scan.scan, SCAN);
	assert_int_equal(s->node.scan.columns, 8);
	assert_int_equal(s->node.scan.rows, 2);
	assert_int_equal(s->node.scan.source, 0);
	assert_int_equal(s->node.scan.frames, FRAMES);
	assert_int_equal(s->node.scan.run_frames, RUN);
	assert_int_equal(s->node.scan.flags, 0);
	assert_int_equal(s->node.scan.drop_threshold, 30);
	assert_int_equal(s->node.scan.coalesce_count, 4);
	assert_int_equal(s->node.scan.coalesce_us, 250);
	for (unsigned int i = 0; i < sizeof(s->node.scan.reserved) / 4; i++)
		assert_int_equal(s->node.scan.reserved[i], 0);
}

static void test_the_order_of_calls(void **state)
{
	struct setting *const s = *state;

	brings_all(s);
	source_fixture_open(&s->f);
	assert_int_equal(s->node.arms, 0);
	source_fixture_start(&s->f);
	assert_int_equal(s->node.arms, 1);
	assert_int_equal(s->node.counts, 1);
	/* Without a buffer there is nothing to run for. */
	assert_int_equal(source_fixture_reap(&s->f, 0), -EAGAIN);
	assert_int_equal(s->node.runs, 0);
	source_fixture_post(&s->f);
	assert_int_equal(source_fixture_reap(&s->f, WAIT_NS), 0);
	assert_int_equal(s->node.runs, 1);
	/* The reads were with the kernel by then. */
	assert_false(s->node.unread_at_run);
	source_fixture_run(&s->f);
	assert_int_equal(s->node.runs, 1);
	assert_int_equal(s->node.drains, 1);
	assert_int_equal(s->node.aborts, 0);
	assert_int_equal(s->node.counts, 2);
	source_stop(s->f.source);
	assert_int_equal(s->node.drains, 1);
	assert_false(s->node.order_broken);
}

/* Frames that the board dropped: reads end at borders of runs, and none of it is the scan's end. */
static void test_short_reads(void **state)
{
	static const uint64_t frames[] = { 0, 1, 3, 4, 5, 6, 7, 12, 13 };
	struct setting *const s = *state;

	brings(s, 0, 2);
	brings(s, 3, 1);
	brings(s, 4, RUN);
	brings(s, 12, 2);
	run(s);
	assert_frames(&s->f, frames, sizeof(frames) / sizeof(frames[0]));
	/* The board says that this was all: the last frames are a gap, not a stream cut off. */
	assert_int_equal(s->f.result.end, SOURCE_END_COMPLETE);
	assert_int_equal(s->node.aborts, 0);
}

static void test_a_broken_block(void **state)
{
	static const uint64_t frames[] = { 0, 1, 2, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	struct setting *const s = *state;

	s->bytes[3 * BLOCK] ^= 1; /* the last of a read */
	s->bytes[6 * BLOCK] ^= 1;
	brings_all(s);
	run(s);
	assert_frames(&s->f, frames, sizeof(frames) / sizeof(frames[0]));
	assert_true(s->f.result.after_skip[3]);
	assert_true(s->f.result.after_skip[5]);
	assert_int_equal(s->f.result.bytes_skipped, 2 * BLOCK);
	assert_int_equal(source_stats(s->f.source)->bytes_moved, 0);
}

static void test_a_board_without_borders(void **state)
{
	struct setting *const s = *state;

	s->node.info.capabilities = 0;
	brings_all(s);
	run(s);
	assert_int_equal(s->node.scan.run_frames, 0);
	assert_frames_from_0(&s->f, FRAMES);
}

static void test_small_buffers(void **state)
{
	struct setting *const s = *state;

	s->f.capacity = 2 * BLOCK + 5;
	for (unsigned int i = 0; i < FRAMES; i += 2)
		brings(s, i, 2);
	run(s);
	assert_frames_from_0(&s->f, FRAMES);
	assert_int_equal(s->f.result.fills, FRAMES / 2);
}

/* ---- errors of reads ----------------------------------------------------------------------- */

/* What a read can return, and words of what is said of it and of what mends it. */
static const struct {
	int code;
	const char *what, *remedy;
} read_errors[] = {
	{ EMSGSIZE, "more than fits", "update its firmware" },
	{ EILSEQ, "twice", "update its firmware" },
	{ ENODATA, "never completed", "update its firmware" },
	{ ESTALE, "another scan", "update its firmware" },
	{ EPROTO, "does not know", "sluice list" },
	{ EIO, "refused the board's DMA", "dmesg" },
	{ EFAULT, "descriptor", "one version" },
	{ ENOLINK, "link went down", "cables" },
	{ EREMOTEIO, "failed inside", "switch it off" },
	{ ECANCELED, "aborted at the board", "repeat the scan" },
	{ ENODEV, "gone", "rescan" },
};

static void test_read_errors(void **state)
{
	struct setting *const s = *state;

	brings_all(s);
	source_fixture_open(&s->f);
	for (unsigned int i = 0; i < sizeof(read_errors) / sizeof(read_errors[0]); i++) {
		const char *text;

		/* Each scan is a new pair: the fake's node is opened anew. */
		source_close(s->f.source);
		source_fixture_open(&s->f);
		s->node.read_errno = read_errors[i].code;
		s->node.reads_good = 2;
		source_fixture_start(&s->f);
		source_fixture_run(&s->f);
		assert_frames_from_0(&s->f, 2 * RUN);
		assert_int_equal(s->f.result.end, SOURCE_END_READ);
		assert_int_equal(s->f.result.error, -read_errors[i].code);
		text = source_explain(s->f.source, s->f.result.error);
		assert_non_null(strstr(text, read_errors[i].what));
		assert_non_null(strstr(text, read_errors[i].remedy));
		/* What is still under way comes back. */
		assert_int_equal(s->node.aborts, i + 1);
	}
	assert_string_equal(source_explain(s->f.source, -EXDEV), error_name(-EXDEV));
}

static void test_run_fails(void **state)
{
	struct setting *const s = *state;

	s->node.run_errno = ETIMEDOUT;
	s->node.never_ends = true;
	run(s);
	assert_int_equal(s->f.result.end, SOURCE_END_READ);
	assert_int_equal(s->f.result.error, -ETIMEDOUT);
	assert_non_null(strstr(source_explain(s->f.source, -ETIMEDOUT), "does not answer"));
	assert_int_equal(s->node.aborts, 1);
}

static void expect_start(struct setting *s, int code, const char *what)
{
	struct sluice_error error = { "" };

	assert_int_equal(source_start(s->f.source, &s->f.scan, &error), code);
	assert_non_null(strstr(error.text, FAKE_NODE_PATH));
	if (!strstr(error.text, what))
		fail_msg("\"%s\" has no \"%s\"", error.text, what);
}

static void test_arm_fails(void **state)
{
	struct setting *const s = *state;

	source_fixture_open(&s->f);
	s->node.arm_errno = EBUSY;
	expect_start(s, -EBUSY, "fuser -v");
	s->node.arm_errno = EINVAL;
	expect_start(s, -EINVAL, "refuses the scan's numbers");
	s->node.arm_errno = EPERM;
	expect_start(s, -EPERM, "group sluice");
	s->node.arm_errno = ETIMEDOUT;
	expect_start(s, -ETIMEDOUT, "does not answer");
	s->node.arm_errno = ENOSPC; /* not in the table */
	expect_start(s, -ENOSPC, "No space");
	s->node.arm_errno = 0;
	s->node.counters_errno = ETIMEDOUT;
	expect_start(s, -ETIMEDOUT, "counters");
	assert_int_equal(s->node.aborts, 1);
}

/* ---- stalls and aborts ---------------------------------------------------------------------- */

/* The board holds half a run, and nothing more comes: it is asked for what it has. */
static void test_stall(void **state)
{
	struct setting *const s = *state;

	s->f.args.depth = 1;
	s->f.scan.stall_ns = STALL_NS;
	s->node.never_ends = true;
	s->node.drained.bytes = s->bytes + RUN * BLOCK;
	s->node.drained.len = (RUN / 2) * BLOCK;
	brings(s, 0, RUN);
	run(s);
	assert_frames_from_0(&s->f, RUN + RUN / 2);
	assert_int_equal(s->f.result.end, SOURCE_END_STALL);
	assert_int_equal(s->node.drains, 1);
	assert_int_equal(s->node.aborts, 1);
}

/* What it held was all there was to come. */
static void test_stall_before_the_last_frames(void **state)
{
	struct setting *const s = *state;

	s->f.args.depth = 1;
	s->f.scan.stall_ns = STALL_NS;
	s->f.scan.frames_expected = 6;
	s->node.never_ends = true;
	s->node.drained.bytes = s->bytes + RUN * BLOCK;
	s->node.drained.len = 2 * BLOCK;
	brings(s, 0, RUN);
	run(s);
	assert_frames_from_0(&s->f, 6);
	assert_int_equal(s->f.result.end, SOURCE_END_COMPLETE);
}

static void test_a_board_that_cannot_be_drained(void **state)
{
	struct setting *const s = *state;

	s->f.scan.stall_ns = STALL_NS;
	s->node.never_ends = true;
	s->node.drain_errno = ETIMEDOUT;
	brings(s, 0, RUN);
	run(s);
	assert_frames_from_0(&s->f, RUN);
	assert_int_equal(s->f.result.end, SOURCE_END_READ);
	assert_int_equal(s->f.result.error, -ETIMEDOUT);
	assert_int_equal(s->node.aborts, 1);
}

static void test_interrupt(void **state)
{
	struct setting *const s = *state;

	s->node.never_ends = true;
	source_fixture_open(&s->f);
	source_fixture_start(&s->f);
	source_fixture_post(&s->f);
	assert_int_equal(source_fixture_reap(&s->f, 0), -EAGAIN);
	source_interrupt(s->f.source);
	source_fixture_run(&s->f);
	assert_int_equal(s->f.result.end, SOURCE_END_STOPPED);
	assert_int_equal(s->node.drains, 0);
	assert_int_equal(s->node.aborts, 1);
}

/* ---- counters -------------------------------------------------------------------------------- */

static void test_counters(void **state)
{
	struct setting *const s = *state;
	struct source_board_counters c;

	s->node.before = (struct sluice_uapi_counters){ .blocks_in = 100,
							.blocks_out = 90,
							.dropped_overflow = 4,
							.dropped_link = 3,
							.dropped_stop = 3,
							.stall_ns = 1000 };
	s->node.after = (struct sluice_uapi_counters){ .blocks_in = 120,
						       .blocks_out = 104,
						       .dropped_overflow = 7,
						       .dropped_link = 5,
						       .dropped_stop = 4,
						       .stall_ns = 1250 };
	brings_all(s);
	source_fixture_open(&s->f);
	assert_int_equal(source_board_counters(s->f.source, &c), -ENODATA);
	source_fixture_start(&s->f);
	assert_int_equal(source_board_counters(s->f.source, &c), -ENODATA);
	source_fixture_run(&s->f);
	assert_int_equal(source_board_counters(s->f.source, &c), 0);
	assert_int_equal(c.blocks_generated, 20);
	assert_int_equal(c.blocks_sent, 14);
	assert_int_equal(c.blocks_dropped, 6);
	assert_true(c.has_causes);
	assert_int_equal(c.dropped_overflow, 3);
	assert_int_equal(c.dropped_link, 2);
	assert_int_equal(c.dropped_stop, 1);
	assert_int_equal(c.stall_ns, 250);
	assert_string_equal(c.flaw, "");
}

static void test_a_counter_that_goes_back(void **state)
{
	struct setting *const s = *state;
	struct source_board_counters c;

	s->node.before.blocks_out = 90;
	s->node.after.blocks_out = 7;
	brings_all(s);
	run(s);
	assert_int_equal(source_board_counters(s->f.source, &c), 0);
	assert_string_equal(c.flaw, "blocks_out went from 90 to 7");
	/* A reset is no flaw, but a difference means nothing then. */
	s->node.after.resets = 1;
	source_close(s->f.source);
	run(s);
	assert_int_equal(source_board_counters(s->f.source, &c), -ENODATA);
}

/* ---- who it is ---------------------------------------------------------------------------------
 */

static void test_what_it_says_of_itself(void **state)
{
	struct setting *const s = *state;
	const struct source_info *info;

	s->node.info.node = 1;
	s->node.info.link_speed = 2500;
	s->node.info.link_width = 4;
	s->f.args.geometry = (struct sluice_geometry){ 0 };
	source_fixture_open(&s->f);
	info = source_info(s->f.source);
	assert_int_equal(info->geometry.rows, ROWS);
	assert_int_equal(info->geometry.sectors, 2);
	assert_int_equal(info->block_bytes, BLOCK);
	assert_int_equal(info->node, 1);
	assert_true(info->whole_blocks);
	assert_string_equal(info->pci, "0000:3b:00.0");
	assert_string_equal(info->name, FAKE_NODE_PATH " (0000:3b:00.0)");
	assert_non_null(strstr(info->note, "2.5 GT/s x4"));
	assert_non_null(strstr(info->note, "8.0 GT/s x8"));
	assert_non_null(strstr(info->note, "reseat"));
}

static void expect_open(struct setting *s, int code, const char *const words[3])
{
	struct sluice_error error = { "" };

	assert_int_equal(source_open(&s->f.args, &s->f.source, &error), code);
	assert_null(s->f.source);
	assert_non_null(strstr(error.text, FAKE_NODE_PATH));
	for (unsigned int i = 0; i < 3 && words[i]; i++) {
		if (!strstr(error.text, words[i]))
			fail_msg("\"%s\" has no \"%s\"", error.text, words[i]);
	}
}

#define WORDS(...) ((const char *const[3]){ __VA_ARGS__ })

static void test_contradictions(void **state)
{
	struct setting *const s = *state;

	s->f.args.sector = 0;
	expect_open(s, -EINVAL, WORDS("reads sector 1", "configured is sector 0"));
	s->f.args.sector = 1;
	s->f.args.geometry.rows = 144;
	expect_open(s, -EINVAL, WORDS("rows", "144", "3"));
	s->f.args.geometry = small_geometry;
	s->f.args.geometry.layout = SLUICE_LAYOUT_COLUMNS;
	expect_open(s, -EINVAL, WORDS("columns", "rows"));
	s->f.args.geometry = small_geometry;
	s->f.args.framing = "4dcamera-v5";
	expect_open(s, -EINVAL, WORDS("4dcamera-v5", "framing sluice"));
	s->f.args.framing = "sluice";
	s->f.args.depth = 9;
	expect_open(s, -ERANGE, WORDS("8 reads", "configured are 9", "reads_in_flight"));
	s->f.args.depth = 4;
	s->node.info.block_bytes = 100;
	expect_open(s, -EPROTO, WORDS("100", "88", "firmware"));
	s->node.info.block_bytes = BLOCK;
	s->node.info.pixel = 99;
	expect_open(s, -EPROTO, WORDS("type 99", "firmware"));
}

static void test_drivers_that_do_not_fit(void **state)
{
	struct setting *const s = *state;

	s->node.info.abi = 2;
	expect_open(s, -EPROTO, WORDS("version 2", "this program 1"));
	s->node.info.abi = SLUICE_UAPI_VERSION;
	memset(s->node.info.pci, 'x', sizeof(s->node.info.pci));
	expect_open(s, -EPROTO, WORDS("cannot be"));
	(void)strcpy(s->node.info.pci, "0000:3b:00.0");
	s->node.info.node = -2;
	expect_open(s, -EPROTO, WORDS("cannot be"));
	s->node.info.node = 4096;
	expect_open(s, -EPROTO, WORDS("cannot be"));
	s->node.info.node = -1;
	s->node.info.read_max = 0;
	expect_open(s, -EPROTO, WORDS("cannot be"));
	s->node.info_errno = ENODEV;
	expect_open(s, -ENODEV, WORDS("gone", "rescan"));
	s->node.info_errno = ETIMEDOUT;
	expect_open(s, -ETIMEDOUT, WORDS("does not answer"));
	s->node.open_errno = ENOENT;
	expect_open(s, -ENOENT, WORDS("modprobe sluice", "sluice list"));
	s->node.open_errno = EACCES;
	expect_open(s, -EACCES, WORDS("group"));
}

/* Another maker's node: nothing of sluice/uapi.h is asked of it. */
static void test_a_foreign_device(void **state)
{
	static const int codes[] = { ENOTTY, EINVAL };
	struct setting *const s = *state;

	s->f.headroom = BLOCK;
	brings_all(s);
	for (unsigned int i = 0; i < 2; i++) {
		s->node.info_errno = codes[i];
		source_fixture_open(&s->f);
		source_fixture_start(&s->f);
		assert_int_equal(s->node.arms, 0);
		assert_false(source_info(s->f.source)->whole_blocks);
		assert_int_equal(source_info(s->f.source)->node, NODE_ANY);
		source_close(s->f.source);
		s->f.source = NULL;
	}
}

/* ---- a board that was gone ------------------------------------------------------------------- */

static void test_it_comes_back(void **state)
{
	struct setting *const s = *state;

	brings_all(s);
	source_fixture_open(&s->f);
	s->node.gone = true; /* until it is opened again */
	source_fixture_start(&s->f);
	source_fixture_run(&s->f);
	assert_frames_from_0(&s->f, FRAMES);
	assert_int_equal(s->node.opens, 2);
}

static void test_it_does_not_come_back(void **state)
{
	struct setting *const s = *state;

	source_fixture_open(&s->f);
	s->node.gone = true;
	s->node.open_errno = ENOENT;
	expect_start(s, -ENODEV, "gone");
}

static void test_another_comes_in_its_place(void **state)
{
	struct setting *const s = *state;

	source_fixture_open(&s->f);
	s->node.gone = true;
	s->node.info.serial = 0x99;
	expect_start(s, -EINVAL, "serial 99");
	/* Of our driver or not. */
	s->node.info.serial = 0x1234;
	source_close(s->f.source);
	source_fixture_open(&s->f);
	s->node.gone = true;
	s->node.info_errno = ENOTTY;
	expect_start(s, -ENODEV, "another device");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_scan),
		TEST(test_the_order_of_calls),
		TEST(test_short_reads),
		TEST(test_a_broken_block),
		TEST(test_a_board_without_borders),
		TEST(test_small_buffers),
		TEST(test_read_errors),
		TEST(test_run_fails),
		TEST(test_arm_fails),
		TEST(test_stall),
		TEST(test_stall_before_the_last_frames),
		TEST(test_a_board_that_cannot_be_drained),
		TEST(test_interrupt),
		TEST(test_counters),
		TEST(test_a_counter_that_goes_back),
		TEST(test_what_it_says_of_itself),
		TEST(test_contradictions),
		TEST(test_drivers_that_do_not_fit),
		TEST(test_a_foreign_device),
		TEST(test_it_comes_back),
		TEST(test_it_does_not_come_back),
		TEST(test_another_comes_in_its_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
