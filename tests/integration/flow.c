/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/error.h>
#include <directory/fetch.h>

#include "flow.h"

#define START_NS (30 * NS_PER_S)
#define SCAN_NS  (120 * NS_PER_S)
#define STOP_NS  (20 * NS_PER_S)

enum {
	LOOK_MS = 5
};

static void path_of(const struct flow *flow, const char *name, const char *suffix,
		    char path[FLOW_PATH_MAX])
{
	(void)snprintf(path, FLOW_PATH_MAX, "%s/%s%s", flow->dir, name, suffix);
}

char *flow_read(const struct flow *flow, const char *name)
{
	char path[FLOW_PATH_MAX], *text = NULL;
	size_t size = 0;
	FILE *in, *out;
	int c;

	path_of(flow, name, "", path);
	in = fopen(path, "r");
	assert_non_null(in);
	out = open_memstream(&text, &size);
	assert_non_null(out);
	while ((c = fgetc(in)) != EOF)
		(void)fputc(c, out);
	(void)fclose(out);
	(void)fclose(in);
	return text;
}

static void print_files(const struct flow *flow, const char *suffix)
{
	char pattern[FLOW_PATH_MAX];
	glob_t found;

	path_of(flow, "*", suffix, pattern);
	if (glob(pattern, 0, NULL, &found) != 0)
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		char line[1024];
		FILE *in = fopen(found.gl_pathv[i], "r");

		(void)fprintf(stderr, "---- %s\n", strrchr(found.gl_pathv[i], '/') + 1);
		while (in && fgets(line, sizeof(line), in))
			(void)fputs(line, stderr);
		if (in)
			(void)fclose(in);
	}
	globfree(&found);
}

static void print_logs(const struct flow *flow)
{
	print_files(flow, ".log");
	print_files(flow, ".out");
}

static void fail_with_logs(const struct flow *flow, const char *what)
{
	print_logs(flow);
	fail_msg("%s", what);
}

/* ---- processes ------------------------------------------------------------- */

static void redirect(const struct flow *flow, const char *name, const char *suffix, int fd)
{
	char path[FLOW_PATH_MAX];
	int file;

	path_of(flow, name, suffix, path);
	file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (file < 0 || dup2(file, fd) < 0)
		_exit(126);
}

static pid_t spawn(const struct flow *flow, const char *name, const char *program,
		   const char *const *args)
{
	char path[FLOW_PATH_MAX], *argv[FLOW_ARGS_MAX] = { path };
	unsigned int argc = 1;
	pid_t pid;

	(void)snprintf(path, sizeof(path), "%s/%s", getenv("SLUICE_BIN"), program);
	while (args[argc - 1]) {
		assert_true(argc < FLOW_ARGS_MAX - 1);
		argv[argc] = (char *)args[argc - 1];
		argc++;
	}
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		/* Whatever becomes of the test, nothing of it stays behind. */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		redirect(flow, name, ".out", STDOUT_FILENO);
		redirect(flow, name, ".log", STDERR_FILENO);
		(void)execv(path, argv);
		_exit(127);
	}
	return pid;
}

static bool file_has(const struct flow *flow, const char *name, const char *text)
{
	char path[FLOW_PATH_MAX], line[1024];
	bool found = false;
	FILE *in;

	path_of(flow, name, "", path);
	in = fopen(path, "r");
	while (in && !found && fgets(line, sizeof(line), in))
		found = strstr(line, text);
	if (in)
		(void)fclose(in);
	return found;
}

static unsigned int start(struct flow *flow, const char *name, const char *program,
			  const char *const *args, const char *until)
{
	const uint64_t deadline_ns = now_ns() + START_NS;
	struct flow_process *p = &flow->process[flow->count];
	const bool on_output = strcmp(program, "sluice-board") == 0;
	char file[64];

	assert_true(flow->count < FLOW_PROCESSES_MAX);
	(void)snprintf(p->name, sizeof(p->name), "%s", name);
	(void)snprintf(file, sizeof(file), "%s%s", name, on_output ? ".out" : ".log");
	p->pid = spawn(flow, name, program, args);
	while (!file_has(flow, file, until)) {
		if (waitpid(p->pid, NULL, WNOHANG) != 0 || now_ns() > deadline_ns)
			fail_with_logs(flow, name);
		(void)poll(NULL, 0, LOOK_MS);
	}
	return flow->count++;
}

/* Waits for the child; kills it at the deadline, which is then no exit status at all. */
static int reap(pid_t pid, uint64_t deadline_ns)
{
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (now_ns() > deadline_ns)
			(void)kill(pid, SIGKILL);
		(void)poll(NULL, 0, LOOK_MS);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void flow_kill(struct flow *flow, unsigned int process)
{
	struct flow_process *p = &flow->process[process];

	(void)kill(p->pid, SIGKILL);
	(void)reap(p->pid, now_ns() + STOP_NS);
	p->pid = 0;
}

int flow_end(struct flow *flow, unsigned int process)
{
	struct flow_process *p = &flow->process[process];
	int status;

	if (p->pid == 0)
		return 0;
	(void)kill(p->pid, SIGTERM);
	status = reap(p->pid, now_ns() + STOP_NS);
	p->pid = 0;
	return status;
}

/* ---- members --------------------------------------------------------------- */

struct flow *flow_setup(void **state, bool none)
{
	struct flow *flow = calloc(1, sizeof(*flow));

	assert_non_null(flow);
	flow->none = none;
	(void)strcpy(flow->dir, "/tmp/sluice-flow.XXXXXX");
	assert_non_null(mkdtemp(flow->dir));
	if (!none)
		etcd_start(&flow->etcd, NULL);
	*state = flow;
	return flow;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info;
	(void)kind;
	(void)where;
	return remove(path);
}

int flow_teardown(void **state)
{
	struct flow *flow = *state;

	if (!flow)
		return 0;
	print_logs(flow);
	for (unsigned int i = flow->count; i > 0; i--)
		(void)flow_end(flow, i - 1);
	if (!flow->none)
		etcd_stop(&flow->etcd);
	(void)nftw(flow->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(flow);
	return 0;
}

static FILE *config_open(const struct flow *flow, const char *name, char path[FLOW_PATH_MAX])
{
	FILE *out;

	path_of(flow, name, ".yaml", path);
	out = fopen(path, "w");
	assert_non_null(out);
	(void)fprintf(out,
		      "instrument: test\ndirectory:\n  kind: %s\n  lease_ttl_s: 2\n  endpoints: "
		      "[\"%s\"]\n",
		      flow->none ? "none" : "etcd",
		      flow->none ? "http://127.0.0.1:1" : flow->etcd.url);
	return out;
}

static unsigned int start_configured(struct flow *flow, const char *name, const char *program,
				     const char *path)
{
	const char *const args[] = { "--config", path, NULL };

	return start(flow, name, program, args, "status at");
}

unsigned int flow_start_boards(struct flow *flow, const struct flow_boards *boards)
{
	char socket[FLOW_PATH_MAX], served[128] = "0", sectors[16], rows[16], columns[16];
	const char *args[FLOW_ARGS_MAX] = { "--socket",  socket,       "--sectors-served",
					    served,      "--sectors",  sectors,
					    "--rows",    rows,         "--columns",
					    columns,     "--pixel",    boards->pixel,
					    "--seed",    boards->seed, "--rate",
					    boards->rate };
	unsigned int count = 16;

	path_of(flow, "board{sector}", ".sock", socket);
	for (unsigned int s = 1; s < boards->sectors; s++) {
		const size_t used = strlen(served);

		(void)snprintf(served + used, sizeof(served) - used, ",%u", s);
	}
	(void)snprintf(sectors, sizeof(sectors), "%u", boards->sectors);
	(void)snprintf(rows, sizeof(rows), "%u", boards->rows);
	(void)snprintf(columns, sizeof(columns), "%u", boards->columns);
	for (unsigned int i = 0; i < 4 && boards->fault[i]; i++) {
		args[count++] = "--fault";
		args[count++] = boards->fault[i];
	}
	return start(flow, "boards", "sluice-board", args, "ready");
}

unsigned int flow_start_aggregator(struct flow *flow, const char *id)
{
	char path[FLOW_PATH_MAX];
	FILE *out = config_open(flow, id, path);

	(void)fprintf(out, "id: %s\n", id);
	(void)fclose(out);
	return start_configured(flow, id, "sluice-aggregator", path);
}

unsigned int flow_start_counter(struct flow *flow, const char *id, const char *extra)
{
	char path[FLOW_PATH_MAX];
	FILE *out = config_open(flow, id, path);

	(void)fprintf(out, "id: %s\noutput: %s\n%s", id, flow->dir, extra);
	(void)fclose(out);
	return start_configured(flow, id, "sluice-counter", path);
}

/* Prints @source with every {sector} replaced. */
static void print_source(FILE *out, const char *source, unsigned int sector)
{
	const char *mark;

	while ((mark = strstr(source, "{sector}"))) {
		(void)fprintf(out, "%.*s%u", (int)(mark - source), source, sector);
		source = mark + strlen("{sector}");
	}
	(void)fputs(source, out);
}

unsigned int flow_start_sluiced(struct flow *flow, unsigned int sectors, const char *framing,
				const char *source, const char *extra)
{
	char path[FLOW_PATH_MAX], boards[FLOW_PATH_MAX + 16];
	FILE *out = config_open(flow, "sluiced", path);

	(void)snprintf(boards, sizeof(boards), "socket:%s/board{sector}.sock", flow->dir);
	(void)fprintf(out, "server: test\n%s\nboards:\n", extra);
	for (unsigned int s = 0; s < sectors; s++) {
		(void)fprintf(out, "  - {name: board%u, sector: %u, framing: %s, source: \"", s, s,
			      framing);
		print_source(out, source ? source : boards, s);
		(void)fprintf(out, "\"}\n");
	}
	(void)fclose(out);
	return start_configured(flow, "sluiced", "sluiced", path);
}

/* ---- scans ----------------------------------------------------------------- */

/* Where the process says that its status is served. */
static void url_of(const struct flow *flow, const char *name, char *url, size_t size)
{
	char log[64], *text, *at, *end;

	(void)snprintf(log, sizeof(log), "%s.log", name);
	text = flow_read(flow, log);
	at = strstr(text, "status at ");
	assert_non_null(at);
	at += strlen("status at ");
	end = strstr(at, "/api/");
	assert_non_null(end);
	(void)snprintf(url, size, "%.*s", (int)(end - at), at);
	free(text);
}

char *flow_get(const struct flow *flow, const char *process, const char *path)
{
	char url[128], full[256], *body = NULL;
	const struct fetch request = { .method = "GET", .url = full, .timeout_ns = START_NS };
	unsigned int status = 0;

	url_of(flow, process, url, sizeof(url));
	(void)snprintf(full, sizeof(full), "%s%s", url, path);
	assert_int_equal(fetch(&request, &status, &body, NULL), 0);
	assert_int_equal(status, 200);
	return body;
}

int flow_sluice(struct flow *flow, const char *name, const char *const *args)
{
	static char url[FLOW_PROCESSES_MAX][128];
	const char *all[FLOW_ARGS_MAX] = { args[0], "--instrument", "test", "--directory",
					   flow->none ? "none" : flow->etcd.url };
	unsigned int count = 5;

	for (unsigned int i = 0; flow->none && i < flow->count; i++) {
		if (strcmp(flow->process[i].name, "boards") == 0)
			continue;
		url_of(flow, flow->process[i].name, url[i], sizeof(url[i]));
		all[count++] = "--member";
		all[count++] = url[i];
	}
	for (unsigned int i = 1; args[i]; i++)
		all[count++] = args[i];
	return reap(spawn(flow, name, "sluice", all), now_ns() + SCAN_NS);
}

int flow_scan(struct flow *flow, const char *const *args, struct ledger *ret_ledger)
{
	char ledger[FLOW_PATH_MAX], *json;
	const char *all[FLOW_ARGS_MAX] = { "arm",  "--watch",   "--json", "--ledger",
					   ledger, "--timeout", "100" };
	struct sluice_error error = { 0 };
	unsigned int count = 7;
	int status;

	path_of(flow, "ledger", ".json", ledger);
	(void)unlink(ledger);
	for (unsigned int i = 0; args[i]; i++)
		all[count++] = args[i];
	status = flow_sluice(flow, "arm", all);
	if (access(ledger, R_OK) != 0)
		fail_with_logs(flow, "no ledger was written");
	json = flow_read(flow, "ledger.json");
	assert_int_equal(ledger_decode(json, ret_ledger, &error), 0);
	free(json);
	return status;
}

void flow_merge(struct flow *flow, unsigned int scan, char ret_path[FLOW_PATH_MAX])
{
	char pattern[FLOW_PATH_MAX], name[32], picture[FLOW_PATH_MAX], ledger[FLOW_PATH_MAX];
	const char *args[FLOW_ARGS_MAX] = { "--out", ret_path,   "--picture",
					    picture, "--ledger", ledger };
	unsigned int count = 6;
	glob_t parts;

	(void)snprintf(name, sizeof(name), "scan%010u.*", scan);
	path_of(flow, name, ".part", pattern);
	path_of(flow, "merged", ".h5", ret_path);
	path_of(flow, "merged", ".png", picture);
	path_of(flow, "ledger", ".json", ledger);
	assert_int_equal(glob(pattern, 0, NULL, &parts), 0);
	for (size_t i = 0; i < parts.gl_pathc && count < FLOW_ARGS_MAX - 1; i++)
		args[count++] = parts.gl_pathv[i];
	if (reap(spawn(flow, "merge", "sluice-merge", args), now_ns() + SCAN_NS) != 0)
		fail_with_logs(flow, "the parts could not be merged");
	globfree(&parts);
}
