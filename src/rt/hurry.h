/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of this process ahead of all others of the host, for the few milliseconds in which somebody waits for them: a thread that is woken has a core at once, whatever else
 * runs there. Begin and end are called by the same thread; one hurry of a process at a time.
 */
#ifndef LITEPOOL_RT_HURRY_H
#define LITEPOOL_RT_HURRY_H

#include <stdbool.h>
#include <sys/types.h>

#define HURRY_THREADS 80 /* of a process; more are left as they are */

enum hurry_means {
	HURRY_NONE,     /* refused by the system: as it was */
	HURRY_NICE,     /* nice -20: more of a core, and sooner */
	HURRY_REALTIME, /* SCHED_FIFO, lowest priority: before all that is not real-time */
};
extern const char *const hurry_means_name[]; /* "none", "nice", "real-time" */

struct hurry_thread {
	pid_t tid;
	int nice; /* before */
	enum hurry_means means;
};

struct hurry { /* zeroed: nobody hurries */
	unsigned n;
	struct hurry_thread thread[HURRY_THREADS];
};

/*
 * All threads there are now. It reads /proc, so call it before the moment that counts. Threads that have another policy than SCHED_OTHER keep what somebody gave them. Threads made by
 * these do not hurry. Needs CAP_SYS_NICE (or RLIMIT_RTPRIO, RLIMIT_NICE); what is refused costs time and nothing else. Returns the least that a thread was given. Between begin and end
 * nothing may spin for long: the kernel gives what is not real-time 50 ms of a second then, or nothing (sched_rt_runtime_us).
 */
enum hurry_means hurry_begin(struct hurry *h);
/* As they were. Nothing, when nobody hurries. */
void hurry_end(struct hurry *h);

#endif
