/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a RAM disk.
 *
 * Invariants:
 *  1. At most one work is queued; it holds a reference, so that the mapping outlives it.
 *  2. A bit of wanted is set only by who brings touched over the threshold, and a work is queued after it: no region that is wanted is forgotten.
 */
#include "disk/ram_memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cleanup.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1; Debian 12's libc does not have it yet */
#endif

/* ---- huge pages ---- */

void ram_memory_put(struct ram_memory *m)
{
	if (atomic_fetch_sub(&m->refs, 1) != 1)
		return;
	if (m->mem)
		(void)munmap(m->mem, m->bytes); /* fails only for a range that is not ours */
	if (m->fd >= 0)
		(void)close(m->fd);
	free(m->touched);
	free(m->wanted);
	free(m);
}

static void queue(struct ram_memory *m)
{
	if (atomic_exchange(&m->queued, true))
		return;
	(void)atomic_fetch_add(&m->refs, 1);
	worker_submit_alone(m->workers, &m->work);
}

void ram_memory_released(struct ram_memory *m, uint64_t offset, uint64_t length)
{
	size_t first = (offset + RAM_REGION - 1) / RAM_REGION;
	size_t end = (offset + length) / RAM_REGION;

	for (size_t i = first; i < end && i < m->n_regions; i++)
		atomic_store_explicit(&m->touched[i], 0, memory_order_relaxed);
}

/* One call for regions in a row: each call makes all processors give up what they have prepared for the LRU lists. */
static void collapse(struct ram_memory *m, size_t word, uint64_t bits)
{
	while (bits) {
		unsigned first = (unsigned)__builtin_ctzll(bits);
		uint64_t rest = bits >> first;
		unsigned n = ~rest ? (unsigned)__builtin_ctzll(~rest) : 64;
		size_t region = word * 64 + first;

		/* Advice: without huge pages everything works. Busy now: when it goes on being used. */
		if (madvise(m->mem + region * RAM_REGION, n * RAM_REGION, MADV_COLLAPSE) &&
		    (errno == EAGAIN || errno == EBUSY))
			ram_memory_released(m, region * RAM_REGION, n * RAM_REGION);
		bits &= first + n < 64 ? UINT64_MAX << (first + n) : 0;
	}
}

/* On a worker: 64 regions at most, and behind others again for the rest. */
static void work_run(struct work *work)
{
	struct ram_memory *m = container_of(work, struct ram_memory, work);
	bool more = false;
	uint64_t bits = 0;

	atomic_store(&m->queued, false);
	for (size_t i = 0; i < m->n_words && !more; i++) {
		if (bits) {
			more = atomic_load(&m->wanted[i]) != 0;
			continue;
		}
		bits = atomic_exchange(&m->wanted[i], 0);
		collapse(m, i, bits);
	}
	if (more)
		queue(m);
	ram_memory_put(m);
}

void ram_memory_want(struct ram_memory *m, size_t region)
{
	(void)atomic_fetch_or(&m->wanted[region / 64], (uint64_t)1 << (region % 64));
	queue(m);
}

static int regions_init(struct ram_memory *m)
{
	m->n_regions = m->workers ? m->bytes / RAM_REGION : 0;
	m->n_words = (m->n_regions + 63) / 64;
	if (!m->n_regions)
		return 0;
	m->touched = calloc(m->n_regions, sizeof(m->touched[0]));
	m->wanted = calloc(m->n_words, sizeof(m->wanted[0]));
	return m->touched && m->wanted ? 0 : -ENOMEM;
}

/* ---- the mapping ---- */

static int refused(const struct ram_memory *m, const char *name, struct err *err)
{
	return err_set(err, -errno,
		       "%s: the kernel refused %" PRIu64
		       " bytes of memory (%s); make the RAM disk smaller",
		       name, m->bytes, strerror(errno));
}

/* At a place that begins a huge page. */
static int map(struct ram_memory *m, const char *name, struct err *err)
{
	size_t room = m->bytes + RAM_REGION;
	uint8_t *at =
		mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t skip;

	if (at == MAP_FAILED)
		return refused(m, name, err);
	skip = -(uintptr_t)at % RAM_REGION;
	m->mem = mmap(at + skip, m->bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_NORESERVE | MAP_FIXED, m->fd, 0);
	if (m->mem == MAP_FAILED) {
		int res = refused(m, name, err);

		m->mem = NULL;
		(void)munmap(at, room);
		return res;
	}
	if (skip)
		(void)munmap(at, skip);
	(void)munmap(m->mem + m->bytes, RAM_REGION - skip);
	/* Where the administrator lets advice do it, pages are huge from the first touch on. */
	(void)madvise(m->mem, m->bytes, MADV_HUGEPAGE);
	return 0;
}

static void ram_memory_putp(struct ram_memory **m)
{
	if (*m)
		ram_memory_put(*m);
}

int ram_memory_new(const char *name, uint64_t bytes, int fd, struct worker_pool *workers,
		   struct ram_memory **ret, struct err *err)
{
	_cleanup_(ram_memory_putp) struct ram_memory *m = calloc(1, sizeof(*m));
	struct stat st;
	int res;

	if (!m) {
		if (fd >= 0)
			(void)close(fd);
		return err_set(err, -ENOMEM, "no memory for a RAM disk");
	}
	atomic_init(&m->refs, 1);
	m->bytes = bytes;
	m->workers = workers;
	m->work.run = work_run;
	m->fd = fd >= 0 ? fd : memfd_create("litepool-ram-disk", MFD_CLOEXEC);
	if (m->fd < 0 || (fd < 0 && ftruncate(m->fd, (off_t)bytes) < 0))
		return refused(m, name, err);
	if (fstat(m->fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != bytes)
		return err_set(
			err, -EINVAL,
			"%s: the descriptor that was passed for it is not the memory of a RAM "
			"disk of %" PRIu64 " bytes",
			name, bytes);
	if (regions_init(m))
		return err_set(err, -ENOMEM, "no memory for a RAM disk");
	res = map(m, name, err);
	if (res)
		return res;
	*ret = TAKE_PTR(m);
	return 0;
}
