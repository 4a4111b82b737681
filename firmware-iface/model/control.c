/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/control.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/error.h>

int control_open(struct control *control, const char *path, struct sluice_error *reterr)
{
	const int ret = listener_open(path, &control->listener, reterr);

	if (ret < 0)
		return ret;
	for (unsigned int i = 0; i < CONTROL_PEERS_MAX; i++)
		control->peer[i].fd = -1;
	control->open = true;
	return 0;
}

static void hang_up(struct control_peer *peer)
{
	if (peer->fd >= 0)
		(void)close(peer->fd);
	peer->fd = -1;
	peer->used = 0;
	peer->too_long = false;
}

void control_close(struct control *control)
{
	if (!control->open)
		return;
	for (unsigned int i = 0; i < CONTROL_PEERS_MAX; i++)
		hang_up(&control->peer[i]);
	listener_close(&control->listener);
	control->open = false;
}

static struct control_peer *free_peer(struct control *control)
{
	for (unsigned int i = 0; i < CONTROL_PEERS_MAX; i++)
		if (control->peer[i].fd < 0)
			return &control->peer[i];
	return NULL;
}

void control_watch(const struct control *control, struct pollfd *fds)
{
	bool room = false;

	for (unsigned int i = 0; i < CONTROL_PEERS_MAX; i++) {
		const int fd = control->open ? control->peer[i].fd : -1;

		room |= control->open && fd < 0;
		fds[1 + i] = (struct pollfd){ .fd = fd, .events = POLLIN };
	}
	fds[0] = (struct pollfd){ .fd = room ? control->listener.fd : -1, .events = POLLIN };
}

static bool is_answer(const char *line)
{
	return line[0] == '\0' || line[0] == '{' || strcmp(line, "ok") == 0 ||
	       strncmp(line, "error", strlen("error")) == 0;
}

/* Obeys the line that is whole, and answers. */
static void obey(struct control *control, struct control_peer *peer)
{
	char answer[CONTROL_ANSWER_MAX] = "error: the line is too long\n";
	size_t bytes;

	if (peer->used > 0 && peer->line[peer->used - 1] == '\r')
		peer->used--;
	peer->line[peer->used] = '\0';
	peer->used = 0;
	if (!peer->too_long) {
		if (is_answer(peer->line))
			return;
		control->obey(control->ctx, peer->line, answer, sizeof(answer) - 1);
		bytes = strlen(answer);
		answer[bytes] = '\n';
		answer[bytes + 1] = '\0';
	}
	peer->too_long = false;
	bytes = strlen(answer);
	if (send(peer->fd, answer, bytes, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)bytes)
		hang_up(peer);
}

static void take_byte(struct control *control, struct control_peer *peer, char byte)
{
	if (byte == '\n')
		obey(control, peer);
	else if (peer->used < CONTROL_LINE_MAX && byte != '\0')
		peer->line[peer->used++] = byte;
	else
		peer->too_long = true;
}

static void listen_to(struct control *control, struct control_peer *peer)
{
	char bytes[512];
	const ssize_t n = recv(peer->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		hang_up(peer);
	for (ssize_t i = 0; i < n && peer->fd >= 0; i++)
		take_byte(control, peer, bytes[i]);
}

void control_attend(struct control *control, const struct pollfd *fds)
{
	struct control_peer *peer;

	for (unsigned int i = 0; i < CONTROL_PEERS_MAX; i++)
		if (fds[1 + i].revents != 0 && control->peer[i].fd == fds[1 + i].fd)
			listen_to(control, &control->peer[i]);
	if (fds[0].revents == 0)
		return;
	peer = free_peer(control);
	/* Whoever came may be gone again: then -1 says that nobody is here. */
	if (peer)
		peer->fd = accept4(control->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}
