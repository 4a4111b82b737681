/* SPDX-License-Identifier: MIT */
/* A consumer of your own: prints number, sector mask and pixel sum of each frame of one scan. */
#include <err.h>
#include <stdio.h>

#include <sluice/consumer.h>

/* Writes at once: when all frames of a run have been here, the run is acknowledged. */
static int print_frame(void *ctx, const struct sluice_scan *scan, const struct sluice_frame *frame)
{
	uint16_t *image = ctx;
	uintmax_t sum = 0;

	sluice_frame_assemble(scan, frame, image);
	for (size_t p = 0; p < sluice_frame_pixels(&scan->geometry); p++)
		sum += image[p];
	return dprintf(1, "%ju %#x %ju\n", (uintmax_t)frame->frame, frame->sector_mask, sum);
}

int main(int argc, char **argv)
{
	static uint16_t image[SLUICE_SIDE_MAX * SLUICE_SIDE_MAX]; /* memory as far as it is used */
	struct sluice_consumer_args args = SLUICE_CONSUMER_ARGS_INIT;
	struct sluice_consumer *me;
	struct sluice_error error;
	int ret;

	args.directory = argc > 1 ? argv[1] : "none"; /* "http://127.0.0.1:2379" */
	args.id = argc > 2 ? argv[2] : "example";
	if (sluice_consumer_open(&args, &me, &error) < 0)
		errx(1, "%s", error.text);
	warnx("listens at %s, status at %s", sluice_consumer_endpoint(me), sluice_consumer_url(me));
	ret = sluice_consumer_take_scan(me, print_frame, image, &error);
	sluice_consumer_close(me);
	if (ret < 0)
		errx(1, "%s", error.text);
	return 0;
}
