/* SPDX-License-Identifier: MIT */
/* The sample frames of a scan: what one consumer takes, shares, and waits for from others. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <base/clock.h>
#include <base/error.h>
#include <consume/counter.h>

enum {
	ROWS = 4,
	COLUMNS = 64,
	PIXELS = ROWS * COLUMNS,
	SCAN = 7,
	NOTES_MAX = 32,
};

/* ---- the library, and the rest of the program ---------------------------------------------- */

struct sluice_run {
	uint64_t number;
	uint32_t mask; /* sectors of each of its frames; two are all */
};

static struct counter counter, other; /* two consumers */
static struct counter_worker worker;
static struct counter_scan *scan;
static uint16_t image[PIXELS];
static const void *row[ROWS];
static uint64_t time_ns;
static int share_ret;

/* What was shared, by whomever. */
static struct note {
	char name[32];
	char *text;
} note[NOTES_MAX];
static unsigned int notes;

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
	if (clock != CLOCK_MONOTONIC)
		return __real_clock_gettime(clock, time);
	*time = (struct timespec){ .tv_sec = (time_t)(time_ns / NS_PER_S),
				   .tv_nsec = (long)(time_ns % NS_PER_S) };
	return 0;
}

uint64_t sluice_run_number(const struct sluice_run *run)
{
	return run->number;
}

int sluice_run_frame(struct sluice_run *run, unsigned int index, struct sluice_frame *ret_frame)
{
	assert_true(index < scan->info.run_frames);
	*ret_frame = (struct sluice_frame){ .frame = run->number * scan->info.run_frames + index,
					    .sector_mask = run->mask };
	return 0;
}

static struct note *find_note(const char *name)
{
	for (unsigned int i = 0; i < notes; i++) {
		if (strcmp(note[i].name, name) == 0)
			return &note[i];
	}
	return NULL;
}

int sluice_consumer_share(struct sluice_consumer *consumer, uint32_t number, const char *name,
			  const char *value, struct sluice_error *reterr)
{
	(void)consumer;
	assert_int_equal(number, SCAN);
	assert_true(strlen(value) < SLUICE_SHARED_TEXT_MAX);
	if (share_ret < 0)
		return error_set(reterr, share_ret, "not now");
	if (find_note(name))
		return 0;
	assert_true(notes < NOTES_MAX);
	(void)snprintf(note[notes].name, sizeof(note[notes].name), "%s", name);
	note[notes].text = strdup(value);
	assert_non_null(note[notes++].text);
	return 0;
}

int sluice_consumer_shared(struct sluice_consumer *consumer, uint32_t number, const char *name,
			   char *dst, size_t size, struct sluice_error *reterr)
{
	const struct note *found = find_note(name);

	(void)consumer;
	(void)reterr;
	assert_int_equal(number, SCAN);
	if (!found)
		return -EAGAIN;
	assert_true(strlen(found->text) < size);
	(void)snprintf(dst, size, "%s", found->text);
	return 0;
}

int counter_worker_setup(struct counter_worker *w, const struct counter_scan *s)
{
	(void)w;
	(void)s;
	return 0;
}

/* Of each frame: one pixel of its number, one far off, the rest about 20. */
struct count_image counter_frame_image(struct counter_worker *w, const struct sluice_scan *info,
				       const struct sluice_frame *frame)
{
	(void)w;
	(void)info;
	for (unsigned int i = 0; i < PIXELS; i++)
		image[i] = (uint16_t)(16 + __builtin_popcount((i * 2654435761u) >> 24));
	image[0] = (uint16_t)(1000 + frame->frame);
	for (unsigned int r = 0; r < ROWS; r++)
		row[r] = image + (size_t)r * COLUMNS;
	return (struct count_image){ .row = row, .rows = ROWS, .columns = COLUMNS };
}

/* ---- two consumers ------------------------------------------------------------------------- */

static struct counter_scan *begin(struct counter *c, uint32_t run_frames, uint64_t frames)
{
	struct counter_scan *s = &c->scan[0];

	*s = (struct counter_scan){
		.scan = SCAN,
		.serial = 1,
		.info = { .scan = SCAN,
			  .run_frames = run_frames,
			  .frames_expected = frames,
			  .geometry = { .sectors = 2, .rows = ROWS / 2, .columns = COLUMNS } },
	};
	return s;
}

static void begin_both(uint32_t run_frames, uint64_t frames)
{
	scan = begin(&counter, run_frames, frames);
	(void)begin(&other, run_frames, frames);
}

static int setup(void **state)
{
	(void)state;
	counter = (struct counter){ .config = { .seed = 1 } };
	other = (struct counter){ .config = { .seed = 1 } };
	share_ret = 0;
	time_ns = NS_PER_S;
	begin_both(16, 64);
	return pthread_mutex_init(&counter.lock, NULL) + pthread_mutex_init(&other.lock, NULL);
}

static int teardown(void **state)
{
	(void)state;
	counter_sample_free(&counter.scan[0]);
	counter_sample_free(&other.scan[0]);
	for (; notes > 0; notes--)
		free(note[notes - 1].text);
	return pthread_mutex_destroy(&counter.lock) + pthread_mutex_destroy(&other.lock);
}

static void take(struct counter *c, uint64_t number, uint32_t mask)
{
	struct sluice_run run = { .number = number, .mask = mask };

	worker.counter = c;
	assert_int_equal(counter_sample_take(&worker, &c->scan[0], &run), 0);
}

static struct counter_look look_of(struct counter *c)
{
	return (struct counter_look){ .slot = &c->scan[0], .serial = 1, .info = c->scan[0].info };
}

static enum sample_state look(struct counter *c)
{
	const struct counter_look what = look_of(c);
	struct sluice_error error = { 0 };
	bool complete;

	return counter_sample_look(c, &what, &complete, &error);
}

/* The fit that @c makes is to so many frames. */
static struct threshold fit(struct counter *c, unsigned int frames)
{
	const struct counter_look what = look_of(c);
	struct sluice_error error = { 0 };
	struct threshold t = { 0 };
	bool complete;

	assert_int_equal(counter_sample_look(c, &what, &complete, &error), SAMPLES_OURS);
	if (counter_sample_fit(c, &what, complete, &t, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(t.samples, frames);
	return t;
}

/* ---- the tests ----------------------------------------------------------------------------- */

static void test_as_many_runs_as_hold_twenty_frames(void **state)
{
	const struct {
		uint32_t run_frames;
		uint64_t frames;
		unsigned int runs;
	} want[] = { { 16, 64, 2 }, { 16, 10, 1 }, { 20, 64, 1 }, { 64, 64, 1 }, { 1, 64, 20 } };

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		begin_both(want[i].run_frames, want[i].frames);
		assert_int_equal(counter_sample_runs(&scan->info), want[i].runs);
		for (uint64_t run = 0; run < want[i].runs; run++)
			take(&counter, run, 3);
		(void)fit(&counter, want[i].frames < 20 ? (unsigned int)want[i].frames : 20);
		counter_sample_free(scan);
	}
}

static void test_where_all_are_here_nothing_is_shared(void **state)
{
	(void)state;
	take(&counter, 1, 3);
	take(&counter, 0, 3);
	take(&counter, 2, 3); /* no sample run */
	(void)fit(&counter, 20);
	assert_int_equal(notes, 0);
	assert_int_equal(look(&other), SAMPLES_MISSING); /* it has none, and waits for the fit */
	assert_int_equal(notes, 0);
}

/* One that has it all, and two that have a part each. */
static void test_shared_samples_give_the_same_fit(void **state)
{
	struct threshold alone, shared;

	(void)state;
	take(&counter, 0, 3);
	take(&counter, 1, 3);
	alone = fit(&counter, 20);
	counter_sample_free(scan);
	begin_both(16, 64);
	take(&other, 1, 3);
	assert_int_equal(look(&other), SAMPLES_MISSING);
	take(&counter, 0, 3);
	shared = fit(&counter, 20);
	assert_memory_equal(&alone, &shared, sizeof(alone));
	/* The other leaves it to the one that has the first. */
	assert_int_equal(look(&other), SAMPLES_OTHERS);
}

/* Each of them has been told of all the rest before the last one comes. */
static void test_the_last_one_is_told_too(void **state)
{
	(void)state;
	begin_both(8, 64);
	take(&counter, 0, 3);
	assert_int_equal(look(&counter), SAMPLES_MISSING);
	take(&other, 1, 3);
	assert_int_equal(look(&other), SAMPLES_MISSING);
	take(&other, 2, 3);
	assert_int_equal(look(&other), SAMPLES_OTHERS);
	(void)fit(&counter, 20);
}

static void test_what_does_not_come_is_waited_for_and_then_done_without(void **state)
{
	struct threshold t;

	(void)state;
	take(&counter, 0, 3);
	assert_int_equal(look(&counter), SAMPLES_MISSING);
	time_ns += SAMPLES_KNOWN_NS - 1;
	assert_int_equal(look(&counter), SAMPLES_MISSING);
	time_ns += 1;
	t = fit(&counter, scan->sample[0].frames);
	assert_true(t.samples > 0 && t.samples < 20);
}

/* Its holder shared it, died, and the run came here. */
static void test_a_run_that_comes_from_the_dead_is_ours(void **state)
{
	(void)state;
	take(&other, 0, 3);
	assert_int_equal(look(&other), SAMPLES_MISSING);
	take(&counter, 1, 3);
	assert_int_equal(look(&counter), SAMPLES_OTHERS);
	take(&counter, 0, 3);
	(void)fit(&counter, 20);
}

static void test_lost_samples_are_said_to_be_lost(void **state)
{
	(void)state;
	take(&other, 0, 0);
	take(&counter, 1, 0);
	assert_int_equal(look(&counter), SAMPLES_MISSING);
	assert_int_equal(look(&other), SAMPLES_EMPTY);
	assert_int_equal(look(&counter), SAMPLES_EMPTY);
}

static void test_whole_frames_alone_serve_where_there_are_any(void **state)
{
	(void)state;
	take(&counter, 0, 1);
	take(&counter, 1, 3);
	(void)fit(&counter, scan->sample[1].frames);
	assert_int_equal(scan->sample[0].frames + scan->sample[1].frames, 20);
}

static void test_another_seed_is_named(void **state)
{
	const struct counter_look what = look_of(&counter);
	struct sluice_error error = { 0 };
	bool complete;

	(void)state;
	other.config.seed = 12;
	take(&other, 1, 3);
	assert_int_equal(look(&other), SAMPLES_MISSING);
	take(&counter, 0, 3);
	assert_int_equal(counter_sample_look(&counter, &what, &complete, &error), SAMPLES_BAD);
	assert_non_null(strstr(error.text, "seed 12"));
}

static void test_what_is_no_sample_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"{\"seed\":1,\"frames\":21,\"complete\":true,\"values\":[]}",
		"{\"seed\":1,\"frames\":-1,\"complete\":true,\"values\":[]}",
		"{\"seed\":1,\"frames\":1,\"complete\":true,\"values\":5}",
		"{\"seed\":1,\"frames\":1,\"complete\":true,\"values\":[[5,\"x\"]]}",
		"{\"seed\":1,\"frames\":1,\"complete\":true,\"values\":[[\"x\",5]]}",
		"{\"seed\":1,\"frames\":1,\"complete\":true,\"values\":[[5,-5]]}",
		"{\"seed\":1,\"frames\":1,\"complete\":true,\"values\":[[5,257]]}",
		"{\"seed\":1,\"frames\":1,\"complete\":true,\"values\":[[5,200],[7,57]]}",
		"{\"seed\":1,\"frames\":1,\"complete\":true,\"values\":[[65535,1,1]]}",
		"{\"seed\":1,\"frames\":1,\"complete\":true,\"values\":[[-40000,1]]}",
		"{\"seed\":1,\"frames\":1,\"complete\":true,\"values\":[[9223372036854775807,1,1]]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct counter_look what = look_of(&counter);
		struct sluice_error error = { 0 };
		enum sample_state got;
		struct threshold t;
		bool complete;

		begin_both(16, 64);
		assert_int_equal(sluice_consumer_share(NULL, SCAN, "sample-1", bad[i], NULL), 0);
		take(&counter, 0, 3);
		got = counter_sample_look(&counter, &what, &complete, &error);
		if (got != SAMPLES_BAD &&
		    (got != SAMPLES_OURS ||
		     counter_sample_fit(&counter, &what, complete, &t, &error) != -EBADMSG))
			fail_msg("taken: %s", bad[i]);
		assert_true(error.text[0] != '\0');
		counter_sample_free(scan);
		for (; notes > 0; notes--)
			free(note[notes - 1].text);
	}
}

/* What cannot be shared now is shared later. */
static void test_a_directory_that_is_away_is_waited_for(void **state)
{
	(void)state;
	take(&other, 1, 3);
	share_ret = -ETIMEDOUT;
	assert_int_equal(look(&other), SAMPLES_MISSING);
	assert_int_equal(notes, 0);
	share_ret = 0;
	assert_int_equal(look(&other), SAMPLES_MISSING);
	assert_int_equal(notes, 1);
}

/* Its slot serves another scan by now. */
static void test_a_scan_that_is_over_gets_nothing(void **state)
{
	const struct counter_look what = look_of(&counter);
	struct threshold t;
	bool complete;

	(void)state;
	take(&other, 1, 3);
	(void)look(&other);
	take(&counter, 0, 3);
	scan->serial = 2;
	assert_int_equal(counter_sample_look(&counter, &what, &complete, NULL), SAMPLES_MISSING);
	assert_null(scan->sample[1].text);
	assert_null(find_note("sample-0"));
	assert_int_equal(counter_sample_fit(&counter, &what, true, &t, NULL), -ENOENT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_as_many_runs_as_hold_twenty_frames),
		TEST(test_where_all_are_here_nothing_is_shared),
		TEST(test_shared_samples_give_the_same_fit),
		TEST(test_the_last_one_is_told_too),
		TEST(test_what_does_not_come_is_waited_for_and_then_done_without),
		TEST(test_a_run_that_comes_from_the_dead_is_ours),
		TEST(test_lost_samples_are_said_to_be_lost),
		TEST(test_whole_frames_alone_serve_where_there_are_any),
		TEST(test_another_seed_is_named),
		TEST(test_what_is_no_sample_is_refused),
		TEST(test_a_directory_that_is_away_is_waited_for),
		TEST(test_a_scan_that_is_over_gets_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
