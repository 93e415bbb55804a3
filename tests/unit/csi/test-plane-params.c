/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "csi/plane_priv.h"
#include "kube/text.h"

static struct arena arena;

static enum grpc_code take(struct plane_class *klass, struct csi_op *op, bool mutable_only,
			   const char *key, const char *value)
{
	struct csi_pair pair = {key, value};
	struct csi_map map = {&pair, 1};

	*op = (struct csi_op){.arena = &arena};
	return plane_class_read(op, &map, mutable_only, klass);
}

static void parameters_become_members_of_the_spec(void **state)
{
	_cleanup_class_ struct plane_class klass = {.spec = NULL};
	struct csi_op op;

	assert_int_equal(take(&klass, &op, false, "provisioning", "thick"), GRPC_OK);
	assert_int_equal(take(&klass, &op, false, "nodeSelector", "disk=nvme,rack=r1"), GRPC_OK);
	assert_int_equal(take(&klass, &op, false, "bytesPerSecond", "200Mi"), GRPC_OK);
	assert_int_equal(take(&klass, &op, false, "iops", "1000"), GRPC_OK);
	assert_int_equal(take(&klass, &op, false, "csi.storage.k8s.io/pvc/name", "x"), GRPC_OK);
	assert_string_equal(kube_str(klass.spec, "provisioning"), "Thick");
	assert_string_equal(kube_str(klass.spec, "nodeSelector.rack"), "r1");
	assert_int_equal(json_integer_value(kube_at(klass.spec, "qos.bytesPerSecond")), 209715200);
	assert_int_equal(json_integer_value(kube_at(klass.spec, "qos.iops")), 1000);
}

static void access_from_the_node_alone_puts_the_data_there(void **state)
{
	_cleanup_class_ struct plane_class klass = {.spec = NULL}, other = {.spec = NULL};
	struct csi_op op;

	assert_int_equal(take(&klass, &op, false, "access", "node"), GRPC_OK);
	assert_true(klass.only_node);
	assert_string_equal(kube_str(klass.spec, "position"), "MustLocal");
	assert_null(klass.labels);
	assert_int_equal(take(&other, &op, false, "position", "MustRemote"), GRPC_OK);
	assert_int_equal(take(&other, &op, false, "access", "node"), GRPC_INVALID_ARGUMENT);
}

static void of_an_lvm_pool_its_node_gets_the_device(void **state)
{
	static struct csi_pair orders[][2] = {{{"access", "node"}, {"engine", "lvm"}},
					      {{"engine", "lvm"}, {"access", "node"}},
					      {{"engine", "lvm"}, {"access", "any"}}};

	for (size_t i = 0; i < 3; i++) {
		_cleanup_class_ struct plane_class klass = {.spec = NULL};
		struct csi_op op = {.arena = &arena};
		struct csi_map map = {orders[i], 2};

		assert_int_equal(plane_class_read(&op, &map, false, &klass), GRPC_OK);
		assert_int_equal(json_object_get(klass.labels, PLANE_LABEL_LOCAL) != NULL, i < 2);
	}
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *key, *value, *says;
		bool mutable_only;
	} bad[] = {
		{"XXX_FakeKey", "1", "is not known", false},
		{"provisioning", "Thin", "cannot be changed later", true},
		{"csi.storage.k8s.io/pvc/name", "x", "is not known", true},
		{"provisioning", "fat", "provisioning is \"fat\"", false},
		{"iops", "-1", "expected a number", true},
		{"bytesPerSecond", "fast", "a size such as", true},
		{"nodeSelector", "disk", "labels such as", false},
		{"labels", "litepool.io/group=x", "are LitePool's", true},
		{"reservation", "Not A Name", "the name of an object", false},
	};
	struct csi_op op;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		_cleanup_class_ struct plane_class klass = {.spec = NULL};

		assert_int_equal(take(&klass, &op, bad[i].mutable_only, bad[i].key, bad[i].value),
				 GRPC_INVALID_ARGUMENT);
		assert_non_null(strstr(op.why, bad[i].says));
	}
}

static void a_label_without_a_value_is_removed(void **state)
{
	_cleanup_class_ struct plane_class klass = {.spec = NULL};
	struct csi_op op;

	assert_int_equal(take(&klass, &op, true, "labels", "team=db,tier="), GRPC_OK);
	assert_string_equal(kube_str(klass.labels, "team"), "db");
	assert_true(json_is_null(json_object_get(klass.labels, "tier")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parameters_become_members_of_the_spec),
		cmocka_unit_test(access_from_the_node_alone_puts_the_data_there),
		cmocka_unit_test(of_an_lvm_pool_its_node_gets_the_device),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(a_label_without_a_value_is_removed),
	};
	int rc;

	arena_init(&arena, 1 << 20);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	arena_fini(&arena);
	return rc;
}
