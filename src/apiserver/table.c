/* SPDX-License-Identifier: Apache-2.0 */
/* meta.k8s.io/v1 Table and PartialObjectMetadata: what `kubectl get` prints. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "apiserver/call.h"
#include "base/bytes.h"

static json_t *column_of(const char *name, const char *type, const char *format, int priority)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:i}", "name", name, "type", type, "format", format,
			 "description", "", "priority", priority);
}

static json_t *columns_of(const struct kube_resource *res)
{
	json_t *list = json_array();

	(void)json_array_append_new(list, column_of("Name", "string", "name", 0));
	for (size_t i = 0; i < res->n_columns; i++)
		(void)json_array_append_new(list, column_of(res->columns[i].name,
							    !strcmp(res->columns[i].type, "date")
								    ? "string"
								    : res->columns[i].type,
							    "", res->columns[i].priority));
	(void)json_array_append_new(list, column_of("Age", "string", "", 0));
	return list;
}

/* How long ago, as kubectl writes it: "5s", "3m", "7h", "12d". */
static json_t *age_of(const json_t *time, uint64_t now)
{
	uint64_t then, s;
	const char *text = json_string_value(time);

	if (!text || !kube_time_parse(text, &then))
		return json_string("<unknown>");
	s = now > then ? (now - then) / NSEC_PER_SEC : 0;
	if (s < 120)
		return json_sprintf("%" PRIu64 "s", s);
	if (s < 7200)
		return json_sprintf("%" PRIu64 "m", s / 60);
	if (s < (uint64_t)2 * 86400)
		return json_sprintf("%" PRIu64 "h", s / 3600);
	return json_sprintf("%" PRIu64 "d", s / 86400);
}

static const json_t *condition_status(const json_t *list, const char *type)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!strcmp(kube_str(json_array_get(list, i), "type"), type))
			return json_object_get(json_array_get(list, i), "status");
	return NULL;
}

static json_t *join(const json_t *list)
{
	char text[512] = "";
	size_t used = 0;

	for (size_t i = 0; i < json_array_size(list) && used < sizeof(text); i++) {
		const char *s = json_string_value(json_array_get(list, i));

		if (s && used + strlen(s) + 2 < sizeof(text))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
						 used ? "," : "", s);
	}
	return json_string(text);
}

static json_t *cell_of(const struct kube_column *column, const json_t *obj, uint64_t now)
{
	const json_t *value = kube_at(obj, column->path);

	if (column->condition)
		value = condition_status(value, column->condition);
	if (!strcmp(column->type, "date"))
		return age_of(value, now);
	if (json_is_array(value))
		return join(value);
	if (json_is_boolean(value))
		return json_string(json_is_true(value) ? "true" : "false");
	if (json_is_integer(value) && !strcmp(column->type, "string"))
		return json_sprintf("%lld", (long long)json_integer_value(value));
	return value ? json_deep_copy(value) : json_string("");
}

json_t *partial_of(const json_t *obj)
{
	return json_pack("{s:s, s:s, s:O*}", "kind", "PartialObjectMetadata", "apiVersion",
			 "meta.k8s.io/v1", "metadata", json_object_get(obj, "metadata"));
}

static json_t *row_of(const struct call_view *view, const json_t *obj, uint64_t now)
{
	const struct kube_resource *res = view->res;
	json_t *cells = json_array(), *row;

	(void)json_array_append_new(cells, json_string(kube_name(obj)));
	for (size_t i = 0; i < res->n_columns; i++)
		(void)json_array_append_new(cells, cell_of(&res->columns[i], obj, now));
	(void)json_array_append_new(cells, age_of(kube_at(obj, "metadata.creationTimestamp"), now));
	row = json_pack("{s:o}", "cells", cells);
	if (view->include == INCLUDE_METADATA)
		(void)json_object_set_new(row, "object", partial_of(obj));
	else if (view->include == INCLUDE_OBJECT)
		(void)json_object_set(row, "object", (json_t *)(uintptr_t)obj);
	else
		(void)json_object_set_new(row, "object", json_null());
	return row;
}

json_t *table_of(const struct call_view *view, const json_t *items, bool with_columns)
{
	uint64_t now = view->api->config.wall_ns();
	json_t *rows = json_array();

	for (size_t i = 0; i < json_array_size(items); i++)
		(void)json_array_append_new(rows, row_of(view, json_array_get(items, i), now));
	return json_pack("{s:s, s:s, s:{}, s:o, s:o}", "kind", "Table", "apiVersion",
			 "meta.k8s.io/v1", "metadata", "columnDefinitions",
			 with_columns ? columns_of(view->res) : json_null(), "rows", rows);
}
