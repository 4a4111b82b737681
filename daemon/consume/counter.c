/* SPDX-License-Identifier: MIT */
/*
 * sluice-counter - a consumer that counts electrons: takes runs of frames from the aggregators,
 * counts each frame, appends the events to its own part of the scan's result, acknowledges.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/error.h>
#include <base/log.h>
#include <base/parse.h>
#include <consume/counter.h>

#define FINISH_NS (5 * NS_PER_S) /* for the runs in hand, when told to end */

enum {
	REPORT_EVERY_S = 1
};

void counter_fail(struct counter *counter, const char *fmt, ...)
{
	char line[SLUICE_ERROR_TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	log_err("%s", line);
	atomic_store(&counter->failed, true);
	sluice_consumer_stop(counter->consumer);
	(void)kill(getpid(), SIGTERM); /* the main thread waits for it */
}

/* ---- references ---------------------------------------------------------------------------- */

static int read_all(int fd, uint8_t *dst, size_t len)
{
	while (len > 0) {
		const ssize_t n = read(fd, dst, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return neg_errno();
		if (n == 0)
			return -EBADMSG; /* shorter than it said */
		dst += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The whole file, of @element bytes each; NULL for the empty path. */
static int reference_load(const char *path, size_t element, void **ret_data, uint64_t *ret_pixels,
			  struct sluice_error *reterr)
{
	const uint64_t max = (uint64_t)SLUICE_SIDE_MAX * SLUICE_SIDE_MAX * element;
	struct stat st;
	void *data;
	int fd, ret;

	if (path[0] == '\0')
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		ret = neg_errno();
		(void)error_set(reterr, ret, "%s: %s", path, error_name(ret));
		goto out;
	}
	if (st.st_size <= 0 || (uint64_t)st.st_size > max || (uint64_t)st.st_size % element != 0) {
		ret = error_set(reterr, -EINVAL, "%s: %lld bytes are no frame of %zu bytes a pixel",
				path, (long long)st.st_size, element);
		goto out;
	}
	data = malloc((size_t)st.st_size);
	ret = data ? read_all(fd, data, (size_t)st.st_size) : -ENOMEM;
	if (ret < 0) {
		free(data);
		(void)error_set(reterr, ret, "%s: %s", path, error_name(ret));
		goto out;
	}
	*ret_data = data;
	*ret_pixels = (uint64_t)st.st_size / element;
out:
	if (fd >= 0)
		(void)close(fd);
	return ret;
}

/* ---- plans --------------------------------------------------------------------------------- */

static int check_reference(const char *what, const char *path, uint64_t pixels, uint64_t frame,
			   struct sluice_error *reterr)
{
	if (path[0] == '\0' || pixels == frame)
		return 0;
	return error_set(reterr, -EINVAL, "%s %s has %" PRIu64 " pixels, a frame %" PRIu64, what,
			 path, pixels, frame);
}

static int prepare(void *ctx, const struct sluice_scan *scan, struct sluice_error *reterr)
{
	const struct counter *c = ctx;
	const struct counter_config *config = &c->config;
	const uint64_t frame = (uint64_t)sluice_frame_rows(&scan->geometry) *
			       sluice_frame_columns(&scan->geometry);
	int ret;

	ret = check_reference("dark reference", config->dark, c->dark_pixels, frame, reterr);
	if (ret == 0)
		ret = check_reference("gain map", config->gain, c->gain_pixels, frame, reterr);
	if (ret == 0 && access(c->output, W_OK | X_OK) < 0) {
		ret = neg_errno();
		(void)error_set(reterr, ret, "output folder %s: %s", c->output, error_name(ret));
	}
	if (ret < 0)
		return error_prefix(reterr, ret, "consumer %s", config->id);
	log_info("scan %" PRIu32 ": armed", scan->scan);
	return 0;
}

/* ---- the program --------------------------------------------------------------------------- */

static int counter_setup(struct counter *c, struct sluice_error *reterr)
{
	const struct counter_config *config = &c->config;
	void *dark = NULL, *gain = NULL;
	char *output;
	int ret;

	ret = count_kernel_choose(counter_kernels[config->kernel], &c->kernel, reterr);
	if (ret < 0)
		return ret;
	output = realpath(config->output, NULL);
	if (!output || strlen(output) >= sizeof(c->output)) {
		ret = output ? -ENAMETOOLONG : neg_errno();
		free(output);
		return error_set(reterr, ret, "output folder %s: %s", config->output,
				 error_name(ret));
	}
	(void)snprintf(c->output, sizeof(c->output), "%s", output);
	free(output);
	ret = reference_load(config->dark, sizeof(*c->dark), &dark, &c->dark_pixels, reterr);
	c->dark = dark;
	if (ret == 0)
		ret = reference_load(config->gain, sizeof(*c->gain), &gain, &c->gain_pixels,
				     reterr);
	c->gain = gain;
	return ret;
}

static int consumer_join(struct counter *c, struct sluice_error *reterr)
{
	const struct counter_config *config = &c->config;
	struct sluice_consumer_args args = SLUICE_CONSUMER_ARGS_INIT;
	char directory[DIRECTORY_ENDPOINTS_MAX * DIRECTORY_URL_MAX] = "none";
	size_t used = 0;

	for (unsigned int i = 0;
	     config->member.kind == DIRECTORY_ETCD && i < config->member.endpoint_count; i++)
		used += (size_t)snprintf(directory + used, sizeof(directory) - used, "%s%s",
					 i > 0 ? "," : "", config->member.endpoints[i]);
	args.directory = directory;
	args.instrument = config->member.instrument;
	args.directory_user = config->member.user;
	args.directory_password = config->member.password;
	args.directory_ca_file = config->member.ca_file;
	args.directory_lease_ttl_s = config->member.lease_ttl_s;
	args.directory_timeout_ms = config->member.timeout_ms;
	args.group = config->group;
	args.id = config->id;
	args.listen = config->listen;
	args.control = config->member.control;
	args.window_runs = config->window_runs;
	args.window_frames = THRESHOLD_SAMPLES; /* they are kept until thresholds are known */
	args.run_timeout_ms = config->run_timeout_ms;
	args.prepare = prepare;
	args.ctx = c;
	return sluice_consumer_open(&args, &c->consumer, reterr);
}

static unsigned int processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (unsigned int)CPU_COUNT(&set);
}

static void report(struct counter *c, uint64_t *frames_before, uint64_t *before_ns)
{
	const uint64_t frames = atomic_load(&c->frames), now = now_ns();
	const double seconds = (double)(now - *before_ns) / (double)NS_PER_S;

	(void)sluice_consumer_report_number(c->consumer, "frames_counted", (double)frames);
	(void)sluice_consumer_report_number(c->consumer, "events_counted",
					    (double)atomic_load(&c->events));
	if (seconds > 0)
		(void)sluice_consumer_report_number(c->consumer, "frames_per_s",
						    (double)(frames - *frames_before) / seconds);
	*frames_before = frames;
	*before_ns = now;
}

static void wait_for_end(struct counter *c, const sigset_t *signals)
{
	const struct timespec every = { .tv_sec = REPORT_EVERY_S };
	uint64_t frames = 0, before_ns = now_ns();

	(void)sluice_consumer_report_text(c->consumer, "kernel", count_kernel_name(c->kernel));
	do
		report(c, &frames, &before_ns);
	while (sigtimedwait(signals, NULL, &every) < 0);
}

/* Runs in hand are finished; a worker that does not come to its end is left behind. */
static bool workers_join(struct counter *c, struct counter_worker *worker, unsigned int count)
{
	const uint64_t end_ns = now_ns() + FINISH_NS;
	const struct timespec deadline = { .tv_sec = (time_t)(end_ns / NS_PER_S),
					   .tv_nsec = (long)(end_ns % NS_PER_S) };
	bool ended;

	(void)pthread_mutex_lock(&c->lock);
	while (c->ended < count &&
	       pthread_cond_timedwait(&c->ended_cond, &c->lock, &deadline) != ETIMEDOUT)
		;
	ended = c->ended == count;
	(void)pthread_mutex_unlock(&c->lock);
	for (unsigned int i = 0; ended && i < count; i++) {
		(void)pthread_join(worker[i].thread, NULL);
		counter_worker_clear(&worker[i]);
	}
	return ended;
}

static int work(struct counter *c, const sigset_t *signals)
{
	const unsigned int threads = c->config.threads > 0 ? c->config.threads : processors();
	struct counter_worker *worker = calloc(threads, sizeof(*worker));
	unsigned int started = 0;
	int ret = worker ? 0 : -ENOMEM;

	for (; ret == 0 && started < threads; started += ret == 0) {
		worker[started].counter = c;
		ret = -pthread_create(&worker[started].thread, NULL, counter_work,
				      &worker[started]);
	}
	if (ret == 0) {
		log_info(
			"counts with %u threads, kernel %s; listens at %s, status at %s/api/v1/status",
			threads, count_kernel_name(c->kernel),
			sluice_consumer_endpoint(c->consumer), sluice_consumer_url(c->consumer));
		wait_for_end(c, signals);
		log_info("ends");
	} else {
		log_err("cannot start %u threads: %s", threads, error_name(ret));
	}
	sluice_consumer_stop(c->consumer);
	if (!workers_join(c, worker, started)) {
		log_err("a run was not finished within 5 s; it is not acknowledged");
		_exit(EXIT_FAILURE); /* what the worker still reads must stay */
	}
	free(worker);
	return ret;
}

static void locks_init(struct counter *c)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&c->ended_cond, &attr);
	(void)pthread_condattr_destroy(&attr);
	(void)pthread_mutex_init(&c->lock, NULL);
}

static int counter_main(struct counter *c)
{
	struct sluice_error error = { 0 };
	sigset_t signals;
	int ret;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	/* Before any thread is made, so that all inherit it. */
	(void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	sluice_tune_allocator();
	locks_init(c);
	ret = counter_setup(c, &error);
	if (ret == 0)
		ret = consumer_join(c, &error);
	if (ret < 0)
		log_err("%s", error.text);
	else
		ret = work(c, &signals);
	if (c->consumer)
		counter_scans_close(c);
	counter_halves_close(c);
	sluice_consumer_close(c->consumer);
	(void)pthread_cond_destroy(&c->ended_cond);
	(void)pthread_mutex_destroy(&c->lock);
	free(c->dark);
	free(c->gain);
	return ret < 0 || atomic_load(&c->failed) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- the command line ---------------------------------------------------------------------- */

enum {
	KEY_HELP_CONFIG = 256,
	KEY_CHECK,
	KEY_BACKGROUND,
	KEY_XRAY,
	KEY_LISTEN,
	KEY_CONTROL,
};

static const struct argp_option options[] = {
	{ "config", 'c', "FILE", 0, "Configuration, YAML", 0 },
	{ "check", KEY_CHECK, NULL, 0, "Read the configuration, say whether it is good, and end",
	  0 },
	{ "help-config", KEY_HELP_CONFIG, NULL, 0, "List the keys of the configuration and end",
	  0 },
	{ NULL, 0, NULL, 0, "In place of what the configuration says:", 1 },
	{ "directory", 'd', "URLS", 0, "etcd at these URLs, with commas between them; or \"none\"",
	  1 },
	{ "instrument", 'n', "NAME", 0, "Name of the instrument", 1 },
	{ "group", 'g', "NAME", 0, "Group of consumers", 1 },
	{ "id", 'i', "NAME", 0, "Name of this consumer", 1 },
	{ "listen", KEY_LISTEN, "ENDPOINT", 0, "Where aggregators connect", 1 },
	{ "control", KEY_CONTROL, "ADDRESS:PORT", 0, "Where status and metrics are served", 1 },
	{ "output", 'o', "DIR", 0, "Folder of this consumer's parts", 1 },
	{ "threads", 't', "N", 0, "Threads that count; 0: one per processor", 1 },
	{ "background", KEY_BACKGROUND, "B", 0, "Background threshold, pixel value", 1 },
	{ "xray", KEY_XRAY, "X", 0, "X-ray threshold, pixel value; 0: both are fitted", 1 },
	{ 0 },
};

struct arguments {
	const char *config, *directory, *instrument, *group, *id, *listen, *control, *output;
	const char *threads, *background, *xray;
	bool check, help_config;
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
	struct arguments *a = state->input;
	const struct {
		int key;
		const char **ret;
	} row[] = {
		{ 'c', &a->config },
		{ 'd', &a->directory },
		{ 'n', &a->instrument },
		{ 'g', &a->group },
		{ 'i', &a->id },
		{ KEY_LISTEN, &a->listen },
		{ KEY_CONTROL, &a->control },
		{ 'o', &a->output },
		{ 't', &a->threads },
		{ KEY_BACKGROUND, &a->background },
		{ KEY_XRAY, &a->xray },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		if (row[i].key == key) {
			*row[i].ret = value;
			return 0;
		}
	}
	switch (key) {
	case KEY_CHECK:
		a->check = true;
		return 0;
	case KEY_HELP_CONFIG:
		a->help_config = true;
		return 0;
	case ARGP_KEY_ARG:
		/* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread yet */
		argp_error(state, "unexpected argument: %s", value);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int text_option(const char *name, const char *value, char *dst, size_t size,
		       struct sluice_error *reterr)
{
	if (!value)
		return 0;
	if (value[0] == '\0' || strlen(value) >= size)
		return error_set(reterr, -EINVAL, "--%s has %zu bytes; allowed: 1 to %zu", name,
				 strlen(value), size - 1);
	(void)snprintf(dst, size, "%s", value);
	return 0;
}

static int directory_option(const char *value, struct member_config *config,
			    struct sluice_error *reterr)
{
	if (!value)
		return 0;
	if (strcmp(value, "none") == 0) {
		config->kind = DIRECTORY_NONE;
		return 0;
	}
	config->kind = DIRECTORY_ETCD;
	config->endpoint_count = 0;
	for (const char *at = value; at;) {
		const char *comma = strchr(at, ',');
		const size_t len = comma ? (size_t)(comma - at) : strlen(at);

		if (config->endpoint_count == DIRECTORY_ENDPOINTS_MAX || len == 0 ||
		    len >= DIRECTORY_URL_MAX)
			return error_set(reterr, -EINVAL, "--directory %s: allowed: up to %d URLs",
					 value, DIRECTORY_ENDPOINTS_MAX);
		memcpy(config->endpoints[config->endpoint_count], at, len);
		config->endpoints[config->endpoint_count++][len] = '\0';
		at = comma ? comma + 1 : NULL;
	}
	return 0;
}

static int number_options(const struct arguments *a, struct counter_config *config,
			  struct sluice_error *reterr)
{
	uint64_t threads;

	if (a->threads) {
		if (parse_u64(a->threads, 0, COUNTER_THREADS_MAX, &threads) < 0)
			return error_set(reterr, -EINVAL, "--threads %s: allowed: 0 to %d",
					 a->threads, COUNTER_THREADS_MAX);
		config->threads = (uint32_t)threads;
	}
	if (a->background && parse_f64(a->background, 0, UINT32_MAX, &config->background) < 0)
		return error_set(reterr, -EINVAL, "--background %s: allowed: 0 to 4294967295",
				 a->background);
	if (a->xray && parse_f64(a->xray, 0, UINT32_MAX, &config->xray) < 0)
		return error_set(reterr, -EINVAL, "--xray %s: allowed: 0 to 4294967295", a->xray);
	return 0;
}

static int config_take(const struct arguments *a, struct counter_config *config,
		       struct sluice_error *reterr)
{
	const struct {
		const char *name, *value;
		char *dst;
		size_t size;
	} text[] = {
		{ "instrument", a->instrument, config->member.instrument,
		  sizeof(config->member.instrument) },
		{ "group", a->group, config->group, sizeof(config->group) },
		{ "id", a->id, config->id, sizeof(config->id) },
		{ "listen", a->listen, config->listen, sizeof(config->listen) },
		{ "control", a->control, config->member.control, sizeof(config->member.control) },
		{ "output", a->output, config->output, sizeof(config->output) },
	};
	int ret = 0;

	if (a->config)
		ret = config_load(a->config, counter_config_rows, config, reterr);
	for (size_t i = 0; ret == 0 && i < sizeof(text) / sizeof(text[0]); i++)
		ret = text_option(text[i].name, text[i].value, text[i].dst, text[i].size, reterr);
	if (ret == 0)
		ret = directory_option(a->directory, &config->member, reterr);
	if (ret == 0)
		ret = number_options(a, config, reterr);
	/* It is part of a file's name. */
	if (ret == 0 && strchr(config->id, '/'))
		ret = error_set(reterr, -EINVAL, "id \"%s\" holds a '/'", config->id);
	if (ret == 0 && config->xray > 0 && config->xray <= config->background)
		ret = error_set(reterr, -EINVAL, "thresholds: xray %g is not above background %g",
				config->xray, config->background);
	return ret;
}

const char *argp_program_version = "sluice-counter " SLUICE_VERSION;

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse_option,
		.doc = "Counts electrons: takes runs of frames from the aggregators, appends the "
		       "events to its part of the scan's result, acknowledges.",
	};
	struct arguments arguments = { 0 };
	struct sluice_error error = { 0 };
	static struct counter counter;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread yet */
	(void)argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	log_init("sluice-counter", LOG_LEVEL_INFO);
	counter_config_init(&counter.config);
	if (arguments.help_config) {
		config_describe(counter_config_rows, &counter.config, stdout);
		return EXIT_SUCCESS;
	}
	if (config_take(&arguments, &counter.config, &error) < 0) {
		log_err("%s", error.text);
		return EXIT_FAILURE;
	}
	if (arguments.check) {
		log_info("%s: good", arguments.config ? arguments.config : "defaults");
		return EXIT_SUCCESS;
	}
	log_init("sluice-counter", (enum log_level)counter.config.member.log_level);
	return counter_main(&counter);
}
