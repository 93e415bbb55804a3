/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data buffers of the data path. All of them lie in one arena (a memfd, so that it can be handed to a successor), which
 * every reactor registers with its ring. Each reactor has its own slice of it: no locks. Sizes are fixed at start, printed,
 * and never grow. When a class is empty the asker waits in line; an I/O never fails for want of a buffer.
 *
 * Deadlock freedom: a command holds at most one buffer. In-capsule data has a class of its own (its holders never wait for the
 * host), so a connection whose stream is stalled for a capsule buffer always moves on.
 */
#ifndef LITEPOOL_RT_IOBUF_H
#define LITEPOOL_RT_IOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"

struct iobuf_arena;
struct iobuf_line;
struct iobuf_pool;

enum iobuf_class {
	IOBUF_CAPSULE, /* 16 KiB: in-capsule data */
	IOBUF_SMALL,   /* 16 KiB */
	IOBUF_MEDIUM,  /* 128 KiB */
	IOBUF_LARGE,   /* 1 MiB, the largest MDTS */
	IOBUF_SCRATCH, /* 16 KiB: a second buffer for Compare; its holders wait for nothing but the disk */
	IOBUF_RX, /* 64 KiB: where a connection receives headers and in-capsule data */
	IOBUF_CLASSES
};

extern const size_t iobuf_class_size[IOBUF_CLASSES]; /* bytes, multiples of 4 KiB */
extern const char *const iobuf_class_name[IOBUF_CLASSES];
#define IOBUF_MAX_SIZE ((size_t)1 << 20)

struct iobuf {
	struct list link;
	struct iobuf_pool *pool;
	enum iobuf_class cls;
	void *data; /* 4 KiB aligned */
};

struct iobuf_waiter {
	struct list link;
	/* The buffer is the waiter's now. Runs as a task of the pool's reactor. */
	void (*ready)(struct iobuf_waiter *waiter, struct iobuf *buf);
	struct iobuf_line *line; /* the pool's own */
};

struct iobuf_counts {
	/* of the whole engine; divided among the reactors, at least 1 each */
	uint32_t n[IOBUF_CLASSES];
};
struct iobuf_usage {
	uint32_t total, in_use, waiting, in_use_max;
	uint64_t waits; /* times an asker had to wait since start */
};

/* The defaults, about 32 MiB. */
struct iobuf_counts iobuf_counts_default(void);

int iobuf_arena_new(const struct iobuf_counts *counts, unsigned n_reactors,
		    struct iobuf_arena **ret, struct err *err);
void iobuf_arena_free(struct iobuf_arena *arena);
void *iobuf_arena_base(const struct iobuf_arena *arena, size_t *ret_size, int *ret_memfd);
/* Slice i. Belongs to the arena. */
struct iobuf_pool *iobuf_arena_pool(struct iobuf_arena *arena, unsigned i);

/* Smallest class of SMALL, MEDIUM, LARGE that holds len; len <= IOBUF_MAX_SIZE. */
enum iobuf_class iobuf_class_for(size_t len);
/* A buffer, or NULL and waiter (may be NULL: then just NULL) stands in line. Own reactor only. */
struct iobuf *iobuf_get(struct iobuf_pool *pool, enum iobuf_class cls, struct iobuf_waiter *waiter);
/* Leaves the line. Not in one: nothing. */
void iobuf_cancel(struct iobuf_waiter *waiter);
/* NULL: nothing. */
void iobuf_put(struct iobuf *buf);
struct iobuf_usage iobuf_usage(const struct iobuf_pool *pool, enum iobuf_class cls);

#endif
