/* SPDX-License-Identifier: MIT */
#include <base/clock.h>
#include <control/http.h>
#include <member/member_config.h>

const char *const member_directory_kinds[] = { "etcd", "none", NULL };
const char *const member_log_levels[] = { "error", "warning", "info", "debug", NULL };

struct directory_args member_directory_args(const struct member_config *config)
{
	return (struct directory_args){
		.kind = config->kind,
		.endpoints = config->endpoints,
		.endpoint_count = config->endpoint_count,
		.instrument = config->instrument,
		.user = config->user,
		.password = config->password,
		.ca_file = config->ca_file,
		.lease_ttl_s = config->lease_ttl_s,
		.timeout_ns = config->timeout_ms * NS_PER_MS,
	};
}
