/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call: the meeting point of its HTTP/2 stream (loop thread) and its handler (a worker). For src/grpc and its tests.
 *
 *   OPENING ---headers---> RECEIVING ---END_STREAM, one message---> RUNNING ---handler returned---> ENDING ---> CLOSED
 *      |                       |                                      |                               ^
 *      +-----------------------+------ refused, deadline, limit ------+-------------------------------+
 *
 * The stream may close at any time (reset, connection lost): CLOSED, conn == NULL, and the handler's result is dropped.
 * References: the stream holds one until CLOSED, the handler one while it runs, a posted wake one until it has run.
 */
#ifndef LITEPOOL_GRPC_CALL_H
#define LITEPOOL_GRPC_CALL_H

#include <stdatomic.h>

#include "grpc/frame.h"
#include "grpc/grpc.h"
#include "rt/evloop.h"
#include "rt/lock.h"
#include "rt/worker.h"

#define CALL_PATH_MAX    128
#define CALL_MESSAGE_MAX 1024              /* of the status message, bytes with NUL */
#define CALL_OUT_MAX     ((size_t)1 << 20) /* bytes that a handler may be ahead of its client */

struct grpc_conn;

enum call_state { CALL_OPENING, CALL_RECEIVING, CALL_RUNNING, CALL_ENDING, CALL_CLOSED };

/* What a connection needs of its server. */
struct call_env {
	const struct grpc_server_config *config; /* defaults filled in */
	void *owner;
	/* Runs call_run(call), now or on another thread; has been given a reference to drop. */
	void (*run)(void *owner, struct grpc_call *call);
	/* Any thread: have conn_call_progress(call) run on the loop's thread. */
	void (*wake)(void *owner, struct grpc_call *call);
	/* call->deadline_ns is known. */
	void (*arm)(void *owner, struct grpc_call *call);
};

/* A framed message on its way out. */
struct call_chunk {
	struct list link;
	size_t len, sent;
	uint8_t data[];
};

struct grpc_call {
	atomic_uint refs;
	atomic_bool cancelled;
	const struct call_env *env;
	const struct grpc_method *method;
	struct evloop_task task; /* the posted wake */
	struct evloop_timer timer;
	struct work work;
	uint64_t start_ns, deadline_ns; /* 0: none */

	/* Loop thread. */
	struct grpc_conn *conn; /* NULL when CLOSED */
	struct list link;       /* grpc_conn.calls */
	int32_t stream_id;
	enum call_state state;
	int http_status; /* 405 and 415 instead of a gRPC status, or 0 */
	bool post, content_type_ok, path_seen, encoding_bad, timeout_bad;
	char path[CALL_PATH_MAX];
	struct grpc_frame frame; /* then the handler's, from RUNNING on */
	bool whole;              /* one message has come */
	uint64_t buffered;       /* bytes of grpc_conn.buffered that are this call's */
	bool responded;          /* response headers are on their way */
	bool told;               /* its end has been seen by conn_call_progress() */

	/* Handler. */
	struct arena arena;
	unsigned replies;
	char fail_text[CALL_MESSAGE_MAX];

	struct lock *lock; /* protects what follows; its waiters want room in out */
	struct list out;   /* call_chunk.link */
	size_t out_bytes;
	bool finished, posted;
	enum grpc_code code;
	char message[CALL_MESSAGE_MAX];
};

/* With one reference, for the stream. */
int call_new(const struct call_env *env, struct grpc_call **ret);
void call_ref(struct grpc_call *call);
void call_unref(struct grpc_call *call);

/* Runs the handler; drops the handler's reference. */
void call_run(struct grpc_call *call);
/* Any thread. The first to finish a call says how it ended; messages not yet sent are dropped unless code is GRPC_OK. */
void call_finish(struct grpc_call *call, enum grpc_code code, const char *message);
/* Nobody waits for the answer. */
void call_cancel(struct grpc_call *call);
/* Up to max bytes of what is to be sent into buf. *ret_end: nothing will follow. */
size_t call_take(struct grpc_call *call, uint8_t *buf, size_t max, bool *ret_end);
/* Is there something to send; has it ended. */
void call_peek(struct grpc_call *call, bool *ret_any, bool *ret_finished);

#endif
