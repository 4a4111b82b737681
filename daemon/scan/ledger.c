/* SPDX-License-Identifier: MIT */
/*
 * The ledger is worked out twice, from what the boards say and from what the consumers say, and
 * closes only if both agree, sector by sector and frame by frame.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <scan/half.h>
#include <scan/json.h>
#include <scan/ledger.h>

enum {
	LEDGER_SCHEMA_VERSION = 1,
	/* Ranges told in one ledger, each sector the same share: keeps it below a directory
	 * value's limit. */
	LEDGER_RANGES_MAX = 40000,
};

/* All that is read on the way to a ledger. */
struct account {
	const struct scan_plan *plan;
	struct half_board board[SLUICE_SECTORS_MAX];
	const json_t *board_json[SLUICE_SECTORS_MAX];
	uint64_t consumer_blocks[SLUICE_SECTORS_MAX];
	json_t *consumers; /* the consumers' halves as they are */
	uint64_t consumer_frames, consumer_incomplete, events;
	const char *gone;  /* a member that is gone without its half */
	bool ranges_whole; /* no board omitted a range */
	bool aborted;
};

/* The first disagreement is the one that is told. */
static void disagree(struct ledger *ledger, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void disagree(struct ledger *ledger, const char *fmt, ...)
{
	va_list ap;

	if (ledger->why[0] != '\0')
		return;
	va_start(ap, fmt);
	(void)vsnprintf(ledger->why, sizeof(ledger->why), fmt, ap);
	va_end(ap);
}

static int board_index(const struct scan_plan *plan, const char *id)
{
	for (unsigned int i = 0; i < plan->board_count; i++) {
		if (strcmp(plan->board[i].id, id) == 0)
			return (int)i;
	}
	return -ENOENT;
}

/* Nothing is known of what it did: as if it had done nothing, and the ledger says why it is open.
 */
static void take_gone(struct account *a, const struct ledger_half *half, json_t *nothing)
{
	const int b = board_index(a->plan, half->id);

	if (!a->gone)
		a->gone = half->id;
	a->ranges_whole = false;
	if (b < 0)
		return;
	a->board[b].sector = (uint16_t)b;
	a->board[b].frames_expected = a->plan->frames_expected;
	a->board_json[b] = nothing;
}

static int take_half(struct account *a, const struct ledger_half *half, json_t *root,
		     struct sluice_error *reterr)
{
	const int b = board_index(a->plan, half->id);
	struct half_consumer consumer;
	int ret;

	if (b >= 0) {
		ret = half_decode_board(root, &a->board[b], reterr);
		if (ret < 0)
			return ret;
		if (a->board[b].sector != b)
			return error_set(reterr, -EBADMSG, "is of sector %u, not %d",
					 a->board[b].sector, b);
		a->board_json[b] = root;
		a->ranges_whole &= a->board[b].ranges_omitted == 0;
		a->aborted |= a->board[b].aborted;
		return 0;
	}
	ret = half_decode_consumer(root, &consumer, reterr);
	if (ret < 0)
		return ret;
	for (unsigned int s = 0; s < SLUICE_SECTORS_MAX; s++)
		a->consumer_blocks[s] += consumer.blocks[s];
	a->consumer_frames += consumer.frames;
	a->consumer_incomplete += consumer.frames_incomplete;
	a->events += consumer.events;
	(void)json_array_append(a->consumers, root);
	return 0;
}

static int consumer_missing(const struct scan_plan *plan, const struct ledger_half *halves,
			    unsigned int count, const char **ret_id)
{
	for (unsigned int i = 0; i < plan->consumer_count; i++) {
		unsigned int h;

		for (h = 0; h < count && strcmp(halves[h].id, plan->consumer[i].id) != 0; h++)
			;
		if (h == count) {
			*ret_id = plan->consumer[i].id;
			return -EAGAIN;
		}
	}
	return 0;
}

static int all_here(const struct account *a, const struct ledger_half *halves, unsigned int count,
		    struct sluice_error *reterr)
{
	const char *id;

	for (unsigned int i = 0; i < a->plan->board_count; i++) {
		if (!a->board_json[i])
			return error_set(reterr, -EAGAIN,
					 "scan %" PRIu32 ": no account of board %s yet",
					 a->plan->scan, a->plan->board[i].id);
	}
	if (consumer_missing(a->plan, halves, count, &id) < 0)
		return error_set(reterr, -EAGAIN, "scan %" PRIu32 ": no account of consumer %s yet",
				 a->plan->scan, id);
	return 0;
}

/* Sectors each frame lacks, from the boards' ranges; NULL when out of memory. */
static uint8_t *count_missing(const struct account *a)
{
	const uint64_t frames = a->plan->frames_expected;
	uint8_t *missing = calloc(frames, 1);

	if (!missing)
		return NULL;
	for (unsigned int s = 0; s < a->plan->board_count; s++) {
		const char *name;
		json_t *one, *range;
		size_t i;

		json_object_foreach(a->board[s].lost_json, name, one)
		{
			json_array_foreach(json_object_get(one, "ranges"), i, range)
			{
				const json_int_t first = json_integer_value(
					json_array_get(range, 0));
				const json_int_t count = json_integer_value(
					json_array_get(range, 1));

				/* A board that expected more frames than the plan is named by
				 * check_sectors(). */
				for (json_int_t f = first;
				     f < first + count && (uint64_t)f < frames; f++)
					missing[f]++;
			}
		}
	}
	return missing;
}

/* Only of a scan that was read to its end do all numbers have to agree. */
static bool was_read_whole(const struct half_board *b)
{
	return b->counts.reason[0] == '\0' &&
	       b->lost[SLUICE_LOSS_CUT] + b->lost[SLUICE_LOSS_STALL] + b->lost[SLUICE_LOSS_READ] +
			       b->lost[SLUICE_LOSS_ABORT] ==
		       0;
}

/* The board's counters among themselves and against what its daemon found. */
static void reconcile(const struct half_board *b, const char *id, struct ledger *l)
{
	const struct half_counts *c = &b->counts;
	uint64_t found = c->blocks_read;

	if (!c->board_known || !was_read_whole(b))
		return;
	if (c->board_flaw[0] != '\0')
		disagree(l, "board %s: its counter %s", id, c->board_flaw);
	if (c->board_generated != c->board_sent + c->board_dropped)
		disagree(l,
			 "board %s says %" PRIu64 " blocks were made, but %" PRIu64
			 " sent and %" PRIu64 " dropped",
			 id, c->board_generated, c->board_sent, c->board_dropped);
	if (c->board_generated != b->frames_expected)
		disagree(l, "board %s says %" PRIu64 " blocks were made, the scan has %" PRIu64, id,
			 c->board_generated, b->frames_expected);
	if (c->has_whole_blocks)
		found += c->blocks_repeated + c->blocks_skipped;
	else if (c->bytes_skipped > 0)
		return; /* there may have been any number of blocks in them */
	if (c->board_sent != found)
		disagree(l,
			 "board %s says it sent %" PRIu64 " blocks, its daemon read %" PRIu64
			 " (%" PRIu64 " twice, %" PRIu64 " broken)",
			 id, c->board_sent, found, c->blocks_repeated, c->blocks_skipped);
	if (b->lost[SLUICE_LOSS_GAP] > c->board_dropped + c->blocks_skipped)
		disagree(l,
			 "board %s says it dropped %" PRIu64 " blocks, but %" PRIu64 " never came",
			 id, c->board_dropped, b->lost[SLUICE_LOSS_GAP]);
}

static void check_sectors(const struct account *a, struct ledger *l)
{
	for (unsigned int s = 0; s < l->sectors; s++) {
		const struct half_board *b = &a->board[s];
		struct ledger_sector *sector = &l->sector[s];
		const char *id = a->plan->board[s].id;
		uint64_t lost = 0;

		sector->expected = b->frames_expected;
		sector->delivered = b->delivered;
		sector->counts = b->counts;
		memcpy(sector->lost, b->lost, sizeof(sector->lost));
		for (unsigned int c = 0; c < SLUICE_LOSS_COUNT; c++)
			lost += b->lost[c];
		if (b->frames_expected != l->frames_expected)
			disagree(l, "board %s expected %" PRIu64 " frames, the plan %" PRIu64, id,
				 b->frames_expected, l->frames_expected);
		if (b->delivered + lost != b->frames_expected)
			disagree(l,
				 "board %s: expected %" PRIu64 ", but delivered %" PRIu64
				 " and lost %" PRIu64,
				 id, b->frames_expected, b->delivered, lost);
		if (b->delivered != a->consumer_blocks[s])
			disagree(l,
				 "sector %u: board %s says %" PRIu64
				 " blocks are delivered, the consumers committed %" PRIu64,
				 s, id, b->delivered, a->consumer_blocks[s]);
		reconcile(b, id, l);
	}
}

static int check_frames(const struct account *a, struct ledger *l)
{
	uint64_t incomplete = 0, lost = 0;
	uint8_t *missing;

	l->frames_delivered = a->consumer_frames;
	l->frames_incomplete = a->consumer_incomplete;
	l->events = a->events;
	if (a->consumer_frames > l->frames_expected) {
		disagree(l, "the consumers committed %" PRIu64 " frames of %" PRIu64,
			 a->consumer_frames, l->frames_expected);
		return 0;
	}
	l->frames_lost = l->frames_expected - a->consumer_frames;
	if (!a->ranges_whole)
		return 0; /* the sectors' sums have been compared; the ranges are too many to tell
			   */
	missing = count_missing(a);
	if (!missing)
		return -ENOMEM;
	for (uint64_t f = 0; f < l->frames_expected; f++) {
		lost += missing[f] >= l->sectors;
		incomplete += missing[f] > 0 && missing[f] < l->sectors;
	}
	free(missing);
	if (lost != l->frames_lost)
		disagree(l,
			 "the boards lost %" PRIu64
			 " frames in all sectors, the consumers lack %" PRIu64,
			 lost, l->frames_lost);
	if (incomplete != l->frames_incomplete)
		disagree(l,
			 "the boards lost a part of %" PRIu64
			 " frames, the consumers marked %" PRIu64 " incomplete",
			 incomplete, l->frames_incomplete);
	return 0;
}

/* A board's half, of whose ranges the first @room are kept. New reference. */
static json_t *sector_to_json(const struct account *a, unsigned int s, size_t room)
{
	json_t *sector = json_deep_copy(a->board_json[s]), *one;
	uint64_t omitted = a->board[s].ranges_omitted;
	const char *name;

	json_object_foreach(json_object_get(sector, "lost"), name, one)
	{
		json_t *ranges = json_object_get(one, "ranges");

		for (; json_array_size(ranges) > room; omitted++)
			(void)json_array_remove(ranges, json_array_size(ranges) - 1);
		room -= json_array_size(ranges);
	}
	(void)json_object_set_new(sector, "ranges_omitted", json_integer((json_int_t)omitted));
	return sector;
}

static json_t *sectors_to_json(const struct account *a)
{
	json_t *array = json_array();

	for (unsigned int s = 0; s < a->plan->board_count; s++)
		(void)json_array_append_new(
			array, sector_to_json(a, s, LEDGER_RANGES_MAX / a->plan->board_count));
	return array;
}

static char *ledger_encode(const struct account *a, const struct ledger *l)
{
	json_t *root;
	char *text;

	root = json_pack("{s:i, s:I, s:s, s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:O}",
			 "schema_version", LEDGER_SCHEMA_VERSION, "scan", (json_int_t)l->scan,
			 "state", scan_state_name(l->state), "closed", l->closed, "why", l->why,
			 "frames_expected", (json_int_t)l->frames_expected, "frames_delivered",
			 (json_int_t)l->frames_delivered, "frames_incomplete",
			 (json_int_t)l->frames_incomplete, "frames_lost",
			 (json_int_t)l->frames_lost, "events", (json_int_t)l->events, "sectors",
			 sectors_to_json(a), "consumers", a->consumers);
	if (!root)
		return NULL;
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}

static int work_out(struct account *a, struct ledger *l, char **ret_json)
{
	int ret;

	l->scan = a->plan->scan;
	l->sectors = a->plan->board_count;
	l->frames_expected = a->plan->frames_expected;
	if (a->gone)
		disagree(l, "%s is gone without its account of the scan", a->gone);
	check_sectors(a, l);
	ret = check_frames(a, l);
	if (ret < 0)
		return ret;
	l->closed = l->why[0] == '\0';
	l->state = !l->closed ? SCAN_FAILED : a->aborted ? SCAN_ABORTED : SCAN_DONE;
	*ret_json = ledger_encode(a, l);
	return *ret_json ? 0 : -ENOMEM;
}

/* What is decoded borrows from @roots. */
static int read_half(struct account *a, const struct ledger_half *half, json_t *roots,
		     struct sluice_error *reterr)
{
	json_t *root = half->json ? json_loads(half->json, 0, NULL) : json_null();
	int ret = 0;

	if (!half->json)
		take_gone(a, half, root);
	else if (!json_is_object(root))
		ret = error_set(reterr, -EBADMSG, "account of %s: no JSON", half->id);
	else if ((ret = take_half(a, half, root, reterr)) < 0)
		(void)error_prefix(reterr, ret, "account of %s", half->id);
	if (root)
		(void)json_array_append_new(roots, root);
	return ret;
}

int ledger_close(const struct scan_plan *plan, const struct ledger_half *halves,
		 unsigned int half_count, struct ledger *ret_ledger, char **ret_json,
		 struct sluice_error *reterr)
{
	struct account *a = calloc(1, sizeof(*a));
	json_t *roots = json_array();
	struct ledger ledger = { 0 };
	char *json = NULL;
	int ret = 0;

	if (!a || !roots) {
		ret = error_set(reterr, -ENOMEM, "ledger: out of memory");
		goto out;
	}
	a->plan = plan;
	a->ranges_whole = true;
	a->consumers = json_array();
	for (unsigned int i = 0; ret == 0 && i < half_count; i++)
		ret = read_half(a, &halves[i], roots, reterr);
	if (ret == 0)
		ret = all_here(a, halves, half_count, reterr);
	if (ret == 0)
		ret = work_out(a, &ledger, &json);
	if (ret == 0) {
		*ret_ledger = ledger;
		*ret_json = json;
	}
out:
	if (a)
		json_decref(a->consumers);
	json_decref(roots);
	free(a);
	return ret;
}

/* null: its board is gone without an account. */
static int sector_from_json(const json_t *element, uint64_t frames_expected,
			    struct ledger_sector *ret_sector, struct sluice_error *reterr)
{
	struct half_board half = { .frames_expected = frames_expected };
	const int ret = json_is_null(element) ? 0 : half_decode_board(element, &half, reterr);

	if (ret < 0)
		return ret;
	ret_sector->expected = half.frames_expected;
	ret_sector->delivered = half.delivered;
	ret_sector->counts = half.counts;
	memcpy(ret_sector->lost, half.lost, sizeof(half.lost));
	return 0;
}

static int ledger_from_json(const json_t *root, struct ledger *l, struct sluice_error *reterr)
{
	const struct json_range any = { 0, INT64_MAX };
	const struct {
		const char *key;
		uint64_t *ret;
	} row[] = {
		{ "frames_expected", &l->frames_expected },
		{ "frames_delivered", &l->frames_delivered },
		{ "frames_incomplete", &l->frames_incomplete },
		{ "frames_lost", &l->frames_lost },
		{ "events", &l->events },
	};
	json_t *sectors = NULL, *element;
	unsigned int state = 0;
	uint64_t scan = 0;
	size_t i;
	int ret;

	ret = json_get_u64(root, "scan", (struct json_range){ 1, UINT32_MAX }, &scan, reterr);
	for (i = 0; ret == 0 && i < sizeof(row) / sizeof(row[0]); i++)
		ret = json_get_u64(root, row[i].key, any, row[i].ret, reterr);
	if (ret == 0)
		ret = json_get_choice(root, "state", scan_state_names, &state, reterr);
	if (ret == 0)
		ret = json_get_array(root, "sectors", SLUICE_SECTORS_MAX, &sectors, reterr);
	if (ret < 0)
		return ret;
	l->scan = (uint32_t)scan;
	l->state = (enum scan_state)state;
	l->closed = json_is_true(json_object_get(root, "closed"));
	l->sectors = (unsigned int)json_array_size(sectors);
	(void)snprintf(l->why, sizeof(l->why), "%s",
		       json_string_value(json_object_get(root, "why")) ?: "");
	json_array_foreach(sectors, i, element)
	{
		ret = sector_from_json(element, l->frames_expected, &l->sector[i], reterr);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int ledger_decode(const char *json, struct ledger *ret_ledger, struct sluice_error *reterr)
{
	struct ledger ledger = { 0 };
	json_t *root = json_loads(json, 0, NULL);
	int ret;

	if (!root)
		return error_set(reterr, -EBADMSG, "ledger: no JSON");
	ret = ledger_from_json(root, &ledger, reterr);
	json_decref(root);
	if (ret == 0)
		*ret_ledger = ledger;
	return ret;
}
