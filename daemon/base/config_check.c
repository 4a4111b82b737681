/* SPDX-License-Identifier: MIT */
/*
 * One pass over the parser's events before any tree is built. Anchors and aliases are what turns
 * a small file into an endless tree; nothing here needs them.
 */
#include <string.h>

#include <base/config_internal.h>
#include <base/error.h>

struct tally {
	unsigned int nodes;
	unsigned int depth;
	unsigned int documents;
};

static const char *judge_node(const yaml_char_t *anchor, const yaml_char_t *tag, struct tally *t)
{
	if (anchor)
		return "anchors (&) are not used here";
	if (tag)
		return "tags (!) are not used here";
	if (++t->nodes > CONFIG_NODES_MAX)
		return "too many values; allowed: 65536 in a file";
	return NULL;
}

/* What is wrong with @event, NULL if nothing is. */
static const char *judge(const yaml_event_t *event, struct tally *t)
{
	const char *wrong = NULL;

	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (++t->documents > 1)
			wrong = "a second document; allowed: one in a file";
		break;
	case YAML_ALIAS_EVENT:
		wrong = "aliases (*) are not used here";
		break;
	case YAML_SCALAR_EVENT:
		wrong = judge_node(event->data.scalar.anchor, event->data.scalar.tag, t);
		break;
	case YAML_SEQUENCE_START_EVENT:
		t->depth++;
		wrong = judge_node(event->data.sequence_start.anchor,
				   event->data.sequence_start.tag, t);
		break;
	case YAML_MAPPING_START_EVENT:
		t->depth++;
		wrong = judge_node(event->data.mapping_start.anchor, event->data.mapping_start.tag,
				   t);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		t->depth--;
		break;
	default:
		break;
	}
	if (!wrong && t->depth > CONFIG_DEPTH_MAX)
		wrong = "too deep; allowed: 16 lists and mappings within each other";
	return wrong;
}

static int check_events(yaml_parser_t *parser, const char *name, struct sluice_error *reterr)
{
	struct tally tally = { 0 };
	bool last = false;

	while (!last) {
		yaml_event_t event;
		const char *wrong;
		size_t line;

		if (!yaml_parser_parse(parser, &event)) {
			if (parser->error == YAML_MEMORY_ERROR)
				return error_set(reterr, -ENOMEM, "%s: no memory to read it", name);
			return error_set(reterr, -EINVAL, "%s:%zu: not YAML: %s", name,
					 parser->problem_mark.line + 1,
					 parser->problem ? parser->problem : "unknown problem");
		}
		line = event.start_mark.line + 1;
		last = event.type == YAML_STREAM_END_EVENT;
		wrong = judge(&event, &tally);
		yaml_event_delete(&event);
		if (wrong)
			return error_set(reterr, -EINVAL, "%s:%zu: %s", name, line, wrong);
	}
	return 0;
}

int config_check_text(const char *name, const char *text, size_t len, struct sluice_error *reterr)
{
	yaml_parser_t parser;
	int ret;

	if (len > CONFIG_BYTES_MAX)
		return error_set(reterr, -EINVAL, "%s: too large; allowed: %d bytes", name,
				 CONFIG_BYTES_MAX);
	if (!yaml_parser_initialize(&parser))
		return error_set(reterr, -ENOMEM, "%s: no memory to read it", name);
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	ret = check_events(&parser, name, reterr);
	yaml_parser_delete(&parser);
	return ret;
}
