/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <base/clock.h>
#include <directory/transfer.h>

enum {
	PEER_SILENT_MS = 10000,   /* a peer whose machine answers no probe for so long is gone */
	PROBE_INTERVAL_S = 3,     /* between probes on an idle connection */
	ANSWER_ROOM_FIRST = 4096, /* doubled up to answer_max */
};

static pthread_once_t init_once = PTHREAD_ONCE_INIT;
static CURLcode init_result;

static void init_curl(void)
{
	init_result = curl_global_init(CURL_GLOBAL_DEFAULT);
}

int transfer_init(void)
{
	(void)pthread_once(&init_once, init_curl);
	return init_result == CURLE_OK ? 0 : -ENOMEM;
}

static size_t append_answer(char *data, size_t size, size_t count, void *ctx)
{
	struct transfer *t = ctx;
	const size_t bytes = size * count;
	size_t room = t->answer_room ? t->answer_room : ANSWER_ROOM_FIRST;
	char *answer;

	if (bytes > t->answer_max || t->answer_bytes > t->answer_max - bytes) {
		t->answer_too_large = true;
		return 0;
	}
	while (room < t->answer_bytes + bytes + 1)
		room *= 2;
	if (room != t->answer_room) {
		answer = realloc(t->answer, room);
		if (!answer)
			return 0;
		t->answer = answer;
		t->answer_room = room;
	}
	(void)memcpy(t->answer + t->answer_bytes, data, bytes);
	t->answer_bytes += bytes;
	t->answer[t->answer_bytes] = '\0';
	return bytes;
}

static int look_at_stop(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct transfer *t = ctx;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return t->stop && atomic_load_explicit(t->stop, memory_order_relaxed);
}

/* Keep-alive probes alone take minutes to give a dead machine up. */
static int bound_silence(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
	const unsigned int silent_ms = PEER_SILENT_MS;

	(void)ctx;
	(void)purpose;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silent_ms, sizeof(silent_ms));
	return CURL_SOCKOPT_OK;
}

static CURLcode set_limits(CURL *easy, const struct transfer *t)
{
	const long timeout_ms = ms_from_ns(t->timeout_ns);
	CURLcode code = curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);

	/* A machine's proxy is for the world outside, not for its neighbours. */
	code |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
	code |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	code |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	code |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
	if (timeout_ms > 0)
		code |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
	code |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	code |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)PROBE_INTERVAL_S);
	code |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)PROBE_INTERVAL_S);
	code |= curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, bound_silence);
	code |= curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, t->fresh ? 1L : 0L);
	return code;
}

int transfer_prepare(CURL *easy, struct transfer *t)
{
	CURLcode code;

	curl_easy_reset(easy);
	code = set_limits(easy, t);
	code |= curl_easy_setopt(easy, CURLOPT_URL, t->url);
	code |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
	if (t->body) {
		code |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
		code |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
					 (curl_off_t)strlen(t->body));
		code |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, t->body);
	}
	if (t->ca_file && *t->ca_file)
		code |= curl_easy_setopt(easy, CURLOPT_CAINFO, t->ca_file);
	code |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, append_answer);
	code |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
	code |= curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	code |= curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, look_at_stop);
	code |= curl_easy_setopt(easy, CURLOPT_XFERINFODATA, t);
	code |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->why);
	return code == CURLE_OK ? 0 : -ENOMEM;
}

int transfer_error(struct transfer *t, CURLcode code)
{
	if (code != CURLE_OK && t->why[0] == '\0')
		(void)snprintf(t->why, sizeof(t->why), "%s", curl_easy_strerror(code));
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_ABORTED_BY_CALLBACK:
		return -ECANCELED;
	case CURLE_WRITE_ERROR:
		if (!t->answer_too_large)
			return -ENOMEM;
		(void)snprintf(t->why, sizeof(t->why), "answer is over %zu bytes", t->answer_max);
		return -E2BIG;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		return -EACCES;
	case CURLE_UNSUPPORTED_PROTOCOL: /* an answer in HTTP/0.9, which is any bytes at all */
	case CURLE_URL_MALFORMAT:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_HTTP2:
		return -EBADMSG;
	default:
		return -ECONNREFUSED;
	}
}

int transfer_run(CURL *easy, struct transfer *t)
{
	long status = 0, request_bytes = 0;
	CURLcode code;
	int ret = transfer_prepare(easy, t);

	if (ret < 0)
		return ret;
	code = curl_easy_perform(easy);
	(void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &request_bytes);
	t->status = (unsigned int)status;
	t->sent = request_bytes > 0;
	return transfer_error(t, code);
}

void transfer_fini(struct transfer *t)
{
	if (!t)
		return;
	free(t->answer);
	t->answer = NULL;
	t->answer_bytes = t->answer_room = 0;
}
