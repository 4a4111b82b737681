/* SPDX-License-Identifier: MIT */
/*
 * Sluice itself: in one process a board of sluiced with a recorded file as its source, or a link's
 * sender alone that is fed from memory; in the other a link's receiver that acknowledges every run,
 * and checks the CRC of every block or not.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <acquire/board.h>
#include <acquire/outlet.h>
#include <base/clock.h>
#include <base/crc32c.h>
#include <link/link.h>
#include <scan/half.h>
#include <sluice/error.h>

#include "bench.h"

enum {
	WINDOW = 8, /* runs that a source may have on the way: the aggregator's default */
	PAYLOAD_MAX = 64 << 20,
	DEPTH = 4, /* as sluiced's defaults, as all in the configuration of the board */
	READY_S = 10,
	POLL_MS = 50,
};

/* ---- the receiver ---------------------------------------------------------------------------- */

struct intake {
	struct link_receiver *receiver;
	const struct bench_data *data;
	struct bench_result *result;
	uint8_t *seen; /* per frame */
	uint64_t frames;
	bool check_crc, ended;
};

static void take_blocks(struct intake *in, const struct link_message *m, uint32_t pixels)
{
	for (unsigned int i = 0; i < m->block_count; i++) {
		const struct sluice_wire_block *block = &m->table[i];
		const uint64_t frame = sluice_u64(block->frame);

		if (frame >= in->frames || in->seen[frame]++)
			bench_die("sluice: frame %" PRIu64 " came twice, or is none", frame);
		if (in->check_crc && crc32c(m->payload + sluice_u32(block->offset), pixels) !=
					     sluice_u32(block->crc))
			in->result->crc++;
	}
	in->result->bytes += m->payload_bytes;
	in->result->frames += m->block_count;
	in->result->chunks++;
}

static void acknowledge(struct intake *in, const struct link_message *m)
{
	const struct sluice_wire_ack ack = { .run_first = sluice_le64(m->run),
					     .run_count = sluice_le32(1),
					     .sector = sluice_le16(m->sector) };

	if (link_grant(in->receiver, m->peer, 1, false) < 0 ||
	    link_ack(in->receiver, m->peer, m->scan, &ack, 1, NULL, 0) < 0)
		bench_die("sluice: cannot acknowledge run %" PRIu64, m->run);
}

static void take_message(struct intake *in, const struct link_message *m)
{
	const uint32_t pixels = in->data->block_bytes - SLUICE_BLOCK_HEADER_BYTES;

	if (m->type == LINK_MESSAGE_CHUNK) {
		take_blocks(in, m, pixels);
		if (m->flags & SLUICE_WIRE_LAST_PART)
			acknowledge(in, m);
	}
	if (m->type == LINK_MESSAGE_PEER_DOWN || m->type == LINK_MESSAGE_SCAN_END)
		in->ended = true;
}

static void receive_scan(const struct bench_data *data, bool check_crc, int tell,
			 struct bench_result *result)
{
	const struct link_receiver_args args = {
		.transport = "zmq",
		.bind = "tcp://127.0.0.1:*",
		.name = "bench-receiver",
		.role = SLUICE_WIRE_AGGREGATOR,
		.window = WINDOW,
		.payload_max = PAYLOAD_MAX,
		.io_threads = 1,
	};
	struct intake in = { .data = data,
			     .result = result,
			     .check_crc = check_crc,
			     .frames = data->size / data->block_bytes * data->loops };
	struct sluice_error error = { "" };
	struct link_message m;
	double cpu_s;

	link_tune_allocator();
	in.seen = calloc(in.frames, 1);
	if (!in.seen || link_receiver_open(&args, &in.receiver, &error) < 0)
		bench_die("sluice: %s", error.text);
	cpu_s = bench_cpu_s();
	bench_tell(tell, link_receiver_endpoint(in.receiver));
	while (!in.ended) {
		struct link_pollitem item = { .receiver = in.receiver };

		(void)link_poll(&item, 1, POLL_MS * NS_PER_MS);
		while (link_receive(in.receiver, &m) == 0) {
			take_message(&in, &m);
			link_message_release(&m);
		}
	}
	result->gaps = in.frames - result->frames;
	result->receiver_s = bench_cpu_s() - cpu_s;
	link_receiver_close(in.receiver);
	free(in.seen);
}

static void receive(const struct bench_data *data, int tell, struct bench_result *result)
{
	receive_scan(data, false, tell, result);
}

static void receive_crc(const struct bench_data *data, int tell, struct bench_result *result)
{
	receive_scan(data, true, tell, result);
}

/* ---- the sender: a board --------------------------------------------------------------------- */

static void make_plan(const struct source_info *info, const char *endpoint, uint32_t run_frames,
		      struct scan_plan *ret_plan)
{
	*ret_plan = (struct scan_plan){
		.scan = 1,
		.epoch = 1,
		.state = SCAN_ARMED,
		.scan_columns = info->scan_columns,
		.scan_rows = info->scan_rows,
		.frames_per_position = (uint32_t)(info->frames / info->scan_columns /
						  info->scan_rows),
		.frames_expected = info->frames,
		.run_frames = run_frames,
		.geometry = info->geometry,
		.aggregator_count = 1,
	};
	(void)snprintf(ret_plan->aggregator[0].id, sizeof(ret_plan->aggregator[0].id), "receiver");
	(void)snprintf(ret_plan->aggregator[0].endpoint, sizeof(ret_plan->aggregator[0].endpoint),
		       "%s", endpoint);
}

static struct board *open_board(const struct bench_data *data, struct board_common *common,
				int wake)
{
	struct board_config config = { .name = "board0",
				       .framing = 0, /* sluice: the blocks bring their CRC */
				       .node = NODE_ANY,
				       .depth = DEPTH,
				       .loops = data->loops };
	struct sluice_error error = { "" };
	struct board *board;

	*common = (struct board_common){ .server = "bench",
					 .run_frames = data->chunk_blocks,
					 .chunks = data->ring_chunks,
					 .huge_pages = 1,
					 .io_threads = 1,
					 .stall_timeout_ms = 10000,
					 .give_up_ms = 30000 };
	(void)snprintf(config.source, sizeof(config.source), "file:%s", data->path);
	if (board_open(&config, common, wake, &board, &error) < 0)
		bench_die("sluice: %s", error.text);
	return board;
}

static void send(const struct bench_data *data, const char *endpoint, struct bench_result *result)
{
	struct scan_plan *plan = malloc(sizeof(*plan));
	const int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd fd = { .fd = wake, .events = POLLIN };
	struct board_common common;
	struct sluice_error error = { "" };
	const struct outlet *outlet;
	struct board *board;
	double cpu_s;

	if (!plan || wake < 0)
		bench_die("sluice: no memory or eventfd");
	board = open_board(data, &common, wake);
	make_plan(board_info(board), endpoint, data->chunk_blocks, plan);
	if (board_arm(board, plan, &error) < 0 ||
	    board_wait_ready(board, now_ns() + READY_S * NS_PER_S, &error) < 0)
		bench_die("sluice: %s", error.text);
	cpu_s = bench_cpu_s();
	result->begin_ns = now_ns();
	board_run(board);
	while (board_state(board) != SCAN_DONE) {
		if (poll(&fd, 1, 1000) > 0)
			(void)!read(wake, &(uint64_t){ 0 }, sizeof(uint64_t));
	}
	result->end_ns = now_ns();
	result->sender_s = bench_cpu_s() - cpu_s;
	result->bytes_moved = atomic_load(&board_source_stats(board)->bytes_moved);
	outlet = board_outlet(board, 0);
	result->lost = plan->frames_expected - atomic_load(&outlet_stats(outlet)->blocks_acked);
	board_disarm(board);
	board_close(board);
	free(plan);
	(void)close(wake);
}

/* ---- the sender: a link alone ---------------------------------------------------------------- */

struct feed {
	struct link_sender *link;
	const struct bench_data *data;
	struct sluice_wire_block table[SLUICE_WIRE_RUN_FRAMES_MAX];
	uint64_t runs, sent, acked;
	bool up, down;
};

/* What sluiced's framing finds while it reads: the entries of a run, from its blocks' headers. */
static void fill_table(struct feed *feed, const uint8_t *blocks, uint64_t first_frame)
{
	for (uint32_t i = 0; i < feed->data->chunk_blocks; i++) {
		const uint32_t at = i * feed->data->block_bytes;
		struct sluice_block_header header;

		memcpy(&header, blocks + at, sizeof(header));
		feed->table[i] = (struct sluice_wire_block){
			.frame = sluice_le64(first_frame + i),
			.timestamp_ns = header.timestamp_ns,
			.offset = sluice_le32(at),
			.crc = header.payload_crc,
			.position_x = header.position_x,
			.position_y = header.position_y,
			.flags = header.flags,
		};
	}
}

/* A run is a chunk of the data, from its first pixel to its last, as sluiced sends it. */
static int send_run(struct feed *feed, uint64_t run)
{
	const struct bench_data *data = feed->data;
	const size_t chunk = (size_t)data->chunk_blocks * data->block_bytes;
	const uint8_t *blocks = data->bytes + run % (data->size / chunk) * chunk;
	const struct link_chunk message = {
		.scan = 1,
		.epoch = 1,
		.run = run,
		.flags = SLUICE_WIRE_LAST_PART,
		.block_count = (uint16_t)data->chunk_blocks,
		.table = feed->table,
		.payload = blocks + SLUICE_BLOCK_HEADER_BYTES,
		.payload_bytes = (uint32_t)(chunk - SLUICE_BLOCK_HEADER_BYTES),
	};

	/* Not for nothing: most wake-ups find a credit. */
	if (link_sender_credit(feed->link) == 0)
		return -EAGAIN;
	fill_table(feed, blocks, run * data->chunk_blocks);
	return link_send(feed->link, &message);
}

static void take_events(struct feed *feed)
{
	struct link_event event;

	while (link_sender_next(feed->link, &event) == 0) {
		if (event.type == LINK_EVENT_UP)
			feed->up = true;
		for (unsigned int i = 0; event.type == LINK_EVENT_ACK && i < event.acks; i++)
			feed->acked += sluice_u32(event.ack[i].run_count);
		if (event.type == LINK_EVENT_DOWN || event.type == LINK_EVENT_REFUSED ||
		    event.type == LINK_EVENT_NACK)
			feed->down = true;
	}
}

static void feed_wait(struct feed *feed)
{
	struct link_pollitem item = { .sender = feed->link };

	(void)link_poll(&item, 1, POLL_MS * NS_PER_MS);
	take_events(feed);
}

static void begin_scan(struct feed *feed)
{
	const uint64_t deadline_ns = now_ns() + READY_S * NS_PER_S;
	struct sluice_block_header header;
	struct sluice_wire_scan scan;

	memcpy(&header, feed->data->bytes, sizeof(header));
	scan = (struct sluice_wire_scan){
		.frames_expected = sluice_le64(feed->runs * feed->data->chunk_blocks),
		.scan_columns = header.scan_columns,
		.scan_rows = header.scan_rows,
		.frames_per_position = sluice_le32((uint32_t)feed->data->loops),
		.sectors = sluice_le16(1),
		.rows = header.rows,
		.columns = header.columns,
		.pixel = header.pixel,
		.run_frames = sluice_le16((uint16_t)feed->data->chunk_blocks),
		.aggregators = sluice_le16(1),
	};
	while (!feed->up && now_ns() < deadline_ns)
		feed_wait(feed);
	if (!feed->up || link_send_scan_begin(feed->link, 1, 1, &scan) < 0)
		bench_die("link: no session");
}

static void send_from_memory(const struct bench_data *data, const char *endpoint,
			     struct bench_result *result)
{
	const struct link_sender_args args = {
		.transport = "zmq",
		.endpoint = endpoint,
		.name = "bench-sender",
		.role = SLUICE_WIRE_SOURCE,
		.io_threads = 1,
	};
	const size_t chunk = (size_t)data->chunk_blocks * data->block_bytes;
	struct feed feed = { .data = data, .runs = data->size / chunk * data->loops };
	const struct sluice_wire_scan_end end = { .frames_expected = sluice_le64(
							  feed.runs * data->chunk_blocks) };
	struct sluice_error error = { "" };
	double cpu_s;

	if (data->size % chunk != 0 || data->chunk_blocks > SLUICE_WIRE_RUN_FRAMES_MAX)
		bench_die("%s: not whole runs", data->path);
	if (link_sender_open(&args, &feed.link, &error) < 0)
		bench_die("%s", error.text);
	begin_scan(&feed);
	cpu_s = bench_cpu_s();
	result->begin_ns = now_ns();
	while (feed.acked < feed.runs && !feed.down) {
		while (feed.sent < feed.runs && send_run(&feed, feed.sent) == 0)
			feed.sent++;
		feed_wait(&feed);
	}
	result->end_ns = now_ns();
	result->sender_s = bench_cpu_s() - cpu_s;
	result->lost = (feed.runs - feed.acked) * data->chunk_blocks;
	/* The receiver ends with the scan, or where it is not told, with the link. */
	(void)link_send_scan_end(feed.link, 1, 1, 0, &end);
	link_sender_close(feed.link);
}

const struct bench_pair bench_sluice = { "sluice", receive, send };
const struct bench_pair bench_sluice_crc = { "sluice_crc", receive_crc, send };
const struct bench_pair bench_link_alone = { "link", receive, send_from_memory };
