/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * One readout board, as the driver sees it.
 *
 * State (board->state, enum sluice_uapi_state):
 *
 *          ARM            RUN             END or STOPPED reaped
 *   IDLE ------> ARMED ---------> RUNNING ----------------------> IDLE
 *    ^             |                | STOP
 *    |             |                v
 *    |<-- abort ---+------------ STOPPING --> IDLE
 *    |             +- a fault, or a completion that cannot be -> FAILED -- next ARM: RESET -->
 * ARMED
 *    +                                        any state -- all ones read --> GONE, until remove()
 *
 * A read waits (board->waiting) until a scan is armed and the rings have room, is with the board
 * (board->posted) until its completion is reaped, and then is finished: memory unmapped and given
 * back, caller told. While board->over, no read waits: it gets 0, or board->over_errno.
 * Memory that is with the board comes back by a good completion, or after sluice_quiesce().
 *
 * Locks, outermost first:
 *   access   rwsem. Read: registers can be reached unless board->absent. Write: remove(), suspend
 *            and error recovery, to set that and so to have everybody out.
 *   control  mutex. Commands, ARM to settling; watch.c holds it while it judges the board's state.
 *   lock     spinlock, never taken in hard interrupt context. State, rings, lists, counts.
 *
 * Ownership: struct board lives in its struct device: one reference by the PCI driver, one for
 *            each open file; what touches the hardware ends in remove(), the memory with the last.
 * Threads:   as above. Errors: 0 or -errno.
 */
#ifndef DRIVER_BOARD_H
#define DRIVER_BOARD_H

#include <linux/cdev.h>
#include <linux/completion.h>
#include <linux/device.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <firmware-iface/dma.h>
#include <firmware-iface/registers.h>
#include <sluice/uapi.h>

enum {
	SLUICE_BOARDS_MAX = 64,
	SLUICE_READS_MAX = 256,           /* waiting or with the board, for each board */
	SLUICE_DESCRIPTORS_USUAL = 16384, /* entries of the descriptor ring, if the board can */
	SLUICE_WATCH_MS = 100,            /* between two looks while there are reads or a scan */
	SLUICE_WATCH_IDLE_MS = 1000,
	SLUICE_COALESCE_COUNT_USUAL = 8,
	SLUICE_COALESCE_US_USUAL = 100,
	SLUICE_BLOCK_BYTES_MAX = 1 << 30,
};

struct kiocb;
struct sluice_file;

/* One read. Which list it is on says whose it is; off all lists it is its finisher's. */
struct sluice_read {
	struct list_head node;
	struct kiocb *iocb;     /* NULL: a thread waits for @done */
	struct completion done; /* and gives the read back itself */
	struct pid *owner;      /* thread group that gave the memory */
	struct sg_table sgt;
	bool mapped;
	bool pinned;     /* by us, not by io_uring */
	u32 bytes;       /* of the chain */
	u32 descriptors; /* of the chain; at most sgt.nents */
	ssize_t result;
};

/* Descriptor and completion ring; counts are from ARM on. */
struct sluice_ring {
	struct fw_desc *desc;
	dma_addr_t desc_bus;
	u32 desc_entries;
	struct fw_completion *done;
	dma_addr_t done_bus;
	u32 done_entries;
	unsigned int done_order;
	u32 tail;     /* descriptors posted, modulo 2^32 */
	u32 desc_out; /* of them, not given back */
	u32 chains_out;
	u64 reaped; /* completions */
	u16 next_tag;
	u32 scan;
	u32 block_bytes;
};

/* The driver's own counts; under board->lock. */
struct sluice_counts {
	u64 reads, read_bytes;
	u64 interrupts_taken, interrupts_missed;
	u64 completions_lost, completions_twice, completions_bad;
	u64 timeouts;
	u64 resets;
	u64 pages_pinned, pages_unpinned; /* by the driver itself: none for registered buffers */
};

/* What watch.c remembers from its last look. */
struct sluice_sight {
	bool ready;    /* a completion lay there ... */
	u64 reaped;    /* ... with this number ... */
	ktime_t since; /* ... since then */
	bool ahead;    /* the board said that it had written more than there was */
};

struct sluice_board {
	struct device dev;
	struct cdev cdev;
	struct pci_dev *pdev;
	int minor;

	struct rw_semaphore access;
	bool absent; /* access: removed, asleep, or its slot is being recovered */
	void __iomem *bell;
	void __iomem *regs;
	unsigned int vectors;

	/* Read at probe; they do not change. */
	u64 serial;
	u32 version, build, capabilities;
	u32 address_bits, chain_max, buffer_blocks;

	struct mutex control; /* commands: see above */
	u16 sequence;         /* of the last command */
	bool reset_due;       /* before the next ARM */
	bool mastering;
	bool polled; /* the scan runs without interrupts */
	u32 coalesce_us;

	struct workqueue_struct *wq; /* ordered: settling and watching take turns */
	struct work_struct settle;
	struct delayed_work watch;
	struct sluice_sight sight; /* control */

	spinlock_t lock; /* for all below */
	enum sluice_uapi_state state;
	u32 state_changes;
	bool settle_due; /* failed, and reads are still with the board */
	bool closing;    /* nothing may be posted */
	bool over;
	int over_errno; /* 0: the scan ended; else what the next read gets */
	struct sluice_file *reader;
	struct sluice_ring ring;
	struct sluice_counts counts;
	struct sluice_read *reads; /* SLUICE_READS_MAX */
	struct list_head idle, waiting, posted;

	wait_queue_head_t changed; /* state, for poll() */
	wait_queue_head_t room;    /* a read became idle */
	struct kernfs_node *state_attr;
};

/* One open file. */
struct sluice_file {
	struct sluice_board *board;
	u32 state_seen; /* changes that poll() need not tell of */
};

/* board.c: registers, commands, state. */
int sluice_board_identify(struct sluice_board *board);
u32 sluice_block_bytes(struct sluice_board *board);
/* control held. -ETIMEDOUT, -ENODEV, or what the answer means. */
int sluice_command(struct sluice_board *board, enum fw_command command);
/* control held. Waits for a scan that just ended. -ETIMEDOUT, -ENODEV, -EIO: it failed. */
int sluice_idle_wait(struct sluice_board *board);
/* control held. Makes the board as at power-on, and able to master the bus. */
int sluice_reset(struct sluice_board *board);
/* control held. Guarantee: after it the board reads and writes no host memory until ARM. */
void sluice_quiesce(struct sluice_board *board);
/* lock held. */
void sluice_state_set(struct sluice_board *board, enum sluice_uapi_state state);
/* lock held. Takes no more from the board, and has the reads ended soon: the first with @err. */
void sluice_fail(struct sluice_board *board, int err);
enum sluice_uapi_state sluice_state(struct sluice_board *board);

/* scan.c: from ARM to the end; control held. */
int sluice_scan_arm(struct sluice_board *board, const struct sluice_uapi_scan *scan);
int sluice_scan_run(struct sluice_board *board);
int sluice_scan_stop(struct sluice_board *board);
/* Quiesces the board and ends all reads, the first with @first, the rest with @rest. */
void sluice_scan_abort(struct sluice_board *board, int first, int rest);
/* Ends what sluice_fail() began. */
void sluice_settle(struct sluice_board *board);
void sluice_settle_work(struct work_struct *work);

/* watch.c */
void sluice_watch_work(struct work_struct *work);

/* ring.c: lock held but for alloc and free. */
int sluice_ring_alloc(struct sluice_board *board, u32 descriptors);
void sluice_ring_free(struct sluice_board *board);
void sluice_ring_clear(struct sluice_ring *ring);
bool sluice_ring_has_room(const struct sluice_ring *ring, u32 descriptors);
void sluice_ring_post(struct sluice_ring *ring, const struct sluice_read *read);
void sluice_ring_show(struct sluice_board *board);
bool sluice_ring_ready(const struct sluice_ring *ring);
void sluice_ring_take(struct sluice_ring *ring, struct fw_completion *ret_completion);

/* chain.c: a caller's memory as a chain. */
int sluice_chain_build(struct sluice_board *board, struct sluice_read *read,
		       const struct iov_iter *iter);
void sluice_chain_free(struct sluice_board *board, struct sluice_read *read);

/* read.c */
ssize_t sluice_read_iter(struct kiocb *iocb, struct iov_iter *to);
int sluice_iopoll(struct kiocb *iocb, struct io_comp_batch *batch, unsigned int flags);
/* Takes what the board completed. Returns how many reads ended. */
unsigned int sluice_reap(struct sluice_board *board);
/* lock held: posts what waits, as far as there is room. */
void sluice_reads_post(struct sluice_board *board);
/* lock held: ends all reads; the list is then to be given to sluice_reads_finish(). */
void sluice_reads_end(struct sluice_board *board, int first, int rest, struct list_head *ret_ended);
void sluice_reads_finish(struct sluice_board *board, struct list_head *ended);

/* chardev.c */
int sluice_chardev_init(void);
void sluice_chardev_fini(void);
int sluice_chardev_add(struct sluice_board *board);
void sluice_chardev_del(struct sluice_board *board);
int sluice_chardev_minor_get(void);
void sluice_chardev_minor_put(int minor);
extern struct class *sluice_class;
/* lock not held. The file's board is its own to read from now on, or -EBUSY. */
int sluice_reader_claim(struct sluice_board *board, struct sluice_file *file);

/* link.c: the PCIe link; 0 where not known. */
struct sluice_link {
	u32 speed, speed_max; /* Mbit/s for each lane */
	u32 width, width_max;
};

void sluice_link_read(struct pci_dev *pdev, struct sluice_link *ret_link);
void sluice_link_report(struct pci_dev *pdev);

/* sysfs.c */
extern const struct attribute_group *sluice_groups[];
int sluice_counters_read(struct sluice_board *board, struct sluice_uapi_counters *ret_counters);

#endif /* DRIVER_BOARD_H */
