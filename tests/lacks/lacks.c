/* SPDX-License-Identifier: Apache-2.0 */
#include "lacks/lacks.h"

#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

unsigned lacks, lacks_op = IORING_OP_FALLOCATE;

static const char *const names[LACKS] = {"defer",   "coop",     "files", "buffers",
					 "ring-fd", "affinity", "ring",  "rights",
					 "memory",  "features", "probe", "op"};

__attribute__((constructor)) static void lacks_from_environment(void)
{
	const char *at = getenv("LITEPOOL_LACKS");

	for (; at && *at; at += strcspn(at, ","), at += *at == ',')
		for (unsigned i = 0; i < LACKS; i++)
			if (strcspn(at, ",") == strlen(names[i]) &&
			    strncmp(at, names[i], strlen(names[i])) == 0)
				lacks |= 1u << i;
}

static int has(enum lack lack)
{
	return !(lacks & 1u << lack);
}

/* The function of that name behind ours. */
static void real(const char *name, void *ret_function)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (!function)
		abort();
	memcpy(ret_function, &function, sizeof(function));
}

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p)
{
	int (*next)(unsigned, struct io_uring *, struct io_uring_params *);
	int rc;

	if (!has(LACK_RING))
		return -ENOSYS;
	if (!has(LACK_RIGHTS))
		return -EPERM;
	if (!has(LACK_MEMORY))
		return -ENOMEM;
	if (!has(LACK_DEFER) &&
	    p->flags & (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN))
		return -EINVAL;
	if (!has(LACK_COOP) && p->flags & (IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG))
		return -EINVAL;
	real(__func__, &next);
	rc = next(entries, ring, p);
	if (!has(LACK_FEATURES))
		ring->features &= ~(unsigned)IORING_FEAT_EXT_ARG;
	return rc;
}

int io_uring_register_files_sparse(struct io_uring *ring, unsigned n)
{
	int (*next)(struct io_uring *, unsigned);

	if (!has(LACK_FILES))
		return -EINVAL;
	real(__func__, &next);
	return next(ring, n);
}

int io_uring_register_buffers(struct io_uring *ring, const struct iovec *iov, unsigned n)
{
	int (*next)(struct io_uring *, const struct iovec *, unsigned);

	if (!has(LACK_BUFFERS))
		return -ENOMEM;
	real(__func__, &next);
	return next(ring, iov, n);
}

int io_uring_register_ring_fd(struct io_uring *ring)
{
	int (*next)(struct io_uring *);

	if (!has(LACK_RING_FD))
		return -EINVAL;
	real(__func__, &next);
	return next(ring);
}

int io_uring_register_iowq_aff(struct io_uring *ring, size_t size, const cpu_set_t *set)
{
	int (*next)(struct io_uring *, size_t, const cpu_set_t *);

	if (!has(LACK_AFFINITY))
		return -EINVAL;
	real(__func__, &next);
	return next(ring, size, set);
}

struct io_uring_probe *io_uring_get_probe_ring(struct io_uring *ring)
{
	struct io_uring_probe *(*next)(struct io_uring *), *probe;

	if (!has(LACK_PROBE))
		return NULL;
	real(__func__, &next);
	probe = next(ring);
	if (probe && !has(LACK_OP) && lacks_op <= probe->last_op)
		probe->ops[lacks_op].flags &= (unsigned short)~IO_URING_OP_SUPPORTED;
	return probe;
}
