/* SPDX-License-Identifier: MIT */
/* What a member says of a scan for the ledger: its half, as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/text.h>
#include <scan/half.h>
#include <scan/json.h>
#include <scan/tally.h>

/* One cause: how many blocks, and where. */
static json_t *loss_to_json(const struct tally *tally, enum sluice_loss cause,
			    unsigned int *range_room, uint64_t *omitted)
{
	const unsigned int fate = TALLY_LOST + cause;
	json_t *ranges = json_array();
	uint64_t blocks = 0;

	for (uint64_t f = 0; f < tally->frames;) {
		const uint64_t first = f;

		while (f < tally->frames && tally_fate(tally, f) == fate)
			f++;
		if (f == first) {
			f++;
			continue;
		}
		blocks += f - first;
		if (*range_room == 0) {
			(*omitted)++;
			continue;
		}
		(*range_room)--;
		(void)json_array_append_new(
			ranges, json_pack("[I, I]", (json_int_t)first, (json_int_t)(f - first)));
	}
	if (blocks == 0) {
		json_decref(ranges);
		return NULL;
	}
	return json_pack("{s:I, s:o}", "blocks", (json_int_t)blocks, "ranges", ranges);
}

/* A board may count to where JSON's integers do not reach. */
static json_t *count_to_json(uint64_t count)
{
	return json_integer(count > INT64_MAX ? INT64_MAX : (json_int_t)count);
}

static json_t *text_to_json(const char *text)
{
	json_t *string = json_string(text);

	/* It may have been cut within a character. */
	return string ? string : json_string("(no UTF-8)");
}

static json_t *board_counts_to_json(const struct half_counts *c)
{
	json_t *board;

	if (!c->board_known)
		return json_null();
	board = json_pack("{s:o, s:o, s:o, s:o}", "generated", count_to_json(c->board_generated),
			  "sent", count_to_json(c->board_sent), "dropped",
			  count_to_json(c->board_dropped), "stall_ns",
			  count_to_json(c->board_stall_ns));
	if (c->board_has_causes)
		(void)json_object_set_new(board, "dropped_by",
					  json_pack("{s:o, s:o, s:o}", "overflow",
						    count_to_json(c->board_overflow), "link",
						    count_to_json(c->board_link), "stop",
						    count_to_json(c->board_stop)));
	if (c->board_flaw[0] != '\0')
		(void)json_object_set_new(board, "flaw", text_to_json(c->board_flaw));
	return board;
}

char *half_encode_board(const struct tally *tally, const char *id, uint32_t scan,
			enum scan_state state, const struct half_counts *counts)
{
	unsigned int range_room = HALF_RANGES_MAX;
	uint64_t delivered = 0, omitted = 0;
	json_t *lost = json_object(), *root;
	char *text;

	for (uint64_t f = 0; f < tally->frames; f++)
		delivered += tally_fate(tally, f) == TALLY_DELIVERED;
	for (unsigned int cause = 1; cause < SLUICE_LOSS_COUNT; cause++) {
		json_t *one = loss_to_json(tally, (enum sluice_loss)cause, &range_room, &omitted);

		if (one)
			(void)json_object_set_new(lost, loss_name((enum sluice_loss)cause), one);
	}
	root = json_pack(
		"{s:i, s:s, s:s, s:I, s:i, s:s, s:o, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:o}",
		"schema_version", HALF_SCHEMA_VERSION, "kind", "board", "id", id, "scan",
		(json_int_t)scan, "sector", tally->sector, "state", scan_state_name(state),
		"reason", text_to_json(counts->reason), "frames_expected",
		(json_int_t)tally->frames, "delivered", (json_int_t)delivered, "lost", lost,
		"ranges_omitted", (json_int_t)omitted, "blocks_read",
		(json_int_t)counts->blocks_read, "blocks_repeated",
		(json_int_t)counts->blocks_repeated, "bytes_read", (json_int_t)counts->bytes_read,
		"bytes_skipped", (json_int_t)counts->bytes_skipped, "board",
		board_counts_to_json(counts));
	if (!root)
		return NULL;
	if (counts->has_whole_blocks)
		(void)json_object_set_new(root, "blocks_skipped",
					  count_to_json(counts->blocks_skipped));
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}

char *half_encode_consumer(const struct half_consumer *half, const char *id)
{
	json_t *blocks = json_array(), *root;
	char *text;

	for (unsigned int s = 0; s < SLUICE_SECTORS_MAX; s++)
		(void)json_array_append_new(blocks, json_integer((json_int_t)half->blocks[s]));
	root = json_pack("{s:i, s:s, s:s, s:I, s:o, s:I, s:I, s:I, s:s}", "schema_version",
			 HALF_SCHEMA_VERSION, "kind", "consumer", "id", id, "scan",
			 (json_int_t)half->scan, "blocks", blocks, "frames",
			 (json_int_t)half->frames, "frames_incomplete",
			 (json_int_t)half->frames_incomplete, "events", (json_int_t)half->events,
			 "part", half->part);
	if (!root)
		return NULL;
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}

static int loss_index(const char *name, unsigned int *ret_cause)
{
	for (unsigned int cause = 1; cause < SLUICE_LOSS_COUNT; cause++) {
		if (strcmp(name, loss_name((enum sluice_loss)cause)) == 0) {
			*ret_cause = cause;
			return 0;
		}
	}
	return -EBADMSG;
}

/* Ascending, each frame once, and together what @lost says, or less where ranges were omitted. */
static int check_ranges(const json_t *ranges, const struct half_board *half, uint64_t lost,
			struct sluice_error *reterr)
{
	uint64_t told = 0, end = 0;
	json_t *range;
	size_t i;

	json_array_foreach(ranges, i, range)
	{
		const json_t *first = json_array_get(range, 0), *count = json_array_get(range, 1);
		const json_int_t f = json_integer_value(first), n = json_integer_value(count);

		if (json_array_size(range) != 2 || !json_is_integer(first) ||
		    !json_is_integer(count) || f < 0 || n < 1 || (uint64_t)f < end ||
		    (uint64_t)f >= half->frames_expected ||
		    (uint64_t)n > half->frames_expected - (uint64_t)f)
			return error_set(reterr, -EBADMSG, "\"ranges\"[%zu] is no range", i);
		end = (uint64_t)f + (uint64_t)n;
		told += (uint64_t)n;
	}
	if (told > lost || (told < lost && half->ranges_omitted == 0))
		return error_set(reterr, -EBADMSG, "\"ranges\" hold %" PRIu64 " blocks of %" PRIu64,
				 told, lost);
	return 0;
}

static int lost_from_json(const json_t *root, struct half_board *half, struct sluice_error *reterr)
{
	const struct json_range any = { 1, half->frames_expected };
	json_t *lost = json_object_get(root, "lost"), *one, *ranges;
	const char *name;
	unsigned int cause;
	int ret;

	if (!json_is_object(lost))
		return error_set(reterr, -EBADMSG, "\"lost\" is missing or no object");
	json_object_foreach(lost, name, one)
	{
		if (loss_index(name, &cause) < 0)
			return error_set(reterr, -EBADMSG, "\"%.40s\" is no cause of loss", name);
		ret = json_get_u64(one, "blocks", any, &half->lost[cause], reterr);
		if (ret == 0)
			ret = json_get_array(one, "ranges", HALF_RANGES_MAX, &ranges, reterr);
		if (ret == 0)
			ret = check_ranges(ranges, half, half->lost[cause], reterr);
		if (ret < 0)
			return error_prefix(reterr, ret, "lost: %s", name);
	}
	half->lost_json = lost;
	return 0;
}

static void text_from_json(const json_t *root, const char *key, char *ret_text, size_t size)
{
	(void)snprintf(ret_text, size, "%s", json_string_value(json_object_get(root, key)) ?: "");
	text_one_line(ret_text);
}

/* What a board that is asked for its counters says. */
static int board_from_json(const json_t *board, struct half_counts *c, struct sluice_error *reterr)
{
	const struct json_range any = { 0, INT64_MAX };
	const json_t *causes = json_object_get(board, "dropped_by");
	int ret = json_get_u64(board, "generated", any, &c->board_generated, reterr);

	c->board_known = true;
	if (ret == 0)
		ret = json_get_u64(board, "sent", any, &c->board_sent, reterr);
	if (ret == 0)
		ret = json_get_u64(board, "dropped", any, &c->board_dropped, reterr);
	if (ret == 0)
		ret = json_get_u64(board, "stall_ns", any, &c->board_stall_ns, reterr);
	text_from_json(board, "flaw", c->board_flaw, sizeof(c->board_flaw));
	if (ret < 0 || !json_is_object(causes))
		return ret;
	c->board_has_causes = true;
	ret = json_get_u64(causes, "overflow", any, &c->board_overflow, reterr);
	if (ret == 0)
		ret = json_get_u64(causes, "link", any, &c->board_link, reterr);
	if (ret == 0)
		ret = json_get_u64(causes, "stop", any, &c->board_stop, reterr);
	return ret;
}

int half_decode_board(const json_t *root, struct half_board *ret_half, struct sluice_error *reterr)
{
	const struct json_range any = { 0, INT64_MAX }, frames = { 1, PLAN_FRAMES_MAX };
	struct half_board h = { 0 };
	uint64_t sector;
	const struct {
		const char *key;
		struct json_range range;
		uint64_t *ret;
	} row[] = {
		{ "sector", { 0, SLUICE_SECTORS_MAX - 1 }, &sector },
		{ "frames_expected", frames, &h.frames_expected },
		{ "delivered", any, &h.delivered },
		{ "ranges_omitted", any, &h.ranges_omitted },
		{ "blocks_read", any, &h.counts.blocks_read },
		{ "blocks_repeated", any, &h.counts.blocks_repeated },
		{ "bytes_read", any, &h.counts.bytes_read },
		{ "bytes_skipped", any, &h.counts.bytes_skipped },
	};
	json_t *board = json_object_get(root, "board");
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < sizeof(row) / sizeof(row[0]); i++)
		ret = json_get_u64(root, row[i].key, row[i].range, row[i].ret, reterr);
	if (ret == 0)
		ret = lost_from_json(root, &h, reterr);
	if (ret == 0 && json_is_object(board))
		ret = board_from_json(board, &h.counts, reterr);
	h.counts.has_whole_blocks = json_object_get(root, "blocks_skipped") != NULL;
	if (ret == 0 && h.counts.has_whole_blocks)
		ret = json_get_u64(root, "blocks_skipped", any, &h.counts.blocks_skipped, reterr);
	if (ret < 0)
		return ret;
	text_from_json(root, "reason", h.counts.reason, sizeof(h.counts.reason));
	h.sector = (uint16_t)sector;
	h.aborted = strcmp(json_string_value(json_object_get(root, "state")) ?: "",
			   scan_state_name(SCAN_ABORTED)) == 0;
	*ret_half = h;
	return 0;
}

int half_decode_consumer(const json_t *root, struct half_consumer *ret_half,
			 struct sluice_error *reterr)
{
	const struct json_range any = { 0, INT64_MAX };
	struct half_consumer h = { 0 };
	json_t *blocks, *one;
	size_t i;
	int ret;

	ret = json_get_array(root, "blocks", SLUICE_SECTORS_MAX, &blocks, reterr);
	if (ret < 0)
		return ret;
	json_array_foreach(blocks, i, one)
	{
		if (!json_is_integer(one) || json_integer_value(one) < 0)
			return error_set(reterr, -EBADMSG, "\"blocks\"[%zu] is no count", i);
		h.blocks[i] = (uint64_t)json_integer_value(one);
	}
	ret = json_get_u64(root, "frames", any, &h.frames, reterr);
	if (ret == 0)
		ret = json_get_u64(root, "frames_incomplete", any, &h.frames_incomplete, reterr);
	if (ret == 0)
		ret = json_get_u64(root, "events", any, &h.events, reterr);
	if (ret < 0)
		return ret;
	*ret_half = h;
	return 0;
}
