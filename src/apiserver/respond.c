/* SPDX-License-Identifier: Apache-2.0 */
/* Answers. */
#include <stdio.h>
#include <string.h>

#include "apiserver/call.h"

void respond_json(struct call *call, int code, const json_t *json)
{
	char *text = json ? json_text(json) : NULL;

	call->rsp->code = text ? code : 500;
	call->rsp->content_type = "application/json";
	call->rsp->body = text;
	call->rsp->body_len = text ? strlen(text) : 0;
}

void respond_fail(struct call *call)
{
	_cleanup_json_ json_t *status = kube_fail_status(&call->fail);

	if (call->fail.reason == KUBE_TOO_MANY || call->fail.reason == KUBE_TIMEOUT ||
	    call->fail.reason == KUBE_STORAGE_FULL)
		call->rsp->retry_after_s = 1;
	respond_json(call, kube_reason_http(call->fail.reason), status);
}

json_t *form_object(const struct call_view *view, const json_t *obj, bool with_columns)
{
	_cleanup_json_ json_t *items = NULL;

	if (view->form == FORM_PARTIAL)
		return partial_of(obj);
	if (view->form == FORM_FULL)
		return json_incref((json_t *)(uintptr_t)obj);
	items = json_pack("[O]", obj);
	return table_of(view, items, with_columns);
}

void respond_object(struct call *call, int code, const json_t *obj)
{
	struct call_view view = call_view(call);
	_cleanup_json_ json_t *json = form_object(&view, obj, true);

	if (call->form == FORM_TABLE)
		(void)json_object_set_new(json_object_get(json, "metadata"), "resourceVersion",
					  json_string(kube_str(obj, "metadata.resourceVersion")));
	respond_json(call, code, json);
}

/* The list's kind and apiVersion in the form asked for. */
static json_t *list_of(struct call *call, json_t *items)
{
	struct call_view view = call_view(call);
	char version[128], kind[128];
	json_t *list, *partial;

	if (call->form == FORM_TABLE)
		return table_of(&view, items, true);
	list = json_object();
	(void)snprintf(kind, sizeof(kind), "%sList",
		       call->form == FORM_PARTIAL ? "PartialObjectMetadata" : call->res->kind);
	(void)json_object_set_new(list, "kind", json_string(kind));
	(void)json_object_set_new(
		list, "apiVersion",
		json_string(call->form == FORM_PARTIAL
				    ? "meta.k8s.io/v1"
				    : kube_api_version(call->res, version, sizeof(version))));
	(void)json_object_set_new(list, "metadata", json_object());
	partial = json_array();
	for (size_t i = 0; i < json_array_size(items); i++) {
		json_t *obj = json_array_get(items, i);

		(void)json_array_append_new(partial, form_object(&view, obj, false));
	}
	(void)json_object_set_new(list, "items", partial);
	return list;
}

void respond_list(struct call *call, uint64_t version, const char *token, json_t *items)
{
	_cleanup_json_ json_t *list = list_of(call, items);

	kube_resource_version_set(list, version);
	if (token && token[0])
		(void)json_object_set_new(json_object_get(list, "metadata"), "continue",
					  json_string(token));
	json_decref(items);
	respond_json(call, 200, list);
}
