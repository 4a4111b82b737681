/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* sluice-board: boards in software, served over Unix sockets or written to files. */
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
	struct truth *truth;
	struct place place[SLUICE_SECTORS_MAX];
	unsigned int places;
};

static volatile sig_atomic_t stopped;
static struct server *volatile stop_server;

static void on_signal(int number)
{
	(void)number;
	stopped = 1;
	if (stop_server)
		server_stop(stop_server);
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
	model_destroy(program.model);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
