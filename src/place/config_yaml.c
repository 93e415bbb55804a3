/* SPDX-License-Identifier: Apache-2.0 */
/* YAML by tables; see config_yaml.h. */
#include "place/config_yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/log.h"
#include "base/str.h"

#define SHOWN_MAX 64
#define PATH_LEN  128

struct place_yaml {
	const char *name;
	yaml_document_t doc;
	struct err *err;
};

static const char *scalar(const yaml_node_t *node)
{
	return (const char *)node->data.scalar.value;
}

__attribute__((format(printf, 4, 5))) static int
wrong(const struct place_yaml *y, const yaml_node_t *at, const char *path, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(y->err, -EINVAL, "%s:%zu: %s%s%s", y->name, at->start_mark.line + 1, path,
		       path[0] ? ": " : "", text);
}

static int want_scalar(const struct place_yaml *y, const yaml_node_t *node, const char *path,
		       const char *what)
{
	if (node->type != YAML_SCALAR_NODE)
		return wrong(y, node, path, "expected %s, got a %s", what,
			     node->type == YAML_MAPPING_NODE ? "mapping" : "list");
	if (strlen(scalar(node)) != node->data.scalar.length)
		return wrong(y, node, path, "a NUL byte cannot be in it");
	return 0;
}

static int take_scalar(const struct place_yaml *y, const struct yaml_field *field,
		       const yaml_node_t *node, const char *path, char *out)
{
	char shown[SHOWN_MAX];
	uint64_t number;
	int res = want_scalar(y, node, path, "one value");

	if (res < 0)
		return res;
	(void)log_quote(scalar(node), shown, sizeof(shown));
	switch (field->kind) {
	case YAML_U32:
		if (!str_to_u64(scalar(node), field->min, field->max, &number))
			return wrong(y, node, path, "expected a number from %u to %u, got %s",
				     field->min, field->max, shown);
		*(uint32_t *)(void *)out = (uint32_t)number;
		return 0;
	case YAML_BOOL:
		if (strcmp(scalar(node), "true") != 0 && strcmp(scalar(node), "false") != 0)
			return wrong(y, node, path, "expected true or false, got %s", shown);
		*(bool *)out = scalar(node)[0] == 't';
		return 0;
	case YAML_CHOICE:
		if (strcmp(scalar(node), field->choices[0]) != 0 &&
		    strcmp(scalar(node), field->choices[1]) != 0)
			return wrong(y, node, path, "expected %s or %s, got %s", field->choices[0],
				     field->choices[1], shown);
		*(bool *)out = strcmp(scalar(node), field->choices[1]) == 0;
		return 0;
	case YAML_TEXT:
		if (node->data.scalar.length < field->min || node->data.scalar.length > field->max)
			return wrong(y, node, path, "expected %u to %u bytes of text, got %zu",
				     field->min, field->max, node->data.scalar.length);
		*(char **)(void *)out = strdup(scalar(node));
		return *(char **)(void *)out ? 0 : err_set(y->err, -ENOMEM, "out of memory");
	case YAML_MAP:
	case YAML_LIST:
	default:
		return wrong(y, node, path, "is no plain value");
	}
}

static int take_map(struct place_yaml *y, const struct yaml_field *table, const yaml_node_t *node,
		    const char *path, char *out);

static int take_list(struct place_yaml *y, const struct yaml_field *field, const yaml_node_t *node,
		     const char *path, char *out, uint32_t *count)
{
	char element_path[PATH_LEN];

	if (node->type == YAML_SCALAR_NODE && !node->data.scalar.length)
		return 0; /* "plugins:" with nothing behind it */
	if (node->type != YAML_SEQUENCE_NODE)
		return wrong(y, node, path, "expected a list");
	for (const yaml_node_item_t *item = node->data.sequence.items.start;
	     item < node->data.sequence.items.top; item++) {
		yaml_node_t *at = yaml_document_get_node(&y->doc, *item);
		char *element = out + *count * field->size;
		int res;

		if (*count == field->max)
			return wrong(y, at, path, "at most %u elements", field->max);
		(void)snprintf(element_path, sizeof(element_path), "%.100s[%u]", path, *count);
		memset(element, 0, field->size);
		field->preset(element);
		(*count)++; /* what it owns is found by it, whatever comes */
		res = take_map(y, field->table, at, element_path, element);
		if (res < 0)
			return res;
	}
	return 0;
}

static int take(struct place_yaml *y, const struct yaml_field *field, const yaml_node_t *node,
		const char *path, char *out)
{
	switch (field->kind) {
	case YAML_MAP:
		return take_map(y, field->table, node, path, out + field->offset);
	case YAML_LIST:
		return take_list(y, field, node, path, out + field->offset,
				 (uint32_t *)(void *)(out + field->count_offset));
	case YAML_U32:
	case YAML_BOOL:
	case YAML_TEXT:
	case YAML_CHOICE:
	default:
		return take_scalar(y, field, node, path, out + field->offset);
	}
}

static const struct yaml_field *field_find(const struct yaml_field *table, const char *name)
{
	for (; table->name; table++)
		if (strcmp(table->name, name) == 0)
			return table;
	return NULL;
}

static int take_pair(struct place_yaml *y, const struct yaml_field *table,
		     const yaml_node_pair_t *pair, const char *path, char *out, uint64_t *seen)
{
	const yaml_node_t *key = yaml_document_get_node(&y->doc, pair->key);
	const yaml_node_t *value = yaml_document_get_node(&y->doc, pair->value);
	const struct yaml_field *field;
	char shown[SHOWN_MAX], member[PATH_LEN];
	uint64_t bit;
	int res = want_scalar(y, key, path, "a member's name");

	if (res < 0)
		return res;
	field = field_find(table, scalar(key));
	if (!field)
		return wrong(y, key, path, "there is no member %s",
			     log_quote(scalar(key), shown, sizeof(shown)));
	(void)snprintf(member, sizeof(member), "%s%s%s", path, path[0] ? "." : "", field->name);
	bit = (uint64_t)1 << (field - table);
	if (*seen & bit)
		return wrong(y, key, member, "is given twice");
	*seen |= bit;
	return take(y, field, value, member, out);
}

static int take_map(struct place_yaml *y, const struct yaml_field *table, const yaml_node_t *node,
		    const char *path, char *out)
{
	bool empty = node->type == YAML_SCALAR_NODE && !node->data.scalar.length;
	uint64_t seen = 0;

	if (!empty && node->type != YAML_MAPPING_NODE)
		return wrong(y, node, path, "expected a mapping (name: value)");
	for (const yaml_node_pair_t *pair = empty ? NULL : node->data.mapping.pairs.start;
	     pair && pair < node->data.mapping.pairs.top; pair++) {
		int res = take_pair(y, table, pair, path, out, &seen);

		if (res < 0)
			return res;
	}
	for (const struct yaml_field *f = table; f->name; f++)
		if (f->required && !(seen >> (f - table) & 1))
			return wrong(y, node, path, "%s is missing", f->name);
	return 0;
}

static int syntax_error(const char *name, const yaml_parser_t *parser, struct err *err)
{
	const char *what = parser->problem ? parser->problem : "no valid YAML";

	if (parser->error == YAML_MEMORY_ERROR)
		return err_set(err, -ENOMEM, "out of memory");
	return err_set(err, -EINVAL, "%s:%zu: %s", name, parser->problem_mark.line + 1, what);
}

int yaml_decode(const char *name, const char *text, size_t len, const struct yaml_field *table,
		void *out, struct err *err)
{
	struct place_yaml y = {.name = name, .err = err};
	const yaml_node_t *root;
	yaml_parser_t parser;
	int res = 0;

	if (!yaml_parser_initialize(&parser))
		return err_set(err, -ENOMEM, "out of memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (!yaml_parser_load(&parser, &y.doc)) {
		res = syntax_error(name, &parser, err);
		yaml_parser_delete(&parser);
		return res;
	}
	root = yaml_document_get_root_node(&y.doc);
	if (root)
		res = take_map(&y, table, root, "", out);
	yaml_document_delete(&y.doc);
	if (res == 0 && root) {
		/* A second document would be ignored in silence. */
		if (!yaml_parser_load(&parser, &y.doc)) {
			res = syntax_error(name, &parser, err);
		} else {
			root = yaml_document_get_root_node(&y.doc);
			if (root)
				res = wrong(&y, root, "", "a second document; one is expected");
			yaml_document_delete(&y.doc);
		}
	}
	yaml_parser_delete(&parser);
	return res;
}
