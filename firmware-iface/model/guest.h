/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * model/guest.h - the memory of a virtual machine, as a card reaches it: files that are its RAM.
 *
 * The files stand for consecutive guest physical addresses from 0 on, in the order given, which is
 * that of the guest's NUMA nodes. That holds below GUEST_BYTES_MAX: above, a PC moves its RAM
 * beyond its devices.
 *
 * Ownership: guest_init()/guest_fini() on the caller's memory; paths must outlive it.
 * Threads:   one at a time per object. The guest reads and writes its memory at any time.
 * Errors:    -errno with @reterr.
 */
#ifndef MODEL_GUEST_H
#define MODEL_GUEST_H

#include <stddef.h>
#include <stdint.h>

struct sluice_error;

enum {
	GUEST_FILES_MAX = 8,
};
#define GUEST_BYTES_MAX (UINT64_C(2) << 30)

struct guest_file {
	const char *path;
	uint8_t *map; /* NULL: not mapped yet */
	uint64_t first;
	uint64_t bytes;
};

struct guest {
	struct guest_file file[GUEST_FILES_MAX];
	unsigned int files;
	unsigned int mapped;
	uint64_t bytes;
};

/* @paths: "FILE[,FILE...]", taken apart. -EINVAL: none, or more than GUEST_FILES_MAX. */
int guest_init(struct guest *guest, char *paths, struct sluice_error *reterr);
void guest_fini(struct guest *guest);
/*
 * Maps what is not mapped yet. -EAGAIN: a file is not there, or has no size yet. -ERANGE: more
 * than GUEST_BYTES_MAX. Others: -errno.
 */
int guest_map(struct guest *guest, struct sluice_error *reterr);

/* As struct card_host_ops: all or nothing, -EFAULT for what is no memory, writes in order. */
int guest_read(const struct guest *guest, uint64_t address, void *dst, size_t bytes);
int guest_write(const struct guest *guest, uint64_t address, const void *src, size_t bytes);

#endif /* MODEL_GUEST_H */
