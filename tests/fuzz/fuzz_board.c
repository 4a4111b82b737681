/* SPDX-License-Identifier: MIT */
/* Whatever a host writes: the board answers or gives up, keeps its account, and stays free. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <firmware-iface/board_socket.h>
#include <model/board.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct board *board;
static int stop_fd;

static void set_up(void)
{
	const struct model_args args = {
		.geometry = { .sectors = 1, .rows = 2, .columns = 3, .pixel = SLUICE_PIXEL_U8 },
		.generator = MODEL_COUNTER,
		.distinct = 2,
		.sectors_served = 1,
	};
	struct board_args board_args = { .name = "fuzz" };
	struct model *model;

	stop_fd = eventfd(0, EFD_CLOEXEC);
	if (stop_fd < 0 || model_create(&args, &model, NULL) < 0)
		abort();
	board_args.model = model;
	if (board_create(&board_args, &board) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct board_order order = { 0 };
	struct board_report report;
	int fds[2];
	int status;

	if (!board)
		set_up();
	if (size > 1024)
		return 0;
	status = board_request_judge(data, size, &order);
	if (status < 0)
		assert(order.command == 0); /* untouched on failure */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	if (size > 0 && send(fds[0], data, size, MSG_NOSIGNAL) != (ssize_t)size)
		abort();
	/* The host is gone before the reply, so that no scan lasts. */
	(void)close(fds[0]);
	board_serve(board, fds[1], stop_fd, &report);
	(void)close(fds[1]);
	assert(!report.ran || report.end < 0);
	assert(report.counts.blocks_generated ==
	       report.counts.blocks_sent + report.counts.blocks_dropped);
	return 0;
}
