/* SPDX-License-Identifier: MIT */
/*
 * acquire/health.h and acquire/notify.h: what the service manager hears, on a socket of the
 * test's own, and when. Time is the test's, but for that in which a reader turns.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <acquire/health.h>
#include <acquire/notify.h>

#include "support/acquire_rig.h"

#define WATCHDOG_NS (60 * NS_PER_S)
#define HALF_NS     (WATCHDOG_NS / 2)
#define START_NS    (7 * NS_PER_S)

/* ---- health -------------------------------------------------------------------------------- */

static void a_sign_of_life_is_due_every_half_interval(void **state)
{
	struct health health;

	(void)state;
	health_init(&health, WATCHDOG_NS, START_NS);
	assert_true(health_look(&health, NULL, 0, START_NS));
	assert_false(health_look(&health, NULL, 0, START_NS + HALF_NS - 1));
	assert_true(health_look(&health, NULL, 0, START_NS + HALF_NS));
	assert_false(health_look(&health, NULL, 0, START_NS + HALF_NS));
	/* Late, for the control thread had a long call: at once, then half an interval on. */
	assert_true(health_look(&health, NULL, 0, START_NS + 5 * HALF_NS));
	assert_false(health_look(&health, NULL, 0, START_NS + 6 * HALF_NS - 1));
	assert_true(health_look(&health, NULL, 0, START_NS + 6 * HALF_NS));
}

static void nobody_asks_nobody_is_told(void **state)
{
	struct health health;

	(void)state;
	health_init(&health, 0, START_NS);
	assert_false(health_look(&health, NULL, 0, START_NS));
	assert_false(health_look(&health, NULL, 0, START_NS + WATCHDOG_NS));
	assert_int_equal(health_wait_ms(&health, START_NS, 500), 500);
}

static void the_control_thread_wakes_in_time(void **state)
{
	struct health health;

	(void)state;
	health_init(&health, 400 * NS_PER_MS, START_NS);
	assert_true(health_look(&health, NULL, 0, START_NS));
	assert_int_equal(health_wait_ms(&health, START_NS, 500), 200);
	assert_int_equal(health_wait_ms(&health, START_NS + 150 * NS_PER_MS, 500), 50);
	assert_int_equal(health_wait_ms(&health, START_NS + 150 * NS_PER_MS, 20), 20);
	/* A reader stands still: no rest, but no spinning either. */
	assert_int_equal(health_wait_ms(&health, START_NS + 300 * NS_PER_MS, 500), 25);
}

static void one_reader_that_stands_still_stops_the_signs(void **state)
{
	struct health_sign sign[] = { { "a", true, 10 }, { "b", true, 10 }, { "c", false, 0 } };
	struct health health;
	uint64_t now = START_NS;

	(void)state;
	health_init(&health, WATCHDOG_NS, now);
	assert_true(health_look(&health, sign, 3, now));
	now += HALF_NS;
	sign[0].turns++;
	assert_false(health_look(&health, sign, 3, now)); /* b has not turned */
	now += HALF_NS;
	sign[0].turns++;
	assert_false(health_look(&health, sign, 3, now));
	assert_true(health.told[1]);
	assert_false(health.told[0]);
	/* It goes on: told at once. */
	sign[1].turns++;
	assert_true(health_look(&health, sign, 3, now + 1));
	assert_false(health.told[1]);
	/* It ends its scan: nobody to wait for. */
	sign[0].turns++;
	sign[1].reads = false;
	assert_true(health_look(&health, sign, 3, now + 1 + HALF_NS));
}

static void a_reader_that_was_just_made_is_given_its_time(void **state)
{
	struct health_sign sign = { "a", true, 0 };
	struct health health;

	(void)state;
	health_init(&health, WATCHDOG_NS, START_NS);
	assert_false(health_look(&health, &sign, 1, START_NS));
	assert_false(health.told[0]);
	assert_false(health_look(&health, &sign, 1, START_NS + HALF_NS / 2 - 1));
	assert_false(health.told[0]);
	assert_false(health_look(&health, &sign, 1, START_NS + HALF_NS / 2));
	assert_true(health.told[0]);
}

/* ---- a real reader -------------------------------------------------------------------------- */

static uint64_t turns(const struct rig *rig)
{
	return atomic_load(&rig->acquisition->stats.turns);
}

static uint64_t turns_before;

static bool has_turned(struct rig *rig)
{
	return turns(rig) > turns_before;
}

static bool is_stuck(struct rig *rig)
{
	return atomic_load(&rig->is_stuck);
}

/* Armed; with a board that sends nothing; and with every chunk on its way. */
static void a_reader_turns_whatever_it_waits_for(void **state)
{
	struct rig *rig = *state;

	rig_init(rig, 64, 1);
	rig->chunks = 2;
	rig->aggregator[0].hold = true;
	for (uint32_t i = 0; i < 8; i++)
		rig_fill(rig, 4 * i, 4);
	atomic_store(&rig->allowed, 0);
	rig_open(rig, true);
	turns_before = turns(rig);
	rig_until(rig, has_turned);

	acquisition_run(rig->acquisition);
	turns_before = turns(rig) + 4;
	rig_until(rig, has_turned);
	assert_int_equal(atomic_load(&rig->acquisition->stats.blocks), 0);

	atomic_store(&rig->allowed, 8);
	while (atomic_load(&rig->acquisition->stats.waits_for_chunk) == 0)
		rig_turn(rig);
	turns_before = turns(rig) + 4;
	rig_until(rig, has_turned);

	rig_ack_all(rig, 0);
	rig_scan(rig);
	rig_close(rig);
}

static void a_reader_that_the_source_does_not_let_go_stops_the_signs(void **state)
{
	struct rig *rig = *state;
	struct health_sign sign = { .id = "a", .reads = true };
	struct health health;

	rig_init(rig, 8, 1);
	rig_fill(rig, 0, 8);
	rig_open(rig, true);
	atomic_store(&rig->stuck, true);
	acquisition_run(rig->acquisition);
	rig_until(rig, is_stuck);

	health_init(&health, WATCHDOG_NS, START_NS);
	sign.turns = turns(rig);
	assert_true(health_look(&health, &sign, 1, START_NS));
	sign.turns = turns(rig);
	assert_false(health_look(&health, &sign, 1, START_NS + HALF_NS));
	sign.turns = turns(rig);
	assert_false(health_look(&health, &sign, 1, START_NS + 2 * HALF_NS));

	atomic_store(&rig->stuck, false);
	rig_scan(rig);
	sign.turns = turns(rig);
	assert_true(health_look(&health, &sign, 1, START_NS + 2 * HALF_NS));
	rig_close(rig);
}

static int setup_rig(void **state)
{
	*state = calloc(1, sizeof(struct rig));
	return *state ? 0 : -1;
}

static int teardown_rig(void **state)
{
	free(*state);
	return 0;
}

/* ---- notify ------------------------------------------------------------------------------------
 */

struct manager {
	int fd;
	struct sockaddr_un address;
};

static int setup_manager(void **state)
{
	static struct manager m;

	m = (struct manager){ .address = { .sun_family = AF_UNIX } };
	(void)strcpy(m.address.sun_path, "/tmp/sluice-notify-XXXXXX");
	/* The name alone is wanted: a folder would do, but the socket takes its place. */
	m.fd = mkstemp(m.address.sun_path);
	assert_true(m.fd >= 0);
	(void)close(m.fd);
	(void)unlink(m.address.sun_path);
	m.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(m.fd >= 0);
	assert_int_equal(bind(m.fd, (const struct sockaddr *)&m.address, sizeof(m.address)), 0);
	(void)setenv("NOTIFY_SOCKET", m.address.sun_path, 1);
	*state = &m;
	return 0;
}

static int teardown_manager(void **state)
{
	const struct manager *m = *state;

	(void)close(m->fd);
	(void)unlink(m->address.sun_path);
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	return 0;
}

static void assert_hears(const struct manager *m, const char *text)
{
	char heard[512] = "";
	const ssize_t n = recv(m->fd, heard, sizeof(heard) - 1, 0);

	assert_true(n > 0);
	assert_string_equal(heard, text);
}

static void the_manager_hears_each_word(void **state)
{
	const struct manager *m = *state;

	notify_ready("2 boards, idle");
	assert_hears(m, "READY=1\nSTATUS=2 boards, idle");
	notify_status("2 boards, scan 7: acquiring");
	assert_hears(m, "STATUS=2 boards, scan 7: acquiring");
	notify_alive();
	assert_hears(m, "WATCHDOG=1");
	notify_stopping();
	assert_hears(m, "STOPPING=1\nSTATUS=ends: what was read is delivered first");
}

static void without_a_manager_nothing_is_sent(void **state)
{
	const struct manager *m = *state;
	char heard[16];

	(void)unsetenv("NOTIFY_SOCKET");
	notify_ready("idle");
	notify_alive();
	assert_int_equal(recv(m->fd, heard, sizeof(heard), 0), -1);
	assert_int_equal(errno, EAGAIN);
}

static void the_watchdog_is_asked_for_by_the_environment(void **state)
{
	char pid[16];

	(void)state;
	assert_int_equal(notify_watchdog_ns(), 0);
	(void)setenv("WATCHDOG_USEC", "60000000", 1);
	assert_int_equal(notify_watchdog_ns(), WATCHDOG_NS);
	/* Meant for another process, whose environment this one has. */
	(void)setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(notify_watchdog_ns(), 0);
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	(void)setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog_ns(), WATCHDOG_NS);
	(void)setenv("WATCHDOG_USEC", "soon", 1);
	assert_int_equal(notify_watchdog_ns(), 0);
	(void)setenv("WATCHDOG_USEC", "18446744073709551614", 1);
	assert_int_equal(notify_watchdog_ns(), 0);
}

#define WITH_RIG(test_)     cmocka_unit_test_setup_teardown(test_, setup_rig, teardown_rig)
#define WITH_MANAGER(test_) cmocka_unit_test_setup_teardown(test_, setup_manager, teardown_manager)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sign_of_life_is_due_every_half_interval),
		cmocka_unit_test(nobody_asks_nobody_is_told),
		cmocka_unit_test(the_control_thread_wakes_in_time),
		cmocka_unit_test(one_reader_that_stands_still_stops_the_signs),
		cmocka_unit_test(a_reader_that_was_just_made_is_given_its_time),
		WITH_RIG(a_reader_turns_whatever_it_waits_for),
		WITH_RIG(a_reader_that_the_source_does_not_let_go_stops_the_signs),
		WITH_MANAGER(the_manager_hears_each_word),
		WITH_MANAGER(without_a_manager_nothing_is_sent),
		WITH_MANAGER(the_watchdog_is_asked_for_by_the_environment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
