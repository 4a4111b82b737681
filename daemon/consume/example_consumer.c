/* SPDX-License-Identifier: MIT */
/* A consumer of your own: prints number, sector mask and pixel sum of each frame of one scan. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <sluice/consumer.h>

static void print_frame(const struct sluice_scan *scan, const struct sluice_frame *frame)
{
	const struct sluice_geometry *g = &scan->geometry;
	const size_t pixels = (size_t)sluice_frame_rows(g) * sluice_frame_columns(g);
	uint16_t *image = calloc(pixels, sizeof(*image));
	uint64_t sum = 0;

	if (!image)
		abort(); /* the run is not acknowledged: it goes to another consumer */
	sluice_frame_assemble(scan, frame, image);
	for (size_t p = 0; p < pixels; p++)
		sum += image[p];
	printf("%" PRIu64 " %#x %" PRIu64 "\n", frame->frame, frame->sector_mask, sum);
	free(image);
}

int main(int argc, char **argv)
{
	struct sluice_consumer_args args = SLUICE_CONSUMER_ARGS_INIT;
	struct sluice_error error = { "" };
	struct sluice_consumer *consumer;
	struct sluice_scan scan;
	struct sluice_run *run;
	int next = 0;

	args.directory = argc > 1 ? argv[1] : "none"; /* "http://127.0.0.1:2379" */
	args.id = argc > 2 ? argv[2] : "example";
	if (sluice_consumer_open(&args, &consumer, &error) < 0) {
		fprintf(stderr, "%s\n", error.text);
		return EXIT_FAILURE;
	}
	fprintf(stderr, "listens at %s, status at %s/api/v1/status\n",
		sluice_consumer_endpoint(consumer), sluice_consumer_url(consumer));
	while (next != SLUICE_NEXT_SCAN_END) {
		next = sluice_consumer_next(consumer, UINT64_MAX, &run, &scan);
		if (next != SLUICE_NEXT_RUN)
			continue;
		for (unsigned int i = 0; i < sluice_run_frames(run); i++) {
			struct sluice_frame frame;

			sluice_run_frame(run, i, &frame);
			print_frame(sluice_run_scan(run), &frame);
		}
		fflush(stdout);                        /* the results are safe: */
		sluice_consumer_ack(consumer, run, 0); /* now, and not before, say so */
	}
	next = sluice_consumer_commit(consumer, scan.scan, &error); /* our half of the ledger */
	sluice_consumer_close(consumer);
	return next < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
