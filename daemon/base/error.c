/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <base/error.h>
#include <base/text.h>

int error_set(struct sluice_error *reterr, int code, const char *fmt, ...)
{
	/* A local: the arguments may point into the text that is there. */
	struct sluice_error e;
	va_list ap;

	if (!reterr)
		return code;
	va_start(ap, fmt);
	(void)vsnprintf(e.text, sizeof(e.text), fmt, ap);
	va_end(ap);
	text_one_line(e.text);
	*reterr = e;
	return code;
}

int error_prefix(struct sluice_error *reterr, int code, const char *fmt, ...)
{
	struct sluice_error e;
	va_list ap;
	size_t used;

	if (!reterr)
		return code;
	va_start(ap, fmt);
	(void)vsnprintf(e.text, sizeof(e.text), fmt, ap);
	va_end(ap);
	used = strlen(e.text);
	/* What does not fit falls off at the end: the reason matters less than the object. */
	if (snprintf(e.text + used, sizeof(e.text) - used, ": %s", reterr->text) < 0)
		e.text[used] = '\0';
	text_one_line(e.text);
	*reterr = e;
	return code;
}

const char *error_name(int code)
{
	const char *text = code <= 0 && code > INT_MIN ? strerrordesc_np(-code) : NULL;

	return text ? text : "Unknown error";
}
