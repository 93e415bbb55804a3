/* SPDX-License-Identifier: Apache-2.0 */
/* A SEQPACKET connection to another process as events of the control reactor. Messages are taken one by one; whoever gets one may close the wire. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/handover.h"

#define MESSAGES_PER_EVENT                                                                         \
	1000 /* FDS of the largest bag; a peer that goes on is read on in the next event */

static void wire_event(void *ctx, unsigned events);

int handover_wire_open(struct handover_wire *wire, struct reactor *r, int fd, pid_t pid,
		       struct err *err)
{
	bool listens = false;
	int res = sock_import(r, fd, &wire->sock, &listens, err);

	if (res < 0)
		return res;
	wire->r = r;
	wire->pid = pid;
	res = sock_attach(wire->sock, r, wire_event, wire);
	if (res < 0) {
		sock_close(wire->sock);
		wire->sock = NULL;
		return err_set(err, res, "no memory for a connection");
	}
	return 0;
}

void handover_wire_close(struct handover_wire *wire)
{
	sock_close(wire->sock);
	wire->sock = NULL;
}

int handover_wire_fd(const struct handover_wire *wire)
{
	return wire->sock ? sock_fd(wire->sock) : -1;
}

/* The reactor's own receive is not used, so the poll is armed anew: it looks at the socket as it is then. */
static void wire_wait(struct handover_wire *wire)
{
	sock_detach(wire->sock);
	if (sock_attach(wire->sock, wire->r, wire_event, wire) < 0) {
		struct err err;

		(void)err_set(&err, -ENOMEM, "out of memory");
		handover_wire_close(wire);
		wire->ended(wire, -ENOMEM, &err);
	}
}

/* As handover_recv(): 1: there may be more. */
static int take_messages(struct handover_wire *wire, struct err *err)
{
	int res = 1;

	for (int i = 0; i < MESSAGES_PER_EVENT && res == 1 && wire->sock; i++) {
		res = handover_recv(handover_wire_fd(wire), &wire->msg, wire->bags, err);
		if (res == 1 && wire->msg.type != HANDOVER_FDS)
			wire->got(wire);
	}
	return res;
}

void handover_wire_drain(struct handover_wire *wire)
{
	struct err err = {0};

	(void)take_messages(wire, &err);
}

static void wire_event(void *ctx, unsigned events)
{
	struct handover_wire *wire = ctx;
	struct err err = {0};
	int res = take_messages(wire, &err);

	if (!wire->sock)
		return;
	if (res == 1 || res == -EAGAIN) {
		wire_wait(wire);
		return;
	}
	handover_wire_close(wire);
	wire->ended(wire, res, &err);
}

void handover_say(struct handover_wire *wire, enum handover_type type, int code, const char *step,
		  const char *fmt, ...)
{
	struct handover_message *msg = calloc(1, sizeof(*msg));
	va_list ap;

	if (msg && wire->sock) {
		msg->type = type;
		msg->code = code;
		(void)snprintf(msg->step, sizeof(msg->step), "%s", step);
		va_start(ap, fmt);
		(void)vsnprintf(msg->text, sizeof(msg->text), fmt, ap);
		va_end(ap);
		(void)handover_send(handover_wire_fd(wire), msg, NULL, 0);
	}
	free(msg);
}
