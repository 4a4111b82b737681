/* SPDX-License-Identifier: MIT */
/*
 * The model's card in this process, driven by a host that does what a driver does and no more: it
 * touches registers, rings its doorbells, and looks at completions when an interrupt came.
 *
 * Memory that a read lends is cut into pages, which lie backwards on the card's bus. What the card
 * reads or writes besides what it was lent is noted, and every call then fails with -EFAULT.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <driver/judge.h>
#include <driver/uapi_check.h>
#include <firmware-iface/registers.h>
#include <model/card.h>

#include "board_access.h"
#include "board_rings.h"

enum {
	PAGE = 4096,
	PAGE_STRIDE = 0x10000, /* from page to page, on the bus */
	PIECES_MAX = 64,       /* of one read */
	STEP_NS = 1000,        /* that one step takes at least */
	BUFFER_BLOCKS = 48,
	COALESCE_US_USUAL = 100,
};

#define DESC_BUS       UINT64_C(0x0000000123450000)
#define COMPLETION_BUS UINT64_C(0x0000000223460040)
#define READ_BUS       UINT64_C(0x0000001000000000) /* of the first read; the others follow */
#define TIMEOUT_NS     (FW_ANSWER_TIMEOUT_MS * UINT64_C(1000000))

struct shape {
	const char *name;
	struct sluice_geometry geometry;
	uint16_t sector;
	double frames_per_s;
	bool live;
};

static const struct shape shapes[] = {
	{ "u16",
	  { .sectors = 4, .rows = 12, .columns = 48, .pixel = SLUICE_PIXEL_U16 },
	  2,
	  0.0,
	  0 },
	{ "u8",
	  { .sectors = 2, .rows = 5, .columns = 7, .pixel = SLUICE_PIXEL_U8 },
	  1,
	  20000.0,
	  0 },
	{ "live",
	  { .sectors = 1, .rows = 12, .columns = 20, .pixel = SLUICE_PIXEL_U32 },
	  0,
	  5000.0,
	  1 },
};

/* One read's memory, while it is lent. */
struct lent {
	struct board_read *read;
	uint32_t pieces;
	struct rings_piece piece[PIECES_MAX];
	uint8_t *at[PIECES_MAX];
};

struct board_io {
	struct card *card;
	struct model *model[CARD_SOURCES];
	uint64_t registers[FW_REGISTERS_BYTES / 8];
	struct rings rings;
	struct lent lent[RINGS_CHAINS];
	uint64_t now_ns;
	uint32_t sequence;
	bool armed; /* rings and reads are the card's to touch */
	bool strayed;
	bool raised;
	bool polled;
	int over_errno; /* what reads give while not armed */
};

static uint32_t get(const struct board_io *io, uint32_t offset)
{
	return le32toh(((const uint32_t *)io->registers)[offset / 4]);
}

static uint64_t get64(const struct board_io *io, uint32_t offset)
{
	return le64toh(io->registers[offset / 8]);
}

static void set(struct board_io *io, uint32_t offset, uint32_t value)
{
	((uint32_t *)io->registers)[offset / 4] = htole32(value);
}

static void set64(struct board_io *io, uint32_t offset, uint64_t value)
{
	io->registers[offset / 8] = htole64(value);
}

/* Where @bytes at the bus address @address lie in @start ... @start + @size; NULL: not there. */
static void *within(uint64_t address, size_t bytes, uint64_t start, void *memory, size_t size)
{
	if (address < start || address - start > size || bytes > size - (address - start))
		return NULL;
	return (uint8_t *)memory + (address - start);
}

static int host_read(void *ctx, uint64_t address, void *dst, size_t bytes)
{
	struct board_io *const io = ctx;
	const void *const src = within(address, bytes, DESC_BUS, io->rings.desc,
				       sizeof(io->rings.desc));

	if (!io->armed || !src) {
		io->strayed = true;
		return -EFAULT;
	}
	memcpy(dst, src, bytes);
	return 0;
}

static void *find_lent(struct board_io *io, uint64_t address, size_t bytes)
{
	for (uint32_t i = 0; i < RINGS_CHAINS; i++) {
		const struct lent *const l = &io->lent[i];

		for (uint32_t k = 0; l->read && k < l->pieces; k++) {
			void *const p = within(address, bytes, l->piece[k].address, l->at[k],
					       l->piece[k].bytes);

			if (p)
				return p;
		}
	}
	return NULL;
}

static int host_write(void *ctx, uint64_t address, const void *src, size_t bytes)
{
	struct board_io *const io = ctx;
	void *dst = within(address, bytes, COMPLETION_BUS, io->rings.completion,
			   sizeof(io->rings.completion));

	if (!dst)
		dst = find_lent(io, address, bytes);
	if (!io->armed || !dst) {
		io->strayed = true;
		return -EFAULT;
	}
	memcpy(dst, src, bytes);
	return 0;
}

static void host_raise(void *ctx, enum fw_vector vector)
{
	struct board_io *const io = ctx;

	if (vector == FW_VECTOR_COMPLETION)
		io->raised = true;
}

static const struct card_host_ops host = {
	.read = host_read,
	.write = host_write,
	.raise = host_raise,
};

/* Time passes, up to @until_ns. */
static void step(struct board_io *io, uint64_t until_ns)
{
	uint64_t next_ns = card_step(io->card, io->now_ns);

	if (next_ns < io->now_ns + STEP_NS)
		next_ns = io->now_ns + STEP_NS;
	io->now_ns = next_ns < until_ns ? next_ns : until_ns;
}

static int command(struct board_io *io, enum fw_command what)
{
	const uint64_t deadline_ns = io->now_ns + TIMEOUT_NS;

	io->sequence = (io->sequence + 1) & 0xffff;
	set(io, FW_COMMAND, io->sequence << 16 | what);
	card_doorbell(io->card, FW_DOORBELL_COMMAND, io->now_ns);
	while (get(io, FW_ANSWER) >> 16 != io->sequence) {
		if (io->now_ns >= deadline_ns)
			return -ETIMEDOUT;
		step(io, deadline_ns);
	}
	return sluice_answer_errno(get(io, FW_ANSWER) & 0xffff);
}

static void finish(struct lent *lent, int64_t result)
{
	lent->read->result = result;
	lent->read->done = 1;
	lent->read = NULL;
}

/* The scan is over: no chain is the card's any more. */
static void end(struct board_io *io, int first, int rest)
{
	struct lent *lent;

	while ((lent = rings_forget(&io->rings))) {
		finish(lent, first);
		first = rest;
	}
	io->armed = false;
	io->over_errno = rest;
}

static void reap(struct board_io *io)
{
	struct rings_done done;
	int ret = 0;

	if (!io->raised && !io->polled)
		return;
	io->raised = false;
	while (io->armed && (ret = rings_reap(&io->rings, &done)) > 0) {
		finish(done.owner, done.bytes);
		if (done.last)
			end(io, 0, 0);
	}
	if (ret < 0)
		end(io, ret, -ECANCELED);
}

static void model_board_close(struct board_io *io)
{
	if (!io)
		return;
	if (io->card)
		(void)command(io, FW_COMMAND_RESET);
	end(io, -ECANCELED, -ECANCELED);
	card_destroy(io->card);
	for (unsigned int i = 0; i < CARD_SOURCES; i++)
		model_destroy(io->model[i]);
	free(io);
}

static int make_models(struct board_io *io, const struct shape *shape)
{
	static const enum model_generator generator[CARD_SOURCES] = {
		[FW_SOURCE_DETECTOR] = MODEL_CAMERA,
		[FW_SOURCE_COUNTER] = MODEL_COUNTER,
		[FW_SOURCE_PRBS] = MODEL_PRBS,
	};
	int ret = 0;

	for (unsigned int i = 0; i < CARD_SOURCES && ret == 0; i++) {
		const struct model_args args = {
			.geometry = shape->geometry,
			.generator = generator[i],
			.seed = 1,
			.distinct = 5,
			.sectors_served = 1u << shape->sector,
		};

		ret = model_create(&args, &io->model[i], NULL);
	}
	return ret;
}

static int make_card(struct board_io *io, const struct shape *shape)
{
	struct card_args args = {
		.host = &host,
		.host_ctx = io,
		.registers = io->registers,
		.serial = 0x0123456789abcdef,
		.desc_max = RINGS_DESCRIPTORS,
		.completion_max = RINGS_CHAINS,
		.chain_max = PIECES_MAX,
		.buffer_blocks = BUFFER_BLOCKS,
		.frames_per_s = shape->frames_per_s,
		.sector = shape->sector,
		.live = shape->live,
	};

	for (unsigned int i = 0; i < CARD_SOURCES; i++)
		args.source[i] = io->model[i];
	return card_create(&args, io->now_ns, &io->card);
}

/* 2.2: a host goes on only if the board is what it says. */
static int check_identity(const struct board_io *io)
{
	if (get(io, FW_MAGIC) != FW_MAGIC_VALUE || get(io, FW_VERSION) >> 16 != FW_VERSION_MAJOR)
		return -EPROTO;
	if (get(io, FW_DESC_MAX) < RINGS_DESCRIPTORS || get(io, FW_COMPLETION_MAX) < RINGS_CHAINS ||
	    get(io, FW_CHAIN_MAX) < PIECES_MAX || get(io, FW_ADDRESS_BITS) < 40)
		return -EPROTO;
	return 0;
}

static int model_board_open(const char *where, struct board_io **ret_io)
{
	const struct shape *shape = NULL;
	struct board_io *io;
	int ret;

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (strcmp(where, shapes[i].name) == 0)
			shape = &shapes[i];
	if (!shape)
		return -ENODEV;
	io = calloc(1, sizeof(*io));
	if (!io)
		return -ENOMEM;
	io->now_ns = 1;
	io->over_errno = -EINVAL;
	ret = make_models(io, shape);
	if (ret == 0)
		ret = make_card(io, shape);
	if (ret == 0)
		ret = command(io, FW_COMMAND_RESET);
	if (ret == 0)
		ret = check_identity(io);
	if (ret < 0) {
		model_board_close(io);
		return ret;
	}
	*ret_io = io;
	return 0;
}

static int model_board_info(struct board_io *io, struct sluice_uapi_info *ret_info)
{
	if (io->strayed)
		return -EFAULT;
	*ret_info = (struct sluice_uapi_info){
		.abi = SLUICE_UAPI_VERSION,
		.interface_version = get(io, FW_VERSION),
		.firmware_build = get(io, FW_BUILD),
		.capabilities = get(io, FW_CAPABILITIES),
		.serial = get64(io, FW_SERIAL),
		.state = get(io, FW_STATE),
		.node = -1,
		.block_bytes = get(io, FW_BLOCK_BYTES),
		.sector = (uint16_t)get(io, FW_SECTOR),
		.sectors = (uint16_t)get(io, FW_SECTORS),
		.layout = (uint16_t)get(io, FW_LAYOUT),
		.rows = (uint16_t)get(io, FW_ROWS),
		.columns = (uint16_t)get(io, FW_COLUMNS),
		.pixel = (uint16_t)get(io, FW_PIXEL),
		.buffer_blocks = get(io, FW_BUFFER_BLOCKS),
		.read_max = RINGS_CHAINS,
	};
	return 0;
}

static int model_board_arm(struct board_io *io, const struct sluice_uapi_scan *scan)
{
	int ret = sluice_scan_check(scan);

	if (ret < 0)
		return ret;
	/* For the board to refuse: what it was armed with stays as it is. */
	if (io->armed)
		return command(io, FW_COMMAND_ARM);
	rings_clear(&io->rings, scan->scan, get(io, FW_BLOCK_BYTES));
	io->raised = false;
	io->polled = scan->flags & SLUICE_UAPI_POLLED;
	set(io, FW_SOURCE, scan->source);
	set(io, FW_SCAN, scan->scan);
	set(io, FW_SCAN_COLUMNS, scan->columns);
	set(io, FW_SCAN_ROWS, scan->rows);
	set64(io, FW_FRAMES, scan->frames);
	set(io, FW_RUN_FRAMES, scan->run_frames);
	set(io, FW_DROP_THRESHOLD, scan->drop_threshold);
	set64(io, FW_DESC_ADDRESS, DESC_BUS);
	set(io, FW_DESC_ENTRIES, RINGS_DESCRIPTORS);
	set(io, FW_DESC_TAIL, 0);
	set64(io, FW_COMPLETION_ADDRESS, COMPLETION_BUS);
	set(io, FW_COMPLETION_ENTRIES, RINGS_CHAINS);
	set(io, FW_INTERRUPT_MODE, io->polled ? FW_INTERRUPT_OFF : FW_INTERRUPT_ON);
	set(io, FW_COALESCE_COUNT, scan->coalesce_count);
	set(io, FW_COALESCE_US, scan->coalesce_us ? scan->coalesce_us : COALESCE_US_USUAL);
	ret = command(io, FW_COMMAND_ARM);
	if (ret < 0)
		return ret;
	io->armed = true;
	return 0;
}

static int model_board_run(struct board_io *io)
{
	return command(io, FW_COMMAND_RUN);
}

static int model_board_stop(struct board_io *io, uint32_t how)
{
	int ret;

	if (how == SLUICE_UAPI_STOP_DRAIN) {
		ret = command(io, FW_COMMAND_STOP);
		/* Without a chain out there was none to complete: this is the end. */
		if (ret == 0 && io->armed && io->rings.chains_out == 0)
			end(io, 0, 0);
		return ret;
	}
	ret = command(io, FW_COMMAND_ABORT);
	if (ret < 0)
		return ret;
	if (io->armed) {
		reap(io);
		end(io, -ECANCELED, -ECANCELED);
	}
	return 0;
}

static int model_board_counters(struct board_io *io, struct sluice_uapi_counters *ret_counters)
{
	if (io->strayed)
		return -EFAULT;
	*ret_counters = (struct sluice_uapi_counters){
		.blocks_in = get64(io, FW_BLOCKS_IN),
		.blocks_out = get64(io, FW_BLOCKS_OUT),
		.dropped_overflow = get64(io, FW_DROPPED_OVERFLOW),
		.dropped_link = get64(io, FW_DROPPED_LINK),
		.dropped_stop = get64(io, FW_DROPPED_STOP),
		.link_crc_errors = get64(io, FW_LINK_CRC_ERRORS),
		.stall_ns = get64(io, FW_STALL_NS),
		.buffer_high_water = get64(io, FW_BUFFER_HIGH_WATER),
		.completions = get64(io, FW_COMPLETIONS),
		.interrupts = get64(io, FW_INTERRUPTS),
		.bytes_out = get64(io, FW_BYTES_OUT),
		.lane_errors = get64(io, FW_LANE_ERRORS),
		.lanes = get(io, FW_LANES),
		.lanes_up = get(io, FW_LANES_UP),
		.clock_source = get(io, FW_CLOCK_SOURCE),
		.clock_locked = get(io, FW_CLOCK_LOCKED),
		.clock_ns = get64(io, FW_CLOCK_NS),
		.temperature_mk = get(io, FW_TEMPERATURE_MK),
	};
	return 0;
}

/* Cuts the memory of a read into pages. */
static void lend(struct lent *lent, uint32_t slot, struct board_read *read)
{
	const uint64_t base = READ_BUS * (slot + 1) + (uint64_t)PIECES_MAX * PAGE_STRIDE;
	uint8_t *at = read->data;
	size_t left = read->bytes;

	lent->read = read;
	lent->pieces = 0;
	while (left > 0) {
		const size_t offset = (uintptr_t)at % PAGE;
		const size_t n = left < PAGE - offset ? left : PAGE - offset;
		const uint32_t i = lent->pieces++;

		assert(i < PIECES_MAX);
		lent->at[i] = at;
		lent->piece[i] = (struct rings_piece){
			.address = base - (uint64_t)i * PAGE_STRIDE + offset,
			.bytes = (uint32_t)n,
		};
		at += n;
		left -= n;
	}
}

static int model_board_read_begin(struct board_io *io, struct board_read *read)
{
	uint32_t slot = 0;
	int ret;

	if (!io->armed) {
		read->result = io->over_errno;
		read->done = 1;
		return 0;
	}
	if (read->bytes < io->rings.block_bytes)
		return -EINVAL;
	while (slot < RINGS_CHAINS && io->lent[slot].read)
		slot++;
	if (slot == RINGS_CHAINS)
		return -ENOSPC;
	lend(&io->lent[slot], slot, read);
	ret = rings_post(&io->rings, io->lent[slot].piece, io->lent[slot].pieces, &io->lent[slot]);
	if (ret < 0) {
		io->lent[slot].read = NULL;
		return ret;
	}
	set(io, FW_DESC_TAIL, io->rings.tail);
	card_doorbell(io->card, FW_DOORBELL_DESCRIPTOR, io->now_ns);
	return 0;
}

static int model_board_read_wait(struct board_io *io, struct board_read *read, uint64_t timeout_ns)
{
	const uint64_t deadline_ns = io->now_ns + timeout_ns;

	for (;;) {
		reap(io);
		if (io->strayed)
			return -EFAULT;
		if (read->done)
			return 0;
		if (io->now_ns >= deadline_ns)
			return -ETIMEDOUT;
		step(io, deadline_ns);
	}
}

static int model_board_can_poll(struct board_io *io)
{
	(void)io;
	return 1;
}

static uint64_t model_board_now_ns(struct board_io *io)
{
	return io->now_ns;
}

static void model_board_pause(struct board_io *io, uint64_t ns)
{
	const uint64_t until_ns = io->now_ns + ns;

	while (io->now_ns < until_ns)
		step(io, until_ns);
}

const struct board_access board_access = {
	.open = model_board_open,
	.close = model_board_close,
	.can_poll = model_board_can_poll,
	.info = model_board_info,
	.arm = model_board_arm,
	.run = model_board_run,
	.stop = model_board_stop,
	.counters = model_board_counters,
	.read_begin = model_board_read_begin,
	.read_wait = model_board_read_wait,
	.now_ns = model_board_now_ns,
	.pause = model_board_pause,
};
