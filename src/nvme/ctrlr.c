/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A controller: one host's association with a subsystem, from the Connect of its admin queue to the end of its last queue.
 *
 *    LIVE --------------- nvme_ctrlr_delete() ----------------> DELETING --- last queue gone ---> freed, waiters told
 *     | CC.EN 1 -> 0: resetting          I/O queues closed,      (host or subsystem removed, keep-alive expired, admin queue lost)
 *     | CC.SHN:       shutting_down      then ctrlr_step()
 *
 *  1. Freed only when every queue pair's gone() has come: whatever a request can reach through its queue outlives it.
 *  2. CSTS.RDY drops (reset), CSTS.SHST says complete (shutdown), and waiters of a delete run only when every I/O queue is gone, hence every
 *     command that a queue ever carried has ended.
 *  3. The end of a controller waits for what is with the disk, for as long as that takes: memory that a disk still writes to cannot be
 *     given away, and a write that may yet land cannot be called over. It holds no new Connect back (another id is given). A controller that
 *     waits long says so in the log, and "state" in nvmf_subsystem_get_controllers tells it.
 *  4. Shutdown completes after every namespace's cache was flushed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/log.h"
#include "base/probes.h"
#include "nvme/carry_parts.h"
#include "nvme/control.h"

struct ctrlrs_delete { /* of many: nvme_ctrlrs_delete() */
	struct nvme_target *t;
	unsigned left;
	nvme_done_fn done;
	void *ctx;
};

struct shutdown_flush {
	struct blk_io io;
	struct nvme_ctrlr *c;
	struct view_slot *view;
};

static void ctrlr_step(struct nvme_ctrlr *c);

struct nvme_ctrlr *nvme_ctrlr_find(struct nvme_subsystem *ss, uint16_t cntlid)
{
	list_for_each (it, &ss->ctrlrs) {
		struct nvme_ctrlr *c = list_entry(it, struct nvme_ctrlr, link);

		if (c->cntlid == cntlid)
			return c;
	}
	return NULL;
}

struct nvme_ctrlr *nvme_ctrlr_alloc(struct nvme_subsystem *ss, struct nvme_port *port,
				    uint16_t cntlid)
{
	struct nvme_ctrlr *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->changed_ns = calloc((ss->nn + 31) / 32 + 1, sizeof(uint32_t));
	if (!c->changed_ns) {
		free(c);
		return NULL;
	}
	c->ss = ss;
	c->cntlid = cntlid;
	c->port = port;
	nvme_port_ref(c->port);
	c->connected_wall_ns = reactor_wall_ns(ss->target->opts.control);
	list_init(&c->qpairs);
	list_init(&c->waiters);
	list_push_back(&ss->ctrlrs, &c->link);
	return c;
}

struct nvme_ctrlr *nvme_ctrlr_new(struct nvme_subsystem *ss, struct nvme_qpair *qp, uint16_t cntlid)
{
	return nvme_ctrlr_alloc(ss, qp->port, cntlid);
}

void nvme_ctrlr_add_qpair(struct nvme_ctrlr *c, struct nvme_qpair *qp)
{
	qp->ctrlr = c;
	list_push_back(&c->qpairs, &qp->link);
	c->n_qpairs++;
	if (!qp->qid) {
		ASSERT(!c->admin);
		c->admin = qp;
		return;
	}
	ASSERT(!c->ioq[qp->qid]);
	c->ioq[qp->qid] = qp;
}

void nvme_ctrlr_qpair_gone(struct nvme_ctrlr *c, struct nvme_qpair *qp)
{
	ASSERT(c->n_qpairs > 0);
	list_remove(&qp->link);
	c->n_qpairs--;
	if (qp->qid) {
		ASSERT(c->ioq[qp->qid] == qp);
		c->ioq[qp->qid] = NULL;
		c->kato_traffic = UINT64_MAX; /* Its commands leave the sum; that is not silence. */
	} else {
		ASSERT(c->admin == qp);
		c->admin = NULL;
		nvme_ctrlr_delete(c, "admin queue is gone", NULL, NULL);
	}
	ctrlr_step(c);
}

#define CLOSING_PATIENCE_NS (10 * NSEC_PER_SEC)

static void closing_watch(struct nvme_ctrlr *c);

static void closing_fired(struct timer *timer)
{
	struct nvme_ctrlr *c = container_of(timer, struct nvme_ctrlr, closing_timer);

	log_warn("nvme.ctrlr.waits",
		 "nqn=%s cntlid=%u host=%s queues=%u flushes=%u why=\"commands are still with the "
		 "disk; it ends when the disk answers\"",
		 c->ss->nqn, c->cntlid, c->hostnqn, c->n_qpairs, c->n_flushes);
	closing_watch(c);
}

static void closing_watch(struct nvme_ctrlr *c)
{
	struct reactor *control = c->ss->target->opts.control;

	c->closing_timer.run = closing_fired;
	(void)timer_start(control, &c->closing_timer, reactor_now(control) + CLOSING_PATIENCE_NS);
}

static void ctrlr_free(struct nvme_ctrlr *c)
{
	struct list *it;

	log_info("nvme.ctrlr.gone", "nqn=%s cntlid=%u host=%s", c->ss->nqn, c->cntlid, c->hostnqn);
	ASSERT(!c->n_aer);
	nvme_keepalive_stop(c);
	timer_stop(&c->closing_timer);
	list_remove(&c->link);
	while ((it = list_pop_front(&c->waiters))) {
		struct nvme_done *done = list_entry(it, struct nvme_done, link);

		nvme_done_later(c->ss->target, done->fn, done->ctx, 0);
		free(done);
	}
	nvme_port_put(c->port);
	free(c->changed_ns);
	free(c);
}

static void ctrlr_close_queues(struct nvme_ctrlr *c, bool admin_too)
{
	list_for_each (it, &c->qpairs) {
		struct nvme_qpair *qp = list_entry(it, struct nvme_qpair, link);

		if (qp->qid || admin_too)
			nvme_qpair_close(qp);
	}
}

void nvme_ctrlr_delete(struct nvme_ctrlr *c, const char *why, nvme_done_fn done, void *ctx)
{
	if (done) {
		struct nvme_done *waiter = calloc(1, sizeof(*waiter));

		ASSERT(waiter);
		waiter->fn = done;
		waiter->ctx = ctx;
		list_push_back(&c->waiters, &waiter->link);
	}
	if (c->state == NVME_CTRLR_DELETING)
		return;
	log_info("nvme.ctrlr.closing", "nqn=%s cntlid=%u host=%s why=\"%s\"", c->ss->nqn, c->cntlid,
		 c->hostnqn, why);
	c->state = NVME_CTRLR_DELETING;
	nvme_keepalive_stop(c);
	closing_watch(c);
	ctrlr_close_queues(c, true);
}

static void ctrlrs_delete_one(void *ctx, int res)
{
	struct ctrlrs_delete *batch = ctx;

	ASSERT(batch->left > 0);
	if (--batch->left)
		return;
	nvme_done_later(batch->t, batch->done, batch->ctx, 0);
	free(batch);
}

void nvme_ctrlrs_delete(struct nvme_subsystem *ss, bool (*match)(struct nvme_ctrlr *c, void *arg),
			void *arg, const char *why, nvme_done_fn done, void *ctx)
{
	struct ctrlrs_delete *batch = calloc(1, sizeof(*batch));

	ASSERT(batch);
	*batch = (struct ctrlrs_delete){.t = ss->target, .left = 1, .done = done, .ctx = ctx};
	list_for_each (it, &ss->ctrlrs) {
		struct nvme_ctrlr *c = list_entry(it, struct nvme_ctrlr, link);

		if (match && !match(c, arg))
			continue;
		batch->left++;
		nvme_ctrlr_delete(c, why, ctrlrs_delete_one, batch);
	}
	nvme_done_later(ss->target, ctrlrs_delete_one, batch, 0);
}

void nvme_ctrlr_reset(struct nvme_ctrlr *c)
{
	if (c->resetting)
		return;
	c->resetting = true;
	log_info("nvme.ctrlr.reset", "nqn=%s cntlid=%u", c->ss->nqn, c->cntlid);
	ctrlr_close_queues(c, false);
	nvme_aer_flush(c);
	ctrlr_step(c);
}

void nvme_ctrlr_shutdown(struct nvme_ctrlr *c)
{
	if (c->shutting_down)
		return;
	c->shutting_down = true;
	c->csts = (c->csts & ~NVME_CSTS_SHST_MASK) | NVME_CSTS_SHST_OCCURRING;
	log_info("nvme.ctrlr.shutdown", "nqn=%s cntlid=%u", c->ss->nqn, c->cntlid);
	ctrlr_close_queues(c, false);
	ctrlr_step(c);
}

/* Controller level reset (Base 3.7.2): what Set Features set is as after Connect; the association and KATO stay. */
static void ctrlr_reset_finish(struct nvme_ctrlr *c)
{
	c->resetting = false;
	c->csts = 0;
	c->aen_config = 0;
	c->aen_pending = 0;
	c->aen_masked = 0;
	c->feat_arbitration = 0;
	c->feat_temperature = 0;
	c->feat_error_recovery = 0;
	c->feat_write_atomicity = 0;
	c->resv_mask = 0;
	c->n_ioq_granted = 0;
	c->lbafee = false;
	memset(c->host_behavior, 0, sizeof(c->host_behavior));
}

static void shutdown_flushed(struct blk_io *io, int res)
{
	struct shutdown_flush *flush = container_of(io, struct shutdown_flush, io);
	struct nvme_ctrlr *c = flush->c;

	if (res)
		log_error("nvme.shutdown.flush", "nqn=%s cntlid=%u dev=%s error=%d", c->ss->nqn,
			  c->cntlid, io->dev->name, -res);
	view_leave(flush->view);
	free(flush);
	nvme_freeze_leave(c->ss->target, c->ss->target->opts.control);
	ASSERT(c->n_flushes > 0);
	if (--c->n_flushes)
		return;
	c->csts = (c->csts & ~NVME_CSTS_SHST_MASK) | NVME_CSTS_SHST_COMPLETE;
	ctrlr_step(c);
}

static void shutdown_flush_start(struct nvme_ctrlr *c, struct nvme_ns *ns)
{
	struct shutdown_flush *flush = calloc(1, sizeof(*flush));

	ASSERT(flush);
	flush->c = c;
	/* Counted like a command, so that the namespace cannot go away under it. */
	flush->view = view_enter(c->ss, reactor_id(c->ss->target->opts.control));
	flush->io.op = BLK_FLUSH;
	flush->io.done = shutdown_flushed;
	c->n_flushes++;
	nvme_freeze_enter(c->ss->target, c->ss->target->opts.control);
	blk_submit(ns->dev, &flush->io);
}

static void ctrlr_shutdown_finish(struct nvme_ctrlr *c)
{
	c->shutting_down = false;
	for (uint32_t nsid = 1; nsid <= c->ss->nn; nsid++) {
		struct nvme_ns *ns = nvme_ns_find(c->ss, nsid);

		if (ns && (ns->dev->caps & BLK_CAP_VOLATILE_CACHE))
			shutdown_flush_start(c, ns);
	}
	if (!c->n_flushes)
		c->csts = (c->csts & ~NVME_CSTS_SHST_MASK) | NVME_CSTS_SHST_COMPLETE;
}

/* What the end of a queue, or of a flush, makes possible. May free c. */
static void ctrlr_step(struct nvme_ctrlr *c)
{
	unsigned n_io = c->n_qpairs - (c->admin ? 1 : 0);

	switch (c->state) {
	case NVME_CTRLR_LIVE:
		if (n_io || c->n_flushes)
			return;
		if (c->shutting_down)
			ctrlr_shutdown_finish(c);
		if (c->resetting && !c->n_flushes)
			ctrlr_reset_finish(c);
		return;
	case NVME_CTRLR_DELETING:
		if (!c->n_qpairs && !c->n_flushes)
			ctrlr_free(c);
		return;
	default:
		UNREACHABLE();
	}
}

void nvme_ctrlr_carry_on(struct nvme_ctrlr *c)
{
	if (c->state == NVME_CTRLR_DELETING) {
		closing_watch(c);
		ctrlr_close_queues(c, true);
	} else if (c->resetting || c->shutting_down) {
		ctrlr_close_queues(c, false);
	}
	ctrlr_step(c);
}

void nvme_ctrlr_forget(struct nvme_ctrlr *c)
{
	ASSERT(!c->n_qpairs);
	c->state = NVME_CTRLR_DELETING;
	ctrlr_free(c);
}

void nvme_ctrlr_log_error(struct nvme_ctrlr *c, const struct nvme_error_entry *e)
{
	struct nvme_error_entry *slot = &c->errors[c->error_count % NVME_ERROR_LOG_ENTRIES];

	*slot = *e;
	slot->count = ++c->error_count;
}
