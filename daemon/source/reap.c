/* SPDX-License-Identifier: MIT */
#include "reap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include <base/clock.h>
#include <base/count.h>

#include "source_ops.h"

/* How long a wait may last before it looks whether source_interrupt() was called. */
static const uint64_t look_ns = 50 * NS_PER_MS;
/* How long reads that were given up may take to come back. */
static const uint64_t quiesce_ns = 10 * NS_PER_S;

static struct source_slot *slot_at(struct source *source, uint32_t i)
{
	return &source->slots[(source->head + i) % SOURCE_DEPTH_MAX];
}

static void read_again(struct source *source, uint32_t tag)
{
	const struct source_read *const read = &source->reads[tag];

	uring_read_at(&source->uring, read->fd, read->dst, read->len, read->offset, tag);
}

/* A place in the table of reads; prepare_read() has looked that there is one. */
static uint32_t read_take(struct source *source, struct source_slot *slot, uint8_t *dst,
			  uint32_t len)
{
	uint32_t tag;

	assert(source->reads_free_count > 0);
	assert(dst >= slot->buffer.slot + slot->buffer.headroom);
	assert(dst + len <= slot->buffer.slot + slot->buffer.headroom + slot->buffer.capacity);
	if (source->uring.in_flight == 0)
		source->activity_ns = now_ns();
	tag = source->reads_free[--source->reads_free_count];
	source->reads[tag] = (struct source_read){ .slot = slot, .dst = dst, .len = len };
	if (slot->read_count++ == 0)
		slot->first_read = tag;
	slot->requested += len;
	count_add(&source->stats.reads, 1);
	return tag;
}

void source_read_at(struct source *source, struct source_slot *slot, uint8_t *dst, uint32_t len,
		    int fd, uint64_t offset)
{
	const uint32_t tag = read_take(source, slot, dst, len);

	source->reads[tag].fd = fd;
	source->reads[tag].offset = offset;
	read_again(source, tag);
}

void source_read_next(struct source *source, struct source_slot *slot, uint32_t len, int fd)
{
	uint8_t *const dst = slot->buffer.slot + slot->buffer.headroom;

	uring_read_next(&source->uring, fd, dst, len, read_take(source, slot, dst, len));
}

void source_read_beside(struct source *source, struct source_slot *slot, uint32_t len, int fd)
{
	uint8_t *const dst = slot->buffer.slot + slot->buffer.headroom;

	uring_read_beside(&source->uring, fd, dst, len, read_take(source, slot, dst, len));
}

void source_receive(struct source *source, struct source_slot *slot, uint32_t len, int fd)
{
	uint8_t *const dst = slot->buffer.slot + slot->buffer.headroom;

	uring_receive(&source->uring, fd, dst, len, read_take(source, slot, dst, len));
}

/* A read of a file that came back early and has more to bring. */
static bool read_goes_on(struct source *source, struct source_read *read, int result)
{
	if (source->ops->ordered || source->end != SOURCE_END_NONE)
		return false;
	if (result == -EINTR || result == -EAGAIN)
		return true;
	return result >= 0 && (uint32_t)result < read->len &&
	       source->ops->short_read(source, read, (uint32_t)result);
}

static void read_completed(struct source *source, uint32_t tag, int result)
{
	struct source_read *const read = &source->reads[tag];
	struct source_slot *const slot = read->slot;
	const uint32_t received = result > 0 ? (uint32_t)result : 0;

	assert(tag < URING_READS_MAX);
	assert(received <= read->len);
	if (received > 0) {
		source->activity_ns = now_ns();
		slot->received += received;
		count_add(&source->stats.bytes, received);
	}
	if (read_goes_on(source, read, result)) {
		read_again(source, tag);
		return;
	}
	if (result == -EINTR || (result == -ECANCELED && !source->ops->by_uapi))
		slot->cancelled = true;
	else if (result < 0 && slot->error == 0)
		slot->error = result;
	slot->read_count--;
	source->reads_free[source->reads_free_count++] = tag;
}

static void completions_take(struct source *source)
{
	uint32_t tag;
	int result;

	while (uring_next(&source->uring, &tag, &result) == 0)
		read_completed(source, tag, result);
}

static void end_with(struct source *source, enum source_end end, int error)
{
	if (source->end != SOURCE_END_NONE)
		return;
	source->end = end;
	source->end_error = error;
}

/* The stream, the files or the scan have no more bytes. */
static void end_of_bytes(struct source *source)
{
	enum source_end end = SOURCE_END_CUT;

	/* By sluice/uapi.h the board dropped the last frames, and counted them. */
	if (source->last_seen || (source->ops->by_uapi && !source->drained))
		end = SOURCE_END_COMPLETE;
	else if (source->drained)
		end = SOURCE_END_STALL;
	end_with(source, end, 0);
}

static void prepare(struct source *source)
{
	while (source->prepared < source->count && !source->exhausted) {
		struct source_slot *const slot = slot_at(source, source->prepared);
		const int ret = source->ops->prepare_read(source, slot);

		if (ret == -EAGAIN)
			return;
		assert(ret == 0);
		slot->prepared = true;
		source->prepared++;
	}
}

void reap_quiesce(struct source *source)
{
	const uint64_t deadline_ns = now_ns() + quiesce_ns;

	if (source->end == SOURCE_END_NONE)
		source->end = SOURCE_END_STOPPED;
	source->ops->stop(source);
	while (source->uring.in_flight > 0) {
		/* Prepared reads are the kernel's already: they come back like all others. */
		(void)uring_submit(&source->uring);
		uring_cancel_all(&source->uring);
		(void)uring_wait(&source->uring, look_ns);
		completions_take(source);
		/* A board that goes on writing into memory which is used for something else
		 * next would spoil it in silence: better no process than that. */
		if (now_ns() > deadline_ns)
			abort();
	}
}

static void tell_end(struct source *source, struct source_fill *ret_fill)
{
	*ret_fill = (struct source_fill){
		.end = source->end,
		.error = source->end_error,
		/* A block that began and never ended. */
		.bytes_skipped = source->ops->ordered ? scanner_finish(&source->scanner) : 0,
	};
	source->state = SOURCE_ENDED;
}

/* The last frame's number is in the table: the blocks of a scan have no other sign of its end. */
static void look_for_last(struct source *source, const struct source_slot *slot, uint32_t blocks)
{
	const uint64_t last = source->scan.frames_expected - 1;

	for (uint32_t i = 0; i < blocks; i++)
		if (sluice_u64(slot->buffer.table[i].frame) == last)
			source->last_seen = true;
}

/* The oldest buffer's reads are all back. Returns false when there is nothing to give. */
static bool judge(struct source *source, struct source_fill *ret_fill)
{
	struct source_slot *const slot = slot_at(source, 0);
	struct source_fill fill = {
		.cookie = slot->buffer.cookie,
		.bytes_read = slot->received,
		.has_buffer = true,
	};

	if (slot->error != 0) {
		end_with(source, SOURCE_END_READ, slot->error);
		return false;
	}
	if (source->ops->ordered && slot->received == 0 && !slot->cancelled) {
		end_of_bytes(source);
		return false;
	}
	source->ops->completed(source, slot, &fill);
	look_for_last(source, slot, fill.block_count);
	if (source->ops->short_is_end && slot->received < slot->requested && !slot->cancelled &&
	    !slot->asked_back)
		end_of_bytes(source);
	if (source->ops->ends_by_count && source->last_seen)
		end_with(source, SOURCE_END_COMPLETE, 0);
	source->head = (source->head + 1) % SOURCE_DEPTH_MAX;
	source->count--;
	source->prepared--;
	*ret_fill = fill;
	return true;
}

/* Returns true when the board was asked to end, and is to be given the stall time once more. */
static bool drain(struct source *source)
{
	int ret;

	if (!source->ops->drain || source->drained)
		return false;
	source->drained = true;
	ret = source->ops->drain(source);
	if (ret < 0)
		end_with(source, SOURCE_END_READ, ret);
	source->activity_ns = now_ns();
	return true;
}

/*
 * No completion for the stall time. A read that waits for a whole run may have received some of
 * it: it is asked to come back with what it has, and only if that is nothing the board stalls.
 */
static void look_for_stall(struct source *source)
{
	struct source_slot *const slot = slot_at(source, 0);

	if (source->count == 0 || slot->read_count == 0)
		return;
	if (now_ns() - source->activity_ns < source->scan.stall_ns)
		return;
	if (drain(source))
		return;
	if (source->ops->ordered && !source->ops->drain && !slot->asked_back) {
		slot->asked_back = true;
		uring_cancel(&source->uring, slot->first_read);
		(void)uring_wait(&source->uring, look_ns);
		completions_take(source);
		/* One that does not heed has the stall time once more. */
		if (slot->read_count > 0)
			source->activity_ns = now_ns();
		if (slot->read_count > 0 || slot->received > 0 || !slot->cancelled)
			return;
	}
	end_with(source, source->last_seen ? SOURCE_END_COMPLETE : SOURCE_END_STALL, 0);
}

static bool oldest_is_back(struct source *source)
{
	const struct source_slot *const slot = slot_at(source, 0);

	return source->prepared > 0 && slot->read_count == 0;
}

/* How long to wait for completions: never past what else is due. */
static uint64_t wait_ns(struct source *source, uint64_t deadline_ns)
{
	uint64_t ns = ns_until(deadline_ns);

	if (ns > look_ns)
		ns = look_ns;
	if (oldest_is_back(source)) {
		const uint64_t due = ns_until(slot_at(source, 0)->due_ns);

		return due < ns ? due : ns;
	}
	if (source->uring.in_flight > 0) {
		const uint64_t idle = now_ns() - source->activity_ns;
		const uint64_t stall = source->scan.stall_ns > idle ? source->scan.stall_ns - idle
								    : 0;

		return stall < ns ? stall : ns;
	}
	return ns;
}

/* A board that waits for buffers has some now. */
static void let_run(struct source *source)
{
	int ret;

	if (source->let_run || source->prepared == 0 || !source->ops->run)
		return;
	source->let_run = true;
	ret = uring_submit(&source->uring);
	if (ret == 0)
		ret = source->ops->run(source);
	if (ret < 0)
		end_with(source, SOURCE_END_READ, ret);
	source->activity_ns = now_ns();
}

/* Returns true when *ret_fill is a buffer; may decide the end. */
static bool advance(struct source *source, struct source_fill *ret_fill)
{
	prepare(source);
	let_run(source);
	completions_take(source);
	look_for_stall(source);
	if (oldest_is_back(source) && now_ns() >= slot_at(source, 0)->due_ns)
		return judge(source, ret_fill);
	if (source->exhausted && source->prepared == 0)
		end_of_bytes(source);
	return false;
}

/* Returns true when *ret_fill is a buffer or the end. */
static bool step(struct source *source, struct source_fill *ret_fill)
{
	/* Relaxed: nothing but the flag itself is handed over. */
	if (atomic_load_explicit(&source->interrupted, memory_order_relaxed))
		end_with(source, SOURCE_END_STOPPED, 0);
	if (source->end == SOURCE_END_NONE && advance(source, ret_fill))
		return true;
	if (source->end == SOURCE_END_NONE)
		return false;
	tell_end(source, ret_fill);
	return true;
}

int reap(struct source *source, uint64_t timeout_ns, struct source_fill *ret_fill)
{
	const uint64_t now = now_ns();
	const uint64_t deadline_ns = timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns;

	for (;;) {
		/* Before the look: a thread that slept too long still looks once more. */
		const bool last = now_ns() >= deadline_ns;
		int ret;

		if (step(source, ret_fill)) {
			/* What was prepared goes on while the caller is busy with this buffer. */
			(void)uring_submit(&source->uring);
			return 0;
		}
		if (last) {
			(void)uring_submit(&source->uring);
			return -EAGAIN;
		}
		ret = uring_wait(&source->uring, wait_ns(source, deadline_ns));
		if (ret < 0)
			end_with(source, SOURCE_END_READ, ret);
	}
}
