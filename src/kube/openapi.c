/* SPDX-License-Identifier: Apache-2.0 */
/* A schema table as OpenAPI v3. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kube/schema.h"
#include "kube/text.h"

#define SUBDOMAIN "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
#define WORD      "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
#define HEX       "[0-9a-fA-F]"
#define TEXT_MAX  1024 /* as in schema.c */
#define ITEMS_MAX 64

static const char *pattern_of(enum kube_format format)
{
	switch (format) {
	case KUBE_FMT_NAME:
		return "^" SUBDOMAIN "$";
	case KUBE_FMT_LABEL:
		return "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
	case KUBE_FMT_LABELS:
	case KUBE_FMT_LABEL_VALUE:
		return "^(" WORD ")?$";
	case KUBE_FMT_NQN:
		return "^nqn\\.[0-9]{4}-[0-9]{2}\\.[!-~]+$";
	case KUBE_FMT_UUID:
		return "^" HEX "{8}-" HEX "{4}-" HEX "{4}-" HEX "{4}-" HEX "{12}$";
	case KUBE_FMT_QUALIFIED:
		return "^(" SUBDOMAIN "/)?" WORD "$";
	case KUBE_FMT_ADDRESS:
		return "^[!-~]*$";
	case KUBE_FMT_NONE:
		break;
	}
	return NULL;
}

void kube_schema_rule_on(json_t *schema, const char *rule, const char *message, const char *field)
{
	json_t *rules = json_object_get(schema, "x-kubernetes-validations");

	if (!rules) {
		rules = json_array();
		(void)json_object_set_new(schema, "x-kubernetes-validations", rules);
	}
	(void)json_array_append_new(rules, json_pack("{s:s, s:s, s:s*}", "rule", rule, "message",
						     message, "fieldPath", field));
}

void kube_schema_rule(json_t *schema, const char *rule, const char *message)
{
	kube_schema_rule_on(schema, rule, message, NULL);
}

static void size_rules(const struct kube_prop *p, json_t *schema)
{
	char rule[256], message[128];

	kube_schema_rule(schema, "isQuantity(string(self)) && quantity(string(self)).isInteger()",
			 "must be a whole number of bytes such as 1073741824 or 1Gi");
	(void)snprintf(rule, sizeof(rule),
		       "isQuantity(string(self)) && "
		       "quantity(string(self)).compareTo(quantity('%" PRId64 "')) >= 0",
		       p->min);
	(void)snprintf(message, sizeof(message), "must be at least %" PRId64 " bytes", p->min);
	kube_schema_rule(schema, rule, message);
	if (p->flags & KUBE_GROWS)
		kube_schema_rule(schema,
				 "isQuantity(string(self)) && "
				 "quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",
				 "may not become smaller");
}

/* What a value's schema says beyond its type. */
static void limits(const struct kube_prop *p, json_t *schema)
{
	const char *pattern = pattern_of(p->format);

	if (p->type == KUBE_STRING && !p->values) {
		(void)json_object_set_new(schema, "maxLength",
					  json_integer(p->format == KUBE_FMT_LABEL_VALUE ||
								       p->format == KUBE_FMT_LABEL
							       ? KUBE_LABEL_MAX
						       : p->max ? p->max
								: TEXT_MAX));
		if (pattern)
			(void)json_object_set_new(schema, "pattern", json_string(pattern));
	}
	if (p->type == KUBE_MAP) {
		json_t *value = json_object_get(schema, "additionalProperties");

		(void)json_object_set_new(schema, "maxProperties",
					  json_integer(p->items_max ? p->items_max : ITEMS_MAX));
		if (pattern) {
			(void)json_object_set_new(value, "pattern", json_string(pattern));
			(void)json_object_set_new(value, "maxLength", json_integer(KUBE_LABEL_MAX));
		}
	}
	if (p->type == KUBE_SIZE)
		size_rules(p, schema);
}

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

	limits(p, schema);
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
		schema = json_pack("{s:s, s:o, s:I}", "type", "array", "items", schema, "maxItems",
				   (json_int_t)(p->items_max ? p->items_max : ITEMS_MAX));
	if (p->flags & KUBE_IMMUTABLE)
		kube_schema_rule(schema, "self == oldSelf", "cannot be changed once it is set");
	if (p->def)
		(void)json_object_set_new(schema, "default",
					  json_loads(p->def, JSON_DECODE_ANY, NULL));
	if (p->doc)
		(void)json_object_set_new(schema, "description", json_string(p->doc));
	return schema;
}

/* A rule of a member is not asked when the member goes: that is for the object around it. */
static void kept_rules(const struct kube_prop *props, json_t *schema)
{
	for (; props->name; props++) {
		char rule[160], message[96];

		if (!(props->flags & KUBE_IMMUTABLE) || props->flags & KUBE_REQUIRED)
			continue;
		(void)snprintf(rule, sizeof(rule), "!has(oldSelf.%s) || has(self.%s)", props->name,
			       props->name);
		(void)snprintf(message, sizeof(message), "%s cannot be removed once it is set",
			       props->name);
		kube_schema_rule(schema, rule, message);
	}
}

json_t *kube_schema_openapi(const struct kube_prop *props, const char *doc)
{
	const struct kube_prop *first = props;
	json_t *all = json_object(), *required = json_array(), *schema;

	for (; props->name; props++) {
		(void)json_object_set_new(all, props->name, prop_schema(props));
		if (props->flags & KUBE_REQUIRED)
			(void)json_array_append_new(required, json_string(props->name));
	}
	schema = json_pack("{s:s, s:o}", "type", "object", "properties", all);
	kept_rules(first, schema);
	if (json_array_size(required))
		(void)json_object_set(schema, "required", required);
	json_decref(required);
	if (doc)
		(void)json_object_set_new(schema, "description", json_string(doc));
	return schema;
}
