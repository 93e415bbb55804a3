/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records into connections that serve nothing yet. What comes is another process's word: it is checked, and refused with the reason.
 *
 *	control                                             each reactor
 *	TARGET: controllers (nvme/carry.h)
 *	CONN: socket, queue pair, bytes; the connection is
 *	      listed at the reactor that it will live on ->  its commands, in buffers of that reactor (tcp_restore_req.c)
 *	nvme_carry_check() <------------------------------  all are
 *	done
 *	tcp_transport_serve() ---------------------------->  sockets attached, commands begun (tcp_serve.c)
 *
 *  1. The parts' memory is read until done. From then on nothing refers to it.
 *  2. Nothing is sent, received or begun before tcp_transport_serve(), and no timer runs.
 *  3. A connection that lived on data reactor i comes to data reactor i if there are as many here as there were; else to the least loaded.
 */
#include "transport/tcp_carry.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "nvme/carry.h"
#include "rt/carry.h"

struct tcp_restore {
	struct tcp_transport *transport;
	struct nvme_carry *carry;
	struct carry_in *parts;
	unsigned n_parts;
	nvme_done_fn done;
	void *ctx;
	struct err err;
	uint64_t begin_ns, built_ns, controllers_ns, end_ns; /* for the report */
};

struct conn_in {
	struct tcp_restore *restore;
	struct carry_in *part;
	int fd;
	uint64_t state, flags, time_left_ms;
	uint8_t pda;
	uint32_t port, rx_command;
	bool has_queue;
	struct tlv queue, rx, unparsed, unsent, peer, local; /* len 0: none */
};

static int conn_field(struct conn_in *in, const struct tlv *rec, struct err *err)
{
	switch (rec->type) {
	case TCP_CARRY_SOCKET:
		return in->fd >= 0 ? err_set(err, -EBADMSG, "a connection has two sockets")
				   : carry_in_fd(in->part, rec, &in->fd, err);
	case TCP_CARRY_STATE:
		return tlv_get_uint(rec, TCP_CARRY_FLUSH, &in->state, err);
	case TCP_CARRY_FLAGS:
		return tlv_get_uint(rec, TCP_CARRY_FLAGS_ALL, &in->flags, err);
	case TCP_CARRY_PDA:
		return tlv_get_u8(rec, PDU_PDA_MAX, &in->pda, err);
	case TCP_CARRY_PORT:
		return tlv_get_u32(rec, UINT32_MAX - 1, &in->port, err);
	case TCP_CARRY_RX_COMMAND:
		return tlv_get_u32(rec, UINT32_MAX - 1, &in->rx_command, err);
	case TCP_CARRY_TIME_LEFT:
		return tlv_get_uint(rec, 3600000, &in->time_left_ms, err);
	case NVME_CARRY_QUEUE:
		in->queue = *rec;
		in->has_queue = true;
		return 0;
	case TCP_CARRY_RX:
		in->rx = *rec;
		return 0;
	case TCP_CARRY_UNPARSED:
		in->unparsed = *rec;
		return 0;
	case TCP_CARRY_UNSENT:
		in->unsent = *rec;
		return 0;
	case TCP_CARRY_PEER:
		in->peer = *rec;
		return 0;
	case TCP_CARRY_LOCAL:
		in->local = *rec;
		return 0;
	case TCP_CARRY_COMMAND: /* tcp_restore_req.c */
		return 0;
	default:
		return tlv_unknown(rec, err);
	}
}

static int conn_decode(struct conn_in *in, const struct tlv *nest, struct err *err)
{
	struct tlv_reader r;
	struct tlv rec;
	int rc;

	tlv_enter(nest, &r);
	while ((rc = tlv_next(&r, &rec)) > 0) {
		rc = conn_field(in, &rec, err);
		if (rc)
			return rc;
	}
	if (rc)
		return err_set(err, rc, "a connection's records do not fit into it");
	if (in->fd < 0 || in->port == UINT32_MAX || in->unparsed.len > MIB)
		return err_set(err, -EBADMSG, "a connection lacks its socket or port");
	return 0;
}

/* State, queue and flags agree. */
static int conn_check(const struct conn_in *in, struct err *err)
{
	const bool negotiated = in->flags & TCP_CARRY_NEGOTIATED;
	const bool connected = in->flags & TCP_CARRY_CONNECT_OK;
	bool ok = false;

	switch (in->state) {
	case TCP_CARRY_ICREQ:
		ok = !negotiated && !in->has_queue && in->rx.len;
		break;
	case TCP_CARRY_CONNECT:
		ok = negotiated && in->has_queue == connected && in->rx.len;
		break;
	case TCP_CARRY_READY:
		ok = negotiated && in->has_queue && !connected && in->rx.len;
		break;
	case TCP_CARRY_FLUSH:
		ok = true;
		break;
	default:
		break;
	}
	return ok ? 0
		  : err_set(err, -EBADMSG, "a connection's state, queue and flags do not agree");
}

static uint8_t *copy_of(const struct tlv *rec)
{
	uint8_t *p = malloc(rec->len);

	if (p)
		memcpy(p, rec->value, rec->len);
	return p;
}

static int conn_bytes(struct tcp_conn *c, const struct conn_in *in, struct err *err)
{
	if (in->unparsed.len && in->state != TCP_CARRY_FLUSH) {
		c->stash = copy_of(&in->unparsed);
		c->stash_len = in->unparsed.len;
	}
	if (in->unsent.len)
		c->flat = copy_of(&in->unsent);
	if ((c->stash_len && !c->stash) || (in->unsent.len && !c->flat))
		return err_set(err, -ENOMEM, "no memory for a connection's bytes");
	if (!c->flat)
		return 0;
	c->flat_tx.data = c->flat;
	c->flat_tx.data_len = in->unsent.len;
	c->flat_closes = in->flags & TCP_CARRY_CLOSES;
	wire_txq_push(&c->txq, &c->flat_tx);
	return 0;
}

static int conn_wire(struct tcp_conn *c, const struct conn_in *in, struct err *err)
{
	const bool hdgst = in->flags & TCP_CARRY_HDGST, ddgst = in->flags & TCP_CARRY_DDGST;
	bool drops = false;

	c->fmt = (struct pdu_format){.hdgst = hdgst, .ddgst = ddgst, .pda = in->pda};
	if (in->flags & TCP_CARRY_NEGOTIATED)
		wire_rx_negotiated(&c->rx, hdgst, ddgst);
	if (in->state == TCP_CARRY_FLUSH)
		return 0;
	if (!wire_rx_restore(&c->rx, in->rx.value, in->rx.len, &drops))
		return err_set(err, -EBADMSG, "a connection's receive state is impossible");
	c->carried_rx = (struct tcp_carried_rx){.is_payload = c->rx.state != WIRE_RX_HEADER,
						.drops = drops,
						.command = in->rx_command};
	if (c->carried_rx.is_payload == (in->rx_command == UINT32_MAX))
		return err_set(err, -EBADMSG, "a connection's data belongs to no command");
	return 0;
}

static const enum tcp_conn_state state_of[] = {
	[TCP_CARRY_ICREQ] = TCP_CONN_ICREQ,
	[TCP_CARRY_CONNECT] = TCP_CONN_CONNECT,
	[TCP_CARRY_READY] = TCP_CONN_READY,
	[TCP_CARRY_FLUSH] = TCP_CONN_FLUSH,
};

/* The data reactor on which it lived there, if there are as many here. */
static struct reactor *old_home(const struct conn_in *in)
{
	const struct nvme_target_opts *opts = nvme_target_opts(in->restore->transport->target);
	const size_t part = (size_t)(in->part - in->restore->parts);

	return part > 0 && in->restore->n_parts == opts->n_data + 1 ? opts->data[part - 1] : NULL;
}

/* Printable, as it is logged and told. "": not known. */
static int conn_text(const struct tlv *rec, char text[SOCK_ADDR_TEXT], struct err *err)
{
	int rc = rec->len ? tlv_get_str(rec, text, SOCK_ADDR_TEXT, err) : 0;

	for (const char *p = text; !rc && *p; p++)
		if (*p <= ' ' || *p > '~')
			rc = err_set(err, -EBADMSG, "a connection's address is no text");
	return rc;
}

/* What the other engine knew of its addresses spares two questions to the kernel. */
static int conn_addrs(struct tcp_conn *c, const struct conn_in *in, struct err *err)
{
	struct sock_addr peer;
	int rc = 0;

	if (in->peer.len) {
		rc = conn_text(&in->peer, c->qp.peer, err);
		return rc ? rc : conn_text(&in->local, c->qp.local, err);
	}
	if (sock_peer_addr(c->sock, &peer)) /* its peer is gone; the next receive will tell */
		memset(&peer, 0, sizeof(peer));
	tcp_conn_addrs(c, &peer);
	return 0;
}

/* c is in the transport's list from here on, whatever comes: tcp_transport_discard() ends it. */
static int conn_build(struct tcp_conn *c, const struct conn_in *in, struct err *err)
{
	struct tcp_transport *t = c->transport;
	bool moved;
	int rc;

	c->state = state_of[in->state];
	c->linger = in->flags & TCP_CARRY_LINGER;
	c->connect_ok = in->flags & TCP_CARRY_CONNECT_OK;
	c->deadline_ns = in->time_left_ms * NSEC_PER_MSEC; /* from serving on */
	rc = in->has_queue
		     ? nvme_carry_qpair(in->restore->carry, &c->qp, &in->queue, old_home(in), err)
		     : 0;
	moved = !rc && c->qp.home && in->state >= TCP_CARRY_READY;
	if (moved) {
		c->tr = t->reactors[reactor_id(c->qp.home)];
		atomic_store(&c->qp.reactor, c->qp.home);
	}
	tcp_conn_add(c);
	if (!rc)
		rc = conn_addrs(c, in, err);
	if (!rc && tcp_spare_reqs(t, &c->reqs, in->state == TCP_CARRY_READY ? c->qp.qsize : 1))
		rc = err_set(err, -ENOMEM, "no memory for the commands of a queue");
	if (!rc)
		rc = conn_bytes(c, in, err);
	if (!rc)
		rc = conn_wire(c, in, err);
	return rc;
}

static int conn_open(struct conn_in *in, struct tcp_conn **ret, struct err *err)
{
	struct tcp_transport *t = in->restore->transport;
	struct nvme_port *port = nvme_carry_port(in->restore->carry, in->port);
	struct sock *s;
	bool is_listener;
	int rc;

	if (!port)
		return err_set(err, -EBADMSG,
			       "a connection came by port %u, which was not described", in->port);
	rc = sock_import(t->control, TAKE_FD(in->fd), &s, &is_listener, err);
	if (rc)
		return rc;
	if (is_listener)
		rc = err_set(err, -EBADMSG, "a connection's socket is a listener");
	*ret = rc ? NULL : tcp_conn_alloc(t, port, s);
	if (*ret)
		return 0;
	sock_close(s);
	return rc ? rc : err_set(err, -ENOMEM, "no memory for a connection");
}

static int restore_conn(struct tcp_restore *restore, struct carry_in *part, const struct tlv *rec,
			struct err *err)
{
	struct conn_in in = {.restore = restore,
			     .part = part,
			     .fd = -1,
			     .port = UINT32_MAX,
			     .rx_command = UINT32_MAX};
	struct tcp_conn *c = NULL;
	int rc = conn_decode(&in, rec, err);

	if (!rc)
		rc = conn_check(&in, err);
	if (!rc)
		rc = conn_open(&in, &c, err);
	if (in.fd >= 0)
		sock_export_close(restore->transport->control, in.fd);
	if (rc)
		return rc;
	ASSERT(c);
	c->is_carried = true;
	c->carried = *rec;
	return conn_build(c, &in, err);
}

static uint64_t now_ns(const struct tcp_restore *restore)
{
	return reactor_now_exact(restore->transport->control);
}

static int restore_target(struct tcp_restore *restore, const struct tlv *rec, struct err *err)
{
	const uint64_t begin_ns = now_ns(restore);
	int rc = nvme_carry_restore(restore->carry, rec, err);

	restore->controllers_ns += now_ns(restore) - begin_ns;
	return rc;
}

/* An engine with fewer reactors gives all the rest to the last one. They serve nothing yet, and the next message to them is behind this. */
static int restore_counters(struct tcp_restore *restore, const struct carry_in *part,
			    const struct tlv *rec, struct err *err)
{
	struct tcp_reactor *order[REACTORS_MAX + 1], *tr;
	unsigned n = tcp_parts_order(restore->transport, order);
	size_t index = (size_t)(part - restore->parts);

	if (rec->len % 8)
		return err_set(err, -EBADMSG, "the counters of part %zu have %u bytes", index,
			       rec->len);
	tr = order[MIN(index, (size_t)n - 1)];
	for (unsigned i = 0; i < TCP_STATS && i < rec->len / 8; i++)
		counter_add(tcp_stat_of(tr, i), get_le64(rec->value + (size_t)i * 8));
	return 0;
}

static int restore_record(struct tcp_restore *restore, struct carry_in *part, const struct tlv *rec,
			  struct err *err)
{
	switch (rec->type) {
	case TCP_CARRY_COUNTERS:
		return restore_counters(restore, part, rec, err);
	case NVME_CARRY_TARGET:
		return restore_target(restore, rec, err);
	case TCP_CARRY_CONN:
		return restore_conn(restore, part, rec, err);
	default:
		return tlv_unknown(rec, err);
	}
}

static int restore_part(struct tcp_restore *restore, struct carry_in *part, struct err *err)
{
	struct tlv rec;
	int rc;

	while ((rc = tlv_next(&part->r, &rec)) > 0) {
		rc = restore_record(restore, part, &rec, err);
		if (rc)
			return rc;
	}
	return rc ? err_set(err, rc, "the records of a part do not fit into it") : 0;
}

/* On each reactor: the commands of what will live there. */
static int commands_run(struct tcp_reactor *tr, struct err *err)
{
	list_for_each (it, &tr->conns) {
		struct tcp_conn *c = list_entry(it, struct tcp_conn, here_link);
		int rc = c->is_carried ? tcp_restore_commands(c, err) : 0;

		c->carried = (struct tlv){0};
		if (rc)
			return rc;
	}
	return 0;
}

static void restored(void *ctx, int res)
{
	struct tcp_transport *t = ctx;
	struct tcp_restore *restore = t->restore;

	if (res && !restore->err.code)
		restore->err = t->jobs_err;
	if (!restore->err.code)
		(void)nvme_carry_check(restore->carry, &restore->err);
	restore->end_ns = now_ns(restore);
	restore->done(restore->ctx, restore->err.code);
}

static int nothing_run(struct tcp_reactor *tr, struct err *err)
{
	(void)tr;
	(void)err;
	return 0;
}

void tcp_transport_restore(struct tcp_transport *t, struct carry_in *parts, unsigned n_parts,
			   nvme_done_fn done, void *ctx)
{
	struct tcp_restore *restore = calloc(1, sizeof(*restore));
	int rc = 0;

	ASSERT(!t->restore);
	ASSERT(restore); /* like every change that cannot be taken back half way */
	t->restore = restore;
	*restore = (struct tcp_restore){
		.transport = t, .parts = parts, .n_parts = n_parts, .done = done, .ctx = ctx};
	restore->begin_ns = now_ns(restore);
	restore->carry = nvme_carry_new(t->target);
	if (!restore->carry)
		rc = err_set(&restore->err, -ENOMEM, "no memory for the state");
	for (unsigned i = 0; !rc && i < n_parts; i++)
		rc = restore_part(restore, &parts[i], &restore->err);
	restore->built_ns = now_ns(restore);
	tcp_jobs_run(t, rc ? nothing_run : commands_run, restored, t);
}

const struct err *tcp_transport_restore_error(const struct tcp_transport *t)
{
	return &t->restore->err;
}

struct tcp_restore_times tcp_transport_restore_times(const struct tcp_transport *t)
{
	const struct tcp_restore *restore = t->restore;

	return (struct tcp_restore_times){
		.controllers_ns = restore->controllers_ns,
		.connections_ns = restore->built_ns - restore->begin_ns - restore->controllers_ns,
		.commands_ns = restore->end_ns - restore->built_ns,
	};
}

static void restore_free(struct tcp_transport *t)
{
	tcp_spares_free(t);
	nvme_carry_free(t->restore->carry);
	free(t->restore);
	t->restore = NULL;
}

/* --- serve, or not --- */

static int serve_run(struct tcp_reactor *tr, struct err *err)
{
	(void)err;
	list_for_each_safe (it, &tr->conns) {
		struct tcp_conn *c = list_entry(it, struct tcp_conn, here_link);

		if (!c->is_carried)
			continue;
		c->is_carried = false;
		tcp_conn_serve(c);
	}
	return 0;
}

static void served(void *ctx, int res)
{
	struct tcp_transport *t = ctx;
	nvme_done_fn done = t->restore->done;
	void *done_ctx = t->restore->ctx;

	restore_free(t);
	done(done_ctx, res);
}

void tcp_transport_serve(struct tcp_transport *t, nvme_done_fn done, void *ctx)
{
	ASSERT(t->restore);
	ASSERT(!t->restore->err.code);
	t->restore->done = done;
	t->restore->ctx = ctx;
	t->held = false;
	list_for_each (it, &t->conns) {
		struct tcp_conn *c = list_entry(it, struct tcp_conn, link);

		if (c->is_carried && c->state <= TCP_CONN_CONNECT && !c->connect_ok)
			tcp_conn_stranger(c);
	}
	nvme_carry_serve(t->restore->carry);
	tcp_listeners_serve(t);
	tcp_jobs_run(t, serve_run, served, t);
}

uint64_t tcp_transport_served_ns(const struct tcp_transport *t)
{
	return t->jobs_end_ns;
}

void tcp_transport_pass(struct tcp_transport *t, nvme_done_fn done, void *ctx)
{
	tcp_jobs_run(t, nothing_run, done, ctx);
}

static int discard_run(struct tcp_reactor *tr, struct err *err)
{
	(void)err;
	list_for_each_safe (it, &tr->conns) {
		struct tcp_conn *c = list_entry(it, struct tcp_conn, here_link);

		if (!c->is_carried)
			continue;
		c->is_carried = false;
		tcp_conn_unrestore(c);
		tcp_conn_close(c, "the state was refused");
	}
	return 0;
}

static void discarded(void *ctx, int res)
{
	struct tcp_transport *t = ctx;

	if (t->n_conns) { /* their ends are messages under way: each comes behind the last */
		tcp_jobs_run(t, nothing_run, discarded, t);
		return;
	}
	nvme_carry_forget(t->restore->carry);
	served(t, res);
}

void tcp_transport_discard(struct tcp_transport *t, nvme_done_fn done, void *ctx)
{
	ASSERT(t->restore);
	t->restore->done = done;
	t->restore->ctx = ctx;
	nvme_carry_disarm(t->restore->carry);
	tcp_jobs_run(t, discard_run, discarded, t);
}
