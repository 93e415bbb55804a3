/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The old side of a hot upgrade: one machine (enum handover_old_state, old_step) on the control thread.
 *
 *   IDLE -> SPAWN -> CONNECT -> HOLD_CALLS -> HOLD_POOLS -> PREPARE -> WARM -> HOLD_RPC -> CALM -> FREEZE -> FREEZE_POOLS -> SAVE -> STATE -> READY -> GO
 *     ^        |________|___________|_____________|____________|_________|________|___________|___________|____________|_______|_______|      |
 *     |______________________________________________ old_abort(): undone in the reverse order _______________________________|              ends
 *
 * 1. Each state has a deadline; what has not happened by then is an abort that names the state. FREEZE to READY share one, the stop's.
 * 2. An abort leaves nothing behind: what was frozen thaws, what was held goes on, the successor is sent away and, by the supervisor, ended.
 * 3. GO is sent once, after store_retire(), and nothing is touched after it: no socket, no pool, no file.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/engine.h"
#include "engine/handover_doc.h"
#include "engine/handover_net.h"
#include "engine/store_handover.h"
#include "rt/proc.h"

#define MS          UINT64_C(1000000)
#define TICK_NS     (MS / 2) /* how often a state looks that nobody tells */
#define END_WAIT_MS 5000

struct step {
	const char *name;
	uint32_t limit_ms; /* 0: the stop's own deadline */
	const char *late;  /* what has not happened by then, for people */
};
#define NO_ANSWER "the new engine has not answered"

static const struct step steps[] = {
	[OLD_IDLE] = {"idle", 0},
	[OLD_SPAWN] = {"spawn", 10000, "the supervisor has not started the new engine"},
	[OLD_CONNECT] = {"connect", 20000, NO_ANSWER},
	[OLD_HOLD_CALLS] = {"hold-calls", 10000, "its calls have not ended"},
	[OLD_HOLD_POOLS] = {"hold-pools", 60000,
			    "the pools of this engine have not come to rest (is a disk slow?)"},
	[OLD_PREPARE] = {"prepare", 10000, NO_ANSWER},
	[OLD_WARM] = {"warm", 120000, NO_ANSWER},
	[OLD_HOLD_RPC] = {"hold-rpc", 10000, "its calls have not ended"},
	[OLD_CALM] = {"calm", 10000, "a thread of this engine has not come round"},
	[OLD_FREEZE] = {"freeze", 0},
	[OLD_FREEZE_POOLS] = {"freeze-pools", 0},
	[OLD_SAVE] = {"save", 0},
	[OLD_STATE] = {"state", 0},
	[OLD_READY] = {"ready", 0},
	[OLD_GO] = {"go", END_WAIT_MS},
};

static void old_step(struct engine *e);

__attribute__((format(printf, 3, 4))) static void old_abort(struct engine *e, int code,
							    const char *fmt, ...);

static bool stopped(const struct handover_old *o)
{
	return o->state >= OLD_FREEZE;
}

static void old_later(struct engine *e, uint64_t ns)
{
	struct handover_old *o = &e->old;
	uint64_t now = reactor_now_exact(e->control);

	/* Without memory for a timer the passes of the loop have to do. */
	if (timer_start(e->control, &o->timer, MIN(now + ns, MAX(o->deadline_ns, now))) < 0)
		reactor_defer(e->control, &o->task);
}

/* Leaves the state for the next one. False: a fail point has refused it. */
static bool old_enter(struct engine *e, enum handover_old_state state)
{
	struct handover_old *o = &e->old;
	uint64_t now = reactor_now_exact(e->control);

	if (o->state != OLD_IDLE)
		handover_report_step(e, steps[o->state].name, stopped(o));
	o->state = state;
	if (state == OLD_FREEZE) {
		o->stop_ns = now;
		o->stop_cpu_ns = proc_cpu_ns(&e->upgrade.cpu);
		if (o->start.deadline_ms == HANDOVER_DEADLINE_AUTO)
			o->start.deadline_ms = handover_deadline_ms(e);
		o->deadline_ns = now + o->start.deadline_ms * MS;
	} else if (steps[state].limit_ms) {
		o->deadline_ns = now + steps[state].limit_ms * MS;
	}
	if (handover_fail_pass(e, "old", steps[state].name))
		return true;
	old_abort(e, -ECANCELED, "the fail point of a test");
	return false;
}

static void old_timer(struct timer *timer)
{
	old_step(container_of(timer, struct engine, old.timer));
}

static void old_task(struct task *task)
{
	old_step(container_of(task, struct engine, old.task));
}

static void old_got(struct handover_wire *wire);
static void old_ended(struct handover_wire *wire, int res, const struct err *err);

void handover_old_init(struct engine *e)
{
	e->old.timer.run = old_timer;
	e->old.task.run = old_task;
	e->old.wire.got = old_got;
	e->old.wire.ended = old_ended;
}

void handover_old_connected(struct engine *e, int fd, pid_t pid)
{
	struct err err = {0};

	ASSERT(e->old.state == OLD_CONNECT);
	if (handover_wire_open(&e->old.wire, e->control, fd, pid, &err) < 0)
		old_abort(e, err.code, "%s", err.text);
}

/* ---- beginning ---- */

int handover_old_start(struct engine *e, const struct handover_start *start, struct err *err)
{
	struct handover_old *o = &e->old;

	if (o->state != OLD_IDLE)
		return err_set(err, -EBUSY, "an upgrade is under way (%s)", steps[o->state].name);
	if (e->stopping || e->state != ENGINE_RUNNING)
		return err_set(err, -EAGAIN, "the engine is %s", engine_state_name[e->state]);
	if (e->replay.entries || e->replay.call)
		return err_set(err, -EBUSY,
			       "a configuration is being loaded; try again when it is done");
	if (!o->listener)
		return err_set(err, -EOPNOTSUPP,
			       "this engine could not listen at %s/" HANDOVER_SOCKET
			       " when it started; see its log",
			       e->opts->state_dir);
	e->fail_at[0] = '\0';
	if (start->fail_at && handover_fail_set(e, start->fail_at, err) < 0)
		return err->code;
	o->start = *start;
	(void)snprintf(o->binary, sizeof(o->binary), "%s", start->binary);
	o->successor = 0;
	o->warmed = o->ready = false;
	o->broken.code = 0;
	o->state = OLD_IDLE;
	handover_report_begin(e, o->binary, start->dry_run);
	if (!old_enter(e, OLD_SPAWN))
		return 0;
	if (engine_link_start(e, o->binary) < 0) {
		old_abort(e, -EOPNOTSUPP,
			  "no litepool-supervisor watches this engine, and an engine never starts "
			  "another by itself; start it by litepool-supervisor (the package's unit "
			  "does)");
		return 0;
	}
	old_later(e, MS * 100);
	return 0;
}

void handover_old_started(struct engine *e, const struct handover_message *msg)
{
	struct handover_old *o = &e->old;

	if (o->state != OLD_SPAWN)
		return;
	if (msg->code < 0) {
		old_abort(e, msg->code, "%s", msg->text);
		return;
	}
	o->successor = (pid_t)msg->pid;
	if (old_enter(e, OLD_CONNECT))
		old_later(e, MS * 100);
}

/* The successor's own reason, by its own socket, says more than how we heard that it has gone. False: it gave none. */
static bool old_heard_why(struct engine *e)
{
	handover_wire_drain(&e->old.wire);
	return e->old.state == OLD_IDLE || e->old.state == OLD_GO;
}

void handover_old_successor_ended(struct engine *e, const struct handover_message *msg)
{
	struct handover_old *o = &e->old;

	if (o->state == OLD_IDLE || o->state == OLD_GO || (pid_t)msg->pid != o->successor)
		return;
	if (!old_heard_why(e))
		old_abort(e, -ECHILD,
			  "the new engine ended by itself: %s; its last words are in the log",
			  msg->text);
}

/* ---- the end ---- */

static void old_abort(struct engine *e, int code, const char *fmt, ...)
{
	struct handover_old *o = &e->old;
	const char *step = steps[o->state].name;
	struct err err;
	va_list ap;

	ASSERT(o->state != OLD_IDLE);
	ASSERT(o->state != OLD_GO);
	va_start(ap, fmt);
	(void)vsnprintf(err.text, sizeof(err.text), fmt, ap);
	va_end(ap);
	/* The reactors are writing into our memory, which they end by themselves in a moment: handover_old_saved() goes on. */
	if (o->saving) {
		if (!o->give_up.code)
			(void)err_set(&o->give_up, code, "%s", err.text);
		return;
	}
	handover_say(&o->wire, HANDOVER_REFUSE, code, step, "%s", err.text);
	handover_wire_close(&o->wire);
	hurry_end(&e->upgrade.hurry);
	if (o->calmed_net)
		handover_net_thaw(e);
	store_unhold(e);
	rpc_server_thaw(e->rpc);
	engine_link_stop(e);
	handover_doc_drop(o);
	handover_net_fini(&e->net);
	json_decref(o->plan);
	json_decref(o->pool_state);
	o->plan = o->pool_state = NULL;
	o->calmed_net = o->held_pools = false;
	timer_stop(&o->timer);
	o->state = OLD_IDLE;
	e->fail_at[0] = '\0';
	handover_report_end(e, code == 0 ? "dry-run" : "aborted", step, err.text);
}

int handover_old_abort(struct engine *e, const char *reason)
{
	if (e->old.state == OLD_IDLE)
		return -ENOENT;
	if (e->old.state == OLD_GO)
		return -EALREADY;
	old_abort(e, -ECANCELED, "%s", reason);
	return 0;
}

/* ---- the successor's words ---- */

static void old_hello(struct engine *e, const struct handover_message *msg)
{
	struct handover_old *o = &e->old;
	uint16_t want[HANDOVER_TYPES_MAX];
	size_t n = handover_state_types(want, HANDOVER_TYPES_MAX);
	uint16_t missing = tlv_missing(want, n, msg->types, msg->n_types);
	struct handover_message *offer;
	int res;

	(void)json_object_set_new(e->upgrade.json, "to", json_string(msg->version));
	(void)json_object_set_new(e->upgrade.json, "to_pid", json_integer((json_int_t)o->wire.pid));
	if (missing) {
		old_abort(e, -EOPNOTSUPP,
			  "version %s does not know record %u of this engine's state; upgrade by a "
			  "version between the two, or restart the engine",
			  msg->version, missing);
		return;
	}
	offer = calloc(1, sizeof(*offer));
	if (!offer) {
		old_abort(e, -ENOMEM, "out of memory");
		return;
	}
	offer->type = HANDOVER_OFFER;
	offer->pid = (uint32_t)getpid();
	offer->format = HANDOVER_FORMAT;
	offer->dry_run = o->start.dry_run;
	(void)snprintf(offer->version, sizeof(offer->version), "%s", LITEPOOL_VERSION);
	(void)snprintf(offer->state_dir, sizeof(offer->state_dir), "%s", e->opts->state_dir);
	if (strncmp(e->fail_at, "new:", 4) == 0)
		(void)snprintf(offer->step, sizeof(offer->step), "%.23s", e->fail_at);
	res = handover_send(handover_wire_fd(&o->wire), offer, NULL, 0);
	free(offer);
	if (res < 0 && !old_heard_why(e)) {
		old_abort(e, res, "the new engine does not listen: %s", strerror(-res));
	} else if (res == 0 && old_enter(e, OLD_HOLD_CALLS)) {
		rpc_server_hold(e->rpc, RPC_HOLD_CHANGES);
		old_step(e);
	}
}

static void old_got(struct handover_wire *wire)
{
	struct engine *e = container_of(wire, struct engine, old.wire);
	struct handover_old *o = &e->old;
	const struct handover_message *msg = &wire->msg;

	if (msg->type == HANDOVER_REFUSE && o->state != OLD_GO) {
		old_abort(e, msg->code ? msg->code : -EPROTO, "the new engine%s%s says: %s",
			  msg->step[0] ? ", at " : "", msg->step, msg->text);
	} else if (msg->type == HANDOVER_HELLO && o->state == OLD_CONNECT) {
		old_hello(e, msg);
	} else if (msg->type == HANDOVER_WARMED && o->state == OLD_WARM) {
		handover_report_counts(e, msg);
		o->warmed = true;
		old_step(e);
	} else if (msg->type == HANDOVER_READY && o->state == OLD_READY) {
		o->ready = true;
		old_step(e);
	} else if (msg->type == HANDOVER_DONE && o->state == OLD_GO) {
		if (msg->wants_stats)
			handover_stats_send(e);
		handover_old_leave(e);
	} else if (o->state != OLD_GO) {
		old_abort(e, -EPROTO, "the new engine said '%s' when it was not its turn",
			  handover_type_name[msg->type]);
	}
}

static void old_ended(struct handover_wire *wire, int res, const struct err *err)
{
	struct engine *e = container_of(wire, struct engine, old.wire);

	if (e->old.state == OLD_GO)
		handover_old_leave(e);
	else if (e->old.state != OLD_IDLE)
		old_abort(e, res < 0 ? res : -ECONNRESET, "%s",
			  res < 0 ? err->text
				  : "the new engine has ended; its last words are in the log");
}

/* ---- the steps ---- */

static void pools_held(void *ctx, int res, const json_t *plan, const struct err *err)
{
	struct engine *e = ctx;

	if (e->old.state != OLD_HOLD_POOLS) /* given up meanwhile */
		return;
	if (res < 0) {
		old_abort(e, res, "%s", err->text);
		return;
	}
	e->old.plan = json_deep_copy(plan);
	e->old.held_pools = true;
	reactor_defer(e->control, &e->old.task);
}

static void pools_broken(void *ctx, int res, const json_t *state, const struct err *err)
{
	struct engine *e = ctx;

	e->old.broken = err ? *err : (struct err){.code = -EIO, .text = "a pool has failed"};
	reactor_defer(e->control, &e->old.task);
}

static void net_frozen(struct engine *e, int res, const struct err *err)
{
	if (e->old.state != OLD_FREEZE)
		return;
	if (res < 0)
		old_abort(e, res, "%s", err->text);
	else if (old_enter(e, OLD_FREEZE_POOLS))
		store_freeze(e, handover_old_pools_frozen, e);
}

void handover_old_pools_frozen(void *ctx, int res, const json_t *state, const struct err *err)
{
	struct engine *e = ctx;

	if (e->old.state != OLD_FREEZE_POOLS)
		return;
	if (res < 0) {
		old_abort(e, res, "%s", err->text);
		return;
	}
	e->old.pool_state = json_deep_copy(state);
	if (old_enter(e, OLD_SAVE)) {
		e->old.saving = true;
		handover_net_save(e, handover_old_saved);
	}
}

void handover_old_saved(struct engine *e, int res, const struct err *err)
{
	struct handover_old *o = &e->old;
	struct err own = {0};

	ASSERT(o->state == OLD_SAVE);
	o->saving = false;
	if (o->give_up.code) {
		own = o->give_up;
		o->give_up.code = 0;
		old_abort(e, own.code, "%s", own.text);
		if (o->stop_wanted)
			engine_stop(e);
		return;
	}
	if (res == 0) {
		res = handover_doc_state(e, &own);
		err = &own;
	}
	if (res < 0)
		old_abort(e, res, "%s", err->text);
	else if (old_enter(e, OLD_STATE)) {
		o->saved_ns = reactor_now_exact(e->control);
		old_step(e);
	}
}

/* Everything that files and calls are about has been written, and nobody is in the middle of a change. */
static bool calls_idle(struct engine *e, const char **ret_method)
{
	*ret_method = "the writing of the configuration";
	return rpc_server_busy(e->rpc, ret_method) == 0 && saver_idle(&e->config) &&
	       saver_idle(&e->resv.saver) && !e->replay.entries && e->store.opening == 0;
}

/* True: the bag under way is out, and its last message. */
static bool bag_sent(struct engine *e, unsigned bag, enum handover_type type)
{
	int res = handover_doc_send(e, bag, type);

	if (res == -EAGAIN)
		old_later(e, TICK_NS / 5);
	else if (res < 0 && !old_heard_why(e))
		old_abort(e, res, "the new engine does not listen: %s", strerror(-res));
	return res == 0;
}

static void old_prepare(struct engine *e)
{
	struct err err = {0};

	/* What cannot be carried is told before anything costs. */
	if (handover_net_prepare(e, &err) < 0 || handover_doc_plan(e, &err) < 0)
		old_abort(e, err.code, "%s", err.text);
	else if (old_enter(e, OLD_PREPARE))
		old_step(e);
}

static void old_warm(struct engine *e)
{
	char text[160];
	struct err err = {0};

	if (!e->old.start.dry_run) {
		/* Connections have come since the plan was made. */
		if (handover_net_prepare(e, &err) < 0)
			old_abort(e, err.code, "%s", err.text);
		else if (old_enter(e, OLD_HOLD_RPC)) {
			rpc_server_hold(e->rpc, RPC_HOLD_ALL);
			old_step(e);
		}
		return;
	}
	handover_estimate(e, text, sizeof(text));
	old_abort(e, 0, "%s", text);
}

static void old_calm(struct engine *e)
{
	if (!old_enter(e, OLD_CALM))
		return;
	e->old.calmed_net = true;
	proc_cpu_note(&e->upgrade.cpu);
	handover_net_calm(e);
}

static void old_freeze(struct engine *e)
{
	rpc_server_freeze(e->rpc);
	handover_report_priority(e, "old", hurry_begin(&e->upgrade.hurry));
	if (!old_enter(e, OLD_FREEZE))
		return;
	old_later(e, UINT32_MAX);
	handover_net_freeze(e, net_frozen);
}

/* The point of no return. */
static void old_go(struct engine *e)
{
	struct handover_old *o = &e->old;

	store_retire(e);
	o->state = OLD_GO;
	o->deadline_ns = reactor_now_exact(e->control) + END_WAIT_MS * MS;
	handover_say(&o->wire, HANDOVER_GO, 0, "", "%s", "");
	handover_report_step(e, steps[OLD_READY].name, false);
	proc_retire();
	(void)handover_fail_pass(e, "old", "go");
	old_later(e, END_WAIT_MS * MS);
}

static void old_expired(struct engine *e)
{
	struct handover_old *o = &e->old;
	const char *method = "";

	if (o->state == OLD_GO)
		handover_old_leave(e);
	else if ((o->state == OLD_HOLD_CALLS || o->state == OLD_HOLD_RPC) &&
		 !calls_idle(e, &method))
		old_abort(e, -ETIMEDOUT, "%s is still under way after %u s", method,
			  steps[o->state].limit_ms / 1000);
	else if (stopped(o))
		old_abort(e, -ETIMEDOUT,
			  "the stop took longer than the deadline of %u ms; a longer one is given "
			  "with --deadline MS",
			  o->start.deadline_ms);
	else
		old_abort(e, -ETIMEDOUT, "%s within %u s", steps[o->state].late,
			  steps[o->state].limit_ms / 1000);
}

/* There is an upgrade, no pool has failed, and it is not too late. */
static bool old_goes_on(struct engine *e)
{
	struct handover_old *o = &e->old;

	if (o->state == OLD_IDLE)
		return false;
	if (o->broken.code && o->state != OLD_GO) {
		old_abort(e, o->broken.code, "%s", o->broken.text);
		return false;
	}
	if (reactor_now_exact(e->control) < o->deadline_ns)
		return true;
	old_expired(e);
	return false;
}

static void old_step(struct engine *e)
{
	struct handover_old *o = &e->old;
	const char *method = "";
	bool told;

	if (!old_goes_on(e))
		return;
	switch (o->state) {
	case OLD_HOLD_CALLS:
		if (!calls_idle(e, &method))
			break;
		if (old_enter(e, OLD_HOLD_POOLS))
			store_hold(e, pools_held, pools_broken, e);
		break;
	case OLD_HOLD_POOLS:
		if (o->held_pools)
			old_prepare(e);
		break;
	case OLD_PREPARE:
		if (bag_sent(e, HANDOVER_BAG_PLAN, HANDOVER_PREPARE))
			(void)old_enter(e, OLD_WARM);
		break;
	case OLD_WARM:
		if (o->warmed)
			old_warm(e);
		break;
	case OLD_HOLD_RPC:
		if (calls_idle(e, &method))
			old_calm(e);
		break;
	case OLD_CALM:
		if (handover_net_is_calm(e))
			old_freeze(e);
		break;
	case OLD_STATE:
		if (bag_sent(e, HANDOVER_BAG_STATE, HANDOVER_STATE))
			(void)old_enter(e, OLD_READY);
		break;
	case OLD_READY:
		if (o->ready)
			old_go(e);
		break;
	case OLD_IDLE:
	case OLD_SPAWN:
	case OLD_CONNECT:
	case OLD_FREEZE:
	case OLD_FREEZE_POOLS:
	case OLD_SAVE:
	case OLD_GO:
	default:
		break; /* somebody tells */
	}
	/* A state that nobody tells looks again soon, whatever far-off moment the state before was waiting for. */
	told = stopped(o) || o->state == OLD_WARM;
	if (o->state != OLD_IDLE && (!told || !o->timer.heap_index))
		old_later(e, told ? UINT32_MAX : TICK_NS);
}
