/* SPDX-License-Identifier: MIT */
/* A consumer of your own: prints number, sector mask and pixel sum of each frame of one scan. */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <sluice/consumer.h>

static void print_frame(struct sluice_run *run, unsigned int index)
{
	static uint16_t image[SLUICE_SIDE_MAX * SLUICE_SIDE_MAX]; /* memory as far as it is used */
	const struct sluice_scan *scan = sluice_run_scan(run);
	const size_t rows = sluice_frame_rows(&scan->geometry);
	struct sluice_frame frame;
	uint64_t sum = 0;

	sluice_run_frame(run, index, &frame);
	sluice_frame_assemble(scan, &frame, image);
	for (size_t p = 0; p < rows * sluice_frame_columns(&scan->geometry); p++)
		sum += image[p];
	printf("%" PRIu64 " %#x %" PRIu64 "\n", frame.frame, frame.sector_mask, sum);
}

int main(int argc, char **argv)
{
	struct sluice_consumer_args args = SLUICE_CONSUMER_ARGS_INIT;
	struct sluice_error error = { "the library stopped" };
	struct sluice_consumer *consumer;
	struct sluice_scan scan;
	struct sluice_run *run;
	int next = 0;

	args.directory = argc > 1 ? argv[1] : "none"; /* "http://127.0.0.1:2379" */
	args.id = argc > 2 ? argv[2] : "example";
	if (sluice_consumer_open(&args, &consumer, &error) < 0)
		errx(EXIT_FAILURE, "%s", error.text);
	warnx("listens at %s, status at %s/api/v1/status", sluice_consumer_endpoint(consumer),
	      sluice_consumer_url(consumer));
	while (next != SLUICE_NEXT_SCAN_END && (next >= 0 || next == -EAGAIN)) {
		next = sluice_consumer_next(consumer, UINT64_MAX, &run, &scan);
		if (next != SLUICE_NEXT_RUN)
			continue;
		for (unsigned int i = 0; i < sluice_run_frames(run); i++)
			print_frame(run, i);
		fflush(stdout);                        /* the results are safe: */
		sluice_consumer_ack(consumer, run, 0); /* now, and not before, say so */
	}
	if (next == SLUICE_NEXT_SCAN_END) /* our half of the ledger */
		next = sluice_consumer_commit(consumer, scan.scan, &error);
	sluice_consumer_close(consumer);
	if (next < 0)
		errx(EXIT_FAILURE, "%s", error.text);
	return EXIT_SUCCESS;
}
