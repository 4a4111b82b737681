/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/options.h>

#include <argp.h>
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <base/error.h>
#include <base/parse.h>
#include <firmware-iface/board_socket.h>
#include <model/card.h>

enum {
	CHAIN_DEFAULT = 4096,
};

/* Options without a letter, and the letters. */
enum {
	OPT_SECTORS_SERVED = 256,
	OPT_SECTORS,
	OPT_LAYOUT,
	OPT_ROWS,
	OPT_COLUMNS,
	OPT_PIXEL,
	OPT_GENERATOR,
	OPT_SEED,
	OPT_DISTINCT,
	OPT_RATE,
	OPT_FAULT,
	OPT_TRUTH,
	OPT_NAME,
	OPT_ONCE,
	OPT_WRITE,
	OPT_FRAMING,
	OPT_SCAN,
	OPT_FRAMES,
	OPT_SCAN_NUMBER,
	OPT_FILES,
	OPT_SOCKET,
	OPT_SECTOR,
	OPT_CARD,
	OPT_MEMORY,
	OPT_CONTROL,
	OPT_LIVE,
	OPT_BUFFER,
	OPT_DESCRIPTORS,
	OPT_CHAIN,
	OPT_COMPLETIONS,
	OPT_SERIAL,
};

static const struct argp_option rows[] = {
	{ NULL, 0, NULL, 0, "What is served:", 1 },
	{ "socket", OPT_SOCKET, "PATH", 0,
	  "Unix socket to serve; {sector} in it stands for the sector", 1 },
	{ "sector", OPT_SECTOR, "N", 0, "The sector of this board (default 0)", 1 },
	{ "sectors-served", OPT_SECTORS_SERVED, "LIST", 0,
	  "Several boards in one program, e.g. 0,1,2,3", 1 },
	{ "name", OPT_NAME, "NAME", 0, "Name of the board (default board{sector})", 1 },
	{ "rate", OPT_RATE, "FRAMES/S", 0, "Frames per second; 0: as fast as it goes (default)",
	  1 },
	{ "once", OPT_ONCE, NULL, 0, "End when each board has run one scan to its end", 1 },
	{ NULL, 0, NULL, 0, "What it shows:", 2 },
	{ "generator", OPT_GENERATOR, "NAME", 0, "camera (default), counter or prbs", 2 },
	{ "seed", OPT_SEED, "S", 0, "All that is random follows from this number (default 1)", 2 },
	{ "distinct", OPT_DISTINCT, "D", 0,
	  "Frames prepared ahead and used again, 1 ... 4096 (default 64)", 2 },
	{ "truth", OPT_TRUTH, "FILE", 0,
	  "Write the true events, and which frame showed which, to FILE", 2 },
	{ "fault", OPT_FAULT, "[SECTOR/]KIND=WHAT", 0,
	  "Do this wrong; may be given several times. drop, corrupt, "
	  "badheader, duplicate: FRAMES, a list like 5,10-12 or every:N. cut: FRAME. stall: "
	  "FRAME[:MS]. garbage, missing: FRAME:BYTES. A card has others: sluice-board(1)",
	  2 },
	{ NULL, 0, NULL, 0, "The detector (default: 4D Camera):", 3 },
	{ "sectors", OPT_SECTORS, "N", 0, "Sectors of a frame, 1 ... 32 (default 4)", 3 },
	{ "layout", OPT_LAYOUT, "NAME", 0,
	  "Sectors are stacked in rows (default) or side by side in columns", 3 },
	{ "rows", OPT_ROWS, "N", 0, "Pixel rows of a sector (default 144)", 3 },
	{ "columns", OPT_COLUMNS, "N", 0, "Pixel columns of a sector (default 576)", 3 },
	{ "pixel", OPT_PIXEL, "TYPE", 0, "u8, u16 (default), u32, u16be or u32be", 3 },
	{ NULL, 0, NULL, 0, "Files in place of a socket:", 4 },
	{ "write", OPT_WRITE, "DIR", 0,
	  "Write one scan as recorded files into this folder, and end", 4 },
	{ "framing", OPT_FRAMING, "NAME", 0, "4dcamera-v5 (default), 4dcamera-v4 or sluice", 4 },
	{ "scan", OPT_SCAN, "WxH", 0, "Probe positions per row and rows of the scan", 4 },
	{ "frames", OPT_FRAMES, "N", 0, "Frames of the scan (default: one per probe position)", 4 },
	{ "scan-number", OPT_SCAN_NUMBER, "N", 0, "Number of the scan (default 1)", 4 },
	{ "files", OPT_FILES, "N", 0, "Files per sector, 1 ... 64 (default 2)", 4 },
	{ NULL, 0, NULL, 0, "A card in a virtual machine in place of a socket:", 5 },
	{ "card", OPT_CARD, "PATH", 0,
	  "Unix socket for QEMU's device ivshmem-doorbell; {sector} as in --socket", 5 },
	{ "memory", OPT_MEMORY, "FILE[,FILE...]", 0,
	  "The guest's memory, in the order of its nodes, at most 2 GiB", 5 },
	{ "control", OPT_CONTROL, "PATH", 0,
	  "Unix socket for orders, a line each: fault ORDER, repair, remove, report", 5 },
	{ "live", OPT_LIVE, NULL, 0,
	  "The detector does not wait: what finds the buffer full is dropped; needs --rate", 5 },
	{ "buffer", OPT_BUFFER, "N", 0, "Blocks that the card can hold (default 64)", 5 },
	{ "descriptors", OPT_DESCRIPTORS, "N", 0,
	  "Largest descriptor ring, a power of two (default 65536)", 5 },
	{ "chain", OPT_CHAIN, "N", 0,
	  "Descriptors of a chain, at most (default 4096, or --descriptors)", 5 },
	{ "completions", OPT_COMPLETIONS, "N", 0,
	  "Largest completion ring, a power of two (default 65536)", 5 },
	{ "serial", OPT_SERIAL, "N", 0, "Serial number of sector 0; others count on (default 1000)",
	  5 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const char doc[] =
	"Be a readout board in software: make the frames of a detector and serve them over a Unix "
	"socket as the firmware would, write them to files, or be a card in a virtual machine.";

/* What a command line may leave out until its end is seen. */
struct parsing {
	struct options *options;
	struct sluice_geometry geometry; /* 0: not given */
	bool layout_given;
	bool sector_given;
};

/* Prints what is wrong and ends the program. */
static void __attribute__((format(printf, 2, 3)))
refuse(const struct argp_state *state, const char *fmt, ...)
{
	char text[SLUICE_ERROR_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread while options are parsed */
	argp_error(state, "%s", text);
}

static int choose(const struct argp_state *state, const char *option, const char *arg,
		  const char *const *names)
{
	char allowed[128] = "";
	size_t at = 0;

	for (int i = 0; names[i]; i++) {
		if (strcmp(arg, names[i]) == 0)
			return i;
		at += (size_t)snprintf(allowed + at, sizeof(allowed) - at, "%s%s",
				       i == 0 ? "" : ", ", names[i]);
		assert(at < sizeof(allowed));
	}
	refuse(state, "--%s: \"%s\" is not known; allowed: %s", option, arg, allowed);
	return 0;
}

static uint64_t number(const struct argp_state *state, const char *option, const char *arg,
		       uint64_t min, uint64_t max)
{
	uint64_t v = 0;

	if (parse_u64(arg, min, max, &v) < 0)
		refuse(state, "--%s: \"%s\"; allowed: %llu ... %llu", option, arg,
		       (unsigned long long)min, (unsigned long long)max);
	return v;
}

/* "0,1,2,3" as a set. */
static uint32_t sector_set(const struct argp_state *state, const char *arg)
{
	uint32_t set = 0;
	char copy[128];

	if (strlen(arg) >= sizeof(copy))
		refuse(state, "--sectors-served: longer than %zu bytes", sizeof(copy) - 1);
	memcpy(copy, arg, strlen(arg) + 1);
	for (char *item = copy, *next; item; item = next) {
		uint32_t bit;

		next = strchr(item, ',');
		if (next)
			*next++ = '\0';
		bit = UINT32_C(1) << number(state, "sectors-served", item, 0,
					    SLUICE_SECTORS_MAX - 1);
		if (set & bit)
			refuse(state, "--sectors-served: sector %s is named twice", item);
		set |= bit;
	}
	return set;
}

static error_t parse_detector(int key, const char *arg, struct argp_state *state)
{
	static const char *const layouts[] = { "rows", "columns", NULL };
	static const char *const pixels[] = { "u8", "u16", "u32", "u16be", "u32be", NULL };
	struct parsing *p = state->input;

	switch (key) {
	case OPT_SECTORS:
		p->geometry.sectors = (uint16_t)number(state, "sectors", arg, 1,
						       SLUICE_SECTORS_MAX);
		return 0;
	case OPT_LAYOUT:
		p->geometry.layout = (uint16_t)choose(state, "layout", arg, layouts);
		p->layout_given = true;
		return 0;
	case OPT_ROWS:
		p->geometry.rows = (uint16_t)number(state, "rows", arg, 1, SLUICE_SIDE_MAX);
		return 0;
	case OPT_COLUMNS:
		p->geometry.columns = (uint16_t)number(state, "columns", arg, 1, SLUICE_SIDE_MAX);
		return 0;
	case OPT_PIXEL:
		p->geometry.pixel = (uint16_t)(SLUICE_PIXEL_U8 +
					       choose(state, "pixel", arg, pixels));
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_files(int key, char *arg, struct argp_state *state)
{
	static const char *const framings[] = { "sluice", "4dcamera-v5", "4dcamera-v4", NULL };
	struct options *o = ((struct parsing *)state->input)->options;

	switch (key) {
	case OPT_WRITE:
		o->write = arg;
		return 0;
	case OPT_FRAMING:
		o->framing = (enum batch_framing)choose(state, "framing", arg, framings);
		return 0;
	case OPT_SCAN:
		if (parse_size(arg, UINT16_MAX, &o->scan_columns, &o->scan_rows) < 0)
			refuse(state, "--scan: \"%s\"; allowed: WxH, each 1 ... %d", arg,
			       UINT16_MAX);
		return 0;
	case OPT_FRAMES:
		o->frames = number(state, "frames", arg, 1, MODEL_FRAMES_MAX);
		return 0;
	case OPT_SCAN_NUMBER:
		o->scan_number = (uint32_t)number(state, "scan-number", arg, 0, UINT32_MAX);
		return 0;
	case OPT_FILES:
		o->files = (uint32_t)number(state, "files", arg, 1, 64);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static uint32_t ring(const struct argp_state *state, const char *option, const char *arg)
{
	const uint32_t v = (uint32_t)number(state, option, arg, 4, CARD_RING_MAX);

	if ((v & (v - 1)) != 0)
		refuse(state, "--%s: \"%s\"; allowed: a power of two", option, arg);
	return v;
}

static error_t parse_card(int key, char *arg, struct argp_state *state)
{
	struct options *o = ((struct parsing *)state->input)->options;

	switch (key) {
	case OPT_CARD:
		o->card = arg;
		return 0;
	case OPT_MEMORY:
		o->memory = arg;
		return 0;
	case OPT_CONTROL:
		o->control = arg;
		return 0;
	case OPT_LIVE:
		o->live = true;
		return 0;
	case OPT_BUFFER:
		o->buffer_blocks = (uint32_t)number(state, "buffer", arg, 1, CARD_BUFFER_MAX);
		return 0;
	case OPT_DESCRIPTORS:
		o->desc_max = ring(state, "descriptors", arg);
		return 0;
	case OPT_CHAIN:
		o->chain_max = (uint32_t)number(state, "chain", arg, 1, CARD_RING_MAX);
		return 0;
	case OPT_COMPLETIONS:
		o->completion_max = ring(state, "completions", arg);
		return 0;
	case OPT_SERIAL:
		o->serial = number(state, "serial", arg, 0, INT64_MAX);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_show(int key, char *arg, struct argp_state *state)
{
	static const char *const generators[] = { "camera", "counter", "prbs", NULL };
	struct options *o = ((struct parsing *)state->input)->options;
	struct sluice_error error;

	switch (key) {
	case OPT_GENERATOR:
		o->model.generator = (enum model_generator)choose(state, "generator", arg,
								  generators);
		return 0;
	case OPT_SEED:
		o->model.seed = number(state, "seed", arg, 0, UINT64_MAX);
		return 0;
	case OPT_DISTINCT:
		o->model.distinct = (uint32_t)number(state, "distinct", arg, 1, MODEL_DISTINCT_MAX);
		return 0;
	case OPT_TRUTH:
		o->truth = arg;
		return 0;
	case OPT_FAULT:
		if (fault_add(&o->faults, arg, &error) < 0)
			refuse(state, "%s", error.text);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse_serve(int key, char *arg, struct argp_state *state)
{
	struct parsing *p = state->input;
	struct options *o = p->options;

	switch (key) {
	case OPT_SOCKET:
		o->socket = arg;
		return 0;
	case OPT_SECTOR:
	case OPT_SECTORS_SERVED:
		if (p->sector_given)
			refuse(state, "--sector and --sectors-served: one of them, once");
		p->sector_given = true;
		if (key == OPT_SECTOR)
			o->model.sectors_served = UINT32_C(1) << number(state, "sector", arg, 0,
									SLUICE_SECTORS_MAX - 1);
		else
			o->model.sectors_served = sector_set(state, arg);
		return 0;
	case OPT_NAME:
		o->name = arg;
		return 0;
	case OPT_RATE:
		if (parse_f64(arg, 0.0, 1e9, &o->frames_per_s) < 0 ||
		    (o->frames_per_s > 0.0 && o->frames_per_s < 1e-3))
			refuse(state, "--rate: \"%s\"; allowed: 0, or 0.001 ... 1e9", arg);
		return 0;
	case OPT_ONCE:
		o->once = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The 4D Camera's sectors lie otherwise in v4 files: the default follows the framing. */
static void finish_geometry(const struct parsing *p, struct sluice_geometry *ret_geometry)
{
	const bool v4 = p->options->write && p->options->framing == BATCH_4DCAMERA_V4;
	struct sluice_geometry g = p->geometry;

	if (!p->layout_given)
		g.layout = v4 ? SLUICE_LAYOUT_COLUMNS : SLUICE_LAYOUT_ROWS;
	if (g.sectors == 0)
		g.sectors = 4;
	if (g.rows == 0)
		g.rows = v4 ? 576 : 144;
	if (g.columns == 0)
		g.columns = v4 ? 144 : 576;
	if (g.pixel == 0)
		g.pixel = SLUICE_PIXEL_U16;
	*ret_geometry = g;
}

static void finish_card(const struct argp_state *state, struct options *o)
{
	struct sluice_error error;

	if (fault_fits(&o->faults, o->card ? FAULT_CARD : FAULT_STREAM, &error) < 0)
		refuse(state, "%s", error.text);
	if (o->card && !o->memory)
		refuse(state, "--card: --memory is needed as well");
	if (!o->card && (o->memory || o->control || o->live))
		refuse(state, "--memory, --control, --live: --card is needed as well");
	if (o->card && o->once)
		refuse(state, "--once: a card ends when its guest does");
	if (o->live && o->frames_per_s <= 0.0)
		refuse(state, "--live: --rate is needed as well");
	if (o->chain_max == 0)
		o->chain_max = o->desc_max < CHAIN_DEFAULT ? o->desc_max : CHAIN_DEFAULT;
	if (o->chain_max > o->desc_max)
		refuse(state, "--chain: %u; allowed: 1 ... %u, as --descriptors", o->chain_max,
		       o->desc_max);
}

static void finish(struct argp_state *state)
{
	struct parsing *p = state->input;
	struct options *o = p->options;
	const bool several = (o->model.sectors_served & (o->model.sectors_served - 1)) != 0;
	const uint64_t positions = (uint64_t)o->scan_columns * o->scan_rows;

	finish_geometry(p, &o->model.geometry);
	if (!!o->socket + !!o->write + !!o->card != 1)
		refuse(state, "--socket, --write or --card: one of them");
	finish_card(state, o);
	if (o->model.geometry.sectors < SLUICE_SECTORS_MAX &&
	    o->model.sectors_served >> o->model.geometry.sectors != 0)
		refuse(state, "a sector is served that is none of the %u: allowed: 0 ... %u",
		       o->model.geometry.sectors, o->model.geometry.sectors - 1u);
	if (o->socket && several && !strstr(o->socket, "{sector}"))
		refuse(state, "--socket: {sector} must be in the path of several boards");
	if (o->card && several && !strstr(o->card, "{sector}"))
		refuse(state, "--card: {sector} must be in the path of several boards");
	if (!o->write)
		return;
	if (positions == 0)
		refuse(state, "--write: --scan is needed as well");
	if (o->frames == 0)
		o->frames = positions;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	error_t ret;

	if (key == ARGP_KEY_ARG)
		refuse(state, "\"%s\": no arguments are expected", arg);
	if (key == ARGP_KEY_END)
		finish(state);
	ret = parse_serve(key, arg, state);
	if (ret == ARGP_ERR_UNKNOWN)
		ret = parse_show(key, arg, state);
	if (ret == ARGP_ERR_UNKNOWN)
		ret = parse_detector(key, arg, state);
	if (ret == ARGP_ERR_UNKNOWN)
		ret = parse_files(key, arg, state);
	if (ret == ARGP_ERR_UNKNOWN)
		ret = parse_card(key, arg, state);
	return ret;
}

void options_parse(int argc, char **argv, struct options *ret_options)
{
	static const struct argp argp = { .options = rows, .parser = parse, .doc = doc };
	static struct options options;
	struct parsing p = { .options = &options };

	options = (struct options){
		.model = { .generator = MODEL_CAMERA,
			   .seed = 1,
			   .distinct = MODEL_DISTINCT_DEFAULT,
			   .sectors_served = 1 },
		.name = "board{sector}",
		.framing = BATCH_4DCAMERA_V5,
		.scan_number = 1,
		.files = 2,
		.buffer_blocks = 64,
		.desc_max = CARD_RING_MAX,
		.completion_max = CARD_RING_MAX,
		.serial = 1000,
	};
	argp_program_version = "sluice-board " SLUICE_VERSION;
	argp_err_exit_status = EX_USAGE;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): likewise */
	(void)argp_parse(&argp, argc, argv, 0, NULL, &p);
	*ret_options = options;
}

int options_expand(const char *text, uint16_t sector, char *dst, size_t size)
{
	static const char mark[] = "{sector}";
	size_t at = 0;

	while (*text != '\0') {
		char digits[8];
		const char *piece = text;
		size_t bytes = 1;

		if (strncmp(text, mark, strlen(mark)) == 0) {
			(void)snprintf(digits, sizeof(digits), "%u", sector);
			piece = digits;
			bytes = strlen(digits);
			text += strlen(mark);
		} else {
			text++;
		}
		if (at + bytes >= size)
			return -ENAMETOOLONG;
		memcpy(dst + at, piece, bytes);
		at += bytes;
	}
	dst[at] = '\0';
	return 0;
}
