/* SPDX-License-Identifier: MIT */
/*
 * The sample frames of a scan, to which thresholds are fitted.
 *
 * They are THRESHOLD_SAMPLES of the frames of the first runs, as many runs as hold that many (two,
 * of 16 frames); the seed says which. Those runs may come to several consumers. Each makes, of the
 * sample frames of a run, one histogram; adding up histograms is exact, so it does not matter who
 * does. Whoever has the first run that gave any is to do it: the others share theirs, under
 * "sample-<run>", and it looks for them. As sample runs are the first that each aggregator sends,
 * and every window holds all of them (window_frames), none waits for a run that is held back.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/error.h>
#include <consume/counter.h>

unsigned int counter_sample_runs(const struct sluice_scan *info)
{
	const uint64_t all = (info->frames_expected + info->run_frames - 1) / info->run_frames;
	const uint64_t enough = (THRESHOLD_SAMPLES + info->run_frames - 1) / info->run_frames;

	return (unsigned int)(enough < all ? enough : all);
}

/* ---- taking them --------------------------------------------------------------------------- */

/* Those of the sample frames that are in the run, by their index in it. */
static void choose(const struct counter *c, const struct sluice_scan *info, uint64_t run,
		   struct counter_choice *ret_choice)
{
	const uint64_t first = run * info->run_frames;
	uint64_t frames = (uint64_t)counter_sample_runs(info) * info->run_frames;
	uint64_t chosen[THRESHOLD_SAMPLES];
	unsigned int count;

	frames = frames < info->frames_expected ? frames : info->frames_expected;
	count = threshold_choose(c->config.seed, frames, THRESHOLD_SAMPLES, chosen);
	ret_choice->count = 0;
	for (unsigned int i = 0; i < count; i++) {
		if (chosen[i] >= first && chosen[i] - first < info->run_frames)
			ret_choice->index[ret_choice->count++] = (unsigned int)(chosen[i] - first);
	}
}

int counter_sample_add(struct counter_worker *worker, const struct counter_scan *scan,
		       struct sluice_run *run, const struct counter_choice *choice, bool complete,
		       struct threshold_sampler *sampler)
{
	const uint32_t all = (uint32_t)((UINT64_C(1) << scan->info.geometry.sectors) - 1);
	int frames = 0;

	for (unsigned int i = 0; i < choice->count; i++) {
		struct sluice_frame frame;
		struct count_image image;
		int ret = sluice_run_frame(run, choice->index[i], &frame);

		if (ret < 0 || frame.sector_mask == 0 || (complete && frame.sector_mask != all))
			continue;
		image = counter_frame_image(worker, &scan->info, &frame);
		ret = threshold_sampler_add(sampler, &image);
		if (ret < 0)
			return ret;
		frames++;
	}
	return frames;
}

/* [[9,1,5,20],[2000,1]]: one pixel of 9, five of 10, twenty of 11, one of 2000. */
static json_t *values_encode(const struct threshold_sampler *sampler)
{
	json_t *values = json_array(), *stretch = NULL;
	int64_t value = INT64_MIN, next = INT64_MIN;
	uint64_t pixels;

	while (threshold_sampler_next(sampler, &value, &pixels)) {
		if (!stretch || value != next) {
			stretch = json_array();
			(void)json_array_append_new(stretch, json_integer(value));
			(void)json_array_append_new(values, stretch);
		}
		(void)json_array_append_new(stretch, json_integer((json_int_t)pixels));
		next = ++value;
	}
	return values;
}

static int encode(const struct counter *c, const struct threshold_sampler *sampler,
		  struct counter_sample *sample)
{
	json_t *root = json_pack("{s:I, s:I, s:b, s:o?}", "seed", (json_int_t)c->config.seed,
				 "frames", (json_int_t)sample->frames, "complete", sample->complete,
				 "values", values_encode(sampler));

	sample->text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	return sample->text ? 0 : -ENOMEM;
}

static int take(struct counter_worker *worker, const struct counter_scan *scan,
		struct sluice_run *run, struct counter_sample *ret_sample)
{
	const struct counter *c = worker->counter;
	const struct sluice_geometry *g = &scan->info.geometry;
	const struct count_rule correction = { .dark = c->dark, .gain = c->gain };
	struct counter_sample sample = { .own = true, .complete = true };
	struct threshold_sampler *sampler = NULL;
	struct counter_choice choice;
	int ret;

	ret = counter_worker_setup(worker, scan);
	if (ret == 0)
		ret = threshold_sampler_open(&correction, sluice_frame_rows(g),
					     sluice_frame_columns(g), &sampler);
	if (ret < 0)
		return ret;
	choose(c, &scan->info, sluice_run_number(run), &choice);
	ret = counter_sample_add(worker, scan, run, &choice, true, sampler);
	if (ret == 0) {
		/* Where a sector never comes no frame is complete: what there is serves. */
		sample.complete = false;
		ret = counter_sample_add(worker, scan, run, &choice, false, sampler);
	}
	if (ret >= 0) {
		sample.frames = (unsigned int)ret;
		ret = encode(c, sampler, &sample);
	}
	threshold_sampler_close(sampler);
	if (ret == 0)
		*ret_sample = sample;
	return ret;
}

/* Under @lock: whether the run's is known; if so, it is here now. */
static bool is_taken(struct counter_scan *scan, uint64_t run)
{
	struct counter_sample *sample = &scan->sample[run];

	if (!sample->text)
		return false;
	/* It has come again, perhaps from one that shared it and died: it is the same. */
	sample->told |= !sample->own;
	sample->own = true;
	return true;
}

int counter_sample_take(struct counter_worker *worker, struct counter_scan *scan,
			struct sluice_run *run)
{
	const uint64_t number = sluice_run_number(run);
	struct counter *c = worker->counter;
	struct counter_sample sample = { 0 };
	bool taken;
	int ret;

	if (number >= counter_sample_runs(&scan->info))
		return 0;
	(void)pthread_mutex_lock(&c->lock);
	taken = is_taken(scan, number);
	(void)pthread_mutex_unlock(&c->lock);
	if (taken)
		return 0;
	ret = take(worker, scan, run, &sample);
	if (ret < 0)
		return ret;
	(void)pthread_mutex_lock(&c->lock);
	if (!is_taken(scan, number)) {
		scan->sample[number] = sample;
		sample.text = NULL;
	}
	scan->look_ns = 0;
	if (scan->sampled_ns == 0)
		scan->sampled_ns = now_ns() + SAMPLES_KNOWN_NS;
	(void)pthread_mutex_unlock(&c->lock);
	free(sample.text);
	return 0;
}

void counter_sample_free(struct counter_scan *scan)
{
	for (unsigned int k = 0; k < SAMPLE_RUNS_MAX; k++) {
		free(scan->sample[k].text);
		scan->sample[k] = (struct counter_sample){ .text = NULL };
	}
}

/* ---- putting them together ----------------------------------------------------------------- */

static json_t *decode(const struct counter *c, const char *text, struct counter_sample *ret_sample,
		      struct sluice_error *reterr)
{
	json_t *root = json_loads(text, 0, NULL);
	const json_t *frames = json_object_get(root, "frames");
	const json_t *seed = json_object_get(root, "seed");

	if (!json_is_integer(frames) || json_integer_value(frames) < 0 ||
	    json_integer_value(frames) > THRESHOLD_SAMPLES || !json_is_integer(seed) ||
	    !json_is_array(json_object_get(root, "values"))) {
		(void)error_set(reterr, -EBADMSG, "what a consumer shared is no sample");
		goto err;
	}
	if (json_integer_value(seed) != (json_int_t)c->config.seed) {
		(void)error_set(reterr, -EBADMSG,
				"another consumer chooses samples by the seed %" JSON_INTEGER_FORMAT
				", this one by %" PRIu64 ": give all the same thresholds.seed",
				json_integer_value(seed), c->config.seed);
		goto err;
	}
	ret_sample->frames = (unsigned int)json_integer_value(frames);
	ret_sample->complete = json_is_true(json_object_get(root, "complete"));
	return root;

err:
	json_decref(root);
	return NULL;
}

/* @most: pixels that the frames can have. */
static int values_add(const json_t *values, uint64_t most, struct threshold_sampler *sampler)
{
	const json_t *stretch;
	uint64_t pixels = 0;
	size_t i;

	json_array_foreach(values, i, stretch)
	{
		const json_t *first = json_array_get(stretch, 0), *one;
		size_t n;

		json_array_foreach(stretch, n, one)
		{
			const json_int_t count = json_integer_value(one);

			if (!json_is_integer(one))
				return -EBADMSG;
			if (n == 0) { /* a value: whether it is one is asked of the sampler */
				if (threshold_sampler_put(sampler, count, 0) < 0)
					return -EBADMSG;
				continue;
			}
			if (count < 0 || (uint64_t)count > most - pixels ||
			    threshold_sampler_put(sampler,
						  json_integer_value(first) + (json_int_t)n - 1,
						  (uint64_t)count) < 0)
				return -EBADMSG;
			pixels += (uint64_t)count;
		}
	}
	return 0;
}

/* Texts of all sample runs that are known, to be freed. -ENOENT: the scan is over. -ENOMEM. */
static int copy_texts(struct counter *c, const struct counter_look *what,
		      char *text[SAMPLE_RUNS_MAX])
{
	int ret = 0;

	(void)pthread_mutex_lock(&c->lock);
	if (what->slot->serial != what->serial)
		ret = -ENOENT;
	for (unsigned int k = 0; ret == 0 && k < SAMPLE_RUNS_MAX; k++) {
		if (!what->slot->sample[k].text)
			continue;
		text[k] = strdup(what->slot->sample[k].text);
		ret = text[k] ? 0 : -ENOMEM;
	}
	(void)pthread_mutex_unlock(&c->lock);
	return ret;
}

static int add_text(const struct counter *c, const struct sluice_geometry *g, const char *text,
		    bool complete, struct threshold_sampler *sampler, struct sluice_error *reterr)
{
	const uint64_t frame = (uint64_t)sluice_frame_rows(g) * sluice_frame_columns(g);
	struct counter_sample sample = { 0 };
	json_t *root = decode(c, text, &sample, reterr);
	int ret = 0;

	if (!root)
		return -EBADMSG;
	if (sample.frames > 0 && sample.complete == complete) {
		ret = values_add(json_object_get(root, "values"), sample.frames * frame, sampler);
		threshold_sampler_put_frames(sampler, sample.frames);
	}
	json_decref(root);
	return ret < 0 ? error_set(reterr, ret, "what a consumer shared is no sample") : 0;
}

int counter_sample_fit(struct counter *c, const struct counter_look *what, bool complete,
		       struct threshold *ret_threshold, struct sluice_error *reterr)
{
	const struct sluice_geometry *g = &what->info.geometry;
	struct threshold_args args = THRESHOLD_ARGS_INIT;
	struct threshold_sampler *sampler = NULL;
	char *text[SAMPLE_RUNS_MAX] = { NULL };
	int ret;

	args.seed = c->config.seed;
	ret = copy_texts(c, what, text);
	if (ret == 0)
		ret = threshold_sampler_open(NULL, sluice_frame_rows(g), sluice_frame_columns(g),
					     &sampler);
	if (ret < 0)
		(void)error_set(reterr, ret, "cannot put samples together: %s", error_name(ret));
	for (unsigned int k = 0; ret == 0 && k < SAMPLE_RUNS_MAX; k++) {
		if (text[k])
			ret = add_text(c, g, text[k], complete, sampler, reterr);
	}
	if (ret == 0)
		ret = threshold_sampler_fit(sampler, &args, ret_threshold, reterr);
	threshold_sampler_close(sampler);
	for (unsigned int k = 0; k < SAMPLE_RUNS_MAX; k++)
		free(text[k]);
	return ret;
}

/* ---- sharing them -------------------------------------------------------------------------- */

static void sample_name(char name[32], unsigned int run)
{
	(void)snprintf(name, 32, "sample-%u", run);
}

/* Our own. -ENOENT: its scan is over. */
static int tell(struct counter *c, const struct counter_look *what, unsigned int run,
		struct sluice_error *reterr)
{
	char name[32], *text = NULL;
	int ret = -ENOENT;

	(void)pthread_mutex_lock(&c->lock);
	if (what->slot->serial == what->serial) {
		text = strdup(what->slot->sample[run].text);
		ret = text ? 0 : -ENOMEM;
	}
	(void)pthread_mutex_unlock(&c->lock);
	sample_name(name, run);
	if (ret == 0)
		ret = sluice_consumer_share(c->consumer, what->info.scan, name, text, reterr);
	free(text);
	if (ret < 0)
		return ret;
	(void)pthread_mutex_lock(&c->lock);
	if (what->slot->serial == what->serial)
		what->slot->sample[run].told = true;
	(void)pthread_mutex_unlock(&c->lock);
	return 0;
}

/* Another's. -EAGAIN: not there yet. -EBADMSG: what is there is none. */
static int look_for(struct counter *c, const struct counter_look *what, unsigned int run,
		    struct sluice_error *reterr)
{
	char *text = malloc(SLUICE_SHARED_TEXT_MAX), name[32];
	struct counter_sample sample = { 0 };
	json_t *root;
	int ret;

	if (!text)
		return -ENOMEM;
	sample_name(name, run);
	ret = sluice_consumer_shared(c->consumer, what->info.scan, name, text,
				     SLUICE_SHARED_TEXT_MAX, NULL);
	if (ret < 0)
		goto out;
	root = decode(c, text, &sample, reterr);
	json_decref(root);
	sample.text = root ? strdup(text) : NULL;
	if (!sample.text) {
		ret = root ? -ENOMEM : -EBADMSG;
		goto out;
	}
	(void)pthread_mutex_lock(&c->lock);
	if (what->slot->serial == what->serial && !what->slot->sample[run].text) {
		what->slot->sample[run] = sample;
		sample.text = NULL;
	}
	(void)pthread_mutex_unlock(&c->lock);
	free(sample.text);
out:
	free(text);
	return ret;
}

enum wanted {
	WANTED_MISSING, /* not known here */
	WANTED_UNTOLD,  /* of ours, and not shared */
};

/* The first such run; -1: there is none. */
static int next_run(struct counter *c, const struct counter_look *what, enum wanted wanted)
{
	const unsigned int runs = counter_sample_runs(&what->info);
	int found = -1;

	(void)pthread_mutex_lock(&c->lock);
	for (unsigned int k = 0; what->slot->serial == what->serial && k < runs && found < 0; k++) {
		const struct counter_sample *sample = &what->slot->sample[k];

		if (wanted == WANTED_MISSING ? !sample->text : sample->own && !sample->told)
			found = (int)k;
	}
	(void)pthread_mutex_unlock(&c->lock);
	return found;
}

/* Under @lock. @late: what is missing is not waited for any more. */
static enum sample_state judge(const struct counter_scan *scan, bool late, bool *ret_complete)
{
	const unsigned int runs = counter_sample_runs(&scan->info);
	enum sample_state state = SAMPLES_EMPTY;

	for (unsigned int k = 0; k < runs; k++) {
		const struct counter_sample *sample = &scan->sample[k];

		if (!sample->text && !late)
			return SAMPLES_MISSING;
		if (!sample->text || sample->frames == 0)
			continue;
		if (state == SAMPLES_EMPTY)
			state = sample->own ? SAMPLES_OURS : SAMPLES_OTHERS;
		*ret_complete |= sample->complete;
	}
	return state;
}

/* *ret_here: a sample run came here; else others see to it. */
static enum sample_state judge_now(struct counter *c, const struct counter_look *what,
				   bool *ret_complete, bool *ret_here)
{
	const struct counter_scan *scan = what->slot;
	enum sample_state state = SAMPLES_MISSING;

	*ret_complete = false;
	(void)pthread_mutex_lock(&c->lock);
	*ret_here = scan->serial == what->serial && scan->sampled_ns != 0;
	if (*ret_here)
		state = judge(scan, ns_until(scan->sampled_ns) == 0, ret_complete);
	(void)pthread_mutex_unlock(&c->lock);
	return state;
}

enum sample_state counter_sample_look(struct counter *c, const struct counter_look *what,
				      bool *ret_complete, struct sluice_error *reterr)
{
	bool here;
	enum sample_state state = judge_now(c, what, ret_complete, &here);
	int run, ret = 0;

	/* All are here, and the first that gave any is ours: nobody needs to be told. */
	if (state == SAMPLES_OURS || !here)
		return state;
	while (ret == 0 && (run = next_run(c, what, WANTED_UNTOLD)) >= 0)
		ret = tell(c, what, (unsigned int)run, reterr);
	while (ret == 0 && (run = next_run(c, what, WANTED_MISSING)) >= 0)
		ret = look_for(c, what, (unsigned int)run, reterr);
	if (ret == -EBADMSG || ret == -EINVAL)
		return SAMPLES_BAD;
	return judge_now(c, what, ret_complete, &here);
}
