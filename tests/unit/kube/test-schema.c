/* SPDX-License-Identifier: Apache-2.0 */
/* The schemas of our kinds: each refusal names the field and the reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "kube/meta.h"
#include "kube/resource.h"
#include "kube/text.h"

/* Checks body as the server does; true when it is refused with this field. */
static bool refused(const char *kind, const char *body, const char *field)
{
	const struct kube_resource *res = kube_resource_by_kind(kind);
	_cleanup_json_ json_t *obj = json_loads(body, 0, NULL);
	struct kube_problems problems = {NULL};
	bool found = false;

	assert_non_null(obj);
	kube_schema_prune(res->props, obj, NULL);
	kube_schema_default(res->props, obj);
	kube_schema_check(res->props, obj, "", &problems);
	if (!kube_problems_any(&problems) && res->check)
		res->check(NULL, obj, &problems);
	for (size_t i = 0; i < json_array_size(problems.causes); i++) {
		const json_t *c = json_array_get(problems.causes, i);

		found |=
			!strcmp(kube_str(c, "field"), field) && strlen(kube_str(c, "message")) > 10;
	}
	if (field[0] && !found)
		print_message("# %s: no problem at %s\n", body, field);
	json_decref(problems.causes);
	return field[0] ? found : problems.causes != NULL;
}

static void good_objects_pass(void **state)
{
	assert_false(refused("StorageVolume", "{\"spec\":{\"size\":\"10Gi\"}}", ""));
	assert_false(refused(
		"StorageVolume",
		"{\"spec\":{\"size\":1048576,\"position\":\"MustLocal\",\"nodeName\":\"n1\"}}",
		""));
	assert_false(refused("StoragePool",
			     "{\"spec\":{\"nodeName\":\"n1\",\"device\":{\"id\":\"wwn-0x5\"}}}",
			     ""));
	assert_false(refused("StorageNode",
			     "{\"spec\":{\"hostNQN\":\"nqn.2014-08.org.nvmexpress:uuid:1\"}}", ""));
	assert_false(refused("StorageSnapshot", "{\"spec\":{\"volumeName\":\"v1\"}}", ""));
	assert_false(refused("StorageReservation", "{\"spec\":{\"size\":\"1Ti\"}}", ""));
	assert_false(refused("Lease",
			     "{\"spec\":{\"holderIdentity\":\"a\",\"renewTime\":\"2026-01-01T00:00:"
			     "00.000000Z\"}}",
			     ""));
}

static void bad_fields_are_named(void **state)
{
	assert_true(refused("StorageVolume", "{}", "spec"));
	assert_true(refused("StorageVolume", "{\"spec\":5}", "spec"));
	assert_true(refused("StorageVolume", "{\"spec\":{}}", "spec.size"));
	assert_true(refused("StorageVolume", "{\"spec\":{\"size\":\"10GiB\"}}", "spec.size"));
	assert_true(refused("StorageVolume", "{\"spec\":{\"size\":0}}", "spec.size"));
	assert_true(refused("StorageVolume", "{\"spec\":{\"size\":true}}", "spec.size"));
	assert_true(refused("StorageVolume", "{\"spec\":{\"size\":\"1Gi\",\"engine\":\"zfs\"}}",
			    "spec.engine"));
	assert_true(refused("StorageVolume",
			    "{\"spec\":{\"size\":\"1Gi\",\"position\":\"MustLocal\"}}",
			    "spec.nodeName"));
	assert_true(refused("StorageVolume", "{\"spec\":{\"size\":\"1Gi\",\"qos\":{\"iops\":-1}}}",
			    "spec.qos.iops"));
	assert_true(refused("StorageVolume",
			    "{\"spec\":{\"size\":\"1Gi\",\"allowedNodes\":[\"a\",\"B\"]}}",
			    "spec.allowedNodes[1]"));
	assert_true(refused("StorageVolume", "{\"spec\":{\"size\":\"1Gi\",\"allowedNodes\":{}}}",
			    "spec.allowedNodes"));
	assert_true(refused("StorageVolume", "{\"spec\":{\"size\":\"1Gi\",\"source\":{}}}",
			    "spec.source"));
	assert_true(refused("StorageVolume",
			    "{\"spec\":{\"size\":\"1Gi\",\"nodeSelector\":{\"a\":\"-\"}}}",
			    "spec.nodeSelector"));
	assert_true(refused("StoragePool", "{\"spec\":{\"nodeName\":\"n\",\"device\":{}}}",
			    "spec.device"));
	assert_true(refused("StoragePool",
			    "{\"spec\":{\"nodeName\":\"n\",\"device\":{\"file\":\"x\"}}}",
			    "spec.device.file"));
	assert_true(refused("StoragePool",
			    "{\"spec\":{\"nodeName\":\"n\",\"device\":{\"id\":\"x\"},"
			    "\"watermarks\":{\"warnPercent\":99}}}",
			    "spec.watermarks.warnPercent"));
	assert_true(refused("StorageNode", "{\"spec\":{\"hostNQN\":\"host\"}}", "spec.hostNQN"));
	assert_true(refused("Lease", "{\"spec\":{\"renewTime\":\"yesterday\"}}", "spec.renewTime"));
}

static void unknown_members_are_pruned_and_told(void **state)
{
	const struct kube_resource *res = kube_resource_by_kind("StorageVolume");
	_cleanup_json_ json_t *obj = json_loads(
		"{\"spec\":{\"size\":1,\"x\":2,\"qos\":{\"y\":1},\"engine\":null},\"z\":1}", 0,
		NULL);
	_cleanup_json_ json_t *expected = json_loads("{\"spec\":{\"size\":1,\"qos\":{}}}", 0, NULL);
	_cleanup_json_ json_t *paths = json_loads("[\"spec.x\",\"spec.qos.y\",\"z\"]", 0, NULL);
	_cleanup_json_ json_t *unknown = json_array();

	kube_schema_prune(res->props, obj, unknown);
	assert_true(json_equal(obj, expected));
	assert_true(json_equal(unknown, paths));
}

static bool update_refused(const char *before, const char *after)
{
	const struct kube_resource *res = kube_resource_by_kind("StorageVolume");
	_cleanup_json_ json_t *old = json_loads(before, 0, NULL);
	_cleanup_json_ json_t *obj = json_loads(after, 0, NULL);
	struct kube_problems problems = {NULL};

	kube_schema_default(res->props, old);
	kube_schema_default(res->props, obj);
	kube_schema_check_update(res->props, old, obj, "", &problems);
	res->check(old, obj, &problems);
	json_decref(problems.causes);
	return problems.causes != NULL;
}

static void what_is_fixed_stays(void **state)
{
	assert_true(update_refused("{\"spec\":{\"size\":\"1Gi\"}}",
				   "{\"spec\":{\"size\":\"1Gi\",\"engine\":\"lvm\"}}"));
	assert_true(
		update_refused("{\"spec\":{\"size\":\"2Gi\"}}", "{\"spec\":{\"size\":\"1Gi\"}}"));
	assert_false(
		update_refused("{\"spec\":{\"size\":\"2Gi\"},\"status\":{\"promised\":1073741824}}",
			       "{\"spec\":{\"size\":\"1Gi\"}}"));
	assert_true(
		update_refused("{\"spec\":{\"size\":\"2Gi\"},\"status\":{\"promised\":1073741825}}",
			       "{\"spec\":{\"size\":\"1Gi\"}}"));
	assert_false(update_refused("{\"spec\":{\"size\":\"1Gi\"}}",
				    "{\"spec\":{\"size\":1073741824}}"));
	assert_false(update_refused("{\"spec\":{\"size\":\"1Gi\"}}",
				    "{\"spec\":{\"size\":\"2Gi\",\"position\":\"PreferLocal\"}}"));
	assert_true(update_refused("{\"spec\":{\"size\":1,\"source\":{\"volumeName\":\"a\"}}}",
				   "{\"spec\":{\"size\":1}}"));
	assert_true(update_refused("{\"spec\":{\"size\":1,\"source\":{\"volumeName\":\"a\"}}}",
				   "{\"spec\":{\"size\":1,\"source\":{\"volumeName\":\"b\"}}}"));
}

static void long_values_are_cut_in_messages_and_stay_utf8(void **state)
{
	struct kube_problems problems = {NULL};
	_cleanup_fail_ struct kube_fail fail = {0};
	_cleanup_json_ json_t *status = NULL;
	_cleanup_free_ char *text = NULL;
	char name[1200];

	for (size_t i = 0; i + 2 < sizeof(name); i += 2)
		memcpy(name + i, "\xc3\xa4", 3);
	kube_problem(&problems, KUBE_CAUSE_INVALID, "spec.x", NULL, "x%s", name);
	(void)kube_fail_invalid(&fail, kube_resource_at(0), name, &problems);
	status = kube_fail_status(&fail);
	text = status ? json_dumps(status, 0) : NULL;
	assert_non_null(text);
}

static void every_kind_has_a_whole_schema(void **state)
{
	const struct kube_resource *res;

	for (size_t i = 0; (res = kube_resource_at(i)); i++) {
		_cleanup_json_ json_t *schema = kube_schema_openapi(res->props, NULL);
		_cleanup_free_ char *text = schema ? json_dumps(schema, 0) : NULL;

		assert_non_null(text);
		assert_ptr_equal(kube_resource_find(res->group, res->version, res->plural), res);
		assert_ptr_equal(kube_resource_by_kind(res->kind), res);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_objects_pass),
		cmocka_unit_test(bad_fields_are_named),
		cmocka_unit_test(unknown_members_are_pruned_and_told),
		cmocka_unit_test(what_is_fixed_stays),
		cmocka_unit_test(long_values_are_cut_in_messages_and_stay_utf8),
		cmocka_unit_test(every_kind_has_a_whole_schema),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
