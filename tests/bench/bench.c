/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/error.h>
#include <base/parse.h>

enum {
	PAIR_MAX_S = 120 /* nothing here takes longer */
};

void bench_die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)fputs("bench: ", stderr);
	(void)vfprintf(stderr, fmt, args);
	(void)fputc('\n', stderr);
	va_end(args);
	exit(1);
}

void *bench_alloc(size_t bytes)
{
	void *p = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);

	if (!p)
		bench_die("no memory for %zu bytes", bytes);
	return p;
}

void bench_tell(int tell, const char *endpoint)
{
	const size_t bytes = strlen(endpoint) + 1;

	if (write(tell, endpoint, bytes) != (ssize_t)bytes)
		bench_die("the other half is gone");
}

double bench_cpu_s(void)
{
	struct rusage r;

	(void)getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

/* A child that ends with its parent, and in any case. */
static pid_t fork_half(void)
{
	const pid_t pid = fork();

	if (pid < 0)
		bench_die("fork: %s", error_name(neg_errno()));
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)alarm(PAIR_MAX_S);
	}
	return pid;
}

static void await(pid_t pid, const char *row, const char *half)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		bench_die("%s: its %s failed", row, half);
}

void bench_run(const struct bench_pair *pair, const struct bench_data *data, unsigned int round)
{
	struct bench_result *result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
					   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char endpoint[BENCH_ENDPOINT_MAX];
	pid_t receiver, sender;
	ssize_t n;
	int tell[2];

	if (result == MAP_FAILED || pipe(tell) < 0)
		bench_die("%s: %s", pair->row, error_name(neg_errno()));
	receiver = fork_half();
	if (receiver == 0) {
		pair->receive(data, tell[1], result);
		exit(0);
	}
	(void)close(tell[1]);
	n = read(tell[0], endpoint, sizeof(endpoint) - 1);
	if (n <= 0)
		bench_die("%s: its receiver failed", pair->row);
	endpoint[n] = '\0';
	sender = fork_half();
	if (sender == 0) {
		pair->send(data, endpoint, result);
		exit(0);
	}
	await(sender, pair->row, "sender");
	await(receiver, pair->row, "receiver");
	(void)close(tell[0]);
	bench_print(pair->row, round, result);
	(void)munmap(result, sizeof(*result));
}

void bench_print(const char *row, unsigned int round, const struct bench_result *r)
{
	(void)printf("{\"row\":\"%s\",\"round\":%u,\"bytes\":%" PRIu64 ",\"frames\":%" PRIu64
		     ",\"chunks\":%" PRIu64 ",\"seconds\":%.9f,\"crc\":%" PRIu64
		     ",\"gaps\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"wrong\":%" PRIu64
		     ",\"bytes_moved\":%" PRIu64
		     ",\"sender_cpu_s\":%.6f,\"receiver_cpu_s\":%.6f}\n",
		     row, round, r->bytes, r->frames, r->chunks,
		     (double)(r->end_ns - r->begin_ns) / (double)NS_PER_S, r->crc, r->gaps, r->lost,
		     r->wrong, r->bytes_moved, r->sender_s, r->receiver_s);
	(void)fflush(stdout);
}

uint64_t bench_parse(const char *what, const char *text, uint64_t min, uint64_t max)
{
	uint64_t v;

	if (parse_u64(text, min, max, &v) < 0)
		bench_die("%s: %s; allowed: %" PRIu64 " ... %" PRIu64, what, text, min, max);
	return v;
}
