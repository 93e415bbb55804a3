/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RPC socket and its clients. A client too many is told so and closed. When no descriptor or memory is left for a new
 * client, accepting pauses for a while instead of spinning on a listener that stays readable.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "rpc/server_priv.h"

#define ACCEPTS_PER_EVENT 16
#define ACCEPT_PAUSE_NS   NSEC_PER_SEC
#define CONNS_OVER        16 /* clients that are being told that they are too many */

static void listener_event(void *ctx, unsigned events);
static int listener_new(struct rpc_server *s, struct err *err);

struct rpc_server_opts rpc_server_opts_default(void)
{
	return (struct rpc_server_opts){
		.message_max = 4 * MIB,
		.output_max = 32 * MIB,
		.clients_max = 64,
		.idle_ms = 30000,
		.listen_fd = -1,
	};
}

static void accept_resume(struct timer *timer)
{
	struct rpc_server *s = container_of(timer, struct rpc_server, accept_timer);

	if (sock_attach(s->listener, s->r, listener_event, s) < 0)
		(void)timer_start(s->r, timer, reactor_now(s->r) + ACCEPT_PAUSE_NS);
}

static void accept_pause(struct rpc_server *s, int rc)
{
	log_limited(LOG_LEVEL_WARN, "rpc.accept.paused", "error=%s", strerrorname_np(-rc));
	if (timer_start(s->r, &s->accept_timer, reactor_now(s->r) + ACCEPT_PAUSE_NS) == 0)
		sock_detach(s->listener);
}

static void accept_one(struct rpc_server *s, struct sock *sock)
{
	bool full = s->n_conns >= s->opts.clients_max;
	struct conn *c;
	int rc;

	if (s->n_conns >= s->opts.clients_max + CONNS_OVER) {
		sock_close(sock);
		return;
	}
	rc = conn_new(s, sock, &c);
	if (rc < 0)
		log_limited(LOG_LEVEL_WARN, "rpc.accept.failed", "error=%s", strerrorname_np(-rc));
	else if (full)
		conn_refuse(c, -EBUSY,
			    "%" PRIu32 " clients are connected, which is the most; "
			    "close one and try again",
			    s->opts.clients_max);
}

static void listener_event(void *ctx, unsigned events)
{
	struct rpc_server *s = ctx;
	struct sock_addr peer;
	struct sock *sock;
	int rc = 0;

	for (int i = 0; i < ACCEPTS_PER_EVENT && rc == 0; i++) {
		rc = sock_accept(s->listener, &sock, &peer);
		if (rc == 0)
			accept_one(s, sock);
		else if (rc == -ECONNABORTED || rc == -EINTR)
			rc = 0;
	}
	if (rc == 0)
		sock_want_read(s->listener);
	else if (rc != -EAGAIN)
		accept_pause(s, rc);
}

static int check_opts(const struct rpc_server_opts *opts, struct err *err)
{
	if (!opts->path || !opts->methods)
		return err_set(err, -EINVAL, "the RPC server needs a path and methods");
	if (opts->message_max < 64 || opts->output_max < 1024 || opts->clients_max < 1 ||
	    opts->idle_ms < 1)
		return err_set(
			err, -EINVAL,
			"limits of the RPC server are too small: messages at least 64 bytes, "
			"output 1024 bytes, 1 client, 1 ms");
	return 0;
}

int rpc_server_new(struct reactor *r, const struct rpc_server_opts *opts, struct rpc_server **ret,
		   struct err *err)
{
	struct rpc_server *s;
	int rc = check_opts(opts, err);

	if (rc)
		return rc;
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, -ENOMEM, "no memory for the RPC server");
	s->r = r;
	s->opts = *opts;
	s->state = RPC_STARTUP;
	s->accept_timer.run = accept_resume;
	list_init(&s->conns);
	s->opts.path = strdup(opts->path);
	rc = s->opts.path ? listener_new(s, err)
			  : err_set(err, -ENOMEM, "no memory for the RPC server");
	if (rc < 0) {
		free((char *)(uintptr_t)s->opts.path);
		free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

static int listener_import(struct rpc_server *s, struct err *err)
{
	bool listens = false;
	int rc = sock_import(s->r, s->opts.listen_fd, &s->listener, &listens, err);

	if (rc == 0 && !listens) {
		sock_close(s->listener);
		rc = err_set(err, -EBADMSG, "the RPC socket that was passed does not listen");
	}
	return rc;
}

static int listener_new(struct rpc_server *s, struct err *err)
{
	const struct sock_opts sock_opts = {.backlog = 128};
	struct sock_addr addr;
	int rc;

	if (s->opts.listen_fd >= 0) {
		s->frozen = true;
		s->hold = RPC_HOLD_ALL;
		return listener_import(s, err);
	}
	rc = sock_addr_unix(s->opts.path, &addr);
	if (rc < 0)
		return err_set(err, rc, "%s is too long for the path of a unix socket (107 bytes)",
			       s->opts.path);
	return sock_listen(s->r, &addr, &sock_opts, listener_event, s, &s->listener, err);
}

void server_accept(struct rpc_server *s, bool on)
{
	if (!on) {
		timer_stop(&s->accept_timer);
		sock_detach(s->listener);
	} else {
		accept_resume(&s->accept_timer);
	}
}

void rpc_server_set_state(struct rpc_server *s, unsigned state)
{
	s->state = state;
}

unsigned rpc_server_state(const struct rpc_server *s)
{
	return s->state;
}

const struct rpc_method *rpc_server_methods(const struct rpc_server *s)
{
	return s->opts.methods;
}

const struct rpc_method *server_method(const struct rpc_server *s, const char *name)
{
	for (const struct rpc_method *m = s->opts.methods; m->name; m++)
		if (strcmp(m->name, name) == 0)
			return m;
	return NULL;
}

void rpc_server_free(struct rpc_server *s)
{
	if (!s)
		return;
	timer_stop(&s->accept_timer);
	/* First the name, then the socket: a successor that finds no name may bind its own at once. */
	(void)unlink(s->opts.path);
	sock_close(s->listener);
	list_for_each_safe (it, &s->conns) {
		conn_drop(list_entry(it, struct conn, link));
	}
	free((char *)(uintptr_t)s->opts.path);
	free(s);
}
