/* SPDX-License-Identifier: MIT */
/*
 * scan/plan.h - the plan of a scan: what every member must know to act alike without asking.
 *
 * Lives in the directory as JSON under "scans/<number, 10 digits>/plan".
 * Ownership: plain data, fixed size. Threads: any. Errors: -EBADMSG with @reterr: not a plan.
 */
#ifndef SCAN_PLAN_H
#define SCAN_PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <sluice/block.h>
#include <sluice/wire.h>

struct sluice_error;

enum {
	PLAN_MEMBERS_MAX = 64, /* of each kind */
	PLAN_ENDPOINT_MAX = 256,
	PLAN_URL_MAX = 256,
	PLAN_GROUP_MAX = 64,
	PLAN_FRAMES_MAX = 1 << 28, /* frames of a scan */
	PLAN_KEY_MAX = 192,
};

/* idle -> armed -> acquiring -> draining -> done | failed | aborted */
enum scan_state {
	SCAN_IDLE = 0,
	SCAN_ARMED,
	SCAN_ACQUIRING,
	SCAN_DRAINING,
	SCAN_DONE,
	SCAN_FAILED,
	SCAN_ABORTED,
	SCAN_STATE_COUNT
};

enum scan_policy {
	POLICY_BLOCK = 0, /* the board waits */
};

struct plan_member {
	char id[SLUICE_WIRE_NAME_MAX];
	char endpoint[PLAN_ENDPOINT_MAX]; /* aggregators and consumers: what senders connect to */
	char url[PLAN_URL_MAX];           /* control server, http://host:port */
	uint16_t sector;                  /* boards */
};

struct scan_plan {
	uint32_t scan;
	uint32_t epoch;
	enum scan_state state; /* armed, acquiring, aborted: the wish; the halves tell the rest */
	enum scan_policy policy;
	uint32_t scan_columns; /* probe positions per row, flyback included */
	uint32_t scan_rows;
	uint32_t frames_per_position;
	uint64_t frames_expected;
	uint32_t run_frames; /* R */
	struct sluice_geometry geometry;
	char group[PLAN_GROUP_MAX]; /* of consumers */
	double background, xray;    /* thresholds of counting, pixel values; xray 0: to be fitted */
	unsigned int board_count, aggregator_count, consumer_count;
	struct plan_member board[SLUICE_SECTORS_MAX]; /* ascending sector, one each */
	struct plan_member aggregator[PLAN_MEMBERS_MAX];
	struct plan_member consumer[PLAN_MEMBERS_MAX]; /* at arming; others may join */
};

/* NULL-terminated, in the order of enum scan_state. */
extern const char *const scan_state_names[];
const char *scan_state_name(enum scan_state state);
/* The JSON, malloc()ed; NULL when out of memory. */
char *plan_encode(const struct scan_plan *plan);
/* Judges every number and name; outputs are touched on success only. */
int plan_decode(const char *json, struct scan_plan *ret_plan, struct sluice_error *reterr);
/* {"sectors":4,"layout":"rows","rows":144,"columns":576,"pixel":"u16"}, as a new reference. */
json_t *geometry_to_json(const struct sluice_geometry *geometry);
int geometry_from_json(const json_t *object, struct sluice_geometry *ret_geometry,
		       struct sluice_error *reterr);
/* Number of runs of the scan: the last may be short. */
uint64_t plan_runs(const struct scan_plan *plan);
/* Which aggregator of the plan gets @run: run % n. */
unsigned int plan_route(const struct scan_plan *plan, uint64_t run);
/* What a plan says on a link. */
void plan_to_wire(const struct scan_plan *plan, struct sluice_wire_scan *ret_scan);

/* "scans/0000000007/plan" and the like; @leaf e.g. "plan", "ready/<id>", "half/<id>", "ledger". */
void scan_key(char key[PLAN_KEY_MAX], uint32_t scan, const char *leaf);
/* The reverse. -EINVAL: the key is none of these. *ret_leaf points into @key. */
int scan_key_parse(const char *key, uint32_t *ret_scan, const char **ret_leaf);

#endif /* SCAN_PLAN_H */
