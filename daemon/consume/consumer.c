/* SPDX-License-Identifier: MIT */
/* libsluice-consumer: what callers see of it. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/error.h>
#include <base/wake.h>
#include <consume/consumer_state.h>

/* The sources are given 5 s and the aggregators 8 s to end an aborted scan in good order. */
#define ABORT_TIMEOUT_NS (10 * NS_PER_S)
/* At least; enough for an aggregator to be started again. */
#define ABSENT_TIMEOUT_NS (10 * NS_PER_S)

/* ---- the queues ---------------------------------------------------------------------------- */

void consumer_wake(struct sluice_consumer *c)
{
	wake_post(c->wake_fd);
}

void consumer_ready_push(struct sluice_consumer *c, struct ready_item *item)
{
	(void)pthread_mutex_lock(&c->lock);
	item->next = NULL;
	*c->ready_tail = item;
	c->ready_tail = &item->next;
	(void)pthread_cond_signal(&c->ready_cond);
	(void)pthread_mutex_unlock(&c->lock);
}

static struct ready_item *ready_pop(struct sluice_consumer *c)
{
	struct ready_item *item = c->ready;

	if (!item)
		return NULL;
	c->ready = item->next;
	if (!c->ready)
		c->ready_tail = &c->ready;
	return item;
}

struct sluice_run *consumer_ready_withdraw(struct sluice_consumer *c,
					   const struct consumer_scan *scan, unsigned int owner)
{
	struct sluice_run *list = NULL;
	struct ready_item **at = &c->ready;

	(void)pthread_mutex_lock(&c->lock);
	while (*at) {
		struct sluice_run *run = (*at)->type == SLUICE_NEXT_RUN ? (*at)->run : NULL;

		if (!run || (scan && run->scan != scan) ||
		    (owner != OWNER_NONE && run->owner != owner)) {
			at = &(*at)->next;
			continue;
		}
		*at = (*at)->next;
		run->done_next = list;
		list = run;
		stat_sub(&c->stats.runs_ready, 1);
	}
	c->ready_tail = at;
	(void)pthread_mutex_unlock(&c->lock);
	return list;
}

/* ---- opening and closing ------------------------------------------------------------------- */

/* The callers' struct may be older, hence shorter, than ours. */
static int args_take(const struct sluice_consumer_args *args, struct sluice_consumer_args *ret_args,
		     struct sluice_error *reterr)
{
	const size_t first = offsetof(struct sluice_consumer_args, directory_user);
	struct sluice_consumer_args own = SLUICE_CONSUMER_ARGS_INIT;

	if (args->size < first || args->size > sizeof(own))
		return error_set(reterr, -EINVAL,
				 "consumer: arguments of %zu bytes; allowed: %zu to %zu: is the "
				 "program built for another version?",
				 args->size, first, sizeof(own));
	memcpy(&own, args, args->size);
	if (!own.directory || !own.instrument || !own.group || !own.id || !own.listen ||
	    !own.control)
		return error_set(reterr, -EINVAL, "consumer: an argument is NULL");
	if (own.id[0] == '\0' || strlen(own.id) >= SLUICE_WIRE_NAME_MAX)
		return error_set(reterr, -EINVAL, "consumer: id of %zu bytes; allowed: 1 to %d",
				 strlen(own.id), SLUICE_WIRE_NAME_MAX - 1);
	if (own.group[0] == '\0' || strlen(own.group) >= PLAN_GROUP_MAX)
		return error_set(reterr, -EINVAL, "consumer: group of %zu bytes; allowed: 1 to %d",
				 strlen(own.group), PLAN_GROUP_MAX - 1);
	if (own.window_runs == 0 || own.window_runs > SLUICE_WINDOW_RUNS_MAX)
		return error_set(reterr, -EINVAL, "consumer: window_runs is %u; allowed: 1 to %d",
				 own.window_runs, SLUICE_WINDOW_RUNS_MAX);
	if (own.window_frames > SLUICE_WINDOW_FRAMES_MAX)
		return error_set(reterr, -EINVAL, "consumer: window_frames is %u; allowed: 0 to %d",
				 own.window_frames, SLUICE_WINDOW_FRAMES_MAX);
	if (own.run_timeout_ms == 0 || own.run_timeout_ms > SLUICE_RUN_TIMEOUT_MS_MAX)
		return error_set(reterr, -EINVAL,
				 "consumer: run_timeout_ms is %u; allowed: 1 to %d",
				 own.run_timeout_ms, SLUICE_RUN_TIMEOUT_MS_MAX);
	if (own.directory_lease_ttl_s < 2 || own.directory_lease_ttl_s > 60)
		return error_set(reterr, -EINVAL,
				 "consumer: directory_lease_ttl_s is %u; allowed: 2 to 60",
				 own.directory_lease_ttl_s);
	if (own.directory_timeout_ms < 100 || own.directory_timeout_ms > 60000)
		return error_set(reterr, -EINVAL,
				 "consumer: directory_timeout_ms is %u; allowed: 100 to 60000",
				 own.directory_timeout_ms);
	*ret_args = own;
	return 0;
}

/* "http://a:2379,http://b:2379" */
static int endpoints_split(const char *text, char (*endpoint)[DIRECTORY_URL_MAX],
			   unsigned int *ret_count, struct sluice_error *reterr)
{
	unsigned int count = 0;

	for (const char *at = text; at; count++) {
		const char *comma = strchr(at, ',');
		const size_t len = comma ? (size_t)(comma - at) : strlen(at);

		if (count == DIRECTORY_ENDPOINTS_MAX)
			return error_set(reterr, -EINVAL,
					 "consumer: directory \"%.100s\" names more than %d", text,
					 DIRECTORY_ENDPOINTS_MAX);
		if (len == 0 || len >= DIRECTORY_URL_MAX)
			return error_set(
				reterr, -EINVAL,
				"consumer: directory \"%.100s\": a URL of %zu bytes; allowed: "
				"1 to %d",
				text, len, DIRECTORY_URL_MAX - 1);
		memcpy(endpoint[count], at, len);
		endpoint[count][len] = '\0';
		at = comma ? comma + 1 : NULL;
	}
	*ret_count = count;
	return 0;
}

static int member_join(struct sluice_consumer *c, const struct sluice_consumer_args *args,
		       struct sluice_error *reterr)
{
	char endpoint[DIRECTORY_ENDPOINTS_MAX][DIRECTORY_URL_MAX];
	struct member_args join = {
		.kind = MEMBER_CONSUMER,
		.entry_count = 1,
		.group = c->group,
		.listen = args->control,
		.directory = { .kind = c->has_directory ? DIRECTORY_ETCD : DIRECTORY_NONE,
			       .endpoints = (const char(*)[DIRECTORY_URL_MAX])endpoint,
			       .instrument = args->instrument,
			       .user = args->directory_user,
			       .password = args->directory_password,
			       .ca_file = args->directory_ca_file,
			       .lease_ttl_s = args->directory_lease_ttl_s,
			       .timeout_ns = args->directory_timeout_ms * NS_PER_MS },
		.ops = &consumer_member_ops,
		.ctx = c,
	};
	struct member_entry entry = { .id = "" };
	int ret;

	memcpy(entry.id, c->id, sizeof(entry.id));
	ret = consumer_info(c, link_receiver_endpoint(c->receiver), entry.info);
	if (ret < 0)
		return error_set(reterr, ret, "consumer %s: cannot describe itself", c->id);
	join.entries = &entry;
	if (c->has_directory) {
		ret = endpoints_split(args->directory, endpoint, &join.directory.endpoint_count,
				      reterr);
		if (ret < 0)
			return ret;
	}
	return member_open(&join, &c->member, reterr);
}

static int locks_init(struct sluice_consumer *c)
{
	pthread_condattr_t attr;
	int ret;

	ret = -pthread_condattr_init(&attr);
	if (ret < 0)
		return ret;
	ret = -pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (ret == 0)
		ret = -pthread_cond_init(&c->ready_cond, &attr);
	(void)pthread_condattr_destroy(&attr);
	if (ret < 0)
		return ret;
	ret = -pthread_mutex_init(&c->lock, NULL);
	if (ret < 0)
		(void)pthread_cond_destroy(&c->ready_cond);
	return ret;
}

static void locks_fini(struct sluice_consumer *c)
{
	(void)pthread_mutex_destroy(&c->lock);
	(void)pthread_cond_destroy(&c->ready_cond);
}

static void consumer_setup(struct sluice_consumer *c, const struct sluice_consumer_args *args)
{
	(void)snprintf(c->id, sizeof(c->id), "%s", args->id);
	(void)snprintf(c->group, sizeof(c->group), "%s", args->group);
	c->window_runs = args->window_runs;
	c->window_frames = args->window_frames;
	c->run_timeout_ns = args->run_timeout_ms * NS_PER_MS;
	c->abort_timeout_ns = ABORT_TIMEOUT_NS;
	c->absent_timeout_ns = c->run_timeout_ns > ABSENT_TIMEOUT_NS ? c->run_timeout_ns
								     : ABSENT_TIMEOUT_NS;
	c->prepare = args->prepare;
	c->ctx = args->ctx;
	c->has_directory = strcmp(args->directory, "none") != 0;
	c->ready_tail = &c->ready;
	c->done_tail = &c->done;
}

static int network_start(struct sluice_consumer *c, struct sluice_error *reterr)
{
	const int ret = -pthread_create(&c->thread, NULL, consumer_network, c);

	if (ret < 0)
		return error_set(reterr, ret, "consumer %s: cannot start a thread: %s", c->id,
				 error_name(ret));
	(void)pthread_setname_np(c->thread, "sluice-consume");
	return 0;
}

static void network_stop(struct sluice_consumer *c)
{
	atomic_store(&c->close, true);
	consumer_wake(c);
	(void)pthread_join(c->thread, NULL);
}

/* The network thread is gone: nothing moves any more. */
static void runs_free(struct sluice_consumer *c)
{
	for (unsigned int i = 0; i < RUN_BUCKETS; i++) {
		while (c->bucket[i]) {
			struct sluice_run *run = c->bucket[i];

			c->bucket[i] = run->bucket_next;
			run_destroy(run);
		}
	}
	for (unsigned int i = 0; i < SCANS_MAX; i++)
		scan_free(&c->scan[i]);
}

int sluice_consumer_open(const struct sluice_consumer_args *args,
			 struct sluice_consumer **ret_consumer, struct sluice_error *reterr)
{
	struct sluice_consumer_args own = SLUICE_CONSUMER_ARGS_INIT;
	struct link_receiver_args receiver = { .transport = "zmq",
					       .role = SLUICE_WIRE_CONSUMER,
					       .payload_max = SLUICE_WIRE_PAYLOAD_MAX,
					       .io_threads = 1 };
	struct sluice_consumer *c;
	int ret;

	ret = args_take(args, &own, reterr);
	if (ret < 0)
		return ret;
	c = calloc(1, sizeof(*c));
	if (!c)
		return error_set(reterr, -ENOMEM, "consumer %s: out of memory", own.id);
	consumer_setup(c, &own);
	c->plan = calloc(1, sizeof(*c->plan));
	ret = c->plan ? locks_init(c) : -ENOMEM;
	if (ret < 0) {
		(void)error_set(reterr, ret, "consumer %s: %s", c->id, error_name(ret));
		goto err_free;
	}
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->wake_fd < 0) {
		ret = neg_errno();
		(void)error_set(reterr, ret, "consumer %s: eventfd: %s", c->id, error_name(ret));
		goto err_locks;
	}
	receiver.bind = own.listen;
	receiver.name = c->id;
	receiver.window = c->window_runs;
	ret = link_receiver_open(&receiver, &c->receiver, reterr);
	if (ret < 0)
		goto err_fd;
	ret = network_start(c, reterr);
	if (ret < 0)
		goto err_receiver;
	/* What lets others in comes last. */
	ret = member_join(c, &own, reterr);
	if (ret < 0)
		goto err_network;
	*ret_consumer = c;
	return 0;

err_network:
	network_stop(c);
	runs_free(c);
err_receiver:
	link_receiver_close(c->receiver);
err_fd:
	(void)close(c->wake_fd);
err_locks:
	locks_fini(c);
err_free:
	free(c->plan);
	free(c);
	return ret;
}

void sluice_consumer_close(struct sluice_consumer *consumer)
{
	if (!consumer)
		return;
	member_close(consumer->member);
	network_stop(consumer);
	runs_free(consumer);
	link_receiver_close(consumer->receiver);
	(void)close(consumer->wake_fd);
	locks_fini(consumer);
	consumer_shared_free(consumer);
	free(consumer->plan);
	free(consumer);
}

void sluice_consumer_stop(struct sluice_consumer *consumer)
{
	atomic_store(&consumer->stop, true);
	consumer_wake(consumer);
}

const char *sluice_consumer_endpoint(const struct sluice_consumer *consumer)
{
	return link_receiver_endpoint(consumer->receiver);
}

const char *sluice_consumer_url(const struct sluice_consumer *consumer)
{
	return member_url(consumer->member);
}

void sluice_tune_allocator(void)
{
	link_tune_allocator();
}

const char *sluice_version(void)
{
	return SLUICE_VERSION;
}

/* ---- runs ---------------------------------------------------------------------------------- */

static void item_tell(struct sluice_consumer *c, const struct ready_item *item,
		      struct sluice_run **ret_run, struct sluice_scan *ret_scan)
{
	if (item->type == SLUICE_NEXT_RUN) {
		stat_sub(&c->stats.runs_ready, 1);
		stat_add(&c->stats.runs_in_hand, 1);
		*ret_run = item->run;
		return;
	}
	*ret_scan = item->scan->info;
	if (item->type == SLUICE_NEXT_SCAN_END)
		item->scan->state = SLOT_TOLD;
}

int sluice_consumer_next(struct sluice_consumer *consumer, uint64_t timeout_ns,
			 struct sluice_run **ret_run, struct sluice_scan *ret_scan)
{
	const uint64_t hour_ns = 3600 * NS_PER_S;
	const uint64_t end_ns = now_ns() + (timeout_ns < hour_ns ? timeout_ns : hour_ns);
	const struct timespec deadline = { .tv_sec = (time_t)(end_ns / NS_PER_S),
					   .tv_nsec = (long)(end_ns % NS_PER_S) };
	struct ready_item *item = NULL;
	bool waited_out = false;
	int ret;

	(void)pthread_mutex_lock(&consumer->lock);
	for (;;) {
		ret = atomic_load(&consumer->stop) ? -ECANCELED : consumer->failure;
		if (ret < 0)
			break;
		item = ready_pop(consumer);
		if (item) {
			ret = item->type;
			item_tell(consumer, item, ret_run, ret_scan);
			break;
		}
		ret = -EAGAIN;
		if (waited_out)
			break;
		waited_out = pthread_cond_timedwait(&consumer->ready_cond, &consumer->lock,
						    &deadline) == ETIMEDOUT;
	}
	(void)pthread_mutex_unlock(&consumer->lock);
	return ret;
}

static void give_back(struct sluice_consumer *c, struct sluice_run *run)
{
	/* Here rather than by the network thread, which has enough to do. */
	run_release(run);
	stat_sub(&c->stats.runs_in_hand, 1);
	(void)pthread_mutex_lock(&c->lock);
	run->done_next = NULL;
	*c->done_tail = run;
	c->done_tail = &run->done_next;
	(void)pthread_mutex_unlock(&c->lock);
	consumer_wake(c);
}

static bool is_own(const struct sluice_consumer *c, const struct sluice_run *run)
{
	return run->scan >= c->scan && run->scan < c->scan + SCANS_MAX;
}

int sluice_consumer_ack(struct sluice_consumer *consumer, struct sluice_run *run, uint64_t events)
{
	int ret;

	if (!is_own(consumer, run))
		return -EINVAL;
	ret = run_settle(run);
	if (ret < 0)
		return ret;
	run->events = events;
	give_back(consumer, run);
	return 0;
}

int sluice_consumer_drop(struct sluice_consumer *consumer, struct sluice_run *run)
{
	if (!is_own(consumer, run))
		return -EINVAL;
	run->dropped = true;
	give_back(consumer, run);
	return 0;
}

bool sluice_consumer_aborted(struct sluice_consumer *consumer, uint32_t scan)
{
	const struct consumer_scan *slot;
	bool aborted;

	(void)pthread_mutex_lock(&consumer->lock);
	slot = scan_slot(consumer, scan);
	aborted = slot && slot->abort_ns != 0;
	(void)pthread_mutex_unlock(&consumer->lock);
	return aborted;
}

/* ---- the half of the ledger ---------------------------------------------------------------- */

int sluice_consumer_set_part(struct sluice_consumer *consumer, uint32_t scan, const char *path)
{
	struct consumer_scan *slot;
	int ret = 0;

	if (strlen(path) >= sizeof(slot->half.part))
		return -ENAMETOOLONG;
	(void)pthread_mutex_lock(&consumer->lock);
	slot = scan_slot(consumer, scan);
	if (slot)
		(void)snprintf(slot->half.part, sizeof(slot->half.part), "%s", path);
	else
		ret = -ENOENT;
	(void)pthread_mutex_unlock(&consumer->lock);
	return ret;
}

int sluice_consumer_commit(struct sluice_consumer *consumer, uint32_t scan,
			   struct sluice_error *reterr)
{
	struct half_consumer half;
	struct consumer_scan *slot;
	char *json;
	int ret;

	(void)pthread_mutex_lock(&consumer->lock);
	slot = scan_slot(consumer, scan);
	if (slot && slot->state == SLOT_TOLD)
		half = slot->half;
	else
		slot = NULL;
	(void)pthread_mutex_unlock(&consumer->lock);
	if (!slot)
		return error_set(reterr, -ENOENT, "scan %u has not ended here", scan);
	json = half_encode_consumer(&half, consumer->id);
	if (!json)
		return error_set(reterr, -ENOMEM, "scan %u: out of memory", scan);
	ret = member_publish_half(consumer->member, scan, consumer->id, json, reterr);
	free(json);
	return ret;
}
