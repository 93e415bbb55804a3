/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP/2 connection of the server, without I/O: bytes in, bytes out. For src/grpc and its tests.
 *
 * Threads: the loop's, but for what call.h says.
 */
#ifndef LITEPOOL_GRPC_CONN_H
#define LITEPOOL_GRPC_CONN_H

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "grpc/call.h"

struct grpc_conn {
	const struct call_env *env; /* borrowed */
	void *io;                   /* the owner's */
	nghttp2_session *session;
	struct list calls; /* grpc_call.link: open streams */
	uint64_t buffered; /* bytes of requests in memory */
	bool preface_seen; /* the client's SETTINGS have come */
};

int conn_new(const struct call_env *env, void *io, struct grpc_conn **ret);
/* Ends all its calls as cancelled; handlers may go on, nobody hears them. */
void conn_free(struct grpc_conn *conn);
/* 0; -EPROTO: not HTTP/2, or a flood: output what there is and close. */
int conn_feed(struct grpc_conn *conn, const uint8_t *buf, size_t len);
/* The next bytes to send; valid until the next call on conn. 0: none now; < 0: close. */
ssize_t conn_output(struct grpc_conn *conn, const uint8_t **ret);
/* Nothing more to read or to send. */
bool conn_done(const struct grpc_conn *conn);
/* GOAWAY: open calls end, new ones are not taken. */
void conn_shutdown(struct grpc_conn *conn);

/* The call has something to send, or has ended. */
void conn_call_progress(struct grpc_call *call);
/* Its time is over. */
void conn_call_expired(struct grpc_call *call);

#endif
