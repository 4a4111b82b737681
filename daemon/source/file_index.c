/* SPDX-License-Identifier: MIT */
#include "file_index.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/count.h>
#include <base/error.h>

#include "scanner.h"

enum {
	WINDOW_BYTES = 256 << 10, /* looked through at a time for the next header */
};
_Static_assert((int)FRAMING_HEADER_BYTES_MAX < (int)WINDOW_BYTES, "a header fits in a window");
_Static_assert(SOURCE_FILES_MAX <= UINT16_MAX, "a place has 16 bits for the file");

/* Bytes that were read, fewer at the end of the file; or -errno. */
static ssize_t read_at(int fd, uint8_t *dst, size_t len, uint64_t offset)
{
	size_t done = 0;

	while (done < len) {
		const ssize_t n = pread(fd, dst + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return neg_errno();
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int open_file(struct file_index *index, const char *path, struct sluice_error *reterr)
{
	struct stat st;
	int fd, ret;

	if (index->files == SOURCE_FILES_MAX)
		return error_set(reterr, -ENOSPC,
				 "file %s: more than %d files of one sector (SOURCE_FILES_MAX)",
				 path, SOURCE_FILES_MAX);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		ret = neg_errno();
		return error_set(reterr, ret, "file %s: cannot open it: %s%s", path,
				 error_name(ret),
				 ret == -EMFILE ? "; raise the limit by `ulimit -n 4096`" : "");
	}
	ret = fstat(fd, &st) < 0 ? neg_errno() : 0;
	if (ret == 0 && (!S_ISREG(st.st_mode) || st.st_size >= (off_t)1 << 48))
		ret = -EINVAL;
	if (ret < 0) {
		(void)close(fd);
		return error_set(reterr, ret, "file %s: not a regular file below 256 TiB", path);
	}
	index->fd[index->files] = fd;
	index->bytes[index->files] = (uint64_t)st.st_size;
	index->files++;
	return 0;
}

/* In the order of their names, which glob() sorts. */
static int open_files(struct file_index *index, const char *pattern, struct sluice_error *reterr)
{
	glob_t found = { 0 };
	int ret = 0;

	switch (glob(pattern, GLOB_ERR, NULL, &found)) {
	case 0:
		break;
	case GLOB_NOMATCH:
		return error_set(reterr, -ENOENT, "file %s: there is none of that name", pattern);
	case GLOB_NOSPACE:
		return error_set(reterr, -ENOMEM, "file %s: no memory for their names", pattern);
	default:
		return error_set(reterr, -EACCES, "file %s: a folder cannot be read", pattern);
	}
	for (size_t i = 0; i < found.gl_pathc && ret == 0; i++)
		ret = open_file(index, found.gl_pathv[i], reterr);
	globfree(&found);
	return ret;
}

/*
 * The format by the first header that stands at the beginning of a file; where none does, by what
 * is configured: a header may still stand further on.
 */
static int learn(const struct file_index *index, const struct source_args *args,
		 const char *pattern, struct framing_format *ret_format,
		 struct sluice_error *reterr)
{
	const struct framing *const framing = framing_find(args->framing);
	uint8_t bytes[FRAMING_HEADER_BYTES_MAX];
	int ret = -EBADMSG;

	assert(framing->learn_bytes <= sizeof(bytes));
	for (unsigned int i = 0; i < index->files && ret == -EBADMSG; i++) {
		const ssize_t n = read_at(index->fd[i], bytes, framing->learn_bytes, 0);

		if (n < 0)
			return error_set(reterr, (int)n, "file %s: cannot read: %s", pattern,
					 error_name((int)n));
		if ((size_t)n == framing->learn_bytes)
			ret = framing_format_init(ret_format, framing, &args->geometry,
						  args->sector, bytes, reterr);
	}
	if (ret == -EBADMSG && framing_format_init(ret_format, framing, &args->geometry,
						   args->sector, NULL, NULL) == 0)
		ret = 0;
	if (ret == -EBADMSG)
		return error_set(reterr, ret, "file %s: no block of framing %s", pattern,
				 framing->name);
	if (ret < 0)
		return error_prefix(reterr, ret, "file %s", pattern);
	return 0;
}

/* Indexing one file. */
struct walk {
	struct file_index *index;
	struct framing_format *format;
	struct source_stats *stats;
	uint8_t *window; /* WINDOW_BYTES */
	unsigned int file;
	uint64_t at;
	uint64_t block; /* the block before @at; UINT64_MAX when @at follows a skip */
};

/* The next good header at @from or later, the end of the file when there is none; or -errno. */
static int64_t search(const struct walk *walk, uint64_t from)
{
	const struct framing_format *const f = walk->format;
	const uint64_t end = walk->index->bytes[walk->file];

	while (from < end && end - from >= f->header_bytes) {
		const ssize_t n = read_at(walk->index->fd[walk->file], walk->window, WINDOW_BYTES,
					  from);
		size_t found;

		if (n < 0)
			return n;
		if ((size_t)n < f->header_bytes)
			break;
		found = framing_search(f, walk->window, (size_t)n);
		if (found < (size_t)n)
			return (int64_t)(from + found);
		from += (size_t)n - (f->header_bytes - 1);
	}
	return (int64_t)end;
}

static void skip(const struct walk *walk, uint64_t bytes)
{
	count_add(&walk->stats->bytes_skipped, bytes);
}

/* As the scanner does it: the next header may stand inside the block before. */
static int resync(struct walk *walk)
{
	struct file_index *const index = walk->index;
	const int64_t found = search(walk, walk->block != UINT64_MAX
						   ? walk->block + walk->format->header_bytes
						   : walk->at + 1);

	if (found < 0)
		return (int)found;
	count_add(&walk->stats->resyncs, 1);
	if ((uint64_t)found < walk->at) {
		count_add(&walk->stats->bad_length, 1);
		index->count--;
		walk->at = walk->block;
	}
	skip(walk, (uint64_t)found - walk->at);
	walk->at = (uint64_t)found;
	walk->block = UINT64_MAX;
	return 0;
}

static int walk_file(struct walk *walk)
{
	struct file_index *const index = walk->index;
	const struct framing_format *const f = walk->format;
	const uint64_t end = index->bytes[walk->file];

	walk->at = 0;
	walk->block = UINT64_MAX;
	while (end - walk->at >= f->block_bytes) {
		struct framing_header header;
		enum framing_verdict verdict;
		const ssize_t n = read_at(index->fd[walk->file], walk->window, f->header_bytes,
					  walk->at);

		if (n < 0)
			return (int)n;
		if ((size_t)n < f->header_bytes)
			break;
		verdict = f->framing->check(f, walk->window, &header);
		if (verdict != FRAMING_OK) {
			int ret;

			scanner_count(walk->stats, verdict);
			ret = resync(walk);
			if (ret < 0)
				return ret;
			continue;
		}
		framing_lock(walk->format, &header);
		index->entries[index->count++] = (struct file_entry){
			.frame = header.frame,
			.place = (uint64_t)walk->file << 48 | walk->at,
		};
		walk->block = walk->at;
		walk->at += f->block_bytes;
	}
	skip(walk, end - walk->at);
	return 0;
}

static int by_frame(const void *a, const void *b)
{
	const struct file_entry *const x = a;
	const struct file_entry *const y = b;

	if (x->frame != y->frame)
		return x->frame < y->frame ? -1 : 1;
	return (x->place > y->place) - (x->place < y->place);
}

/* The first block of a frame counts, in the order of files and of offsets in them. */
static void sort(struct file_index *index, struct source_stats *stats)
{
	uint64_t kept = 0;

	qsort(index->entries, index->count, sizeof(*index->entries), by_frame);
	for (uint64_t i = 0; i < index->count; i++) {
		if (kept > 0 && index->entries[kept - 1].frame == index->entries[i].frame)
			count_add(&stats->duplicates, 1);
		else
			index->entries[kept++] = index->entries[i];
	}
	index->count = kept;
}

static int walk_files(struct file_index *index, struct framing_format *format,
		      struct source_stats *stats)
{
	struct walk walk = { .index = index, .format = format, .stats = stats };
	int ret = 0;

	walk.window = malloc(WINDOW_BYTES);
	if (!walk.window)
		return -ENOMEM;
	for (walk.file = 0; walk.file < index->files && ret == 0; walk.file++)
		ret = walk_file(&walk);
	free(walk.window);
	return ret;
}

int file_index_open(struct file_index *ret_index, const char *pattern,
		    const struct source_args *args, struct source_stats *stats,
		    struct framing_format *ret_format, struct sluice_error *reterr)
{
	struct file_index index = { .files = 0 };
	struct framing_format format = { 0 };
	uint64_t blocks = 0;
	int ret;

	ret = open_files(&index, pattern, reterr);
	if (ret == 0)
		ret = learn(&index, args, pattern, &format, reterr);
	if (ret < 0)
		goto err_close;
	assert(format.block_bytes > 0);
	format.frames = SOURCE_FRAMES_MAX;
	for (unsigned int i = 0; i < index.files; i++)
		blocks += index.bytes[i] / format.block_bytes;
	if (blocks > SOURCE_FRAMES_MAX) {
		ret = error_set(reterr, -ENOSPC, "file %s: more than %d blocks (SOURCE_FRAMES_MAX)",
				pattern, SOURCE_FRAMES_MAX);
		goto err_close;
	}
	index.entries = calloc(blocks ? blocks : 1, sizeof(*index.entries));
	if (!index.entries) {
		ret = error_set(reterr, -ENOMEM, "file %s: no memory for an index of %llu blocks",
				pattern, (unsigned long long)blocks);
		goto err_close;
	}
	ret = walk_files(&index, &format, stats);
	if (ret < 0) {
		(void)error_set(reterr, ret, "file %s: cannot index it: %s", pattern,
				error_name(ret));
		goto err_close;
	}
	sort(&index, stats);
	if (index.count == 0) {
		ret = error_set(reterr, -EBADMSG, "file %s: not one whole block of framing %s",
				pattern, args->framing);
		goto err_close;
	}
	*ret_index = index;
	*ret_format = format;
	return 0;

err_close:
	file_index_close(&index);
	return ret;
}

void file_index_close(struct file_index *index)
{
	if (!index)
		return;
	for (unsigned int i = 0; i < index->files; i++)
		(void)close(index->fd[i]);
	index->files = 0;
	free(index->entries);
	index->entries = NULL;
	index->count = 0;
}
