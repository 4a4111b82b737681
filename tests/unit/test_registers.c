/* SPDX-License-Identifier: MIT */
/*
 * firmware-iface/registers.h: every register has a place of its own, and the golden register
 * files name each of them, there and so wide. The table of registers is the header itself: what
 * it defines by three hexadecimal digits is a register's offset.
 */
#include <errno.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <firmware-iface/registers.h>
#include <sluice/block.h>

#include "golden_file.h"

enum {
	REGISTERS_MAX = 128
};

struct reg {
	char name[GOLDEN_NAME_MAX];
	uint32_t offset;
	uint32_t width;
};

struct registers {
	struct reg reg[REGISTERS_MAX];
	unsigned int count;
};

/* What a line of the header may be, of which the first two tell something. */
enum {
	SECTION,  /* of several registers, by its number: "5.1 Counters. 64 bit" */
	REGISTER, /* three digits */
	FLAG,     /* eight or sixteen digits */
	HEXADECIMAL,
	PATTERNS
};

static const char *const pattern[PATTERNS] = {
	[SECTION] = "^/\\* [0-9]\\.[0-9] ",
	[REGISTER] = "^#define (FW_[A-Z0-9_]+)[ ]+0x([0-9a-f]{3})u( /\\*|$)",
	[FLAG] = "^#define FW_[A-Z0-9_]+[ ]+0x([0-9a-f]{8}u|[0-9a-f]{16}ull)( |$)",
	[HEXADECIMAL] = "0x",
};

static void take_register(const char *line, const regmatch_t *m, bool wide, struct registers *all)
{
	struct reg *const r = &all->reg[all->count];

	assert_true(all->count < REGISTERS_MAX);
	(void)snprintf(r->name, sizeof(r->name), "%.*s", (int)(m[1].rm_eo - m[1].rm_so),
		       line + m[1].rm_so);
	assert_int_equal(strlen(r->name), m[1].rm_eo - m[1].rm_so);
	r->offset = (uint32_t)strtoul(line + m[2].rm_so, NULL, 16);
	r->width = wide || strstr(line, "/* 64 bit") ? 8 : 4;
	all->count++;
}

static void read_header(struct registers *ret_all)
{
	const char *const source = getenv("SLUICE_SOURCE");
	regex_t form[PATTERNS];
	bool wide = false;
	char line[512];
	FILE *in;

	assert_non_null(source);
	(void)snprintf(line, sizeof(line), "%s/firmware-iface/registers.h", source);
	in = fopen(line, "re");
	assert_non_null(in);
	for (int i = 0; i < PATTERNS; i++)
		assert_int_equal(regcomp(&form[i], pattern[i], REG_EXTENDED), 0);
	memset(ret_all, 0, sizeof(*ret_all));
	while (fgets(line, sizeof(line), in)) {
		regmatch_t m[3];

		line[strcspn(line, "\n")] = '\0';
		if (regexec(&form[SECTION], line, 0, NULL, 0) == 0)
			wide = strstr(line, ". 64 bit") != NULL;
		else if (regexec(&form[REGISTER], line, 3, m, 0) == 0)
			take_register(line, m, wide, ret_all);
		else if (strncmp(line, "#define ", 8) == 0 &&
			 regexec(&form[FLAG], line, 0, NULL, 0) != 0 &&
			 regexec(&form[HEXADECIMAL], line, 0, NULL, 0) == 0)
			fail_msg("registers.h: neither a register nor a flag: %s", line);
	}
	for (int i = 0; i < PATTERNS; i++)
		regfree(&form[i]);
	(void)fclose(in);
}

/* That the header was read as the compiler reads it. */
static void the_table_is_the_header(void **state)
{
	static const struct reg some[] = {
		{ "FW_MAGIC", FW_MAGIC, 4 },
		{ "FW_SERIAL", FW_SERIAL, 8 },
		{ "FW_LAYOUT", FW_LAYOUT, 4 },
		{ "FW_FRAMES", FW_FRAMES, 8 },
		{ "FW_COMPLETION_ADDRESS", FW_COMPLETION_ADDRESS, 8 },
		{ "FW_COMPLETION_COUNT", FW_COMPLETION_COUNT, 4 },
		{ "FW_BLOCKS_IN", FW_BLOCKS_IN, 8 },
		{ "FW_BYTES_OUT", FW_BYTES_OUT, 8 },
		{ "FW_LANES", FW_LANES, 4 },
		{ "FW_CLOCK_NS", FW_CLOCK_NS, 8 },
		{ "FW_TEMPERATURE_MK", FW_TEMPERATURE_MK, 4 },
	};
	const struct registers *const all = *state;

	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		unsigned int k = 0;

		while (k < all->count && strcmp(all->reg[k].name, some[i].name) != 0)
			k++;
		assert_true(k < all->count);
		assert_int_equal(all->reg[k].offset, some[i].offset);
		assert_int_equal(all->reg[k].width, some[i].width);
	}
}

static void every_register_has_a_place_of_its_own(void **state)
{
	const struct registers *const all = *state;

	for (unsigned int i = 0; i < all->count; i++) {
		const struct reg *const r = &all->reg[i];

		if (r->offset % r->width != 0)
			fail_msg("%s at %03x is not aligned to %u", r->name, r->offset, r->width);
		if (r->offset + r->width > FW_REGISTERS_BYTES)
			fail_msg("%s at %03x is beyond the BAR", r->name, r->offset);
		for (unsigned int k = 0; k < i; k++)
			if (r->offset < all->reg[k].offset + all->reg[k].width &&
			    all->reg[k].offset < r->offset + r->width)
				fail_msg("%s lies over %s", r->name, all->reg[k].name);
	}
}

static uint64_t value_of(const struct golden *g, const char *name)
{
	for (unsigned int i = 0; i < g->fields; i++)
		if (strcmp(g->field[i].name, name) == 0)
			return g->field[i].value;
	fail_msg("%s is in no line", name);
	return 0;
}

/* What must hold of any board, and does of the example. */
static void check_identity(const struct golden *g)
{
	const struct sluice_geometry geometry = {
		.sectors = (uint16_t)value_of(g, "FW_SECTORS"),
		.layout = (uint16_t)value_of(g, "FW_LAYOUT"),
		.rows = (uint16_t)value_of(g, "FW_ROWS"),
		.columns = (uint16_t)value_of(g, "FW_COLUMNS"),
		.pixel = (uint16_t)value_of(g, "FW_PIXEL"),
	};

	assert_int_equal(value_of(g, "FW_MAGIC"), FW_MAGIC_VALUE);
	assert_memory_equal(g->image + FW_MAGIC, "SBRD", 4);
	assert_int_equal(value_of(g, "FW_VERSION"), FW_VERSION_MAJOR << 16 | FW_VERSION_MINOR);
	assert_int_equal(value_of(g, "FW_CAPABILITIES"),
			 FW_CAP_COUNTER | FW_CAP_PRBS | FW_CAP_COALESCE | FW_CAP_RUN_BORDERS |
				 FW_CAP_PTP | FW_CAP_TEMPERATURE);
	assert_true(sluice_geometry_ok(&geometry));
	assert_int_equal(value_of(g, "FW_BLOCK_BYTES"),
			 SLUICE_BLOCK_HEADER_BYTES + sluice_sector_bytes(&geometry));
	assert_int_equal(value_of(g, "FW_FAULT"), FW_FAULT_NONE);
	assert_int_equal(value_of(g, "FW_CLOCK_SOURCE"), FW_CLOCK_PTP);
}

/* Lines and registers are the same, both ways, and no register reads all ones. */
static void read_registers(const char *name, const struct registers *all, struct golden *g)
{
	golden_read(name, g);
	assert_int_equal(g->fields, all->count);
	for (unsigned int i = 0; i < all->count; i++) {
		const struct reg *const r = &all->reg[i];
		const uint64_t v = golden_value(g, r->offset, r->name, r->width);

		assert_true(v != (r->width == 8 ? FW_GONE_64 : FW_GONE_32));
	}
	check_identity(g);
}

static void reset_leaves_the_hosts_registers_and_counters_zero(void **state)
{
	struct golden g;

	read_registers("registers_reset.txt", *state, &g);
	assert_int_equal(value_of(&g, "FW_COMMAND"), 1 << 16 | FW_COMMAND_RESET);
	assert_int_equal(value_of(&g, "FW_ANSWER"), 1 << 16 | FW_ANSWER_DONE);
	assert_int_equal(value_of(&g, "FW_STATE"), FW_STATE_IDLE);
	for (unsigned int i = 0; i < g.fields; i++)
		if (g.field[i].offset >= FW_SOURCE && g.field[i].offset < FW_LANES)
			assert_int_equal(g.field[i].value, 0);
}

static void arm_takes_what_the_host_wrote(void **state)
{
	static const struct {
		const char *name;
		uint64_t value;
	} wrote[] = {
		{ "FW_SCAN", 0x1234 },
		{ "FW_SCAN_COLUMNS", 3 },
		{ "FW_SCAN_ROWS", 2 },
		{ "FW_FRAMES", 24 },
		{ "FW_RUN_FRAMES", 16 },
		{ "FW_DROP_THRESHOLD", 48 },
		{ "FW_DESC_ADDRESS", 0x123450000 },
		{ "FW_DESC_ENTRIES", 8 },
		{ "FW_COMPLETION_ADDRESS", 0x123460040 },
		{ "FW_COMPLETION_ENTRIES", 8 },
		{ "FW_COALESCE_COUNT", 4 },
		{ "FW_COALESCE_US", 100 },
	};
	struct golden reset, g;

	read_registers("registers_reset.txt", *state, &reset);
	read_registers("registers_armed.txt", *state, &g);
	assert_int_equal(value_of(&g, "FW_COMMAND"), 2 << 16 | FW_COMMAND_ARM);
	assert_int_equal(value_of(&g, "FW_ANSWER"), 2 << 16 | FW_ANSWER_DONE);
	assert_int_equal(value_of(&g, "FW_STATE"), FW_STATE_ARMED);
	assert_int_equal(value_of(&g, "FW_SOURCE"), FW_SOURCE_COUNTER);
	assert_int_equal(value_of(&g, "FW_INTERRUPT_MODE"), FW_INTERRUPT_ON);
	for (size_t i = 0; i < sizeof(wrote) / sizeof(wrote[0]); i++)
		assert_int_equal(value_of(&g, wrote[i].name), wrote[i].value);
	assert_int_equal(value_of(&g, "FW_DESC_TAIL"), 0);
	assert_int_equal(value_of(&g, "FW_DESC_HEAD"), 0);
	assert_int_equal(value_of(&g, "FW_COMPLETION_COUNT"), 0);
	/* Nothing else moves but the clock. */
	for (unsigned int i = 0; i < g.fields; i++) {
		const uint32_t at = g.field[i].offset;

		if (at < FW_COMMAND || (at >= FW_BLOCKS_IN && at != FW_CLOCK_NS))
			assert_int_equal(g.field[i].value, reset.field[i].value);
	}
}

int main(void)
{
	static struct registers all;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(the_table_is_the_header, &all),
		cmocka_unit_test_prestate(every_register_has_a_place_of_its_own, &all),
		cmocka_unit_test_prestate(reset_leaves_the_hosts_registers_and_counters_zero, &all),
		cmocka_unit_test_prestate(arm_takes_what_the_host_wrote, &all),
	};

	read_header(&all);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
