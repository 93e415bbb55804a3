/* SPDX-License-Identifier: Apache-2.0 */
/* The socket at which a successor finds its engine. It is handed over, too, so that its path never has nobody behind it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/engine.h"
#include "rt/fdpass.h"

/* DONE, or the new engine is gone, or says nothing: whoever serves, it is not this process any more. */
void handover_old_leave(struct engine *e)
{
	log_info("handover.left", "pid=%d", (int)getpid());
	_exit(EXIT_SUCCESS);
}

static void refuse_stranger(int fd, const char *why)
{
	struct handover_message *msg = calloc(1, sizeof(*msg));

	if (msg) {
		msg->type = HANDOVER_REFUSE;
		msg->code = -EBUSY;
		(void)snprintf(msg->text, sizeof(msg->text), "%s", why);
		(void)handover_send(fd, msg, NULL, 0);
	}
	free(msg);
	(void)close(fd);
}

static void listener_event(void *ctx, unsigned events)
{
	struct engine *e = ctx;
	struct handover_old *o = &e->old;
	pid_t pid = 0;
	int fd = -1, res = fdpass_accept(o->listen_fd, &fd, &pid);

	sock_detach(o->listener);
	if (sock_attach(o->listener, e->control, listener_event, e) < 0)
		log_error("handover.listen_failed", "reason=\"%s\"", "out of memory");
	if (res < 0)
		return;
	if (o->state == OLD_CONNECT && !o->wire.sock && pid == o->successor)
		handover_old_connected(e, fd, pid);
	else
		refuse_stranger(fd,
				o->state == OLD_IDLE
					? "no upgrade was asked for: use litepool engine upgrade"
					: "another upgrade is under way");
}

void handover_old_open(struct engine *e)
{
	struct handover_old *o = &e->old;
	char path[PATH_MAX];
	struct err err = {0};
	bool listens = false;
	int res;

	handover_old_init(e);
	(void)snprintf(path, sizeof(path), "%s/" HANDOVER_SOCKET, e->opts->state_dir);
	res = o->listen_fd >= 0 ? fdpass_listen_again(o->listen_fd, &err)
				: fdpass_listen(path, &o->listen_fd, &err);
	if (res == 0)
		res = sock_import(e->control, o->listen_fd, &o->listener, &listens, &err);
	if (res == 0 && sock_attach(o->listener, e->control, listener_event, e) < 0)
		res = err_set(&err, -ENOMEM, "out of memory");
	/* It serves all the same: only an upgrade is refused, with this reason. */
	if (res < 0)
		log_warn("handover.listen_failed", "reason=\"%s\"", err.text);
}

bool handover_old_stop(struct engine *e)
{
	struct handover_old *o = &e->old;

	if (o->state == OLD_GO)
		return false;
	(void)handover_old_abort(e, "the engine is being stopped");
	if (o->saving) {
		o->stop_wanted = true;
		return false;
	}
	sock_close(o->listener);
	o->listener = NULL;
	o->listen_fd = -1;
	return true;
}
