/* SPDX-License-Identifier: Apache-2.0 */
/* Object metadata. */
#include "kube/meta.h"

#include <string.h>

#include "base/str.h"
#include "kube/text.h"

#define ANNOTATIONS_MAX ((size_t)256 * 1024) /* bytes of all keys and values, as in Kubernetes */

static const struct kube_prop owner_props[] = {
	{"apiVersion", KUBE_STRING, KUBE_REQUIRED, .format = KUBE_FMT_ADDRESS, .max = 317},
	{"kind", KUBE_STRING, KUBE_REQUIRED, .format = KUBE_FMT_ADDRESS, .max = 63},
	{"name", KUBE_STRING, KUBE_REQUIRED, .format = KUBE_FMT_ADDRESS, .max = KUBE_NAME_MAX},
	{"uid", KUBE_STRING, KUBE_REQUIRED, .format = KUBE_FMT_ADDRESS, .max = 64},
	{"controller", KUBE_BOOL},
	{"blockOwnerDeletion", KUBE_BOOL},
	{NULL},
};

/* managedFields and selfLink are known so that they are dropped without a warning: clients send back what other servers gave. */
const struct kube_prop kube_meta_props[] = {
	{"name", KUBE_STRING, .format = KUBE_FMT_NAME, .max = KUBE_NAME_MAX},
	{"generateName", KUBE_STRING, .max = KUBE_NAME_MAX},
	{"namespace", KUBE_STRING, .format = KUBE_FMT_LABEL, .max = KUBE_LABEL_MAX},
	{"uid", KUBE_STRING, .max = 64},
	{"resourceVersion", KUBE_STRING, .max = 32},
	{"generation", KUBE_INT},
	{"creationTimestamp", KUBE_TIME},
	{"deletionTimestamp", KUBE_TIME},
	{"deletionGracePeriodSeconds", KUBE_INT},
	{"labels", KUBE_MAP, .format = KUBE_FMT_LABELS, .items_max = 256},
	{"annotations", KUBE_MAP, .items_max = 1024},
	{"ownerReferences", KUBE_OBJECT, KUBE_LIST, .props = owner_props},
	{"finalizers", KUBE_STRING, KUBE_LIST, .format = KUBE_FMT_QUALIFIED, .max = 317},
	{"managedFields", KUBE_ANY},
	{"selfLink", KUBE_ANY},
	{NULL},
};

json_t *kube_meta(json_t *obj)
{
	json_t *meta = json_object_get(obj, "metadata");

	if (meta && !json_is_null(meta))
		return json_is_object(meta) ? meta : NULL;
	if (json_object_set_new(obj, "metadata", json_object()))
		return NULL;
	return json_object_get(obj, "metadata");
}

const char *kube_name(const json_t *obj)
{
	return kube_str(obj, "metadata.name");
}

const char *kube_namespace(const json_t *obj)
{
	return kube_str(obj, "metadata.namespace");
}

const char *kube_uid(const json_t *obj)
{
	return kube_str(obj, "metadata.uid");
}

uint64_t kube_resource_version(const json_t *obj)
{
	uint64_t version;

	if (!str_to_u64(kube_str(obj, "metadata.resourceVersion"), 1, INT64_MAX, &version))
		return 0;
	return version;
}

void kube_resource_version_set(json_t *obj, uint64_t version)
{
	(void)json_object_set_new(kube_meta(obj), "resourceVersion",
				  json_sprintf("%llu", (unsigned long long)version));
}

bool kube_deleting(const json_t *obj)
{
	return kube_at(obj, "metadata.deletionTimestamp") != NULL;
}

bool kube_carried_out(const json_t *obj)
{
	const json_t *seen = json_object_get(json_object_get(obj, "status"), "observedGeneration");

	return json_integer_value(seen) >=
	       json_integer_value(json_object_get(json_object_get(obj, "metadata"), "generation"));
}

size_t kube_finalizer_count(const json_t *obj)
{
	return json_array_size(kube_at(obj, "metadata.finalizers"));
}

static size_t finalizer_index(const json_t *obj, const char *name)
{
	const json_t *list = kube_at(obj, "metadata.finalizers");
	size_t i, n = json_array_size(list);

	for (i = 0; i < n; i++) {
		const char *s = json_string_value(json_array_get(list, i));

		if (s && !strcmp(s, name))
			break;
	}
	return i;
}

bool kube_finalizer_has(const json_t *obj, const char *name)
{
	return finalizer_index(obj, name) < kube_finalizer_count(obj);
}

void kube_finalizer_add(json_t *obj, const char *name)
{
	json_t *meta = kube_meta(obj);

	if (kube_finalizer_has(obj, name))
		return;
	if (!json_is_array(json_object_get(meta, "finalizers")))
		(void)json_object_set_new(meta, "finalizers", json_array());
	(void)json_array_append_new(json_object_get(meta, "finalizers"), json_string(name));
}

void kube_finalizer_remove(json_t *obj, const char *name)
{
	json_t *list = kube_at(obj, "metadata.finalizers");

	(void)json_array_remove(list, finalizer_index(obj, name));
	if (list && !json_array_size(list))
		(void)json_object_del(kube_meta(obj), "finalizers");
}

size_t kube_owner_remove(json_t *obj, const char *uid, size_t *ret_left)
{
	json_t *list = kube_at(obj, "metadata.ownerReferences");
	size_t removed = 0;

	for (size_t i = json_array_size(list); i-- > 0;) {
		if (strcmp(kube_str(json_array_get(list, i), "uid"), uid) != 0)
			continue;
		(void)json_array_remove(list, i);
		removed++;
	}
	*ret_left = json_array_size(list);
	if (list && !*ret_left)
		(void)json_object_del(kube_meta(obj), "ownerReferences");
	return removed;
}

static void check_annotations(const json_t *obj, struct kube_problems *problems)
{
	json_t *map = kube_at(obj, "metadata.annotations"), *value;
	const char *name;
	size_t total = 0;

	json_object_foreach (map, name, value)
		total += strlen(name) + json_string_length(value);
	if (total > ANNOTATIONS_MAX)
		kube_problem(problems, KUBE_CAUSE_TOO_LONG, "metadata.annotations", NULL,
			     "may not be more than %zu bytes", ANNOTATIONS_MAX);
}

static void check_owners(const json_t *obj, struct kube_problems *problems)
{
	const json_t *list = kube_at(obj, "metadata.ownerReferences");
	size_t controllers = 0;

	for (size_t i = 0; i < json_array_size(list); i++)
		controllers += json_is_true(json_object_get(json_array_get(list, i), "controller"));
	if (controllers > 1)
		kube_problem(problems, KUBE_CAUSE_INVALID, "metadata.ownerReferences", NULL,
			     "only one reference can have controller set to true");
}

static void check_finalizers(const json_t *old, const json_t *obj, struct kube_problems *problems)
{
	const json_t *list = kube_at(obj, "metadata.finalizers");

	if (!old || !kube_deleting(old))
		return;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));

		if (name && !kube_finalizer_has(old, name))
			kube_problem(problems, KUBE_CAUSE_FORBIDDEN, "metadata.finalizers", NULL,
				     "no new finalizers can be added if the object is being "
				     "deleted, found new finalizer \"%s\"",
				     name);
	}
}

void kube_meta_check(const struct kube_resource *res, const json_t *old, const json_t *obj,
		     struct kube_problems *problems)
{
	const json_t *meta = json_object_get(obj, "metadata");

	kube_schema_check(kube_meta_props, meta, "metadata", problems);
	if (!kube_name(obj)[0])
		kube_problem(problems, KUBE_CAUSE_REQUIRED, "metadata.name", NULL,
			     "name or generateName is required");
	if (res->namespaced && !kube_namespace(obj)[0])
		kube_problem(problems, KUBE_CAUSE_REQUIRED, "metadata.namespace", NULL, "%s", "");
	check_annotations(obj, problems);
	check_owners(obj, problems);
	check_finalizers(old, obj, problems);
}
