/* SPDX-License-Identifier: MIT */
/*
 * Whatever a host writes into registers, rings and doorbells, at whatever time: the card writes to
 * the completion ring that was armed and to what descriptors name, and to nothing else, comes to
 * an end of each step, keeps its account, and is as new after RESET.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <firmware-iface/dma.h>
#include <model/card.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	MEMORY = 8192,
	LENT_MAX = 4096,
	STEPS = 64, /* after each operation at most */
	INPUT_MAX = 2048,
};

/* Operations: a byte, and what follows it. */
enum operation {
	OP_REGISTER, /* which 32-bit word, 4 bytes */
	OP_MEMORY,   /* where / 16, 16 bytes */
	OP_DOORBELL, /* which */
	OP_TIME,     /* ms */
	OP_STEP,
	OP_COMMAND,    /* which */
	OP_SCAN,       /* entries and frames: registers as a good host writes them */
	OP_DESCRIPTOR, /* address / 64, bytes, control: a good one */
	OPERATIONS
};

struct range {
	uint64_t first, bytes;
};

static struct model *model;
static struct card *card;
static uint64_t time_ns;
static _Alignas(8) uint8_t registers[FW_REGISTERS_BYTES];
static uint8_t *memory; /* exactly as large, so that a sanitizer sees one byte too far */
static struct range lent[LENT_MAX];
static unsigned int lents;
static uint32_t tail;
static uint16_t sequence; /* of the last command */

static bool is_lent(uint64_t address, size_t bytes)
{
	for (unsigned int i = 0; i < lents; i++)
		if (address >= lent[i].first && bytes <= lent[i].bytes &&
		    address - lent[i].first <= lent[i].bytes - bytes)
			return true;
	return false;
}

static void lend(uint64_t first, uint64_t bytes)
{
	if (lents < LENT_MAX)
		lent[lents++] = (struct range){ first, bytes };
}

/* What the card reads are descriptors: what they name is lent to it. */
static int host_read(void *ctx, uint64_t address, void *dst, size_t bytes)
{
	struct fw_desc desc;

	(void)ctx;
	assert(bytes == sizeof(desc));
	if (lents == LENT_MAX || address > MEMORY - bytes)
		return -EFAULT;
	memcpy(&desc, memory + address, sizeof(desc));
	memcpy(dst, &desc, sizeof(desc));
	lend(sluice_u64(desc.address), sluice_u32(desc.bytes));
	return 0;
}

static int host_write(void *ctx, uint64_t address, const void *src, size_t bytes)
{
	(void)ctx;
	assert(bytes > 0);
	assert(is_lent(address, bytes));
	if (bytes > MEMORY || address > MEMORY - bytes)
		return -EFAULT;
	memcpy(memory + address, src, bytes);
	return 0;
}

static void host_raise(void *ctx, enum fw_vector vector)
{
	(void)ctx;
	assert(vector < FW_VECTORS);
}

static const struct card_host_ops ops = { host_read, host_write, host_raise };

static uint32_t get(uint32_t offset)
{
	struct sluice_le32 v;

	memcpy(&v, registers + offset, sizeof(v));
	return sluice_u32(v);
}

static uint64_t get64(uint32_t offset)
{
	struct sluice_le64 v;

	memcpy(&v, registers + offset, sizeof(v));
	return sluice_u64(v);
}

static void set(uint32_t offset, uint32_t value)
{
	const struct sluice_le32 v = sluice_le32(value);

	memcpy(registers + offset, &v, sizeof(v));
}

/* The rings as the card reads them at ARM. */
static void doorbell(uint32_t number)
{
	struct card_report r;

	/* What the registers say may be the host's own. */
	card_report(card, &r);
	if (number == FW_DOORBELL_COMMAND)
		sequence = (uint16_t)(get(FW_COMMAND) >> 16);
	if (r.state == FW_STATE_IDLE && number == FW_DOORBELL_COMMAND &&
	    (get(FW_COMMAND) & 0xffff) == FW_COMMAND_ARM) {
		lents = 0;
		lend(get64(FW_COMPLETION_ADDRESS),
		     (uint64_t)get(FW_COMPLETION_ENTRIES) * sizeof(struct fw_completion));
	}
	card_doorbell(card, number, time_ns);
}

static void step(void)
{
	for (unsigned int i = 0; i < STEPS; i++)
		if (card_step(card, time_ns) > time_ns)
			return;
}

static void command(uint32_t what)
{
	set(FW_COMMAND, (uint32_t)(uint16_t)(sequence + 1) << 16 | (what & 0xffff));
	doorbell(FW_DOORBELL_COMMAND);
}

static void good_scan(uint8_t how)
{
	memset(memory, 0, MEMORY);
	tail = 0;
	set(FW_SOURCE, how % 2);
	set(FW_SCAN_COLUMNS, 3);
	set(FW_SCAN_ROWS, 3);
	set(FW_FRAMES, 1u + how);
	set(FW_FRAMES + 4, 0);
	set(FW_RUN_FRAMES, how % 5);
	set(FW_DESC_ADDRESS, 0);
	set(FW_DESC_ADDRESS + 4, 0);
	set(FW_DESC_ENTRIES, 8);
	set(FW_COMPLETION_ADDRESS, 1024);
	set(FW_COMPLETION_ADDRESS + 4, 0);
	set(FW_COMPLETION_ENTRIES, 8);
}

static void good_descriptor(const uint8_t *bytes)
{
	const struct fw_desc desc = {
		.address = sluice_le64(bytes[0] * UINT64_C(64)),
		.bytes = sluice_le32(bytes[1] * 4u),
		.control = sluice_le32((bytes[2] & 1 ? FW_DESC_LAST : 0) | bytes[2] >> 1),
	};

	memcpy(memory + tail % 8 * sizeof(desc), &desc, sizeof(desc));
	set(FW_DESC_TAIL, ++tail);
}

/* Does one operation; returns how many bytes of @data it took. */
static size_t operate(const uint8_t *data, size_t size)
{
	static const uint8_t needs[OPERATIONS] = { 6, 18, 2, 2, 1, 2, 2, 4 };
	const enum operation op = (enum operation)(data[0] % OPERATIONS);

	if (size < needs[op])
		return size;
	switch (op) {
	case OP_REGISTER:
		/* Where registers are, most of the time. */
		memcpy(registers + (data[1] * 4u) % 1024, data + 2, 4);
		break;
	case OP_MEMORY:
		memcpy(memory + (data[1] * 16u) % MEMORY, data + 2, 16);
		break;
	case OP_DOORBELL:
		doorbell(data[1]);
		break;
	case OP_TIME:
		time_ns += data[1] * UINT64_C(1000000);
		break;
	case OP_COMMAND:
		command(data[1]);
		break;
	case OP_SCAN:
		good_scan(data[1]);
		break;
	case OP_DESCRIPTOR:
		good_descriptor(data + 1);
		break;
	default:
		step();
	}
	return needs[op];
}

static void set_up(void)
{
	const struct model_args args = {
		.geometry = { .sectors = 1, .rows = 2, .columns = 3, .pixel = SLUICE_PIXEL_U8 },
		.generator = MODEL_COUNTER,
		.distinct = 2,
		.sectors_served = 1,
	};

	memory = malloc(MEMORY);
	if (!memory || model_create(&args, &model, NULL) < 0)
		abort();
}

/* @kind: the first byte says what sort of card it is. */
static void make_card(uint8_t kind)
{
	const struct card_args args = {
		.source = { model, model, NULL },
		.host = &ops,
		.registers = registers,
		.desc_max = 16,
		.completion_max = 16,
		.chain_max = 8,
		.buffer_blocks = 4,
		.frames_per_s = kind & 1 ? 1000.0 : 0.0,
		.live = (kind & 3) == 3,
	};

	memset(memory, 0, MEMORY);
	memset(registers, 0xff, sizeof(registers));
	lents = 0;
	tail = 0;
	sequence = 0;
	time_ns = 1000;
	if (card_create(&args, time_ns, &card) < 0)
		abort();
}

/* RESET ends all, whatever was before, and a scan of a good host is good. */
static void expect_a_good_scan(void)
{
	const uint8_t chunk[] = { 64, 60, 1 }; /* 240 bytes: three blocks */
	struct fw_completion c;

	command(FW_COMMAND_RESET);
	assert((get(FW_ANSWER) & 0xffff) == FW_ANSWER_DONE);
	assert(get(FW_STATE) == FW_STATE_IDLE);
	assert(get64(FW_BLOCKS_IN) == 0);
	good_scan(2);
	set(FW_RUN_FRAMES, 0);
	command(FW_COMMAND_ARM);
	assert((get(FW_ANSWER) & 0xffff) == FW_ANSWER_DONE);
	good_descriptor(chunk);
	command(FW_COMMAND_RUN);
	for (unsigned int i = 0; i < 10; i++) {
		time_ns += 1000000;
		step();
	}
	memcpy(&c, memory + 1024, sizeof(c));
	assert(sluice_u32(c.generation) == 1);
	assert(sluice_u32(c.blocks) == 3);
	assert(sluice_u16(c.status) == FW_STATUS_END);
	assert(get(FW_STATE) == FW_STATE_IDLE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 1;

	if (!model)
		set_up();
	if (size < 2 || size > INPUT_MAX)
		return 0;
	make_card(data[0]);
	while (at < size)
		at += operate(data + at, size - at);
	/* The host may have written to any register: what the card writes is asked for. */
	step();
	command(FW_COMMAND_ABORT);
	(void)card_step(card, time_ns);
	assert(get64(FW_BLOCKS_IN) == get64(FW_BLOCKS_OUT) + get64(FW_DROPPED_OVERFLOW) +
					      get64(FW_DROPPED_LINK) + get64(FW_DROPPED_STOP));
	expect_a_good_scan();
	card_destroy(card);
	card = NULL;
	return 0;
}
