/* SPDX-License-Identifier: MIT */
/*
 * A board behind our driver, as sluice/uapi.h has it: each read is one chunk of whole blocks by
 * DMA into the ring. Reads are started beside each other in the order of submission, and the
 * driver fills them in that order, so nothing drains between them.
 *
 *   start: ARM, COUNTERS    first reads submitted: RUN    stop: STOP, COUNTERS
 */
#include "source_node.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <registers.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <base/error.h>
#include <base/numa.h>

#include "source_ops.h"
#include "stream.h"

_Static_assert(sizeof(((struct source_info *)0)->pci) >= SLUICE_UAPI_NAME, "an address fits");

enum {
	NODES_MAX = 1024, /* the kernel's own limit */
};

struct node {
	int fd;
	char path[SOURCE_SPEC_MAX];
	struct sluice_uapi_info info;
	struct source_device_args device;
	struct sluice_uapi_counters before, after;
	int counted; /* 0: both are of this scan; else why not */
	bool stopped;
};

/* ---- what went wrong, and what to do ------------------------------------------------------- */

#define FIRMWARE "; the next scan resets it; if it happens again, update its firmware"

static const struct {
	int error;
	const char *text;
} explanations[] = {
	{ -EMSGSIZE, "the board says it wrote more than fits, or no whole blocks" FIRMWARE },
	{ -EILSEQ, "the board completed a chunk twice, or one that was never posted" FIRMWARE },
	{ -ENODATA, "the board never completed a chunk, but a later one" FIRMWARE },
	{ -ESTALE, "the board completed a chunk for another scan" FIRMWARE },
	{ -EPROTO, "the board says what its interface does not know; install the driver and the "
		   "firmware of one version, `sluice list` shows both" },
	{ -EIO, "the bus refused the board's DMA; `dmesg` names the address: look for IOMMU or AER "
		"lines, and reseat the card if they name its slot" },
	{ -EFAULT, "the board refused a descriptor; install the driver and the firmware of one "
		   "version, `sluice list` shows both" },
	{ -ENOLINK, "the detector's link went down; look after its cables and the detector's power "
		    "supply" },
	{ -EREMOTEIO, "the board failed inside; if the next scan fails too, switch it off and on" },
	{ -ECANCELED, "the scan was aborted at the board, or the board was reset; `dmesg` says by "
		      "whom; repeat the scan" },
	{ -ENODEV, "the board is gone; look after its slot and its power supply, then `echo 1 > "
		   "/sys/bus/pci/rescan`; the next scan opens it again" },
	{ -ETIMEDOUT, "the board does not answer; if the next scan fails too, switch it off and "
		      "on" },
	{ -EBUSY, "another process reads the board, or a scan runs on it; `fuser -v` with its node "
		  "names the process" },
	{ -EINVAL, "the driver refuses the scan's numbers; install driver and daemon of one "
		   "version" },
	{ -EPERM, "the node is open for looking only; give the daemon's user the group sluice" },
};

static const char *node_explain(int error)
{
	for (size_t i = 0; i < sizeof(explanations) / sizeof(explanations[0]); i++)
		if (explanations[i].error == error)
			return explanations[i].text;
	return NULL;
}

static int node_error(int ret, const char *path, const char *what, struct sluice_error *reterr)
{
	const char *const text = node_explain(ret);

	return error_set(reterr, ret, "board %s: %s: %s", path, what,
			 text ? text : error_name(ret));
}

/* ---- who it is ------------------------------------------------------------------------------- */

int node_ask(int fd, const char *path, struct sluice_uapi_info *ret_info,
	     struct sluice_error *reterr)
{
	struct sluice_uapi_info info = { 0 };

	if (ioctl(fd, SLUICE_IOC_INFO, &info) < 0) {
		const int ret = neg_errno();

		/* What devices say to a question that they do not know. */
		if (ret == -ENOTTY || ret == -EINVAL || ret == -ENOSYS || ret == -EOPNOTSUPP)
			return -ENOTTY;
		return node_error(ret, path, "does not say who it is", reterr);
	}
	if (info.abi != SLUICE_UAPI_VERSION)
		return error_set(reterr, -EPROTO,
				 "board %s: its driver speaks version %u, this program %d; install "
				 "driver and daemon of one version",
				 path, info.abi, SLUICE_UAPI_VERSION);
	if (!memchr(info.pci, '\0', sizeof(info.pci)) || info.node < NODE_ANY ||
	    info.node >= NODES_MAX || info.read_max == 0)
		return error_set(reterr, -EPROTO,
				 "board %s: its driver tells what cannot be; install driver and "
				 "daemon of one version",
				 path);
	/* The address goes to logs. */
	for (char *c = info.pci; *c; c++)
		if (*c <= ' ' || *c > '~')
			*c = '?';
	*ret_info = info;
	return 0;
}

static struct sluice_geometry geometry_of(const struct sluice_uapi_info *info)
{
	return (struct sluice_geometry){
		.sectors = info->sectors,
		.layout = info->layout,
		.rows = info->rows,
		.columns = info->columns,
		.pixel = info->pixel,
	};
}

/* What is configured and what the board says must be one thing. */
static int node_agree(struct source *source, const struct source_args *args,
		      const struct sluice_uapi_info *info, struct sluice_error *reterr)
{
	const struct sluice_geometry its = geometry_of(info);
	struct sluice_geometry geometry = args->geometry;
	int ret;

	if (!sluice_geometry_ok(&its))
		return error_set(reterr, -EPROTO,
				 "says its geometry is %u sectors of %u x %u pixels of type %u: "
				 "not possible; update its firmware",
				 its.sectors, its.rows, its.columns, its.pixel);
	if (strcmp(args->framing, framing_sluice.name) != 0)
		return error_set(reterr, -EINVAL,
				 "its blocks have the framing %s, configured is %s",
				 framing_sluice.name, args->framing);
	if (info->sector != args->sector)
		return error_set(reterr, -EINVAL, "reads sector %u, configured is sector %u",
				 info->sector, args->sector);
	if (args->depth > info->read_max)
		return error_set(reterr, -ERANGE,
				 "takes %u reads at once, configured are %u; lower reads_in_flight",
				 info->read_max, args->depth);
	ret = framing_geometry_merge(&geometry, &its, reterr);
	if (ret == 0)
		ret = framing_format_init(&source->format, &framing_sluice, &geometry, args->sector,
					  NULL, reterr);
	if (ret < 0)
		return ret;
	if (source->format.block_bytes != info->block_bytes)
		return error_set(reterr, -EPROTO,
				 "says its blocks have %u bytes, by its geometry they have %u; "
				 "update its firmware",
				 info->block_bytes, source->format.block_bytes);
	return 0;
}

/* A link that came up slower than it can carries less than the detector may send. */
static void note_link(const struct sluice_uapi_info *info, char *note, size_t note_size)
{
	note[0] = '\0';
	if (info->link_speed >= info->link_speed_max && info->link_width >= info->link_width_max)
		return;
	if (info->link_speed == 0 || info->link_width == 0)
		return; /* not known */
	(void)snprintf(note, note_size,
		       "PCIe link of %s runs at %.1f GT/s x%u, it can %.1f GT/s x%u: reseat the "
		       "card, or move it to a slot that has so many lanes",
		       info->pci, info->link_speed / 1e3, info->link_width,
		       info->link_speed_max / 1e3, info->link_width_max);
}

int node_adopt(struct source *source, const struct source_args *args, const char *path, int fd,
	       const struct sluice_uapi_info *info, struct sluice_error *reterr)
{
	struct node *node;
	int ret = node_agree(source, args, info, reterr);

	if (ret < 0)
		return error_prefix(reterr, ret, "board %s (%s)", path, info->pci);
	node = calloc(1, sizeof(*node));
	if (!node)
		return error_set(reterr, -ENOMEM, "board %s: no memory", path);
	ret = stream_open(source);
	if (ret < 0) {
		free(node);
		return error_set(reterr, ret, "board %s: no memory for a block of %u bytes", path,
				 source->format.block_bytes);
	}
	node->fd = fd;
	node->info = *info;
	node->device = args->device;
	node->counted = -ENODATA;
	(void)snprintf(node->path, sizeof(node->path), "%s", path);
	/* Of a name too long what is cut off is the end of its path, never the address. */
	(void)snprintf(source->info.name, sizeof(source->info.name), "%.*s (%s)",
		       (int)(sizeof(source->info.name) - sizeof(" ()") - strlen(info->pci)), path,
		       info->pci);
	(void)snprintf(source->info.pci, sizeof(source->info.pci), "%s", info->pci);
	source->info.node = info->node;
	note_link(info, source->info.note, sizeof(source->info.note));
	source->kind = node;
	source->ops = &source_node_ops;
	return 0;
}

/* ---- a scan ---------------------------------------------------------------------------------- */

static int node_stop_board(const struct node *node, uint32_t how)
{
	const struct sluice_uapi_stop stop = { .how = how };

	return ioctl(node->fd, SLUICE_IOC_STOP, &stop) < 0 ? neg_errno() : 0;
}

static int node_arm(const struct node *node, const struct source_scan *scan)
{
	const bool borders = node->info.capabilities & FW_CAP_RUN_BORDERS;
	const struct sluice_uapi_scan arm = {
		.scan = scan->scan,
		.columns = scan->scan_columns,
		.rows = scan->scan_rows,
		.source = FW_SOURCE_DETECTOR,
		.frames = scan->frames_expected,
		/* Without them a chunk that follows a dropped frame holds the end of one run and
		 * the beginning of the next. */
		.run_frames = borders ? scan->run_frames : 0,
		.drop_threshold = node->device.drop_threshold,
		.coalesce_count = node->device.coalesce_count,
		.coalesce_us = node->device.coalesce_us,
	};

	return ioctl(node->fd, SLUICE_IOC_ARM, &arm) < 0 ? neg_errno() : 0;
}

/* The board was gone. Where it is back, it has a new node by the same name. */
static int node_reopen(struct node *node, struct sluice_error *reterr)
{
	const struct sluice_geometry its = geometry_of(&node->info);
	struct sluice_uapi_info info = { 0 };
	struct sluice_geometry new;
	int fd, ret;

	ret = device_open_waiting(node->path, &fd);
	if (ret < 0)
		return node_error(-ENODEV, node->path, "cannot be opened again", reterr);
	ret = node_ask(fd, node->path, &info, reterr);
	if (ret < 0) {
		(void)close(fd);
		return ret == -ENOTTY
			       ? node_error(-ENODEV, node->path, "is another device now", reterr)
			       : ret;
	}
	new = geometry_of(&info);
	if (info.serial != node->info.serial || info.sector != node->info.sector ||
	    info.block_bytes != node->info.block_bytes || memcmp(&new, &its, sizeof(new)) != 0) {
		(void)close(fd);
		return error_set(reterr, -EINVAL,
				 "board %s: serial %" PRIx64 ", sector %u has taken the place of "
				 "serial %" PRIx64 ", sector %u; restart the daemon",
				 node->path, (uint64_t)info.serial, info.sector,
				 (uint64_t)node->info.serial, node->info.sector);
	}
	(void)close(node->fd);
	node->fd = fd;
	node->info = info;
	return 0;
}

static int node_start(struct source *source, struct sluice_error *reterr)
{
	struct node *const node = source->kind;
	int ret = node_arm(node, &source->scan);

	node->counted = -ENODATA;
	if (ret == -ENODEV) {
		ret = node_reopen(node, reterr);
		if (ret < 0)
			return ret;
		ret = node_arm(node, &source->scan);
	}
	if (ret < 0)
		return node_error(ret, node->path, "does not arm the scan", reterr);
	/* After arming, which may have reset the board and its counters. */
	if (ioctl(node->fd, SLUICE_IOC_COUNTERS, &node->before) < 0) {
		ret = neg_errno();
		(void)node_stop_board(node, SLUICE_UAPI_STOP_ABORT);
		return node_error(ret, node->path, "does not tell its counters", reterr);
	}
	node->stopped = false;
	stream_start(source);
	source->scanner.whole_blocks = true;
	return 0;
}

static int node_run(struct source *source)
{
	const struct node *const node = source->kind;
	const struct sluice_uapi_run run = { 0 };

	return ioctl(node->fd, SLUICE_IOC_RUN, &run) < 0 ? neg_errno() : 0;
}

static int node_drain(struct source *source)
{
	return node_stop_board(source->kind, SLUICE_UAPI_STOP_DRAIN);
}

/* One run, or as many blocks as there is room for. */
static int node_prepare_read(struct source *source, struct source_slot *slot)
{
	const struct node *const node = source->kind;
	const uint32_t block = source->format.block_bytes;
	uint64_t blocks = source->scan.run_frames;

	if (!source_read_room(source))
		return -EAGAIN;
	if (blocks > slot->buffer.table_max)
		blocks = slot->buffer.table_max;
	if (blocks > slot->buffer.capacity / block)
		blocks = slot->buffer.capacity / block;
	if (blocks > URING_READ_BYTES_MAX / block)
		blocks = URING_READ_BYTES_MAX / block;
	assert(blocks > 0);
	source_read_beside(source, slot, (uint32_t)(blocks * block), node->fd);
	return 0;
}

static void node_completed(struct source *source, struct source_slot *slot,
			   struct source_fill *fill)
{
	scanner_feed(&source->scanner, &slot->buffer, slot->received, fill);
}

static void node_stop(struct source *source)
{
	struct node *const node = source->kind;
	int ret = -EAGAIN;

	if (node->stopped)
		return;
	node->stopped = true;
	if (source->end == SOURCE_END_COMPLETE)
		ret = node_stop_board(node, SLUICE_UAPI_STOP_DRAIN);
	/* What fails here shows in the reads, which must come back. */
	if (ret < 0)
		(void)node_stop_board(node, SLUICE_UAPI_STOP_ABORT);
	node->counted = ioctl(node->fd, SLUICE_IOC_COUNTERS, &node->after) < 0 ? neg_errno() : 0;
}

static void node_close(struct source *source)
{
	struct node *const node = source->kind;

	if (!node)
		return;
	stream_close(source);
	(void)close(node->fd);
	free(node);
	source->kind = NULL;
}

/* ---- its account ----------------------------------------------------------------------------- */

static int node_counters(struct source *source, struct source_board_counters *ret_counters)
{
	const struct node *const node = source->kind;
	const struct sluice_uapi_counters *const a = &node->after, *const b = &node->before;
	struct source_board_counters c = { .has_causes = true };
	const struct {
		const char *name;
		uint64_t before, after, *ret;
	} row[] = {
		{ "blocks_in", b->blocks_in, a->blocks_in, &c.blocks_generated },
		{ "blocks_out", b->blocks_out, a->blocks_out, &c.blocks_sent },
		{ "dropped_overflow", b->dropped_overflow, a->dropped_overflow,
		  &c.dropped_overflow },
		{ "dropped_link", b->dropped_link, a->dropped_link, &c.dropped_link },
		{ "dropped_stop", b->dropped_stop, a->dropped_stop, &c.dropped_stop },
		{ "stall_ns", b->stall_ns, a->stall_ns, &c.stall_ns },
	};

	if (node->counted < 0)
		return node->counted;
	if (a->resets != b->resets)
		return -ENODATA; /* they began from 0 in between */
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		if (row[i].after < row[i].before && c.flaw[0] == '\0')
			(void)snprintf(c.flaw, sizeof(c.flaw),
				       "%s went from %" PRIu64 " to %" PRIu64, row[i].name,
				       row[i].before, row[i].after);
		*row[i].ret = row[i].after - row[i].before;
	}
	c.blocks_dropped = c.dropped_overflow + c.dropped_link + c.dropped_stop;
	*ret_counters = c;
	return 0;
}

const struct source_ops source_node_ops = {
	.scheme = "device",
	.ordered = true,
	.ends_by_count = true,
	.by_uapi = true,
	.start = node_start,
	.run = node_run,
	.drain = node_drain,
	.prepare_read = node_prepare_read,
	.completed = node_completed,
	.stop = node_stop,
	.close = node_close,
	.counters = node_counters,
	.explain = node_explain,
};
