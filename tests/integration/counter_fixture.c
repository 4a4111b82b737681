/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "counter_fixture.h"

#include <base/clock.h>
#include <base/crc32c.h>
#include <consume/part.h>
#include <directory/fetch.h>
#include <link/link.h>
#include <scan/plan.h>

#define DEADLINE_NS (20 * NS_PER_S)

/* ---- pixels -------------------------------------------------------------------------------- */

/* A pedestal with noise, and an electron here and there: the same whenever it is asked. */
uint16_t counter_pixel(const struct fixture *f, uint64_t frame, unsigned int index)
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
		const double p = mask >> i / PIXELS & 1 ? counter_pixel(f, frame, i) : 0;

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

bool counter_log_has(const struct counter *c, const char *text)
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

void counter_spawn_program(struct fixture *f, struct counter *c, const char **arg, const char *id)
{
	int fd, out_fd;

	*c = (struct counter){ .pid = 0 };
	(void)snprintf(c->id, sizeof(c->id), "%s", id);
	(void)snprintf(c->log, sizeof(c->log), "%s/%s.log", f->folder, id);
	(void)snprintf(c->out, sizeof(c->out), "%s/%s.out", f->folder, id);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
	(void)snprintf(c->program, sizeof(c->program), "%s/%s", getenv("SLUICE_BIN"), arg[0]);
	arg[0] = c->program;
	(void)unlink(c->log);
	fd = open(c->log, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	out_fd = open(c->out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0 && out_fd >= 0);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0) {
		(void)dup2(fd, STDERR_FILENO);
		(void)dup2(out_fd, STDOUT_FILENO);
		(void)execv(c->program, (char *const *)(uintptr_t)arg);
		_exit(127);
	}
	(void)close(fd);
	(void)close(out_fd);
}

void counter_spawn(struct fixture *f, struct counter *c, const char *id, const char *const *more)
{
	const char *arg[32] = {
		"sluice-counter", "-d", "none", "-o", f->folder, "-i", id, "-t", "2"
	};

	for (unsigned int i = 0; more && more[i]; i++)
		arg[9 + i] = more[i];
	counter_spawn_program(f, c, arg, id);
}

/* Returns its exit status; 128 + signal if one ended it. */
int counter_reap(struct counter *c)
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

int counter_stop(struct counter *c)
{
	assert_int_equal(kill(c->pid, SIGTERM), 0);
	return counter_reap(c);
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

/* Where it listens, and where its status is served: the whole line is there. */
static bool says_where(const struct counter *c)
{
	char *log = read_log(c);
	const char *at = strstr(log, "status at http://");
	const bool says = at && strchr(at, '\n');

	free(log);
	return says;
}

/* Waits until the program says where it listens. */
void counter_meet(struct counter *c)
{
	const uint64_t deadline_ns = now_ns() + DEADLINE_NS;
	char *log, *at, *slash;

	while (!says_where(c)) {
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
	if (slash)
		*slash = '\0';
	free(log);
	connect_to(c);
}

void counter_start(struct fixture *f, struct counter *c, const char *id, const char *const *more)
{
	counter_spawn(f, c, id, more);
	counter_meet(c);
}

/* ---- the scan ------------------------------------------------------------------------------ */

struct scan_plan *counter_plan(struct fixture *f, unsigned int counters)
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
		(void)snprintf(plan->consumer[i].id, sizeof(plan->consumer[i].id), "%s",
			       f->counter[i].id);
		(void)snprintf(plan->consumer[i].url, sizeof(plan->consumer[i].url), "%s",
			       f->counter[i].url);
	}
	return plan;
}

unsigned int counter_ask(const struct counter *c, const char *method, const char *path,
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
void counter_begin(struct fixture *f, unsigned int counters)
{
	struct scan_plan *plan = counter_plan(f, counters);
	char *json = plan_encode(plan);
	struct sluice_wire_scan body;

	plan_to_wire(plan, &body);
	for (unsigned int i = 0; i < counters; i++) {
		struct counter *c = &f->counter[i];
		const uint64_t deadline_ns = now_ns() + DEADLINE_NS;
		char *answer = NULL;

		if (counter_ask(c, "POST", "/api/v1/arm", json, &answer) != 200)
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
void counter_send_run(struct fixture *f, struct counter *c, uint64_t run, uint32_t mask)
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
					counter_pixel(f, frame, s * PIXELS + p));

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

void counter_wait_for_acks(struct counter *c, unsigned int acks)
{
	const uint64_t deadline_ns = now_ns() + DEADLINE_NS;

	while (c->acks < acks) {
		if (ns_until(deadline_ns) == 0) {
			char *log = read_log(c);

			print_error("%s\n", log);
			free(log);
			fail_msg("%s acknowledged %u of %u", c->id, c->acks, acks);
		}
		pump(c);
		wait_a_little();
	}
}

void counter_send_end(struct counter *c)
{
	const struct sluice_wire_scan_end body = { .frames_expected = sluice_le64(FRAMES) };

	assert_int_equal(link_send_scan_end(c->link, SCAN, 1, 0, &body), 0);
}

void counter_end(struct counter *c)
{
	const uint64_t deadline_ns = now_ns() + DEADLINE_NS;
	bool there = false;

	counter_send_end(c);
	while (!there) {
		char path[64], *answer = NULL;

		if (ns_until(deadline_ns) == 0)
			fail_msg("%s publishes no half", c->id);
		(void)snprintf(path, sizeof(path), "/api/v1/half?scan=%d", SCAN);
		there = counter_ask(c, "GET", path, NULL, &answer) == 200 &&
			strstr(answer, "frames");
		free(answer);
		pump(c);
		wait_a_little();
	}
}

/* Each frame of the part has the events of the plain rule. Returns how many frames. */
size_t counter_check_part(struct fixture *f, const char *name, uint32_t mask,
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

int counter_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->folder, sizeof(f->folder), "/tmp/sluice-counter-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	*state = f;
	return 0;
}

int counter_teardown(void **state)
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
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}
