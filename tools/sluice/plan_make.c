/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <base/error.h>

#include "plan_make.h"

/*
 * What recorded data say of the scan's size. Some know only how many frames there are: a single
 * row of them then.
 */
static void take_size(const json_t *info, struct plan_wish *a)
{
	const json_int_t frames = json_integer_value(json_object_get(info, "frames"));
	const json_int_t columns = json_integer_value(json_object_get(info, "scan_columns"));
	const json_int_t rows = json_integer_value(json_object_get(info, "scan_rows"));
	json_int_t positions;

	if (a->columns == 0 && columns > 0 && columns <= UINT16_MAX && rows > 0 &&
	    rows <= UINT16_MAX) {
		a->columns = (uint32_t)columns;
		a->rows = (uint32_t)rows;
	} else if (a->columns == 0 && frames > 0 && frames <= UINT16_MAX) {
		a->columns = (uint32_t)frames;
		a->rows = 1;
	}
	positions = (json_int_t)a->columns * a->rows;
	if (a->frames_per_position == 0 && positions > 0 && frames >= positions)
		a->frames_per_position = (uint64_t)(frames / positions);
}

static int add_board(struct scan_plan *plan, const struct client_member *m, bool first,
		     struct plan_wish *a, struct sluice_error *reterr)
{
	const json_int_t sector = json_integer_value(json_object_get(m->info, "sector"));
	struct sluice_geometry g;
	int ret = geometry_from_json(json_object_get(m->info, "geometry"), &g, reterr);

	if (ret < 0)
		return error_prefix(reterr, ret, "board %s", m->id);
	if (!first && memcmp(&g, &plan->geometry, sizeof(g)) != 0)
		return error_set(reterr, -EINVAL, "board %s is of another geometry than the others",
				 m->id);
	plan->geometry = g;
	if (sector < 0 || sector >= g.sectors)
		return error_set(reterr, -EINVAL,
				 "board %s reads sector %" JSON_INTEGER_FORMAT
				 ", but a frame has %u",
				 m->id, sector, g.sectors);
	if (plan->board[sector].id[0] != '\0')
		return error_set(reterr, -EINVAL,
				 "sector %" JSON_INTEGER_FORMAT " has two boards, %s and %s",
				 sector, plan->board[sector].id, m->id);
	(void)snprintf(plan->board[sector].id, SLUICE_WIRE_NAME_MAX, "%s", m->id);
	(void)snprintf(plan->board[sector].url, PLAN_URL_MAX, "%s", m->url);
	plan->board[sector].sector = (uint16_t)sector;
	take_size(m->info, a);
	return 0;
}

static void add_other(struct plan_member *list, unsigned int *count, const struct client_member *m)
{
	const char *endpoint = json_string_value(json_object_get(m->info, "endpoint"));

	if (*count == PLAN_MEMBERS_MAX || !endpoint)
		return;
	(void)snprintf(list[*count].id, SLUICE_WIRE_NAME_MAX, "%s", m->id);
	(void)snprintf(list[*count].endpoint, PLAN_ENDPOINT_MAX, "%s", endpoint);
	(void)snprintf(list[*count].url, PLAN_URL_MAX, "%s", m->url);
	(*count)++;
}

static int check_members(struct scan_plan *plan, struct sluice_error *reterr)
{
	if (plan->geometry.sectors == 0)
		return error_set(reterr, -ENODEV, "no board is registered: is sluiced running?");
	for (unsigned int s = 0; s < plan->geometry.sectors; s++) {
		if (plan->board[s].id[0] == '\0')
			return error_set(
				reterr, -ENODEV,
				"no board is registered for sector %u of %u: is its sluiced "
				"running?",
				s, plan->geometry.sectors);
	}
	plan->board_count = plan->geometry.sectors;
	if (plan->aggregator_count == 0)
		return error_set(reterr, -ENODEV,
				 "no aggregator is registered: is sluice-aggregator running?");
	if (plan->consumer_count == 0)
		return error_set(
			reterr, -ENODEV,
			"no consumer is registered in group %s: is sluice-counter running?",
			plan->group);
	return 0;
}

int plan_make(const struct plan_wish *wish, const struct client_members *members,
	      struct scan_plan *ret_plan, struct sluice_error *reterr)
{
	struct plan_wish filled = *wish, *a = &filled;
	struct scan_plan *plan = ret_plan;
	bool first = true;
	int ret = 0;

	plan->epoch = 1;
	plan->state = SCAN_ARMED;
	plan->policy = POLICY_BLOCK;
	plan->run_frames = (uint32_t)a->run_frames;
	plan->background = a->background;
	plan->xray = a->xray;
	(void)snprintf(plan->group, sizeof(plan->group), "%s", a->group);
	for (unsigned int i = 0; ret == 0 && i < members->count; i++) {
		const struct client_member *m = &members->member[i];

		if (m->kind == CLIENT_BOARD) {
			ret = add_board(plan, m, first, a, reterr);
			first = false;
		} else if (m->kind == CLIENT_AGGREGATOR) {
			add_other(plan->aggregator, &plan->aggregator_count, m);
		} else if (strcmp(m->group, a->group) == 0) {
			add_other(plan->consumer, &plan->consumer_count, m);
		}
	}
	if (ret == 0)
		ret = check_members(plan, reterr);
	if (ret < 0)
		return ret;
	if (a->columns == 0 || a->rows == 0)
		return error_set(reterr, -EINVAL,
				 "the boards follow any scan: say its size, --scan WxH");
	if (a->frames_per_position == 0)
		a->frames_per_position = 1;
	plan->scan_columns = a->columns;
	plan->scan_rows = a->rows;
	plan->frames_per_position = (uint32_t)a->frames_per_position;
	plan->frames_expected = (uint64_t)a->columns * a->rows * a->frames_per_position;
	if (plan->frames_expected > PLAN_FRAMES_MAX)
		return error_set(reterr, -ERANGE, "%" PRIu64 " frames; allowed: 1 to %d",
				 plan->frames_expected, PLAN_FRAMES_MAX);
	return 0;
}
