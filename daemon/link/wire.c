/* SPDX-License-Identifier: MIT */
#include <link/wire.h>

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <base/crc32c.h>
#include <sluice/stats.h>

enum {
	ERRNO_MAX = 4095, /* Linux: the highest errno there can be */
};

/* What each type may carry; a field that is not named here is 0. */
struct kind {
	uint16_t entry_bytes;  /* of the first kind; 0: no such type */
	uint16_t reject_bytes; /* of the second kind */
	uint16_t count_min, count_max;
	uint16_t rejects_max;
	bool session; /* belongs to a session */
	bool scan;    /* belongs to a scan */
	bool sector;
	bool chunk;  /* has run, part, flags and a payload */
	bool credit; /* carries credit_limit */
};

static const struct kind kinds[] = {
	[SLUICE_WIRE_HELLO] = { .entry_bytes = sizeof(struct sluice_wire_hello),
				.count_min = 1,
				.count_max = 1 },
	[SLUICE_WIRE_WELCOME] = { .entry_bytes = sizeof(struct sluice_wire_hello),
				  .count_min = 1,
				  .count_max = 1,
				  .session = true,
				  .credit = true },
	[SLUICE_WIRE_REFUSE] = { .entry_bytes = sizeof(struct sluice_wire_refuse),
				 .count_min = 1,
				 .count_max = 1 },
	[SLUICE_WIRE_SCAN_BEGIN] = { .entry_bytes = sizeof(struct sluice_wire_scan),
				     .count_min = 1,
				     .count_max = 1,
				     .session = true,
				     .scan = true },
	[SLUICE_WIRE_CHUNK] = { .entry_bytes = sizeof(struct sluice_wire_block),
				.count_max = SLUICE_WIRE_BLOCKS_MAX,
				.session = true,
				.scan = true,
				.sector = true,
				.chunk = true },
	[SLUICE_WIRE_SCAN_END] = { .entry_bytes = sizeof(struct sluice_wire_scan_end),
				   .count_min = 1,
				   .count_max = 1,
				   .session = true,
				   .scan = true,
				   .sector = true },
	[SLUICE_WIRE_ACK] = { .entry_bytes = sizeof(struct sluice_wire_ack),
			      .reject_bytes = sizeof(struct sluice_wire_reject),
			      .count_max = SLUICE_WIRE_ENTRIES_MAX,
			      .rejects_max = SLUICE_WIRE_ENTRIES_MAX,
			      .session = true,
			      .scan = true,
			      .credit = true },
	[SLUICE_WIRE_NACK] = { .entry_bytes = sizeof(struct sluice_wire_nack),
			       .count_min = 1,
			       .count_max = SLUICE_WIRE_ENTRIES_MAX,
			       .session = true,
			       .scan = true,
			       .credit = true },
	[SLUICE_WIRE_HEARTBEAT] = { .entry_bytes = 1, .session = true, .credit = true },
};

static const struct kind *kind_find(uint16_t type)
{
	if (type >= sizeof(kinds) / sizeof(kinds[0]) || kinds[type].entry_bytes == 0)
		return NULL;
	return &kinds[type];
}

static size_t kind_body_bytes(const struct kind *kind, const struct wire_head *head)
{
	return (size_t)head->count * kind->entry_bytes + (size_t)head->rejects * kind->reject_bytes;
}

size_t wire_body_bytes(const struct wire_head *head)
{
	const struct kind *kind = kind_find(head->type);

	return kind ? kind_body_bytes(kind, head) : SIZE_MAX;
}

static bool chunk_fields_ok(const struct wire_head *head)
{
	if (head->flags & ~(SLUICE_WIRE_LAST_PART | SLUICE_WIRE_RESENT))
		return false;
	if (head->payload_bytes > SLUICE_WIRE_PAYLOAD_MAX)
		return false;
	/* Without blocks there is nothing to carry, and nothing to say but "that was all". */
	if (head->count == 0)
		return head->payload_bytes == 0 && (head->flags & SLUICE_WIRE_LAST_PART);
	return head->payload_bytes > 0;
}

/* Everything that the envelope alone can tell. */
static bool head_ok(const struct kind *kind, const struct wire_head *head)
{
	if (head->count < kind->count_min || head->count > kind->count_max)
		return false;
	if (head->rejects > kind->rejects_max)
		return false;
	if (head->type == SLUICE_WIRE_ACK && head->count == 0 && head->rejects == 0)
		return false;
	if (head->type != SLUICE_WIRE_REFUSE && kind->session != (head->session != 0))
		return false;
	if (kind->scan != (head->scan != 0) || (!kind->scan && head->epoch != 0))
		return false;
	if (head->sector >= SLUICE_SECTORS_MAX || (!kind->sector && head->sector != 0))
		return false;
	if (!kind->credit && head->credit_limit != 0)
		return false;
	if (kind->chunk)
		return chunk_fields_ok(head);
	return head->run == 0 && head->part == 0 && head->flags == 0 && head->payload_bytes == 0;
}

/* A NUL-terminated string of printable characters, with nothing but NULs after it. */
static bool text_ok(const char *text, size_t size, char lowest)
{
	size_t i = 0;

	while (i < size && text[i] >= lowest && text[i] <= '~')
		i++;
	if (i == size)
		return false;
	while (i < size && text[i] == '\0')
		i++;
	return i == size;
}

static bool hello_ok(const void *body)
{
	const struct sluice_wire_hello *h = body;
	const uint16_t role = sluice_u16(h->role);

	return sluice_u16(h->version_min) >= 1 &&
	       sluice_u16(h->version_min) <= sluice_u16(h->version_max) &&
	       role >= SLUICE_WIRE_SOURCE && role <= SLUICE_WIRE_CONSUMER &&
	       sluice_u16(h->sector) < SLUICE_SECTORS_MAX &&
	       sluice_u32(h->payload_max) <= SLUICE_WIRE_PAYLOAD_MAX && h->instance.raw != 0 &&
	       h->reserved.raw == 0 && h->name[0] != '\0' && text_ok(h->name, sizeof(h->name), '!');
}

static bool refuse_ok(const void *body)
{
	const struct sluice_wire_refuse *r = body;
	const uint32_t code = sluice_u32(r->code);

	return code >= 1 && code <= ERRNO_MAX && r->reserved.raw == 0 &&
	       text_ok(r->text, sizeof(r->text), ' ');
}

static bool scan_ok(const void *body)
{
	const struct sluice_wire_scan *s = body;
	const struct sluice_geometry g = {
		.sectors = sluice_u16(s->sectors),
		.layout = sluice_u16(s->layout),
		.rows = sluice_u16(s->rows),
		.columns = sluice_u16(s->columns),
		.pixel = sluice_u16(s->pixel),
	};
	const uint16_t run_frames = sluice_u16(s->run_frames);

	return sluice_geometry_ok(&g) && run_frames >= 1 &&
	       run_frames <= SLUICE_WIRE_RUN_FRAMES_MAX && s->scan_columns.raw != 0 &&
	       s->scan_rows.raw != 0 && s->frames_per_position.raw != 0 &&
	       s->frames_expected.raw != 0 && s->reserved.raw == 0;
}

static bool table_ok(const struct wire_head *head, const struct sluice_wire_block *table)
{
	for (unsigned int i = 0; i < head->count; i++) {
		if (sluice_u32(table[i].offset) >= head->payload_bytes || table[i].reserved.raw)
			return false;
	}
	return true;
}

static bool scan_end_ok(const void *body)
{
	const struct sluice_wire_scan_end *e = body;

	return e->reserved.raw == 0;
}

static bool runs_ok(uint64_t first, uint32_t count)
{
	return count >= 1 && first <= UINT64_MAX - count;
}

static bool ack_ok(const struct wire_head *head, const void *body)
{
	const struct sluice_wire_ack *ack = body;
	const struct sluice_wire_reject *reject = (const void *)(ack + head->count);

	for (unsigned int i = 0; i < head->count; i++) {
		if (!runs_ok(sluice_u64(ack[i].run_first), sluice_u32(ack[i].run_count)) ||
		    sluice_u16(ack[i].sector) >= SLUICE_SECTORS_MAX || ack[i].reserved.raw)
			return false;
	}
	for (unsigned int i = 0; i < head->rejects; i++) {
		const uint16_t cause = sluice_u16(reject[i].cause);

		if (sluice_u16(reject[i].sector) >= SLUICE_SECTORS_MAX ||
		    cause == SLUICE_LOSS_NONE || cause >= SLUICE_LOSS_COUNT ||
		    reject[i].reserved.raw)
			return false;
	}
	return true;
}

static bool nack_ok(const struct wire_head *head, const struct sluice_wire_nack *nack)
{
	for (unsigned int i = 0; i < head->count; i++) {
		if (!runs_ok(sluice_u64(nack[i].run_first), sluice_u32(nack[i].run_count)) ||
		    sluice_u16(nack[i].sector) >= SLUICE_SECTORS_MAX ||
		    sluice_u16(nack[i].cause) >= SLUICE_LOSS_COUNT)
			return false;
	}
	return true;
}

static bool body_ok(const struct wire_head *head, const void *body)
{
	switch (head->type) {
	case SLUICE_WIRE_HELLO:
	case SLUICE_WIRE_WELCOME:
		return hello_ok(body);
	case SLUICE_WIRE_REFUSE:
		return refuse_ok(body);
	case SLUICE_WIRE_SCAN_BEGIN:
		return scan_ok(body);
	case SLUICE_WIRE_CHUNK:
		return table_ok(head, body);
	case SLUICE_WIRE_SCAN_END:
		return scan_end_ok(body);
	case SLUICE_WIRE_ACK:
		return ack_ok(head, body);
	case SLUICE_WIRE_NACK:
		return nack_ok(head, body);
	case SLUICE_WIRE_HEARTBEAT:
		return true;
	default:
		return false;
	}
}

int wire_check(const struct wire_head *head, const void *body)
{
	const struct kind *kind = kind_find(head->type);

	return kind && head_ok(kind, head) && body_ok(head, body) ? 0 : -EBADMSG;
}

uint32_t wire_seal(void *message, const struct wire_head *head)
{
	struct sluice_wire_envelope *e = message;
	const size_t body_bytes = wire_body_bytes(head);

	assert((uintptr_t)message % 8 == 0);
	assert(body_bytes <= WIRE_ACK_BYTES_MAX - WIRE_ENVELOPE_BYTES);
	*e = (struct sluice_wire_envelope){
		.magic = sluice_le32(SLUICE_WIRE_MAGIC),
		.version = sluice_le16(SLUICE_WIRE_VERSION),
		.type = sluice_le16(head->type),
		.body_bytes = sluice_le32((uint32_t)body_bytes),
		.payload_bytes = sluice_le32(head->payload_bytes),
		.scan = sluice_le32(head->scan),
		.epoch = sluice_le32(head->epoch),
		.run = sluice_le64(head->run),
		.credit_limit = sluice_le64(head->credit_limit),
		.session = sluice_le32(head->session),
		.sector = sluice_le16(head->sector),
		.part = sluice_le16(head->part),
		.count = sluice_le16(head->count),
		.rejects = sluice_le16(head->rejects),
		.flags = sluice_le16(head->flags),
		.body_crc = sluice_le32(crc32c(e + 1, body_bytes)),
	};
	e->envelope_crc = sluice_le32(
		crc32c(e, offsetof(struct sluice_wire_envelope, envelope_crc)));
	return (uint32_t)(WIRE_ENVELOPE_BYTES + body_bytes);
}

int wire_open(const void *message, size_t bytes, size_t payload_bytes, struct wire_head *ret_head)
{
	const struct sluice_wire_envelope *e = message;
	const struct kind *kind;
	struct wire_head head;
	size_t body_bytes;

	if (bytes < WIRE_ENVELOPE_BYTES)
		return -EBADMSG;
	assert((uintptr_t)message % 8 == 0);
	if (sluice_u32(e->magic) != SLUICE_WIRE_MAGIC)
		return -EBADMSG;
	if (sluice_u32(e->envelope_crc) !=
	    crc32c(e, offsetof(struct sluice_wire_envelope, envelope_crc)))
		return -EBADMSG;
	if (sluice_u16(e->version) != SLUICE_WIRE_VERSION)
		return -EPROTO;
	head = (struct wire_head){
		.run = sluice_u64(e->run),
		.credit_limit = sluice_u64(e->credit_limit),
		.payload_bytes = sluice_u32(e->payload_bytes),
		.scan = sluice_u32(e->scan),
		.epoch = sluice_u32(e->epoch),
		.session = sluice_u32(e->session),
		.type = sluice_u16(e->type),
		.sector = sluice_u16(e->sector),
		.part = sluice_u16(e->part),
		.count = sluice_u16(e->count),
		.rejects = sluice_u16(e->rejects),
		.flags = sluice_u16(e->flags),
	};
	kind = kind_find(head.type);
	if (!kind || e->reserved.raw != 0)
		return -EBADMSG;
	body_bytes = kind_body_bytes(kind, &head);
	if (sluice_u32(e->body_bytes) != body_bytes || bytes != WIRE_ENVELOPE_BYTES + body_bytes ||
	    head.payload_bytes != payload_bytes || !head_ok(kind, &head))
		return -EBADMSG;
	if (sluice_u32(e->body_crc) != crc32c(e + 1, body_bytes) || !body_ok(&head, e + 1))
		return -EBADMSG;
	if (head.type == SLUICE_WIRE_HELLO || head.type == SLUICE_WIRE_WELCOME) {
		const struct sluice_wire_hello *h = (const void *)(e + 1);

		if (sluice_u16(h->version_min) > SLUICE_WIRE_VERSION ||
		    sluice_u16(h->version_max) < SLUICE_WIRE_VERSION)
			return -EPROTO;
	}
	*ret_head = head;
	return 0;
}

int wire_name_check(const char *name)
{
	char padded[SLUICE_WIRE_NAME_MAX] = { 0 };
	const size_t len = strnlen(name, sizeof(padded));

	if (len == 0 || len == sizeof(padded))
		return -EINVAL;
	memcpy(padded, name, len);
	return text_ok(padded, sizeof(padded), '!') ? 0 : -EINVAL;
}

void wire_hello_put(void *body, const struct wire_hello *hello)
{
	struct sluice_wire_hello *h = body;

	*h = (struct sluice_wire_hello){
		.version_min = sluice_le16(SLUICE_WIRE_VERSION),
		.version_max = sluice_le16(SLUICE_WIRE_VERSION),
		.role = sluice_le16(hello->role),
		.sector = sluice_le16(hello->sector),
		.payload_max = sluice_le32(hello->payload_max),
		.instance = sluice_le32(hello->instance),
		.attempt = sluice_le32(hello->attempt),
	};
	memcpy(h->name, hello->name, strnlen(hello->name, sizeof(h->name) - 1));
}

void wire_hello_get(const void *body, struct wire_hello *ret_hello)
{
	const struct sluice_wire_hello *h = body;

	*ret_hello = (struct wire_hello){
		.role = sluice_u16(h->role),
		.sector = sluice_u16(h->sector),
		.payload_max = sluice_u32(h->payload_max),
		.instance = sluice_u32(h->instance),
		.attempt = sluice_u32(h->attempt),
	};
	memcpy(ret_hello->name, h->name, sizeof(ret_hello->name));
}

void wire_refuse_put(void *body, int code, const char *text)
{
	struct sluice_wire_refuse *r = body;

	_Static_assert(sizeof(r->text) == WIRE_TEXT_MAX, "a refusal's text");
	*r = (struct sluice_wire_refuse){ .code = sluice_le32((uint32_t)code) };
	for (size_t i = 0; i < sizeof(r->text) - 1 && text[i] != '\0'; i++)
		r->text[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
}
