/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/server.h>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/error.h>
#include <model/board.h>
#include <model/listener.h>

/* After accept() found no descriptor or no memory, so long until it is tried again. */
#define ACCEPT_PAUSE_MS 100

struct place {
	struct board *board;
	struct listener socket;
	bool ran; /* a scan was run to its end */
};

struct connection {
	struct server *server;
	struct place *place;
	pthread_t thread;
	int fd;
	bool used;
	bool ended; /* the thread is to be joined */
};

struct server {
	struct server_args args;
	struct place place[SLUICE_SECTORS_MAX];
	unsigned int places;
	struct connection connection[SERVER_CONNECTIONS_MAX];
	pthread_mutex_t lock; /* connection[].ended, place[].ran, the report */
	int stop_fd;          /* readable from server_stop() on; never read */
	int wake_fd;          /* a connection has ended */
};

static void raise_event(int fd)
{
	const uint64_t one = 1;
	const int errno_before = errno;

	/* Fails only where the counter is at its limit: readable, then, as it should be. */
	if (write(fd, &one, sizeof(one)) < 0)
		errno = errno_before;
}

int server_open(const struct server_args *args, struct server **ret_server,
		struct sluice_error *reterr)
{
	struct server *server;
	int ret;

	if (args->board_count < 1 || args->board_count > SLUICE_SECTORS_MAX)
		return error_set(reterr, -EINVAL, "%u boards; allowed: 1 ... %d", args->board_count,
				 SLUICE_SECTORS_MAX);
	server = calloc(1, sizeof(*server));
	if (!server)
		return error_set(reterr, -ENOMEM, "no memory for a server");
	server->args = *args;
	server->args.boards = NULL;
	(void)pthread_mutex_init(&server->lock, NULL);
	server->wake_fd = -1;
	server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (server->stop_fd >= 0)
		server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (server->wake_fd < 0) {
		ret = error_set(reterr, neg_errno(), "no event descriptor to be had");
		goto err_close;
	}
	for (unsigned int i = 0; i < args->board_count; i++) {
		struct place *place = &server->place[i];

		place->board = args->boards[i].board;
		ret = listener_open(args->boards[i].path, &place->socket, reterr);
		if (ret < 0)
			goto err_close;
		server->places++;
	}
	*ret_server = server;
	return 0;

err_close:
	server_close(server);
	return ret;
}

void server_close(struct server *server)
{
	if (!server)
		return;
	for (unsigned int i = 0; i < server->places; i++)
		listener_close(&server->place[i].socket);
	if (server->wake_fd >= 0)
		(void)close(server->wake_fd);
	if (server->stop_fd >= 0)
		(void)close(server->stop_fd);
	(void)pthread_mutex_destroy(&server->lock);
	free(server);
}

void server_stop(struct server *server)
{
	raise_event(server->stop_fd);
}

static void *serve(void *arg)
{
	struct connection *c = arg;
	struct server *server = c->server;
	struct board *board = c->place->board;
	struct board_report report;

	board_serve(board, c->fd, server->stop_fd, &report);
	(void)close(c->fd);
	(void)pthread_mutex_lock(&server->lock);
	if (report.ran && server->args.report)
		server->args.report(server->args.ctx, board, &report);
	if (report.ran && report.end == 0)
		c->place->ran = true;
	c->ended = true;
	(void)pthread_mutex_unlock(&server->lock);
	raise_event(server->wake_fd);
	return NULL;
}

/* Signals are the main thread's. */
static int start_thread(struct connection *c)
{
	sigset_t all, before;
	int ret;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = -pthread_create(&c->thread, NULL, serve, c);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ret;
}

static struct connection *free_connection(struct server *server)
{
	for (unsigned int i = 0; i < SERVER_CONNECTIONS_MAX; i++)
		if (!server->connection[i].used)
			return &server->connection[i];
	return NULL;
}

/* -EAGAIN: nobody was there, or the machine has no room for him now. */
static int take_connection(struct server *server, struct place *place, struct connection *c)
{
	const int fd = accept4(place->socket.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return errno == EINTR || errno == ECONNABORTED ? 0 : -EAGAIN;
	*c = (struct connection){ .server = server, .place = place, .fd = fd, .used = true };
	if (start_thread(c) < 0) {
		c->used = false;
		(void)close(fd);
		return -EAGAIN;
	}
	return 0;
}

/* Joins what has ended. Returns whether `once` is fulfilled. */
static bool reap(struct server *server, bool all)
{
	bool every = true;

	for (unsigned int i = 0; i < SERVER_CONNECTIONS_MAX; i++) {
		struct connection *c = &server->connection[i];
		bool ended;

		(void)pthread_mutex_lock(&server->lock);
		ended = c->ended;
		(void)pthread_mutex_unlock(&server->lock);
		if (!c->used || !(all || ended))
			continue;
		(void)pthread_join(c->thread, NULL);
		c->ended = false;
		c->used = false;
	}
	(void)pthread_mutex_lock(&server->lock);
	for (unsigned int i = 0; i < server->places; i++)
		every = every && server->place[i].ran;
	(void)pthread_mutex_unlock(&server->lock);
	return server->args.once && every;
}

/* Waits for the stop, an ended connection, or a new one where there is room. */
static int serve_next(struct server *server, bool paused)
{
	struct pollfd fds[2 + SLUICE_SECTORS_MAX] = {
		{ .fd = server->stop_fd, .events = POLLIN },
		{ .fd = server->wake_fd, .events = POLLIN },
	};
	const bool room = !paused && free_connection(server);
	unsigned int count = 2;
	int ret = 0;

	for (unsigned int i = 0; room && i < server->places; i++)
		fds[count++] = (struct pollfd){ .fd = server->place[i].socket.fd,
						.events = POLLIN };
	if (poll(fds, count, paused ? ACCEPT_PAUSE_MS : -1) < 0)
		return errno == EINTR ? 0 : neg_errno();
	if (fds[0].revents != 0)
		return -ECANCELED;
	if (fds[1].revents != 0) {
		uint64_t wakes;

		if (read(server->wake_fd, &wakes, sizeof(wakes)) < 0 && errno != EAGAIN)
			return neg_errno();
	}
	for (unsigned int i = 2; i < count; i++) {
		struct connection *c = free_connection(server);

		if (fds[i].revents != 0 && c &&
		    take_connection(server, &server->place[i - 2], c) < 0)
			ret = -EAGAIN;
	}
	return ret;
}

int server_run(struct server *server)
{
	int ret = 0;

	while (!reap(server, false)) {
		ret = serve_next(server, ret == -EAGAIN);
		if (ret < 0 && ret != -EAGAIN)
			break;
	}
	/* Connections see the same stop. */
	server_stop(server);
	(void)reap(server, true);
	return ret == -ECANCELED || ret == -EAGAIN ? 0 : ret;
}
