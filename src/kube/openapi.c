/* SPDX-License-Identifier: Apache-2.0 */
/* A schema table as OpenAPI v3. */
#include <string.h>

#include "kube/schema.h"

static json_t *type_schema(const struct kube_prop *p)
{
	switch (p->type) {
	case KUBE_STRING:
		return json_pack("{s:s}", "type", "string");
	case KUBE_TIME:
		return json_pack("{s:s, s:s}", "type", "string", "format", "date-time");
	case KUBE_INT:
		return json_pack("{s:s, s:s}", "type", "integer", "format", "int64");
	case KUBE_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case KUBE_SIZE:
		return json_pack("{s:b, s:[{s:s}, {s:s}]}", "x-kubernetes-int-or-string", 1,
				 "anyOf", "type", "integer", "type", "string");
	case KUBE_OBJECT:
		return kube_schema_openapi(p->props, NULL);
	case KUBE_MAP:
		return json_pack("{s:s, s:{s:s}}", "type", "object", "additionalProperties", "type",
				 "string");
	case KUBE_ANY:
		return json_pack("{s:b}", "x-kubernetes-preserve-unknown-fields", 1);
	}
	return NULL;
}

static json_t *prop_schema(const struct kube_prop *p)
{
	json_t *schema = type_schema(p);

	if (p->values) {
		json_t *values = json_array();

		for (size_t i = 0; p->values[i]; i++)
			(void)json_array_append_new(values, json_string(p->values[i]));
		(void)json_object_set_new(schema, "enum", values);
	}
	if (p->type == KUBE_INT && p->max) {
		(void)json_object_set_new(schema, "minimum", json_integer(p->min));
		(void)json_object_set_new(schema, "maximum", json_integer(p->max));
	}
	if (p->flags & KUBE_LIST)
		schema = json_pack("{s:s, s:o}", "type", "array", "items", schema);
	if (p->def)
		(void)json_object_set_new(schema, "default",
					  json_loads(p->def, JSON_DECODE_ANY, NULL));
	if (p->doc)
		(void)json_object_set_new(schema, "description", json_string(p->doc));
	return schema;
}

json_t *kube_schema_openapi(const struct kube_prop *props, const char *doc)
{
	json_t *all = json_object(), *required = json_array(), *schema;

	for (; props->name; props++) {
		(void)json_object_set_new(all, props->name, prop_schema(props));
		if (props->flags & KUBE_REQUIRED)
			(void)json_array_append_new(required, json_string(props->name));
	}
	schema = json_pack("{s:s, s:o}", "type", "object", "properties", all);
	if (json_array_size(required))
		(void)json_object_set(schema, "required", required);
	json_decref(required);
	if (doc)
		(void)json_object_set_new(schema, "description", json_string(doc));
	return schema;
}
