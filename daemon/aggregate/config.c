/* SPDX-License-Identifier: MIT */
#include "config.h"

#define AT(field_) .offset = offsetof(struct aggregator_config, field_)

const struct config_row aggregator_config_rows[] = {
	MEMBER_CONFIG_ROWS(struct aggregator_config, member),
	{ .key = "id",
	  .type = CONFIG_STRING,
	  AT(id),
	  .size = SLUICE_WIRE_NAME_MAX,
	  .min = 1,
	  .max = SLUICE_WIRE_NAME_MAX - 1,
	  .help = "name of this aggregator, unique" },
	{ .key = "listen",
	  .type = CONFIG_STRING,
	  AT(listen),
	  .size = LINK_ENDPOINT_MAX,
	  .min = 7,
	  .max = LINK_ENDPOINT_MAX - 1,
	  .help = "where sources connect, tcp://ADDRESS:PORT; port *: any free one" },
	{ .key = "window",
	  .type = CONFIG_U32,
	  AT(window),
	  .min = 1,
	  .max = 256,
	  .help = "runs that each source may have here at once: bounds memory" },
	{ .key = "payload_max",
	  .type = CONFIG_U32,
	  AT(payload_max),
	  .min = 4096,
	  .max = SLUICE_WIRE_PAYLOAD_MAX,
	  .help = "largest chunk that is taken, bytes" },
	{ .key = "io_threads",
	  .type = CONFIG_U32,
	  AT(io_threads),
	  .min = 1,
	  .max = 16,
	  .help = "threads of the transport per link" },
	{ .key = NULL },
};

void aggregator_config_init(struct aggregator_config *config)
{
	*config = (struct aggregator_config){
		.member = MEMBER_CONFIG_INIT,
		.id = "aggregator0",
		.listen = "tcp://127.0.0.1:*",
		.window = 8,
		.payload_max = 64 << 20,
		.io_threads = 1,
	};
}
