/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to hold for an object before it is stored, and what happens to it on the way out.
 *
 * 1. Nothing is stored that its schema refuses; members that no schema knows are never stored.
 * 2. An object whose owners are not there is noted for collection in the same transaction.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "apiserver/call.h"

static const struct kube_prop envelope[] = {
	{"metadata", KUBE_OBJECT, .props = kube_meta_props},
	{NULL},
};

/* apiVersion and kind may be left out, but not be something else. */
static int check_type(struct call *call, const json_t *obj)
{
	const json_t *version = json_object_get(obj, "apiVersion");
	const json_t *kind = json_object_get(obj, "kind");
	char expected[128];

	(void)kube_api_version(call->res, expected, sizeof(expected));
	if (version && strcmp(kube_str(obj, "apiVersion"), expected) != 0)
		return kube_fail_set(
			&call->fail, KUBE_BAD_REQUEST,
			"the API version in the data (%.80s) does not match the expected "
			"API version (%s)",
			kube_str(obj, "apiVersion"), expected);
	if (kind && strcmp(kube_str(obj, "kind"), call->res->kind) != 0)
		return kube_fail_set(
			&call->fail, KUBE_BAD_REQUEST,
			"the kind in the data (%.80s) does not match the expected kind (%s)",
			kube_str(obj, "kind"), call->res->kind);
	return 0;
}

/* Strict: refuse; Warn (the default): a Warning header; Ignore. */
static int tell_unknown(struct call *call, const json_t *unknown)
{
	const char *mode = call_param(call, "fieldValidation");
	size_t used = 0, n = json_array_size(unknown);
	char all[800] = "";

	if (mode && mode[0] && strcmp(mode, "Strict") != 0 && strcmp(mode, "Warn") != 0 &&
	    strcmp(mode, "Ignore") != 0)
		return kube_fail_set(&call->fail, KUBE_BAD_REQUEST,
				     "fieldValidation must be Strict, Warn or Ignore");
	if (!n || (mode && !strcmp(mode, "Ignore")))
		return 0;
	for (size_t i = 0; i < n && used + 120 < sizeof(all); i++)
		used += (size_t)snprintf(all + used, sizeof(all) - used,
					 "%sunknown field \"%.80s\"", i ? ", " : "",
					 json_string_value(json_array_get(unknown, i)));
	if (mode && !strcmp(mode, "Strict"))
		return kube_fail_set(&call->fail, KUBE_BAD_REQUEST, "strict decoding error: %s",
				     all);
	(void)snprintf(call->rsp->warning, sizeof(call->rsp->warning), "%s", all);
	return 0;
}

int object_normalise(struct call *call, json_t **obj)
{
	_cleanup_json_ json_t *unknown = json_array();
	_cleanup_json_ json_t *outer = NULL;
	json_t *made;
	char version[128];
	int rc;

	if (!json_is_object(*obj))
		return kube_fail_set(&call->fail, KUBE_BAD_REQUEST,
				     "the body must be a JSON object of kind %s", call->res->kind);
	rc = check_type(call, *obj);
	if (rc)
		return rc;
	if (!kube_meta(*obj))
		return kube_fail_set(&call->fail, KUBE_BAD_REQUEST, "metadata must be an object");
	outer = json_pack("{s:O}", "metadata", json_object_get(*obj, "metadata"));
	kube_schema_prune(envelope, outer, unknown);
	(void)json_object_del(*obj, "metadata");
	(void)json_object_del(*obj, "apiVersion");
	(void)json_object_del(*obj, "kind");
	kube_schema_prune(call->res->props, *obj, unknown);
	made = json_pack("{s:s, s:s, s:O}", "apiVersion",
			 kube_api_version(call->res, version, sizeof(version)), "kind",
			 call->res->kind, "metadata", json_object_get(outer, "metadata"));
	(void)json_object_update(made, *obj);
	(void)json_object_del(json_object_get(made, "metadata"), "managedFields");
	(void)json_object_del(json_object_get(made, "metadata"), "selfLink");
	json_decref(*obj);
	*obj = made;
	return tell_unknown(call, unknown);
}

int object_check(struct call *call, const json_t *old, json_t *obj)
{
	struct kube_problems problems = {NULL};
	const struct kube_resource *res = call->res;

	kube_schema_default(res->props, obj);
	kube_meta_check(res, old, obj, &problems);
	kube_schema_check(res->props, obj, "", &problems);
	if (!kube_problems_any(&problems))
		kube_schema_check_update(res->props, old, obj, "", &problems);
	if (!kube_problems_any(&problems) && res->check)
		res->check(old, obj, &problems);
	if (!kube_problems_any(&problems))
		return 0;
	return kube_fail_invalid(&call->fail, res, kube_name(obj), &problems);
}

static int note_missing_owners(struct api *api, const json_t *obj)
{
	const json_t *list = kube_at(obj, "metadata.ownerReferences");
	int rc = 0;

	for (size_t i = 0; i < json_array_size(list) && !rc; i++) {
		const char *uid = kube_str(json_array_get(list, i), "uid");

		if (!store_has_uid(api->store, uid))
			rc = store_gc_add(api->store, uid, STORE_GC_GONE);
	}
	return rc;
}

int object_store(struct api *api, const struct store_key *key, const json_t *old, json_t *obj)
{
	int rc = store_put(api->store, key, old, obj);

	return rc ? rc : note_missing_owners(api, obj);
}

bool object_same_spec(const json_t *a, const json_t *b)
{
	_cleanup_json_ json_t *x = json_copy((json_t *)(uintptr_t)a);
	_cleanup_json_ json_t *y = json_copy((json_t *)(uintptr_t)b);

	(void)json_object_del(x, "metadata");
	(void)json_object_del(y, "metadata");
	(void)json_object_del(x, "status");
	(void)json_object_del(y, "status");
	return json_equal(x, y);
}

static bool has_dependents(struct api *api, const json_t *obj)
{
	const struct kube_resource *res;
	_cleanup_json_ json_t *one = NULL;

	return store_dependent(api->store, kube_uid(obj), 0, &one, &res) == 0;
}

/* Every reference to the owner is taken away at once, in this transaction. */
static int orphan_dependents(struct api *api, const json_t *owner)
{
	for (;;) {
		_cleanup_json_ json_t *old = NULL;
		_cleanup_json_ json_t *obj = NULL;
		const struct kube_resource *res;
		struct store_key key;
		size_t left;
		int rc = store_dependent(api->store, kube_uid(owner), 0, &old, &res);

		if (rc)
			return rc == -ENOENT ? 0 : rc;
		obj = json_deep_copy(old);
		(void)kube_owner_remove(obj, kube_uid(owner), &left);
		key = (struct store_key){res, kube_namespace(obj), kube_name(obj)};
		rc = store_put(api->store, &key, old, obj);
		if (rc)
			return rc;
	}
}

static int mark_deleting(struct api *api, const struct store_key *key, json_t *obj, bool foreground)
{
	_cleanup_json_ json_t *old = json_deep_copy(obj);
	json_t *meta = kube_meta(obj);
	bool had = foreground && kube_finalizer_has(obj, "foregroundDeletion");
	char now[KUBE_TIME_SIZE];
	json_int_t generation = json_integer_value(json_object_get(meta, "generation"));

	if (kube_deleting(obj) && (!foreground || had))
		return 0;
	if (foreground)
		kube_finalizer_add(obj, "foregroundDeletion");
	if (!kube_deleting(obj)) {
		(void)kube_time_format(api->config.wall_ns(), false, now, sizeof(now));
		(void)json_object_set_new(meta, "deletionTimestamp", json_string(now));
		(void)json_object_set_new(meta, "deletionGracePeriodSeconds", json_integer(0));
		if (key->res->custom)
			(void)json_object_set_new(meta, "generation", json_integer(generation + 1));
	}
	return store_put(api->store, key, old, obj);
}

int object_delete(struct api *api, const struct store_key *key, json_t *obj, enum gc_policy policy,
		  bool *ret_gone)
{
	bool dependents = has_dependents(api, obj);
	bool foreground = policy == GC_FOREGROUND && dependents;
	int rc = 0;

	*ret_gone = false;
	if (policy == GC_ORPHAN && dependents)
		rc = orphan_dependents(api, obj);
	if (!rc && foreground)
		rc = store_gc_add(api->store, kube_uid(obj), STORE_GC_FOREGROUND);
	if (rc)
		return rc;
	if (foreground || kube_finalizer_count(obj))
		return mark_deleting(api, key, obj, foreground);
	*ret_gone = true;
	return object_remove(api, key, obj);
}

int object_remove(struct api *api, const struct store_key *key, json_t *obj)
{
	bool dependents = has_dependents(api, obj);
	int rc = store_remove(api->store, key, obj);

	if (!rc && dependents)
		rc = store_gc_add(api->store, kube_uid(obj), STORE_GC_GONE);
	return rc;
}
