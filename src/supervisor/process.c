/* SPDX-License-Identifier: Apache-2.0 */
/* One engine process, our child or not. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "rt/proc.h"
#include "supervisor/supervisor.h"

static void process_forget(struct process *p)
{
	if (p->pid) {
		evloop_unwatch(p->s->loop, &p->watch);
		(void)close(p->watch.fd);
	}
	p->pid = 0;
	p->child.pid = 0;
}

static void process_ready(struct evloop_fd *watch, bool readable, bool writable)
{
	struct process *p = container_of(watch, struct process, watch);
	char how[96] = "an unknown status (another process has started it)";
	pid_t pid = p->pid;

	(void)child_ended(&p->child, how, sizeof(how));
	process_forget(p);
	supervisor_process_ended(p->s, p, pid, how);
}

static int process_watch(struct process *p, pid_t pid)
{
	int fd = proc_open(pid), rc;

	if (fd < 0)
		return fd;
	p->watch.fd = fd;
	p->watch.ready = process_ready;
	p->pid = pid;
	p->since_ns = evloop_now_ns();
	rc = evloop_watch(p->s->loop, &p->watch, true, false);
	if (rc < 0) {
		(void)close(fd);
		p->pid = 0;
	}
	return rc;
}

int process_adopt(struct process *p, pid_t pid)
{
	char path[64], binary[sizeof(p->binary)];
	ssize_t len;

	p->child.pid = 0;
	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	len = readlink(path, binary, sizeof(binary) - 1);
	/* Its file was replaced since: what is there now is what a restart starts. */
	if (len > 10 && memcmp(binary + len - 10, " (deleted)", 10) == 0)
		len -= 10;
	if (len > 0) /* else it is ending */
		(void)snprintf(p->binary, sizeof(p->binary), "%.*s", (int)len, binary);
	return process_watch(p, pid);
}

int process_start(struct process *p, const char *binary, bool successor, struct err *err)
{
	const struct supervisor_opts *opts = p->s->opts;
	const char *argv[SUPERVISOR_ARGS + 8] = {binary, "--state-dir", opts->state_dir,
						 "--supervisor", p->s->link_path};
	size_t n = 5;
	int rc;

	if (successor) {
		argv[n++] = "--take-over";
		argv[n++] = p->s->handover_path;
	}
	for (size_t i = 0; opts->args[i]; i++)
		argv[n++] = opts->args[i];
	if (binary != p->binary)
		(void)snprintf(p->binary, sizeof(p->binary), "%s", binary);
	rc = child_start(&p->child, argv, err);
	if (rc < 0)
		return rc;
	rc = process_watch(p, p->child.pid);
	if (rc < 0) {
		child_stop(&p->child, 0);
		return err_set(err, rc, "the new process cannot be watched: %s", strerror(-rc));
	}
	log_info("supervisor.started", "pid=%d binary=%s successor=%d", (int)p->pid, binary,
		 successor);
	return 0;
}

void process_move(struct process *to, struct process *from)
{
	struct child child = from->child;
	pid_t pid = from->pid;

	process_forget(to);
	(void)snprintf(to->binary, sizeof(to->binary), "%s", from->binary);
	process_forget(from);
	to->child = child;
	/* It may end this very moment: then its pidfd, if there is still one, says so. */
	if (process_watch(to, pid) < 0)
		supervisor_process_ended(to->s, to, pid, "nobody saw how");
}

void process_kill(struct process *p, int signo)
{
	if (p->pid)
		(void)proc_signal(p->watch.fd, signo); /* it fails only when it has ended */
}
