/* SPDX-License-Identifier: MIT */
/*
 * acquire/notify.h - what the service manager (systemd) is told of this process. Without one, and
 * in a build without libsystemd, nobody is told anything.
 *
 * Ownership: none. Threads: any. Errors: none: without a listener there is nobody to miss a line.
 */
#ifndef ACQUIRE_NOTIFY_H
#define ACQUIRE_NOTIFY_H

#include <stdint.h>

/* The boards are open and plans are answered. Once. */
void notify_ready(const char *status);
/* One line for humans, `systemctl status` shows it. */
void notify_status(const char *status);
/* The process ends, for which it needs a moment. */
void notify_stopping(void);
/* The sign of life that keeps the watchdog from ending the process. */
void notify_alive(void);
/* After so long without a sign of life the manager ends the process; 0: never. */
uint64_t notify_watchdog_ns(void);

#endif /* ACQUIRE_NOTIFY_H */
