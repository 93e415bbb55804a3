/* SPDX-License-Identifier: Apache-2.0 */
/* For src/rt alone. */
#ifndef LITEPOOL_RT_URING_SETUP_H
#define LITEPOOL_RT_URING_SETUP_H

struct err;
struct uenv;

/* Makes u's ring with all that this kernel has, registers the arena and the table of files. On the reactor's thread. */
int uring_ring_init(struct uenv *u, struct err *err);

#endif
