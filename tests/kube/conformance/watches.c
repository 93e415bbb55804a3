/* SPDX-License-Identifier: Apache-2.0 */
/* Watches: what is told, in which order, and how they end. */
#include "conformance.h"

#include <stdlib.h>

#include "rt/lock.h"

#define EVENTS_MAX 256
#define WAIT_MS    30000

struct heard {
	struct lock *lock; /* protects what follows */
	struct {
		enum kube_event type;
		json_t *obj;
	} events[EVENTS_MAX];
	size_t n;
	bool ended;
	int code;
	int http;
	enum kube_retry retry;
	struct kube_watch *watch;
};

static void on_event(void *ctx, enum kube_event type, json_t *obj)
{
	struct heard *h = ctx;

	lock_take(h->lock);
	if (type != KUBE_BOOKMARK && h->n < EVENTS_MAX) {
		h->events[h->n].type = type;
		h->events[h->n++].obj = json_incref(obj);
	}
	lock_wake(h->lock);
	lock_drop(h->lock);
}

static void on_ended(void *ctx, const struct kube_error *error)
{
	struct heard *h = ctx;

	lock_take(h->lock);
	h->ended = true;
	if (error) {
		h->code = error->err.code;
		h->http = error->http;
		h->retry = error->retry;
	}
	lock_wake(h->lock);
	lock_drop(h->lock);
}

static struct heard *listen_to(struct suite *s, const char *version, const char *labels,
			       uint32_t timeout_s)
{
	const struct kube_ref ref = volume_ref(NULL);
	const struct kube_watch_options options = {
		.version = version, .labels = labels, .timeout_s = timeout_s};
	struct heard *h = calloc(1, sizeof(*h));
	const struct kube_sink sink = {on_event, on_ended, h};

	if (!h || lock_new(&h->lock) ||
	    kube_watch_open(s->client, &ref, &options, &sink, &h->watch, &s->error)) {
		if (h)
			lock_free(h->lock);
		free(h);
		return NULL;
	}
	return h;
}

static void heard_free(struct suite *s, struct heard *h)
{
	if (!h)
		return;
	kube_watch_close(s->client, h->watch);
	for (size_t i = 0; i < h->n; i++)
		json_decref(h->events[i].obj);
	lock_free(h->lock);
	free(h);
}

/* Until there are so many events, or the watch has ended. */
static bool hears(struct heard *h, size_t n)
{
	bool there;

	lock_take(h->lock);
	for (int i = 0; i < WAIT_MS / 100 && h->n < n && !h->ended; i++)
		lock_wait(h->lock, 100);
	there = h->n >= n;
	lock_drop(h->lock);
	return there;
}

static bool is_event(const struct heard *h, size_t i, enum kube_event type, const char *name)
{
	return h->events[i].type == type && !strcmp(kube_name(h->events[i].obj), name);
}

static bool latest(struct suite *s, char *version)
{
	const struct kube_ref ref = volume_ref(NULL);
	const struct kube_list_options options = {.labels = "none=such"};
	_cleanup_kube_list_ struct kube_list list = {0};

	if (kube_list(s->client, &ref, &options, &list, &s->error))
		return false;
	(void)snprintf(version, KUBE_VERSION_SIZE, "%s", list.version);
	return true;
}

static bool annotate(struct suite *s, const char *name, const char *value)
{
	_cleanup_json_ json_t *patch =
		json_pack("{s:{s:{s:s}}}", "metadata", "annotations", "a", value);
	struct kube_ref ref = volume_ref(name);

	return !kube_merge(s->client, &ref, patch, NULL, &s->error);
}

static bool drop(struct suite *s, const char *name)
{
	struct kube_ref ref = volume_ref(name);

	return !kube_delete(s->client, &ref, NULL, NULL, &s->error);
}

struct guard {
	struct suite *s;
	struct heard *h;
};

static void guard_free(struct guard *g)
{
	heard_free(g->s, g->h);
}
#define _cleanup_guard_ __attribute__((cleanup(guard_free)))

static void changes_are_told_in_order(struct suite *s)
{
	_cleanup_guard_ struct guard g = {.s = s};
	const char *a = own_name(s, "a"), *b = own_name(s, "b");
	char version[KUBE_VERSION_SIZE];

	EXPECT(latest(s, version));
	g.h = listen_to(s, version, own_label(s), 60);
	EXPECT(g.h);
	EXPECT(!make_volume(s, a, NULL) && !make_volume(s, b, NULL));
	EXPECT(annotate(s, a, "1") && drop(s, b) && drop(s, a));
	EXPECT(hears(g.h, 5));
	EXPECT(is_event(g.h, 0, KUBE_ADDED, a) && is_event(g.h, 1, KUBE_ADDED, b));
	EXPECT(is_event(g.h, 2, KUBE_MODIFIED, a));
	EXPECT(is_event(g.h, 3, KUBE_DELETED, b) && is_event(g.h, 4, KUBE_DELETED, a));
	EXPECT(!strcmp(kube_str(g.h->events[4].obj, "metadata.annotations.a"), "1"));
	for (size_t i = 1; i < 5; i++)
		EXPECT(strcmp(version_of(g.h->events[i].obj), version_of(g.h->events[i - 1].obj)) !=
		       0);
	EXPECT(!strcmp(kube_str(g.h->events[0].obj, "kind"), "StorageVolume"));
}

static void nothing_between_list_and_watch_is_lost(struct suite *s)
{
	_cleanup_guard_ struct guard g = {.s = s};
	char version[KUBE_VERSION_SIZE], tail[8];

	EXPECT(latest(s, version));
	for (int i = 0; i < 40; i++) {
		(void)snprintf(tail, sizeof(tail), "v%d", i);
		EXPECT(!make_volume(s, own_name(s, tail), NULL));
		if (i == 20)
			g.h = listen_to(s, version, own_label(s), 60);
	}
	EXPECT(g.h && hears(g.h, 40));
	for (int i = 0; i < 40; i++) {
		(void)snprintf(tail, sizeof(tail), "v%d", i);
		EXPECT(is_event(g.h, (size_t)i, KUBE_ADDED, own_name(s, tail)));
	}
}

static void a_selection_is_entered_and_left(struct suite *s)
{
	_cleanup_guard_ struct guard g = {.s = s};
	_cleanup_json_ json_t *in = json_pack("{s:{s:{s:s}}}", "metadata", "labels", "in", "yes");
	_cleanup_json_ json_t *out = json_pack("{s:{s:{s:n}}}", "metadata", "labels", "in");
	const char *a = own_name(s, "a");
	struct kube_ref ref = volume_ref(a);
	char version[KUBE_VERSION_SIZE], labels[128];

	(void)snprintf(labels, sizeof(labels), "%s,in=yes", own_label(s));
	EXPECT(latest(s, version));
	g.h = listen_to(s, version, labels, 60);
	EXPECT(g.h);
	EXPECT(!make_volume(s, a, NULL));
	EXPECT(!kube_merge(s->client, &ref, in, NULL, &s->error));
	EXPECT(annotate(s, a, "1"));
	EXPECT(!kube_merge(s->client, &ref, out, NULL, &s->error));
	EXPECT(annotate(s, a, "2"));
	EXPECT(!kube_merge(s->client, &ref, in, NULL, &s->error));
	EXPECT(drop(s, a));
	EXPECT(hears(g.h, 5));
	EXPECT(is_event(g.h, 0, KUBE_ADDED, a) && is_event(g.h, 1, KUBE_MODIFIED, a));
	EXPECT(is_event(g.h, 2, KUBE_DELETED, a) && is_event(g.h, 3, KUBE_ADDED, a));
	EXPECT(is_event(g.h, 4, KUBE_DELETED, a));
}

static void a_watch_ends_at_its_time(struct suite *s)
{
	_cleanup_guard_ struct guard g = {.s = s};
	char version[KUBE_VERSION_SIZE];

	EXPECT(latest(s, version));
	g.h = listen_to(s, version, own_label(s), 1);
	EXPECT(g.h && !hears(g.h, 1));
	EXPECT(g.h->ended && !g.h->code);
}

static void many_watches_at_once(struct suite *s)
{
	enum { MANY = 30 };
	struct heard *all[MANY] = {NULL};
	char version[KUBE_VERSION_SIZE];
	bool good = latest(s, version);

	for (int i = 0; good && i < MANY; i++) {
		all[i] = listen_to(s, version, own_label(s), 60);
		good = all[i] != NULL;
	}
	good = good && !make_volume(s, own_name(s, "a"), NULL);
	for (int i = 0; good && i < MANY; i++)
		good = hears(all[i], 1);
	for (int i = 0; i < MANY; i++)
		heard_free(s, all[i]);
	EXPECT(good);
}

static void a_bad_selector_is_refused(struct suite *s)
{
	_cleanup_guard_ struct guard g = {.s = s};

	g.h = listen_to(s, "0", "a in (", 10);
	EXPECT(g.h && !hears(g.h, 1));
	EXPECT(g.h->ended && g.h->http == 400);
}

const struct check watch_checks[] = {
	{"changes are told in order", changes_are_told_in_order},
	{"nothing between list and watch is lost", nothing_between_list_and_watch_is_lost},
	{"a selection is entered and left", a_selection_is_entered_and_left},
	{"a watch ends at its time", a_watch_ends_at_its_time},
	{"many watches at once", many_watches_at_once},
	{"a bad selector is refused", a_bad_selector_is_refused},
	{NULL},
};
