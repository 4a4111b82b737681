/* SPDX-License-Identifier: MIT */
/* A kernel module that warns when it is loaded, to see that the vm tests hear it. */
#include <linux/module.h>

static int __init warner_init(void)
{
	WARN(1, "warner: as it was asked to\n");
	return 0;
}

static void __exit warner_exit(void)
{
}

module_init(warner_init);
module_exit(warner_exit);
MODULE_DESCRIPTION("Warns when it is loaded");
MODULE_LICENSE("Dual MIT/GPL");
