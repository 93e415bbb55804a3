/* SPDX-License-Identifier: Apache-2.0 */
/* Lists and watches tell one story: a list at any version and the events after it make the list now. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/rng.h"
#include "fixture.h"
#include "kube/meta.h"
#include "kube/text.h"

#define NAMES 12
#define STEPS 600

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_open(f, 200, 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	fixture_close(*state);
	free(*state);
	return 0;
}

/* One random change; some fail, which is fine. */
static void step(struct fixture *f, struct rng *rng)
{
	unsigned n = (unsigned)rng_below(rng, NAMES);
	char target[128], name[16], labels[64];

	(void)snprintf(name, sizeof(name), "v%u", n);
	(void)snprintf(target, sizeof(target), VOLUMES "/%s", name);
	(void)snprintf(labels, sizeof(labels), ",\"labels\":{\"t\":\"%u\"}",
		       (unsigned)rng_below(rng, 3));
	(void)snprintf(f->content_type, sizeof(f->content_type), "application/json");
	switch (rng_below(rng, 5)) {
	case 0:
	case 1:
		(void)create_volume(f, name, labels);
		break;
	case 2:
		(void)call(f, "DELETE", target, NULL, NULL);
		break;
	default:
		(void)snprintf(f->content_type, sizeof(f->content_type),
			       "application/merge-patch+json");
		(void)call(f, "PATCH", target, NULL, "{\"metadata\":{\"labels\":{\"t\":\"%u\"}}}",
			   (unsigned)rng_below(rng, 3));
	}
}

/* name -> object */
static json_t *as_map(const json_t *list)
{
	const json_t *items = json_object_get(list, "items");
	json_t *map = json_object();

	for (size_t i = 0; i < json_array_size(items); i++) {
		json_t *obj = json_array_get(items, i);

		json_object_set(map, kube_name(obj), obj);
	}
	return map;
}

static void apply(json_t *map, const json_t *event, uint64_t *version)
{
	const char *type = kube_str(event, "type");
	json_t *obj = json_object_get(event, "object");
	bool known = json_object_get(map, kube_name(obj)) != NULL;

	assert_true(kube_resource_version(obj) > *version);
	*version = kube_resource_version(obj);
	if (!strcmp(type, "DELETED")) {
		assert_true(known);
		json_object_del(map, kube_name(obj));
		return;
	}
	assert_string_equal(type, known ? "MODIFIED" : "ADDED");
	json_object_set(map, kube_name(obj), obj);
}

static void story_holds_from(struct fixture *f, uint64_t version, const char *selector,
			     const json_t *now)
{
	_cleanup_json_ json_t *list = NULL, *map = NULL, *pending = NULL;
	char target[256];
	struct api_watch *w;
	json_t *event;

	(void)snprintf(target, sizeof(target),
		       VOLUMES "?resourceVersion=%" PRIu64 "&resourceVersionMatch=Exact%s", version,
		       selector);
	assert_int_equal(call(f, "GET", target, &list, NULL), 200);
	map = as_map(list);
	(void)snprintf(target, sizeof(target), VOLUMES "?watch=1&resourceVersion=%" PRIu64 "%s",
		       version, selector);
	w = watch_open(f, target);
	while ((event = watch_event(w, &pending))) {
		apply(map, event, &version);
		json_decref(event);
	}
	api_watch_free(w);
	assert_true(json_equal(map, now));
}

static void list_and_events_from_any_version_make_the_list_now(void **state)
{
	static const char *const selectors[] = {"", "&labelSelector=t%3D1",
						"&fieldSelector=metadata.name%3Dv3"};
	struct fixture *f = *state;
	struct rng rng;

	rng_seed(&rng, 20261);
	for (int i = 0; i < STEPS; i++) {
		step(f, &rng);
		if (i % 16 == 0)
			(void)api_work(f->api);
	}
	for (size_t s = 0; s < ARRAY_LEN(selectors); s++) {
		_cleanup_json_ json_t *list = NULL, *now = NULL;
		uint64_t version, from;
		char target[256];

		(void)snprintf(target, sizeof(target), VOLUMES "?x%s", selectors[s]);
		assert_int_equal(call(f, "GET", target, &list, NULL), 200);
		now = as_map(list);
		version = kube_resource_version(list);
		assert_true(version > 150);
		from = version > 150 ? version - 150 : 1;
		for (uint64_t v = from; v <= version; v++)
			story_holds_from(f, v, selectors[s], now);
	}
}

static void pages_show_the_state_of_the_first(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *whole = NULL, *seen = json_array();
	struct rng rng;
	char target[1024] = VOLUMES "?limit=2";
	int pages = 0;

	rng_seed(&rng, 7);
	for (int i = 0; i < 40; i++)
		step(f, &rng);
	assert_int_equal(call(f, "GET", VOLUMES, &whole, NULL), 200);
	for (;; pages++) {
		_cleanup_json_ json_t *page = NULL;

		assert_int_equal(call(f, "GET", target, &page, NULL), 200);
		assert_int_equal(kube_resource_version(page), kube_resource_version(whole));
		assert_true(json_array_size(json_object_get(page, "items")) <= 2);
		json_array_extend(seen, json_object_get(page, "items"));
		if (!kube_str(page, "metadata.continue")[0])
			break;
		(void)snprintf(target, sizeof(target), VOLUMES "?limit=2&continue=%s",
			       kube_str(page, "metadata.continue"));
		step(f, &rng);
	}
	assert_true(pages > 1);
	assert_true(json_equal(seen, json_object_get(whole, "items")));
}

static void what_history_forgot_is_410(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *first = NULL, *status = NULL, *event = NULL, *pending = NULL;
	char target[1024];
	struct rng rng;
	struct api_watch *w;

	rng_seed(&rng, 9);
	for (int i = 0; i < 20; i++)
		step(f, &rng);
	assert_int_equal(call(f, "GET", VOLUMES "?limit=1", &first, NULL), 200);
	for (int i = 0; i < 600; i++) {
		step(f, &rng);
		if (i % 16 == 0)
			(void)api_work(f->api);
	}
	(void)snprintf(target, sizeof(target), VOLUMES "?limit=1&continue=%s",
		       kube_str(first, "metadata.continue"));
	assert_int_equal(call(f, "GET", target, &status, NULL), 410);
	assert_string_equal(kube_str(status, "reason"), "Expired");
	w = watch_open(f, VOLUMES "?watch=1&resourceVersion=5");
	event = watch_event(w, &pending);
	assert_string_equal(kube_str(event, "type"), "ERROR");
	assert_int_equal(json_integer_value(kube_at(event, "object.code")), 410);
	assert_null(watch_event(w, &pending));
	api_watch_free(w);
}

static void bookmarks_tell_how_far_a_watch_is(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *list = NULL, *mark = NULL, *pending = NULL;
	struct api_watch *w =
		watch_open(f, VOLUMES "?watch=true&resourceVersion=1&allowWatchBookmarks=true");

	assert_null(watch_event(w, &pending));
	/* Changes of another kind move it on, too. */
	assert_int_equal(call(f, "POST", LEASES, NULL, "{\"metadata\":{\"name\":\"l\"}}"), 201);
	assert_null(watch_event(w, &pending));
	fixture_now_ns = api_watch_due(w);
	mark = watch_event(w, &pending);
	assert_string_equal(kube_str(mark, "type"), "BOOKMARK");
	assert_int_equal(call(f, "GET", VOLUMES, &list, NULL), 200);
	assert_string_equal(kube_str(mark, "object.metadata.resourceVersion"),
			    kube_str(list, "metadata.resourceVersion"));
	api_watch_free(w);
}

/* History keeps 200 changes, and nobody asks this watch, for nothing of its kind changes: it is only looked at, as the HTTP front does. */
static void changes_of_other_kinds_neither_wake_a_watch_nor_leave_it_behind(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *event = NULL, *pending = NULL;
	struct api_watch *w = watch_open(f, VOLUMES "?watch=true&resourceVersion=1");

	assert_null(watch_event(w, &pending));
	for (int i = 0; i < 600; i++) {
		assert_int_equal(
			call(f, "POST", LEASES, NULL, "{\"metadata\":{\"generateName\":\"l-\"}}"),
			201);
		(void)api_work(f->api);
		assert_false(api_watch_behind(w));
	}
	assert_int_equal(create_volume(f, "a", ""), 201);
	assert_true(api_watch_behind(w));
	event = watch_event(w, &pending);
	assert_string_equal(kube_str(event, "type"), "ADDED");
	assert_null(watch_event(w, &pending));
	assert_false(api_watch_behind(w));
	api_watch_free(w);
}

static void a_watch_ends_at_its_time(void **state)
{
	struct fixture *f = *state;
	struct api_watch *w =
		watch_open(f, VOLUMES "?watch=true&resourceVersion=1&timeoutSeconds=3");
	size_t len;
	char *text;

	assert_int_equal(api_watch_next(w, &text, &len), API_WATCH_IDLE);
	fixture_now_ns = api_watch_due(w);
	assert_int_equal(api_watch_next(w, &text, &len), API_WATCH_END);
	api_watch_free(w);
}

static void initial_events_end_with_a_marked_bookmark(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *a = NULL, *b = NULL, *pending = NULL;
	struct api_watch *w;

	assert_int_equal(create_volume(f, "a", ""), 201);
	w = watch_open(f, VOLUMES "?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&"
				  "resourceVersionMatch=NotOlderThan");
	a = watch_event(w, &pending);
	b = watch_event(w, &pending);
	assert_string_equal(kube_str(a, "type"), "ADDED");
	assert_string_equal(kube_str(b, "type"), "BOOKMARK");
	assert_non_null(json_object_get(kube_at(b, "object.metadata.annotations"),
					"k8s.io/initial-events-end"));
	api_watch_free(w);
}

static void a_table_watch_names_its_columns_once(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *a = NULL, *b = NULL, *pending = NULL;
	struct api_watch *w;

	assert_int_equal(create_volume(f, "a", ""), 201);
	assert_int_equal(create_volume(f, "b", ""), 201);
	(void)snprintf(f->accept, sizeof(f->accept),
		       "application/json;as=Table;v=v1;g=meta.k8s.io");
	w = watch_open(f, VOLUMES "?watch=1");
	a = watch_event(w, &pending);
	b = watch_event(w, &pending);
	assert_true(json_array_size(kube_at(a, "object.columnDefinitions")) > 2);
	assert_true(json_is_null(kube_at(b, "object.columnDefinitions")));
	api_watch_free(w);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(list_and_events_from_any_version_make_the_list_now),
		T(pages_show_the_state_of_the_first),
		T(what_history_forgot_is_410),
		T(bookmarks_tell_how_far_a_watch_is),
		T(changes_of_other_kinds_neither_wake_a_watch_nor_leave_it_behind),
		T(a_watch_ends_at_its_time),
		T(initial_events_end_with_a_marked_bookmark),
		T(a_table_watch_names_its_columns_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
