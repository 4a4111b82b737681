/* SPDX-License-Identifier: MIT */
/* A consumer of your own: prints number, sector mask and sum of pixels of each frame of one scan.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <sluice/consumer.h>

int main(int argc, char **argv)
{
	struct sluice_consumer_args args = SLUICE_CONSUMER_ARGS_INIT;
	struct sluice_consumer *consumer;
	struct sluice_error error = { "" };
	struct sluice_scan scan;
	struct sluice_run *run;
	int next;

	args.directory = argc > 1 ? argv[1] : "none"; /* "http://127.0.0.1:2379" */
	args.id = argc > 2 ? argv[2] : "example";
	if (sluice_consumer_open(&args, &consumer, &error) < 0)
		return fprintf(stderr, "%s\n", error.text), EXIT_FAILURE;
	fprintf(stderr, "%s %s\n", sluice_consumer_endpoint(consumer),
		sluice_consumer_url(consumer));
	while ((next = sluice_consumer_next(consumer, UINT64_MAX, &run, &scan)) !=
	       SLUICE_NEXT_SCAN_END) {
		if (next < 0 && next != -EAGAIN)
			return EXIT_FAILURE;
		for (unsigned int i = 0; next == SLUICE_NEXT_RUN && i < sluice_run_frames(run);
		     i++) {
			const struct sluice_geometry *g = &sluice_run_scan(run)->geometry;
			const size_t pixels = (size_t)sluice_frame_rows(g) *
					      sluice_frame_columns(g);
			uint16_t *image = calloc(pixels, sizeof(*image));
			struct sluice_frame frame;
			uint64_t sum = 0;

			if (!image || sluice_run_frame(run, i, &frame) < 0)
				return EXIT_FAILURE; /* not acknowledged: it goes to another */
			sluice_frame_assemble(sluice_run_scan(run), &frame, image);
			for (size_t p = 0; p < pixels; p++)
				sum += image[p];
			printf("%" PRIu64 " %#x %" PRIu64 "\n", frame.frame, frame.sector_mask,
			       sum);
			free(image);
		}
		if (next == SLUICE_NEXT_RUN) /* your results are safe: now say so */
			sluice_consumer_ack(consumer, run, 0);
	}
	next = sluice_consumer_commit(consumer, scan.scan, &error); /* our half of the ledger */
	sluice_consumer_close(consumer);
	return next < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
