/* SPDX-License-Identifier: MIT */
/* acquire/board.h: the ring of a board behind our driver lies on the board's NUMA node. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <acquire/board.h>
#include <sluice/error.h>

#include "fake_node.h"

struct setting {
	struct fake_node node;
	struct board_config config;
	struct board_common common;
	struct board *board;
};

static int setup(void **state)
{
	struct setting *const s = calloc(1, sizeof(*s));

	fake_node_init(&s->node);
	s->config = (struct board_config){ .name = "north",
					   .source = "device:" FAKE_NODE_PATH,
					   .sector = 1,
					   .node = NODE_ANY,
					   .depth = 2,
					   .loops = 1 };
	s->common = (struct board_common){ .server = "test",
					   .run_frames = 4,
					   .chunks = 4,
					   .io_threads = 1,
					   .stall_timeout_ms = 1000,
					   .give_up_ms = 1000 };
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct setting *const s = *state;

	board_close(s->board);
	fake_node_fini(&s->node);
	free(s);
	return 0;
}

static int open_board(struct setting *s, struct sluice_error *reterr)
{
	return board_open(&s->config, &s->common, -1, &s->board, reterr);
}

static void a_board_without_a_node_runs_anywhere(void **state)
{
	struct setting *const s = *state;

	assert_int_equal(open_board(s, NULL), 0);
	assert_int_equal(board_node(s->board), NODE_ANY);
	assert_int_equal(ring_arena(board_ring(s->board))->node, NODE_ANY);
}

static void the_ring_is_on_the_boards_own_node(void **state)
{
	struct setting *const s = *state;
	struct sluice_error error = { "" };

	/* A sandbox may forbid to bind; which node is asked for shows all the same. */
	s->common.allow_wrong_node = true;
	s->node.info.node = 0;
	if (open_board(s, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(board_node(s->board), 0);
	board_close(s->board);
	s->board = NULL;
	/* The same by name is no contradiction. */
	s->config.node = 0;
	assert_int_equal(open_board(s, NULL), 0);
	assert_int_equal(board_node(s->board), 0);
}

static void another_node_is_refused_with_both(void **state)
{
	struct setting *const s = *state;
	struct sluice_error error = { "" };

	s->node.info.node = 1;
	s->config.node = 0;
	assert_int_equal(open_board(s, &error), -EXDEV);
	assert_null(s->board);
	assert_non_null(strstr(error.text, "board north"));
	assert_non_null(strstr(error.text, FAKE_NODE_PATH " (0000:3b:00.0)"));
	assert_non_null(strstr(error.text, "node 1, configured is node 0"));
	assert_non_null(strstr(error.text, "ring.allow_wrong_node"));
}

static void another_node_is_a_note_where_that_is_allowed(void **state)
{
	struct setting *const s = *state;
	struct sluice_error error = { "" };

	s->common.allow_wrong_node = true;
	s->node.info.node = 1;
	s->config.node = 0;
	if (open_board(s, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(board_node(s->board), 0);
	assert_non_null(strstr(board_note(s->board), "node 1, its ring on node 0"));
}

/* Whole blocks come: chunks need no room for the rest of a block before their data. */
static void chunks_have_no_headroom(void **state)
{
	struct setting *const s = *state;
	const struct arena *arena;

	assert_int_equal(open_board(s, NULL), 0);
	arena = ring_arena(board_ring(s->board));
	/* Four chunks of four blocks of 88 bytes, each on pages of its own. */
	assert_int_equal(arena->bytes, 4 * 4096);
}

static void a_board_that_contradicts_is_named(void **state)
{
	struct setting *const s = *state;
	struct sluice_error error = { "" };

	s->config.sector = 0;
	assert_int_equal(open_board(s, &error), -EINVAL);
	assert_non_null(strstr(error.text, "board north"));
	assert_non_null(strstr(error.text, "reads sector 1, configured is sector 0"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest suite[] = {
		TEST(a_board_without_a_node_runs_anywhere),
		TEST(the_ring_is_on_the_boards_own_node),
		TEST(another_node_is_refused_with_both),
		TEST(another_node_is_a_note_where_that_is_allowed),
		TEST(chunks_have_no_headroom),
		TEST(a_board_that_contradicts_is_named),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
