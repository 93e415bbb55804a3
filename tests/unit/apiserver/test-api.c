/* SPDX-License-Identifier: Apache-2.0 */
/* What clients of Kubernetes rely on: reasons, versions, generation, status, finalizers, owners, forms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "fixture.h"
#include "kube/meta.h"
#include "kube/text.h"

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_open(f, 0, 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	fixture_close(*state);
	free(*state);
	return 0;
}

static void type(struct fixture *f, const char *content_type)
{
	(void)snprintf(f->content_type, sizeof(f->content_type), "%s", content_type);
}

static void work(struct fixture *f)
{
	for (int i = 0; i < 100 && api_work(f->api); i++)
		;
}

static void create_stamps_what_clients_do_not_decide(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *obj = NULL;

	assert_int_equal(call(f, "POST", VOLUMES, &obj,
			      "{\"metadata\":{\"name\":\"a\",\"uid\":\"x\",\"generation\":9,"
			      "\"deletionTimestamp\":\"2020-01-01T00:00:00Z\"},"
			      "\"spec\":{\"size\":\"1Gi\"},\"status\":{\"phase\":\"Ready\"}}"),
			 201);
	assert_int_equal(strlen(kube_uid(obj)), 36);
	assert_int_equal(json_integer_value(kube_at(obj, "metadata.generation")), 1);
	assert_null(kube_at(obj, "metadata.deletionTimestamp"));
	assert_null(kube_at(obj, "status"));
	assert_true(kube_resource_version(obj) > 0);
	assert_string_equal(kube_str(obj, "metadata.creationTimestamp"), "2027-01-15T08:00:00Z");
	assert_string_equal(kube_str(obj, "spec.provisioning"), "Thin");
}

static void refusals_have_the_reasons_of_kubernetes(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *method, *target, *body;
		int code;
		const char *reason;
	} cases[] = {
		{"POST", VOLUMES, "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"size\":\"1Gi\"}}",
		 409, "AlreadyExists"},
		{"POST", VOLUMES, "{\"metadata\":{\"name\":\"B\"},\"spec\":{\"size\":\"1Gi\"}}",
		 422, "Invalid"},
		{"POST", VOLUMES, "{\"metadata\":{},\"spec\":{\"size\":\"1Gi\"}}", 422, "Invalid"},
		{"POST", VOLUMES, "{\"metadata\":[],\"spec\":{\"size\":\"1Gi\"}}", 400,
		 "BadRequest"},
		{"POST", VOLUMES, "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"b\"}}", 400,
		 "BadRequest"},
		{"POST", VOLUMES, "{", 400, "BadRequest"},
		{"POST", VOLUMES, "[]", 400, "BadRequest"},
		{"POST", VOLUMES "?dryRun=x", "{}", 400, "BadRequest"},
		{"POST", VOLUMES "?fieldValidation=Strict",
		 "{\"metadata\":{\"name\":\"b\"},\"spec\":{\"size\":\"1Gi\",\"x\":1}}", 400,
		 "BadRequest"},
		{"POST", VOLUMES,
		 "{\"metadata\":{\"name\":\"b\",\"resourceVersion\":\"1\"},\"spec\":{\"size\":"
		 "\"1Gi\"}}",
		 400, "BadRequest"},
		{"GET", VOLUMES "/none", NULL, 404, "NotFound"},
		{"DELETE", VOLUMES "/none", NULL, 404, "NotFound"},
		{"GET", "/apis/litepool.io/v1alpha1/none", NULL, 404, "NotFound"},
		{"GET", "/apis/litepool.io/v1alpha1/namespaces/default/storagevolumes", NULL, 404,
		 "NotFound"},
		{"GET", "/none", NULL, 404, "NotFound"},
		{"GET", VOLUMES "/a/none", NULL, 404, "NotFound"},
		{"POST", VOLUMES "/a", "{}", 405, "MethodNotAllowed"},
		{"POST", "/apis/coordination.k8s.io/v1/leases", "{}", 405, "MethodNotAllowed"},
		{"PUT", VOLUMES "/a", "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"size\":\"1Gi\"}}",
		 422, "Invalid"},
		{"PUT", VOLUMES "/a",
		 "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"1\"},\"spec\":{\"size\":"
		 "\"1Gi\"}}",
		 409, "Conflict"},
		{"PUT", VOLUMES "/a", "{\"metadata\":{\"name\":\"b\"},\"spec\":{\"size\":\"1Gi\"}}",
		 400, "BadRequest"},
		{"DELETE", VOLUMES "/a", "{\"preconditions\":{\"uid\":\"x\"}}", 409, "Conflict"},
		{"DELETE", VOLUMES "/a", "{\"propagationPolicy\":\"x\"}", 400, "BadRequest"},
		{"GET", VOLUMES "?labelSelector=%3D", NULL, 400, "BadRequest"},
		{"GET", VOLUMES "?fieldSelector=spec.size%3D1", NULL, 400, "BadRequest"},
		{"GET", VOLUMES "?resourceVersion=x", NULL, 400, "BadRequest"},
		{"GET", VOLUMES "?continue=00", NULL, 400, "BadRequest"},
		{"GET", VOLUMES "?resourceVersion=99999", NULL, 504, "Timeout"},
		{"GET", VOLUMES "?a=%zz", NULL, 400, "BadRequest"},
		{"GET", VOLUMES "?fieldSelector=%ff%c3%3D1", NULL, 400, "BadRequest"},
		{"GET", VOLUMES "?limit=%ed%a0%80", NULL, 400, "BadRequest"},
	};

	assert_int_equal(create_volume(f, "a", ""), 201);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_json_ json_t *status = NULL;
		int code = call(f, cases[i].method, cases[i].target, &status,
				cases[i].body ? "%s" : NULL, cases[i].body);

		if (code != cases[i].code ||
		    strcmp(kube_str(status, "reason"), cases[i].reason) != 0)
			fail_msg("%s %s: %d %s", cases[i].method, cases[i].target, code,
				 json_dumps(status, 0));
		assert_int_equal(json_integer_value(json_object_get(status, "code")), code);
		assert_true(strlen(kube_str(status, "message")) > 5);
	}
}

static void generated_names_are_new(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 20; i++) {
		_cleanup_json_ json_t *obj = NULL;

		assert_int_equal(call(f, "POST", VOLUMES, &obj,
				      "{\"metadata\":{\"generateName\":\"v-\"},\"spec\":{\"size\":"
				      "\"1Gi\"}}"),
				 201);
		assert_int_equal(strlen(kube_name(obj)), 7);
	}
}

static void generation_counts_changes_of_spec_only(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *a = NULL, *b = NULL, *c = NULL, *d = NULL;

	assert_int_equal(create_volume(f, "a", ""), 201);
	type(f, "application/merge-patch+json");
	assert_int_equal(
		call(f, "PATCH", VOLUMES "/a", &a, "{\"metadata\":{\"labels\":{\"x\":\"y\"}}}"),
		200);
	assert_int_equal(json_integer_value(kube_at(a, "metadata.generation")), 1);
	assert_int_equal(call(f, "PATCH", VOLUMES "/a/status", &b,
			      "{\"status\":{\"phase\":\"Ready\"},\"spec\":{\"size\":\"5Gi\"}}"),
			 200);
	assert_int_equal(json_integer_value(kube_at(b, "metadata.generation")), 1);
	assert_string_equal(kube_str(b, "spec.size"), "1Gi");
	assert_string_equal(kube_str(b, "status.phase"), "Ready");
	assert_int_equal(call(f, "PATCH", VOLUMES "/a", &c,
			      "{\"status\":{\"phase\":\"Failed\"},\"spec\":{\"size\":\"5Gi\"}}"),
			 200);
	assert_int_equal(json_integer_value(kube_at(c, "metadata.generation")), 2);
	assert_string_equal(kube_str(c, "status.phase"), "Ready");
	/* Nothing new: no new version. */
	assert_int_equal(call(f, "PATCH", VOLUMES "/a", &d, "{\"spec\":{\"size\":\"5Gi\"}}"), 200);
	assert_int_equal(kube_resource_version(c), kube_resource_version(d));
}

static void patches_that_are_not_offered_are_told_so(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *s = NULL;

	assert_int_equal(create_volume(f, "a", ""), 201);
	type(f, "application/apply-patch+yaml");
	assert_int_equal(call(f, "PATCH", VOLUMES "/a", &s, "{}"), 415);
	assert_non_null(strstr(kube_str(s, "message"), "--server-side=false"));
	type(f, "application/strategic-merge-patch+json");
	assert_int_equal(call(f, "PATCH", VOLUMES "/a", NULL, "{}"), 415);
	type(f, "application/yaml");
	assert_int_equal(call(f, "POST", VOLUMES, NULL, "{}"), 415);
	type(f, "application/json-patch+json");
	assert_int_equal(call(f, "PATCH", VOLUMES "/a", NULL,
			      "[{\"op\":\"test\",\"path\":\"/spec/size\",\"value\":\"2Gi\"}]"),
			 422);
	assert_int_equal(call(f, "PATCH", VOLUMES "/a", NULL,
			      "[{\"op\":\"replace\",\"path\":\"/spec/size\",\"value\":\"2Gi\"}]"),
			 200);
}

static void finalizers_hold_an_object(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *obj = NULL;

	assert_int_equal(create_volume(f, "a", ",\"finalizers\":[\"x.io/y\"]"), 201);
	assert_int_equal(call(f, "DELETE", VOLUMES "/a", &obj, NULL), 200);
	assert_true(kube_deleting(obj));
	assert_int_equal(call(f, "GET", VOLUMES "/a", NULL, NULL), 200);
	type(f, "application/merge-patch+json");
	assert_int_equal(call(f, "PATCH", VOLUMES "/a", NULL,
			      "{\"metadata\":{\"finalizers\":[\"x.io/y\",\"x.io/z\"]}}"),
			 422);
	assert_int_equal(
		call(f, "PATCH", VOLUMES "/a", NULL, "{\"metadata\":{\"finalizers\":null}}"), 200);
	assert_int_equal(call(f, "GET", VOLUMES "/a", NULL, NULL), 404);
}

static void dry_run_changes_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(call(f, "POST", VOLUMES "?dryRun=All", NULL,
			      "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"size\":1048576}}"),
			 201);
	assert_int_equal(call(f, "GET", VOLUMES "/a", NULL, NULL), 404);
	assert_int_equal(create_volume(f, "a", ""), 201);
	assert_int_equal(call(f, "DELETE", VOLUMES "/a?dryRun=All", NULL, NULL), 200);
	assert_int_equal(call(f, "GET", VOLUMES "/a", NULL, NULL), 200);
}

static void make_child(struct fixture *f, const char *name, const char *owner_uid, bool blocking)
{
	char refs[256];

	(void)snprintf(refs, sizeof(refs),
		       ",\"ownerReferences\":[{\"apiVersion\":\"litepool.io/"
		       "v1alpha1\",\"kind\":\"StorageVolume\",\"name\":\"p\",\"uid\":\"%s\","
		       "\"blockOwnerDeletion\":%s}]",
		       owner_uid, blocking ? "true" : "false");
	assert_int_equal(create_volume(f, name, refs), 201);
}

static char *uid_of(struct fixture *f, const char *target)
{
	_cleanup_json_ json_t *obj = NULL;

	assert_int_equal(call(f, "GET", target, &obj, NULL), 200);
	return strdup(kube_uid(obj));
}

static void dependents_follow_their_owner(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *p = NULL, *c = NULL;

	assert_int_equal(create_volume(f, "p", ""), 201);
	p = uid_of(f, VOLUMES "/p");
	make_child(f, "c", p, false);
	c = uid_of(f, VOLUMES "/c");
	make_child(f, "g", c, false);
	assert_int_equal(call(f, "DELETE", VOLUMES "/p", NULL, NULL), 200);
	/* What is to do survives a restart. */
	fixture_reopen(f);
	work(f);
	assert_int_equal(call(f, "GET", VOLUMES "/c", NULL, NULL), 404);
	assert_int_equal(call(f, "GET", VOLUMES "/g", NULL, NULL), 404);
}

static void orphans_stay(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *p = NULL;
	_cleanup_json_ json_t *obj = NULL;

	assert_int_equal(create_volume(f, "p", ""), 201);
	p = uid_of(f, VOLUMES "/p");
	make_child(f, "c", p, false);
	assert_int_equal(
		call(f, "DELETE", VOLUMES "/p", NULL, "{\"propagationPolicy\":\"Orphan\"}"), 200);
	work(f);
	assert_int_equal(call(f, "GET", VOLUMES "/c", &obj, NULL), 200);
	assert_null(kube_at(obj, "metadata.ownerReferences"));
}

static void a_foreground_owner_waits_for_blocking_dependents(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *p = NULL;
	char refs[300];

	assert_int_equal(create_volume(f, "p", ""), 201);
	p = uid_of(f, VOLUMES "/p");
	(void)snprintf(refs, sizeof(refs),
		       ",\"finalizers\":[\"x.io/y\"],\"ownerReferences\":[{\"apiVersion\":\"a/"
		       "b\",\"kind\":\"K\",\"name\":\"p\",\"uid\":\"%s\","
		       "\"blockOwnerDeletion\":true}]",
		       p);
	assert_int_equal(create_volume(f, "c", refs), 201);
	assert_int_equal(
		call(f, "DELETE", VOLUMES "/p", NULL, "{\"propagationPolicy\":\"Foreground\"}"),
		200);
	work(f);
	assert_int_equal(call(f, "GET", VOLUMES "/p", NULL, NULL), 200);
	type(f, "application/merge-patch+json");
	assert_int_equal(
		call(f, "PATCH", VOLUMES "/c", NULL, "{\"metadata\":{\"finalizers\":null}}"), 200);
	work(f);
	assert_int_equal(call(f, "GET", VOLUMES "/c", NULL, NULL), 404);
	assert_int_equal(call(f, "GET", VOLUMES "/p", NULL, NULL), 404);
}

static void a_dependent_of_nobody_is_collected(void **state)
{
	struct fixture *f = *state;

	make_child(f, "c", "8d7f1f36-0000-4000-8000-000000000000", false);
	work(f);
	assert_int_equal(call(f, "GET", VOLUMES "/c", NULL, NULL), 404);
}

static void old_events_expire(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(call(f, "POST", EVENTS, NULL,
			      "{\"metadata\":{\"name\":\"e\",\"finalizers\":[\"x.io/"
			      "y\"]},\"involvedObject\":{\"kind\":"
			      "\"StorageVolume\",\"name\":\"v\"}}"),
			 201);
	work(f);
	assert_int_equal(call(f, "GET", EVENTS "/e", NULL, NULL), 200);
	fixture_now_ns += 3700 * NSEC_PER_SEC;
	work(f);
	assert_false(api_work(f->api));
	assert_int_equal(call(f, "GET", EVENTS "/e", NULL, NULL), 404);
	fixture_now_ns -= 3700 * NSEC_PER_SEC;
}

static void delete_collection_takes_what_is_selected(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *list = NULL;

	assert_int_equal(create_volume(f, "a", ",\"labels\":{\"x\":\"1\"}"), 201);
	assert_int_equal(create_volume(f, "b", ",\"labels\":{\"x\":\"2\"}"), 201);
	assert_int_equal(call(f, "DELETE", VOLUMES "?labelSelector=x%3D1", &list, NULL), 200);
	assert_int_equal(json_array_size(json_object_get(list, "items")), 1);
	assert_int_equal(call(f, "GET", VOLUMES "/a", NULL, NULL), 404);
	assert_int_equal(call(f, "GET", VOLUMES "/b", NULL, NULL), 200);
}

static void tables_have_a_cell_for_each_column(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *table = NULL, *partial = NULL;
	const json_t *row;

	assert_int_equal(create_volume(f, "a", ""), 201);
	(void)snprintf(f->accept, sizeof(f->accept),
		       "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
	assert_int_equal(call(f, "GET", VOLUMES, &table, NULL), 200);
	assert_string_equal(kube_str(table, "kind"), "Table");
	row = json_array_get(json_object_get(table, "rows"), 0);
	assert_int_equal(json_array_size(json_object_get(table, "columnDefinitions")),
			 json_array_size(json_object_get(row, "cells")));
	assert_string_equal(kube_str(row, "object.metadata.name"), "a");
	(void)snprintf(f->accept, sizeof(f->accept),
		       "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io");
	assert_int_equal(call(f, "GET", VOLUMES, &partial, NULL), 200);
	assert_string_equal(kube_str(partial, "kind"), "PartialObjectMetadataList");
	(void)snprintf(f->accept, sizeof(f->accept), "application/vnd.kubernetes.protobuf");
	assert_int_equal(call(f, "GET", VOLUMES, NULL, NULL), 406);
}

static void unknown_fields_are_warned_of(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		call(f, "POST", VOLUMES, NULL,
		     "{\"metadata\":{\"name\":\"a\",\"q\":1},\"spec\":{\"size\":\"1Gi\",\"x\":1}}"),
		201);
	assert_string_equal(f->warning, "unknown field \"metadata.q\", unknown field \"spec.x\"");
}

static void leases_are_taken_by_version(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *a = NULL;

	assert_int_equal(
		call(f, "POST", LEASES, &a,
		     "{\"metadata\":{\"name\":\"l\"},\"spec\":{\"holderIdentity\":\"a\"}}"),
		201);
	assert_null(kube_at(a, "metadata.generation"));
	assert_int_equal(call(f, "PUT", LEASES "/l", NULL,
			      "{\"metadata\":{\"name\":\"l\",\"resourceVersion\":\"%s\"},\"spec\":{"
			      "\"holderIdentity\":\"b\"}}",
			      kube_str(a, "metadata.resourceVersion")),
			 200);
	assert_int_equal(call(f, "PUT", LEASES "/l", NULL,
			      "{\"metadata\":{\"name\":\"l\",\"resourceVersion\":\"%s\"},\"spec\":{"
			      "\"holderIdentity\":\"c\"}}",
			      kube_str(a, "metadata.resourceVersion")),
			 409);
}

static void discovery_answers_what_kubectl_asks(void **state)
{
	struct fixture *f = *state;
	static const char *const paths[] = {"/api",
					    "/apis",
					    "/api/v1",
					    "/apis/litepool.io",
					    "/apis/litepool.io/v1alpha1",
					    "/version",
					    "/openapi/v3",
					    "/openapi/v3/apis/litepool.io/v1alpha1",
					    "/openapi/v3/api/v1"};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		_cleanup_json_ json_t *json = NULL;

		assert_int_equal(call(f, "GET", paths[i], &json, NULL), 200);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(create_stamps_what_clients_do_not_decide),
		T(refusals_have_the_reasons_of_kubernetes),
		T(generated_names_are_new),
		T(generation_counts_changes_of_spec_only),
		T(patches_that_are_not_offered_are_told_so),
		T(finalizers_hold_an_object),
		T(dry_run_changes_nothing),
		T(dependents_follow_their_owner),
		T(orphans_stay),
		T(a_foreground_owner_waits_for_blocking_dependents),
		T(a_dependent_of_nobody_is_collected),
		T(old_events_expire),
		T(delete_collection_takes_what_is_selected),
		T(tables_have_a_cell_for_each_column),
		T(unknown_fields_are_warned_of),
		T(leases_are_taken_by_version),
		T(discovery_answers_what_kubectl_asks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
