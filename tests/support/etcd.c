/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/etcd.h"

enum {
	HEALTHY_S = 30, /* a machine under load may take long */
	STOP_S = 5,
	POLL_MS = 20,
	STARTS_MAX = 3, /* another program may be quicker with a port */
};

static const char program[] = "/usr/bin/etcd";

static void fail(const char *what)
{
	(void)fprintf(stderr, "support/etcd: %s: %s\n", what, strerrordesc_np(errno));
	abort();
}

static time_t seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static struct sockaddr_in loopback(unsigned int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

unsigned int free_port(void)
{
	struct sockaddr_in a = loopback(0);
	socklen_t len = sizeof(a);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		fail("no free port");
	(void)close(fd);
	return ntohs(a.sin_port);
}

/* Asks once. */
static bool healthy(const struct etcd_server *server)
{
	static const char request[] = "GET /health HTTP/1.0\r\n\r\n";
	const struct sockaddr_in a = loopback(server->client_port);
	const struct timeval patience = { .tv_sec = 1 };
	char answer[2048];
	size_t len = 0;
	ssize_t n;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 &&
	    send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0) {
		while (len < sizeof(answer) - 1 &&
		       (n = recv(fd, answer + len, sizeof(answer) - 1 - len, 0)) > 0)
			len += (size_t)n;
	}
	(void)close(fd);
	answer[len] = '\0';
	return strstr(answer, "\"health\":\"true\"") != NULL;
}

static void run_child(const struct etcd_server *server)
{
	char peer[64], cluster[80], log[300];
	int fd;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)snprintf(peer, sizeof(peer), "http://127.0.0.1:%u", server->peer_port);
	(void)snprintf(cluster, sizeof(cluster), "default=%s", peer);
	(void)snprintf(log, sizeof(log), "%s/log", server->dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(126);
	/* One member needs no long election; without fsync it starts quickly. */
	(void)execl(program, program, "--data-dir", server->dir, "--listen-client-urls",
		    server->url, "--advertise-client-urls", server->url, "--listen-peer-urls", peer,
		    "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster,
		    "--heartbeat-interval", "20", "--election-timeout", "200", "--unsafe-no-fsync",
		    "--logger", "zap", "--log-level", "error", (char *)NULL);
	_exit(127);
}

/* False: it ended before it was healthy. */
static bool start_once(struct etcd_server *server)
{
	const time_t end = seconds() + HEALTHY_S;

	(void)snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u",
		       server->client_port);
	server->pid = fork();
	if (server->pid < 0)
		fail("fork");
	if (server->pid == 0)
		run_child(server);
	while (!healthy(server)) {
		if (waitpid(server->pid, NULL, WNOHANG) == server->pid) {
			server->pid = 0;
			return false;
		}
		if (seconds() > end) {
			etcd_kill(server);
			fail("etcd is not healthy in time");
		}
		(void)poll(NULL, 0, POLL_MS);
	}
	return true;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): it does not change the folder it is in */
	if (nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
		fail(path);
}

void etcd_start(struct etcd_server *server, const char *dir)
{
	if (access(program, X_OK) != 0) {
		(void)printf("SKIP: %s is not installed (apt-get install etcd-server)\n", program);
		exit(77); /* NOLINT(concurrency-mt-unsafe): nothing runs yet */
	}
	*server = (struct etcd_server){ .own_dir = !dir };
	(void)snprintf(server->dir, sizeof(server->dir), "%s",
		       dir ? dir : "/tmp/sluice-etcd-XXXXXX");
	if (!dir && !mkdtemp(server->dir))
		fail(server->dir);
	for (int i = 0; i < STARTS_MAX; i++) {
		server->client_port = free_port();
		server->peer_port = free_port();
		if (start_once(server))
			return;
	}
	fail("etcd does not start");
}

void etcd_restart(struct etcd_server *server, bool emptied)
{
	etcd_kill(server);
	if (emptied) {
		remove_tree(server->dir);
		if (mkdir(server->dir, 0700) != 0)
			fail(server->dir);
	}
	for (int i = 0; i < STARTS_MAX; i++) {
		if (start_once(server))
			return;
	}
	fail("etcd does not start again");
}

void etcd_kill(struct etcd_server *server)
{
	if (server->pid == 0)
		return;
	(void)kill(server->pid, SIGKILL);
	(void)waitpid(server->pid, NULL, 0);
	server->pid = 0;
}

void etcd_stop(struct etcd_server *server)
{
	const time_t end = seconds() + STOP_S;

	if (server->pid != 0) {
		(void)kill(server->pid, SIGTERM);
		while (server->pid != 0 && seconds() <= end) {
			if (waitpid(server->pid, NULL, WNOHANG) == server->pid)
				server->pid = 0;
			else
				(void)poll(NULL, 0, POLL_MS);
		}
	}
	etcd_kill(server);
	if (server->own_dir)
		remove_tree(server->dir);
	server->own_dir = false;
}
