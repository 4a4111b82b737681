/* SPDX-License-Identifier: MIT */
/* base/config.h: config_load() reads files, refuses what is none, and keeps nothing open. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <base/error.h>
#include <support/config_example.h>

static bool armed;   /* only config_load() is watched */
static int fault_in; /* this step from now fails; negative: none */
static int live;     /* descriptors and memory that were not given back */
static bool dribble; /* read() gives one byte at a time, and is interrupted each time */

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's --wrap makes these names */
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void __real_free(void *p);
void __wrap_free(void *p);
ssize_t __real_read(int fd, void *buffer, size_t size);
ssize_t __wrap_read(int fd, void *buffer, size_t size);
int __real_close(int fd);
int __wrap_close(int fd);

static bool fails(int code)
{
	if (!armed || fault_in-- != 0)
		return false;
	errno = code;
	return true;
}

int __wrap_open(const char *path, int flags, ...)
{
	int fd;

	if (fails(EACCES))
		return -1;
	fd = __real_open(path, flags, 0600);
	live += armed && fd >= 0;
	return fd;
}

int __wrap_fstat(int fd, struct stat *st)
{
	return fails(EIO) ? -1 : __real_fstat(fd, st);
}

void *__wrap_malloc(size_t size)
{
	if (fails(ENOMEM))
		return NULL;
	live += armed;
	return __real_malloc(size);
}

void __wrap_free(void *p)
{
	live -= armed;
	__real_free(p);
}

ssize_t __wrap_read(int fd, void *buffer, size_t size)
{
	static bool interrupt;

	if (fails(EIO))
		return -1;
	if (!dribble)
		return __real_read(fd, buffer, size);
	interrupt = !interrupt;
	if (!interrupt)
		return __real_read(fd, buffer, 1);
	errno = EINTR;
	return -1;
}

int __wrap_close(int fd)
{
	live -= armed;
	return __real_close(fd);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static char folder[] = "/tmp/test_config_file.XXXXXX";
static char path[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/f.yaml", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	(void)unlink(path);
	return rmdir(folder);
}

static void write_file(const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static int load(const char *file, struct example *ret, struct sluice_error *reterr)
{
	int ret_code;

	live = 0;
	armed = true;
	ret_code = config_load(file, example_rows, ret, reterr);
	armed = false;
	assert_int_equal(live, 0);
	return ret_code;
}

static int reset(void **state)
{
	(void)state;
	fault_in = -1;
	dribble = false;
	return 0;
}

static void a_file_is_read_whole(void **state)
{
	struct example v;

	(void)state;
	example_defaults(&v);
	write_file("name: x\nring: {chunks: 5}\n");
	assert_int_equal(load(path, &v, NULL), 0);
	assert_int_equal(v.chunks, 5);
	dribble = true;
	example_defaults(&v);
	assert_int_equal(load(path, &v, NULL), 0);
	assert_string_equal(v.name, "x");
	assert_int_equal(v.chunks, 5);
}

static void messages_name_the_file(void **state)
{
	struct sluice_error e = { "" };
	char want[128];
	struct example v;

	(void)state;
	example_defaults(&v);
	write_file("name: x\nring: {chunks: 1}\n");
	(void)snprintf(want, sizeof(want), "%s:2: ring.chunks: 1 is not allowed", path);
	assert_int_equal(load(path, &v, &e), -EINVAL);
	assert_non_null(strstr(e.text, want));
	assert_int_equal(load("/nonexistent/f.yaml", &v, &e), -ENOENT);
	assert_non_null(strstr(e.text, "/nonexistent/f.yaml: cannot open: No such file"));
}

static void what_is_no_file_is_refused_at_once(void **state)
{
	struct sluice_error e = { "" };
	struct example v;
	char pipe_path[64];

	(void)state;
	assert_int_equal(load(folder, &v, &e), -EINVAL);
	assert_non_null(strstr(e.text, "not a file"));
	/* A pipe that nobody writes to: no wait. */
	(void)snprintf(pipe_path, sizeof(pipe_path), "%s/pipe", folder);
	assert_int_equal(mkfifo(pipe_path, 0600), 0);
	assert_int_equal(load(pipe_path, &v, &e), -EINVAL);
	assert_int_equal(unlink(pipe_path), 0);
	assert_int_equal(load("/dev/zero", &v, &e), -EINVAL);
}

static void a_file_too_large_is_refused(void **state)
{
	struct sluice_error e = { "" };
	struct example v;

	(void)state;
	write_file("name: x\n");
	assert_int_equal(truncate(path, (1 << 20) + 1), 0);
	assert_int_equal(load(path, &v, &e), -EINVAL);
	assert_non_null(strstr(e.text, "too large"));
}

/* open, fstat, malloc, read fail in turn; nothing may be left behind. */
static void load_unwinds_from_every_step(void **state)
{
	static const int codes[] = { -EACCES, -EINVAL, -ENOMEM, -EIO };
	struct example before, v;

	(void)state;
	write_file("name: x\n");
	example_defaults(&before);
	for (int nth = 0; nth < 4; nth++) {
		struct sluice_error e = { "" };

		example_defaults(&v);
		fault_in = nth;
		assert_int_equal(load(path, &v, &e), codes[nth]);
		assert_memory_equal(&v, &before, sizeof(v));
		assert_non_null(strstr(e.text, path));
	}
}

int main(void)
{
	const struct CMUnitTest suite[] = {
		cmocka_unit_test_setup(a_file_is_read_whole, reset),
		cmocka_unit_test_setup(messages_name_the_file, reset),
		cmocka_unit_test_setup(what_is_no_file_is_refused_at_once, reset),
		cmocka_unit_test_setup(a_file_too_large_is_refused, reset),
		cmocka_unit_test_setup(load_unwinds_from_every_step, reset),
	};

	return cmocka_run_group_tests(suite, make_folder, remove_folder);
}
