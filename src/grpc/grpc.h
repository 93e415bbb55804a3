/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gRPC server on a unix socket: nghttp2 and protobuf-c behind our own thin layer (why not libgrpc: ARCHITECTURE.md "Libraries").
 *
 * Threads: one loop thread alone touches HTTP/2; handlers run on worker threads and may block for seconds, as many at once as there are workers;
 * methods marked inline run on the loop thread and must not block. A handler sees a call through the functions below and nothing else.
 *
 * What is accepted: any :authority; one uncompressed message; grpc-timeout in all units. Limits are in struct grpc_server_config; a call over a limit
 * gets RESOURCE_EXHAUSTED, a stream over the limit is refused by HTTP/2 itself. The socket is for its owner alone (mode 0600).
 */
#ifndef LITEPOOL_GRPC_GRPC_H
#define LITEPOOL_GRPC_GRPC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "grpc/arena.h"
#include "grpc/status.h"

struct grpc_call;
struct grpc_server;

/*
 * Answers a call. request is of the method's type and lives in the call's arena. A unary method calls grpc_reply() once before it returns GRPC_OK; a
 * streaming one any number of times. Another code is made by grpc_fail().
 */
typedef enum grpc_code (*grpc_handler_fn)(struct grpc_call *call, const void *request, void *ctx);

struct grpc_method {
	const char *path; /* "/csi.v1.Identity/Probe" */
	const ProtobufCMessageDescriptor *request;
	grpc_handler_fn handler;
	bool inline_call; /* runs on the loop thread; must not block */
	bool streaming;   /* the server sends any number of messages */
	const void *user; /* the handler's, see grpc_method_of() */
};

struct grpc_call_info {
	const char *path; /* "" when the client sent none that can be told */
	enum grpc_code code;
	const char *message;
	uint64_t took_ns;
};

struct grpc_server_config {
	const char *socket_path;
	const struct grpc_method *methods; /* borrowed */
	size_t n_methods;
	void *ctx; /* given to handlers and to ended */
	/* Optional: a call has ended, for a log line. Loop thread; must not block. */
	void (*ended)(void *ctx, const struct grpc_call_info *info);
	/* 0: the default in brackets. */
	unsigned workers;      /* handlers at once [32] */
	uint32_t message_max;  /* bytes of one request [4 MiB] */
	uint32_t buffered_max; /* bytes of requests that a connection may have in memory [16 MiB] */
	uint32_t
		unpacked_max; /* bytes of a request and its response in the call's arena [64 MiB] */
	uint32_t streams_max; /* calls at once on a connection [128] */
	uint32_t connections_max; /* [64] */
};

/* Listens and serves. A socket that nobody listens to is taken over, its folder must exist. */
int grpc_server_start(const struct grpc_server_config *config, struct grpc_server **ret,
		      struct err *err);
/*
 * Takes no new calls (GOAWAY), lets those under way end. 0: all have; -ETIMEDOUT: some have not after timeout_ms. Not the loop's or a handler's thread.
 */
int grpc_server_drain(struct grpc_server *server, int timeout_ms);
/* Cuts what is left: clients see UNAVAILABLE, grpc_cancelled() turns true; waits for the handlers. Removes the socket. */
void grpc_server_free(struct grpc_server *server);

/* ---- for handlers, on the thread that runs them ---- */

const struct grpc_method *grpc_method_of(const struct grpc_call *call);
struct arena *grpc_arena(struct grpc_call *call);
/* Sends a message. Waits while the client does not read. 0; -ECANCELED: nobody waits for it any more; -ENOMEM. */
int grpc_reply(struct grpc_call *call, const ProtobufCMessage *message);
/* Notes what to tell the client and returns code, which must not be GRPC_OK. */
__attribute__((format(printf, 3, 4))) enum grpc_code
grpc_fail(struct grpc_call *call, enum grpc_code code, const char *fmt, ...);
/* The client is gone, has cancelled, or its deadline is over; a long handler looks from time to time. Any thread that knows the call is alive. */
bool grpc_cancelled(const struct grpc_call *call);
/* Until the client's deadline; -1: none. */
int64_t grpc_remaining_ms(const struct grpc_call *call);

#endif
