/* SPDX-License-Identifier: MIT */
/* model/truth.h: the file holds the hits of each prepared frame, and each scan once. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include <base/error.h>
#include <model/camera.h>
#include <model/truth.h>

static const struct model_args args = {
	.geometry = { .sectors = 2, .rows = 48, .columns = 96, .pixel = SLUICE_PIXEL_U16 },
	.seed = 3,
	.distinct = CAMERA_XRAY_EVERY,
	.sectors_served = 1,
};
static struct model *model;
static char path[] = "/tmp/sluice-truth-XXXXXX";

static int set_up(void **state)
{
	const int fd = mkstemp(path);

	(void)state;
	if (fd < 0)
		return -1;
	(void)close(fd);
	return model_create(&args, &model, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	model_destroy(model);
	return unlink(path);
}

/* The next line without its newline, or "". */
static const char *line_of(FILE *in)
{
	static char line[1 << 16];

	if (!fgets(line, sizeof(line), in))
		return "";
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/* Passes "[row,column,counts]" and what separates it from the next. */
static const char *take_hit(const char *text, const struct camera_hit *want)
{
	char hit[40];

	(void)snprintf(hit, sizeof(hit), "[%u,%u,%u]", want->row, want->column, want->counts);
	assert_memory_equal(text, hit, strlen(hit));
	text += strlen(hit);
	return *text == ',' ? text + 1 : text;
}

static void check_prepared(FILE *in, uint32_t prepared)
{
	uint32_t count;
	const struct camera_hit *hit = model_hits(model, prepared, &count);
	const char *line = line_of(in);
	char head[80];

	(void)snprintf(head, sizeof(head), "{\"kind\":\"prepared\",\"prepared\":%u,\"electrons\":[",
		       prepared);
	assert_memory_equal(line, head, strlen(head));
	line += strlen(head);
	for (uint32_t i = 0; i < count; i++)
		if (!hit[i].xray)
			line = take_hit(line, &hit[i]);
	assert_memory_equal(line, "],\"xrays\":[", 11);
	line += 11;
	for (uint32_t i = 0; i < count; i++)
		if (hit[i].xray)
			line = take_hit(line, &hit[i]);
	assert_string_equal(line, "]}");
}

static void the_file_says_what_the_model_knows(void **state)
{
	const struct model_scan scan = { .columns = 3, .rows = 2, .frames = 6 };
	struct truth *truth = NULL;
	char want[256];
	FILE *in;

	(void)state;
	assert_int_equal(truth_open(path, model, &truth, NULL), 0);
	assert_int_equal(truth_scan(truth, 9, &scan), 0);
	/* The other sectors of the same scan. */
	assert_int_equal(truth_scan(truth, 9, &scan), 0);
	in = fopen(path, "r");
	assert_non_null(in);
	assert_string_equal(line_of(in), "{\"kind\":\"model\",\"schema_version\":1,"
					 "\"generator\":\"camera\",\"seed\":3,\"distinct\":32,"
					 "\"rows\":96,\"columns\":96}");
	for (uint32_t p = 0; p < args.distinct; p++)
		check_prepared(in, p);
	(void)snprintf(want, sizeof(want),
		       "{\"kind\":\"scan\",\"scan\":9,\"scan_columns\":3,\"scan_rows\":2,"
		       "\"frames\":6,\"prepared\":[%u,%u,%u,%u,%u,%u]}",
		       model_frame_choice(&args, &scan, 0), model_frame_choice(&args, &scan, 1),
		       model_frame_choice(&args, &scan, 2), model_frame_choice(&args, &scan, 3),
		       model_frame_choice(&args, &scan, 4), model_frame_choice(&args, &scan, 5));
	assert_string_equal(line_of(in), want);
	assert_string_equal(line_of(in), "");
	assert_int_equal(truth_scan(truth, 10, &scan), 0);
	clearerr(in);
	assert_non_null(strstr(line_of(in), "\"scan\":10,"));
	(void)fclose(in);
	truth_close(truth);
}

static void what_cannot_be_written_is_said(void **state)
{
	struct truth *truth = NULL;
	struct sluice_error error;

	(void)state;
	assert_int_equal(truth_open("/dev/null/truth", model, &truth, &error), -ENOTDIR);
	assert_non_null(strstr(error.text, "/dev/null/truth"));
	assert_int_equal(truth_open("/dev/full", model, &truth, &error), -ENOSPC);
	assert_null(truth);
	assert_int_equal(truth_scan(NULL, 1, NULL), 0);
	truth_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_file_says_what_the_model_knows),
		cmocka_unit_test(what_cannot_be_written_is_said),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
