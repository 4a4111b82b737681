/* SPDX-License-Identifier: MIT */
/*
 * source/stream.h - what sources have in common whose bytes come as one stream.
 *
 * Reads are sized so that each ends with the last block of a run, as long as the frame numbers
 * follow each other. After a gap or bytes that are no block, the frame number of the last block
 * found says where the stream stands, and the next read is cut to end with a run again.
 *
 * Ownership: the source's. Threads: the reader's. Errors: none but memory.
 */
#ifndef SOURCE_STREAM_H
#define SOURCE_STREAM_H

#include <stdint.h>

struct source;
struct source_fill;
struct source_slot;

/* Memory for the scanner. -ENOMEM. */
int stream_open(struct source *source);
void stream_close(struct source *source);
void stream_start(struct source *source);
/* How many bytes to read into @slot now; counts them as asked for. */
uint32_t stream_read_bytes(struct source *source, const struct source_slot *slot);
/* source_ops.completed() of every stream. */
void stream_completed(struct source *source, struct source_slot *slot, struct source_fill *fill);

#endif /* SOURCE_STREAM_H */
