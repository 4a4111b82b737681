/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/error.h>

#include "acquisition.h"
#include "board.h"

const char *const board_huge_pages[] = { "none", "2M", "1G", NULL };
const char *const board_framings[] = { "sluice", "4dcamera-v5", "4dcamera-v4", "merlin-mib", NULL };

static const uint64_t huge_page_bytes[] = { 0, UINT64_C(2) << 20, UINT64_C(1) << 30 };

/* The longest header of any framing before a block's pixels, bytes: Merlin's text header. */
enum {
	BLOCK_HEADER_MAX = 1024
};

struct board {
	struct board_config config;
	const struct board_common *common;
	char id[SLUICE_WIRE_NAME_MAX];
	int wake;
	struct ring *ring;
	struct source *source;
	struct acquisition *acquisition;
	int node;       /* of ring and threads */
	char note[512]; /* what is lacking in the place of its memory */
	bool aborted;
	uint64_t lost[SLUICE_LOSS_COUNT]; /* in scans that are collected */
	uint64_t sample_ns, sample_bytes, bytes_per_s;
	uint64_t skipped_before; /* source_stats when the scan was armed */
};

/* The board's own node, where it has one: its DMA must not cross to another. */
static int choose_node(struct board *b, struct sluice_error *reterr)
{
	const struct source_info *info = source_info(b->source);

	b->node = b->config.node;
	if (info->node == NODE_ANY)
		return 0;
	if (b->node == NODE_ANY)
		b->node = info->node;
	if (b->node == info->node)
		return 0;
	if (!b->common->allow_wrong_node)
		return error_set(reterr, -EXDEV,
				 "%s is on NUMA node %d, configured is node %d; leave out its "
				 "`node`, or set ring.allow_wrong_node",
				 info->name, info->node, b->node);
	(void)snprintf(b->note, sizeof(b->note),
		       "%s is on NUMA node %d, its ring on node %d: leave out its `node`",
		       info->name, info->node, b->node);
	return 0;
}

static int open_source(struct board *b, struct sluice_error *reterr)
{
	const struct source_args args = {
		.spec = b->config.source,
		.framing = board_framings[b->config.framing],
		.sector = (uint16_t)b->config.sector,
		.geometry = b->common->geometry,
		.depth = b->config.depth,
		.frames_per_s = b->config.frames_per_s,
		.loops = b->config.loops,
		.device = b->config.device,
	};

	int ret;

	/* Without memory: the data may have to say first how large a chunk is. */
	ret = source_open(&args, &b->source, reterr);
	return ret < 0 ? ret : choose_node(b, reterr);
}

static int open_ring(struct board *b, struct sluice_error *reterr)
{
	const uint64_t block = source_info(b->source)->block_bytes;
	const uint64_t chunk = block * b->common->run_frames;
	const struct ring_args args = {
		.chunks = b->common->chunks,
		.chunk_bytes = (uint32_t)chunk,
		.headroom_bytes = source_info(b->source)->whole_blocks ? 0 : (uint32_t)block,
		.blocks_max = SLUICE_WIRE_BLOCKS_MAX,
		.memory = { .node = b->node,
			    .huge_page_bytes = huge_page_bytes[b->common->huge_pages],
			    .allow_wrong_node = b->common->allow_wrong_node,
			    .allow_ordinary_pages = !b->common->require_huge_pages,
			    .allow_unlocked = !b->common->require_locked },
	};
	const struct arena *arena;
	size_t used;
	int ret;

	if (chunk > SLUICE_WIRE_PAYLOAD_MAX)
		return error_set(reterr, -ERANGE,
				 "run_frames %u of %" PRIu64
				 " bytes are over %d bytes a chunk: lower "
				 "run_frames",
				 b->common->run_frames, block, SLUICE_WIRE_PAYLOAD_MAX);
	ret = ring_open(&args, &b->ring, reterr);
	if (ret < 0)
		return ret;
	arena = ring_arena(b->ring);
	used = strlen(b->note);
	(void)snprintf(b->note + used, sizeof(b->note) - used, "%s%s",
		       used > 0 && arena->note[0] != '\0' ? "; " : "", arena->note);
	return source_attach(b->source, arena->base, arena->bytes, reterr);
}

int board_open(const struct board_config *config, const struct board_common *common, int wake,
	       struct board **ret_board, struct sluice_error *reterr)
{
	struct board *b = calloc(1, sizeof(*b));
	int ret;

	if (!b)
		return error_set(reterr, -ENOMEM, "board %s: out of memory", config->name);
	b->config = *config;
	b->common = common;
	b->wake = wake;
	(void)snprintf(b->id, sizeof(b->id), "%s/%s", common->server, config->name);
	ret = open_source(b, reterr);
	if (ret == 0)
		ret = open_ring(b, reterr);
	if (ret < 0) {
		board_close(b);
		return error_prefix(reterr, ret, "board %s", config->name);
	}
	*ret_board = b;
	return 0;
}

/* The scan's threads are gone afterwards, and with them whoever held a chunk. */
static void close_acquisition(struct board *b)
{
	uint32_t held;

	if (!b->acquisition)
		return;
	acquisition_close(b->acquisition);
	b->acquisition = NULL;
	held = ring_collect(b->ring);
	assert(held == 0); /* a chunk that nobody holds is lost to every scan to come */
	(void)held;
}

void board_close(struct board *board)
{
	if (!board)
		return;
	close_acquisition(board);
	source_close(board->source);
	ring_close(board->ring);
	free(board);
}

const char *board_id(const struct board *board)
{
	return board->id;
}

uint16_t board_sector(const struct board *board)
{
	return (uint16_t)board->config.sector;
}

const struct source_info *board_info(const struct board *board)
{
	return source_info(board->source);
}

const struct source_stats *board_source_stats(const struct board *board)
{
	return source_stats(board->source);
}

const struct ring *board_ring(const struct board *board)
{
	return board->ring;
}

const char *board_note(const struct board *board)
{
	return board->note;
}

int board_node(const struct board *board)
{
	return board->node;
}

enum scan_state board_state(const struct board *board)
{
	const struct acquisition *a = board->acquisition;

	if (!a)
		return SCAN_IDLE;
	if (acquisition_done(a))
		return SCAN_DONE;
	if (atomic_load(&a->reader_done))
		return SCAN_DRAINING;
	return atomic_load(&a->go) ? SCAN_ACQUIRING : SCAN_ARMED;
}

uint32_t board_scan(const struct board *board)
{
	return board->acquisition ? board->acquisition->plan->scan : 0;
}

bool board_turns(const struct board *board, uint64_t *ret_turns)
{
	const struct acquisition *a = board->acquisition;

	if (!a || atomic_load(&a->reader_done))
		return false;
	*ret_turns = atomic_load_explicit(&a->stats.turns, memory_order_relaxed);
	return true;
}

static int check_plan(const struct board *board, const struct scan_plan *plan,
		      struct sluice_error *reterr)
{
	const struct sluice_geometry *mine = &source_info(board->source)->geometry;
	const struct sluice_geometry *asked = &plan->geometry;

	if (board->acquisition)
		return error_set(reterr, -EBUSY, "board %s is still in scan %" PRIu32, board->id,
				 board_scan(board));
	if (mine->sectors != asked->sectors || mine->layout != asked->layout ||
	    mine->rows != asked->rows || mine->columns != asked->columns ||
	    mine->pixel != asked->pixel)
		return error_set(
			reterr, -EINVAL,
			"board %s reads %u x %u pixels in %u sectors, the plan wants %u x %u "
			"in %u",
			board->id, mine->columns, mine->rows, mine->sectors, asked->columns,
			asked->rows, asked->sectors);
	if (plan->run_frames > board->common->run_frames)
		return error_set(reterr, -ERANGE,
				 "board %s: run_frames %u of the plan is over the configured %u",
				 board->id, plan->run_frames, board->common->run_frames);
	if (plan->aggregator_count > RING_HOLDERS_MAX)
		return error_set(reterr, -ENOSPC, "board %s: %u aggregators; allowed: 1 to %d",
				 board->id, plan->aggregator_count, RING_HOLDERS_MAX);
	return 0;
}

int board_arm(struct board *board, const struct scan_plan *plan, struct sluice_error *reterr)
{
	const struct board_common *common = board->common;
	const struct acquisition_args args = {
		.plan = plan,
		.id = board->id,
		.sector = (uint16_t)board->config.sector,
		.node = board->node,
		.depth = board->config.depth,
		.io_threads = common->io_threads,
		.stall_ns = common->stall_timeout_ms * NS_PER_MS,
		.give_up_ns = common->give_up_ms * NS_PER_MS,
		.sector_bytes = (uint32_t)sluice_sector_bytes(&plan->geometry),
		.source = board->source,
		.ring = board->ring,
		.wake = board->wake,
	};
	int ret = check_plan(board, plan, reterr);

	if (ret < 0)
		return ret;
	board->aborted = false;
	board->skipped_before = atomic_load(&source_stats(board->source)->bytes_skipped);
	return acquisition_open(&args, &board->acquisition, reterr);
}

int board_wait_ready(struct board *board, uint64_t deadline_ns, struct sluice_error *reterr)
{
	for (unsigned int i = 0; i < board->acquisition->outlet_count; i++) {
		const int ret = outlet_wait_up(board->acquisition->outlet[i], deadline_ns, reterr);

		if (ret < 0)
			return ret;
	}
	return 0;
}

void board_run(struct board *board)
{
	if (board->acquisition)
		acquisition_run(board->acquisition);
}

void board_abort(struct board *board)
{
	if (!board->acquisition)
		return;
	board->aborted = true;
	acquisition_abort(board->acquisition);
}

void board_disarm(struct board *board)
{
	close_acquisition(board);
}

static void read_counts(const struct board *board, struct half_counts *ret_counts)
{
	const struct acquisition *a = board->acquisition;
	const struct source_info *info = source_info(board->source);

	*ret_counts = (struct half_counts){
		.blocks_read = atomic_load(&a->stats.blocks) +
			       atomic_load(&a->stats.blocks_refused),
		.blocks_repeated = atomic_load(&a->stats.blocks_repeated),
		.bytes_read = atomic_load(&a->stats.bytes),
		.bytes_skipped = atomic_load(&source_stats(board->source)->bytes_skipped) -
				 board->skipped_before,
		.has_whole_blocks = info->whole_blocks,
	};
	/* Rounded up: what is no whole block is a flaw as well. */
	if (info->whole_blocks)
		ret_counts->blocks_skipped = (ret_counts->bytes_skipped + info->block_bytes - 1) /
					     info->block_bytes;
	(void)snprintf(ret_counts->reason, sizeof(ret_counts->reason), "%.*s", HALF_REASON_MAX - 1,
		       a->reason.text);
}

static void ask_board(struct board *board, struct half_counts *counts)
{
	struct source_board_counters c;

	if (source_board_counters(board->source, &c) < 0)
		return;
	counts->board_known = true;
	counts->board_generated = c.blocks_generated;
	counts->board_sent = c.blocks_sent;
	counts->board_dropped = c.blocks_dropped;
	counts->board_has_causes = c.has_causes;
	counts->board_overflow = c.dropped_overflow;
	counts->board_link = c.dropped_link;
	counts->board_stop = c.dropped_stop;
	counts->board_stall_ns = c.stall_ns;
	(void)snprintf(counts->board_flaw, sizeof(counts->board_flaw), "%s", c.flaw);
}

int board_collect(struct board *board, uint32_t *ret_scan, char **ret_half)
{
	struct acquisition *a = board->acquisition;
	struct half_counts counts;
	char *half;

	if (!a || !acquisition_done(a))
		return -EAGAIN;
	read_counts(board, &counts);
	ask_board(board, &counts);
	half = half_encode_board(a->tally, board->id, a->plan->scan,
				 board->aborted ? SCAN_ABORTED : SCAN_DONE, &counts);
	if (!half)
		return -ENOMEM;
	for (unsigned int c = 0; c < SLUICE_LOSS_COUNT; c++)
		board->lost[c] += tally_lost(a->tally, (enum sluice_loss)c);
	*ret_scan = a->plan->scan;
	*ret_half = half;
	board_disarm(board);
	return 0;
}

uint64_t board_lost(const struct board *board, enum sluice_loss cause)
{
	const struct acquisition *a = board->acquisition;

	return board->lost[cause] + (a ? tally_lost(a->tally, cause) : 0);
}

void board_measure(struct board *board)
{
	const uint64_t now = now_ns();
	const uint64_t bytes = atomic_load(&source_stats(board->source)->bytes);
	const uint64_t ns = now - board->sample_ns;

	if (ns < NS_PER_S / 2)
		return;
	board->bytes_per_s = board->sample_ns == 0
				     ? 0
				     : (uint64_t)((double)(bytes - board->sample_bytes) * 1e9 /
						  (double)ns);
	board->sample_ns = now;
	board->sample_bytes = bytes;
}

uint64_t board_bytes_per_s(const struct board *board)
{
	return board->bytes_per_s;
}

const struct outlet *board_outlet(const struct board *board, unsigned int i)
{
	const struct acquisition *a = board->acquisition;

	return a && i < a->outlet_count ? a->outlet[i] : NULL;
}
