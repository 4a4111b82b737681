/* SPDX-License-Identifier: MIT */
/* sluice-merge - merges the parts of a scan into one HDF5 file, and draws a picture of it. */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/log.h>
#include <consume/merge.h>
#include <scan/ledger.h>

enum {
	SCHEMA_VERSION = 1,
};

struct options {
	const char *out, *picture, *ledger;
	bool json;
	const char **parts;
	unsigned int count;
};

const char *argp_program_version = "sluice-merge " SLUICE_VERSION;

static const struct argp_option rows[] = {
	{ "out", 'o', "FILE.h5", 0, "The HDF5 file to write (required)", 0 },
	{ "picture", 'p', "FILE.png", 0,
	  "Draw the virtual bright field and the diffraction sum, side by side", 0 },
	{ "ledger", 'l', "FILE.json", 0,
	  "The scan's ledger, to be compared and put into the HDF5 file", 0 },
	{ "json", 'j', NULL, 0, "Print the result as one JSON object", 0 },
	{ 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'o':
		o->out = value;
		return 0;
	case 'p':
		o->picture = value;
		return 0;
	case 'l':
		o->ledger = value;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case ARGP_KEY_ARG:
		o->parts[o->count++] = value;
		return 0;
	case ARGP_KEY_END:
		if (o->count == 0 || !o->out)
			argp_error(state, "name at least one part, and the output by --out");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The ledger, and its text; on failure both are untouched. */
static int load_ledger(const char *path, struct ledger *ret_ledger, char **ret_json,
		       struct sluice_error *reterr)
{
	json_error_t error;
	json_t *root = json_load_file(path, 0, &error);
	char *text;
	int ret;

	if (!root)
		return error_set(reterr, -EBADMSG, "ledger %s:%d: %s", path, error.line,
				 error.text);
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (!text)
		return error_set(reterr, -ENOMEM, "ledger %s: out of memory", path);
	ret = ledger_decode(text, ret_ledger, reterr);
	if (ret < 0) {
		free(text);
		return error_prefix(reterr, ret, "%s", path);
	}
	*ret_json = text;
	return 0;
}

/* What the parts hold is what the ledger says; of an open ledger nothing can be expected. */
static int check_ledger(const struct merge *merge, const struct ledger *ledger,
			struct sluice_error *reterr)
{
	const struct merge_counts *c = merge_counts(merge);
	const uint32_t scan = merge_info(merge)->scan.scan;
	struct sluice_error difference;

	if (ledger->scan != scan)
		return error_set(reterr, -EINVAL, "the parts are of scan %u, the ledger of scan %u",
				 scan, ledger->scan);
	if (ledger->frames_delivered == c->frames_delivered && ledger->events == c->events)
		return 0;
	(void)error_set(&difference, -EBADMSG,
			"the parts hold %" PRIu64 " frames and %" PRIu64
			" events, the ledger of scan %u says %" PRIu64 " and %" PRIu64,
			c->frames_delivered, c->events, scan, ledger->frames_delivered,
			ledger->events);
	if (ledger->closed)
		return error_set(reterr, -EBADMSG,
				 "%s: name all parts, or leave out --ledger to merge these",
				 difference.text);
	log_warn("%s; that ledger is open", difference.text);
	return 0;
}

static int draw_picture(const struct merge *merge, const char *path, struct sluice_error *reterr)
{
	struct merge_images images;
	int ret = merge_images(merge, &images, reterr);

	if (ret < 0)
		return ret;
	ret = merge_write_picture(&images, path, reterr);
	merge_images_free(&images);
	return ret;
}

static int print_json(const struct merge *merge, const struct options *o)
{
	const struct merge_counts *c = merge_counts(merge);
	const struct part_info *info = merge_info(merge);
	json_t *root = json_pack(
		"{si sI sI sI sI sI sI sI sI sI sf sf ss ss*}", "schema_version", SCHEMA_VERSION,
		"scan", (json_int_t)info->scan.scan, "parts", (json_int_t)c->parts, "parts_torn",
		(json_int_t)c->parts_torn, "frames_expected", (json_int_t)c->frames_expected,
		"frames_delivered", (json_int_t)c->frames_delivered, "frames_incomplete",
		(json_int_t)c->frames_incomplete, "frames_lost", (json_int_t)c->frames_lost,
		"frames_duplicate", (json_int_t)c->duplicates, "events", (json_int_t)c->events,
		"background", info->threshold.background, "xray", info->threshold.xray, "hdf5",
		o->out, "picture", o->picture);
	int ret = -ENOMEM;

	if (root && json_dumpf(root, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF)
		ret = 0;
	json_decref(root);
	return ret;
}

static void print_text(const struct merge *merge, const struct options *o)
{
	const struct merge_counts *c = merge_counts(merge);

	for (unsigned int i = 0; i < merge_part_count(merge); i++) {
		if (merge_part_torn(merge, i) > 0)
			log_warn("part %s is torn: its last %" PRIu64 " bytes are passed over",
				 merge_part_name(merge, i), merge_part_torn(merge, i));
	}
	printf("scan %u: %lu of %lu frames (%lu incomplete, %lu lost), %lu events -> %s\n",
	       merge_info(merge)->scan.scan, (unsigned long)c->frames_delivered,
	       (unsigned long)c->frames_expected, (unsigned long)c->frames_incomplete,
	       (unsigned long)c->frames_lost, (unsigned long)c->events, o->out);
}

static int run(const struct options *o, struct sluice_error *reterr)
{
	struct merge *merge = NULL;
	struct ledger ledger = { 0 };
	char *ledger_json = NULL;
	int ret = 0;

	if (o->ledger)
		ret = load_ledger(o->ledger, &ledger, &ledger_json, reterr);
	if (ret == 0)
		ret = merge_open(o->parts, o->count, &merge, reterr);
	if (ret == 0 && o->ledger)
		ret = check_ledger(merge, &ledger, reterr);
	if (ret == 0)
		ret = merge_write_hdf5(merge, o->out, ledger_json, reterr);
	if (ret == 0 && o->picture)
		ret = draw_picture(merge, o->picture, reterr);
	if (ret == 0 && o->json)
		ret = print_json(merge, o);
	else if (ret == 0)
		print_text(merge, o);
	merge_close(merge);
	free(ledger_json);
	return ret;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		rows,      parse,
		"PART...", "Merges the parts of one scan into an HDF5 file, each frame once.",
		NULL,      NULL,
		NULL
	};
	struct options o = { 0 };
	struct sluice_error error = { 0 };
	int ret;

	log_init("sluice-merge", LOG_LEVEL_INFO);
	o.parts = calloc((size_t)argc, sizeof(*o.parts));
	if (!o.parts) {
		log_err("out of memory");
		return EXIT_FAILURE;
	}
	ret = argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (ret == 0)
		ret = run(&o, &error);
	if (ret != 0)
		log_err("%s", error.text[0] ? error.text : error_name(ret));
	free(o.parts);
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
