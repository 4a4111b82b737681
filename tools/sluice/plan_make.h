/* SPDX-License-Identifier: MIT */
/*
 * tools/sluice/plan_make.h - a plan from what is wished for and who is there.
 *
 * Ownership: the caller's memory. Threads: one.
 * Errors:    -ENODEV: who is missing, by name; -EINVAL, -ERANGE: what does not fit.
 */
#ifndef TOOLS_SLUICE_PLAN_MAKE_H
#define TOOLS_SLUICE_PLAN_MAKE_H

#include "client.h"

struct plan_wish {
	uint32_t columns, rows;       /* 0: as the boards' data say */
	uint64_t frames_per_position; /* 0: likewise, else 1 */
	uint64_t run_frames;
	const char *group;
	double background, xray; /* 0: fitted */
};

/* Fills all of @ret_plan, which is zeroed, but the scan's number. */
int plan_make(const struct plan_wish *wish, const struct client_members *members,
	      struct scan_plan *ret_plan, struct sluice_error *reterr);

#endif /* TOOLS_SLUICE_PLAN_MAKE_H */
