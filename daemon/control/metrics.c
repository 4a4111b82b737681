/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <control/metrics.h>

int metrics_init(struct metrics *m)
{
	*m = (struct metrics){ 0 };
	m->out = open_memstream(&m->text, &m->bytes);
	if (!m->out)
		m->error = neg_errno();
	return m->error;
}

static void note(struct metrics *m, int printed)
{
	if (printed < 0 && m->error == 0)
		m->error = -ENOMEM;
}

/* Help and type once per name, then the sample up to its value. */
static void begin(struct metrics *m, const struct metric *metric, const char *labels)
{
	if (!m->last_name || strcmp(m->last_name, metric->name) != 0) {
		note(m, fprintf(m->out, "# HELP %s ", metric->name));
		/* A help text escapes backslash and end of line only. */
		for (const char *c = metric->help; *c; c++) {
			if (*c == '\\' || *c == '\n')
				note(m, fputs(*c == '\n' ? "\\n" : "\\\\", m->out));
			else
				note(m, fputc(*c, m->out));
		}
		note(m, fprintf(m->out, "\n# TYPE %s %s\n", metric->name, metric->type));
		m->last_name = metric->name;
	}
	if (labels && *labels)
		note(m, fprintf(m->out, "%s{%s} ", metric->name, labels));
	else
		note(m, fprintf(m->out, "%s ", metric->name));
}

void metrics_u64(struct metrics *m, const struct metric *metric, const char *labels, uint64_t value)
{
	if (m->error != 0)
		return;
	begin(m, metric, labels);
	note(m, fprintf(m->out, "%" PRIu64 "\n", value));
}

void metrics_f64(struct metrics *m, const struct metric *metric, const char *labels, double value)
{
	if (m->error != 0)
		return;
	begin(m, metric, labels);
	if (isnan(value))
		note(m, fputs("NaN\n", m->out));
	else if (isinf(value))
		note(m, fputs(value > 0 ? "+Inf\n" : "-Inf\n", m->out));
	else
		note(m, fprintf(m->out, "%.17g\n", value));
}

void metrics_label(char *buf, size_t size, const char *name, const char *value)
{
	const size_t begin_at = strnlen(buf, size);
	size_t at = begin_at;
	int n;

	if (at >= size)
		return;
	n = snprintf(buf + at, size - at, "%s%s=\"", at > 0 ? "," : "", name);
	if (n < 0 || (size_t)n >= size - at)
		goto too_long;
	at += (size_t)n;
	for (; *value; value++) {
		const char *escape = *value == '\\' ? "\\\\" : *value == '"' ? "\\\"" : "\\n";
		const bool plain = *value != '\\' && *value != '"' && *value != '\n';

		/* The closing quote and the NUL want room as well. */
		if (size - at < 2 + 2)
			goto too_long;
		buf[at++] = plain ? *value : escape[0];
		if (!plain)
			buf[at++] = escape[1];
	}
	if (size - at < 2)
		goto too_long;
	buf[at++] = '"';
	buf[at] = '\0';
	return;

too_long:
	/* A label less is better than text that Prometheus refuses as a whole. */
	buf[begin_at] = '\0';
}

int metrics_finish(struct metrics *m, char **ret_text)
{
	int ret = m->error;

	if (m->out && fclose(m->out) != 0 && ret == 0)
		ret = -ENOMEM;
	m->out = NULL;
	if (ret < 0) {
		free(m->text);
		m->text = NULL;
		return ret;
	}
	*ret_text = m->text;
	m->text = NULL;
	return 0;
}
