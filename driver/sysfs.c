// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * /sys/class/sluice/sluiceN: one value in each file, for as many observers as like.
 *
 * counters/ has one file for each field of struct sluice_uapi_counters, and two of the driver's
 * own.
 */
#include <linux/device.h>
#include <linux/sysfs.h>

#include "board.h"
#include "mmio.h"

static struct sluice_board *board_of(struct device *dev)
{
	return container_of(dev, struct sluice_board, dev);
}

static ssize_t serial_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%016llx\n", board_of(dev)->serial);
}
static DEVICE_ATTR_RO(serial);

static ssize_t firmware_version_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", board_of(dev)->build);
}
static DEVICE_ATTR_RO(firmware_version);

static ssize_t interface_version_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	const u32 version = board_of(dev)->version;

	return sysfs_emit(buf, "%u.%u\n", version >> 16, version & 0xffff);
}
static DEVICE_ATTR_RO(interface_version);

static ssize_t state_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	static const char *const names[] = {
		[SLUICE_UAPI_IDLE] = "idle",       [SLUICE_UAPI_ARMED] = "armed",
		[SLUICE_UAPI_RUNNING] = "running", [SLUICE_UAPI_STOPPING] = "stopping",
		[SLUICE_UAPI_FAILED] = "failed",   [SLUICE_UAPI_GONE] = "gone",
	};

	return sysfs_emit(buf, "%s\n", names[sluice_state(board_of(dev))]);
}
static DEVICE_ATTR_RO(state);

static ssize_t numa_node_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%d\n", dev_to_node(dev->parent));
}
static DEVICE_ATTR_RO(numa_node);

/* A register, of a board that may be gone. */
static int register_read(struct sluice_board *board, u32 reg, u32 *ret_value)
{
	int ret = -ENODEV;
	u32 value;

	down_read(&board->access);
	if (!board->absent) {
		value = sluice_read32(board, reg);
		if (value != FW_GONE_32) {
			*ret_value = value;
			ret = 0;
		}
	}
	up_read(&board->access);
	return ret;
}

static ssize_t sector_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	u32 value;
	const int ret = register_read(board_of(dev), FW_SECTOR, &value);

	return ret ? ret : sysfs_emit(buf, "%u\n", value);
}
static DEVICE_ATTR_RO(sector);

static ssize_t block_bytes_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	u32 value;
	const int ret = register_read(board_of(dev), FW_BLOCK_BYTES, &value);

	return ret ? ret : sysfs_emit(buf, "%u\n", value);
}
static DEVICE_ATTR_RO(block_bytes);

static struct sluice_link link_of(struct device *dev)
{
	struct sluice_link link;

	sluice_link_read(to_pci_dev(dev->parent), &link);
	return link;
}

#define LINK_ATTR(name, field)                                                                   \
	static ssize_t name##_show(struct device *dev, struct device_attribute *attr, char *buf) \
	{                                                                                        \
		return sysfs_emit(buf, "%u\n", link_of(dev).field);                              \
	}                                                                                        \
	static DEVICE_ATTR_RO(name)

LINK_ATTR(link_speed, speed);
LINK_ATTR(link_speed_max, speed_max);
LINK_ATTR(link_width, width);
LINK_ATTR(link_width_max, width_max);

static struct attribute *board_attrs[] = {
	&dev_attr_serial.attr,
	&dev_attr_firmware_version.attr,
	&dev_attr_interface_version.attr,
	&dev_attr_state.attr,
	&dev_attr_numa_node.attr,
	&dev_attr_sector.attr,
	&dev_attr_block_bytes.attr,
	&dev_attr_link_speed.attr,
	&dev_attr_link_speed_max.attr,
	&dev_attr_link_width.attr,
	&dev_attr_link_width_max.attr,
	NULL,
};

static const struct attribute_group board_group = {
	.attrs = board_attrs,
};

static void counters_of_board(struct sluice_board *board, struct sluice_uapi_counters *c)
{
	c->blocks_in = sluice_read64(board, FW_BLOCKS_IN);
	c->blocks_out = sluice_read64(board, FW_BLOCKS_OUT);
	c->dropped_overflow = sluice_read64(board, FW_DROPPED_OVERFLOW);
	c->dropped_link = sluice_read64(board, FW_DROPPED_LINK);
	c->dropped_stop = sluice_read64(board, FW_DROPPED_STOP);
	c->link_crc_errors = sluice_read64(board, FW_LINK_CRC_ERRORS);
	c->stall_ns = sluice_read64(board, FW_STALL_NS);
	c->buffer_high_water = sluice_read64(board, FW_BUFFER_HIGH_WATER);
	c->completions = sluice_read64(board, FW_COMPLETIONS);
	c->interrupts = sluice_read64(board, FW_INTERRUPTS);
	c->bytes_out = sluice_read64(board, FW_BYTES_OUT);
	c->lane_errors = sluice_read64(board, FW_LANE_ERRORS);
	c->lanes = sluice_read32(board, FW_LANES);
	c->lanes_up = sluice_read32(board, FW_LANES_UP);
	c->clock_source = sluice_read32(board, FW_CLOCK_SOURCE);
	c->clock_locked = sluice_read32(board, FW_CLOCK_LOCKED);
	c->clock_ns = sluice_read64(board, FW_CLOCK_NS);
	c->temperature_mk = sluice_read32(board, FW_TEMPERATURE_MK);
}

/* access held, and the board was not absent. -ENODEV: it is gone. */
int sluice_counters_read(struct sluice_board *board, struct sluice_uapi_counters *ret_counters)
{
	struct sluice_uapi_counters c = { 0 };

	counters_of_board(board, &c);
	/* After them: a board that left half way has left. */
	if (sluice_is_gone(board))
		return -ENODEV;
	spin_lock(&board->lock);
	c.resets = board->counts.resets;
	c.reads = board->counts.reads;
	c.read_bytes = board->counts.read_bytes;
	c.interrupts_taken = board->counts.interrupts_taken;
	c.interrupts_missed = board->counts.interrupts_missed;
	c.completions_lost = board->counts.completions_lost;
	c.completions_twice = board->counts.completions_twice;
	c.completions_bad = board->counts.completions_bad;
	c.timeouts = board->counts.timeouts;
	spin_unlock(&board->lock);
	*ret_counters = c;
	return 0;
}

/* A field of struct sluice_uapi_counters. */
struct counter_attr {
	struct device_attribute attr;
	size_t offset, bytes;
};

static ssize_t counter_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	const struct counter_attr *counter = container_of(attr, struct counter_attr, attr);
	struct sluice_board *board = board_of(dev);
	struct sluice_uapi_counters c;
	const void *field = (const char *)&c + counter->offset;
	int ret = -ENODEV;

	down_read(&board->access);
	if (!board->absent)
		ret = sluice_counters_read(board, &c);
	up_read(&board->access);
	if (ret)
		return ret;
	return sysfs_emit(buf, "%llu\n",
			  counter->bytes == 8 ? *(const u64 *)field : *(const u32 *)field);
}

#define COUNTER(name)                                                     \
	static struct counter_attr counter_##name = {                     \
		.attr = __ATTR(name, 0444, counter_show, NULL),           \
		.offset = offsetof(struct sluice_uapi_counters, name),    \
		.bytes = sizeof_field(struct sluice_uapi_counters, name), \
	}

COUNTER(blocks_in);
COUNTER(blocks_out);
COUNTER(dropped_overflow);
COUNTER(dropped_link);
COUNTER(dropped_stop);
COUNTER(link_crc_errors);
COUNTER(stall_ns);
COUNTER(buffer_high_water);
COUNTER(completions);
COUNTER(interrupts);
COUNTER(bytes_out);
COUNTER(lane_errors);
COUNTER(lanes);
COUNTER(lanes_up);
COUNTER(clock_source);
COUNTER(clock_locked);
COUNTER(clock_ns);
COUNTER(temperature_mk);
COUNTER(resets);
COUNTER(reads);
COUNTER(read_bytes);
COUNTER(interrupts_taken);
COUNTER(interrupts_missed);
COUNTER(completions_lost);
COUNTER(completions_twice);
COUNTER(completions_bad);
COUNTER(timeouts);

static ssize_t pages_show(struct sluice_board *board, const u64 *count, char *buf)
{
	u64 pages;

	spin_lock(&board->lock);
	pages = *count;
	spin_unlock(&board->lock);
	return sysfs_emit(buf, "%llu\n", pages);
}

static ssize_t pages_pinned_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return pages_show(board_of(dev), &board_of(dev)->counts.pages_pinned, buf);
}
static DEVICE_ATTR_RO(pages_pinned);

static ssize_t pages_unpinned_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return pages_show(board_of(dev), &board_of(dev)->counts.pages_unpinned, buf);
}
static DEVICE_ATTR_RO(pages_unpinned);

static struct attribute *counter_attrs[] = {
	&counter_blocks_in.attr.attr,
	&counter_blocks_out.attr.attr,
	&counter_dropped_overflow.attr.attr,
	&counter_dropped_link.attr.attr,
	&counter_dropped_stop.attr.attr,
	&counter_link_crc_errors.attr.attr,
	&counter_stall_ns.attr.attr,
	&counter_buffer_high_water.attr.attr,
	&counter_completions.attr.attr,
	&counter_interrupts.attr.attr,
	&counter_bytes_out.attr.attr,
	&counter_lane_errors.attr.attr,
	&counter_lanes.attr.attr,
	&counter_lanes_up.attr.attr,
	&counter_clock_source.attr.attr,
	&counter_clock_locked.attr.attr,
	&counter_clock_ns.attr.attr,
	&counter_temperature_mk.attr.attr,
	&counter_resets.attr.attr,
	&counter_reads.attr.attr,
	&counter_read_bytes.attr.attr,
	&counter_interrupts_taken.attr.attr,
	&counter_interrupts_missed.attr.attr,
	&counter_completions_lost.attr.attr,
	&counter_completions_twice.attr.attr,
	&counter_completions_bad.attr.attr,
	&counter_timeouts.attr.attr,
	&dev_attr_pages_pinned.attr,
	&dev_attr_pages_unpinned.attr,
	NULL,
};

static const struct attribute_group counter_group = {
	.name = "counters",
	.attrs = counter_attrs,
};

const struct attribute_group *sluice_groups[] = {
	&board_group,
	&counter_group,
	NULL,
};
