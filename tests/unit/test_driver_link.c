/* SPDX-License-Identifier: MIT */
/*
 * What the driver says of a PCIe link, by its registers: no emulated card has a link to train.
 * driver/link.c itself is compiled, with a PCI device of ours below it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "board.h"

bool pci_is_pcie(const struct pci_dev *pdev)
{
	return pdev->pcie;
}

struct pci_dev *pci_upstream_bridge(struct pci_dev *pdev)
{
	return pdev->bridge;
}

int pcie_capability_read_dword(struct pci_dev *pdev, int where, u32 *ret_value)
{
	assert_int_equal(where, PCI_EXP_LNKCAP);
	*ret_value = pdev->capability;
	return 0;
}

int pcie_capability_read_word(struct pci_dev *pdev, int where, u16 *ret_value)
{
	assert_int_equal(where, PCI_EXP_LNKSTA);
	*ret_value = pdev->status;
	return 0;
}

void pcie_print_link_status(struct pci_dev *pdev)
{
	dev_warn(&pdev->dev, "(the kernel's own line)\n");
}

void dev_warn(struct device *dev, const char *format, ...)
{
	const size_t used = strlen(dev->said);
	va_list args;

	va_start(args, format);
	(void)vsnprintf(dev->said + used, sizeof(dev->said) - used, format, args);
	va_end(args);
}

/* Codes of the link registers: 1 is 2.5 GT/s, 3 is 8 GT/s, 4 is 16 GT/s. */
static struct pci_dev device(unsigned int speed_max, unsigned int width_max, unsigned int speed,
			     unsigned int width)
{
	return (struct pci_dev){ .pcie = true,
				 .capability = speed_max | width_max << 4,
				 .status = (u16)(speed | width << PCI_EXP_LNKSTA_NLW_SHIFT) };
}

static void test_a_link_in_full_says_nothing(void **state)
{
	struct pci_dev card = device(4, 16, 4, 16);
	struct sluice_link link;

	(void)state;
	sluice_link_read(&card, &link);
	assert_int_equal(link.speed, 16000);
	assert_int_equal(link.speed_max, 16000);
	assert_int_equal(link.width, 16);
	assert_int_equal(link.width_max, 16);
	sluice_link_report(&card);
	assert_string_equal(card.dev.said, "");
}

static void test_a_slow_link_is_told_with_both_numbers(void **state)
{
	struct pci_dev slot = device(4, 16, 1, 16), card = device(4, 16, 1, 16);

	(void)state;
	card.bridge = &slot;
	sluice_link_report(&card);
	assert_string_equal(
		card.dev.said,
		"PCIe link trained at 2500 Mbit/s x16, the card can do 16000 Mbit/s x16\n"
		"reseat the card, look at riser and bifurcation settings\n"
		"(the kernel's own line)\n");
}

static void test_a_narrow_link_is_told_too(void **state)
{
	struct pci_dev card = device(3, 16, 3, 8);

	(void)state;
	sluice_link_report(&card);
	assert_non_null(strstr(card.dev.said, "trained at 8000 Mbit/s x8, the card can do 8000 "
					      "Mbit/s x16\n"));
}

static void test_a_slot_that_can_no_more_is_named(void **state)
{
	struct pci_dev slot = device(3, 8, 3, 8), card = device(4, 16, 3, 8);

	(void)state;
	card.bridge = &slot;
	sluice_link_report(&card);
	assert_non_null(
		strstr(card.dev.said, "the slot gives 8000 Mbit/s x8 at most: use another slot\n"));
	assert_null(strstr(card.dev.said, "reseat"));
}

static void test_what_is_not_known_is_0_and_not_told(void **state)
{
	struct pci_dev conventional = { .capability = 4 | 16 << 4 };
	struct pci_dev strange = device(15, 16, 15, 16);
	struct sluice_link link;

	(void)state;
	sluice_link_read(&conventional, &link);
	assert_int_equal(link.speed, 0);
	assert_int_equal(link.width_max, 0);
	sluice_link_report(&conventional);
	assert_string_equal(conventional.dev.said, "");
	sluice_link_read(&strange, &link);
	assert_int_equal(link.speed, 0);
	assert_int_equal(link.speed_max, 0);
	sluice_link_report(&strange);
	assert_string_equal(strange.dev.said, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_link_in_full_says_nothing),
		cmocka_unit_test(test_a_slow_link_is_told_with_both_numbers),
		cmocka_unit_test(test_a_narrow_link_is_told_too),
		cmocka_unit_test(test_a_slot_that_can_no_more_is_named),
		cmocka_unit_test(test_what_is_not_known_is_0_and_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
