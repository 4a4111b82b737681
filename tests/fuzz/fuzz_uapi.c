/* SPDX-License-Identifier: MIT */
/*
 * What user space hands to the ioctls that take a struct: it is taken if and only if every sentence
 * of sluice/uapi.h holds of it. The first byte of the input chooses the ioctl, or the judges of a
 * board's answers; the rest is the struct.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <driver/judge.h>
#include <driver/uapi_check.h>

/* Not assert(): it must hold in every build. */
static void must(bool fact)
{
	if (!fact)
		abort();
}

static bool all_zero(const void *bytes, size_t size)
{
	const uint8_t *const p = bytes;

	for (size_t i = 0; i < size; i++)
		if (p[i] != 0)
			return false;
	return true;
}

static bool in_range(uint64_t v, uint64_t min, uint64_t max)
{
	return v >= min && v <= max;
}

static void check_scan(const struct sluice_uapi_scan *s)
{
	const bool fit = in_range(s->columns, 1, 65535) && in_range(s->rows, 1, 65535) &&
			 in_range(s->source, FW_SOURCE_DETECTOR, FW_SOURCE_PRBS) &&
			 in_range(s->frames, 1, FW_GONE_64 - 1) && s->coalesce_us <= 1000000 &&
			 (s->flags == 0 || s->flags == SLUICE_UAPI_POLLED) &&
			 all_zero(s->reserved, sizeof(s->reserved));
	/* What goes into a register as it is must not look like a board that is gone. */
	const bool shows = s->scan != FW_GONE_32 && s->run_frames != FW_GONE_32 &&
			   s->drop_threshold != FW_GONE_32 && s->coalesce_count != FW_GONE_32;

	must(sluice_scan_check(s) == (fit && shows ? 0 : -EINVAL));
}

static void check_run(const struct sluice_uapi_run *r)
{
	must(sluice_run_check(r) == (all_zero(r, sizeof(*r)) ? 0 : -EINVAL));
}

static void check_stop(const struct sluice_uapi_stop *s)
{
	const bool fit = s->how <= SLUICE_UAPI_STOP_ABORT &&
			 all_zero(s->reserved, sizeof(s->reserved));

	must(sluice_stop_check(s) == (fit ? 0 : -EINVAL));
}

/* A number of the board's own: no answer but DONE is success, and nothing is a fault's. */
static void check_answer(uint32_t number)
{
	const int answer = sluice_answer_errno(number);

	must(answer <= 0 && answer >= -4095);
	must((answer == 0) == (number == FW_ANSWER_DONE));
	must(in_range((uint64_t)-sluice_fault_errno(number), 1, 4095));
	must(sluice_status_errno((uint16_t)number) <= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* As the driver's copy: what user space has is looked at once. */
	union {
		struct sluice_uapi_scan scan;
		struct sluice_uapi_run run;
		struct sluice_uapi_stop stop;
		uint32_t number;
		uint8_t bytes[sizeof(struct sluice_uapi_scan)];
	} copy, judged;

	if (size < 1)
		return 0;
	memset(&copy, 0, sizeof(copy));
	memcpy(&copy, data + 1, size - 1 < sizeof(copy) ? size - 1 : sizeof(copy));
	judged = copy;
	switch (data[0] % 4) {
	case 0:
		check_scan(&judged.scan);
		break;
	case 1:
		check_run(&judged.run);
		break;
	case 2:
		check_stop(&judged.stop);
		break;
	default:
		check_answer(judged.number);
	}
	must(memcmp(copy.bytes, judged.bytes, sizeof(copy.bytes)) == 0);
	return 0;
}
