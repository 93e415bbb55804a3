/* SPDX-License-Identifier: Apache-2.0 */
/* lp-native: random O_DIRECT reads or writes of a file through io_uring at a queue depth: the ceiling of the disk. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "raw.h"

static const char usage[] =
	"Usage: lp-native --file PATH [--read|--write] [--bs SIZE] [--qd N] [--region SIZE]\n"
	"                 [--seconds S] [--warmup S] [--cpu N]\n"
	"\n"
	"Example: lp-native --file disk.img --read --qd 32 --region 1g\n";

struct native {
	const struct raw_opts *o;
	struct io_uring ring;
	uint8_t *bufs;
	uint64_t *start;
};

static void native_queue(struct native *n, uint32_t slot, uint64_t now)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&n->ring);
	uint64_t off = raw_random(n->o->region / n->o->bs) * n->o->bs;
	uint8_t *buf = n->bufs + (size_t)slot * n->o->bs;

	if (n->o->write)
		io_uring_prep_write_fixed(sqe, 0, buf, n->o->bs, off, 0);
	else
		io_uring_prep_read_fixed(sqe, 0, buf, n->o->bs, off, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data64(sqe, slot);
	n->start[slot] = now;
}

static void native_setup(struct native *n)
{
	struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
						  IORING_SETUP_DEFER_TASKRUN |
						  IORING_SETUP_COOP_TASKRUN};
	int fd = open(n->o->path, O_RDWR | O_DIRECT | O_CLOEXEC);
	struct iovec iov = {n->bufs, (size_t)n->o->qd * n->o->bs};
	struct stat st;
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0)
		raw_die("opening %s: %s", n->o->path, strerror(errno));
	if (S_ISREG(st.st_mode) && (uint64_t)st.st_size < n->o->region)
		raw_die("%s is smaller than the region", n->o->path);
	rc = io_uring_queue_init_params(n->o->qd, &n->ring, &params);
	if (rc == 0)
		rc = io_uring_register_buffers(&n->ring, &iov, 1);
	if (rc == 0)
		rc = io_uring_register_files(&n->ring, &fd, 1);
	if (rc < 0)
		raw_die("setting up io_uring: %s", strerror(-rc));
}

static void native_reap(struct native *n, struct raw_run *run, uint64_t now)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0;

	io_uring_for_each_cqe(&n->ring, head, cqe)
	{
		uint32_t slot = (uint32_t)cqe->user_data;

		if (cqe->res != (int)n->o->bs)
			raw_die("I/O: %s", cqe->res < 0 ? strerror(-cqe->res) : "short");
		raw_run_count(run, n->start[slot], now);
		native_queue(n, slot, now);
		seen++;
	}
	io_uring_cq_advance(&n->ring, seen);
}

int main(int argc, char **argv)
{
	struct raw_opts o = raw_options(argc, argv, usage);
	struct native n = {.o = &o};
	static struct raw_run run;
	uint64_t now;

	if (!o.path)
		raw_die("--file is needed");
	raw_pin(o.cpu);
	n.bufs = raw_alloc((size_t)o.qd * o.bs);
	n.start = raw_alloc(o.qd * sizeof(uint64_t));
	native_setup(&n);
	raw_run_begin(&run, &o);
	now = raw_now_ns();
	for (uint32_t i = 0; i < o.qd; i++)
		native_queue(&n, i, now);
	while (now < run.end_ns) {
		int rc = io_uring_submit_and_wait(&n.ring, 1);

		if (rc < 0 && rc != -EINTR)
			raw_die("io_uring: %s", strerror(-rc));
		now = raw_now_ns();
		native_reap(&n, &run, now);
	}
	raw_run_report(&run, &o);
	return 0;
}
