/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/card_internal.h>

#include <base/clock.h>

void input_start(struct card *card)
{
	struct card_input *in = &card->input;
	const uint32_t threshold = card_get(card, FW_DROP_THRESHOLD);

	in->first = 0;
	in->count = 0;
	in->threshold = threshold == 0 || threshold > card->args.buffer_blocks
				? card->args.buffer_blocks
				: threshold;
	in->next_frame = 0;
	in->start_ns = card->now_ns;
	in->paused_ns = 0;
	in->stalled = false;
	in->held_frame = UINT64_MAX;
	in->held_ns = 0;
}

bool input_ended(const struct card *card)
{
	return card->input.next_frame == card->run.scan.frames;
}

/* When @frame is exposed, if nothing holds the detector up. */
static uint64_t frame_ns(const struct card *card, uint64_t frame)
{
	const struct card_input *in = &card->input;
	const double at_ns = (double)frame / card->args.frames_per_s * (double)NS_PER_S;

	/* 2^28 frames at 0.001 per second are 2^58 ns. */
	return in->start_ns + in->paused_ns + (uint64_t)at_ns;
}

static bool frame_due(const struct card *card)
{
	if (card->input.next_frame == card->run.scan.frames)
		return false;
	return card->args.frames_per_s <= 0.0 ||
	       frame_ns(card, card->input.next_frame) <= card->now_ns;
}

/* The input waits: since when, and until now, is counted. */
static void stall(struct card *card)
{
	struct card_input *in = &card->input;

	if (in->stalled && card->now_ns > in->stalled_ns) {
		card->counters.stall_ns += card->now_ns - in->stalled_ns;
		in->paused_ns += card->now_ns - in->stalled_ns;
	}
	in->stalled = true;
	in->stalled_ns = card->now_ns;
}

void input_stall_end(struct card *card)
{
	if (card->input.stalled)
		stall(card);
	card->input.stalled = false;
}

void input_stop(struct card *card)
{
	input_stall_end(card);
	card->input.first = 0;
	card->input.count = 0;
}

/* The next frame goes into the buffer, or is dropped. */
static void take_one(struct card *card)
{
	struct card_input *in = &card->input;
	const uint64_t frame = in->next_frame++;

	card->counters.blocks_in++;
	if (card_fault_at(card, FAULT_DROP, frame, NULL)) {
		card->counters.dropped_link++;
		card->counters.link_crc_errors++;
		return;
	}
	if (in->count == card->args.buffer_blocks) {
		card->counters.dropped_overflow++;
		return;
	}
	in->block[(in->first + in->count) % card->args.buffer_blocks] = (struct card_block){
		.frame = frame,
		.exposed_ns = card->args.frames_per_s > 0.0 ? frame_ns(card, frame) : card->now_ns,
	};
	in->count++;
	if (in->count > card->counters.high_water)
		card->counters.high_water = in->count;
}

/* Whether a fault keeps the next frame back. */
static bool held(struct card *card)
{
	struct card_input *in = &card->input;
	uint32_t ms = 0;

	if (in->held_frame != in->next_frame &&
	    card_fault_at(card, FAULT_STALL, in->next_frame, &ms)) {
		in->held_frame = in->next_frame;
		in->held_ns = ms == 0 ? UINT64_MAX : card->now_ns + ms * NS_PER_MS;
		in->paused_ns += ms * NS_PER_MS;
	}
	return in->held_frame == in->next_frame && card->now_ns < in->held_ns;
}

/* Whether the detector's link goes down before the next frame; the card has failed then. */
static bool link_down(struct card *card)
{
	if (!card_fault_at(card, FAULT_LINK, card->input.next_frame, NULL))
		return false;
	card->lanes_up = 0;
	card->counters.lane_errors++;
	engine_fail(card, FW_FAULT_LINK);
	return true;
}

bool input_take(struct card *card)
{
	struct card_input *in = &card->input;
	/* As fast as it goes means as fast as the engine moves: the buffer stays empty for it. */
	const unsigned int most = card->args.frames_per_s > 0.0 ? CARD_INPUT_BLOCKS : 1;
	unsigned int taken = 0;

	while (taken < most && (in->stalled || frame_due(card))) {
		if (!card->args.live && in->count >= in->threshold) {
			stall(card);
			break;
		}
		input_stall_end(card);
		/* What the stall put off may not be due yet. */
		if (!frame_due(card) || held(card))
			break;
		if (link_down(card))
			return true;
		take_one(card);
		taken++;
	}
	return taken > 0;
}

uint64_t input_next_ns(const struct card *card)
{
	const struct card_input *in = &card->input;

	if (card->state != FW_STATE_RUNNING || input_ended(card) || in->stalled)
		return UINT64_MAX;
	if (in->held_frame == in->next_frame && card->now_ns < in->held_ns)
		return in->held_ns;
	if (card->args.frames_per_s <= 0.0)
		return UINT64_MAX;
	return frame_ns(card, in->next_frame);
}
