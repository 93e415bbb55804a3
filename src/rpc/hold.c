/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients of the RPC socket through a hot upgrade.
 *
 *   serving --hold(CHANGES)--> quiet methods only --hold(ALL)--> nothing begins --freeze--> sockets are let go --save--> the other process
 *      ^__________________________________|__________________________|___________thaw__________|
 *
 * 1. A request is in one of three places: not received (in the socket), received and not begun (in), or answered (out). So a client's state is bytes.
 * 2. What was received of a request that is not whole goes along; the other side scans it from its first byte.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "base/tlv.h"
#include "rpc/server_priv.h"

void rpc_server_hold(struct rpc_server *s, enum rpc_hold hold)
{
	ASSERT(!s->frozen);
	s->hold = hold;
	list_for_each (it, &s->conns)
		conn_resume(list_entry(it, struct conn, link));
}

unsigned rpc_server_busy(const struct rpc_server *s, const char **ret_method)
{
	unsigned n = 0;

	list_for_each (it, &s->conns)
		n += call_count(list_entry(it, struct conn, link), s->hold, ret_method);
	return n;
}

void rpc_server_freeze(struct rpc_server *s)
{
	ASSERT(s->hold == RPC_HOLD_ALL);
	ASSERT(!s->frozen);
	s->frozen = true;
	server_accept(s, false);
	list_for_each (it, &s->conns)
		conn_freeze(list_entry(it, struct conn, link));
}

void rpc_server_thaw(struct rpc_server *s)
{
	if (s->frozen) {
		s->frozen = false;
		server_accept(s, true);
		list_for_each (it, &s->conns)
			conn_thaw(list_entry(it, struct conn, link));
	}
	rpc_server_hold(s, RPC_HOLD_NONE);
}

int rpc_server_save(struct rpc_server *s, struct tlv_writer *w, int *fds, unsigned max, unsigned *n)
{
	ASSERT(s->frozen);
	list_for_each (it, &s->conns) {
		const struct conn *c = list_entry(it, struct conn, link);

		if (c->broken)
			continue;
		if (*n == max)
			return -ENOSPC;
		tlv_begin(w, RPC_TLV_CLIENT, TLV_MANDATORY);
		tlv_put_u64(w, RPC_TLV_FD, TLV_MANDATORY, *n);
		if (c->in.len)
			tlv_put(w, RPC_TLV_IN, TLV_MANDATORY, bytebuf_head(&c->in), c->in.len);
		if (c->out.len)
			tlv_put(w, RPC_TLV_OUT, TLV_MANDATORY, bytebuf_head(&c->out), c->out.len);
		if (c->ended)
			tlv_put_u64(w, RPC_TLV_ENDED, TLV_MANDATORY, 1);
		tlv_end(w);
		fds[(*n)++] = sock_fd(c->sock);
	}
	return w->error;
}

struct saved {
	uint64_t fd;
	struct tlv in, out;
	bool ended;
};

static int saved_read(const struct tlv *rec, struct saved *ret, struct err *err)
{
	struct tlv_reader r;
	struct tlv one;
	int res;

	*ret = (struct saved){.fd = UINT64_MAX};
	tlv_enter(rec, &r);
	while ((res = tlv_next(&r, &one)) > 0) {
		res = 0;
		switch (one.type) {
		case RPC_TLV_FD:
			res = tlv_get_uint(&one, UINT32_MAX, &ret->fd, err);
			break;
		case RPC_TLV_IN:
			ret->in = one;
			break;
		case RPC_TLV_OUT:
			ret->out = one;
			break;
		case RPC_TLV_ENDED:
			res = tlv_get_bool(&one, &ret->ended, err);
			break;
		default:
			res = tlv_unknown(&one, err);
		}
		if (res < 0)
			return res;
	}
	return res < 0 ? err_set(err, res, "the record of an RPC client is torn") : 0;
}

static int client_fill(struct conn *c, const struct saved *saved)
{
	int rc = bytebuf_append(&c->in, (const char *)saved->in.value, saved->in.len, SIZE_MAX / 8);

	if (rc == 0)
		rc = bytebuf_append(&c->out, (const char *)saved->out.value, saved->out.len,
				    SIZE_MAX / 8);
	c->ended = saved->ended;
	c->out_since = reactor_now(c->server->r);
	return rc;
}

int rpc_server_restore(struct rpc_server *s, const struct tlv *rec,
		       int (*take)(void *ctx, unsigned k), void *ctx, struct err *err)
{
	struct saved saved;
	struct sock *sock;
	struct conn *c;
	bool listens;
	int fd, rc;

	ASSERT(s->frozen);
	if (rec->type != RPC_TLV_CLIENT)
		return 0;
	rc = saved_read(rec, &saved, err);
	if (rc < 0)
		return rc;
	fd = saved.fd <= UINT32_MAX ? take(ctx, (unsigned)saved.fd) : -1;
	if (fd < 0)
		return err_set(err, -EBADMSG, "an RPC client came without its socket");
	rc = sock_import(s->r, fd, &sock, &listens, err);
	if (rc < 0)
		return rc;
	rc = conn_new(s, sock, &c);
	if (rc == 0)
		rc = client_fill(c, &saved);
	return rc < 0 ? err_set(err, rc, "out of memory for an RPC client") : 0;
}

int rpc_server_listen_fd(const struct rpc_server *s)
{
	return sock_fd(s->listener);
}
