/* SPDX-License-Identifier: Apache-2.0 */
/* A counter with one writing thread and any readers: a plain add for the writer, whole values for readers. */
#ifndef LITEPOOL_BASE_COUNTER_H
#define LITEPOOL_BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t counter;

static inline void counter_add(counter *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline uint64_t counter_get(const counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

#endif
