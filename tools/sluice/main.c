/* SPDX-License-Identifier: MIT */
/* sluice - the command line: arms scans, watches them, tells how everything is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice.h"

static const struct subcommand {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} subcommands[] = {
	{ "arm", sluice_arm, "plan a scan, arm every member, start it" },
	{ "watch", sluice_watch, "follow a scan to its ledger" },
	{ "status", sluice_status, "list every member and its state" },
	{ "list", sluice_list, "list the readout boards of this host" },
	{ "abort", sluice_abort, "end a scan now" },
};

static void usage(FILE *out)
{
	(void)fprintf(out, "Usage: sluice COMMAND [OPTION...]\n\n");
	for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++)
		(void)fprintf(out, "  %-8s %s\n", subcommands[i].name, subcommands[i].help);
	(void)fprintf(out,
		      "\n  --help     this text; sluice COMMAND --help: that command's options\n"
		      "  --version  the version\n");
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return EXIT_FAILURE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0) {
		usage(stdout);
		return EXIT_SUCCESS;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		(void)printf("sluice %s\n", SLUICE_VERSION);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++) {
		if (strcmp(argv[1], subcommands[i].name) == 0)
			return subcommands[i].run(argc - 1, argv + 1);
	}
	(void)fprintf(stderr, "sluice: no command \"%s\"; sluice --help lists them\n", argv[1]);
	return EXIT_FAILURE;
}
