/* SPDX-License-Identifier: MIT */
/* acquire/config.h: the example is good and says what the defaults are; mistakes are named. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <acquire/config.h>
#include <base/error.h>
#include <support/annotated.h>

#define BOARD "boards: [{name: a, source: 'file:/x', framing: sluice, sector: 0}"

static void example_path(char path[512])
{
	(void)snprintf(path, 512, "%s/daemon/acquire/sluiced.yaml", getenv("SLUICE_SOURCE"));
}

static void the_example_holds_the_defaults(void **state)
{
	static struct sluiced_config config, defaults;
	struct sluice_error error = { "" };
	char path[512];

	(void)state;
	example_path(path);
	if (sluiced_config_load(path, &config, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(config.board_count, 1);
	assert_string_equal(config.board[0].name, "board0");
	assert_string_equal(config.board[0].source, "socket:/run/sluice/board{sector}");
	assert_string_equal(board_framings[config.board[0].framing], "sluice");
	assert_int_equal(config.board[0].sector, 0);
	assert_string_equal(config.common.server, "readout0");
	/* But for these it is what stands there without a file. */
	sluiced_config_init(&defaults);
	assert_string_equal(config.member.endpoints[0], defaults.member.endpoints[0]);
	memset(config.common.server, 0, sizeof(config.common.server));
	memset(defaults.common.server, 0, sizeof(defaults.common.server));
	config.board_count = 0;
	memset(config.board[0].name, 0, sizeof(config.board[0].name));
	memset(config.board[0].source, 0, sizeof(config.board[0].source));
	assert_memory_equal(&config, &defaults, sizeof(config));
}

static void the_example_explains_every_key(void **state)
{
	static struct annotated file;
	char path[512];

	(void)state;
	example_path(path);
	annotated_read(path, &file);
	annotated_expect(&file, sluiced_config_rows);
}

static int load_text(const char *text, struct sluiced_config *config, struct sluice_error *reterr)
{
	char path[] = "/tmp/test_sluiced_config.XXXXXX";
	const int fd = mkstemp(path);
	int ret;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
	ret = sluiced_config_load(path, config, reterr);
	(void)unlink(path);
	return ret;
}

static void refused(const char *text, const char *word)
{
	static struct sluiced_config config, before;
	struct sluice_error error = { "" };

	memset(&config, 0x5a, sizeof(config));
	before = config;
	if (load_text(text, &config, &error) != -EINVAL || !strstr(error.text, word))
		fail_msg("%s: \"%s\" has no \"%s\"", text, error.text, word);
	assert_memory_equal(&config, &before, sizeof(config));
}

static void mistakes_are_named(void **state)
{
	(void)state;
	refused("run_frames: 16\n", "boards");
	refused("boards: []\n", "boards");
	refused("boards: [{name: a, framing: sluice, sector: 0}]\n", "source");
	refused("boards: [{source: 'file:/x', framing: sluice, sector: 0}]\n", "name");
	refused("boards: [{name: a, source: 'file:/x', sector: 0}]\n", "framing");
	refused("boards: [{name: a, source: 'file:/x', framing: sluice}]\n", "sector");
	refused(BOARD "]\nbords: 1\n", "bords");
	refused(BOARD "]\nrun_frames: 0\n", "run_frames");
	refused(BOARD "]\nring: {chunks: 1}\n", "ring.chunks");
	refused(BOARD "]\nring: {huge_pages: 4M}\n", "2M");
	refused(BOARD "]\ngive_up_ms: 1\n", "give_up_ms");
	refused(BOARD "]\nboards: []\n", "boards");
	refused("boards: [{name: a, source: 'file:/x', framing: sluice, sector: 32}]\n", "sector");
	refused("boards: [{name: a, source: 'file:/x', framing: raw, sector: 1}]\n", "merlin-mib");
}

static void what_no_single_key_shows_is_named(void **state)
{
	(void)state;
	refused(BOARD ", {name: a, source: 'file:/y', framing: sluice, sector: 1}]\n",
		"two are named \"a\"");
	refused(BOARD "]\ngeometry: {sectors: 4, rows: 8192, columns: 16, pixel: u16}\n",
		"16 x 32768 pixels");
	refused(BOARD "]\ngeometry: {sectors: 1, rows: 16384, columns: 16384, pixel: u32}\n",
		"allowed");
}

static void boards_have_their_own_defaults(void **state)
{
	static struct sluiced_config config;

	(void)state;
	assert_int_equal(load_text(BOARD
				   ", {name: b, source: 'file:/y', framing: merlin-mib, "
				   "sector: 1, loops: 3, node: 1}]\n"
				   "geometry: {sectors: 2, rows: 8, columns: 16, pixel: u8}\n",
				   &config, NULL),
			 0);
	assert_int_equal(config.board_count, 2);
	assert_int_equal(config.board[0].loops, 1);
	assert_int_equal(config.board[1].loops, 3);
	assert_int_equal(config.board[0].node, NODE_ANY);
	assert_int_equal(config.board[1].node, 1);
	assert_int_equal(config.board[1].depth, 4);
	assert_int_equal(config.common.geometry.sectors, 2);
	assert_int_equal(config.common.geometry.rows, 8);
	assert_int_equal(config.common.geometry.columns, 16);
	assert_int_equal(config.common.geometry.pixel, SLUICE_PIXEL_U8);
	/* What the directory is told comes from the same file. */
	assert_int_equal(member_directory_args(&config.member).timeout_ns, 2000 * 1000000ull);
	assert_string_equal(member_directory_args(&config.member).instrument, "bench");
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(the_example_holds_the_defaults),
		cmocka_unit_test(the_example_explains_every_key),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(what_no_single_key_shows_is_named),
		cmocka_unit_test(boards_have_their_own_defaults),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
