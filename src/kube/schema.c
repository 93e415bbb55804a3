/* SPDX-License-Identifier: Apache-2.0 */
/* Walks over schema tables: prune, default, check. */
#include "kube/schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/uuid.h"
#include "kube/text.h"

#define TEXT_MAX    1024
#define ITEMS_MAX   64
#define UNKNOWN_MAX 16

static const struct kube_prop *prop_find(const struct kube_prop *props, const char *name)
{
	for (; props->name; props++)
		if (!strcmp(props->name, name))
			return props;
	return NULL;
}

static void path_join(char *buf, const char *path, const char *name)
{
	(void)snprintf(buf, KUBE_PATH_MAX, "%s%s%s", path, path[0] ? "." : "", name);
}

static void prune_below(const struct kube_prop *props, json_t *obj, const char *path,
			json_t *unknown)
{
	const char *name;
	json_t *value;
	void *next;

	json_object_foreach_safe(obj, next, name, value)
	{
		const struct kube_prop *p = prop_find(props, name);
		char where[KUBE_PATH_MAX];

		path_join(where, path, name);
		if (!p || json_is_null(value)) {
			if (!p && unknown && json_array_size(unknown) < UNKNOWN_MAX)
				(void)json_array_append_new(unknown, json_string(where));
			(void)json_object_del(obj, name);
			continue;
		}
		if (p->type != KUBE_OBJECT)
			continue;
		if (!(p->flags & KUBE_LIST))
			prune_below(p->props, value, where, unknown);
		else
			for (size_t i = 0; i < json_array_size(value); i++)
				prune_below(p->props, json_array_get(value, i), where, unknown);
	}
}

void kube_schema_prune(const struct kube_prop *props, json_t *obj, json_t *unknown)
{
	prune_below(props, obj, "", unknown);
}

void kube_schema_default(const struct kube_prop *props, json_t *obj)
{
	if (!json_is_object(obj))
		return;
	for (; props->name; props++) {
		json_t *value = json_object_get(obj, props->name);

		if (!value && props->def) {
			value = json_loads(props->def, JSON_DECODE_ANY, NULL);
			(void)json_object_set_new(obj, props->name, value);
		}
		if (props->type != KUBE_OBJECT)
			continue;
		if (!(props->flags & KUBE_LIST))
			kube_schema_default(props->props, value);
		else
			for (size_t i = 0; i < json_array_size(value); i++)
				kube_schema_default(props->props, json_array_get(value, i));
	}
}

/* What is wrong with s, or NULL. */
static const char *format_wrong(enum kube_format format, const char *s)
{
	struct uuid uuid;

	switch (format) {
	case KUBE_FMT_NAME:
		return kube_name_valid(s)
			       ? NULL
			       : "must be the name of an object: lower case letters, digits, "
				 "'-' or '.', at most 253, a letter or digit at both ends";
	case KUBE_FMT_LABEL:
		return kube_label_valid(s)
			       ? NULL
			       : "must be lower case letters, digits or '-', at most 63, a "
				 "letter or digit at both ends";
	case KUBE_FMT_LABEL_VALUE:
		return kube_label_value_valid(s)
			       ? NULL
			       : "must be at most 63 letters, digits, '-', '_' or "
				 "'.', a letter or digit at both ends";
	case KUBE_FMT_NQN:
		return kube_nqn_valid(s) ? NULL
					 : "must be an NVMe qualified name such as "
					   "nqn.2014-08.org.nvmexpress:uuid:..., at most 223 bytes";
	case KUBE_FMT_UUID:
		return uuid_parse(s, &uuid) ? NULL
					    : "must be a UUID, 8-4-4-4-12 hexadecimal digits";
	case KUBE_FMT_QUALIFIED:
		return kube_qualified_valid(s)
			       ? NULL
			       : "must be [prefix/]name: letters, digits, '-', '_' or "
				 "'.', at most 63 after a DNS prefix";
	case KUBE_FMT_ADDRESS:
		for (; *s; s++)
			if ((unsigned char)*s <= ' ' || (unsigned char)*s >= 0x7f)
				return "must be printable ASCII without blanks";
		return NULL;
	case KUBE_FMT_LABELS:
	case KUBE_FMT_NONE:
		break;
	}
	return NULL;
}

static void values_join(const char *const *values, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = 0;
	for (size_t i = 0; values[i] && used < size; i++)
		used += (size_t)snprintf(buf + used, size - used, "%s\"%s\"", i ? ", " : "",
					 values[i]);
}

static void check_string(const struct kube_prop *p, const json_t *value, const char *path,
			 struct kube_problems *problems)
{
	const char *s = json_string_value(value), *wrong;
	size_t max = p->max ? (size_t)p->max : TEXT_MAX;
	char all[256];

	if (json_string_length(value) > max) {
		kube_problem(problems, KUBE_CAUSE_TOO_LONG, path, NULL,
			     "may not be more than %zu bytes", max);
		return;
	}
	if (p->values) {
		for (size_t i = 0; p->values[i]; i++)
			if (!strcmp(p->values[i], s))
				return;
		values_join(p->values, all, sizeof(all));
		kube_problem(problems, KUBE_CAUSE_NOT_SUPPORTED, path, value,
			     "supported values: %s", all);
		return;
	}
	if ((p->flags & KUBE_REQUIRED) && !s[0]) {
		kube_problem(problems, KUBE_CAUSE_REQUIRED, path, NULL, "must not be empty");
		return;
	}
	wrong = s[0] || (p->flags & KUBE_LIST) ? format_wrong(p->format, s) : NULL;
	if (wrong)
		kube_problem(problems, KUBE_CAUSE_INVALID, path, value, "%s", wrong);
}

static void check_range(const struct kube_prop *p, int64_t n, const json_t *value, const char *path,
			struct kube_problems *problems)
{
	if (p->max && (n < p->min || n > p->max))
		kube_problem(problems, KUBE_CAUSE_INVALID, path, value,
			     "must be between %" PRId64 " and %" PRId64, p->min, p->max);
}

static void check_map(const struct kube_prop *p, const json_t *value, const char *path,
		      struct kube_problems *problems)
{
	size_t max = p->items_max ? p->items_max : ITEMS_MAX;
	const char *name;
	json_t *v;

	if (json_object_size(value) > max)
		kube_problem(problems, KUBE_CAUSE_TOO_MANY, path, NULL,
			     "%zu: must have at most %zu items", json_object_size(value), max);
	json_object_foreach ((json_t *)(uintptr_t)value, name, v) {
		if (!json_is_string(v)) {
			kube_problem(problems, KUBE_CAUSE_TYPE, path, v,
				     "the value of \"%.64s\" must be a string", name);
			continue;
		}
		if (!kube_qualified_valid(name))
			kube_problem(problems, KUBE_CAUSE_INVALID, path, NULL, "\"%.80s\": %s",
				     name, format_wrong(KUBE_FMT_QUALIFIED, name));
		if (p->format == KUBE_FMT_LABELS && !kube_label_value_valid(json_string_value(v)))
			kube_problem(problems, KUBE_CAUSE_INVALID, path, v, "%s",
				     format_wrong(KUBE_FMT_LABEL_VALUE, json_string_value(v)));
	}
}

static bool type_fits(enum kube_type type, const json_t *value)
{
	switch (type) {
	case KUBE_STRING:
	case KUBE_TIME:
		return json_is_string(value);
	case KUBE_INT:
		return json_is_integer(value);
	case KUBE_BOOL:
		return json_is_boolean(value);
	case KUBE_SIZE:
		return json_is_integer(value) || json_is_string(value);
	case KUBE_OBJECT:
	case KUBE_MAP:
		return json_is_object(value);
	case KUBE_ANY:
		return true;
	}
	return false;
}

static const char *const type_names[] = {
	[KUBE_STRING] = "a string",
	[KUBE_INT] = "an integer",
	[KUBE_BOOL] = "a boolean",
	[KUBE_SIZE] = "an integer or a quantity",
	[KUBE_TIME] = "a string",
	[KUBE_OBJECT] = "an object",
	[KUBE_MAP] = "an object of strings",
	[KUBE_ANY] = "anything",
};

static void check_value(const struct kube_prop *p, const json_t *value, const char *path,
			struct kube_problems *problems)
{
	const char *why;
	uint64_t n;

	if (!type_fits(p->type, value)) {
		kube_problem(problems, KUBE_CAUSE_TYPE, path, value, "must be %s",
			     type_names[p->type]);
		return;
	}
	switch (p->type) {
	case KUBE_STRING:
		check_string(p, value, path, problems);
		break;
	case KUBE_INT:
		check_range(p, json_integer_value(value), value, path, problems);
		break;
	case KUBE_SIZE:
		if (!kube_size_parse(value, &n, &why))
			kube_problem(problems, KUBE_CAUSE_INVALID, path, value, "%s", why);
		else
			check_range(p, (int64_t)n, value, path, problems);
		break;
	case KUBE_TIME:
		if (!kube_time_parse(json_string_value(value), &n))
			kube_problem(problems, KUBE_CAUSE_INVALID, path, value,
				     "must be a time such as 2026-01-31T23:59:59Z");
		break;
	case KUBE_OBJECT:
		kube_schema_check(p->props, value, path, problems);
		break;
	case KUBE_MAP:
		check_map(p, value, path, problems);
		break;
	case KUBE_BOOL:
	case KUBE_ANY:
		break;
	}
}

static void check_list(const struct kube_prop *p, const json_t *value, const char *path,
		       struct kube_problems *problems)
{
	size_t n = json_array_size(value), max = p->items_max ? p->items_max : ITEMS_MAX;
	char item[KUBE_PATH_MAX];

	if (!json_is_array(value)) {
		kube_problem(problems, KUBE_CAUSE_TYPE, path, value, "must be an array");
		return;
	}
	if (n > max) {
		kube_problem(problems, KUBE_CAUSE_TOO_MANY, path, NULL,
			     "%zu: must have at most %zu items", n, max);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(item, sizeof(item), "%.230s[%zu]", path, i);
		check_value(p, json_array_get(value, i), item, problems);
	}
}

void kube_schema_check(const struct kube_prop *props, const json_t *obj, const char *path,
		       struct kube_problems *problems)
{
	char where[KUBE_PATH_MAX];

	for (; props->name; props++) {
		const json_t *value = json_object_get(obj, props->name);

		path_join(where, path, props->name);
		if (!value && (props->flags & KUBE_REQUIRED))
			kube_problem(problems, KUBE_CAUSE_REQUIRED, where, NULL, "%s",
				     props->doc ? props->doc : "");
		else if (value && (props->flags & KUBE_LIST))
			check_list(props, value, where, problems);
		else if (value)
			check_value(props, value, where, problems);
	}
}

static bool same_value(const struct kube_prop *p, const json_t *a, const json_t *b)
{
	uint64_t x, y;

	if (p->type == KUBE_SIZE && !(p->flags & KUBE_LIST) && a && b)
		return kube_size_parse(a, &x, NULL) && kube_size_parse(b, &y, NULL) && x == y;
	return json_equal(a, b);
}

static void check_grown(const json_t *before, const json_t *value, const char *path,
			struct kube_problems *problems)
{
	uint64_t a, b;

	if (!value)
		kube_problem(problems, KUBE_CAUSE_FORBIDDEN, path, NULL,
			     "cannot be removed once it is set");
	else if (kube_size_parse(before, &a, NULL) && kube_size_parse(value, &b, NULL) && b < a)
		kube_problem(problems, KUBE_CAUSE_FORBIDDEN, path, NULL,
			     "may not become smaller (%" PRIu64 " to %" PRIu64 " bytes)", a, b);
}

void kube_schema_check_update(const struct kube_prop *props, const json_t *old, const json_t *obj,
			      const char *path, struct kube_problems *problems)
{
	char where[KUBE_PATH_MAX];

	for (; props->name; props++) {
		const json_t *before = json_object_get(old, props->name);
		const json_t *value = json_object_get(obj, props->name);

		if (!before)
			continue;
		path_join(where, path, props->name);
		if ((props->flags & KUBE_IMMUTABLE) && !same_value(props, before, value))
			kube_problem(problems, KUBE_CAUSE_INVALID, where, value,
				     "field is immutable");
		else if (props->flags & KUBE_GROWS)
			check_grown(before, value, where, problems);
		else if (props->type == KUBE_OBJECT && !(props->flags & KUBE_LIST))
			kube_schema_check_update(props->props, before, value, where, problems);
	}
}
