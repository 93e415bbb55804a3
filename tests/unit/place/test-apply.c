/* SPDX-License-Identifier: Apache-2.0 */
/* Objects and requests that are not what they should be: refused by name, and nothing changed. LiteIO dies of some of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "base/bytes.h"
#include "base/json.h"
#include "world.h"

static void bad_objects_are_named(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"{}", "kind: is missing; this is no API object"},
		{"{'kind': 'StoragePool'}", "StoragePool: metadata.name: is missing"},
		{"{'kind': 'StoragePool', 'metadata': {'name': 'p'}}",
		 "StoragePool p: spec.nodeName: is missing"},
		{"{'kind': 'StorageVolume', 'metadata': {'name': 'v'}}",
		 "StorageVolume v: spec.size: is missing"},
		{"{'kind': 'StorageVolume', 'metadata': {'name': 'v'}, 'spec': {'size': '1Gi', "
		 "'provisioning': 'Fat'}}",
		 "StorageVolume v: spec.provisioning: Fat is not known here (Thin, ...)"},
		{"{'kind': 'StorageNode', 'metadata': {'name': 'n', 'labels': {'a': 1}}}",
		 "StorageNode n: metadata.labels.a: expected a string"},
		{"{'kind': 'StoragePool', 'metadata': {'name': 'p'}, 'spec': {'nodeName': 'n', "
		 "'commitLimitPercent': 99}}",
		 "StoragePool p: spec.commitLimitPercent: expected a whole number from 100 to "
		 "10000"},
	};
	struct place_inventory *inv = place_inventory_new(1);
	struct place_inventory_count count;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		_cleanup_json_ json_t *object = world_json("%s", cases[i].text);
		struct err err = {0};

		assert_int_equal(place_inventory_apply_object(inv, object, &err), -EINVAL);
		assert_string_equal(err.text, cases[i].error);
	}
	place_inventory_count(inv, &count);
	assert_int_equal(count.nodes + count.pools + count.volumes, 0);
	place_inventory_free(inv);
}

static void other_kinds_are_left(void **state)
{
	struct place_inventory *inv = place_inventory_new(1);
	_cleanup_json_ json_t *lease = world_json("{'kind': 'Lease', 'metadata': {'name': 'n'}}");

	assert_int_equal(place_inventory_apply_object(inv, lease, NULL), 0);
	assert_false(place_inventory_remove_object(inv, lease));
	place_inventory_free(inv);
}

/* LiteIO's operator dies of a volume without a host node or labels. */
static void a_bare_volume_is_a_request(void **state)
{
	struct place_inventory *inv = place_inventory_new(1);
	_cleanup_json_ json_t *object = world_json(
		"{'kind': 'StorageVolume', 'metadata': {'name': 'v'}, 'spec': {'size': '10Gi'}}");
	struct place_request request;
	struct err err = {0};

	world_node(inv, "n", "", "");
	world_pool(inv, "p", "n", 20);
	assert_int_equal(place_request_volume(inv, object, NULL, &request, &err), 0);
	assert_string_equal(world_decide(inv, &request, NULL), "p");
	place_inventory_free(inv);
}

static void a_clone_goes_to_its_source(void **state)
{
	struct place_inventory *inv = place_inventory_new(1);
	_cleanup_json_ json_t *object =
		world_json("{'kind': 'StorageVolume', 'metadata': {'name': 'v'}, 'spec': {'size': "
			   "'10Gi', 'source': {'volumeName': 'a'}}}");
	_cleanup_json_ json_t *restored =
		world_json("{'kind': 'StorageVolume', 'metadata': {'name': 'v'}, 'spec': {'size': "
			   "'10Gi', 'source': {'snapshotName': 's'}}}");
	struct place_request request;
	struct err err = {0};

	world_node(inv, "n", "", "");
	world_pool(inv, "p1", "n", 100);
	world_pool(inv, "p2", "n", 100);
	assert_int_equal(place_request_volume(inv, object, NULL, &request, &err), -ENOENT);
	assert_string_equal(err.text, "spec.source.volumeName: volume a is not on a pool yet");
	world_volume(inv, "a", "p2", 50);
	assert_int_equal(place_request_volume(inv, object, NULL, &request, &err), 0);
	assert_string_equal(world_decide(inv, &request, NULL), "p2");
	assert_int_equal(place_request_volume(inv, restored, NULL, &request, &err), -ENOENT);
	assert_int_equal(place_request_volume(inv, restored, "p1", &request, &err), 0);
	assert_string_equal(world_decide(inv, &request, NULL), "p1");
	place_inventory_free(inv);
}

static void a_reservation_is_a_request(void **state)
{
	struct place_inventory *inv = place_inventory_new(1);
	_cleanup_json_ json_t *object = world_json(
		"{'kind': 'StorageReservation', 'metadata': {'name': 'r'}, 'spec': {'size': "
		"'10Gi', 'nodeName': 'n2'}}");
	struct place_request request;

	world_node(inv, "n1", "", "");
	world_node(inv, "n2", "", "");
	world_pool(inv, "p1", "n1", 100);
	world_pool(inv, "p2", "n2", 20);
	assert_int_equal(place_request_reservation(object, &request, NULL), 0);
	assert_string_equal(world_decide(inv, &request, NULL), "p2");
	place_inventory_free(inv);
}

/* What was set aside counts, and what was made if that is more; a wish does not. */
static void a_volume_counts_with_what_was_promised(void **state)
{
	struct place_inventory *inv = place_inventory_new(1);

	world_node(inv, "n", "r", "z");
	world_pool(inv, "p", "n", 100);
	world_apply(inv,
		    "{'kind': 'StorageVolume', 'metadata': {'name': 'v'}, 'spec': {'size': '9Gi'}, "
		    "'status': {'poolName': 'p', 'promised': '5Gi', 'size': '3Gi'}}");
	assert_int_equal(world_promised(inv, "p"), 5);
	world_apply(inv,
		    "{'kind': 'StorageVolume', 'metadata': {'name': 'v'}, 'spec': {'size': '9Gi'}, "
		    "'status': {'poolName': 'p', 'promised': '5Gi', 'size': '7Gi'}}");
	assert_int_equal(world_promised(inv, "p"), 7);
	place_inventory_free(inv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_objects_are_named),
		cmocka_unit_test(other_kinds_are_left),
		cmocka_unit_test(a_volume_counts_with_what_was_promised),
		cmocka_unit_test(a_bare_volume_is_a_request),
		cmocka_unit_test(a_clone_goes_to_its_source),
		cmocka_unit_test(a_reservation_is_a_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
