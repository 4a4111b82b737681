/* SPDX-License-Identifier: MIT */
/*
 * One call to the cluster. Endpoints are tried in turn, the one that answered last first; each
 * gets an even share of the time that is left, so that one that is silent cannot eat it all.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/clock.h>
#include <base/error.h>
#include <directory/etcd.h>

/* One request to one endpoint. */
struct attempt {
	const char *path;
	const char *body;
	size_t answer_max;
	uint64_t timeout_ns;
	bool once, last;
	unsigned int endpoint;
	/* Filled by it. */
	bool sent;
	bool stale_token;
	char why[ETCD_REASON_MAX];
};

uint64_t etcd_deadline(const struct etcd *etcd)
{
	return now_ns() + etcd->timeout_ns;
}

static CURL *easy_get(struct etcd *etcd)
{
	CURL *easy = NULL;

	(void)pthread_mutex_lock(&etcd->pool_lock);
	if (etcd->idle_count > 0)
		easy = etcd->idle[--etcd->idle_count];
	(void)pthread_mutex_unlock(&etcd->pool_lock);
	return easy ? easy : curl_easy_init();
}

static void easy_put(struct etcd *etcd, CURL *easy)
{
	(void)pthread_mutex_lock(&etcd->pool_lock);
	if (etcd->idle_count < ETCD_IDLE_MAX) {
		etcd->idle[etcd->idle_count++] = easy;
		easy = NULL;
	}
	(void)pthread_mutex_unlock(&etcd->pool_lock);
	curl_easy_cleanup(easy);
}

void etcd_pool_fini(struct etcd *etcd)
{
	while (etcd->idle_count > 0)
		curl_easy_cleanup(etcd->idle[--etcd->idle_count]);
}

static int append_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

struct curl_slist *etcd_headers(struct etcd *etcd)
{
	char line[ETCD_TOKEN_MAX + 32];
	struct curl_slist *list = NULL;
	/* "Expect:" empty: no round trip in front of a large body. */
	int ret = append_header(&list, "Content-Type: application/json");

	if (ret == 0)
		ret = append_header(&list, "Expect:");
	/* An etcd that has lost its quorum ends a watch instead of going quiet. */
	if (ret == 0)
		ret = append_header(&list, "Grpc-Metadata-hasleader: true");
	(void)pthread_mutex_lock(&etcd->pool_lock);
	(void)snprintf(line, sizeof(line), "Authorization: %s", etcd->token);
	if (ret == 0 && etcd->token[0])
		ret = append_header(&list, line);
	(void)pthread_mutex_unlock(&etcd->pool_lock);
	if (ret < 0) {
		curl_slist_free_all(list);
		return NULL;
	}
	return list;
}

/* etcd said no: what that means here. -EAGAIN: not by this endpoint, not now. */
static int failure_to_errno(const struct etcd_failure *f, bool *ret_stale_token)
{
	switch (f->code) {
	case ETCD_NOT_FOUND:
		return -ENOENT;
	case ETCD_PERMISSION_DENIED:
		return -EACCES;
	case ETCD_UNAUTHENTICATED:
		*ret_stale_token = true;
		return -EACCES;
	case ETCD_INVALID_ARGUMENT:
		/* etcd 3.4 files these under invalid arguments (etcdserver/api/v3rpc/rpctypes). */
		if (strstr(f->reason, "auth store is old") ||
		    strstr(f->reason, "user name is empty")) {
			*ret_stale_token = true;
			return -EACCES;
		}
		return strstr(f->reason, "authentication failed") ? -EACCES : -EINVAL;
	case ETCD_FAILED_PRECONDITION:
		return strstr(f->reason, "authentication is not enabled") ? -EACCES : -EIO;
	case ETCD_RESOURCE_EXHAUSTED:
		return -ENOSPC;
	case ETCD_UNAVAILABLE:
	case ETCD_DEADLINE_EXCEEDED:
		return -EAGAIN;
	case ETCD_OUT_OF_RANGE:
		return -ESTALE;
	default:
		return -EIO;
	}
}

/* The endpoint answered in HTTP: does etcd speak, and what does it say? */
static int judge_status(struct attempt *a, const struct transfer *t)
{
	struct etcd_failure failure;
	int ret;

	if (t->status == 200 && t->answer)
		return 0;
	ret = etcd_decode_failure(t->answer ? t->answer : "", t->answer_bytes, &failure);
	if (ret < 0) {
		(void)snprintf(a->why, sizeof(a->why),
			       "HTTP status %u, which is no answer of etcd's", t->status);
		return ret;
	}
	(void)snprintf(a->why, sizeof(a->why), "%s", failure.reason);
	return failure_to_errno(&failure, &a->stale_token);
}

static int attempt_run(struct etcd *etcd, struct attempt *a, struct etcd_answer *ret_answer)
{
	char url[ETCD_URL_MAX];
	struct transfer t = { .url = url,
			      .body = a->body,
			      .ca_file = etcd->ca_file,
			      .stop = a->last ? NULL : &etcd->stopping,
			      .timeout_ns = a->timeout_ns,
			      .answer_max = a->answer_max,
			      .fresh = a->once };
	CURL *easy = easy_get(etcd);
	int ret = -ENOMEM;

	(void)snprintf(url, sizeof(url), "%s%s", etcd->endpoint[a->endpoint], a->path);
	t.headers = etcd_headers(etcd);
	if (!easy || !t.headers) {
		(void)snprintf(a->why, sizeof(a->why), "out of memory");
		goto out;
	}
	ret = transfer_run(easy, &t);
	a->sent = t.sent;
	if (ret < 0)
		(void)snprintf(a->why, sizeof(a->why), "%s", t.why);
	else
		ret = judge_status(a, &t);
	if (ret == -E2BIG)
		ret = -EBADMSG;
	if (ret == 0) {
		*ret_answer = (struct etcd_answer){ .text = t.answer, .bytes = t.answer_bytes };
		t.answer = NULL;
	}
out:
	if (easy)
		easy_put(etcd, easy);
	curl_slist_free_all(t.headers);
	transfer_fini(&t);
	return ret;
}

/* Asks the attempt's endpoint for a new token. */
static int renew_token(struct etcd *etcd, const struct attempt *a, char why[ETCD_REASON_MAX])
{
	char token[ETCD_TOKEN_MAX], *body = etcd_encode_authenticate(etcd->user, etcd->password);
	struct attempt login = *a;
	struct etcd_answer answer = { 0 };
	int ret;

	login.path = "/v3/auth/authenticate";
	login.body = body;
	login.answer_max = ETCD_ANSWER_BYTES_MAX;
	/* A token that is not valid any more would spoil the login too. */
	(void)pthread_mutex_lock(&etcd->pool_lock);
	etcd->token[0] = '\0';
	(void)pthread_mutex_unlock(&etcd->pool_lock);
	ret = body ? attempt_run(etcd, &login, &answer) : -ENOMEM;
	if (ret == 0)
		ret = etcd_decode_token(answer.text, answer.bytes, token);
	if (ret == 0) {
		(void)pthread_mutex_lock(&etcd->pool_lock);
		(void)memcpy(etcd->token, token, sizeof(token));
		(void)pthread_mutex_unlock(&etcd->pool_lock);
	} else {
		(void)memcpy(why, login.why, ETCD_REASON_MAX);
	}
	free(answer.text);
	free(body);
	return ret;
}

static int ask_endpoint(struct etcd *etcd, struct attempt *a, struct etcd_answer *ret_answer)
{
	int ret = attempt_run(etcd, a, ret_answer);

	if (ret != -EACCES || !a->stale_token || !etcd->user[0])
		return ret;
	ret = renew_token(etcd, a, a->why);
	return ret < 0 ? ret : attempt_run(etcd, a, ret_answer);
}

/* Another endpoint may do better. */
static bool worth_another(int ret)
{
	return ret == -ECONNREFUSED || ret == -ETIMEDOUT || ret == -EBADMSG || ret == -EAGAIN;
}

static void add_reason(char *text, size_t size, const char *endpoint, const char *why)
{
	const size_t len = strlen(text);

	(void)snprintf(text + len, size - len, "%s%s: %s", len > 0 ? "; " : "", endpoint, why);
}

int etcd_call(struct etcd *etcd, const struct etcd_call *call, struct etcd_answer *ret_answer,
	      struct sluice_error *reterr)
{
	const unsigned int first = atomic_load_explicit(&etcd->good, memory_order_relaxed);
	const unsigned int count = etcd->endpoint_count;
	char reasons[SLUICE_ERROR_TEXT_MAX] = "";
	int ret = -ETIMEDOUT;

	if (!call->body)
		return error_set(reterr, -ENOMEM, "etcd: %s: out of memory", call->path);
	for (unsigned int i = 0; i < count; i++) {
		struct attempt a = { .path = call->path,
				     .body = call->body,
				     .answer_max = call->answer_max,
				     .once = call->once,
				     .last = call->last,
				     .endpoint = (first + i) % count,
				     .timeout_ns = ns_until(call->deadline_ns) / (count - i) };

		if (a.timeout_ns == 0) {
			add_reason(reasons, sizeof(reasons), etcd->endpoint[a.endpoint],
				   "no time left");
			ret = -ETIMEDOUT;
			break;
		}
		ret = ask_endpoint(etcd, &a, ret_answer);
		if (ret == -EBADMSG)
			(void)atomic_fetch_add(&etcd->base.stats.bad_answers, 1);
		if (!worth_another(ret)) {
			atomic_store(&etcd->good, a.endpoint);
			atomic_store(&etcd->base.stats.connected, ret != -ECANCELED);
			return ret < 0 ? error_set(reterr, ret, "etcd %s: %s: %s",
						   etcd->endpoint[a.endpoint], call->path, a.why)
				       : 0;
		}
		add_reason(reasons, sizeof(reasons), etcd->endpoint[a.endpoint], a.why);
		if (call->once && a.sent) {
			add_reason(reasons, sizeof(reasons), call->path,
				   "it may have been done: look before trying again");
			break;
		}
	}
	atomic_store(&etcd->base.stats.connected, false);
	return error_set(reterr, ret == -EAGAIN ? -ECONNREFUSED : ret, "etcd: %s: %s", call->path,
			 reasons);
}

int etcd_judge(struct etcd *etcd, const char *path, int ret, struct sluice_error *reterr)
{
	if (ret != -EBADMSG)
		return ret < 0 ? error_set(reterr, ret, "etcd: %s: %s", path, error_name(ret)) : 0;
	(void)atomic_fetch_add(&etcd->base.stats.bad_answers, 1);
	return error_set(reterr, ret,
			 "etcd: %s: the answer is not etcd's; is another program at %s?", path,
			 etcd->endpoint[atomic_load(&etcd->good)]);
}
