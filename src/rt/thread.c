/* SPDX-License-Identifier: Apache-2.0 */
/* The thread of a reactor: name, core, signals, start and end. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "rt/env.h"
#include "rt/reactor_priv.h"
#include "rt/thread.h"

struct start {
	struct reactor *r;
	struct err *err;
	int rc;
	sem_t done;
};

int thread_create_quiet(pthread_t *ret, void *(*fn)(void *), void *arg)
{
	sigset_t all, before;
	int rc;

	(void)sigfillset(&all);
	/* These come from the thread's own instructions and are reported by the crash handler. */
	(void)sigdelset(&all, SIGSEGV);
	(void)sigdelset(&all, SIGBUS);
	(void)sigdelset(&all, SIGILL);
	(void)sigdelset(&all, SIGFPE);
	(void)sigdelset(&all, SIGABRT);
	/* A stuck thread is asked for its stack (base/check.h). */
	(void)sigdelset(&all, SIGUSR1);
	rc = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (rc)
		return -rc;
	rc = pthread_create(ret, NULL, fn, arg);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

static int pin(struct reactor *r, struct err *err)
{
	cpu_set_t set;
	int rc;

	if (r->cpu < 0)
		return 0;
	if (r->cpu >= CPU_SETSIZE)
		return err_set(err, -EINVAL, "core %d does not exist", r->cpu);
	CPU_ZERO(&set);
	CPU_SET(r->cpu, &set);
	rc = pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	if (rc)
		return err_set(err, -rc,
			       "reactor '%s' cannot run on core %d: %s; choose a core that exists "
			       "and that this process "
			       "may use (see taskset -p)",
			       r->name, r->cpu, strerror(rc));
	return 0;
}

static void *reactor_thread(void *arg)
{
	struct start *start = arg;
	struct reactor *r = start->r;
	int rc;

	(void)pthread_setname_np(pthread_self(), r->name);
	/* The ring is made before the thread is pinned, so that io-wq starts from all of the process's cores. */
	rc = reactor_prepare(r, start->err);
	if (!rc)
		rc = pin(r, start->err);
	start->rc = rc;
	(void)sem_post(&start->done); /* start is the starter's again */
	if (!rc)
		reactor_run(r);
	reactor_leave(r);
	return NULL;
}

int reactor_start(struct reactor *r, struct err *err)
{
	struct start start = {.r = r, .err = err};
	int rc;

	ASSERT(!r->thread_running);
	if (sem_init(&start.done, 0, 0) < 0)
		return err_set(err, -errno, "cannot start reactor '%s': %s", r->name,
			       strerror(errno));
	rc = thread_create_quiet(&r->thread, reactor_thread, &start);
	if (rc < 0) {
		(void)sem_destroy(&start.done);
		return err_set(err, rc, "cannot start the thread of reactor '%s': %s", r->name,
			       strerror(-rc));
	}
	while (sem_wait(&start.done) < 0)
		ASSERT(errno == EINTR);
	(void)sem_destroy(&start.done);
	r->thread_running = true;
	if (start.rc < 0)
		reactor_join(r);
	return start.rc;
}

void reactor_join(struct reactor *r)
{
	int rc;

	if (!r->thread_running)
		return;
	rc = pthread_join(r->thread, NULL);
	ASSERT(rc == 0);
	r->thread_running = false;
}
