/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/recording.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <base/error.h>
#include <model/random.h>

enum {
	STREAM_FILE = 48,
	STREAM_ORDER,
};

/* Frame period of what is recorded: the 4D Camera's. */
#define PERIOD_NS (UINT64_C(1000000000) / 87000)

static int check_args(const struct recording_args *args, struct sluice_error *reterr)
{
	const struct sluice_geometry *g = &model_args(args->run.model)->geometry;
	const uint16_t layout = args->run.framing == BATCH_4DCAMERA_V4 ? SLUICE_LAYOUT_COLUMNS
								       : SLUICE_LAYOUT_ROWS;

	if (args->files < 1 || args->files > RECORDING_FILES_MAX)
		return error_set(reterr, -EINVAL, "files: %u; allowed: 1 ... %d", args->files,
				 RECORDING_FILES_MAX);
	if (args->run.scan.frames < 1 || args->run.scan.frames > RECORDING_FRAMES_MAX)
		return error_set(reterr, -EINVAL, "frames: allowed: 1 ... %d",
				 RECORDING_FRAMES_MAX);
	if (args->run.framing == BATCH_SLUICE)
		return 0;
	if (g->layout != layout || g->pixel != SLUICE_PIXEL_U16)
		return error_set(reterr, -EINVAL,
				 "framing 4dcamera-v%d: allowed: pixel u16, sectors laid out in "
				 "%s",
				 layout == SLUICE_LAYOUT_ROWS ? 5 : 4,
				 layout == SLUICE_LAYOUT_ROWS ? "rows" : "columns");
	return 0;
}

/*
 * The frames of all files, those of file 0 first, each file in its own random order.
 * @first: files + 1 indices into @order.
 */
static int shuffle(const struct recording_args *args, uint32_t **ret_order, uint32_t *first)
{
	const uint64_t seed = model_args(args->run.model)->seed;
	const uint32_t frames = (uint32_t)args->run.scan.frames;
	uint32_t *order = malloc(frames * sizeof(*order));
	struct random r = { random_at(seed, STREAM_ORDER, args->run.sector) };
	uint32_t at = 0;

	if (!order)
		return -ENOMEM;
	for (unsigned int file = 0; file < args->files; file++) {
		first[file] = at;
		for (uint32_t f = 0; f < frames; f++)
			if (random_at(seed, STREAM_FILE, f) % args->files == file)
				order[at++] = f;
		for (uint32_t i = at; i > first[file] + 1; i--) {
			const uint32_t k = first[file] +
					   (uint32_t)(random_next(&r) % (i - first[file]));
			const uint32_t swap = order[i - 1];

			order[i - 1] = order[k];
			order[k] = swap;
		}
	}
	first[args->files] = at;
	*ret_order = order;
	return 0;
}

static int write_batch(int fd, struct batch *batch)
{
	struct iovec *piece = batch->piece;
	unsigned int pieces = batch->pieces;

	while (pieces > 0) {
		ssize_t n = writev(fd, piece, (int)pieces);

		if (n < 0 && errno != EINTR)
			return neg_errno();
		for (; n > 0 && pieces > 0 && (size_t)n >= piece->iov_len; pieces--)
			n -= (ssize_t)(piece++)->iov_len;
		if (n > 0) {
			piece->iov_base = (uint8_t *)piece->iov_base + n;
			piece->iov_len -= (size_t)n;
		}
	}
	return 0;
}

static int write_blocks(const struct recording_args *args, int fd, const uint32_t *order,
			uint32_t count, struct batch_counts *counts)
{
	struct batch *batch = malloc(sizeof(*batch));
	uint32_t i = 0;
	int ret = batch ? 0 : -ENOMEM;

	while (ret == 0 && i < count) {
		if (args->stop && *args->stop) {
			ret = -ECANCELED;
			break;
		}
		batch_reset(batch);
		while (i < count && batch->blocks < BATCH_BLOCKS && !batch->cut) {
			batch_add(batch, &args->run, order[i], order[i] * PERIOD_NS);
			i++;
		}
		ret = write_batch(fd, batch);
		if (ret == 0)
			batch_counts_add(counts, &batch->counts);
		if (batch->cut)
			break;
	}
	free(batch);
	return ret;
}

static int write_file(const struct recording_args *args, unsigned int file, const uint32_t *order,
		      uint32_t count, struct batch_counts *counts, struct sluice_error *reterr)
{
	char path[PATH_MAX];
	int fd, ret;

	if (snprintf(path, sizeof(path), "%s/data_scan%010u_module%u_dst0_file%u.data",
		     args->folder, args->run.number, args->run.sector, file) >= (int)sizeof(path))
		return error_set(reterr, -ENAMETOOLONG, "%s: name too long", args->folder);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0) {
		ret = neg_errno();
		return error_set(reterr, ret, "%s: cannot make it: %s", path, error_name(ret));
	}
	ret = write_blocks(args, fd, order, count, counts);
	if (close(fd) < 0 && ret == 0)
		ret = neg_errno();
	return ret < 0 ? error_set(reterr, ret, "%s: cannot write: %s", path, error_name(ret)) : 0;
}

int recording_write(const struct recording_args *args, struct batch_counts *ret_counts,
		    struct sluice_error *reterr)
{
	uint32_t first[RECORDING_FILES_MAX + 1];
	struct batch_counts counts = { 0 };
	uint32_t *order;
	int ret;

	ret = check_args(args, reterr);
	if (ret < 0)
		return ret;
	ret = shuffle(args, &order, first);
	if (ret < 0)
		return error_set(reterr, ret, "no memory for the order of the blocks");
	for (unsigned int file = 0; ret == 0 && file < args->files; file++)
		ret = write_file(args, file, order + first[file], first[file + 1] - first[file],
				 &counts, reterr);
	free(order);
	if (ret == 0)
		*ret_counts = counts;
	return ret;
}
