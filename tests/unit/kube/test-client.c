/* SPDX-License-Identifier: Apache-2.0 */
/* Verbs, errors, informers, leases and events on the API in the same process, with a clock of the test's own. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kube/conditions.h"
#include "kube/events.h"
#include "kube/informer.h"
#include "kube/leader.h"
#include "kube/meta.h"
#include "kube/text.h"

#include "client_local.h"
#include "fixture.h"

static uint64_t now_ms;

static uint64_t mono_ms(void *ctx)
{
	return now_ms;
}

static uint64_t wall(void *ctx)
{
	return fixture_now_ns + now_ms * 1000000;
}

static const struct kube_clock test_clock = {.mono_ms = mono_ms, .wall_ns = wall};

struct world {
	struct fixture fx;
	struct kube_client *client;
	struct kube_ref volumes;
};

static void world_open(struct world *w, uint32_t history)
{
	*w = (struct world){0};
	now_ms = 1000;
	fixture_open(&w->fx, history, 0);
	assert_int_equal(client_local_new(w->fx.api, &w->client), 0);
	w->volumes.res = kube_resource_by_kind("StorageVolume");
}

static void world_close(struct world *w)
{
	kube_client_free(w->client);
	fixture_close(&w->fx);
}

static struct kube_ref named(const struct world *w, const char *name)
{
	struct kube_ref ref = w->volumes;

	ref.name = name;
	return ref;
}

static void make(struct world *w, const char *name)
{
	_cleanup_json_ json_t *obj =
		json_pack("{s:{s:s}, s:{s:s}}", "metadata", "name", name, "spec", "size", "1Gi");

	assert_int_equal(kube_create(w->client, &w->volumes, obj, NULL, NULL), 0);
}

static void drop(struct world *w, const char *name)
{
	struct kube_ref ref = named(w, name);

	assert_int_equal(kube_delete(w->client, &ref, NULL, NULL, NULL), 0);
}

static void grow(struct world *w, const char *name, const char *size)
{
	_cleanup_json_ json_t *patch = json_pack("{s:{s:s}}", "spec", "size", size);
	struct kube_ref ref = named(w, name);

	assert_int_equal(kube_merge(w->client, &ref, patch, NULL, NULL), 0);
}

/* ---- verbs and errors ---- */

static void an_error_says_what_why_and_what_to_do(void **state)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_json_ json_t *bad =
		json_pack("{s:{s:s}, s:{s:s}}", "metadata", "name", "x", "spec", "size", "ten");
	json_t *got = NULL;
	struct kube_ref ref;
	struct world w;

	world_open(&w, 0);
	ref = named(&w, "x");
	assert_int_equal(kube_get(w.client, &ref, &got, &error), -ENOENT);
	assert_int_equal(error.reason, KUBE_NOT_FOUND);
	assert_int_equal(error.retry, KUBE_RETRY_NO);
	assert_non_null(strstr(error.err.text, "GET storagevolumes/x: "));
	assert_int_equal(kube_create(w.client, &w.volumes, bad, NULL, &error), -EDOM);
	assert_int_equal(error.reason, KUBE_INVALID);
	assert_string_equal(kube_str(json_array_get(error.causes, 0), "field"), "spec.size");
	make(&w, "x");
	client_local_fault(w.client, LOCAL_BUSY);
	assert_int_equal(kube_get(w.client, &ref, &got, &error), -EAGAIN);
	assert_int_equal(error.retry, KUBE_RETRY_LATER);
	assert_int_equal(error.retry_after_ms, 7000);
	client_local_fault(w.client, LOCAL_BROKEN);
	assert_int_equal(kube_delete(w.client, &ref, NULL, NULL, &error), -EIO);
	assert_true(error.unknown);
	client_local_fault(w.client, LOCAL_NO_ANSWER);
	assert_int_equal(kube_delete(w.client, &ref, NULL, NULL, &error), -ETIMEDOUT);
	assert_true(error.unknown);
	client_local_fault(w.client, LOCAL_OK);
	assert_int_equal(kube_get(w.client, &ref, &got, &error), -ENOENT);
	world_close(&w);
}

static void a_list_comes_in_pages_of_one_state(void **state)
{
	const struct kube_list_options options = {.limit = 7};
	struct kube_list_options next = options;
	_cleanup_kube_list_ struct kube_list all = {0}, page = {0};
	char name[16];
	struct world w;

	world_open(&w, 0);
	for (int i = 0; i < 30; i++) {
		(void)snprintf(name, sizeof(name), "v%d", i);
		make(&w, name);
	}
	assert_int_equal(kube_list_page(w.client, &w.volumes, &options, &page, NULL), 0);
	assert_int_equal(json_array_size(page.items), 7);
	next.token = page.token;
	drop(&w, "v9");
	assert_int_equal(kube_list_page(w.client, &w.volumes, &next, &all, NULL), 0);
	assert_string_equal(all.version, page.version);
	kube_list_fini(&all);
	assert_int_equal(kube_list(w.client, &w.volumes, &options, &all, NULL), 0);
	assert_int_equal(json_array_size(all.items), 29);
	assert_string_equal(kube_str(json_array_get(all.items, 0), "kind"), "StorageVolume");
	world_close(&w);
}

static void a_stale_update_is_a_conflict(void **state)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_json_ json_t *first = NULL, *stored = NULL;
	struct kube_delete_options gone = {.uid = "00000000-0000-0000-0000-000000000000"};
	struct kube_ref ref;
	struct world w;

	world_open(&w, 0);
	make(&w, "x");
	ref = named(&w, "x");
	assert_int_equal(kube_get(w.client, &ref, &first, NULL), 0);
	grow(&w, "x", "2Gi");
	assert_int_equal(kube_update(w.client, &ref, first, NULL, &error), -EBUSY);
	assert_int_equal(error.retry, KUBE_RETRY_REREAD);
	assert_int_equal(kube_delete(w.client, &ref, &gone, NULL, &error), -EBUSY);
	ref.sub = "status";
	assert_true(kube_condition_set(
		first, &(struct kube_condition){"Ready", "True", "Bound", "it is there", 1},
		fixture_now_ns));
	(void)json_object_del(json_object_get(first, "metadata"), "resourceVersion");
	assert_int_equal(kube_merge(w.client, &ref, first, &stored, NULL), 0);
	assert_true(kube_condition_is(stored, "Ready", "True"));
	assert_string_equal(kube_str(stored, "spec.size"), "2Gi");
	world_close(&w);
}

/* ---- informers ---- */

struct seen {
	struct informer *inf;
	int added, changed, gone;
	char last[64];
};

static void on_change(void *ctx, const json_t *old, const json_t *obj)
{
	struct seen *seen = ctx;

	seen->added += !old;
	seen->changed += old && obj;
	seen->gone += !obj;
	(void)kube_key(obj ? obj : old, seen->last, sizeof(seen->last));
}

static bool by_size(const json_t *obj, char *key, size_t size)
{
	int n = snprintf(key, size, "%s", kube_str(obj, "spec.size"));

	return n > 0;
}

static void informer_open(struct world *w, struct seen *seen, struct informer_config config)
{
	*seen = (struct seen){0};
	config.client = w->client;
	config.res = w->volumes.res;
	config.changed = on_change;
	config.ctx = seen;
	config.index = by_size;
	config.clock = &test_clock;
	config.seed = 1;
	assert_int_equal(informer_new(&config, &seen->inf, NULL), 0);
}

/* Until there is nothing to do now. */
static void settle(struct world *w, struct seen *seen)
{
	for (int i = 0; i < 20; i++) {
		bool pumped = client_local_pump(w->client);
		int wait = informer_step(seen->inf);

		if (wait > 0 || (wait < 0 && !pumped && !informer_ended(seen->inf)))
			return;
	}
	fail_msg("the informer does not come to rest");
}

/* The same, and what is due in the next minute. */
static void settle_later(struct world *w, struct seen *seen)
{
	for (int i = 0; i < 10; i++) {
		now_ms += 6000;
		settle(w, seen);
	}
}

static void an_informer_follows(void **state)
{
	struct informer_stats stats;
	struct seen seen;
	struct world w;
	json_t *found;

	world_open(&w, 0);
	make(&w, "a");
	make(&w, "b");
	informer_open(&w, &seen, (struct informer_config){0});
	assert_false(informer_synced(seen.inf));
	settle(&w, &seen);
	assert_true(informer_synced(seen.inf));
	assert_int_equal(seen.added, 2);
	make(&w, "c");
	grow(&w, "a", "2Gi");
	drop(&w, "b");
	settle(&w, &seen);
	assert_int_equal(seen.added, 3);
	assert_int_equal(seen.changed, 1);
	assert_int_equal(seen.gone, 1);
	assert_int_equal(informer_count(seen.inf), 2);
	assert_null(informer_get(seen.inf, NULL, "b"));
	found = informer_find(seen.inf, "2Gi");
	assert_int_equal(json_array_size(found), 1);
	assert_string_equal(kube_name(json_array_get(found, 0)), "a");
	json_decref(found);
	informer_stats(seen.inf, &stats);
	assert_int_equal(stats.lists, 1);
	informer_free(seen.inf);
	world_close(&w);
}

static void a_cut_watch_goes_on_where_it_was(void **state)
{
	struct informer_stats stats;
	struct seen seen;
	struct world w;

	world_open(&w, 0);
	make(&w, "a");
	informer_open(&w, &seen, (struct informer_config){0});
	settle(&w, &seen);
	for (int i = 0; i < 4; i++) {
		client_local_cut(w.client, i & 1);
		make(&w, i & 2 ? (i & 1 ? "e" : "d") : (i & 1 ? "c" : "b"));
		settle_later(&w, &seen);
	}
	client_local_cut(w.client, true);
	drop(&w, "a");
	client_local_fault(w.client, LOCAL_DOWN);
	settle_later(&w, &seen);
	assert_int_equal(seen.gone, 0);
	client_local_fault(w.client, LOCAL_OK);
	settle_later(&w, &seen);
	assert_int_equal(seen.gone, 1);
	assert_int_equal(seen.added, 5);
	assert_int_equal(seen.changed, 0);
	informer_stats(seen.inf, &stats);
	assert_int_equal(stats.lists, 1);
	informer_free(seen.inf);
	world_close(&w);
}

/* The history that the watch would need is gone, and with it the event of the deletion. */
static void a_deletion_is_not_lost_with_the_history(void **state)
{
	struct informer_stats stats;
	struct seen seen;
	struct world w;

	world_open(&w, 5);
	make(&w, "a");
	make(&w, "b");
	informer_open(&w, &seen, (struct informer_config){0});
	settle(&w, &seen);
	client_local_cut(w.client, true);
	drop(&w, "a");
	for (int i = 0; i < 20; i++) {
		make(&w, "x");
		drop(&w, "x");
	}
	(void)api_work(w.fx.api);
	settle_later(&w, &seen);
	assert_int_equal(seen.gone, 1);
	assert_string_equal(seen.last, "a");
	assert_int_equal(informer_count(seen.inf), 1);
	informer_stats(seen.inf, &stats);
	assert_int_equal(stats.lists, 2);
	make(&w, "c");
	settle(&w, &seen);
	assert_int_equal(informer_count(seen.inf), 2);
	informer_free(seen.inf);
	world_close(&w);
}

static void one_that_was_made_anew_is_told(void **state)
{
	struct seen seen;
	struct world w;

	world_open(&w, 0);
	make(&w, "a");
	informer_open(&w, &seen, (struct informer_config){.outage_ms = 1000});
	settle(&w, &seen);
	client_local_cut(w.client, true);
	drop(&w, "a");
	make(&w, "a");
	settle_later(&w, &seen); /* the outage was long: it lists */
	assert_int_equal(seen.added + seen.changed, 2);
	assert_int_equal(informer_count(seen.inf), 1);
	informer_free(seen.inf);
	world_close(&w);
}

static void a_server_that_is_down_is_not_asked_without_pause(void **state)
{
	struct seen seen;
	struct world w;
	uint64_t calls;

	world_open(&w, 0);
	informer_open(&w, &seen, (struct informer_config){0});
	client_local_fault(w.client, LOCAL_DOWN);
	log_set_level(LOG_LEVEL_ERROR);
	for (int i = 0; i < 36000; i++) { /* an hour */
		now_ms += 100;
		(void)informer_step(seen.inf);
	}
	log_set_level(LOG_LEVEL_INFO);
	calls = client_local_calls(w.client);
	assert_in_range(calls, 3600 / 30, 3600 / 15 + 20);
	client_local_fault(w.client, LOCAL_OK);
	settle_later(&w, &seen);
	assert_true(informer_synced(seen.inf));
	informer_free(seen.inf);
	world_close(&w);
}

/* ---- leases ---- */

static struct leader *candidate(struct world *w, const char *name)
{
	struct leader *l = NULL;
	const struct leader_config config = {.client = w->client,
					     .ns = "default",
					     .name = "controller",
					     .identity = name,
					     .clock = &test_clock};

	assert_int_equal(leader_new(&config, &l, NULL), 0);
	return l;
}

static void one_leads_and_a_stopped_one_does_nothing(void **state)
{
	struct leader *a, *b;
	struct world w;
	uint64_t epoch;

	world_open(&w, 0);
	a = candidate(&w, "a");
	b = candidate(&w, "b");
	(void)leader_step(a);
	(void)leader_step(b);
	assert_true(leader_is(a));
	assert_false(leader_is(b));
	epoch = leader_epoch(a);
	for (int i = 0; i < 20; i++) { /* a renews: b waits */
		now_ms += 2000;
		assert_int_equal(leader_step(a), 2000);
		(void)leader_step(b);
		assert_true(leader_is(a));
		assert_false(leader_is(b));
	}
	/* a is stopped. It stops leading by itself before b may begin. */
	now_ms += 9999;
	(void)leader_step(b);
	assert_true(leader_is(a));
	now_ms += 1;
	assert_false(leader_is(a));
	(void)leader_step(b);
	assert_false(leader_is(b));
	now_ms += 5000;
	(void)leader_step(b);
	assert_true(leader_is(b));
	assert_true(leader_epoch(b) > epoch);
	/* a wakes up. */
	(void)leader_step(a);
	assert_false(leader_is(a));
	assert_true(leader_is(b));
	leader_release(b);
	assert_false(leader_is(b));
	(void)leader_step(a);
	assert_true(leader_is(a));
	leader_free(a);
	leader_free(b);
	world_close(&w);
}

static void no_answer_makes_no_leader(void **state)
{
	struct leader *a, *b;
	struct world w;

	world_open(&w, 0);
	a = candidate(&w, "a");
	b = candidate(&w, "b");
	client_local_fault(w.client, LOCAL_NO_ANSWER);
	(void)leader_step(a); /* a read without an answer */
	(void)leader_step(a);
	assert_false(leader_is(a));
	client_local_fault(w.client, LOCAL_OK);
	(void)leader_step(a);
	assert_true(leader_is(a));
	/* The renewal was taken, a does not know it. */
	now_ms += 9000;
	client_local_fault(w.client, LOCAL_NO_ANSWER);
	(void)leader_step(a);
	now_ms += 1000;
	assert_false(leader_is(a));
	client_local_fault(w.client, LOCAL_OK);
	(void)leader_step(b);
	assert_false(leader_is(b));
	(void)leader_step(a);
	assert_true(leader_is(a));
	leader_free(a);
	leader_free(b);
	world_close(&w);
}

/* ---- events ---- */

static size_t count_events(struct world *w, const char *field, const char *value)
{
	const struct kube_ref ref = {.res = kube_resource_by_kind("Event"), .ns = "default"};
	_cleanup_kube_list_ struct kube_list list = {0};
	size_t n = 0;

	assert_int_equal(kube_list(w->client, &ref, NULL, &list, NULL), 0);
	for (size_t i = 0; i < json_array_size(list.items); i++)
		n += !strcmp(kube_str(json_array_get(list.items, i), field), value);
	return n;
}

static struct events *recorder(struct world *w, uint32_t burst)
{
	const struct events_config config = {.client = w->client,
					     .component = "litepool-test",
					     .instance = "here",
					     .clock = &test_clock,
					     .burst = burst};
	struct events *ev = NULL;

	assert_int_equal(events_new(&config, &ev, NULL), 0);
	return ev;
}

static void the_same_event_is_counted(void **state)
{
	_cleanup_json_ json_t *volume = NULL;
	_cleanup_kube_list_ struct kube_list list = {0};
	struct kube_ref ref, events_ref = {.res = kube_resource_by_kind("Event"), .ns = "default"};
	struct events_stats stats;
	struct events *ev;
	struct world w;

	world_open(&w, 0);
	make(&w, "x");
	ref = named(&w, "x");
	assert_int_equal(kube_get(w.client, &ref, &volume, NULL), 0);
	ev = recorder(&w, 100);
	for (int i = 0; i < 5; i++) {
		events_record(ev, volume, "Warning", "NoSpace", "no pool has %d GiB", 1);
		if (i != 2)
			events_flush(ev);
	}
	assert_int_equal(kube_list(w.client, &events_ref, NULL, &list, NULL), 0);
	assert_int_equal(json_array_size(list.items), 1);
	assert_int_equal(json_integer_value(kube_at(json_array_get(list.items, 0), "count")), 5);
	for (int i = 0; i < 30; i++)
		events_record(ev, volume, "Warning", "Slow", "it took %d ms", i);
	events_flush(ev);
	assert_int_equal(count_events(&w, "reason", "Slow"), 11);
	events_stats(ev, &stats);
	assert_int_equal(stats.silenced, 0);
	events_free(ev);
	world_close(&w);
}

static void a_noisy_object_is_silenced_and_a_lost_event_sent_again(void **state)
{
	_cleanup_json_ json_t *volume = NULL;
	struct kube_ref ref;
	struct events_stats stats;
	struct events *ev;
	struct world w;

	world_open(&w, 0);
	make(&w, "x");
	ref = named(&w, "x");
	assert_int_equal(kube_get(w.client, &ref, &volume, NULL), 0);
	ev = recorder(&w, 3);
	client_local_fault(w.client, LOCAL_DOWN);
	events_record(ev, volume, "Normal", "Bound", "pool p");
	assert_true(events_step(ev) > 0);
	client_local_fault(w.client, LOCAL_OK);
	events_flush(ev);
	assert_int_equal(count_events(&w, "reason", "Bound"), 1);
	for (int i = 0; i < 10; i++)
		events_record(ev, volume, "Normal", "Bound", "pool p");
	events_stats(ev, &stats);
	assert_int_equal(stats.silenced, 8);
	now_ms += 300000;
	events_record(ev, volume, "Normal", "Bound", "pool p");
	events_stats(ev, &stats);
	assert_int_equal(stats.silenced, 8);
	events_free(ev);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_says_what_why_and_what_to_do),
		cmocka_unit_test(a_list_comes_in_pages_of_one_state),
		cmocka_unit_test(a_stale_update_is_a_conflict),
		cmocka_unit_test(an_informer_follows),
		cmocka_unit_test(a_cut_watch_goes_on_where_it_was),
		cmocka_unit_test(a_deletion_is_not_lost_with_the_history),
		cmocka_unit_test(one_that_was_made_anew_is_told),
		cmocka_unit_test(a_server_that_is_down_is_not_asked_without_pause),
		cmocka_unit_test(one_leads_and_a_stopped_one_does_nothing),
		cmocka_unit_test(no_answer_makes_no_leader),
		cmocka_unit_test(the_same_event_is_counted),
		cmocka_unit_test(a_noisy_object_is_silenced_and_a_lost_event_sent_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
