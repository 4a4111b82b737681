/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <scan/json.h>
#include <scan/plan.h>

const char *const scan_state_names[] = { "idle", "armed",  "acquiring", "draining",
					 "done", "failed", "aborted",   NULL };
_Static_assert(sizeof(scan_state_names) / sizeof(scan_state_names[0]) == SCAN_STATE_COUNT + 1,
	       "each state has a name");

static const char *const policy_names[] = { "block", NULL };
static const char *const layout_names[] = { "rows", "columns", NULL };
static const char *const pixel_names[] = { "", "u8", "u16", "u32", "u16be", "u32be", NULL };

enum {
	PLAN_SCHEMA_VERSION = 1,
	SCAN_DIGITS = 10
};

const char *scan_state_name(enum scan_state state)
{
	return (unsigned int)state < SCAN_STATE_COUNT ? scan_state_names[state] : "unknown";
}

json_t *geometry_to_json(const struct sluice_geometry *g)
{
	return json_pack("{s:i, s:s, s:i, s:i, s:s}", "sectors", g->sectors, "layout",
			 layout_names[g->layout], "rows", g->rows, "columns", g->columns, "pixel",
			 pixel_names[g->pixel]);
}

int geometry_from_json(const json_t *object, struct sluice_geometry *ret_geometry,
		       struct sluice_error *reterr)
{
	uint64_t sectors, rows, columns;
	unsigned int layout, pixel;
	struct sluice_geometry g;
	int ret;

	ret = json_get_u64(object, "sectors", (struct json_range){ 1, SLUICE_SECTORS_MAX },
			   &sectors, reterr);
	if (ret == 0)
		ret = json_get_u64(object, "rows", (struct json_range){ 1, SLUICE_SIDE_MAX }, &rows,
				   reterr);
	if (ret == 0)
		ret = json_get_u64(object, "columns", (struct json_range){ 1, SLUICE_SIDE_MAX },
				   &columns, reterr);
	if (ret == 0)
		ret = json_get_choice(object, "layout", layout_names, &layout, reterr);
	if (ret == 0)
		ret = json_get_choice(object, "pixel", pixel_names, &pixel, reterr);
	if (ret < 0)
		return ret;
	g = (struct sluice_geometry){ .sectors = (uint16_t)sectors,
				      .layout = (uint16_t)layout,
				      .rows = (uint16_t)rows,
				      .columns = (uint16_t)columns,
				      .pixel = (uint16_t)pixel };
	if (!sluice_geometry_ok(&g))
		return error_set(reterr, -EBADMSG,
				 "a frame of %u x %u pixels in %u sectors is beyond the limits",
				 sluice_frame_columns(&g), sluice_frame_rows(&g), g.sectors);
	*ret_geometry = g;
	return 0;
}

static json_t *members_to_json(const struct plan_member *member, unsigned int count)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < count; i++) {
		const struct plan_member *m = &member[i];

		(void)json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:i}", "id", m->id,
							     "endpoint", m->endpoint, "url", m->url,
							     "sector", m->sector));
	}
	return array;
}

/* Endpoint and URL may be empty: a board has no endpoint, a member under test no URL. */
static int optional_text(const json_t *object, const char *key, char *dst, size_t size,
			 struct sluice_error *reterr)
{
	const char *text = json_string_value(json_object_get(object, key));

	if (text && text[0] == '\0') {
		dst[0] = '\0';
		return 0;
	}
	return json_get_text(object, key, dst, size, reterr);
}

static int members_from_json(const json_t *root, const char *key, unsigned int max,
			     struct plan_member *member, unsigned int *ret_count,
			     struct sluice_error *reterr)
{
	const struct json_range sectors = { 0, SLUICE_SECTORS_MAX - 1 };
	json_t *array, *element;
	uint64_t sector = 0;
	size_t i;
	int ret;

	ret = json_get_array(root, key, max, &array, reterr);
	if (ret < 0)
		return ret;
	json_array_foreach(array, i, element)
	{
		struct plan_member *m = &member[i];

		ret = json_get_name(element, "id", m->id, sizeof(m->id), reterr);
		if (ret == 0)
			ret = optional_text(element, "endpoint", m->endpoint, sizeof(m->endpoint),
					    reterr);
		if (ret == 0)
			ret = optional_text(element, "url", m->url, sizeof(m->url), reterr);
		if (ret == 0)
			ret = json_get_u64(element, "sector", sectors, &sector, reterr);
		if (ret < 0)
			return error_prefix(reterr, ret, "%s[%zu]", key, i);
		m->sector = (uint16_t)sector;
	}
	*ret_count = (unsigned int)json_array_size(array);
	return 0;
}

char *plan_encode(const struct scan_plan *plan)
{
	json_t *root;
	char *text;

	root = json_pack("{s:i, s:I, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:s, s:f, s:f, "
			 "s:o, s:o, s:o}",
			 "schema_version", PLAN_SCHEMA_VERSION, "scan", (json_int_t)plan->scan,
			 "epoch", (json_int_t)plan->epoch, "state", scan_state_name(plan->state),
			 "policy", policy_names[plan->policy], "scan_columns",
			 (json_int_t)plan->scan_columns, "scan_rows", (json_int_t)plan->scan_rows,
			 "frames_per_position", (json_int_t)plan->frames_per_position,
			 "frames_expected", (json_int_t)plan->frames_expected, "run_frames",
			 (json_int_t)plan->run_frames, "geometry",
			 geometry_to_json(&plan->geometry), "group", plan->group, "background",
			 plan->background, "xray", plan->xray, "boards",
			 members_to_json(plan->board, plan->board_count), "aggregators",
			 members_to_json(plan->aggregator, plan->aggregator_count), "consumers",
			 members_to_json(plan->consumer, plan->consumer_count));
	if (!root)
		return NULL;
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}

static int numbers_from_json(const json_t *root, struct scan_plan *p, struct sluice_error *reterr)
{
	uint64_t version, scan = 0, epoch = 0, columns = 0, rows = 0, per_position = 0,
			  run_frames = 0;
	const struct {
		const char *key;
		struct json_range range;
		uint64_t *ret;
	} row[] = {
		{ "schema_version", { PLAN_SCHEMA_VERSION, PLAN_SCHEMA_VERSION }, &version },
		{ "scan", { 1, UINT32_MAX }, &scan },
		{ "epoch", { 1, UINT32_MAX }, &epoch },
		{ "scan_columns", { 1, UINT16_MAX }, &columns },
		{ "scan_rows", { 1, UINT16_MAX }, &rows },
		{ "frames_per_position", { 1, PLAN_FRAMES_MAX }, &per_position },
		{ "frames_expected", { 1, PLAN_FRAMES_MAX }, &p->frames_expected },
		{ "run_frames", { 1, SLUICE_WIRE_RUN_FRAMES_MAX }, &run_frames },
	};
	int ret;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		ret = json_get_u64(root, row[i].key, row[i].range, row[i].ret, reterr);
		if (ret < 0)
			return ret;
	}
	if (p->frames_expected != columns * rows * per_position)
		return error_set(reterr, -EBADMSG,
				 "\"frames_expected\" is %" PRIu64 ", but the scan has %" PRIu64
				 " x %" PRIu64 " positions of %" PRIu64,
				 p->frames_expected, columns, rows, per_position);
	p->scan = (uint32_t)scan;
	p->epoch = (uint32_t)epoch;
	p->scan_columns = (uint32_t)columns;
	p->scan_rows = (uint32_t)rows;
	p->frames_per_position = (uint32_t)per_position;
	p->run_frames = (uint32_t)run_frames;
	return 0;
}

static int threshold_from_json(const json_t *root, const char *key, double *ret_v,
			       struct sluice_error *reterr)
{
	const json_t *value = json_object_get(root, key);
	const double v = json_number_value(value);

	if (!json_is_number(value) || !isfinite(v) || v < 0 || v > UINT32_MAX)
		return error_set(reterr, -EBADMSG, "\"%s\" is no number from 0 to 4294967295", key);
	*ret_v = v;
	return 0;
}

static int plan_from_json(const json_t *root, struct scan_plan *p, struct sluice_error *reterr)
{
	unsigned int state = 0, policy = 0;
	int ret;

	ret = numbers_from_json(root, p, reterr);
	if (ret == 0)
		ret = json_get_choice(root, "state", scan_state_names, &state, reterr);
	if (ret == 0)
		ret = json_get_choice(root, "policy", policy_names, &policy, reterr);
	if (ret == 0)
		ret = geometry_from_json(json_object_get(root, "geometry"), &p->geometry, reterr);
	if (ret == 0)
		ret = json_get_name(root, "group", p->group, sizeof(p->group), reterr);
	if (ret == 0 && strchr(p->group, '/'))
		ret = error_set(reterr, -EBADMSG, "\"group\" holds a \"/\"");
	if (ret == 0)
		ret = threshold_from_json(root, "background", &p->background, reterr);
	if (ret == 0)
		ret = threshold_from_json(root, "xray", &p->xray, reterr);
	if (ret == 0)
		ret = members_from_json(root, "boards", SLUICE_SECTORS_MAX, p->board,
					&p->board_count, reterr);
	if (ret == 0)
		ret = members_from_json(root, "aggregators", PLAN_MEMBERS_MAX, p->aggregator,
					&p->aggregator_count, reterr);
	if (ret == 0)
		ret = members_from_json(root, "consumers", PLAN_MEMBERS_MAX, p->consumer,
					&p->consumer_count, reterr);
	if (ret < 0)
		return ret;
	p->state = (enum scan_state)state;
	p->policy = (enum scan_policy)policy;
	if (p->aggregator_count == 0)
		return error_set(reterr, -EBADMSG, "the plan names no aggregator");
	if (p->board_count != p->geometry.sectors)
		return error_set(reterr, -EBADMSG, "the plan names %u boards for %u sectors",
				 p->board_count, p->geometry.sectors);
	for (unsigned int s = 0; s < p->board_count; s++) {
		if (p->board[s].sector != s)
			return error_set(reterr, -EBADMSG, "the plan's board %u reads sector %u", s,
					 p->board[s].sector);
	}
	return 0;
}

int plan_decode(const char *json, struct scan_plan *ret_plan, struct sluice_error *reterr)
{
	struct scan_plan *plan;
	json_error_t where;
	json_t *root;
	int ret;

	root = json_loads(json, JSON_REJECT_DUPLICATES, &where);
	if (!root)
		return error_set(reterr, -EBADMSG, "plan: line %d: %.100s", where.line, where.text);
	plan = calloc(1, sizeof(*plan)); /* tens of KiB: too large for a thread's stack */
	if (!plan) {
		ret = error_set(reterr, -ENOMEM, "plan: out of memory");
		goto out_root;
	}
	ret = plan_from_json(root, plan, reterr);
	if (ret < 0)
		(void)error_prefix(reterr, ret, "plan");
	else
		*ret_plan = *plan;
	free(plan);
out_root:
	json_decref(root);
	return ret;
}

uint64_t plan_runs(const struct scan_plan *plan)
{
	return (plan->frames_expected + plan->run_frames - 1) / plan->run_frames;
}

unsigned int plan_route(const struct scan_plan *plan, uint64_t run)
{
	return (unsigned int)(run % plan->aggregator_count);
}

void plan_to_wire(const struct scan_plan *plan, struct sluice_wire_scan *ret_scan)
{
	const struct sluice_geometry *g = &plan->geometry;

	*ret_scan = (struct sluice_wire_scan){
		.frames_expected = sluice_le64(plan->frames_expected),
		.scan_columns = sluice_le16((uint16_t)plan->scan_columns),
		.scan_rows = sluice_le16((uint16_t)plan->scan_rows),
		.frames_per_position = sluice_le32(plan->frames_per_position),
		.sectors = sluice_le16(g->sectors),
		.layout = sluice_le16(g->layout),
		.rows = sluice_le16(g->rows),
		.columns = sluice_le16(g->columns),
		.pixel = sluice_le16(g->pixel),
		.run_frames = sluice_le16((uint16_t)plan->run_frames),
		.aggregators = sluice_le16((uint16_t)plan->aggregator_count),
	};
}

void scan_key(char key[PLAN_KEY_MAX], uint32_t scan, const char *leaf)
{
	(void)snprintf(key, PLAN_KEY_MAX, "scans/%0*" PRIu32 "/%s", SCAN_DIGITS, scan, leaf);
}

int scan_key_parse(const char *key, uint32_t *ret_scan, const char **ret_leaf)
{
	static const char prefix[] = "scans/";
	uint64_t scan = 0;
	const char *s;

	if (strncmp(key, prefix, sizeof(prefix) - 1) != 0)
		return -EINVAL;
	s = key + sizeof(prefix) - 1;
	if (strnlen(s, SCAN_DIGITS + 1) <= SCAN_DIGITS || s[SCAN_DIGITS] != '/')
		return -EINVAL;
	for (unsigned int i = 0; i < SCAN_DIGITS; i++) {
		if (!isdigit((unsigned char)s[i]))
			return -EINVAL;
		scan = scan * 10 + (uint64_t)(s[i] - '0');
	}
	if (scan == 0 || scan > UINT32_MAX)
		return -EINVAL;
	*ret_scan = (uint32_t)scan;
	*ret_leaf = s + SCAN_DIGITS + 1;
	return 0;
}
