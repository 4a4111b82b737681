/* SPDX-License-Identifier: MIT */
/*
 * sluiced - reads the boards of one server into rings and sends their chunks to the aggregators.
 *
 * The main thread is the control thread: it collects scans that are done, publishes their halves
 * of the ledger, and ends the daemon. Plans come on the member's threads.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/error.h>
#include <base/log.h>
#include <base/wake.h>
#include <link/link.h>
#include <member/member.h>
#include <member/member_options.h>

#include "board.h"
#include "config.h"
#include "health.h"
#include "notify.h"
#include "status.h"

/* Of the second in which an arming must be answered, what connecting may take. */
#define READY_NS (600 * NS_PER_MS)
/* After SIGTERM, for what was read to be delivered. */
#define SHUTDOWN_NS (8 * NS_PER_S)

enum {
	TICK_MS = 500,
	SAID_MAX = 96
};

struct daemon {
	struct sluiced_config config;
	pthread_mutex_t lock; /* boards: the member's threads and the main thread */
	struct board *board[BOARDS_MAX];
	unsigned int board_count;
	int wake;
	struct member *member;
	/* Halves that the directory would not take yet; one per board. */
	char *unpublished[BOARDS_MAX];
	uint32_t unpublished_scan[BOARDS_MAX];
	/* The control thread's. */
	struct health health;
	char said[SAID_MAX]; /* the status that the service manager has */
};

/* ---- plans ------------------------------------------------------------------------------ */

static void disarm_all(struct daemon *d)
{
	for (unsigned int i = 0; i < d->board_count; i++) {
		if (board_state(d->board[i]) == SCAN_ARMED)
			board_disarm(d->board[i]);
	}
}

static int arm_all(struct daemon *d, const struct scan_plan *plan, struct sluice_error *reterr)
{
	const uint64_t deadline_ns = now_ns() + READY_NS;
	int ret = 0;

	for (unsigned int i = 0; ret == 0 && i < d->board_count; i++)
		ret = board_arm(d->board[i], plan, reterr);
	for (unsigned int i = 0; ret == 0 && i < d->board_count; i++)
		ret = board_wait_ready(d->board[i], deadline_ns, reterr);
	return ret;
}

static int prepare(void *ctx, const struct scan_plan *plan, struct sluice_error *reterr)
{
	struct daemon *d = ctx;
	int ret;

	(void)pthread_mutex_lock(&d->lock);
	disarm_all(d); /* an earlier plan that was never run */
	ret = arm_all(d, plan, reterr);
	if (ret < 0)
		disarm_all(d);
	(void)pthread_mutex_unlock(&d->lock);
	if (ret == 0)
		log_info("scan %" PRIu32 ": armed, %" PRIu64 " frames", plan->scan,
			 plan->frames_expected);
	return ret;
}

static void run(void *ctx, const struct scan_plan *plan)
{
	struct daemon *d = ctx;

	log_info("scan %" PRIu32 ": acquiring", plan->scan);
	(void)pthread_mutex_lock(&d->lock);
	for (unsigned int i = 0; i < d->board_count; i++)
		board_run(d->board[i]);
	(void)pthread_mutex_unlock(&d->lock);
}

static void abort_all(struct daemon *d)
{
	(void)pthread_mutex_lock(&d->lock);
	disarm_all(d); /* nothing was read: there is nothing to account for */
	for (unsigned int i = 0; i < d->board_count; i++) {
		if (board_state(d->board[i]) != SCAN_DONE)
			board_abort(d->board[i]);
	}
	(void)pthread_mutex_unlock(&d->lock);
}

static void abort_scan(void *ctx, uint32_t scan)
{
	log_warn("scan %" PRIu32 ": aborted", scan);
	abort_all(ctx);
}

static void add_status(void *ctx, json_t *status)
{
	struct daemon *d = ctx;

	(void)pthread_mutex_lock(&d->lock);
	status_add_boards(status, d->board, d->board_count);
	(void)pthread_mutex_unlock(&d->lock);
}

static void add_metrics(void *ctx, struct metrics *m)
{
	struct daemon *d = ctx;

	(void)pthread_mutex_lock(&d->lock);
	status_add_metrics(m, d->board, d->board_count);
	(void)pthread_mutex_unlock(&d->lock);
}

static const struct member_ops ops = {
	.prepare = prepare,
	.run = run,
	.abort = abort_scan,
	.status = add_status,
	.metrics = add_metrics,
};

/* ---- opening and closing ------------------------------------------------------------------ */

static int describe_board(const struct daemon *d, unsigned int i, struct member_entry *entry)
{
	const struct source_info *info = board_info(d->board[i]);
	json_t *root = json_pack(
		"{s:s, s:i, s:s, s:s, s:I, s:I, s:I, s:i, s:i, s:o}", "server",
		d->config.common.server, "sector", board_sector(d->board[i]), "name", info->name,
		"framing", board_framings[d->config.board[i].framing], "scan_columns",
		(json_int_t)info->scan_columns, "scan_rows", (json_int_t)info->scan_rows, "frames",
		(json_int_t)info->frames, "node", board_node(d->board[i]), "run_frames",
		d->config.common.run_frames, "geometry", geometry_to_json(&info->geometry));
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	int ret = text && strlen(text) < sizeof(entry->info) ? 0 : -ENOMEM;

	if (ret == 0) {
		(void)strcpy(entry->id, board_id(d->board[i]));
		(void)strcpy(entry->info, text);
	}
	free(text);
	json_decref(root);
	return ret;
}

/* One line for a lack, however many boards have it. */
static void say_lack(const struct daemon *d, const char *(*lack)(const struct board *))
{
	const char *text = NULL;
	unsigned int boards = 0;

	for (unsigned int i = 0; i < d->board_count; i++) {
		if (lack(d->board[i])[0] == '\0')
			continue;
		text = lack(d->board[i]);
		boards++;
	}
	if (boards == 1)
		log_warn("one board: %s", text);
	else if (boards > 1)
		log_warn("%u boards, each (add up what they need): %s", boards, text);
}

static const char *lack_of_reads(const struct board *board)
{
	return board_info(board)->note;
}

static int open_boards(struct daemon *d, struct sluice_error *reterr)
{
	for (unsigned int i = 0; i < d->config.board_count; i++) {
		int ret = board_open(&d->config.board[i], &d->config.common, d->wake, &d->board[i],
				     reterr);

		if (ret < 0)
			return ret;
		d->board_count++;
	}
	say_lack(d, board_note);
	say_lack(d, lack_of_reads);
	return 0;
}

static int join(struct daemon *d, struct sluice_error *reterr)
{
	struct member_entry entry[BOARDS_MAX];
	const struct member_args args = {
		.kind = MEMBER_BOARD,
		.entries = entry,
		.entry_count = d->board_count,
		.listen = d->config.member.control,
		.directory = member_directory_args(&d->config.member),
		.ops = &ops,
		.ctx = d,
		.closes_ledgers = true,
	};

	for (unsigned int i = 0; i < d->board_count; i++) {
		int ret = describe_board(d, i, &entry[i]);

		if (ret < 0)
			return error_set(reterr, ret, "board %s: cannot be described",
					 board_id(d->board[i]));
	}
	return member_open(&args, &d->member, reterr);
}

static void close_all(struct daemon *d)
{
	member_close(d->member);
	for (unsigned int i = 0; i < d->board_count; i++) {
		if (d->unpublished[i])
			log_err("scan %" PRIu32 ": board %s: the directory never took its account, "
				"so the ledger of this scan stays open: repeat the scan, and end "
				"this daemon only while the directory answers",
				d->unpublished_scan[i], board_id(d->board[i]));
		board_close(d->board[i]);
		free(d->unpublished[i]);
	}
	if (d->wake >= 0)
		(void)close(d->wake);
	(void)pthread_mutex_destroy(&d->lock);
}

/* ---- the control thread -------------------------------------------------------------------- */

static void collect(struct daemon *d)
{
	(void)pthread_mutex_lock(&d->lock);
	for (unsigned int i = 0; i < d->board_count; i++) {
		board_measure(d->board[i]);
		if (!d->unpublished[i] &&
		    board_collect(d->board[i], &d->unpublished_scan[i], &d->unpublished[i]) == 0)
			log_info("scan %" PRIu32 ": board %s is done", d->unpublished_scan[i],
				 board_id(d->board[i]));
	}
	(void)pthread_mutex_unlock(&d->lock);
}

/* The sign of life for the watchdog, when it is due and all is well. */
static void look_alive(struct daemon *d)
{
	struct health_sign sign[BOARDS_MAX] = { 0 };

	(void)pthread_mutex_lock(&d->lock);
	for (unsigned int i = 0; i < d->board_count; i++) {
		sign[i].id = board_id(d->board[i]);
		sign[i].reads = board_turns(d->board[i], &sign[i].turns);
	}
	(void)pthread_mutex_unlock(&d->lock);
	if (health_look(&d->health, sign, d->board_count, now_ns()))
		notify_alive();
}

/* What the daemon is at, in one line: the scan of the first board that is in one. */
static void describe(struct daemon *d, char text[SAID_MAX])
{
	const char *const boards = d->board_count == 1 ? "board" : "boards";

	(void)snprintf(text, SAID_MAX, "%u %s, idle", d->board_count, boards);
	(void)pthread_mutex_lock(&d->lock);
	for (unsigned int i = 0; i < d->board_count; i++) {
		const enum scan_state state = board_state(d->board[i]);

		if (state == SCAN_IDLE)
			continue;
		(void)snprintf(text, SAID_MAX, "%u %s, scan %" PRIu32 ": %s", d->board_count,
			       boards, board_scan(d->board[i]), scan_state_name(state));
		break;
	}
	(void)pthread_mutex_unlock(&d->lock);
}

static void say_status(struct daemon *d)
{
	char text[SAID_MAX];

	describe(d, text);
	if (strcmp(text, d->said) == 0)
		return;
	(void)strcpy(d->said, text);
	notify_status(text);
}

/* Not under the lock: the directory's answer may take seconds. */
static void publish(struct daemon *d)
{
	for (unsigned int i = 0; i < d->board_count; i++) {
		struct sluice_error error = { 0 };

		if (!d->unpublished[i])
			continue;
		if (member_publish_half(d->member, d->unpublished_scan[i], board_id(d->board[i]),
					d->unpublished[i], &error) < 0) {
			log_warn("scan %" PRIu32
				 ": board %s: its account waits for the directory: %s",
				 d->unpublished_scan[i], board_id(d->board[i]), error.text);
		} else {
			free(d->unpublished[i]);
			d->unpublished[i] = NULL;
		}
		/* A directory that is silent is no fault of this daemon's. */
		look_alive(d);
	}
}

static bool is_busy(struct daemon *d)
{
	bool busy = false;

	(void)pthread_mutex_lock(&d->lock);
	for (unsigned int i = 0; i < d->board_count; i++)
		busy |= d->unpublished[i] || board_state(d->board[i]) != SCAN_IDLE;
	(void)pthread_mutex_unlock(&d->lock);
	return busy;
}

static void serve(struct daemon *d, int signals)
{
	struct pollfd fd[] = { { .fd = signals, .events = POLLIN },
			       { .fd = d->wake, .events = POLLIN } };
	uint64_t deadline_ns = UINT64_MAX;

	while (now_ns() < deadline_ns) {
		if (poll(fd, 2, health_wait_ms(&d->health, now_ns(), TICK_MS)) > 0 && fd[1].revents)
			wake_take(d->wake);
		if (fd[0].revents) {
			struct signalfd_siginfo info;

			(void)!read(signals, &info, sizeof(info));
			if (deadline_ns != UINT64_MAX)
				return; /* a second signal: at once */
			deadline_ns = now_ns() + SHUTDOWN_NS;
			notify_stopping();
			abort_all(d);
		}
		collect(d);
		publish(d);
		member_look(d->member);
		look_alive(d);
		if (deadline_ns == UINT64_MAX)
			say_status(d);
		if (deadline_ns != UINT64_MAX && !is_busy(d))
			return;
	}
}

static int block_signals(struct sluice_error *reterr)
{
	sigset_t set;
	int fd;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	/* Before any thread is made, so that all inherit it. */
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		return error_set(reterr, neg_errno(), "no signalfd");
	return fd;
}

static int daemon_main(struct daemon *d)
{
	struct sluice_error error = { 0 };
	int signals = block_signals(&error), ret = signals;

	if (ret < 0)
		goto out;
	d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = d->wake < 0 ? error_set(&error, neg_errno(), "no eventfd") : open_boards(d, &error);
	if (ret == 0)
		ret = join(d, &error);
	if (ret < 0)
		goto out;
	health_init(&d->health, notify_watchdog_ns(), now_ns());
	describe(d, d->said);
	notify_ready(d->said);
	log_info("%u boards, status at %s/api/v1/status", d->board_count, member_url(d->member));
	serve(d, signals);
	log_info("ends");
out:
	if (ret < 0)
		log_err("%s", error.text);
	close_all(d);
	if (signals >= 0)
		(void)close(signals);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- the command line ------------------------------------------------------------------------ */

static int load(const char *path, const struct config_row *rows, void *config,
		struct sluice_error *reterr)
{
	(void)rows; /* it has them itself, as its tests want it */
	return sluiced_config_load(path, config, reterr);
}

const char *argp_program_version = "sluiced " SLUICE_VERSION;

int main(int argc, char **argv)
{
	static struct daemon d = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = -1 };
	const struct member_program program = {
		.name = "sluiced",
		.doc = "Reads the boards of one server into rings and sends their chunks to the "
		       "aggregators.",
		.rows = sluiced_config_rows,
		.config = &d.config,
		.load = load,
	};
	int status;

	sluiced_config_init(&d.config);
	if (!member_options(&program, argc, argv, &status))
		return status;
	log_init(program.name, (enum log_level)d.config.member.log_level);
	return daemon_main(&d);
}
