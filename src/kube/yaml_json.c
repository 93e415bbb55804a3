/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From libyaml's events to JSON, with a stack of our own: no recursion. Aliases are refused, so a small text cannot become a large value.
 */
#include "kube/yaml_json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kube/text.h"

struct level {
	json_t *value; /* borrowed: an object or array that its parent holds */
	char *key;     /* owned; object: the name that waits for its value */
};

struct builder {
	struct level levels[KUBE_DEPTH_MAX];
	size_t depth;
	json_t *root; /* owned */
	size_t line;  /* of the event at hand, from 1 */
	struct err *err;
};

static int bad(const struct builder *b, const char *why)
{
	return err_set(b->err, -EINVAL, "line %zu of the YAML: %s", b->line, why);
}

static json_t *plain_scalar(const char *text)
{
	static const char digits[] = "0123456789";
	const char *body = text[0] == '-' ? text + 1 : text;
	json_t *number;

	if (!text[0] || !strcmp(text, "~") || !strcmp(text, "null"))
		return json_null();
	if (!strcmp(text, "true") || !strcmp(text, "false"))
		return json_boolean(text[0] == 't');
	/* A number is what JSON takes for one: so 0123, .5 and 1e999 stay text. */
	if (body[0] && strchr(digits, body[0])) {
		number = json_loads(text, JSON_DECODE_ANY, NULL);
		if (json_is_number(number))
			return number;
		json_decref(number);
	}
	return json_string(text);
}

/* Takes value; it becomes the root, the next item, or the value of the key that waits. */
static int place(struct builder *b, json_t *value)
{
	struct level *top = b->depth ? &b->levels[b->depth - 1] : NULL;
	int rc;

	if (!value)
		return bad(b, "no memory, or text that is not UTF-8");
	if (!top) {
		b->root = value;
		return 0;
	}
	if (json_is_array(top->value))
		rc = json_array_append_new(top->value, value);
	else
		rc = json_object_set_new(top->value, top->key, value);
	free(top->key);
	top->key = NULL;
	return rc ? bad(b, "no memory") : 0;
}

/* Whether what comes now is a key. */
static bool wants_key(const struct builder *b)
{
	return b->depth && json_is_object(b->levels[b->depth - 1].value) &&
	       !b->levels[b->depth - 1].key;
}

static int take_scalar(struct builder *b, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

	if (strlen(text) != event->data.scalar.length)
		return bad(b, "a NUL within a text");
	if (event->data.scalar.tag)
		return bad(b, "tags are not supported");
	if (wants_key(b)) {
		struct level *top = &b->levels[b->depth - 1];

		if (json_object_get(top->value, text))
			return bad(b, "a key is there twice");
		top->key = strdup(text);
		return top->key ? 0 : bad(b, "no memory");
	}
	return place(b, plain ? plain_scalar(text) : json_string(text));
}

static int open_level(struct builder *b, json_t *value)
{
	int rc;

	if (wants_key(b) || b->depth == KUBE_DEPTH_MAX) {
		json_decref(value);
		return bad(b, wants_key(b) ? "a key must be a text" : "it is nested too deeply");
	}
	rc = place(b, value);
	if (!rc)
		b->levels[b->depth++] = (struct level){.value = value};
	return rc;
}

/* > 0: the first document is complete. */
static int take_event(struct builder *b, const yaml_event_t *event)
{
	b->line = event->start_mark.line + 1;
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return take_scalar(b, event);
	case YAML_SEQUENCE_START_EVENT:
		return open_level(b, json_array());
	case YAML_MAPPING_START_EVENT:
		return open_level(b, json_object());
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		b->depth--;
		return 0;
	case YAML_ALIAS_EVENT:
		return bad(b, "aliases are not supported");
	case YAML_DOCUMENT_END_EVENT:
	case YAML_STREAM_END_EVENT:
		return 1;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_START_EVENT:
		return 0;
	}
	return 0;
}

static int parse(struct builder *b, yaml_parser_t *parser)
{
	for (;;) {
		yaml_event_t event;
		int rc;

		if (!yaml_parser_parse(parser, &event)) {
			b->line = parser->problem_mark.line + 1;
			return bad(b, parser->problem ? parser->problem : "it is no YAML");
		}
		rc = take_event(b, &event);
		yaml_event_delete(&event);
		if (rc)
			return rc < 0 ? rc : 0;
	}
}

int kube_yaml_parse(const char *text, size_t len, json_t **ret, struct err *err)
{
	struct builder *b = calloc(1, sizeof(*b));
	yaml_parser_t parser;
	int rc;

	if (!b || !yaml_parser_initialize(&parser)) {
		free(b);
		return err_set(err, -ENOMEM, "no memory for a YAML parser");
	}
	b->err = err;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	rc = parse(b, &parser);
	yaml_parser_delete(&parser);
	for (size_t i = 0; i < b->depth; i++)
		free(b->levels[i].key);
	if (rc)
		json_decref(b->root);
	else
		*ret = b->root ? b->root : json_null();
	free(b);
	return rc;
}
