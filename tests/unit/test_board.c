/* SPDX-License-Identifier: MIT */
/* model/board.h and firmware-iface/board_socket.h: what a board answers, to good hosts and bad. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/clock.h>
#include <base/crc32c.h>
#include <model/board.h>

#include "support/board_client.h"

enum {
	SECTOR = 1,
	ROWS = 16,
	COLUMNS = 64,
	PAYLOAD = ROWS * COLUMNS * 2,
	BLOCK = SLUICE_BLOCK_HEADER_BYTES + PAYLOAD,
	HOSTS_MAX = 4,
};

static struct model *model;
static struct board *board;
static struct fault_list faults;
static int stop_fd;

/* A connection: the host's end, and the thread that is the board's. */
struct host {
	int fd;
	int board_fd;
	pthread_t thread;
	struct board_report report;
};
static struct host host[HOSTS_MAX];
static unsigned int hosts;

static int set_up(void **state)
{
	const struct model_args args = {
		.geometry = { .sectors = 2,
			      .rows = ROWS,
			      .columns = COLUMNS,
			      .pixel = SLUICE_PIXEL_U16 },
		.seed = 5,
		.distinct = 6,
		.sectors_served = 1 << SECTOR,
	};
	struct board_args board_args = { .faults = &faults, .name = "b1", .sector = SECTOR };

	(void)state;
	memset(&faults, 0, sizeof(faults));
	hosts = 0;
	stop_fd = eventfd(0, EFD_CLOEXEC);
	if (stop_fd < 0 || model_create(&args, &model, NULL) < 0)
		return -1;
	board_args.model = model;
	return board_create(&board_args, &board);
}

static void *serve(void *arg)
{
	struct host *h = arg;

	board_serve(board, h->board_fd, stop_fd, &h->report);
	return NULL;
}

static struct host *join_board(void)
{
	struct host *h = &host[hosts++];
	int fds[2];

	assert_true(hosts <= HOSTS_MAX);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	h->fd = fds[0];
	h->board_fd = fds[1];
	assert_int_equal(pthread_create(&h->thread, NULL, serve, h), 0);
	return h;
}

/* The host goes; the board's thread ends by itself. */
static const struct board_report *leave(struct host *h)
{
	if (h->fd >= 0) {
		(void)close(h->fd);
		(void)pthread_join(h->thread, NULL);
		(void)close(h->board_fd);
	}
	h->fd = -1;
	return &h->report;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < hosts; i++)
		(void)leave(&host[i]);
	board_destroy(board);
	model_destroy(model);
	return close(stop_fd);
}

/* Asks for a scan of 4 x 4 with @frames; the board accepts. */
static struct host *run_scan(uint32_t scan, uint64_t frames)
{
	const struct board_request request = client_request(BOARD_RUN, scan, 4, 4, frames);
	struct host *h = join_board();
	struct board_reply reply = { 0 };

	assert_int_equal(client_ask(h->fd, &request, &reply), 0);
	assert_int_equal(sluice_u16(reply.status), 0);
	return h;
}

static struct board_reply identify(void)
{
	const struct board_request request = client_request(BOARD_IDENTIFY, 0, 0, 0, 0);
	struct host *h = join_board();
	struct board_reply reply = { 0 };
	uint8_t more;

	assert_int_equal(client_ask(h->fd, &request, &reply), 0);
	assert_int_equal(client_read(h->fd, &more, 1), 0);
	(void)leave(h);
	hosts--;
	return reply;
}

static void the_board_says_what_it_is(void **state)
{
	const struct board_reply r = identify();

	(void)state;
	assert_int_equal(sluice_u32(r.magic), BOARD_SOCKET_MAGIC);
	assert_int_equal(sluice_u16(r.version), BOARD_SOCKET_VERSION);
	assert_int_equal(sluice_u16(r.status), 0);
	assert_int_equal(sluice_u16(r.sector), SECTOR);
	assert_int_equal(sluice_u16(r.sectors), 2);
	assert_int_equal(sluice_u16(r.layout), SLUICE_LAYOUT_ROWS);
	assert_int_equal(sluice_u16(r.rows), ROWS);
	assert_int_equal(sluice_u16(r.columns), COLUMNS);
	assert_int_equal(sluice_u16(r.pixel), SLUICE_PIXEL_U16);
	assert_int_equal(sluice_u16(r.running), 0);
	assert_int_equal(sluice_u16(r.reserved), 0);
	assert_string_equal(r.name, "b1");
	assert_int_equal(sluice_u64(r.blocks_generated), 0);
}

/* Reads a block and checks all that can be known of it. */
static void check_block(int fd, uint32_t scan, uint64_t frame)
{
	uint8_t bytes[BLOCK];
	struct sluice_block_header h;

	assert_int_equal(client_read(fd, bytes, BLOCK), BLOCK);
	memcpy(&h, bytes, sizeof(h));
	assert_int_equal(sluice_u32(h.magic), SLUICE_BLOCK_MAGIC);
	assert_int_equal(sluice_u32(h.header_crc),
			 crc32c(bytes, offsetof(struct sluice_block_header, header_crc)));
	assert_int_equal(sluice_u32(h.scan), scan);
	assert_int_equal(sluice_u64(h.frame), frame);
	assert_int_equal(sluice_u16(h.sector), SECTOR);
	assert_int_equal(sluice_u32(h.payload_bytes), PAYLOAD);
	assert_int_equal(sluice_u32(h.payload_crc),
			 crc32c(bytes + SLUICE_BLOCK_HEADER_BYTES, PAYLOAD));
	assert_true(sluice_u64(h.timestamp_ns) <= now_ns());
}

static void at_end(int fd)
{
	uint8_t more;

	assert_int_equal(client_read(fd, &more, 1), 0);
}

static void a_scan_comes_whole_in_order_and_ends(void **state)
{
	struct host *h = run_scan(77, 100);
	struct board_reply r;

	(void)state;
	for (uint64_t f = 0; f < 100; f++)
		check_block(h->fd, 77, f);
	at_end(h->fd);
	/* The counters are final before the end is seen. */
	r = identify();
	assert_int_equal(sluice_u16(r.running), 0);
	assert_int_equal(sluice_u32(r.scan), 77);
	assert_int_equal(sluice_u64(r.blocks_generated), 100);
	assert_int_equal(sluice_u64(r.blocks_sent), 100);
	assert_int_equal(sluice_u64(r.blocks_dropped), 0);
	assert_true(leave(h)->ran);
	assert_int_equal(h->report.end, 0);
	assert_int_equal(h->report.number, 77);
	assert_int_equal(h->report.counts.blocks_sent, 100);
}

/* A host that will say no more, but reads, is a good host. */
static void a_host_may_close_its_writing_side(void **state)
{
	struct host *h = run_scan(3, 50);

	(void)state;
	assert_int_equal(shutdown(h->fd, SHUT_WR), 0);
	for (uint64_t f = 0; f < 50; f++)
		check_block(h->fd, 3, f);
	at_end(h->fd);
}

static void a_scan_can_follow_at_once(void **state)
{
	(void)state;
	for (uint32_t scan = 1; scan <= 3; scan++) {
		struct host *h = run_scan(scan, 5);

		for (uint64_t f = 0; f < 5; f++)
			check_block(h->fd, scan, f);
		at_end(h->fd);
	}
}

static void a_second_run_gets_busy_and_disturbs_nothing(void **state)
{
	struct host *h = run_scan(1, 20000);
	struct host *second = join_board();
	const struct board_request request = client_request(BOARD_RUN, 2, 4, 4, 10);
	struct board_reply r = { 0 };

	(void)state;
	assert_int_equal(client_ask(second->fd, &request, &r), 0);
	assert_int_equal(sluice_u16(r.status), EBUSY);
	assert_int_equal(sluice_u16(r.running), 1);
	at_end(second->fd);
	r = identify();
	assert_int_equal(sluice_u16(r.running), 1);
	assert_int_equal(sluice_u32(r.scan), 1);
	for (uint64_t f = 0; f < 20000; f++)
		check_block(h->fd, 1, f);
	at_end(h->fd);
}

static void a_host_that_closes_frees_the_board(void **state)
{
	struct host *h = run_scan(1, MODEL_FRAMES_MAX);
	const struct board_report *report;

	(void)state;
	check_block(h->fd, 1, 0);
	report = leave(h);
	assert_int_equal(report->end, -EPIPE);
	assert_int_equal(report->counts.blocks_generated,
			 report->counts.blocks_sent + report->counts.blocks_dropped);
	h = run_scan(2, 1);
	check_block(h->fd, 2, 0);
	at_end(h->fd);
}

/* Even when the old scan's end and the new request come at the same time. */
static void a_run_waits_for_one_that_is_just_ending(void **state)
{
	struct host *h = run_scan(1, MODEL_FRAMES_MAX);
	struct host *next;

	(void)state;
	(void)close(h->fd);
	next = run_scan(2, 1);
	check_block(next->fd, 2, 0);
	(void)pthread_join(h->thread, NULL);
	(void)close(h->board_fd);
	h->fd = -1;
}

static void a_host_that_does_not_read_makes_the_board_wait(void **state)
{
	struct host *h = run_scan(1, 20000);
	struct board_reply r;
	uint64_t generated;

	(void)state;
	do
		r = identify();
	while (sluice_u64(r.stall_ns) == 0);
	generated = sluice_u64(r.blocks_generated);
	assert_true(generated < 20000);
	for (uint64_t f = 0; f < 20000; f++)
		check_block(h->fd, 1, f);
	at_end(h->fd);
	assert_true(leave(h)->stall_ns > 0);
}

static void the_stop_ends_a_scan(void **state)
{
	const uint64_t one = 1;
	struct host *h = run_scan(1, MODEL_FRAMES_MAX);
	const uint64_t before = now_ns();

	(void)state;
	assert_int_equal(write(stop_fd, &one, sizeof(one)), sizeof(one));
	(void)pthread_join(h->thread, NULL);
	assert_true(now_ns() - before < NS_PER_S);
	assert_int_equal(h->report.end, -ECANCELED);
	(void)close(h->fd);
	(void)close(h->board_fd);
	h->fd = -1;
}

static void counters_name_what_was_dropped(void **state)
{
	struct host *h;
	struct board_reply r;

	(void)state;
	assert_int_equal(fault_add(&faults, "drop=2,5-6", NULL), 0);
	assert_int_equal(fault_add(&faults, "cut=8", NULL), 0);
	h = run_scan(1, 16);
	for (uint64_t f = 0; f < 8; f++)
		if (f != 2 && f != 5 && f != 6)
			check_block(h->fd, 1, f);
	{
		uint8_t rest[BLOCK];

		assert_int_equal(client_read(h->fd, rest, BLOCK), BLOCK - PAYLOAD / 2);
	}
	r = identify();
	assert_int_equal(sluice_u64(r.blocks_generated), 9);
	assert_int_equal(sluice_u64(r.blocks_sent), 5);
	assert_int_equal(sluice_u64(r.blocks_dropped), 4);
}

static void status_of(const struct board_request *request, int status)
{
	struct host *h = join_board();
	struct board_reply r = { 0 };

	assert_int_equal(client_ask(h->fd, request, &r), 0);
	assert_int_equal(sluice_u16(r.status), status);
	assert_int_equal(sluice_u32(r.magic), BOARD_SOCKET_MAGIC);
	at_end(h->fd);
	assert_false(leave(h)->ran);
	hosts--;
}

static void bad_requests_are_answered_by_their_names(void **state)
{
	const struct board_request run = client_request(BOARD_RUN, 1, 4, 4, 16);
	struct board_request bad;

	(void)state;
	memset(&bad, 0xa5, sizeof(bad));
	status_of(&bad, EPROTO);
	bad = run;
	bad.version = sluice_le16(2);
	status_of(&bad, EPROTO);
	bad = run;
	bad.command = sluice_le16(0);
	status_of(&bad, ENOSYS);
	bad = run;
	bad.reserved = sluice_le64(1);
	status_of(&bad, EINVAL);
	bad = run;
	bad.scan_columns = sluice_le16(0);
	status_of(&bad, EINVAL);
	bad = run;
	bad.scan_rows = sluice_le16(0);
	status_of(&bad, EINVAL);
	bad = run;
	bad.frames = sluice_le64(0);
	status_of(&bad, EINVAL);
	bad.frames = sluice_le64(UINT64_MAX);
	status_of(&bad, EINVAL);
}

/* More bytes than a request must not turn the end of the stream into a reset. */
static void bytes_behind_a_request_change_nothing(void **state)
{
	struct {
		struct board_request request;
		uint8_t more[40];
	} sent = { client_request(BOARD_RUN, 1, 4, 4, 3), { 1 } };
	struct host *h = join_board();
	struct board_reply r = { 0 };

	(void)state;
	assert_int_equal(send(h->fd, &sent, sizeof(sent), 0), sizeof(sent));
	/* All of it fits into the socket: the board has closed before the host reads. */
	(void)pthread_join(h->thread, NULL);
	(void)close(h->board_fd);
	assert_int_equal(client_read(h->fd, &r, sizeof(r)), sizeof(r));
	for (uint64_t f = 0; f < 3; f++)
		check_block(h->fd, 1, f);
	at_end(h->fd);
	(void)close(h->fd);
	h->fd = -1;
}

static void half_a_request_is_given_up(void **state)
{
	const struct board_request request = client_request(BOARD_RUN, 1, 4, 4, 16);
	struct host *silent = join_board(), *gone = join_board();

	(void)state;
	assert_int_equal(send(gone->fd, &request, 31, 0), 31);
	assert_false(leave(gone)->ran);
	assert_int_equal(send(silent->fd, &request, 31, 0), 31);
	/* The board closes after its 2 s, without a word. */
	at_end(silent->fd);
	assert_false(leave(silent)->ran);
}

static void a_request_may_come_in_pieces(void **state)
{
	const struct board_request request = client_request(BOARD_IDENTIFY, 0, 0, 0, 0);
	struct host *h = join_board();
	struct board_reply r = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(request); i++)
		assert_int_equal(send(h->fd, (const uint8_t *)&request + i, 1, 0), 1);
	assert_int_equal(client_read(h->fd, &r, sizeof(r)), sizeof(r));
	assert_int_equal(sluice_u16(r.status), 0);
}

static void a_board_that_cannot_be_is_refused(void **state)
{
	struct board_args args = { .model = model, .name = "b", .sector = 0 };
	struct board *none = NULL;
	char name[BOARD_NAME_MAX + 1];

	(void)state;
	assert_int_equal(board_create(&args, &none), -EINVAL);
	args.sector = SLUICE_SECTORS_MAX;
	assert_int_equal(board_create(&args, &none), -EINVAL);
	memset(name, 'n', sizeof(name));
	name[BOARD_NAME_MAX] = '\0';
	args.sector = SECTOR;
	args.name = name;
	assert_int_equal(board_create(&args, &none), -EINVAL);
	assert_null(none);
	board_destroy(NULL);
}

#define with_board(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_board(the_board_says_what_it_is),
		with_board(a_scan_comes_whole_in_order_and_ends),
		with_board(a_host_may_close_its_writing_side),
		with_board(a_scan_can_follow_at_once),
		with_board(a_second_run_gets_busy_and_disturbs_nothing),
		with_board(a_host_that_closes_frees_the_board),
		with_board(a_run_waits_for_one_that_is_just_ending),
		with_board(a_host_that_does_not_read_makes_the_board_wait),
		with_board(the_stop_ends_a_scan),
		with_board(counters_name_what_was_dropped),
		with_board(bad_requests_are_answered_by_their_names),
		with_board(bytes_behind_a_request_change_nothing),
		with_board(half_a_request_is_given_up),
		with_board(a_request_may_come_in_pieces),
		with_board(a_board_that_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
