/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of objects that LitePool uses, in one table (kinds.c): names, schema, printed columns, what field selectors may name.
 * The embedded server serves what is in it; clients find there how to spell a path.
 */
#ifndef LITEPOOL_KUBE_RESOURCE_H
#define LITEPOOL_KUBE_RESOURCE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kube/schema.h"

#define KUBE_GROUP   "litepool.io"
#define KUBE_VERSION "v1alpha1"
/* Namespaces of Leases: the controllers' own, and one Lease a node, of its name. Apart, so that no node's name can be a leader's. */
#define KUBE_NS_SYSTEM "litepool-system"
#define KUBE_NS_NODES  "litepool-node-lease"

struct kube_column {
	const char *name, *type; /* type: string, integer, date */
	const char *path;        /* as kube_at() takes it; an array is joined with commas */
	int priority;            /* > 0: only in wide output */
	const char
		*condition; /* path is "status.conditions": the status of this type of condition */
	bool list; /* path is an array: kube-apiserver, which would print JSON, prints its first */
};

/* A rule over more than one member as kube-apiserver checks it: CEL, with self the object at path, oldSelf before an update. */
struct kube_rule {
	const char *path; /* "spec.source", "": the whole object; NULL ends a table */
	const char *rule, *message;
	const char *field; /* ".spec.size", below path: what the answer names; NULL: path itself */
};

struct kube_resource {
	const char *group, *version, *plural, *singular, *kind;
	const char *short_name; /* or NULL */
	bool namespaced;
	bool custom; /* like a CustomResourceDefinition: generation, /status, update needs a resourceVersion */
	uint32_t ttl_s;                /* objects untouched for so long are removed; 0: never */
	const struct kube_prop *props; /* all members but apiVersion, kind, metadata */
	const struct kube_column *columns;
	size_t n_columns;
	const char *const *
		fields; /* paths for field selectors beyond metadata.name and metadata.namespace; NULL ends */
	const struct kube_rule *rules; /* the same as check() below, for kube-apiserver */
	/* Rules over more than one member, for an object that passed its schema; old is NULL at create. */
	void (*check)(const json_t *old, const json_t *obj, struct kube_problems *problems);
};

/* NULL after the last. */
const struct kube_resource *kube_resource_at(size_t i);
/* NULL when there is none. */
const struct kube_resource *kube_resource_find(const char *group, const char *version,
					       const char *plural);
const struct kube_resource *kube_resource_by_kind(const char *kind);
/* "v1" or "group/version" into buf; returns buf. */
const char *kube_api_version(const struct kube_resource *res, char *buf, size_t size);

#endif
