/* SPDX-License-Identifier: Apache-2.0 */
/* apiextensions.k8s.io/v1: names, schema with rules, printed columns, fields for selectors. */
#include "kube/crd.h"

#include <stdio.h>
#include <string.h>

static json_t *column(const struct kube_column *c)
{
	char path[256];
	json_t *json;

	if (c->condition)
		(void)snprintf(path, sizeof(path), ".%s[?(@.type==\"%s\")].status", c->path,
			       c->condition);
	else
		(void)snprintf(path, sizeof(path), ".%s%s", c->path, c->list ? "[0]" : "");
	json = json_pack("{s:s, s:s, s:s}", "name", c->name, "type", c->type, "jsonPath", path);
	if (c->priority)
		(void)json_object_set_new(json, "priority", json_integer(c->priority));
	return json;
}

static json_t *columns(const struct kube_resource *res)
{
	json_t *array = json_array();

	for (size_t i = 0; i < res->n_columns; i++)
		(void)json_array_append_new(array, column(&res->columns[i]));
	(void)json_array_append_new(array,
				    json_pack("{s:s, s:s, s:s}", "name", "Age", "type", "date",
					      "jsonPath", ".metadata.creationTimestamp"));
	return array;
}

static json_t *selectable(const struct kube_resource *res)
{
	json_t *array = json_array();
	char path[128];

	for (const char *const *f = res->fields; f && *f; f++) {
		(void)snprintf(path, sizeof(path), ".%s", *f);
		(void)json_array_append_new(array, json_pack("{s:s}", "jsonPath", path));
	}
	return array;
}

/* The schema of the member at "a.b". Borrowed. */
static json_t *schema_at(json_t *schema, const char *path)
{
	char name[64];

	while (schema && *path) {
		size_t len = strcspn(path, ".");

		(void)snprintf(name, sizeof(name), "%.*s", (int)len, path);
		schema = json_object_get(json_object_get(schema, "properties"), name);
		path += path[len] ? len + 1 : len;
	}
	return schema;
}

static json_t *schema_of(const struct kube_resource *res)
{
	json_t *schema = kube_schema_openapi(res->props, NULL), *all;

	for (const struct kube_rule *r = res->rules; r && r->path; r++)
		kube_schema_rule_on(schema_at(schema, r->path), r->rule, r->message, r->field);
	all = json_object_get(schema, "properties");
	(void)json_object_set_new(all, "apiVersion", json_pack("{s:s}", "type", "string"));
	(void)json_object_set_new(all, "kind", json_pack("{s:s}", "type", "string"));
	(void)json_object_set_new(all, "metadata", json_pack("{s:s}", "type", "object"));
	return schema;
}

static json_t *version_of(const struct kube_resource *res)
{
	json_t *version =
		json_pack("{s:s, s:b, s:b, s:{s:{}}, s:o, s:{s:o}}", "name", res->version, "served",
			  1, "storage", 1, "subresources", "status", "additionalPrinterColumns",
			  columns(res), "schema", "openAPIV3Schema", schema_of(res));
	json_t *fields = selectable(res);

	if (json_array_size(fields))
		(void)json_object_set(version, "selectableFields", fields);
	json_decref(fields);
	return version;
}

json_t *kube_crd(const struct kube_resource *res)
{
	char name[128], list[80];
	json_t *names;

	(void)snprintf(name, sizeof(name), "%s.%s", res->plural, res->group);
	(void)snprintf(list, sizeof(list), "%sList", res->kind);
	names = json_pack("{s:s, s:s, s:s, s:s, s:[s]}", "kind", res->kind, "listKind", list,
			  "plural", res->plural, "singular", res->singular, "categories",
			  "litepool");
	if (res->short_name)
		(void)json_object_set_new(names, "shortNames", json_pack("[s]", res->short_name));
	return json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:s, s:o, s:[o]}}", "apiVersion",
			 "apiextensions.k8s.io/v1", "kind", "CustomResourceDefinition", "metadata",
			 "name", name, "spec", "group", res->group, "scope",
			 res->namespaced ? "Namespaced" : "Cluster", "names", names, "versions",
			 version_of(res));
}
