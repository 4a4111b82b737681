/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "outlet.h"
#include "status.h"

enum {
	LABELS_MAX = 512
};

static const char *const chunk_state_names[CHUNK_STATE_COUNT] = { "free", "filling", "filled",
								  "in_flight", "acknowledged" };

static json_t *links_to_json(const struct board *board)
{
	json_t *array = json_array();
	const struct outlet *outlet;

	for (unsigned int i = 0; (outlet = board_outlet(board, i)); i++) {
		const struct outlet_stats *s = outlet_stats(outlet);
		const struct link_stats *l = outlet_link_stats(outlet);

		(void)json_array_append_new(
			array,
			json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "aggregator",
				  outlet_peer(outlet), "pending",
				  (json_int_t)atomic_load(&s->pending), "in_flight",
				  (json_int_t)atomic_load(&s->in_flight), "blocks_acked",
				  (json_int_t)atomic_load(&s->blocks_acked), "blocks_rejected",
				  (json_int_t)atomic_load(&s->blocks_rejected), "credit_limit",
				  (json_int_t)atomic_load(&l->credit_limit), "started",
				  (json_int_t)atomic_load(&l->started), "bytes",
				  (json_int_t)atomic_load(&l->bytes)));
	}
	return array;
}

static json_t *ring_to_json(const struct board *board)
{
	const struct arena *arena = ring_arena(board_ring(board));
	uint32_t count[CHUNK_STATE_COUNT];
	json_t *chunks = json_object();

	ring_occupancy(board_ring(board), count);
	for (unsigned int s = 0; s < CHUNK_STATE_COUNT; s++)
		(void)json_object_set_new(chunks, chunk_state_names[s], json_integer(count[s]));
	return json_pack("{s:o, s:I, s:I, s:i, s:b, s:s}", "chunks", chunks, "bytes",
			 (json_int_t)arena->bytes, "page_bytes", (json_int_t)arena->page_bytes,
			 "node", arena->node, "locked", arena->locked ? 1 : 0, "note", arena->note);
}

static json_t *losses_to_json(const struct board *board)
{
	json_t *lost = json_object();

	for (unsigned int c = 1; c < SLUICE_LOSS_COUNT; c++) {
		const uint64_t blocks = board_lost(board, (enum sluice_loss)c);

		if (blocks > 0)
			(void)json_object_set_new(lost, loss_name((enum sluice_loss)c),
						  json_integer((json_int_t)blocks));
	}
	return lost;
}

void status_add_boards(json_t *status, struct board *const *board, unsigned int count)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < count; i++) {
		const struct source_stats *s = board_source_stats(board[i]);

		(void)json_array_append_new(
			array, json_pack("{s:s, s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}",
					 "id", board_id(board[i]), "sector", board_sector(board[i]),
					 "state", scan_state_name(board_state(board[i])), "scan",
					 (json_int_t)board_scan(board[i]), "blocks",
					 (json_int_t)atomic_load(&s->blocks), "bytes",
					 (json_int_t)atomic_load(&s->bytes), "bytes_skipped",
					 (json_int_t)atomic_load(&s->bytes_skipped), "bytes_per_s",
					 (json_int_t)board_bytes_per_s(board[i]), "lost",
					 losses_to_json(board[i]), "ring", ring_to_json(board[i]),
					 "links", links_to_json(board[i])));
	}
	(void)json_object_set_new(status, "boards", array);
}

/* A counter of struct source_stats and what Prometheus calls it. */
static const struct source_row {
	struct metric metric;
	size_t offset;
} source_rows[] = {
	{ { "sluice_source_reads_total", "counter", "Reads completed" },
	  offsetof(struct source_stats, reads) },
	{ { "sluice_source_bytes_total", "counter", "Bytes read from the board" },
	  offsetof(struct source_stats, bytes) },
	{ { "sluice_source_blocks_total", "counter", "Blocks found in them" },
	  offsetof(struct source_stats, blocks) },
	{ { "sluice_source_bad_magic_total", "counter", "Places without a block's magic" },
	  offsetof(struct source_stats, bad_magic) },
	{ { "sluice_source_bad_length_total", "counter", "Headers with an impossible length" },
	  offsetof(struct source_stats, bad_length) },
	{ { "sluice_source_bad_header_crc_total", "counter", "Headers whose CRC32C did not hold" },
	  offsetof(struct source_stats, bad_header_crc) },
	{ { "sluice_source_bad_geometry_total", "counter", "Blocks of another geometry" },
	  offsetof(struct source_stats, bad_geometry) },
	{ { "sluice_source_bad_scan_total", "counter", "Blocks of another scan" },
	  offsetof(struct source_stats, bad_scan) },
	{ { "sluice_source_bytes_skipped_total", "counter", "Bytes that belong to no block" },
	  offsetof(struct source_stats, bytes_skipped) },
	{ { "sluice_source_resyncs_total", "counter", "Times the next block had to be searched" },
	  offsetof(struct source_stats, resyncs) },
	{ { "sluice_source_bytes_moved_total", "counter",
	    "Bytes copied to join blocks that straddle two reads" },
	  offsetof(struct source_stats, bytes_moved) },
};

static void add_source(struct metrics *m, struct board *const *board, unsigned int count)
{
	for (size_t r = 0; r < sizeof(source_rows) / sizeof(source_rows[0]); r++) {
		for (unsigned int i = 0; i < count; i++) {
			const char *stats = (const char *)board_source_stats(board[i]);
			const _Atomic uint64_t *counter =
				(const _Atomic uint64_t *)(const void *)(stats +
									 source_rows[r].offset);
			char labels[LABELS_MAX] = "";

			metrics_label(labels, sizeof(labels), "board", board_id(board[i]));
			metrics_u64(m, &source_rows[r].metric, labels, atomic_load(counter));
		}
	}
}

static void add_losses(struct metrics *m, struct board *const *board, unsigned int count)
{
	static const struct metric lost = { "sluice_blocks_lost_total", "counter",
					    "Blocks that were not delivered, by cause" };
	static const struct metric rate = { "sluice_source_bytes_per_second", "gauge",
					    "Bytes read per second, over the last half second" };

	for (unsigned int i = 0; i < count; i++) {
		for (unsigned int c = 1; c < SLUICE_LOSS_COUNT; c++) {
			char labels[LABELS_MAX] = "";

			metrics_label(labels, sizeof(labels), "board", board_id(board[i]));
			metrics_label(labels, sizeof(labels), "cause",
				      loss_name((enum sluice_loss)c));
			metrics_u64(m, &lost, labels, board_lost(board[i], (enum sluice_loss)c));
		}
	}
	for (unsigned int i = 0; i < count; i++) {
		char labels[LABELS_MAX] = "";

		metrics_label(labels, sizeof(labels), "board", board_id(board[i]));
		metrics_u64(m, &rate, labels, board_bytes_per_s(board[i]));
	}
}

static void add_rings(struct metrics *m, struct board *const *board, unsigned int count)
{
	static const struct metric chunks = { "sluice_ring_chunks", "gauge",
					      "Chunks of the ring by state" };

	for (unsigned int i = 0; i < count; i++) {
		uint32_t chunk[CHUNK_STATE_COUNT];

		ring_occupancy(board_ring(board[i]), chunk);
		for (unsigned int s = 0; s < CHUNK_STATE_COUNT; s++) {
			char labels[LABELS_MAX] = "";

			metrics_label(labels, sizeof(labels), "board", board_id(board[i]));
			metrics_label(labels, sizeof(labels), "state", chunk_state_names[s]);
			metrics_u64(m, &chunks, labels, chunk[s]);
		}
	}
}

static const struct outlet_row {
	struct metric metric;
	size_t offset;
} outlet_rows[] = {
	{ { "sluice_outlet_pending", "gauge", "Parcels that wait for credit" },
	  offsetof(struct outlet_stats, pending) },
	{ { "sluice_outlet_in_flight", "gauge", "Parcels sent and not acknowledged" },
	  offsetof(struct outlet_stats, in_flight) },
	{ { "sluice_outlet_resent", "gauge", "Parcels of this scan that were sent again" },
	  offsetof(struct outlet_stats, parcels_resent) },
	{ { "sluice_outlet_blocks_acked", "gauge", "Blocks of this scan that are delivered" },
	  offsetof(struct outlet_stats, blocks_acked) },
	{ { "sluice_outlet_blocks_rejected", "gauge",
	    "Blocks of this scan refused at the far end" },
	  offsetof(struct outlet_stats, blocks_rejected) },
};

static const struct outlet_row link_rows[] = {
	{ { "sluice_link_bytes", "gauge", "Bytes of pixels sent in this session" },
	  offsetof(struct link_stats, bytes) },
	{ { "sluice_link_credit_limit", "gauge", "Runs the far end has allowed so far" },
	  offsetof(struct link_stats, credit_limit) },
	{ { "sluice_link_started", "gauge", "Runs started under that credit" },
	  offsetof(struct link_stats, started) },
	{ { "sluice_link_credit_waits", "gauge", "Sends put off for want of credit" },
	  offsetof(struct link_stats, credit_waits) },
	{ { "sluice_link_sessions", "gauge", "Sessions since the link was opened" },
	  offsetof(struct link_stats, sessions) },
};

static void add_outlet_row(struct metrics *m, struct board *const *board, unsigned int count,
			   const struct outlet_row *row,
			   const void *(*stats)(const struct outlet *))
{
	for (unsigned int i = 0; i < count; i++) {
		const struct outlet *outlet;

		for (unsigned int o = 0; (outlet = board_outlet(board[i], o)); o++) {
			const char *base = stats(outlet);
			const _Atomic uint64_t *value =
				(const _Atomic uint64_t *)(const void *)(base + row->offset);
			char labels[LABELS_MAX] = "";

			metrics_label(labels, sizeof(labels), "board", board_id(board[i]));
			metrics_label(labels, sizeof(labels), "aggregator", outlet_peer(outlet));
			metrics_u64(m, &row->metric, labels, atomic_load(value));
		}
	}
}

static const void *stats_of_outlet(const struct outlet *outlet)
{
	return outlet_stats(outlet);
}

static const void *stats_of_link(const struct outlet *outlet)
{
	return outlet_link_stats(outlet);
}

void status_add_metrics(struct metrics *m, struct board *const *board, unsigned int count)
{
	add_source(m, board, count);
	add_losses(m, board, count);
	add_rings(m, board, count);
	for (size_t r = 0; r < sizeof(outlet_rows) / sizeof(outlet_rows[0]); r++)
		add_outlet_row(m, board, count, &outlet_rows[r], stats_of_outlet);
	for (size_t r = 0; r < sizeof(link_rows) / sizeof(link_rows[0]); r++)
		add_outlet_row(m, board, count, &link_rows[r], stats_of_link);
}
