/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of this host, this one among them. Any thread. */
#ifndef LITEPOOL_RT_PROC_H
#define LITEPOOL_RT_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A descriptor of the process, which becomes readable when it ends (pidfd_open(2)); or a negative errno. */
int proc_open(pid_t pid);
/* Whether the process of that descriptor has ended (it may still be a zombie). */
bool proc_is_gone(int pidfd);
/* 0 or a negative errno; the number cannot have become another process's. */
int proc_signal(int pidfd, int signo);
/* When the process began, in ticks since boot: with the pid it names one process for ever. 0: there is none, or only its remains. */
unsigned long long proc_started(pid_t pid);
/* One letter, as in ps(1): R, S, D, T (stopped), t (traced), Z; '?' when it cannot be told. tid 0: of the main thread. */
char proc_state(pid_t pid, pid_t tid);
/* A line of /proc/PID/task/TID/NAME (wchan, syscall), or "". */
void proc_task_text(pid_t pid, pid_t tid, const char *name, char *text, size_t size);
/* Signals one thread of another process. */
int proc_signal_thread(pid_t pid, pid_t tid, int signo);

/* The calling thread. */
pid_t proc_tid(void);
/*
 * CPU time of the threads that this process has now, up to this moment (the process's own clock is behind by what other threads have used since their last tick). note: which
 * threads; it reads /proc. ns: cheap.
 */
#define PROC_CPU_THREADS 80
struct proc_cpu {
	unsigned n;
	pid_t tid[PROC_CPU_THREADS];
};
void proc_cpu_note(struct proc_cpu *cpu);
uint64_t proc_cpu_ns(const struct proc_cpu *cpu);
void proc_pause_ms(unsigned ms);
/*
 * Room for n descriptors more in this process's table; fd is any of its own. The kernel grows the table of a process with threads by waiting for all of the host's cores to come
 * round (10 to 20 ms), at 64, 128, 256 ... descriptors: better now than in the middle of something. What is refused leaves it as it was.
 */
void proc_reserve_fds(int fd, unsigned n);
/*
 * So many bytes, at most 32 MiB, that malloc() gives to the calling thread from now on are mapped and touched already: it would else ask the kernel page after page.
 */
void proc_reserve_memory(size_t bytes);
/* This process has nothing to do any more but end: all its threads leave to others what these want of any core, so that its end delays nobody. */
void proc_retire(void);
/* The calling thread has something to do once more, if the system lets it. */
void proc_unretire(void);

#endif
