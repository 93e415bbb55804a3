/* SPDX-License-Identifier: Apache-2.0 */
/* Pools and disks from one engine to the next, both in one simulated world: without transports, configuration and processes, which are other tests'. */
#include "unit/engine/store_rig.h"

static void pools_go_to_the_next_engine_with_what_they_have(void **state)
{
	struct world_io early = {.io = {.op = BLK_READ, .length = 8192, .buf = buf}};

	old_begin();
	warm();
	fill(&old, "pf/db", 2 * MIB, 3);
	fill(&old, "pr/db", 3 * MIB, 4);
	fill(&old, "pr/db", MIB, 5);
	early.io.buf = buf + 65536;
	world_io_start(&early, next.r[2], bdev_find(&next.e->bdevs, "pf/db")->dev);
	sim_run_for(sim, NSEC_PER_MSEC);
	assert_false(early.done); /* it waits */
	hand_over();
	assert_true(early.done && early.result == 0 && buf[65536] == 1);
	reads(&next, "pf/db", 0, 1);
	reads(&next, "pf/db", 2 * MIB, 3);
	reads(&next, "pr/db", 3 * MIB, 4);
	reads(&next, "pr/db", MIB, 5);
	fill(&next, "pf/db", 5 * MIB, 6);
	assert_int_equal(io(&next, "pf/db", BLK_FLUSH, 0, 0), 0);
	reads(&next, "pf/db", 5 * MIB, 6);
	/* The old one wakes late. */
	assert_int_equal(io(&old, "pf/db", BLK_WRITE, 0, 8192), -ESTALE);
	assert_int_equal(io(&old, "pr/db", BLK_WRITE, 16 * MIB, 8192), -ESTALE);
	reads(&next, "pf/db", 0, 1);
	assert_true(bdev_find(&next.e->bdevs, "pf/db")->exports_live);
	world_end();
}

static json_int_t sums_stat(struct side *s, const char *pool, const char *what)
{
	json_t *stats = pool_stats_json(store_find(s->e, pool, NULL, NULL)->pool);
	json_int_t n = json_integer_value(json_object_get(json_object_get(stats, "sums"), what));

	json_decref(stats);
	return n;
}

/* Without them the next engine would take for right whatever it finds in those clusters, and read each of them whole before it writes. */
static void open_clusters_take_their_sums_along(void **state)
{
	make_sums = true;
	old_begin();
	warm();
	fill(&old, "pr/db", 3 * MIB, 4);
	hand_over();
	assert_int_equal(sums_stat(&next, "pr", "open_clusters"), 2);
	fill(&next, "pr/db", 3 * MIB + 8192, 5);
	reads(&next, "pr/db", 3 * MIB, 4);
	reads(&next, "pr/db", 3 * MIB + 8192, 5);
	reads(&next, "pf/db", 0, 1);
	assert_int_equal(sums_stat(&next, "pr", "summed_again"), 0);
	assert_int_equal(sums_stat(&next, "pr", "opened"), 0);
	assert_int_equal(sums_stat(&next, "pr", "wrong_blocks"), 0);
	world_end();
	make_sums = false;
}

static void sums_that_are_not_whole_are_refused(void **state)
{
	make_sums = true;
	old_begin();
	warm();
	assert_int_equal(call_on(&old, 0, do_freeze), 0);
	assert_int_equal(pass_saved(8), 2);
	next.arg = old.state;
	assert_int_equal(call_on(&next, 0, do_follow), -EBADMSG);
	assert_int_equal(call_on(&old, 0, do_unhold), 0);
	fill(&old, "pf/db", 0, 11);
	reads(&old, "pf/db", 0, 11);
	world_end();
	make_sums = false;
}

static void given_up_the_old_engine_goes_on(void **state)
{
	old_begin();
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(call_on(&old, 0, do_hold), 0);
		fill(&old, "pf/db", (4 + i) * MIB, 7);
		assert_int_equal(call_on(&old, 0, do_freeze), 0);
		assert_int_equal(call_on(&old, 0, do_thaw), 0);
		fill(&old, "pf/db", (8 + i) * MIB, 8);
		assert_int_equal(call_on(&old, 0, do_freeze_and_forget), 0);
		sim_run_for(sim, (uint64_t)i * 700);
		assert_int_equal(call_on(&old, 0, do_unhold), 0);
		sim_run_for(sim, NSEC_PER_MSEC);
		fill(&old, "pf/db", (12 + i) * MIB, 9);
	}
	assert_false(old.broken);
	assert_int_equal(call_on(&old, 0, do_freeze), -EINVAL);
	reads(&old, "pf/db", 5 * MIB, 7);
	reads(&old, "pf/db", 14 * MIB, 9);
	world_end();
}

static void hold_while_held_and_while_opening_are_refused(void **state)
{
	old_begin();
	assert_int_equal(call_on(&old, 0, do_hold), 0);
	assert_int_equal(call_on(&old, 0, do_hold), -EBUSY);
	assert_int_equal(call_on(&old, 0, do_unhold), 0);
	assert_int_equal(call_on(&old, 0, do_hold), 0);
	assert_int_equal(call_on(&old, 0, do_unhold), 0);
	world_end();
}

/* 1024 blocks are the journal of such a pool; every round takes one. */
static void a_journal_that_becomes_too_full_ends_the_hold(void **state)
{
	old_begin();
	assert_int_equal(call_on(&old, 0, do_hold), 0);
	for (unsigned i = 0; i < 700 && !old.broken; i++) {
		memset(buf, 1, 4096);
		assert_int_equal(io(&old, "pf/db", BLK_WRITE, 4 * MIB + (uint64_t)i * 8192, 4096),
				 0);
		assert_int_equal(io(&old, "pf/db", BLK_FLUSH, 0, 0), 0);
	}
	assert_true(old.broken);
	assert_int_equal(old.broken_err.code, -ENOSPC);
	assert_non_null(strstr(old.broken_err.text, "journal became too full"));
	assert_int_equal(call_on(&old, 0, do_freeze), -ECANCELED);
	assert_int_equal(call_on(&old, 0, do_unhold), 0);
	assert_int_equal(call_on(&old, 0, do_hold), 0); /* the checkpoint has made room */
	world_end();
}

static void an_engine_without_pools_has_nothing_to_wait_for(void **state)
{
	world_begin();
	assert_int_equal(call_on(&old, 0, do_hold), 0);
	assert_int_equal(store_successor(next.e, old.state, NULL), 0);
	assert_int_equal(call_on(&old, 0, do_freeze), 0);
	next.arg = old.state;
	assert_int_equal(call_on(&next, 0, do_follow), 0);
	assert_int_equal(call_on(&old, 0, do_retire), 0);
	assert_int_equal(call_on(&next, 0, do_take_over), 0);
	assert_true(next.ready);
	world_end();
}

static void a_state_that_is_not_this_engine_s_is_refused(void **state)
{
	json_t *other;

	old_begin();
	warm();
	assert_int_equal(call_on(&old, 0, do_freeze), 0);
	other = json_deep_copy(old.state);
	next.arg = other;
	(void)json_array_set(json_object_get(other, "pools"), 1,
			     json_array_get(json_object_get(other, "pools"), 0));
	assert_int_equal(call_on(&next, 0, do_follow), -EBADMSG);
	assert_non_null(strstr(next.err.text, "twice"));
	json_decref(other);
	other = json_deep_copy(old.state);
	(void)json_object_set_new(json_array_get(json_object_get(other, "pools"), 0), "lsn",
				  json_integer(1));
	next.arg = other;
	assert_int_equal(call_on(&next, 0, do_follow), -ESTALE);
	(void)json_array_remove(json_object_get(other, "pools"), 0);
	assert_int_equal(call_on(&next, 0, do_follow), -ESTALE);
	assert_non_null(strstr(next.err.text, "hands over 1 pools"));
	(void)json_object_set_new(other, "pools", json_integer(1));
	assert_int_equal(call_on(&next, 0, do_follow), -ESTALE);
	json_decref(other);
	assert_int_equal(call_on(&old, 0, do_unhold), 0);
	fill(&old, "pf/db", 0, 11);
	reads(&old, "pf/db", 0, 11);
	world_end();
}

static void a_plan_or_a_list_of_disks_that_is_not_well_formed_is_refused(void **state)
{
	json_t *bad = json_pack("{s:[{s:s}]}", "pools", "bdev", "x");
	int fds[2] = {open("/dev/null", O_RDONLY | O_CLOEXEC),
		      open("/dev/null", O_RDONLY | O_CLOEXEC)};
	int kept[2] = {fds[0], fds[1]};

	world_begin();
	assert_int_equal(store_successor(next.e, bad, &next.err), -EBADMSG);
	json_decref(bad);
	bad = json_pack("{s:[{s:s, s:i}, {s:s, s:i}]}", "disks", "name", "a", "fd", 0, "name", "b",
			"fd", 7);
	assert_int_equal(store_disks_adopt(next.e, bad, fds, 2, &next.err), -EBADMSG);
	json_decref(bad);
	for (unsigned i = 0; i < 2; i++) /* nothing is left open */
		assert_true(fcntl(kept[i], F_GETFD) < 0 && errno == EBADF);
	assert_int_equal(store_disk_take(next.e, "a"), -1);
	world_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pools_go_to_the_next_engine_with_what_they_have),
		cmocka_unit_test(open_clusters_take_their_sums_along),
		cmocka_unit_test(sums_that_are_not_whole_are_refused),
		cmocka_unit_test(given_up_the_old_engine_goes_on),
		cmocka_unit_test(hold_while_held_and_while_opening_are_refused),
		cmocka_unit_test(a_journal_that_becomes_too_full_ends_the_hold),
		cmocka_unit_test(an_engine_without_pools_has_nothing_to_wait_for),
		cmocka_unit_test(a_state_that_is_not_this_engine_s_is_refused),
		cmocka_unit_test(a_plan_or_a_list_of_disks_that_is_not_well_formed_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
