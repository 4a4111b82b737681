/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>

#include "config.h"

static const char *const layouts[] = { "rows", "columns", NULL };
static const char *const pixels[] = { "data", "u8", "u16", "u32", "u16be", "u32be", NULL };

#define BOARD(field_) .offset = offsetof(struct board_config, field_)
#define AT(field_)    .offset = offsetof(struct sluiced_config, field_)

static const struct config_row board_rows[] = {
	{ .key = "name",
	  .type = CONFIG_STRING,
	  BOARD(name),
	  .size = sizeof(((struct board_config *)0)->name),
	  .min = 1,
	  .max = sizeof(((struct board_config *)0)->name) - 1,
	  .help = "name of the board, unique in this daemon",
	  .required = true },
	{ .key = "source",
	  .type = CONFIG_STRING,
	  BOARD(source),
	  .size = SOURCE_SPEC_MAX,
	  .min = 6,
	  .max = SOURCE_SPEC_MAX - 1,
	  .help = "device:PATH, socket:PATH or file:GLOB; {sector} stands for the sector",
	  .required = true },
	{ .key = "framing",
	  .type = CONFIG_CHOICE,
	  BOARD(framing),
	  .choices = board_framings,
	  .help = "how blocks lie in the bytes",
	  .required = true },
	{ .key = "sector",
	  .type = CONFIG_U32,
	  BOARD(sector),
	  .min = 0,
	  .max = SLUICE_SECTORS_MAX - 1,
	  .help = "which part of the detector it reads",
	  .required = true },
	{ .key = "node",
	  .type = CONFIG_I32,
	  BOARD(node),
	  .min = -1,
	  .max = 1023,
	  .help = "NUMA node of ring and threads; -1: the board's own where its driver tells it" },
	{ .key = "reads_in_flight",
	  .type = CONFIG_U32,
	  BOARD(depth),
	  .min = 1,
	  .max = SOURCE_DEPTH_MAX,
	  .help = "reads that io_uring has at once" },
	{ .key = "frames_per_s",
	  .type = CONFIG_F64,
	  BOARD(frames_per_s),
	  .fmin = 0,
	  .fmax = 1e9,
	  .help = "files: pace of play-back, frames/s; 0: flat out" },
	{ .key = "loops",
	  .type = CONFIG_U64,
	  BOARD(loops),
	  .min = 1,
	  .max = 1000000000,
	  .help = "files: times to play" },
	{ .key = "drop_threshold",
	  .type = CONFIG_U32,
	  BOARD(device.drop_threshold),
	  .min = 0,
	  .max = UINT32_MAX - 1,
	  .help = "devices: blocks in the board's buffer above which it stalls; 0: its size" },
	{ .key = "coalesce_chunks",
	  .type = CONFIG_U32,
	  BOARD(device.coalesce_count),
	  .min = 0,
	  .max = 1024,
	  .help = "devices: chunks for one interrupt, at most; 0: the driver's choice" },
	{ .key = "coalesce_us",
	  .type = CONFIG_U32,
	  BOARD(device.coalesce_us),
	  .min = 0,
	  .max = 1000000,
	  .help = "devices: and the time, us; 0: the driver's choice" },
	{ .key = NULL },
};

const struct config_row sluiced_config_rows[] = {
	MEMBER_CONFIG_ROWS(struct sluiced_config, member),
	{ .key = "server",
	  .type = CONFIG_STRING,
	  AT(common.server),
	  .size = sizeof(((struct board_common *)0)->server),
	  .min = 1,
	  .max = sizeof(((struct board_common *)0)->server) - 1,
	  .help = "name of this readout server; its host name unless given" },
	{ .key = "geometry.sectors",
	  .type = CONFIG_U32,
	  AT(sectors),
	  .min = 0,
	  .max = SLUICE_SECTORS_MAX,
	  .help = "sectors of a frame; 0: from the data" },
	{ .key = "geometry.layout",
	  .type = CONFIG_CHOICE,
	  AT(layout),
	  .choices = layouts,
	  .help = "how sectors lie in a frame: stacked in rows, or side by side in columns" },
	{ .key = "geometry.rows",
	  .type = CONFIG_U32,
	  AT(rows),
	  .min = 0,
	  .max = SLUICE_SIDE_MAX,
	  .help = "pixel rows of one sector; 0: from the data" },
	{ .key = "geometry.columns",
	  .type = CONFIG_U32,
	  AT(columns),
	  .min = 0,
	  .max = SLUICE_SIDE_MAX,
	  .help = "pixel columns of one sector; 0: from the data" },
	{ .key = "geometry.pixel",
	  .type = CONFIG_CHOICE,
	  AT(pixel),
	  .choices = pixels,
	  .help = "how a pixel is stored; data: as the data says" },
	{ .key = "run_frames",
	  .type = CONFIG_U32,
	  AT(common.run_frames),
	  .min = 1,
	  .max = SLUICE_WIRE_RUN_FRAMES_MAX,
	  .help = "frames of a run, the most that a plan may ask for; sizes the chunks" },
	{ .key = "ring.chunks",
	  .type = CONFIG_U32,
	  AT(common.chunks),
	  .min = 2,
	  .max = RING_CHUNKS_MAX,
	  .help = "chunks in the ring of each board" },
	{ .key = "ring.huge_pages",
	  .type = CONFIG_CHOICE,
	  AT(common.huge_pages),
	  .choices = board_huge_pages,
	  .help = "page size of the rings" },
	{ .key = "ring.require_huge_pages",
	  .type = CONFIG_BOOL,
	  AT(common.require_huge_pages),
	  .help = "true: refuse to start on ordinary pages" },
	{ .key = "ring.require_locked",
	  .type = CONFIG_BOOL,
	  AT(common.require_locked),
	  .help = "true: refuse to start where memlock is too small" },
	{ .key = "ring.allow_wrong_node",
	  .type = CONFIG_BOOL,
	  AT(common.allow_wrong_node),
	  .help = "true: pages on another node are a note, not an error" },
	{ .key = "io_threads",
	  .type = CONFIG_U32,
	  AT(common.io_threads),
	  .min = 1,
	  .max = 16,
	  .help = "threads of the transport per link" },
	{ .key = "stall_timeout_ms",
	  .type = CONFIG_U32,
	  AT(common.stall_timeout_ms),
	  .min = 10,
	  .max = 3600000,
	  .help = "a board that sends nothing for so long ends its scan, ms" },
	{ .key = "give_up_ms",
	  .type = CONFIG_U32,
	  AT(common.give_up_ms),
	  .min = 100,
	  .max = 3600000,
	  .help = "no acknowledgement for so long: what is outstanding is lost, ms" },
	{ .key = "boards",
	  .type = CONFIG_LIST,
	  AT(board),
	  .size = sizeof(struct board_config),
	  .count_offset = offsetof(struct sluiced_config, board_count),
	  .min = 1,
	  .max = BOARDS_MAX,
	  .rows = board_rows,
	  .help = "the boards of this server",
	  .required = true },
	{ .key = NULL },
};

void sluiced_config_init(struct sluiced_config *config)
{
	*config = (struct sluiced_config){
		.member = MEMBER_CONFIG_INIT,
		.common = { .run_frames = 16,
			    .chunks = 32,
			    .huge_pages = 1,
			    .io_threads = 1,
			    .stall_timeout_ms = 10000,
			    .give_up_ms = 30000 },
	};
	if (gethostname(config->common.server, sizeof(config->common.server) - 1) < 0 ||
	    config->common.server[0] == '\0')
		(void)strcpy(config->common.server, "server");
	for (unsigned int i = 0; i < BOARDS_MAX; i++)
		config->board[i] = (struct board_config){
			.node = NODE_ANY, .depth = 4, .loops = 1, .sector = i
		};
}

static int check_geometry(struct sluiced_config *c, const char *path, struct sluice_error *reterr)
{
	const struct sluice_geometry g = { .sectors = (uint16_t)c->sectors,
					   .layout = (uint16_t)c->layout,
					   .rows = (uint16_t)c->rows,
					   .columns = (uint16_t)c->columns,
					   .pixel = (uint16_t)c->pixel };

	if (g.sectors && g.rows && g.columns && g.pixel && !sluice_geometry_ok(&g))
		return error_set(
			reterr, -EINVAL,
			"%s: geometry: a frame of %u x %u pixels is too large; allowed: sides up "
			"to %d, sectors up to %d bytes",
			path, sluice_frame_columns(&g), sluice_frame_rows(&g), SLUICE_SIDE_MAX,
			SLUICE_BLOCK_BYTES_MAX);
	c->common.geometry = g;
	return 0;
}

int sluiced_config_load(const char *path, struct sluiced_config *config,
			struct sluice_error *reterr)
{
	struct sluiced_config c;
	int ret;

	sluiced_config_init(&c);
	ret = config_load(path, sluiced_config_rows, &c, reterr);
	if (ret == 0)
		ret = check_geometry(&c, path, reterr);
	if (ret < 0)
		return ret;
	for (unsigned int i = 0; i < c.board_count; i++) {
		for (unsigned int j = 0; j < i; j++) {
			if (strcmp(c.board[i].name, c.board[j].name) == 0)
				return error_set(reterr, -EINVAL,
						 "%s: boards: two are named \"%s\"; allowed: each "
						 "name once",
						 path, c.board[i].name);
		}
	}
	*config = c;
	return 0;
}
