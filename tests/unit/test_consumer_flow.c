/* SPDX-License-Identifier: MIT */
/* Runs that come as they should: what next(), ack() and drop() promise. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "consumer_fixture.h"

#include <directory/fetch.h>

/* Frames, masks, times, pixels: as they were sent, in place and assembled. */
static void check_frames(struct sluice_run *run, uint32_t mask)
{
	const uint64_t number = sluice_run_number(run);

	assert_int_equal(sluice_run_frames(run), run_frames_of(number));
	for (unsigned int i = 0; i < sluice_run_frames(run); i++) {
		uint16_t image[SECTORS * SECTOR_PIXELS];
		struct sluice_frame frame;

		assert_int_equal(sluice_run_frame(run, i, &frame), 0);
		assert_int_equal(frame.frame, number * RUN_FRAMES + i);
		assert_int_equal(frame.sector_mask, mask);
		assert_int_equal(frame.timestamp_ns, mask ? frame.frame * 10 + 5 : 0);
		assert_int_equal(frame.flags, mask ? SLUICE_BLOCK_PATTERN_COUNTER : 0);
		sluice_frame_assemble(sluice_run_scan(run), &frame, image);
		for (unsigned int s = 0; s < SECTORS; s++) {
			assert_true(!(mask >> s & 1) == !frame.sector[s]);
			for (unsigned int p = 0; p < SECTOR_PIXELS; p++)
				assert_int_equal(image[s * SECTOR_PIXELS + p],
						 mask >> s & 1 ? pixel_of(frame.frame, s, p) : 0);
		}
	}
}

static bool half_has(struct fixture *f, const char *text)
{
	char url[256], *body = NULL;
	const struct fetch request = { .method = "GET", .url = url, .timeout_ns = DEADLINE_NS };
	unsigned int status = 0;
	bool has;

	(void)snprintf(url, sizeof(url), "%s/api/v1/half?scan=%d", sluice_consumer_url(f->consumer),
		       SCAN);
	assert_int_equal(fetch(&request, &status, &body, NULL), 0);
	assert_int_equal(status, 200);
	has = strstr(body, text) != NULL;
	free(body);
	return has;
}

static void test_a_scan_from_begin_to_commit(void **state)
{
	struct sluice_error error = { "" };
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	for (uint64_t run = 0; run < RUNS; run++) {
		struct sluice_run *got;

		send_run(&f.a, run);
		got = expect_run(&f, run);
		check_frames(got, 3);
		assert_int_equal(sluice_run_scan(got)->scan, SCAN);
		assert_false(acked(&f.a, run, 0));
		assert_int_equal(sluice_consumer_ack(f.consumer, got, 10), 0);
		pump_until(&f, run_acked_a, run);
	}
	assert_int_equal(sluice_consumer_set_part(f.consumer, SCAN, "/data/scan7.part"), 0);
	/* Not ended yet, and another scan is not known at all. */
	assert_int_equal(sluice_consumer_commit(f.consumer, SCAN, &error), -ENOENT);
	assert_int_equal(sluice_consumer_set_part(f.consumer, SCAN + 1, "x"), -ENOENT);
	send_end(&f.a, 0);
	expect_end(&f, 0);
	assert_false(half_has(&f, "blocks"));
	assert_int_equal(sluice_consumer_commit(f.consumer, SCAN, &error), 0);
	assert_true(half_has(&f, "\\\"frames\\\":18"));
	assert_true(half_has(&f, "\\\"events\\\":50"));
	assert_true(half_has(&f, "/data/scan7.part"));
	expect_nothing(&f);
	assert_int_equal(f.a.rejects, 0);
	assert_int_equal(f.a.nacks, 0);
	fixture_close(&f);
}

static void test_a_frame_beyond_the_run_is_refused(void **state)
{
	struct sluice_frame frame;
	struct sluice_run *run;
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	send_run(&f.a, RUNS - 1); /* the short one */
	run = expect_run(&f, RUNS - 1);
	assert_int_equal(sluice_run_frame(run, 2, &frame), -ERANGE);
	assert_int_equal(sluice_consumer_ack(f.consumer, run, 0), 0);
	fixture_close(&f);
}

static void test_a_void_sector_is_missing_from_the_mask(void **state)
{
	struct chunk chunk = { .run = 1, .flags = SLUICE_WIRE_LAST_PART, .count = RUN_FRAMES };
	struct sluice_run *run;
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	chunk.sector = 1;
	chunk.count = 0;
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	run = expect_run(&f, 1);
	check_frames(run, 1);
	assert_int_equal(sluice_consumer_ack(f.consumer, run, 0), 0);
	pump_until(&f, run_acked_a, 1);
	assert_int_equal(stat_of(&f.consumer->stats.frames_incomplete), RUN_FRAMES);
	fixture_close(&f);
}

static void test_parts_make_up_a_sector(void **state)
{
	struct chunk chunk = { .run = 0, .count = 1 };
	struct sluice_run *run;
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	for (unsigned int s = 0; s < SECTORS; s++) {
		chunk.sector = s;
		for (unsigned int part = 0; part < RUN_FRAMES; part++) {
			chunk.part = chunk.first = part;
			chunk.flags = 0;
			assert_int_equal(send_chunk(&f.a, &chunk), 0);
		}
	}
	/* Every block is there, but not the word that no more will come. */
	expect_nothing(&f);
	for (unsigned int s = 0; s < SECTORS; s++) {
		const struct chunk last = {
			.run = 0, .sector = s, .part = RUN_FRAMES, .flags = SLUICE_WIRE_LAST_PART
		};

		assert_int_equal(send_chunk(&f.a, &last), 0);
	}
	run = expect_run(&f, 0);
	check_frames(run, 3);
	assert_int_equal(sluice_consumer_ack(f.consumer, run, 0), 0);
	/* All parts of a (run, sector) took one credit, and gave one back. */
	pump_until(&f, credit_is_a, WINDOW * SECTORS);
	fixture_close(&f);
}

/* Memory is bounded: what is not acknowledged takes credit until it is. */
static void test_the_window_bounds_what_is_here(void **state)
{
	struct sluice_run *run[WINDOW];
	struct chunk chunk = { .run = WINDOW, .flags = SLUICE_WIRE_LAST_PART, .count = RUN_FRAMES };
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	for (uint64_t i = 0; i < WINDOW; i++)
		send_run(&f.a, i);
	for (uint64_t i = 0; i < WINDOW; i++)
		run[i] = expect_run(&f, i);
	pump_until(&f, credit_is_a, 0);
	assert_int_equal(send_chunk(&f.a, &chunk), -EAGAIN);
	pump_never(&f, credit_is_a, 1, SHORT_NS);
	assert_int_equal(sluice_consumer_ack(f.consumer, run[1], 0), 0);
	pump_until(&f, credit_is_a, SECTORS);
	send_run(&f.a, WINDOW);
	assert_int_equal(sluice_consumer_ack(f.consumer, run[0], 0), 0);
	assert_int_equal(sluice_consumer_ack(f.consumer, run[2], 0), 0);
	assert_int_equal(sluice_consumer_ack(f.consumer, expect_run(&f, WINDOW), 0), 0);
	pump_until(&f, credit_is_a, WINDOW * SECTORS);
	assert_int_equal(stat_of(&f.consumer->stats.runs_assembling), 0);
	assert_int_equal(stat_of(&f.consumer->stats.runs_ready), 0);
	assert_int_equal(stat_of(&f.consumer->stats.runs_in_hand), 0);
	fixture_close(&f);
}

/* A caller that keeps frames gets as many runs as hold them, be the window smaller. */
static void test_the_window_holds_the_frames_that_are_kept(void **state)
{
	struct sluice_consumer_args args = SLUICE_CONSUMER_ARGS_INIT;
	struct fixture f = { 0 };

	(void)state;
	args.window_runs = 1;
	args.window_frames = RUN_FRAMES + 1;
	assert_int_equal(sluice_consumer_open(&args, &f.consumer, NULL), 0);
	aggregator_open(&f, &f.a, "agg0");
	send_begin(&f.a, 0, 1);
	expect_begin(&f, 0);
	pump_until(&f, credit_is_a, 2 * SECTORS);
	pump_never(&f, credit_is_a, 2 * SECTORS + 1, SHORT_NS);
	fixture_close(&f);
}

static void test_credit_is_the_same_after_many_scans(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	for (uint32_t scan = SCAN;; scan++) {
		struct chunk chunk = { .scan = scan, .flags = SLUICE_WIRE_LAST_PART, .count = 1 };

		for (chunk.sector = 0; chunk.sector < SECTORS; chunk.sector++)
			assert_int_equal(send_chunk(&f.a, &chunk), 0);
		assert_int_equal(sluice_consumer_ack(f.consumer, expect_run(&f, 0), 0), 0);
		pump_until(&f, credit_is_a, WINDOW * SECTORS);
		send_end(&f.a, scan);
		expect_end(&f, scan);
		if (scan == SCAN + 9) /* more than there are slots for scans */
			break;
		send_begin(&f.a, scan + 1, 1);
		expect_begin(&f, scan + 1);
	}
	pump_never(&f, credit_is_a, WINDOW * SECTORS + 1, SHORT_NS);
	assert_int_equal(stat_of(&f.consumer->stats.bad_scans), 0);
	fixture_close(&f);
}

static void test_a_number_can_be_used_again_after_its_end(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	for (unsigned int i = 0; i < 3; i++) {
		send_run(&f.a, 0);
		assert_int_equal(sluice_consumer_ack(f.consumer, expect_run(&f, 0), 0), 0);
		pump_until(&f, credit_is_a, WINDOW * SECTORS);
		send_end(&f.a, 0);
		expect_end(&f, 0);
		assert_int_equal(sluice_consumer_commit(f.consumer, SCAN, NULL), 0);
		send_begin(&f.a, 0, 1);
		expect_begin(&f, 0);
	}
	fixture_close(&f);
}

static void test_the_end_waits_for_every_aggregator_and_run(void **state)
{
	struct sluice_run *run;
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	aggregator_open(&f, &f.a, "agg0");
	aggregator_open(&f, &f.b, "agg1");
	send_begin(&f.a, 0, 2);
	expect_begin(&f, 0);
	send_begin(&f.b, 0, 2);
	pump_until(&f, credit_is_a, WINDOW * SECTORS);
	expect_nothing(&f); /* told once */
	send_run(&f.a, 0);
	run = expect_run(&f, 0);
	send_end(&f.a, 0);
	send_end(&f.a, 0); /* says so twice, counts once */
	expect_nothing(&f);
	send_end(&f.b, 0);
	expect_nothing(&f); /* a run is in hand */
	assert_int_equal(sluice_consumer_ack(f.consumer, run, 0), 0);
	expect_end(&f, 0);
	pump_until(&f, run_acked_a, 0);
	assert_int_equal(f.b.acks, 0); /* to the one it came from */
	fixture_close(&f);
}

static void test_a_dropped_run_comes_again(void **state)
{
	struct sluice_run *run;
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	send_run(&f.a, 2);
	assert_int_equal(sluice_consumer_drop(f.consumer, expect_run(&f, 2)), 0);
	pump_until(&f, run_nacked_a, 2);
	pump_until(&f, credit_is_a, WINDOW * SECTORS);
	send_run(&f.a, 2);
	run = expect_run(&f, 2);
	check_frames(run, 3);
	assert_int_equal(sluice_consumer_ack(f.consumer, run, 0), 0);
	pump_until(&f, run_acked_a, 2);
	assert_int_equal(stat_of(&f.consumer->stats.frames), RUN_FRAMES);
	fixture_close(&f);
}

/* ---- a scan in one call -------------------------------------------------------------------- */

struct taker {
	struct sluice_consumer *consumer;
	pthread_t thread;
	uint64_t refuse; /* this frame; UINT64_MAX: none */
	uint64_t frames;
	uint32_t scan, masks; /* of all frames together */
	struct sluice_error error;
	int ret;
};

static int take_frame(void *ctx, const struct sluice_scan *scan, const struct sluice_frame *frame)
{
	struct taker *taker = ctx;

	if (frame->frame == taker->refuse)
		return -EIO;
	taker->frames++;
	taker->scan |= scan->scan;
	taker->masks |= frame->sector_mask;
	return 1; /* as printf() does */
}

static void *take(void *arg)
{
	struct taker *taker = arg;

	taker->ret = sluice_consumer_take_scan(taker->consumer, take_frame, taker, &taker->error);
	return NULL;
}

static void taker_start(struct taker *taker, const struct fixture *f, uint64_t refuse)
{
	*taker = (struct taker){ .consumer = f->consumer, .refuse = refuse };
	assert_int_equal(pthread_create(&taker->thread, NULL, take, taker), 0);
}

static int taker_join(struct taker *taker)
{
	assert_int_equal(pthread_join(taker->thread, NULL), 0);
	return taker->ret;
}

static void test_a_scan_is_taken_in_one_call(void **state)
{
	struct taker taker;
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	taker_start(&taker, &f, UINT64_MAX);
	send_run(&f.a, 0);
	send_run(&f.a, RUNS - 1); /* the short one */
	pump_until(&f, run_acked_a, 0);
	pump_until(&f, run_acked_a, RUNS - 1);
	send_end(&f.a, 0);
	assert_int_equal(taker_join(&taker), 0);
	assert_int_equal(taker.frames, run_frames_of(0) + run_frames_of(RUNS - 1));
	assert_int_equal(taker.scan, SCAN);
	assert_int_equal(taker.masks, 3);
	assert_true(half_has(&f, "blocks")); /* it was committed */
	fixture_close(&f);
}

static void test_a_frame_that_cannot_be_worked_on_comes_again(void **state)
{
	struct taker taker;
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	taker_start(&taker, &f, RUN_FRAMES + 1);
	send_run(&f.a, 1);
	assert_int_equal(taker_join(&taker), -EIO);
	assert_non_null(strstr(taker.error.text, "run 1"));
	assert_int_equal(taker.frames, 1);
	pump_until(&f, run_nacked_a, 1);
	/* The rest of the scan is the next call's. */
	taker_start(&taker, &f, UINT64_MAX);
	send_run(&f.a, 1);
	pump_until(&f, run_acked_a, 1);
	sluice_consumer_stop(f.consumer);
	assert_int_equal(taker_join(&taker), -ECANCELED);
	assert_int_equal(taker.frames, RUN_FRAMES);
	fixture_close(&f);
}

static void *wait_in_next(void *arg)
{
	struct sluice_consumer *consumer = arg;
	struct sluice_scan scan;
	struct sluice_run *run;

	return (void *)(intptr_t)sluice_consumer_next(consumer, UINT64_MAX, &run, &scan);
}

static void test_stop_wakes_every_next_for_good(void **state)
{
	struct sluice_run *run;
	struct sluice_scan scan;
	pthread_t thread[3];
	struct fixture f;
	void *ret;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	send_run(&f.a, 0);
	run = expect_run(&f, 0);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, wait_in_next, f.consumer), 0);
	sluice_consumer_stop(f.consumer);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(thread[i], &ret), 0);
		assert_int_equal((intptr_t)ret, -ECANCELED);
	}
	/* A run that is ready is not handed out any more; one in hand is still taken. */
	assert_int_equal(sluice_consumer_ack(f.consumer, run, 0), 0);
	pump_until(&f, run_acked_a, 0);
	assert_int_equal(sluice_consumer_next(f.consumer, 0, &run, &scan), -ECANCELED);
	fixture_close(&f);
}

/* In assembly, ready, in hand and just acknowledged: nothing is left behind. */
static void test_close_with_runs_everywhere(void **state)
{
	const struct chunk chunk = { .run = 2, .count = 1 };
	struct sluice_run *run, *kept;
	struct sluice_frame frame;
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	send_run(&f.a, 0);
	kept = expect_run(&f, 0);
	assert_int_equal(sluice_run_frame(kept, 0, &frame), 0);
	send_run(&f.a, 1);
	run = expect_run(&f, 1);
	assert_int_equal(send_chunk(&f.a, &chunk), 0);
	send_begin(&f.a, SCAN + 1, 1); /* waits behind the chunk for next() */
	assert_int_equal(sluice_consumer_ack(f.consumer, run, 0), 0);
	fixture_close(&f);
}

struct worker {
	struct sluice_consumer *consumer;
	pthread_t thread;
	unsigned int runs, ends;
};

static void *take_runs(void *arg)
{
	struct worker *w = arg;

	for (;;) {
		struct sluice_scan scan;
		struct sluice_run *run;
		const int next = sluice_consumer_next(w->consumer, DEADLINE_NS, &run, &scan);

		if (next == SLUICE_NEXT_RUN) {
			check_frames(run, 3);
			(void)sluice_consumer_ack(w->consumer, run, 1);
			w->runs++;
		} else if (next == SLUICE_NEXT_SCAN_END) {
			w->ends++;
			sluice_consumer_stop(w->consumer);
		} else if (next < 0) {
			return NULL;
		}
	}
}

static bool has_room_a(const struct fixture *f, uint64_t arg)
{
	return link_sender_credit(f->a.link) >= arg;
}

static void test_several_threads_share_the_runs(void **state)
{
	struct worker w[3] = { { 0 } };
	unsigned int runs = 0, ends = 0;
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	for (unsigned int i = 0; i < 3; i++) {
		w[i].consumer = f.consumer;
		assert_int_equal(pthread_create(&w[i].thread, NULL, take_runs, &w[i]), 0);
	}
	for (uint64_t run = 0; run < RUNS; run++) {
		pump_until(&f, has_room_a, SECTORS);
		send_run(&f.a, run);
	}
	for (uint64_t run = 0; run < RUNS; run++)
		pump_until(&f, run_acked_a, run);
	send_end(&f.a, 0);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(w[i].thread, NULL), 0);
		runs += w[i].runs;
		ends += w[i].ends;
	}
	assert_int_equal(runs, RUNS);
	assert_int_equal(ends, 1);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_scan_from_begin_to_commit),
		cmocka_unit_test(test_a_frame_beyond_the_run_is_refused),
		cmocka_unit_test(test_a_void_sector_is_missing_from_the_mask),
		cmocka_unit_test(test_parts_make_up_a_sector),
		cmocka_unit_test(test_the_window_bounds_what_is_here),
		cmocka_unit_test(test_the_window_holds_the_frames_that_are_kept),
		cmocka_unit_test(test_credit_is_the_same_after_many_scans),
		cmocka_unit_test(test_a_number_can_be_used_again_after_its_end),
		cmocka_unit_test(test_the_end_waits_for_every_aggregator_and_run),
		cmocka_unit_test(test_a_dropped_run_comes_again),
		cmocka_unit_test(test_a_scan_is_taken_in_one_call),
		cmocka_unit_test(test_a_frame_that_cannot_be_worked_on_comes_again),
		cmocka_unit_test(test_stop_wakes_every_next_for_good),
		cmocka_unit_test(test_close_with_runs_everywhere),
		cmocka_unit_test(test_several_threads_share_the_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
