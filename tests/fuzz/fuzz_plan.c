/* SPDX-License-Identifier: MIT */
/* Any bytes in place of a plan, a half and a ledger: what the directory or HTTP may hold. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <scan/half.h>
#include <scan/ledger.h>
#include <scan/plan.h>
#include <sluice/error.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken can be written and taken again, the same. */
static void decode_plan(const char *text)
{
	static struct scan_plan plan, again;
	struct sluice_error error;
	char *json, *json_again;
	int ret;

	memset(&plan, 0, sizeof(plan));
	memset(&again, 0, sizeof(again));
	ret = plan_decode(text, &plan, &error);
	assert(ret == 0 || ret == -EBADMSG);
	if (ret < 0) {
		assert(memchr(error.text, '\0', sizeof(error.text)));
		return;
	}
	assert(sluice_geometry_ok(&plan.geometry));
	assert(plan.board_count == plan.geometry.sectors);
	assert(plan_route(&plan, plan_runs(&plan) - 1) < plan.aggregator_count);
	json = plan_encode(&plan);
	assert(json);
	ret = plan_decode(json, &again, NULL);
	assert(ret == 0);
	json_again = plan_encode(&again);
	assert(json_again);
	assert(strcmp(json, json_again) == 0);
	free(json_again);
	free(json);
}

/* The same bytes as the account of a board, and of a consumer. */
static void close_ledger(const char *text)
{
	static struct scan_plan plan;
	const struct ledger_half half[] = { { "board", text }, { "consumer", text } };
	struct ledger ledger, again;
	struct sluice_error error;
	char *json = NULL;
	int ret;

	plan.scan = 1;
	plan.frames_expected = 64;
	plan.run_frames = 16;
	plan.board_count = 1;
	(void)strcpy(plan.board[0].id, "board");
	/* Text that is both, first; then as a board's only. */
	for (unsigned int count = 2; count > 0 && !json; count--) {
		ret = ledger_close(&plan, half, count, &ledger, &json, &error);
		assert(ret == 0 || ret == -EBADMSG);
	}
	if (!json)
		return;
	assert(ledger.closed == (ledger.why[0] == '\0'));
	ret = ledger_decode(json, &again, NULL);
	assert(ret == 0);
	assert(again.closed == ledger.closed);
	assert(again.frames_lost == ledger.frames_lost);
	free(json);
}

static void decode_ledger(const char *text)
{
	struct ledger ledger;

	if (ledger_decode(text, &ledger, NULL) < 0)
		return;
	assert(ledger.sectors <= SLUICE_SECTORS_MAX);
	assert(memchr(ledger.why, '\0', sizeof(ledger.why)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	decode_plan(text);
	close_ledger(text);
	decode_ledger(text);
	free(text);
	return 0;
}
