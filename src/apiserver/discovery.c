/* SPDX-License-Identifier: Apache-2.0 */
/* What kubectl and client libraries ask first: groups, versions, resources, OpenAPI, health. All out of the table of resources. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apiserver/call.h"
#include "config.h"

static json_t *api_versions(void)
{
	return json_pack("{s:s, s:s, s:[s], s:[]}", "kind", "APIVersions", "apiVersion", "v1",
			 "versions", "v1", "serverAddressByClientCIDRs");
}

static json_t *group_of(const struct kube_resource *res)
{
	char gv[128];
	json_t *version;

	(void)kube_api_version(res, gv, sizeof(gv));
	version = json_pack("{s:s, s:s}", "groupVersion", gv, "version", res->version);
	return json_pack("{s:s, s:[O], s:o}", "name", res->group, "versions", version,
			 "preferredVersion", version);
}

/* The first resource of a group stands for it. */
static bool first_of_group(size_t i)
{
	const struct kube_resource *res = kube_resource_at(i);

	for (size_t k = 0; k < i; k++)
		if (!strcmp(kube_resource_at(k)->group, res->group))
			return false;
	return res->group[0];
}

static json_t *group_list(void)
{
	json_t *groups = json_array();

	for (size_t i = 0; kube_resource_at(i); i++)
		if (first_of_group(i))
			(void)json_array_append_new(groups, group_of(kube_resource_at(i)));
	return json_pack("{s:s, s:s, s:o}", "kind", "APIGroupList", "apiVersion", "v1", "groups",
			 groups);
}

static json_t *group_named(const char *name)
{
	for (size_t i = 0; kube_resource_at(i); i++) {
		json_t *group;

		if (!first_of_group(i) || strcmp(kube_resource_at(i)->group, name) != 0)
			continue;
		group = group_of(kube_resource_at(i));
		(void)json_object_set_new(group, "kind", json_string("APIGroup"));
		(void)json_object_set_new(group, "apiVersion", json_string("v1"));
		return group;
	}
	return NULL;
}

static void add_resource(json_t *list, const struct kube_resource *res)
{
	json_t *one = json_pack("{s:s, s:s, s:b, s:s, s:[s,s,s,s,s,s,s,s]}", "name", res->plural,
				"singularName", res->singular, "namespaced", res->namespaced,
				"kind", res->kind, "verbs", "create", "delete", "deletecollection",
				"get", "list", "patch", "update", "watch");
	char status[128];

	if (res->short_name)
		(void)json_object_set_new(one, "shortNames", json_pack("[s]", res->short_name));
	if (res->custom)
		(void)json_object_set_new(one, "categories", json_pack("[s]", "litepool"));
	(void)json_array_append_new(list, one);
	if (!res->custom)
		return;
	(void)snprintf(status, sizeof(status), "%s/status", res->plural);
	(void)json_array_append_new(list, json_pack("{s:s, s:s, s:b, s:s, s:[s,s,s]}", "name",
						    status, "singularName", "", "namespaced",
						    res->namespaced, "kind", res->kind, "verbs",
						    "get", "patch", "update"));
}

static json_t *resource_list(const char *group, const char *version)
{
	const struct kube_resource *res, *found = NULL;
	json_t *list = json_array();
	char gv[128];

	for (size_t i = 0; (res = kube_resource_at(i)); i++) {
		if (strcmp(res->group, group) != 0 || strcmp(res->version, version) != 0)
			continue;
		found = res;
		add_resource(list, res);
	}
	if (!found) {
		json_decref(list);
		return NULL;
	}
	return json_pack("{s:s, s:s, s:s, s:o}", "kind", "APIResourceList", "apiVersion", "v1",
			 "groupVersion", kube_api_version(found, gv, sizeof(gv)), "resources",
			 list);
}

static json_t *version_info(void)
{
	/* Clients compare major and minor with their own: the subset served is that of 1.30. */
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "major", "1", "minor",
			 "30", "gitVersion", "v1.30.0-litepool." LITEPOOL_VERSION, "gitCommit", "",
			 "gitTreeState", "", "buildDate", "1970-01-01T00:00:00Z", "goVersion", "",
			 "compiler", "", "platform", "linux");
}

/* "api/v1" or "apis/GROUP/VERSION". */
static const char *gv_path(const struct kube_resource *res, char *buf, size_t size)
{
	(void)snprintf(buf, size, "api%s%s/%s", res->group[0] ? "s/" : "", res->group,
		       res->version);
	return buf;
}

static json_t *openapi_index(void)
{
	json_t *paths = json_object();

	for (size_t i = 0; kube_resource_at(i); i++) {
		char path[128];

		(void)gv_path(kube_resource_at(i), path, sizeof(path));
		(void)json_object_set_new(
			paths, path,
			json_pack("{s:o}", "serverRelativeURL",
				  json_sprintf("/openapi/v3/%s?hash=%s", path, LITEPOOL_VERSION)));
	}
	return json_pack("{s:o}", "paths", paths);
}

static json_t *kind_schema(const struct kube_resource *res)
{
	json_t *schema = kube_schema_openapi(res->props, NULL);
	json_t *members = json_object_get(schema, "properties");

	(void)json_object_set_new(members, "apiVersion", json_pack("{s:s}", "type", "string"));
	(void)json_object_set_new(members, "kind", json_pack("{s:s}", "type", "string"));
	(void)json_object_set_new(members, "metadata",
				  kube_schema_openapi(kube_meta_props, "standard object metadata"));
	(void)json_object_set_new(schema, "x-kubernetes-group-version-kind",
				  json_pack("[{s:s, s:s, s:s}]", "group", res->group, "kind",
					    res->kind, "version", res->version));
	return schema;
}

/* One path a resource: kubectl looks there whether PATCH takes fieldValidation. */
static void add_openapi(const struct kube_resource *res, json_t *paths, json_t *schemas)
{
	char path[256], name[256], gv[128];
	json_t *param, *gvk;

	(void)snprintf(path, sizeof(path), "/%s%s/%s/{name}", gv_path(res, gv, sizeof(gv)),
		       res->namespaced ? "/namespaces/{namespace}" : "", res->plural);
	param = json_pack("{s:s, s:s, s:{s:s}}", "name", "fieldValidation", "in", "query", "schema",
			  "type", "string");
	gvk = json_pack("{s:s, s:s, s:s}", "group", res->group, "kind", res->kind, "version",
			res->version);
	(void)json_object_set_new(paths, path,
				  json_pack("{s:{s:[O], s:O, s:{}}, s:{s:[o], s:o, s:{}}}", "patch",
					    "parameters", param, "x-kubernetes-group-version-kind",
					    gvk, "responses", "put", "parameters", param,
					    "x-kubernetes-group-version-kind", gvk, "responses"));
	(void)snprintf(name, sizeof(name), "%s%s%s.%s", res->group, res->group[0] ? "." : "",
		       res->version, res->kind);
	(void)json_object_set_new(schemas, name, kind_schema(res));
}

/* rest is "api/v1" or "apis/GROUP/VERSION"; NULL when nothing is served there. */
static json_t *openapi_of(const char *rest)
{
	json_t *paths = json_object(), *schemas = json_object();
	const struct kube_resource *res;

	for (size_t i = 0; (res = kube_resource_at(i)); i++) {
		char path[128];

		if (!strcmp(gv_path(res, path, sizeof(path)), rest))
			add_openapi(res, paths, schemas);
	}
	if (!json_object_size(paths)) {
		json_decref(paths);
		json_decref(schemas);
		return NULL;
	}
	return json_pack("{s:s, s:{s:s, s:s}, s:o, s:{s:o}}", "openapi", "3.0.0", "info", "title",
			 "LitePool", "version", LITEPOOL_VERSION, "paths", paths, "components",
			 "schemas", schemas);
}

static json_t *answer_for(const char *path)
{
	char group[128], version[64];
	const char *p = path;

	if (!strcmp(path, "/api") || !strcmp(path, "/api/"))
		return api_versions();
	if (!strcmp(path, "/apis") || !strcmp(path, "/apis/"))
		return group_list();
	if (!strcmp(path, "/api/v1") || !strcmp(path, "/api/v1/"))
		return resource_list("", "v1");
	if (!strcmp(path, "/version") || !strcmp(path, "/version/"))
		return version_info();
	if (!strcmp(path, "/openapi/v3"))
		return openapi_index();
	if (!strncmp(path, "/openapi/v3/", 12))
		return openapi_of(path + 12);
	if (strncmp(path, "/apis/", 6) != 0)
		return NULL;
	p += 6;
	if (!call_segment(&p, group, sizeof(group)))
		return NULL;
	if (!*p)
		return group_named(group);
	return call_segment(&p, version, sizeof(version)) && !*p ? resource_list(group, version)
								 : NULL;
}

bool health_answer(struct call *call)
{
	const char *path = call->req->path;

	if (strcmp(call->req->method, "GET") != 0)
		return false;
	if (strcmp(path, "/healthz") != 0 && strcmp(path, "/livez") != 0 &&
	    strcmp(path, "/readyz") != 0)
		return false;
	call->rsp->code = 200;
	call->rsp->content_type = "text/plain; charset=utf-8";
	call->rsp->body = strdup("ok");
	call->rsp->body_len = call->rsp->body ? 2 : 0;
	return true;
}

bool discovery_answer(struct call *call)
{
	_cleanup_json_ json_t *json = NULL;

	if (strcmp(call->req->method, "GET") != 0)
		return false;
	json = answer_for(call->req->path);
	if (json)
		respond_json(call, 200, json);
	return json != NULL;
}
