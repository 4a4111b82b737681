/* SPDX-License-Identifier: MIT */
/*
 * sluice/wire.h - what travels on a link.
 *
 * A message is an envelope (struct sluice_wire_envelope), a body of fixed-size entries that
 * its type names, and, for a chunk only, a payload: the ring's bytes untouched. Over ZeroMQ
 * envelope and body are one message part, the payload the next. All little-endian.
 *
 * Roles: the *sender* connects (sluiced to an aggregator, an aggregator to a consumer), the
 * *receiver* binds. Chunks travel from sender to receiver; credits, acknowledgements and
 * requests to send again travel back.
 *
 * Credit: one credit pays for all parts of one (run, sector), void ones too. The sender starts
 * a (run, sector) only while the number it has started in this session is below the receiver's
 * cumulative credit_limit. Parts of a run together never hold more than the run's blocks, so
 * credits bound memory.
 *
 * Identity of what is acknowledged: (scan, run, sector), whole. An acknowledgement means: every
 * part is committed, except the blocks rejected by name in the same message. Both ends may
 * repeat themselves without harm.
 *
 * Ownership: plain data. Threads: any. Errors: none. Source: daemon/doc/protocol.md.
 */
#ifndef SLUICE_WIRE_H
#define SLUICE_WIRE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/block.h>
#include <sluice/le.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_WIRE_MAGIC 0x31574c53u /* "SLW1" in the byte stream */

enum {
	SLUICE_WIRE_VERSION = 1,
	SLUICE_WIRE_NAME_MAX = 64,         /* bytes of a member's name, its NUL included */
	SLUICE_WIRE_BLOCKS_MAX = 1024,     /* entries in a chunk's block table */
	SLUICE_WIRE_ENTRIES_MAX = 4096,    /* entries in an ack or nack */
	SLUICE_WIRE_PAYLOAD_MAX = 1 << 30, /* bytes */
	SLUICE_WIRE_RUN_FRAMES_MAX = 1024,
};

enum sluice_wire_type {
	SLUICE_WIRE_HELLO = 1,      /* sender -> receiver: struct sluice_wire_hello */
	SLUICE_WIRE_WELCOME = 2,    /* receiver -> sender: struct sluice_wire_hello */
	SLUICE_WIRE_REFUSE = 3,     /* either way: struct sluice_wire_refuse, then silence */
	SLUICE_WIRE_SCAN_BEGIN = 4, /* sender -> receiver: struct sluice_wire_scan */
	SLUICE_WIRE_CHUNK = 5, /* sender -> receiver: count x struct sluice_wire_block, payload */
	SLUICE_WIRE_SCAN_END = 6, /* sender -> receiver: struct sluice_wire_scan_end */
	SLUICE_WIRE_ACK = 7,  /* receiver -> sender: struct sluice_wire_ack and _reject entries */
	SLUICE_WIRE_NACK = 8, /* receiver -> sender: count x struct sluice_wire_nack */
	SLUICE_WIRE_HEARTBEAT = 9, /* either way: no body; carries credit_limit */
};

/* sluice_wire_envelope.flags, of a chunk */
enum {
	SLUICE_WIRE_LAST_PART = 1 << 0, /* no further block of this (run, sector) will come */
	SLUICE_WIRE_RESENT = 1 << 1,    /* may have been received before */
};

struct sluice_wire_envelope {
	struct sluice_le32 magic;         /* SLUICE_WIRE_MAGIC */
	struct sluice_le16 version;       /* SLUICE_WIRE_VERSION */
	struct sluice_le16 type;          /* enum sluice_wire_type */
	struct sluice_le32 body_bytes;    /* entries that follow the envelope */
	struct sluice_le32 payload_bytes; /* 0 unless a chunk */
	struct sluice_le32 scan;          /* 0 where no scan is meant */
	struct sluice_le32 epoch;         /* of the scan's plan */
	struct sluice_le64 run;           /* chunk: run number */
	struct sluice_le64 credit_limit;  /* receiver -> sender: cumulative, see above */
	struct sluice_le32 session;       /* given by the receiver in its welcome; 0 in hello,
					     and in a refuse that answers one */
	struct sluice_le16 sector;        /* chunk, scan-end: sector number */
	struct sluice_le16 part;          /* chunk: 0, 1, ... within (run, sector) */
	struct sluice_le16 count;         /* entries of the first kind; 1 for a fixed body */
	struct sluice_le16 rejects;       /* ack: entries of the second kind */
	struct sluice_le16 flags;         /* SLUICE_WIRE_... */
	struct sluice_le16 reserved;      /* 0 */
	struct sluice_le32 body_crc;      /* CRC32C of the body */
	struct sluice_le32 envelope_crc;  /* CRC32C of the 60 bytes before this field */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_wire_envelope) == 64, "envelope is 64 bytes");
SLUICE_STATIC_ASSERT(offsetof(struct sluice_wire_envelope, run) == 24, "run at byte 24");
SLUICE_STATIC_ASSERT(offsetof(struct sluice_wire_envelope, envelope_crc) == 60, "CRC is last");

enum sluice_wire_role {
	SLUICE_WIRE_SOURCE = 1,
	SLUICE_WIRE_AGGREGATOR = 2,
	SLUICE_WIRE_CONSUMER = 3,
};

struct sluice_wire_hello {
	struct sluice_le16 version_min; /* of the protocol, that this side speaks */
	struct sluice_le16 version_max;
	struct sluice_le16 role;         /* enum sluice_wire_role */
	struct sluice_le16 sector;       /* a source's sector, else 0 */
	struct sluice_le32 payload_max;  /* bytes of a chunk's payload this side can take */
	struct sluice_le32 instance;     /* random per sender opened, not 0; a welcome echoes it */
	struct sluice_le32 attempt;      /* counts the sessions this sender asked for; echoed */
	struct sluice_le32 reserved;     /* 0 */
	char name[SLUICE_WIRE_NAME_MAX]; /* member's id: printable, no spaces, NUL-padded */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_wire_hello) == 88, "hello is 88 bytes");

struct sluice_wire_refuse {
	struct sluice_le32 code;     /* an errno, positive */
	struct sluice_le32 reserved; /* 0 */
	char text[120];              /* one line for humans, printable, NUL-padded */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_wire_refuse) == 128, "refuse is 128 bytes");

struct sluice_wire_scan {
	struct sluice_le64 frames_expected;
	struct sluice_le16 scan_columns; /* probe positions per row, flyback included */
	struct sluice_le16 scan_rows;
	struct sluice_le32 frames_per_position;
	struct sluice_le16 sectors; /* struct sluice_geometry from here */
	struct sluice_le16 layout;
	struct sluice_le16 rows;
	struct sluice_le16 columns;
	struct sluice_le16 pixel;
	struct sluice_le16 run_frames;  /* R: frames of a run */
	struct sluice_le16 aggregators; /* that will send to a consumer in this scan */
	struct sluice_le16 reserved;    /* 0 */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_wire_scan) == 32, "scan-begin is 32 bytes");

/* One block in a chunk's payload. */
struct sluice_wire_block {
	struct sluice_le64 frame;
	struct sluice_le64 timestamp_ns;
	struct sluice_le32 offset; /* of the block's first pixel in the payload, bytes */
	struct sluice_le32 crc;    /* CRC32C of the block's pixels */
	struct sluice_le16 position_x;
	struct sluice_le16 position_y;
	struct sluice_le16 flags;    /* sluice_block_header.flags */
	struct sluice_le16 reserved; /* 0 */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_wire_block) == 32, "block entry is 32 bytes");

/* The sender's half of the ledger for one sector, in blocks. */
struct sluice_wire_scan_end {
	struct sluice_le64 frames_expected;
	struct sluice_le64 blocks_acked;
	struct sluice_le64 blocks_lost;
	struct sluice_le64 reserved; /* 0 */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_wire_scan_end) == 32, "scan-end is 32 bytes");

struct sluice_wire_ack {
	struct sluice_le64 run_first;
	struct sluice_le32 run_count; /* consecutive runs, at least 1 */
	struct sluice_le16 sector;
	struct sluice_le16 reserved; /* 0 */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_wire_ack) == 16, "ack entry is 16 bytes");

/* A block that was received and could not be used; it will not be asked for again. */
struct sluice_wire_reject {
	struct sluice_le64 frame;
	struct sluice_le16 sector;
	struct sluice_le16 cause;    /* enum sluice_loss */
	struct sluice_le32 reserved; /* 0 */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_wire_reject) == 16, "reject entry is 16 bytes");

/* Please send again: the receiver does not have (all of) these runs and wants them. */
struct sluice_wire_nack {
	struct sluice_le64 run_first;
	struct sluice_le32 run_count;
	struct sluice_le16 sector;
	struct sluice_le16 cause; /* enum sluice_loss: why it went astray */
};
SLUICE_STATIC_ASSERT(sizeof(struct sluice_wire_nack) == 16, "nack entry is 16 bytes");

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_WIRE_H */
