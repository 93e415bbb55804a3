/* SPDX-License-Identifier: Apache-2.0 */
/* A request's way from HTTP/2 events to its handler. Loop thread; for src/grpc alone. */
#ifndef LITEPOOL_GRPC_CONN_REQUEST_H
#define LITEPOOL_GRPC_CONN_REQUEST_H

#include "grpc/call.h"

void request_header(struct grpc_call *call, const char *name, size_t name_len, const char *value,
		    size_t value_len);
/* All headers are there: refuse, or receive. */
void request_headers_end(struct grpc_call *call);
void request_data(struct grpc_call *call, const uint8_t *data, size_t len);
/* The client has sent all: run, or refuse. */
void request_end(struct grpc_call *call);

#endif
