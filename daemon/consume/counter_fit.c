/* SPDX-License-Identifier: MIT */
/*
 * Thresholds of a scan: those of the plan, else those of the configuration, else fitted. So that
 * every consumer counts alike, whatever runs it is given, one fit serves all: whoever is to fit to
 * the sample frames (counter_sample.c) shares what came of it, and the others wait. If no sample
 * frame has a pixel that is told, and the first fit that anyone makes of a run with pixels serves
 * all.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/error.h>
#include <base/log.h>
#include <consume/counter.h>

#define LOOK_EVERY_NS (20 * NS_PER_MS)

enum {
	THRESHOLDS_TEXT_MAX = 4096, /* bytes, as they are shared */
};

static const char shared_name[] = "thresholds";
static const char samples_name[] = "samples"; /* shared, "none", where that is so */

enum thresholds_state counter_thresholds_state(struct counter *counter, struct counter_scan *scan)
{
	const struct counter_config *config = &counter->config;
	const struct sluice_scan *info = &scan->info;
	enum thresholds_state state;

	(void)pthread_mutex_lock(&counter->lock);
	if (scan->thresholds == THRESHOLDS_UNKNOWN && (info->xray > 0 || config->xray > 0)) {
		scan->threshold = info->xray > 0
					  ? threshold_given(info->background, info->xray)
					  : threshold_given(config->background, config->xray);
		scan->thresholds = THRESHOLDS_KNOWN;
	}
	state = scan->thresholds;
	(void)pthread_mutex_unlock(&counter->lock);
	return state;
}

/* ---- the fit ------------------------------------------------------------------------------- */

static int fit(struct counter_worker *worker, const struct counter_scan *scan,
	       struct sluice_run *run, struct threshold *ret_threshold, struct sluice_error *reterr)
{
	const struct counter *c = worker->counter;
	const struct sluice_geometry *g = &scan->info.geometry;
	const struct count_rule correction = { .dark = c->dark, .gain = c->gain };
	struct threshold_args args = THRESHOLD_ARGS_INIT;
	struct threshold_sampler *sampler = NULL;
	uint64_t chosen[THRESHOLD_SAMPLES];
	struct counter_choice choice;
	int ret;

	ret = threshold_sampler_open(&correction, sluice_frame_rows(g), sluice_frame_columns(g),
				     &sampler);
	if (ret < 0)
		return error_set(reterr, ret, "cannot take samples: %s", error_name(ret));
	args.seed = c->config.seed;
	choice.count = threshold_choose(args.seed, sluice_run_frames(run), THRESHOLD_SAMPLES,
					chosen);
	for (unsigned int i = 0; i < choice.count; i++)
		choice.index[i] = (unsigned int)chosen[i];
	ret = counter_sample_add(worker, scan, run, &choice, true, sampler);
	if (ret == 0)
		ret = counter_sample_add(worker, scan, run, &choice, false, sampler);
	if (ret < 0)
		(void)error_set(reterr, ret, "cannot take samples: %s", error_name(ret));
	else
		ret = threshold_sampler_fit(sampler, &args, ret_threshold, reterr);
	threshold_sampler_close(sampler);
	return ret;
}

static char *threshold_encode(const struct threshold *t)
{
	json_t *root = json_pack(
		"{s:b, s:f, s:f, s:I, s:f, s:f, s:f, s:f, s:f, s:I, s:f, s:f, s:f, s:f, s:I}",
		"calculated", t->calculated, "background", t->background, "xray", t->xray,
		"samples", (json_int_t)t->samples, "min", t->min, "max", t->max, "mean", t->mean,
		"variance", t->variance, "std_dev", t->std_dev, "bins", (json_int_t)t->bins,
		"xray_n_sigma", t->xray_n_sigma, "background_n_sigma", t->background_n_sigma,
		"optimized_mean", t->optimized_mean, "optimized_std_dev", t->optimized_std_dev,
		"seed", (json_int_t)t->seed);
	/* 17 digits: every double comes back as it went. */
	char *text = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;

	json_decref(root);
	return text;
}

static char *error_encode(const char *why)
{
	json_t *root = json_pack("{s:s}", "error", why);
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

	json_decref(root);
	return text;
}

bool counter_run_has_pixels(struct sluice_run *run)
{
	for (unsigned int i = 0; i < sluice_run_frames(run); i++) {
		struct sluice_frame frame;

		if (sluice_run_frame(run, i, &frame) == 0 && frame.sector_mask != 0)
			return true;
	}
	return false;
}

bool counter_thresholds_fit_here(struct counter *counter, const struct counter_scan *scan)
{
	bool here;

	(void)pthread_mutex_lock(&counter->lock);
	here = !scan->offer && scan->no_samples;
	(void)pthread_mutex_unlock(&counter->lock);
	return here;
}

/* @ret: what the fit gave. */
static char *offer_encode(int ret, const struct threshold *threshold,
			  const struct sluice_error *error)
{
	return ret < 0 ? error_encode(error->text) : threshold_encode(threshold);
}

void counter_thresholds_fit(struct counter_worker *worker, struct counter_scan *scan,
			    struct sluice_run *run)
{
	struct counter *c = worker->counter;
	struct sluice_error error = { 0 };
	struct threshold threshold = { 0 };
	const int ret = fit(worker, scan, run, &threshold, &error);
	char *offer = offer_encode(ret, &threshold, &error);

	(void)pthread_mutex_lock(&c->lock);
	free(scan->offer);
	scan->offer = offer;
	scan->look_ns = 0;
	(void)pthread_mutex_unlock(&c->lock);
}

/* ---- what was shared ----------------------------------------------------------------------- */

static int real_at(const json_t *root, const char *key, double *ret_v)
{
	const json_t *value = json_object_get(root, key);

	if (!json_is_number(value) || !isfinite(json_number_value(value)))
		return -EBADMSG;
	*ret_v = json_number_value(value);
	return 0;
}

static int count_at(const json_t *root, const char *key, uint64_t max, uint64_t *ret_v)
{
	const json_t *value = json_object_get(root, key);
	const json_int_t v = json_integer_value(value);

	if (!json_is_integer(value) || v < 0 || (uint64_t)v > max)
		return -EBADMSG;
	*ret_v = (uint64_t)v;
	return 0;
}

static int threshold_from_json(const json_t *root, struct threshold *t)
{
	const struct {
		const char *key;
		double *ret;
	} real[] = {
		{ "background", &t->background },
		{ "xray", &t->xray },
		{ "min", &t->min },
		{ "max", &t->max },
		{ "mean", &t->mean },
		{ "variance", &t->variance },
		{ "std_dev", &t->std_dev },
		{ "xray_n_sigma", &t->xray_n_sigma },
		{ "background_n_sigma", &t->background_n_sigma },
		{ "optimized_mean", &t->optimized_mean },
		{ "optimized_std_dev", &t->optimized_std_dev },
	};
	uint64_t samples, bins;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < sizeof(real) / sizeof(real[0]); i++)
		ret = real_at(root, real[i].key, real[i].ret);
	if (ret == 0)
		ret = count_at(root, "samples", UINT32_MAX, &samples);
	if (ret == 0)
		ret = count_at(root, "bins", UINT32_MAX, &bins);
	if (ret == 0)
		ret = count_at(root, "seed", INT64_MAX, &t->seed);
	if (ret < 0)
		return ret;
	t->samples = (uint32_t)samples;
	t->bins = (uint32_t)bins;
	t->calculated = json_is_true(json_object_get(root, "calculated"));
	return 0;
}

/* -ENODATA: whoever was to fit them could not, and @reterr says why. */
static int threshold_decode(const char *text, struct threshold *ret_threshold,
			    struct sluice_error *reterr)
{
	struct threshold threshold = { 0 };
	json_error_t where;
	json_t *root = json_loads(text, 0, &where);
	const char *why = json_string_value(json_object_get(root, "error"));
	int ret;

	if (!root)
		return error_set(reterr, -EBADMSG, "shared thresholds: %.100s", where.text);
	if (why) {
		ret = error_set(reterr, -ENODATA, "%.300s", why);
	} else {
		ret = threshold_from_json(root, &threshold);
		if (ret < 0)
			(void)error_set(reterr, ret, "shared thresholds: a number is missing");
		else
			*ret_threshold = threshold;
	}
	json_decref(root);
	return ret;
}

static void note_no_samples(struct counter *c, const struct counter_look *what)
{
	(void)pthread_mutex_lock(&c->lock);
	if (what->slot->serial == what->serial)
		what->slot->no_samples = true;
	(void)pthread_mutex_unlock(&c->lock);
}

/* The fit is made; should it not be possible to share it now, it is tried again. */
static int make_offer(struct counter *c, const struct counter_look *what, bool complete)
{
	struct sluice_error error = { 0 };
	struct threshold threshold = { 0 };
	const int ret = counter_sample_fit(c, what, complete, &threshold, &error);
	char *offer = ret == -ENOENT || ret == -ENOMEM ? NULL
						       : offer_encode(ret, &threshold, &error);

	if (!offer)
		return -EAGAIN;
	(void)pthread_mutex_lock(&c->lock);
	if (what->slot->serial == what->serial && !what->slot->offer) {
		what->slot->offer = offer;
		offer = NULL;
	}
	(void)pthread_mutex_unlock(&c->lock);
	free(offer);
	return 0;
}

/* Thresholds are not there yet, or nobody answers now: perhaps it is for us to make them. */
static int look_at_samples(struct counter *c, const struct counter_look *what,
			   struct sluice_error *reterr)
{
	const uint32_t scan = what->info.scan;
	bool complete;
	char text[16];

	switch (counter_sample_look(c, what, &complete, reterr)) {
	case SAMPLES_BAD:
		return -EBADMSG;
	case SAMPLES_OURS:
		return make_offer(c, what, complete);
	case SAMPLES_EMPTY:
		if (sluice_consumer_share(c->consumer, scan, samples_name, "none", NULL) == 0)
			note_no_samples(c, what);
		break;
	case SAMPLES_MISSING:
	case SAMPLES_OTHERS:
		if (sluice_consumer_shared(c->consumer, scan, samples_name, text, sizeof(text),
					   NULL) == 0)
			note_no_samples(c, what);
		break;
	}
	return -EAGAIN;
}

/* One worker, without @lock: the directory or another consumer is asked. */
static int look(struct counter *c, const struct counter_look *what, struct threshold *ret_threshold,
		struct sluice_error *reterr)
{
	char text[THRESHOLDS_TEXT_MAX];
	int ret = 0;

	if (what->offer)
		ret = sluice_consumer_share(c->consumer, what->info.scan, shared_name, what->offer,
					    reterr);
	if (ret == 0)
		ret = sluice_consumer_shared(c->consumer, what->info.scan, shared_name, text,
					     sizeof(text), reterr);
	if (ret == 0)
		return threshold_decode(text, ret_threshold, reterr);
	if (what->offer || what->no_samples)
		return -EAGAIN;
	ret = look_at_samples(c, what, reterr);
	return ret == 0 ? -EAGAIN : ret;
}

static void settle(struct counter *c, const struct counter_look *what, int ret,
		   const struct threshold *threshold, const struct sluice_error *error)
{
	const bool aborted = sluice_consumer_aborted(c->consumer, what->info.scan);
	struct counter_scan *scan = what->slot;
	bool overdue;

	(void)pthread_mutex_lock(&c->lock);
	/* It ended meanwhile: nothing waits for the answer, least of all the slot's next scan. */
	if (scan->serial != what->serial) {
		(void)pthread_mutex_unlock(&c->lock);
		return;
	}
	scan->looking = false;
	/* What was fitted now is shared at once. */
	scan->look_ns = scan->offer && !what->offer ? 0 : now_ns() + LOOK_EVERY_NS;
	overdue = ret == -EAGAIN && scan->parked_count > 0 && ns_until(scan->deadline_ns) == 0;
	if (ret == 0) {
		scan->threshold = *threshold;
		scan->thresholds = THRESHOLDS_KNOWN;
	} else if (ret != -EAGAIN || overdue || aborted) {
		scan->thresholds = THRESHOLDS_FAILED;
	}
	(void)pthread_mutex_unlock(&c->lock);
	if (ret == -EAGAIN && aborted) {
		log_warn("scan %" PRIu32 ": aborted before there were thresholds", what->info.scan);
		return;
	}
	if (ret == 0)
		log_info("scan %" PRIu32 ": background %.3f, xray %.3f, fitted to %" PRIu32
			 " frames",
			 what->info.scan, threshold->background, threshold->xray,
			 threshold->samples);
	else if (ret != -EAGAIN)
		counter_fail(c, "scan %" PRIu32 ": %s: give thresholds with the plan",
			     what->info.scan, error->text);
	else if (overdue)
		counter_fail(c,
			     "scan %" PRIu32 ": no thresholds came within 30 s from the consumer "
			     "that has the first sample frames%s%s: give thresholds with the plan",
			     what->info.scan, error->text[0] != '\0' ? ": " : "", error->text);
}

/* Under @lock: runs are parked, or a sample run came here, of which others may need to know. */
static bool is_waiting(const struct counter_scan *scan)
{
	return scan->scan != 0 && scan->thresholds == THRESHOLDS_UNKNOWN &&
	       (scan->parked_count > 0 || scan->sampled_ns != 0);
}

/* What this worker is to look with; false: not now. */
static bool look_begin(struct counter *c, struct counter_scan *scan, struct counter_look *ret_what)
{
	bool now;

	(void)pthread_mutex_lock(&c->lock);
	now = is_waiting(scan) && !scan->looking && now_ns() >= scan->look_ns;
	if (now) {
		scan->looking = true;
		ret_what->slot = scan;
		ret_what->info = scan->info;
		ret_what->serial = scan->serial;
		ret_what->offer = scan->offer ? strdup(scan->offer) : NULL;
		ret_what->no_samples = scan->no_samples;
	}
	(void)pthread_mutex_unlock(&c->lock);
	return now;
}

static bool waits(struct counter *c, const struct counter_scan *scan)
{
	bool waiting;

	(void)pthread_mutex_lock(&c->lock);
	waiting = is_waiting(scan);
	(void)pthread_mutex_unlock(&c->lock);
	return waiting;
}

/* No sample has a pixel, and a run with pixels waits here: thresholds are made of it. */
static void fit_parked(struct counter_worker *worker, struct counter_scan *scan)
{
	struct counter *c = worker->counter;
	struct sluice_run *run = NULL;

	(void)pthread_mutex_lock(&c->lock);
	if (scan->scan != 0 && scan->thresholds == THRESHOLDS_UNKNOWN && scan->no_samples &&
	    !scan->offer && scan->parked_count > 0)
		run = scan->parked[--scan->parked_count];
	(void)pthread_mutex_unlock(&c->lock);
	if (!run)
		return;
	/* While it is not acknowledged its scan does not end. */
	if (counter_worker_setup(worker, scan) == 0)
		counter_thresholds_fit(worker, scan, run);
	if (counter_scan_park(c, scan, run) < 0)
		(void)sluice_consumer_drop(c->consumer, run);
}

unsigned int counter_thresholds_look(struct counter_worker *worker)
{
	struct counter *counter = worker->counter;
	unsigned int waiting = 0;

	for (unsigned int i = 0; i < COUNTER_SCANS_MAX; i++) {
		struct counter_scan *scan = &counter->scan[i];
		struct threshold threshold = { 0 };
		struct sluice_error error = { 0 };
		struct counter_look what = { 0 };

		if (look_begin(counter, scan, &what))
			settle(counter, &what, look(counter, &what, &threshold, &error), &threshold,
			       &error);
		free(what.offer);
		fit_parked(worker, scan);
		waiting += waits(counter, scan);
	}
	return waiting;
}
