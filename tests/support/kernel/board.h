/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * board.h - a PCI device as driver/link.c sees one, in place of the driver's own header.
 *
 * The registers are the test's to set; what the driver says goes to dev_warn(), which the test
 * defines. Ownership: the caller's memory. Threads: one. Errors: as the kernel's.
 */
#ifndef TEST_KERNEL_BOARD_H
#define TEST_KERNEL_BOARD_H

#include <stdbool.h>

#include <linux/kernel.h>
#include <linux/pci_regs.h>

struct device {
	char said[512]; /* all lines of dev_warn(), one after the other */
};

struct pci_dev {
	struct device dev;
	struct pci_dev *bridge;
	bool pcie;
	u32 capability; /* PCI_EXP_LNKCAP */
	u16 status;     /* PCI_EXP_LNKSTA */
};

struct sluice_link {
	u32 speed, speed_max;
	u32 width, width_max;
};

bool pci_is_pcie(const struct pci_dev *pdev);
struct pci_dev *pci_upstream_bridge(struct pci_dev *pdev);
int pcie_capability_read_dword(struct pci_dev *pdev, int where, u32 *ret_value);
int pcie_capability_read_word(struct pci_dev *pdev, int where, u16 *ret_value);
void pcie_print_link_status(struct pci_dev *pdev);
void dev_warn(struct device *dev, const char *format, ...) __attribute__((format(printf, 2, 3)));

void sluice_link_read(struct pci_dev *pdev, struct sluice_link *ret_link);
void sluice_link_report(struct pci_dev *pdev);

#endif /* TEST_KERNEL_BOARD_H */
