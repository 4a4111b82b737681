/* SPDX-License-Identifier: MIT */
/*
 * The watch thread. Each watch goes round:
 *
 *   waiting --(its time has come)--> list, report the difference --> streaming from that revision
 *      ^                                  | fails                        | ends, is cancelled,
 *      +------ back-off 100 ms .. 2 s ----+------------------------------+ or is no etcd's
 *
 * The list in front of every stream is what heals: a restarted etcd, an emptied one, a revision
 * compacted away and a broken connection are all the same to it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/error.h>
#include <directory/etcd.h>

enum {
	LOOK_MS = 1000,              /* at least so often the thread looks round */
	STREAM_BYTES_MAX = 48 << 20, /* of a stream's answer that is not read yet */
};

int etcd_watch_init(struct etcd *etcd)
{
	struct etcd_watches *watches = &etcd->watches;
	const int ret = -pthread_mutex_init(&watches->lock, NULL);

	if (ret < 0)
		return ret;
	watches->multi = curl_multi_init();
	if (!watches->multi) {
		(void)pthread_mutex_destroy(&watches->lock);
		return -ENOMEM;
	}
	return 0;
}

/* What a watcher is called through: silent from the moment that close() begins. */
static void report(void *ctx, enum directory_change change, const char *key, const char *value,
		   int64_t revision)
{
	struct etcd_watch *w = ctx;

	if (!atomic_load_explicit(&w->etcd->stopping, memory_order_relaxed))
		w->watcher(w->ctx, change, key, value, revision);
}

static void end_stream(struct etcd_watch *w)
{
	if (!w->streaming)
		return;
	(void)curl_multi_remove_handle(w->etcd->watches.multi, w->easy);
	curl_slist_free_all(w->stream.headers);
	w->stream.headers = NULL;
	transfer_fini(&w->stream);
	free(w->body);
	w->body = NULL;
	w->streaming = false;
}

/* Back to waiting. */
static void retry_later(struct etcd_watch *w)
{
	const uint64_t now = now_ns();

	end_stream(w);
	/* What held for a while is tried again at once; what fails at once is tried rarely. */
	if (now - w->started_ns > ETCD_RETRY_MAX_MS * NS_PER_MS || w->retry_ms == 0)
		w->retry_ms = ETCD_RETRY_FIRST_MS;
	else if (w->retry_ms < ETCD_RETRY_MAX_MS)
		w->retry_ms *= 2;
	if (w->retry_ms > ETCD_RETRY_MAX_MS)
		w->retry_ms = ETCD_RETRY_MAX_MS;
	w->retry_at_ns = now + w->retry_ms * NS_PER_MS;
	(void)atomic_fetch_add(&w->etcd->base.stats.watch_restarts, 1);
	/* A stream that ended may mean an etcd that has forgotten the lease as well. */
	etcd_lease_wake(w->etcd);
}

/* Reports what changed since the last stream; gives the revision that it holds for. */
static int catch_up(struct etcd_watch *w, int64_t *ret_revision)
{
	struct etcd *etcd = w->etcd;
	struct etcd_list list = { 0 };
	struct directory_entries entries;
	int ret = etcd_list_call(etcd, w->prefix, etcd_deadline(etcd), &list, NULL);

	if (ret < 0)
		return ret;
	entries = (struct directory_entries){ list.entry, list.count };
	ret = watch_view_compare(&w->view, &entries, list.revision, report, w);
	*ret_revision = list.revision;
	etcd_list_fini(&list);
	return ret;
}

static int start_stream(struct etcd_watch *w, int64_t revision)
{
	struct etcd *etcd = w->etcd;
	char prefix[ETCD_FULL_KEY_MAX];
	int ret = -ENOMEM;

	etcd_full_key(etcd, w->prefix, prefix);
	w->endpoint = atomic_load(&etcd->good);
	(void)snprintf(w->url, sizeof(w->url), "%s/v3/watch", etcd->endpoint[w->endpoint]);
	w->body = etcd_encode_watch(prefix, revision + 1);
	w->stream = (struct transfer){ .url = w->url,
				       .body = w->body,
				       .ca_file = etcd->ca_file,
				       .headers = etcd_headers(etcd),
				       .stop = &etcd->stopping,
				       .answer_max = STREAM_BYTES_MAX };
	w->scanned = 0;
	w->ended = false;
	if (!w->easy)
		w->easy = curl_easy_init();
	if (w->easy && w->body && w->stream.headers)
		ret = transfer_prepare(w->easy, &w->stream);
	if (ret == 0 && curl_easy_setopt(w->easy, CURLOPT_PRIVATE, w) != CURLE_OK)
		ret = -ENOMEM;
	if (ret == 0 && curl_multi_add_handle(etcd->watches.multi, w->easy) != CURLM_OK)
		ret = -ENOMEM;
	if (ret < 0) {
		curl_slist_free_all(w->stream.headers);
		free(w->body);
		w->body = NULL;
		return ret;
	}
	w->streaming = true;
	return 0;
}

static void begin(struct etcd_watch *w)
{
	int64_t revision = 0;
	int ret;

	w->started_ns = now_ns();
	ret = catch_up(w, &revision);
	if (ret == 0)
		ret = start_stream(w, revision);
	if (ret < 0)
		retry_later(w);
}

/* One line of the stream. Not 0: the stream is of no more use. */
static int read_line(struct etcd_watch *w, const char *line, size_t len)
{
	struct directory_stats *stats = &w->etcd->base.stats;
	struct etcd_watch_answer answer;
	int ret = etcd_decode_watch(line, len, w->etcd->root, &answer);

	if (ret < 0) {
		(void)atomic_fetch_add(&stats->bad_answers, 1);
		return ret;
	}
	(void)atomic_fetch_add(&stats->bad_answers, answer.skipped);
	for (unsigned int i = 0; i < answer.count && ret == 0; i++) {
		struct directory_entry entry = { .value = answer.event[i].value,
						 .revision = answer.event[i].revision };

		(void)memcpy(entry.key, answer.event[i].key, sizeof(entry.key));
		ret = watch_view_apply(&w->view, answer.event[i].change, &entry, report, w);
	}
	if (ret == 0 && answer.canceled)
		ret = -ESTALE;
	etcd_watch_answer_fini(&answer);
	return ret;
}

static int read_lines(struct etcd_watch *w)
{
	struct transfer *t = &w->stream;
	size_t begin_of_line = 0;
	int ret = 0;

	while (ret == 0 && w->scanned < t->answer_bytes) {
		const char *end = memchr(t->answer + w->scanned, '\n',
					 t->answer_bytes - w->scanned);

		if (!end) {
			w->scanned = t->answer_bytes;
			break;
		}
		w->scanned = (size_t)(end - t->answer) + 1;
		ret = read_line(w, t->answer + begin_of_line, w->scanned - 1 - begin_of_line);
		begin_of_line = w->scanned;
	}
	if (begin_of_line > 0) {
		(void)memmove(t->answer, t->answer + begin_of_line,
			      t->answer_bytes - begin_of_line);
		t->answer_bytes -= begin_of_line;
		w->scanned -= begin_of_line;
	}
	return ret;
}

static void collect_ended(struct etcd_watches *watches)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(watches->multi, &left))) {
		struct etcd_watch *w = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&w);
		w->ended = true;
	}
}

/* Moves one watch on; gives the time at which it wants to be looked at again. */
static uint64_t step(struct etcd_watch *w)
{
	if (w->streaming) {
		const bool moved = w->endpoint != atomic_load(&w->etcd->good);

		/* Calls have gone over to another endpoint: this one may be silent for good. */
		if (read_lines(w) < 0 || w->ended || moved)
			retry_later(w);
	} else if (now_ns() >= w->retry_at_ns) {
		begin(w);
		if (w->streaming)
			return now_ns();
	}
	return w->streaming ? UINT64_MAX : w->retry_at_ns;
}

static void *watch_main(void *arg)
{
	struct etcd *etcd = arg;
	struct etcd_watches *watches = &etcd->watches;

	while (!atomic_load(&etcd->stopping)) {
		/* Acquire: pairs with the release in etcd_watch_add(); the watches are filled. */
		const unsigned int count = atomic_load_explicit(&watches->count,
								memory_order_acquire);
		uint64_t next_ns = now_ns() + LOOK_MS * NS_PER_MS;
		int running;

		(void)curl_multi_perform(watches->multi, &running);
		collect_ended(watches);
		for (unsigned int i = 0; i < count; i++) {
			const uint64_t wish_ns = step(&watches->watch[i]);

			if (wish_ns < next_ns)
				next_ns = wish_ns;
		}
		(void)curl_multi_poll(watches->multi, NULL, 0, ms_from_ns(ns_until(next_ns)), NULL);
	}
	return NULL;
}

int etcd_watch_start(struct etcd *etcd)
{
	const int ret = -pthread_create(&etcd->watches.thread, NULL, watch_main, etcd);

	etcd->watches.started = ret == 0;
	return ret;
}

void etcd_watch_stop(struct etcd *etcd)
{
	if (!etcd->watches.started)
		return;
	(void)curl_multi_wakeup(etcd->watches.multi);
	(void)pthread_join(etcd->watches.thread, NULL);
	etcd->watches.started = false;
}

void etcd_watch_fini(struct etcd *etcd)
{
	struct etcd_watches *watches = &etcd->watches;

	for (unsigned int i = 0; i < watches->count; i++) {
		struct etcd_watch *w = &watches->watch[i];

		end_stream(w);
		curl_easy_cleanup(w->easy);
		watch_view_fini(&w->view);
	}
	(void)curl_multi_cleanup(watches->multi);
	(void)pthread_mutex_destroy(&watches->lock);
}

int etcd_watch_add(struct etcd *etcd, const char *prefix, directory_watcher watcher, void *ctx,
		   struct sluice_error *reterr)
{
	struct etcd_watches *watches = &etcd->watches;
	unsigned int count;
	int ret = 0;

	(void)pthread_mutex_lock(&watches->lock);
	count = atomic_load_explicit(&watches->count, memory_order_relaxed);
	if (count == DIRECTORY_WATCHES_MAX) {
		ret = error_set(reterr, -ENOSPC,
				"directory: %s: over %d watches (DIRECTORY_WATCHES_MAX)", prefix,
				DIRECTORY_WATCHES_MAX);
	} else {
		struct etcd_watch *w = &watches->watch[count];

		*w = (struct etcd_watch){ .etcd = etcd, .watcher = watcher, .ctx = ctx };
		(void)memcpy(w->prefix, prefix, strlen(prefix) + 1);
		/* Release: pairs with the acquire in watch_main(). */
		atomic_store_explicit(&watches->count, count + 1, memory_order_release);
	}
	(void)pthread_mutex_unlock(&watches->lock);
	if (ret == 0)
		(void)curl_multi_wakeup(watches->multi);
	return ret;
}
