/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   LIST -the list is in the copy-> OPEN -the watch is asked for-> WATCHING -it has ended-> OPEN, or LIST when the server has forgotten where we were
 *
 * A failure makes the next try wait, longer with each; an event that arrives ends the series of failures. Between two states there may so be a time
 * `due_ms` before which nothing is done.
 */
#include "kube/informer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/str.h"
#include "kube/cache.h"
#include "kube/client.h"
#include "kube/meta.h"
#include "kube/text.h"
#include "kube/workqueue.h"
#include "rt/lock.h"

#define DELAY_MIN_MS   100
#define DELAY_MAX_MS   30000
#define OUTAGE_MS      300000
#define WATCH_MIN_S    300
#define WATCH_SPREAD_S 300
#define SHIFT_MAX      16

enum informer_state { INFORMER_LIST, INFORMER_OPEN, INFORMER_WATCHING };

struct informer {
	struct informer_config config;
	struct kube_ref ref;
	struct background *background;
	struct kube_watch *watch;
	enum informer_state state;
	uint64_t due_ms;
	struct rng rng;
	/* Under the lock: read by others, or written by the watch thread. */
	struct lock *lock;
	struct cache cache;
	char version[KUBE_VERSION_SIZE];
	bool synced, ended, relist;
	uint32_t failures, retry_after_ms;
	uint64_t contact_ms; /* when we last heard the server */
	struct informer_stats stats;
};

bool kube_key(const json_t *obj, char *key, size_t size)
{
	const char *ns = kube_namespace(obj);
	int n = snprintf(key, size, "%s%s%s", ns, ns[0] ? "/" : "", kube_name(obj));

	return n > 0 && (size_t)n < size;
}

void kube_key_split(const char *key, char *ret_ns, size_t ns_size, const char **ret_name)
{
	const char *slash = strchr(key, '/');

	(void)snprintf(ret_ns, ns_size, "%.*s", slash ? (int)(slash - key) : 0, key);
	*ret_name = slash ? slash + 1 : key;
}

/* ---- the copy ---- */

/* Puts obj into the copy, or takes it out, and tells. On the one thread that has events now. */
static void apply(struct informer *inf, const char *key, json_t *obj)
{
	_cleanup_json_ json_t *old = NULL;
	const json_t *there;
	int rc = 0;
	bool news;

	lock_take(inf->lock);
	there = cache_get(&inf->cache, key);
	news = obj ? !there ||
			       strcmp(kube_str(there, "metadata.resourceVersion"),
				      kube_str(obj, "metadata.resourceVersion")) != 0 ||
			       strcmp(kube_uid(there), kube_uid(obj)) != 0
		   : there != NULL;
	if (news)
		rc = cache_set(&inf->cache, key, obj, &old);
	/* What the copy misses now, the next list brings. */
	if (rc)
		inf->relist = true;
	lock_drop(inf->lock);
	if (news && !rc && inf->config.changed)
		inf->config.changed(inf->config.ctx, old, obj);
}

/* The copy becomes the list: first what has gone, then the rest. */
static void apply_list(struct informer *inf, const struct kube_list *list)
{
	struct strmap names = {0};
	struct strmap_iter it = {0};
	json_t *there = informer_list(inf);
	char key[KUBE_KEY_MAX + 1];
	bool complete = there != NULL;

	for (size_t i = 0; i < json_array_size(list->items); i++)
		if (kube_key(json_array_get(list->items, i), key, sizeof(key)) &&
		    strmap_set(&names, key, json_array_get(list->items, i), NULL))
			complete = false;
	for (size_t i = 0; complete && i < json_array_size(there); i++)
		if (kube_key(json_array_get(there, i), key, sizeof(key)) &&
		    !strmap_get(&names, key))
			apply(inf, key, NULL);
	while (strmap_next(&names, &it))
		apply(inf, it.key, it.value);
	strmap_fini(&names);
	json_decref(there);
	lock_take(inf->lock);
	inf->relist |= !complete;
	lock_drop(inf->lock);
}

/* ---- the watch ---- */

static void on_event(void *ctx, enum kube_event type, json_t *obj)
{
	const char *version = kube_str(obj, "metadata.resourceVersion");
	struct informer *inf = ctx;
	char key[KUBE_KEY_MAX + 1];

	if (type != KUBE_BOOKMARK && kube_name(obj)[0] && kube_key(obj, key, sizeof(key)))
		apply(inf, key, type == KUBE_DELETED ? NULL : obj);
	lock_take(inf->lock);
	/* Without a version we would not know where to go on, and a watch from "" tells no deletions. */
	if (!version[0] || !str_copy(inf->version, sizeof(inf->version), version))
		inf->relist = true;
	inf->contact_ms = kube_mono_ms(inf->config.clock);
	inf->failures = 0;
	inf->stats.events++;
	lock_drop(inf->lock);
}

/* With the lock. */
static void note_failure(struct informer *inf, const struct kube_error *error)
{
	inf->failures++;
	inf->stats.failures++;
	inf->retry_after_ms = error->retry_after_ms;
	if (error->retry == KUBE_RETRY_RELIST)
		inf->relist = true;
}

static void on_ended(void *ctx, const struct kube_error *error)
{
	struct informer *inf = ctx;

	lock_take(inf->lock);
	inf->ended = true;
	inf->retry_after_ms = 0;
	if (error)
		note_failure(inf, error);
	else
		inf->contact_ms = kube_mono_ms(inf->config.clock);
	/* background is set before the first watch. */
	if (inf->background)
		background_kick(inf->background);
	lock_drop(inf->lock);
	if (error && error->retry != KUBE_RETRY_RELIST)
		log_debug("kube.watch.ended", "kind=%s error=\"%s\"", inf->config.res->kind,
			  error->err.text);
}

/* ---- steps ---- */

/* After how long the next try comes. */
static int delay_ms(struct informer *inf)
{
	uint32_t max = inf->config.delay_max_ms;
	uint64_t delay = 0;
	uint32_t failures, asked;

	lock_take(inf->lock);
	failures = inf->failures;
	asked = inf->retry_after_ms;
	lock_drop(inf->lock);
	if (failures > 1)
		delay = (uint64_t)DELAY_MIN_MS
			<< (failures - 2 < SHIFT_MAX ? failures - 2 : SHIFT_MAX);
	if (delay > max)
		delay = max;
	/* Half of it by chance: many clients do not come back at once. */
	if (delay)
		delay = delay / 2 + rng_below(&inf->rng, delay / 2 + 1);
	return (int)(delay > asked ? delay : asked);
}

static int wait_then(struct informer *inf, enum informer_state state)
{
	int delay = delay_ms(inf);

	inf->state = state;
	inf->due_ms = kube_mono_ms(inf->config.clock) + (uint64_t)delay;
	return delay;
}

static int step_list(struct informer *inf)
{
	const struct kube_list_options options = {.labels = inf->config.labels,
						  .fields = inf->config.fields};
	_cleanup_kube_error_ struct kube_error error = {0};
	_cleanup_kube_list_ struct kube_list list = {0};
	int rc = kube_list(inf->config.client, &inf->ref, &options, &list, &error);

	if (rc) {
		log_limited(LOG_LEVEL_WARN, "kube.list.failed", "kind=%s error=\"%s\"",
			    inf->config.res->kind, error.err.text);
		lock_take(inf->lock);
		note_failure(inf, &error);
		lock_drop(inf->lock);
		return wait_then(inf, INFORMER_LIST);
	}
	lock_take(inf->lock);
	inf->relist = false;
	inf->stats.lists++;
	lock_drop(inf->lock);
	apply_list(inf, &list);
	lock_take(inf->lock);
	inf->synced = true;
	inf->contact_ms = kube_mono_ms(inf->config.clock);
	inf->retry_after_ms = 0;
	(void)str_copy(inf->version, sizeof(inf->version), list.version);
	lock_wake(inf->lock);
	lock_drop(inf->lock);
	/* A list that works does not end a series of failures: the watch behind it may be what fails. */
	return wait_then(inf, INFORMER_OPEN);
}

static int step_open(struct informer *inf)
{
	struct kube_sink sink = {.event = on_event, .ended = on_ended, .ctx = inf};
	char version[KUBE_VERSION_SIZE];
	struct kube_watch_options options = {
		.version = version,
		.labels = inf->config.labels,
		.fields = inf->config.fields,
		.timeout_s = WATCH_MIN_S + (uint32_t)rng_below(&inf->rng, WATCH_SPREAD_S),
	};
	_cleanup_kube_error_ struct kube_error error = {0};
	int rc;

	lock_take(inf->lock);
	(void)str_copy(version, sizeof(version), inf->version);
	inf->ended = false;
	inf->stats.watches++;
	lock_drop(inf->lock);
	rc = kube_watch_open(inf->config.client, &inf->ref, &options, &sink, &inf->watch, &error);
	if (rc) {
		lock_take(inf->lock);
		note_failure(inf, &error);
		lock_drop(inf->lock);
		return wait_then(inf, INFORMER_OPEN);
	}
	inf->state = INFORMER_WATCHING;
	return -1;
}

static int step_watching(struct informer *inf)
{
	bool relist;

	if (!informer_ended(inf))
		return -1;
	kube_watch_close(inf->config.client, inf->watch);
	inf->watch = NULL;
	lock_take(inf->lock);
	relist = inf->relist ||
		 kube_mono_ms(inf->config.clock) - inf->contact_ms >= inf->config.outage_ms;
	/* A watch that ends at once without an event, again and again, does not make us ask without a pause. */
	if (!inf->failures)
		inf->failures = 1;
	lock_drop(inf->lock);
	return wait_then(inf, relist ? INFORMER_LIST : INFORMER_OPEN);
}

int informer_step(struct informer *inf)
{
	uint64_t now_ms = kube_mono_ms(inf->config.clock);

	if (now_ms < inf->due_ms)
		return (int)(inf->due_ms - now_ms);
	switch (inf->state) {
	case INFORMER_LIST:
		return step_list(inf);
	case INFORMER_OPEN:
		return step_open(inf);
	case INFORMER_WATCHING:
		return step_watching(inf);
	}
	return -1;
}

bool informer_ended(struct informer *inf)
{
	bool ended;

	lock_take(inf->lock);
	ended = inf->ended;
	lock_drop(inf->lock);
	return ended;
}

/* ---- reading ---- */

bool informer_synced(struct informer *inf)
{
	return informer_wait(inf, 0);
}

bool informer_wait(struct informer *inf, unsigned timeout_ms)
{
	uint64_t end_ms = kube_mono_ms(inf->config.clock) + timeout_ms;
	bool synced;

	lock_take(inf->lock);
	while (!inf->synced) {
		uint64_t now_ms = kube_mono_ms(inf->config.clock);

		if (now_ms >= end_ms)
			break;
		lock_wait(inf->lock, (int)(end_ms - now_ms));
	}
	synced = inf->synced;
	lock_drop(inf->lock);
	return synced;
}

json_t *informer_get(struct informer *inf, const char *ns, const char *name)
{
	char key[KUBE_KEY_MAX + 1];
	json_t *obj;

	(void)snprintf(key, sizeof(key), "%s%s%s", ns ? ns : "", ns && ns[0] ? "/" : "", name);
	lock_take(inf->lock);
	obj = json_incref(cache_get(&inf->cache, key));
	lock_drop(inf->lock);
	return obj;
}

json_t *informer_find(struct informer *inf, const char *key)
{
	json_t *array = json_array();
	int rc;

	lock_take(inf->lock);
	rc = array ? cache_collect(&inf->cache, key, array) : -ENOMEM;
	lock_drop(inf->lock);
	if (!rc)
		return array;
	json_decref(array);
	return NULL;
}

json_t *informer_list(struct informer *inf)
{
	return informer_find(inf, NULL);
}

size_t informer_count(struct informer *inf)
{
	size_t n;

	lock_take(inf->lock);
	n = inf->cache.objects.count;
	lock_drop(inf->lock);
	return n;
}

void informer_stats(struct informer *inf, struct informer_stats *ret)
{
	lock_take(inf->lock);
	*ret = inf->stats;
	(void)str_copy(ret->version, sizeof(ret->version), inf->version);
	lock_drop(inf->lock);
}

/* ---- life ---- */

static int step(void *ctx)
{
	return informer_step(ctx);
}

int informer_start(struct informer *inf, struct err *err)
{
	struct background *background;
	int rc;

	/* The thread's first run waits for the lock, so it finds background set. */
	lock_take(inf->lock);
	rc = background_new(step, inf, &background, err);
	if (!rc)
		inf->background = background;
	lock_drop(inf->lock);
	return rc;
}

int informer_new(const struct informer_config *config, struct informer **ret, struct err *err)
{
	struct informer *inf = calloc(1, sizeof(*inf));

	if (!inf)
		return err_set(err, -ENOMEM, "no memory for an informer");
	inf->config = *config;
	if (!inf->config.clock)
		inf->config.clock = kube_clock_host();
	if (!inf->config.delay_max_ms)
		inf->config.delay_max_ms = DELAY_MAX_MS;
	if (!inf->config.outage_ms)
		inf->config.outage_ms = OUTAGE_MS;
	inf->cache.index_fn = config->index;
	inf->ref = (struct kube_ref){.res = config->res, .ns = config->ns};
	rng_seed(&inf->rng, config->seed ? config->seed : kube_mono_ms(inf->config.clock));
	if (lock_new(&inf->lock)) {
		informer_free(inf);
		return err_set(err, -ENOMEM, "no memory for an informer");
	}
	*ret = inf;
	return 0;
}

void informer_free(struct informer *inf)
{
	struct background *background;

	if (!inf)
		return;
	if (inf->lock) {
		lock_take(inf->lock);
		background = inf->background;
		inf->background = NULL; /* nobody kicks it any more */
		lock_drop(inf->lock);
		background_free(background);
	}
	if (inf->watch)
		kube_watch_close(inf->config.client, inf->watch);
	cache_fini(&inf->cache);
	lock_free(inf->lock);
	free(inf);
}
