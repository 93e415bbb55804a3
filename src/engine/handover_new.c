/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The new side of a hot upgrade: one machine (enum handover_new_state) on the control thread of an engine that was started with --take-over.
 *
 *   CONNECT -> OFFER -> PLAN -> REPLAY -> FOLLOW -> WARMED -> FOLLOW_TO -> RESTORE -> READY -> TAKE_OVER -> STATS -> SERVING
 *      |_________|_______|________|_________|_________|___________|___________|________|
 *                     new_end(): tells why, and ends the process; nothing was written
 *
 * 1. Until GO (or the end of the old process behind a whole state) nothing is written anywhere, no socket is read, no path is made or removed: the end is _exit().
 * 2. From GO on there is no way back: what fails is what would fail in any engine.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "engine/engine.h"
#include "engine/handover_doc.h"
#include "engine/handover_net.h"
#include "engine/store_handover.h"
#include "rt/fdpass.h"
#include "rt/proc.h"

#define MS           UINT64_C(1000000)
#define PATIENCE_MS  180000 /* for the old engine's next word; it has shorter limits for ours */
#define GONE_MS      30000  /* the old process has closed its socket: until it is gone, too */
#define GONE_LOOK_MS 1
#define FOLLOW_TIMES 3
#define STATS_MS     1000 /* for the old engine's counters; calls wait as long */

static const char *const step_name[] = {
	[NEW_CONNECT] = "connect",     [NEW_OFFER] = "offer",     [NEW_PLAN] = "plan",
	[NEW_REPLAY] = "replay",       [NEW_FOLLOW] = "follow",   [NEW_WARMED] = "warmed",
	[NEW_FOLLOW_TO] = "follow-to", [NEW_RESTORE] = "restore", [NEW_READY] = "ready",
	[NEW_TAKE_OVER] = "take-over", [NEW_STATS] = "stats",     [NEW_SERVING] = "serving",
};

static void new_go(struct engine *e);

/* Before GO: says why, and ends. Nothing is undone, because nothing was done. */
__attribute__((noreturn, format(printf, 3, 4))) static void new_end(struct engine *e, int code,
								    const char *fmt, ...)
{
	struct handover_new *n = &e->successor;
	struct err err;
	va_list ap;

	ASSERT(n->state < NEW_TAKE_OVER);
	va_start(ap, fmt);
	(void)vsnprintf(err.text, sizeof(err.text), fmt, ap);
	va_end(ap);
	log_error("handover.not_taken", "step=%s reason=\"%s\"", step_name[n->state], err.text);
	handover_say(&n->wire, HANDOVER_REFUSE, code, step_name[n->state], "%s", err.text);
	_exit(EXIT_FAILURE);
}

static void new_enter(struct engine *e, enum handover_new_state state)
{
	struct handover_new *n = &e->successor;
	uint64_t now = reactor_now_exact(e->control);

	/* In the stop nothing is written: its parts are told when it is over. */
	if (n->state < NEW_WARMED || n->state > NEW_TAKE_OVER)
		log_info("handover.new", "step=%s ms=%.3f", step_name[n->state],
			 (double)(now - n->step_ns) / 1e6);
	n->step_ns = now;
	n->state = state;
	if (!handover_fail_pass(e, "new", step_name[state]) && state < NEW_TAKE_OVER)
		new_end(e, -ECANCELED, "the fail point of a test");
	(void)timer_start(e->control, &n->timer, now + PATIENCE_MS * MS);
}

/* A part of the stop has ended then, and the next began. */
static void new_part_at(struct engine *e, const char *part, uint64_t ns)
{
	struct handover_new *n = &e->successor;

	ns = MAX(ns, n->mark_ns);
	handover_report_part(e, part, ns - n->mark_ns);
	n->mark_ns = ns;
}

static void new_part(struct engine *e, const char *part)
{
	new_part_at(e, part, reactor_now_exact(e->control));
}

/* ---- words ---- */

static void new_say(struct engine *e, struct handover_message *msg)
{
	int res = 0;

	/* Closed: it has gone after its state had come, and hears of nothing any more. */
	if (e->successor.wire.sock)
		res = handover_send(handover_wire_fd(&e->successor.wire), msg, NULL, 0);
	free(msg);
	/* That it has gone is seen by who reads. */
	if (res < 0 && res != -EPIPE && e->successor.state < NEW_TAKE_OVER)
		new_end(e, res, "the old engine does not listen: %s", strerror(-res));
}

static struct handover_message *message_new(struct engine *e, enum handover_type type)
{
	struct handover_message *msg = calloc(1, sizeof(*msg));

	if (!msg)
		new_end(e, -ENOMEM, "out of memory");
	msg->type = type;
	return msg;
}

static void new_hello(struct engine *e)
{
	struct handover_message *msg = message_new(e, HANDOVER_HELLO);

	msg->pid = (uint32_t)getpid();
	msg->format = HANDOVER_FORMAT;
	(void)snprintf(msg->version, sizeof(msg->version), "%s", LITEPOOL_VERSION);
	msg->n_types = (uint16_t)handover_state_types(msg->types, HANDOVER_TYPES_MAX);
	new_say(e, msg);
}

static void new_offer(struct engine *e, const struct handover_message *msg)
{
	struct handover_new *n = &e->successor;
	struct err err = {0};

	if (strcmp(msg->state_dir, e->opts->state_dir) != 0)
		new_end(e, -EINVAL, "the old engine's state directory is %s, not %s",
			msg->state_dir, e->opts->state_dir);
	if (msg->step[0] && handover_fail_set(e, msg->step, &err) < 0)
		new_end(e, err.code, "%s", err.text);
	(void)snprintf(n->version, sizeof(n->version), "%s", msg->version);
	log_info("handover.offer", "from=%s pid=%u", msg->version, msg->pid);
	new_enter(e, NEW_PLAN);
}

/* ---- warming up ---- */

static void followed(void *ctx, int res, const json_t *state, const struct err *err)
{
	struct engine *e = ctx;
	struct handover_new *n = &e->successor;
	struct handover_message *msg;

	if (res < 0)
		new_end(e, res, "%s", err->text);
	if (++n->follows < FOLLOW_TIMES) {
		store_follow(e, NULL, followed, e);
		return;
	}
	msg = message_new(e, HANDOVER_WARMED);
	msg->warm_ns = reactor_now_exact(e->control) - n->begin_ns;
	msg->bdevs = e->bdevs.count;
	list_for_each (it, &e->store.pools)
		msg->pools++;
	new_enter(e, NEW_WARMED);
	/* From here on all threads sleep, until the stop; then nothing is to keep them from a core. */
	n->means = hurry_begin(&e->upgrade.hurry);
	new_say(e, msg);
}

static void replayed(struct engine *e, int res)
{
	unsigned left = store_disks_left(e);

	/* What could not be carried out is what the old engine could not, either: it is in its list of problems, and now in ours. */
	log_info("handover.replayed", "bdevs=%u problems=%u disks_left=%u", e->bdevs.count,
		 e->problems.count, left);
	if (left)
		new_end(e, -ENODEV,
			"%u disks of the old engine could not be made here; see the log above",
			left);
	handover_net_expect(e, e->successor.plan);
	proc_cpu_note(&e->upgrade.cpu);
	new_enter(e, NEW_FOLLOW);
	store_follow(e, NULL, followed, e);
}

static void new_plan(struct engine *e, uint64_t bytes)
{
	struct handover_new *n = &e->successor;
	struct err err = {0};
	json_t *entries;

	if (handover_doc_plan_read(e, &n->wire.bags[0], bytes, &err) < 0 ||
	    config_flatten(json_object_get(n->plan, "config"), &entries, &err) < 0)
		new_end(e, err.code, "%s", err.text);
	new_enter(e, NEW_REPLAY);
	e->state = ENGINE_CONFIG;
	engine_replay(e, entries, false, replayed);
}

/* ---- the state ---- */

static void new_ready(struct engine *e)
{
	struct handover_new *n = &e->successor;
	struct handover_message *msg = message_new(e, HANDOVER_READY);

	msg->conns = n->conns;
	msg->restore_ns = reactor_now_exact(e->control) - n->restore_ns;
	new_enter(e, NEW_READY);
	new_say(e, msg);
	if (n->old_gone)
		new_go(e);
}

/* The parts of what restoring was. */
static void restore_parts(struct engine *e)
{
	struct tcp_restore_times times;

	if (!e->tcp)
		return;
	times = tcp_transport_restore_times(e->tcp);
	handover_report_part(e, "controllers", times.controllers_ns);
	handover_report_part(e, "connections", times.connections_ns);
	e->successor.mark_ns += times.controllers_ns + times.connections_ns;
	new_part(e, "commands");
}

static void restored(struct engine *e, int res, const struct err *err)
{
	if (res < 0)
		new_end(e, res, "%s", err->text);
	restore_parts(e);
	e->successor.conns = e->net.n_conns;
	new_ready(e);
}

static void followed_to(void *ctx, int res, const json_t *state, const struct err *err)
{
	struct engine *e = ctx;

	if (res < 0)
		new_end(e, res, "%s", err->text);
	new_part(e, "follow");
	new_enter(e, NEW_RESTORE);
	handover_net_restore(e, restored);
}

/* What the old engine could not tell of the stop, because its report had left. */
static void sent_parts(struct engine *e, uint64_t saved_ns, uint64_t sent_ns)
{
	struct handover_new *n = &e->successor;
	uint64_t before = n->stop_at_ns + handover_report_parts(e);

	n->mark_ns = n->restore_ns;
	if (saved_ns < before || sent_ns < saved_ns || n->restore_ns < sent_ns)
		return; /* an older version does not say */
	handover_report_part(e, "save", saved_ns - before);
	handover_report_part(e, "send", sent_ns - saved_ns);
	handover_report_part(e, "wake", n->restore_ns - sent_ns);
}

static void new_state(struct engine *e, const struct handover_message *msg)
{
	struct handover_new *n = &e->successor;
	struct err err = {0};

	n->stop_at_ns = msg->stop_at_ns;
	n->restore_ns = reactor_now_exact(e->control);
	n->cpu_ns = proc_cpu_ns(&e->upgrade.cpu);
	new_enter(e, NEW_FOLLOW_TO);
	/* Hosts may have made reservations persist while we warmed up. */
	if (resv_store_load(&e->resv, &err) < 0 ||
	    handover_doc_state_read(e, &n->wire.bags[1], msg->bytes, &err) < 0)
		new_end(e, err.code, "%s", err.text);
	sent_parts(e, msg->saved_at_ns, msg->sent_at_ns);
	handover_report_cpu(e, "old", msg->stop_cpu_ns);
	new_part(e, "decode");
	store_follow(e, n->pool_state, followed_to, e);
}

/* ---- ours ---- */

static void new_report(struct engine *e)
{
	struct handover_new *n = &e->successor;

	(void)json_object_set_new(e->upgrade.json, "stop_ms", json_real(n->stop_ms));
	(void)json_object_set_new(e->upgrade.json, "connections", json_integer(n->conns));
	handover_report_end(e, "done", "serving", "");
	log_info("engine.running",
		 "bdevs=%u problems=%u rpc=%s took_over_from=%d version=%s stop_ms=%.3f conns=%u",
		 e->bdevs.count, e->problems.count, e->opts->rpc_socket, (int)n->wire.pid,
		 n->version, n->stop_ms, n->conns);
}

/* The last step: calls are answered again. */
static void new_serving(struct engine *e)
{
	struct handover_new *n = &e->successor;

	new_report(e);
	rpc_server_set_state(e->rpc, RPC_RUNTIME);
	rpc_server_thaw(e->rpc);
	new_enter(e, NEW_SERVING);
	timer_stop(&n->timer);
	for (unsigned i = 0; i < HANDOVER_BAGS; i++)
		handover_bag_fini(&n->wire.bags[i]);
	handover_net_fini(&e->net);
	json_decref(n->plan);
	json_decref(n->pool_state);
	n->plan = n->pool_state = NULL;
	engine_serves(e);
	if (n->stop_wanted)
		engine_stop(e);
}

static void stats_over(struct engine *e)
{
	e->successor.stats_over = true;
	if (e->successor.state == NEW_STATS)
		new_serving(e);
}

static void new_stats(struct engine *e, uint64_t bytes)
{
	struct err err = {0};

	if (handover_stats_read(e, &e->successor.wire.bags[HANDOVER_BAG_STATS], bytes, &err) < 0)
		log_warn("handover.stats_lost", "reason=\"%s\"", err.text);
	stats_over(e);
}

/* Behind the stop: the first commands have been served. */
static void passed(struct engine *e, int res, const struct err *err)
{
	struct handover_new *n = &e->successor;

	new_part(e, "first-pass");
	new_enter(e, NEW_STATS);
	if (n->stats_over) {
		new_serving(e);
		return;
	}
	(void)timer_start(e->control, &n->timer, reactor_now_exact(e->control) + STATS_MS * MS);
}

static void new_done(struct engine *e)
{
	struct handover_new *n = &e->successor;
	struct handover_message *msg = calloc(1, sizeof(*msg));

	n->stats_over = !msg || !n->wire.sock; /* no memory, or it has died: without */
	if (!msg)
		return;
	msg->type = HANDOVER_DONE;
	msg->wants_stats = true;
	new_say(e, msg);
}

static void served(struct engine *e, int res, const struct err *err)
{
	struct handover_new *n = &e->successor;

	if (res < 0)
		log_error("handover.not_all_served", "reason=\"%s\"", err->text);
	e->state = ENGINE_RUNNING;
	new_part_at(e, "serve", handover_net_served_ns(e));
	hurry_end(&e->upgrade.hurry);
	handover_net_spin(e, true);
	handover_report_priority(e, "new", n->means);
	handover_report_cpu(e, "new", proc_cpu_ns(&e->upgrade.cpu) - n->cpu_ns);
	n->stop_ms = (double)(n->mark_ns - n->stop_at_ns) / 1e6;
	new_done(e);
	handover_net_pass(e, passed);
}

static void pools_ready(void *ctx, int res, const json_t *state, const struct err *err)
{
	if (res < 0)
		log_error("handover.pools_lost", "reason=\"%s\"", err->text);
	new_part(ctx, "take-over");
	handover_net_serve(ctx, served);
}

/* Long after, in the terms of a stop: hosts are served meanwhile. */
static void pools_taken(void *ctx, int res, const json_t *state, const struct err *err)
{
	/* That pool is read-only and says so; the others are whole, and all hosts are better off being served. */
	if (res < 0)
		log_error("handover.pool_lost", "reason=\"%s\"", err->text);
	else
		log_info("handover.pools_taken", "status=%d", res);
}

static void new_go(struct engine *e)
{
	struct handover_new *n = &e->successor;

	ASSERT(n->state == NEW_READY);
	new_part(e, "word");
	e->lock_fd = n->lock_fd;
	engine_lock_sign(e);
	new_enter(e, NEW_TAKE_OVER);
	store_take_over(e, pools_ready, pools_taken, e);
}

/* ---- events ---- */

static void new_got(struct handover_wire *wire)
{
	struct engine *e = container_of(wire, struct engine, successor.wire);
	struct handover_new *n = &e->successor;
	const struct handover_message *msg = &wire->msg;

	if (msg->type == HANDOVER_REFUSE && n->state < NEW_TAKE_OVER) {
		log_info("handover.not_taken", "reason=\"%s\"", msg->text);
		_exit(EXIT_SUCCESS);
	} else if (msg->type == HANDOVER_OFFER && n->state == NEW_OFFER) {
		new_offer(e, msg);
	} else if (msg->type == HANDOVER_PREPARE && n->state == NEW_PLAN) {
		new_plan(e, msg->bytes);
	} else if (msg->type == HANDOVER_STATE && n->state == NEW_WARMED) {
		new_state(e, msg);
	} else if (msg->type == HANDOVER_GO && n->state == NEW_READY) {
		new_go(e);
	} else if (msg->type == HANDOVER_STATS &&
		   (n->state == NEW_TAKE_OVER || n->state == NEW_STATS)) {
		new_stats(e, msg->bytes);
	} else if (n->state < NEW_TAKE_OVER) {
		new_end(e, -EPROTO, "the old engine said '%s' when it was not its turn",
			handover_type_name[msg->type]);
	}
}

/* Behind a whole state the end of the old process is as good as its word, when it is the end and not a closed socket. */
static void new_ended(struct handover_wire *wire, int res, const struct err *err)
{
	struct engine *e = container_of(wire, struct engine, successor.wire);
	struct handover_new *n = &e->successor;

	if (n->state >= NEW_TAKE_OVER) {
		if (n->state < NEW_SERVING)
			stats_over(e);
		return;
	}
	if (res < 0)
		new_end(e, res, "%s", err->text);
	if (n->state < NEW_FOLLOW_TO)
		new_end(e, -ECONNRESET, "the old engine has gone before its state had come");
	for (unsigned i = 0; !proc_is_gone(n->pidfd) && i < GONE_MS / GONE_LOOK_MS; i++)
		proc_pause_ms(GONE_LOOK_MS);
	if (!proc_is_gone(n->pidfd))
		new_end(e, -ECONNRESET, "the old engine has hung up, and lives");
	log_warn("handover.old_died", "step=%s pid=%d", step_name[n->state], (int)wire->pid);
	n->old_gone = true;
	if (n->state == NEW_READY)
		new_go(e);
}

static void new_late(struct timer *timer)
{
	struct engine *e = container_of(timer, struct engine, successor.timer);

	if (e->successor.state == NEW_STATS) {
		log_warn("handover.stats_lost", "reason=\"they have not come within %d ms\"",
			 STATS_MS);
		stats_over(e);
	} else if (e->successor.state < NEW_TAKE_OVER)
		new_end(e, -ETIMEDOUT, "the old engine has said nothing for %d s",
			PATIENCE_MS / 1000);
}

void handover_new_start(struct engine *e)
{
	struct handover_new *n = &e->successor;
	struct err err = {0};
	pid_t pid = 0;
	int fd = -1;

	handover_net_spin(e, false);
	n->lock_fd = -1;
	n->timer.run = new_late;
	n->begin_ns = n->step_ns = reactor_now_exact(e->control);
	n->wire.got = new_got;
	n->wire.ended = new_ended;
	if (fdpass_connect(e->opts->take_over, &fd, &pid, &err) < 0)
		new_end(e, err.code, "%s; is the old engine running?", err.text);
	n->pidfd = proc_open(pid);
	if (n->pidfd < 0)
		new_end(e, n->pidfd, "the old engine, pid %d, cannot be watched: %s", (int)pid,
			strerror(-n->pidfd));
	if (handover_wire_open(&n->wire, e->control, fd, pid, &err) < 0)
		new_end(e, err.code, "%s", err.text);
	new_enter(e, NEW_OFFER);
	new_hello(e);
}

bool handover_new_stop(struct engine *e)
{
	struct handover_new *n = &e->successor;

	if (n->state < NEW_TAKE_OVER)
		new_end(e, -ECANCELED, "it is being stopped");
	n->stop_wanted = n->state < NEW_SERVING;
	return !n->stop_wanted;
}
