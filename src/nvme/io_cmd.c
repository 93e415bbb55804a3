/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O commands of a namespace: their checks (nvme_io_prepare) and their work on the block device (nvme_io_execute).
 *
 * Invariants:
 *  1. Nothing touches the device before the whole command was found good: for Dataset Management that is every range of it.
 *  2. What changes the device is counted in the namespace's gate from before its first to after its last blk_io (fused.c).
 *  3. Lengths are computed in 64 bits from at most 65536 blocks of 4 KiB, so nothing here wraps.
 */
#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "nvme/model.h"

#define DNR            NVME_STATUS_DNR
#define DSM_RANGES_MAX 256
#define DSM_DEALLOCATE 0x4u
#define RW_DTYPE_MASK  0x00f00000u
#define VERIFY_STEP    (128 * KIB)

struct dsm_range { /* NVM Command Set 3.2.3 */
	le32 attributes;
	le32 blocks;
	le64 lba;
};
static_assert(sizeof(struct dsm_range) == 16, "Dataset Management range");

struct io_desc {
	bool known;
	bool reads, writes; /* for reservations and write protection */
	bool has_range;     /* SLBA and NLB in cdw10..12 */
	bool exact;         /* the SGL offers just the blocks' bytes */
	enum nvme_xfer xfer;
};

static const struct io_desc descs[] = {
	[NVME_IO_FLUSH] = {.known = true, .writes = true},
	[NVME_IO_WRITE] = {true, .writes = true, .has_range = true, .exact = true,
			   .xfer = NVME_XFER_H2C},
	[NVME_IO_READ] = {true, .reads = true, .has_range = true, .exact = true,
			  .xfer = NVME_XFER_C2H},
	[NVME_IO_COMPARE] = {true, .reads = true, .has_range = true, .exact = true,
			     .xfer = NVME_XFER_H2C},
	[NVME_IO_WRITE_ZEROES] = {true, .writes = true, .has_range = true},
	[NVME_IO_DSM] = {true, .writes = true, .xfer = NVME_XFER_H2C},
	[NVME_IO_VERIFY] = {true, .reads = true, .has_range = true},
	[NVME_IO_RESV_REGISTER] = {.known = true},
	[NVME_IO_RESV_REPORT] = {.known = true},
	[NVME_IO_RESV_ACQUIRE] = {.known = true},
	[NVME_IO_RESV_RELEASE] = {.known = true},
};

/* --- checks --- */

static uint16_t ana_status(const struct nvme_req *req)
{
	const struct subsys_view *view = req->view->view;
	const uint32_t port = req->qp->port->index;
	uint8_t state = 0;

	if (port < view->n_ports)
		state = view->ana[port * (view->nn + 1) + req->nsv->anagrpid];
	switch (state) {
	case NVME_ANA_OPTIMIZED:
	case NVME_ANA_NON_OPTIMIZED:
		return NVME_SC_SUCCESS;
	case NVME_ANA_INACCESSIBLE:
		return NVME_SC_ANA_INACCESSIBLE;
	case NVME_ANA_PERSISTENT_LOSS:
		return NVME_SC_ANA_PERSISTENT_LOSS;
	case NVME_ANA_CHANGE:
		return NVME_SC_ANA_TRANSITION;
	default: /* the port is no listener any more; the connection is about to end */
		return NVME_SC_PATH_INTERNAL;
	}
}

static uint64_t capacity_blocks(const struct ns_view *nsv)
{
	return atomic_load_explicit(&nsv->dev->size_bytes, memory_order_relaxed) >>
	       nsv->block_shift;
}

static uint16_t check_range(struct nvme_req *req)
{
	const struct nvme_sqe *sqe = &req->sqe;
	const uint32_t cdw12 = get_le32(&sqe->cdw12);

	req->lba = get_le32(&sqe->cdw10) | (uint64_t)get_le32(&sqe->cdw11) << 32;
	req->blocks = (cdw12 & 0xffff) + 1;
	/* No namespace has protection information. */
	if (cdw12 & NVME_RW_PRINFO_MASK)
		return NVME_SC_INVALID_FIELD | DNR;
	if (sqe->opcode == NVME_IO_WRITE && (cdw12 & RW_DTYPE_MASK))
		return NVME_SC_INVALID_FIELD | DNR;
	if (!range_within(req->lba, req->blocks, capacity_blocks(req->nsv)))
		return NVME_SC_LBA_RANGE | DNR;
	return NVME_SC_SUCCESS;
}

static uint16_t check_length(struct nvme_req *req, const struct io_desc *d, uint32_t *ret_len)
{
	const uint64_t len = (uint64_t)req->blocks << req->nsv->block_shift;

	req->qos_cost = 0;
	if (req->sqe.opcode == NVME_IO_VERIFY) {
		req->aux_len = (uint32_t)MIN(len, VERIFY_STEP);
		req->qos_cost = len;
	}
	if (!d->exact)
		return NVME_SC_SUCCESS;
	if (len > req->qp->target->opts.mdts_bytes)
		return NVME_SC_INVALID_FIELD | DNR;
	if (len != req->xfer_len)
		return NVME_SC_SGL_INVALID_DATA | DNR;
	req->qos_cost = len;
	*ret_len = (uint32_t)len;
	return NVME_SC_SUCCESS;
}

/*
 * Hosts (Linux among them) may offer the full 4 KiB table whatever the number of ranges in it: all of it is fetched, what is named is
 * used.
 */
static uint16_t check_dsm(struct nvme_req *req, uint32_t *ret_len)
{
	const uint32_t ranges = (get_le32(&req->sqe.cdw10) & 0xff) + 1;

	if (req->xfer_len < ranges * sizeof(struct dsm_range) ||
	    req->xfer_len > DSM_RANGES_MAX * sizeof(struct dsm_range))
		return NVME_SC_SGL_INVALID_DATA | DNR;
	req->qos_cost = 0;
	*ret_len = req->xfer_len;
	return NVME_SC_SUCCESS;
}

/* Sets req->nsv. */
static uint16_t find_namespace(struct nvme_req *req)
{
	const struct subsys_view *view = req->view->view;
	const uint32_t nsid = get_le32(&req->sqe.nsid);

	if (nsid == 0 || nsid > view->nn || !view->ns[nsid - 1])
		return NVME_SC_INVALID_NS | DNR;
	req->nsv = view->ns[nsid - 1];
	return NVME_SC_SUCCESS;
}

static uint16_t check_access(struct nvme_req *req, const struct io_desc *d)
{
	const struct ns_view *nsv = req->nsv;

	if (nvme_resv_conflict(&nsv->resv, req->qp->ctrlr->hostid, d->writes, d->reads))
		return NVME_SC_RESERVATION_CONFLICT | DNR;
	if (d->writes && nsv->read_only && req->sqe.opcode != NVME_IO_FLUSH)
		return NVME_SC_NS_WRITE_PROTECTED | DNR;
	return NVME_SC_SUCCESS;
}

uint16_t nvme_io_prepare(struct nvme_req *req, enum nvme_xfer *ret_xfer, uint32_t *ret_len)
{
	const uint8_t opcode = req->sqe.opcode;
	const struct io_desc *d = &descs[opcode < ARRAY_LEN(descs) ? opcode : 0];
	uint16_t status;

	req->nsv = NULL;
	if (opcode >= ARRAY_LEN(descs) || !d->known)
		return NVME_SC_INVALID_OPCODE | DNR;
	if ((req->sqe.flags & NVME_SQE_PSDT_MASK) != NVME_SQE_PSDT_SGL_MPTR_CONTIG)
		return NVME_SC_INVALID_FIELD | DNR;
	if (opcode == NVME_IO_FLUSH && get_le32(&req->sqe.nsid) == NVME_NSID_ALL)
		return NVME_SC_SUCCESS;
	status = find_namespace(req);
	if (!status)
		status = ana_status(req);
	if (status)
		return status;
	if (nvme_is_reservation(opcode))
		return nvme_resv_prepare(req, ret_xfer, ret_len);
	status = check_access(req, d);
	*ret_xfer = d->xfer;
	if (!status && opcode == NVME_IO_DSM)
		status = check_dsm(req, ret_len);
	if (!status && d->has_range)
		status = check_range(req);
	if (!status && d->has_range)
		status = check_length(req, d, ret_len);
	return status;
}

/* --- one blk_io --- */

static void submit(struct nvme_req *req, enum blk_op op, unsigned flags, uint64_t offset,
		   uint64_t length, void *buf, void (*done)(struct blk_io *io, int res))
{
	req->io.op = op;
	req->io.flags = flags;
	req->io.offset = offset;
	req->io.length = length;
	req->io.buf = buf;
	req->io.loan = NULL;
	req->io.done = done;
	blk_submit(req->nsv->dev, &req->io);
}

static unsigned fua_flag(const struct nvme_req *req)
{
	return get_le32(&req->sqe.cdw12) & NVME_RW_FUA ? BLK_FUA : 0;
}

static void read_done(struct blk_io *io, int res)
{
	struct nvme_req *req = container_of(io, struct nvme_req, io);

	req->loan = io->loan;
	nvme_req_end(req, nvme_status_from_errno(res, io->op));
}

static void read_start(struct nvme_req *req)
{
	submit(req, BLK_READ, req->buf ? 0 : BLK_LOAN_OK, req->lba << req->nsv->block_shift,
	       req->data_len, req->buf ? nvme_req_buf(req) : NULL, read_done);
}

static void write_done(struct blk_io *io, int res)
{
	struct nvme_req *req = container_of(io, struct nvme_req, io);

	nvme_gate_leave(req);
	nvme_req_end(req, nvme_status_from_errno(res, io->op));
}

/* What is lent is passed on to a disk that takes it at once. */
static void *write_data(struct nvme_req *req)
{
	void *lent = (void *)(uintptr_t)req->lent;

	if (!lent || !req->takes) {
		nvme_req_own(req);
		return nvme_req_buf(req);
	}
	req->lent = NULL;
	return lent;
}

static void write_start(struct nvme_req *req)
{
	req->takes = req->nsv->dev->caps & BLK_CAP_TAKES;
	if (nvme_gate_enter(req))
		submit(req, BLK_WRITE, fua_flag(req), req->lba << req->nsv->block_shift,
		       req->data_len, write_data(req), write_done);
}

static void write_zeroes_start(struct nvme_req *req)
{
	const bool deallocate = get_le32(&req->sqe.cdw12) & NVME_WZ_DEAC;

	if (nvme_gate_enter(req))
		submit(req, BLK_WRITE_ZEROES, fua_flag(req) | (deallocate ? 0 : BLK_KEEP_ALLOC),
		       req->lba << req->nsv->block_shift,
		       (uint64_t)req->blocks << req->nsv->block_shift, NULL, write_done);
}

/* --- Flush: of one namespace, or of all, one after the other --- */

static void flush_next(struct nvme_req *req);

static void flush_done(struct blk_io *io, int res)
{
	struct nvme_req *req = container_of(io, struct nvme_req, io);
	const uint16_t status = nvme_status_from_errno(res, io->op);

	if (req->nsv) {
		nvme_req_end(req, status);
		return;
	}
	/* The first failure is told; the others are flushed all the same. */
	if (status && !req->status)
		req->status = status;
	flush_next(req);
}

static void flush_submit(struct nvme_req *req, struct blk_dev *dev)
{
	req->io = (struct blk_io){.op = BLK_FLUSH, .done = flush_done};
	blk_submit(dev, &req->io);
}

static void flush_next(struct nvme_req *req)
{
	const struct subsys_view *view = req->view->view;

	while (req->step < view->nn) {
		const struct ns_view *nsv = view->ns[req->step++];

		if (nsv) {
			flush_submit(req, nsv->dev);
			return;
		}
	}
	nvme_req_done(req, req->status);
}

/* --- Dataset Management: deallocate range by range --- */

static uint16_t dsm_check_ranges(const struct nvme_req *req, uint32_t ranges)
{
	const struct dsm_range *range =
		(const void *)nvme_req_buf((struct nvme_req *)(uintptr_t)req);
	const uint64_t capacity = capacity_blocks(req->nsv);

	for (uint32_t i = 0; i < ranges; i++) {
		if (!range_within(get_le64(&range[i].lba), get_le32(&range[i].blocks), capacity))
			return NVME_SC_LBA_RANGE | DNR;
	}
	return NVME_SC_SUCCESS;
}

static void dsm_next(struct nvme_req *req);

static void dsm_done(struct blk_io *io, int res)
{
	struct nvme_req *req = container_of(io, struct nvme_req, io);

	/* Deallocate is a hint: a device that cannot do it here has done all it can. */
	if (res && res != -EOPNOTSUPP) {
		nvme_gate_leave(req);
		nvme_req_end(req, nvme_status_from_errno(res, io->op));
		return;
	}
	dsm_next(req);
}

static void dsm_next(struct nvme_req *req)
{
	const uint32_t ranges = (get_le32(&req->sqe.cdw10) & 0xff) + 1;
	const struct dsm_range *range = nvme_req_buf(req);

	while (req->step < ranges) {
		const struct dsm_range *r = &range[req->step++];
		const uint64_t blocks = get_le32(&r->blocks);

		if (blocks) {
			submit(req, BLK_DISCARD, 0, get_le64(&r->lba) << req->nsv->block_shift,
			       blocks << req->nsv->block_shift, NULL, dsm_done);
			return;
		}
	}
	nvme_gate_leave(req);
	nvme_req_done(req, NVME_SC_SUCCESS);
}

static void dsm_start(struct nvme_req *req)
{
	const uint32_t ranges = (get_le32(&req->sqe.cdw10) & 0xff) + 1;
	const bool deallocate = get_le32(&req->sqe.cdw11) & DSM_DEALLOCATE;
	const uint16_t status = dsm_check_ranges(req, ranges);

	/* The integral read and write attributes are advice, and taken as such. */
	if (status || !deallocate || !(req->nsv->dev->caps & BLK_CAP_DISCARD)) {
		nvme_req_done(req, status);
		return;
	}
	if (nvme_gate_enter(req))
		dsm_next(req);
}

/* --- Verify: reads all of it, gives nothing to the host --- */

static void verify_next(struct nvme_req *req);

static void verify_done(struct blk_io *io, int res)
{
	struct nvme_req *req = container_of(io, struct nvme_req, io);
	const uint64_t len = (uint64_t)req->blocks << req->nsv->block_shift;

	req->step += (uint32_t)io->length;
	if (res || req->step >= len)
		nvme_req_end(req, nvme_status_from_errno(res, io->op));
	else
		verify_next(req);
}

static void verify_next(struct nvme_req *req)
{
	const uint64_t len = (uint64_t)req->blocks << req->nsv->block_shift;
	const uint64_t room = iobuf_class_size[req->buf->cls];

	submit(req, BLK_READ, 0, (req->lba << req->nsv->block_shift) + req->step,
	       MIN(len - req->step, room), nvme_req_buf(req), verify_done);
}

/* --- Compare --- */

static void compare_end(struct nvme_req *req, uint16_t status)
{
	struct ns_stats *stats = req->nsv->ns->stats[reactor_id(reactor_current())];

	iobuf_put(req->aux);
	req->aux = NULL;
	if (status == (NVME_SC_COMPARE_FAILED | DNR))
		counter_add(&stats->compares_failed, 1);
	if (req->fused)
		nvme_fused_compared(req, status);
	else
		nvme_req_end(req, status);
}

static void compare_next(struct nvme_req *req);

static void compare_done(struct blk_io *io, int res)
{
	struct nvme_req *req = container_of(io, struct nvme_req, io);
	const void *disk = io->loan ? io->loan : io->buf;
	const uint8_t *host = nvme_req_buf(req);

	if (res) {
		compare_end(req, nvme_status_from_errno(res, io->op));
		return;
	}
	if (memcmp(disk, host + req->step, io->length) != 0) {
		compare_end(req, NVME_SC_COMPARE_FAILED | DNR);
		return;
	}
	req->step += (uint32_t)io->length;
	if (req->step < req->data_len)
		compare_next(req);
	else
		compare_end(req, NVME_SC_SUCCESS);
}

static void compare_next(struct nvme_req *req)
{
	submit(req, BLK_READ, BLK_LOAN_OK, (req->lba << req->nsv->block_shift) + req->step,
	       MIN(req->data_len - req->step, iobuf_class_size[IOBUF_SCRATCH]), req->aux->data,
	       compare_done);
}

static void compare_ready(struct iobuf_waiter *waiter, struct iobuf *buf)
{
	struct nvme_req *req = container_of(waiter, struct nvme_req, waiter);

	req->aux = buf;
	compare_next(req);
}

void nvme_compare_start(struct nvme_req *req)
{
	struct reactor *r = atomic_load_explicit(&req->qp->reactor, memory_order_relaxed);

	req->step = 0;
	req->waiter.ready = compare_ready;
	req->aux = iobuf_get(reactor_iobufs(r), IOBUF_SCRATCH, &req->waiter);
	if (req->aux)
		compare_next(req);
}

/* --- */

void nvme_io_execute(struct nvme_req *req)
{
	switch (req->sqe.opcode) {
	case NVME_IO_READ:
		read_start(req);
		break;
	case NVME_IO_WRITE:
		write_start(req);
		break;
	case NVME_IO_WRITE_ZEROES:
		write_zeroes_start(req);
		break;
	case NVME_IO_FLUSH:
		if (req->nsv)
			flush_submit(req, req->nsv->dev);
		else
			flush_next(req);
		break;
	case NVME_IO_DSM:
		dsm_start(req);
		break;
	case NVME_IO_VERIFY:
		verify_next(req);
		break;
	case NVME_IO_COMPARE:
		nvme_compare_start(req);
		break;
	default: /* nvme_io_prepare() let it pass */
		UNREACHABLE();
	}
}
