/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the runtime; for src/rt alone. */
#ifndef LITEPOOL_RT_THREAD_H
#define LITEPOOL_RT_THREAD_H

#include <pthread.h>

/* A thread that takes no signals but those its own instructions cause. 0 or negative errno. */
int thread_create_quiet(pthread_t *ret, void *(*fn)(void *), void *arg);

#endif
