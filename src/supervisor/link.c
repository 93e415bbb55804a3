/* SPDX-License-Identifier: Apache-2.0 */
/* The connections of engines. What they say that is no message ends the connection, nothing else. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "config.h"
#include "rt/fdpass.h"
#include "supervisor/supervisor.h"

static void link_end(struct supervisor_link *link, const char *why)
{
	log_info("supervisor.link.ended", "pid=%d reason=\"%s\"", (int)link->pid, why);
	evloop_unwatch(link->s->loop, &link->watch);
	(void)close(link->watch.fd);
	for (int i = 0; i < HANDOVER_BAGS; i++)
		handover_bag_fini(&link->bags[i]);
	link->open = false;
}

static void link_got(struct supervisor_link *link)
{
	const struct handover_message *msg = &link->msg;

	link->heard_ns = evloop_now_ns();
	if (msg->type == HANDOVER_BEAT) {
		link->n_beats = msg->n_beats;
		memcpy(link->beats, msg->beats, sizeof(link->beats));
	} else if (msg->type == HANDOVER_LINK) {
		log_info("supervisor.link", "pid=%d version=%s serving=%d", (int)link->pid,
			 msg->version, msg->serving);
		link_say(link, HANDOVER_WELCOME, getpid(), 0, link->s->last_end);
		supervisor_linked(link->s, link);
	} else if (msg->type == HANDOVER_START || msg->type == HANDOVER_STOP) {
		supervisor_asked(link->s, link);
	}
}

static void link_ready(struct evloop_fd *watch, bool readable, bool writable)
{
	struct supervisor_link *link = container_of(watch, struct supervisor_link, watch);
	struct err err = {0};
	int res = handover_recv(watch->fd, &link->msg, link->bags, &err);

	if (res == 1)
		link_got(link);
	else if (res != -EAGAIN)
		link_end(link, res < 0 ? err.text : "the engine has closed it");
}

static void listener_ready(struct evloop_fd *watch, bool readable, bool writable)
{
	struct supervisor *s = container_of(watch, struct supervisor, listener);
	pid_t pid = 0;
	int fd, rc = fdpass_accept(watch->fd, &fd, &pid);

	if (rc < 0)
		return;
	for (int i = 0; i < SUPERVISOR_LINKS; i++) {
		struct supervisor_link *link = &s->link[i];

		if (link->open)
			continue;
		*link = (struct supervisor_link){.s = s, .pid = pid, .open = true};
		link->watch.fd = fd;
		link->watch.ready = link_ready;
		link->heard_ns = evloop_now_ns();
		if (evloop_watch(s->loop, &link->watch, true, false) == 0)
			return;
		link->open = false;
	}
	(void)close(fd);
}

int links_open(struct supervisor *s, struct err *err)
{
	int rc = fdpass_listen(s->link_path, &s->listener.fd, err);

	if (rc == -EADDRINUSE)
		return err_set(err, rc, "another litepool-supervisor watches %s",
			       s->opts->state_dir);
	if (rc < 0)
		return rc;
	s->listener.ready = listener_ready;
	rc = evloop_watch(s->loop, &s->listener, true, false);
	return rc < 0 ? err_set(err, rc, "the supervisor's socket cannot be watched: %s",
				strerror(-rc))
		      : 0;
}

void links_close(struct supervisor *s)
{
	if (s->listener.fd >= 0) {
		(void)unlink(s->link_path);
		(void)close(s->listener.fd);
	}
	for (int i = 0; i < SUPERVISOR_LINKS; i++)
		if (s->link[i].open)
			(void)close(s->link[i].watch.fd);
}

struct supervisor_link *link_of(struct supervisor *s, pid_t pid)
{
	for (int i = 0; i < SUPERVISOR_LINKS; i++)
		if (s->link[i].open && s->link[i].pid == pid)
			return &s->link[i];
	return NULL;
}

void links_forget(struct supervisor *s, pid_t pid)
{
	struct supervisor_link *link;

	while ((link = link_of(s, pid)))
		link_end(link, "its process has ended");
}

void link_say(struct supervisor_link *link, enum handover_type type, pid_t pid, int code,
	      const char *text)
{
	struct handover_message *msg = calloc(1, sizeof(*msg));

	if (!msg)
		return;
	msg->type = type;
	msg->pid = (uint32_t)pid;
	msg->code = code;
	msg->restarts = link->s->restarts;
	(void)snprintf(msg->version, sizeof(msg->version), "%s", LITEPOOL_VERSION);
	(void)snprintf(msg->text, sizeof(msg->text), "%s", text);
	(void)handover_send(link->watch.fd, msg, NULL,
			    0); /* an engine that does not read is seen by its beats */
	free(msg);
}
