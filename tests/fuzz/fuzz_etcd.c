/* SPDX-License-Identifier: MIT */
/* Any bytes in place of etcd's answer, to every decoder. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <directory/base64.h>
#include <directory/etcd_json.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char root[] = "/sluice/v1/fuzz/";

static void check_key(const char *key)
{
	const size_t len = strnlen(key, DIRECTORY_KEY_MAX);

	assert(len > 0);
	assert(len < DIRECTORY_KEY_MAX);
}

static void decode_range(const char *json, size_t size)
{
	struct etcd_list list = { 0 };
	char *next = NULL;
	const int ret = etcd_decode_range(json, size, root, &list, &next);

	assert(ret == 0 || ret == -EBADMSG);
	assert(ret == 0 || !next);
	for (unsigned int i = 0; i < list.count; i++) {
		check_key(list.entry[i].key);
		assert(strlen(list.entry[i].value) < DIRECTORY_VALUE_MAX);
		assert(list.entry[i].revision >= 0);
	}
	free(next);
	etcd_list_fini(&list);
}

static void decode_watch(const char *json, size_t size)
{
	struct etcd_watch_answer answer;

	if (etcd_decode_watch(json, size, root, &answer) < 0)
		return;
	for (unsigned int i = 0; i < answer.count; i++) {
		check_key(answer.event[i].key);
		assert(!answer.event[i].value == (answer.event[i].change == DIRECTORY_DELETED));
	}
	assert(memchr(answer.reason, '\0', sizeof(answer.reason)));
	etcd_watch_answer_fini(&answer);
}

/* What can be decoded and is encoded again is what it was. */
static void decode_base64(const char *text, size_t size)
{
	char *bytes, *again;
	size_t len;

	if (base64_decode(text, size, &bytes, &len) < 0)
		return;
	again = base64_encode(bytes, len);
	assert(again);
	assert(strlen(again) == size);
	/* The last digit of a padded group may carry bits that nobody reads. */
	assert(size < 4 || memcmp(again, text, size - 4) == 0);
	free(again);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *json = (const char *)data;
	char token[ETCD_TOKEN_MAX];
	struct etcd_failure failure;
	bool succeeded;
	int64_t number;

	decode_range(json, size);
	decode_watch(json, size);
	decode_base64(json, size);
	if (etcd_decode_failure(json, size, &failure) == 0)
		assert(memchr(failure.reason, '\0', sizeof(failure.reason)));
	(void)etcd_decode_header(json, size);
	(void)etcd_decode_txn(json, size, &succeeded);
	if (etcd_decode_lease_grant(json, size, &number) == 0)
		assert(number > 0);
	if (etcd_decode_keepalive(json, size, &number) == 0)
		assert(number >= 0);
	if (etcd_decode_token(json, size, token) == 0)
		assert(!strpbrk(token, "\r\n"));
	return 0;
}
