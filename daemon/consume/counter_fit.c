/* SPDX-License-Identifier: MIT */
/*
 * Thresholds of a scan: those of the plan, else those of the configuration, else fitted. So that
 * every consumer counts alike, whatever runs it is given, one fit serves all: whoever has run 0
 * chooses up to THRESHOLD_SAMPLES frames of it by the seed, makes the fit from those that are
 * complete (or, where a sector never comes, from what there is) and shares it; the others wait. If
 * run 0 has no pixel at all, its holder says so, and the first fit that anyone makes of a run with
 * pixels serves all.
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

static const char shared_name[] = "thresholds";
static const char first_run_name[] = "first-run"; /* shared, "empty", where that is so */

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

/* Adds the frames of @run that are complete, or else all that have pixels; *ret_samples of them. */
static int add_samples(struct counter_worker *worker, const struct counter_scan *scan,
		       struct sluice_run *run, bool complete, struct threshold_sampler *sampler,
		       unsigned int *ret_samples)
{
	const unsigned int frames = sluice_run_frames(run);
	const uint32_t all = (uint32_t)((UINT64_C(1) << scan->info.geometry.sectors) - 1);
	uint64_t chosen[THRESHOLD_SAMPLES];
	const unsigned int count = threshold_choose(worker->counter->config.seed, frames,
						    THRESHOLD_SAMPLES, chosen);
	unsigned int samples = 0;
	int ret = 0;

	for (unsigned int i = 0; ret == 0 && i < count; i++) {
		struct sluice_frame frame;
		struct count_image image;

		ret = sluice_run_frame(run, (unsigned int)chosen[i], &frame);
		if (ret < 0 || frame.sector_mask == 0 || (complete && frame.sector_mask != all))
			continue;
		image = counter_frame_image(worker, &scan->info, &frame);
		ret = threshold_sampler_add(sampler, &image);
		samples++;
	}
	*ret_samples = samples;
	return ret;
}

static int fit(struct counter_worker *worker, const struct counter_scan *scan,
	       struct sluice_run *run, struct threshold *ret_threshold, struct sluice_error *reterr)
{
	const struct counter *c = worker->counter;
	const struct sluice_geometry *g = &scan->info.geometry;
	const struct count_rule correction = { .dark = c->dark, .gain = c->gain };
	struct threshold_args args = THRESHOLD_ARGS_INIT;
	struct threshold_sampler *sampler = NULL;
	unsigned int samples = 0;
	int ret;

	ret = threshold_sampler_open(&correction, sluice_frame_rows(g), sluice_frame_columns(g),
				     &sampler);
	if (ret < 0)
		return error_set(reterr, ret, "cannot take samples: %s", error_name(ret));
	args.seed = c->config.seed;
	ret = add_samples(worker, scan, run, true, sampler, &samples);
	if (ret == 0 && samples == 0)
		ret = add_samples(worker, scan, run, false, sampler, &samples);
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

void counter_thresholds_first_empty(struct counter *counter, struct counter_scan *scan)
{
	(void)pthread_mutex_lock(&counter->lock);
	scan->first_empty = true;
	scan->tell_first_empty = true;
	(void)pthread_mutex_unlock(&counter->lock);
}

bool counter_thresholds_fit_here(struct counter *counter, const struct counter_scan *scan,
				 const struct sluice_run *run)
{
	bool here;

	(void)pthread_mutex_lock(&counter->lock);
	here = !scan->offer && (sluice_run_number(run) == 0 || scan->first_empty);
	(void)pthread_mutex_unlock(&counter->lock);
	return here;
}

void counter_thresholds_fit(struct counter_worker *worker, struct counter_scan *scan,
			    struct sluice_run *run)
{
	struct counter *c = worker->counter;
	struct sluice_error error = { 0 };
	struct threshold threshold = { 0 };
	char *offer;

	if (fit(worker, scan, run, &threshold, &error) < 0)
		offer = error_encode(error.text);
	else
		offer = threshold_encode(&threshold);
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

/* Of a scan as it was found; by now its slot may serve another. */
struct look {
	uint32_t scan;
	uint64_t serial;
	char *offer; /* to be shared, or NULL */
	bool first_empty, tell_first_empty;
};

/* One worker, without @lock: the directory or another consumer is asked. */
static int look(struct counter *c, struct counter_scan *scan, const struct look *what,
		struct threshold *ret_threshold, struct sluice_error *reterr)
{
	char text[SLUICE_SHARED_TEXT_MAX];
	int ret = 0;

	if (what->tell_first_empty &&
	    sluice_consumer_share(c->consumer, what->scan, first_run_name, "empty", NULL) == 0) {
		(void)pthread_mutex_lock(&c->lock);
		if (scan->serial == what->serial)
			scan->tell_first_empty = false;
		(void)pthread_mutex_unlock(&c->lock);
	}
	if (what->offer)
		ret = sluice_consumer_share(c->consumer, what->scan, shared_name, what->offer,
					    reterr);
	if (ret == 0)
		ret = sluice_consumer_shared(c->consumer, what->scan, shared_name, text,
					     sizeof(text), reterr);
	if (ret == 0)
		return threshold_decode(text, ret_threshold, reterr);
	/* Not there yet, or nobody answers now: perhaps it is for us to make them. */
	if (!what->first_empty && sluice_consumer_shared(c->consumer, what->scan, first_run_name,
							 text, sizeof(text), NULL) == 0) {
		(void)pthread_mutex_lock(&c->lock);
		if (scan->serial == what->serial)
			scan->first_empty = true;
		(void)pthread_mutex_unlock(&c->lock);
	}
	return -EAGAIN;
}

static void settle(struct counter *c, struct counter_scan *scan, const struct look *what, int ret,
		   const struct threshold *threshold, const struct sluice_error *error)
{
	const bool aborted = sluice_consumer_aborted(c->consumer, what->scan);
	bool overdue;

	(void)pthread_mutex_lock(&c->lock);
	/* It ended meanwhile: nothing waits for the answer, least of all the slot's next scan. */
	if (scan->serial != what->serial) {
		(void)pthread_mutex_unlock(&c->lock);
		return;
	}
	scan->looking = false;
	scan->look_ns = now_ns() + LOOK_EVERY_NS;
	overdue = ret == -EAGAIN && scan->parked_count > 0 && ns_until(scan->deadline_ns) == 0;
	if (ret == 0) {
		scan->threshold = *threshold;
		scan->thresholds = THRESHOLDS_KNOWN;
	} else if (ret != -EAGAIN || overdue || aborted) {
		scan->thresholds = THRESHOLDS_FAILED;
	}
	(void)pthread_mutex_unlock(&c->lock);
	if (ret == -EAGAIN && aborted) {
		log_warn("scan %" PRIu32 ": aborted before there were thresholds", what->scan);
		return;
	}
	if (ret == 0)
		log_info("scan %" PRIu32 ": background %.3f, xray %.3f, fitted to %" PRIu32
			 " frames",
			 what->scan, threshold->background, threshold->xray, threshold->samples);
	else if (ret != -EAGAIN)
		counter_fail(c, "scan %" PRIu32 ": %s: give thresholds with the plan", what->scan,
			     error->text);
	else if (overdue)
		counter_fail(c,
			     "scan %" PRIu32 ": no thresholds came within 30 s from the consumer "
			     "that has run 0%s%s: give thresholds with the plan",
			     what->scan, error->text[0] != '\0' ? ": " : "", error->text);
}

/* Under @lock: runs are parked, or there is something to tell. */
static bool is_waiting(const struct counter_scan *scan)
{
	return scan->scan != 0 && scan->thresholds == THRESHOLDS_UNKNOWN &&
	       (scan->parked_count > 0 || scan->tell_first_empty);
}

/* What this worker is to look with; false: not now. */
static bool look_begin(struct counter *c, struct counter_scan *scan, struct look *ret_what)
{
	bool now;

	(void)pthread_mutex_lock(&c->lock);
	now = is_waiting(scan) && !scan->looking && now_ns() >= scan->look_ns;
	if (now) {
		scan->looking = true;
		ret_what->scan = scan->scan;
		ret_what->serial = scan->serial;
		ret_what->offer = scan->offer ? strdup(scan->offer) : NULL;
		ret_what->first_empty = scan->first_empty;
		ret_what->tell_first_empty = scan->tell_first_empty;
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

/* The first run was empty, and a run with pixels waits here: thresholds are made of it. */
static void fit_parked(struct counter_worker *worker, struct counter_scan *scan)
{
	struct counter *c = worker->counter;
	struct sluice_run *run = NULL;

	(void)pthread_mutex_lock(&c->lock);
	if (scan->scan != 0 && scan->thresholds == THRESHOLDS_UNKNOWN && scan->first_empty &&
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
		struct look what = { 0 };

		if (look_begin(counter, scan, &what))
			settle(counter, scan, &what, look(counter, scan, &what, &threshold, &error),
			       &threshold, &error);
		free(what.offer);
		fit_parked(worker, scan);
		waiting += waits(counter, scan);
	}
	return waiting;
}
