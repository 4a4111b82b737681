/* SPDX-License-Identifier: MIT */
/* The scans of sluice-counter: a slot that is used again, and halves that are published late. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <base/clock.h>
#include <base/error.h>
#include <consume/counter.h>

/* ---- the library, and the rest of the program ---------------------------------------------- */

struct sluice_run {
	struct sluice_scan info;
};

static struct counter counter;
static struct counter_worker worker = { .counter = &counter };
static struct sluice_run first = { .info = { .scan = 7 } }, second = { .info = { .scan = 8 } };
static const char *shared;          /* the answer of sluice_consumer_shared() */
static void (*while_looking)(void); /* what happens meanwhile */
static int commit_ret;
static unsigned int commits, dropped;
static uint64_t time_ns;

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

const struct sluice_scan *sluice_run_scan(const struct sluice_run *run)
{
	return &run->info;
}

uint64_t sluice_run_number(const struct sluice_run *run)
{
	(void)run;
	return 1;
}

unsigned int sluice_run_frames(const struct sluice_run *run)
{
	(void)run;
	return 0;
}

int sluice_run_frame(struct sluice_run *run, unsigned int index, struct sluice_frame *ret_frame)
{
	(void)run;
	(void)index;
	(void)ret_frame;
	return -ERANGE;
}

int sluice_consumer_drop(struct sluice_consumer *consumer, struct sluice_run *run)
{
	(void)consumer;
	(void)run;
	dropped++;
	return 0;
}

bool sluice_consumer_aborted(struct sluice_consumer *consumer, uint32_t scan)
{
	(void)consumer;
	(void)scan;
	return false;
}

int sluice_consumer_set_part(struct sluice_consumer *consumer, uint32_t scan, const char *path)
{
	(void)consumer;
	(void)scan;
	(void)path;
	return 0;
}

int sluice_consumer_commit(struct sluice_consumer *consumer, uint32_t scan,
			   struct sluice_error *reterr)
{
	(void)consumer;
	(void)scan;
	commits++;
	return commit_ret < 0 ? error_set(reterr, commit_ret, "not now") : 0;
}

int sluice_consumer_share(struct sluice_consumer *consumer, uint32_t scan, const char *name,
			  const char *value, struct sluice_error *reterr)
{
	(void)consumer;
	(void)scan;
	(void)name;
	(void)value;
	(void)reterr;
	return 0;
}

int sluice_consumer_shared(struct sluice_consumer *consumer, uint32_t scan, const char *name,
			   char *dst, size_t size, struct sluice_error *reterr)
{
	(void)consumer;
	(void)scan;
	(void)name;
	(void)reterr;
	if (while_looking)
		while_looking();
	if (!shared)
		return -EAGAIN;
	assert_true(strlen(shared) < size);
	(void)snprintf(dst, size, "%s", shared);
	return 0;
}

void counter_fail(struct counter *c, const char *fmt, ...)
{
	(void)c;
	fail_msg("%s", fmt);
}

int counter_worker_setup(struct counter_worker *w, const struct counter_scan *scan)
{
	(void)w;
	(void)scan;
	return -ENOMEM;
}

struct count_image counter_frame_image(struct counter_worker *w, const struct sluice_scan *info,
				       const struct sluice_frame *frame)
{
	(void)w;
	(void)info;
	(void)frame;
	return (struct count_image){ 0 };
}

uint16_t counter_record_pixel(const struct sluice_scan *info)
{
	return info->geometry.pixel;
}

/* ---- the tests ----------------------------------------------------------------------------- */

static int setup(void **state)
{
	(void)state;
	counter = (struct counter){ 0 };
	shared = NULL;
	while_looking = NULL;
	commit_ret = 0;
	commits = dropped = 0;
	time_ns = NS_PER_S;
	return pthread_mutex_init(&counter.lock, NULL);
}

static int teardown(void **state)
{
	(void)state;
	while_looking = NULL;
	counter_scans_close(&counter);
	counter_halves_close(&counter);
	return pthread_mutex_destroy(&counter.lock);
}

static const char thresholds[] =
	"{\"background\":30,\"xray\":400,\"min\":0,\"max\":1,\"mean\":1,\"variance\":1,"
	"\"std_dev\":1,\"xray_n_sigma\":1,\"background_n_sigma\":1,\"optimized_mean\":1,"
	"\"optimized_std_dev\":1,\"samples\":1,\"bins\":1,\"seed\":1,\"calculated\":true}";

/* While one worker looks, another takes the end of the scan, and the next one begins. */
static void use_the_slot_again(void)
{
	while_looking = NULL;
	counter_scan_end(&counter, 7);
	assert_ptr_equal(counter_scan_of(&counter, &second), &counter.scan[0]);
	assert_int_equal(counter_scan_park(&counter, &counter.scan[0], &second), 0);
}

static struct counter_scan *park_first(void)
{
	struct counter_scan *scan = counter_scan_of(&counter, &first);

	assert_int_equal(counter_scan_park(&counter, scan, &first), 0);
	return scan;
}

static void test_thresholds_that_were_shared_serve_the_runs_that_wait(void **state)
{
	struct counter_scan *scan = park_first();

	(void)state;
	shared = thresholds;
	assert_int_equal(counter_thresholds_look(&worker), 0);
	assert_int_equal(counter_thresholds_state(&counter, scan), THRESHOLDS_KNOWN);
	assert_true(scan->threshold.background == 30);
	assert_ptr_equal(counter_scan_unpark(&counter), &first);
}

static void test_a_slot_that_is_used_again_gets_nothing_of_the_scan_before(void **state)
{
	struct counter_scan *scan = park_first();

	(void)state;
	shared = thresholds;
	while_looking = use_the_slot_again;
	assert_int_equal(counter_thresholds_look(&worker), 1);
	assert_int_equal(scan->scan, 8);
	assert_int_equal(counter_thresholds_state(&counter, scan), THRESHOLDS_UNKNOWN);
	assert_null(counter_scan_unpark(&counter));
	assert_int_equal(dropped, 1);
	/* Its own come when it looks itself. */
	assert_int_equal(counter_thresholds_look(&worker), 0);
	assert_int_equal(counter_thresholds_state(&counter, scan), THRESHOLDS_KNOWN);
}

static void test_a_half_is_published_when_the_directory_is_back(void **state)
{
	(void)state;
	commit_ret = -ETIMEDOUT;
	counter_scan_end(&counter, 7);
	assert_int_equal(commits, 1);
	counter_halves_retry(&counter); /* it is not due yet: no worker waits for it */
	assert_int_equal(commits, 1);
	time_ns += NS_PER_S;
	counter_halves_retry(&counter);
	assert_int_equal(commits, 2);
	commit_ret = 0;
	time_ns += NS_PER_S;
	counter_halves_retry(&counter);
	assert_int_equal(commits, 3);
	time_ns += NS_PER_S;
	counter_halves_retry(&counter);
	assert_int_equal(commits, 3);
}

static void test_a_half_is_not_tried_for_ever(void **state)
{
	(void)state;
	commit_ret = -ECONNREFUSED;
	counter_scan_end(&counter, 7);
	for (unsigned int i = 0; i < 100; i++) {
		time_ns += NS_PER_S;
		counter_halves_retry(&counter);
	}
	assert_int_equal(commits, 1 + HALF_PUBLISHED_NS / NS_PER_S);
}

/* The library remembers it no more. */
static void test_a_half_that_is_gone_is_given_up(void **state)
{
	(void)state;
	commit_ret = -ENOENT;
	counter_scan_end(&counter, 7);
	time_ns += NS_PER_S;
	counter_halves_retry(&counter);
	assert_int_equal(commits, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_thresholds_that_were_shared_serve_the_runs_that_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_slot_that_is_used_again_gets_nothing_of_the_scan_before, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_a_half_is_published_when_the_directory_is_back,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_half_is_not_tried_for_ever, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_half_that_is_gone_is_given_up, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
