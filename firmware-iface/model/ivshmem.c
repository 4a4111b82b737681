/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#include <model/ivshmem.h>

#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <base/error.h>
#include <sluice/le.h>

enum {
	PROTOCOL_VERSION = 0,
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static int make_registers(struct ivshmem *iv)
{
	void *map;

	iv->memory_fd = memfd_create("sluice-board", MFD_CLOEXEC);
	if (iv->memory_fd < 0 || ftruncate(iv->memory_fd, FW_REGISTERS_BYTES) < 0)
		return neg_errno();
	map = mmap(NULL, FW_REGISTERS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, iv->memory_fd, 0);
	if (map == MAP_FAILED)
		return neg_errno();
	iv->registers = map;
	return 0;
}

static int make_events(struct ivshmem *iv)
{
	for (unsigned int i = 0; i < IVSHMEM_VECTORS; i++) {
		iv->doorbell_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (iv->doorbell_fd[i] < 0)
			return neg_errno();
		iv->interrupt_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (iv->interrupt_fd[i] < 0)
			return neg_errno();
	}
	return 0;
}

int ivshmem_open(struct ivshmem *iv, const char *path, struct sluice_error *reterr)
{
	struct ivshmem made = { .listener = { .fd = -1 }, .guest_fd = -1, .memory_fd = -1 };
	int ret;

	for (unsigned int i = 0; i < IVSHMEM_VECTORS; i++)
		made.doorbell_fd[i] = made.interrupt_fd[i] = -1;
	ret = make_registers(&made);
	if (ret == 0)
		ret = make_events(&made);
	if (ret < 0)
		(void)error_set(reterr, ret, "%s: no memory or events for a card: %s", path,
				error_name(ret));
	else
		ret = listener_open(path, &made.listener, reterr);
	if (ret < 0) {
		ivshmem_close(&made);
		return ret;
	}
	*iv = made;
	return 0;
}

void ivshmem_close(struct ivshmem *iv)
{
	if (iv->listener.fd >= 0)
		listener_close(&iv->listener);
	iv->listener.fd = -1;
	close_fd(&iv->guest_fd);
	for (unsigned int i = 0; i < IVSHMEM_VECTORS; i++) {
		close_fd(&iv->doorbell_fd[i]);
		close_fd(&iv->interrupt_fd[i]);
	}
	if (iv->registers)
		(void)munmap(iv->registers, FW_REGISTERS_BYTES);
	iv->registers = NULL;
	close_fd(&iv->memory_fd);
}

/* Tells the guest one number, and gives it @fd, if that is not -1. */
static int tell(int guest_fd, int64_t number, int fd)
{
	const struct sluice_le64 word = sluice_le64((uint64_t)number);
	struct iovec piece = { (void *)(uintptr_t)&word, sizeof(word) };
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
	ssize_t n;

	if (fd >= 0) {
		struct cmsghdr *c;

		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	/* A socket just accepted has room for all of these. */
	n = sendmsg(guest_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return neg_errno();
	return n == (ssize_t)sizeof(word) ? 0 : -EIO;
}

static int introduce(const struct ivshmem *iv)
{
	int ret;

	ret = tell(iv->guest_fd, PROTOCOL_VERSION, -1);
	if (ret == 0)
		ret = tell(iv->guest_fd, IVSHMEM_GUEST, -1);
	if (ret == 0)
		ret = tell(iv->guest_fd, -1, iv->memory_fd);
	for (unsigned int i = 0; ret == 0 && i < IVSHMEM_VECTORS; i++)
		ret = tell(iv->guest_fd, IVSHMEM_BOARD, iv->doorbell_fd[i]);
	for (unsigned int i = 0; ret == 0 && i < IVSHMEM_VECTORS; i++)
		ret = tell(iv->guest_fd, IVSHMEM_GUEST, iv->interrupt_fd[i]);
	return ret;
}

int ivshmem_accept(struct ivshmem *iv, struct sluice_error *reterr)
{
	int ret;

	iv->guest_fd = accept4(iv->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (iv->guest_fd < 0)
		return -EAGAIN;
	ret = introduce(iv);
	if (ret == 0)
		return 0;
	close_fd(&iv->guest_fd);
	return error_set(reterr, ret, "%s: cannot speak to the guest: %s", iv->listener.path,
			 error_name(ret));
}

bool ivshmem_hung_up(const struct ivshmem *iv)
{
	uint8_t byte;

	/* The protocol has nothing that a guest says. */
	return recv(iv->guest_fd, &byte, 1, MSG_DONTWAIT) >= 0 ||
	       (errno != EAGAIN && errno != EINTR);
}

bool ivshmem_rung(const struct ivshmem *iv, unsigned int number)
{
	uint64_t count;

	return read(iv->doorbell_fd[number], &count, sizeof(count)) == (ssize_t)sizeof(count);
}

void ivshmem_raise(const struct ivshmem *iv, enum fw_vector vector)
{
	const uint64_t one = 1;

	/* Fails only where the counter is at its limit: raised, then, as it should be. */
	if (write(iv->interrupt_fd[vector], &one, sizeof(one)) < 0)
		return;
}
