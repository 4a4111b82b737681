/* SPDX-License-Identifier: MIT */
/* model/control.h: lines and answers, to good peers and bad. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <model/control.h>

enum {
	WAIT_MS = 5000,
};

static char folder[32];
static struct control control;
static unsigned int obeyed;

static void obey(void *ctx, const char *line, char *answer, size_t size)
{
	(void)ctx;
	obeyed++;
	(void)snprintf(answer, size, "ok %s", line);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/sluice-control-XXXXXX");
	memset(&control, 0, sizeof(control));
	control.obey = obey;
	obeyed = 0;
	return mkdtemp(folder) && chdir(folder) == 0 ? control_open(&control, "control", NULL) : -1;
}

static int tear_down(void **state)
{
	(void)state;
	control_close(&control);
	control_close(&control);
	/* Fails where the socket was left behind. */
	return chdir("/") == 0 ? rmdir(folder) : -1;
}

/* Attends to what has come; at least one thing must have. */
static void attend(void)
{
	struct pollfd fds[CONTROL_FDS];

	control_watch(&control, fds);
	assert_true(poll(fds, CONTROL_FDS, WAIT_MS) > 0);
	control_attend(&control, fds);
}

static int peer(void)
{
	const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "control" };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	attend();
}

static void expect(int fd, const char *answer)
{
	char text[256] = "";
	const ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	assert_int_equal(n, strlen(answer));
	assert_string_equal(text, answer);
}

static void expect_silence(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void each_line_is_answered(void **state)
{
	const int fd = peer();

	(void)state;
	attend();
	say(fd, "one\n");
	expect(fd, "ok one\n");
	say(fd, "tw");
	expect_silence(fd);
	say(fd, "o\r\nthree\n");
	expect(fd, "ok two\nok three\n");
	(void)close(fd);
}

/* A terminal that sends all back would otherwise talk with us for ever. */
static void answers_are_no_orders(void **state)
{
	const int fd = peer();

	(void)state;
	attend();
	say(fd, "\n\r\nok\nerror: what\n{\"kind\":\"card\"}\nerror\n");
	expect_silence(fd);
	assert_int_equal(obeyed, 0);
	say(fd, "go on\n");
	expect(fd, "ok go on\n");
	(void)close(fd);
}

static void a_line_that_is_too_long_is_no_order(void **state)
{
	char line[CONTROL_LINE_MAX + 3];
	const int fd = peer();

	(void)state;
	attend();
	memset(line, 'x', sizeof(line));
	line[CONTROL_LINE_MAX + 1] = '\n';
	line[CONTROL_LINE_MAX + 2] = '\0';
	say(fd, line);
	while (obeyed == 0 && recv(fd, line, 1, MSG_PEEK | MSG_DONTWAIT) < 0)
		attend();
	expect(fd, "error: the line is too long\n");
	assert_int_equal(obeyed, 0);
	/* Bytes that end strings make it one, too. */
	assert_int_equal(send(fd, "a\0b\n", 4, MSG_NOSIGNAL), 4);
	attend();
	expect(fd, "error: the line is too long\n");
	say(fd, "short\n");
	expect(fd, "ok short\n");
	(void)close(fd);
}

static void more_peers_than_there_is_room_for_wait(void **state)
{
	int fd[CONTROL_PEERS_MAX + 1];

	(void)state;
	for (unsigned int i = 0; i <= CONTROL_PEERS_MAX; i++) {
		fd[i] = peer();
		if (i < CONTROL_PEERS_MAX)
			attend();
	}
	for (unsigned int i = 0; i < CONTROL_PEERS_MAX; i++) {
		say(fd[i], "here\n");
		expect(fd[i], "ok here\n");
	}
	assert_int_equal(send(fd[CONTROL_PEERS_MAX], "late\n", 5, MSG_NOSIGNAL), 5);
	(void)close(fd[0]);
	attend(); /* it left */
	attend(); /* the other comes */
	attend(); /* and is heard */
	expect(fd[CONTROL_PEERS_MAX], "ok late\n");
	for (unsigned int i = 1; i <= CONTROL_PEERS_MAX; i++)
		(void)close(fd[i]);
}

/* A peer that only speaks and never reads is hung up on. */
static void a_peer_that_does_not_read_is_hung_up_on(void **state)
{
	const int fd = peer();

	(void)state;
	attend();
	for (unsigned int i = 0; i < 1000000 && control.peer[0].fd >= 0; i++) {
		if (send(fd, "to one who does not listen\n", 27, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
		    errno != EAGAIN)
			break;
		attend();
	}
	assert_int_equal(control.peer[0].fd, -1);
	(void)close(fd);
}

#define with_control(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_control(each_line_is_answered),
		with_control(answers_are_no_orders),
		with_control(a_line_that_is_too_long_is_no_order),
		with_control(more_peers_than_there_is_room_for_wait),
		with_control(a_peer_that_does_not_read_is_hung_up_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
