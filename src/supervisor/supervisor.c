/* SPDX-License-Identifier: Apache-2.0 */
/* The machine of supervisor.h. All but new, stop and free on the loop's thread. */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "rt/fs.h"
#include "rt/proc.h"
#include "rt/process.h"

#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 5000
#define GOOD_LIFE_NS (60 * NSEC_PER_SEC)
#define LOOK_MS      50
#define STOP_MS      20000

static void look(struct supervisor *s);

static void look_in(struct supervisor *s, uint64_t ms)
{
	evloop_timer_set(s->loop, &s->timer, evloop_now_ns() + ms * NSEC_PER_MSEC);
}

/* After an end: at once the first time, then later and later, until one has lived well. */
static void pause_first(struct supervisor *s, uint64_t lived_ns)
{
	if (lived_ns > GOOD_LIFE_NS)
		s->pause_ms = 0;
	s->state = SUPERVISOR_PAUSE;
	if (s->pause_ms)
		log_warn("supervisor.pause", "ms=%" PRIu64, s->pause_ms);
	look_in(s, s->pause_ms);
	s->pause_ms = MIN(MAX(s->pause_ms * 2, (uint64_t)PAUSE_MIN_MS), (uint64_t)PAUSE_MAX_MS);
}

static void start(struct supervisor *s)
{
	struct err err = {0};

	if (process_start(&s->engine, s->served, false, &err) < 0) {
		log_error("supervisor.start_failed", "binary=%s next=%s reason=\"%s\"", s->served,
			  s->opts->engine, err.text);
		(void)snprintf(s->served, sizeof(s->served), "%s", s->opts->engine);
		pause_first(s, 0);
		return;
	}
	s->state = SUPERVISOR_RUN;
}

/* Whose lock it is, by his own word, checked. 0: nobody's that can be told. */
static pid_t lock_owner(struct supervisor *s)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long began = 0;
	struct err err = {0};
	size_t len;
	char *end;
	long pid;

	if (fs_read(s->lock_path, 256, &text, &len, &err) < 0)
		return 0;
	pid = strtol(text, &end, 10);
	began = strtoull(end, NULL, 10);
	return pid > 1 && began && proc_started((pid_t)pid) == began ? (pid_t)pid : 0;
}

static void look(struct supervisor *s)
{
	struct err err = {0};
	int fd = -1, rc;
	pid_t pid;

	s->state = SUPERVISOR_LOOK;
	rc = fs_lock(s->lock_path, &fd, &err);
	cleanup_closep(&fd);
	if (rc == 0) {
		start(s);
		return;
	}
	pid = rc == -EBUSY ? lock_owner(s) : 0;
	if (pid && process_adopt(&s->engine, pid) == 0) {
		log_info("supervisor.adopted", "pid=%d binary=%s", (int)pid, s->engine.binary);
		s->state = SUPERVISOR_RUN;
		if (link_of(s, pid)) /* it serves, and said so before we looked */
			(void)snprintf(s->served, sizeof(s->served), "%s", s->engine.binary);
		return;
	}
	/* Somebody is just beginning or ending. */
	if (rc != -EBUSY)
		log_limited(LOG_LEVEL_ERROR, "supervisor.lock", "reason=\"%s\"", err.text);
	look_in(s, LOOK_MS);
}

static void timer_fire(struct evloop_timer *timer)
{
	struct supervisor *s = container_of(timer, struct supervisor, timer);

	if (s->state == SUPERVISOR_STOPPING) {
		log_error("supervisor.stop_cut", "pid=%d", (int)s->engine.pid);
		process_kill(&s->engine, SIGKILL);
		process_kill(&s->successor, SIGKILL);
	} else {
		look(s);
	}
}

static void successor_start(struct supervisor *s, struct supervisor_link *link);

static void waiting_start(struct supervisor *s)
{
	struct supervisor_link *link = s->engine.pid ? link_of(s, s->engine.pid) : NULL;

	if (link && s->waiting)
		successor_start(s, link);
	s->waiting = false;
}

static void successor_ended(struct supervisor *s, pid_t pid, const char *how)
{
	struct supervisor_link *link = s->engine.pid ? link_of(s, s->engine.pid) : NULL;

	log_warn("supervisor.successor_ended", "pid=%d how=\"%s\"", (int)pid, how);
	if (link && !s->ending)
		link_say(link, HANDOVER_ENDED, pid, 0, how);
	s->ending = false;
	waiting_start(s);
}

static void engine_ended(struct supervisor *s, pid_t pid, const char *how, uint64_t lived_ns)
{
	if (s->successor.pid) {
		/* It has been given everything, or ends by itself in a moment. */
		log_info("supervisor.succeeded", "pid=%d by=%d how=\"%s\"", (int)pid,
			 (int)s->successor.pid, how);
		s->ending = s->stuck = s->killed = false;
		process_move(&s->engine, &s->successor);
		waiting_start(s);
		return;
	}
	s->restarts++;
	if (!s->killed)
		(void)snprintf(s->last_end, sizeof(s->last_end), "pid %d ended with %.200s",
			       (int)pid, how);
	log_error("supervisor.engine_ended", "pid=%d how=\"%s\" restarts=%u", (int)pid, how,
		  s->restarts);
	s->stuck = s->killed = false;
	pause_first(s, lived_ns);
}

void supervisor_process_ended(struct supervisor *s, struct process *p, pid_t pid, const char *how)
{
	links_forget(s, pid);
	if (s->state == SUPERVISOR_STOPPING) {
		log_info("supervisor.engine_stopped", "pid=%d how=\"%s\"", (int)pid, how);
		if (!s->engine.pid && !s->successor.pid)
			process_end();
	} else if (p == &s->successor) {
		successor_ended(s, pid, how);
	} else {
		engine_ended(s, pid, how, evloop_now_ns() - p->since_ns);
	}
}

/* Somebody who serves and is not who we thought: the lock tells. */
void supervisor_linked(struct supervisor *s, struct supervisor_link *link)
{
	s->stuck = false;
	/* A successor has been tried when it serves, not before: its predecessor may end of something else while it begins. */
	if (link->msg.serving && (link->pid == s->engine.pid || link->pid == s->successor.pid))
		(void)snprintf(s->served, sizeof(s->served), "%s",
			       link->pid == s->engine.pid ? s->engine.binary : s->successor.binary);
	/* The service manager knows this process, and no engine. Who is adopted serves already, so the service is ready again. Nobody listens: nothing is lost. */
	if (link->msg.serving)
		(void)process_notify("READY=1");
	if (s->state == SUPERVISOR_PAUSE || s->state == SUPERVISOR_LOOK)
		look_in(s, 0);
}

static void successor_start(struct supervisor *s, struct supervisor_link *link)
{
	const char *asked = s->waiting ? s->next_binary : link->msg.path;
	const char *binary = asked[0] ? asked : s->engine.binary;
	struct err err = {0};
	int rc;

	/* That of an upgrade that was given up is on its way out; or it serves, and its predecessor is. */
	if (s->successor.pid && (s->ending || link->pid == s->successor.pid)) {
		(void)snprintf(s->next_binary, sizeof(s->next_binary), "%s", link->msg.path);
		s->waiting = true;
		return;
	}
	if (s->successor.pid)
		rc = err_set(&err, -EBUSY,
			     "the successor of an earlier upgrade, pid %d, still runs",
			     (int)s->successor.pid);
	else if (link->pid != s->engine.pid)
		rc = err_set(&err, -ESTALE, "pid %d is not the engine that is watched",
			     (int)link->pid);
	else
		rc = process_start(&s->successor, binary, true, &err);
	link_say(link, HANDOVER_STARTED, rc < 0 ? 0 : s->successor.pid, rc, err.text);
}

static void successor_stop(struct supervisor *s, struct supervisor_link *link)
{
	if (!s->successor.pid || (link->pid != s->engine.pid && link->pid != s->successor.pid))
		return;
	if (s->waiting) /* that one is given up before it has begun; each START is answered */
		link_say(link, HANDOVER_STARTED, 0, -ECANCELED, "it was given up");
	s->waiting = false;
	if (link->pid == s->engine.pid) {
		s->ending = true;
		process_kill(&s->successor, SIGKILL);
	}
}

void supervisor_asked(struct supervisor *s, struct supervisor_link *link)
{
	if (link->msg.type == HANDOVER_START)
		successor_start(s, link);
	else
		successor_stop(s, link);
}

static void begin_run(struct evloop_task *task)
{
	struct supervisor *s = container_of(task, struct supervisor, begin);

	watchdog_start(s);
	look(s);
}

static void stop_run(struct evloop_task *task)
{
	struct supervisor *s = container_of(task, struct supervisor, stop);

	s->state = SUPERVISOR_STOPPING;
	evloop_timer_stop(&s->timer);
	if (s->leave || (!s->engine.pid && !s->successor.pid)) {
		process_end();
		return;
	}
	process_kill(&s->engine, SIGTERM);
	process_kill(&s->successor, SIGTERM);
	look_in(s, STOP_MS);
}

static int paths_make(struct supervisor *s, struct err *err)
{
	const char *dir = s->opts->state_dir;

	if (strlen(dir) > 85)
		return err_set(
			err, -ENAMETOOLONG,
			"--state-dir %s: at most 85 characters, because of the sockets in it", dir);
	(void)snprintf(s->lock_path, sizeof(s->lock_path), "%s/lock", dir);
	(void)snprintf(s->link_path, sizeof(s->link_path), "%s/supervisor.sock", dir);
	(void)snprintf(s->handover_path, sizeof(s->handover_path), "%s/handover.sock", dir);
	return fs_make_dir(dir, 0700, err);
}

int supervisor_new(const struct supervisor_opts *opts, struct supervisor **ret, struct err *err)
{
	struct supervisor *s = calloc(1, sizeof(*s));
	int rc = s ? 0 : err_set(err, -ENOMEM, "out of memory");

	if (!s)
		return rc;
	s->opts = opts;
	s->listener.fd = -1;
	s->engine.s = s->successor.s = s;
	s->timer.fire = timer_fire;
	s->begin.run = begin_run;
	s->stop.run = stop_run;
	(void)snprintf(s->engine.binary, sizeof(s->engine.binary), "%s", opts->engine);
	(void)snprintf(s->served, sizeof(s->served), "%s", opts->engine);
	rc = paths_make(s, err);
	if (rc == 0)
		rc = evloop_new("lp-supervisor", &s->loop, err);
	if (rc == 0)
		rc = links_open(s, err);
	if (rc < 0) {
		supervisor_free(s);
		return rc;
	}
	evloop_post(s->loop, &s->begin);
	*ret = s;
	return 0;
}

void supervisor_stop(struct supervisor *s, bool leave)
{
	s->leave = leave;
	evloop_post(s->loop, &s->stop);
}

void supervisor_free(struct supervisor *s)
{
	if (!s)
		return;
	if (s->loop)
		evloop_free(s->loop);
	links_close(s);
	free(s);
}
