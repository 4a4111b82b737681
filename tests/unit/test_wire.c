/* SPDX-License-Identifier: MIT */
/* Messages of a link: what is written is read, and everything else is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/crc32c.h>
#include <link/wire.h>
#include <sluice/stats.h>

union body {
	struct sluice_wire_hello hello;
	struct sluice_wire_refuse refuse;
	struct sluice_wire_scan scan;
	struct sluice_wire_block table[3];
	struct sluice_wire_scan_end scan_end;
	struct {
		struct sluice_wire_ack ack[2];
		struct sluice_wire_reject reject[3];
	} ack;
	struct sluice_wire_nack nack[2];
};

static const uint16_t last_type = SLUICE_WIRE_HEARTBEAT;

/* One message, sealed and opened as it lies here. */
struct sample {
	struct wire_head head;
	struct {
		_Alignas(8) struct sluice_wire_envelope envelope;
		union body body;
	} wire;
};

static void sample_hello(struct sample *s, uint16_t type)
{
	s->head.count = 1;
	if (type == SLUICE_WIRE_WELCOME) {
		s->head.session = 77;
		s->head.credit_limit = 64;
	}
	wire_hello_put(&s->wire.body, &(struct wire_hello){ .role = SLUICE_WIRE_SOURCE,
							    .sector = 3,
							    .payload_max = 1 << 20,
							    .instance = 9,
							    .attempt = 2,
							    .name = "board-3" });
}

static void sample_chunk(struct sample *s)
{
	s->head.run = 1234567890123;
	s->head.sector = 31;
	s->head.part = 65535;
	s->head.flags = SLUICE_WIRE_LAST_PART | SLUICE_WIRE_RESENT;
	s->head.count = 3;
	s->head.payload_bytes = 3000;
	for (unsigned int i = 0; i < 3; i++) {
		s->wire.body.table[i].frame = sluice_le64(i);
		s->wire.body.table[i].offset = sluice_le32(i * 1000);
	}
}

static void sample_ack(struct sample *s)
{
	s->head.count = 2;
	s->head.rejects = 3;
	s->head.credit_limit = 1;
	for (unsigned int i = 0; i < 2; i++)
		s->wire.body.ack.ack[i].run_count = sluice_le32(1 + i);
	for (unsigned int i = 0; i < 3; i++)
		s->wire.body.ack.reject[i].cause = sluice_le16(SLUICE_LOSS_CRC);
}

static void sample_scan(struct sample *s)
{
	s->head.count = 1;
	s->wire.body.scan = (struct sluice_wire_scan){
		.frames_expected = sluice_le64(4160),
		.scan_columns = sluice_le16(65),
		.scan_rows = sluice_le16(64),
		.frames_per_position = sluice_le32(1),
		.sectors = sluice_le16(4),
		.rows = sluice_le16(144),
		.columns = sluice_le16(576),
		.pixel = sluice_le16(SLUICE_PIXEL_U16),
		.run_frames = sluice_le16(16),
		.aggregators = sluice_le16(2),
	};
}

static void sample_make(struct sample *s, uint16_t type)
{
	*s = (struct sample){ .head = { .type = type, .session = 77, .scan = 5, .epoch = 2 } };
	switch (type) {
	case SLUICE_WIRE_HELLO:
	case SLUICE_WIRE_WELCOME:
		s->head = (struct wire_head){ .type = type };
		sample_hello(s, type);
		break;
	case SLUICE_WIRE_REFUSE:
		s->head = (struct wire_head){ .type = type, .session = 3, .count = 1 };
		wire_refuse_put(&s->wire.body, ESTALE, "no such session");
		break;
	case SLUICE_WIRE_SCAN_BEGIN:
		sample_scan(s);
		break;
	case SLUICE_WIRE_CHUNK:
		sample_chunk(s);
		break;
	case SLUICE_WIRE_SCAN_END:
		s->head.count = 1;
		s->head.sector = 2;
		break;
	case SLUICE_WIRE_ACK:
		sample_ack(s);
		break;
	case SLUICE_WIRE_NACK:
		s->head.count = 2;
		for (unsigned int i = 0; i < 2; i++)
			s->wire.body.nack[i].run_count = sluice_le32(1);
		break;
	default:
		s->head.scan = 0;
		s->head.epoch = 0;
		s->head.credit_limit = 99;
	}
}

/* Both CRCs right, whatever else is wrong. */
static void mend(struct sample *s, size_t bytes)
{
	struct sluice_wire_envelope *e = &s->wire.envelope;

	e->body_crc = sluice_le32(crc32c(&s->wire.body, bytes - sizeof(*e)));
	e->envelope_crc = sluice_le32(crc32c(e, sizeof(*e) - 4));
}

static int open_sample(struct sample *s, size_t bytes)
{
	struct wire_head head;

	return wire_open(&s->wire, bytes, s->head.payload_bytes, &head);
}

static void what_is_written_is_read(void **state)
{
	(void)state;
	for (uint16_t type = SLUICE_WIRE_HELLO; type <= last_type; type++) {
		struct sample s;
		struct sample again;
		struct wire_head head = { 0 };
		uint32_t bytes;

		sample_make(&s, type);
		assert_int_equal(wire_check(&s.head, &s.wire.body), 0);
		bytes = wire_seal(&s.wire, &s.head);
		assert_int_equal(bytes, WIRE_ENVELOPE_BYTES + wire_body_bytes(&s.head));
		assert_int_equal(wire_open(&s.wire, bytes, s.head.payload_bytes, &head), 0);
		/* All of the head: written again it gives the same bytes. */
		again = s;
		memset(&again.wire.envelope, 0, sizeof(again.wire.envelope));
		assert_int_equal(wire_seal(&again.wire, &head), bytes);
		assert_memory_equal(&again.wire, &s.wire, bytes);
	}
}

static void every_flipped_bit_is_found(void **state)
{
	(void)state;
	for (uint16_t type = SLUICE_WIRE_HELLO; type <= last_type; type++) {
		struct sample s;
		uint32_t bytes;

		sample_make(&s, type);
		bytes = wire_seal(&s.wire, &s.head);
		for (uint32_t bit = 0; bit < bytes * 8; bit++) {
			((uint8_t *)&s.wire)[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(open_sample(&s, bytes), -EBADMSG);
			((uint8_t *)&s.wire)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		assert_int_equal(open_sample(&s, bytes), 0);
	}
}

static void every_other_length_is_refused(void **state)
{
	(void)state;
	for (uint16_t type = SLUICE_WIRE_HELLO; type <= last_type; type++) {
		struct sample s;
		uint32_t bytes;

		sample_make(&s, type);
		bytes = wire_seal(&s.wire, &s.head);
		for (uint32_t n = 0; n <= sizeof(s.wire); n++)
			assert_int_equal(open_sample(&s, n), n == bytes ? 0 : -EBADMSG);
		s.head.payload_bytes++;
		assert_int_equal(open_sample(&s, bytes), -EBADMSG);
	}
}

/* Heads that nobody may say: each is one field away from one that may be said. */
static void fields_without_meaning_are_refused(void **state)
{
	struct sample s;

	(void)state;
#define REFUSED(type, change)                                                             \
	do {                                                                              \
		sample_make(&s, type);                                                    \
		change;                                                                   \
		assert_int_equal(wire_check(&s.head, &s.wire.body), -EBADMSG);            \
		assert_int_equal(open_sample(&s, wire_seal(&s.wire, &s.head)), -EBADMSG); \
	} while (0)
	REFUSED(SLUICE_WIRE_HELLO, s.head.session = 1);
	REFUSED(SLUICE_WIRE_HELLO, s.head.count = 0);
	REFUSED(SLUICE_WIRE_HELLO, s.head.credit_limit = 1);
	REFUSED(SLUICE_WIRE_HELLO, s.head.scan = 1);
	REFUSED(SLUICE_WIRE_HELLO, s.head.epoch = 1);
	REFUSED(SLUICE_WIRE_HELLO, s.head.rejects = 1);
	REFUSED(SLUICE_WIRE_WELCOME, s.head.session = 0);
	REFUSED(SLUICE_WIRE_SCAN_BEGIN, s.head.scan = 0);
	REFUSED(SLUICE_WIRE_SCAN_BEGIN, s.head.sector = 1);
	REFUSED(SLUICE_WIRE_CHUNK, s.head.session = 0);
	REFUSED(SLUICE_WIRE_CHUNK, s.head.scan = 0);
	REFUSED(SLUICE_WIRE_CHUNK, s.head.sector = SLUICE_SECTORS_MAX);
	REFUSED(SLUICE_WIRE_CHUNK, s.head.flags = 4);
	REFUSED(SLUICE_WIRE_CHUNK, s.head.payload_bytes = 0);
	REFUSED(SLUICE_WIRE_CHUNK, s.head.payload_bytes = 2000); /* the last block is there */
	REFUSED(SLUICE_WIRE_CHUNK, s.head.payload_bytes = SLUICE_WIRE_PAYLOAD_MAX + 1);
	REFUSED(SLUICE_WIRE_CHUNK, s.head.count = 0); /* with a payload */
	REFUSED(SLUICE_WIRE_CHUNK, (s.head.count = 0, s.head.payload_bytes = 0, s.head.flags = 0));
	REFUSED(SLUICE_WIRE_CHUNK, s.head.credit_limit = 1);
	REFUSED(SLUICE_WIRE_SCAN_END, s.head.part = 1);
	REFUSED(SLUICE_WIRE_ACK, s.head.run = 1);
	REFUSED(SLUICE_WIRE_ACK, (s.head.count = 0, s.head.rejects = 0));
	REFUSED(SLUICE_WIRE_ACK, s.head.scan = 0);
	REFUSED(SLUICE_WIRE_NACK, s.head.count = 0);
	REFUSED(SLUICE_WIRE_HEARTBEAT, s.head.count = 1);
	REFUSED(SLUICE_WIRE_HEARTBEAT, s.head.flags = 1);
	REFUSED(SLUICE_WIRE_HEARTBEAT, s.head.payload_bytes = 1);
#undef REFUSED
}

/* Bodies that nobody may say, behind an envelope that is right. */
static void entries_without_meaning_are_refused(void **state)
{
	struct sample s;

	(void)state;
#define REFUSED(type, change)                                                             \
	do {                                                                              \
		sample_make(&s, type);                                                    \
		change;                                                                   \
		assert_int_equal(open_sample(&s, wire_seal(&s.wire, &s.head)), -EBADMSG); \
	} while (0)
#define BODY s.wire.body
	REFUSED(SLUICE_WIRE_HELLO, BODY.hello.role = sluice_le16(0));
	REFUSED(SLUICE_WIRE_HELLO, BODY.hello.role = sluice_le16(4));
	REFUSED(SLUICE_WIRE_HELLO, BODY.hello.sector = sluice_le16(SLUICE_SECTORS_MAX));
	REFUSED(SLUICE_WIRE_HELLO, BODY.hello.payload_max = sluice_le32(UINT32_MAX));
	REFUSED(SLUICE_WIRE_HELLO, BODY.hello.instance = sluice_le32(0));
	REFUSED(SLUICE_WIRE_HELLO, BODY.hello.reserved = sluice_le32(1));
	REFUSED(SLUICE_WIRE_HELLO, BODY.hello.version_min = sluice_le16(0));
	REFUSED(SLUICE_WIRE_HELLO, BODY.hello.version_max = sluice_le16(0));
	REFUSED(SLUICE_WIRE_HELLO, BODY.hello.name[0] = '\0');
	REFUSED(SLUICE_WIRE_HELLO, BODY.hello.name[2] = ' ');
	REFUSED(SLUICE_WIRE_HELLO, BODY.hello.name[2] = '\n');
	REFUSED(SLUICE_WIRE_HELLO, BODY.hello.name[2] = (char)0xe4);
	REFUSED(SLUICE_WIRE_HELLO, BODY.hello.name[63] = 'x');
	REFUSED(SLUICE_WIRE_HELLO, memset(BODY.hello.name, 'x', sizeof(BODY.hello.name)));
	REFUSED(SLUICE_WIRE_REFUSE, BODY.refuse.code = sluice_le32(0));
	REFUSED(SLUICE_WIRE_REFUSE, BODY.refuse.code = sluice_le32(4096));
	REFUSED(SLUICE_WIRE_REFUSE, BODY.refuse.reserved = sluice_le32(1));
	REFUSED(SLUICE_WIRE_REFUSE, BODY.refuse.text[3] = '\x1b');
	REFUSED(SLUICE_WIRE_REFUSE, memset(BODY.refuse.text, 'x', sizeof(BODY.refuse.text)));
	REFUSED(SLUICE_WIRE_SCAN_BEGIN, BODY.scan.frames_expected = sluice_le64(0));
	REFUSED(SLUICE_WIRE_SCAN_BEGIN, BODY.scan.scan_columns = sluice_le16(0));
	REFUSED(SLUICE_WIRE_SCAN_BEGIN, BODY.scan.scan_rows = sluice_le16(0));
	REFUSED(SLUICE_WIRE_SCAN_BEGIN, BODY.scan.frames_per_position = sluice_le32(0));
	REFUSED(SLUICE_WIRE_SCAN_BEGIN, BODY.scan.sectors = sluice_le16(SLUICE_SECTORS_MAX + 1));
	REFUSED(SLUICE_WIRE_SCAN_BEGIN, BODY.scan.layout = sluice_le16(2));
	REFUSED(SLUICE_WIRE_SCAN_BEGIN, BODY.scan.rows = sluice_le16(65535));
	REFUSED(SLUICE_WIRE_SCAN_BEGIN, BODY.scan.pixel = sluice_le16(0));
	REFUSED(SLUICE_WIRE_SCAN_BEGIN, BODY.scan.run_frames = sluice_le16(0));
	REFUSED(SLUICE_WIRE_SCAN_BEGIN,
		BODY.scan.run_frames = sluice_le16(SLUICE_WIRE_RUN_FRAMES_MAX + 1));
	REFUSED(SLUICE_WIRE_SCAN_BEGIN, BODY.scan.reserved = sluice_le16(1));
	REFUSED(SLUICE_WIRE_CHUNK, BODY.table[2].offset = sluice_le32(3000));
	REFUSED(SLUICE_WIRE_CHUNK, BODY.table[1].offset = sluice_le32(UINT32_MAX));
	REFUSED(SLUICE_WIRE_CHUNK, BODY.table[2].reserved = sluice_le16(1));
	REFUSED(SLUICE_WIRE_SCAN_END, BODY.scan_end.reserved = sluice_le64(1));
	REFUSED(SLUICE_WIRE_ACK, BODY.ack.ack[1].run_count = sluice_le32(0));
	REFUSED(SLUICE_WIRE_ACK, BODY.ack.ack[1].run_first = sluice_le64(UINT64_MAX));
	REFUSED(SLUICE_WIRE_ACK, BODY.ack.ack[1].sector = sluice_le16(SLUICE_SECTORS_MAX));
	REFUSED(SLUICE_WIRE_ACK, BODY.ack.ack[1].reserved = sluice_le16(1));
	REFUSED(SLUICE_WIRE_ACK, BODY.ack.reject[2].sector = sluice_le16(SLUICE_SECTORS_MAX));
	REFUSED(SLUICE_WIRE_ACK, BODY.ack.reject[2].cause = sluice_le16(SLUICE_LOSS_NONE));
	REFUSED(SLUICE_WIRE_ACK, BODY.ack.reject[2].cause = sluice_le16(SLUICE_LOSS_COUNT));
	REFUSED(SLUICE_WIRE_ACK, BODY.ack.reject[2].reserved = sluice_le32(1));
	REFUSED(SLUICE_WIRE_NACK, BODY.nack[1].run_count = sluice_le32(0));
	REFUSED(SLUICE_WIRE_NACK, BODY.nack[1].run_first = sluice_le64(UINT64_MAX));
	REFUSED(SLUICE_WIRE_NACK, BODY.nack[1].sector = sluice_le16(SLUICE_SECTORS_MAX));
	REFUSED(SLUICE_WIRE_NACK, BODY.nack[1].cause = sluice_le16(SLUICE_LOSS_COUNT));
#undef BODY
#undef REFUSED
}

static void envelope_fields_are_checked(void **state)
{
	struct sample s;
	uint32_t bytes;

	(void)state;
	sample_make(&s, SLUICE_WIRE_CHUNK);
	bytes = wire_seal(&s.wire, &s.head);
	s.wire.envelope.magic = sluice_le32(SLUICE_WIRE_MAGIC + 1);
	mend(&s, bytes);
	assert_int_equal(open_sample(&s, bytes), -EBADMSG);

	(void)wire_seal(&s.wire, &s.head);
	s.wire.envelope.reserved = sluice_le16(1);
	mend(&s, bytes);
	assert_int_equal(open_sample(&s, bytes), -EBADMSG);

	(void)wire_seal(&s.wire, &s.head);
	s.wire.envelope.body_bytes = sluice_le32(bytes);
	mend(&s, bytes);
	assert_int_equal(open_sample(&s, bytes), -EBADMSG);

	/* More entries than there are bytes, and as many as the field can say. */
	(void)wire_seal(&s.wire, &s.head);
	s.wire.envelope.count = sluice_le16(UINT16_MAX);
	s.wire.envelope.body_bytes = sluice_le32(UINT16_MAX * 32);
	mend(&s, bytes);
	assert_int_equal(open_sample(&s, bytes), -EBADMSG);

	(void)wire_seal(&s.wire, &s.head);
	for (uint16_t type = SLUICE_WIRE_HEARTBEAT + 1; type != 1; type++) {
		s.wire.envelope.type = sluice_le16(type);
		mend(&s, bytes);
		assert_int_equal(open_sample(&s, bytes), -EBADMSG);
	}
}

static void other_versions_are_told_from_rubbish(void **state)
{
	struct sample s;
	uint32_t bytes;

	(void)state;
	sample_make(&s, SLUICE_WIRE_HELLO);
	bytes = wire_seal(&s.wire, &s.head);
	s.wire.envelope.version = sluice_le16(SLUICE_WIRE_VERSION + 1);
	mend(&s, bytes);
	assert_int_equal(open_sample(&s, bytes), -EPROTO);

	sample_make(&s, SLUICE_WIRE_HELLO);
	s.wire.body.hello.version_min = sluice_le16(2);
	s.wire.body.hello.version_max = sluice_le16(3);
	assert_int_equal(open_sample(&s, wire_seal(&s.wire, &s.head)), -EPROTO);
	/* One that speaks ours among others is welcome. */
	s.wire.body.hello.version_min = sluice_le16(1);
	assert_int_equal(open_sample(&s, wire_seal(&s.wire, &s.head)), 0);
}

static void names_and_texts(void **state)
{
	struct sample s;
	struct wire_hello hello;
	char name[SLUICE_WIRE_NAME_MAX + 1];

	(void)state;
	memset(name, 'x', sizeof(name));
	name[SLUICE_WIRE_NAME_MAX] = '\0';
	assert_int_equal(wire_name_check(name), -EINVAL);
	name[SLUICE_WIRE_NAME_MAX - 1] = '\0';
	assert_int_equal(wire_name_check(name), 0);
	assert_int_equal(wire_name_check(""), -EINVAL);
	assert_int_equal(wire_name_check("a b"), -EINVAL);
	assert_int_equal(wire_name_check("server-1/board-0"), 0);

	sample_make(&s, SLUICE_WIRE_HELLO);
	wire_hello_get(&s.wire.body, &hello);
	assert_string_equal(hello.name, "board-3");
	assert_int_equal(hello.sector, 3);
	assert_int_equal(hello.payload_max, 1 << 20);
	assert_int_equal(hello.instance, 9);
	assert_int_equal(hello.attempt, 2);

	/* A text that is too long is cut, one that is not printable made so. */
	sample_make(&s, SLUICE_WIRE_REFUSE);
	wire_refuse_put(
		&s.wire.body, ENOSPC,
		"line\none, and so on to the end, and beyond the end, which is not far, since "
		"a refusal has a hundred and twenty bytes and not one more than that");
	assert_int_equal(open_sample(&s, wire_seal(&s.wire, &s.head)), 0);
	assert_int_equal(strlen(s.wire.body.refuse.text), WIRE_TEXT_MAX - 1);
	assert_int_equal(s.wire.body.refuse.text[4], '?');
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(every_flipped_bit_is_found),
		cmocka_unit_test(every_other_length_is_refused),
		cmocka_unit_test(fields_without_meaning_are_refused),
		cmocka_unit_test(entries_without_meaning_are_refused),
		cmocka_unit_test(envelope_fields_are_checked),
		cmocka_unit_test(other_versions_are_told_from_rubbish),
		cmocka_unit_test(names_and_texts),
	};

	return cmocka_run_group_tests_name("wire", suite, NULL, NULL) ? EXIT_FAILURE : EXIT_SUCCESS;
}
