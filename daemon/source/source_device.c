/* SPDX-License-Identifier: MIT */
/*
 * A character device: each read is a transfer straight into the ring. Any device whose reads
 * deliver the board's bytes in order will do; a read of 0 bytes ends the scan. A node of our own
 * driver is known by its answer, and is source_node.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>

#include "source_node.h"
#include "source_ops.h"
#include "stream.h"

struct device {
	int fd;
};

int device_open_waiting(const char *path, int *ret_fd)
{
	struct stat st;
	int fd, flags, ret;

	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return neg_errno();
	if (fstat(fd, &st) < 0) {
		ret = neg_errno();
		goto err_close;
	}
	if (S_ISDIR(st.st_mode)) {
		ret = -EISDIR;
		goto err_close;
	}
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
		ret = neg_errno();
		goto err_close;
	}
	*ret_fd = fd;
	return 0;

err_close:
	(void)close(fd);
	return ret;
}

/* A device of another maker: nothing is known of it but what is configured. */
static int foreign_open(struct source *source, const struct source_args *args, const char *path,
			int fd, struct sluice_error *reterr)
{
	struct device *device;
	int ret;

	ret = framing_format_init(&source->format, framing_find(args->framing), &args->geometry,
				  args->sector, NULL, reterr);
	if (ret < 0)
		return ret;
	device = malloc(sizeof(*device));
	if (!device)
		return error_set(reterr, -ENOMEM, "no memory for a device");
	ret = stream_open(source);
	if (ret < 0) {
		(void)error_set(reterr, ret, "device %s: no memory for a block of %u bytes", path,
				source->format.block_bytes);
		free(device);
		return ret;
	}
	(void)snprintf(source->info.name, sizeof(source->info.name), "%s", path);
	device->fd = fd;
	source->kind = device;
	return 0;
}

static const char *open_remedy(int ret)
{
	if (ret == -ENOENT || ret == -ENXIO || ret == -ENODEV)
		return "; load its driver (`modprobe sluice`); `sluice list` shows boards";
	if (ret == -EACCES || ret == -EPERM)
		return "; put the daemon's user into the device's group, for our driver `sluice`";
	return "";
}

static int device_open(struct source *source, const struct source_args *args, const char *path,
		       struct sluice_error *reterr)
{
	struct sluice_uapi_info info = { 0 };
	int fd = -1;
	int ret;

	ret = device_open_waiting(path, &fd);
	if (ret < 0)
		return error_set(reterr, ret, "device %s: cannot open it: %s%s", path,
				 error_name(ret), open_remedy(ret));
	ret = node_ask(fd, path, &info, reterr);
	if (ret == 0)
		ret = node_adopt(source, args, path, fd, &info, reterr);
	else if (ret == -ENOTTY)
		ret = foreign_open(source, args, path, fd, reterr);
	if (ret < 0)
		(void)close(fd);
	return ret;
}

static int device_start(struct source *source, struct sluice_error *reterr)
{
	(void)reterr;
	stream_start(source);
	return 0;
}

static int device_prepare_read(struct source *source, struct source_slot *slot)
{
	const struct device *const device = source->kind;

	if (!source_read_room(source))
		return -EAGAIN;
	source_read_next(source, slot, stream_read_bytes(source, slot), device->fd);
	return 0;
}

static void device_stop(struct source *source)
{
	(void)source;
}

static void device_close(struct source *source)
{
	struct device *const device = source->kind;

	if (!device)
		return;
	stream_close(source);
	(void)close(device->fd);
	free(device);
	source->kind = NULL;
}

const struct source_ops source_device_ops = {
	.scheme = "device",
	.ordered = true,
	.ends_by_count = true,
	.open = device_open,
	.start = device_start,
	.prepare_read = device_prepare_read,
	.completed = stream_completed,
	.stop = device_stop,
	.close = device_close,
};
