/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carrying out a configuration: each entry through the same methods that clients call, one after another.
 *
 *   engine_replay --> replay_step (task) --> rpc_call_local --> replay_answered --> replay_step ... --> done
 *
 * A failed entry either ends the replay (load_config) or becomes a problem and the others go on (start, retry).
 *
 * A subsystem of which a namespace could not be made does not listen: a host that came in would find the namespace gone and remove its device for
 * good, where one that finds nobody waits and tries again. Its listeners are problems, too, and come back with the namespace.
 *
 * A second pass carries out what the volumes of pools say of their exports; entries about those are left out of the first, since the disks know better (exports.c).
 *
 * A predecessor that was killed may hold its disks and addresses for a moment after its process is gone: the kernel takes its rings down later. So at
 * start, what is in use is tried again for a while before it counts as failed.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "engine/engine.h"

#define PATIENCE_NS 30000000000ull /* its writes and flushes on a busy disk end first */
#define RETRY_NS    20000000ull

static void replay_step(struct task *task);
static void replay_end(struct engine *e);
static void replay_again(struct timer *timer);
static bool held_back(struct engine *e, const json_t *entry, struct err *err);
static void replay_answered(void *ctx, const json_t *result, const struct err *err);

void engine_replay(struct engine *e, json_t *entries, bool stop_at_failure,
		   void (*done)(struct engine *e, int res))
{
	struct replay *replay = &e->replay;

	ASSERT(!replay->entries);
	replay->entries = entries;
	replay->index = 0;
	replay->failed = 0;
	replay->stop_at_failure = stop_at_failure;
	replay->from_disks = false;
	replay->first_err.code = 0;
	replay->done = done;
	replay->task.run = replay_step;
	replay->timer.run = replay_again;
	replay->patience_ns = reactor_now(e->control) + PATIENCE_NS;
	reactor_defer(e->control, &replay->task);
}

static void replay_again(struct timer *timer)
{
	struct replay *replay = container_of(timer, struct replay, timer);

	replay_step(&replay->task);
}

/* True: the entry will be tried again. */
static bool replay_wait(struct engine *e, const struct err *err)
{
	struct replay *replay = &e->replay;

	/* What the predecessor could not get is not waited for while hosts may have to wait for us. */
	if (e->opts->take_over && e->state == ENGINE_CONFIG)
		return false;
	if (replay->stop_at_failure || (err->code != -EBUSY && err->code != -EADDRINUSE))
		return false;
	if (reactor_now(e->control) >= replay->patience_ns)
		return false;
	log_limited(LOG_LEVEL_WARN, "engine.config.waiting", "entry=%zu reason=\"%s\"",
		    replay->index + 1, err->text);
	return timer_start(e->control, &replay->timer, reactor_now(e->control) + RETRY_NS) == 0;
}

static void replay_step(struct task *task)
{
	struct replay *replay = container_of(task, struct replay, task);
	struct engine *e = container_of(replay, struct engine, replay);
	const json_t *entry;
	struct err err;

	if (e->stopping || replay->index >= json_array_size(replay->entries) ||
	    (replay->failed && replay->stop_at_failure)) {
		replay_end(e);
		return;
	}
	entry = json_array_get(replay->entries, replay->index);
	if (!replay->from_disks && !replay->stop_at_failure &&
	    store_owns_entry(e, json_string_value(json_object_get(entry, "method")),
			     json_object_get(entry, "params"))) {
		replay_answered(e, NULL, NULL);
		return;
	}
	if (held_back(e, entry, &err)) {
		replay_answered(e, NULL, &err);
		return;
	}
	e->in_replay = true;
	rpc_call_local(e->rpc, json_string_value(json_object_get(entry, "method")),
		       json_object_get(entry, "params"), replay_answered, e);
	e->in_replay = false;
}

/* After the entries, what volumes say of their exports (exports.c); pools may come while that is carried out. */
static void replay_end(struct engine *e)
{
	struct replay *replay = &e->replay;
	json_t *more = e->stopping ? NULL : store_export_entries(e);

	json_decref(replay->entries);
	replay->entries = NULL;
	if (json_array_size(more) > 0) {
		replay->entries = more;
		replay->index = 0;
		replay->stop_at_failure = false;
		replay->from_disks = true;
		reactor_defer(e->control, &replay->task);
		return;
	}
	json_decref(more);
	replay->done(e, replay->failed ? -EINVAL : 0);
	store_sync_go_on(e);
}

/* True, and err says why, when the entry would let hosts in to a subsystem that is not whole. */
static bool held_back(struct engine *e, const json_t *entry, struct err *err)
{
	const char *nqn =
		json_string_value(json_object_get(json_object_get(entry, "params"), "nqn"));
	const char *method = json_string_value(json_object_get(entry, "method"));

	if (e->replay.stop_at_failure || strcmp(method, "nvmf_subsystem_add_listener") != 0 ||
	    !nqn || !config_problems_lack_ns(&e->problems, nqn))
		return false;
	(void)err_set(err, -ENODEV,
		      "not listening, because a namespace of %.223s could not be made and its "
		      "hosts would remove "
		      "their device: bring the disk back or remove the namespace, then: litepool "
		      "engine config retry",
		      nqn);
	return true;
}

static void replay_failed(struct engine *e, json_t *entry, const char *method,
			  const struct err *err)
{
	struct replay *replay = &e->replay;
	char quoted[640];

	replay->failed++;
	if (!replay->first_err.code)
		(void)err_set(&replay->first_err, -EINVAL, "entry %zu, %s: %s", replay->index,
			      method, err->text);
	if (replay->stop_at_failure)
		return;
	log_error("engine.config.entry_failed", "entry=%zu method=%s reason=%s", replay->index,
		  method, log_quote(err->text, quoted, sizeof(quoted)));
	if (config_problems_add(&e->problems, entry, err->text) < 0) {
		struct err fatal;

		(void)err_set(&fatal, -ENOMEM, "out of memory while the configuration was loaded");
		engine_fail(e, &fatal);
	}
}

static void replay_answered(void *ctx, const json_t *result, const struct err *err)
{
	struct engine *e = ctx;
	struct replay *replay = &e->replay;
	json_t *entry = json_array_get(replay->entries, replay->index);
	const char *method = json_string_value(json_object_get(entry, "method"));

	if (err && replay_wait(e, err))
		return;
	replay->index++;
	if (err)
		replay_failed(e, entry, method, err);
	else if (replay->from_disks && strcmp(method, "nvmf_subsystem_add_listener") == 0)
		store_waiting_drop(e, json_object_get(entry, "params"));
	reactor_defer(e->control, &replay->task);
}
