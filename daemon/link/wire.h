/* SPDX-License-Identifier: MIT */
/*
 * link/wire.h - messages of a link as numbers of this machine: written, and read from bytes that
 * nobody has checked. The layouts are sluice/wire.h's.
 *
 * Ownership: the caller's memory; nothing is kept.
 * Threads:   any.
 * Errors:    -EBADMSG: the bytes are not what the protocol says. -EPROTO: another version of it.
 */
#ifndef LINK_WIRE_H
#define LINK_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include <sluice/wire.h>

enum {
	WIRE_ENVELOPE_BYTES = sizeof(struct sluice_wire_envelope),
	/* The longest that a sender, and a receiver, says before a payload. */
	WIRE_CHUNK_BYTES_MAX = WIRE_ENVELOPE_BYTES +
			       SLUICE_WIRE_BLOCKS_MAX * (int)sizeof(struct sluice_wire_block),
	WIRE_ACK_BYTES_MAX = WIRE_ENVELOPE_BYTES +
			     SLUICE_WIRE_ENTRIES_MAX * (int)(sizeof(struct sluice_wire_ack) +
							     sizeof(struct sluice_wire_reject)),
	WIRE_TEXT_MAX = 120, /* bytes of a refusal's text, NUL included */
};
_Static_assert(sizeof(struct sluice_wire_nack) == sizeof(struct sluice_wire_ack),
	       "WIRE_ACK_BYTES_MAX holds for a nack too");

/* An envelope without what is the same in all or follows from the rest. */
struct wire_head {
	uint64_t run;
	uint64_t credit_limit;
	uint32_t payload_bytes;
	uint32_t scan;
	uint32_t epoch;
	uint32_t session;
	uint16_t type; /* enum sluice_wire_type */
	uint16_t sector;
	uint16_t part;
	uint16_t count;
	uint16_t rejects;
	uint16_t flags;
};

struct wire_hello {
	uint16_t role;
	uint16_t sector;
	uint32_t payload_max;
	uint32_t instance;
	uint32_t attempt;
	char name[SLUICE_WIRE_NAME_MAX];
};

/*
 * Whether @head and the entries at @body (aligned to 8) are a message of the protocol: -EBADMSG
 * if not. @body must hold wire_body_bytes(@head).
 */
int wire_check(const struct wire_head *head, const void *body);
/* Bytes of the entries that @head counts; SIZE_MAX if no such message can be. */
size_t wire_body_bytes(const struct wire_head *head);
/*
 * Writes the envelope, with both CRCs, at @message (aligned to 8), whose body stands behind it
 * already. @head is one that wire_check() passes. Returns the bytes of both.
 */
uint32_t wire_seal(void *message, const struct wire_head *head);
/*
 * Reads the envelope at @message (aligned to 8) of a message of @bytes and checks all of it:
 * magic, version, both CRCs, counts, limits, reserved fields, every entry; and that its payload
 * has @payload_bytes. After 0 the body's entries, behind the envelope, can be used as they are.
 */
int wire_open(const void *message, size_t bytes, size_t payload_bytes, struct wire_head *ret_head);

/* Whether @name can be a member's: 1 ... 63 printable characters, no space among them. */
int wire_name_check(const char *name);
/* Between the struct and a hello's or welcome's body; get() wants one that wire_open() passed. */
void wire_hello_put(void *body, const struct wire_hello *hello);
void wire_hello_get(const void *body, struct wire_hello *ret_hello);
/* @code is a positive errno; characters of @text that are not printable become '?'. */
void wire_refuse_put(void *body, int code, const char *text);

#endif /* LINK_WIRE_H */
