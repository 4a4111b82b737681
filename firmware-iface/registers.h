/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * registers.h - the registers of a readout board: where they are and what their numbers mean.
 *
 * Section numbers are those of firmware-iface/interface.md, which says how they are used. Offsets
 * count from the start of the register BAR. A 32-bit register is read and written by one 32-bit
 * access, a 64-bit one (marked so) by one aligned 64-bit access. All little-endian.
 *
 * Ownership: constants only. Threads: any. Errors: none.
 */
#ifndef FIRMWARE_IFACE_REGISTERS_H
#define FIRMWARE_IFACE_REGISTERS_H

/* 2.1 Where: BAR numbers of the PCI function, and what the register BAR must hold. */
enum fw_bar {
	FW_BAR_DOORBELL = 0,
	FW_BAR_REGISTERS = 2,
};
#define FW_REGISTERS_BYTES    4096u
#define FW_DOORBELL_OFFSET    12u /* in the doorbell BAR; a 32-bit write of enum fw_doorbell */
#define FW_DOORBELL_BAR_BYTES 16u

/* No register of a board that is there reads all ones: the far end of a broken link does. */
#define FW_GONE_32 0xffffffffu
#define FW_GONE_64 0xffffffffffffffffull

enum fw_doorbell {
	FW_DOORBELL_COMMAND = 0,    /* FW_COMMAND was written */
	FW_DOORBELL_DESCRIPTOR = 1, /* FW_DESC_TAIL was written */
	FW_DOORBELLS
};

/* Interrupt vectors, MSI-X. */
enum fw_vector {
	FW_VECTOR_COMPLETION = 0, /* completions were written */
	FW_VECTOR_EVENT = 1,      /* a command was answered, or FW_STATE or FW_FAULT changed */
	FW_VECTORS
};

/* 2.2 Identity. Read only; they do not change between two resets. */
#define FW_MAGIC          0x000u /* FW_MAGIC_VALUE */
#define FW_VERSION        0x004u /* major << 16 | minor */
#define FW_CAPABILITIES   0x008u /* FW_CAP_... */
#define FW_BUILD          0x00cu /* of the firmware; the firmware team's own count */
#define FW_SERIAL         0x010u /* 64 bit: of the board */
#define FW_ADDRESS_BITS   0x018u /* of host memory that the engine can address: 32 ... 64 */
#define FW_DESC_MAX       0x01cu /* entries that a descriptor ring may have; power of two */
#define FW_CHAIN_MAX      0x020u /* descriptors that a chain may have */
#define FW_COMPLETION_MAX 0x024u /* entries that a completion ring may have; power of two */
#define FW_BUFFER_BLOCKS  0x028u /* blocks that the board's own buffer holds */

#define FW_MAGIC_VALUE     0x44524253u /* "SBRD" in the byte stream */
#define FW_VERSION_MAJOR   1u
#define FW_VERSION_MINOR   0u
#define FW_CAP_COUNTER     0x00000001u /* can send the counter pattern */
#define FW_CAP_PRBS        0x00000002u /* can send PRBS-31 */
#define FW_CAP_COALESCE    0x00000004u /* obeys FW_COALESCE_COUNT and FW_COALESCE_US */
#define FW_CAP_RUN_BORDERS 0x00000008u /* obeys FW_RUN_FRAMES */
#define FW_CAP_PTP         0x00000010u /* has a clock that PTP can set */
#define FW_CAP_TEMPERATURE 0x00000020u

/* 2.3 Geometry: what one block is. Read only; may change while the board is idle. */
#define FW_BLOCK_BYTES 0x040u /* header and pixels */
#define FW_PIXEL       0x044u /* enum sluice_pixel */
#define FW_ROWS        0x048u /* of pixels, of this sector */
#define FW_COLUMNS     0x04cu
#define FW_SECTOR      0x050u
#define FW_SECTORS     0x054u
#define FW_LAYOUT      0x058u /* enum sluice_layout */

/* 3.1 Control. FW_COMMAND is the host's; FW_ANSWER, FW_STATE and FW_FAULT are the board's. */
#define FW_COMMAND 0x080u /* sequence << 16 | enum fw_command */
#define FW_ANSWER  0x084u /* sequence << 16 | enum fw_answer */
#define FW_STATE   0x088u /* enum fw_state */
#define FW_FAULT   0x08cu /* enum fw_fault; why FW_STATE is FW_STATE_FAILED */

enum fw_command {
	FW_COMMAND_RESET = 1,
	FW_COMMAND_ARM = 2,
	FW_COMMAND_RUN = 3,
	FW_COMMAND_STOP = 4,
	FW_COMMAND_ABORT = 5,
};

enum fw_answer {
	FW_ANSWER_DONE = 1,
	FW_ANSWER_UNKNOWN = 2, /* no such command */
	FW_ANSWER_STATE = 3,   /* not in this state */
	FW_ANSWER_SCAN = 4,    /* the scan's numbers cannot be */
	FW_ANSWER_RING = 5,    /* the rings' numbers cannot be */
	FW_ANSWER_SOURCE = 6,  /* a data source that this board lacks */
	FW_ANSWER_FAULT = 7,   /* it failed: FW_FAULT */
};

enum fw_state {
	FW_STATE_IDLE = 1,
	FW_STATE_ARMED = 2,
	FW_STATE_RUNNING = 3,
	FW_STATE_STOPPING = 4,
	FW_STATE_FAILED = 5, /* RESET is the only way on */
};

enum fw_fault {
	FW_FAULT_NONE = 0,
	FW_FAULT_DMA = 1,        /* the bus refused an address */
	FW_FAULT_DESCRIPTOR = 2, /* a descriptor that cannot be */
	FW_FAULT_LINK = 3,       /* the detector's link went down in a scan */
	FW_FAULT_INTERNAL = 4,
};

/* 3.2 What to send. The host's; read by the board at ARM. */
#define FW_SOURCE         0x0c0u /* enum fw_source */
#define FW_SCAN           0x0c4u /* number */
#define FW_SCAN_COLUMNS   0x0c8u /* probe positions per row, flyback included; 1 ... 65535 */
#define FW_SCAN_ROWS      0x0ccu
#define FW_FRAMES         0x0d0u /* 64 bit: expected; at least 1 */
#define FW_RUN_FRAMES     0x0d8u /* no chunk crosses a multiple of this; 0: they may */
#define FW_DROP_THRESHOLD 0x0dcu /* 5.2: blocks in the buffer from which on input stalls */

enum fw_source {
	FW_SOURCE_DETECTOR = 0,
	FW_SOURCE_COUNTER = 1,
	FW_SOURCE_PRBS = 2,
};

/* 4.1 The rings. The host's, read at ARM, but FW_DESC_HEAD and FW_COMPLETION_COUNT. */
#define FW_DESC_ADDRESS       0x100u /* 64 bit: bus address, 64-byte aligned */
#define FW_DESC_ENTRIES       0x108u /* power of two, 4 ... FW_DESC_MAX */
#define FW_DESC_TAIL          0x10cu /* descriptors posted since ARM, modulo 2^32; read at any doorbell */
#define FW_DESC_HEAD          0x110u /* the board's: descriptors taken since ARM, modulo 2^32 */
#define FW_COMPLETION_ENTRIES 0x114u /* power of two, 4 ... FW_COMPLETION_MAX */
#define FW_COMPLETION_ADDRESS 0x118u /* 64 bit: bus address, 64-byte aligned */
#define FW_COMPLETION_COUNT   0x120u /* the board's: completions written since ARM, modulo 2^32 */

/* 4.4 Interrupts. The host's; obeyed at once. */
#define FW_INTERRUPT_MODE 0x140u /* enum fw_interrupt_mode */
#define FW_COALESCE_COUNT 0x144u /* completions to wait for; 0 and 1: none */
#define FW_COALESCE_US    0x148u /* but no longer than this after the first; 1 ... 1000000 */

enum fw_interrupt_mode {
	FW_INTERRUPT_OFF = 0, /* the host polls the completion ring */
	FW_INTERRUPT_ON = 1,
};

/* 5.1 Counters. 64 bit, the board's; from 0 at RESET, never backwards, not cleared by ARM. */
#define FW_BLOCKS_IN         0x200u /* came from the data source */
#define FW_BLOCKS_OUT        0x208u /* written to the host, in completions that were written */
#define FW_DROPPED_OVERFLOW  0x210u /* the buffer was full */
#define FW_DROPPED_LINK      0x218u /* the detector's link spoilt them */
#define FW_DROPPED_STOP      0x220u /* in the buffer when the scan was stopped or aborted */
#define FW_LINK_CRC_ERRORS   0x228u
#define FW_STALL_NS          0x230u /* the input was stalled, all spans together */
#define FW_BUFFER_HIGH_WATER 0x238u /* the most blocks the buffer has held */
#define FW_COMPLETIONS       0x240u
#define FW_INTERRUPTS        0x248u /* raised on FW_VECTOR_COMPLETION */
#define FW_BYTES_OUT         0x250u

/* 5.3 The detector's link, the clock, the temperature. The board's. */
#define FW_LANES          0x280u /* that the link has */
#define FW_LANES_UP       0x284u /* that are up */
#define FW_LANE_ERRORS    0x288u /* 64 bit */
#define FW_CLOCK_SOURCE   0x290u /* enum fw_clock */
#define FW_CLOCK_LOCKED   0x294u /* 0 or 1 */
#define FW_CLOCK_NS       0x298u /* 64 bit: TAI where it is PTP, else since RESET */
#define FW_TEMPERATURE_MK 0x2a0u /* millikelvin; 0: not known */

enum fw_clock {
	FW_CLOCK_FREE = 0,
	FW_CLOCK_EXTERNAL = 1,
	FW_CLOCK_PTP = 2,
};

/* How long a host waits for an answer before it takes the next, harder step (section 3.4). */
#define FW_ANSWER_TIMEOUT_MS 1000u

#endif /* FIRMWARE_IFACE_REGISTERS_H */
