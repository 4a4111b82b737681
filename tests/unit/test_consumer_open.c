/* SPDX-License-Identifier: MIT */
/* Opening a consumer: each argument, and each step that can fail. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>

#include "consumer_fixture.h"

/* The step that fails, counted from 0; none below 0. */
static int fault_in = -1;
static int live_receivers, live_members, live_threads, live_fds, live_blocks;

static bool fails(void)
{
	return fault_in >= 0 && fault_in-- == 0;
}

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's --wrap makes these names */
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
int __real_eventfd(unsigned int count, int flags);
int __wrap_eventfd(unsigned int count, int flags);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg);
int __real_link_receiver_open(const struct link_receiver_args *args,
			      struct link_receiver **ret_receiver, struct sluice_error *reterr);
int __wrap_link_receiver_open(const struct link_receiver_args *args,
			      struct link_receiver **ret_receiver, struct sluice_error *reterr);
void __real_link_receiver_close(struct link_receiver *receiver);
void __wrap_link_receiver_close(struct link_receiver *receiver);
int __real_member_open(const struct member_args *args, struct member **ret_member,
		       struct sluice_error *reterr);
int __wrap_member_open(const struct member_args *args, struct member **ret_member,
		       struct sluice_error *reterr);
void __real_member_close(struct member *member);
void __wrap_member_close(struct member *member);

static bool counting; /* the consumer's own two allocations come first */

void *__wrap_calloc(size_t count, size_t size)
{
	if (counting && live_blocks < 2) {
		if (fails())
			return NULL;
		live_blocks++;
	}
	return __real_calloc(count, size);
}

int __wrap_eventfd(unsigned int count, int flags)
{
	int fd;

	if (!counting || live_fds > 0) /* others' */
		return __real_eventfd(count, flags);
	if (fails()) {
		errno = EMFILE;
		return -1;
	}
	fd = __real_eventfd(count, flags);
	live_fds++;
	return fd;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
			  void *arg)
{
	if (start != consumer_network)
		return __real_pthread_create(thread, attr, start, arg);
	if (fails())
		return EAGAIN;
	live_threads++;
	return __real_pthread_create(thread, attr, start, arg);
}

int __wrap_link_receiver_open(const struct link_receiver_args *args,
			      struct link_receiver **ret_receiver, struct sluice_error *reterr)
{
	if (fails()) {
		(void)strcpy(reterr->text, "receiver");
		return -EADDRINUSE;
	}
	live_receivers++;
	return __real_link_receiver_open(args, ret_receiver, reterr);
}

void __wrap_link_receiver_close(struct link_receiver *receiver)
{
	live_receivers -= receiver != NULL;
	__real_link_receiver_close(receiver);
}

int __wrap_member_open(const struct member_args *args, struct member **ret_member,
		       struct sluice_error *reterr)
{
	if (fails()) {
		(void)strcpy(reterr->text, "member");
		return -ECONNREFUSED;
	}
	live_members++;
	return __real_member_open(args, ret_member, reterr);
}

void __wrap_member_close(struct member *member)
{
	live_members -= member != NULL;
	__real_member_close(member);
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* Two allocations, the event, the receiver, the thread, the member. */
static void test_open_unwinds_from_every_step(void **state)
{
	const int want[] = { -ENOMEM, -ENOMEM, -EMFILE, -EADDRINUSE, -EAGAIN, -ECONNREFUSED };
	const struct sluice_consumer_args args = SLUICE_CONSUMER_ARGS_INIT;

	(void)state;
	for (int nth = 0; nth < 6; nth++) {
		struct sluice_consumer *consumer = NULL;
		struct sluice_error error = { "" };

		live_blocks = live_fds = live_threads = 0;
		counting = true;
		fault_in = nth;
		assert_int_equal(sluice_consumer_open(&args, &consumer, &error), want[nth]);
		counting = false;
		assert_int_equal(fault_in, -1);
		assert_null(consumer);
		assert_string_not_equal(error.text, "");
		assert_int_equal(live_receivers, 0);
		assert_int_equal(live_members, 0);
	}
}

/* What was opened and failed late leaves no descriptor behind. */
static unsigned int open_fds(void)
{
	unsigned int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void test_failures_leave_no_descriptor(void **state)
{
	struct sluice_consumer_args args = SLUICE_CONSUMER_ARGS_INIT;
	struct sluice_consumer *consumer = NULL;
	unsigned int before;

	(void)state;
	args.control = "not an address";
	assert_true(sluice_consumer_open(&args, &consumer, NULL) < 0); /* libraries settle in */
	before = open_fds();
	for (unsigned int i = 0; i < 3; i++)
		assert_true(sluice_consumer_open(&args, &consumer, NULL) < 0);
	assert_int_equal(open_fds(), before);
	assert_null(consumer);
}

static void refused(const struct sluice_consumer_args *args, int code, const char *names)
{
	struct sluice_consumer *consumer = NULL;
	struct sluice_error error = { "" };

	assert_int_equal(sluice_consumer_open(args, &consumer, &error), code);
	assert_null(consumer);
	if (!strstr(error.text, names))
		fail_msg("\"%s\" does not name \"%s\"", error.text, names);
}

static void test_each_argument_is_judged(void **state)
{
	const struct sluice_consumer_args good = SLUICE_CONSUMER_ARGS_INIT;
	struct sluice_consumer_args args;
	char longer[128];

	(void)state;
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';

	args = good, args.size = 0;
	refused(&args, -EINVAL, "0 bytes");
	args = good, args.size = sizeof(args) + 8;
	refused(&args, -EINVAL, "bytes");
	args = good, args.listen = NULL;
	refused(&args, -EINVAL, "NULL");
	args = good, args.id = "";
	refused(&args, -EINVAL, "id");
	args = good, args.id = longer;
	refused(&args, -EINVAL, "id");
	args = good, args.group = longer;
	refused(&args, -EINVAL, "group");
	args = good, args.window_runs = 0;
	refused(&args, -EINVAL, "window_runs");
	args = good, args.window_runs = SLUICE_WINDOW_RUNS_MAX + 1;
	refused(&args, -EINVAL, "window_runs");
	args = good, args.window_frames = SLUICE_WINDOW_FRAMES_MAX + 1;
	refused(&args, -EINVAL, "window_frames");
	args = good, args.run_timeout_ms = 0;
	refused(&args, -EINVAL, "run_timeout_ms");
	args = good, args.directory_lease_ttl_s = 1;
	refused(&args, -EINVAL, "lease");
	args = good, args.directory_timeout_ms = 1;
	refused(&args, -EINVAL, "timeout");
	args = good, args.directory = "http://127.0.0.1:1,,http://127.0.0.1:2";
	refused(&args, -EINVAL, "directory");
	args = good, args.listen = "tcp://203.0.113.1:1"; /* no address of this machine */
	refused(&args, -EADDRNOTAVAIL, "203.0.113.1");
	/* Nobody listens there: named, and within its deadline. */
	args = good, args.directory = "http://127.0.0.1:1", args.directory_timeout_ms = 100;
	refused(&args, -ECONNREFUSED, "127.0.0.1:1");
}

/* A program built before a field was added says so by its size, and gets the default. */
static void test_older_arguments_are_taken(void **state)
{
	struct sluice_consumer_args args = SLUICE_CONSUMER_ARGS_INIT;
	struct sluice_consumer *consumer = NULL;

	(void)state;
	args.size = offsetof(struct sluice_consumer_args, directory_user);
	args.directory_timeout_ms = 0; /* not looked at */
	assert_int_equal(sluice_consumer_open(&args, &consumer, NULL), 0);
	sluice_consumer_close(consumer);
	sluice_consumer_close(NULL);
	assert_string_equal(sluice_version(), SLUICE_TEST_VERSION);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_unwinds_from_every_step),
		cmocka_unit_test(test_failures_leave_no_descriptor),
		cmocka_unit_test(test_each_argument_is_judged),
		cmocka_unit_test(test_older_arguments_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
