/* SPDX-License-Identifier: MIT */
/*
 * integration/result.h - the merged HDF5 file, read back the way users' readers do.
 *
 * Ownership: result_open() gives, result_close() takes. Threads: one.
 * Errors:    the cmocka test fails.
 */
#ifndef INTEGRATION_RESULT_H
#define INTEGRATION_RESULT_H

#include <hdf5.h>
#include <stdint.h>

struct result {
	size_t frames;
	hvl_t *events;  /* per frame, position-major */
	uint32_t *mask; /* per frame: sectors that are there */
	double background, xray;
	uint32_t frame_rows, frame_columns, scan_columns, scan_rows;
	hid_t events_type, events_space;
};

void result_open(const char *path, struct result *ret_result);
void result_close(struct result *result);
/* /sluice/frames as uint16, malloc()ed: frames x rows x columns. */
uint16_t *result_pixels(const char *path, const struct result *result);

#endif /* INTEGRATION_RESULT_H */
