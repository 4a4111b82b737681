// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * How the PCIe link trained, and what it could be.
 */
#include <linux/kernel.h>

#include "board.h"

/* Mbit/s for each lane, by the code of the link registers; 0: none that we know. */
static u32 speed_of(u32 code)
{
	static const u32 mbit[] = { 0, 2500, 5000, 8000, 16000, 32000, 64000 };

	return code < ARRAY_SIZE(mbit) ? mbit[code] : 0;
}

static void capability_read(struct pci_dev *pdev, u32 *ret_speed, u32 *ret_width)
{
	u32 cap = 0;

	*ret_speed = 0;
	*ret_width = 0;
	if (!pci_is_pcie(pdev) || pcie_capability_read_dword(pdev, PCI_EXP_LNKCAP, &cap))
		return;
	*ret_speed = speed_of(cap & PCI_EXP_LNKCAP_SLS);
	*ret_width = (cap & PCI_EXP_LNKCAP_MLW) >> 4;
}

void sluice_link_read(struct pci_dev *pdev, struct sluice_link *ret_link)
{
	struct sluice_link link = { 0 };
	u16 status = 0;

	capability_read(pdev, &link.speed_max, &link.width_max);
	if (pci_is_pcie(pdev) && !pcie_capability_read_word(pdev, PCI_EXP_LNKSTA, &status)) {
		link.speed = speed_of(status & PCI_EXP_LNKSTA_CLS);
		link.width = (status & PCI_EXP_LNKSTA_NLW) >> PCI_EXP_LNKSTA_NLW_SHIFT;
	}
	*ret_link = link;
}

/* At probe: a link that is less than the card can do is said with both numbers and the remedy. */
void sluice_link_report(struct pci_dev *pdev)
{
	struct pci_dev *bridge = pci_upstream_bridge(pdev);
	u32 slot_speed = 0, slot_width = 0;
	struct sluice_link link;

	sluice_link_read(pdev, &link);
	if (!link.speed || !link.width)
		return;
	if (bridge)
		capability_read(bridge, &slot_speed, &slot_width);
	if (link.speed >= link.speed_max && link.width >= link.width_max)
		return;
	dev_warn(&pdev->dev, "PCIe link trained at %u Mbit/s x%u, the card can do %u Mbit/s x%u\n",
		 link.speed, link.width, link.speed_max, link.width_max);
	if ((slot_speed && slot_speed < link.speed_max) ||
	    (slot_width && slot_width < link.width_max))
		dev_warn(&pdev->dev, "the slot gives %u Mbit/s x%u at most: use another slot\n",
			 slot_speed, slot_width);
	else
		dev_warn(&pdev->dev, "reseat the card, look at riser and bifurcation settings\n");
	/* What of the way to the processor is the narrowest. */
	pcie_print_link_status(pdev);
}
