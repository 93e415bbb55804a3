/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of the user. While the association is up they go straight to a queue. When it is lost and
 * reconnection is wanted, those under way come back here and wait with the new ones, in order, for the
 * next connection; a command may therefore be executed twice, which reads, writes and flushes of one
 * owner do not mind. A fused pair does: its second run compares with what its first one wrote, and one
 * half may have ended already. So fused commands that were with a queue end with what the queue said, as
 * all commands do without reconnection.
 */
#include <errno.h>

#include "base/check.h"
#include "initiator/host.h"

static void host_refuse(struct nvme_host *h, struct nvme_hostcmd *cmd)
{
	list_push_back(&h->refused, &cmd->link);
	reactor_defer(h->reactor, &h->refuse);
}

static void host_refuse_run(struct task *task)
{
	struct nvme_host *h = container_of(task, struct nvme_host, refuse);
	struct list all;
	struct list *node;

	/* Only those that are there now: a callback may submit again, for ever. */
	list_init(&all);
	list_splice_back(&all, &h->refused);
	while ((node = list_pop_front(&all))) {
		struct nvme_hostcmd *cmd = list_entry(node, struct nvme_hostcmd, link);

		cmd->done(cmd, -ENOTCONN);
	}
}

static bool host_waits(const struct nvme_host *h)
{
	return h->opts.reconnect && h->state < HOST_DOWN;
}

static void host_submit(struct nvme_host *h, struct host_queue *hq, struct nvme_hostcmd *cmd)
{
	ASSERT(cmd->done);
	if (h->state == HOST_READY)
		nvme_hostq_submit(hq->q, cmd);
	else if (host_waits(h))
		list_push_back(&hq->waiting, &cmd->link);
	else
		host_refuse(h, cmd);
}

void nvme_host_admin(struct nvme_host *h, struct nvme_hostcmd *cmd)
{
	host_submit(h, &h->admin, cmd);
}

void nvme_host_io(struct nvme_host *h, unsigned queue, struct nvme_hostcmd *cmd)
{
	ASSERT(queue < h->opts.n_io_queues);
	/* The controller may have granted fewer queues than were asked for. */
	if (h->state == HOST_READY)
		queue %= h->n_io;
	host_submit(h, &h->io[queue], cmd);
}

void host_io_lost(struct nvme_hostq *q, struct nvme_hostcmd *cmd, int status)
{
	struct host_queue *hq = q->opts.ctx;
	struct nvme_host *h = hq->host;

	if (cmd == &h->setup || host_live_owns(h, cmd))
		return;
	if (host_waits(h) && !(cmd->sqe.flags & NVME_SQE_FUSE_MASK))
		list_push_back(&hq->waiting, &cmd->link);
	else
		cmd->done(cmd, status);
}

static void queue_resume(struct nvme_host *h, struct host_queue *hq, struct host_queue *to)
{
	struct list all;
	struct list *node;

	list_init(&all);
	list_splice_back(&all, &hq->waiting);
	while ((node = list_pop_front(&all)))
		nvme_hostq_submit(to->q, list_entry(node, struct nvme_hostcmd, link));
}

void host_io_resume(struct nvme_host *h)
{
	queue_resume(h, &h->admin, &h->admin);
	if (!h->n_io)
		return;
	for (unsigned i = 0; i < h->opts.n_io_queues; i++)
		queue_resume(h, &h->io[i], &h->io[i % h->n_io]);
}

static void queue_refuse(struct nvme_host *h, struct host_queue *hq)
{
	if (list_empty(&hq->waiting))
		return;
	list_splice_back(&h->refused, &hq->waiting);
	reactor_defer(h->reactor, &h->refuse);
}

void host_io_refuse_waiting(struct nvme_host *h)
{
	queue_refuse(h, &h->admin);
	for (unsigned i = 0; i < h->opts.n_io_queues; i++)
		queue_refuse(h, &h->io[i]);
}

void host_io_init(struct nvme_host *h)
{
	list_init(&h->refused);
	h->refuse.run = host_refuse_run;
	h->admin.host = h;
	list_init(&h->admin.waiting);
	for (unsigned i = 0; i < h->opts.n_io_queues; i++) {
		h->io[i].host = h;
		list_init(&h->io[i].waiting);
	}
}
