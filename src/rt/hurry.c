/* SPDX-License-Identifier: Apache-2.0 */
#include "rt/hurry.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bytes.h"

#define NICE_MOST (-20)

const char *const hurry_means_name[] = {
	[HURRY_NONE] = "none",
	[HURRY_NICE] = "nice",
	[HURRY_REALTIME] = "real-time",
};

static enum hurry_means thread_begin(struct hurry_thread *t)
{
	const struct sched_param param = {.sched_priority = 1};

	errno = 0;
	t->nice = getpriority(PRIO_PROCESS, (id_t)t->tid);
	if (errno)
		return HURRY_NONE;
	if (sched_setscheduler(t->tid, SCHED_FIFO | SCHED_RESET_ON_FORK, &param) == 0)
		return HURRY_REALTIME;
	if (t->nice > NICE_MOST && setpriority(PRIO_PROCESS, (id_t)t->tid, NICE_MOST) == 0)
		return HURRY_NICE;
	return HURRY_NONE;
}

/* A thread that has ended meanwhile is nobody's. */
static void thread_end(const struct hurry_thread *t)
{
	const struct sched_param param = {0};

	if (t->means == HURRY_NICE)
		(void)setpriority(PRIO_PROCESS, (id_t)t->tid, t->nice);
	/* Who may do it by RLIMIT_RTPRIO alone may not take the flag back; it does no harm. */
	else if (t->means == HURRY_REALTIME && sched_setscheduler(t->tid, SCHED_OTHER, &param) < 0)
		(void)sched_setscheduler(t->tid, SCHED_OTHER | SCHED_RESET_ON_FORK, &param);
}

static void add(struct hurry *h, pid_t tid)
{
	struct hurry_thread *t = &h->thread[h->n];

	if (tid <= 0 || (sched_getscheduler(tid) & ~SCHED_RESET_ON_FORK) != SCHED_OTHER)
		return;
	t->tid = tid;
	t->means = thread_begin(t);
	h->n++;
}

/*
 * The caller is the first to hurry and the last to end it, so that none of the others, waiting in vain for a lock that a thread without hurry has, keeps it from helping that one.
 */
enum hurry_means hurry_begin(struct hurry *h)
{
	DIR *dir = opendir("/proc/self/task");
	const pid_t self = gettid();
	enum hurry_means least = HURRY_REALTIME;
	const struct dirent *entry;

	hurry_end(h);
	add(h, self);
	while (dir && h->n < HURRY_THREADS && (entry = readdir(dir))) {
		const pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (tid != self)
			add(h, tid);
	}
	if (dir)
		(void)closedir(dir);
	for (unsigned i = 0; i < h->n; i++)
		least = MIN(least, h->thread[i].means);
	return h->n ? least : HURRY_NONE;
}

void hurry_end(struct hurry *h)
{
	while (h->n)
		thread_end(&h->thread[--h->n]);
}
