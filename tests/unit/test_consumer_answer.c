/* SPDX-License-Identifier: MIT */
/* Answers that cannot be given are counted, and told in the status. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <directory/fetch.h>

#include "consumer_fixture.h"

static atomic_int ack_fails; /* what link_ack() says in place of what it would do */

int __real_link_ack(struct link_receiver *receiver, unsigned int peer, uint32_t scan,
		    const struct sluice_wire_ack *ack, unsigned int acks,
		    const struct sluice_wire_reject *reject, unsigned int rejects);
int __wrap_link_ack(struct link_receiver *receiver, unsigned int peer, uint32_t scan,
		    const struct sluice_wire_ack *ack, unsigned int acks,
		    const struct sluice_wire_reject *reject, unsigned int rejects);

/* NOLINTNEXTLINE(readability-function-size): the signature of what it stands for */
int __wrap_link_ack(struct link_receiver *receiver, unsigned int peer, uint32_t scan,
		    const struct sluice_wire_ack *ack, unsigned int acks,
		    const struct sluice_wire_reject *reject, unsigned int rejects)
{
	const int ret = atomic_load(&ack_fails);

	return ret < 0 ? ret : __real_link_ack(receiver, peer, scan, ack, acks, reject, rejects);
}

static uint32_t window_runs; /* that the consumer grants; 0: as it was opened */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg)
{
	struct sluice_consumer *c = arg;

	/* While no other thread reads it. */
	if (start == consumer_network && window_runs != 0)
		c->window_runs = window_runs;
	return __real_pthread_create(thread, attr, start, arg);
}

static bool unsendable_are(const struct fixture *f, uint64_t arg)
{
	return stat_of(&f->consumer->stats.answers_unsendable) == arg;
}

static bool dropped_are(const struct fixture *f, uint64_t arg)
{
	return stat_of(&f->consumer->stats.answers_dropped) == arg;
}

static bool has_credit_a(const struct fixture *f, uint64_t arg)
{
	return link_sender_credit(f->a.link) >= arg;
}

/* Run 0 again; not while the transport is full. */
static bool copy_is_sent_a(const struct fixture *f, uint64_t arg)
{
	const struct chunk again = { .flags = SLUICE_WIRE_LAST_PART | SLUICE_WIRE_RESENT };
	struct aggregator a = f->a;

	(void)arg;
	return send_chunk(&a, &again) == 0;
}

static void expect_in_status(struct fixture *f, const char *what)
{
	char url[128], *body = NULL;
	const struct fetch request = { .method = "GET", .url = url, .timeout_ns = DEADLINE_NS };
	unsigned int status = 0;

	(void)snprintf(url, sizeof(url), "%s/api/v1/status", sluice_consumer_url(f->consumer));
	assert_int_equal(fetch(&request, &status, &body, NULL), 0);
	assert_int_equal(status, 200);
	assert_non_null(strstr(body, what));
	free(body);
}

static void test_an_answer_that_no_message_holds_is_counted(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, 10000);
	begin(&f);
	send_run(&f.a, 0);
	atomic_store(&ack_fails, -E2BIG);
	assert_int_equal(sluice_consumer_ack(f.consumer, expect_run(&f, 0), 0), 0);
	pump_until(&f, unsendable_are, 1);
	atomic_store(&ack_fails, 0);
	expect_in_status(&f, "\"answers_unsendable\":1");
	fixture_close(&f);
}

/* The transport takes nothing: copies go on coming, and the queue of answers has its limit. */
static void test_answers_beyond_the_limit_are_counted(void **state)
{
	const unsigned int beyond = 5;
	struct fixture f;

	(void)state;
	window_runs = 2 * ANSWERS_MAX; /* credit comes with answers: it must last */
	fixture_open(&f, 10000);
	aggregator_open(&f, &f.a, "agg0");
	send_begin(&f.a, 0, 1);
	expect_begin(&f, 0);
	pump_until(&f, has_credit_a, ANSWERS_MAX + beyond + SECTORS);
	send_run(&f.a, 0);
	assert_int_equal(sluice_consumer_ack(f.consumer, expect_run(&f, 0), 0), 0);
	pump_until(&f, run_acked_a, 0);
	atomic_store(&ack_fails, -EAGAIN);
	for (unsigned int i = 0; i < ANSWERS_MAX + beyond; i++)
		pump_until(&f, copy_is_sent_a, 0);
	pump_until(&f, dropped_are, beyond);
	expect_in_status(&f, "\"answers_dropped\":5");
	atomic_store(&ack_fails, 0);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_answer_that_no_message_holds_is_counted),
		cmocka_unit_test(test_answers_beyond_the_limit_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
