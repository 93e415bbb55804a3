/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON decoder. All members are checked before the first is stored, so that out is either
 * filled whole or untouched. An optional member that is JSON null counts as absent. jansson's
 * integers are signed 64-bit, so that JSON_KIND_U64 ends at 2^63 - 1.
 */
#include "base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/log.h"

#define SHOWN_MAX 64 /* bytes of a foreign value in an error */

static const char *kind_name(enum json_kind kind)
{
	switch (kind) {
	case JSON_KIND_STRING:
		return "a string";
	case JSON_KIND_U64:
	case JSON_KIND_U32:
	case JSON_KIND_I64:
		return "an integer";
	case JSON_KIND_BOOL:
		return "true or false";
	case JSON_KIND_DOUBLE:
		return "a number";
	case JSON_KIND_OBJECT:
		return "an object";
	case JSON_KIND_ARRAY:
		return "an array";
	case JSON_KIND_ANY:
		return "a value";
	}
	UNREACHABLE();
}

/* A value as an error shows it; returns buf. */
static const char *show(const json_t *v, char buf[SHOWN_MAX])
{
	_cleanup_free_ char *text = NULL;

	if (json_is_object(v))
		return "an object";
	if (json_is_array(v))
		return "an array";
	if (json_is_string(v))
		return log_quote(json_string_value(v), buf, SHOWN_MAX);
	text = json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(10));
	return text ? log_quote(text, buf, SHOWN_MAX) : "a value";
}

static bool kind_matches(enum json_kind kind, const json_t *v)
{
	switch (kind) {
	case JSON_KIND_STRING:
		return json_is_string(v);
	case JSON_KIND_U64:
	case JSON_KIND_U32:
	case JSON_KIND_I64:
		return json_is_integer(v);
	case JSON_KIND_BOOL:
		return json_is_boolean(v);
	case JSON_KIND_DOUBLE:
		return json_is_number(v);
	case JSON_KIND_OBJECT:
		return json_is_object(v);
	case JSON_KIND_ARRAY:
		return json_is_array(v);
	case JSON_KIND_ANY:
		return true;
	}
	UNREACHABLE();
}

/* The limits of an integer member; those of the table never exceed the type's. */
static void limits(const struct json_field *f, int64_t *ret_min, int64_t *ret_max)
{
	*ret_min = f->kind == JSON_KIND_I64 ? INT64_MIN : 0;
	*ret_max = f->kind == JSON_KIND_U32 ? UINT32_MAX : INT64_MAX;
	if (f->max) {
		*ret_min = (int64_t)f->min;
		*ret_max = (int64_t)MIN(f->max, (uint64_t)*ret_max);
	}
}

static int check_value(const struct json_field *f, const json_t *v, struct err *err)
{
	char shown[SHOWN_MAX];
	int64_t min, max;

	if (!kind_matches(f->kind, v))
		return err_set(err, -EINVAL, "%s: expected %s, got %s", f->name, kind_name(f->kind),
			       show(v, shown));
	if (f->kind == JSON_KIND_STRING && strlen(json_string_value(v)) != json_string_length(v))
		return err_set(err, -EINVAL, "%s: a string may not contain \\u0000", f->name);
	if (!json_is_integer(v) || f->kind == JSON_KIND_DOUBLE || f->kind == JSON_KIND_ANY)
		return 0;
	limits(f, &min, &max);
	if (json_integer_value(v) < min || json_integer_value(v) > max)
		return err_set(err, -EINVAL,
			       "%s: expected an integer from %" PRId64 " to %" PRId64 ", got %s",
			       f->name, min, max, show(v, shown));
	return 0;
}

static void store(const struct json_field *f, json_t *v, void *out)
{
	void *to = (char *)out + f->offset;

	switch (f->kind) {
	case JSON_KIND_STRING:
		*(const char **)to = json_string_value(v);
		return;
	case JSON_KIND_U64:
		*(uint64_t *)to = (uint64_t)json_integer_value(v);
		return;
	case JSON_KIND_U32:
		*(uint32_t *)to = (uint32_t)json_integer_value(v);
		return;
	case JSON_KIND_I64:
		*(int64_t *)to = json_integer_value(v);
		return;
	case JSON_KIND_BOOL:
		*(bool *)to = json_boolean_value(v);
		return;
	case JSON_KIND_DOUBLE:
		*(double *)to = json_number_value(v);
		return;
	case JSON_KIND_OBJECT:
	case JSON_KIND_ARRAY:
	case JSON_KIND_ANY:
		*(json_t **)to = v;
		return;
	}
	UNREACHABLE();
}

/* The member, or NULL when it is absent or may count as such. */
static json_t *member(const json_t *params, const struct json_field *f)
{
	json_t *v = json_object_get(params, f->name);

	return json_is_null(v) && !f->required && f->kind != JSON_KIND_ANY ? NULL : v;
}

static int check_known(const json_t *params, const struct json_field *fields, size_t n_fields,
		       struct err *err)
{
	char shown[SHOWN_MAX], known[256] = "";
	size_t len = 0;

	for (void *it = json_object_iter((json_t *)(uintptr_t)params); it;
	     it = json_object_iter_next((json_t *)(uintptr_t)params, it)) {
		const char *key = json_object_iter_key(it);
		size_t i = 0;

		while (i < n_fields && strcmp(fields[i].name, key) != 0)
			i++;
		if (i < n_fields)
			continue;
		for (i = 0; i < n_fields && len < sizeof(known); i++)
			len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s",
						i ? ", " : "", fields[i].name);
		return err_set(err, -EINVAL, "unknown member %s; known are: %s",
			       log_quote(key, shown, sizeof(shown)), n_fields ? known : "none");
	}
	return 0;
}

int json_decode(const json_t *params, const struct json_field *fields, size_t n_fields, void *out,
		struct err *err)
{
	char shown[SHOWN_MAX];
	json_t *v;
	int rc;

	if (params && !json_is_null(params) && !json_is_object(params))
		return err_set(err, -EINVAL, "expected an object with named members, got %s",
			       show(params, shown));
	rc = check_known(params, fields, n_fields, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < n_fields; i++) {
		v = member(params, &fields[i]);
		if (!v && fields[i].required)
			return err_set(err, -EINVAL, "%s is required (%s)", fields[i].name,
				       kind_name(fields[i].kind));
		rc = v ? check_value(&fields[i], v, err) : 0;
		if (rc)
			return rc;
	}
	for (size_t i = 0; i < n_fields; i++) {
		v = member(params, &fields[i]);
		if (v)
			store(&fields[i], v, out);
	}
	return 0;
}

char *json_text(const json_t *json)
{
	return json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
}
