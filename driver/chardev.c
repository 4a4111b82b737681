// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * /dev/sluiceN: open, close, poll and the ioctls of sluice/uapi.h.
 */
#include <linux/file.h>
#include <linux/idr.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "board.h"
#include "compat.h"
#include "mmio.h"
#include "uapi_check.h"

struct class *sluice_class;
static dev_t first_node;
static DEFINE_IDA(minors);

int sluice_reader_claim(struct sluice_board *board, struct sluice_file *file)
{
	int ret = 0;

	spin_lock(&board->lock);
	if (!board->reader)
		board->reader = file;
	else if (board->reader != file)
		ret = -EBUSY;
	spin_unlock(&board->lock);
	return ret;
}

static int device_open(struct inode *inode, struct file *filp)
{
	struct sluice_board *board = container_of(inode->i_cdev, struct sluice_board, cdev);
	struct sluice_file *file = kzalloc(sizeof(*file), GFP_KERNEL);

	if (!file)
		return -ENOMEM;
	get_device(&board->dev);
	file->board = board;
	spin_lock(&board->lock);
	file->state_seen = board->state_changes;
	spin_unlock(&board->lock);
	filp->private_data = file;
	/* Reads are queued and never block their submitter; O_DIRECT is what they are anyway. */
	filp->f_mode |= FMODE_NOWAIT | FMODE_CAN_ODIRECT;
	return stream_open(inode, filp);
}

/* lock held. */
static bool has_reads(const struct sluice_board *board)
{
	return !list_empty(&board->waiting) || !list_empty(&board->posted);
}

/* access held. The reader leaves: nothing of its scan stays behind. */
static void reader_leave(struct sluice_board *board)
{
	bool busy;

	mutex_lock(&board->control);
	sluice_settle(board);
	spin_lock(&board->lock);
	busy = has_reads(board) ||
	       (board->state != SLUICE_UAPI_IDLE && board->state != SLUICE_UAPI_FAILED);
	spin_unlock(&board->lock);
	if (busy)
		sluice_scan_abort(board, -ECANCELED, -ECANCELED);
	mutex_unlock(&board->control);
}

static bool is_reader(struct sluice_file *file)
{
	struct sluice_board *board = file->board;
	bool reader;

	spin_lock(&board->lock);
	reader = board->reader == file;
	spin_unlock(&board->lock);
	return reader;
}

static int device_release(struct inode *inode, struct file *filp)
{
	struct sluice_file *file = filp->private_data;
	struct sluice_board *board = file->board;

	down_read(&board->access);
	if (is_reader(file)) {
		if (!board->absent)
			reader_leave(board);
		spin_lock(&board->lock);
		board->over = false;
		board->reader = NULL;
		spin_unlock(&board->lock);
	}
	up_read(&board->access);
	kfree(file);
	put_device(&board->dev);
	return 0;
}

/* lock held. */
static bool reads_are_of(const struct list_head *reads, const struct pid *owner)
{
	struct sluice_read *read;

	list_for_each_entry(read, reads, node) {
		if (read->owner == owner)
			return true;
	}
	return false;
}

/*
 * A process that closes the node, or ends, ends its reads: they hold the file, so that release()
 * would wait for them, and nobody else can cancel them.
 */
static int device_flush(struct file *filp, fl_owner_t id)
{
	struct sluice_file *file = filp->private_data;
	struct sluice_board *board = file->board;
	const struct pid *self = task_tgid(current);
	bool busy;

	down_read(&board->access);
	spin_lock(&board->lock);
	busy = board->reader == file && !board->absent &&
	       (reads_are_of(&board->waiting, self) || reads_are_of(&board->posted, self));
	spin_unlock(&board->lock);
	if (busy) {
		mutex_lock(&board->control);
		sluice_scan_abort(board, -ECANCELED, -ECANCELED);
		mutex_unlock(&board->control);
	}
	up_read(&board->access);
	return 0;
}

static __poll_t device_poll(struct file *filp, poll_table *wait)
{
	struct sluice_file *file = filp->private_data;
	struct sluice_board *board = file->board;
	__poll_t events = 0;

	poll_wait(filp, &board->changed, wait);
	spin_lock(&board->lock);
	if (board->over || board->state == SLUICE_UAPI_RUNNING ||
	    board->state == SLUICE_UAPI_STOPPING)
		events |= EPOLLIN | EPOLLRDNORM;
	if (board->state_changes != file->state_seen)
		events |= EPOLLPRI;
	if (board->state == SLUICE_UAPI_GONE)
		events |= EPOLLHUP;
	spin_unlock(&board->lock);
	return events;
}

static void info_of_block(struct sluice_board *board, struct sluice_uapi_info *info)
{
	info->block_bytes = sluice_block_bytes(board);
	info->sector = sluice_read32(board, FW_SECTOR);
	info->sectors = sluice_read32(board, FW_SECTORS);
	info->layout = sluice_read32(board, FW_LAYOUT);
	info->rows = sluice_read32(board, FW_ROWS);
	info->columns = sluice_read32(board, FW_COLUMNS);
	info->pixel = sluice_read32(board, FW_PIXEL);
}

static int get_info(struct sluice_file *file, void __user *arg)
{
	struct sluice_board *board = file->board;
	struct sluice_uapi_info info = {
		.abi = SLUICE_UAPI_VERSION,
		.interface_version = board->version,
		.firmware_build = board->build,
		.capabilities = board->capabilities,
		.serial = board->serial,
		.node = dev_to_node(&board->pdev->dev),
		.buffer_blocks = board->buffer_blocks,
		.read_max = SLUICE_READS_MAX,
	};
	struct sluice_link link;

	if (sluice_is_gone(board))
		return -ENODEV;
	info_of_block(board, &info);
	sluice_link_read(board->pdev, &link);
	info.link_speed = link.speed;
	info.link_speed_max = link.speed_max;
	info.link_width = link.width;
	info.link_width_max = link.width_max;
	strscpy(info.pci, pci_name(board->pdev), sizeof(info.pci));
	spin_lock(&board->lock);
	info.state = board->state;
	file->state_seen = board->state_changes;
	spin_unlock(&board->lock);
	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

static int get_counters(struct sluice_board *board, void __user *arg)
{
	struct sluice_uapi_counters counters;
	const int ret = sluice_counters_read(board, &counters);

	if (ret)
		return ret;
	return copy_to_user(arg, &counters, sizeof(counters)) ? -EFAULT : 0;
}

static int do_arm(struct sluice_file *file, const void __user *arg)
{
	struct sluice_board *board = file->board;
	struct sluice_uapi_scan scan;
	int ret;

	if (copy_from_user(&scan, arg, sizeof(scan)))
		return -EFAULT;
	ret = sluice_scan_check(&scan);
	if (ret)
		return ret;
	ret = sluice_reader_claim(board, file);
	if (ret)
		return ret;
	if (mutex_lock_interruptible(&board->control))
		return -ERESTARTSYS;
	ret = sluice_scan_arm(board, &scan);
	mutex_unlock(&board->control);
	return ret;
}

static bool other_reads(struct sluice_file *file)
{
	struct sluice_board *board = file->board;
	bool other;

	spin_lock(&board->lock);
	other = board->reader && board->reader != file;
	spin_unlock(&board->lock);
	return other;
}

/* Takes control for a file whose scan it may be; 0, or what the ioctl returns. */
static int control_take(struct sluice_file *file)
{
	if (other_reads(file))
		return -EBUSY;
	return mutex_lock_interruptible(&file->board->control) ? -ERESTARTSYS : 0;
}

static int do_run(struct sluice_file *file, const void __user *arg)
{
	struct sluice_board *board = file->board;
	struct sluice_uapi_run run;
	int ret;

	if (copy_from_user(&run, arg, sizeof(run)))
		return -EFAULT;
	ret = sluice_run_check(&run);
	if (!ret)
		ret = control_take(file);
	if (ret)
		return ret;
	ret = sluice_scan_run(board);
	mutex_unlock(&board->control);
	return ret;
}

/* control held. */
static int abort_scan(struct sluice_board *board)
{
	bool busy;

	sluice_settle(board);
	spin_lock(&board->lock);
	busy = board->state != SLUICE_UAPI_IDLE && board->state != SLUICE_UAPI_FAILED;
	busy = busy || has_reads(board);
	spin_unlock(&board->lock);
	if (sluice_state(board) == SLUICE_UAPI_GONE)
		return -ENODEV;
	if (busy)
		sluice_scan_abort(board, -ECANCELED, -ECANCELED);
	return board->mastering ? 0 : -ETIMEDOUT;
}

static int do_stop(struct sluice_file *file, const void __user *arg)
{
	struct sluice_board *board = file->board;
	struct sluice_uapi_stop stop;
	int ret;

	if (copy_from_user(&stop, arg, sizeof(stop)))
		return -EFAULT;
	ret = sluice_stop_check(&stop);
	if (!ret)
		ret = control_take(file);
	if (ret)
		return ret;
	if (stop.how == SLUICE_UAPI_STOP_ABORT)
		ret = abort_scan(board);
	else
		ret = sluice_scan_stop(board);
	mutex_unlock(&board->control);
	return ret;
}

/* access held, and the board is there. */
static int dispatch(struct file *filp, unsigned int cmd, void __user *arg)
{
	struct sluice_file *file = filp->private_data;

	switch (cmd) {
	case SLUICE_IOC_INFO:
		return get_info(file, arg);
	case SLUICE_IOC_COUNTERS:
		return get_counters(file->board, arg);
	case SLUICE_IOC_ARM:
	case SLUICE_IOC_RUN:
	case SLUICE_IOC_STOP:
		break;
	default:
		return -ENOTTY;
	}
	if (!(filp->f_mode & FMODE_READ))
		return -EPERM;
	if (cmd == SLUICE_IOC_ARM)
		return do_arm(file, arg);
	if (cmd == SLUICE_IOC_RUN)
		return do_run(file, arg);
	return do_stop(file, arg);
}

static long device_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct sluice_file *file = filp->private_data;
	struct sluice_board *board = file->board;
	long ret;

	down_read(&board->access);
	if (!board->absent)
		ret = dispatch(filp, cmd, (void __user *)arg);
	else
		ret = sluice_state(board) == SLUICE_UAPI_GONE ? -ENODEV : -EBUSY;
	up_read(&board->access);
	return ret;
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	COMPAT_NO_LLSEEK.open = device_open,
	.flush = device_flush,
	.release = device_release,
	.read_iter = sluice_read_iter,
	.iopoll = sluice_iopoll,
	.poll = device_poll,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

int sluice_chardev_minor_get(void)
{
	return ida_alloc_max(&minors, SLUICE_BOARDS_MAX - 1, GFP_KERNEL);
}

void sluice_chardev_minor_put(int minor)
{
	ida_free(&minors, minor);
}

/* The node appears; from here on others come in. */
int sluice_chardev_add(struct sluice_board *board)
{
	board->dev.devt = first_node + board->minor;
	cdev_init(&board->cdev, &device_fops);
	board->cdev.owner = THIS_MODULE;
	return cdev_device_add(&board->cdev, &board->dev);
}

void sluice_chardev_del(struct sluice_board *board)
{
	cdev_device_del(&board->cdev, &board->dev);
}

int sluice_chardev_init(void)
{
	int ret = alloc_chrdev_region(&first_node, 0, SLUICE_BOARDS_MAX, "sluice");

	if (ret)
		return ret;
	sluice_class = compat_class_create("sluice");
	if (IS_ERR(sluice_class)) {
		ret = PTR_ERR(sluice_class);
		goto err_region;
	}
	return 0;

err_region:
	unregister_chrdev_region(first_node, SLUICE_BOARDS_MAX);
	return ret;
}

void sluice_chardev_fini(void)
{
	class_destroy(sluice_class);
	unregister_chrdev_region(first_node, SLUICE_BOARDS_MAX);
	ida_destroy(&minors);
}
