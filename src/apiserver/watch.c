/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches. A watch is a place in the history: it asks for what comes after it, so it needs no queue of its own and cannot miss or
 * repeat a change. One that falls behind the history that is kept gets an ERROR event with 410 and ends.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/call.h"
#include "base/bytes.h"
#include "base/str.h"

#define CHANGES_MAX   256                  /* looked at in one call */
#define PIECE_BYTES   ((size_t)256 * 1024) /* a piece ends behind the event that reaches it */
#define BOOKMARK_NS   (60 * NSEC_PER_SEC)
#define LIFE_MIN_S    1800
#define LIFE_SPREAD_S 1800

struct api_watch {
	struct api *api;
	struct call_view view;
	char ns[KUBE_LABEL_MAX + 1];
	struct kube_selector *labels, *fields;
	uint64_t version; /* all up to here has been told */
	bool bookmarks, told_columns, ended;
	uint64_t end_ns, bookmark_ns;
	json_t *initial; /* objects to begin with, then NULL */
	size_t initial_at;
	bool initial_mark;
	/* While a piece is made. */
	char *text;
	size_t len, size;
};

void api_watch_free(struct api_watch *w)
{
	if (!w)
		return;
	kube_selector_free(w->labels);
	kube_selector_free(w->fields);
	json_decref(w->initial);
	free(w->text);
	free(w);
}

static int append(struct api_watch *w, const char *text, size_t len)
{
	if (w->len + len > w->size) {
		size_t size = (w->len + len) * 2;
		char *grown = realloc(w->text, size);

		if (!grown)
			return -ENOMEM;
		w->text = grown;
		w->size = size;
	}
	memcpy(w->text + w->len, text, len);
	w->len += len;
	return 0;
}

/* Takes object. */
static int tell(struct api_watch *w, const char *type, json_t *object)
{
	_cleanup_json_ json_t *event = json_pack("{s:s, s:o}", "type", type, "object", object);
	_cleanup_free_ char *text = event ? json_text(event) : NULL;
	int rc = text ? append(w, text, strlen(text)) : -ENOMEM;

	return rc ? rc : append(w, "\n", 1);
}

static int tell_object(struct api_watch *w, const char *type, const json_t *obj)
{
	json_t *object = form_object(&w->view, obj, !w->told_columns);

	w->told_columns = true;
	return tell(w, type, object);
}

static int tell_bookmark(struct api_watch *w)
{
	char version[128];
	json_t *obj =
		json_pack("{s:s, s:s, s:{}}", "kind", w->view.res->kind, "apiVersion",
			  kube_api_version(w->view.res, version, sizeof(version)), "metadata");
	int rc;

	kube_resource_version_set(obj, w->version);
	if (w->initial_mark)
		(void)json_object_set_new(kube_meta(obj), "annotations",
					  json_pack("{s:s}", "k8s.io/initial-events-end", "true"));
	w->initial_mark = false;
	w->bookmark_ns = w->api->config.wall_ns() + BOOKMARK_NS;
	rc = tell_object(w, "BOOKMARK", obj);
	json_decref(obj);
	return rc;
}

static int tell_error(struct api_watch *w, enum kube_reason reason, uint64_t oldest)
{
	_cleanup_fail_ struct kube_fail fail = {0};

	if (reason == KUBE_EXPIRED)
		(void)kube_fail_set(&fail, reason,
				    "too old resource version: %" PRIu64 " (%" PRIu64 ")",
				    w->version, oldest);
	else
		(void)kube_fail_set(&fail, reason, "the API store failed");
	w->ended = true;
	return tell(w, "ERROR", kube_fail_status(&fail));
}

static bool matches(const struct api_watch *w, const json_t *obj)
{
	if (!obj || (w->ns[0] && strcmp(w->ns, kube_namespace(obj)) != 0))
		return false;
	return kube_selector_match(w->labels, obj) && kube_selector_match(w->fields, obj);
}

static int on_change(void *ctx, const struct store_change *change)
{
	struct api_watch *w = ctx;
	bool was = matches(w, change->prev), is = matches(w, change->obj);
	int rc = 0;

	w->version = change->version;
	if (is)
		rc = tell_object(w, was ? "MODIFIED" : "ADDED", change->obj);
	else if (was)
		rc = tell_object(w, "DELETED", change->prev);
	return rc ? rc : w->len >= PIECE_BYTES;
}

static int tell_initial(struct api_watch *w)
{
	int rc = 0;

	while (w->initial_at < json_array_size(w->initial) && !rc) {
		rc = tell_object(w, "ADDED", json_array_get(w->initial, w->initial_at++));
		if (w->len >= PIECE_BYTES)
			return rc;
	}
	json_decref(w->initial);
	w->initial = NULL;
	return rc || !w->initial_mark ? rc : tell_bookmark(w);
}

static int tell_changes(struct api_watch *w)
{
	struct store *store = w->api->store;
	uint64_t before, now, oldest;
	int rc = store_begin(store, false);

	if (rc)
		return rc;
	do {
		before = w->version;
		rc = store_changes(store, w->view.res, w->version, CHANGES_MAX, on_change, w);
	} while (!rc && w->version != before && !w->len);
	if (rc > 0)
		rc = 0; /* the piece is full: the rest comes with the next */
	now = store_version(store);
	oldest = store_oldest(store);
	/* Nothing of ours lies between the last change told and now. */
	if (!rc && w->version == before && now > w->version)
		w->version = now;
	(void)store_end(store, false); /* Reading alone cannot fail to end. */
	return rc == -ESTALE ? tell_error(w, KUBE_EXPIRED, oldest) : rc;
}

enum api_watch_result api_watch_next(struct api_watch *w, char **ret, size_t *ret_len)
{
	uint64_t now = w->api->config.wall_ns();
	int rc;

	if (w->ended)
		return API_WATCH_END;
	rc = w->initial ? tell_initial(w) : tell_changes(w);
	if (!rc && !w->len && w->bookmarks && (now >= w->bookmark_ns || now >= w->end_ns))
		rc = tell_bookmark(w);
	if (!rc && now >= w->end_ns)
		w->ended = true;
	if (rc == -ENOMEM)
		w->ended = true; /* The client begins again where it was. */
	else if (rc)
		(void)tell_error(w, KUBE_INTERNAL, 0); /* It ends either way. */
	if (!w->len)
		return w->ended ? API_WATCH_END : API_WATCH_IDLE;
	*ret = TAKE_PTR(w->text);
	*ret_len = w->len;
	w->len = 0;
	w->size = 0;
	return API_WATCH_TEXT;
}

bool api_watch_behind(struct api_watch *w)
{
	uint64_t now = store_committed(w->api->store); /* first: see store.h */

	if (w->initial || store_kind_changed(w->api->store, w->view.res) > w->version)
		return true;
	w->version = MAX(w->version, now);
	return false;
}

uint64_t api_watch_due(const struct api_watch *w)
{
	return w->bookmarks && w->bookmark_ns < w->end_ns ? w->bookmark_ns : w->end_ns;
}

static int read_life(struct call *call, struct api_watch *w)
{
	const char *timeout = call_param(call, "timeoutSeconds");
	uint64_t seconds = 0, now = call->api->config.wall_ns();
	uint16_t spread;

	if (timeout && timeout[0] && !str_to_u64(timeout, 0, 86400, &seconds))
		return kube_fail_set(
			&call->fail, KUBE_BAD_REQUEST,
			"timeoutSeconds: Invalid value: \"%.40s\": must be a number up to "
			"86400",
			timeout);
	call->api->config.random_bytes(&spread, sizeof(spread));
	if (!seconds)
		seconds = LIFE_MIN_S + spread % LIFE_SPREAD_S;
	w->end_ns = now + seconds * NSEC_PER_SEC;
	w->bookmark_ns = now + BOOKMARK_NS;
	return 0;
}

static int read_start(struct call *call, struct api_watch *w)
{
	const char *version = call_param(call, "resourceVersion");
	bool initial = call_flag(call, "sendInitialEvents");
	uint64_t now;
	int rc;

	if (version && version[0] && !str_to_u64(version, 0, INT64_MAX, &w->version))
		return kube_fail_set(&call->fail, KUBE_BAD_REQUEST,
				     "resourceVersion: Invalid value: \"%.40s\": must be a number",
				     version);
	if (!w->version || initial) {
		uint64_t asked = w->version;

		w->initial_mark = initial && w->bookmarks;
		rc = list_matching(call, &w->initial, &w->version);
		return !rc && asked > w->version ? call_version_ahead(call, asked, w->version) : rc;
	}
	rc = store_begin(call->api->store, false);
	if (rc)
		return call_store_failed(call, rc);
	now = store_version(call->api->store);
	(void)store_end(call->api->store, false); /* Reading alone cannot fail to end. */
	return w->version > now ? call_version_ahead(call, w->version, now) : 0;
}

int verb_watch(struct call *call)
{
	struct api_watch *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return kube_fail_set(&call->fail, KUBE_UNAVAILABLE, "no memory for a watch");
	w->api = call->api;
	w->view = call_view(call);
	(void)str_copy(w->ns, sizeof(w->ns), call->ns);
	w->bookmarks = call_flag(call, "allowWatchBookmarks");
	rc = kube_label_selector_new(call_param(call, "labelSelector"), &w->labels, &call->fail);
	if (!rc)
		rc = kube_field_selector_new(call->res, call_param(call, "fieldSelector"),
					     &w->fields, &call->fail);
	if (!rc)
		rc = read_life(call, w);
	if (!rc)
		rc = read_start(call, w);
	if (rc) {
		api_watch_free(w);
		return rc;
	}
	call->rsp->code = 200;
	call->rsp->content_type = "application/json";
	call->rsp->watch = w;
	return 0;
}
