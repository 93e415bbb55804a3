/* SPDX-License-Identifier: Apache-2.0 */
#include "rt/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"

int proc_open(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0); /* closed on exec */

	return fd < 0 ? -errno : fd;
}

bool proc_is_gone(int pidfd)
{
	struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};

	return poll(&poll_fd, 1, 0) == 1;
}

int proc_signal(int pidfd, int signo)
{
	return syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

static bool read_text(const char *path, char *text, size_t size)
{
	FILE *in = fopen(path, "re");
	size_t len;

	text[0] = '\0';
	if (!in)
		return false;
	len = fread(text, 1, size - 1, in);
	(void)fclose(in);
	text[len] = '\0';
	return len > 0;
}

/* The text of a stat file behind the name, which may hold anything: from the state on, field 3. NULL. */
static const char *stat_fields(const char *path, char *text, size_t size)
{
	const char *at;

	if (!read_text(path, text, size))
		return NULL;
	at = strrchr(text, ')');
	return at && at[1] == ' ' && at[2] ? at + 2 : NULL;
}

unsigned long long proc_started(pid_t pid)
{
	char path[64], text[1024];
	const char *at;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	at = stat_fields(path, text, sizeof(text));
	if (!at || *at == 'Z' || *at == 'X')
		return 0;
	for (int field = 3; field < 22 && at; field++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	return at ? strtoull(at, NULL, 10) : 0;
}

char proc_state(pid_t pid, pid_t tid)
{
	char path[96], text[1024];
	const char *at;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid,
		       (int)(tid ? tid : pid));
	at = stat_fields(path, text, sizeof(text));
	if (!at)
		return '?';
	return *at;
}

void proc_task_text(pid_t pid, pid_t tid, const char *name, char *text, size_t size)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", (int)pid, (int)tid, name);
	(void)read_text(path, text, size);
	text[strcspn(text, "\n")] = '\0';
}

int proc_signal_thread(pid_t pid, pid_t tid, int signo)
{
	return syscall(SYS_tgkill, pid, tid, signo) < 0 ? -errno : 0;
}

pid_t proc_tid(void)
{
	return gettid();
}

void proc_cpu_note(struct proc_cpu *cpu)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;

	cpu->n = 0;
	while (dir && cpu->n < PROC_CPU_THREADS && (entry = readdir(dir))) {
		cpu->tid[cpu->n] = (pid_t)strtol(entry->d_name, NULL, 10);
		cpu->n += cpu->tid[cpu->n] > 0;
	}
	if (dir)
		(void)closedir(dir);
}

/* The clock of a thread, as pthread_getcpuclockid(3) makes it: threads of others are named by their number alone. */
static clockid_t thread_clock(pid_t tid)
{
	return (clockid_t)(~(unsigned)tid << 3 | 6u);
}

uint64_t proc_cpu_ns(const struct proc_cpu *cpu)
{
	uint64_t ns = 0;

	for (unsigned i = 0; i < cpu->n; i++) {
		struct timespec ts;

		if (clock_gettime(thread_clock(cpu->tid[i]), &ts) == 0)
			ns += (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	}
	return ns;
}

void proc_pause_ms(unsigned ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

/* malloc() takes less than 128 KiB from the thread's heap, not by a mapping of its own. */
#define PIECE       ((size_t)64 << 10)
#define RESERVE_MAX ((size_t)32 << 20)
#define PAGE        ((size_t)4096)

void proc_reserve_memory(size_t bytes)
{
	void **first = NULL;

	bytes = MIN(bytes, RESERVE_MAX);
	/* Else the kernel would have it back at once. */
	(void)mallopt(M_TRIM_THRESHOLD, (int)(bytes + 2 * PIECE));
	for (size_t at = 0; at < bytes; at += PIECE) {
		volatile char *piece = malloc(PIECE);

		if (!piece)
			break;
		for (size_t i = 0; i < PIECE; i += PAGE)
			piece[i] = 0;
		*(void **)(uintptr_t)piece = first;
		first = (void **)(uintptr_t)piece;
	}
	while (first) {
		void **piece = first;

		first = *piece;
		free(piece);
	}
}

void proc_reserve_fds(int fd, unsigned n)
{
	int lowest = fcntl(fd, F_DUPFD_CLOEXEC, 0), highest;
	struct rlimit limit;
	rlim_t want;

	if (lowest < 0)
		return;
	(void)close(lowest);
	want = (rlim_t)lowest + n;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == 0)
		return;
	if (want >= limit.rlim_cur)
		want = limit.rlim_cur - 1;
	highest = fcntl(fd, F_DUPFD_CLOEXEC, want);
	if (highest >= 0)
		(void)close(highest);
}

void proc_retire(void)
{
	const struct sched_param param = {0};
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;
	cpu_set_t all;

	memset(&all, 0xff, sizeof(all));
	/* What is refused leaves the thread as it was: it only takes longer. */
	while (dir && (entry = readdir(dir))) {
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (tid <= 0)
			continue;
		(void)sched_setaffinity(tid, sizeof(all), &all);
		(void)sched_setscheduler(tid, SCHED_IDLE, &param);
	}
	if (dir)
		(void)closedir(dir);
}

void proc_unretire(void)
{
	const struct sched_param param = {0};

	(void)sched_setscheduler(0, SCHED_OTHER, &param);
}
