/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk with a stack of its own. Strings that could be read as something else are double-quoted (YAML 1.2 section 7.3.1): JSON's strings
 * would not do, for YAML takes some characters that JSON leaves as they are for line breaks or for no text at all.
 */
#include "kube/yaml_text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kube/text.h"

/* Bytes of a key that stay below 1024 characters however they are written: \uXXXX is six for at least one. */
#define KEY_PLAIN_MAX 128

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

/* The character at *s, which is valid UTF-8 as every string of jansson's; *s moves behind it. */
static uint32_t next_char(const char **s)
{
	const unsigned char *at = (const unsigned char *)*s;
	unsigned more = at[0] < 0x80 ? 0 : at[0] < 0xe0 ? 1 : at[0] < 0xf0 ? 2 : 3;
	uint32_t c = more ? at[0] & (0x3fU >> more) : at[0];

	for (unsigned i = 1; i <= more; i++)
		c = c << 6 | (at[i] & 0x3f);
	*s += more + 1;
	return c;
}

/* Stands for itself between quotes: printable (section 5.1) and neither a break, which YAML 1.1 has more of, nor a byte order mark. */
static bool is_itself(uint32_t c)
{
	if (c < 0xa1)
		return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
	return c != 0x2028 && c != 0x2029 && c != 0xfeff && c != 0xfffe && c != 0xffff;
}

static void put_quoted(FILE *out, const char *s)
{
	(void)fputc('"', out);
	while (*s) {
		const char *from = s;
		uint32_t c = next_char(&s);

		if (is_itself(c))
			(void)fwrite(from, 1, (size_t)(s - from), out);
		else if (c == '"' || c == '\\')
			(void)fprintf(out, "\\%c", (char)c);
		else if (c == '\n' || c == '\t')
			(void)fputs(c == '\n' ? "\\n" : "\\t", out);
		else
			(void)fprintf(out, "\\u%04" PRIx32, c);
	}
	(void)fputc('"', out);
}

static void put_string(FILE *out, const char *s)
{
	if (is_plain(s))
		(void)fputs(s, out);
	else
		put_quoted(out, s);
}

static void put_scalar(FILE *out, const json_t *value)
{
	char *text;

	if (json_is_string(value)) {
		put_string(out, json_string_value(value));
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

/* A parser may look for the colon of a key no further than 1024 characters (section 7.4.2): behind a longer one it is on a line of its own. */
static void put_key(FILE *out, const char *key, size_t depth)
{
	bool is_long = strlen(key) > KEY_PLAIN_MAX;

	if (is_long)
		(void)fputs("? ", out);
	put_string(out, key);
	if (is_long) {
		(void)fputc('\n', out);
		indent(out, depth);
	}
	(void)fputc(':', out);
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
			put_key(out, key, depth - 1);
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
