/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena of data buffers and its slices.
 *
 * Layout of the arena: pool 0's classes one after another, then pool 1's, and so on; its size is a multiple of 2 MiB.
 *
 * Invariants:
 *  1. Each buffer is on its pool's free list, or in use by one owner.
 *  2. While somebody waits for a class, only the grant task takes buffers of it: first come, first served.
 *  3. ready() runs from the grant task alone, never inside iobuf_put() or iobuf_get().
 */
#include "rt/iobuf.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/counter.h"
#include "rt/iobuf_priv.h"
#include "rt/reactor.h"

#define ARENA_ALIGN (2 * MIB)

const size_t iobuf_class_size[IOBUF_CLASSES] = {
	[IOBUF_CAPSULE] = 16 * KIB, [IOBUF_SMALL] = 16 * KIB,   [IOBUF_MEDIUM] = 128 * KIB,
	[IOBUF_LARGE] = MIB,        [IOBUF_SCRATCH] = 16 * KIB, [IOBUF_RX] = 64 * KIB,
};
const char *const iobuf_class_name[IOBUF_CLASSES] = {
	[IOBUF_CAPSULE] = "capsule", [IOBUF_SMALL] = "small",     [IOBUF_MEDIUM] = "medium",
	[IOBUF_LARGE] = "large",     [IOBUF_SCRATCH] = "scratch", [IOBUF_RX] = "rx",
};

struct iobuf_line {
	struct list free, waiters;
	struct task grant;
	struct iobuf_pool *pool;
	/* Written by the pool's reactor alone; read by others for metrics. */
	_Atomic uint32_t total, in_use, waiting, in_use_max;
	counter waits;
};

struct iobuf_pool {
	struct reactor *reactor; /* NULL until bound */
	struct iobuf_line lines[IOBUF_CLASSES];
};

struct iobuf_arena {
	char *base;
	size_t size;
	int memfd;
	unsigned n_pools;
	struct iobuf_pool *pools;
	struct iobuf *bufs;
};

/* One writer: no locked instruction. */
static void line_add(_Atomic uint32_t *n, int by)
{
	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + (uint32_t)by,
			      memory_order_relaxed);
}

static struct iobuf *take_first(struct iobuf_line *line)
{
	struct iobuf *buf = list_entry(list_pop_front(&line->free), struct iobuf, link);

	line_add(&line->in_use, 1);
	if (line->in_use > line->in_use_max)
		line_add(&line->in_use_max, 1);
	return buf;
}

struct iobuf_counts iobuf_counts_default(void)
{
	/* 4 + 4 + 8 + 10 + 0.25 + 6 MiB = 32.25 MiB. */
	return (struct iobuf_counts){.n = {
					     [IOBUF_CAPSULE] = 256,
					     [IOBUF_SMALL] = 256,
					     [IOBUF_MEDIUM] = 64,
					     [IOBUF_LARGE] = 10,
					     [IOBUF_SCRATCH] = 16,
					     [IOBUF_RX] = 96,
				     }};
}

static uint32_t share(uint32_t n, unsigned pool, unsigned n_pools)
{
	uint32_t mine = n / n_pools + (pool < n % n_pools);

	return MAX(mine, 1u);
}

static void counts_total(const struct iobuf_counts *counts, unsigned n_pools, size_t *ret_bytes,
			 size_t *ret_bufs)
{
	size_t bytes = 0, bufs = 0;

	for (unsigned p = 0; p < n_pools; p++) {
		for (int c = 0; c < IOBUF_CLASSES; c++) {
			uint32_t n = share(counts->n[c], p, n_pools);

			bytes += n * iobuf_class_size[c];
			bufs += n;
		}
	}
	*ret_bytes = align_up(bytes, ARENA_ALIGN);
	*ret_bufs = bufs;
}

/* Maps at a multiple of 2 MiB, so that huge pages fit where the host gives them. */
static int map_arena(struct iobuf_arena *arena, struct err *err)
{
	char *reserved, *base;

	arena->memfd = memfd_create("litepool-iobuf", MFD_CLOEXEC);
	if (arena->memfd < 0)
		return err_set(err, -errno, "cannot create the buffer arena: %s", strerror(errno));
	if (ftruncate(arena->memfd, (off_t)arena->size) < 0)
		return err_set(err, -errno, "cannot size the buffer arena to %zu bytes: %s",
			       arena->size, strerror(errno));
	reserved = mmap(NULL, arena->size + ARENA_ALIGN, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (reserved == MAP_FAILED)
		return err_set(err, -errno, "no address space for a buffer arena of %zu bytes: %s",
			       arena->size, strerror(errno));
	base = (char *)align_up((uintptr_t)reserved, ARENA_ALIGN);
	arena->base = mmap(base, arena->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			   arena->memfd, 0);
	if (arena->base == MAP_FAILED) {
		int rc = -errno;

		arena->base = NULL;
		(void)munmap(reserved, arena->size + ARENA_ALIGN);
		return err_set(
			err, rc,
			"cannot map the buffer arena of %zu bytes: %s; configure fewer buffers",
			arena->size, strerror(-rc));
	}
	if (base > reserved)
		(void)munmap(reserved, (size_t)(base - reserved));
	if (base < reserved + ARENA_ALIGN)
		(void)munmap(base + arena->size, (size_t)(reserved + ARENA_ALIGN - base));
	/* Only a hint: most hosts have huge pages for shared memory switched off. */
	(void)madvise(arena->base, arena->size, MADV_HUGEPAGE);
	return 0;
}

static void grant(struct task *task)
{
	struct iobuf_line *line = container_of(task, struct iobuf_line, grant);

	/* Those that stand in line now; one that asks again from ready() is for the next round. */
	for (uint32_t n = line->waiting; n > 0 && !list_empty(&line->free); n--) {
		struct list *first = list_pop_front(&line->waiters);
		struct iobuf_waiter *waiter;

		if (!first)
			break;
		waiter = list_entry(first, struct iobuf_waiter, link);
		line_add(&line->waiting, -1);
		waiter->ready(waiter, take_first(line));
	}
	if (!list_empty(&line->free) && !list_empty(&line->waiters))
		reactor_defer(line->pool->reactor, &line->grant);
}

static void carve(struct iobuf_arena *arena, const struct iobuf_counts *counts)
{
	struct iobuf *buf = arena->bufs;
	char *at = arena->base;

	for (unsigned p = 0; p < arena->n_pools; p++) {
		struct iobuf_pool *pool = &arena->pools[p];

		for (int c = 0; c < IOBUF_CLASSES; c++) {
			struct iobuf_line *line = &pool->lines[c];
			uint32_t n = share(counts->n[c], p, arena->n_pools);

			list_init(&line->free);
			list_init(&line->waiters);
			line->grant.run = grant;
			line->pool = pool;
			line->total = n;
			for (; n > 0; n--, buf++, at += iobuf_class_size[c]) {
				buf->pool = pool;
				buf->cls = (enum iobuf_class)c;
				buf->data = at;
				list_push_back(&line->free, &buf->link);
			}
		}
	}
	ASSERT(at <= arena->base + arena->size);
}

int iobuf_arena_new(const struct iobuf_counts *counts, unsigned n_reactors,
		    struct iobuf_arena **ret, struct err *err)
{
	struct iobuf_arena *arena;
	size_t n_bufs;
	int rc;

	ASSERT(n_reactors > 0);
	ASSERT(n_reactors <= REACTORS_MAX);
	arena = calloc(1, sizeof(*arena));
	if (!arena)
		return err_set(err, -ENOMEM, "no memory for the buffer arena");
	arena->memfd = -1;
	arena->n_pools = n_reactors;
	counts_total(counts, n_reactors, &arena->size, &n_bufs);
	arena->pools = calloc(n_reactors, sizeof(*arena->pools));
	arena->bufs = calloc(n_bufs, sizeof(*arena->bufs));
	if (arena->pools && arena->bufs)
		rc = map_arena(arena, err);
	else
		rc = err_set(err, -ENOMEM, "no memory for %zu buffer headers", n_bufs);
	if (rc < 0) {
		iobuf_arena_free(arena);
		return rc;
	}
	carve(arena, counts);
	*ret = arena;
	return 0;
}

void iobuf_arena_free(struct iobuf_arena *arena)
{
	if (!arena)
		return;
	if (arena->base)
		(void)munmap(arena->base, arena->size);
	if (arena->memfd >= 0)
		(void)close(arena->memfd);
	free(arena->bufs);
	free(arena->pools);
	free(arena);
}

void *iobuf_arena_base(const struct iobuf_arena *arena, size_t *ret_size, int *ret_memfd)
{
	if (ret_size)
		*ret_size = arena->size;
	if (ret_memfd)
		*ret_memfd = arena->memfd;
	return arena->base;
}

struct iobuf_pool *iobuf_arena_pool(struct iobuf_arena *arena, unsigned i)
{
	ASSERT(i < arena->n_pools);
	return &arena->pools[i];
}

void iobuf_pool_bind(struct iobuf_pool *pool, struct reactor *r)
{
	if (pool)
		pool->reactor = r;
}

enum iobuf_class iobuf_class_for(size_t len)
{
	ASSERT(len <= IOBUF_MAX_SIZE);
	if (len <= iobuf_class_size[IOBUF_SMALL])
		return IOBUF_SMALL;
	return len <= iobuf_class_size[IOBUF_MEDIUM] ? IOBUF_MEDIUM : IOBUF_LARGE;
}

struct iobuf *iobuf_get(struct iobuf_pool *pool, enum iobuf_class cls, struct iobuf_waiter *waiter)
{
	struct iobuf_line *line = &pool->lines[cls];

	if (!list_empty(&line->free) && list_empty(&line->waiters))
		return take_first(line);
	if (waiter) {
		ASSERT(pool->reactor);
		ASSERT(waiter->ready);
		ASSERT(!list_linked(&waiter->link));
		waiter->line = line;
		list_push_back(&line->waiters, &waiter->link);
		line_add(&line->waiting, 1);
		counter_add(&line->waits, 1);
	}
	return NULL;
}

void iobuf_cancel(struct iobuf_waiter *waiter)
{
	if (!list_linked(&waiter->link))
		return;
	list_remove(&waiter->link);
	line_add(&waiter->line->waiting, -1);
}

void iobuf_put(struct iobuf *buf)
{
	struct iobuf_line *line;

	if (!buf)
		return;
	line = &buf->pool->lines[buf->cls];
	ASSERT(!list_linked(&buf->link));
	ASSERT(line->in_use > 0);
	line_add(&line->in_use, -1);
	/* The warmest buffer is used again first. */
	list_push_front(&line->free, &buf->link);
	if (!list_empty(&line->waiters))
		reactor_defer(buf->pool->reactor, &line->grant);
}

struct iobuf_usage iobuf_usage(const struct iobuf_pool *pool, enum iobuf_class cls)
{
	const struct iobuf_line *line = &pool->lines[cls];

	return (struct iobuf_usage){
		.total = line->total,
		.in_use = line->in_use,
		.waiting = line->waiting,
		.in_use_max = line->in_use_max,
		.waits = line->waits,
	};
}
