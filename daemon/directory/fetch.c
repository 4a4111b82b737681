/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <directory/fetch.h>
#include <directory/transfer.h>

int fetch(const struct fetch *request, unsigned int *ret_status, char **ret_body,
	  struct sluice_error *reterr)
{
	const bool post = strcmp(request->method, "POST") == 0;
	struct transfer t = { .url = request->url,
			      .timeout_ns = request->timeout_ns,
			      .answer_max = FETCH_BODY_MAX };
	CURL *easy = NULL;
	int ret;

	if ((!post && strcmp(request->method, "GET") != 0) || request->timeout_ns == 0)
		return error_set(reterr, -EINVAL, "%s: GET or POST with a deadline, not %s",
				 request->url, request->method);
	if (post)
		t.body = request->body ? request->body : "";
	ret = transfer_init();
	if (ret < 0)
		return error_set(reterr, ret, "%s: libcurl does not start", request->url);
	easy = curl_easy_init();
	t.headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (!easy || !t.headers) {
		ret = error_set(reterr, -ENOMEM, "%s: no memory", request->url);
		goto out;
	}
	ret = transfer_run(easy, &t);
	if (ret == 0 && !t.answer) {
		t.answer = strdup("");
		ret = t.answer ? 0 : -ENOMEM;
	}
	if (ret < 0) {
		(void)error_set(reterr, ret, "%s %s: %s", request->method, request->url,
				t.why[0] ? t.why : error_name(ret));
		goto out;
	}
	*ret_status = t.status;
	*ret_body = t.answer;
	t.answer = NULL;
out:
	transfer_fini(&t);
	curl_slist_free_all(t.headers);
	curl_easy_cleanup(easy);
	return ret;
}
