/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* sluice-board: boards in software, over Unix sockets, in files, or as cards in a guest. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include <base/error.h>
#include <base/log.h>
#include <firmware-iface/board_socket.h>
#include <model/board.h>
#include <model/card_server.h>
#include <model/options.h>
#include <model/recording.h>
#include <model/server.h>
#include <model/truth.h>

/* One board and what it needs to be served. */
struct place {
	struct board *board;
	char name[BOARD_NAME_MAX];
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
};

struct program {
	struct options options;
	struct model *model;
	struct model *pattern[CARD_SOURCES]; /* of cards; by enum fw_source, not the detector's */
	struct truth *truth;
	struct place place[SLUICE_SECTORS_MAX];
	struct card_server_card card[SLUICE_SECTORS_MAX];
	unsigned int places;
};

static volatile sig_atomic_t stopped;
static struct server *volatile stop_server;
static struct card_server *volatile stop_cards;

static void on_signal(int number)
{
	(void)number;
	stopped = 1;
	if (stop_server)
		server_stop(stop_server);
	if (stop_cards)
		card_server_stop(stop_cards);
}

static void catch_signals(void)
{
	const struct sigaction stop = { .sa_handler = on_signal };
	const struct sigaction ignore = { .sa_handler = SIG_IGN };

	(void)sigaction(SIGTERM, &stop, NULL);
	(void)sigaction(SIGINT, &stop, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
}

static void log_counts(const char *name, uint32_t number, const struct batch_counts *c)
{
	log_info("board %s: scan %u: %" PRIu64 " blocks generated, %" PRIu64 " sent, %" PRIu64
		 " dropped; on purpose: %" PRIu64 " corrupted, %" PRIu64 " duplicated, %" PRIu64
		 " headers corrupted, %" PRIu64 " bytes of garbage, %" PRIu64 " bytes missing",
		 name, number, c->blocks_generated, c->blocks_sent, c->blocks_dropped,
		 c->blocks_corrupted, c->blocks_duplicated, c->headers_corrupted, c->garbage_bytes,
		 c->missing_bytes);
}

static void on_report(void *ctx, struct board *board, const struct board_report *report)
{
	const struct program *program = ctx;
	const char *name = "";

	for (unsigned int i = 0; i < program->places; i++)
		if (program->place[i].board == board)
			name = program->place[i].name;
	log_counts(name, report->number, &report->counts);
	if (report->end == -EPIPE)
		log_warn("board %s: scan %u: the host closed after %" PRIu64 " of %" PRIu64
			 " frames",
			 name, report->number, report->counts.blocks_generated, report->frames);
	else if (report->end < 0 && report->end != -ECANCELED)
		log_err("board %s: scan %u: cannot go on: %s", name, report->number,
			error_name(report->end));
}

static int make_board(struct program *program, uint16_t sector, struct sluice_error *reterr)
{
	const struct options *o = &program->options;
	struct place *place = &program->place[program->places];
	struct board_args args = {
		.model = program->model,
		.faults = &o->faults,
		.truth = program->truth,
		.name = place->name,
		.sector = sector,
		.frames_per_s = o->frames_per_s,
	};
	int ret;

	if (options_expand(o->name, sector, place->name, sizeof(place->name)) < 0)
		return error_set(reterr, -ENAMETOOLONG, "name \"%s\": at most %d bytes", o->name,
				 BOARD_NAME_MAX - 1);
	if (options_expand(o->socket, sector, place->path, sizeof(place->path)) < 0)
		return error_set(reterr, -ENAMETOOLONG, "socket \"%s\": at most %zu bytes",
				 o->socket, sizeof(place->path) - 1);
	ret = board_create(&args, &place->board);
	if (ret < 0)
		return error_set(reterr, ret, "board %s: cannot be made: %s", place->name,
				 error_name(ret));
	program->places++;
	return 0;
}

static int serve(struct program *program, struct sluice_error *reterr)
{
	struct server_board boards[SLUICE_SECTORS_MAX];
	const struct server_args args = {
		.boards = boards,
		.board_count = program->places,
		.once = program->options.once,
		.report = on_report,
		.ctx = program,
	};
	struct server *server;
	int ret;

	for (unsigned int i = 0; i < program->places; i++)
		boards[i] = (struct server_board){ program->place[i].board,
						   program->place[i].path };
	ret = server_open(&args, &server, reterr);
	if (ret < 0)
		return ret;
	stop_server = server;
	/* A signal that came just before has seen no server. */
	if (stopped)
		server_stop(server);
	puts("ready");
	(void)fflush(stdout);
	ret = server_run(server);
	stop_server = NULL;
	server_close(server);
	return ret < 0 ? error_set(reterr, ret, "cannot go on serving: %s", error_name(ret)) : 0;
}

/* One line of JSON a scan. */
static void on_scan(void *ctx, const struct card_server_scan *scan)
{
	(void)ctx;
	printf("{\"kind\":\"card_scan\",\"schema_version\":1,\"sector\":%u,\"scan\":%" PRIu32
	       ",\"frames\":%" PRIu64 ",\"blocks\":%" PRIu64 ",\"bytes\":%" PRIu64
	       ",\"completions\":%" PRIu64 ",\"interrupts\":%" PRIu64 ",\"descriptors\":%" PRIu64
	       ",\"ns\":%" PRIu64 ",\"copy_bytes\":%" PRIu64 ",\"copy_ns\":%" PRIu64
	       ",\"fault\":%d}\n",
	       scan->sector, scan->scan, scan->frames, scan->blocks, scan->bytes, scan->completions,
	       scan->interrupts, scan->descriptors, scan->ns, scan->copy_bytes, scan->copy_ns,
	       (int)scan->fault);
	(void)fflush(stdout);
}

/* What a card can send beside the detector's frames. */
static int make_patterns(struct program *program, struct sluice_error *reterr)
{
	struct model_args args = program->options.model;
	int ret;

	args.generator = MODEL_COUNTER;
	ret = model_create(&args, &program->pattern[FW_SOURCE_COUNTER], reterr);
	if (ret < 0)
		return ret;
	args.generator = MODEL_PRBS;
	return model_create(&args, &program->pattern[FW_SOURCE_PRBS], reterr);
}

static int make_card(struct program *program, uint16_t sector, struct sluice_error *reterr)
{
	const struct options *o = &program->options;
	struct place *place = &program->place[program->places];

	if (options_expand(o->card, sector, place->path, sizeof(place->path)) < 0)
		return error_set(reterr, -ENAMETOOLONG, "card \"%s\": at most %zu bytes", o->card,
				 sizeof(place->path) - 1);
	program->card[program->places++] = (struct card_server_card){
		.card = { .source = { program->model, program->pattern[FW_SOURCE_COUNTER],
				      program->pattern[FW_SOURCE_PRBS] },
			  .truth = program->truth,
			  .faults = &o->faults,
			  .serial = o->serial + sector,
			  .desc_max = o->desc_max,
			  .completion_max = o->completion_max,
			  .chain_max = o->chain_max,
			  .buffer_blocks = o->buffer_blocks,
			  .frames_per_s = o->frames_per_s,
			  .sector = sector,
			  .live = o->live },
		.path = place->path,
	};
	return 0;
}

static int serve_cards(struct program *program, struct sluice_error *reterr)
{
	const struct card_server_args args = {
		.cards = program->card,
		.card_count = program->places,
		.memory = program->options.memory,
		.control = program->options.control,
		.report = on_scan,
	};
	struct card_server *server;
	int ret;

	ret = card_server_open(&args, &server, reterr);
	if (ret < 0)
		return ret;
	stop_cards = server;
	/* A signal that came just before has seen no server. */
	if (stopped)
		card_server_stop(server);
	puts("ready");
	(void)fflush(stdout);
	ret = card_server_run(server, reterr);
	stop_cards = NULL;
	card_server_close(server);
	return ret;
}

static int write_sector(struct program *program, uint16_t sector, struct sluice_error *reterr)
{
	const struct options *o = &program->options;
	const struct recording_args args = {
		.folder = o->write,
		.run = { .model = program->model,
			 .faults = &o->faults,
			 .scan = { o->scan_columns, o->scan_rows, o->frames },
			 .number = o->scan_number,
			 .sector = sector,
			 .framing = o->framing },
		.files = o->files,
		.stop = &stopped,
	};
	char name[BOARD_NAME_MAX];
	struct batch_counts counts;
	int ret;

	if (options_expand(o->name, sector, name, sizeof(name)) < 0)
		return error_set(reterr, -ENAMETOOLONG, "name \"%s\": at most %d bytes", o->name,
				 BOARD_NAME_MAX - 1);
	ret = recording_write(&args, &counts, reterr);
	if (ret == 0)
		log_counts(name, o->scan_number, &counts);
	return ret;
}

static int each_sector(struct program *program,
		       int (*act)(struct program *program, uint16_t sector,
				  struct sluice_error *reterr),
		       struct sluice_error *reterr)
{
	int ret = 0;

	for (uint16_t s = 0; ret == 0 && s < program->options.model.geometry.sectors; s++)
		if (program->options.model.sectors_served >> s & 1)
			ret = act(program, s, reterr);
	return ret;
}

static int run(struct program *program, struct sluice_error *reterr)
{
	const struct options *o = &program->options;
	const struct model_scan scan = { o->scan_columns, o->scan_rows, o->frames };
	int ret;

	ret = model_create(&o->model, &program->model, reterr);
	if (ret == 0 && o->truth)
		ret = truth_open(o->truth, program->model, &program->truth, reterr);
	if (ret < 0)
		return ret;
	if (o->card) {
		ret = make_patterns(program, reterr);
		if (ret == 0)
			ret = each_sector(program, make_card, reterr);
		return ret < 0 ? ret : serve_cards(program, reterr);
	}
	if (!o->write) {
		ret = each_sector(program, make_board, reterr);
		return ret < 0 ? ret : serve(program, reterr);
	}
	ret = truth_scan(program->truth, o->scan_number, &scan);
	if (ret < 0)
		return error_set(reterr, ret, "%s: cannot write: %s", o->truth, error_name(ret));
	return each_sector(program, write_sector, reterr);
}

int main(int argc, char **argv)
{
	static struct program program;
	struct sluice_error error = { "" };
	int ret;

	log_init("sluice-board", LOG_LEVEL_INFO);
	options_parse(argc, argv, &program.options);
	catch_signals();
	ret = run(&program, &error);
	if (ret < 0)
		log_err("%s", error.text);
	for (unsigned int i = 0; i < program.places; i++)
		board_destroy(program.place[i].board);
	truth_close(program.truth);
	for (unsigned int s = 0; s < CARD_SOURCES; s++)
		model_destroy(program.pattern[s]);
	model_destroy(program.model);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
