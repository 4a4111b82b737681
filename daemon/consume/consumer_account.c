/* SPDX-License-Identifier: MIT */
/*
 * What was committed of a scan, run by run, and which of its blocks were rejected: enough to give
 * the same answer again to a peer that lost the first one.
 */
#include <errno.h>
#include <stdlib.h>

#include <consume/consumer_state.h>

int account_open(struct consumer_scan *scan)
{
	uint8_t *committed = calloc(1, (scan->runs + 7) / 8);
	struct given_up *given_up = calloc(GIVEN_UP_MAX, sizeof(*given_up));

	if (!committed || !given_up) {
		free(committed);
		free(given_up);
		return -ENOMEM;
	}
	scan->committed = committed;
	scan->given_up = given_up;
	return 0;
}

void account_close(struct consumer_scan *scan)
{
	free(scan->committed);
	free(scan->given_up);
	free(scan->kept);
	scan->committed = NULL;
	scan->given_up = NULL;
	scan->kept = NULL;
	scan->given_up_count = 0;
	scan->kept_count = 0;
	scan->kept_max = 0;
	for (unsigned int i = 0; i < REJECT_BUCKETS; i++)
		scan->kept_head[i] = 0;
}

bool account_committed(const struct consumer_scan *scan, uint64_t run)
{
	return scan->committed[run / 8] >> (run % 8) & 1;
}

static bool kept_has(const struct consumer_scan *scan, uint64_t run,
		     const struct sluice_wire_reject *reject)
{
	for (uint32_t i = scan->kept_head[run % REJECT_BUCKETS]; i != 0;
	     i = scan->kept[i - 1].next) {
		const struct kept_reject *kept = &scan->kept[i - 1];

		if (kept->run == run && kept->reject.frame.raw == reject->frame.raw &&
		    kept->reject.sector.raw == reject->sector.raw)
			return true;
	}
	return false;
}

static int kept_grow(struct consumer_scan *scan)
{
	const uint32_t want = scan->kept_max == 0 ? 64 : 2 * scan->kept_max;
	struct kept_reject *grown;

	if (scan->kept_count < scan->kept_max)
		return 0;
	if (want > REJECTS_KEPT_MAX)
		return -ENOSPC;
	grown = realloc(scan->kept, want * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	scan->kept = grown;
	scan->kept_max = want;
	return 0;
}

static void keep(struct sluice_consumer *c, struct consumer_scan *scan, uint64_t run,
		 const struct sluice_wire_reject *reject)
{
	uint32_t *head = &scan->kept_head[run % REJECT_BUCKETS];

	if (kept_has(scan, run, reject))
		return;
	/* Forgotten, it is missing from the answer and the ledger will not close: loud enough. */
	if (kept_grow(scan) < 0) {
		stat_add(&c->stats.rejects_forgotten, 1);
		return;
	}
	scan->kept[scan->kept_count++] =
		(struct kept_reject){ .reject = *reject, .run = run, .next = *head };
	*head = scan->kept_count;
	stat_add(&c->stats.rejected[sluice_u16(reject->cause)], 1);
}

static void remember_given_up(struct sluice_consumer *c, const struct sluice_run *run)
{
	struct consumer_scan *scan = run->scan;

	/* Forgotten, its late blocks are acknowledged, and the ledger will not close. */
	if (scan->given_up_count == GIVEN_UP_MAX) {
		stat_add(&c->stats.given_up_forgotten, 1);
		return;
	}
	scan->given_up[scan->given_up_count++] = (struct given_up){ .run = run->number,
								    .sectors = run->given_up };
}

void account_commit(struct sluice_consumer *c, const struct sluice_run *run)
{
	struct consumer_scan *scan = run->scan;
	uint64_t blocks = 0;

	scan->committed[run->number / 8] |= (uint8_t)(1u << run->number % 8);
	for (unsigned int i = 0; i < run->reject_count; i++)
		keep(c, scan, run->number, &run->reject[i]);
	if (run->given_up != 0)
		remember_given_up(c, run);

	(void)pthread_mutex_lock(&c->lock);
	for (unsigned int s = 0; s < scan->info.geometry.sectors; s++) {
		scan->half.blocks[s] += run->blocks[s];
		blocks += run->blocks[s];
	}
	scan->half.frames += run->frames_there;
	scan->half.frames_incomplete += run->frames_incomplete;
	scan->half.events += run->events;
	(void)pthread_mutex_unlock(&c->lock);

	stat_add(&c->stats.runs_acked, 1);
	stat_add(&c->stats.blocks, blocks);
	stat_add(&c->stats.frames, run->frames_there);
	stat_add(&c->stats.frames_incomplete, run->frames_incomplete);
	stat_add(&c->stats.events, run->events);
}

void account_forget(struct consumer_scan *scan, uint64_t run)
{
	for (uint32_t i = scan->kept_head[run % REJECT_BUCKETS]; i != 0;
	     i = scan->kept[i - 1].next) {
		if (scan->kept[i - 1].run == run)
			scan->kept[i - 1].run = UINT64_MAX;
	}
}

bool account_gave_up(const struct consumer_scan *scan, uint64_t run, unsigned int sector)
{
	for (unsigned int i = 0; i < scan->given_up_count; i++) {
		if (scan->given_up[i].run == run)
			return scan->given_up[i].sectors >> sector & 1;
	}
	return false;
}

void account_reject_late(struct sluice_consumer *c, struct consumer_scan *scan,
			 const struct link_message *message)
{
	const uint64_t first = message->run * scan->info.run_frames;
	const uint64_t left = scan->info.frames_expected - first;
	const uint64_t frames = left < scan->info.run_frames ? left : scan->info.run_frames;

	for (unsigned int i = 0; i < message->block_count; i++) {
		const uint64_t frame = sluice_u64(message->table[i].frame);
		const struct sluice_wire_reject reject = {
			.frame = message->table[i].frame,
			.sector = sluice_le16(message->sector),
			.cause = sluice_le16(SLUICE_LOSS_LATE),
		};

		/* Numbers that are not of the run would fill the account without end. */
		if (frame >= first && frame - first < frames)
			keep(c, scan, message->run, &reject);
		else
			stat_add(&c->stats.blocks_misplaced, 1);
	}
}

unsigned int account_rejects(const struct consumer_scan *scan, uint64_t run, uint32_t sectors,
			     struct sluice_wire_reject *dst, unsigned int max)
{
	unsigned int count = 0;

	for (uint32_t i = scan->kept_head[run % REJECT_BUCKETS]; i != 0;
	     i = scan->kept[i - 1].next) {
		const struct kept_reject *kept = &scan->kept[i - 1];

		if (kept->run != run || !(sectors >> sluice_u16(kept->reject.sector) & 1))
			continue;
		if (count < max)
			dst[count] = kept->reject;
		count++;
	}
	return count;
}
