/* SPDX-License-Identifier: MIT */
/*
 * The scans that a consumer knows, in a few slots:
 *
 *   free -(first SCAN_BEGIN)-> active -(ended, no run lives)-> ended -(next() told)-> told -> free
 *
 * A slot that was told keeps its half of the ledger for commit(), until its place is needed or a
 * scan of the same number begins again.
 */
#include <errno.h>
#include <string.h>

#include <base/clock.h>
#include <consume/consumer_state.h>

struct consumer_scan *scan_slot(struct sluice_consumer *c, uint32_t scan)
{
	for (unsigned int i = 0; i < SCANS_MAX; i++) {
		if (c->scan[i].state != SLOT_FREE && c->scan[i].info.scan == scan)
			return &c->scan[i];
	}
	return NULL;
}

struct consumer_scan *scan_active(struct sluice_consumer *c, uint32_t scan)
{
	for (unsigned int i = 0; i < SCANS_MAX; i++) {
		if (c->scan[i].active && c->scan[i].info.scan == scan)
			return &c->scan[i];
	}
	return NULL;
}

/* A free slot, else the one that was told longest ago. Under @lock. */
static struct consumer_scan *scan_slot_take(struct sluice_consumer *c)
{
	struct consumer_scan *oldest = NULL;

	for (unsigned int i = 0; i < SCANS_MAX; i++) {
		struct consumer_scan *scan = &c->scan[i];

		if (scan->state == SLOT_FREE)
			return scan;
		if (scan->state == SLOT_TOLD && (!oldest || scan->begun < oldest->begun))
			oldest = scan;
	}
	return oldest;
}

static const struct prepared *prepared_find(const struct sluice_consumer *c, uint32_t scan)
{
	for (unsigned int i = 0; i < SCANS_MAX; i++) {
		if (c->prepared[i].scan == scan)
			return &c->prepared[i];
	}
	return NULL;
}

/* What SCAN_BEGIN says, judged. -EBADMSG: a number in it is beyond what may be. */
static int scan_from_wire(const struct link_message *message, struct sluice_scan *ret_info)
{
	const struct sluice_wire_scan *w = &message->scan_begin;
	const struct sluice_scan info = {
		.scan = message->scan,
		.scan_columns = sluice_u16(w->scan_columns),
		.scan_rows = sluice_u16(w->scan_rows),
		.frames_per_position = sluice_u32(w->frames_per_position),
		.run_frames = sluice_u16(w->run_frames),
		.frames_expected = sluice_u64(w->frames_expected),
		.geometry = { .sectors = sluice_u16(w->sectors),
			      .layout = sluice_u16(w->layout),
			      .rows = sluice_u16(w->rows),
			      .columns = sluice_u16(w->columns),
			      .pixel = sluice_u16(w->pixel) },
	};
	const uint64_t positions = (uint64_t)info.scan_columns * info.scan_rows;

	if (info.scan == 0 || info.run_frames == 0 || info.run_frames > SLUICE_WIRE_RUN_FRAMES_MAX)
		return -EBADMSG;
	if (info.frames_expected == 0 || info.frames_expected > PLAN_FRAMES_MAX ||
	    info.frames_per_position > PLAN_FRAMES_MAX ||
	    info.frames_expected != positions * info.frames_per_position)
		return -EBADMSG;
	if (!sluice_geometry_ok(&info.geometry) || sluice_u16(w->aggregators) == 0 ||
	    sluice_u16(w->aggregators) > PLAN_MEMBERS_MAX)
		return -EBADMSG;
	*ret_info = info;
	return 0;
}

static bool scan_agrees(const struct consumer_scan *scan, const struct sluice_scan *info,
			unsigned int aggregators)
{
	const struct sluice_scan *own = &scan->info;

	return scan->aggregators == aggregators && own->scan_columns == info->scan_columns &&
	       own->scan_rows == info->scan_rows && own->run_frames == info->run_frames &&
	       own->frames_per_position == info->frames_per_position &&
	       memcmp(&own->geometry, &info->geometry, sizeof(info->geometry)) == 0;
}

/* Under @lock. NULL: no slot is free, the scan is over already, or there is no memory. */
static struct consumer_scan *scan_start(struct sluice_consumer *c, const struct sluice_scan *info,
					unsigned int aggregators)
{
	const struct prepared *prepared = prepared_find(c, info->scan);
	struct consumer_scan *scan = scan_slot(c, info->scan);

	if (prepared && prepared->aborted)
		return NULL;
	/*
	 * After its end every aggregator is through with a scan: this is another of its number. But
	 * one that was away may come back with a scan whose half is published: that is no new one.
	 */
	if (scan && (scan->state != SLOT_TOLD || scan->deserted))
		return NULL;
	if (!scan)
		scan = scan_slot_take(c);
	if (!scan)
		return NULL;
	*scan = (struct consumer_scan){
		.info = *info,
		.begin = { .type = SLUICE_NEXT_SCAN_BEGIN, .scan = scan },
		.end = { .type = SLUICE_NEXT_SCAN_END, .scan = scan },
		.half = { .scan = info->scan },
		.aggregators = aggregators,
		.runs = (info->frames_expected + info->run_frames - 1) / info->run_frames,
		.begun = ++c->scans_begun,
	};
	if (prepared) {
		scan->info.consumers = prepared->consumers;
		scan->info.background = prepared->background;
		scan->info.xray = prepared->xray;
	}
	if (account_open(scan) < 0)
		return NULL;
	scan->state = SLOT_ACTIVE;
	return scan;
}

bool scan_begin(struct sluice_consumer *c, const struct link_message *message)
{
	const unsigned int aggregators = sluice_u16(message->scan_begin.aggregators);
	struct peer *peer = &c->peer[message->peer];
	struct consumer_scan *scan;
	struct sluice_scan info;

	if (scan_from_wire(message, &info) < 0)
		goto refuse;
	scan = scan_active(c, info.scan);
	if (!scan) {
		(void)pthread_mutex_lock(&c->lock);
		scan = scan_start(c, &info, aggregators);
		(void)pthread_mutex_unlock(&c->lock);
		if (!scan)
			goto refuse;
		scan->active = true;
		consumer_ready_push(c, &scan->begin);
	} else if (!scan_agrees(scan, &info, aggregators)) {
		goto refuse;
	}
	scan->peers |= UINT64_C(1) << message->peer;
	scan->absent_ns = now_ns() + c->absent_timeout_ns;
	peer->returned += peer->withheld;
	peer->withheld = 0;
	peer->target = window_of(c, info.run_frames) * info.geometry.sectors;
	return true;

refuse:
	stat_add(&c->stats.bad_scans, 1);
	return false;
}

static bool has_ended(const struct consumer_scan *scan, const char *name)
{
	for (unsigned int i = 0; i < scan->ended_count; i++) {
		if (strcmp(scan->ended[i], name) == 0)
			return true;
	}
	return false;
}

void scan_ended_by(struct consumer_scan *scan, const char *name)
{
	if (!has_ended(scan, name) && scan->ended_count < scan->aggregators)
		memcpy(scan->ended[scan->ended_count++], name, SLUICE_WIRE_NAME_MAX);
}

bool scan_is_through(const struct sluice_consumer *c, const struct consumer_scan *scan,
		     uint64_t now)
{
	if (scan->ended_count == scan->aggregators)
		return true;
	if (scan->absent_ns > now)
		return false;
	for (unsigned int p = 0; p < LINK_PEERS_MAX; p++) {
		if (scan->peers >> p & 1 && !has_ended(scan, c->peer[p].name))
			return false;
	}
	return true;
}

void scan_peer_lost(struct sluice_consumer *c, unsigned int peer)
{
	const uint64_t bit = UINT64_C(1) << peer;

	for (unsigned int i = 0; i < SCANS_MAX; i++) {
		if (!(c->scan[i].peers & bit))
			continue;
		c->scan[i].peers &= ~bit;
		c->scan[i].absent_ns = now_ns() + c->absent_timeout_ns;
	}
}

bool scan_is_deserted(struct sluice_consumer *c, uint32_t scan)
{
	const struct consumer_scan *slot;
	bool deserted;

	(void)pthread_mutex_lock(&c->lock);
	slot = scan_slot(c, scan);
	deserted = slot && slot->deserted;
	(void)pthread_mutex_unlock(&c->lock);
	return deserted;
}

void scan_finish(struct sluice_consumer *c, struct consumer_scan *scan)
{
	const bool deserted = !scan->aborting && scan->ended_count < scan->aggregators;

	scan->active = false;
	scan->aborting = false;
	account_close(scan);
	(void)pthread_mutex_lock(&c->lock);
	scan->state = SLOT_ENDED;
	scan->deserted = deserted;
	(void)pthread_mutex_unlock(&c->lock);
	stat_add(&c->stats.scans_deserted, deserted);
	consumer_ready_push(c, &scan->end);
}

void scan_free(struct consumer_scan *scan)
{
	account_close(scan);
	*scan = (struct consumer_scan){ .state = SLOT_FREE };
}
