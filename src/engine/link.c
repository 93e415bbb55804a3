/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pulses: each second every data reactor and the pool reactor gets a message that does nothing but come round. Its age, while it has not, is how long that thread has been
 * stuck. The control thread needs none: when it is stuck, the beat itself does not come.
 */
#include "engine/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config.h"
#include "engine/engine.h"
#include "rt/fdpass.h"
#include "rt/proc.h"

#define BEAT_NS 1000000000ull

static void link_tick(struct timer *timer);

static void pulse_run(struct msg *msg)
{
	struct engine_pulse *pulse = container_of(msg, struct engine_pulse, msg);

	atomic_store(&pulse->tid, (uint64_t)proc_tid());
	atomic_store(&pulse->round, true);
}

static void pulse_add(struct engine_link *link, struct reactor *r)
{
	struct engine_pulse *pulse = &link->pulse[link->n_pulses++];

	pulse->link = link;
	pulse->r = r;
	pulse->msg.run = pulse_run;
}

void engine_link_open(struct engine *e)
{
	struct engine_link *link = &e->link;

	if (!e->opts->supervisor || link->wanted)
		return;
	link->e = e;
	link->wanted = true;
	for (unsigned i = 0; i < e->n_data; i++)
		pulse_add(link, e->data[i]);
	pulse_add(link, e->pools);
	link->timer.run = link_tick;
	link_tick(&link->timer);
}

void engine_link_close(struct engine *e)
{
	e->link.wanted = false;
	timer_stop(&e->link.timer);
	handover_wire_close(&e->link.wire);
}

static void link_got(struct handover_wire *wire)
{
	struct engine_link *link = container_of(wire, struct engine_link, wire);
	const struct handover_message *msg = &wire->msg;

	if (msg->type == HANDOVER_WELCOME) {
		link->restarts = msg->restarts;
		(void)snprintf(link->last_end, sizeof(link->last_end), "%.255s", msg->text);
		log_info("engine.supervisor", "pid=%d restarts=%u", (int)wire->pid, msg->restarts);
	} else if (msg->type == HANDOVER_STARTED) {
		if (link->starts)
			link->starts--;
		if (!link->starts) /* else it is of one that was given up */
			handover_old_started(link->e, msg);
	} else if (msg->type == HANDOVER_ENDED) {
		handover_old_successor_ended(link->e, msg);
	} else {
		log_warn("engine.supervisor.unexpected", "message=%s",
			 handover_type_name[msg->type]);
	}
}

static void link_ended(struct handover_wire *wire, int res, const struct err *err)
{
	log_warn("engine.supervisor.gone", "reason=\"%s\"", res < 0 ? err->text : "it has ended");
}

static void link_connect(struct engine_link *link)
{
	struct handover_message *msg;
	struct err err = {0};
	pid_t pid = 0;
	int fd;

	/* Nobody there yet, or again: the next tick tries again. */
	if (fdpass_connect(link->e->opts->supervisor, &fd, &pid, &err) < 0)
		return;
	link->starts = 0;
	link->wire.got = link_got;
	link->wire.ended = link_ended;
	if (handover_wire_open(&link->wire, link->e->control, fd, pid, &err) < 0)
		return;
	msg = calloc(1, sizeof(*msg));
	if (!msg)
		return;
	msg->type = HANDOVER_LINK;
	(void)snprintf(msg->version, sizeof(msg->version), "%s", LITEPOOL_VERSION);
	msg->pid = (uint32_t)getpid();
	msg->serving = link->e->state == ENGINE_RUNNING;
	(void)handover_send(handover_wire_fd(&link->wire), msg, NULL, 0);
	free(msg);
}

/* Sends the pulse off again when it has come round; how old the one under way is. */
static uint32_t pulse_age_ms(struct engine_pulse *pulse, uint64_t now)
{
	if (atomic_exchange(&pulse->round, false))
		pulse->under_way = false;
	if (pulse->under_way)
		return (uint32_t)((now - pulse->since_ns) / 1000000);
	pulse->under_way = true;
	pulse->since_ns = now;
	reactor_post(pulse->r, &pulse->msg);
	return 0;
}

static void link_beat(struct engine_link *link)
{
	struct handover_message *msg = calloc(1, sizeof(*msg));
	uint64_t now = reactor_now_exact(link->e->control);
	struct handover_beat *own;

	if (!msg)
		return;
	msg->type = HANDOVER_BEAT;
	for (unsigned i = 0; i < link->n_pulses; i++) {
		struct handover_beat *beat = &msg->beats[msg->n_beats++];

		beat->age_ms = pulse_age_ms(&link->pulse[i], now);
		beat->tid = (uint32_t)atomic_load(&link->pulse[i].tid);
		(void)snprintf(beat->name, sizeof(beat->name), "%s",
			       reactor_name(link->pulse[i].r));
	}
	own = &msg->beats[msg->n_beats++];
	own->tid = (uint32_t)proc_tid();
	(void)snprintf(own->name, sizeof(own->name), "%s", reactor_name(link->e->control));
	(void)handover_send(handover_wire_fd(&link->wire), msg, NULL, 0);
	free(msg);
}

static void link_tick(struct timer *timer)
{
	struct engine_link *link = container_of(timer, struct engine_link, timer);

	if (!link->wire.sock)
		link_connect(link);
	if (link->wire.sock)
		link_beat(link);
	(void)timer_start(link->e->control, timer, reactor_now(link->e->control) + BEAT_NS);
}

int engine_link_start(struct engine *e, const char *binary)
{
	struct handover_message *msg;
	int res;

	if (e->link.wanted &&
	    !e->link.wire.sock) /* a supervisor that has just started: before the next beat */
		link_connect(&e->link);
	if (!e->link.wire.sock)
		return -ENOTCONN;
	msg = calloc(1, sizeof(*msg));
	if (!msg)
		return -ENOMEM;
	msg->type = HANDOVER_START;
	(void)snprintf(msg->path, sizeof(msg->path), "%s", binary);
	res = handover_send(handover_wire_fd(&e->link.wire), msg, NULL, 0);
	if (res == 0)
		e->link.starts++;
	free(msg);
	return res;
}

void engine_link_stop(struct engine *e)
{
	handover_say(&e->link.wire, HANDOVER_STOP, 0, "", "%s", "");
}
