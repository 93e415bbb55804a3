/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one thing that we ask a gRPC server ourselves: whether it answers. A unary call with an empty request, whose answer is not looked at; for programs that have nothing else to do meanwhile.
 */
#ifndef LITEPOOL_GRPC_ASK_H
#define LITEPOOL_GRPC_ASK_H

#include "base/err.h"
#include "grpc/status.h"

/* method: "/csi.v1.Identity/GetPluginInfo". 0: it was answered, with *ret. Or a negative errno with err: nobody serves, or no answer in time. */
int grpc_ask(const char *socket_path, const char *method, int timeout_ms, enum grpc_code *ret,
	     struct err *err);

#endif
