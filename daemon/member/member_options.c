/* SPDX-License-Identifier: MIT */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>

#include <base/log.h>
#include <sluice/error.h>

#include <member/member_options.h>

enum {
	KEY_HELP_CONFIG = 256,
	KEY_CHECK
};

static const struct argp_option options[] = {
	{ "config", 'c', "FILE", 0, "configuration, YAML (required)", 0 },
	{ "check", KEY_CHECK, NULL, 0, "read the configuration, say whether it is good, and end",
	  0 },
	{ "help-config", KEY_HELP_CONFIG, NULL, 0, "list the keys of the configuration and end",
	  0 },
	{ 0 },
};

struct arguments {
	const char *config;
	bool check, help_config;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'c':
		arguments->config = arg;
		return 0;
	case KEY_CHECK:
		arguments->check = true;
		return 0;
	case KEY_HELP_CONFIG:
		arguments->help_config = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument: %s", arg);
		return EINVAL;
	case ARGP_KEY_END:
		if (!arguments->config && !arguments->help_config)
			argp_error(state, "--config FILE is missing");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

bool member_options(const struct member_program *program, int argc, char **argv, int *ret_status)
{
	const struct argp argp = { .options = options,
				   .parser = parse_option,
				   .doc = program->doc };
	struct arguments arguments = { 0 };
	struct sluice_error error = { 0 };

	(void)argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	log_init(program->name, LOG_LEVEL_INFO);
	*ret_status = EXIT_SUCCESS;
	if (arguments.help_config) {
		config_describe(program->rows, program->config, stdout);
		return false;
	}
	if (program->load(arguments.config, program->rows, program->config, &error) < 0) {
		log_err("%s", error.text);
		*ret_status = EXIT_FAILURE;
		return false;
	}
	if (arguments.check)
		log_info("%s: good", arguments.config);
	return !arguments.check;
}
