/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/card.h - a board on PCIe: what firmware-iface/interface.md asks of one, in software.
 *
 * The card has a register file, which is plain memory, hears doorbells, and reaches the memory of
 * its host by three functions only. It knows no clock: who calls says what time it is, so that
 * the same calls give the same bytes.
 *
 *   doorbell -> card_doorbell() -> command, FW_DESC_TAIL
 *   time     -> card_step()     -> input -> buffer -> chain -> completion -> interrupt
 *
 * All that the host writes is foreign: it is read once, judged, and never indexes anything before.
 * The card writes to the completion ring and to what descriptors name, and nowhere else.
 *
 * Ownership: card_create() gives, card_destroy() takes; models, truth, registers and the host's
 *            functions must outlive it.
 * Threads:   one at a time per card. The host writes registers and memory at any time.
 * Errors:    a host's mistakes are answered in registers and completions, never returned.
 */
#ifndef MODEL_CARD_H
#define MODEL_CARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <firmware-iface/registers.h>
#include <model/model.h>

struct card;
struct fault_list;
struct sluice_error;
struct truth;

enum {
	CARD_SOURCES = FW_SOURCE_PRBS + 1,
	CARD_RING_MAX = 65536,    /* entries, of either ring */
	CARD_BUFFER_MAX = 65536,  /* blocks */
	CARD_STEP_BLOCKS = 16,    /* that one step moves at most */
	CARD_INPUT_BLOCKS = 1024, /* that one step takes at most, dropped ones too */
};

/* Whatever happens, registers that move by themselves are brought up to date so often. */
#define CARD_TICK_NS UINT64_C(10000000)

/* How the card reaches its host. */
struct card_host_ops {
	/*
	 * read(), write() - Copy from, or to, host memory at a bus address.
	 *
	 * Guarantees: all or nothing; -EFAULT when any byte is no memory. The host sees writes in
	 * the order in which they were made, and one of 4 bytes at a multiple of 4 as a whole.
	 */
	int (*read)(void *ctx, uint64_t address, void *dst, size_t bytes);
	int (*write)(void *ctx, uint64_t address, const void *src, size_t bytes);
	/* raise() - Raise an interrupt. Guarantees: the host sees all writes made before. */
	void (*raise)(void *ctx, enum fw_vector vector);
};

struct card_args {
	const struct model *source[CARD_SOURCES]; /* by enum fw_source; NULL: the card lacks it */
	const struct card_host_ops *host;
	void *host_ctx;
	void *registers;     /* FW_REGISTERS_BYTES, aligned to 8; the card's and the host's */
	struct truth *truth; /* of the detector; may be NULL */
	const struct fault_list *faults; /* from the start on; copied; may be NULL */
	uint64_t serial;
	uint32_t desc_max, completion_max; /* powers of two, 4 ... CARD_RING_MAX */
	uint32_t chain_max;                /* 1 ... desc_max */
	uint32_t buffer_blocks;            /* 1 ... CARD_BUFFER_MAX */
	double frames_per_s;               /* 0: as fast as it goes */
	uint16_t sector;                   /* one that all sources serve */
	bool live;                         /* the input cannot be stalled; needs frames_per_s */
};

/* What the card did since it was made; resets and scans do not clear it. */
struct card_report {
	uint64_t blocks, bytes;
	uint64_t completions, interrupts, descriptors;
	uint64_t scans; /* that have ended, in whatever way */
	uint16_t sector;
	uint32_t scan;          /* number of the last one */
	enum fw_state state;    /* now */
	enum fw_fault fault;    /* now */
	uint64_t started_ns;    /* of the last scan that was run */
	uint64_t frames_wanted; /* of the last scan */
};

/* -EINVAL: a number or a fault that cannot be, or no detector. -ENOMEM. */
int card_create(const struct card_args *args, uint64_t now_ns, struct card **ret_card);
void card_destroy(struct card *card);

/* The host rang doorbell @number; one that does not exist does nothing. */
void card_doorbell(struct card *card, uint32_t number, uint64_t now_ns);
/*
 * Does some of what is due. Returns when to call again: @now_ns or less means at once; a doorbell
 * may come before.
 */
uint64_t card_step(struct card *card, uint64_t now_ns);

void card_report(const struct card *card, struct card_report *ret_report);

/*
 * Faults, at any time. Frames and chunks count within a scan, so that an order holds for each scan
 * until card_repair().
 */
/* Adds @order, if it is one for the card's sector. As fault_add(); -EINVAL: not of a card. */
int card_fault(struct card *card, const char *order, struct sluice_error *reterr);
/* Pulls the card out: registers read all ones, and nothing is written any more. */
void card_remove(struct card *card);
/* Forgets all faults. A card that is gone or hangs is there again, as at power-on. */
void card_repair(struct card *card, uint64_t now_ns);

#endif /* MODEL_CARD_H */
