/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "controller/control_priv.h"
#include "kube/client.h"
#include "kube/events.h"
#include "kube/informer.h"
#include "kube/leader.h"
#include "kube/meta.h"
#include "kube/workqueue.h"
#include "rt/lock.h"

#define TAKEOVER_RETRY_MS 500
#define RETRY_MIN_MS      20
#define RETRY_MAX_MS      30000
#define VERIFY_MS         5000 /* until an object that no watch has told of is asked for again */
#define RELOAD_MS         2000 /* between two looks at the configuration file */
#define KEYS_A_TURN       64   /* then news are looked at again */

static const char key_letters[OBJECT_KINDS] = {'n', 'p', 'v', 's', 'r'};

/* ---- keys ---- */

const char *control_key(enum object_kind kind, const char *name, char key[CONTROL_KEY_SIZE])
{
	(void)snprintf(key, CONTROL_KEY_SIZE, "%c/%s", key_letters[kind], name);
	return key;
}

void control_enqueue(struct control *c, enum object_kind kind, const char *name)
{
	control_enqueue_after(c, kind, name, 0);
}

void control_enqueue_after(struct control *c, enum object_kind kind, const char *name,
			   uint64_t delay_ms)
{
	char key[CONTROL_KEY_SIZE];
	uint32_t delay = delay_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)delay_ms;

	if (!name[0])
		return;
	(void)control_key(kind, name, key);
	/* Without memory the next takeover or the next news of it looks at it. */
	(void)(delay ? workqueue_add_after(c->queue, key, delay) : workqueue_add(c->queue, key));
}

void control_wake_waiting(struct control *c)
{
	struct strmap_iter it = {0};

	while (strmap_next(&c->waiting, &it))
		(void)workqueue_add(c->queue, it.key);
}

uint64_t control_now_ms(const struct control *c)
{
	return kube_mono_ms(c->config.clock);
}

uint64_t control_wall_ns(const struct control *c)
{
	return kube_wall_ns(c->config.clock);
}

bool control_leads(const struct control *c)
{
	return leader_is(c->leader);
}

const struct control_stats *control_stats(const struct control *c)
{
	return &c->stats;
}

bool control_synced(struct control *c)
{
	for (int kind = 0; kind < OBJECT_WATCHED; kind++)
		if (!informer_synced(c->watches[kind].informer))
			return false;
	return true;
}

/* ---- news ---- */

/* Any thread. */
static void kick(struct control *c)
{
	lock_take(c->worker_lock);
	if (c->worker)
		background_kick(c->worker);
	lock_drop(c->worker_lock);
}

/* On a watch's thread. */
static void on_change(void *ctx, const json_t *old, const json_t *obj)
{
	struct control_watch *watch = ctx;
	struct control *c = watch->control;

	(void)inbox_put(c->inbox, watch->kind, obj ? obj : old, !obj);
	kick(c);
}

static void on_leading(void *ctx, bool leading)
{
	struct control *c = ctx;

	log_info("controller.leader", "leading=%s identity=%s", leading ? "yes" : "no",
		 c->config.identity);
	kick(c);
}

static bool read_news(struct control *c)
{
	struct news *news;
	bool any = false;

	while ((news = inbox_take(c->inbox))) {
		any = true;
		if (news->kind == OBJECT_LEASE) {
			if (!news->gone)
				control_learn_lease(c, news->obj);
		} else if (news->gone) {
			control_learn_gone(c, news->kind, kube_name(news->obj),
					   kube_uid(news->obj));
		} else {
			control_learn(c, news->kind, news->obj, false);
		}
		news_free(news);
	}
	return any;
}

/* ---- one key ---- */

/* An object that we know of by a list or an answer only may have gone without our being told. */
static bool verified(struct control *c, enum object_kind kind, const char *name)
{
	_cleanup_json_ json_t *watched = informer_get(c->watches[kind].informer, NULL, name);

	if (watched)
		return true;
	control_enqueue_after(c, kind, name, VERIFY_MS);
	return control_read(c, kind, name) != -ENOENT;
}

static enum verdict reconcile(struct control *c, enum object_kind kind, const char *name)
{
	static enum verdict (*const fn[OBJECT_KINDS])(struct control *, const json_t *) = {
		[OBJECT_NODE] = reconcile_node,
		[OBJECT_POOL] = reconcile_pool,
		[OBJECT_VOLUME] = reconcile_volume,
		[OBJECT_SNAPSHOT] = reconcile_snapshot,
		[OBJECT_RESERVATION] = reconcile_reservation,
	};
	_cleanup_json_ json_t *obj = NULL;

	if (!objects_get(&c->objects, kind, name) || !verified(c, kind, name))
		return VERDICT_DONE;
	obj = json_incref(objects_get(&c->objects, kind, name));
	c->stats.reconciles[kind]++;
	return fn[kind](c, obj);
}

static void conclude(struct control *c, const char *key, enum object_kind kind,
		     enum verdict verdict)
{
	if (verdict != VERDICT_WAIT)
		(void)strmap_remove(&c->waiting, key);
	switch (verdict) {
	case VERDICT_DONE:
		workqueue_forget(c->queue, key);
		break;
	case VERDICT_AGAIN:
		workqueue_forget(c->queue, key);
		(void)workqueue_add(c->queue, key);
		break;
	case VERDICT_WAIT:
		(void)strmap_set(&c->waiting, key, c, NULL);
		(void)workqueue_retry(c->queue, key);
		break;
	case VERDICT_RETRY:
		c->stats.failures[kind]++;
		(void)workqueue_retry(c->queue, key);
		break;
	}
}

static void work_one(struct control *c, const char *key)
{
	const char *letter = memchr(key_letters, key[0], sizeof(key_letters));

	if (letter) {
		enum object_kind kind = (enum object_kind)(letter - key_letters);

		conclude(c, key, kind, reconcile(c, kind, key + 2));
	}
	workqueue_done(c->queue, key);
}

/* ---- states ---- */

static void state_set(struct control *c, enum control_state state)
{
	c->state = state;
	c->stats.state = (int)state;
}

static void empty_queue(struct control *c)
{
	char key[KUBE_KEY_MAX + 1];

	while (!workqueue_get(c->queue, key, 0)) {
		workqueue_forget(c->queue, key);
		workqueue_done(c->queue, key);
	}
}

static void enqueue_all(struct control *c)
{
	for (int kind = 0; kind < OBJECT_KINDS; kind++) {
		struct strmap_iter it = {0};

		while (strmap_next(&c->objects.by_name[kind], &it))
			control_enqueue(c, (enum object_kind)kind, it.key);
	}
}

static bool take_over(struct control *c)
{
	if (!control_synced(c) || control_now_ms(c) < c->retry_ms)
		return false;
	if (control_take_over(c)) {
		c->retry_ms = control_now_ms(c) + TAKEOVER_RETRY_MS;
		return false;
	}
	c->stats.takeovers++;
	state_set(c, CONTROL_ACTING);
	enqueue_all(c);
	log_info("controller.acts", "epoch=%" PRIu64 " volumes=%zu pools=%zu touched=%" PRIu64,
		 leader_epoch(c->leader), c->objects.by_name[OBJECT_VOLUME].count,
		 c->objects.by_name[OBJECT_POOL].count, c->stats.touched);
	return true;
}

static bool act(struct control *c, unsigned keys_max)
{
	char key[KUBE_KEY_MAX + 1];
	bool any = false;

	while (keys_max-- && control_leads(c) && !workqueue_get(c->queue, key, 0)) {
		any = true;
		work_one(c, key);
		(void)read_news(c);
		c->stats.turned_ms = control_now_ms(c);
	}
	return any;
}

static void gauges(struct control *c)
{
	size_t ready, delayed;

	workqueue_counts(c->queue, &ready, &delayed);
	c->stats.queued = ready;
	c->stats.delayed = delayed;
	c->stats.waiting = c->waiting.count;
	c->stats.turned_ms = control_now_ms(c);
}

static bool turn(struct control *c, unsigned keys_max)
{
	bool any = read_news(c);

	if (!control_leads(c) && c->state != CONTROL_FOLLOWING) {
		state_set(c, CONTROL_FOLLOWING);
		empty_queue(c);
	}
	/* News that could not be kept: as if we had just become the leader. */
	if (inbox_lost(c->inbox) && c->state == CONTROL_ACTING)
		state_set(c, CONTROL_TAKING_OVER);
	switch (c->state) {
	case CONTROL_FOLLOWING:
		if (!control_leads(c))
			break;
		state_set(c, CONTROL_TAKING_OVER);
		__attribute__((fallthrough));
	case CONTROL_TAKING_OVER:
		if (!take_over(c))
			break;
		any = true;
		__attribute__((fallthrough));
	case CONTROL_ACTING:
		any |= act(c, keys_max);
		break;
	}
	gauges(c);
	return any;
}

/* ---- the configuration ---- */

static void reload(struct control *c, bool asked)
{
	struct err err = {0};

	if (!asked && !placement_changed(c->placement))
		return;
	if (placement_load(c->placement, &err)) {
		c->stats.reload_failures++;
		log_error("controller.placement.refused", "reason=\"%s\" kept=\"the old one\"",
			  err.text);
		return;
	}
	c->stats.reloads++;
	log_info("controller.placement.loaded", "path=%s",
		 c->config.placement_path ? c->config.placement_path : "none");
	control_wake_waiting(c);
}

static void reload_if_due(struct control *c)
{
	uint64_t now_ms = control_now_ms(c);
	bool asked = atomic_exchange(&c->reload_asked, false);

	if (!asked && now_ms < c->reload_due_ms)
		return;
	c->reload_due_ms = now_ms + RELOAD_MS;
	reload(c, asked);
}

void control_reload(struct control *c)
{
	c->reload_asked = true;
	kick(c);
}

/* ---- without threads ---- */

/* True: it has more to do at once. */
static bool note_due(uint64_t now_ms, uint64_t *due_ms, int next_ms)
{
	*due_ms = next_ms < 0 ? UINT64_MAX : now_ms + (uint64_t)next_ms;
	return next_ms == 0;
}

static bool step_watch(struct control *c, struct control_watch *watch)
{
	uint64_t now_ms = control_now_ms(c);

	if (now_ms < watch->due_ms && !informer_ended(watch->informer))
		return false;
	return note_due(now_ms, &watch->due_ms, informer_step(watch->informer));
}

bool control_turn(struct control *c, unsigned keys_max)
{
	uint64_t now_ms = control_now_ms(c);
	bool any = false;

	if (now_ms >= c->leader_due_ms)
		any |= note_due(now_ms, &c->leader_due_ms, leader_step(c->leader));
	for (int kind = 0; kind < OBJECT_WATCHED; kind++)
		any |= step_watch(c, &c->watches[kind]);
	reload_if_due(c);
	any |= turn(c, keys_max);
	/* What cannot be sent now is tried in a later round. */
	any |= events_step(c->events) == 0;
	return any;
}

int64_t control_next_ms(struct control *c)
{
	int64_t next = c->state == CONTROL_ACTING ? workqueue_next_ms(c->queue) : -1;

	if (c->state == CONTROL_TAKING_OVER || (c->state == CONTROL_FOLLOWING && control_leads(c)))
		next = TAKEOVER_RETRY_MS;
	return next < 0 || next > RELOAD_MS ? RELOAD_MS : next;
}

/* ---- with threads ---- */

static int worker_step(void *ctx)
{
	struct control *c = ctx;

	reload_if_due(c);
	return turn(c, KEYS_A_TURN) ? 0 : (int)control_next_ms(c);
}

int control_start(struct control *c, struct err *err)
{
	int rc = events_start(c->events, err);

	if (!rc) {
		lock_take(c->worker_lock);
		rc = background_new(worker_step, c, &c->worker, err);
		lock_drop(c->worker_lock);
	}
	for (int kind = 0; kind < OBJECT_WATCHED && !rc; kind++)
		rc = informer_start(c->watches[kind].informer, err);
	if (!rc)
		rc = leader_start(c->leader, err);
	return rc;
}

/* The worker ends before the watches that it reads; they kick nobody any more. */
static void stop_worker(struct control *c)
{
	struct background *worker;

	lock_take(c->worker_lock);
	worker = c->worker;
	c->worker = NULL;
	lock_drop(c->worker_lock);
	background_free(worker);
}

void control_release(struct control *c)
{
	stop_worker(c);
	leader_stop(c->leader);
	leader_release(c->leader);
}

/* ---- life ---- */

static int make_watches(struct control *c, struct err *err)
{
	for (int kind = 0; kind < OBJECT_WATCHED; kind++) {
		struct control_watch *watch = &c->watches[kind];
		struct informer_config config = {
			.client = c->config.client,
			.res = object_resource((enum object_kind)kind),
			.ns = kind == OBJECT_LEASE ? KUBE_NS_NODES : NULL,
			.changed = on_change,
			.ctx = watch,
			.clock = c->config.clock,
			.seed = c->config.seed ? c->config.seed + (uint64_t)kind : 0,
		};
		int rc;

		watch->control = c;
		watch->kind = (enum object_kind)kind;
		rc = informer_new(&config, &watch->informer, err);
		if (rc)
			return rc;
	}
	return 0;
}

static int make_parts(struct control *c, struct err *err)
{
	struct placement_stats stats = {&c->stats.extender_calls, &c->stats.extender_failures};
	struct workqueue_config queue = {.clock = c->config.clock,
					 .delay_min_ms = RETRY_MIN_MS,
					 .delay_max_ms = RETRY_MAX_MS};
	struct leader_config leader = {.client = c->config.client,
				       .ns = KUBE_NS_SYSTEM,
				       .name = CONTROL_LEASE,
				       .identity = c->config.identity,
				       .lease_ms = c->config.lease_ms,
				       .clock = c->config.clock,
				       .changed = on_leading,
				       .ctx = c};
	struct events_config events = {.client = c->config.client,
				       .component = "litepool-controller",
				       .instance = c->config.identity,
				       .clock = c->config.clock};
	int rc = placement_new(c->config.placement_path, &stats, &c->placement, err);

	if (!rc &&
	    (workqueue_new(&queue, &c->queue) || inbox_new(&c->inbox) || lock_new(&c->worker_lock)))
		rc = err_set(err, -ENOMEM, "no memory for the controller");
	if (!rc)
		rc = leader_new(&leader, &c->leader, err);
	if (!rc)
		rc = events_new(&events, &c->events, err);
	return rc ? rc : make_watches(c, err);
}

int control_new(const struct control_config *config, struct control **ret, struct err *err)
{
	struct control *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return err_set(err, -ENOMEM, "no memory for the controller");
	c->config = *config;
	if (!c->config.clock)
		c->config.clock = kube_clock_host();
	c->born_ns = control_wall_ns(c);
	c->inv = place_inventory_new(config->seed);
	rc = c->inv ? make_parts(c, err) : err_set(err, -ENOMEM, "no memory for the controller");
	if (rc) {
		control_free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	if (c->worker_lock)
		stop_worker(c);
	if (c->leader)
		leader_stop(c->leader);
	for (int kind = 0; kind < OBJECT_WATCHED; kind++)
		informer_free(c->watches[kind].informer);
	leader_free(c->leader);
	events_free(c->events);
	workqueue_free(c->queue);
	inbox_free(c->inbox);
	placement_free(c->placement);
	objects_clear(&c->objects);
	heartbeats_fini(&c->heartbeats);
	strmap_fini(&c->waiting);
	strmap_fini(&c->unsure);
	place_inventory_free(c->inv);
	lock_free(c->worker_lock);
	free(c);
}
