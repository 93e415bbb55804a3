/* SPDX-License-Identifier: Apache-2.0 */
/* create, update and patch. What a client may not decide (uid, times, generation, the other half of the object) is put in place here. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "apiserver/call.h"
#include "base/bytes.h"
#include "base/str.h"
#include "base/uuid.h"
#include "kube/patch.h"

#define GENERATED_LEN   5
#define GENERATED_BASE  58
#define GENERATE_TRIES  8
#define COMPACT_IN_NEED 100 /* changes that stay when the store is full */

/* ---- both ---- */

static int read_body(struct call *call, json_t **ret)
{
	return kube_json_parse(call->req->body ? call->req->body : "", call->req->body_len, ret,
			       &call->fail);
}

static int need_json_body(struct call *call)
{
	if (call_content_is(call, "application/json"))
		return 0;
	return kube_fail_set(
		&call->fail, KUBE_UNSUPPORTED_MEDIA,
		"the body of the request was in an unknown format - accepted media types "
		"include: application/json");
}

/* Ends the change. A failure of the store becomes one of the call. */
static int end_change(struct call *call, int rc, bool changed)
{
	bool keep = !rc && changed && !call->dry_run;
	int end = store_end(call->api->store, keep);

	if (end)
		return call_store_failed(call, end);
	if (keep)
		api_changed(call->api);
	return rc;
}

static int begin_change(struct call *call)
{
	int rc = store_begin(call->api->store, true);

	return rc ? call_store_failed(call, rc) : 0;
}

/* Runs fn as one change. A full store forgets old history, which only watches that lag need, and it is tried once more. */
static int run_change(struct call *call, int (*fn)(struct call *call, void *arg, bool *ret_changed),
		      void *arg)
{
	for (int tries = 0;; tries++) {
		bool changed = false;
		int rc = begin_change(call);

		if (!rc) {
			rc = fn(call, arg, &changed);
			rc = end_change(call, rc, changed);
		}
		if (rc != -ENOSPC || tries)
			return rc;
		if (store_begin(call->api->store, true) ||
		    store_end(call->api->store,
			      store_compact(call->api->store, COMPACT_IN_NEED) == 0))
			return rc;
	}
}

static void set_meta(json_t *obj, const char *name, json_t *value)
{
	if (value)
		(void)json_object_set_new(kube_meta(obj), name, value);
	else
		(void)json_object_del(kube_meta(obj), name);
}

/* The namespace and the name in the object must be those of the path, when they are there. */
static int match_path(struct call *call, json_t *obj)
{
	const char *ns = kube_namespace(obj), *name = kube_name(obj);

	if (ns[0] && strcmp(ns, call->ns) != 0)
		return kube_fail_set(
			&call->fail, KUBE_BAD_REQUEST,
			"the namespace of the provided object does not match the namespace "
			"sent on the request");
	if (call->name[0] && name[0] && strcmp(name, call->name) != 0)
		return kube_fail_set(
			&call->fail, KUBE_BAD_REQUEST,
			"the name of the object (%.253s) does not match the name on the URL "
			"(%s)",
			name, call->name);
	if (call->name[0])
		set_meta(obj, "name", json_string(call->name));
	set_meta(obj, "namespace", call->ns[0] ? json_string(call->ns) : NULL);
	return 0;
}

/* ---- create ---- */

static void random_name(struct call *call, const char *base, char *buf, size_t size)
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	uint8_t bytes[GENERATED_LEN];
	char tail[GENERATED_LEN + 1] = "";

	call->api->config.random_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < GENERATED_LEN; i++)
		tail[i] = letters[bytes[i] % (sizeof(letters) - 1)];
	(void)snprintf(buf, size, "%.*s%s", GENERATED_BASE, base, tail);
}

/* Name, uid and times of a new object. */
static void stamp_new(struct call *call, json_t *obj)
{
	char name[KUBE_NAME_MAX + 1], text[UUID_TEXT_SIZE], now[KUBE_TIME_SIZE];
	const char *base = kube_str(obj, "metadata.generateName");
	uint8_t bytes[16];
	struct uuid uuid;

	if (!kube_name(obj)[0] && base[0]) {
		random_name(call, base, name, sizeof(name));
		set_meta(obj, "name", json_string(name));
	}
	call->api->config.random_bytes(bytes, sizeof(bytes));
	uuid = uuid_from_random(bytes);
	set_meta(obj, "uid", json_string(uuid_format(&uuid, text)));
	(void)kube_time_format(call->api->config.wall_ns(), false, now, sizeof(now));
	set_meta(obj, "creationTimestamp", json_string(now));
	set_meta(obj, "deletionTimestamp", NULL);
	set_meta(obj, "deletionGracePeriodSeconds", NULL);
	set_meta(obj, "generation", call->res->custom ? json_integer(1) : NULL);
	if (call->res->custom)
		(void)json_object_del(obj, "status");
}

static int store_new(struct call *call, void *arg, bool *ret_changed)
{
	json_t *obj = arg;
	bool generated = !call->name[0];
	int rc = -EEXIST;

	for (int i = 0; i < GENERATE_TRIES && rc == -EEXIST; i++) {
		struct store_key key = {call->res, call->ns, kube_name(obj)};
		_cleanup_json_ json_t *there = NULL;
		char name[KUBE_NAME_MAX + 1];

		rc = role_check_change(call, NULL, obj);
		if (rc)
			return rc;
		rc = store_get(call->api->store, &key, &there);
		if (rc == -ENOENT)
			rc = object_store(call->api, &key, NULL, obj);
		else if (rc == 0)
			rc = -EEXIST;
		if (rc != -EEXIST || !generated)
			break;
		random_name(call, kube_str(obj, "metadata.generateName"), name, sizeof(name));
		set_meta(obj, "name", json_string(name));
	}
	*ret_changed = !rc;
	if (rc == -EEXIST)
		return kube_fail_exists(&call->fail, call->res, kube_name(obj));
	return rc ? call_store_failed(call, rc) : 0;
}

int verb_create(struct call *call)
{
	_cleanup_json_ json_t *obj = NULL;
	int rc = need_json_body(call);

	if (!rc)
		rc = read_body(call, &obj);
	if (!rc)
		rc = object_normalise(call, &obj);
	if (!rc)
		rc = match_path(call, obj);
	if (rc)
		return rc;
	if (kube_str(obj, "metadata.resourceVersion")[0])
		return kube_fail_set(&call->fail, KUBE_BAD_REQUEST,
				     "resourceVersion should not be set on objects to be created");
	/* Whether the name is the client's: then a name that is taken is the client's affair. */
	(void)str_copy(call->name, sizeof(call->name), kube_name(obj));
	stamp_new(call, obj);
	rc = object_check(call, NULL, obj);
	if (!rc)
		rc = run_change(call, store_new, obj);
	if (!rc)
		respond_object(call, 201, obj);
	return rc;
}

/* ---- update and patch ---- */

struct update {
	const json_t *body; /* the new object, or the patch */
	bool patch, json_patch, strategic;
	json_t *obj; /* the outcome; owned */
};

static int apply(struct call *call, const struct update *up, const json_t *old, json_t **ret)
{
	if (!up->patch) {
		*ret = json_deep_copy(up->body);
		return 0;
	}
	return up->json_patch ? kube_json_patch(old, up->body, ret, &call->fail)
			      : kube_merge_patch(old, up->body, ret, &call->fail);
}

/* Optimistic concurrency: what the client read must be what is there. */
static int match_old(struct call *call, const struct update *up, const json_t *old,
		     const json_t *obj)
{
	const char *version = kube_str(obj, "metadata.resourceVersion"), *uid = kube_uid(obj);

	if (uid[0] && strcmp(uid, kube_uid(old)) != 0)
		return kube_fail_conflict(&call->fail, call->res, call->name,
					  "Precondition failed: UID in precondition: %.64s, UID in "
					  "object meta: %s",
					  uid, kube_uid(old));
	if (!version[0] && !up->patch && !call->res->ttl_s) {
		struct kube_problems problems = {NULL};

		kube_problem(&problems, KUBE_CAUSE_INVALID, "metadata.resourceVersion", NULL,
			     "must be specified for an update");
		return kube_fail_invalid(&call->fail, call->res, call->name, &problems);
	}
	if (version[0] && strcmp(version, kube_str(old, "metadata.resourceVersion")) != 0)
		return kube_fail_conflict(
			&call->fail, call->res, call->name,
			"the object has been modified; please apply your changes to "
			"the latest version and try again");
	return 0;
}

/* Members that a client does not decide come from old. */
static void keep_old(struct call *call, const json_t *old, json_t *obj)
{
	static const char *const kept[] = {"uid",
					   "creationTimestamp",
					   "deletionTimestamp",
					   "deletionGracePeriodSeconds",
					   "generation",
					   "resourceVersion",
					   "generateName"};
	const json_t *meta = json_object_get(old, "metadata");

	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		set_meta(obj, kept[i], json_incref(json_object_get(meta, kept[i])));
	if (!call->res->custom)
		return;
	if (!call->status) {
		json_t *status = json_object_get(old, "status");

		if (status)
			(void)json_object_set(obj, "status", status);
		else
			(void)json_object_del(obj, "status");
	}
}

/* Only status comes from the client: the rest is old. */
static void only_status(const json_t *old, json_t **obj)
{
	json_t *made = json_deep_copy(old);
	json_t *status = json_object_get(*obj, "status");

	if (status)
		(void)json_object_set(made, "status", status);
	else
		(void)json_object_del(made, "status");
	json_decref(*obj);
	*obj = made;
}

static int store_updated(struct call *call, const json_t *old, json_t *obj, bool *ret_changed)
{
	struct store_key key = call_key(call);
	json_int_t generation = json_integer_value(kube_at(old, "metadata.generation"));
	int rc;

	if (json_equal(old, obj))
		return 0;
	if (call->res->custom && !object_same_spec(old, obj))
		set_meta(obj, "generation", json_integer(generation + 1));
	*ret_changed = true;
	/* The last finalizer has gone: now the object goes too. */
	if (kube_deleting(obj) && !kube_finalizer_count(obj)) {
		/* History keeps the state before, as it was served. */
		_cleanup_json_ json_t *before = json_deep_copy(old);

		rc = object_remove(call->api, &key, before);
	} else {
		rc = object_store(call->api, &key, old, obj);
	}
	return rc ? call_store_failed(call, rc) : 0;
}

static int update_locked(struct call *call, void *arg, bool *ret_changed)
{
	struct update *up = arg;
	struct store_key key = call_key(call);
	_cleanup_json_ json_t *old = NULL;
	_cleanup_json_ json_t *obj = NULL;
	int rc = store_get(call->api->store, &key, &old);

	if (rc)
		return rc == -ENOENT ? kube_fail_not_found(&call->fail, call->res, call->name)
				     : call_store_failed(call, rc);
	rc = apply(call, up, old, &obj);
	if (!rc)
		rc = object_normalise(call, &obj);
	if (!rc)
		rc = match_path(call, obj);
	if (!rc)
		rc = match_old(call, up, old, obj);
	if (rc)
		return rc;
	if (call->status)
		only_status(old, &obj);
	keep_old(call, old, obj);
	rc = object_check(call, old, obj);
	if (!rc)
		rc = role_check_change(call, old, obj);
	if (!rc)
		rc = store_updated(call, old, obj, ret_changed);
	if (!rc) {
		json_decref(up->obj);
		up->obj = json_incref(obj);
	}
	return rc;
}

static int run_update(struct call *call, struct update *up)
{
	int rc = run_change(call, update_locked, up);

	if (!rc)
		respond_object(call, 200, up->obj);
	json_decref(up->obj);
	return rc;
}

int verb_update(struct call *call)
{
	_cleanup_json_ json_t *body = NULL;
	struct update up = {0};
	int rc = need_json_body(call);

	if (!rc)
		rc = read_body(call, &body);
	up.body = body;
	return rc ? rc : run_update(call, &up);
}

/*
 * Without lists and directives a strategic merge patch is a merge patch. kubectl sends it for the kinds it was built with (Lease, Event), as
 * Kubernetes offers it for those alone.
 */
static bool strategic_is_merge(const json_t *patch, unsigned depth)
{
	const char *name;
	json_t *value;

	if (json_is_array(patch) || depth > KUBE_DEPTH_MAX)
		return false;
	json_object_foreach ((json_t *)(uintptr_t)patch, name, value)
		if (name[0] == '$' || !strategic_is_merge(value, depth + 1))
			return false;
	return true;
}

static int patch_kind(struct call *call, struct update *up)
{
	up->json_patch = call_content_is(call, "application/json-patch+json");
	if (up->json_patch || call_content_is(call, "application/merge-patch+json"))
		return 0;
	if (call_content_is(call, "application/apply-patch+yaml"))
		return kube_fail_set(
			&call->fail, KUBE_UNSUPPORTED_MEDIA,
			"this server does not offer server-side apply; use kubectl apply "
			"--server-side=false, or a merge patch");
	up->strategic = call_content_is(call, "application/strategic-merge-patch+json");
	if (up->strategic && !call->res->custom)
		return 0;
	if (up->strategic)
		return kube_fail_set(&call->fail, KUBE_UNSUPPORTED_MEDIA,
				     "this server does not offer strategic merge patch; use "
				     "application/merge-patch+json (kubectl patch --type=merge)");
	return kube_fail_set(
		&call->fail, KUBE_UNSUPPORTED_MEDIA,
		"the body of the request was in an unknown format - accepted media types "
		"include: application/json-patch+json, application/merge-patch+json");
}

int verb_patch(struct call *call)
{
	_cleanup_json_ json_t *body = NULL;
	struct update up = {.patch = true};
	int rc = patch_kind(call, &up);

	if (!rc)
		rc = read_body(call, &body);
	if (!rc && up.strategic && !strategic_is_merge(body, 0))
		rc = kube_fail_set(
			&call->fail, KUBE_UNSUPPORTED_MEDIA,
			"this server takes a strategic merge patch only without lists and "
			"directives; use application/merge-patch+json "
			"(kubectl patch --type=merge)");
	up.body = body;
	return rc ? rc : run_update(call, &up);
}

/* ---- delete ---- */

struct removal {
	enum gc_policy policy;
	char uid[64], version[32]; /* preconditions; "" for none */
	json_t *obj;               /* the outcome; owned */
	bool gone;
};

/* Options are in the body (DeleteOptions) or, some of them, in the query. */
static int delete_options(struct call *call, struct removal *rm)
{
	_cleanup_json_ json_t *body = NULL;
	const char *policy = call_param(call, "propagationPolicy");
	int rc = 0;

	if (call->req->body_len) {
		rc = need_json_body(call);
		if (!rc)
			rc = read_body(call, &body);
		if (rc)
			return rc;
	}
	if (kube_at(body, "propagationPolicy"))
		policy = kube_str(body, "propagationPolicy");
	if (json_is_true(kube_at(body, "orphanDependents")) || call_flag(call, "orphanDependents"))
		policy = "Orphan";
	rm->policy = !policy || !strcmp(policy, "Background") ? GC_BACKGROUND
		     : !strcmp(policy, "Foreground")          ? GC_FOREGROUND
							      : GC_ORPHAN;
	if (rm->policy == GC_ORPHAN && strcmp(policy, "Orphan") != 0)
		return kube_fail_set(&call->fail, KUBE_BAD_REQUEST,
				     "propagationPolicy must be Background, Foreground or Orphan");
	call->dry_run |= json_array_size(kube_at(body, "dryRun")) > 0;
	if (!str_copy(rm->uid, sizeof(rm->uid), kube_str(body, "preconditions.uid")) ||
	    !str_copy(rm->version, sizeof(rm->version),
		      kube_str(body, "preconditions.resourceVersion")))
		return kube_fail_set(
			&call->fail, KUBE_BAD_REQUEST,
			"preconditions: neither a uid nor a resourceVersion is so long");
	return 0;
}

static int delete_locked(struct call *call, void *arg, bool *ret_changed)
{
	struct removal *rm = arg;
	struct store_key key = call_key(call);
	json_t *obj = NULL;
	int rc = store_get(call->api->store, &key, &obj);

	json_decref(rm->obj);
	rm->obj = obj;
	if (rc)
		return rc == -ENOENT ? kube_fail_not_found(&call->fail, call->res, call->name)
				     : call_store_failed(call, rc);
	if (rm->uid[0] && strcmp(rm->uid, kube_uid(obj)) != 0)
		return kube_fail_conflict(
			&call->fail, call->res, call->name,
			"Precondition failed: UID in precondition: %s, UID in object "
			"meta: %s",
			rm->uid, kube_uid(obj));
	if (rm->version[0] && strcmp(rm->version, kube_str(obj, "metadata.resourceVersion")) != 0)
		return kube_fail_conflict(
			&call->fail, call->res, call->name,
			"Precondition failed: ResourceVersion in precondition: %s, "
			"ResourceVersion in object meta: %s",
			rm->version, kube_str(obj, "metadata.resourceVersion"));
	rc = object_delete(call->api, &key, obj, rm->policy, &rm->gone);
	*ret_changed = !rc;
	return rc ? call_store_failed(call, rc) : 0;
}

int verb_delete(struct call *call)
{
	struct removal rm = {0};
	int rc = delete_options(call, &rm);

	if (!rc)
		rc = run_change(call, delete_locked, &rm);
	if (!rc && rm.gone) {
		_cleanup_json_ json_t *status =
			kube_status_success(call->res, call->name, kube_uid(rm.obj));

		respond_json(call, 200, status);
	} else if (!rc) {
		respond_object(call, 200, rm.obj);
	}
	json_decref(rm.obj);
	return rc;
}

/* Each object in a change of its own, as Kubernetes does; one that has gone meanwhile is fine. */
int verb_delete_all(struct call *call)
{
	struct removal options = {0};
	json_t *items = NULL;
	uint64_t version;
	int rc = delete_options(call, &options);

	if (!rc)
		rc = list_matching(call, &items, &version);
	for (size_t i = 0; !rc && i < json_array_size(items); i++) {
		const json_t *obj = json_array_get(items, i);
		struct removal rm = {.policy = options.policy};

		(void)str_copy(call->ns, sizeof(call->ns), kube_namespace(obj));
		(void)str_copy(call->name, sizeof(call->name), kube_name(obj));
		/* Not one of the same name that was made after the selection. */
		(void)str_copy(rm.uid, sizeof(rm.uid), kube_uid(obj));
		rc = run_change(call, delete_locked, &rm);
		json_decref(rm.obj);
		if (rc == -ENOENT || rc == -EBUSY)
			rc = 0;
	}
	if (rc)
		json_decref(items);
	else
		respond_list(call, version, NULL, items);
	return rc;
}
