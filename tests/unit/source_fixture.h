/* SPDX-License-Identifier: MIT */
/*
 * unit/source_fixture.h - blocks, buffers and a board in a thread, for the tests of sources.
 *
 * Ownership: a fixture takes memory in source_fixture_init(). Threads: one; the board has its own.
 * Errors:    a step that fails fails the test.
 */
#ifndef UNIT_SOURCE_FIXTURE_H
#define UNIT_SOURCE_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <source/source.h>

enum {
	ROWS = 3,
	COLUMNS = 4,
	PAYLOAD = ROWS * COLUMNS * 2,
	BLOCK = SLUICE_BLOCK_HEADER_BYTES + PAYLOAD,
	CAMERA_BLOCK = 16 + PAYLOAD,
	SCAN = 7,
	RUN = 4,
	BUFFERS = 8,
	TABLE = 64,
	FRAMES_MAX = 256,
};
#define WAIT_NS  UINT64_C(20000000000) /* long: only a broken test waits for it */
#define STALL_NS UINT64_C(20000000)

/* Two sectors of 3 x 4 pixels of uint16. */
extern const struct sluice_geometry small_geometry;

/* Writes block @frame of scan @scan, BLOCK bytes; its pixels are pixel(frame, i). */
void block_write(uint8_t *dst, uint32_t scan, uint64_t frame);
/* The same as the 4D Camera writes it, CAMERA_BLOCK bytes, of a scan of @columns x @rows. */
void camera_block_write(uint8_t *dst, uint32_t scan, uint32_t frame, uint16_t columns,
			uint16_t rows);
/* Computes the header's CRC again, after a change. */
void block_seal(uint8_t *block);
uint16_t block_pixel(uint64_t frame, unsigned int i);

/* What came out of a scan. */
struct source_result {
	uint64_t frame[FRAMES_MAX];
	bool after_skip[FRAMES_MAX];
	uint32_t fill_blocks[FRAMES_MAX]; /* of each buffer */
	unsigned int frames;
	unsigned int fills;
	uint64_t bytes_skipped;
	enum source_end end;
	int error;
};

struct source_fixture {
	struct source_args args;
	struct source_scan scan;
	struct source *source;
	uint8_t *memory;
	uint32_t headroom;
	uint32_t capacity;
	struct sluice_wire_block table[BUFFERS][TABLE];
	bool busy[BUFFERS];
	char folder[64];
	struct source_result result;
};

/* Sensible arguments for @spec; nothing is opened. */
void source_fixture_init(struct source_fixture *f, const char *framing);
void source_fixture_fini(struct source_fixture *f);
/* "kind:FOLDER/name" in @f->args.spec. */
void source_fixture_spec(struct source_fixture *f, const char *kind, const char *name);
const char *source_fixture_path(struct source_fixture *f, const char *name);
void source_fixture_file(struct source_fixture *f, const char *name, const void *data, size_t len);
void source_fixture_open(struct source_fixture *f);
void source_fixture_start(struct source_fixture *f);
/* Posts every buffer that is free. */
void source_fixture_post(struct source_fixture *f);
/* One reap: takes a fill into the result, checks its pixels and CRCs. Returns what reap did. */
int source_fixture_reap(struct source_fixture *f, uint64_t timeout_ns);
/* Until the end. */
void source_fixture_run(struct source_fixture *f);
void assert_frames(const struct source_fixture *f, const uint64_t *frames, unsigned int count);
void assert_frames_from_0(const struct source_fixture *f, unsigned int count);

/*
 * A board in a thread, that sends @bytes after BOARD_RUN; then it closes, or, with @hold, waits
 * for the reader to go.
 */
struct fake_board {
	const uint8_t *bytes;
	size_t len;
	size_t piece; /* bytes per send; 0: all at once */
	bool hold;
	bool gated;          /* waits for fake_board_let_send() before the first byte */
	uint16_t status;     /* of every reply */
	uint16_t run_status; /* of the reply to BOARD_RUN */
	uint16_t sector;
	uint16_t rows;            /* 0: the fixture's */
	uint32_t bad_magic;       /* xor'ed to the reply's */
	bool mute;                /* never answers */
	unsigned int short_reply; /* bytes left out of it */
	uint32_t counters_scan;
	/* private */
	pthread_t thread;
	int listener;
	int stop[2];
	int gate[2];
	_Atomic unsigned int runs;
	uint32_t last_scan;
};

void fake_board_start(struct fake_board *board, const char *path);
void fake_board_let_send(struct fake_board *board);
void fake_board_stop(struct fake_board *board);

#endif /* UNIT_SOURCE_FIXTURE_H */
