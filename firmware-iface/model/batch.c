/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/batch.h>

#include <assert.h>
#include <string.h>

#include <base/crc32c.h>
#include <model/random.h>

enum {
	STREAM_CORRUPT = 32,
	STREAM_HEADER,
};
_Static_assert((int)FAULT_BYTES_MAX <= (int)MODEL_GARBAGE_BYTES, "garbage is one piece");

/* The header of a 4D Camera block, v4 and v5 alike. */
struct camera_header {
	struct sluice_le32 scan;
	struct sluice_le32 frame;
	struct sluice_le16 scan_columns;
	struct sluice_le16 scan_rows;
	struct sluice_le16 position_x;
	struct sluice_le16 position_y;
};
_Static_assert(sizeof(struct camera_header) == 16, "4D Camera: header is 16 bytes");

size_t batch_header_bytes(enum batch_framing framing)
{
	return framing == BATCH_SLUICE ? (size_t)SLUICE_BLOCK_HEADER_BYTES
				       : sizeof(struct camera_header);
}

static void camera_header(const struct batch_run *run, uint64_t frame, uint8_t *dst)
{
	const uint64_t position = model_position(&run->scan, frame);
	const struct camera_header h = {
		.scan = sluice_le32(run->number),
		.frame = sluice_le32((uint32_t)frame),
		.scan_columns = sluice_le16((uint16_t)run->scan.columns),
		.scan_rows = sluice_le16((uint16_t)run->scan.rows),
		.position_x = sluice_le16((uint16_t)(position % run->scan.columns)),
		.position_y = sluice_le16((uint16_t)(position / run->scan.columns)),
	};

	memcpy(dst, &h, sizeof(h));
}

static void block_header(const struct batch_run *run, uint64_t frame, uint64_t timestamp_ns,
			 uint8_t *dst)
{
	const struct model_args *args = model_args(run->model);
	const struct sluice_geometry *g = &args->geometry;
	const uint64_t position = model_position(&run->scan, frame);
	const uint32_t prepared = model_frame_choice(args, &run->scan, frame);
	struct sluice_block_header h = {
		.magic = sluice_le32(SLUICE_BLOCK_MAGIC),
		.version = sluice_le16(SLUICE_BLOCK_VERSION),
		.header_bytes = sluice_le16(SLUICE_BLOCK_HEADER_BYTES),
		.scan = sluice_le32(run->number),
		.sector = sluice_le16(run->sector),
		.sector_count = sluice_le16(g->sectors),
		.frame = sluice_le64(frame),
		.scan_columns = sluice_le16((uint16_t)run->scan.columns),
		.scan_rows = sluice_le16((uint16_t)run->scan.rows),
		.position_x = sluice_le16((uint16_t)(position % run->scan.columns)),
		.position_y = sluice_le16((uint16_t)(position / run->scan.columns)),
		.rows = sluice_le16(g->rows),
		.columns = sluice_le16(g->columns),
		.pixel = sluice_le16(g->pixel),
		.flags = sluice_le16(model_block_flags(args)),
		.payload_bytes = sluice_le32((uint32_t)sluice_sector_bytes(g)),
		.timestamp_ns = sluice_le64(timestamp_ns),
		.payload_crc = sluice_le32(model_payload_crc(run->model, prepared, run->sector)),
	};

	h.header_crc = sluice_le32(crc32c(&h, offsetof(struct sluice_block_header, header_crc)));
	memcpy(dst, &h, sizeof(h));
}

void batch_header(const struct batch_run *run, uint64_t frame, uint64_t timestamp_ns, uint8_t *dst)
{
	if (run->framing == BATCH_SLUICE)
		block_header(run, frame, timestamp_ns, dst);
	else
		camera_header(run, frame, dst);
}

void batch_reset(struct batch *batch)
{
	batch->pieces = 0;
	batch->blocks = 0;
	batch->bytes = 0;
	batch->cut = false;
	batch->counts = (struct batch_counts){ 0 };
}

static void add_piece(struct batch *batch, const void *base, size_t bytes)
{
	if (bytes == 0)
		return;
	assert(batch->pieces < BATCH_PIECES);
	batch->piece[batch->pieces++] = (struct iovec){ (void *)(uintptr_t)base, bytes };
	batch->bytes += bytes;
}

/* What befalls one block. */
struct trouble {
	size_t payload_bytes; /* that are sent */
	size_t corrupt;       /* which byte of the payload is exchanged, SIZE_MAX: none */
	uint32_t garbage;     /* bytes before it */
	bool drop;
	bool cut;
	bool duplicate;
	bool badheader;
};

static struct trouble trouble_of(const struct batch_run *run, uint64_t frame, size_t payload_bytes)
{
	const struct fault_list *f = run->faults;
	struct trouble t = { .payload_bytes = payload_bytes, .corrupt = SIZE_MAX };
	uint32_t missing;

	if (!f || f->count == 0)
		return t;
	t.drop = fault_at(f, FAULT_DROP, run->sector, frame, NULL);
	t.cut = fault_at(f, FAULT_CUT, run->sector, frame, NULL);
	t.duplicate = fault_at(f, FAULT_DUPLICATE, run->sector, frame, NULL);
	t.badheader = fault_at(f, FAULT_BADHEADER, run->sector, frame, NULL);
	(void)fault_at(f, FAULT_GARBAGE, run->sector, frame, &t.garbage);
	if (fault_at(f, FAULT_CORRUPT, run->sector, frame, NULL))
		t.corrupt = random_at(run->sector, STREAM_CORRUPT, frame) % t.payload_bytes;
	if (fault_at(f, FAULT_MISSING, run->sector, frame, &missing))
		t.payload_bytes -= missing < t.payload_bytes ? missing : t.payload_bytes;
	if (t.cut)
		t.payload_bytes /= 2;
	return t;
}

static void corrupt_header(const struct batch_run *run, uint64_t frame, uint8_t *header,
			   size_t bytes)
{
	const uint64_t bit = random_at(run->sector, STREAM_HEADER, frame) % (bytes * 8);

	header[bit / 8] ^= (uint8_t)(1u << (bit % 8));
}

static void add_copy(struct batch *batch, unsigned int slot, const uint8_t *payload,
		     size_t header_bytes, const struct trouble *t)
{
	add_piece(batch, batch->header[slot], header_bytes);
	if (t->corrupt >= t->payload_bytes) {
		add_piece(batch, payload, t->payload_bytes);
		return;
	}
	add_piece(batch, payload, t->corrupt);
	add_piece(batch, &batch->changed[slot], 1);
	add_piece(batch, payload + t->corrupt + 1, t->payload_bytes - t->corrupt - 1);
}

static void count(struct batch_counts *c, const struct trouble *t, size_t payload_bytes)
{
	const bool whole = !t->drop && t->payload_bytes == payload_bytes;

	c->blocks_generated++;
	c->blocks_sent += whole;
	c->blocks_dropped += !whole;
	c->garbage_bytes += t->garbage;
	if (t->drop)
		return;
	c->missing_bytes += payload_bytes - t->payload_bytes;
	c->blocks_corrupted += t->corrupt < t->payload_bytes;
	c->headers_corrupted += t->badheader;
	c->blocks_duplicated += t->duplicate && whole;
}

void batch_add(struct batch *batch, const struct batch_run *run, uint64_t frame,
	       uint64_t timestamp_ns)
{
	const struct model_args *args = model_args(run->model);
	const size_t header_bytes = batch_header_bytes(run->framing);
	const size_t payload_bytes = sluice_sector_bytes(&args->geometry);
	const uint32_t prepared = model_frame_choice(args, &run->scan, frame);
	const uint8_t *payload = model_payload(run->model, prepared, run->sector);
	const struct trouble t = trouble_of(run, frame, payload_bytes);
	const unsigned int slot = batch->blocks;

	assert(slot < BATCH_BLOCKS);
	assert(!batch->cut);
	batch->blocks++;
	batch->cut = t.cut;
	count(&batch->counts, &t, payload_bytes);
	add_piece(batch, model_garbage(run->model), t.garbage);
	if (t.drop)
		return;
	batch_header(run, frame, timestamp_ns, batch->header[slot]);
	if (t.badheader)
		corrupt_header(run, frame, batch->header[slot], header_bytes);
	if (t.corrupt != SIZE_MAX)
		batch->changed[slot] = payload[t.corrupt] ^ (uint8_t)(1u << (t.corrupt % 8));
	add_copy(batch, slot, payload, header_bytes, &t);
	if (t.duplicate && !t.cut)
		add_copy(batch, slot, payload, header_bytes, &t);
}

void batch_counts_add(struct batch_counts *sum, const struct batch_counts *more)
{
	sum->blocks_generated += more->blocks_generated;
	sum->blocks_sent += more->blocks_sent;
	sum->blocks_dropped += more->blocks_dropped;
	sum->blocks_corrupted += more->blocks_corrupted;
	sum->blocks_duplicated += more->blocks_duplicated;
	sum->headers_corrupted += more->headers_corrupted;
	sum->garbage_bytes += more->garbage_bytes;
	sum->missing_bytes += more->missing_bytes;
}
