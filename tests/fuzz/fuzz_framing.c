/* SPDX-License-Identifier: MIT */
/*
 * Arbitrary bytes in arbitrary pieces through the scanner, under each framing. The first 4 bytes
 * of the input choose framing, headroom, table size and piece size; the rest is the stream.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <source/framing.h>
#include <source/scanner.h>
#include <source/source.h>

enum {
	CHOICES = 4,
	TABLE_MAX = 8,
	FRAMES = 64,
	SCAN = 7,
};

static const char *const framings[] = { "sluice", "4dcamera-v5", "4dcamera-v4", "merlin-mib" };

/* Not assert(): it must hold in every build. */
static void must(int fact)
{
	if (!fact)
		abort();
}

static void check_fill(const struct scanner *scanner, const struct source_buffer *buffer,
		       uint32_t bytes, const struct source_fill *fill)
{
	const struct framing_format *const f = &scanner->format;
	const uint64_t end = (uint64_t)buffer->headroom + bytes;
	uint64_t after = 0;

	must(fill->block_count <= buffer->table_max);
	must(scanner->carry_bytes < f->block_bytes);
	for (uint32_t i = 0; i < fill->block_count; i++) {
		const struct sluice_wire_block *const b = &buffer->table[i];
		const uint64_t offset = sluice_u32(b->offset);
		struct framing_header h;

		/* In order, not over each other, whole. */
		must(offset >= after + f->header_bytes);
		must(offset + f->payload_bytes <= end);
		after = offset + f->payload_bytes;
		must(f->framing->check(f, buffer->slot + offset - f->header_bytes, &h) ==
		     FRAMING_OK);
		must(h.frame == sluice_u64(b->frame));
		must(h.frame < FRAMES);
	}
}

static void scan(struct scanner *scanner, const uint8_t *choice, const uint8_t *data, size_t size)
{
	const uint32_t block = scanner->format.block_bytes;
	const uint32_t headroom = choice[1] % 3 == 0 ? 0 : block * (choice[1] % 3) / 2;
	const size_t piece = 1 + (size_t)choice[3] * 3;
	uint64_t in_blocks = 0, skipped = 0;

	for (size_t at = 0; at < size;) {
		const size_t n = size - at < piece ? size - at : piece;
		struct sluice_wire_block table[TABLE_MAX];
		/* Exactly as large as needed, so that a sanitizer sees one byte too far. */
		uint8_t *const slot = malloc(headroom + n);
		const struct source_buffer buffer = {
			.slot = slot,
			.headroom = headroom,
			.capacity = (uint32_t)n,
			.table = table,
			.table_max = 1 + choice[2] % TABLE_MAX,
		};
		struct source_fill fill;

		must(slot != NULL);
		memcpy(slot + headroom, data + at, n);
		scanner_feed(scanner, &buffer, (uint32_t)n, &fill);
		check_fill(scanner, &buffer, (uint32_t)n, &fill);
		in_blocks += (uint64_t)fill.block_count * block;
		skipped += fill.bytes_skipped;
		free(slot);
		at += n;
		/* Every byte is in a block, or skipped, or waits; in two blocks where the first
		 * lacks bytes and was handed on. */
		must(in_blocks + skipped + scanner->carry_bytes >= at);
		must(in_blocks + skipped + scanner->carry_bytes - at <=
		     atomic_load(&scanner->stats->bytes_moved));
	}
	skipped += scanner_finish(scanner);
	must(in_blocks + skipped >= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct sluice_geometry unknown = { 0 };
	struct sluice_geometry small = { .sectors = 1, .rows = 3, .columns = 4, .pixel = 2 };
	struct source_stats stats = { 0 };
	const struct framing *framing;
	struct framing_format format;
	struct scanner scanner;

	if (size < CHOICES)
		return 0;
	framing = framing_find(framings[data[0] % 4]);
	must(framing != NULL);
	if (framing == &framing_merlin)
		small.pixel = SLUICE_PIXEL_U8;
	/* What a file's first bytes may claim. */
	if (size >= CHOICES + framing->learn_bytes &&
	    framing_format_init(&format, framing, &unknown, 0, data + CHOICES, NULL) == 0)
		must(format.block_bytes == format.header_bytes + format.payload_bytes);
	must(framing_format_init(&format, framing, &small, 0, NULL, NULL) == 0);
	format.frames = FRAMES;
	if (framing == &framing_sluice) {
		format.scan_known = true;
		format.scan = SCAN;
	}
	must(scanner_init(&scanner, &format, &stats) == 0);
	scan(&scanner, data, data + CHOICES, size - CHOICES);
	scanner_fini(&scanner);
	return 0;
}
