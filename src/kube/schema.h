/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Schemas as tables: which members an object has, of which type, which are required, fixed or defaulted. One table serves
 * checking, the OpenAPI document and Kubernetes' CustomResourceDefinitions.
 *
 * 1. The order is prune, default, check; for an update also check_update. Each may be given any JSON.
 * 2. Depth of recursion is that of the tables, not of the input.
 */
#ifndef LITEPOOL_KUBE_SCHEMA_H
#define LITEPOOL_KUBE_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "kube/status.h"

#define KUBE_PATH_MAX 256

enum kube_type {
	KUBE_STRING,
	KUBE_INT,
	KUBE_BOOL,
	KUBE_SIZE,   /* bytes: an integer or a quantity such as "10Gi" */
	KUBE_TIME,   /* RFC 3339 */
	KUBE_OBJECT, /* with props */
	KUBE_MAP,    /* names to strings */
	KUBE_ANY,    /* kept as it is */
};

enum kube_format {
	KUBE_FMT_NONE,
	KUBE_FMT_NAME,  /* DNS-1123 subdomain: an object's name */
	KUBE_FMT_LABEL, /* DNS-1123 label */
	KUBE_FMT_LABEL_VALUE,
	KUBE_FMT_NQN,
	KUBE_FMT_UUID,
	KUBE_FMT_ADDRESS, /* printable, no blanks: an IP address, a host name, a stable device name */
	KUBE_FMT_LABELS,    /* KUBE_MAP: keys are qualified names, values label values */
	KUBE_FMT_QUALIFIED, /* [prefix/]name */
};

enum {
	KUBE_REQUIRED = 1 << 0,
	KUBE_IMMUTABLE = 1 << 1, /* cannot change once it is set */
	KUBE_LIST = 1 << 2,      /* an array of the type */
	KUBE_GROWS = 1 << 3,     /* KUBE_SIZE: an update may not make it smaller */
};

struct kube_prop {
	const char *name; /* NULL ends a table */
	enum kube_type type;
	unsigned flags;
	const struct kube_prop *props; /* KUBE_OBJECT */
	const char *const *values;     /* KUBE_STRING: all that are allowed, NULL ends */
	enum kube_format format;
	int64_t min,
		max; /* KUBE_INT, KUBE_SIZE: range when max is not 0; KUBE_STRING: longest, in bytes (0: 1024) */
	uint32_t items_max; /* of a list or map; 0: 64 */
	const char *def;    /* JSON text */
	const char *doc;
};

/* Removes members that the table does not know, and nulls. Their paths go into unknown (an array, may be NULL; at most 16). */
void kube_schema_prune(const struct kube_prop *props, json_t *obj, json_t *unknown);
void kube_schema_default(const struct kube_prop *props, json_t *obj);
/* path is in front of each field's name ("" or "spec"). */
void kube_schema_check(const struct kube_prop *props, const json_t *obj, const char *path,
		       struct kube_problems *problems);
/* Both were found good by kube_schema_check(). old may be NULL: then there is nothing to keep. */
void kube_schema_check_update(const struct kube_prop *props, const json_t *old, const json_t *obj,
			      const char *path, struct kube_problems *problems);
/* Adds a rule in CEL to a schema, as CustomResourceDefinitions have them. */
void kube_schema_rule(json_t *schema, const char *rule, const char *message);
/* field: what the answer names, ".spec.size" below schema; NULL: schema's own place. */
void kube_schema_rule_on(json_t *schema, const char *rule, const char *message, const char *field);
/* The OpenAPI v3 schema of an object of these members, with limits, patterns and, for what they cannot say, rules in CEL. New reference. */
json_t *kube_schema_openapi(const struct kube_prop *props, const char *doc);

#endif
