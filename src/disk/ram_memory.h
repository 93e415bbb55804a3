/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a RAM disk, for src/disk alone: a memfd and its mapping, which get huge pages where they are used. */
#ifndef LITEPOOL_DISK_RAM_MEMORY_H
#define LITEPOOL_DISK_RAM_MEMORY_H

#include <stdatomic.h>

#include "base/bytes.h"
#include "base/err.h"
#include "rt/worker.h"

#define RAM_REGION (2 * MIB) /* a huge page */
/* Bytes read and written in a region before it is made one. With a MiB instead, first writes of all of a disk were half as fast: 256 faults more, and what they brought copied. */
#define RAM_REGION_TOUCH (64 * KIB)

/*
 * The kernel gives a memfd small pages unless the machine's administrator has said otherwise (shmem_enabled), and then a random read costs two TLB misses. So a
 * worker makes a region that is used one huge page (MADV_COLLAPSE, Linux 6.1): about 0.2 ms during which who touches that region waits in the kernel. It is not done
 * at the first touch, lest a disk of which a few blocks are written takes 512 times the memory; of one that is used here and there in 64 KiB it is 32 times. Where the kernel cannot do it everything works with small pages.
 */
struct ram_memory {
	uint8_t *mem;
	uint64_t bytes; /* whole pages */
	int fd;

	/* Its own. */
	struct worker_pool *workers; /* NULL: small pages */
	_Atomic unsigned refs;       /* the disk, and the work while it is queued */
	_Atomic bool queued;
	struct work work;
	size_t n_regions, n_words;
	_Atomic uint32_t *
		touched; /* bytes, by region; up to RAM_REGION_TOUCH. Reactors may lose each other's: it is a guess */
	_Atomic uint64_t *wanted; /* bits: regions to be made a huge page */
};

/* fd -1: new memory of zeroes; else one that came from another process, which is taken, also on errors. -ENOMEM, -EINVAL. */
int ram_memory_new(const char *name, uint64_t bytes, int fd, struct worker_pool *workers,
		   struct ram_memory **ret, struct err *err);
/* The disk goes; the memory may live on until a worker is done with it. */
void ram_memory_put(struct ram_memory *m);

void ram_memory_want(struct ram_memory *m, size_t region);
/* Whole regions within were given back to the kernel, or are to be counted anew. */
void ram_memory_released(struct ram_memory *m, uint64_t offset, uint64_t length);

/*
 * Any reactor: that range was written, or is read. (A request that spans regions counts for its first.) The kernel collapses no region without any page; a read that only lends
 * the memory makes none yet, so its first byte is read here.
 */
static inline void ram_memory_touch(struct ram_memory *m, uint64_t offset, uint64_t length)
{
	size_t region = offset / RAM_REGION;
	uint32_t touched;

	if (region >= m->n_regions)
		return;
	touched = atomic_load_explicit(&m->touched[region], memory_order_relaxed);
	if (touched >= RAM_REGION_TOUCH)
		return;
	(void)*(const volatile uint8_t *)(m->mem + offset);
	touched += (uint32_t)(length < RAM_REGION_TOUCH ? length : RAM_REGION_TOUCH);
	atomic_store_explicit(&m->touched[region], touched, memory_order_relaxed);
	if (touched >= RAM_REGION_TOUCH)
		ram_memory_want(m, region);
}

#endif
