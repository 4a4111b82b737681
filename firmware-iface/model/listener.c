/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/listener.h>

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/error.h>

enum {
	LISTENER_BACKLOG = 16,
};

/* Makes way for a new socket: only a socket that nobody serves is removed. */
static int clear_path(const char *path, const struct sockaddr_un *address,
		      struct sluice_error *reterr)
{
	struct stat st;
	int fd, ret;

	if (lstat(path, &st) < 0) {
		ret = neg_errno();
		return ret == -ENOENT ? 0 : error_set(reterr, ret, "%s: %s", path, error_name(ret));
	}
	if (!S_ISSOCK(st.st_mode))
		return error_set(reterr, -EEXIST, "%s: exists and is no socket: remove it", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(reterr, neg_errno(), "%s: no socket to be had", path);
	ret = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? neg_errno() : 0;
	(void)close(fd);
	if (ret != -ECONNREFUSED)
		return error_set(reterr, -EADDRINUSE, "%s: another program serves this socket",
				 path);
	if (unlink(path) < 0) {
		ret = neg_errno();
		return error_set(reterr, ret, "%s: cannot remove the stale socket: %s", path,
				 error_name(ret));
	}
	return 0;
}

int listener_open(const char *path, struct listener *ret_listener, struct sluice_error *reterr)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct listener l = { .path = path };
	struct stat st;
	int ret;

	if (strlen(path) == 0 || strlen(path) >= sizeof(address.sun_path))
		return error_set(reterr, -EINVAL, "socket \"%s\": 1 ... %zu bytes are allowed",
				 path, sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	ret = clear_path(path, &address, reterr);
	if (ret < 0)
		return ret;
	l.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l.fd < 0)
		return error_set(reterr, neg_errno(), "%s: no socket to be had", path);
	if (bind(l.fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		ret = neg_errno();
		goto err_close;
	}
	if (stat(path, &st) < 0 || listen(l.fd, LISTENER_BACKLOG) < 0) {
		ret = neg_errno();
		goto err_unlink;
	}
	l.device = st.st_dev;
	l.inode = st.st_ino;
	*ret_listener = l;
	return 0;

err_unlink:
	(void)unlink(path);
err_close:
	(void)close(l.fd);
	return error_set(reterr, ret, "%s: cannot listen: %s", path, error_name(ret));
}

void listener_close(struct listener *l)
{
	struct stat st;

	if (lstat(l->path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode)
		(void)unlink(l->path);
	(void)close(l->fd);
}
