/* SPDX-License-Identifier: MIT */
/*
 * sluiced as a service: what it tells the manager on $NOTIFY_SOCKET, when, and when no more. The
 * manager is the test, and so is the board.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/clock.h>

#include "support/board_client.h"

enum {
	WATCHDOG_MS = 400,
	SIGNS = 8,
	TEXT_MAX = 512
};

struct service {
	char dir[64], config[128];
	int manager; /* $NOTIFY_SOCKET */
	int board;   /* listens */
	pid_t pid;
};

/* ---- sockets and the process ---------------------------------------------------------------- */

static int bind_in(const struct service *s, const char *name, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", s->dir, name);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int setup(void **state)
{
	static struct service s;
	FILE *out;

	s = (struct service){ .pid = 0 };
	(void)strcpy(s.dir, "/tmp/sluice-notify-XXXXXX");
	assert_non_null(mkdtemp(s.dir));
	(void)snprintf(s.config, sizeof(s.config), "%s/sluiced.yaml", s.dir);
	out = fopen(s.config, "we");
	assert_non_null(out);
	(void)fprintf(out,
		      "directory: {kind: none}\nring: {chunks: 2, huge_pages: none}\nboards:\n"
		      "  - {name: a, sector: 0, framing: sluice, source: 'socket:%s/board'}\n",
		      s.dir);
	assert_int_equal(fclose(out), 0);
	s.manager = bind_in(&s, "notify", SOCK_DGRAM);
	s.board = bind_in(&s, "board", SOCK_STREAM);
	*state = &s;
	return 0;
}

static void remove_in(const struct service *s, const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	(void)unlink(path);
}

static int teardown(void **state)
{
	struct service *s = *state;

	if (s->pid > 0) {
		(void)kill(s->pid, SIGKILL);
		(void)waitpid(s->pid, NULL, 0);
	}
	(void)close(s->manager);
	(void)close(s->board);
	remove_in(s, "notify");
	remove_in(s, "board");
	remove_in(s, "sluiced.yaml");
	return rmdir(s->dir);
}

static void start(struct service *s)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
	const char *bin = getenv("SLUICE_BIN");
	char path[512], notify[128], watchdog[32];
	const char *argv[] = { "sluiced", "--config", s->config, NULL };

	assert_non_null(bin);
	(void)snprintf(path, sizeof(path), "%s/sluiced", bin);
	(void)snprintf(notify, sizeof(notify), "%s/notify", s->dir);
	(void)snprintf(watchdog, sizeof(watchdog), "%d", WATCHDOG_MS * 1000);
	(void)setenv("NOTIFY_SOCKET", notify, 1);
	(void)setenv("WATCHDOG_USEC", watchdog, 1);
	assert_int_equal(
		posix_spawn(&s->pid, path, NULL, NULL, (char *const *)(uintptr_t)argv, environ), 0);
}

static int end_of(struct service *s)
{
	int status;

	assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
	s->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- the board and the manager -----------------------------------------------------------------
 */

static int take_call(const struct service *s)
{
	struct pollfd p = { .fd = s->board, .events = POLLIN };
	int fd;

	assert_int_equal(poll(&p, 1, CLIENT_TIMEOUT_MS), 1);
	fd = accept4(s->board, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void say_who_i_am(int fd)
{
	const struct board_reply reply = {
		.magic = sluice_le32(BOARD_SOCKET_MAGIC),
		.version = sluice_le16(BOARD_SOCKET_VERSION),
		.sectors = sluice_le16(1),
		.rows = sluice_le16(4),
		.columns = sluice_le16(8),
		.pixel = sluice_le16(SLUICE_PIXEL_U16),
		.name = "test",
	};
	struct board_request request;

	assert_int_equal(client_read(fd, &request, sizeof(request)), sizeof(request));
	assert_int_equal(sluice_u16(request.command), BOARD_IDENTIFY);
	assert_int_equal(send(fd, &reply, sizeof(reply), MSG_NOSIGNAL), sizeof(reply));
	(void)close(fd);
}

/* The next datagram; false when none comes in @ms. */
static bool hear(const struct service *s, int ms, char text[TEXT_MAX])
{
	struct pollfd p = { .fd = s->manager, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, ms) != 1)
		return false;
	n = recv(s->manager, text, TEXT_MAX - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	return true;
}

static void expect(const struct service *s, const char *text)
{
	char heard[TEXT_MAX] = "";

	assert_true(hear(s, CLIENT_TIMEOUT_MS, heard));
	assert_string_equal(heard, text);
}

static void start_and_be_ready(struct service *s)
{
	char text[TEXT_MAX];
	int call;

	assert_int_equal(listen(s->board, 4), 0);
	start(s);
	call = take_call(s);
	/* Its board has not answered, and without that answer it cannot be ready. */
	assert_false(hear(s, 0, text));
	say_who_i_am(call);
	expect(s, "READY=1\nSTATUS=1 board, idle");
}

/* ---- tests --------------------------------------------------------------------------------------
 */

static void it_is_ready_when_its_boards_are_open_and_says_when_it_ends(void **state)
{
	struct service *s = *state;
	char text[TEXT_MAX] = "WATCHDOG=1";

	start_and_be_ready(s);
	assert_int_equal(kill(s->pid, SIGTERM), 0);
	while (strcmp(text, "WATCHDOG=1") == 0)
		assert_true(hear(s, CLIENT_TIMEOUT_MS, text));
	assert_non_null(strstr(text, "STOPPING=1"));
	assert_int_equal(end_of(s), EXIT_SUCCESS);
}

static void without_its_board_it_is_never_ready(void **state)
{
	struct service *s = *state;
	char text[TEXT_MAX];

	start(s); /* nobody listens there */
	assert_int_equal(end_of(s), EXIT_FAILURE);
	assert_false(hear(s, 0, text));
}

static void it_gives_a_sign_of_life_every_half_interval(void **state)
{
	struct service *s = *state;
	uint64_t first_ns, last_ns, shortest_ns = UINT64_MAX;

	start_and_be_ready(s);
	expect(s, "WATCHDOG=1");
	first_ns = last_ns = now_ns();
	for (unsigned int i = 0; i < SIGNS; i++) {
		uint64_t ns;

		expect(s, "WATCHDOG=1");
		ns = now_ns();
		shortest_ns = ns - last_ns < shortest_ns ? ns - last_ns : shortest_ns;
		last_ns = ns;
	}
	/* Not more often; and where the machine is not too busy, in time. */
	assert_true(last_ns - first_ns > (SIGNS - 1) * (WATCHDOG_MS / 2) * NS_PER_MS);
	assert_true(shortest_ns < WATCHDOG_MS * NS_PER_MS);
}

static void one_that_does_not_turn_gives_none(void **state)
{
	struct service *s = *state;
	char text[TEXT_MAX];
	int status;

	start_and_be_ready(s);
	expect(s, "WATCHDOG=1");
	assert_int_equal(kill(s->pid, SIGSTOP), 0);
	assert_int_equal(waitpid(s->pid, &status, WUNTRACED), s->pid);
	assert_true(WIFSTOPPED(status));
	while (hear(s, 0, text))
		;
	assert_false(hear(s, 3 * WATCHDOG_MS / 2, text));
	assert_int_equal(kill(s->pid, SIGCONT), 0);
	expect(s, "WATCHDOG=1");
}

#define SERVICE_TEST(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVICE_TEST(it_is_ready_when_its_boards_are_open_and_says_when_it_ends),
		SERVICE_TEST(without_its_board_it_is_never_ready),
		SERVICE_TEST(it_gives_a_sign_of_life_every_half_interval),
		SERVICE_TEST(one_that_does_not_turn_gives_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
