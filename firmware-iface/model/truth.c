/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/truth.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <base/error.h>
#include <model/camera.h>

struct truth {
	const struct model *model;
	FILE *out;
	pthread_mutex_t lock;
	bool has_scan;
	uint32_t number; /* of the last scan written, and its size */
	struct model_scan scan;
};

static void put_hits(FILE *out, const struct camera_hit *hit, uint32_t count, uint16_t xray)
{
	const char *comma = "";

	for (uint32_t i = 0; i < count; i++) {
		if (hit[i].xray != xray)
			continue;
		(void)fprintf(out, "%s[%u,%u,%u]", comma, hit[i].row, hit[i].column, hit[i].counts);
		comma = ",";
	}
}

static void put_model(FILE *out, const struct model *model)
{
	static const char *const name[] = { "camera", "counter", "prbs" };
	const struct model_args *args = model_args(model);

	(void)fprintf(
		out,
		"{\"kind\":\"model\",\"schema_version\":1,\"generator\":\"%s\",\"seed\":%" PRIu64
		",\"distinct\":%u,\"rows\":%u,\"columns\":%u}\n",
		name[args->generator], args->seed, args->distinct,
		sluice_frame_rows(&args->geometry), sluice_frame_columns(&args->geometry));
	for (uint32_t prepared = 0; prepared < args->distinct; prepared++) {
		uint32_t count;
		const struct camera_hit *hit = model_hits(model, prepared, &count);

		(void)fprintf(out, "{\"kind\":\"prepared\",\"prepared\":%u,\"electrons\":[",
			      prepared);
		put_hits(out, hit, count, 0);
		(void)fputs("],\"xrays\":[", out);
		put_hits(out, hit, count, 1);
		(void)fputs("]}\n", out);
	}
}

static int flush(FILE *out)
{
	if (fflush(out) != 0)
		return neg_errno();
	return ferror(out) ? -EIO : 0;
}

int truth_open(const char *path, const struct model *model, struct truth **ret_truth,
	       struct sluice_error *reterr)
{
	struct truth *truth = calloc(1, sizeof(*truth));
	int ret;

	if (!truth)
		return error_set(reterr, -ENOMEM, "no memory for the truth");
	truth->model = model;
	truth->out = fopen(path, "we");
	if (!truth->out) {
		ret = neg_errno();
		goto err_free;
	}
	put_model(truth->out, model);
	ret = flush(truth->out);
	if (ret < 0)
		goto err_close;
	(void)pthread_mutex_init(&truth->lock, NULL);
	*ret_truth = truth;
	return 0;

err_close:
	(void)fclose(truth->out);
err_free:
	free(truth);
	return error_set(reterr, ret, "%s: cannot write the truth: %s", path, error_name(ret));
}

void truth_close(struct truth *truth)
{
	if (!truth)
		return;
	(void)fclose(truth->out);
	(void)pthread_mutex_destroy(&truth->lock);
	free(truth);
}

int truth_scan(struct truth *truth, uint32_t number, const struct model_scan *scan)
{
	int ret = 0;

	if (!truth)
		return 0;
	(void)pthread_mutex_lock(&truth->lock);
	if (truth->has_scan && truth->number == number && truth->scan.columns == scan->columns &&
	    truth->scan.rows == scan->rows && truth->scan.frames == scan->frames)
		goto out;
	(void)fprintf(truth->out,
		      "{\"kind\":\"scan\",\"scan\":%u,\"scan_columns\":%u,\"scan_rows\":%u,"
		      "\"frames\":%" PRIu64 ",\"prepared\":[",
		      number, scan->columns, scan->rows, scan->frames);
	for (uint64_t frame = 0; frame < scan->frames; frame++)
		(void)fprintf(truth->out, "%s%u", frame == 0 ? "" : ",",
			      model_frame_choice(model_args(truth->model), scan, frame));
	(void)fputs("]}\n", truth->out);
	ret = flush(truth->out);
	truth->has_scan = true;
	truth->number = number;
	truth->scan = *scan;
out:
	(void)pthread_mutex_unlock(&truth->lock);
	return ret;
}
