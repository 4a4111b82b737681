/* SPDX-License-Identifier: MIT */
/* base/config.h: a refused file is named with its line, its key and what is allowed. */
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

/* Refuses @text with a message that holds @want, and leaves the struct as it was. */
static void refuses(const char *text, size_t len, const char *want)
{
	struct sluice_error e = { "" };
	struct example before, v;

	example_defaults(&before);
	example_defaults(&v);
	assert_int_equal(config_parse("f.yaml", text, len, example_rows, &v, &e), -EINVAL);
	assert_memory_equal(&v, &before, sizeof(v));
	assert_memory_equal(e.text, "f.yaml:", 7);
	if (!strstr(e.text, want))
		fail_msg("\"%s\" does not say \"%s\"", e.text, want);
	/* Without room for a message it is refused as well. */
	assert_int_equal(config_parse("f.yaml", text, len, example_rows, &v, NULL), -EINVAL);
}

static const struct {
	const char *text, *want;
} mistakes[] = {
	/* unknown key */
	{ "name: x\nnmae: y\n", ":2: nmae: unknown key; allowed: name, ring, rate, loop, "
				"policy, peers, boards" },
	{ "ring:\n  chunk: 5\n", ":2: ring.chunk: unknown key; allowed: bytes, chunks, memory" },
	{ "ring.chunks: 5\n", ":1: ring.chunks: unknown key" },
	{ "ring: {memory: {nod: 1}}\n", "ring.memory.nod: unknown key; allowed: node" },
	{ "boards:\n- source: a\n  gain: 5\n",
	  ":3: boards[0].gain: unknown key; allowed: source, sector, memory" },
	{ "\"\": 5\n", "unknown key" },
	{ "\"name\\0\": x\n", "unknown key" },
	{ "[a]: 5\n", "a key that is not a word" },
	/* wrong type */
	{ "loop: yes\n", ":1: loop: yes is neither true nor false; allowed: true, false" },
	{ "ring:\n\n  chunks: many\n",
	  ":3: ring.chunks: many is not a whole number; allowed: 2 ... 2048" },
	{ "ring: {chunks: \"5\"}\n", "\"5\" is not a whole number" },
	{ "ring: {chunks: 5.0}\n", "5.0 is not a whole number" },
	{ "ring: {chunks: +5}\n", "not a whole number" },
	{ "ring: {chunks: [5]}\n", "ring.chunks: not a single value" },
	{ "ring: 5\n", ":1: ring: not a mapping (key: value); allowed: bytes, chunks" },
	{ "ring: {memory: []}\n", "ring.memory: not a mapping" },
	{ "rate: fast\n", "rate: fast is not a decimal number; allowed: 0 ... 100000" },
	{ "rate: .inf\n", "not a decimal number" },
	{ "name: {a: b}\n", "name: not a single value" },
	{ "peers: a\n", "peers: not a list; allowed: a list of 0 ... 2 strings" },
	{ "peers: [[a]]\n", "peers[0]: not a string" },
	{ "peers:\n- a\n-\n", ":3: peers[1]: not a string" },
	{ "boards: {}\n", "boards: not a list" },
	{ "boards:\n- a\n", ":2: boards[0]: not a mapping" },
	{ "boards:\n- {source: a, sector: x}\n", "boards[0].sector: x is not" },
	{ "- a\n", ":1: the file: not a mapping" },
	{ "name\n", ":1: the file: not a mapping" },
	/* no value */
	{ "name:\n", "name: has no value" },
	{ "rate: ~\n", "rate: has no value" },
	{ "boards: null\n", "boards: has no value; allowed: a list of 1 ... 3 mappings" },
	/* outside */
	{ "ring: {chunks: 1}\n", "ring.chunks: 1 is not allowed; allowed: 2 ... 2048" },
	{ "ring: {chunks: 2049}\n", "2049 is not allowed" },
	{ "ring: {chunks: 4294967298}\n", "4294967298 is not allowed" },
	{ "ring: {bytes: 0}\n", "0 is not allowed; allowed: 1 ... 18446744073709551615" },
	{ "ring: {bytes: 18446744073709551616}\n", "is not allowed" },
	{ "ring: {memory: {node: -2}}\n", "-2 is not allowed; allowed: -1 ... 7" },
	{ "ring: {memory: {node: -2147483649}}\n", "is not allowed" },
	{ "ring: {memory: {node: --1}}\n", "not a whole number" },
	{ "ring: {memory: {node: 8}}\n", "8 is not allowed" },
	{ "rate: -0.5\n", "-0.5 is not allowed" },
	{ "rate: 1e999\n", "1e999 is not allowed" },
	{ "policy: wait\n", "policy: wait is not allowed; allowed: block, spill, drop" },
	/* strings */
	{ "name: sevenup\n", "name: too long; allowed: a string of 1 ... 6 bytes" },
	{ "name: \"\"\n", "name: too short" },
	{ "name: \"a\\0b\"\n", "name: holds a NUL byte" },
	{ "rate: \"1\\0\"\n", "rate: holds a NUL byte" },
	{ "peers: [\"eighteen\"]\n", "peers[0]: too long" },
	{ "peers: [\"\"]\n", "peers[0]: too short" },
	/* lists */
	{ "peers: [a, b, c]\n", "peers: too many elements; allowed: a list of 0 ... 2" },
	{ "boards: []\n", "boards: too few elements; allowed: a list of 1 ... 3" },
	{ "boards: [{source: a},{source: a},{source: a},{source: a}]\n",
	  "boards: too many elements" },
	{ "boards:\n- source: a\n- sector: 1\n",
	  ":3: boards[1].source: missing; allowed: a string of 1 ... 15 bytes" },
	/* twice */
	{ "name: x\nrate: 1\nname: y\n", ":3: name: given twice" },
	{ "ring: {chunks: 5}\nring: {bytes: 5}\n", ":2: ring: given twice" },
	{ "boards:\n- source: a\n  source: b\n", ":3: boards[0].source: given twice" },
	/* not YAML, or more of it than is needed */
	{ "x: [[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],{}]\n", ":1: x: unknown key" },
	{ "name: [x\n", ": not YAML: " },
	{ "name: x\n\trate: 1\n", ":2: not YAML: " },
	{ "name: \"\xff\"\n", "not YAML" },
	{ "name: &a x\n", ":1: anchors (&) are not used here" },
	{ "name: x\nrate: *a\n", ":2: aliases (*) are not used here" },
	{ "ring: &r {chunks: 5}\n", "anchors (&) are not used here" },
	{ "boards: &r []\n", "anchors (&) are not used here" },
	{ "rate: !!float 5\n", "tags (!) are not used here" },
	{ "ring: !x {}\n", "tags (!) are not used here" },
	{ "name: x\n---\nname: y\n", ":2: a second document" },
	{ "<<: {name: x}\n", ":1: <<: unknown key" },
	/* a message is one line, whatever the key is */
	{ "\"a\\nb\": 5\n", ":1: a?b: unknown key" },
};

static void each_mistake_has_its_line_key_and_remedy(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
		refuses(mistakes[i].text, strlen(mistakes[i].text), mistakes[i].want);
}

static void required_keys_of_the_file_are_missed_on_line_1(void **state)
{
	static const struct config_row rows[] = {
		{ .key = "ring.bytes",
		  .type = CONFIG_U64,
		  .max = 9,
		  .required = true,
		  .help = "bytes" },
		{ 0 },
	};
	struct sluice_error e = { "" };
	uint64_t bytes = 5;

	(void)state;
	assert_int_equal(config_parse("f.yaml", "ring:\n", 6, rows, &bytes, &e), -EINVAL);
	assert_string_equal(e.text, "f.yaml:1: ring.bytes: missing; allowed: 0 ... 9");
	assert_int_equal(config_parse("f.yaml", "", 0, rows, &bytes, &e), -EINVAL);
	assert_true(bytes == 5);
	assert_int_equal(config_parse("f.yaml", "ring: {bytes: 7}", 16, rows, &bytes, &e), 0);
	assert_true(bytes == 7);
}

/* Each level of aliases would be nine times the one before: 9^9 strings from 500 bytes. */
static void an_endless_tree_is_refused(void **state)
{
	char text[1024] = "a: &a [x, x, x, x, x, x, x, x, x]\n";
	size_t used = strlen(text);

	(void)state;
	for (int c = 'b'; c <= 'i'; c++)
		used += (size_t)snprintf(text + used, sizeof(text) - used,
					 "%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c,
					 c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1,
					 c - 1);
	refuses(text, used, "anchors (&) are not used here");
	refuses("&a [*a]", 7, "anchors (&) are not used here");
}

static void size_depth_and_number_are_bounded(void **state)
{
	const size_t limit = 1 << 20;
	char *text = malloc(limit + 1);
	struct example v;

	(void)state;
	assert_non_null(text);
	memset(text, ' ', limit + 1);
	refuses(text, limit + 1, "too large; allowed: 1048576 bytes");
	example_defaults(&v);
	assert_int_equal(config_parse("f", text, limit, example_rows, &v, NULL), 0);

	memset(text, '[', limit);
	refuses(text, limit, ":1: too deep");
	memset(text, '{', limit);
	refuses(text, limit, ":1: ");
	for (size_t i = 0; i < limit; i++)
		text[i] = i % 2 ? 'x' : ',';
	text[0] = '[';
	refuses(text, limit, "too many values");
	for (size_t i = 0; i < limit; i++)
		text[i] = i % 2 ? ' ' : '-';
	refuses(text, limit, ":1: ");
	free(text);
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(each_mistake_has_its_line_key_and_remedy),
		cmocka_unit_test(required_keys_of_the_file_are_missed_on_line_1),
		cmocka_unit_test(an_endless_tree_is_refused),
		cmocka_unit_test(size_depth_and_number_are_bounded),
	};

	return cmocka_run_group_tests(suite, NULL, NULL);
}
