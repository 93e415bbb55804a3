/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeps an association alive and informed: a Keep Alive every half of KATO, whose answer must be
 * there before the next one is due, and Asynchronous Event Requests that are posted again as they
 * complete.
 */
#include <errno.h>

#include "base/check.h"
#include "initiator/host.h"

#define AEC_NS_ATTRIBUTE (1u << 8)
#define AEC_ANA_CHANGE   (1u << 11)
#define AEC_DISCOVERY    (1u << 31)

uint32_t host_live_event_mask(const struct nvme_host *h)
{
	return h->oaes & (AEC_NS_ATTRIBUTE | AEC_ANA_CHANGE | AEC_DISCOVERY);
}

bool host_live_owns(const struct nvme_host *h, const struct nvme_hostcmd *cmd)
{
	return cmd == &h->keep_alive || (cmd >= h->aer && cmd < h->aer + HOST_AERS);
}

static void keep_alive_done(struct nvme_hostcmd *cmd, int status)
{
	struct nvme_host *h = cmd->ctx;

	h->keep_alive_busy = false;
	if (status != 0 && h->state == HOST_READY) {
		char text[NVME_HOSTCMD_STATUS_TEXT];

		host_lost(h, -EPROTO, "the controller refused Keep Alive: %s",
			  nvme_hostcmd_status_text(status, text));
	}
}

static void keep_alive_arm(struct nvme_host *h)
{
	uint64_t half = (uint64_t)h->opts.kato_ms * NSEC_PER_MSEC / 2;

	if (timer_start(h->reactor, &h->keep_alive_timer, reactor_now(h->reactor) + half) < 0)
		host_lost(h, -ENOMEM, "no memory for a timer");
}

static void keep_alive_due(struct timer *timer)
{
	struct nvme_host *h = container_of(timer, struct nvme_host, keep_alive_timer);

	if (h->keep_alive_busy) {
		host_lost(h, -ETIMEDOUT, "the controller did not answer Keep Alive within %u ms",
			  h->opts.kato_ms / 2);
		return;
	}
	h->keep_alive_busy = true;
	nvme_hostcmd_simple(&h->keep_alive, NVME_ADMIN_KEEP_ALIVE, 0);
	nvme_hostq_submit(h->admin.q, &h->keep_alive);
	keep_alive_arm(h);
}

static void aer_post(struct nvme_host *h, struct nvme_hostcmd *cmd)
{
	nvme_hostcmd_simple(cmd, NVME_ADMIN_ASYNC_EVENT, 0);
	nvme_hostq_submit(h->admin.q, cmd);
}

static void aer_done(struct nvme_hostcmd *cmd, int status)
{
	struct nvme_host *h = cmd->ctx;

	/* A limit that is lower than announced, or an end of the controller: fewer requests stay posted. */
	if (status != 0 || h->state != HOST_READY)
		return;
	h->opts.on_event(h, get_le32(&cmd->cqe.dw0), h->opts.ctx);
	if (h->state == HOST_READY)
		aer_post(h, cmd);
}

void host_live_start(struct nvme_host *h)
{
	unsigned n = MIN(h->aerl + 1u, HOST_AERS);

	if (h->opts.on_event)
		for (unsigned i = 0; i < n; i++)
			aer_post(h, &h->aer[i]);
	h->keep_alive_busy = false;
	if (h->opts.kato_ms)
		keep_alive_arm(h);
}

void host_live_stop(struct nvme_host *h)
{
	timer_stop(&h->keep_alive_timer);
}

void host_live_init(struct nvme_host *h)
{
	h->keep_alive.done = keep_alive_done;
	h->keep_alive.ctx = h;
	h->keep_alive_timer.run = keep_alive_due;
	for (unsigned i = 0; i < HOST_AERS; i++) {
		h->aer[i].done = aer_done;
		h->aer[i].ctx = h;
	}
}
