/* SPDX-License-Identifier: MIT */
/*
 * A board in software, behind a Unix stream socket. A socket's bytes cannot be read into
 * registered memory in whole buffers: RECV with MSG_WAITALL can, into the same memory.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/error.h>

#include "board.h"
#include "source_ops.h"
#include "stream.h"

static const uint64_t reply_ns = 2 * NS_PER_S;

struct socket {
	char path[SOURCE_SPEC_MAX];
	int fd; /* of the scan that runs; -1: none */
};

static int board_error(int ret, const char *path, const char *what, struct sluice_error *reterr)
{
	const char *remedy = "";

	if (ret == -ENOENT || ret == -ECONNREFUSED)
		remedy = "; start sluice-board there";
	else if (ret == -EBADMSG)
		remedy = "; what answers there is no sluice-board of this version";
	else if (ret == -EBUSY)
		remedy = "; another scan runs on it";
	return error_set(reterr, ret, "board %s: %s: %s%s", path, what, error_name(ret), remedy);
}

static int socket_open(struct source *source, const struct source_args *args, const char *path,
		       struct sluice_error *reterr)
{
	struct sluice_geometry geometry = args->geometry;
	struct board_state state;
	struct socket *sock;
	int ret;

	ret = board_ask(path, NULL, reply_ns, &state, NULL);
	if (ret < 0)
		return board_error(ret, path, "does not say who it is", reterr);
	if (state.sector != args->sector)
		return error_set(reterr, -EINVAL,
				 "board %s (%s): reads sector %u, configured is sector %u", path,
				 state.name, state.sector, args->sector);
	ret = framing_geometry_merge(&geometry, &state.geometry, reterr);
	if (ret < 0)
		return error_prefix(reterr, ret, "board %s (%s)", path, state.name);
	ret = framing_format_init(&source->format, framing_find(args->framing), &geometry,
				  args->sector, NULL, reterr);
	if (ret < 0)
		return error_prefix(reterr, ret, "board %s (%s)", path, state.name);
	sock = calloc(1, sizeof(*sock));
	if (!sock)
		return error_set(reterr, -ENOMEM, "board %s: no memory", path);
	ret = stream_open(source);
	if (ret < 0) {
		free(sock);
		return error_set(reterr, ret, "board %s: no memory for a block of %u bytes", path,
				 source->format.block_bytes);
	}
	(void)snprintf(sock->path, sizeof(sock->path), "%s", path);
	sock->fd = -1;
	memcpy(source->info.name, state.name, sizeof(source->info.name));
	source->kind = sock;
	return 0;
}

static void disconnect(struct socket *sock)
{
	if (sock->fd >= 0)
		(void)close(sock->fd);
	sock->fd = -1;
}

static bool same_blocks(const struct source *source, const struct board_state *state)
{
	const struct sluice_geometry *const ours = &source->format.geometry;
	const struct sluice_geometry *const its = &state->geometry;

	return state->sector == source->format.sector && its->sectors == ours->sectors &&
	       its->rows == ours->rows && its->columns == ours->columns &&
	       its->pixel == ours->pixel;
}

static int socket_start(struct source *source, struct sluice_error *reterr)
{
	struct socket *const sock = source->kind;
	struct board_state state;
	int fd, ret;

	disconnect(sock);
	ret = board_ask(sock->path, &source->scan, reply_ns, &state, &fd);
	if (ret < 0)
		return board_error(ret, sock->path, "does not run the scan", reterr);
	/* Another board may have taken the place of the one that was there at open. */
	if (!same_blocks(source, &state)) {
		(void)close(fd);
		return error_set(reterr, -EINVAL,
				 "board %s (%s): its sector or geometry has changed since it was "
				 "opened; open it again",
				 sock->path, state.name);
	}
	sock->fd = fd;
	stream_start(source);
	return 0;
}

static int socket_prepare_read(struct source *source, struct source_slot *slot)
{
	const struct socket *const sock = source->kind;

	if (!source_read_room(source))
		return -EAGAIN;
	source_receive(source, slot, stream_read_bytes(source, slot), sock->fd);
	return 0;
}

/* The descriptor stays until the next scan: reads not submitted yet name it by its number. */
static void socket_stop(struct source *source)
{
	const struct socket *const sock = source->kind;

	if (sock->fd >= 0)
		(void)shutdown(sock->fd, SHUT_RDWR);
}

static void socket_close(struct source *source)
{
	struct socket *const sock = source->kind;

	if (!sock)
		return;
	stream_close(source);
	disconnect(sock);
	free(sock);
	source->kind = NULL;
}

static int socket_counters(struct source *source, struct source_board_counters *ret_counters)
{
	const struct socket *const sock = source->kind;
	struct board_state state;
	int ret;

	/* What nobody listened to the end of may still be going on. */
	if (source->end == SOURCE_END_STOPPED)
		return -ENODATA;
	ret = board_ask(sock->path, NULL, reply_ns, &state, NULL);
	if (ret < 0)
		return ret;
	if (state.scan != source->scan.scan)
		return -ENODATA;
	*ret_counters = (struct source_board_counters){
		.blocks_generated = state.blocks_generated,
		.blocks_sent = state.blocks_sent,
		.blocks_dropped = state.blocks_dropped,
		.stall_ns = state.stall_ns,
	};
	return 0;
}

const struct source_ops source_socket_ops = {
	.scheme = "socket",
	.ordered = true,
	.short_is_end = true,
	.open = socket_open,
	.start = socket_start,
	.prepare_read = socket_prepare_read,
	.completed = stream_completed,
	.stop = socket_stop,
	.close = socket_close,
	.counters = socket_counters,
};
