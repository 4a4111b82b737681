// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The driver as the PCI core sees it: probe, remove, sleep, error recovery.
 *
 * A readout board is made by whoever makes cards: its PCI numbers are theirs, and come by the
 * parameter `ids`, by new_id or by driver_override. What makes it ours is its identity
 * (interface 2.2), and probe refuses all else.
 *
 * Teardown, the same on each way out: nobody new comes in; the board is brought to rest, by bus
 * mastering off if it does not answer; then memory goes back to readers; then all the rest.
 */
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/pm.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "board.h"
#include "compat.h"
#include "mmio.h"

static char *ids;
module_param(ids, charp, 0444);
MODULE_PARM_DESC(ids, "PCI numbers of the boards: vendor:device[,vendor:device...], hexadecimal");

static unsigned int descriptors = SLUICE_DESCRIPTORS_USUAL;
module_param(descriptors, uint, 0444);
MODULE_PARM_DESC(descriptors, "entries of a descriptor ring, a power of two from 4 to 65536");

static irqreturn_t on_completion(int irq, void *data)
{
	struct sluice_board *board = data;

	spin_lock(&board->lock);
	board->counts.interrupts_taken++;
	spin_unlock(&board->lock);
	sluice_reap(board);
	return IRQ_HANDLED;
}

/* State or fault may have changed: the watch looks at once. */
static irqreturn_t on_event(int irq, void *data)
{
	struct sluice_board *board = data;

	mod_delayed_work(board->wq, &board->watch, 0);
	return IRQ_HANDLED;
}

/* The last reference is gone: no open file, no driver. */
static void board_release(struct device *dev)
{
	struct sluice_board *board = container_of(dev, struct sluice_board, dev);

	kvfree(board->reads);
	sluice_chardev_minor_put(board->minor);
	kfree(board);
}

static void lists_init(struct sluice_board *board)
{
	unsigned int i;

	INIT_LIST_HEAD(&board->idle);
	INIT_LIST_HEAD(&board->waiting);
	INIT_LIST_HEAD(&board->posted);
	for (i = 0; i < SLUICE_READS_MAX; i++) {
		init_completion(&board->reads[i].done);
		list_add_tail(&board->reads[i].node, &board->idle);
	}
}

/* All on the board's node. */
static int board_create(struct pci_dev *pdev, struct sluice_board **ret_board)
{
	const int node = dev_to_node(&pdev->dev);
	struct sluice_board *board = kzalloc_node(sizeof(*board), GFP_KERNEL, node);
	int ret = -ENOMEM;

	if (!board)
		return -ENOMEM;
	board->reads = kvzalloc_node(array_size(SLUICE_READS_MAX, sizeof(*board->reads)),
				     GFP_KERNEL, node);
	if (!board->reads)
		goto err_board;
	ret = sluice_chardev_minor_get();
	if (ret < 0)
		goto err_reads;
	board->minor = ret;
	board->pdev = pdev;
	board->state = SLUICE_UAPI_IDLE;
	init_rwsem(&board->access);
	mutex_init(&board->control);
	spin_lock_init(&board->lock);
	init_waitqueue_head(&board->changed);
	init_waitqueue_head(&board->room);
	INIT_WORK(&board->settle, sluice_settle_work);
	INIT_DELAYED_WORK(&board->watch, sluice_watch_work);
	lists_init(board);
	device_initialize(&board->dev);
	board->dev.parent = &pdev->dev;
	board->dev.class = sluice_class;
	board->dev.groups = sluice_groups;
	board->dev.release = board_release;
	ret = dev_set_name(&board->dev, "sluice%d", board->minor);
	if (ret) {
		put_device(&board->dev);
		return ret;
	}
	*ret_board = board;
	return 0;

err_reads:
	kvfree(board->reads);
err_board:
	kfree(board);
	return ret;
}

static int bars_check(struct pci_dev *pdev)
{
	const u64 bell = pci_resource_len(pdev, FW_BAR_DOORBELL);
	const u64 regs = pci_resource_len(pdev, FW_BAR_REGISTERS);

	if (bell >= FW_DOORBELL_BAR_BYTES && regs >= FW_REGISTERS_BYTES)
		return 0;
	dev_err(&pdev->dev, "BAR %d has %llu bytes and BAR %d %llu: no readout board\n",
		FW_BAR_DOORBELL, bell, FW_BAR_REGISTERS, regs);
	return -ENODEV;
}

static void board_unmap(struct sluice_board *board)
{
	if (board->bell)
		iounmap(board->bell);
	if (board->regs)
		iounmap(board->regs);
	board->bell = NULL;
	board->regs = NULL;
}

/* The registers may lie in memory that the bus calls prefetchable; they are never cached. */
static int board_map(struct sluice_board *board)
{
	struct pci_dev *pdev = board->pdev;

	board->bell = ioremap(pci_resource_start(pdev, FW_BAR_DOORBELL), FW_DOORBELL_BAR_BYTES);
	board->regs = ioremap(pci_resource_start(pdev, FW_BAR_REGISTERS), FW_REGISTERS_BYTES);
	if (board->bell && board->regs)
		return 0;
	board_unmap(board);
	return -ENOMEM;
}

static int board_reset(struct sluice_board *board)
{
	int ret;

	mutex_lock(&board->control);
	ret = sluice_reset(board);
	mutex_unlock(&board->control);
	return ret;
}

/* Identity, reach, rest, and only then leave to master the bus. */
static int board_wake_up(struct sluice_board *board)
{
	struct device *dev = &board->pdev->dev;
	int ret = sluice_board_identify(board);

	if (ret)
		return ret;
	ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(board->address_bits));
	if (ret) {
		dev_err(dev, "no DMA with %u address bits here\n", board->address_bits);
		return ret;
	}
	dma_set_max_seg_size(dev, UINT_MAX);
	ret = board_reset(board);
	if (ret)
		dev_err(dev, "RESET was not answered as it must be (%d): power-cycle the board\n",
			ret);
	return ret;
}

static int vector_request(struct sluice_board *board, unsigned int vector)
{
	struct pci_dev *pdev = board->pdev;
	const int irq = pci_irq_vector(pdev, vector);
	const int node = dev_to_node(&pdev->dev);
	int ret;

	if (vector == FW_VECTOR_COMPLETION)
		ret = request_threaded_irq(irq, NULL, on_completion, IRQF_ONESHOT,
					   dev_name(&board->dev), board);
	else
		ret = request_irq(irq, on_event, 0, dev_name(&board->dev), board);
	if (!ret && node != NUMA_NO_NODE)
		irq_set_affinity_and_hint(irq, cpumask_of_node(node));
	return ret;
}

static void vectors_free(struct sluice_board *board)
{
	while (board->vectors) {
		const int irq = pci_irq_vector(board->pdev, --board->vectors);

		irq_set_affinity_and_hint(irq, NULL);
		free_irq(irq, board);
	}
	pci_free_irq_vectors(board->pdev);
}

/* Two vectors, or one, or none: then the watch does their work. */
static void vectors_request(struct sluice_board *board)
{
	struct device *dev = &board->pdev->dev;
	const int count = pci_alloc_irq_vectors(board->pdev, 1, FW_VECTORS,
						PCI_IRQ_MSIX | PCI_IRQ_MSI);
	int i;

	for (i = 0; i < count; i++) {
		if (vector_request(board, i))
			break;
		board->vectors++;
	}
	if (!board->vectors)
		dev_warn(dev, "no interrupt vector: completions are polled for\n");
	else if (board->vectors < FW_VECTORS)
		dev_info(dev, "one interrupt vector: events are seen every %u ms\n",
			 SLUICE_WATCH_MS);
}

/* What lets others in comes last. */
static int board_start(struct sluice_board *board)
{
	int ret = sluice_ring_alloc(board, descriptors);

	if (ret)
		return ret;
	board->wq = alloc_ordered_workqueue("%s", 0, dev_name(&board->dev));
	if (!board->wq) {
		ret = -ENOMEM;
		goto err_ring;
	}
	vectors_request(board);
	ret = sluice_chardev_add(board);
	if (ret)
		goto err_vectors;
	board->state_attr = sysfs_get_dirent(board->dev.kobj.sd, "state");
	queue_delayed_work(board->wq, &board->watch, 0);
	return 0;

err_vectors:
	vectors_free(board);
	cancel_delayed_work_sync(&board->watch);
	destroy_workqueue(board->wq);
err_ring:
	sluice_ring_free(board);
	return ret;
}

static int board_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	const int bars = BIT(FW_BAR_DOORBELL) | BIT(FW_BAR_REGISTERS);
	struct sluice_board *board;
	int ret = bars_check(pdev);

	if (ret)
		return ret;
	ret = board_create(pdev, &board);
	if (ret)
		return ret;
	ret = pci_enable_device_mem(pdev);
	if (ret)
		goto err_put;
	ret = pci_request_selected_regions(pdev, bars, "sluice");
	if (ret)
		goto err_disable;
	ret = board_map(board);
	if (ret)
		goto err_regions;
	ret = board_wake_up(board);
	if (ret)
		goto err_master;
	compat_aer_enable(pdev);
	pci_save_state(pdev);
	pci_set_drvdata(pdev, board);
	ret = board_start(board);
	if (ret)
		goto err_aer;
	sluice_link_report(pdev);
	dev_info(&pdev->dev, "%s: serial %016llx, firmware %u, %u vectors, node %d\n",
		 dev_name(&board->dev), board->serial, board->build, board->vectors,
		 dev_to_node(&pdev->dev));
	return 0;

err_aer:
	compat_aer_disable(pdev);
err_master:
	pci_clear_master(pdev);
	board_unmap(board);
err_regions:
	pci_release_selected_regions(pdev, bars);
err_disable:
	pci_disable_device(pdev);
err_put:
	put_device(&board->dev);
	return ret;
}

/*
 * Has everybody out, the board at rest and the reads ended: the first with @first, the rest with
 * @rest. Nobody comes in until board_resume().
 */
static void board_pause(struct sluice_board *board, int first, int rest)
{
	down_write(&board->access);
	board->absent = true;
	up_write(&board->access);
	cancel_delayed_work_sync(&board->watch);
	cancel_work_sync(&board->settle);
	mutex_lock(&board->control);
	sluice_scan_abort(board, first, rest);
	mutex_unlock(&board->control);
}

static int board_resume(struct sluice_board *board)
{
	int ret = board_reset(board);

	spin_lock(&board->lock);
	if (!ret)
		sluice_state_set(board, SLUICE_UAPI_IDLE);
	else
		sluice_state_set(board, SLUICE_UAPI_FAILED);
	spin_unlock(&board->lock);
	down_write(&board->access);
	board->absent = false;
	up_write(&board->access);
	queue_delayed_work(board->wq, &board->watch, 0);
	return ret;
}

static void board_remove(struct pci_dev *pdev)
{
	struct sluice_board *board = pci_get_drvdata(pdev);

	spin_lock(&board->lock);
	sluice_state_set(board, SLUICE_UAPI_GONE);
	spin_unlock(&board->lock);
	sluice_chardev_del(board);
	board_pause(board, -ENODEV, -ENODEV);
	/* An event that came meanwhile has the watch look once more, and find nobody. */
	vectors_free(board);
	cancel_delayed_work_sync(&board->watch);
	destroy_workqueue(board->wq);
	sysfs_put(board->state_attr);
	compat_aer_disable(pdev);
	pci_clear_master(pdev);
	sluice_ring_free(board);
	board_unmap(board);
	pci_release_selected_regions(pdev, BIT(FW_BAR_DOORBELL) | BIT(FW_BAR_REGISTERS));
	pci_disable_device(pdev);
	put_device(&board->dev);
}

/* The machine goes off, or another kernel starts: no DMA may be under way then. */
static void board_shutdown(struct pci_dev *pdev)
{
	struct sluice_board *board = pci_get_drvdata(pdev);

	board_pause(board, -ECANCELED, -ECANCELED);
	pci_clear_master(pdev);
}

static int board_pm_suspend(struct device *dev)
{
	board_pause(dev_get_drvdata(dev), -ECANCELED, -ECANCELED);
	return 0;
}

static int board_pm_resume(struct device *dev)
{
	const int ret = board_resume(dev_get_drvdata(dev));

	if (ret)
		dev_err(dev, "RESET after sleep: %d\n", ret);
	return ret;
}

static DEFINE_SIMPLE_DEV_PM_OPS(board_pm, board_pm_suspend, board_pm_resume);

static pci_ers_result_t board_error_detected(struct pci_dev *pdev, pci_channel_state_t state)
{
	struct sluice_board *board = pci_get_drvdata(pdev);

	if (state == pci_channel_io_perm_failure) {
		spin_lock(&board->lock);
		sluice_fail(board, -ENODEV);
		spin_unlock(&board->lock);
		return PCI_ERS_RESULT_DISCONNECT;
	}
	board_pause(board, -EIO, -ECANCELED);
	/* On a way that still works, a reset of the board in board_error_resume() is enough. */
	return state == pci_channel_io_normal ? PCI_ERS_RESULT_CAN_RECOVER
					      : PCI_ERS_RESULT_NEED_RESET;
}

static pci_ers_result_t board_slot_reset(struct pci_dev *pdev)
{
	struct sluice_board *board = pci_get_drvdata(pdev);

	pci_restore_state(pdev);
	/* For the next recovery: restoring used it up. */
	pci_save_state(pdev);
	return sluice_is_gone(board) ? PCI_ERS_RESULT_DISCONNECT : PCI_ERS_RESULT_RECOVERED;
}

static void board_error_resume(struct pci_dev *pdev)
{
	const int ret = board_resume(pci_get_drvdata(pdev));

	if (ret)
		dev_err(&pdev->dev, "RESET after a bus error: %d\n", ret);
}

static void board_reset_prepare(struct pci_dev *pdev)
{
	board_pause(pci_get_drvdata(pdev), -ECANCELED, -ECANCELED);
}

static const struct pci_error_handlers board_error_handlers = {
	.error_detected = board_error_detected,
	.slot_reset = board_slot_reset,
	.resume = board_error_resume,
	.reset_prepare = board_reset_prepare,
	.reset_done = board_error_resume,
};

/* No numbers of its own: see above. */
static const struct pci_device_id board_ids[] = {
	{ 0 },
};

static struct pci_driver board_driver = {
	.name = "sluice",
	.id_table = board_ids,
	.probe = board_probe,
	.remove = board_remove,
	.shutdown = board_shutdown,
	.err_handler = &board_error_handlers,
	.driver.pm = pm_sleep_ptr(&board_pm),
};

/* "vendor:device", both hexadecimal. */
static int id_add(const char *id)
{
	unsigned int vendor, device;
	int used = 0;

	if (sscanf(id, "%4x:%4x%n", &vendor, &device, &used) != 2 || id[used])
		return -EINVAL;
	return pci_add_dynid(&board_driver, vendor, device, PCI_ANY_ID, PCI_ANY_ID, 0, 0, 0);
}

static int ids_add(void)
{
	char *list, *rest, *id;
	int ret = 0;

	if (!ids || !*ids)
		return 0;
	list = kstrdup(ids, GFP_KERNEL);
	if (!list)
		return -ENOMEM;
	rest = list;
	while (!ret && (id = strsep(&rest, ",")))
		ret = id_add(id);
	if (ret == -EINVAL)
		pr_err("sluice: ids=%s: not vendor:device[,vendor:device...]\n", ids);
	kfree(list);
	return ret;
}

static int __init sluice_init(void)
{
	int ret;

	if (!is_power_of_2(descriptors) || descriptors < 4 || descriptors > 65536) {
		pr_err("sluice: descriptors=%u: not a power of two from 4 to 65536\n", descriptors);
		return -EINVAL;
	}
	ret = sluice_chardev_init();
	if (ret)
		return ret;
	ret = pci_register_driver(&board_driver);
	if (ret)
		goto err_chardev;
	/* The driver core looks for boards of each number as it comes to know it. */
	ret = ids_add();
	if (ret)
		goto err_driver;
	return 0;

err_driver:
	pci_unregister_driver(&board_driver);
err_chardev:
	sluice_chardev_fini();
	return ret;
}

static void __exit sluice_exit(void)
{
	pci_unregister_driver(&board_driver);
	sluice_chardev_fini();
}

module_init(sluice_init);
module_exit(sluice_exit);
MODULE_DESCRIPTION("Readout boards of the Sluice firmware interface");
MODULE_AUTHOR("The Sluice authors");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION("0.1.0");
