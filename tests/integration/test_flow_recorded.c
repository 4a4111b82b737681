/* SPDX-License-Identifier: MIT */
/*
 * Recorded data through every process: what comes out is, pixel for pixel, what went in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <model/model.h>

#include "flow.h"
#include "result.h"

enum {
	SECTORS = 4,
	ROWS = 24,
	COLUMNS = 96,
	SCAN_COLUMNS = 5,
	SCAN_ROWS = 4,
	FRAMES = 20
};

/* Plays @source through the flow, recording every pixel. */
static void play(struct flow *flow, unsigned int sectors, const char *framing, const char *source,
		 const char *extra, char path[FLOW_PATH_MAX])
{
	const char *const args[] = { "--background", "28.5", "--xray", "440", NULL };
	struct ledger ledger;

	(void)flow_start_aggregator(flow, "aggregator0");
	(void)flow_start_counter(flow, "counter0", "record_frames: true\n");
	(void)flow_start_counter(flow, "counter1", "record_frames: true\n");
	(void)flow_start_sluiced(flow, sectors, framing, source, extra);
	assert_int_equal(flow_scan(flow, args, &ledger), 0);
	assert_true(ledger.closed);
	assert_int_equal(ledger.frames_delivered, ledger.frames_expected);
	assert_int_equal(ledger.frames_incomplete, 0);
	flow_merge(flow, 1, path);
}

/* ---- a Merlin detector ----------------------------------------------------- */

enum {
	MERLIN_HEADER = 384,
	MERLIN_SIDE = 256,
	MERLIN_FRAMES = 8,
};

static void merlin_frames_come_out_as_they_went_in(void **state)
{
	char file[FLOW_PATH_MAX], source[FLOW_PATH_MAX + 8], path[FLOW_PATH_MAX];
	uint8_t *frame = malloc(MERLIN_HEADER + MERLIN_SIDE * MERLIN_SIDE);
	struct result result;
	struct flow *flow;
	uint16_t *pixels;
	FILE *in;

	(void)snprintf(file, sizeof(file), "%s/../shared/data/merlin-4x2-256x256-u8.mib",
		       getenv("SLUICE_SOURCE"));
	in = fopen(file, "rb");
	assert_non_null(in);
	flow = flow_setup(state, false);
	(void)snprintf(source, sizeof(source), "file:%s", file);
	play(flow, 1, "merlin-mib", source, "", path);
	result_open(path, &result);
	assert_int_equal(result.frames, MERLIN_FRAMES);
	pixels = result_pixels(path, &result);
	for (unsigned int f = 0; f < MERLIN_FRAMES; f++) {
		const uint16_t *ours = pixels + (size_t)f * MERLIN_SIDE * MERLIN_SIDE;

		assert_int_equal(fread(frame, 1, MERLIN_HEADER + MERLIN_SIDE * MERLIN_SIDE, in),
				 MERLIN_HEADER + MERLIN_SIDE * MERLIN_SIDE);
		for (unsigned int i = 0; i < MERLIN_SIDE * MERLIN_SIDE; i++)
			assert_int_equal(ours[i], frame[MERLIN_HEADER + i]);
	}
	(void)fclose(in);
	free(pixels);
	free(frame);
	result_close(&result);
}

/* ---- a 4D Camera ------------------------------------------------------------- */

struct camera {
	const char *framing;
	const char *layout;
	enum sluice_layout layout_number;
	const char *rows, *columns; /* of a sector */
	const char *extra;
};

static const struct camera v5 = {
	"4dcamera-v5", "rows", SLUICE_LAYOUT_ROWS,
	"24",          "96",   "geometry: {sectors: 4, layout: rows, rows: 24, columns: 96}"
};
static const struct camera v4 = {
	"4dcamera-v4", "columns", SLUICE_LAYOUT_COLUMNS,
	"24",          "96",      "geometry: {sectors: 4, layout: columns, rows: 24, columns: 96}"
};

static void record(const struct flow *flow, const struct camera *camera)
{
	char program[FLOW_PATH_MAX];
	int status;
	pid_t pid;

	(void)snprintf(program, sizeof(program), "%s/sluice-board", getenv("SLUICE_BIN"));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		/* Its blocks stand out of order in several files. */
		(void)execl(program, program, "--write", flow->dir, "--framing", camera->framing,
			    "--layout", camera->layout, "--rows", camera->rows, "--columns",
			    camera->columns, "--scan", "5x4", "--sectors-served", "0,1,2,3",
			    "--files", "3", "--seed", "7", "--scan-number", "42", (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void check_pixels(const char *path, const struct camera *camera)
{
	const struct model_args args = { .geometry = { .sectors = SECTORS,
						       .layout = camera->layout_number,
						       .rows = ROWS,
						       .columns = COLUMNS,
						       .pixel = SLUICE_PIXEL_U16 },
					 .generator = MODEL_CAMERA,
					 .seed = 7,
					 .distinct = MODEL_DISTINCT_DEFAULT,
					 .sectors_served = 0xf };
	const struct model_scan scan = { SCAN_COLUMNS, SCAN_ROWS, FRAMES };
	const uint32_t width = sluice_frame_columns(&args.geometry);
	struct result result;
	struct model *model;
	uint16_t *pixels;

	assert_int_equal(model_create(&args, &model, NULL), 0);
	result_open(path, &result);
	assert_int_equal(result.frames, FRAMES);
	pixels = result_pixels(path, &result);
	for (uint64_t f = 0; f < FRAMES; f++) {
		const uint32_t prepared = model_frame_choice(&args, &scan, f);

		for (unsigned int s = 0; s < SECTORS; s++) {
			const bool stacked = camera->layout_number == SLUICE_LAYOUT_ROWS;
			const uint16_t *sector = (const uint16_t *)(const void *)model_payload(
				model, prepared, s);

			for (uint32_t r = 0; r < ROWS; r++) {
				const size_t row = f * SECTORS * ROWS * COLUMNS +
						   (size_t)(stacked ? s * ROWS + r : r) * width +
						   (stacked ? 0 : s * COLUMNS);

				assert_memory_equal(pixels + row, sector + (size_t)r * COLUMNS,
						    COLUMNS * sizeof(pixels[0]));
			}
		}
	}
	free(pixels);
	result_close(&result);
	model_destroy(model);
}

static void play_camera(void **state, const struct camera *camera)
{
	struct flow *flow = flow_setup(state, false);
	char source[FLOW_PATH_MAX], path[FLOW_PATH_MAX];

	record(flow, camera);
	(void)snprintf(source, sizeof(source), "file:%s/data_scan*_module{sector}_*.data",
		       flow->dir);
	play(flow, SECTORS, camera->framing, source, camera->extra, path);
	check_pixels(path, camera);
}

static void camera_v5_files_play_in_order(void **state)
{
	play_camera(state, &v5);
}

static void camera_v4_files_play_in_order(void **state)
{
	play_camera(state, &v4);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest merlin[] = {
		cmocka_unit_test_teardown(merlin_frames_come_out_as_they_went_in, flow_teardown),
	};
	const struct CMUnitTest camera[] = {
		cmocka_unit_test_teardown(camera_v5_files_play_in_order, flow_teardown),
		cmocka_unit_test_teardown(camera_v4_files_play_in_order, flow_teardown),
	};

	/* A program of its own for the one that may be skipped, so that the skip is counted. */
	if (argc == 2 && strcmp(argv[1], "merlin") == 0) {
		char file[FLOW_PATH_MAX];

		(void)snprintf(file, sizeof(file), "%s/../shared/data/merlin-4x2-256x256-u8.mib",
			       getenv("SLUICE_SOURCE"));
		if (access(file, R_OK) != 0) {
			(void)printf("%s is not there: no real detector's output to play\n", file);
			return 77;
		}
		return cmocka_run_group_tests(merlin, NULL, NULL);
	}
	return cmocka_run_group_tests(camera, NULL, NULL);
}
