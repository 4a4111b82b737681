/* SPDX-License-Identifier: MIT */
/* Section 4.4 of the firmware interface: coalescing by count and by time, and polling. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <base/clock.h>

#include "card_host.h"

static struct host host;

/* A frame each ms, a chunk each frame. */
static int set_up(void **state)
{
	(void)state;
	host_args(&host);
	host.args.frames_per_s = 1000.0;
	host.entries = 64;
	host_open(&host);
	return 0;
}

static void begin(uint64_t frames, uint32_t mode, uint32_t count, uint32_t us)
{
	host_arm(&host, frames);
	host_set(&host, FW_INTERRUPT_MODE, mode);
	host_set(&host, FW_COALESCE_COUNT, count);
	host_set(&host, FW_COALESCE_US, us);
	for (uint64_t f = 0; f < frames; f++)
		(void)host_post(&host, 1);
	host.raised[FW_VECTOR_COMPLETION] = 0;
	host_run(&host);
}

static void each_completion_raises_one_without_coalescing(void **state)
{
	(void)state;
	for (uint32_t count = 0; count < 2; count++) {
		begin(20, FW_INTERRUPT_ON, count, 1000000);
		host_pass(&host, NS_PER_S);
		assert_int_equal(host.raised[FW_VECTOR_COMPLETION], 20);
		assert_int_equal(host_get64(&host, FW_INTERRUPTS), 20 * (count + 1));
	}
}

static void so_many_completions_raise_one(void **state)
{
	(void)state;
	begin(20, FW_INTERRUPT_ON, 6, 1000000);
	host_pass(&host, 4 * NS_PER_MS + 1); /* 5 */
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], 0);
	host_pass(&host, NS_PER_MS);
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], 1);
	host_pass(&host, 12 * NS_PER_MS); /* 18 */
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], 3);
	/* END does not wait for its number. */
	host_pass(&host, 2 * NS_PER_MS);
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], 4);
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_IDLE);
}

static void time_raises_one_when_the_number_does_not_come(void **state)
{
	(void)state;
	begin(20, FW_INTERRUPT_ON, 100, 2500);
	host_pass(&host, 2499 * UINT64_C(1000));
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], 0);
	host_pass(&host, 1000);
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], 1);
	/* The next is counted from the first completion after it, at 3 ms. */
	host_pass(&host, 2999 * UINT64_C(1000));
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], 1);
	host_pass(&host, 2000);
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], 2);
}

/* A time beyond the limit is the limit. */
static void the_time_has_a_limit(void **state)
{
	(void)state;
	begin(2, FW_INTERRUPT_ON, 100, UINT32_MAX);
	card_destroy(host.card);
	host.args.frames_per_s = 0.1;
	host_open(&host);
	host.sequence = 0;
	begin(2, FW_INTERRUPT_ON, 100, UINT32_MAX);
	host_pass(&host, NS_PER_S - 1);
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], 0);
	host_pass(&host, 2);
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], 1);
}

static void off_means_never(void **state)
{
	(void)state;
	begin(20, FW_INTERRUPT_OFF, 1, 1);
	host_pass(&host, NS_PER_S);
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_IDLE);
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], 0);
	assert_int_equal(host_get64(&host, FW_INTERRUPTS), 0);
	assert_int_equal(host_get64(&host, FW_COMPLETIONS), 20);
	/* Answers and states still do. */
	assert_true(host.raised[FW_VECTOR_EVENT] > 0);
}

/* The registers are obeyed at once: no doorbell tells of them. */
static void a_host_may_change_its_mind(void **state)
{
	(void)state;
	begin(40, FW_INTERRUPT_OFF, 1, 1);
	host_pass(&host, 5 * NS_PER_MS);
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], 0);
	host_set(&host, FW_INTERRUPT_MODE, FW_INTERRUPT_ON);
	host_pass(&host, NS_PER_MS);
	assert_in_range(host.raised[FW_VECTOR_COMPLETION], 1, 2);
	host_set(&host, FW_INTERRUPT_MODE, FW_INTERRUPT_OFF);
	host.raised[FW_VECTOR_COMPLETION] = 0;
	host_pass(&host, 5 * NS_PER_MS);
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], 0);
}

static void stopped_and_faults_are_raised_at_once(void **state)
{
	(void)state;
	begin(20, FW_INTERRUPT_ON, 100, 1000000);
	host_pass(&host, 3 * NS_PER_MS);
	assert_int_equal(host_command(&host, FW_COMMAND_STOP), FW_ANSWER_DONE);
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], 1);
	host_arm(&host, 20);
	host_set(&host, FW_COALESCE_COUNT, 100);
	host_set(&host, FW_COALESCE_US, 1000000);
	host.raised[FW_VECTOR_COMPLETION] = 0;
	host_write_desc(&host, HOST_BASE, 0, FW_DESC_LAST);
	host_ring(&host);
	host_run(&host);
	assert_int_equal(host_get(&host, FW_STATE), FW_STATE_FAILED);
	assert_int_equal(host.raised[FW_VECTOR_COMPLETION], 1);
}

#define with_host(test) \
	cmocka_unit_test_prestate_setup_teardown(test, set_up, host_tear_down, &host)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_host(each_completion_raises_one_without_coalescing),
		with_host(so_many_completions_raise_one),
		with_host(time_raises_one_when_the_number_does_not_come),
		with_host(the_time_has_a_limit),
		with_host(off_means_never),
		with_host(a_host_may_change_its_mind),
		with_host(stopped_and_faults_are_raised_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
