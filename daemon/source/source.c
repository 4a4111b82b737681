/* SPDX-License-Identifier: MIT */
/* The dispatcher: what is posted, what is read, when a scan ends. See source_ops.h. */
#include "source.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/numa.h>

#include "reap.h"
#include "source_ops.h"

static const struct source_ops *const kinds[] = {
	&source_socket_ops,
	&source_device_ops,
	&source_file_ops,
};

static const char sector_mark[] = "{sector}";

/* The kind that @spec names, and in @path what comes after the colon, the sector filled in. */
static int spec_parse(const char *spec, uint16_t sector, const struct source_ops **ret_ops,
		      char path[SOURCE_SPEC_MAX], struct sluice_error *reterr)
{
	const struct source_ops *ops = NULL;
	const char *from, *mark;
	size_t len = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const size_t n = strlen(kinds[i]->scheme);

		if (strncmp(spec, kinds[i]->scheme, n) == 0 && spec[n] == ':') {
			ops = kinds[i];
			break;
		}
	}
	if (!ops)
		return error_set(reterr, -EINVAL,
				 "source \"%.200s\": allowed: device:PATH, socket:PATH, "
				 "file:PATH-OR-GLOB",
				 spec);
	from = spec + strlen(ops->scheme) + 1;
	while ((mark = strstr(from, sector_mark)) != NULL && len < SOURCE_SPEC_MAX) {
		len += (size_t)snprintf(path + len, SOURCE_SPEC_MAX - len, "%.*s%u",
					(int)(mark - from), from, sector);
		from = mark + sizeof(sector_mark) - 1;
	}
	if (len < SOURCE_SPEC_MAX)
		len += (size_t)snprintf(path + len, SOURCE_SPEC_MAX - len, "%s", from);
	if (len >= SOURCE_SPEC_MAX || len == 0)
		return error_set(reterr, -EINVAL,
				 "source \"%.200s\": a path of 1 to %d bytes is needed", spec,
				 SOURCE_SPEC_MAX - 1);
	*ret_ops = ops;
	return 0;
}

static int args_check(const struct source_args *args, struct sluice_error *reterr)
{
	if (!args->spec || !args->framing)
		return error_set(reterr, -EINVAL, "source: spec and framing are needed");
	if (!framing_find(args->framing))
		return error_set(reterr, -EINVAL,
				 "framing \"%.100s\": allowed: sluice, 4dcamera-v5, 4dcamera-v4, "
				 "merlin-mib",
				 args->framing);
	if (args->depth < 1 || args->depth > SOURCE_DEPTH_MAX)
		return error_set(reterr, -EINVAL, "source: depth %u: allowed: 1 to %d", args->depth,
				 SOURCE_DEPTH_MAX);
	if (args->loops < 1)
		return error_set(reterr, -EINVAL, "source: loops 0: allowed: 1 and more");
	if (!isfinite(args->frames_per_s) || args->frames_per_s < 0)
		return error_set(reterr, -EINVAL,
				 "source: frames per second: allowed: 0 (flat out) and more");
	return 0;
}

int source_open(const struct source_args *args, struct source **ret_source,
		struct sluice_error *reterr)
{
	char path[SOURCE_SPEC_MAX];
	const struct source_ops *ops = NULL;
	struct source *source;
	int ret;

	ret = args_check(args, reterr);
	if (ret == 0)
		ret = spec_parse(args->spec, args->sector, &ops, path, reterr);
	if (ret < 0)
		return ret;
	assert(ops);
	source = calloc(1, sizeof(*source));
	if (!source)
		return error_set(reterr, -ENOMEM, "source %s: no memory", path);
	source->ops = ops;
	source->depth = args->depth;
	source->frames_per_s = args->frames_per_s;
	source->loops = args->loops;
	ret = uring_open(&source->uring, reterr);
	if (ret < 0)
		goto err_free;
	source->info.node = NODE_ANY;
	ret = ops->open(source, args, path, reterr);
	if (ret < 0)
		goto err_uring;
	source->info.whole_blocks = source->ops->by_uapi;
	source->info.geometry = source->format.geometry;
	source->info.header_bytes = source->format.header_bytes;
	source->info.block_bytes = source->format.block_bytes;
	if (args->memory) {
		ret = source_attach(source, args->memory, args->memory_bytes, reterr);
		if (ret < 0)
			goto err_kind;
	}
	*ret_source = source;
	return 0;

err_kind:
	source->ops->close(source);
err_uring:
	uring_close(&source->uring);
err_free:
	free(source);
	return ret;
}

int source_attach(struct source *source, void *memory, size_t memory_bytes,
		  struct sluice_error *reterr)
{
	char note[SOURCE_NOTE_MAX];
	size_t used;
	int ret;

	if (!memory || memory_bytes == 0 || source->uring.memory)
		return error_set(reterr, -EINVAL,
				 "source %s: one ring, not empty, is attached once",
				 source->info.name);
	ret = uring_attach(&source->uring, memory, memory_bytes, note, sizeof(note), reterr);
	if (ret < 0)
		return ret;
	/* After what open() may have found lacking. */
	used = strlen(source->info.note);
	(void)snprintf(source->info.note + used, sizeof(source->info.note) - used, "%s%s",
		       used > 0 && note[0] != '\0' ? "; " : "", note);
	return 0;
}

void source_close(struct source *source)
{
	if (!source)
		return;
	source_stop(source);
	source->ops->close(source);
	uring_close(&source->uring);
	free(source);
}

const struct source_info *source_info(const struct source *source)
{
	return &source->info;
}

const struct source_stats *source_stats(const struct source *source)
{
	return &source->stats;
}

static int scan_check(const struct source *source, const struct source_scan *scan,
		      struct sluice_error *reterr)
{
	const struct source_info *const info = &source->info;

	if (!source->uring.memory)
		return error_set(reterr, -EINVAL, "source %s: no ring is attached", info->name);
	if (scan->frames_expected < 1 || scan->frames_expected > SOURCE_FRAMES_MAX)
		return error_set(reterr, -EINVAL,
				 "source %s: %llu frames expected: allowed: 1 to %d", info->name,
				 (unsigned long long)scan->frames_expected, SOURCE_FRAMES_MAX);
	if (scan->run_frames < 1 || scan->run_frames > SLUICE_WIRE_RUN_FRAMES_MAX)
		return error_set(reterr, -EINVAL, "source %s: runs of %u frames: allowed: 1 to %d",
				 info->name, scan->run_frames, SLUICE_WIRE_RUN_FRAMES_MAX);
	if (scan->stall_ns == 0)
		return error_set(reterr, -EINVAL, "source %s: a stall time is needed", info->name);
	if (scan->scan_columns > UINT16_MAX || scan->scan_rows > UINT16_MAX)
		return error_set(reterr, -EINVAL,
				 "source %s: scan of %u x %u positions: sides up to %d are allowed",
				 info->name, scan->scan_columns, scan->scan_rows, UINT16_MAX);
	if (info->scan_columns != 0 &&
	    (scan->scan_columns != info->scan_columns || scan->scan_rows != info->scan_rows))
		return error_set(reterr, -EINVAL,
				 "source %s: holds a scan of %u x %u positions, %u x %u are armed",
				 info->name, info->scan_columns, info->scan_rows,
				 scan->scan_columns, scan->scan_rows);
	return 0;
}

static void reads_reset(struct source *source)
{
	for (uint32_t i = 0; i < URING_READS_MAX; i++)
		source->reads_free[i] = URING_READS_MAX - 1 - i;
	source->reads_free_count = URING_READS_MAX;
	source->head = 0;
	source->count = 0;
	source->prepared = 0;
}

int source_start(struct source *source, const struct source_scan *scan, struct sluice_error *reterr)
{
	int ret;

	if (source->state != SOURCE_OPEN)
		return error_set(reterr, -EBUSY, "source %s: a scan runs", source->info.name);
	ret = scan_check(source, scan, reterr);
	if (ret < 0)
		return ret;
	source->scan = *scan;
	source->end = SOURCE_END_NONE;
	source->end_error = 0;
	source->exhausted = false;
	source->last_seen = false;
	source->let_run = false;
	source->drained = false;
	atomic_store_explicit(&source->interrupted, false, memory_order_relaxed);
	reads_reset(source);
	ret = source->ops->start(source, reterr);
	if (ret < 0)
		return ret;
	source->state = SOURCE_RUNNING;
	return 0;
}

int source_post(struct source *source, const struct source_buffer *buffer)
{
	const uintptr_t memory = (uintptr_t)source->uring.memory;
	const uintptr_t slot = (uintptr_t)buffer->slot;
	const uint64_t bytes = (uint64_t)buffer->headroom + buffer->capacity;

	if (source->state != SOURCE_RUNNING)
		return -EINVAL;
	if (bytes > UINT32_MAX || buffer->capacity < source->format.block_bytes ||
	    buffer->table_max < 1 || !buffer->table)
		return -EINVAL;
	if (slot < memory || bytes > source->uring.memory_bytes ||
	    slot - memory > source->uring.memory_bytes - bytes)
		return -EINVAL;
	if (source->count == source->depth)
		return -ENOSPC;
	source->slots[(source->head + source->count) % SOURCE_DEPTH_MAX] =
		(struct source_slot){ .buffer = *buffer };
	source->count++;
	return 0;
}

int source_reap(struct source *source, uint64_t timeout_ns, struct source_fill *ret_fill)
{
	if (source->state != SOURCE_RUNNING)
		return -EINVAL;
	return reap(source, timeout_ns, ret_fill);
}

void source_interrupt(struct source *source)
{
	/* Relaxed: nothing but the flag itself is handed over. */
	atomic_store_explicit(&source->interrupted, true, memory_order_relaxed);
}

void source_stop(struct source *source)
{
	if (source->state == SOURCE_OPEN)
		return;
	reap_quiesce(source);
	source->count = 0;
	source->prepared = 0;
	source->state = SOURCE_OPEN;
}

int source_board_counters(struct source *source, struct source_board_counters *ret_counters)
{
	if (!source->ops->counters)
		return -EOPNOTSUPP;
	return source->ops->counters(source, ret_counters);
}

const char *source_explain(const struct source *source, int error)
{
	const char *const text = source->ops->explain ? source->ops->explain(error) : NULL;

	return text ? text : error_name(error);
}
