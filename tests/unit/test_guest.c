/* SPDX-License-Identifier: MIT */
/* model/guest.h: files that are a guest's memory, late ones and wrong ones too. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <model/guest.h>

enum {
	NODE = 65536,
};

static char folder[32];
static struct guest guest;
static char paths[128];

static int set_up(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/sluice-guest-XXXXXX");
	strcpy(paths, "node0,node1");
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	guest_fini(&guest);
	(void)unlink("node0");
	(void)unlink("node1");
	return chdir("/") == 0 ? rmdir(folder) : -1;
}

static void make(const char *path, off_t bytes)
{
	const int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, bytes), 0);
	(void)close(fd);
}

static void open_both(void)
{
	make("node0", NODE);
	make("node1", NODE);
	assert_int_equal(guest_init(&guest, paths, NULL), 0);
	assert_int_equal(guest_map(&guest, NULL), 0);
	assert_int_equal(guest.bytes, 2 * NODE);
}

static void addresses_are_offsets_in_the_order_of_nodes(void **state)
{
	static const char text[] = "across the border of two nodes";
	char read_back[sizeof(text)];
	int fd;

	(void)state;
	open_both();
	assert_int_equal(guest_write(&guest, NODE - 10, text, sizeof(text)), 0);
	assert_int_equal(guest_read(&guest, NODE - 10, read_back, sizeof(text)), 0);
	assert_string_equal(read_back, text);
	/* The files have it, each its part. */
	fd = open("node1", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, read_back, sizeof(text) - 10, 0), sizeof(text) - 10);
	assert_string_equal(read_back, text + 10);
	(void)close(fd);
}

static void what_is_no_memory_is_refused_as_a_whole(void **state)
{
	static const struct {
		uint64_t address;
		size_t bytes;
	} bad[] = {
		{ 2 * NODE, 1 },       { 2 * NODE - 3, 4 }, { UINT64_MAX, 1 },
		{ UINT64_MAX - 3, 8 }, { 0, 2 * NODE + 1 }, { UINT64_MAX - 3, SIZE_MAX },
		{ 2 * NODE - 2, 3 },   { 0, SIZE_MAX },
	};
	static uint8_t bytes[2 * NODE + 1];
	uint32_t word = 0;

	(void)state;
	open_both();
	memset(bytes, 0xff, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(guest_write(&guest, bad[i].address, bytes, bad[i].bytes), -EFAULT);
		assert_int_equal(guest_read(&guest, bad[i].address, bytes, bad[i].bytes), -EFAULT);
	}
	assert_int_equal(guest_read(&guest, 2 * NODE - 4, &word, sizeof(word)), 0);
	assert_int_equal(word, 0); /* nothing of the refused ones was written */
	word = 0x12345678;
	assert_int_equal(guest_write(&guest, 2 * NODE - 4, &word, sizeof(word)), 0);
	assert_int_equal(guest_write(&guest, NODE - 2, &word, sizeof(word)), 0);
	word = 0;
	assert_int_equal(guest_read(&guest, NODE - 2, &word, sizeof(word)), 0);
	assert_int_equal(word, 0x12345678);
	assert_int_equal(guest_write(&guest, 2 * NODE, bytes, 0), 0);
}

/* The guest makes its memory when it starts: absent, then empty, then there. */
static void memory_may_come_late(void **state)
{
	uint32_t word = 1;

	(void)state;
	assert_int_equal(guest_init(&guest, paths, NULL), 0);
	assert_int_equal(guest_map(&guest, NULL), -EAGAIN);
	make("node0", NODE);
	assert_int_equal(guest_map(&guest, NULL), -EAGAIN);
	make("node1", 0);
	assert_int_equal(guest_map(&guest, NULL), -EAGAIN);
	/* Half of a guest is none. */
	assert_int_equal(guest_write(&guest, 0, &word, sizeof(word)), -EFAULT);
	make("node1", NODE);
	assert_int_equal(guest_map(&guest, NULL), 0);
	assert_int_equal(guest_map(&guest, NULL), 0);
	assert_int_equal(guest_write(&guest, NODE, &word, sizeof(word)), 0);
}

static void memory_that_cannot_be_is_named(void **state)
{
	struct sluice_error error = { "" };
	char many[] = "1,2,3,4,5,6,7,8,9", hollow[] = "node0,,node1", none[] = "";

	(void)state;
	assert_int_equal(guest_init(&guest, many, &error), -EINVAL);
	assert_non_null(strstr(error.text, "8"));
	assert_int_equal(guest_init(&guest, hollow, &error), -EINVAL);
	assert_int_equal(guest_init(&guest, none, &error), -EINVAL);
	make("node0", NODE);
	make("node1", (off_t)GUEST_BYTES_MAX); /* a hole */
	assert_int_equal(guest_init(&guest, paths, NULL), 0);
	assert_int_equal(guest_map(&guest, &error), -ERANGE);
	assert_non_null(strstr(error.text, "node1"));
	guest_fini(&guest);
	assert_int_equal(unlink("node1"), 0);
	assert_int_equal(mkdir("node1", 0700), 0);
	strcpy(paths, "node0,node1");
	assert_int_equal(guest_init(&guest, paths, NULL), 0);
	assert_true(guest_map(&guest, &error) < 0);
	assert_non_null(strstr(error.text, "node1"));
	assert_int_equal(rmdir("node1"), 0);
}

#define in_a_folder(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_a_folder(addresses_are_offsets_in_the_order_of_nodes),
		in_a_folder(what_is_no_memory_is_refused_as_a_whole),
		in_a_folder(memory_may_come_late),
		in_a_folder(memory_that_cannot_be_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
