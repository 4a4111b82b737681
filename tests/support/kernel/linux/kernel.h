/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * linux/kernel.h - of the kernel, what driver/link.c needs, for a test in user space.
 *
 * Ownership: values only. Threads: one. Errors: none.
 */
#ifndef TEST_LINUX_KERNEL_H
#define TEST_LINUX_KERNEL_H

#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

typedef uint16_t u16;
typedef uint32_t u32;

#endif /* TEST_LINUX_KERNEL_H */
