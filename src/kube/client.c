/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs, on any implementation of a client. A request is: target, body, one call, the answer parsed within its bounds.
 */
#include "kube/client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/str.h"
#include "kube/client_ops.h"
#include "kube/target.h"
#include "kube/text.h"

#define WATCH_TIMEOUT_S 300

void kube_client_free(struct kube_client *client)
{
	if (client)
		client->ops->free(client);
}

/* "PATCH storagevolumes/x: " in front of what went wrong. */
static int told(const struct kube_ref *ref, const char *method, struct kube_error *error, int rc)
{
	if (error)
		(void)err_prefix(&error->err, "%s %s%s%s", method, ref->res->plural,
				 ref->name ? "/" : "", ref->name ? ref->name : "");
	return rc;
}

static int parse_answer(const struct kube_answer *answer, json_t **ret, struct kube_error *error)
{
	_cleanup_fail_ struct kube_fail fail = {0};
	json_t *json = NULL;
	bool good = answer->http >= 200 && answer->http < 300;
	int rc = kube_json_parse_up_to(answer->body ? answer->body : "", answer->body_len,
				       KUBE_ANSWER_MAX, &json, &fail);

	if (!good)
		rc = kube_error_answer(error, answer->http, json, answer->retry_after_s);
	else if (rc)
		rc = kube_error_local(error, -EPROTO,
				      "the server answered %d with what is no JSON: %s",
				      answer->http, fail.message);
	if (!rc && ret)
		*ret = TAKE_PTR(json);
	json_decref(json);
	return rc;
}

struct request {
	const char *method, *content_type;
	const struct kube_param *params;
	const json_t *body;
};

static int run(struct kube_client *client, const struct kube_ref *ref,
	       const struct request *request, json_t **ret, struct kube_error *error)
{
	_cleanup_free_ char *target = kube_target(ref, request->params);
	_cleanup_free_ char *body = request->body ? json_text(request->body) : NULL;
	struct kube_call call = {.method = request->method,
				 .target = target,
				 .content_type = request->content_type,
				 .body = body,
				 .body_len = body ? strlen(body) : 0,
				 .timeout_ms = ref->timeout_ms};
	struct kube_answer answer = {0};
	struct err err = {0};
	int rc;

	if (!target || (request->body && !body))
		return told(ref, request->method, error,
			    kube_error_local(error, -ENOMEM, "no memory for the request"));
	if (call.body && !call.content_type)
		call.content_type = "application/json";
	rc = client->ops->call(client, &call, &answer, &err);
	if (rc) {
		(void)kube_error_local(error, rc, "%s", err.text);
		if (error) {
			error->retry = KUBE_RETRY_LATER;
			error->unknown = strcmp(request->method, "GET") != 0;
		}
	} else {
		rc = parse_answer(&answer, ret, error);
	}
	free(answer.body);
	return rc ? told(ref, request->method, error, rc) : 0;
}

int kube_get(struct kube_client *client, const struct kube_ref *ref, json_t **ret,
	     struct kube_error *error)
{
	ASSERT(ref->name);
	return run(client, ref, &(struct request){.method = "GET"}, ret, error);
}

void kube_list_fini(struct kube_list *list)
{
	json_decref(list->items);
	free(list->token);
	*list = (struct kube_list){0};
}

/* Takes the members of a list's JSON; its objects get the kind and apiVersion that only the list has. */
static int read_list(const struct kube_ref *ref, const json_t *json, struct kube_list *ret)
{
	json_t *items = json_object_get(json, "items");
	const json_t *remaining = kube_at(json, "metadata.remainingItemCount");
	const char *token = kube_str(json, "metadata.continue");
	char api_version[128];

	*ret = (struct kube_list){.remaining = -1};
	if (!items || json_is_null(items)) /* Go writes an empty list so */
		ret->items = json_array();
	else if (json_is_array(items))
		ret->items = json_incref(items);
	if (!ret->items || !str_copy(ret->version, sizeof(ret->version),
				     kube_str(json, "metadata.resourceVersion")))
		return -EPROTO;
	if (token[0])
		ret->token = strdup(token);
	if (token[0] && !ret->token)
		return -ENOMEM;
	if (json_is_integer(remaining))
		ret->remaining = json_integer_value(remaining);
	(void)kube_api_version(ref->res, api_version, sizeof(api_version));
	for (size_t i = 0; i < json_array_size(ret->items); i++) {
		json_t *obj = json_array_get(ret->items, i);

		if (!json_is_object(obj))
			return -EPROTO;
		if (!json_object_get(obj, "kind"))
			(void)json_object_set_new(obj, "kind", json_string(ref->res->kind));
		if (!json_object_get(obj, "apiVersion"))
			(void)json_object_set_new(obj, "apiVersion", json_string(api_version));
	}
	return 0;
}

static int list_limited(struct kube_client *client, const struct kube_ref *ref,
			const struct kube_list_options *options, bool paged, struct kube_list *ret,
			struct kube_error *error)
{
	uint32_t limit = options->limit ? options->limit : KUBE_PAGE_OBJECTS;
	char number[16];
	const struct kube_param params[] = {
		{"labelSelector", options->labels},
		{"fieldSelector", options->fields},
		{"limit", paged ? number : NULL},
		{"continue", options->token},
		/* The token says which state it is. */
		{"resourceVersion", options->token ? NULL : options->version},
		{NULL},
	};
	_cleanup_json_ json_t *json = NULL;
	int rc;

	(void)snprintf(number, sizeof(number), "%" PRIu32, limit);
	rc = run(client, ref, &(struct request){.method = "GET", .params = params}, &json, error);
	if (rc)
		return rc;
	rc = read_list(ref, json, ret);
	if (rc) {
		kube_list_fini(ret);
		return told(ref, "GET", error,
			    kube_error_local(error, rc, "the server's answer is no list"));
	}
	return 0;
}

int kube_list_page(struct kube_client *client, const struct kube_ref *ref,
		   const struct kube_list_options *options, struct kube_list *ret,
		   struct kube_error *error)
{
	static const struct kube_list_options none;

	return list_limited(client, ref, options ? options : &none, true, ret, error);
}

/* Page behind page into ret. */
static int list_pages(struct kube_client *client, const struct kube_ref *ref,
		      struct kube_list_options options, bool paged, struct kube_list *ret,
		      struct kube_error *error)
{
	int rc;

	*ret = (struct kube_list){.items = json_array()};
	do {
		struct kube_list page;

		options.token = ret->token;
		rc = list_limited(client, ref, &options, paged, &page, error);
		if (rc)
			break;
		(void)json_array_extend(ret->items, page.items);
		(void)str_copy(ret->version, sizeof(ret->version), page.version);
		free(ret->token);
		ret->token = TAKE_PTR(page.token);
		kube_list_fini(&page);
		if (json_array_size(ret->items) > KUBE_LIST_MAX)
			rc = kube_error_local(error, -EFBIG, "a list of more than %u objects",
					      KUBE_LIST_MAX);
	} while (!rc && ret->token);
	if (rc)
		kube_list_fini(ret);
	return rc;
}

int kube_list(struct kube_client *client, const struct kube_ref *ref,
	      const struct kube_list_options *options, struct kube_list *ret,
	      struct kube_error *error)
{
	static const struct kube_list_options none;
	int rc;

	if (!options)
		options = &none;
	rc = list_pages(client, ref, *options, true, ret, error);
	return rc == -ESTALE ? list_pages(client, ref, *options, false, ret, error) : rc;
}

int kube_create(struct kube_client *client, const struct kube_ref *ref, const json_t *obj,
		json_t **ret, struct kube_error *error)
{
	struct kube_ref all = *ref;

	/* The path is the collection's; the name is in the object, or the server makes it of generateName. */
	all.name = NULL;
	return run(client, &all, &(struct request){.method = "POST", .body = obj}, ret, error);
}

int kube_update(struct kube_client *client, const struct kube_ref *ref, const json_t *obj,
		json_t **ret, struct kube_error *error)
{
	struct kube_ref one = *ref;

	if (!one.name)
		one.name = kube_str(obj, "metadata.name");
	return run(client, &one, &(struct request){.method = "PUT", .body = obj}, ret, error);
}

int kube_merge(struct kube_client *client, const struct kube_ref *ref, const json_t *patch,
	       json_t **ret, struct kube_error *error)
{
	ASSERT(ref->name);
	return run(client, ref,
		   &(struct request){.method = "PATCH",
				     .content_type = "application/merge-patch+json",
				     .body = patch},
		   ret, error);
}

int kube_patch_json(struct kube_client *client, const struct kube_ref *ref, const json_t *ops,
		    json_t **ret, struct kube_error *error)
{
	ASSERT(ref->name);
	return run(client, ref,
		   &(struct request){.method = "PATCH",
				     .content_type = "application/json-patch+json",
				     .body = ops},
		   ret, error);
}

int kube_apply(struct kube_client *client, const struct kube_ref *ref, const json_t *obj,
	       const char *manager, bool force, json_t **ret, struct kube_error *error)
{
	const struct kube_param params[] = {
		{"fieldManager", manager}, {"force", force ? "true" : NULL}, {NULL}};

	ASSERT(ref->name);
	/* JSON is YAML. */
	return run(client, ref,
		   &(struct request){.method = "PATCH",
				     .content_type = "application/apply-patch+yaml",
				     .params = params,
				     .body = obj},
		   ret, error);
}

int kube_delete(struct kube_client *client, const struct kube_ref *ref,
		const struct kube_delete_options *options, json_t **ret, struct kube_error *error)
{
	_cleanup_json_ json_t *body =
		json_pack("{s:s, s:s}", "kind", "DeleteOptions", "apiVersion", "v1");
	json_t *conditions = json_object();

	ASSERT(ref->name);
	if (options && options->uid)
		(void)json_object_set_new(conditions, "uid", json_string(options->uid));
	if (options && options->version)
		(void)json_object_set_new(conditions, "resourceVersion",
					  json_string(options->version));
	if (options && options->policy)
		(void)json_object_set_new(body, "propagationPolicy", json_string(options->policy));
	if (!body || json_object_set_new(body, "preconditions", conditions))
		return kube_error_local(error, -ENOMEM, "no memory for the request");
	return run(client, ref, &(struct request){.method = "DELETE", .body = body}, ret, error);
}

int kube_watch_open(struct kube_client *client, const struct kube_ref *ref,
		    const struct kube_watch_options *options, const struct kube_sink *sink,
		    struct kube_watch **ret, struct kube_error *error)
{
	uint32_t timeout_s = options->timeout_s ? options->timeout_s : WATCH_TIMEOUT_S;
	char number[16];
	const struct kube_param params[] = {
		{"watch", "1"},
		{"allowWatchBookmarks", "true"},
		{"resourceVersion", options->version},
		{"labelSelector", options->labels},
		{"fieldSelector", options->fields},
		{"timeoutSeconds", number},
		{NULL},
	};
	_cleanup_free_ char *target = NULL;
	struct err err = {0};
	int rc;

	(void)snprintf(number, sizeof(number), "%" PRIu32, timeout_s);
	target = kube_target(ref, params);
	if (!target)
		return kube_error_local(error, -ENOMEM, "no memory for a watch");
	rc = client->ops->watch(client, target, timeout_s, sink, ret, &err);
	if (!rc)
		return 0;
	(void)kube_error_local(error, rc, "%s", err.text);
	if (error)
		error->retry = KUBE_RETRY_LATER;
	return told(ref, "watch", error, rc);
}

void kube_watch_close(struct kube_client *client, struct kube_watch *watch)
{
	if (watch)
		client->ops->unwatch(client, watch);
}
