/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was recorded is kept as series: everything that counts as "the same". A series that has changed since it was sent stands in the
 * list `dirty`. At most SERIES_MAX are kept; the one used longest ago is forgotten, so its next Event is a new one.
 */
#include "kube/events.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/list.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "kube/client.h"
#include "kube/meta.h"
#include "kube/text.h"
#include "rt/lock.h"

#define SERIES_MAX   1024
#define SIMILAR_MAX  10     /* different messages of one reason, then they are combined */
#define SIMILAR_MS   600000 /* after so long without one it begins anew */
#define BURST        25
#define REFILL_MS    300000
#define TRIES_MAX    5
#define RETRY_MS     1000
#define MESSAGE_SIZE 1024
#define KEY_SIZE     1536

/* Of all Events about one object with one reason. */
struct similar {
	struct list link; /* the longest unused first */
	char key[KEY_SIZE];
	uint32_t messages; /* different ones */
	uint64_t used_ms;
	/* Of the object: a bucket of Events. */
	double tokens;
};

struct series {
	struct list link;  /* the longest unused first */
	struct list dirty; /* when there is something to send */
	char key[KEY_SIZE];
	json_t *event; /* owned: as it is to be at the server */
	bool there;    /* it is at the server */
	unsigned tries;
};

struct events {
	struct events_config config;
	struct background *background;
	struct lock *lock; /* protects what follows */
	struct strmap series_map, similar_map;
	struct list series, similar, dirty;
	uint64_t number;
	struct events_stats stats;
};

/* ---- keeping ---- */

static void series_drop(struct events *ev, struct series *s)
{
	(void)strmap_remove(&ev->series_map, s->key);
	list_remove(&s->link);
	if (list_linked(&s->dirty)) {
		list_remove(&s->dirty);
		ev->stats.dropped++;
	}
	json_decref(s->event);
	free(s);
}

static void similar_drop(struct events *ev, struct similar *s)
{
	(void)strmap_remove(&ev->similar_map, s->key);
	list_remove(&s->link);
	free(s);
}

static struct series *series_new(struct events *ev, const char *key)
{
	struct series *s = calloc(1, sizeof(*s));

	if (!s || strmap_set(&ev->series_map, key, s, NULL)) {
		free(s);
		return NULL;
	}
	(void)str_copy(s->key, sizeof(s->key), key);
	list_push_back(&ev->series, &s->link);
	if (ev->series_map.count > SERIES_MAX)
		series_drop(ev, container_of(ev->series.next, struct series, link));
	return s;
}

/* Found or made; used now. */
static struct similar *similar_of(struct events *ev, const char *key, uint64_t now_ms)
{
	struct similar *s = strmap_get(&ev->similar_map, key);

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s || strmap_set(&ev->similar_map, key, s, NULL)) {
			free(s);
			return NULL;
		}
		(void)str_copy(s->key, sizeof(s->key), key);
		s->tokens = ev->config.burst;
		s->used_ms = now_ms;
		list_push_back(&ev->similar, &s->link);
		if (ev->similar_map.count > SERIES_MAX)
			similar_drop(ev, container_of(ev->similar.next, struct similar, link));
		return s;
	}
	list_remove(&s->link);
	list_push_back(&ev->similar, &s->link);
	return s;
}

/* One Event of the object's: false when its bucket is empty. */
static bool object_may(struct events *ev, const char *uid, uint64_t now_ms)
{
	struct similar *s = similar_of(ev, uid, now_ms);

	if (!s)
		return false;
	s->tokens += (double)(now_ms - s->used_ms) / ev->config.refill_ms;
	if (s->tokens > ev->config.burst)
		s->tokens = ev->config.burst;
	s->used_ms = now_ms;
	if (s->tokens < 1)
		return false;
	s->tokens -= 1;
	return true;
}

/* ---- recording ---- */

static json_t *reference_to(const json_t *about)
{
	static const char *const names[] = {"namespace", "name", "uid", "resourceVersion"};
	json_t *ref = json_pack("{s:s, s:s}", "kind", kube_str(about, "kind"), "apiVersion",
				kube_str(about, "apiVersion"));

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		json_t *value = json_object_get(json_object_get(about, "metadata"), names[i]);

		if (json_is_string(value))
			(void)json_object_set(ref, names[i], value);
	}
	return ref;
}

static json_t *event_new(struct events *ev, const json_t *about, const char *type,
			 const char *reason, const char *now)
{
	const char *ns = kube_namespace(about);
	char name[KUBE_NAME_MAX + 1];

	(void)snprintf(name, sizeof(name), "%.200s.%016" PRIx64, kube_name(about),
		       kube_wall_ns(ev->config.clock) + ev->number++);
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:o, s:s, s:s, s:s, s:s, s:s, s:i, s:{s:s, "
			 "s:s}, s:s, s:s}",
			 "apiVersion", "v1", "kind", "Event", "metadata", "name", name, "namespace",
			 ns[0] ? ns : "default", "involvedObject", reference_to(about), "type",
			 type, "reason", reason, "message", "", "firstTimestamp", now,
			 "lastTimestamp", now, "count", 0, "source", "component",
			 ev->config.component, "host", ev->config.instance, "reportingComponent",
			 ev->config.component, "reportingInstance", ev->config.instance);
}

struct record {
	const json_t *about;
	const char *type, *reason;
	char message[MESSAGE_SIZE];
	char about_key[KEY_SIZE / 4], similar_key[KEY_SIZE / 2], key[KEY_SIZE];
};

/* Which series it belongs to: its own, or the one of all messages of this reason. NULL: it is not to be told. */
static struct series *series_of(struct events *ev, struct record *rec, uint64_t now_ms)
{
	struct series *s = strmap_get(&ev->series_map, rec->key);
	struct similar *similar;

	if (s)
		return s;
	similar = similar_of(ev, rec->similar_key, now_ms);
	if (!similar)
		return NULL;
	if (now_ms - similar->used_ms >= SIMILAR_MS)
		similar->messages = 0;
	similar->used_ms = now_ms;
	if (++similar->messages <= SIMILAR_MAX)
		return series_new(ev, rec->key);
	(void)snprintf(rec->key, sizeof(rec->key), "%s (combined)", rec->similar_key);
	s = strmap_get(&ev->series_map, rec->key);
	return s ? s : series_new(ev, rec->key);
}

static void record_locked(struct events *ev, struct record *rec)
{
	uint64_t now_ms = kube_mono_ms(ev->config.clock);
	char now[KUBE_TIME_SIZE];
	struct series *s;

	ev->stats.recorded++;
	(void)kube_time_format(kube_wall_ns(ev->config.clock), false, now, sizeof(now));
	s = series_of(ev, rec, now_ms);
	if (!s || !object_may(ev, rec->about_key, now_ms)) {
		ev->stats.silenced++;
		if (s && !s->event)
			series_drop(ev, s);
		return;
	}
	list_remove(&s->link);
	list_push_back(&ev->series, &s->link);
	if (!s->event)
		s->event = event_new(ev, rec->about, rec->type, rec->reason, now);
	(void)json_object_set_new(s->event, "message", json_string(rec->message));
	(void)json_object_set_new(s->event, "lastTimestamp", json_string(now));
	(void)json_object_set_new(
		s->event, "count",
		json_integer(json_integer_value(json_object_get(s->event, "count")) + 1));
	s->tries = 0;
	if (!list_linked(&s->dirty))
		list_push_back(&ev->dirty, &s->dirty);
}

void events_record(struct events *ev, const json_t *about, const char *type, const char *reason,
		   const char *fmt, ...)
{
	struct record *rec = calloc(1, sizeof(*rec));
	va_list args;

	if (!rec)
		return;
	rec->about = about;
	rec->type = type;
	rec->reason = reason;
	va_start(args, fmt);
	(void)vsnprintf(rec->message, sizeof(rec->message), fmt, args);
	va_end(args);
	(void)snprintf(rec->about_key, sizeof(rec->about_key), "%s/%s/%s", kube_str(about, "kind"),
		       kube_name(about), kube_uid(about));
	(void)snprintf(rec->similar_key, sizeof(rec->similar_key), "%s/%s/%.128s", rec->about_key,
		       type, reason);
	(void)snprintf(rec->key, sizeof(rec->key), "%s/%.*s", rec->similar_key, KEY_SIZE / 2 - 2,
		       rec->message);
	lock_take(ev->lock);
	record_locked(ev, rec);
	lock_drop(ev->lock);
	free(rec);
	if (ev->background)
		background_kick(ev->background);
}

/* ---- sending ---- */

/* What is to be sent now, as a copy; the series may be forgotten meanwhile. */
static json_t *next_dirty(struct events *ev, char *ret_key, bool *ret_there)
{
	json_t *event = NULL;

	lock_take(ev->lock);
	if (!list_empty(&ev->dirty)) {
		struct series *s = container_of(ev->dirty.next, struct series, dirty);

		list_remove(&s->dirty);
		event = json_deep_copy(s->event);
		*ret_there = s->there;
		(void)str_copy(ret_key, KEY_SIZE, s->key);
	}
	lock_drop(ev->lock);
	return event;
}

static int deliver(struct events *ev, const json_t *event, bool there, struct kube_error *error)
{
	const struct kube_ref ref = {.res = kube_resource_by_kind("Event"),
				     .ns = kube_str(event, "metadata.namespace"),
				     .name = kube_str(event, "metadata.name")};
	_cleanup_json_ json_t *patch = json_pack(
		"{s:O, s:O, s:O}", "message", json_object_get(event, "message"), "lastTimestamp",
		json_object_get(event, "lastTimestamp"), "count", json_object_get(event, "count"));
	int rc = -ENOENT;

	if (there)
		rc = kube_merge(ev->config.client, &ref, patch, NULL, error);
	/* Events expire at the server. */
	if (rc == -ENOENT)
		rc = kube_create(ev->config.client, &ref, event, NULL, error);
	return rc == -EEXIST ? 0 : rc;
}

/* Whether to try again later. */
static bool note_sent(struct events *ev, const char *key, bool sent, bool retry)
{
	struct series *s;
	bool again = false;

	lock_take(ev->lock);
	s = strmap_get(&ev->series_map, key);
	ev->stats.sent += sent;
	if (s && sent) {
		s->there = true;
		s->tries = 0;
	} else if (s && retry && ++s->tries < TRIES_MAX) {
		if (!list_linked(&s->dirty))
			list_push_front(&ev->dirty, &s->dirty);
		again = true;
	} else if (!sent) {
		ev->stats.dropped++;
	}
	lock_drop(ev->lock);
	return again;
}

int events_step(struct events *ev)
{
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_json_ json_t *event = NULL;
	char key[KEY_SIZE];
	bool there = false;
	int rc;

	event = next_dirty(ev, key, &there);
	if (!event)
		return -1;
	rc = deliver(ev, event, there, &error);
	if (rc)
		log_limited(LOG_LEVEL_WARN, "kube.event.failed", "error=\"%s\"", error.err.text);
	if (note_sent(ev, key, !rc, error.retry == KUBE_RETRY_LATER))
		return error.retry_after_ms > RETRY_MS ? (int)error.retry_after_ms : RETRY_MS;
	return 0;
}

void events_flush(struct events *ev)
{
	while (events_step(ev) == 0)
		;
}

void events_stats(struct events *ev, struct events_stats *ret)
{
	lock_take(ev->lock);
	*ret = ev->stats;
	lock_drop(ev->lock);
}

static int step(void *ctx)
{
	return events_step(ctx);
}

int events_start(struct events *ev, struct err *err)
{
	return background_new(step, ev, &ev->background, err);
}

int events_new(const struct events_config *config, struct events **ret, struct err *err)
{
	struct events *ev = calloc(1, sizeof(*ev));

	if (!ev || lock_new(&ev->lock)) {
		free(ev);
		return err_set(err, -ENOMEM, "no memory for a recorder of events");
	}
	ev->config = *config;
	if (!ev->config.clock)
		ev->config.clock = kube_clock_host();
	if (!ev->config.burst)
		ev->config.burst = BURST;
	if (!ev->config.refill_ms)
		ev->config.refill_ms = REFILL_MS;
	list_init(&ev->series);
	list_init(&ev->similar);
	list_init(&ev->dirty);
	*ret = ev;
	return 0;
}

void events_free(struct events *ev)
{
	if (!ev)
		return;
	background_free(ev->background);
	while (!list_empty(&ev->series))
		series_drop(ev, container_of(ev->series.next, struct series, link));
	while (!list_empty(&ev->similar))
		similar_drop(ev, container_of(ev->similar.next, struct similar, link));
	strmap_fini(&ev->series_map);
	strmap_fini(&ev->similar_map);
	lock_free(ev->lock);
	free(ev);
}
