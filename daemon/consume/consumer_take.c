/* SPDX-License-Identifier: MIT */
/* One scan in one call, on nothing but what sluice/consumer.h offers to any program. */
#include <errno.h>
#include <inttypes.h>

#include <base/error.h>
#include <sluice/consumer.h>

typedef int (*frame_visitor)(void *ctx, const struct sluice_scan *scan,
			     const struct sluice_frame *frame);

static int take_run(struct sluice_consumer *consumer, struct sluice_run *run, frame_visitor each,
		    void *ctx, struct sluice_error *reterr)
{
	const uint64_t number = sluice_run_number(run);
	int ret = 0;

	for (unsigned int i = 0; ret >= 0 && i < sluice_run_frames(run); i++) {
		struct sluice_frame frame;

		ret = sluice_run_frame(run, i, &frame);
		if (ret == 0)
			ret = each(ctx, sluice_run_scan(run), &frame);
	}
	if (ret >= 0)
		ret = sluice_consumer_ack(consumer, run, 0);
	else
		(void)sluice_consumer_drop(consumer, run);
	return ret < 0 ? error_set(reterr, ret, "run %" PRIu64 " could not be worked on", number)
		       : 0;
}

int sluice_consumer_take_scan(struct sluice_consumer *consumer, frame_visitor each, void *ctx,
			      struct sluice_error *reterr)
{
	for (;;) {
		struct sluice_run *run = NULL;
		struct sluice_scan scan;
		int ret = sluice_consumer_next(consumer, UINT64_MAX, &run, &scan);

		if (ret == SLUICE_NEXT_SCAN_END)
			return sluice_consumer_commit(consumer, scan.scan, reterr);
		if (ret < 0 && ret != -EAGAIN)
			return error_set(reterr, ret, "no more is taken: %s", error_name(ret));
		if (ret != SLUICE_NEXT_RUN)
			continue;
		ret = take_run(consumer, run, each, ctx, reterr);
		if (ret < 0)
			return ret;
	}
}
