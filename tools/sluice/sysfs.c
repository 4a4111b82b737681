/* SPDX-License-Identifier: MIT */
#include "sysfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>
#include <base/parse.h>

static const char prefix[] = "sluice";

enum {
	NUMBER_MAX = 1000000, /* of a board's name */
};

/* The first line of what is there, without what a terminal would obey. */
static void clean(char *text)
{
	text[strcspn(text, "\n")] = '\0';
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

/* "" where it cannot be read. A FIFO in its place must not hold us up. */
static void read_text(int folder, const char *name, char ret_text[SYSFS_TEXT_MAX])
{
	const int fd = openat(folder, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char text[SYSFS_TEXT_MAX] = "";
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		const ssize_t n = read(fd, text, sizeof(text) - 1);

		text[n > 0 ? n : 0] = '\0';
	}
	if (fd >= 0)
		(void)close(fd);
	clean(text);
	memcpy(ret_text, text, sizeof(text));
}

/* -1 where it is no number. */
static int64_t read_number(int folder, const char *name)
{
	char text[SYSFS_TEXT_MAX];
	uint64_t value;

	read_text(folder, name, text);
	return parse_u64(text, 0, INT64_MAX, &value) < 0 ? -1 : (int64_t)value;
}

/* The last part of where a link leads; "" where there is none. */
static void read_link(int folder, const char *name, char ret_text[SYSFS_TEXT_MAX])
{
	char target[PATH_MAX];
	const ssize_t n = readlinkat(folder, name, target, sizeof(target) - 1);
	const char *last;

	target[n > 0 ? n : 0] = '\0';
	last = strrchr(target, '/');
	(void)snprintf(ret_text, SYSFS_TEXT_MAX, "%.*s", SYSFS_TEXT_MAX - 1,
		       last ? last + 1 : target);
	clean(ret_text);
}

static void read_node(int folder, struct sysfs_board *b)
{
	char text[SYSFS_TEXT_MAX];

	read_text(folder, "numa_node", text);
	b->node = strcmp(text, "-1") == 0 ? -1 : read_number(folder, "numa_node");
	b->has_node = b->node >= 0 || strcmp(text, "-1") == 0;
}

static void read_board(int folder, struct sysfs_board *b)
{
	read_text(folder, "serial", b->serial);
	read_text(folder, "firmware_version", b->firmware);
	read_text(folder, "interface_version", b->interface);
	read_text(folder, "state", b->state);
	read_link(folder, "device", b->pci);
	read_link(folder, "device/driver", b->driver);
	read_text(folder, "device/driver/module/version", b->driver_version);
	read_node(folder, b);
	b->sector = read_number(folder, "sector");
	b->block_bytes = read_number(folder, "block_bytes");
	b->link = (struct sysfs_link){
		.speed = read_number(folder, "link_speed"),
		.speed_max = read_number(folder, "link_speed_max"),
		.width = read_number(folder, "link_width"),
		.width_max = read_number(folder, "link_width_max"),
	};
}

/* The N of "sluiceN"; -1: no board is named so. */
static int64_t number_of(const char *name)
{
	uint64_t number;

	if (strncmp(name, prefix, sizeof(prefix) - 1) != 0 || strlen(name) >= SYSFS_TEXT_MAX ||
	    parse_u64(name + sizeof(prefix) - 1, 0, NUMBER_MAX, &number) < 0)
		return -1;
	return (int64_t)number;
}

static int by_number(const void *a, const void *b)
{
	const int64_t na = number_of(((const struct sysfs_board *)a)->name);
	const int64_t nb = number_of(((const struct sysfs_board *)b)->name);

	return (na > nb) - (na < nb);
}

static void take(int class, const char *name, struct sysfs_boards *boards)
{
	const int folder = openat(class, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct sysfs_board *b;

	if (folder < 0)
		return; /* gone since it was listed */
	if (boards->count < SYSFS_BOARDS_MAX) {
		b = &boards->board[boards->count++];
		(void)snprintf(b->name, sizeof(b->name), "%.*s", SYSFS_TEXT_MAX - 1, name);
		read_board(folder, b);
	} else {
		boards->left_off++;
	}
	(void)close(folder);
}

int sysfs_boards_read(const char *root, struct sysfs_boards *ret_boards)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *class;

	*ret_boards = (struct sysfs_boards){ .count = 0 };
	if (snprintf(path, sizeof(path), "%s/class/%s", root, prefix) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	class = opendir(path);
	if (!class)
		return neg_errno();
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): its own stream, one thread */
	while ((entry = readdir(class)))
		if (number_of(entry->d_name) >= 0)
			take(dirfd(class), entry->d_name, ret_boards);
	(void)closedir(class);
	qsort(ret_boards->board, ret_boards->count, sizeof(ret_boards->board[0]), by_number);
	return 0;
}

bool sysfs_link_is_down_trained(const struct sysfs_link *link)
{
	return (link->speed > 0 && link->speed < link->speed_max) ||
	       (link->width > 0 && link->width < link->width_max);
}
