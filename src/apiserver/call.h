/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the API share: one request on its way. */
#ifndef LITEPOOL_APISERVER_CALL_H
#define LITEPOOL_APISERVER_CALL_H

#include "apiserver/api.h"
#include "apiserver/roles.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "kube/meta.h"
#include "kube/selector.h"
#include "kube/status.h"
#include "kube/text.h"

#define CALL_PARAMS_MAX 32

enum call_form { FORM_FULL, FORM_TABLE, FORM_PARTIAL };
enum call_include { INCLUDE_METADATA, INCLUDE_NONE, INCLUDE_OBJECT };

struct api {
	struct api_config config;
	struct store *store;
};

/* All that the form of an answer depends on; a watch keeps one. */
struct call_view {
	struct api *api;
	const struct kube_resource *res;
	enum call_form form;
	enum call_include include;
};

struct call {
	struct api *api;
	const struct api_request *req;
	struct api_response *rsp;
	struct kube_fail fail;
	/* The path. */
	const struct kube_resource *res;
	char ns[KUBE_LABEL_MAX + 1], name[KUBE_NAME_MAX + 1]; /* "" when absent */
	bool status;                                          /* .../status */
	/* What the user does, and the row of roles.c that lets him. */
	enum api_verb verb;
	const struct role_rule *rule;
	/* The query: decoded, names and values in one buffer. */
	struct {
		const char *name, *value;
	} params[CALL_PARAMS_MAX];
	size_t n_params;
	char query[API_QUERY_MAX + 2];
	bool dry_run;
	/* The form of the answer. */
	enum call_form form;
	enum call_include include;
};

/* request.c: each 0 or the errno of call->fail. */
int call_parse_query(struct call *call);
/* NULL when absent; "" is a value. */
const char *call_param(const struct call *call, const char *name);
bool call_flag(const struct call *call, const char *name); /* true, 1 */
/* Percent-decoded segment of the path; *path moves behind it and its '/'. False: the path has ended, or it is bad. */
bool call_segment(const char **path, char *buf, size_t size);
int call_accept(struct call *call);
/* The body's media type without parameters must be one of these (NULL ends). */
bool call_content_is(const struct call *call, const char *media);
/* 0 or a failure told: KUBE_STORAGE_FULL and the like out of what the store said. */
int call_store_failed(struct call *call, int rc);
static inline struct store_key call_key(const struct call *call)
{
	return (struct store_key){.res = call->res, .ns = call->ns, .name = call->name};
}

static inline struct call_view call_view(const struct call *call)
{
	return (struct call_view){call->api, call->res, call->form, call->include};
}

/* respond.c */
void respond_json(struct call *call, int code, const json_t *json);
void respond_fail(struct call *call);
/* An object in the form that was asked for. */
void respond_object(struct call *call, int code, const json_t *obj);
/* list: {metadata, items} already; takes items. */
void respond_list(struct call *call, uint64_t version, const char *token, json_t *items);
/* table.c */
json_t *table_of(const struct call_view *view, const json_t *items, bool with_columns);
json_t *partial_of(const json_t *obj);
json_t *form_object(const struct call_view *view, const json_t *obj, bool with_columns);

/* All that the selectors of the query choose, now; and the version of that state. */
int list_matching(struct call *call, json_t **ret_items, uint64_t *ret_version);
int call_version_ahead(struct call *call, uint64_t version, uint64_t now);

/* The verbs. Each answers by call->rsp, or returns a failure that is in call->fail. */
int verb_get(struct call *call);
int verb_list(struct call *call);
int verb_watch(struct call *call);
int verb_create(struct call *call);
int verb_update(struct call *call);
int verb_patch(struct call *call);
int verb_delete(struct call *call);
int verb_delete_all(struct call *call);
/* Whether the path is one of discovery; then it is answered. */
bool discovery_answer(struct call *call);
/* The same for the paths of health, which anybody may ask. */
bool health_answer(struct call *call);

/* object.c: within a change of the store. */
/* Known members only, in the usual order; type errors and unknown members are told. Replaces *obj. */
int object_normalise(struct call *call, json_t **obj);
/* Defaults, schema, metadata, rules between old and obj. old NULL at create. */
int object_check(struct call *call, const json_t *old, json_t *obj);
/* Stores it and takes care that owners which do not exist are collected. */
int object_store(struct api *api, const struct store_key *key, const json_t *old, json_t *obj);
/* Whether all but metadata and status is the same. */
bool object_same_spec(const json_t *a, const json_t *b);

enum gc_policy { GC_BACKGROUND, GC_FOREGROUND, GC_ORPHAN };
/*
 * Deletes as far as finalizers let it. *ret_gone: it is gone, else it is marked. obj becomes the last state. 0 or the store's errno.
 */
int object_delete(struct api *api, const struct store_key *key, json_t *obj, enum gc_policy policy,
		  bool *ret_gone);
/* Removes it now; its dependents are noted for collection. */
int object_remove(struct api *api, const struct store_key *key, json_t *obj);
/* Tells the server that something was committed. */
void api_changed(struct api *api);

#endif
