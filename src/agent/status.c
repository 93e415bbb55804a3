/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "base/json.h"
#include "base/log.h"
#include "kube/conditions.h"
#include "kube/meta.h"
#include "kube/text.h"

struct kube_ref object_ref(const char *kind, const char *name, const char *sub)
{
	return (struct kube_ref){.res = kube_resource_by_kind(kind), .name = name, .sub = sub};
}

bool json_lists(const json_t *array, const char *text)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *item = json_string_value(json_array_get(array, i));

		if (item && !strcmp(item, text))
			return true;
	}
	return false;
}

int status_begin(struct agent *a, const char *kind, const json_t *obj, struct status *ret)
{
	*ret = (struct status){.a = a, .res = kube_resource_by_kind(kind)};
	ret->obj = json_deep_copy(obj);
	ret->before = json_deep_copy(json_object_get(obj, "status"));
	if (!ret->before)
		ret->before = json_object();
	if (ret->obj && !json_object_get(ret->obj, "status"))
		(void)json_object_set_new(ret->obj, "status", json_object());
	return ret->obj && ret->before ? 0 : -ENOMEM;
}

void status_fini(struct status *s)
{
	json_decref(s->obj);
	json_decref(s->before);
}

void status_set(struct status *s, const char *member, json_t *value)
{
	json_t *status = json_object_get(s->obj, "status");

	if (value)
		(void)json_object_set_new(status, member, value);
	else
		(void)json_object_del(status, member);
}

void status_set_text(struct status *s, const char *member, const char *text)
{
	status_set(s, member, text && text[0] ? json_string(text) : NULL);
}

void status_set_bytes(struct status *s, const char *member, uint64_t bytes)
{
	status_set(s, member, json_integer((json_int_t)bytes));
}

void status_condition(struct status *s, const char *type, bool ok, const char *reason,
		      const char *fmt, ...)
{
	const json_t *old = kube_condition_get(s->obj, type);
	char message[700];
	va_list ap;
	bool news;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	news = strcmp(kube_str(old, "status"), ok ? "True" : "False") != 0 ||
	       strcmp(kube_str(old, "reason"), reason) != 0;
	(void)kube_condition_set(
		s->obj,
		&(struct kube_condition){.type = type,
					 .status = ok ? "True" : "False",
					 .reason = reason,
					 .message = message,
					 .observed_generation = json_integer_value(
						 kube_at(s->obj, "metadata.generation"))},
		kube_wall_ns(s->a->env.clock));
	if (!news || (ok && !old))
		return;
	events_record(s->a->events, s->obj, ok ? "Normal" : "Warning", reason, "%s", message);
}

void status_condition_remove(struct status *s, const char *type)
{
	(void)kube_condition_remove(s->obj, type);
}

/* The members that differ; null for those that are gone. */
static json_t *difference(const json_t *before, const json_t *now)
{
	json_t *patch = json_object(), *value;
	const char *name;

	json_object_foreach ((json_t *)(uintptr_t)now, name, value)
		if (!json_equal(value, json_object_get(before, name)))
			(void)json_object_set(patch, name, value);
	json_object_foreach ((json_t *)(uintptr_t)before, name, value)
		if (!json_object_get(now, name))
			(void)json_object_set_new(patch, name, json_null());
	return patch;
}

int status_commit(struct status *s)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_json_ json_t *patch = NULL;
	json_t *status = json_object_get(s->obj, "status"), *changed;
	struct kube_ref ref = {.res = s->res, .name = kube_name(s->obj), .sub = "status"};
	int rc;

	changed = difference(s->before, status);
	if (!json_object_size(changed)) {
		json_decref(changed);
		return 0;
	}
	if (!s->not_carried_out)
		(void)json_object_set(changed, "observedGeneration",
				      kube_at(s->obj, "metadata.generation"));
	patch = json_pack("{s:{s:s}, s:o}", "metadata", "resourceVersion",
			  kube_str(s->obj, "metadata.resourceVersion"), "status", changed);
	rc = kube_merge(s->a->api, &ref, patch, NULL, &error);
	if (rc == -ENOENT)
		return 0; /* gone; nobody wants to know any more */
	if (rc && rc != -EBUSY)
		log_warn("agent.status.failed", "kind=%s name=%s reason=\"%s\"", s->res->kind,
			 kube_name(s->obj), error.err.text);
	return rc;
}

int object_release(struct agent *a, const char *kind, const json_t *obj, const char *finalizer)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_json_ json_t *copy = json_deep_copy(obj);
	_cleanup_json_ json_t *patch = NULL;
	struct kube_ref ref = object_ref(kind, kube_name(obj), NULL);
	int rc;

	if (!copy)
		return -ENOMEM;
	if (!kube_finalizer_has(copy, finalizer))
		return 0;
	kube_finalizer_remove(copy, finalizer);
	patch = json_pack("{s:{s:s, s:O?}}", "metadata", "resourceVersion",
			  kube_str(obj, "metadata.resourceVersion"), "finalizers",
			  kube_at(copy, "metadata.finalizers"));
	if (patch && !kube_at(copy, "metadata.finalizers"))
		(void)json_object_set_new(json_object_get(patch, "metadata"), "finalizers",
					  json_array());
	rc = kube_merge(a->api, &ref, patch, NULL, &error);
	if (rc && rc != -ENOENT && rc != -EBUSY)
		log_warn("agent.finalizer.failed", "kind=%s name=%s reason=\"%s\"", kind,
			 kube_name(obj), error.err.text);
	return rc == -ENOENT ? 0 : rc;
}

int object_exists(struct agent *a, const char *kind, const char *name, const char *uid)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_json_ json_t *obj = NULL;
	struct kube_ref ref = object_ref(kind, name, NULL);
	int rc = kube_get(a->api, &ref, &obj, &error);

	if (!rc)
		return !uid[0] || !strcmp(kube_uid(obj), uid) ? 1 : 0;
	/* Only a clear word of the server counts, not a proxy's page. */
	return rc == -ENOENT && error.reason == KUBE_NOT_FOUND ? 0 : rc;
}
