/* SPDX-License-Identifier: MIT */
/*
 * sluice-counter as a process: aggregators made of links send it a scan; what its parts hold is
 * compared with the rule of counting, written down plainly.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/clock.h>
#include <base/crc32c.h>
#include <consume/part.h>
#include <directory/fetch.h>
#include <link/link.h>
#include <scan/plan.h>

enum {
	SECTORS = 2,
	ROWS = 16,
	COLUMNS = 32,
	PIXELS = ROWS * COLUMNS,
	FRAME_PIXELS = SECTORS * PIXELS,
	RUN_FRAMES = 16,
	SCAN_COLUMNS = 8,
	SCAN_ROWS = 6,
	FRAMES = SCAN_COLUMNS * SCAN_ROWS,
	RUNS = FRAMES / RUN_FRAMES,
	SCAN = 5,
	COUNTERS_MAX = 2,
};

#define DEADLINE_NS (20 * NS_PER_S)

struct counter {
	pid_t pid;
	char id[32], log[300], endpoint[128], url[128];
	struct link_sender *link; /* of the aggregator */
	unsigned int acks;        /* (run, sector)s */
	bool up;
};

struct fixture {
	char folder[64];
	struct counter counter[COUNTERS_MAX];
	bool alike; /* all pixels have one value */
};

/* ---- pixels -------------------------------------------------------------------------------- */

/* A pedestal with noise, and an electron here and there: the same whenever it is asked. */
static uint16_t pixel_of(const struct fixture *f, uint64_t frame, unsigned int index)
{
	uint64_t z = (frame * FRAME_PIXELS + index + 1) * UINT64_C(0x9e3779b97f4a7c15);
	unsigned int noise = 0;

	if (f->alike)
		return 20;
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	for (unsigned int i = 0; i < 12; i++)
		noise += (unsigned int)(z >> 4 * i & 1);
	return (uint16_t)(14 + noise + (z >> 50 & 63 ? 0 : 60 + (z >> 56)));
}

/* The rule of the reference, pixel by pixel; a missing sector is 0. */
static unsigned int count_plainly(const struct fixture *f, uint64_t frame, uint32_t mask, double b,
				  double x, uint32_t *events)
{
	int v[SECTORS * ROWS + 2][COLUMNS + 2];
	unsigned int count = 0;

	memset(v, 0xff, sizeof(v)); /* -1 all round */
	for (unsigned int i = 0; i < FRAME_PIXELS; i++) {
		const double p = mask >> i / PIXELS & 1 ? pixel_of(f, frame, i) : 0;

		v[i / COLUMNS + 1][i % COLUMNS + 1] = p <= b || p >= x ? 0 : (int)p;
	}
	for (unsigned int i = 0; i < FRAME_PIXELS; i++) {
		const unsigned int y = i / COLUMNS + 1, c = i % COLUMNS + 1;
		bool event = true;

		for (unsigned int n = 0; n < 9; n++)
			event &= n == 4 || v[y][c] > v[y + n / 3 - 1][c + n % 3 - 1];
		if (event)
			events[count++] = i;
	}
	return count;
}

/* ---- the processes ------------------------------------------------------------------------- */

static char *read_log(const struct counter *c)
{
	char *text = calloc(1, 65536);
	const int fd = open(c->log, O_RDONLY);

	assert_non_null(text);
	if (fd >= 0) {
		assert_true(read(fd, text, 65535) >= 0);
		(void)close(fd);
	}
	return text;
}

static bool log_has(const struct counter *c, const char *text)
{
	char *log = read_log(c);
	const bool has = strstr(log, text) != NULL;

	free(log);
	return has;
}

static void wait_a_little(void)
{
	const struct timespec pause = { .tv_nsec = 5000000 };

	(void)nanosleep(&pause, NULL);
}

static void spawn_program(struct fixture *f, struct counter *c, const char **arg, const char *id)
{
	char program[512], out[300];
	int fd, out_fd;

	*c = (struct counter){ .pid = 0 };
	(void)snprintf(c->id, sizeof(c->id), "%s", id);
	(void)snprintf(c->log, sizeof(c->log), "%s/%s.log", f->folder, id);
	(void)snprintf(out, sizeof(out), "%s/%s.out", f->folder, id);
	(void)snprintf(program, sizeof(program), "%s/%s", getenv("SLUICE_BIN"), arg[0]);
	arg[0] = program;
	(void)unlink(c->log);
	fd = open(c->log, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	out_fd = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0 && out_fd >= 0);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0) {
		(void)dup2(fd, STDERR_FILENO);
		(void)dup2(out_fd, STDOUT_FILENO);
		(void)execv(program, (char *const *)(uintptr_t)arg);
		_exit(127);
	}
	(void)close(fd);
	(void)close(out_fd);
}

static void spawn(struct fixture *f, struct counter *c, const char *id, const char *const *more)
{
	const char *arg[32] = {
		"sluice-counter", "-d", "none", "-o", f->folder, "-i", id, "-t", "2"
	};

	for (unsigned int i = 0; more && more[i]; i++)
		arg[9 + i] = more[i];
	spawn_program(f, c, arg, id);
}

/* Returns its exit status; 128 + signal if one ended it. */
static int reap(struct counter *c)
{
	const uint64_t deadline_ns = now_ns() + DEADLINE_NS;
	int status = 0;

	while (waitpid(c->pid, &status, WNOHANG) == 0) {
		if (ns_until(deadline_ns) == 0)
			fail_msg("%s does not end", c->id);
		wait_a_little();
	}
	c->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int stop(struct counter *c)
{
	assert_int_equal(kill(c->pid, SIGTERM), 0);
	return reap(c);
}

static void pump(struct counter *c)
{
	struct link_event event;

	while (c->link && link_sender_next(c->link, &event) == 0) {
		c->up |= event.type == LINK_EVENT_UP;
		c->acks += event.type == LINK_EVENT_ACK ? event.acks : 0;
	}
}

static void connect_to(struct counter *c)
{
	const uint64_t deadline_ns = now_ns() + DEADLINE_NS;
	const struct link_sender_args args = { .transport = "zmq",
					       .endpoint = c->endpoint,
					       .name = "agg0",
					       .role = SLUICE_WIRE_AGGREGATOR,
					       .io_threads = 1 };

	assert_int_equal(link_sender_open(&args, &c->link, NULL), 0);
	while (!c->up) {
		if (ns_until(deadline_ns) == 0)
			fail_msg("%s does not answer", c->id);
		pump(c);
		wait_a_little();
	}
}

/* Waits until the program says where it listens. */
static void meet(struct counter *c)
{
	const uint64_t deadline_ns = now_ns() + DEADLINE_NS;
	char *log, *at, *slash;

	while (!log_has(c, "/api/v1/status\n")) {
		if (ns_until(deadline_ns) == 0)
			fail_msg("%s does not start", c->id);
		wait_a_little();
	}
	log = read_log(c);
	at = strstr(log, "listens at ");
	assert_non_null(at);
	assert_int_equal(sscanf(at, "listens at %127[^,], status at %127s", c->endpoint, c->url),
			 2);
	slash = strstr(c->url, "/api/v1/status");
	assert_non_null(slash);
	*slash = '\0';
	free(log);
	connect_to(c);
}

static void start(struct fixture *f, struct counter *c, const char *id, const char *const *more)
{
	spawn(f, c, id, more);
	meet(c);
}

/* ---- the scan ------------------------------------------------------------------------------ */

static struct scan_plan *plan_of(struct fixture *f, unsigned int counters)
{
	struct scan_plan *plan = calloc(1, sizeof(*plan));

	assert_non_null(plan);
	*plan = (struct scan_plan){
		.scan = SCAN,
		.epoch = 1,
		.state = SCAN_ARMED,
		.scan_columns = SCAN_COLUMNS,
		.scan_rows = SCAN_ROWS,
		.frames_per_position = 1,
		.frames_expected = FRAMES,
		.run_frames = RUN_FRAMES,
		.geometry = { .sectors = SECTORS,
			      .rows = ROWS,
			      .columns = COLUMNS,
			      .pixel = SLUICE_PIXEL_U16 },
		.group = "default",
		.board_count = SECTORS,
		.aggregator_count = 1,
		.consumer_count = counters,
		.board = { { .id = "b0", .sector = 0 }, { .id = "b1", .sector = 1 } },
		.aggregator = { { .id = "agg0" } },
	};
	for (unsigned int i = 0; i < counters; i++) {
		(void)strcpy(plan->consumer[i].id, f->counter[i].id);
		(void)strcpy(plan->consumer[i].url, f->counter[i].url);
	}
	return plan;
}

static unsigned int ask(const struct counter *c, const char *method, const char *path,
			const char *body, char **ret_body)
{
	char url[256];
	const struct fetch request = {
		.method = method, .url = url, .body = body, .timeout_ns = DEADLINE_NS
	};
	unsigned int status = 0;

	(void)snprintf(url, sizeof(url), "%s%s", c->url, path);
	assert_int_equal(fetch(&request, &status, ret_body, NULL), 0);
	return status;
}

/* Arms all, and begins the scan with each. */
static void begin(struct fixture *f, unsigned int counters)
{
	struct scan_plan *plan = plan_of(f, counters);
	char *json = plan_encode(plan);
	struct sluice_wire_scan body;

	plan_to_wire(plan, &body);
	for (unsigned int i = 0; i < counters; i++) {
		struct counter *c = &f->counter[i];
		const uint64_t deadline_ns = now_ns() + DEADLINE_NS;
		char *answer = NULL;

		if (ask(c, "POST", "/api/v1/arm", json, &answer) != 200)
			fail_msg("%s", answer);
		free(answer);
		assert_int_equal(link_send_scan_begin(c->link, SCAN, 1, &body), 0);
		while (link_sender_credit(c->link) < (uint64_t)SECTORS * RUNS) {
			assert_true(ns_until(deadline_ns) > 0);
			pump(c);
			wait_a_little();
		}
	}
	free(json);
	free(plan);
}

/* Whole, or void where @mask lacks the sector. */
static void send_run(struct fixture *f, struct counter *c, uint64_t run, uint32_t mask)
{
	static uint8_t payload[RUNS][SECTORS][RUN_FRAMES][2 * PIXELS];

	for (unsigned int s = 0; s < SECTORS; s++) {
		struct sluice_wire_block table[RUN_FRAMES];
		struct link_chunk chunk = { .scan = SCAN,
					    .epoch = 1,
					    .run = run,
					    .sector = (uint16_t)s,
					    .flags = SLUICE_WIRE_LAST_PART };

		for (unsigned int i = 0; i < RUN_FRAMES; i++) {
			const uint64_t frame = run * RUN_FRAMES + i;
			uint8_t *block = payload[run][s][i];

			for (unsigned int p = 0; p < PIXELS; p++) {
				const struct sluice_le16 v = sluice_le16(
					pixel_of(f, frame, s * PIXELS + p));

				memcpy(block + (size_t)2 * p, &v, sizeof(v));
			}
			table[i] = (struct sluice_wire_block){
				.frame = sluice_le64(frame),
				.offset = sluice_le32((uint32_t)(i * sizeof(payload[0][0][0]))),
				.crc = sluice_le32(crc32c(block, 2 * PIXELS)),
			};
		}
		if (mask >> s & 1) {
			chunk.block_count = RUN_FRAMES;
			chunk.table = table;
			chunk.payload = payload[run][s];
			chunk.payload_bytes = sizeof(payload[run][s]);
		}
		assert_int_equal(link_send(c->link, &chunk), 0);
	}
}

static void wait_for_acks(struct counter *c, unsigned int acks)
{
	const uint64_t deadline_ns = now_ns() + DEADLINE_NS;

	while (c->acks < acks) {
		if (ns_until(deadline_ns) == 0) {
			char *log = read_log(c);

			fail_msg("%s acknowledged %u of %u: %s", c->id, c->acks, acks, log);
		}
		pump(c);
		wait_a_little();
	}
}

static void end(struct counter *c)
{
	const struct sluice_wire_scan_end body = { .frames_expected = sluice_le64(FRAMES) };
	const uint64_t deadline_ns = now_ns() + DEADLINE_NS;
	bool there = false;

	assert_int_equal(link_send_scan_end(c->link, SCAN, 1, 0, &body), 0);
	while (!there) {
		char path[64], *answer = NULL;

		if (ns_until(deadline_ns) == 0)
			fail_msg("%s publishes no half", c->id);
		(void)snprintf(path, sizeof(path), "/api/v1/half?scan=%d", SCAN);
		there = ask(c, "GET", path, NULL, &answer) == 200 && strstr(answer, "frames");
		free(answer);
		pump(c);
		wait_a_little();
	}
}

/* Each frame of the part has the events of the plain rule. Returns how many frames. */
static size_t check_part(struct fixture *f, const char *name, uint32_t mask,
			 struct threshold *ret_threshold)
{
	static uint32_t want[FRAME_PIXELS], got[FRAME_PIXELS];
	struct sluice_error error = { "" };
	struct part_reader *reader;
	unsigned int total = 0;
	char path[200];
	size_t count;

	(void)snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	if (part_reader_open(path, &reader, &error) < 0)
		fail_msg("%s", error.text);
	*ret_threshold = part_reader_info(reader)->threshold;
	count = part_reader_count(reader);
	for (size_t i = 0; i < count; i++) {
		const struct part_entry *entry = part_reader_entry(reader, i);
		const unsigned int events = count_plainly(f, entry->frame, mask,
							  ret_threshold->background,
							  ret_threshold->xray, want);

		assert_int_equal(entry->sector_mask, mask);
		assert_int_equal(entry->event_count, events);
		assert_int_equal(part_reader_events(reader, entry, got, NULL), 0);
		assert_memory_equal(got, want, events * sizeof(*want));
		total += events;
	}
	assert_true(total > count); /* there was something to count */
	part_reader_close(reader);
	return count;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)strcpy(f->folder, "/tmp/sluice-counter-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	for (unsigned int i = 0; i < COUNTERS_MAX; i++) {
		if (f->counter[i].pid > 0) {
			(void)kill(f->counter[i].pid, SIGKILL);
			(void)waitpid(f->counter[i].pid, NULL, 0);
		}
		link_sender_close(f->counter[i].link);
	}
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", f->folder);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* ---- promises ------------------------------------------------------------------------------ */

static void test_given_thresholds(void **state)
{
	static const char *const more[] = { "--background", "27.5", "--xray", "200", NULL };
	struct fixture *f = *state;
	struct counter *c = &f->counter[0];
	struct threshold t;

	start(f, c, "c0", more);
	begin(f, 1);
	for (uint64_t run = 0; run < RUNS; run++)
		send_run(f, c, run, 3);
	wait_for_acks(c, RUNS * SECTORS);
	end(c);
	assert_int_equal(check_part(f, "scan0000000005.c0.part", 3, &t), FRAMES);
	assert_true(t.background == 27.5 && t.xray == 200 && !t.calculated);
	assert_int_equal(stop(c), 0);
}

static void test_missing_sectors_are_counted_and_marked(void **state)
{
	static const char *const more[] = { "--background", "27", "--xray", "200", NULL };
	struct fixture *f = *state;
	struct counter *c = &f->counter[0];
	struct threshold t;

	start(f, c, "c0", more);
	begin(f, 1);
	send_run(f, c, 1, 2);
	send_run(f, c, 2, 0); /* nothing came: nothing is written */
	wait_for_acks(c, 2 * SECTORS);
	end(c);
	assert_int_equal(check_part(f, "scan0000000005.c0.part", 2, &t), RUN_FRAMES);
	assert_int_equal(stop(c), 0);
}

/* Whoever has run 0 fits for all; the others wait until it has come, and count alike. */
static void test_one_fit_serves_all(void **state)
{
	struct fixture *f = *state;
	struct counter *a = &f->counter[0], *b = &f->counter[1];
	struct threshold ta, tb;

	start(f, a, "c0", NULL);
	start(f, b, "c1", NULL);
	begin(f, 2);
	send_run(f, b, 1, 3);
	send_run(f, b, 2, 3);
	send_run(f, a, 0, 3);
	wait_for_acks(a, SECTORS);
	wait_for_acks(b, 2 * SECTORS);
	end(a);
	end(b);
	assert_int_equal(check_part(f, "scan0000000005.c0.part", 3, &ta), RUN_FRAMES);
	assert_int_equal(check_part(f, "scan0000000005.c1.part", 3, &tb), 2 * RUN_FRAMES);
	assert_true(ta.calculated && tb.calculated);
	assert_int_equal(ta.samples, RUN_FRAMES);
	assert_true(ta.background > 20 && ta.background < 40);
	assert_memory_equal(&ta.background, &tb.background, sizeof(ta.background));
	assert_memory_equal(&ta.xray, &tb.xray, sizeof(ta.xray));
	assert_int_equal(stop(a), 0);
	assert_int_equal(stop(b), 0);
}

static void test_what_cannot_be_fitted_is_named(void **state)
{
	struct fixture *f = *state;
	struct counter *c = &f->counter[0];

	f->alike = true;
	start(f, c, "c0", NULL);
	begin(f, 1);
	send_run(f, c, 0, 3);
	assert_int_equal(reap(c), EXIT_FAILURE);
	assert_true(log_has(c, "give thresholds"));
}

/* A part is never written over: what a killed process acknowledged is in it. */
static void test_a_second_process_makes_a_part_of_its_own(void **state)
{
	static const char *const more[] = { "--background", "27", "--xray", "200", NULL };
	struct fixture *f = *state;
	struct counter *c = &f->counter[0];
	struct threshold t;

	start(f, c, "c0", more);
	begin(f, 1);
	send_run(f, c, 0, 3);
	wait_for_acks(c, SECTORS);
	assert_int_equal(kill(c->pid, SIGKILL), 0);
	assert_int_equal(reap(c), 128 + SIGKILL);
	link_sender_close(c->link);
	start(f, c, "c0", more);
	begin(f, 1);
	send_run(f, c, 1, 3);
	send_run(f, c, 2, 3);
	wait_for_acks(c, 2 * SECTORS);
	end(c);
	assert_int_equal(check_part(f, "scan0000000005.c0.part", 3, &t), RUN_FRAMES);
	assert_int_equal(check_part(f, "scan0000000005.c0.1.part", 3, &t), 2 * RUN_FRAMES);
	assert_int_equal(stop(c), 0);
}

static void test_recorded_frames_are_what_was_sent(void **state)
{
	static const char *more[] = { "--background", "27", "--xray", "200", "-c", NULL, NULL };
	static uint16_t pixels[FRAME_PIXELS];
	struct fixture *f = *state;
	struct counter *c = &f->counter[0];
	struct part_reader *reader;
	char path[200];
	FILE *config;

	(void)snprintf(path, sizeof(path), "%s/c.yaml", f->folder);
	config = fopen(path, "w");
	assert_non_null(config);
	assert_true(fprintf(config, "record_frames: true\n") > 0);
	assert_int_equal(fclose(config), 0);
	more[5] = path;
	start(f, c, "c0", more);
	begin(f, 1);
	send_run(f, c, 1, 3);
	wait_for_acks(c, SECTORS);
	end(c);
	(void)snprintf(path, sizeof(path), "%s/scan0000000005.c0.part", f->folder);
	assert_int_equal(part_reader_open(path, &reader, NULL), 0);
	assert_int_equal(part_reader_count(reader), RUN_FRAMES);
	for (size_t i = 0; i < RUN_FRAMES; i++) {
		const struct part_entry *entry = part_reader_entry(reader, i);

		assert_int_equal(part_reader_pixels(reader, entry, pixels, NULL), 0);
		for (unsigned int p = 0; p < FRAME_PIXELS; p++)
			assert_int_equal(pixels[p], pixel_of(f, entry->frame, p));
	}
	part_reader_close(reader);
	assert_int_equal(stop(c), 0);
}

static void test_what_it_cannot_start_with_is_named(void **state)
{
	const struct {
		const char *option, *value, *names;
	} row[] = {
		{ "-o", "/nowhere/at/all", "/nowhere/at/all" },
		{ "-t", "1000", "allowed: 0 to 256" },
		{ "--xray", "nan", "--xray" },
		{ "--control", "192.0.2.1:0", "192.0.2.1" },
		{ "-c", "/nowhere.yaml", "/nowhere.yaml" },
		{ "-i", "a/b", "a/b" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		const char *const more[] = { row[i].option, row[i].value, NULL };
		struct counter *c = &f->counter[0];

		spawn(f, c, "c0", more);
		assert_int_equal(reap(c), EXIT_FAILURE);
		if (!log_has(c, row[i].names))
			fail_msg("%s %s: not named", row[i].option, row[i].value);
	}
}

static void test_a_reference_of_another_size_is_refused_at_arming(void **state)
{
	static const char *more[] = { "-c", NULL, NULL };
	struct fixture *f = *state;
	struct counter *c = &f->counter[0];
	struct scan_plan *plan;
	char path[200], dark[200], *json, *answer = NULL;
	FILE *file;

	(void)snprintf(dark, sizeof(dark), "%s/dark.raw", f->folder);
	file = fopen(dark, "w");
	assert_non_null(file);
	assert_int_equal(fwrite("1234", 1, 4, file), 4);
	assert_int_equal(fclose(file), 0);
	(void)snprintf(path, sizeof(path), "%s/c.yaml", f->folder);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fprintf(file, "dark: %s\n", dark) > 0);
	assert_int_equal(fclose(file), 0);
	more[1] = path;
	start(f, c, "c0", more);
	plan = plan_of(f, 1);
	json = plan_encode(plan);
	assert_int_equal(ask(c, "POST", "/api/v1/arm", json, &answer), 400);
	assert_non_null(strstr(answer, "2 pixels"));
	free(answer);
	free(json);
	free(plan);
	assert_int_equal(stop(c), 0);
}

static void test_the_example_prints_each_frame(void **state)
{
	const char *arg[4] = { "example_consumer", "none", "ex" };
	struct fixture *f = *state;
	struct counter *c = &f->counter[0];
	char path[200], mask[16];
	uint64_t frame, sum;
	FILE *out;

	spawn_program(f, c, arg, "ex");
	meet(c);
	begin(f, 1);
	send_run(f, c, 1, 3);
	wait_for_acks(c, SECTORS);
	/* It is there with the acknowledgement, not only when the program has ended. */
	(void)snprintf(path, sizeof(path), "%s/ex.out", f->folder);
	out = fopen(path, "r");
	assert_non_null(out);
	for (uint64_t i = RUN_FRAMES; i < 2 * RUN_FRAMES; i++) {
		uint64_t want = 0;

		assert_int_equal(fscanf(out, "%" SCNu64 " %15s %" SCNu64, &frame, mask, &sum), 3);
		for (unsigned int p = 0; p < FRAME_PIXELS; p++)
			want += pixel_of(f, i, p);
		assert_int_equal(frame, i);
		assert_string_equal(mask, "0x3");
		assert_int_equal(sum, want);
	}
	assert_int_equal(fclose(out), 0);
	assert_int_equal(
		link_send_scan_end(c->link, SCAN, 1, 0,
				   &(struct sluice_wire_scan_end){ .frames_expected = { 0 } }),
		0);
	assert_int_equal(reap(c), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_given_thresholds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_sectors_are_counted_and_marked, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_one_fit_serves_all, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_cannot_be_fitted_is_named, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_second_process_makes_a_part_of_its_own,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_recorded_frames_are_what_was_sent, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_what_it_cannot_start_with_is_named, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_a_reference_of_another_size_is_refused_at_arming, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_example_prints_each_frame, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
