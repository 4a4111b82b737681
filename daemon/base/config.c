/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/config_internal.h>
#include <base/error.h>

/* One table of rows being filled: the whole file's, or that of one element of a list. */
struct table {
	const struct config_row *rows;
	const char *where; /* "", or "boards[2]." */
	uint8_t *dest;     /* NULL: only check */
	bool seen[CONFIG_ROWS_MAX];
};

int config_refuse(const struct config_walk *walk, const yaml_node_t *node, const char *key,
		  const char *what, const char *allowed)
{
	return error_set(walk->reterr, -EINVAL, "%s:%zu: %s: %s%s%s", walk->name,
			 node ? node->start_mark.line + 1 : (size_t)1, key, what,
			 allowed ? "; allowed: " : "", allowed ? allowed : "");
}

static const yaml_node_t *node_at(const struct config_walk *walk, int index)
{
	const yaml_node_t *node = yaml_document_get_node(walk->document, index);

	assert(node);
	return node;
}

/* Nothing, ~ or null. */
static bool is_null(const yaml_node_t *node)
{
	const char *s;

	if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	s = (const char *)node->data.scalar.value;
	return s[0] == '\0' || strcmp(s, "~") == 0 || strcmp(s, "null") == 0;
}

/* Whether @path is the first part of a key, as "ring" is of "ring.chunks". */
static bool is_section(const struct config_row *rows, const char *path)
{
	const size_t len = strlen(path);

	for (const struct config_row *row = rows; row->key; row++) {
		if (strncmp(row->key, path, len) == 0 && row->key[len] == '.')
			return true;
	}
	return false;
}

/* The word of @row below @prefix ("" or "ring."), and its length; NULL: the row is elsewhere. */
static const char *word_below(const struct config_row *row, const char *prefix, size_t *ret_len)
{
	const size_t skip = strlen(prefix);

	if (strncmp(row->key, prefix, skip) != 0)
		return NULL;
	*ret_len = strcspn(row->key + skip, ".");
	return row->key + skip;
}

/* The words that may stand below @prefix, each once. */
static void list_keys(const struct config_row *rows, const char *prefix, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (const struct config_row *row = rows; row->key && used < size; row++) {
		const struct config_row *first = rows;
		const char *word, *other;
		size_t len, other_len;

		word = word_below(row, prefix, &len);
		if (!word)
			continue;
		/* The row itself ends the search, if none before it has the word. */
		for (;; first++) {
			other = word_below(first, prefix, &other_len);
			if (other && other_len == len && memcmp(other, word, len) == 0)
				break;
		}
		if (first == row)
			used += (size_t)snprintf(text + used, size - used, "%s%.*s",
						 used > 0 ? ", " : "", (int)len, word);
	}
}

static int walk_mapping(const struct config_walk *walk, struct table *table,
			const yaml_node_t *node, const char *prefix);

static int check_required(const struct config_walk *walk, const struct table *table,
			  const yaml_node_t *node)
{
	for (unsigned int i = 0; table->rows[i].key; i++) {
		const struct config_row *row = &table->rows[i];
		char allowed[CONFIG_ALLOWED_MAX];
		char key[CONFIG_KEY_MAX];

		if (!row->required || table->seen[i])
			continue;
		config_allowed(row, allowed, sizeof(allowed));
		(void)snprintf(key, sizeof(key), "%s%s", table->where, row->key);
		return config_refuse(walk, node, key, "missing", allowed);
	}
	return 0;
}

/* Element @i of a list: a string, or a mapping with a table of its own. */
static int take_element(const struct config_walk *walk, const yaml_node_t *node, const char *key,
			const struct config_row *row, uint8_t *dest)
{
	struct table table = { .rows = row->rows, .dest = dest };
	char where[CONFIG_KEY_MAX + 32];
	int ret;

	if (row->type == CONFIG_STRINGS) {
		if (node->type != YAML_SCALAR_NODE || is_null(node))
			return config_refuse(walk, node, key, "not a string", "a string");
		return config_take_string(walk, node, key, row, (char *)dest);
	}
	if (node->type != YAML_MAPPING_NODE)
		return config_refuse(walk, node, key, "not a mapping", "a mapping (key: value)");
	(void)snprintf(where, sizeof(where), "%s.", key);
	table.where = where;
	ret = walk_mapping(walk, &table, node, "");
	return ret < 0 ? ret : check_required(walk, &table, node);
}

static int take_list(const struct config_walk *walk, const yaml_node_t *node, const char *key,
		     const struct config_row *row, uint8_t *dest)
{
	char allowed[CONFIG_ALLOWED_MAX];
	unsigned int count;
	int64_t items;

	config_allowed(row, allowed, sizeof(allowed));
	if (node->type != YAML_SEQUENCE_NODE)
		return config_refuse(walk, node, key, "not a list", allowed);
	items = node->data.sequence.items.top - node->data.sequence.items.start;
	if (items < row->min)
		return config_refuse(walk, node, key, "too few elements", allowed);
	if (items > row->max)
		return config_refuse(walk, node, key, "too many elements", allowed);
	count = (unsigned int)items;
	for (unsigned int i = 0; i < count; i++) {
		char element[CONFIG_KEY_MAX + 16];
		int ret;

		(void)snprintf(element, sizeof(element), "%s[%u]", key, i);
		ret = take_element(walk, node_at(walk, node->data.sequence.items.start[i]), element,
				   row, dest ? dest + row->offset + i * row->size : NULL);
		if (ret < 0)
			return ret;
	}
	if (dest)
		memcpy(dest + row->count_offset, &count, sizeof(count));
	return 0;
}

static int take_value(const struct config_walk *walk, const yaml_node_t *node, const char *key,
		      const struct config_row *row, uint8_t *dest)
{
	char allowed[CONFIG_ALLOWED_MAX];

	config_allowed(row, allowed, sizeof(allowed));
	if (is_null(node))
		return config_refuse(walk, node, key, "has no value", allowed);
	if (row->type == CONFIG_LIST || row->type == CONFIG_STRINGS)
		return take_list(walk, node, key, row, dest);
	if (node->type != YAML_SCALAR_NODE)
		return config_refuse(walk, node, key, "not a single value", allowed);
	return config_take_scalar(walk, node, key, row, dest);
}

/* Whether the key of @pair stands in @node before it. Those before are all known and distinct. */
static bool is_duplicate(const struct config_walk *walk, const yaml_node_t *node,
			 const yaml_node_pair_t *pair, const char *word)
{
	for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < pair; p++) {
		if (strcmp((const char *)node_at(walk, p->key)->data.scalar.value, word) == 0)
			return true;
	}
	return false;
}

static int take_pair(const struct config_walk *walk, struct table *table, const yaml_node_t *node,
		     const yaml_node_pair_t *pair, const char *prefix)
{
	const yaml_node_t *key_node = node_at(walk, pair->key);
	const yaml_node_t *value = node_at(walk, pair->value);
	char path[CONFIG_KEY_MAX], key[CONFIG_KEY_MAX], text[CONFIG_ALLOWED_MAX];
	const char *word;

	if (key_node->type != YAML_SCALAR_NODE)
		return config_refuse(walk, key_node, table->where, "a key that is not a word",
				     NULL);
	word = (const char *)key_node->data.scalar.value;
	(void)snprintf(path, sizeof(path), "%s%s", prefix, word);
	(void)snprintf(key, sizeof(key), "%s%s", table->where, path);
	if (is_duplicate(walk, node, pair, word))
		return config_refuse(walk, key_node, key, "given twice", "once");

	/* "ring.chunks: 3" is no way to write a section. */
	if (word[0] != '\0' && strlen(word) == key_node->data.scalar.length && !strchr(word, '.')) {
		for (unsigned int i = 0; table->rows[i].key; i++) {
			if (strcmp(table->rows[i].key, path) != 0)
				continue;
			assert(i < CONFIG_ROWS_MAX);
			table->seen[i] = true;
			return take_value(walk, value, key, &table->rows[i], table->dest);
		}
		(void)snprintf(text, sizeof(text), "%s.", path);
		if (is_section(table->rows, path) && is_null(value))
			return 0;
		if (is_section(table->rows, path))
			return walk_mapping(walk, table, value, text);
	}
	list_keys(table->rows, prefix, text, sizeof(text));
	return config_refuse(walk, key_node, key, "unknown key", text);
}

static int walk_mapping(const struct config_walk *walk, struct table *table,
			const yaml_node_t *node, const char *prefix)
{
	char text[CONFIG_ALLOWED_MAX], key[CONFIG_KEY_MAX];

	if (node->type != YAML_MAPPING_NODE) {
		list_keys(table->rows, prefix, text, sizeof(text));
		(void)snprintf(key, sizeof(key), "%s%s", table->where, prefix);
		if (key[0] != '\0')
			key[strlen(key) - 1] = '\0';
		return config_refuse(walk, node, key[0] != '\0' ? key : "the file",
				     "not a mapping (key: value)", text);
	}
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		const int ret = take_pair(walk, table, node, pair, prefix);

		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Once to check and once to fill, so that a refused file leaves @dest as it was. */
static int walk_file(const struct config_walk *walk, const struct config_row *rows, void *dest)
{
	const yaml_node_t *root = yaml_document_get_root_node(walk->document);
	struct table check = { .rows = rows, .where = "" };
	struct table fill = { .rows = rows, .where = "", .dest = dest };
	int ret = 0;

	if (root && !is_null(root))
		ret = walk_mapping(walk, &check, root, "");
	if (ret == 0)
		ret = check_required(walk, &check, NULL);
	if (ret == 0 && root && !is_null(root)) {
		ret = walk_mapping(walk, &fill, root, "");
		assert(ret == 0);
	}
	return ret;
}

int config_parse(const char *name, const char *text, size_t len, const struct config_row *rows,
		 void *dest, struct sluice_error *reterr)
{
	yaml_document_t document;
	struct config_walk walk = { .name = name, .document = &document, .reterr = reterr };
	yaml_parser_t parser;
	int ret;

	/* A byte-order mark; libyaml drops it only where it may guess the encoding. */
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	ret = config_check_text(name, text, len, reterr);
	if (ret < 0)
		return ret;
	if (!yaml_parser_initialize(&parser))
		return error_set(reterr, -ENOMEM, "%s: no memory to read it", name);
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	/* The text has been checked: what is left to fail is memory. */
	if (!yaml_parser_load(&parser, &document)) {
		ret = error_set(reterr, -ENOMEM, "%s: no memory to read it", name);
		goto err_parser;
	}
	ret = walk_file(&walk, rows, dest);
	yaml_document_delete(&document);
err_parser:
	yaml_parser_delete(&parser);
	return ret;
}

/* Reads at most @size bytes; returns how many, or -errno. */
static ssize_t read_whole(int fd, char *buffer, size_t size)
{
	size_t used = 0;

	while (used < size) {
		const ssize_t n = read(fd, buffer + used, size - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return neg_errno();
		if (n == 0)
			break;
		used += (size_t)n;
	}
	return (ssize_t)used;
}

int config_load(const char *path, const struct config_row *rows, void *dest,
		struct sluice_error *reterr)
{
	/* One byte more, to tell a file that is full from one that is too large. */
	const size_t size = CONFIG_BYTES_MAX + 1;
	struct stat st;
	ssize_t len;
	char *text;
	int ret = 0;
	int fd;

	/* Not blocking: a pipe without a writer must be refused, not waited for. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		ret = neg_errno();
		return error_set(reterr, ret, "%s: cannot open: %s", path, error_name(ret));
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		ret = error_set(reterr, -EINVAL, "%s: not a file", path);
		goto err_fd;
	}
	text = malloc(size);
	if (!text) {
		ret = error_set(reterr, -ENOMEM, "%s: no memory to read it", path);
		goto err_fd;
	}
	len = read_whole(fd, text, size);
	if (len < 0)
		ret = error_set(reterr, (int)len, "%s: cannot read: %s", path,
				error_name((int)len));
	else
		ret = config_parse(path, text, (size_t)len, rows, dest, reterr);
	free(text);
err_fd:
	(void)close(fd);
	return ret;
}
