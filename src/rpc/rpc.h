/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON-RPC 2.0 over a unix socket. A server lives on the control reactor; methods are a table. Messages are JSON values one after another
 * without separators (as SPDK's clients send), or with white space between.
 *
 * A client that is slow, huge, malformed or half closed harms only itself: input is bounded per message, answers are bounded per
 * connection, and a client that does not read them is closed.
 */
#ifndef LITEPOOL_RPC_RPC_H
#define LITEPOOL_RPC_RPC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "rt/reactor.h"

/* JSON-RPC 2.0 section 5.1, and SPDK's: a negative errno is sent as the code, e.g. -19 ENODEV, -17 EEXIST. */
enum rpc_error {
	RPC_ERR_PARSE = -32700,
	RPC_ERR_INVALID_REQUEST = -32600,
	RPC_ERR_METHOD_NOT_FOUND = -32601,
	RPC_ERR_INVALID_PARAMS = -32602,
	RPC_ERR_INTERNAL = -32603,
	RPC_ERR_INVALID_STATE = -1, /* SPDK: not allowed in this state */
};

struct rpc_server;
struct rpc_call; /* one request, until it is answered, even if its client went away */

enum {                  /* when a method may be called */
       RPC_STARTUP = 1, /* before framework_start_init */
       RPC_RUNTIME = 2,
       RPC_QUIET = 4, /* it changes nothing: also while others are held back (rpc_server_hold) */
};

struct rpc_method {
	const char *name;
	unsigned states;
	/* Answers now or later, exactly once, by rpc_reply() or rpc_fail(). params: borrowed until then; NULL when absent. */
	void (*call)(struct rpc_call *call, const json_t *params, void *ctx);
	const char *summary; /* one line, for rpc_get_methods and the docs */
};

struct rpc_server_opts {
	const char *path;                 /* socket; mode 0600 */
	uint32_t message_max;             /* bytes of one request, default 4 MiB */
	uint32_t output_max;              /* unsent bytes of one client, default 32 MiB */
	uint32_t clients_max;             /* default 64 */
	uint32_t idle_ms;                 /* a half-sent request is dropped after, default 30 s */
	const struct rpc_method *methods; /* ended by name == NULL */
	void *ctx;
	int listen_fd; /* default -1; else of the predecessor, taken: the server begins frozen */
};
struct rpc_server_opts rpc_server_opts_default(void);
int rpc_server_new(struct reactor *r, const struct rpc_server_opts *opts, struct rpc_server **ret,
		   struct err *err);
void rpc_server_set_state(struct rpc_server *s, unsigned state);
unsigned rpc_server_state(const struct rpc_server *s);
const struct rpc_method *rpc_server_methods(const struct rpc_server *s);
/* Not from inside a method. Unanswered calls stay valid and are answered into the void. NULL: nothing. */
void rpc_server_free(struct rpc_server *s);

/*
 * ---- Hot upgrade: clients go from one process to the next and notice nothing (hold.c) ----
 *
 * Held: requests of methods that are not RPC_QUIET, or all, wait unread in their connections. Calls that have begun go on; rpc_server_busy() counts those that the hold is about,
 * and names one. NONE ends it.
 */
enum rpc_hold { RPC_HOLD_NONE, RPC_HOLD_CHANGES, RPC_HOLD_ALL };
void rpc_server_hold(struct rpc_server *s, enum rpc_hold hold);
unsigned rpc_server_busy(const struct rpc_server *s, const char **ret_method);
/* Held with ALL, and not busy: sockets are not touched any more. thaw: they are, and NONE is held. */
void rpc_server_freeze(struct rpc_server *s);
void rpc_server_thaw(struct rpc_server *s);

struct tlv;
struct tlv_writer;
/* Frozen. Writes a record for each client; its descriptor is fds[k], borrowed, k from *n on. -ENOSPC. */
int rpc_server_save(struct rpc_server *s, struct tlv_writer *w, int *fds, unsigned max,
		    unsigned *n);
/* One such record, in a new frozen server; take gives descriptor k, or -1. Other records: 0, too. */
int rpc_server_restore(struct rpc_server *s, const struct tlv *rec,
		       int (*take)(void *ctx, unsigned k), void *ctx, struct err *err);
int rpc_server_listen_fd(const struct rpc_server *s);
#define RPC_TLV_CLIENT 0x0110 /* mandatory; in it: */
#define RPC_TLV_FD     0x0111
#define RPC_TLV_IN     0x0112 /* bytes that came and were not begun */
#define RPC_TLV_OUT    0x0113 /* bytes that were not sent */
#define RPC_TLV_ENDED  0x0114 /* the client has closed its sending side, or is being sent away */

/* Takes result (NULL: JSON true). Both end the call and may be called from inside the method or later, on the server's reactor. code < 0. */
void rpc_reply(struct rpc_call *call, json_t *result);
__attribute__((format(printf, 3, 4))) void rpc_fail(struct rpc_call *call, int code,
						    const char *fmt, ...);
/* err->code and err->text: -EINVAL becomes Invalid params, other errnos are sent as they are. */
void rpc_fail_err(struct rpc_call *call, const struct err *err);
const char *rpc_call_method(const struct rpc_call *call);

/*
 * Runs method as if a client had called it, without a socket and whatever the server's state: configuration files use it. done gets
 * result (borrowed; NULL on failure) or err, also after rpc_server_free(). Methods that answer at once run done inside this call.
 */
void rpc_call_local(struct rpc_server *s, const char *method, const json_t *params,
		    void (*done)(void *ctx, const json_t *result, const struct err *err),
		    void *ctx);

/* The client: blocking, for the command line and tests. */
struct rpc_client;
int rpc_client_open(const char *path, int timeout_ms, struct rpc_client **ret, struct err *err);
void rpc_client_close(struct rpc_client *c);
/* 0 with *ret_result (the caller's), or the error's code with its message in err. params: borrowed, may be NULL. */
int rpc_client_call(struct rpc_client *c, const char *method, const json_t *params,
		    json_t **ret_result, struct err *err);

#endif
