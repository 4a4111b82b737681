/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "merge_fixture.h"

const struct part_info base_info = {
	.scan = { .scan = 42,
		  .scan_columns = SCAN_COLUMNS,
		  .scan_rows = SCAN_ROWS,
		  .frames_per_position = PER_POSITION,
		  .run_frames = RUN,
		  .frames_expected = FRAMES,
		  .geometry = { .sectors = 4,
				.layout = SLUICE_LAYOUT_ROWS,
				.rows = ROWS / 4,
				.columns = COLUMNS,
				.pixel = SLUICE_PIXEL_U16 } },
	.consumer = "counter0",
	.threshold = { .calculated = true,
		       .background = 28.5,
		       .xray = 435.25,
		       .samples = 20,
		       .min = -9.0,
		       .max = 2600.0,
		       .mean = 20.6,
		       .variance = 5.5,
		       .std_dev = 2.345,
		       .bins = 426,
		       .xray_n_sigma = 175.0,
		       .background_n_sigma = 4.5,
		       .optimized_mean = 20.5,
		       .optimized_std_dev = 1.79,
		       .seed = 99 },
};

char part_a[96], part_b[96], out[96], out2[96], picture[96], ledger_path[96];

static char folder[64];

int make_folder(void **state)
{
	(void)state;
	(void)strcpy(folder, "/tmp/sluice-merge-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(part_a, sizeof(part_a), "%s/a.part", folder);
	(void)snprintf(part_b, sizeof(part_b), "%s/b.part", folder);
	(void)snprintf(out, sizeof(out), "%s/out.h5", folder);
	(void)snprintf(out2, sizeof(out2), "%s/out2.h5", folder);
	(void)snprintf(ledger_path, sizeof(ledger_path), "%s/ledger.json", folder);
	(void)snprintf(picture, sizeof(picture), "%s/out.png", folder);
	return 0;
}

void remove_files(void)
{
	(void)unlink(part_a);
	(void)unlink(part_b);
	(void)unlink(out);
	(void)unlink(out2);
	(void)unlink(picture);
	(void)unlink(ledger_path);
}

int remove_folder(void **state)
{
	(void)state;
	remove_files();
	return rmdir(folder);
}

uint32_t events_of(uint64_t frame, uint32_t *events)
{
	const uint32_t n = (uint32_t)(frame * 5 % 9);

	for (uint32_t i = 0; i < n; i++)
		events[i] = i * 26 + (uint32_t)(frame % 20);
	return n;
}

void pixels_of(uint64_t frame, uint16_t *pixels)
{
	for (uint32_t i = 0; i < PIXELS; i++)
		pixels[i] = (uint16_t)(i * 31 + frame);
}

struct part_writer *open_part(const char *path, const struct part_info *info)
{
	struct part_writer *w;

	(void)unlink(path);
	assert_int_equal(part_writer_open(path, info, &w, NULL), 0);
	return w;
}

void write_run(struct part_writer *w, uint64_t run, uint32_t mask, uint32_t events_less,
	       bool with_pixels)
{
	static uint32_t events[RUN][16];
	static uint16_t pixels[RUN][PIXELS];
	struct part_frame frame[RUN];
	unsigned int n = 0;

	for (; n < RUN && run * RUN + n < FRAMES; n++) {
		const uint64_t number = run * RUN + n;
		uint32_t count = events_of(number, events[n]);

		count = count > events_less ? count - events_less : 0;
		pixels_of(number, pixels[n]);
		frame[n] = (struct part_frame){ .frame = number,
						.sector_mask = mask,
						.event_count = count,
						.events = events[n],
						.pixels = with_pixels ? pixels[n] : NULL };
	}
	assert_int_equal(part_writer_run(w, run, frame, n), 0);
}

struct merge *open_merge(const char *a, const char *b)
{
	const char *paths[] = { a, b };
	struct merge *m = NULL;

	assert_int_equal(merge_open(paths, b ? 2 : 1, &m, NULL), 0);
	return m;
}

void write_parts(bool with_pixels)
{
	struct part_info info = base_info;
	struct part_writer *a, *b;

	info.pixel = with_pixels ? SLUICE_PIXEL_U16 : 0;
	a = open_part(part_a, &info);
	(void)strcpy(info.consumer, "counter1");
	b = open_part(part_b, &info);
	for (uint64_t run = (FRAMES - 1) / RUN;; run--) {
		if (run != 5)
			write_run(run % 2 ? b : a, run, run == 6 ? 5 : COMPLETE, 0, with_pixels);
		if (run == 0)
			break;
	}
	part_writer_close(a);
	part_writer_close(b);
}
