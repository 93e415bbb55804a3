/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens later: dependents of owners that went away, objects that expired, history that nobody can need. Each step is a change of
 * its own, so that nothing waits long and a crash loses nothing: what is to do is in the store.
 */
#include <errno.h>
#include <string.h>

#include "apiserver/call.h"

#define STEPS_MAX     128 /* in one call */
#define DEPENDENT_MAX 100000

enum step { STEP_NOTHING, STEP_DONE, STEP_FAILED };

static bool live_owner_left(struct api *api, const json_t *obj)
{
	const json_t *list = kube_at(obj, "metadata.ownerReferences");

	for (size_t i = 0; i < json_array_size(list); i++)
		if (store_has_uid(api->store, kube_str(json_array_get(list, i), "uid")))
			return true;
	return false;
}

/* The first dependent that is not yet being deleted. *ret_blocking: one that blocks the owner's end is there, deleted or not. */
static int next_dependent(struct api *api, const char *owner, json_t **ret,
			  const struct kube_resource **ret_res, bool *ret_blocking)
{
	*ret_blocking = false;
	for (unsigned i = 0; i < DEPENDENT_MAX; i++) {
		json_t *obj = NULL;
		const json_t *refs;
		int rc = store_dependent(api->store, owner, i, &obj, ret_res);

		if (rc)
			return rc;
		refs = kube_at(obj, "metadata.ownerReferences");
		for (size_t k = 0; k < json_array_size(refs); k++) {
			const json_t *ref = json_array_get(refs, k);

			*ret_blocking |= !strcmp(kube_str(ref, "uid"), owner) &&
					 json_is_true(json_object_get(ref, "blockOwnerDeletion"));
		}
		if (!kube_deleting(obj)) {
			*ret = obj;
			return 0;
		}
		json_decref(obj);
	}
	return -ENOENT;
}

/* A dependent loses its dead owner: it goes, unless another owner lives. */
static int collect_one(struct api *api, const char *owner, json_t *obj,
		       const struct kube_resource *res, enum gc_policy policy)
{
	_cleanup_json_ json_t *old = json_deep_copy(obj);
	struct store_key key = {res, kube_namespace(old), kube_name(old)};
	size_t left;
	bool gone;

	(void)kube_owner_remove(obj, owner, &left);
	if (left && live_owner_left(api, obj))
		return store_put(api->store, &key, old, obj);
	return object_delete(api, &key, old, policy, &gone);
}

/* No dependent blocks the owner any more: it may end. */
static int release_owner(struct api *api, const char *uid)
{
	_cleanup_json_ json_t *old = NULL;
	_cleanup_json_ json_t *obj = NULL;
	const struct kube_resource *res;
	struct store_key key;
	int rc = store_get_uid(api->store, uid, &old, &res);

	if (rc == -ENOENT)
		return store_gc_add(api->store, uid, STORE_GC_GONE);
	if (rc)
		return rc;
	rc = store_gc_drop(api->store, uid);
	if (rc || !kube_finalizer_has(old, "foregroundDeletion"))
		return rc;
	obj = json_deep_copy(old);
	kube_finalizer_remove(obj, "foregroundDeletion");
	key = (struct store_key){res, kube_namespace(old), kube_name(old)};
	return kube_finalizer_count(obj) ? store_put(api->store, &key, old, obj)
					 : object_remove(api, &key, old);
}

static enum step step_of(int rc)
{
	return rc ? STEP_FAILED : STEP_DONE;
}

/* One owner, one dependent. */
static enum step collect_owner(struct api *api, const char *owner, enum store_gc mode)
{
	_cleanup_json_ json_t *obj = NULL;
	const struct kube_resource *res;
	bool blocking;
	int rc = next_dependent(api, owner, &obj, &res, &blocking);

	if (rc == 0)
		return step_of(
			collect_one(api, owner, obj, res,
				    mode == STORE_GC_FOREGROUND ? GC_FOREGROUND : GC_BACKGROUND));
	if (rc != -ENOENT)
		return STEP_FAILED;
	if (mode == STORE_GC_GONE)
		return step_of(store_gc_drop(api->store, owner));
	return blocking ? STEP_NOTHING : step_of(release_owner(api, owner));
}

static enum step collect_step(struct api *api)
{
	enum step step = STEP_NOTHING;
	enum store_gc mode;
	char uid[64];

	for (unsigned n = 0; step == STEP_NOTHING; n++) {
		mode = store_gc_next(api->store, n, uid, sizeof(uid));
		if (mode == STORE_GC_NONE)
			break;
		step = collect_owner(api, uid, mode);
	}
	return step;
}

static enum step expire_step(struct api *api)
{
	const struct kube_resource *res;

	for (size_t i = 0; (res = kube_resource_at(i)); i++) {
		_cleanup_json_ json_t *obj = NULL;
		struct store_key key;

		if (store_expired(api->store, res, &obj))
			continue;
		key = (struct store_key){res, kube_namespace(obj), kube_name(obj)};
		/* As in Kubernetes, time does not wait for finalizers; one that they kept would be found here again and again. */
		return step_of(object_remove(api, &key, obj));
	}
	return STEP_NOTHING;
}

/* History may grow a quarter over its size before it is cut, so that not every change cuts. */
static enum step compact_step(struct api *api)
{
	uint64_t keep = store_history_keep(api->store);

	if (store_version(api->store) - store_oldest(api->store) <= keep + keep / 4)
		return STEP_NOTHING;
	return step_of(store_compact(api->store, (uint32_t)keep));
}

bool api_work(struct api *api)
{
	static enum step (*const steps[])(struct api *) = {collect_step, expire_step, compact_step};
	bool changed = false, more = true;

	for (unsigned n = 0; n < STEPS_MAX && more; n++) {
		enum step step = STEP_NOTHING;

		if (store_begin(api->store, true))
			return false;
		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && step == STEP_NOTHING;
		     i++)
			step = steps[i](api);
		more = step == STEP_DONE;
		if (store_end(api->store, more))
			more = false;
		changed |= more;
	}
	if (changed)
		api_changed(api);
	return more;
}
