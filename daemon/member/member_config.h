/* SPDX-License-Identifier: MIT */
/*
 * member/member_config.h - the part of a configuration that all members have.
 *
 * Ownership: the caller's struct. Threads: any. Errors: none.
 */
#ifndef MEMBER_MEMBER_CONFIG_H
#define MEMBER_MEMBER_CONFIG_H

#include <stddef.h>

#include <base/config.h>
#include <control/http.h>
#include <directory/directory.h>
#include <scan/plan.h>

struct member_config {
	char instrument[PLAN_GROUP_MAX];
	char control[HTTP_LISTEN_MAX];
	unsigned int log_level; /* enum log_level */
	unsigned int kind;      /* enum directory_kind */
	char endpoints[DIRECTORY_ENDPOINTS_MAX][DIRECTORY_URL_MAX];
	unsigned int endpoint_count;
	char user[64];
	char password[128];
	char ca_file[DIRECTORY_URL_MAX];
	uint32_t lease_ttl_s;
	uint32_t timeout_ms;
};

#define MEMBER_CONFIG_INIT                                                        \
	{                                                                         \
		.instrument = "bench", .control = "127.0.0.1:0", .log_level = 2,  \
		.kind = DIRECTORY_ETCD, .endpoints = { "http://127.0.0.1:2379" }, \
		.endpoint_count = 1, .lease_ttl_s = 5, .timeout_ms = 2000,        \
	}

extern const char *const member_directory_kinds[]; /* "etcd", "none" */
extern const char *const member_log_levels[];      /* "error", "warning", "info", "debug" */

#define MEMBER_CONFIG_TEXT_(type_, field_, name_, min_, max_, help_)                              \
	{                                                                                         \
		.key = name_, .type = CONFIG_STRING, .offset = offsetof(type_, field_),           \
		.size = sizeof(((type_ *)0)->field_), .min = (min_), .max = (max_), .help = help_ \
	}

/* The rows for a struct @type_ that has a struct member_config named @field_. */
#define MEMBER_CONFIG_ROWS(type_, field_)                                                          \
	MEMBER_CONFIG_TEXT_(type_, field_.instrument, "instrument", 1, PLAN_GROUP_MAX - 1,         \
			    "name of the instrument: one directory serves several"),               \
		MEMBER_CONFIG_TEXT_(type_, field_.control, "control", 3, HTTP_LISTEN_MAX - 1,      \
				    "where status and metrics are served, loopback; port 0: any"), \
		{ .key = "log_level",                                                              \
		  .type = CONFIG_CHOICE,                                                           \
		  .offset = offsetof(type_, field_.log_level),                                     \
		  .choices = member_log_levels,                                                    \
		  .help = "least important message that is written" },                             \
		{ .key = "directory.kind",                                                         \
		  .type = CONFIG_CHOICE,                                                           \
		  .offset = offsetof(type_, field_.kind),                                          \
		  .choices = member_directory_kinds,                                               \
		  .help = "where members find each other; none: they are armed by address" },      \
		{ .key = "directory.endpoints",                                                    \
		  .type = CONFIG_STRINGS,                                                          \
		  .offset = offsetof(type_, field_.endpoints),                                     \
		  .size = DIRECTORY_URL_MAX,                                                       \
		  .count_offset = offsetof(type_, field_.endpoint_count),                          \
		  .min = 1,                                                                        \
		  .max = DIRECTORY_ENDPOINTS_MAX,                                                  \
		  .help = "URLs of etcd, tried in turn" },                                         \
		MEMBER_CONFIG_TEXT_(type_, field_.user, "directory.user", 0, 63,                   \
				    "user of etcd; empty: no authentication"),                     \
		MEMBER_CONFIG_TEXT_(type_, field_.password, "directory.password", 0, 127,          \
				    "password of that user"),                                      \
		MEMBER_CONFIG_TEXT_(type_, field_.ca_file, "directory.ca_file", 0,                 \
				    DIRECTORY_URL_MAX - 1,                                         \
				    "certificates to trust; empty: the system's"),                 \
		{ .key = "directory.lease_ttl_s",                                                  \
		  .type = CONFIG_U32,                                                              \
		  .offset = offsetof(type_, field_.lease_ttl_s),                                   \
		  .min = 2,                                                                        \
		  .max = 60,                                                                       \
		  .help = "seconds after which a dead member is gone from the directory" },        \
	{                                                                                          \
		.key = "directory.timeout_ms", .type = CONFIG_U32,                                 \
		.offset = offsetof(type_, field_.timeout_ms), .min = 100, .max = 60000,            \
		.help = "deadline of one call to the directory, ms"                                \
	}

/* What directory_open() wants; borrows from @config. */
struct directory_args member_directory_args(const struct member_config *config);

#endif /* MEMBER_MEMBER_CONFIG_H */
