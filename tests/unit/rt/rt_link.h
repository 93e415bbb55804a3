/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of a connection in one reactor, for tests. */
#ifndef LITEPOOL_TESTS_RT_LINK_H
#define LITEPOOL_TESTS_RT_LINK_H

#include "rt_test.h"

#include "rt/sock.h"

/* One listener and, once run, both ends of one connection. */
struct link {
	struct reactor *r;
	struct sock *listener, *client, *server;
	bool connected;
};

static inline void link_accept(void *ctx, unsigned events)
{
	struct link *l = ctx;
	struct sock_addr peer;
	struct sock *s;
	int rc;

	assert_true(events & SOCK_EV_READ);
	rc = sock_accept(l->listener, &s, &peer);
	if (rc == -EAGAIN) /* READ is repeated until then */
		return;
	assert_int_equal(rc, 0);
	assert_null(l->server);
	l->server = s;
}

static inline void link_connected(void *ctx, unsigned events)
{
	struct link *l = ctx;

	if (events & SOCK_EV_WRITE)
		l->connected = true;
}

static inline void link_open(struct link *l, struct reactor *r, const char *where)
{
	struct sock_addr addr;
	struct err err = {0};

	*l = (struct link){.r = r};
	if (where[0] == '/')
		assert_int_equal(sock_addr_unix(where, &addr), 0);
	else
		assert_int_equal(sock_addr_ip(where, 0, &addr), 0);
	if (sock_listen(r, &addr, NULL, link_accept, l, &l->listener, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(sock_local_addr(l->listener, &addr), 0);
	if (sock_connect(r, &addr, NULL, link_connected, l, &l->client, &err) < 0)
		fail_msg("%s", err.text);
	run_until(r, l->connected && l->server);
	assert_int_equal(sock_error(l->client), 0);
}

static inline void link_close(struct link *l)
{
	sock_close(l->client);
	sock_close(l->server);
	sock_close(l->listener);
}

#endif
