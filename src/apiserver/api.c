/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to a verb: path, query, accepted forms, method. */
#include "apiserver/api.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/call.h"
#include "base/check.h"
#include "base/str.h"

int api_new(const struct api_config *config, struct api **ret, struct err *err)
{
	struct api *api = calloc(1, sizeof(*api));

	if (!api)
		return err_set(err, -ENOMEM, "no memory for the API");
	ASSERT(config->store && config->wall_ns && config->random_bytes);
	api->config = *config;
	api->store = config->store;
	*ret = api;
	return 0;
}

void api_free(struct api *api)
{
	free(api);
}

void api_changed(struct api *api)
{
	if (api->config.changed)
		api->config.changed(api->config.changed_ctx);
}

static int no_path(struct call *call)
{
	return kube_fail_set(&call->fail, KUBE_NOT_FOUND,
			     "the server could not find the requested resource");
}

static int no_method(struct call *call)
{
	return kube_fail_set(&call->fail, KUBE_METHOD_NOT_ALLOWED,
			     "the server does not allow this method on the requested resource");
}

/* [namespaces/NS/]PLURAL[/NAME[/status]] behind the version. */
static int parse_rest(struct call *call, const char *p, const char *group, const char *version)
{
	char plural[64], sub[16];

	if (!call_segment(&p, plural, sizeof(plural)))
		return no_path(call);
	if (!strcmp(plural, "namespaces") &&
	    (!call_segment(&p, call->ns, sizeof(call->ns)) || !kube_label_valid(call->ns) ||
	     !call_segment(&p, plural, sizeof(plural))))
		return no_path(call);
	call->res = kube_resource_find(group, version, plural);
	if (!call->res || (call->ns[0] && !call->res->namespaced))
		return no_path(call);
	if (!*p)
		return 0;
	if (!call_segment(&p, call->name, sizeof(call->name)) || !kube_name_valid(call->name) ||
	    (call->res->namespaced && !call->ns[0]))
		return no_path(call);
	if (!*p)
		return 0;
	call->status = call_segment(&p, sub, sizeof(sub)) && !*p && !strcmp(sub, "status") &&
		       call->res->custom;
	return call->status ? 0 : no_path(call);
}

static int parse_path(struct call *call)
{
	const char *p = call->req->path;
	char group[128] = "", version[64];

	if (strlen(p) > API_PATH_MAX)
		return no_path(call);
	if (!strncmp(p, "/api/", 5)) {
		p += 5;
	} else if (!strncmp(p, "/apis/", 6)) {
		p += 6;
		if (!call_segment(&p, group, sizeof(group)) || !group[0])
			return no_path(call);
	} else {
		return no_path(call);
	}
	if (!call_segment(&p, version, sizeof(version)))
		return no_path(call);
	return parse_rest(call, p, group, version);
}

typedef int (*verb_fn)(struct call *call);

static int run_allowed(struct call *call, enum api_verb verb, verb_fn fn)
{
	int rc = role_check(call, verb);

	return rc ? rc : fn(call);
}

static int run_collection(struct call *call)
{
	const char *method = call->req->method;

	if (!strcmp(method, "GET"))
		return call_flag(call, "watch") ? run_allowed(call, API_WATCH, verb_watch)
						: run_allowed(call, API_LIST, verb_list);
	/* A namespaced object needs its namespace. */
	if (call->res->namespaced && !call->ns[0])
		return no_method(call);
	if (!strcmp(method, "POST"))
		return run_allowed(call, API_CREATE, verb_create);
	if (!strcmp(method, "DELETE"))
		return run_allowed(call, API_DELETE_ALL, verb_delete_all);
	return no_method(call);
}

static int run_object(struct call *call)
{
	const char *method = call->req->method;

	if (!strcmp(method, "GET"))
		return run_allowed(call, API_GET, verb_get);
	if (!strcmp(method, "PUT"))
		return run_allowed(call, API_UPDATE, verb_update);
	if (!strcmp(method, "PATCH"))
		return run_allowed(call, API_PATCH, verb_patch);
	if (!strcmp(method, "DELETE") && !call->status)
		return run_allowed(call, API_DELETE, verb_delete);
	return no_method(call);
}

static int unknown_user(struct call *call)
{
	const char *why = call->req->unknown_why;

	return kube_fail_set(&call->fail, KUBE_UNAUTHORIZED, "Unauthorized%s%s", why ? ": " : "",
			     why ? why : "");
}

static int run(struct call *call)
{
	const char *dry;
	int rc = call_parse_query(call);

	if (!rc)
		rc = parse_path(call);
	if (!rc)
		rc = call_accept(call);
	if (rc)
		return rc;
	dry = call_param(call, "dryRun");
	if (dry && dry[0] && strcmp(dry, "All") != 0)
		return kube_fail_set(
			&call->fail, KUBE_BAD_REQUEST,
			"dryRun: Unsupported value: \"%.40s\": supported values: \"All\"", dry);
	call->dry_run = dry && dry[0];
	return call->name[0] ? run_object(call) : run_collection(call);
}

void api_handle(struct api *api, const struct api_request *req, struct api_response *rsp)
{
	struct call *call = calloc(1, sizeof(*call));

	*rsp = (struct api_response){.code = 500, .content_type = "application/json"};
	if (!call)
		return;
	call->api = api;
	call->req = req;
	call->rsp = rsp;
	if (!health_answer(call) &&
	    (req->user ? !discovery_answer(call) && run(call) : unknown_user(call)))
		respond_fail(call);
	kube_fail_fini(&call->fail);
	free(call);
}

void api_refuse(enum kube_reason reason, const char *message, struct api_response *rsp)
{
	struct call *call = calloc(1, sizeof(*call));

	*rsp = (struct api_response){.code = 500, .content_type = "application/json"};
	if (!call)
		return;
	call->rsp = rsp;
	(void)kube_fail_set(&call->fail, reason, "%s", message);
	respond_fail(call);
	free(call);
}

void api_response_fini(struct api_response *rsp)
{
	free(rsp->body);
	api_watch_free(rsp->watch);
	rsp->body = NULL;
	rsp->watch = NULL;
}
