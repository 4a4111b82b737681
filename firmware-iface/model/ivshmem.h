/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/ivshmem.h - the other side of QEMU's device ivshmem-doorbell: one card, one guest.
 *
 * QEMU connects to a Unix socket and is told, in 64-bit little-endian numbers, some with a
 * descriptor beside them (docs/specs/ivshmem-spec.rst, protocol version 0): the version, its own
 * number, -1 with the shared memory, which becomes BAR 2, and for each of two vectors the board's
 * number with the event that a doorbell fires, then its own with the event that raises MSI-X.
 *
 * Ownership: ivshmem_open() on the caller's memory, ivshmem_close() takes back all and removes the
 *            socket. The registers are the object's.
 * Threads:   one at a time per object.
 * Errors:    -errno with @reterr.
 */
#ifndef MODEL_IVSHMEM_H
#define MODEL_IVSHMEM_H

#include <stdbool.h>
#include <stdint.h>

#include <firmware-iface/registers.h>
#include <model/listener.h>

struct sluice_error;

enum {
	IVSHMEM_BOARD = 0, /* the numbers of both sides */
	IVSHMEM_GUEST = 1,
	IVSHMEM_VECTORS = FW_VECTORS,
};
_Static_assert((int)FW_DOORBELLS == (int)FW_VECTORS, "QEMU: both sides have as many");

struct ivshmem {
	struct listener listener;
	int guest_fd;                  /* -1: nobody there yet */
	int memory_fd;                 /* of the registers */
	void *registers;               /* FW_REGISTERS_BYTES */
	int doorbell_fd[FW_DOORBELLS]; /* readable when the guest rang */
	int interrupt_fd[FW_VECTORS];
};

/* Listens at @path, which must outlive it. -EADDRINUSE, -EEXIST: as listener_open(). */
int ivshmem_open(struct ivshmem *iv, const char *path, struct sluice_error *reterr);
void ivshmem_close(struct ivshmem *iv);
/* Takes the guest that connects, when its socket is readable. -EAGAIN: nobody did, after all. */
int ivshmem_accept(struct ivshmem *iv, struct sluice_error *reterr);
/* guest_fd is readable: whether that is because the guest is gone. */
bool ivshmem_hung_up(const struct ivshmem *iv);
/* Whether doorbell @number was rung since it was last asked. */
bool ivshmem_rung(const struct ivshmem *iv, unsigned int number);
void ivshmem_raise(const struct ivshmem *iv, enum fw_vector vector);

#endif /* MODEL_IVSHMEM_H */
