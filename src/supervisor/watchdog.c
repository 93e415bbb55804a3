/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stuck threads. A beat says of each reactor how long it has not come round; a beat that does not come says it of the control reactor. What is found is told (who, for how long,
 * where the kernel has it, and the thread's own stack, which it writes into the log on SIGUSR1 if it can run at all); then the engine is killed, and started as after any crash.
 *
 * An engine that was stopped on purpose (SIGSTOP, a debugger) is not stuck, and neither is one on a machine that stood still as a whole (a paused virtual machine or container, a load under
 * which nobody runs): then this process did not run either, and what it knows of others is old. A thread that comes round while it is told to write its stack is left alone.
 * What was answered is on the disks: killing loses nothing that was promised.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "rt/proc.h"
#include "supervisor/supervisor.h"

#define LOOK_NS NSEC_PER_SEC
#define LATE_NS                                                                                    \
	NSEC_PER_SEC /* a look that comes so much later than it should: this process did not run */
#define STACK_NS                                                                                   \
	(1500 *                                                                                    \
	 NSEC_PER_MSEC) /* for the thread to write its stack, and for one more beat that says whether it is stuck still */

/* The thread that is stuck for the longest time, at least limit_ms; NULL. The last of the beats is the control reactor, which sends them. */
static const struct handover_beat *find_stuck(const struct supervisor_link *link, uint64_t now,
					      uint32_t limit_ms, uint32_t *ret_ms)
{
	uint64_t silent_ms = (now - link->heard_ns) / NSEC_PER_MSEC;
	const struct handover_beat *found = NULL;

	if (!link->n_beats)
		return NULL;
	*ret_ms = limit_ms;
	for (unsigned i = 0; i + 1 < link->n_beats; i++) {
		if (link->beats[i].age_ms < *ret_ms)
			continue;
		found = &link->beats[i];
		*ret_ms = found->age_ms;
	}
	if (silent_ms >= *ret_ms) {
		found = &link->beats[link->n_beats - 1];
		*ret_ms = (uint32_t)silent_ms;
	}
	return found;
}

static void report(struct supervisor *s, const struct handover_beat *beat, uint32_t ms)
{
	char wchan[64], call[128];
	char state = proc_state(s->engine.pid, (pid_t)beat->tid);

	proc_task_text(s->engine.pid, (pid_t)beat->tid, "wchan", wchan, sizeof(wchan));
	proc_task_text(s->engine.pid, (pid_t)beat->tid, "syscall", call, sizeof(call));
	(void)snprintf(s->last_end, sizeof(s->last_end),
		       "reactor %s was stuck for %u ms (thread %u, state %c, in %.60s) and the "
		       "engine was killed",
		       beat->name, ms, beat->tid, state, wchan[0] ? wchan : "?");
	log_error("supervisor.stuck",
		  "pid=%d reactor=%s tid=%u since_ms=%u state=%c wchan=%s syscall=\"%s\"",
		  (int)s->engine.pid, beat->name, beat->tid, ms, state, wchan[0] ? wchan : "?",
		  call);
	(void)proc_signal_thread(s->engine.pid, (pid_t)beat->tid, SIGUSR1);
}

/* What was heard is too old to judge by: time begins anew. */
static void forget(struct supervisor_link *link, uint64_t now)
{
	link->heard_ns = now;
	for (unsigned i = 0; i < link->n_beats; i++)
		link->beats[i].age_ms = 0;
}

/* Nobody could run: this process was late itself, or the engine is stopped. */
static bool stood_still(const struct supervisor *s, uint64_t now)
{
	char state;

	if (now > s->watchdog.due_ns + LATE_NS)
		return true;
	state = proc_state(s->engine.pid, 0);
	return state == 'T' || state == 't';
}

/* Who is found for the first time is asked for its stack; who is found again is killed with its engine. */
static void judge(struct supervisor *s, const struct handover_beat *beat, uint32_t ms)
{
	if (beat && s->stuck) {
		log_error("supervisor.killed", "pid=%d", (int)s->engine.pid);
		process_kill(&s->engine, SIGKILL);
		s->stuck = false;
		s->killed = true;
	} else if (beat) {
		report(s, beat, ms);
		s->stuck = true;
	} else if (s->stuck) {
		log_warn("supervisor.unstuck", "pid=%d", (int)s->engine.pid);
		s->last_end[0] = '\0';
		s->stuck = false;
	}
}

static void look(struct supervisor *s)
{
	struct supervisor_link *link = s->engine.pid ? link_of(s, s->engine.pid) : NULL;
	uint64_t now = evloop_now_ns();
	const struct handover_beat *beat;
	uint32_t ms = 0;

	if (!link || s->state != SUPERVISOR_RUN) {
		s->stuck = false;
		return;
	}
	if (stood_still(s, now))
		forget(link, now);
	beat = find_stuck(link, now, s->opts->stuck_s * 1000, &ms);
	judge(s, beat, ms);
}

static void watchdog_fire(struct evloop_timer *timer)
{
	struct supervisor *s = container_of(timer, struct supervisor, watchdog);

	look(s);
	evloop_timer_set(s->loop, timer, evloop_now_ns() + (s->stuck ? STACK_NS : LOOK_NS));
}

void watchdog_start(struct supervisor *s)
{
	if (!s->opts->stuck_s)
		return;
	s->watchdog.fire = watchdog_fire;
	evloop_timer_set(s->loop, &s->watchdog, evloop_now_ns() + LOOK_NS);
}
