/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the server, for src/rpc alone.
 *
 *   server.c  socket, clients, method table       conn.c  one client: bytes in, bytes out, when it ends
 *   call.c    one request until it is answered    frame.c, request.c, bytebuf.c  pure
 *
 * 1. A conn is freed only by conn_settle(), which is the last thing of an event, task or timer; so that methods, which answer
 *    whenever they like, never free what calls them.
 * 2. A call knows its conn and the conn its calls; whoever ends first takes the link away.
 */
#ifndef LITEPOOL_RPC_SERVER_PRIV_H
#define LITEPOOL_RPC_SERVER_PRIV_H

#include "base/list.h"
#include "rpc/bytebuf.h"
#include "rpc/frame.h"
#include "rpc/rpc.h"
#include "rt/sock.h"

struct rpc_server {
	struct reactor *r;
	struct rpc_server_opts opts; /* path is a copy */
	unsigned state;
	struct sock *listener;
	/* runs while accepting pauses for want of descriptors or memory */
	struct timer accept_timer;
	struct list conns;
	uint32_t n_conns;
	uint64_t conns_seen; /* names clients in the log */
	enum rpc_hold hold;
	bool frozen;
};

struct conn {
	struct rpc_server *server;
	struct list link;
	struct sock *sock;
	uint64_t id;

	struct rpc_frame frame;
	struct bytebuf in;
	size_t scanned;       /* bytes of in that the frame has seen */
	size_t value_begin;   /* where the value under way begins, as an offset into in */
	uint64_t value_since; /* reactor time when it began, ns */

	struct bytebuf out;
	uint64_t out_since; /* reactor time of the last progress, ns */

	struct list calls;
	uint32_t n_calls; /* unanswered */
	struct task task; /* late: sends, and settles */
	struct timer timer;
	bool held;   /* input waits until the hold that it ran into changes */
	bool paused; /* input waits until calls are answered and output is read */
	bool ended; /* no more input is taken: end of stream, or a stream that cannot be followed */
	bool broken; /* nothing can be sent any more */
};

/* Takes sock; attaches it unless the server is frozen. 0 or -ENOMEM. */
int conn_new(struct rpc_server *s, struct sock *sock, struct conn **ret);
/* Sends what the socket takes at once, and frees. */
void conn_drop(struct conn *c);
/* Answers with an error that belongs to no request. */
__attribute__((format(printf, 3, 4))) void conn_answer_error(struct conn *c, int code,
							     const char *fmt, ...);
/* The same, and no more input is taken. */
__attribute__((format(printf, 3, 4))) void conn_refuse(struct conn *c, int code, const char *fmt,
						       ...);
/* Queues an answer. NULL, and what does not fit, breaks the connection. */
void conn_answer(struct conn *c, const json_t *response);
void conn_answer_text(struct conn *c, const char *text, size_t len);
/* The hold has changed, or frozen has: goes on, if it may. */
void conn_resume(struct conn *c);
/* Frozen: one flush, then the socket is let go; or it is taken again. */
void conn_freeze(struct conn *c);
void conn_thaw(struct conn *c);
/* A call has left the conn. */
void conn_call_ended(struct conn *c);

/* Carries out one message: an object or a batch. False: nothing of it was begun, because it is held. */
bool call_message(struct conn *c, const char *text, size_t len);
/* Calls of the conn that a hold of that kind is about; *ret_method: one of them. */
unsigned call_count(const struct conn *c, enum rpc_hold hold, const char **ret_method);
/* The conn goes away: its calls are answered into the void. */
void call_orphan_all(struct conn *c);

/* Whether new clients are taken. */
void server_accept(struct rpc_server *s, bool on);
const struct rpc_method *server_method(const struct rpc_server *s, const char *name);

#endif
