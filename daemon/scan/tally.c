/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <scan/ledger.h>
#include <scan/tally.h>

static const char *const loss_names[SLUICE_LOSS_COUNT] = {
	[SLUICE_LOSS_NONE] = "none",         [SLUICE_LOSS_GAP] = "gap",
	[SLUICE_LOSS_HEADER] = "header",     [SLUICE_LOSS_CRC] = "crc",
	[SLUICE_LOSS_SEQUENCE] = "sequence", [SLUICE_LOSS_CUT] = "cut",
	[SLUICE_LOSS_STALL] = "stall",       [SLUICE_LOSS_READ] = "read",
	[SLUICE_LOSS_LATE] = "late",         [SLUICE_LOSS_POLICY] = "policy",
	[SLUICE_LOSS_PEER] = "peer",         [SLUICE_LOSS_ABORT] = "abort",
	[SLUICE_LOSS_PROCESS] = "process",
};

const char *loss_name(enum sluice_loss cause)
{
	return (unsigned int)cause < SLUICE_LOSS_COUNT ? loss_names[cause] : "unknown";
}

int tally_open(uint16_t sector, uint64_t frames, struct tally **ret_tally)
{
	struct tally *tally;

	if (frames == 0 || frames > PLAN_FRAMES_MAX)
		return -EINVAL;
	tally = calloc(1, sizeof(*tally) + frames);
	if (!tally)
		return -ENOMEM;
	tally->sector = sector;
	tally->frames = frames;
	*ret_tally = tally;
	return 0;
}

void tally_close(struct tally *tally)
{
	free(tally);
}

static bool is_final(unsigned int fate)
{
	return fate == TALLY_DELIVERED || fate >= TALLY_LOST;
}

uint64_t tally_set(struct tally *tally, uint64_t first, uint64_t count, unsigned int fate)
{
	uint64_t moved = 0;

	assert(first <= tally->frames);
	assert(count <= tally->frames - first);
	assert(fate < TALLY_LOST + SLUICE_LOSS_COUNT);
	for (uint64_t f = first; f < first + count; f++) {
		/* Relaxed: a frame has one caller at a time; chunk hand-over orders them. */
		if (is_final(atomic_load_explicit(&tally->fate[f], memory_order_relaxed)))
			continue;
		atomic_store_explicit(&tally->fate[f], (uint8_t)fate, memory_order_relaxed);
		moved++;
	}
	if (fate >= TALLY_LOST)
		atomic_fetch_add_explicit(&tally->lost[fate - TALLY_LOST], moved,
					  memory_order_relaxed);
	return moved;
}

void tally_recause(struct tally *tally, uint64_t frame, enum sluice_loss cause)
{
	unsigned int fate;

	assert(frame < tally->frames);
	fate = atomic_load_explicit(&tally->fate[frame], memory_order_relaxed);
	if (fate < TALLY_LOST)
		return;
	atomic_store_explicit(&tally->fate[frame], (uint8_t)(TALLY_LOST + cause),
			      memory_order_relaxed);
	atomic_fetch_sub_explicit(&tally->lost[fate - TALLY_LOST], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&tally->lost[cause], 1, memory_order_relaxed);
}

uint64_t tally_lost(const struct tally *tally, enum sluice_loss cause)
{
	return atomic_load_explicit(&tally->lost[cause], memory_order_relaxed);
}

unsigned int tally_fate(const struct tally *tally, uint64_t frame)
{
	assert(frame < tally->frames);
	return atomic_load_explicit(&tally->fate[frame], memory_order_relaxed);
}
