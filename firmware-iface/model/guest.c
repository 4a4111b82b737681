/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/guest.h>

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/error.h>

int guest_init(struct guest *guest, char *paths, struct sluice_error *reterr)
{
	struct guest g = { .files = 0 };

	for (char *path = paths, *next; path; path = next) {
		next = strchr(path, ',');
		if (next)
			*next++ = '\0';
		if (*path == '\0')
			return error_set(reterr, -EINVAL, "memory: a file without a name");
		if (g.files == GUEST_FILES_MAX)
			return error_set(reterr, -EINVAL, "memory: more than %d files",
					 GUEST_FILES_MAX);
		g.file[g.files++].path = path;
	}
	*guest = g;
	return 0;
}

void guest_fini(struct guest *guest)
{
	for (unsigned int i = 0; i < guest->mapped; i++)
		(void)munmap(guest->file[i].map, guest->file[i].bytes);
	*guest = (struct guest){ .files = 0 };
}

static int map_file(struct guest_file *file, uint64_t first, struct sluice_error *reterr)
{
	const int fd = open(file->path, O_RDWR | O_CLOEXEC);
	struct stat st;
	void *map;
	int ret = 0;

	if (fd < 0) {
		ret = neg_errno();
		return ret == -ENOENT
			       ? -EAGAIN
			       : error_set(reterr, ret, "%s: %s", file->path, error_name(ret));
	}
	if (fstat(fd, &st) < 0)
		ret = neg_errno();
	else if (!S_ISREG(st.st_mode))
		ret = -EINVAL;
	else if (st.st_size == 0)
		ret = -EAGAIN;
	else if ((uint64_t)st.st_size > GUEST_BYTES_MAX - first)
		ret = -ERANGE;
	if (ret < 0)
		goto out;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		ret = neg_errno();
		goto out;
	}
	file->map = map;
	file->first = first;
	file->bytes = (uint64_t)st.st_size;
out:
	(void)close(fd);
	if (ret == -ERANGE)
		return error_set(reterr, ret,
				 "%s: more than %llu MiB of memory, all files together", file->path,
				 (unsigned long long)(GUEST_BYTES_MAX >> 20));
	return ret < 0 && ret != -EAGAIN
		       ? error_set(reterr, ret, "%s: %s", file->path, error_name(ret))
		       : ret;
}

int guest_map(struct guest *guest, struct sluice_error *reterr)
{
	while (guest->mapped < guest->files) {
		const int ret = map_file(&guest->file[guest->mapped], guest->bytes, reterr);

		if (ret < 0)
			return ret;
		guest->bytes += guest->file[guest->mapped].bytes;
		guest->mapped++;
	}
	return 0;
}

static bool is_memory(const struct guest *guest, uint64_t address, size_t bytes)
{
	return guest->mapped == guest->files && bytes <= guest->bytes &&
	       address <= guest->bytes - bytes;
}

/* The memory at @address, which is some, and how much of @bytes follows there without a break. */
static uint8_t *at(const struct guest *guest, uint64_t address, size_t bytes, size_t *ret_bytes)
{
	const struct guest_file *file = guest->file;
	uint64_t offset, room;

	while (address - file->first >= file->bytes)
		file++;
	offset = address - file->first;
	room = file->bytes - offset;
	*ret_bytes = bytes < room ? bytes : (size_t)room;
	return file->map + offset;
}

int guest_read(const struct guest *guest, uint64_t address, void *dst, size_t bytes)
{
	uint8_t *to = dst;

	if (!is_memory(guest, address, bytes))
		return -EFAULT;
	while (bytes > 0) {
		size_t n;
		const uint8_t *from = at(guest, address, bytes, &n);

		memcpy(to, from, n);
		to += n;
		address += n;
		bytes -= n;
	}
	return 0;
}

int guest_write(const struct guest *guest, uint64_t address, const void *src, size_t bytes)
{
	const uint8_t *from = src;
	uint32_t word;

	if (!is_memory(guest, address, bytes))
		return -EFAULT;
	/* Release: pairs with the guest's barrier between a generation and what it announces. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	if (bytes == sizeof(word) && address % sizeof(word) == 0) {
		size_t n;
		uint32_t *to = (uint32_t *)(void *)at(guest, address, bytes, &n);

		memcpy(&word, src, sizeof(word));
		__atomic_store_n(to, word, __ATOMIC_RELEASE);
		return 0;
	}
	while (bytes > 0) {
		size_t n;
		uint8_t *to = at(guest, address, bytes, &n);

		memcpy(to, from, n);
		from += n;
		address += n;
		bytes -= n;
	}
	return 0;
}
