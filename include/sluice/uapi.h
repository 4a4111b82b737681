/* SPDX-License-Identifier: MIT OR GPL-2.0-only WITH Linux-syscall-note */
/*
 * sluice/uapi.h - what a readout board's device node, /dev/sluiceN, takes and gives.
 *
 * read(): one chunk each, whole blocks only, straight into the caller's memory; asynchronous
 * under io_uring and aio. A read needs room for at least one block. It returns as soon as the board
 * gives its chunk back: full, at a border of runs, or at the end of the scan (short); and 0 for
 * every read beyond that, until the next SLUICE_IOC_ARM. Before SLUICE_IOC_RUN reads wait.
 *
 * One reader: who arms or reads first, until it closes; another gets EBUSY. Any number may look
 * (info, counters, sysfs). poll(): readable when a scan runs or a read would return 0; EPOLLPRI
 * when the state changed; EPOLLHUP when the board is gone.
 *
 * What a read returns when a scan goes wrong:
 *   EMSGSIZE   the board says it wrote more than fits, or no whole blocks
 *   EILSEQ     the board completed a chunk twice, or one that was never posted
 *   ENODATA    the board never completed a chunk, but a later one
 *   ESTALE     the board completed a chunk for another scan
 *   EPROTO     the board says what the interface does not know
 *   EIO        the bus refused the board's DMA
 *   EFAULT     the board refused a descriptor
 *   ENOLINK    the detector's link went down
 *   EREMOTEIO  the board failed inside
 *   ECANCELED  the scan was aborted, or the board was reset
 *   ENODEV     the board is gone
 * After any of these but ENODEV the next SLUICE_IOC_ARM resets the board and begins afresh.
 * Reads belong to the process that submitted them: they end with ECANCELED, and the scan with
 * them, when it closes the node or ends.
 *
 * Ownership: plain data, host byte order. Threads: any; calls on one board are in order.
 * Errors:    of all ioctls: EINVAL (a reserved field is not 0, a number cannot be or is all ones),
 *            EBUSY (another reads, a scan runs, the machine is about to sleep or recovers the bus),
 *            ENODEV, ETIMEDOUT (the board does not answer), EIO (it answers with a fault), EPROTO
 *            (with what cannot be), EFAULT (not the caller's memory), EPERM (the node is open for
 *            looking only), ENOTTY (no such ioctl).
 */
#ifndef SLUICE_UAPI_H
#define SLUICE_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define SLUICE_UAPI_VERSION 1
#define SLUICE_UAPI_NAME    32

enum sluice_uapi_state {
	SLUICE_UAPI_IDLE = 1,
	SLUICE_UAPI_ARMED = 2,
	SLUICE_UAPI_RUNNING = 3,
	SLUICE_UAPI_STOPPING = 4,
	SLUICE_UAPI_FAILED = 5,
	SLUICE_UAPI_GONE = 6,
};

struct sluice_uapi_info {
	__u32 abi;               /* SLUICE_UAPI_VERSION */
	__u32 interface_version; /* of the firmware interface: major << 16 | minor */
	__u32 firmware_build;
	__u32 capabilities; /* FW_CAP_... */
	__u64 serial;
	__u32 state; /* enum sluice_uapi_state */
	__s32 node;  /* NUMA; -1: not known */
	/* The block: struct sluice_geometry, and its bytes with the header. */
	__u32 block_bytes;
	__u16 sector;
	__u16 sectors;
	__u16 layout;
	__u16 rows;
	__u16 columns;
	__u16 pixel;
	__u32 buffer_blocks; /* that the board itself can hold */
	__u32 read_max;      /* reads that may be under way */
	/* The PCIe link: speed in Mbit/s for each lane, width in lanes; 0: not known. */
	__u32 link_speed, link_speed_max;
	__u32 link_width, link_width_max;
	char pci[SLUICE_UAPI_NAME]; /* address, "0000:3b:00.0" */
	__u64 reserved[8];
};

/* Flags of struct sluice_uapi_scan. */
#define SLUICE_UAPI_POLLED                                                     \
	1u /* no interrupts: reads are reaped by polling (IORING_SETUP_IOPOLL) \
	    */

struct sluice_uapi_scan {
	__u32 scan;
	__u32 columns;        /* probe positions per row, 1 ... 65535 */
	__u32 rows;           /* 1 ... 65535 */
	__u32 source;         /* enum fw_source: 0 detector, 1 counter, 2 PRBS */
	__u64 frames;         /* at least 1 */
	__u32 run_frames;     /* no chunk crosses a multiple of it; 0: may */
	__u32 flags;          /* SLUICE_UAPI_POLLED */
	__u32 drop_threshold; /* blocks in the board's buffer above which it stalls; 0: its size */
	__u32 coalesce_count; /* chunks for one interrupt, at most; 0: the driver's choice */
	__u32 coalesce_us;    /* and the time, at most 1000000; 0: the driver's choice */
	__u32 reserved[5];
};

struct sluice_uapi_run {
	__u32 flags; /* 0 */
	__u32 reserved[3];
};

#define SLUICE_UAPI_STOP_DRAIN 0u /* what the board holds still comes */
#define SLUICE_UAPI_STOP_ABORT 1u /* reads end at once */

struct sluice_uapi_stop {
	__u32 how; /* SLUICE_UAPI_STOP_... */
	__u32 reserved[3];
};

/* The board's since its reset, and the driver's since it took the board. */
struct sluice_uapi_counters {
	__u64 blocks_in, blocks_out;
	__u64 dropped_overflow, dropped_link, dropped_stop;
	__u64 link_crc_errors;
	__u64 stall_ns;
	__u64 buffer_high_water;
	__u64 completions, interrupts, bytes_out;
	__u64 lane_errors;
	__u32 lanes, lanes_up;
	__u32 clock_source, clock_locked;
	__u64 clock_ns;
	__u32 temperature_mk; /* 0: not known */
	__u32 resets;         /* of the board, by the driver */
	__u64 reads, read_bytes;
	__u64 interrupts_taken;
	__u64 interrupts_missed; /* completions found by looking, long after they were due */
	__u64 completions_lost, completions_twice, completions_bad;
	__u64 timeouts; /* commands not answered in time */
	__u64 reserved[8];
};

#define SLUICE_IOC_MAGIC    0xda
#define SLUICE_IOC_INFO     _IOR(SLUICE_IOC_MAGIC, 1, struct sluice_uapi_info)
#define SLUICE_IOC_ARM      _IOW(SLUICE_IOC_MAGIC, 2, struct sluice_uapi_scan)
#define SLUICE_IOC_RUN      _IOW(SLUICE_IOC_MAGIC, 3, struct sluice_uapi_run)
#define SLUICE_IOC_STOP     _IOW(SLUICE_IOC_MAGIC, 4, struct sluice_uapi_stop)
#define SLUICE_IOC_COUNTERS _IOR(SLUICE_IOC_MAGIC, 5, struct sluice_uapi_counters)

#ifdef __cplusplus
#define SLUICE_UAPI_ASSERT static_assert
#else
#define SLUICE_UAPI_ASSERT _Static_assert
#endif
SLUICE_UAPI_ASSERT(sizeof(struct sluice_uapi_info) == 168, "info is 168 bytes");
SLUICE_UAPI_ASSERT(sizeof(struct sluice_uapi_scan) == 64, "scan is 64 bytes");
SLUICE_UAPI_ASSERT(sizeof(struct sluice_uapi_run) == 16, "run is 16 bytes");
SLUICE_UAPI_ASSERT(sizeof(struct sluice_uapi_stop) == 16, "stop is 16 bytes");
SLUICE_UAPI_ASSERT(sizeof(struct sluice_uapi_counters) == 256, "counters are 256 bytes");

#endif /* SLUICE_UAPI_H */
