/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What differs from one kernel to the next, from 6.1 on. The only file with version
 * tests.
 *
 * Ownership: nothing of its own. Threads: as the function that is stood in for. Errors: the same.
 */
#ifndef DRIVER_COMPAT_H
#define DRIVER_COMPAT_H

#include <linux/aer.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/uio.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "sluice needs Linux 6.1 or later"
#endif
#ifndef CONFIG_64BIT
#error "sluice needs 64-bit register accesses"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define compat_class_create(name) class_create(THIS_MODULE, name)
#else
#define compat_class_create(name) class_create(name)
#endif

/* From 6.6 on the core reports errors for all devices by itself. */
static inline void compat_aer_enable(struct pci_dev *pdev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
	/* Not there on a conventional bus: then there is nothing to report. */
	(void)pci_enable_pcie_error_reporting(pdev);
#endif
}

static inline void compat_aer_disable(struct pci_dev *pdev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
	(void)pci_disable_pcie_error_reporting(pdev);
#endif
}

/* The piece of user memory that a user-backed iterator stands at. */
static inline void __user *compat_iter_piece(const struct iov_iter *iter, size_t *ret_len)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
	if (iter_is_ubuf(iter)) {
		*ret_len = iter->count;
		return iter->ubuf + iter->iov_offset;
	}
	*ret_len = min(iter->count, iter->iov->iov_len - iter->iov_offset);
	return iter->iov->iov_base + iter->iov_offset;
#else
	*ret_len = iter_iov_len(iter);
	return iter_iov_addr(iter);
#endif
}

/* Before 6.12 a device that cannot seek must say so. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#define COMPAT_NO_LLSEEK .llseek = no_llseek,
#else
#define COMPAT_NO_LLSEEK
#endif

#endif /* DRIVER_COMPAT_H */
