/* SPDX-License-Identifier: MIT */
/* Compiled by test_install.sh, as C and as C++, with nothing but what was installed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <sluice/consumer.h>
#include <sluice/stats.h>
#include <sluice/wire.h>

int main(void)
{
	struct sluice_consumer_args args = SLUICE_CONSUMER_ARGS_INIT;
	struct sluice_consumer *consumer = NULL;
	struct sluice_error error;

	memset(&error, 0, sizeof(error));
	args.size = 0;
	if (sluice_consumer_open(&args, &consumer, &error) != -EINVAL || consumer) {
		(void)fprintf(stderr, "arguments of size 0 are not refused\n");
		return 1;
	}
	args.size = sizeof(args);
	if (sluice_consumer_open(&args, &consumer, &error) != 0) {
		(void)fprintf(stderr, "cannot open: %s\n", error.text);
		return 1;
	}
	sluice_consumer_stop(consumer);
	sluice_consumer_close(consumer);
	printf("%s\n", sluice_version());
	return 0;
}
