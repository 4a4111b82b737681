/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/card_internal.h>

#include <base/clock.h>

enum {
	COALESCE_US_MAX = 1000000,
	NS_PER_US = 1000,
};

/* A host that polls may ask for interrupts at any time, without a doorbell. */
#define LOOK_NS NS_PER_MS

void interrupt_arm(struct card *card)
{
	card->interrupts = (struct card_interrupts){ 0 };
}

void interrupt_event(struct card *card)
{
	card->args.host->raise(card->args.host_ctx, FW_VECTOR_EVENT);
}

void interrupt_note(struct card *card, bool urgent)
{
	struct card_interrupts *i = &card->interrupts;

	if (i->waiting == 0)
		i->first_ns = card->now_ns;
	if (i->waiting < UINT32_MAX)
		i->waiting++;
	i->urgent |= urgent;
	i->chunk = card->rings.chains - 1;
}

static uint64_t deadline_ns(const struct card *card)
{
	uint32_t us = card_get(card, FW_COALESCE_US);

	if (us > COALESCE_US_MAX)
		us = COALESCE_US_MAX;
	return card->interrupts.first_ns + (uint64_t)us * NS_PER_US;
}

void interrupt_raise_due(struct card *card)
{
	struct card_interrupts *i = &card->interrupts;
	bool silent;

	if (i->waiting == 0 || card_get(card, FW_INTERRUPT_MODE) != FW_INTERRUPT_ON)
		return;
	if (!i->urgent && i->waiting < card_get(card, FW_COALESCE_COUNT) &&
	    card->now_ns < deadline_ns(card))
		return;
	silent = card_fault_at(card, FAULT_SILENT, i->chunk, NULL);
	*i = (struct card_interrupts){ 0 };
	card->counters.interrupts++;
	card->report.interrupts++;
	card_set64(card, FW_INTERRUPTS, card->counters.interrupts);
	/* The card has raised it; it is lost on its way. */
	if (!silent)
		card->args.host->raise(card->args.host_ctx, FW_VECTOR_COMPLETION);
}

uint64_t interrupt_next_ns(const struct card *card)
{
	if (card->interrupts.waiting == 0 || card->state == FW_STATE_IDLE)
		return UINT64_MAX;
	return card_get(card, FW_INTERRUPT_MODE) == FW_INTERRUPT_ON ? deadline_ns(card)
								    : card->now_ns + LOOK_NS;
}
