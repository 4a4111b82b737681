/* SPDX-License-Identifier: MIT */
/*
 * A message of a link, from bytes that nobody checked. The first byte says whether its CRCs are
 * put right before (so that more than CRCs is tried); the rest is envelope and body.
 *
 * What wire_open() passes must give the same bytes when it is written again, and every entry of it
 * can be read and lies within its limits.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <base/crc32c.h>
#include <link/wire.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend(uint8_t *message, size_t bytes)
{
	struct sluice_wire_envelope *e = (struct sluice_wire_envelope *)message;

	e->magic = sluice_le32(SLUICE_WIRE_MAGIC);
	e->body_crc = sluice_le32(crc32c(e + 1, bytes - sizeof(*e)));
	e->envelope_crc = sluice_le32(
		crc32c(e, offsetof(struct sluice_wire_envelope, envelope_crc)));
}

static void use_chunk(const struct wire_head *head, const struct sluice_wire_block *table)
{
	assert(head->count <= SLUICE_WIRE_BLOCKS_MAX);
	for (unsigned int i = 0; i < head->count; i++)
		assert(sluice_u32(table[i].offset) < head->payload_bytes);
}

static void use_ack(const struct wire_head *head, const struct sluice_wire_ack *ack)
{
	const struct sluice_wire_reject *reject = (const struct sluice_wire_reject *)(ack +
										      head->count);

	for (unsigned int i = 0; i < head->count; i++)
		assert(sluice_u64(ack[i].run_first) + sluice_u32(ack[i].run_count) >
		       sluice_u64(ack[i].run_first));
	for (unsigned int i = 0; i < head->rejects; i++)
		assert(sluice_u16(reject[i].sector) < SLUICE_SECTORS_MAX);
}

static void use(const struct wire_head *head, const void *body)
{
	struct wire_hello hello;

	if (head->type == SLUICE_WIRE_HELLO || head->type == SLUICE_WIRE_WELCOME) {
		wire_hello_get(body, &hello);
		assert(wire_name_check(hello.name) == 0);
	} else if (head->type == SLUICE_WIRE_CHUNK) {
		use_chunk(head, body);
	} else if (head->type == SLUICE_WIRE_ACK) {
		use_ack(head, body);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_head head;
	size_t payload_bytes;
	uint8_t *message;
	uint8_t *again;
	size_t bytes;

	if (size < 1)
		return 0;
	bytes = size - 1;
	message = malloc(bytes > 0 ? bytes : 1);
	again = malloc(bytes > 0 ? bytes : 1);
	if (!message || !again)
		abort();
	memcpy(message, data + 1, bytes);
	if (bytes < WIRE_ENVELOPE_BYTES) {
		assert(wire_open(message, bytes, 0, &head) == -EBADMSG);
		goto out;
	}
	if (data[0] & 1)
		mend(message, bytes);
	payload_bytes = sluice_u32(((struct sluice_wire_envelope *)message)->payload_bytes);
	if (wire_open(message, bytes, payload_bytes, &head) == 0) {
		use(&head, message + WIRE_ENVELOPE_BYTES);
		memcpy(again, message, bytes);
		assert(wire_seal(again, &head) == bytes);
		assert(memcmp(again, message, bytes) == 0);
	}
out:
	free(again);
	free(message);
	return 0;
}
