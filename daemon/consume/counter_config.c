/* SPDX-License-Identifier: MIT */
#include <consume/counter_config.h>
#include <sluice/consumer.h>

#define AT(field_) .offset = offsetof(struct counter_config, field_)
#define TEXT(field_, name_, min_, help_)                                               \
	{                                                                              \
		.key = name_, .type = CONFIG_STRING, AT(field_),                       \
		.size = sizeof(((struct counter_config *)0)->field_), .min = (min_),   \
		.max = sizeof(((struct counter_config *)0)->field_) - 1, .help = help_ \
	}

const char *const counter_kernels[] = { "auto", "avx512", "avx2", "portable", NULL };

const struct config_row counter_config_rows[] = {
	MEMBER_CONFIG_ROWS(struct counter_config, member),
	TEXT(group, "group", 1, "group of consumers that this one joins"),
	TEXT(id, "id", 1, "name of this consumer, unique in its group; part of its files' names"),
	TEXT(listen, "listen", 7,
	     "where aggregators connect, tcp://ADDRESS:PORT; port *: any free one"),
	{ .key = "window_runs",
	  .type = CONFIG_U32,
	  AT(window_runs),
	  .min = 1,
	  .max = SLUICE_WINDOW_RUNS_MAX,
	  .help = "runs in memory at once, per aggregator: bounds memory" },
	{ .key = "run_timeout_ms",
	  .type = CONFIG_U32,
	  AT(run_timeout_ms),
	  .min = 1,
	  .max = SLUICE_RUN_TIMEOUT_MS_MAX,
	  .help = "a sector that has not come so long after the first of its run is missing, ms" },
	TEXT(output, "output", 1, "folder for this consumer's part of each scan; must be there"),
	{ .key = "threads",
	  .type = CONFIG_U32,
	  AT(threads),
	  .min = 0,
	  .max = COUNTER_THREADS_MAX,
	  .help = "threads that count; 0: one per processor" },
	{ .key = "thresholds.background",
	  .type = CONFIG_F64,
	  AT(background),
	  .fmin = 0,
	  .fmax = 4294967295.0,
	  .help = "a pixel up to this is no electron, pixel value; a plan that gives thresholds wins" },
	{ .key = "thresholds.xray",
	  .type = CONFIG_F64,
	  AT(xray),
	  .fmin = 0,
	  .fmax = 4294967295.0,
	  .help = "a pixel from this on is an x-ray, pixel value; 0: both are fitted to the first run" },
	{ .key = "thresholds.seed",
	  .type = CONFIG_U64,
	  AT(seed),
	  .min = 0,
	  .max = INT64_MAX,
	  .help = "of the choice of sample frames, where a run has more than are needed" },
	TEXT(dark, "dark", 0,
	     "dark reference: a file of uint16, little-endian, as large as a frame; empty: none"),
	TEXT(gain, "gain", 0,
	     "gain map: a file of float32, little-endian, as large as a frame; empty: none"),
	{ .key = "record_frames",
	  .type = CONFIG_BOOL,
	  AT(record_frames),
	  .help = "write the pixels of every frame to the part as well" },
	{ .key = "kernel",
	  .type = CONFIG_CHOICE,
	  AT(kernel),
	  .choices = counter_kernels,
	  .help = "instructions to count with; all give the same events" },
	{ .key = NULL },
};

void counter_config_init(struct counter_config *config)
{
	*config = (struct counter_config){
		.member = MEMBER_CONFIG_INIT,
		.group = "default",
		.id = "counter0",
		.listen = "tcp://127.0.0.1:*",
		.window_runs = 8,
		.run_timeout_ms = 10000,
		.output = ".",
		.seed = 1,
	};
}
