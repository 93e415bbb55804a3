/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a ring out of what the kernel has. Each feature that is missing is logged once in the life of the process, with
 * its consequence; only a kernel without io_uring is an error.
 */
#include "rt/uring_setup.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "rt/reactor_priv.h"
#include "rt/uring.h"
#include "rt/uring_priv.h"

/* The kernel takes no registered buffer larger than this. */
#define FIXED_BUF_MAX GIB

struct setup {
	unsigned flags;
	const char *lacks; /* of what this line does without, against the line before */
	const char *consequence;
};

/* From the best to the least; the first that the kernel takes is used. */
static const struct setup setups[] = {
	{IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN |
		 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE,
	 NULL, NULL},
	{IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE,
	 "SINGLE_ISSUER,DEFER_TASKRUN (Linux 6.1)",
	 "completions interrupt other work: somewhat fewer I/Os per second"},
	{IORING_SETUP_CQSIZE, "COOP_TASKRUN,TASKRUN_FLAG (Linux 5.19)",
	 "each completion may interrupt the reactor: fewer I/Os per second"},
};

static int no_ring(struct err *err, int rc)
{
	if (rc == -ENOSYS)
		return err_set(err, -ENOSYS,
			       "this kernel has no io_uring; Linux 6.1 or newer is needed");
	if (rc == -EPERM)
		return err_set(err, -ENOSYS,
			       "io_uring is forbidden here: allow it with sysctl "
			       "kernel.io_uring_disabled=0, or let the "
			       "container's seccomp profile permit io_uring_setup, io_uring_enter "
			       "and io_uring_register");
	if (rc == -ENOMEM)
		return err_set(err, -ENOMEM,
			       "no locked memory for an io_uring: raise RLIMIT_MEMLOCK (ulimit -l, "
			       "LimitMEMLOCK=)");
	return err_set(err, rc, "cannot create an io_uring: %s", strerror(-rc));
}

static int ring_new(struct io_uring *ring, unsigned sq_entries, unsigned cq_entries,
		    const struct setup **ret_setup)
{
	int rc = -EINVAL;

	for (size_t i = 0; i < ARRAY_LEN(setups); i++) {
		struct io_uring_params params = {
			.flags = setups[i].flags,
			.cq_entries = cq_entries,
		};

		rc = io_uring_queue_init_params(sq_entries, ring, &params);
		if (rc != -EINVAL) {
			*ret_setup = &setups[i];
			break;
		}
	}
	return rc;
}

static void register_arena(struct uenv *u)
{
	static _Atomic bool told;
	size_t n = (u->arena_size + FIXED_BUF_MAX - 1) / FIXED_BUF_MAX;
	struct iovec *iov;
	int rc;

	if (!u->arena)
		return;
	iov = calloc(n, sizeof(*iov));
	for (size_t i = 0; iov && i < n; i++) {
		iov[i].iov_base = u->arena + i * FIXED_BUF_MAX;
		iov[i].iov_len = MIN(FIXED_BUF_MAX, u->arena_size - i * FIXED_BUF_MAX);
	}
	rc = iov ? io_uring_register_buffers(&u->ring, iov, (unsigned)n) : -ENOMEM;
	free(iov);
	u->arena_fixed = rc == 0;
	if (rc < 0 && !atomic_exchange(&told, true)) {
		struct rlimit limit = {0};

		(void)getrlimit(RLIMIT_MEMLOCK, &limit);
		log_warn("rt.uring.arena_not_registered",
			 "error=\"%s\" arena_bytes=%zu memlock_bytes=%llu consequence=\"each disk "
			 "I/O maps its pages: "
			 "fewer I/Os per second\" remedy=\"raise RLIMIT_MEMLOCK (LimitMEMLOCK=)\"",
			 strerror(-rc), u->arena_size, (unsigned long long)limit.rlim_cur);
	}
}

/* A worker of the kernel on the core of a reactor that polls would not get to run, or would take its time. */
static void keep_workers_off_core(struct uenv *u)
{
	int cpu = reactor_cpu(u->base.reactor);
	cpu_set_t set;

	if (cpu < 0 || sched_getaffinity(0, sizeof(set), &set) < 0)
		return;
	CPU_CLR((size_t)cpu, &set);
	if (CPU_COUNT(&set) == 0)
		return;
	/* Fails in a cpuset that changed just now; then workers run where the kernel likes. */
	(void)io_uring_register_iowq_aff(&u->ring, sizeof(set), &set);
}

int uring_ring_init(struct uenv *u, struct err *err)
{
	const struct setup *setup = NULL;
	int rc;

	rc = ring_new(&u->ring, SQ_ENTRIES, CQ_ENTRIES, &setup);
	if (rc < 0)
		return no_ring(err, rc);
	/* Optional: saves looking up the ring's descriptor in each system call. */
	(void)io_uring_register_ring_fd(&u->ring);
	u->files_fixed = io_uring_register_files_sparse(&u->ring, FILE_SLOTS) == 0;
	register_arena(u);
	keep_workers_off_core(u);
	return 0;
}

static void lack(const char *what, const char *consequence)
{
	log_warn("rt.kernel.lacks", "feature=\"%s\" consequence=\"%s\"", what, consequence);
}

static int probe_ops(struct io_uring *ring, struct err *err)
{
	static const struct {
		int op;
		const char *name;
	} needed[] = {
		{IORING_OP_READ_FIXED, "READ_FIXED"},
		{IORING_OP_WRITE_FIXED, "WRITE_FIXED"},
		{IORING_OP_READ, "READ"},
		{IORING_OP_WRITE, "WRITE"},
		{IORING_OP_FSYNC, "FSYNC"},
		{IORING_OP_FALLOCATE, "FALLOCATE"},
		{IORING_OP_POLL_ADD, "POLL_ADD"},
		{IORING_OP_ASYNC_CANCEL, "ASYNC_CANCEL"},
	};
	struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
	int rc = 0;

	if (!probe)
		return err_set(err, -ENOSYS,
			       "this kernel's io_uring is too old: Linux 6.1 or newer is needed");
	for (size_t i = 0; i < ARRAY_LEN(needed) && !rc; i++)
		if (!io_uring_opcode_supported(probe, needed[i].op))
			rc = err_set(
				err, -ENOSYS,
				"this kernel's io_uring lacks %s: Linux 6.1 or newer is needed",
				needed[i].name);
	io_uring_free_probe(probe);
	return rc;
}

static int probe_features(struct io_uring *ring, struct err *err)
{
	const unsigned needed = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_RSRC_TAGS;

	if ((ring->features & needed) != needed)
		return err_set(err, -ENOSYS,
			       "this kernel's io_uring is too old (features %#x): Linux 6.1 or "
			       "newer is needed",
			       ring->features);
	if (io_uring_register_files_sparse(ring, 1) < 0)
		lack("sparse table of registered files (Linux 5.19)",
		     "each disk I/O looks up its file: slightly more CPU per I/O");
	return probe_ops(ring, err);
}

int uring_probe_kernel(struct err *err)
{
	const struct setup *setup = NULL;
	struct utsname uts = {0};
	struct io_uring ring;
	int rc;

	rc = ring_new(&ring, 8, 64, &setup);
	if (rc < 0)
		return no_ring(err, rc);
	for (const struct setup *s = setups + 1; s <= setup; s++)
		lack(s->lacks, s->consequence);
	rc = probe_features(&ring, err);
	io_uring_queue_exit(&ring);
	(void)uname(&uts);
	if (!rc)
		log_info("rt.kernel", "release=%s setup_flags=%#x", uts.release, setup->flags);
	return rc;
}
