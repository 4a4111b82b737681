/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/card_internal.h - what the parts of a card share; for them only.
 *
 *   card.c            power, registers, doorbells, steps
 *   card_command.c    section 3.1 of the interface
 *   card_input.c      the data source, the buffer, back-pressure (3.2, 5.2)
 *   card_engine.c     chains, blocks, completions, faults (3.3, 4)
 *   card_interrupt.c  coalescing (4.4)
 *
 * Ownership: as card.h. Threads: as card.h. Errors: none.
 */
#ifndef MODEL_CARD_INTERNAL_H
#define MODEL_CARD_INTERNAL_H

#include <endian.h>

#include <firmware-iface/dma.h>
#include <model/batch.h>
#include <model/card.h>

/* A block that waits in the card's buffer. */
struct card_block {
	uint64_t frame;
	uint64_t exposed_ns;
};

struct card_input {
	struct card_block *block; /* buffer_blocks, a ring */
	uint32_t first, count;
	uint32_t threshold;
	uint64_t next_frame; /* that the source gives */
	uint64_t start_ns;   /* RUN */
	uint64_t paused_ns;  /* since then, all pauses together */
	bool stalled;        /* by a full buffer */
	uint64_t held_frame; /* the fault before this one has had its time; UINT64_MAX: none */
	uint64_t held_ns;    /* until then nothing comes */
	uint64_t stalled_ns; /* counted up to here */
};

struct card_piece {
	uint64_t address;
	uint32_t bytes;
};

/* The chain at hand. */
struct card_chain {
	struct card_piece *piece; /* chain_max */
	uint32_t pieces;          /* 0: none at hand */
	uint32_t at;              /* the piece that is being filled, and how far */
	uint32_t offset;
	uint64_t room; /* bytes left */
	uint32_t blocks;
	uint64_t first_frame;
	uint16_t tag;
};

struct card_rings {
	uint64_t desc_address;
	uint32_t desc_entries;
	uint32_t desc_head, desc_tail;
	uint64_t completion_address;
	uint32_t completion_order; /* 2^order entries */
	uint64_t completions;      /* written since ARM */
	uint64_t chains;           /* taken since ARM */
};

/* Section 5.1; since RESET. */
struct card_counters {
	uint64_t blocks_in, blocks_out;
	uint64_t dropped_overflow, dropped_link, dropped_stop;
	uint64_t link_crc_errors, lane_errors;
	uint64_t stall_ns, high_water;
	uint64_t completions, interrupts, bytes_out;
};

struct card_interrupts {
	uint32_t waiting;  /* completions since the last interrupt */
	uint64_t first_ns; /* when the first of them was written */
	bool urgent;
	uint64_t chunk; /* of the last of them */
};

struct card {
	struct card_args args;
	uint64_t now_ns;
	uint64_t reset_ns;
	enum fw_state state;
	enum fw_fault fault;
	bool gone, hung;
	bool commanded; /* @sequence is that of the last command taken */
	uint16_t sequence;
	bool stop_waits; /* STOP is to be answered, with @stop_sequence */
	uint16_t stop_sequence;
	bool truth_due; /* of the scan that has begun */
	uint32_t block_bytes;
	uint32_t run_frames;
	uint32_t lanes_up;
	struct batch_run run;
	struct card_input input;
	struct card_rings rings;
	struct card_chain chain;
	struct card_counters counters;
	struct card_interrupts interrupts;
	struct card_report report;
	struct batch batch;
	struct fault_list faults;
	struct fault_list block_faults; /* those of a block on its way out */
};

/* Registers; @offset is one of registers.h. */
static inline uint32_t card_get(const struct card *card, uint32_t offset)
{
	const uint32_t *reg = (const uint32_t *)((const uint8_t *)card->args.registers + offset);

	/* Acquire: pairs with the host's release before its doorbell; what it wrote is there. */
	return le32toh(__atomic_load_n(reg, __ATOMIC_ACQUIRE));
}

static inline uint64_t card_get64(const struct card *card, uint32_t offset)
{
	const uint64_t *reg = (const uint64_t *)((const uint8_t *)card->args.registers + offset);

	return le64toh(__atomic_load_n(reg, __ATOMIC_ACQUIRE));
}

static inline void card_set(struct card *card, uint32_t offset, uint32_t value)
{
	uint32_t *reg = (uint32_t *)((uint8_t *)card->args.registers + offset);

	/* Release: pairs with the host's read of it; what it speaks of was written before. */
	__atomic_store_n(reg, htole32(value), __ATOMIC_RELEASE);
}

static inline void card_set64(struct card *card, uint32_t offset, uint64_t value)
{
	uint64_t *reg = (uint64_t *)((uint8_t *)card->args.registers + offset);

	__atomic_store_n(reg, htole64(value), __ATOMIC_RELEASE);
}

/* Whether @kind befalls @at, a frame or a chunk. */
bool card_fault_at(const struct card *card, enum fault_kind kind, uint64_t at, uint32_t *ret_value);
/* As at power-on, but for what only power-on does. */
void card_reset(struct card *card);
void card_publish(struct card *card);
void card_enter(struct card *card, enum fw_state state);
/* A scan is over: it is so in state, report and account; what waits is dropped by stop. */
void card_end_scan(struct card *card, enum fw_state state);

void command_take(struct card *card);
void command_answer(struct card *card, uint16_t sequence, enum fw_answer answer);

void input_start(struct card *card);
/* Takes what is due, some at a time. Returns whether it took any. */
bool input_take(struct card *card);
bool input_ended(const struct card *card);
/* The input waits no longer; what it waited is counted. */
void input_stall_end(struct card *card);
/* Forgets what is in the buffer. */
void input_stop(struct card *card);
uint64_t input_next_ns(const struct card *card);

void engine_arm(struct card *card);
void engine_read_tail(struct card *card);
/* Moves one block, or completes one chain. Returns whether it did. */
bool engine_move(struct card *card);
/* STOP: nothing more can be moved. */
void engine_finish_stop(struct card *card);
void engine_fail(struct card *card, enum fw_fault fault);

void interrupt_arm(struct card *card);
void interrupt_note(struct card *card, bool urgent);
void interrupt_raise_due(struct card *card);
uint64_t interrupt_next_ns(const struct card *card);
void interrupt_event(struct card *card);

#endif /* MODEL_CARD_INTERNAL_H */
