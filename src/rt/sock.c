/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public face of sockets: checks, counts, and hands on to the world behind env.
 *
 * Invariants:
 *  1. s->reactor is the reactor that delivers events, NULL while detached; only its thread touches s.
 *  2. fn is never called after sock_detach() returned.
 */
#include "rt/sock.h"

#include <errno.h>
#include <limits.h>

#include "base/check.h"
#include "rt/env.h"

static void check_owner(const struct sock *s)
{
	ASSERT(!s->reactor || !reactor_current() || reactor_current() == s->reactor);
}

static int attach_new(struct sock *s, struct reactor *r, sock_event_fn fn, void *ctx,
		      struct err *err)
{
	int rc = sock_attach(s, r, fn, ctx);

	if (rc < 0) {
		sock_close(s);
		return err_set(err, rc, "cannot watch the socket: no memory");
	}
	return 0;
}

int sock_listen(struct reactor *r, const struct sock_addr *addr, const struct sock_opts *opts,
		sock_event_fn fn, void *ctx, struct sock **ret, struct err *err)
{
	static const struct sock_opts defaults;
	struct env *env = reactor_env(r);
	struct sock *s;
	int rc;

	rc = env->ops->sock_listen(env, addr, opts ? opts : &defaults, &s, err);
	if (rc < 0)
		return rc;
	rc = attach_new(s, r, fn, ctx, err);
	if (rc < 0)
		return rc;
	*ret = s;
	return 0;
}

int sock_connect(struct reactor *r, const struct sock_addr *addr, const struct sock_opts *opts,
		 sock_event_fn fn, void *ctx, struct sock **ret, struct err *err)
{
	static const struct sock_opts defaults;
	struct env *env = reactor_env(r);
	struct sock *s;
	int rc;

	rc = env->ops->sock_connect(env, addr, opts ? opts : &defaults, &s, err);
	if (rc < 0)
		return rc;
	rc = attach_new(s, r, fn, ctx, err);
	if (rc < 0)
		return rc;
	s->ops->sock_want_write(s);
	*ret = s;
	return 0;
}

int sock_accept(struct sock *listener, struct sock **ret, struct sock_addr *ret_peer)
{
	check_owner(listener);
	return listener->ops->sock_accept(listener, ret, ret_peer);
}

int sock_error(struct sock *s)
{
	return s->ops->sock_error(s);
}

int sock_attach(struct sock *s, struct reactor *r, sock_event_fn fn, void *ctx)
{
	int rc;

	ASSERT(!s->reactor);
	ASSERT(fn);
	ASSERT(!reactor_current() || reactor_current() == r);
	s->fn = fn;
	s->ctx = ctx;
	s->reactor = r;
	rc = s->ops->sock_attach(s, reactor_env(r));
	if (rc < 0)
		s->reactor = NULL;
	return rc;
}

void sock_detach(struct sock *s)
{
	if (!s->reactor)
		return;
	check_owner(s);
	s->ops->sock_detach(s);
	s->reactor = NULL;
}

ssize_t sock_recv(struct sock *s, const struct iovec *iov, int n)
{
	ssize_t got;

	ASSERT(n > 0);
	ASSERT(n <= IOV_MAX);
	check_owner(s);
	got = s->ops->sock_recv(s, iov, n);
	if (s->reactor) {
		struct reactor_stats *stats = reactor_stats(s->reactor);

		counter_add(&stats->recv_calls, 1);
		if (got > 0)
			counter_add(&stats->recv_bytes, (uint64_t)got);
	}
	return got;
}

ssize_t sock_send(struct sock *s, const struct iovec *iov, int n)
{
	ssize_t sent;

	ASSERT(n > 0);
	ASSERT(n <= IOV_MAX);
	check_owner(s);
	sent = s->ops->sock_send(s, iov, n);
	if (s->reactor) {
		struct reactor_stats *stats = reactor_stats(s->reactor);

		counter_add(&stats->send_calls, 1);
		if (sent > 0)
			counter_add(&stats->send_bytes, (uint64_t)sent);
	}
	return sent;
}

void sock_want_write(struct sock *s)
{
	check_owner(s);
	if (s->reactor)
		s->ops->sock_want_write(s);
}

void sock_want_read(struct sock *s)
{
	check_owner(s);
	if (s->reactor)
		s->ops->sock_want_read(s);
}

void sock_shutdown_write(struct sock *s)
{
	s->ops->sock_shutdown_write(s);
}

void sock_close(struct sock *s)
{
	if (!s)
		return;
	sock_detach(s);
	s->ops->sock_close(s);
}

int sock_local_addr(struct sock *s, struct sock_addr *ret)
{
	return s->ops->sock_addr(s, false, ret);
}

int sock_peer_addr(struct sock *s, struct sock_addr *ret)
{
	return s->ops->sock_addr(s, true, ret);
}

int sock_fd(struct sock *s)
{
	return s->ops->sock_fd(s);
}

int sock_export(struct sock *s)
{
	return s->ops->sock_export(s);
}

int sock_import(struct reactor *r, int fd, struct sock **ret, bool *ret_is_listener,
		struct err *err)
{
	struct env *env = reactor_env(r);

	return env->ops->sock_import(env, fd, ret, ret_is_listener, err);
}

void sock_export_close(struct reactor *r, int fd)
{
	struct env *env = reactor_env(r);

	env->ops->sock_export_close(env, fd);
}
