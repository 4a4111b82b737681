/* SPDX-License-Identifier: MIT */
/* model/server.h: whose socket a path is, and that nothing of ours is left behind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/error.h>
#include <model/board.h>
#include <model/server.h>

#include "support/board_client.h"

enum {
	BOARDS = 2,
	HOSTS = 12
};

static struct model *model;
static struct server_board boards[BOARDS];
static char path[BOARDS][64];
static char folder[32];
static struct server_args args;
static unsigned int reports;
static int fault_in = -1; /* this step from now fails; negative: none */

int __real_eventfd(unsigned int initval, int flags);
int __wrap_eventfd(unsigned int initval, int flags);
int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);
int __real_bind(int fd, const struct sockaddr *address, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len);
int __real_listen(int fd, int backlog);
int __wrap_listen(int fd, int backlog);

static int fails(void)
{
	if (fault_in-- != 0)
		return 0;
	errno = ENOBUFS;
	return 1;
}

int __wrap_eventfd(unsigned int initval, int flags)
{
	return fails() ? -1 : __real_eventfd(initval, flags);
}

int __wrap_socket(int domain, int type, int protocol)
{
	return fails() ? -1 : __real_socket(domain, type, protocol);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t len)
{
	return fails() ? -1 : __real_bind(fd, address, len);
}

int __wrap_listen(int fd, int backlog)
{
	return fails() ? -1 : __real_listen(fd, backlog);
}

static void on_report(void *ctx, struct board *board, const struct board_report *report)
{
	(void)board;
	if (report->end == 0)
		(*(unsigned int *)ctx)++;
}

static int set_up(void **state)
{
	const struct model_args model_args = {
		.geometry = { .sectors = BOARDS,
			      .rows = 4,
			      .columns = 8,
			      .pixel = SLUICE_PIXEL_U16 },
		.distinct = 2,
		.sectors_served = 3,
	};

	(void)state;
	strcpy(folder, "/tmp/sluice-server-XXXXXX");
	reports = 0;
	if (!mkdtemp(folder) || model_create(&model_args, &model, NULL) < 0)
		return -1;
	for (unsigned int s = 0; s < BOARDS; s++) {
		const struct board_args board = { .model = model,
						  .name = "b",
						  .sector = (uint16_t)s };

		(void)snprintf(path[s], sizeof(path[s]), "%s/b%u", folder, s);
		boards[s].path = path[s];
		if (board_create(&board, &boards[s].board) < 0)
			return -1;
	}
	args = (struct server_args){
		.boards = boards, .board_count = BOARDS, .report = on_report, .ctx = &reports
	};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned int s = 0; s < BOARDS; s++)
		board_destroy(boards[s].board);
	model_destroy(model);
	/* Fails where a socket was left behind. */
	return rmdir(folder);
}

static void *run(void *server)
{
	return (void *)(intptr_t)server_run(server);
}

static void address_of(struct sockaddr_un *address, const char *where)
{
	(void)snprintf(address->sun_path, sizeof(address->sun_path), "%s", where);
}

static int connect_to(const char *where)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = __real_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address_of(&address, where);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void run_board(const char *where, uint64_t frames)
{
	const struct board_request request = client_request(BOARD_RUN, 1, 4, 4, frames);
	const size_t block = SLUICE_BLOCK_HEADER_BYTES + 4 * 8 * 2;
	const int fd = connect_to(where);
	struct board_reply reply = { 0 };
	uint8_t bytes[256];

	assert_int_equal(client_ask(fd, &request, &reply), 0);
	assert_int_equal(sluice_u16(reply.status), 0);
	for (uint64_t f = 0; f < frames; f++)
		assert_int_equal(client_read(fd, bytes, block), block);
	assert_int_equal(client_read(fd, bytes, 1), 0);
	(void)close(fd);
}

static void once_ends_when_each_board_has_run(void **state)
{
	struct server *server = NULL;
	pthread_t thread;
	void *ret;

	(void)state;
	args.once = true;
	assert_int_equal(server_open(&args, &server, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, run, server), 0);
	run_board(path[0], 3);
	run_board(path[0], 5);
	run_board(path[1], 2);
	(void)pthread_join(thread, &ret);
	assert_null(ret);
	assert_int_equal(reports, 3);
	server_close(server);
}

/* Among them some who never say a word, and scans that would last for ever. */
static void the_stop_ends_all_connections(void **state)
{
	const struct board_request request = client_request(BOARD_RUN, 1, 4, 4, MODEL_FRAMES_MAX);
	struct server *server = NULL;
	struct board_reply reply = { 0 };
	int fd[HOSTS];
	pthread_t thread;
	void *ret;

	(void)state;
	assert_int_equal(server_open(&args, &server, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, run, server), 0);
	for (unsigned int i = 0; i < HOSTS; i++)
		fd[i] = connect_to(path[i % BOARDS]);
	for (unsigned int i = 0; i < BOARDS; i++)
		assert_int_equal(client_ask(fd[i], &request, &reply), 0);
	server_stop(server);
	(void)pthread_join(thread, &ret);
	assert_null(ret);
	for (unsigned int i = 0; i < HOSTS; i++)
		(void)close(fd[i]);
	server_close(server);
}

/* Whoever is beyond the limit waits until one before him is gone. */
static void more_hosts_than_there_is_room_for_are_all_answered(void **state)
{
	enum {
		MANY = SERVER_CONNECTIONS_MAX + 8
	};
	const struct board_request request = client_request(BOARD_IDENTIFY, 0, 0, 0, 0);
	struct server *server = NULL;
	struct board_reply reply = { 0 };
	int fd[MANY];
	pthread_t thread;

	(void)state;
	assert_int_equal(server_open(&args, &server, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, run, server), 0);
	for (unsigned int i = 0; i < MANY; i++)
		fd[i] = connect_to(path[i % BOARDS]);
	for (unsigned int i = 0; i < MANY; i++) {
		assert_int_equal(client_ask(fd[i], &request, &reply), 0);
		(void)close(fd[i]);
	}
	server_stop(server);
	(void)pthread_join(thread, NULL);
	server_close(server);
}

static void a_socket_in_use_is_refused(void **state)
{
	struct server *server = NULL, *second = NULL;
	struct sluice_error error;
	struct stat st;

	(void)state;
	assert_int_equal(server_open(&args, &server, NULL), 0);
	assert_int_equal(server_open(&args, &second, &error), -EADDRINUSE);
	assert_null(second);
	assert_non_null(strstr(error.text, path[0]));
	/* The first one's sockets are untouched. */
	assert_int_equal(stat(path[0], &st), 0);
	(void)close(connect_to(path[0]));
	server_close(server);
}

static void a_stale_socket_is_replaced(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = __real_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct server *server = NULL;

	(void)state;
	address_of(&address, path[1]);
	assert_int_equal(__real_bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	(void)close(fd);
	assert_int_equal(server_open(&args, &server, NULL), 0);
	(void)close(connect_to(path[1]));
	server_close(server);
}

static void a_file_is_never_removed(void **state)
{
	const int fd = open(path[1], O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	struct server *server = NULL;
	struct sluice_error error;

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(server_open(&args, &server, &error), -EEXIST);
	assert_non_null(strstr(error.text, path[1]));
	assert_int_equal(unlink(path[1]), 0);
}

/* Someone put another socket in our place: it is not ours to remove. */
static void only_our_own_socket_is_removed(void **state)
{
	struct server *server = NULL;
	const int fd = __real_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char aside[80];

	(void)state;
	assert_int_equal(server_open(&args, &server, NULL), 0);
	/* The old one is kept, so that its number is not given to the new one. */
	(void)snprintf(aside, sizeof(aside), "%s.aside", path[0]);
	assert_int_equal(rename(path[0], aside), 0);
	address_of(&address, path[0]);
	assert_int_equal(__real_bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	server_close(server);
	assert_int_equal(unlink(path[0]), 0);
	assert_int_equal(unlink(aside), 0);
	(void)close(fd);
}

static void paths_that_cannot_be_are_refused(void **state)
{
	char longer[200];
	struct server *server = NULL;
	struct sluice_error error;

	(void)state;
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	boards[1].path = longer;
	assert_int_equal(server_open(&args, &server, &error), -EINVAL);
	boards[1].path = "";
	assert_int_equal(server_open(&args, &server, &error), -EINVAL);
	boards[1].path = "/dev/null/board";
	assert_int_equal(server_open(&args, &server, &error), -ENOTDIR);
	args.board_count = 0;
	assert_int_equal(server_open(&args, &server, &error), -EINVAL);
	assert_null(server);
	server_close(NULL);
}

static unsigned int open_descriptors(void)
{
	unsigned int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void open_unwinds_from_every_step(void **state)
{
	const unsigned int before = open_descriptors();
	struct server *server = NULL;
	int steps = 0;

	(void)state;
	for (;; steps++) {
		int ret;

		fault_in = steps;
		ret = server_open(&args, &server, NULL);
		fault_in = -1;
		if (ret == 0)
			break;
		assert_int_equal(ret, -ENOBUFS);
		assert_null(server);
		assert_int_equal(open_descriptors(), before);
		assert_int_equal(access(path[0], F_OK), -1);
		assert_int_equal(access(path[1], F_OK), -1);
	}
	/* Two event descriptors; socket, bind and listen for each board. */
	assert_int_equal(steps, 2 + 3 * BOARDS);
	server_close(server);
	assert_int_equal(open_descriptors(), before);
}

#define with_boards(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_boards(once_ends_when_each_board_has_run),
		with_boards(the_stop_ends_all_connections),
		with_boards(more_hosts_than_there_is_room_for_are_all_answered),
		with_boards(a_socket_in_use_is_refused),
		with_boards(a_stale_socket_is_replaced),
		with_boards(a_file_is_never_removed),
		with_boards(only_our_own_socket_is_removed),
		with_boards(paths_that_cannot_be_are_refused),
		with_boards(open_unwinds_from_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
