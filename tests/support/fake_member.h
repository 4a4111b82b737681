/* SPDX-License-Identifier: MIT */
/*
 * support/fake_member.h - a member whose work is to write down what it is asked to do.
 *
 * Ownership: the caller's struct; fake_member_close() closes what fake_member_open() opened.
 * Threads:   the member's and the test's. A callback that comes while another runs ends the test.
 * Errors:    an expectation that is not met within its deadline fails the cmocka test.
 */
#ifndef SUPPORT_FAKE_MEMBER_H
#define SUPPORT_FAKE_MEMBER_H

#include <pthread.h>
#include <stdatomic.h>

#include <member/member.h>
#include <sluice/error.h>

#include "support/watch_log.h"

struct fake_member {
	struct member *member;
	struct watch_log log; /* "PUT prepare 7/1", "PUT run 7/1", "PUT abort 7" */
	atomic_uint inside;
	pthread_mutex_t lock;
	int refuse; /* what prepare() answers */
	char why[128];
};

struct fake_member_args {
	enum member_kind kind;
	const char *id, *info;
	const char *url; /* of etcd; NULL: no directory */
	bool closes_ledgers;
	uint64_t gone_ns;
	bool hears_consumers;
};

/* One registration of a group called "counting". */
int fake_member_try(struct fake_member *fake, const struct fake_member_args *args,
		    struct sluice_error *reterr);
void fake_member_open(struct fake_member *fake, const struct fake_member_args *args);
void fake_member_close(struct fake_member *fake);
/* The next callback but status and metrics was this one. */
void fake_member_expect(struct fake_member *fake, const char *line);
void fake_member_refuse(struct fake_member *fake, int code, const char *why);

/* A plan of one board "server/board0", aggregator "agg0", consumer "node0". */
void fake_plan(struct scan_plan *ret_plan, uint32_t scan, uint32_t epoch, enum scan_state state);
/* Puts it into @directory. */
void fake_plan_put(struct directory *directory, const struct scan_plan *plan);
/* The halves of that scan, 8 frames all delivered, malloc()ed. */
char *fake_half_board(uint32_t scan, unsigned int lost);
char *fake_half_consumer(uint32_t scan, unsigned int blocks);

#endif /* SUPPORT_FAKE_MEMBER_H */
