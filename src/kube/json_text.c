/* SPDX-License-Identifier: Apache-2.0 */
/* JSON from outside. Depth is counted in the text first, because the parser and all walkers after it use the stack. */
#include <string.h>

#include "kube/text.h"

/* Deepest nesting of brackets outside strings; the text need not be JSON. */
static unsigned text_depth(const char *text, size_t len)
{
	unsigned depth = 0, most = 0;
	bool in_string = false;

	for (size_t i = 0; i < len; i++) {
		if (in_string) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				in_string = false;
		} else if (text[i] == '"') {
			in_string = true;
		} else if (text[i] == '[' || text[i] == '{') {
			most = ++depth > most ? depth : most;
		} else if ((text[i] == ']' || text[i] == '}') && depth) {
			depth--;
		}
	}
	return most;
}

int kube_json_parse(const char *text, size_t len, json_t **ret, struct kube_fail *fail)
{
	return kube_json_parse_up_to(text, len, KUBE_BODY_MAX, ret, fail);
}

int kube_json_parse_up_to(const char *text, size_t len, size_t max, json_t **ret,
			  struct kube_fail *fail)
{
	json_error_t error;
	json_t *json;

	if (len > max)
		return kube_fail_set(fail, KUBE_TOO_LARGE,
				     "Request entity too large: limit is %zu bytes, not %zu", max,
				     len);
	if (text_depth(text, len) > KUBE_DEPTH_MAX)
		return kube_fail_set(fail, KUBE_BAD_REQUEST,
				     "the body is nested more than %d levels deep", KUBE_DEPTH_MAX);
	json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		return kube_fail_set(fail, KUBE_BAD_REQUEST,
				     "the body is not JSON: line %d, column %d: %s", error.line,
				     error.column, error.text);
	*ret = json;
	return 0;
}

static unsigned depth_below(const json_t *value, unsigned level)
{
	unsigned most = level;

	if (level > KUBE_DEPTH_MAX)
		return level;
	if (json_is_object(value)) {
		const char *name;
		json_t *v;

		json_object_foreach ((json_t *)(uintptr_t)value, name, v) {
			unsigned d = depth_below(v, level + 1);

			most = d > most ? d : most;
		}
		return most > level ? most : level + 1;
	}
	if (!json_is_array(value))
		return level;
	for (size_t i = 0; i < json_array_size(value); i++) {
		unsigned d = depth_below(json_array_get(value, i), level + 1);

		most = d > most ? d : most;
	}
	return most > level ? most : level + 1;
}

unsigned kube_json_depth(const json_t *value)
{
	return depth_below(value, 0);
}
