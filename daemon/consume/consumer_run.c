/* SPDX-License-Identifier: MIT */
/*
 * A run: the messages of all its sectors, kept where the network put them, and what the table of
 * each says of its blocks. Every number in such a table comes from a peer and is judged here.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <base/crc32c.h>
#include <consume/consumer_state.h>

static struct run_block *block_at(const struct sluice_run *run, unsigned int index,
				  unsigned int sector)
{
	return &run->block[(size_t)index * run->scan->info.geometry.sectors + sector];
}

int run_create(struct consumer_scan *scan, uint64_t number, struct sluice_run **ret_run)
{
	const uint64_t first = number * scan->info.run_frames;
	const uint64_t left = scan->info.frames_expected - first;
	struct sluice_run *run = calloc(1, sizeof(*run));

	if (!run)
		return -ENOMEM;
	run->scan = scan;
	run->number = number;
	run->frame_first = first;
	run->frames = left < scan->info.run_frames ? (unsigned int)left : scan->info.run_frames;
	run->assembling = true;
	run->item.type = SLUICE_NEXT_RUN;
	run->item.run = run;
	run->block = calloc((size_t)run->frames * scan->info.geometry.sectors, sizeof(*run->block));
	if (!run->block) {
		free(run);
		return -ENOMEM;
	}
	*ret_run = run;
	return 0;
}

static void sector_release(struct run_sector *sector)
{
	while (sector->parts) {
		struct run_part *part = sector->parts;

		sector->parts = part->next;
		link_message_release(&part->message);
		free(part);
	}
}

void run_release(struct sluice_run *run)
{
	for (unsigned int s = 0; s < run->scan->info.geometry.sectors; s++)
		sector_release(&run->sector[s]);
}

void run_destroy(struct sluice_run *run)
{
	if (!run)
		return;
	run_release(run);
	free(run->reject);
	free(run->block);
	free(run);
}

static int reject_reserve(struct sluice_run *run, unsigned int more)
{
	const unsigned int want = run->reject_count + more;
	struct sluice_wire_reject *grown;

	if (want <= run->reject_max)
		return 0;
	grown = realloc(run->reject, want * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	run->reject = grown;
	run->reject_max = want;
	return 0;
}

static void reject_add(struct sluice_run *run, uint64_t frame, unsigned int sector,
		       enum sluice_loss cause)
{
	run->reject[run->reject_count++] = (struct sluice_wire_reject){
		.frame = sluice_le64(frame),
		.sector = sluice_le16((uint16_t)sector),
		.cause = sluice_le16((uint16_t)cause),
	};
}

/* Room for every reject that @message could cause must be there. */
static void take_block(struct sluice_run *run, const struct link_message *message,
		       const struct sluice_wire_block *entry, struct consumer_stats *stats)
{
	const uint64_t bytes = sluice_sector_bytes(&run->scan->info.geometry);
	const uint64_t frame = sluice_u64(entry->frame);
	const uint32_t offset = sluice_u32(entry->offset);
	struct run_block *block;

	if (frame < run->frame_first || frame - run->frame_first >= run->frames) {
		reject_add(run, frame, message->sector, SLUICE_LOSS_SEQUENCE);
		return;
	}
	block = block_at(run, (unsigned int)(frame - run->frame_first), message->sector);
	if (block->state != BLOCK_MISSING) {
		/* Not rejected: the account is kept by number, and this number has come. */
		stat_add(&stats->blocks_twice, 1);
		return;
	}
	if (offset > message->payload_bytes || bytes > message->payload_bytes - offset) {
		reject_add(run, frame, message->sector, SLUICE_LOSS_HEADER);
		return;
	}
	*block = (struct run_block){
		.pixels = message->payload + offset,
		.timestamp_ns = sluice_u64(entry->timestamp_ns),
		.crc = sluice_u32(entry->crc),
		.flags = sluice_u16(entry->flags),
		.state = BLOCK_UNCHECKED,
	};
}

int run_add(struct sluice_run *run, struct link_message *message, struct consumer_stats *stats)
{
	struct run_sector *sector = &run->sector[message->sector];
	const uint32_t bit = UINT32_C(1) << message->sector;
	struct run_part *part;

	if ((run->complete & bit) || message->part < sector->part_next)
		return -EEXIST;
	/* Each part but a void last one holds a block, so this bounds what one run can hold. */
	if (message->part != sector->part_next || message->part > run->scan->info.run_frames ||
	    sector->entries + message->block_count > 2 * run->scan->info.run_frames)
		return -EBADMSG;
	part = calloc(1, sizeof(*part));
	if (!part || reject_reserve(run, message->block_count) < 0) {
		free(part);
		return -ENOMEM;
	}
	link_message_move(&part->message, message);
	part->next = sector->parts;
	sector->parts = part;
	sector->part_next++;
	sector->entries += part->message.block_count;
	for (unsigned int i = 0; i < part->message.block_count; i++)
		take_block(run, &part->message, &part->message.table[i], stats);
	if (part->message.flags & SLUICE_WIRE_LAST_PART)
		run->complete |= bit;
	return 0;
}

int run_give_up(struct sluice_run *run)
{
	const struct sluice_geometry *g = &run->scan->info.geometry;

	if (reject_reserve(run, run->frames * g->sectors) < 0)
		return -ENOMEM;
	for (unsigned int s = 0; s < g->sectors; s++) {
		if (run->complete & (UINT32_C(1) << s))
			continue;
		run->given_up |= UINT32_C(1) << s;
		for (unsigned int i = 0; i < run->frames; i++) {
			struct run_block *block = block_at(run, i, s);

			if (block->state != BLOCK_MISSING)
				reject_add(run, run->frame_first + i, s, SLUICE_LOSS_LATE);
			*block = (struct run_block){ .state = BLOCK_MISSING };
		}
		sector_release(&run->sector[s]);
	}
	return 0;
}

int run_settle(struct sluice_run *run)
{
	const struct sluice_geometry *g = &run->scan->info.geometry;
	const uint32_t all = scan_sectors_mask(run->scan);

	if (reject_reserve(run, run->frames * g->sectors) < 0)
		return -ENOMEM;
	for (unsigned int i = 0; i < run->frames; i++) {
		uint32_t mask = 0;

		for (unsigned int s = 0; s < g->sectors; s++) {
			const struct run_block *block = block_at(run, i, s);

			if (block->state == BLOCK_BAD)
				reject_add(run, run->frame_first + i, s, SLUICE_LOSS_CRC);
			if (block->state != BLOCK_UNCHECKED && block->state != BLOCK_GOOD)
				continue;
			mask |= UINT32_C(1) << s;
			run->blocks[s]++;
		}
		run->frames_there += mask != 0;
		run->frames_incomplete += mask != 0 && mask != all;
	}
	return 0;
}

const struct sluice_scan *sluice_run_scan(const struct sluice_run *run)
{
	return &run->scan->info;
}

uint64_t sluice_run_number(const struct sluice_run *run)
{
	return run->number;
}

unsigned int sluice_run_frames(const struct sluice_run *run)
{
	return run->frames;
}

int sluice_run_frame(struct sluice_run *run, unsigned int index, struct sluice_frame *ret_frame)
{
	const struct sluice_geometry *g = &run->scan->info.geometry;
	const size_t bytes = sluice_sector_bytes(g);

	if (index >= run->frames)
		return -ERANGE;
	*ret_frame = (struct sluice_frame){ .frame = run->frame_first + index };
	for (unsigned int s = 0; s < g->sectors; s++) {
		struct run_block *block = block_at(run, index, s);

		if (block->state == BLOCK_UNCHECKED)
			block->state = crc32c(block->pixels, bytes) == block->crc ? BLOCK_GOOD
										  : BLOCK_BAD;
		if (block->state != BLOCK_GOOD)
			continue;
		if (ret_frame->sector_mask == 0)
			ret_frame->timestamp_ns = block->timestamp_ns;
		ret_frame->sector_mask |= UINT32_C(1) << s;
		ret_frame->flags |= block->flags;
		ret_frame->sector[s] = block->pixels;
	}
	return 0;
}

/* The pixels in a message have no alignment. */
static uint16_t load_u16(const uint8_t *src)
{
	uint16_t v;

	memcpy(&v, src, sizeof(v));
	return v;
}

static uint32_t load_u32(const uint8_t *src)
{
	uint32_t v;

	memcpy(&v, src, sizeof(v));
	return v;
}

static uint16_t saturated(uint32_t v)
{
	return v > UINT16_MAX ? UINT16_MAX : (uint16_t)v;
}

static void convert_row(uint16_t pixel, const uint8_t *src, uint16_t *dst, size_t columns)
{
	switch (pixel) {
	case SLUICE_PIXEL_U8:
		for (size_t x = 0; x < columns; x++)
			dst[x] = src[x];
		return;
	case SLUICE_PIXEL_U16:
		for (size_t x = 0; x < columns; x++)
			dst[x] = le16toh(load_u16(src + 2 * x));
		return;
	case SLUICE_PIXEL_U16BE:
		for (size_t x = 0; x < columns; x++)
			dst[x] = be16toh(load_u16(src + 2 * x));
		return;
	case SLUICE_PIXEL_U32:
		for (size_t x = 0; x < columns; x++)
			dst[x] = saturated(le32toh(load_u32(src + 4 * x)));
		return;
	case SLUICE_PIXEL_U32BE:
		for (size_t x = 0; x < columns; x++)
			dst[x] = saturated(be32toh(load_u32(src + 4 * x)));
		return;
	default:
		memset(dst, 0, columns * sizeof(*dst));
	}
}

void sluice_frame_assemble(const struct sluice_scan *scan, const struct sluice_frame *frame,
			   uint16_t *dst)
{
	const struct sluice_geometry *g = &scan->geometry;
	const size_t row_bytes = (size_t)g->columns * sluice_pixel_bytes(g->pixel);
	const size_t frame_columns = sluice_frame_columns(g);
	const bool stacked = g->layout == SLUICE_LAYOUT_ROWS;

	for (unsigned int s = 0; s < g->sectors; s++) {
		const uint8_t *src = frame->sector[s];
		uint16_t *at = dst + (size_t)s * (stacked ? g->rows * frame_columns : g->columns);

		for (unsigned int y = 0; y < g->rows; y++) {
			if (src)
				convert_row(g->pixel, src + y * row_bytes, at, g->columns);
			else
				memset(at, 0, g->columns * sizeof(*at));
			at += frame_columns;
		}
	}
}
