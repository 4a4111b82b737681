/* SPDX-License-Identifier: MIT */
/*
 * control/metrics.h - the text that Prometheus reads (exposition format 0.0.4).
 *
 * Samples of one name must be added one after the other; help and type are printed with the first.
 * Ownership: metrics_finish() gives the text to the caller, to free(). Threads: one per object.
 * Errors:    -ENOMEM sticks and is returned by metrics_finish().
 */
#ifndef CONTROL_METRICS_H
#define CONTROL_METRICS_H

#include <stdint.h>
#include <stdio.h>

struct metrics {
	FILE *out;
	char *text;
	size_t bytes;
	const char *last_name;
	int error;
};

struct metric {
	const char *name; /* "sluice_ring_chunks" */
	const char *type; /* "counter" or "gauge" */
	const char *help; /* with the unit */
};

int metrics_init(struct metrics *m);
/* @labels: "board=\"b0\",state=\"free\"" or NULL; escaping of values by metrics_label(). */
void metrics_u64(struct metrics *m, const struct metric *metric, const char *labels,
		 uint64_t value);
void metrics_f64(struct metrics *m, const struct metric *metric, const char *labels, double value);
/* Appends name="value" with the escapes that the format asks for; a comma first if @buf is not
 * empty. */
void metrics_label(char *buf, size_t size, const char *name, const char *value);
int metrics_finish(struct metrics *m, char **ret_text);

#endif /* CONTROL_METRICS_H */
