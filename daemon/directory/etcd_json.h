/* SPDX-License-Identifier: MIT */
/*
 * directory/etcd_json.h - what is said to etcd's gateway, and what it says back.
 *
 * The gateway speaks proto3 JSON (etcd 3.4, api/etcdserverpb/rpc.proto): bytes are base64, 64-bit
 * numbers are strings, and a field that is 0, false or empty is left out. Answers are foreign:
 * each decoder judges every field and bounds every count.
 *
 * Ownership: requests are the caller's, to free(); what a decoder fills has its own _fini().
 * Threads:   any. Errors: encoders give NULL when out of memory. Decoders: -EBADMSG: this is no
 *            answer of etcd's; -ENOSPC: over DIRECTORY_ENTRIES_MAX or ETCD_LIST_BYTES_MAX; -ENOMEM.
 *            Outputs are touched on success only.
 */
#ifndef DIRECTORY_ETCD_JSON_H
#define DIRECTORY_ETCD_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <directory/directory.h>

enum {
	ETCD_PAGE_ENTRIES = 32,          /* asked for in one range request */
	ETCD_PAGE_BYTES_MAX = 48 << 20,  /* 32 values of 1 MiB in base64, and their keys */
	ETCD_ANSWER_BYTES_MAX = 1 << 16, /* of every other call */
	ETCD_LIST_BYTES_MAX = 64 << 20,  /* values of one list together */
	ETCD_FULL_KEY_MAX = 512,         /* "/sluice/v1/<instrument>/" and a key */
	ETCD_REASON_MAX = 256,
	ETCD_TOKEN_MAX = 1024,
};

/* gRPC status codes that the gateway passes on (grpc/codes). */
enum etcd_code {
	ETCD_INVALID_ARGUMENT = 3,
	ETCD_DEADLINE_EXCEEDED = 4,
	ETCD_NOT_FOUND = 5,
	ETCD_PERMISSION_DENIED = 7,
	ETCD_RESOURCE_EXHAUSTED = 8,
	ETCD_FAILED_PRECONDITION = 9,
	ETCD_OUT_OF_RANGE = 11,
	ETCD_UNAVAILABLE = 14,
	ETCD_UNAUTHENTICATED = 16,
};

struct etcd_failure {
	int64_t code; /* enum etcd_code, or another of gRPC's */
	char reason[ETCD_REASON_MAX];
};

/* Grows over the pages of one list. */
struct etcd_list {
	struct directory_entry *entry;
	unsigned int count, capacity;
	size_t bytes;         /* of the values */
	unsigned int skipped; /* keys under the prefix that no member can have put */
	int64_t revision;     /* of the store when the first page was read */
};

struct etcd_event {
	enum directory_change change;
	char key[DIRECTORY_KEY_MAX];
	char *value; /* NULL: deleted */
	int64_t revision;
};

struct etcd_watch_answer {
	struct etcd_event *event;
	unsigned int count;
	unsigned int skipped;
	bool created;
	bool canceled; /* by etcd: compaction, permission, lost leader */
	char reason[ETCD_REASON_MAX];
};

/* Requests. @key is the full key; @value a string; @lease 0: none. */
char *etcd_encode_put(const char *key, const char *value, int64_t lease);
char *etcd_encode_put_if(const char *key, int64_t revision, const char *value);
char *etcd_encode_delete(const char *key);
/* @from: base64 of the first key, or NULL for the prefix itself. @revision 0: now. */
char *etcd_encode_range(const char *prefix, const char *from, int64_t revision);
char *etcd_encode_watch(const char *prefix, int64_t start_revision);
char *etcd_encode_lease_grant(uint32_t ttl_s);
char *etcd_encode_lease_id(int64_t lease);
char *etcd_encode_authenticate(const char *user, const char *password);

/* Any answer of etcd's has a header with a member: the proof that it is etcd who answers. */
int etcd_decode_header(const char *json, size_t len);
int etcd_decode_failure(const char *json, size_t len, struct etcd_failure *ret_failure);
/* Appends one page. @root is cut off the keys. *ret_next: base64 of where the next page begins. */
int etcd_decode_range(const char *json, size_t len, const char *root, struct etcd_list *list,
		      char **ret_next);
void etcd_list_fini(struct etcd_list *list);
int etcd_decode_txn(const char *json, size_t len, bool *ret_succeeded);
int etcd_decode_lease_grant(const char *json, size_t len, int64_t *ret_lease);
/* *ret_ttl_s 0: the lease has lapsed. */
int etcd_decode_keepalive(const char *json, size_t len, int64_t *ret_ttl_s);
int etcd_decode_watch(const char *json, size_t len, const char *root,
		      struct etcd_watch_answer *ret_answer);
void etcd_watch_answer_fini(struct etcd_watch_answer *answer);
int etcd_decode_token(const char *json, size_t len, char ret_token[ETCD_TOKEN_MAX]);

#endif /* DIRECTORY_ETCD_JSON_H */
