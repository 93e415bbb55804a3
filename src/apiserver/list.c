/* SPDX-License-Identifier: Apache-2.0 */
/*
 * get and list. All pages of a list show the state at the version of the first one; the continue token says which and where to go on:
 * hex of "1:VERSION:NAMESPACE/NAME".
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/call.h"
#include "base/hex.h"
#include "base/str.h"

#define TOKEN_TEXT_MAX 400

int verb_get(struct call *call)
{
	struct store_key key = call_key(call);
	_cleanup_json_ json_t *obj = NULL;
	int rc = store_begin(call->api->store, false);

	if (!rc) {
		rc = store_get(call->api->store, &key, &obj);
		(void)store_end(call->api->store, false); /* Reading alone cannot fail to end. */
	}
	if (rc)
		return rc == -ENOENT ? kube_fail_not_found(&call->fail, call->res, call->name)
				     : call_store_failed(call, rc);
	respond_object(call, 200, obj);
	return 0;
}

struct list {
	struct call *call;
	struct kube_selector *labels, *fields;
	size_t limit; /* 0: none */
	json_t *items;
	char ns[KUBE_LABEL_MAX + 1], name[KUBE_NAME_MAX + 1]; /* of the last that was taken */
	bool more;
	/* From the query. */
	uint64_t version; /* 0: the latest */
	bool exact;
	char after_ns[KUBE_LABEL_MAX + 1], after_name[KUBE_NAME_MAX + 1];
};

static void list_fini(struct list *list)
{
	kube_selector_free(list->labels);
	kube_selector_free(list->fields);
	json_decref(list->items);
}

static int take(void *ctx, const char *ns, const char *name, json_t *obj)
{
	struct list *list = ctx;

	if (!kube_selector_match(list->labels, obj) || !kube_selector_match(list->fields, obj))
		return 0;
	if (list->limit && json_array_size(list->items) >= list->limit) {
		list->more = true;
		return 1;
	}
	(void)str_copy(list->ns, sizeof(list->ns), ns);
	(void)str_copy(list->name, sizeof(list->name), name);
	(void)json_array_append(list->items, obj);
	return 0;
}

static int bad_token(struct call *call)
{
	return kube_fail_set(&call->fail, KUBE_BAD_REQUEST, "continue key is not valid");
}

static int read_token(struct call *call, const char *token, struct list *list)
{
	char text[TOKEN_TEXT_MAX + 1], *slash, *colon;
	size_t len = strlen(token) / 2;

	if (len > TOKEN_TEXT_MAX || len < 4 || strlen(token) != 2 * len ||
	    !hex_parse(token, text, len))
		return bad_token(call);
	text[len] = 0;
	slash = strchr(text, '/');
	colon = strchr(text + 2, ':');
	if (strncmp(text, "1:", 2) != 0 || !colon || !slash || slash < colon)
		return bad_token(call);
	*colon = *slash = 0;
	if (!str_to_u64(text + 2, 1, INT64_MAX, &list->version) ||
	    !str_copy(list->after_ns, sizeof(list->after_ns), colon + 1) ||
	    !str_copy(list->after_name, sizeof(list->after_name), slash + 1) ||
	    !kube_name_valid(list->after_name))
		return bad_token(call);
	list->exact = true;
	return 0;
}

static void write_token(const struct list *list, uint64_t version, char *token)
{
	char text[TOKEN_TEXT_MAX + 1];
	int n = snprintf(text, sizeof(text), "1:%" PRIu64 ":%s/%s", version, list->ns, list->name);

	(void)hex_format(text, (size_t)n, token);
}

static int read_version(struct call *call, struct list *list)
{
	const char *version = call_param(call, "resourceVersion");
	const char *match = call_param(call, "resourceVersionMatch");
	const char *token = call_param(call, "continue");

	if (token && token[0]) {
		if (version && version[0] && strcmp(version, "0") != 0)
			return kube_fail_set(
				&call->fail, KUBE_BAD_REQUEST,
				"specifying resource version is not allowed when using "
				"continue");
		return read_token(call, token, list);
	}
	if (version && version[0] && !str_to_u64(version, 0, INT64_MAX, &list->version))
		return kube_fail_set(&call->fail, KUBE_BAD_REQUEST,
				     "resourceVersion: Invalid value: \"%.40s\": must be a number",
				     version);
	if (!match || !match[0])
		return 0;
	list->exact = !strcmp(match, "Exact");
	if (!list->exact && strcmp(match, "NotOlderThan") != 0)
		return kube_fail_set(
			&call->fail, KUBE_BAD_REQUEST,
			"resourceVersionMatch: Unsupported value: \"%.40s\": supported "
			"values: \"Exact\", \"NotOlderThan\"",
			match);
	if (!version || !version[0] || (list->exact && !list->version))
		return kube_fail_set(&call->fail, KUBE_BAD_REQUEST,
				     "resourceVersionMatch: Forbidden: needs a resourceVersion%s",
				     list->exact ? " that is not 0" : "");
	return 0;
}

static int read_selectors(struct call *call, struct list *list)
{
	int rc = kube_label_selector_new(call_param(call, "labelSelector"), &list->labels,
					 &call->fail);

	return rc ? rc
		  : kube_field_selector_new(call->res, call_param(call, "fieldSelector"),
					    &list->fields, &call->fail);
}

static int read_page(struct call *call, struct list *list)
{
	const char *limit = call_param(call, "limit");
	uint64_t n = 0;

	if (limit && limit[0] && !str_to_u64(limit, 0, INT32_MAX, &n))
		return kube_fail_set(&call->fail, KUBE_BAD_REQUEST,
				     "limit: Invalid value: \"%.40s\": must be a number", limit);
	list->limit = (size_t)n;
	return read_version(call, list);
}

int call_version_ahead(struct call *call, uint64_t version, uint64_t now)
{
	int rc = kube_fail_set(&call->fail, KUBE_TIMEOUT,
			       "Too large resource version: %" PRIu64 ", current: %" PRIu64,
			       version, now);

	call->fail.details =
		json_pack("{s:i, s:[{s:s, s:s}]}", "retryAfterSeconds", 1, "causes", "reason",
			  "ResourceVersionTooLarge", "message", "Too large resource version");
	return rc;
}

/* With the store begun. *ret_version: of the state that was read. */
static int scan(struct list *list, uint64_t *ret_version)
{
	struct call *call = list->call;
	uint64_t now = store_version(call->api->store);
	struct store_scan scan = {
		.res = call->res,
		.ns = call->ns[0] ? call->ns : NULL,
		.after_ns = list->after_ns,
		.after_name = list->after_name,
		.version = list->exact ? list->version : 0,
	};
	int rc;

	if (list->version > now)
		return call_version_ahead(call, list->version, now);
	rc = store_scan(call->api->store, &scan, take, list);
	*ret_version = list->exact ? list->version : now;
	if (rc == -ESTALE)
		return kube_fail_set(
			&call->fail, KUBE_EXPIRED,
			list->after_name[0]
				? "The provided continue parameter is too old to display a "
				  "consistent list result. You must start a new list "
				  "without the continue parameter."
				: "The resourceVersion for the provided list is too old.");
	return rc < 0 ? call_store_failed(call, rc) : 0;
}

static int run_list(struct list *list, uint64_t *ret_version)
{
	struct call *call = list->call;
	int rc;

	list->items = json_array();
	rc = store_begin(call->api->store, false);
	if (rc)
		return call_store_failed(call, rc);
	rc = scan(list, ret_version);
	(void)store_end(call->api->store, false); /* Reading alone cannot fail to end. */
	return rc;
}

int verb_list(struct call *call)
{
	struct list list = {.call = call};
	char token[2 * TOKEN_TEXT_MAX + 1] = "";
	uint64_t version;
	int rc = read_selectors(call, &list);

	if (!rc)
		rc = read_page(call, &list);
	if (!rc)
		rc = run_list(&list, &version);
	if (!rc && list.more)
		write_token(&list, version, token);
	if (!rc)
		respond_list(call, version, token, json_incref(list.items));
	list_fini(&list);
	return rc;
}

int list_matching(struct call *call, json_t **ret_items, uint64_t *ret_version)
{
	struct list list = {.call = call};
	int rc = read_selectors(call, &list);

	if (!rc)
		rc = run_list(&list, ret_version);
	if (!rc)
		*ret_items = json_incref(list.items);
	list_fini(&list);
	return rc;
}
