/* SPDX-License-Identifier: MIT */
/*
 * source/reap.h - the reader's loop: prepare, submit, wait, judge, end.
 *
 * Ownership: the source's. Threads: the reader's. Errors: as source_reap().
 */
#ifndef SOURCE_REAP_H
#define SOURCE_REAP_H

#include <stdint.h>

struct source;
struct source_fill;

/* The body of source_reap(): a scan is running. */
int reap(struct source *source, uint64_t timeout_ns, struct source_fill *ret_fill);
/* Guarantee: no read is in flight after it. */
void reap_quiesce(struct source *source);

#endif /* SOURCE_REAP_H */
