/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/clock.h>
#include <base/error.h>
#include <scan/ledger.h>

#include "support/fake_member.h"

enum {
	FRAMES = 8
};

/* On the member's threads, which are not cmocka's: assert() it is. */
static void enter(struct fake_member *fake)
{
	const unsigned int others = atomic_fetch_add(&fake->inside, 1);

	assert(others == 0);
	/* Long enough for another to come in, if it could. */
	(void)poll(NULL, 0, 1);
}

static void leave(struct fake_member *fake)
{
	(void)atomic_fetch_sub(&fake->inside, 1);
}

static int prepare(void *ctx, const struct scan_plan *plan, struct sluice_error *reterr)
{
	struct fake_member *fake = ctx;
	char line[64];
	int ret;

	enter(fake);
	(void)snprintf(line, sizeof(line), "prepare %u/%u", plan->scan, plan->epoch);
	watch_log_write(&fake->log, DIRECTORY_PUT, line, "", 0);
	(void)pthread_mutex_lock(&fake->lock);
	ret = fake->refuse < 0 ? error_set(reterr, fake->refuse, "%s", fake->why) : 0;
	(void)pthread_mutex_unlock(&fake->lock);
	leave(fake);
	return ret;
}

static void run(void *ctx, const struct scan_plan *plan)
{
	struct fake_member *fake = ctx;
	char line[64];

	enter(fake);
	(void)snprintf(line, sizeof(line), "run %u/%u", plan->scan, plan->epoch);
	watch_log_write(&fake->log, DIRECTORY_PUT, line, "", 0);
	leave(fake);
}

static void abort_scan(void *ctx, uint32_t scan)
{
	struct fake_member *fake = ctx;
	char line[64];

	enter(fake);
	(void)snprintf(line, sizeof(line), "abort %u", scan);
	watch_log_write(&fake->log, DIRECTORY_PUT, line, "", 0);
	leave(fake);
}

static void consumer(void *ctx, const char *group, const char *id, const char *endpoint)
{
	struct fake_member *fake = ctx;
	char line[256];

	enter(fake);
	(void)snprintf(line, sizeof(line), "consumer %s %s %s", group, id,
		       endpoint ? endpoint : "gone");
	watch_log_write(&fake->log, DIRECTORY_PUT, line, "", 0);
	leave(fake);
}

static void status(void *ctx, json_t *root)
{
	enter(ctx);
	(void)json_object_set_new(root, "mood", json_string("calm"));
	leave(ctx);
}

static void metrics(void *ctx, struct metrics *m)
{
	static const struct metric smiles = { "fake_smiles_total", "counter", "Smiles" };

	enter(ctx);
	metrics_u64(m, &smiles, NULL, 42);
	leave(ctx);
}

int fake_member_try(struct fake_member *fake, const struct fake_member_args *args,
		    struct sluice_error *reterr)
{
	static const struct member_ops deaf = { prepare, run, abort_scan, NULL, status, metrics };
	static const struct member_ops hearing = { prepare,  run,    abort_scan,
						   consumer, status, metrics };
	char url[1][DIRECTORY_URL_MAX] = { "" };
	struct member_entry entry = { 0 };
	struct member_args a = {
		.kind = args->kind,
		.entries = &entry,
		.entry_count = 1,
		.group = "counting",
		.listen = "127.0.0.1:0",
		.directory = { .kind = args->url ? DIRECTORY_ETCD : DIRECTORY_NONE,
			       .endpoints = (const char(*)[DIRECTORY_URL_MAX])url,
			       .endpoint_count = 1,
			       .instrument = "bench",
			       .lease_ttl_s = 2,
			       .timeout_ns = 5 * NS_PER_S },
		.ops = args->hears_consumers ? &hearing : &deaf,
		.ctx = fake,
		.closes_ledgers = args->closes_ledgers,
		.gone_ns = args->gone_ns,
	};

	*fake = (struct fake_member){ .log = WATCH_LOG_INIT, .lock = PTHREAD_MUTEX_INITIALIZER };
	(void)snprintf(entry.id, sizeof(entry.id), "%s", args->id);
	(void)snprintf(entry.info, sizeof(entry.info), "%s", args->info);
	if (args->url)
		(void)snprintf(url[0], sizeof(url[0]), "%s", args->url);
	return member_open(&a, &fake->member, reterr);
}

void fake_member_open(struct fake_member *fake, const struct fake_member_args *args)
{
	struct sluice_error error = { "" };

	if (fake_member_try(fake, args, &error) < 0)
		fail_msg("%s", error.text);
}

void fake_member_close(struct fake_member *fake)
{
	member_close(fake->member);
	fake->member = NULL;
}

void fake_member_expect(struct fake_member *fake, const char *line)
{
	char with_kind[WATCH_LOG_LINE_MAX];

	(void)snprintf(with_kind, sizeof(with_kind), "PUT %s ", line);
	watch_log_expect(&fake->log, with_kind);
}

void fake_member_refuse(struct fake_member *fake, int code, const char *why)
{
	(void)pthread_mutex_lock(&fake->lock);
	fake->refuse = code;
	(void)snprintf(fake->why, sizeof(fake->why), "%s", why);
	(void)pthread_mutex_unlock(&fake->lock);
}

void fake_plan(struct scan_plan *ret_plan, uint32_t scan, uint32_t epoch, enum scan_state state)
{
	*ret_plan = (struct scan_plan){
		.scan = scan,
		.epoch = epoch,
		.state = state,
		.scan_columns = FRAMES,
		.scan_rows = 1,
		.frames_per_position = 1,
		.frames_expected = FRAMES,
		.run_frames = 4,
		.geometry = { .sectors = 1, .rows = 4, .columns = 4, .pixel = SLUICE_PIXEL_U16 },
		.group = "counting",
		.board_count = 1,
		.aggregator_count = 1,
		.consumer_count = 1,
		.board = { { .id = "server/board0" } },
		.aggregator = { { .id = "agg0" } },
		.consumer = { { .id = "node0" } }
	};
}

void fake_plan_put(struct directory *directory, const struct scan_plan *plan)
{
	char *json = plan_encode(plan), key[PLAN_KEY_MAX];

	assert_non_null(json);
	scan_key(key, plan->scan, "plan");
	assert_int_equal(directory_put(directory, key, json, false, NULL), 0);
	free(json);
}

char *fake_half_board(uint32_t scan, unsigned int lost)
{
	const struct half_counts none = { 0 };
	struct tally *tally;
	char *json;

	assert_int_equal(tally_open(0, FRAMES, &tally), 0);
	(void)tally_set(tally, 0, lost, TALLY_LOST + SLUICE_LOSS_GAP);
	(void)tally_set(tally, lost, FRAMES - lost, TALLY_DELIVERED);
	json = half_encode_board(tally, "server/board0", scan, SCAN_DONE, &none);
	tally_close(tally);
	assert_non_null(json);
	return json;
}

char *fake_half_consumer(uint32_t scan, unsigned int blocks)
{
	const struct half_consumer half = { .scan = scan, .blocks = { blocks }, .frames = blocks };
	char *json = half_encode_consumer(&half, "node0");

	assert_non_null(json);
	return json;
}
