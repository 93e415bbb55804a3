/* SPDX-License-Identifier: Apache-2.0 */
/* What rpc_nvmf.c, rpc_listener.c and rpc_transport.c do for each other. Control thread. */
#ifndef LITEPOOL_ENGINE_RPC_NVMF_H
#define LITEPOOL_ENGINE_RPC_NVMF_H

#include "base/err.h"
#include "nvme/target.h"

struct engine;

/* NULL with -EINVAL in err. */
struct nvme_subsystem *rpc_subsystem(struct engine *e, const char *nqn, struct err *err);
/* 0, or -EINVAL with err: another transport than TCP. */
int rpc_tcp_only(const char *trtype, struct err *err);
/* The subsystem is gone: gives back its uses of listening sockets. */
void rpc_listeners_drop(struct engine *e, const char *nqn);

#endif
