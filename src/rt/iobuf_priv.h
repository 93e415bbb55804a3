/* SPDX-License-Identifier: Apache-2.0 */
/* For src/rt alone. */
#ifndef LITEPOOL_RT_IOBUF_PRIV_H
#define LITEPOOL_RT_IOBUF_PRIV_H

struct iobuf_pool;
struct reactor;

/* Buffers are granted to waiters by tasks of r. pool NULL: nothing. */
void iobuf_pool_bind(struct iobuf_pool *pool, struct reactor *r);

#endif
