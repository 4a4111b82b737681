/* SPDX-License-Identifier: MIT */
/* sluice-board as a process: ready, served, stopped; files written; bad command lines named. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
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
	ARGS_MAX = 24,
	PAYLOAD = 8 * 32 * 2,
	BLOCK = SLUICE_BLOCK_HEADER_BYTES + PAYLOAD,
};

/* A small detector, so that a sanitizer's slowness does not matter. */
#define SMALL "--sectors=2", "--rows=8", "--columns=32", "--distinct=4"

struct process {
	pid_t pid;
	int out; /* its standard output and error */
	char text[8192];
	size_t bytes;
};

static char folder[32];

static int set_up(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/sluice-board-XXXXXX");
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	/* Fails where the program left something that the test did not take away. */
	return chdir("/") == 0 ? rmdir(folder) : -1;
}

static void start(struct process *p, const char *const *args)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
	const char *bin = getenv("SLUICE_BIN");
	const char *argv[ARGS_MAX + 2] = { "sluice-board" };
	posix_spawn_file_actions_t actions;
	char path[512];
	int fds[2];

	assert_non_null(bin);
	(void)snprintf(path, sizeof(path), "%s/sluice-board", bin);
	for (unsigned int i = 0; args[i]; i++) {
		assert_true(i < ARGS_MAX);
		argv[i + 1] = args[i];
	}
	memset(p, 0, sizeof(*p));
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	(void)posix_spawn_file_actions_adddup2(&actions, fds[1], STDERR_FILENO);
	assert_int_equal(
		posix_spawn(&p->pid, path, &actions, NULL, (char *const *)(uintptr_t)argv, environ),
		0);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)close(fds[1]);
	p->out = fds[0];
}

/* Reads on until @text was said, or, if NULL, until the program has ended. */
static void listen_for(struct process *p, const char *text)
{
	const uint64_t deadline_ns = now_ns() + CLIENT_TIMEOUT_MS * NS_PER_MS;

	while (!text || !strstr(p->text, text)) {
		struct pollfd fd = { .fd = p->out, .events = POLLIN };
		ssize_t n;

		assert_int_equal(poll(&fd, 1, ms_from_ns(ns_until(deadline_ns))), 1);
		n = read(p->out, p->text + p->bytes, sizeof(p->text) - 1 - p->bytes);
		if (n == 0 && !text)
			return;
		if (n <= 0)
			fail_msg("no \"%s\" in: %s", text ? text : "end", p->text);
		p->bytes += (size_t)n;
		p->text[p->bytes] = '\0';
	}
}

static int end_of(struct process *p)
{
	int status;

	listen_for(p, NULL);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	(void)close(p->out);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Asks for a scan; returns the connection. */
static int run_board(const char *path, uint64_t frames)
{
	const struct board_request request = client_request(BOARD_RUN, 5, 4, 4, frames);
	const int fd = connect_to(path);
	struct board_reply reply = { 0 };

	assert_int_equal(client_ask(fd, &request, &reply), 0);
	assert_int_equal(sluice_u16(reply.status), 0);
	return fd;
}

static uint64_t blocks_of(int fd)
{
	uint8_t block[BLOCK];
	uint64_t blocks = 0;
	ssize_t n;

	while ((n = client_read(fd, block, BLOCK)) == BLOCK)
		blocks++;
	assert_int_equal(n, 0);
	(void)close(fd);
	return blocks;
}

static void boards_are_served_and_once_ends_them(void **state)
{
	const char *const args[] = { SMALL,    "--sectors-served=0,1", "--socket=b{sector}",
				     "--once", "--name=left{sector}",  "--fault=1/drop=3",
				     NULL };
	const struct board_request request = client_request(BOARD_IDENTIFY, 0, 0, 0, 0);
	struct board_reply reply = { 0 };
	struct process p;
	int fd;

	(void)state;
	start(&p, args);
	listen_for(&p, "ready\n");
	fd = connect_to("b1");
	assert_int_equal(client_ask(fd, &request, &reply), 0);
	assert_int_equal(sluice_u16(reply.sector), 1);
	assert_string_equal(reply.name, "left1");
	(void)close(fd);
	assert_int_equal(blocks_of(run_board("b0", 16)), 16);
	assert_int_equal(blocks_of(run_board("b1", 16)), 15);
	assert_int_equal(end_of(&p), 0);
	assert_non_null(
		strstr(p.text, "board left1: scan 5: 16 blocks generated, 15 sent, 1 dropped"));
	assert_int_equal(access("b0", F_OK), -1);
	assert_int_equal(access("b1", F_OK), -1);
}

static void signals_end_it_within_a_second(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT };
	const char *const args[] = { SMALL, "--socket=b0", NULL };

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		struct process p;
		uint64_t before;
		int running, silent;

		start(&p, args);
		listen_for(&p, "ready\n");
		running = run_board("b0", UINT64_C(1) << 28);
		silent = connect_to("b0");
		before = now_ns();
		assert_int_equal(kill(p.pid, signals[i]), 0);
		assert_int_equal(end_of(&p), 0);
		assert_true(now_ns() - before < NS_PER_S);
		assert_int_equal(access("b0", F_OK), -1);
		(void)close(running);
		(void)close(silent);
	}
}

static void a_socket_in_use_is_refused_and_left_alone(void **state)
{
	const char *const args[] = { SMALL, "--socket=b0", NULL };
	struct process first, second;

	(void)state;
	start(&first, args);
	listen_for(&first, "ready\n");
	start(&second, args);
	assert_int_equal(end_of(&second), 1);
	assert_non_null(strstr(second.text, "b0: another program serves this socket"));
	assert_int_equal(blocks_of(run_board("b0", 4)), 4);
	assert_int_equal(kill(first.pid, SIGTERM), 0);
	assert_int_equal(end_of(&first), 0);
}

/* What a killed program leaves does not hinder the next. */
static void a_killed_program_s_socket_is_taken_over(void **state)
{
	const char *const args[] = { SMALL, "--socket=b0", "--once", NULL };
	struct process p;
	int status;

	(void)state;
	start(&p, args);
	listen_for(&p, "ready\n");
	assert_int_equal(kill(p.pid, SIGKILL), 0);
	assert_int_equal(waitpid(p.pid, &status, 0), p.pid);
	(void)close(p.out);
	assert_int_equal(access("b0", F_OK), 0);
	start(&p, args);
	listen_for(&p, "ready\n");
	assert_int_equal(blocks_of(run_board("b0", 4)), 4);
	assert_int_equal(end_of(&p), 0);
}

static void size_is(const char *path, off_t bytes)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, bytes);
	assert_int_equal(unlink(path), 0);
}

static void a_scan_is_written_to_files(void **state)
{
	const char *const args[] = { SMALL,       "--write=.", "--sectors-served=0,1", "--scan=5x4",
				     "--files=1", "--truth=t", "--scan-number=12",     NULL };
	const char *const v4[] = { "--write=.", "--framing=4dcamera-v4", "--scan=1x1",
				   "--files=1", "--distinct=1",          NULL };
	struct process p;

	(void)state;
	start(&p, args);
	assert_int_equal(end_of(&p), 0);
	size_is("data_scan0000000012_module0_dst0_file0.data", 20 * (16 + PAYLOAD));
	size_is("data_scan0000000012_module1_dst0_file0.data", 20 * (16 + PAYLOAD));
	assert_int_equal(unlink("t"), 0);
	start(&p, v4);
	assert_int_equal(end_of(&p), 0);
	size_is("data_scan0000000001_module0_dst0_file0.data", 165904);
}

/* A card waits for its guest as long as it takes, and leaves no socket. */
static void a_card_waits_for_its_guest(void **state)
{
	static const char *const args[] = { "--card=card{sector}",  "--memory=ram", "--control=c",
					    "--sectors-served=0,1", SMALL,          NULL };
	struct process p;

	(void)state;
	start(&p, args);
	listen_for(&p, "ready");
	assert_int_equal(access("card0", F_OK), 0);
	assert_int_equal(access("card1", F_OK), 0);
	assert_int_equal(access("c", F_OK), 0);
	assert_int_equal(kill(p.pid, SIGTERM), 0);
	assert_int_equal(end_of(&p), 0);
}

static void bad_command_lines_say_what_is_allowed(void **state)
{
	static const struct {
		const char *args[5];
		const char *text;
	} bad[] = {
		{ { NULL }, "--socket, --write or --card" },
		{ { "--socket=a", "--write=b" }, "--socket, --write or --card" },
		{ { "--socket=a", "--card=b", "--memory=c" }, "--socket, --write or --card" },
		{ { "--write=." }, "--scan is needed" },
		{ { "--write=.", "--scan=0x4" }, "allowed: WxH" },
		{ { "--socket=a", "--sector=4" }, "allowed: 0 ... 3" },
		{ { "--socket=a", "--sector=0", "--sectors-served=1" }, "one of them" },
		{ { "--socket=a", "--sectors-served=0,1" }, "{sector}" },
		{ { "--socket=a{sector}", "--sectors-served=0,0" }, "twice" },
		{ { "--socket=a", "--sectors=33" }, "allowed: 1 ... 32" },
		{ { "--socket=a", "--layout=rings" },
		  "\"rings\" is not known; allowed: rows, columns" },
		{ { "--socket=a", "--pixel=u64" }, "u16be" },
		{ { "--socket=a", "--generator=x" }, "allowed: camera, counter, prbs" },
		{ { "--socket=a", "--rate=-1" }, "--rate" },
		{ { "--socket=a", "--seed=0x" }, "--seed" },
		{ { "--socket=a", "--distinct=0" }, "allowed: 1 ... 4096" },
		{ { "--socket=a", "--fault=drop" }, "fault \"drop\"" },
		{ { "--socket=a", "more" }, "\"more\"" },
		{ { "--socket=a", "--fault=lost=1" }, "lost: not of a socket" },
		{ { "--socket=a", "--live", "--rate=1" }, "--card is needed" },
		{ { "--card=a" }, "--memory is needed" },
		{ { "--card=a", "--memory=m", "--once" }, "--once" },
		{ { "--card=a", "--memory=m", "--live" }, "--rate is needed" },
		{ { "--card=a", "--memory=m", "--fault=cut=1" }, "cut: not of a card" },
		{ { "--card=a", "--memory=m", "--sectors-served=0,1" }, "{sector}" },
		{ { "--card=a", "--memory=m", "--descriptors=12" }, "a power of two" },
		{ { "--card=a", "--memory=m", "--descriptors=2" }, "allowed: 4 ... 65536" },
		{ { "--card=a", "--memory=m", "--completions=131072" }, "allowed: 4 ... 65536" },
		{ { "--card=a", "--memory=m", "--descriptors=8", "--chain=9" },
		  "allowed: 1 ... 8" },
		{ { "--card=a", "--memory=m", "--buffer=0" }, "allowed: 1 ... 65536" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct process p;

		start(&p, bad[i].args);
		assert_int_equal(end_of(&p), 64);
		if (!strstr(p.text, bad[i].text))
			fail_msg("no \"%s\" in: %s", bad[i].text, p.text);
	}
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_folder(boards_are_served_and_once_ends_them),
		in_folder(signals_end_it_within_a_second),
		in_folder(a_socket_in_use_is_refused_and_left_alone),
		in_folder(a_killed_program_s_socket_is_taken_over),
		in_folder(a_scan_is_written_to_files),
		in_folder(a_card_waits_for_its_guest),
		in_folder(bad_command_lines_say_what_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
