/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/card_internal.h>

void command_answer(struct card *card, uint16_t sequence, enum fw_answer answer)
{
	card_publish(card);
	card_set(card, FW_ANSWER, (uint32_t)sequence << 16 | answer);
	interrupt_event(card);
}

/* Section 3.2: what to send. */
static enum fw_answer judge_scan(struct card *card)
{
	const uint32_t source = card_get(card, FW_SOURCE);
	const struct model_scan scan = { .columns = card_get(card, FW_SCAN_COLUMNS),
					 .rows = card_get(card, FW_SCAN_ROWS),
					 .frames = card_get64(card, FW_FRAMES) };
	const uint32_t number = card_get(card, FW_SCAN);

	if (scan.columns < 1 || scan.columns > UINT16_MAX || scan.rows < 1 ||
	    scan.rows > UINT16_MAX || scan.frames < 1 || scan.frames > MODEL_FRAMES_MAX)
		return FW_ANSWER_SCAN;
	if (source >= CARD_SOURCES || !card->args.source[source])
		return FW_ANSWER_SOURCE;
	card->run = (struct batch_run){ .model = card->args.source[source],
					.scan = scan,
					.number = number,
					.faults = &card->block_faults,
					.sector = card->args.sector,
					.framing = BATCH_SLUICE };
	card->run_frames = card_get(card, FW_RUN_FRAMES);
	return FW_ANSWER_DONE;
}

static bool ring_ok(uint64_t address, uint32_t entries, uint32_t max, uint32_t entry_bytes)
{
	const uint64_t bytes = (uint64_t)entries * entry_bytes;

	return entries >= 4 && entries <= max && (entries & (entries - 1)) == 0 &&
	       address % 64 == 0 && address <= UINT64_MAX - bytes;
}

/* Section 4.1: where the rings are. */
static enum fw_answer judge_rings(struct card *card)
{
	struct card_rings r = { .desc_address = card_get64(card, FW_DESC_ADDRESS),
				.desc_entries = card_get(card, FW_DESC_ENTRIES),
				.completion_address = card_get64(card, FW_COMPLETION_ADDRESS) };
	const uint32_t entries = card_get(card, FW_COMPLETION_ENTRIES);

	if (!ring_ok(r.desc_address, r.desc_entries, card->args.desc_max, sizeof(struct fw_desc)) ||
	    !ring_ok(r.completion_address, entries, card->args.completion_max,
		     sizeof(struct fw_completion)))
		return FW_ANSWER_RING;
	r.completion_order = (uint32_t)__builtin_ctz(entries);
	card->rings = r;
	return FW_ANSWER_DONE;
}

static enum fw_answer arm(struct card *card)
{
	enum fw_answer answer;

	if (card->state != FW_STATE_IDLE)
		return FW_ANSWER_STATE;
	answer = judge_scan(card);
	if (answer == FW_ANSWER_DONE)
		answer = judge_rings(card);
	if (answer != FW_ANSWER_DONE)
		return answer;
	engine_arm(card);
	interrupt_arm(card);
	card_enter(card, FW_STATE_ARMED);
	return FW_ANSWER_DONE;
}

static enum fw_answer run(struct card *card)
{
	if (card->state != FW_STATE_ARMED)
		return FW_ANSWER_STATE;
	card->truth_due = card->run.model == card->args.source[FW_SOURCE_DETECTOR];
	input_start(card);
	card->report.scan = card->run.number;
	card->report.started_ns = card->now_ns;
	card->report.frames_wanted = card->run.scan.frames;
	card_enter(card, FW_STATE_RUNNING);
	return FW_ANSWER_DONE;
}

/* Does @command, if it can be done at once; STOP is answered when it is done. */
static void obey(struct card *card, uint16_t sequence, uint32_t command)
{
	enum fw_answer answer = FW_ANSWER_DONE;

	if (command == FW_COMMAND_RESET) {
		card_reset(card);
	} else if (command < FW_COMMAND_RESET || command > FW_COMMAND_ABORT) {
		answer = FW_ANSWER_UNKNOWN;
	} else if (card->state == FW_STATE_FAILED) {
		answer = FW_ANSWER_FAULT;
	} else if (command == FW_COMMAND_ARM) {
		answer = arm(card);
	} else if (command == FW_COMMAND_RUN) {
		answer = run(card);
	} else if (command == FW_COMMAND_ABORT) {
		card->stop_waits = false;
		if (card->state != FW_STATE_IDLE)
			card_end_scan(card, FW_STATE_IDLE);
	} else if (card->state == FW_STATE_RUNNING) {
		input_stall_end(card);
		card->stop_waits = true;
		card->stop_sequence = sequence;
		card_enter(card, FW_STATE_STOPPING);
		return;
	} else if (card->state != FW_STATE_IDLE) {
		answer = FW_ANSWER_STATE;
	}
	command_answer(card, sequence, answer);
}

/* Whether a fault keeps @command from being heard. */
static bool hangs(struct card *card, uint32_t command)
{
	uint32_t hang = 0;

	if (!card_fault_at(card, FAULT_HANG, 0, &hang))
		return false;
	if (command == FW_COMMAND_STOP || command == FW_COMMAND_ABORT)
		card->hung = hang >= FAULT_HANG_RESET;
	else if (command == FW_COMMAND_RESET && hang >= FAULT_HANG_RESET)
		card->hung = true;
	else
		return false;
	return true;
}

void command_take(struct card *card)
{
	const uint32_t word = card_get(card, FW_COMMAND);
	const uint16_t sequence = (uint16_t)(word >> 16);

	if (card->commanded && sequence == card->sequence)
		return;
	if (hangs(card, word & 0xffff))
		return;
	card->commanded = true;
	card->sequence = sequence;
	obey(card, sequence, word & 0xffff);
}
