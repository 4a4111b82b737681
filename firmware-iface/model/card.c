/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/card.h>

#include <errno.h>
#include <stdlib.h>

#include <model/card_internal.h>
#include <model/truth.h>

enum {
	FIRMWARE_BUILD = 1,
	LANES = 4,
	TEMPERATURE_MK = 313150,
	HOST_REGISTERS = FW_SOURCE, /* from here on RESET clears all that it does not set */
};
_Static_assert(FW_LAYOUT < FW_COMMAND && FW_FAULT < FW_SOURCE,
	       "identity, geometry and control lie before the host's registers");

static bool power_of_two(uint32_t v, uint32_t min, uint32_t max)
{
	return v >= min && v <= max && (v & (v - 1)) == 0;
}

static bool source_fits(const struct card_args *args, const struct model *model)
{
	const struct sluice_geometry *g = &model_args(model)->geometry;
	const struct sluice_geometry *detector =
		&model_args(args->source[FW_SOURCE_DETECTOR])->geometry;

	return args->sector < SLUICE_SECTORS_MAX &&
	       (model_args(model)->sectors_served >> args->sector & 1) != 0 &&
	       g->sectors == detector->sectors && g->layout == detector->layout &&
	       g->rows == detector->rows && g->columns == detector->columns &&
	       g->pixel == detector->pixel;
}

static bool args_ok(const struct card_args *args)
{
	if (!args->source[FW_SOURCE_DETECTOR] || !args->host || !args->registers ||
	    (uintptr_t)args->registers % sizeof(uint64_t) != 0)
		return false;
	for (unsigned int s = 0; s < CARD_SOURCES; s++)
		if (args->source[s] && !source_fits(args, args->source[s]))
			return false;
	return power_of_two(args->desc_max, 4, CARD_RING_MAX) &&
	       power_of_two(args->completion_max, 4, CARD_RING_MAX) && args->chain_max >= 1 &&
	       args->chain_max <= args->desc_max && args->buffer_blocks >= 1 &&
	       args->buffer_blocks <= CARD_BUFFER_MAX && args->frames_per_s >= 0.0 &&
	       (!args->live || args->frames_per_s > 0.0) &&
	       (!args->faults || fault_fits(args->faults, FAULT_CARD, NULL) == 0);
}

static void publish_identity(struct card *card)
{
	const struct card_args *args = &card->args;
	const struct sluice_geometry *g = &model_args(args->source[FW_SOURCE_DETECTOR])->geometry;
	uint32_t capabilities = FW_CAP_COALESCE | FW_CAP_RUN_BORDERS | FW_CAP_TEMPERATURE;

	if (args->source[FW_SOURCE_COUNTER])
		capabilities |= FW_CAP_COUNTER;
	if (args->source[FW_SOURCE_PRBS])
		capabilities |= FW_CAP_PRBS;
	card_set(card, FW_VERSION, FW_VERSION_MAJOR << 16 | FW_VERSION_MINOR);
	card_set(card, FW_CAPABILITIES, capabilities);
	card_set(card, FW_BUILD, FIRMWARE_BUILD);
	card_set64(card, FW_SERIAL, args->serial);
	card_set(card, FW_ADDRESS_BITS, 64);
	card_set(card, FW_DESC_MAX, args->desc_max);
	card_set(card, FW_CHAIN_MAX, args->chain_max);
	card_set(card, FW_COMPLETION_MAX, args->completion_max);
	card_set(card, FW_BUFFER_BLOCKS, args->buffer_blocks);
	card_set(card, FW_BLOCK_BYTES, card->block_bytes);
	card_set(card, FW_PIXEL, g->pixel);
	card_set(card, FW_ROWS, g->rows);
	card_set(card, FW_COLUMNS, g->columns);
	card_set(card, FW_SECTOR, args->sector);
	card_set(card, FW_SECTORS, g->sectors);
	card_set(card, FW_LAYOUT, g->layout);
	/* Last: a host that sees the magic may believe the rest. */
	card_set(card, FW_MAGIC, FW_MAGIC_VALUE);
}

void card_publish(struct card *card)
{
	const struct card_counters *c = &card->counters;

	card_set64(card, FW_BLOCKS_IN, c->blocks_in);
	card_set64(card, FW_BLOCKS_OUT, c->blocks_out);
	card_set64(card, FW_DROPPED_OVERFLOW, c->dropped_overflow);
	card_set64(card, FW_DROPPED_LINK, c->dropped_link);
	card_set64(card, FW_DROPPED_STOP, c->dropped_stop);
	card_set64(card, FW_LINK_CRC_ERRORS, c->link_crc_errors);
	card_set64(card, FW_STALL_NS, c->stall_ns);
	card_set64(card, FW_BUFFER_HIGH_WATER, c->high_water);
	card_set64(card, FW_COMPLETIONS, c->completions);
	card_set64(card, FW_INTERRUPTS, c->interrupts);
	card_set64(card, FW_BYTES_OUT, c->bytes_out);
	card_set(card, FW_LANES, LANES);
	card_set(card, FW_LANES_UP, card->lanes_up);
	card_set64(card, FW_LANE_ERRORS, c->lane_errors);
	card_set(card, FW_CLOCK_SOURCE, FW_CLOCK_FREE);
	card_set(card, FW_CLOCK_LOCKED, 1);
	card_set64(card, FW_CLOCK_NS, card->now_ns - card->reset_ns);
	card_set(card, FW_TEMPERATURE_MK, TEMPERATURE_MK);
}

void card_enter(struct card *card, enum fw_state state)
{
	card->state = state;
	card_set(card, FW_FAULT, card->fault);
	card_set(card, FW_STATE, state);
}

void card_end_scan(struct card *card, enum fw_state state)
{
	const bool ran = card->state == FW_STATE_RUNNING || card->state == FW_STATE_STOPPING;

	card->counters.dropped_stop += card->input.count + (uint64_t)card->chain.blocks;
	input_stop(card);
	card->chain.pieces = 0;
	card->chain.blocks = 0;
	card->report.scans += ran;
	card_publish(card);
	card_enter(card, state);
}

void card_reset(struct card *card)
{
	card->fault = FW_FAULT_NONE;
	card->stop_waits = false;
	card->lanes_up = LANES;
	card->reset_ns = card->now_ns;
	card_end_scan(card, FW_STATE_IDLE);
	card->counters = (struct card_counters){ 0 };
	interrupt_arm(card);
	for (uint32_t offset = HOST_REGISTERS; offset < FW_REGISTERS_BYTES; offset += 4)
		card_set(card, offset, 0);
	card_publish(card);
}

/* Registers that only power-on sets. */
static void power_on(struct card *card)
{
	for (uint32_t offset = 0; offset < HOST_REGISTERS; offset += 4)
		card_set(card, offset, 0);
	card->gone = false;
	card->hung = false;
	card->commanded = false;
	card_reset(card);
	publish_identity(card);
}

/* What befalls a block that is in the buffer is decided when it leaves it. */
static void sort_faults(struct card *card)
{
	const struct fault_list *all = &card->faults;

	card->block_faults.count = 0;
	for (unsigned int i = 0; i < all->count; i++)
		if (all->entry[i].kind == FAULT_CORRUPT || all->entry[i].kind == FAULT_BADHEADER)
			card->block_faults.entry[card->block_faults.count++] = all->entry[i];
}

int card_create(const struct card_args *args, uint64_t now_ns, struct card **ret_card)
{
	struct card *card;

	if (!args_ok(args))
		return -EINVAL;
	card = calloc(1, sizeof(*card));
	if (!card)
		return -ENOMEM;
	card->args = *args;
	card->now_ns = now_ns;
	card->block_bytes = SLUICE_BLOCK_HEADER_BYTES +
			    (uint32_t)sluice_sector_bytes(
				    &model_args(args->source[FW_SOURCE_DETECTOR])->geometry);
	card->input.block = calloc(args->buffer_blocks, sizeof(*card->input.block));
	card->chain.piece = calloc(args->chain_max, sizeof(*card->chain.piece));
	if (!card->input.block || !card->chain.piece) {
		card_destroy(card);
		return -ENOMEM;
	}
	if (args->faults)
		card->faults = *args->faults;
	card->args.faults = NULL;
	sort_faults(card);
	power_on(card);
	*ret_card = card;
	return 0;
}

void card_destroy(struct card *card)
{
	if (!card)
		return;
	free(card->input.block);
	free(card->chain.piece);
	free(card);
}

void card_remove(struct card *card)
{
	card->gone = true;
	for (uint32_t offset = 0; offset < FW_REGISTERS_BYTES; offset += 8)
		card_set64(card, offset, FW_GONE_64);
}

void card_doorbell(struct card *card, uint32_t number, uint64_t now_ns)
{
	card->now_ns = now_ns;
	if (card->gone) {
		/* What the host wrote since is not there either. */
		card_remove(card);
		return;
	}
	if (card->hung || number >= FW_DOORBELLS)
		return;
	if (number == FW_DOORBELL_COMMAND)
		command_take(card);
	engine_read_tail(card);
}

uint64_t card_step(struct card *card, uint64_t now_ns)
{
	bool went = true;
	uint64_t next_ns = now_ns + CARD_TICK_NS, other_ns;

	card->now_ns = now_ns;
	if (card->gone)
		return next_ns;
	if (card->hung) {
		card_publish(card);
		return next_ns;
	}
	/*
	 * After the answer to RUN, which a long scan's truth would delay, and before any block. One
	 * that cannot be written is its reader's to miss: the card sends all the same.
	 */
	if (card->truth_due)
		(void)truth_scan(card->args.truth, card->run.number, &card->run.scan);
	card->truth_due = false;
	for (unsigned int i = 0; went && !card->gone && i < CARD_STEP_BLOCKS; i++) {
		went = card->state == FW_STATE_RUNNING && input_take(card);
		if (card->state == FW_STATE_RUNNING || card->state == FW_STATE_STOPPING)
			went |= engine_move(card);
		if (!went && card->state == FW_STATE_STOPPING)
			engine_finish_stop(card);
	}
	if (card->gone)
		return next_ns;
	interrupt_raise_due(card);
	card_publish(card);
	if (went)
		return now_ns;
	other_ns = input_next_ns(card);
	next_ns = other_ns < next_ns ? other_ns : next_ns;
	other_ns = interrupt_next_ns(card);
	return other_ns < next_ns ? other_ns : next_ns;
}

void card_report(const struct card *card, struct card_report *ret_report)
{
	*ret_report = card->report;
	ret_report->sector = card->args.sector;
	ret_report->state = card->state;
	ret_report->fault = card->fault;
}

bool card_fault_at(const struct card *card, enum fault_kind kind, uint64_t at, uint32_t *ret_value)
{
	return card->faults.count > 0 &&
	       fault_at(&card->faults, kind, card->args.sector, at, ret_value);
}

int card_fault(struct card *card, const char *order, struct sluice_error *reterr)
{
	const unsigned int before = card->faults.count;
	int ret = fault_add(&card->faults, order, reterr);

	if (ret == 0)
		ret = fault_fits(&card->faults, FAULT_CARD, reterr);
	if (ret < 0)
		card->faults.count = before;
	sort_faults(card);
	return ret;
}

void card_repair(struct card *card, uint64_t now_ns)
{
	card->now_ns = now_ns;
	card->faults.count = 0;
	sort_faults(card);
	/* A board that waited for ever at a frame waits no longer. */
	card->input.held_ns = 0;
	if (card->gone || card->hung)
		power_on(card);
}
