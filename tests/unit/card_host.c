/* SPDX-License-Identifier: MIT */
#include "card_host.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/crc32c.h>

enum {
	STEPS_MAX = 100000, /* of a card that does not come to rest */
};

static bool is_memory(uint64_t address, size_t bytes)
{
	return address >= HOST_BASE && bytes <= HOST_BYTES &&
	       address - HOST_BASE <= HOST_BYTES - bytes;
}

static int host_read(void *ctx, uint64_t address, void *dst, size_t bytes)
{
	const struct host *host = ctx;

	if (host->refuse_reads || !is_memory(address, bytes))
		return -EFAULT;
	memcpy(dst, host->memory + (address - HOST_BASE), bytes);
	return 0;
}

static int host_write(void *ctx, uint64_t address, const void *src, size_t bytes)
{
	struct host *host = ctx;
	const uint32_t state = host_get(host, FW_STATE);

	/* Section 3.1: whoever sees another state may take the memory back. */
	if (state != FW_STATE_RUNNING && state != FW_STATE_STOPPING)
		fail_msg("the card wrote in state %u", state);
	if (host->refuse_writes || !is_memory(address, bytes))
		return -EFAULT;
	memcpy(host->memory + (address - HOST_BASE), src, bytes);
	host->log[host->writes++ % HOST_LOG] = (struct host_write){
		address - HOST_BASE, bytes, host->raised[0] + host->raised[1]
	};
	return 0;
}

static void host_raise(void *ctx, enum fw_vector vector)
{
	struct host *host = ctx;

	assert_true(vector < FW_VECTORS);
	host->raised[vector]++;
}

static const struct card_host_ops ops = { host_read, host_write, host_raise };

void host_args(struct host *host)
{
	struct model_args args = {
		.geometry = { .sectors = 2,
			      .rows = HOST_ROWS,
			      .columns = HOST_COLUMNS,
			      .pixel = SLUICE_PIXEL_U16 },
		.seed = 5,
		.distinct = 6,
		.sectors_served = 1 << HOST_SECTOR,
	};

	memset(host, 0, sizeof(*host));
	for (unsigned int s = 0; s < CARD_SOURCES; s++) {
		args.generator = (enum model_generator)s;
		assert_int_equal(model_create(&args, &host->model[s], NULL), 0);
		host->args.source[s] = host->model[s];
	}
	host->args.host = &ops;
	host->args.host_ctx = host;
	host->args.registers = host->registers;
	host->args.serial = 77;
	host->args.desc_max = 1024;
	host->args.completion_max = 1024;
	host->args.chain_max = 64;
	host->args.buffer_blocks = 8;
	host->args.sector = HOST_SECTOR;
	host->entries = HOST_ENTRIES;
	host->now_ns = 1000000000;
}

void host_open(struct host *host)
{
	assert_int_equal(card_create(&host->args, host->now_ns, &host->card), 0);
}

void host_close(struct host *host)
{
	card_destroy(host->card);
	for (unsigned int s = 0; s < CARD_SOURCES; s++)
		model_destroy(host->model[s]);
	host->card = NULL;
	memset(host->model, 0, sizeof(host->model));
}

int host_prepare_args(void **state)
{
	host_args(*state);
	return 0;
}

int host_set_up(void **state)
{
	host_args(*state);
	host_open(*state);
	return 0;
}

int host_tear_down(void **state)
{
	host_close(*state);
	return 0;
}

uint32_t host_get(const struct host *host, uint32_t offset)
{
	struct sluice_le32 v;

	memcpy(&v, host->registers + offset, sizeof(v));
	return sluice_u32(v);
}

uint64_t host_get64(const struct host *host, uint32_t offset)
{
	struct sluice_le64 v;

	memcpy(&v, host->registers + offset, sizeof(v));
	return sluice_u64(v);
}

void host_set(struct host *host, uint32_t offset, uint32_t value)
{
	const struct sluice_le32 v = sluice_le32(value);

	memcpy(host->registers + offset, &v, sizeof(v));
}

void host_set64(struct host *host, uint32_t offset, uint64_t value)
{
	const struct sluice_le64 v = sluice_le64(value);

	memcpy(host->registers + offset, &v, sizeof(v));
}

void host_settle(struct host *host)
{
	unsigned int steps = 0;

	do {
		host->next_ns = card_step(host->card, host->now_ns);
		assert_true(++steps < STEPS_MAX);
	} while (host->next_ns <= host->now_ns);
}

void host_pass(struct host *host, uint64_t ns)
{
	const uint64_t end_ns = host->now_ns + ns;

	host_settle(host);
	while (host->next_ns <= end_ns) {
		host->now_ns = host->next_ns;
		host_settle(host);
	}
	host->now_ns = end_ns;
	host_settle(host);
}

enum fw_answer host_begin(struct host *host, enum fw_command command)
{
	uint32_t answer;

	host->sequence++;
	host_set(host, FW_COMMAND, (uint32_t)host->sequence << 16 | command);
	card_doorbell(host->card, FW_DOORBELL_COMMAND, host->now_ns);
	answer = host_get(host, FW_ANSWER);
	return answer >> 16 == host->sequence ? (enum fw_answer)(answer & 0xffff) : 0;
}

enum fw_answer host_command(struct host *host, enum fw_command command)
{
	uint32_t answer;

	(void)host_begin(host, command);
	host_settle(host);
	answer = host_get(host, FW_ANSWER);
	return answer >> 16 == host->sequence ? (enum fw_answer)(answer & 0xffff) : 0;
}

void host_prepare(struct host *host, uint64_t frames)
{
	const size_t completions = (size_t)host->entries * sizeof(struct fw_completion);

	memset(host->memory, HOST_GUARD, sizeof(host->memory));
	memset(host->expected, 0, sizeof(host->expected));
	memset(host->memory + HOST_COMPLETIONS, 0, completions);
	memset(host->expected + HOST_COMPLETIONS, 1, completions);
	host->tail = 0;
	host->next_tag = 0;
	host->next_free = HOST_CHUNKS;
	host->reaped = 0;
	host->writes = 0;
	host->scan++;
	host_set(host, FW_SOURCE, FW_SOURCE_DETECTOR);
	host_set(host, FW_SCAN, host->scan);
	host_set(host, FW_SCAN_COLUMNS, 5);
	host_set(host, FW_SCAN_ROWS, 4);
	host_set64(host, FW_FRAMES, frames);
	host_set(host, FW_RUN_FRAMES, 0);
	host_set(host, FW_DROP_THRESHOLD, 0);
	host_set64(host, FW_DESC_ADDRESS, HOST_BASE + HOST_DESCRIPTORS);
	host_set(host, FW_DESC_ENTRIES, host->entries);
	host_set64(host, FW_COMPLETION_ADDRESS, HOST_BASE + HOST_COMPLETIONS);
	host_set(host, FW_COMPLETION_ENTRIES, host->entries);
	host_set(host, FW_INTERRUPT_MODE, FW_INTERRUPT_ON);
	host_set(host, FW_COALESCE_COUNT, 1);
	host_set(host, FW_COALESCE_US, 1);
}

void host_arm(struct host *host, uint64_t frames)
{
	host_prepare(host, frames);
	assert_int_equal(host_command(host, FW_COMMAND_ARM), FW_ANSWER_DONE);
	assert_int_equal(host_get(host, FW_STATE), FW_STATE_ARMED);
}

void host_run(struct host *host)
{
	assert_int_equal(host_begin(host, FW_COMMAND_RUN), FW_ANSWER_DONE);
	assert_int_equal(host_get(host, FW_STATE), FW_STATE_RUNNING);
	host_settle(host);
}

void host_write_desc(struct host *host, uint64_t address, uint32_t bytes, uint32_t control)
{
	const struct fw_desc desc = {
		.address = sluice_le64(address),
		.bytes = sluice_le32(bytes),
		.control = sluice_le32(control),
	};
	const uint32_t entry = host->tail++ % host->entries;

	memcpy(host->memory + HOST_DESCRIPTORS + entry * sizeof(desc), &desc, sizeof(desc));
	memset(host->expected + HOST_DESCRIPTORS + entry * sizeof(desc), 1, sizeof(desc));
}

uint64_t host_write_chain(struct host *host, const uint32_t *bytes, uint32_t pieces)
{
	const uint64_t first = host->next_free;

	for (uint32_t i = 0; i < pieces; i++) {
		const uint32_t last = i + 1 == pieces ? FW_DESC_LAST : 0;

		assert_true(host->next_free + bytes[i] + HOST_GUARD_BYTES <= HOST_BYTES);
		host_write_desc(host, HOST_BASE + host->next_free, bytes[i], last | host->next_tag);
		memset(host->expected + host->next_free, 1, bytes[i]);
		host->next_free += bytes[i] + HOST_GUARD_BYTES;
	}
	host->next_tag++;
	return first;
}

void host_ring(struct host *host)
{
	host_set(host, FW_DESC_TAIL, host->tail);
	card_doorbell(host->card, FW_DOORBELL_DESCRIPTOR, host->now_ns);
}

uint64_t host_post(struct host *host, uint32_t blocks)
{
	const uint32_t bytes = blocks * HOST_BLOCK;
	const uint64_t offset = host_write_chain(host, &bytes, 1);

	host_ring(host);
	return offset;
}

bool host_reap(struct host *host, struct fw_completion *ret_completion)
{
	const unsigned int order = (unsigned int)__builtin_ctz(host->entries);
	const uint64_t entry = host->reaped % host->entries;

	memcpy(ret_completion, host->memory + HOST_COMPLETIONS + entry * sizeof(*ret_completion),
	       sizeof(*ret_completion));
	if (sluice_u32(ret_completion->generation) != fw_generation(host->reaped, order))
		return false;
	host->reaped++;
	return true;
}

void host_expect(struct host *host, enum fw_status status, uint64_t first_frame, uint32_t blocks)
{
	const uint16_t tag = (uint16_t)host->reaped;
	struct fw_completion c;

	assert_true(host_reap(host, &c));
	assert_int_equal(sluice_u16(c.status), status);
	assert_int_equal(sluice_u32(c.blocks), blocks);
	assert_int_equal(sluice_u32(c.bytes), blocks * HOST_BLOCK);
	assert_int_equal(sluice_u16(c.tag), tag);
	assert_int_equal(sluice_u32(c.scan), host->scan);
	if (blocks > 0)
		assert_int_equal(sluice_u64(c.first_frame), first_frame);
}

void host_expect_block(const struct host *host, uint64_t offset, uint64_t frame)
{
	const struct model *model = host->model[host_get(host, FW_SOURCE)];
	const struct model_scan scan = { host_get(host, FW_SCAN_COLUMNS),
					 host_get(host, FW_SCAN_ROWS),
					 host_get64(host, FW_FRAMES) };
	const uint32_t prepared = model_frame_choice(model_args(model), &scan, frame);
	const uint8_t *payload = model_payload(model, prepared, HOST_SECTOR);
	const uint64_t position = model_position(&scan, frame);
	struct sluice_block_header h;

	memcpy(&h, host->memory + offset, sizeof(h));
	assert_int_equal(sluice_u32(h.magic), SLUICE_BLOCK_MAGIC);
	assert_int_equal(sluice_u32(h.header_crc),
			 crc32c(&h, offsetof(struct sluice_block_header, header_crc)));
	assert_int_equal(sluice_u32(h.scan), host->scan);
	assert_int_equal(sluice_u16(h.sector), HOST_SECTOR);
	assert_int_equal(sluice_u64(h.frame), frame);
	assert_int_equal(sluice_u16(h.position_x), position % scan.columns);
	assert_int_equal(sluice_u16(h.position_y), position / scan.columns);
	assert_int_equal(sluice_u16(h.flags), model_block_flags(model_args(model)));
	assert_memory_equal(host->memory + offset + sizeof(h), payload, HOST_PAYLOAD);
}

void host_expect_guards(const struct host *host)
{
	for (size_t i = 0; i < HOST_BYTES; i++)
		if (!host->expected[i] && host->memory[i] != HOST_GUARD)
			fail_msg("the card wrote at offset %zu, where nothing was lent", i);
}

void host_expect_account(const struct host *host)
{
	assert_int_equal(host_get64(host, FW_BLOCKS_IN),
			 host_get64(host, FW_BLOCKS_OUT) + host_get64(host, FW_DROPPED_OVERFLOW) +
				 host_get64(host, FW_DROPPED_LINK) +
				 host_get64(host, FW_DROPPED_STOP));
}
