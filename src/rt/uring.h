/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel as a reactor's world: io_uring for files and readiness, plain recv and sendmsg for sockets. */
#ifndef LITEPOOL_RT_URING_H
#define LITEPOOL_RT_URING_H

#include "base/err.h"

struct env;
struct iobuf_arena;

/* arena (borrowed, may be NULL) is registered as fixed buffer 0, so that file I/O into it maps no pages. */
int uring_env_new(struct iobuf_arena *arena, struct env **ret, struct err *err);

/* What this kernel can do of what we use; each lack is logged once with its consequence. -ENOSYS with the reason when we cannot run at all. */
int uring_probe_kernel(struct err *err);

#endif
