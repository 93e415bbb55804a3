/* SPDX-License-Identifier: Apache-2.0 */
/* Reservations in the state directory: what a host was told is what the file, and the next engine, says; also when the file cannot be written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "engine/resv_store.h"
#include "rt/fs.h"
#include "sim/env_sim.h"

#define NQN  "nqn.2025-01.io.litepool:resv"
#define UUID "01234567-89ab-cdef-0123-456789abcdef"

struct rig {
	char dir[64];
	struct sim_world *world;
	struct reactor *control;
	struct worker_pool *workers;
	struct resv_store store;
	int res[3]; /* of the last put of each namespace; 1: not ended */
};

static int rig_new(void **state)
{
	const struct sim_opts opts = sim_opts_default(1);
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	(void)snprintf(r->dir, sizeof(r->dir), "/tmp/litepool-resv-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	r->world = sim_world_new(&opts);
	r->control = sim_reactor_new(r->world, 0, "control");
	assert_int_equal(worker_pool_new(0, &r->workers, NULL), 0); /* works within the call */
	assert_int_equal(resv_store_init(&r->store, r->control, r->workers, r->dir, NULL), 0);
	*state = r;
	return 0;
}

static int rig_free(void **state)
{
	struct rig *r = *state;

	resv_store_fini(&r->store);
	worker_pool_free(r->workers);
	sim_reactor_free(r->world, r->control);
	sim_world_free(r->world);
	(void)unlink(r->store.saver.path);
	assert_int_equal(rmdir(r->dir), 0);
	free(r);
	return 0;
}

static void ended(void *ctx, int res)
{
	*(int *)ctx = res;
}

/* A reservation is any object here: the store does not look into it. */
static void put(struct rig *r, uint32_t nsid, int value)
{
	_cleanup_json_ json_t *resv = json_pack("{s:i}", "value", value);

	r->res[nsid - 1] = 1;
	resv_store_put(&r->store, NQN, nsid, UUID, resv, ended, &r->res[nsid - 1]);
}

static void settle(struct rig *r)
{
	sim_run_for(r->world, NSEC_PER_SEC);
}

static int value_in(const struct resv_store *store, uint32_t nsid)
{
	const json_t *resv = resv_store_get(store, NQN, nsid, UUID);

	return resv ? (int)json_integer_value(json_object_get(resv, "value")) : 0;
}

/* What an engine that starts now would find. */
static int value_on_disk(const struct rig *r, uint32_t nsid)
{
	struct resv_store other = {.entries = json_array()};
	int value;

	memcpy(other.saver.path, r->store.saver.path, sizeof(other.saver.path));
	assert_int_equal(resv_store_load(&other, NULL), 0);
	value = value_in(&other, nsid);
	resv_store_fini(&other);
	return value;
}

/* While a folder is in the place of the new file, it cannot be written. */
static void disk_fails(const struct rig *r, bool fails)
{
	char path[PATH_MAX + 8];

	(void)snprintf(path, sizeof(path), "%s.new", r->store.saver.path);
	assert_int_equal(fails ? mkdir(path, 0700) : rmdir(path), 0);
}

static void what_is_saved_is_found_again(void **state)
{
	struct rig *r = *state;

	put(r, 1, 11);
	put(r, 2, 21);
	settle(r);
	assert_int_equal(r->res[0], 0);
	assert_int_equal(r->res[1], 0);
	put(r, 1, 12);
	settle(r);
	assert_int_equal(value_on_disk(r, 1), 12);
	assert_int_equal(value_on_disk(r, 2), 21);
	resv_store_drop(&r->store, NQN, 1);
	settle(r);
	assert_int_equal(value_on_disk(r, 1), 0);
	assert_int_equal(value_on_disk(r, 2), 21);
}

static void what_failed_is_not_made_durable_by_the_next_write(void **state)
{
	struct rig *r = *state;

	put(r, 1, 11);
	settle(r);
	disk_fails(r, true);
	put(r, 1, 12); /* there was another before */
	put(r, 2, 22); /* there was none */
	settle(r);
	assert_true(r->res[0] < 0);
	assert_true(r->res[1] < 0);
	assert_int_equal(value_in(&r->store, 1), 11);
	assert_int_equal(value_in(&r->store, 2), 0);
	assert_int_equal(value_on_disk(r, 1), 11);
	disk_fails(r, false);
	put(r, 3, 33);
	settle(r);
	assert_int_equal(value_on_disk(r, 1), 11);
	assert_int_equal(value_on_disk(r, 2), 0);
	assert_int_equal(value_on_disk(r, 3), 33);
}

static void a_dropped_namespace_does_not_come_back_with_a_failure(void **state)
{
	struct rig *r = *state;

	put(r, 1, 11);
	settle(r);
	disk_fails(r, true);
	put(r, 1, 12);
	resv_store_drop(&r->store, NQN, 1);
	settle(r);
	assert_true(r->res[0] < 0);
	assert_int_equal(value_in(&r->store, 1), 0);
	disk_fails(r, false);
	put(r, 2, 21);
	settle(r);
	assert_int_equal(value_on_disk(r, 1), 0);
	assert_int_equal(value_on_disk(r, 2), 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_saved_is_found_again, rig_new, rig_free),
		cmocka_unit_test_setup_teardown(what_failed_is_not_made_durable_by_the_next_write,
						rig_new, rig_free),
		cmocka_unit_test_setup_teardown(
			a_dropped_namespace_does_not_come_back_with_a_failure, rig_new, rig_free),
	};

	return cmocka_run_group_tests_name("resv-store", tests, NULL, NULL);
}
