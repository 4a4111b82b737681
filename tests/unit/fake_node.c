/* SPDX-License-Identifier: MIT */
#include "fake_node.h"

#include <errno.h>
#include <fcntl.h>
#include <registers.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <sluice/block.h>
#include <source/source.h>

#include "source_fixture.h"

struct uring;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_uring_next(struct uring *uring, uint32_t *ret_tag, int *ret_result);
int __wrap_uring_next(struct uring *uring, uint32_t *ret_tag, int *ret_result);

static struct fake_node *fake;

static int fail_with(int code)
{
	errno = code;
	return -1;
}

static void close_pair(struct fake_node *node)
{
	if (node->far >= 0)
		(void)close(node->far);
	node->far = -1;
	node->fd = -1; /* who opened it closes it */
}

int __wrap_open(const char *path, int flags, ...)
{
	int pair[2];
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, int) : 0;
	va_end(ap);
	if (!fake || strcmp(path, FAKE_NODE_PATH) != 0)
		return __real_open(path, flags, mode);
	if (fake->open_errno)
		return fail_with(fake->open_errno);
	close_pair(fake);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fake->fd = pair[0];
	fake->far = pair[1];
	if (fake->opens++ > 0)
		fake->gone = false;
	fake->armed = fake->running = false;
	return fake->fd;
}

static int do_arm(const struct sluice_uapi_scan *scan)
{
	if (fake->arm_errno)
		return fail_with(fake->arm_errno);
	fake->arms++;
	fake->order_broken |= fake->running;
	fake->scan = *scan;
	fake->armed = true;
	fake->stopped = false;
	fake->reads_seen = 0;
	for (unsigned int i = 0; i < fake->packets; i++)
		assert_int_equal(send(fake->far, fake->packet[i].bytes, fake->packet[i].len, 0),
				 (ssize_t)fake->packet[i].len);
	/* From here on every read gets 0. */
	if (!fake->never_ends)
		assert_int_equal(shutdown(fake->far, SHUT_WR), 0);
	return 0;
}

static int do_stop(const struct sluice_uapi_stop *stop)
{
	if (stop->how == SLUICE_UAPI_STOP_DRAIN) {
		fake->drains++;
		if (fake->drain_errno)
			return fail_with(fake->drain_errno);
		if (fake->drained.len > 0 && !fake->stopped)
			assert_int_equal(send(fake->far, fake->drained.bytes, fake->drained.len, 0),
					 (ssize_t)fake->drained.len);
	} else {
		fake->aborts++;
	}
	(void)shutdown(fake->far, SHUT_WR);
	fake->armed = fake->running = false;
	fake->stopped = true;
	return 0;
}

static int do_run(void)
{
	char byte;

	if (fake->run_errno)
		return fail_with(fake->run_errno);
	fake->runs++;
	fake->order_broken |= !fake->armed;
	fake->running = true;
	fake->unread_at_run = recv(fake->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (!fake || fd != fake->fd)
		return __real_ioctl(fd, request, arg);
	if (fake->gone)
		return fail_with(ENODEV);
	switch (request) {
	case SLUICE_IOC_INFO:
		if (fake->info_errno)
			return fail_with(fake->info_errno);
		memcpy(arg, &fake->info, sizeof(fake->info));
		return 0;
	case SLUICE_IOC_ARM:
		return do_arm(arg);
	case SLUICE_IOC_RUN:
		return do_run();
	case SLUICE_IOC_STOP:
		return do_stop(arg);
	case SLUICE_IOC_COUNTERS:
		if (fake->counters_errno)
			return fail_with(fake->counters_errno);
		fake->counts++;
		memcpy(arg, fake->stopped ? &fake->after : &fake->before, sizeof(fake->after));
		return 0;
	default:
		return fail_with(ENOTTY);
	}
}

int __wrap_uring_next(struct uring *uring, uint32_t *ret_tag, int *ret_result)
{
	const int ret = __real_uring_next(uring, ret_tag, ret_result);

	if (ret == 0 && fake && fake->read_errno && fake->reads_seen++ >= fake->reads_good)
		*ret_result = -fake->read_errno;
	return ret;
}

void fake_node_init(struct fake_node *node)
{
	*node = (struct fake_node){
		.info = { .abi = SLUICE_UAPI_VERSION,
			  .interface_version = 1 << 16,
			  .firmware_build = 42,
			  .capabilities = FW_CAP_RUN_BORDERS,
			  .serial = 0x1234,
			  .state = SLUICE_UAPI_IDLE,
			  .node = -1,
			  .block_bytes = BLOCK,
			  .sector = 1,
			  .sectors = 2,
			  .layout = SLUICE_LAYOUT_ROWS,
			  .rows = ROWS,
			  .columns = COLUMNS,
			  .pixel = SLUICE_PIXEL_U16,
			  .buffer_blocks = 64,
			  .read_max = 8,
			  .link_speed = 8000,
			  .link_speed_max = 8000,
			  .link_width = 8,
			  .link_width_max = 8,
			  .pci = "0000:3b:00.0" },
		.fd = -1,
		.far = -1,
	};
	fake = node;
}

void fake_node_fini(struct fake_node *node)
{
	close_pair(node);
	fake = NULL;
}

void fake_node_packet(struct fake_node *node, const uint8_t *bytes, size_t len)
{
	assert_true(node->packets < FAKE_NODE_PACKETS_MAX);
	node->packet[node->packets].bytes = bytes;
	node->packet[node->packets++].len = len;
}
