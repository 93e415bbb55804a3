/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk with a stack of its own. Strings that could be read as something else are written as JSON strings, which are YAML, too.
 */
#include "kube/yaml_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kube/text.h"

struct walk {
	json_t *value; /* object or array */
	void *iter;    /* object: the next member */
	size_t index;  /* array: the next item */
};

/* Letters first, nothing that YAML gives a meaning, and none of the words that some parsers take for booleans. */
static bool is_plain(const char *s)
{
	static const char *const words[] = {"true", "false", "null", "yes", "no",
					    "on",   "off",   "y",    "n"};
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char more[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";

	if (!s[0] || !strchr(letters, s[0]) || s[strspn(s, more)])
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcasecmp(s, words[i]))
			return false;
	return true;
}

static void put_scalar(FILE *out, const json_t *value)
{
	const char *s = json_string_value(value);
	char *text;

	if (s && is_plain(s)) {
		(void)fputs(s, out);
		return;
	}
	/* Also the empty array and object. */
	text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	(void)fputs(text ? text : "null", out);
	free(text);
}

static void indent(FILE *out, size_t depth)
{
	for (size_t i = 0; i < depth; i++)
		(void)fputs("  ", out);
}

static bool has_members(const json_t *value)
{
	return json_object_size(value) || json_array_size(value);
}

/* The next child, its key (NULL in an array), or NULL at the end. */
static json_t *next_child(struct walk *w, const char **ret_key)
{
	json_t *child;

	*ret_key = NULL;
	if (json_is_array(w->value))
		return json_array_get(w->value, w->index++);
	if (!w->iter)
		return NULL;
	*ret_key = json_object_iter_key(w->iter);
	child = json_object_iter_value(w->iter);
	w->iter = json_object_iter_next(w->value, w->iter);
	return child;
}

static void put_key(FILE *out, const char *key)
{
	json_t *name;

	if (is_plain(key)) {
		(void)fprintf(out, "%s:", key);
		return;
	}
	name = json_string(key);
	put_scalar(out, name);
	(void)fputc(':', out);
	json_decref(name);
}

/* False: too deep. at_line: what is written next stands behind "- " already. */
static bool walk(FILE *out, const json_t *json)
{
	struct walk levels[KUBE_DEPTH_MAX];
	json_t *top = (json_t *)(uintptr_t)json;
	size_t depth = 1;
	bool behind_dash = false;

	levels[0] = (struct walk){top, json_object_iter(top), 0};
	while (depth) {
		const char *key;
		json_t *child = next_child(&levels[depth - 1], &key);

		if (!child) {
			depth--;
			continue;
		}
		if (!behind_dash)
			indent(out, depth - 1);
		behind_dash = false;
		if (key)
			put_key(out, key);
		else
			(void)fputs("- ", out);
		if (!has_members(child)) {
			if (key)
				(void)fputc(' ', out);
			put_scalar(out, child);
			(void)fputc('\n', out);
			continue;
		}
		if (depth == KUBE_DEPTH_MAX)
			return false;
		behind_dash = !key;
		if (key)
			(void)fputc('\n', out);
		levels[depth++] = (struct walk){child, json_object_iter(child), 0};
	}
	return true;
}

char *kube_yaml_text(const json_t *json)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	bool good = true;

	if (!out)
		return NULL;
	if (has_members(json)) {
		good = walk(out, json);
	} else {
		put_scalar(out, json);
		(void)fputc('\n', out);
	}
	if (fclose(out) || !good) {
		free(text);
		return NULL;
	}
	return text;
}
