/* SPDX-License-Identifier: MIT */
/* Any text as a fault: taken whole or not at all; what was taken stays within its limits. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <model/fault.h>
#include <model/model.h>
#include <sluice/error.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fault_list list = { .count = 0 };
	struct sluice_error error = { "" };
	char *order = malloc(size + 1);

	if (!order)
		return 0;
	memcpy(order, data, size);
	order[size] = '\0';
	if (fault_add(&list, order, &error) < 0) {
		assert(list.count == 0);
		assert(error.text[0] != '\0');
	} else {
		assert(list.count >= 1);
	}
	for (unsigned int i = 0; i < list.count; i++) {
		const struct fault_entry *e = &list.entry[i];

		assert(e->kind < FAULT_KIND_COUNT);
		assert(e->sector >= -1 && e->sector < SLUICE_SECTORS_MAX);
		assert(e->first <= e->last && e->last < MODEL_FRAMES_MAX);
		assert(e->value <= (e->kind == FAULT_STALL ? FAULT_MS_MAX : FAULT_BYTES_MAX));
	}
	free(order);
	return 0;
}
