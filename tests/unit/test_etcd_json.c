/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <directory/base64.h>
#include <directory/etcd_json.h>

#define HEADER "\"header\":{\"member_id\":\"1\",\"revision\":\"5\"}"

static void take(char *text, const char *expected)
{
	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

static void test_base64_is_that_of_rfc_4648(void **state)
{
	/* RFC 4648 section 10. */
	static const char *const vector[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};
	char *data = NULL;
	size_t len = 0;

	(void)state;
	for (unsigned int i = 0; i < sizeof(vector) / sizeof(*vector); i++) {
		take(base64_encode(vector[i][0], strlen(vector[i][0])), vector[i][1]);
		assert_int_equal(base64_decode(vector[i][1], strlen(vector[i][1]), &data, &len), 0);
		assert_int_equal(len, strlen(vector[i][0]));
		take(data, vector[i][0]);
	}
}

static void test_base64_takes_every_byte(void **state)
{
	uint8_t bytes[256];
	char *text, *data = NULL;
	size_t len = 0;

	(void)state;
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		text = base64_encode(bytes, n);
		assert_non_null(text);
		assert_int_equal(base64_decode(text, strlen(text), &data, &len), 0);
		assert_int_equal(len, n);
		assert_memory_equal(data, bytes, n);
		free(data);
		free(text);
	}
}

static void test_base64_refuses_what_is_none(void **state)
{
	static const char *const wrong[] = { "Z",        "Zg",    "Zg=",  "Z===", "====",
					     "Zg==Zg==", "Zm9\n", "Zm 9", "Zm-_", "=Zm9" };
	char *data = NULL;
	size_t len = 77;

	(void)state;
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(base64_decode(wrong[i], strlen(wrong[i]), &data, &len), -EINVAL);
	assert_null(data);
	assert_int_equal(len, 77);
}

static void test_requests_are_as_the_gateway_wants_them(void **state)
{
	(void)state;
	take(etcd_encode_put("k", "v", 0), "{\"key\":\"aw==\",\"value\":\"dg==\"}");
	take(etcd_encode_put("k", "", 9), "{\"key\":\"aw==\",\"value\":\"\",\"lease\":\"9\"}");
	take(etcd_encode_put_if("k", 3, "v"),
	     "{\"compare\":[{\"key\":\"aw==\",\"mod_revision\":\"3\",\"target\":\"MOD\","
	     "\"result\":\"EQUAL\"}],\"success\":[{\"request_put\":{\"key\":\"aw==\","
	     "\"value\":\"dg==\"}}]}");
	take(etcd_encode_delete("k"), "{\"key\":\"aw==\"}");
	take(etcd_encode_range("k/", NULL, 0),
	     "{\"key\":\"ay8=\",\"range_end\":\"azA=\",\"limit\":\"32\"}");
	take(etcd_encode_range("k/", "ay9hAA==", 7),
	     "{\"key\":\"ay9hAA==\",\"range_end\":\"azA=\",\"limit\":\"32\",\"revision\":\"7\"}");
	take(etcd_encode_watch("k/", 8), "{\"create_request\":{\"key\":\"ay8=\",\"range_end\":"
					 "\"azA=\",\"start_revision\":\"8\"}}");
	take(etcd_encode_lease_grant(5), "{\"TTL\":\"5\"}");
	take(etcd_encode_lease_id(INT64_MAX), "{\"ID\":\"9223372036854775807\"}");
	take(etcd_encode_authenticate("a", "\"\\"), "{\"name\":\"a\",\"password\":\"\\\"\\\\\"}");
	assert_null(etcd_encode_range("", NULL, 0));
}

/* "ci9h" is r/a, "ci9hYg==" is r/ab, "cy9h" is s/a. */
static void test_a_range_is_read(void **state)
{
	static const char json[] =
		"{" HEADER ",\"kvs\":[{\"key\":\"ci9h\",\"create_revision\":\"2\",\"mod_revision\":"
		"\"3\",\"version\":\"1\",\"value\":\"MQ==\"},{\"key\":\"ci9hYg==\",\"mod_revision\":"
		"4}],\"more\":true,\"count\":\"9\"}";
	struct etcd_list list = { 0 };
	char *next = NULL;

	(void)state;
	assert_int_equal(etcd_decode_range(json, strlen(json), "r/", &list, &next), 0);
	assert_int_equal(list.revision, 5);
	assert_int_equal(list.count, 2);
	assert_string_equal(list.entry[0].key, "a");
	assert_string_equal(list.entry[0].value, "1");
	assert_int_equal(list.entry[0].revision, 3);
	assert_string_equal(list.entry[1].key, "ab");
	assert_string_equal(list.entry[1].value, "");
	assert_int_equal(list.entry[1].revision, 4);
	take(next, "ci9hYgA=");
	etcd_list_fini(&list);
}

static void test_keys_that_nobody_of_ours_has_put_are_skipped(void **state)
{
	/* r/ alone, r/a\0, a value with a NUL, and a good one. */
	static const char json[] = "{" HEADER ",\"kvs\":[{\"key\":\"ci8=\"},{\"key\":\"ci9hAA==\"},"
				   "{\"key\":\"ci9h\",\"value\":\"AA==\"},{\"key\":\"ci9h\"}]}";
	struct etcd_list list = { 0 };
	char *next = NULL;

	(void)state;
	assert_int_equal(etcd_decode_range(json, strlen(json), "r/", &list, &next), 0);
	assert_int_equal(list.count, 1);
	assert_int_equal(list.skipped, 3);
	assert_null(next);
	etcd_list_fini(&list);
}

static void test_a_range_that_is_none_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"{",
		"[]",
		"null",
		"{}",
		"{\"header\":{}}",
		"{\"header\":[]}",
		"{\"header\":{\"member_id\":true}}",
		"{\"header\":{\"member_id\":\"1\",\"revision\":\"-5\"}}",
		"{\"header\":{\"member_id\":\"1\",\"revision\":\"9223372036854775808\"}}",
		"{\"header\":{\"member_id\":\"1\",\"revision\":\"5 \"}}",
		"{\"header\":{\"member_id\":\"1\",\"revision\":-5}}",
		"{\"header\":{\"member_id\":\"1\",\"revision\":{}}}",
		"{" HEADER "}{",
		"{" HEADER "," HEADER "}",
		"{" HEADER ",\"kvs\":{}}",
		"{" HEADER ",\"kvs\":[1]}",
		"{" HEADER ",\"kvs\":[{}]}",
		"{" HEADER ",\"kvs\":[{\"key\":\"cy9h\"}]}", /* not under the prefix */
		"{" HEADER ",\"kvs\":[{\"key\":\"ci9\"}]}",
		"{" HEADER ",\"kvs\":[{\"key\":7}]}",
		"{" HEADER ",\"kvs\":[{\"key\":\"ci9h\",\"value\":[]}]}",
		"{" HEADER ",\"kvs\":[{\"key\":\"ci9h\",\"value\":\"!!!!\"}]}",
		"{" HEADER ",\"kvs\":[{\"key\":\"ci9h\",\"mod_revision\":\"x\"}]}",
		"{" HEADER ",\"more\":true}",
		"{" HEADER ",\"more\":1}",
	};

	(void)state;
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct etcd_list list = { 0 };
		char *next = NULL;

		if (etcd_decode_range(wrong[i], strlen(wrong[i]), "r/", &list, &next) != -EBADMSG)
			fail_msg("was taken: %s", wrong[i]);
		assert_null(next);
		assert_int_equal(list.revision, 0);
		etcd_list_fini(&list);
	}
}

static char *page_of(unsigned int entries)
{
	char *json = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&json, &len);

	assert_non_null(out);
	(void)fputs("{" HEADER ",\"kvs\":[", out);
	for (unsigned int i = 0; i < entries; i++)
		(void)fputs(i > 0 ? ",{\"key\":\"ci9h\"}" : "{\"key\":\"ci9h\"}", out);
	(void)fputs("]}", out);
	(void)fclose(out);
	return json;
}

static void test_counts_are_bounded(void **state)
{
	char *good = page_of(ETCD_PAGE_ENTRIES), *long_page = page_of(ETCD_PAGE_ENTRIES + 1);
	struct etcd_list list = { 0 };
	char *next = NULL;

	(void)state;
	assert_int_equal(etcd_decode_range(long_page, strlen(long_page), "r/", &list, &next),
			 -EBADMSG);
	for (unsigned int i = 0; i < DIRECTORY_ENTRIES_MAX / ETCD_PAGE_ENTRIES; i++)
		assert_int_equal(etcd_decode_range(good, strlen(good), "r/", &list, &next), 0);
	assert_int_equal(list.count, DIRECTORY_ENTRIES_MAX);
	assert_int_equal(etcd_decode_range(good, strlen(good), "r/", &list, &next), -ENOSPC);
	assert_int_equal(list.count, DIRECTORY_ENTRIES_MAX);
	list.bytes = ETCD_LIST_BYTES_MAX;
	etcd_list_fini(&list);
	list.bytes = ETCD_LIST_BYTES_MAX;
	assert_int_equal(etcd_decode_range(good, strlen(good), "r/", &list, &next), -ENOSPC);
	etcd_list_fini(&list);
	free(long_page);
	free(good);
}

static void test_a_failure_is_read_in_both_shapes(void **state)
{
	static const char plain[] =
		"{\"error\":\"etcdserver: no\nleader\",\"message\":\"x\",\"code\":"
		"14}Grpc-Trailer-Content-Type: application/grpc";
	static const char escaped[] = "{\"error\":\"no\\nleader\",\"code\":14}trailer";
	static const char stream[] = "{\"error\":{\"grpc_code\":7,\"message\":\"denied\"}}";
	struct etcd_failure f = { .code = 99 };

	(void)state;
	assert_int_equal(etcd_decode_failure(plain, strlen(plain), &f), -EBADMSG);
	assert_int_equal(f.code, 99);
	assert_int_equal(etcd_decode_failure(escaped, strlen(escaped), &f), 0);
	assert_int_equal(f.code, ETCD_UNAVAILABLE);
	assert_string_equal(f.reason, "no leader");
	assert_int_equal(etcd_decode_failure(stream, strlen(stream), &f), 0);
	assert_int_equal(f.code, ETCD_PERMISSION_DENIED);
	assert_string_equal(f.reason, "denied");
	assert_int_equal(etcd_decode_failure("{}", 2, &f), -EBADMSG);
	assert_int_equal(etcd_decode_failure("{\"error\":1}", 11, &f), -EBADMSG);
}

static void test_small_answers_are_read(void **state)
{
	static const char yes[] = "{" HEADER ",\"succeeded\":true}", no[] = "{" HEADER "}";
	static const char lease[] = "{" HEADER ",\"ID\":\"7\",\"TTL\":\"5\"}";
	static const char alive[] = "{\"result\":{" HEADER ",\"ID\":\"7\",\"TTL\":\"5\"}}\n";
	static const char lapsed[] = "{\"result\":{" HEADER ",\"ID\":\"7\"}}\n";
	static const char token[] = "{" HEADER ",\"token\":\"abc.7\"}";
	static const char split[] = "{" HEADER ",\"token\":\"abc\\r\\nX-Evil: 1\"}";
	char text[ETCD_TOKEN_MAX] = "";
	bool succeeded = false;
	int64_t v = 0;

	(void)state;
	assert_int_equal(etcd_decode_txn(yes, strlen(yes), &succeeded), 0);
	assert_true(succeeded);
	assert_int_equal(etcd_decode_txn(no, strlen(no), &succeeded), 0);
	assert_false(succeeded);
	assert_int_equal(etcd_decode_txn("{}", 2, &succeeded), -EBADMSG);
	assert_int_equal(etcd_decode_lease_grant(lease, strlen(lease), &v), 0);
	assert_int_equal(v, 7);
	assert_int_equal(etcd_decode_lease_grant(no, strlen(no), &v), -EBADMSG);
	assert_int_equal(etcd_decode_keepalive(alive, strlen(alive), &v), 0);
	assert_int_equal(v, 5);
	assert_int_equal(etcd_decode_keepalive(lapsed, strlen(lapsed), &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(etcd_decode_keepalive(no, strlen(no), &v), -EBADMSG);
	assert_int_equal(etcd_decode_token(token, strlen(token), text), 0);
	assert_string_equal(text, "abc.7");
	assert_int_equal(etcd_decode_token(split, strlen(split), text), -EBADMSG);
	assert_int_equal(etcd_decode_token(no, strlen(no), text), -EBADMSG);
	assert_string_equal(text, "abc.7");
	assert_int_equal(etcd_decode_header(no, strlen(no)), 0);
	assert_int_equal(etcd_decode_header("{}", 2), -EBADMSG);
}

static void test_a_line_of_a_watch_is_read(void **state)
{
	static const char events[] =
		"{\"result\":{" HEADER ",\"events\":[{\"kv\":{\"key\":\"ci9h\",\"mod_revision\":"
		"\"6\",\"value\":\"MQ==\"}},{\"type\":\"DELETE\",\"kv\":{\"key\":\"ci9h\","
		"\"mod_revision\":\"7\"}},{\"type\":\"PUT\",\"kv\":{\"key\":\"ci8=\"}}]}}";
	static const char created[] = "{\"result\":{" HEADER ",\"created\":true}}";
	static const char compacted[] = "{\"result\":{" HEADER
					",\"canceled\":true,\"compact_revision\":\"4\"}}";
	static const char failed[] = "{\"error\":{\"grpc_code\":14,\"message\":\"no leader\"}}";
	struct etcd_watch_answer a;

	(void)state;
	assert_int_equal(etcd_decode_watch(events, strlen(events), "r/", &a), 0);
	assert_int_equal(a.count, 2);
	assert_int_equal(a.skipped, 1);
	assert_int_equal(a.event[0].change, DIRECTORY_PUT);
	assert_string_equal(a.event[0].key, "a");
	assert_string_equal(a.event[0].value, "1");
	assert_int_equal(a.event[1].change, DIRECTORY_DELETED);
	assert_null(a.event[1].value);
	assert_int_equal(a.event[1].revision, 7);
	assert_false(a.created || a.canceled);
	etcd_watch_answer_fini(&a);
	assert_int_equal(etcd_decode_watch(created, strlen(created), "r/", &a), 0);
	assert_true(a.created);
	assert_int_equal(etcd_decode_watch(compacted, strlen(compacted), "r/", &a), 0);
	assert_true(a.canceled);
	assert_int_equal(etcd_decode_watch(failed, strlen(failed), "r/", &a), 0);
	assert_true(a.canceled);
	assert_string_equal(a.reason, "no leader");
}

static void test_a_line_that_is_none_is_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"{}",
		"{\"result\":{}}",
		"{\"result\":{" HEADER ",\"created\":\"yes\"}}",
		"{\"result\":{" HEADER ",\"events\":{}}}",
		"{\"result\":{" HEADER ",\"events\":[{\"kv\":{\"key\":\"ci9h\"}},{}]}}",
		"{\"result\":{" HEADER
		",\"events\":[{\"type\":\"MOVE\",\"kv\":{\"key\":\"ci9h\"}}]}}",
		"{\"result\":{" HEADER ",\"events\":[{\"type\":1,\"kv\":{\"key\":\"ci9h\"}}]}}",
	};
	struct etcd_watch_answer a;

	(void)state;
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		if (etcd_decode_watch(wrong[i], strlen(wrong[i]), "r/", &a) != -EBADMSG)
			fail_msg("was taken: %s", wrong[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64_is_that_of_rfc_4648),
		cmocka_unit_test(test_base64_takes_every_byte),
		cmocka_unit_test(test_base64_refuses_what_is_none),
		cmocka_unit_test(test_requests_are_as_the_gateway_wants_them),
		cmocka_unit_test(test_a_range_is_read),
		cmocka_unit_test(test_keys_that_nobody_of_ours_has_put_are_skipped),
		cmocka_unit_test(test_a_range_that_is_none_is_refused),
		cmocka_unit_test(test_counts_are_bounded),
		cmocka_unit_test(test_a_failure_is_read_in_both_shapes),
		cmocka_unit_test(test_small_answers_are_read),
		cmocka_unit_test(test_a_line_of_a_watch_is_read),
		cmocka_unit_test(test_a_line_that_is_none_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? EXIT_FAILURE : EXIT_SUCCESS;
}
