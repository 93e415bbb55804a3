/* SPDX-License-Identifier: Apache-2.0 */
/* Promises: taken once, ended by the API's word or by forgetting, and never more than there is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "world.h"

static struct place_inventory *one_pool(void)
{
	struct place_inventory *inv = place_inventory_new(1);

	world_node(inv, "n1", "", "");
	world_pool(inv, "p1", "n1", 100);
	return inv;
}

static size_t assumed(const struct place_inventory *inv)
{
	struct place_inventory_count count;

	place_inventory_count(inv, &count);
	return count.assumed;
}

static void of_two_that_fit_alone_one_is_accepted(void **state)
{
	struct place_inventory *inv = one_pool();
	struct place_request a = world_request("a", 60), b = world_request("b", 60);
	struct err err = {0};

	/* Both were decided before either was assumed. */
	assert_string_equal(world_decide(inv, &a, NULL), "p1");
	assert_string_equal(world_decide(inv, &b, NULL), "p1");
	assert_int_equal(place_assume_volume(inv, &a, "p1", &err), 0);
	assert_int_equal(place_assume_volume(inv, &b, "p1", &err), -ENOSPC);
	assert_string_equal(err.text, "pool p1: 60 GiB asked, 40 GiB of 100 GiB may still be "
				      "promised");
	assert_int_equal(place_assume_volume(inv, &a, "p1", &err), 0);
	assert_int_equal(world_promised(inv, "p1"), 60);
	assert_true(place_forget_volume(inv, "a"));
	assert_false(place_forget_volume(inv, "a"));
	assert_int_equal(place_assume_volume(inv, &b, "p1", &err), 0);
	assert_int_equal(place_assume_volume(inv, &b, "nowhere", &err), -ENOENT);
	place_inventory_free(inv);
}

static void an_old_event_does_not_end_a_promise(void **state)
{
	struct place_inventory *inv = one_pool();
	struct place_request a = world_request("a", 60);

	world_volume(inv, "a", "", 60);
	assert_int_equal(world_promised(inv, "p1"), 0);
	assert_int_equal(place_assume_volume(inv, &a, "p1", NULL), 0);
	world_volume(inv, "a", "", 60); /* from before the write */
	assert_int_equal(world_promised(inv, "p1"), 60);
	assert_int_equal(assumed(inv), 1);
	world_volume(inv, "a", "p1", 60);
	assert_int_equal(world_promised(inv, "p1"), 60);
	assert_int_equal(assumed(inv), 0);
	assert_false(place_forget_volume(inv, "a"));
	assert_int_equal(world_promised(inv, "p1"), 60);
	place_inventory_free(inv);
}

static void a_report_that_is_late_makes_the_pool_no_emptier(void **state)
{
	struct place_inventory *inv = one_pool();
	struct place_request a = world_request("a", 30);

	world_apply(
		inv,
		"{'kind': 'StoragePool', 'metadata': {'name': 'p1'}, 'spec': {'nodeName': 'n1'},"
		"'status': {'health': 'Healthy', 'capacity': '100Gi', 'committed': '10Gi'}}");
	assert_int_equal(world_promised(inv, "p1"), 10);
	assert_int_equal(place_assume_volume(inv, &a, "p1", NULL), 0);
	assert_int_equal(world_promised(inv, "p1"), 40);
	assert_true(place_confirm_volume(inv, "a"));
	assert_int_equal(world_promised(inv, "p1"), 30);
	place_inventory_free(inv);
}

/* LiteIO adds deltas: expansion twice at once grows twice. */
static void growing_is_to_a_size(void **state)
{
	struct place_inventory *inv = one_pool();
	struct err err = {0};

	world_volume(inv, "a", "p1", 40);
	assert_int_equal(place_assume_grow(inv, "a", 60 * TEST_GIB, &err), 0);
	assert_int_equal(place_assume_grow(inv, "a", 60 * TEST_GIB, &err), 0);
	assert_int_equal(world_promised(inv, "p1"), 60);
	assert_int_equal(place_assume_grow(inv, "a", 90 * TEST_GIB, &err), 0);
	assert_int_equal(world_promised(inv, "p1"), 90);
	world_volume(inv, "a", "p1", 60); /* the first of both is done */
	assert_int_equal(world_promised(inv, "p1"), 90);
	world_volume(inv, "a", "p1", 90);
	assert_int_equal(assumed(inv), 0);
	assert_int_equal(place_assume_grow(inv, "a", 101 * TEST_GIB, &err), -ENOSPC);
	assert_int_equal(place_assume_grow(inv, "a", 50 * TEST_GIB, &err), -EINVAL);
	assert_string_equal(err.text, "volume a has 90 GiB and cannot shrink to 50 GiB");
	assert_int_equal(place_assume_grow(inv, "b", TEST_GIB, &err), -ENOENT);
	place_inventory_free(inv);
}

static void a_wished_size_is_no_granted_one(void **state)
{
	struct place_inventory *inv = one_pool();

	world_apply(
		inv,
		"{'kind': 'StorageVolume', 'metadata': {'name': 'a'}, 'spec': {'size': '500Gi'},"
		"'status': {'poolName': 'p1', 'size': '20Gi'}}");
	assert_int_equal(world_promised(inv, "p1"), 20);
	place_inventory_free(inv);
}

static void reserved_space_is_promised_once(void **state)
{
	struct place_inventory *inv = one_pool();
	struct place_request r = world_request("r", 50), a = world_request("a", 30);
	struct err err = {0};

	r.for_reservation = true;
	assert_int_equal(place_assume_reservation(inv, &r, "p1", &err), 0);
	assert_int_equal(world_promised(inv, "p1"), 50);
	a.reservation = "r";
	assert_int_equal(place_assume_volume(inv, &a, "p1", &err), 0);
	assert_int_equal(world_promised(inv, "p1"), 50);
	a.name = "b";
	assert_int_equal(place_assume_volume(inv, &a, "p1", &err), -ENOSPC);
	world_apply(inv,
		    "{'kind': 'StorageReservation', 'metadata': {'name': 'r'}, 'spec': {'size': "
		    "'50Gi'}, 'status': {'phase': 'Reserved', 'poolName': 'p1'}}");
	assert_int_equal(world_promised(inv, "p1"), 50);
	/* It expires: what was used stays, the rest is free. */
	world_apply(inv,
		    "{'kind': 'StorageReservation', 'metadata': {'name': 'r'}, 'spec': {'size': "
		    "'50Gi'}, 'status': {'phase': 'Expired', 'poolName': 'p1'}}");
	assert_int_equal(world_promised(inv, "p1"), 30);
	place_inventory_free(inv);
}

static void a_pool_that_moves_takes_its_volumes_along(void **state)
{
	struct place_inventory *inv = one_pool();

	world_volume(inv, "a", "p1", 40);
	world_node(inv, "n2", "", "");
	world_pool(inv, "p1", "n2", 100);
	assert_int_equal(world_promised(inv, "p1"), 40);
	assert_true(place_inventory_remove_pool(inv, "p1"));
	assert_string_equal(place_inventory_volume_pool(inv, "a"), "p1");
	world_pool(inv, "p1", "n1", 100);
	assert_int_equal(world_promised(inv, "p1"), 40);
	place_inventory_free(inv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_two_that_fit_alone_one_is_accepted),
		cmocka_unit_test(an_old_event_does_not_end_a_promise),
		cmocka_unit_test(a_report_that_is_late_makes_the_pool_no_emptier),
		cmocka_unit_test(growing_is_to_a_size),
		cmocka_unit_test(a_wished_size_is_no_granted_one),
		cmocka_unit_test(reserved_space_is_promised_once),
		cmocka_unit_test(a_pool_that_moves_takes_its_volumes_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
