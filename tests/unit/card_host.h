/* SPDX-License-Identifier: MIT */
/*
 * card_host.h - a host in ordinary memory, for tests of the card: it has registers, rings, chunks
 * between guards, and a clock that runs only when it is told to.
 *
 * Ownership: host_open() fills the caller's struct, host_close() empties it.
 * Threads:   one.
 * Errors:    the running test fails.
 */
#ifndef CARD_HOST_H
#define CARD_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <firmware-iface/dma.h>
#include <model/card.h>
#include <sluice/block.h>

enum {
	HOST_SECTOR = 1,
	HOST_ROWS = 4,
	HOST_COLUMNS = 8,
	HOST_PAYLOAD = HOST_ROWS * HOST_COLUMNS * 2,
	HOST_BLOCK = SLUICE_BLOCK_HEADER_BYTES + HOST_PAYLOAD,
	HOST_BYTES = 1 << 20,
	HOST_DESCRIPTORS = 0, /* where they are, from the memory's start */
	HOST_COMPLETIONS = 65536,
	HOST_CHUNKS = 131072, /* here and beyond: chunks, with guards between them */
	HOST_GUARD_BYTES = 32,
	HOST_GUARD = 0xa5,
	HOST_ENTRIES = 16, /* of both rings, unless said otherwise */
	HOST_LOG = 4096,
	HOST_PIECES_MAX = 1024,
};
#define HOST_BASE UINT64_C(0x123450000) /* the bus address of the memory's start */

struct host_write {
	uint64_t offset; /* from the memory's start */
	size_t bytes;
	uint32_t raised; /* interrupts of both vectors before it */
};

struct host {
	struct model *model[CARD_SOURCES];
	struct card *card;
	struct card_args args;
	uint64_t now_ns;
	uint64_t next_ns; /* when the card wants to be stepped */
	uint16_t sequence;
	uint32_t tail;
	uint16_t next_tag;
	uint64_t next_free; /* offset for the next chunk */
	uint64_t reaped;
	uint32_t entries; /* of both rings */
	uint32_t scan;
	uint32_t raised[FW_VECTORS];
	uint64_t writes;
	struct host_write log[HOST_LOG];
	bool refuse_writes, refuse_reads;
	_Alignas(8) uint8_t registers[FW_REGISTERS_BYTES];
	_Alignas(64) uint8_t memory[HOST_BYTES];
	uint8_t expected[HOST_BYTES]; /* as memory, but 1 where the card may write */
};

/* The arguments of a card that has all sources; change them and give them to host_open(). */
void host_args(struct host *host);
void host_open(struct host *host);
void host_close(struct host *host);
/* For cmocka, with the host as prestate: arguments alone, or an open host; and the way back. */
int host_prepare_args(void **state);
int host_set_up(void **state);
int host_tear_down(void **state);

uint32_t host_get(const struct host *host, uint32_t offset);
uint64_t host_get64(const struct host *host, uint32_t offset);
void host_set(struct host *host, uint32_t offset, uint32_t value);
void host_set64(struct host *host, uint32_t offset, uint64_t value);

/* Steps the card, without letting time pass, until it wants no more. */
void host_settle(struct host *host);
/* Lets @ns pass, stepping the card whenever it wants to be. */
void host_pass(struct host *host, uint64_t ns);
/* Gives the command; 0 when it is not answered at once. */
enum fw_answer host_begin(struct host *host, enum fw_command command);
/* The same, settled. */
enum fw_answer host_command(struct host *host, enum fw_command command);
/* Writes the registers of a scan, and clears the completion ring. Registers may be changed after.
 */
void host_prepare(struct host *host, uint64_t frames);
/* host_prepare(), ARM; it must be accepted. */
void host_arm(struct host *host, uint64_t frames);
/* RUN; it must be accepted. */
void host_run(struct host *host);

/* Writes a chain of @pieces into the ring; returns its data's offset. The doorbell is the next. */
uint64_t host_write_chain(struct host *host, const uint32_t *bytes, uint32_t pieces);
void host_write_desc(struct host *host, uint64_t address, uint32_t bytes, uint32_t control);
void host_ring(struct host *host);
/* A chunk of one piece for @blocks, and the doorbell. Returns its offset. */
uint64_t host_post(struct host *host, uint32_t blocks);

/* Takes the next completion, if there is one. */
bool host_reap(struct host *host, struct fw_completion *ret_completion);
/* The next completion must be so. */
void host_expect(struct host *host, enum fw_status status, uint64_t first_frame, uint32_t blocks);
/* What lies at @offset must be the block of @frame, from the source armed. */
void host_expect_block(const struct host *host, uint64_t offset, uint64_t frame);
/* No byte outside of chunks and of the completion ring was written. */
void host_expect_guards(const struct host *host);
/* Section 5.1. */
void host_expect_account(const struct host *host);

#endif /* CARD_HOST_H */
