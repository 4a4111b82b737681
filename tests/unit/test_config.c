/* SPDX-License-Identifier: MIT */
/* base/config.h: what a file says arrives; what it does not say stays; help comes from the table.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <support/config_example.h>

static void parse(const char *text, struct example *ret)
{
	struct sluice_error e = { "" };

	example_defaults(ret);
	if (config_parse("f.yaml", text, strlen(text), example_rows, ret, &e) != 0)
		fail_msg("%s", e.text);
	assert_string_equal(e.text, "");
}

static void every_type_arrives(void **state)
{
	struct example v;

	(void)state;
	parse("# a comment\n"
	      "name: sector\n"
	      "ring:\n"
	      "  bytes: 18446744073709551615\n"
	      "  chunks: 0x10\n"
	      "  memory: {node: 7}\n"
	      "rate: 28.5\n"
	      "loop: true\n"
	      "policy: \"spill\"\n"
	      "peers: [a, 'b c']\n"
	      "boards:\n"
	      "- source: file:a\n"
	      "- {source: file:b, sector: 3, memory: {node: -1}}\n",
	      &v);
	assert_string_equal(v.name, "sector");
	assert_true(v.bytes == UINT64_MAX);
	assert_int_equal(v.chunks, 16);
	assert_int_equal(v.node, 7);
	assert_true(v.rate == 28.5);
	assert_true(v.loop);
	assert_int_equal(v.policy, 1);
	assert_int_equal(v.peer_count, 2);
	assert_string_equal(v.peers[0], "a");
	assert_string_equal(v.peers[1], "b c");
	assert_int_equal(v.board_count, 2);
	assert_string_equal(v.boards[0].source, "file:a");
	assert_int_equal(v.boards[0].sector, 0);
	assert_int_equal(v.boards[0].node, -1); /* the element's default */
	assert_string_equal(v.boards[1].source, "file:b");
	assert_int_equal(v.boards[1].sector, 3);
	assert_int_equal(v.boards[1].node, -1);
}

static void what_is_absent_keeps_its_default(void **state)
{
	static const char *const texts[] = {
		"", "# nothing\n", "~\n", "---\n...\n", "{}\n", "ring:\n", "ring: {memory: ~}\n"
	};
	struct example want, v;

	(void)state;
	example_defaults(&want);
	for (unsigned int i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		parse(texts[i], &v);
		assert_memory_equal(&v, &want, sizeof(v));
	}
}

static void limits_belong_to_what_is_allowed(void **state)
{
	struct example v;

	(void)state;
	parse("name: x\nring: {bytes: 1, chunks: 2, memory: {node: -1}}\nrate: 0\nloop: false\n",
	      &v);
	assert_int_equal(v.chunks, 2);
	parse("name: sixsix\nring: {chunks: 2048, memory: {node: 7}}\nrate: 1e5\npeers: []\n", &v);
	assert_int_equal(v.chunks, 2048);
	assert_int_equal(v.peer_count, 0);
	assert_true(v.rate == 1e5);
}

static void a_byte_order_mark_and_windows_lines_do_no_harm(void **state)
{
	struct example v;

	(void)state;
	parse("\xef\xbb\xbfname: x\r\nring:\r\n  chunks: 5\r\n", &v);
	assert_string_equal(v.name, "x");
	assert_int_equal(v.chunks, 5);
}

static void text_need_not_end_with_a_nul(void **state)
{
	const char text[] = { 'n', 'a', 'm', 'e', ':', ' ', 'x' };
	char *exact = malloc(sizeof(text)); /* a sanitizer sees one byte too far */
	struct example v;

	(void)state;
	assert_non_null(exact);
	memcpy(exact, text, sizeof(text));
	example_defaults(&v);
	assert_int_equal(config_parse("f", exact, sizeof(text), example_rows, &v, NULL), 0);
	assert_string_equal(v.name, "x");
	free(exact);
}

static void help_names_every_key_with_type_limits_default(void **state)
{
	static const char want[] =
		"name: a string of 1 ... 6 bytes; default \"noname\"\n"
		"        of this member\n"
		"ring.bytes: whole number 1 ... 18446744073709551615; default 4096\n"
		"        size of the ring, bytes\n"
		"ring.chunks: whole number 2 ... 2048; default 64\n"
		"        chunks in the ring\n"
		"ring.memory.node: whole number -1 ... 7; default -1\n"
		"        memory node, -1 for any\n"
		"rate: decimal number 0 ... 100000; default 100.5\n"
		"        frames/s\n"
		"loop: true, false; default false\n"
		"        again from the start\n"
		"policy: one of block, spill, drop; default drop\n"
		"        when the ring is full\n"
		"peers: a list of 0 ... 2 strings of 1 ... 7 bytes each; default [\"a\"]\n"
		"        who else is there\n"
		"boards: a list of 1 ... 3 mappings; default 0 elements\n"
		"        the boards\n"
		"boards[].source: a string of 1 ... 15 bytes; required\n"
		"        where blocks come from\n"
		"boards[].sector: whole number 0 ... 3; default 0\n"
		"        which sector\n"
		"boards[].memory.node: whole number -1 ... 7; default -1\n"
		"        memory node\n";
	struct example v;
	char *text = NULL;
	size_t len = 0;
	FILE *out;

	(void)state;
	example_defaults(&v);
	memcpy(v.peers[0], "a", 2);
	v.peer_count = 1;
	out = open_memstream(&text, &len);
	assert_non_null(out);
	config_describe(example_rows, &v, out);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, want);
	free(text);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(every_type_arrives),
		cmocka_unit_test(what_is_absent_keeps_its_default),
		cmocka_unit_test(limits_belong_to_what_is_allowed),
		cmocka_unit_test(a_byte_order_mark_and_windows_lines_do_no_harm),
		cmocka_unit_test(text_need_not_end_with_a_nul),
		cmocka_unit_test(help_names_every_key_with_type_limits_default),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
