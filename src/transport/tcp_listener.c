/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets: one per address for all subsystems that can be reached there. Control thread. */
#include "transport/tcp_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"

#define ACCEPT_RETRY_MS 100

static bool too_many(struct tcp_transport *t)
{
	if (!t->stopping &&
	    ((t->n_conns < t->opts.conns_max && t->n_strangers < (t->opts.conns_max + 1) / 2) ||
	     tcp_conns_evict(t)))
		return false;
	counter_add(&t->reactors[reactor_id(t->control)]->stats.refused, 1);
	log_limited(LOG_LEVEL_WARN, "tcp.accept.refused", "conns=%u conns_max=%u", t->n_conns,
		    t->opts.conns_max);
	return true;
}

static void say_failed(int res)
{
	log_limited(LOG_LEVEL_ERROR, "tcp.accept.failed", "error=%s%s", strerrorname_np(-res),
		    res == -EMFILE ? " consequence=\"hosts wait at the listener\" "
				     "remedy=\"let the engine have more descriptors "
				     "(LimitNOFILE=, ulimit -n)\""
				   : "");
}

static void take(struct tcp_listener *l, struct sock *s, const struct sock_addr *peer)
{
	int res = too_many(l->transport) ? -EBUSY : tcp_conn_new(l->transport, l->port, s, peer);

	if (!res)
		return;
	if (res != -EBUSY)
		say_failed(res);
	sock_close(s);
}

/* events: READ, there are connections to accept. */
static void listener_event(void *ctx, unsigned events)
{
	struct tcp_listener *l = ctx;

	if (l->transport->flow != TCP_FLOWING) /* asked for again by the thaw */
		return;
	for (int i = 0; i < TCP_ACCEPTS_PER_TURN; i++) {
		struct sock_addr peer;
		struct sock *s;
		int res = sock_accept(l->sock, &s, &peer);

		if (res == -EAGAIN)
			return;
		if (res) { /* no descriptors or no memory: not for long, it is hoped */
			say_failed(res);
			(void)timer_start(l->transport->control, &l->retry,
					  reactor_now(l->transport->control) +
						  ACCEPT_RETRY_MS * NSEC_PER_MSEC);
			return;
		}
		take(l, s, &peer);
	}
	sock_want_read(l->sock);
}

static void retry_run(struct timer *timer)
{
	struct tcp_listener *l = container_of(timer, struct tcp_listener, retry);

	sock_want_read(l->sock);
}

static void listener_free(struct tcp_listener *l)
{
	timer_stop(&l->retry);
	sock_close(l->sock);
	if (l->port)
		nvme_port_put(l->port);
	free(l);
}

/* A socket that another engine listened with, until somebody listens there. */
struct tcp_import {
	struct list link;
	struct sock *sock;
	struct sock_addr addr;
};

static void import_free(struct tcp_import *import)
{
	list_remove(&import->link);
	free(import);
}

void tcp_transport_hold(struct tcp_transport *t)
{
	t->held = true;
}

int tcp_listen_import(struct tcp_transport *t, int fd, struct err *err)
{
	struct tcp_import *import = calloc(1, sizeof(*import));
	bool is_listener;
	int res;

	if (!import) {
		sock_export_close(t->control, fd);
		return err_set(err, -ENOMEM, "no memory for a listener");
	}
	res = sock_import(t->control, fd, &import->sock, &is_listener, err);
	if (!res && !is_listener)
		res = err_set(err, -EBADMSG, "what came as a listener is a connection");
	if (!res)
		res = sock_local_addr(import->sock, &import->addr);
	if (res) {
		sock_close(import->sock);
		free(import);
		return res;
	}
	list_push_back(&t->imports, &import->link);
	return 0;
}

/* The socket that came for addr, attached nowhere; NULL: none. */
static struct sock *import_take(struct tcp_transport *t, const struct sock_addr *addr)
{
	char wanted[SOCK_ADDR_TEXT], text[SOCK_ADDR_TEXT];

	(void)sock_addr_format(addr, wanted);
	list_for_each (it, &t->imports) {
		struct tcp_import *import = list_entry(it, struct tcp_import, link);
		struct sock *s = import->sock;

		if (strcmp(sock_addr_format(&import->addr, text), wanted) != 0)
			continue;
		import_free(import);
		return s;
	}
	return NULL;
}

void tcp_listeners_export(struct tcp_transport *t, void (*one)(void *ctx, int fd), void *ctx)
{
	list_for_each (it, &t->listeners)
		one(ctx, sock_export(list_entry(it, struct tcp_listener, link)->sock));
}

static uint16_t port_of(const struct sock_addr *addr)
{
	char host[256];
	uint16_t port = 0;

	(void)sock_addr_host(addr, host, &port);
	return port;
}

static struct tcp_listener *find(struct tcp_transport *t, const struct sock_addr *addr)
{
	char wanted[SOCK_ADDR_TEXT], text[SOCK_ADDR_TEXT];

	(void)sock_addr_format(addr, wanted);
	list_for_each (it, &t->listeners) {
		struct tcp_listener *l = list_entry(it, struct tcp_listener, link);

		if (!strcmp(sock_addr_format(&l->addr, text), wanted))
			return l;
	}
	return NULL;
}

/* The address under which hosts find it: with the port that the kernel chose, if we asked for none. */
static int make_port(struct tcp_listener *l, struct err *err)
{
	struct nvme_port_addr addr = {.trtype = "TCP"};
	uint16_t port;
	int res = sock_local_addr(l->sock, &l->addr);

	if (res)
		return err_set(err, res, "the listening socket has no address: %s", strerror(-res));
	if (!sock_addr_host(&l->addr, addr.traddr, &port))
		return err_set(err, -EINVAL, "NVMe/TCP listens on IPv4 and IPv6 addresses only");
	snprintf(addr.adrfam, sizeof(addr.adrfam), "%s",
		 l->addr.ss.ss_family == AF_INET6 ? "IPv6" : "IPv4");
	snprintf(addr.trsvcid, sizeof(addr.trsvcid), "%u", port);
	l->port = nvme_port_get(l->transport->target, &addr);
	if (!l->port)
		return err_set(err, -ENOSPC,
			       "the target has no room for another listener address; remove one");
	return 0;
}

/* Makes the socket, or takes the one that came; attached unless all is held. */
static int listener_sock(struct tcp_listener *l, const struct sock_addr *addr,
			 const struct sock_opts *opts, struct err *err)
{
	struct tcp_transport *t = l->transport;
	int res;

	l->sock = import_take(t, addr);
	if (!l->sock) {
		res = sock_listen(t->control, addr, opts, listener_event, l, &l->sock, err);
		if (!res && t->held)
			sock_detach(l->sock);
		return res;
	}
	if (t->held)
		return 0;
	res = sock_attach(l->sock, t->control, listener_event, l);
	return res ? err_set(err, res, "no memory for a listener") : 0;
}

void tcp_listeners_serve(struct tcp_transport *t)
{
	list_for_each (it, &t->listeners) {
		struct tcp_listener *l = list_entry(it, struct tcp_listener, link);

		if (sock_attach(l->sock, t->control, listener_event, l))
			log_error("tcp.listen.failed", "why=\"no memory to watch a listener\"");
	}
}

static int listener_new(struct tcp_transport *t, const struct sock_addr *addr,
			const char *congestion, struct tcp_listener **ret, struct err *err)
{
	struct tcp_listener *l = calloc(1, sizeof(*l));
	struct sock_opts opts = {.dead_peer_s = (int)t->opts.dead_peer_s};
	int res;

	if (!l)
		return err_set(err, -ENOMEM, "no memory for a listener");
	l->transport = t;
	l->retry.run = retry_run;
	if (!str_copy(l->congestion, sizeof(l->congestion), congestion)) {
		free(l);
		return err_set(err, -EINVAL,
			       "the name of a congestion control has at most 15 characters");
	}
	opts.congestion = l->congestion[0] ? l->congestion : NULL;
	res = listener_sock(l, addr, &opts, err);
	if (!res)
		res = make_port(l, err);
	if (res) {
		listener_free(l);
		return res;
	}
	list_push_back(&t->listeners, &l->link);
	*ret = l;
	return 0;
}

int tcp_listen(struct tcp_transport *t, const struct sock_addr *addr, const char *congestion,
	       struct tcp_listener **ret, struct err *err)
{
	bool asked = congestion && congestion[0];
	struct tcp_listener *l = port_of(addr) ? find(t, addr) : NULL;
	int res;

	if (t->stopping)
		return err_set(err, -ESHUTDOWN, "the transport is stopping");
	if (l && asked && strcmp(l->congestion, congestion) != 0)
		return err_set(err, -EBUSY,
			       "the address is in use with congestion control '%s'; use the same "
			       "for all subsystems there",
			       l->congestion[0] ? l->congestion : "of the host");
	res = l ? 0 : listener_new(t, addr, asked ? congestion : t->opts.congestion, &l, err);
	/* A kernel without our default, or one that does not allow it: the host's does. */
	if ((res == -ENOENT || res == -EPERM) && !asked &&
	    strcmp(t->opts.congestion, SOCK_CONGESTION_DEFAULT) == 0)
		res = listener_new(t, addr, "", &l, err);
	if (!l)
		return res;
	l->users++;
	*ret = l;
	return 0;
}

void tcp_unlisten(struct tcp_listener *l)
{
	if (!l || --l->users)
		return;
	list_remove(&l->link);
	tcp_conns_close_unconnected(l->transport, l->port);
	listener_free(l);
}

void tcp_listeners_close(struct tcp_transport *t)
{
	struct list *node;

	while ((node = list_pop_front(&t->listeners)))
		listener_free(list_entry(node, struct tcp_listener, link));
	list_for_each_safe (it, &t->imports) {
		struct tcp_import *import = list_entry(it, struct tcp_import, link);

		sock_close(import->sock);
		import_free(import);
	}
}

struct nvme_port *tcp_listener_port(struct tcp_listener *l)
{
	return l->port;
}
