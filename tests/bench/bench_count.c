/* SPDX-License-Identifier: MIT */
/*
 * Counting alone, by every kernel in turn, against a loop that only reads the pixels. Frames are
 * those of the synthetic camera, more of them than the caches hold. The clock is the thread's
 * processor time: what a core does, whoever else wants it meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <base/clock.h>
#include <consume/count.h>
#include <model/camera.h>

#include "bench.h"

enum {
	ROWS = 576,
	COLUMNS = 576,
	PIXELS = ROWS * COLUMNS,
	FRAME_BYTES = PIXELS * 2,
	FRAMES_MIN = 64,
	FRAMES_MAX = 1024,
	EVENTS_MAX = 8192,
	KERNELS_MAX = 8,
	SEED = 1,
	STATES = 8,
};

/* Pedestal and noise of the camera: 20.5 and 1.79; an x-ray has 2000 and more. */
#define BACKGROUND 28.5
#define XRAY       2000.0

struct bench_count {
	uint32_t frames;
	uint16_t *pixel;
	uint32_t *events_due; /* per frame, by the first kernel */
	struct count_rule_compiled *rule;
	uint64_t span_ns; /* how long one measurement takes, at least */
};

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* ---- only reading ---------------------------------------------------------------------------- */

/* Four sums in registers: loads are all that it has to wait for. */
#define READ_LOOP(name, lane_bytes, ...)                                                         \
	__VA_ARGS__ static uint64_t read_##name(const uint8_t *at)                               \
	{                                                                                        \
		typedef uint64_t lanes __attribute__((vector_size(lane_bytes), aligned(16)));    \
		lanes a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };                                \
                                                                                                 \
		for (const uint8_t *end = at + FRAME_BYTES; at < end; at += 4 * sizeof(lanes)) { \
			const lanes *v = (const lanes *)at;                                      \
                                                                                                 \
			a |= v[0];                                                               \
			b |= v[1];                                                               \
			c |= v[2];                                                               \
			d |= v[3];                                                               \
		}                                                                                \
		a = (a | b) | (c | d);                                                           \
		return a[0] | a[1];                                                              \
	}
_Static_assert(FRAME_BYTES % 256 == 0, "a frame is whole steps of the widest loop");

READ_LOOP(plain, 16)
#if defined(__x86_64__)
READ_LOOP(avx2, 32, __attribute__((target("avx2"))))
READ_LOOP(avx512, 64, __attribute__((target("avx512f"))))
#endif

static uint64_t (*choose_read(void))(const uint8_t *)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512f"))
		return read_avx512;
	if (__builtin_cpu_supports("avx2"))
		return read_avx2;
#endif
	return read_plain;
}

static void measure_read(const struct bench_count *c, unsigned int round)
{
	uint64_t (*const read_frame)(const uint8_t *) = choose_read();
	struct bench_result result = { .begin_ns = cpu_ns() };
	uint64_t sum = 0;

	do {
		for (uint32_t f = 0; f < c->frames; f++)
			sum |= read_frame((const uint8_t *)(c->pixel + (size_t)f * PIXELS));
		result.frames += c->frames;
		result.end_ns = cpu_ns();
	} while (result.end_ns - result.begin_ns < c->span_ns);
	/* Somebody wants it. */
	__asm__ volatile("" : : "r"(sum));
	result.bytes = result.frames * FRAME_BYTES;
	bench_print("read_loop", round, &result);
}

/* ---- counting -------------------------------------------------------------------------------- */

static uint32_t count_frame(const struct bench_count *c, const struct count_kernel *kernel,
			    uint32_t frame)
{
	static uint32_t events[EVENTS_MAX];
	const uint16_t *pixel = c->pixel + (size_t)frame * PIXELS;
	const void *row[ROWS];
	const struct count_image image = { .row = row, .rows = ROWS, .columns = COLUMNS };

	for (uint32_t r = 0; r < ROWS; r++)
		row[r] = pixel + (size_t)r * COLUMNS;
	return count_events(kernel, c->rule, &image, events, EVENTS_MAX);
}

static void measure_kernel(const struct bench_count *c, const struct count_kernel *kernel,
			   unsigned int round)
{
	struct bench_result result = { .begin_ns = cpu_ns() };
	char row[64];

	do {
		for (uint32_t f = 0; f < c->frames; f++)
			result.wrong += count_frame(c, kernel, f) != c->events_due[f];
		result.frames += c->frames;
		result.end_ns = cpu_ns();
	} while (result.end_ns - result.begin_ns < c->span_ns);
	result.bytes = result.frames * FRAME_BYTES;
	(void)snprintf(row, sizeof(row), "count_%s", count_kernel_name(kernel));
	bench_print(row, round, &result);
}

/* Those that can run here; a line for each that cannot. */
static unsigned int list_kernels(const struct count_kernel **kernel)
{
	unsigned int count = 0;

	for (unsigned int i = 0; count_kernel_at(i) && count < KERNELS_MAX; i++) {
		const struct count_kernel *k = count_kernel_at(i);

		/* There to test the logic of another on every processor, not to be fast. */
		if (strcmp(count_kernel_name(k), "wide") == 0)
			continue;
		if (count_kernel_supported(k))
			kernel[count++] = k;
		else
			(void)printf("{\"row\":\"count_%s\",\"skipped\":\"this processor lacks its "
				     "instructions\"}\n",
				     count_kernel_name(k));
	}
	return count;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static uint32_t frames_wanted(void)
{
	const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
	const uint64_t frames = cache > 0 ? (uint64_t)cache * 2 / FRAME_BYTES : 0;

	if (frames < FRAMES_MIN)
		return FRAMES_MIN;
	return frames < FRAMES_MAX ? (uint32_t)frames : FRAMES_MAX;
}

static void expose(struct bench_count *c)
{
	const struct count_rule rule = { .background = BACKGROUND, .xray = XRAY };
	struct camera *camera = bench_alloc(sizeof(*camera));
	const struct count_kernel *portable;
	struct camera_hit *hits;

	camera_init(camera, SEED, ROWS, COLUMNS);
	hits = bench_alloc(camera_hits_max(camera) * sizeof(*hits));
	c->pixel = bench_alloc((size_t)c->frames * FRAME_BYTES);
	c->events_due = bench_alloc(c->frames * sizeof(c->events_due[0]));
	if (count_rule_compile(&rule, ROWS, COLUMNS, &c->rule, NULL) < 0 ||
	    count_kernel_choose("portable", &portable, NULL) < 0)
		bench_die("counting: no rule");
	for (uint32_t f = 0; f < c->frames; f++) {
		(void)camera_expose(camera, f, f % STATES, STATES, c->pixel + (size_t)f * PIXELS,
				    hits);
		c->events_due[f] = count_frame(c, portable, f);
	}
	free(hits);
	free(camera);
}

int main(int argc, char **argv)
{
	struct bench_count c = { .frames = frames_wanted(), .span_ns = 100 * NS_PER_MS };
	const struct count_kernel *kernel[KERNELS_MAX];
	unsigned int rounds = 1, kernels;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--rounds") == 0)
			rounds = (unsigned int)bench_parse(argv[i], argv[i + 1], 1,
							   BENCH_ROUNDS_MAX);
		else if (strcmp(argv[i], "--frames") == 0)
			c.frames = (uint32_t)bench_parse(argv[i], argv[i + 1], 1, FRAMES_MAX);
		else if (strcmp(argv[i], "--span-ms") == 0)
			c.span_ns = bench_parse(argv[i], argv[i + 1], 1, 10000) * NS_PER_MS;
		else
			bench_die("%s: no such option", argv[i]);
	}
	expose(&c);
	kernels = list_kernels(kernel);
	for (unsigned int round = 0; round < rounds; round++) {
		/* Reading stands in the middle of the kernels, whichever way they go. */
		for (unsigned int i = 0; i < kernels; i++) {
			if (i == kernels / 2)
				measure_read(&c, round);
			measure_kernel(&c, kernel[round % 2 ? kernels - 1 - i : i], round);
		}
	}
	count_rule_free(c.rule);
	free(c.events_due);
	free(c.pixel);
	return 0;
}
