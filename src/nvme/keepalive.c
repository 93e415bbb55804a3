/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keep alive, traffic based (CTRATT.TBKAS): a timer looks once per KATO whether any queue of the controller has started a command since the
 * last look. So a dead host is found after KATO at the earliest and two and a quarter times that at the latest, and a busy one costs nothing
 * per command. Expiry is fatal: CSTS.CFS, every queue is closed, the controller goes.
 *
 * A look that finds silence is repeated after a quarter of KATO before anything is done. For timers run before sockets are read: after a
 * pause of this process (a suspended machine, a core that was taken away) the proof of life waits in the sockets. And a Linux host up to
 * 6.4 puts its Keep Alive off while commands complete, even if none was started, so that it may come a moment after KATO.
 */
#include "base/bytes.h"
#include "base/log.h"
#include "nvme/carry_parts.h"
#include "nvme/control.h"

static uint64_t ctrlr_traffic(const struct nvme_ctrlr *c)
{
	uint64_t sum = 0;

	list_for_each (it, &c->qpairs)
		sum += atomic_load_explicit(&list_entry(it, struct nvme_qpair, link)->commands,
					    memory_order_relaxed);
	return sum;
}

static struct reactor *control_of(const struct nvme_ctrlr *c)
{
	return c->ss->target->opts.control;
}

static void keepalive_fired(struct timer *timer);

static void keepalive_arm(struct nvme_ctrlr *c, bool doubt)
{
	struct reactor *control = control_of(c);
	uint64_t wait_ms = doubt ? c->kato_ms / 4 : c->kato_ms;

	c->kato_doubt = doubt;
	c->kato_timer.run = keepalive_fired;
	if (timer_start(control, &c->kato_timer, reactor_now(control) + wait_ms * NSEC_PER_MSEC))
		log_warn("nvme.keepalive.off", "nqn=%s cntlid=%u why=\"no memory for a timer\"",
			 c->ss->nqn, c->cntlid);
}

static void keepalive_fired(struct timer *timer)
{
	struct nvme_ctrlr *c = container_of(timer, struct nvme_ctrlr, kato_timer);
	uint64_t traffic = ctrlr_traffic(c);

	if (nvme_freeze_is_on(c->ss->target, control_of(c))) { /* silence is ours */
		keepalive_arm(c, c->kato_doubt);
		return;
	}
	if (traffic != c->kato_traffic || !c->kato_doubt) {
		keepalive_arm(c, traffic == c->kato_traffic);
		c->kato_traffic = traffic;
		return;
	}
	log_warn("nvme.keepalive.expired", "nqn=%s cntlid=%u host=%s kato_ms=%u", c->ss->nqn,
		 c->cntlid, c->hostnqn, c->kato_ms);
	c->csts |= NVME_CSTS_CFS;
	nvme_ctrlr_delete(c, "keep alive expired", NULL, NULL);
}

bool nvme_keepalive_set(struct nvme_ctrlr *c, uint32_t kato_ms)
{
	uint64_t rounded = ((uint64_t)kato_ms + NVME_KATO_GRANULARITY_MS - 1) /
			   NVME_KATO_GRANULARITY_MS * NVME_KATO_GRANULARITY_MS;

	if (rounded > c->ss->target->opts.kato_max_ms)
		return false;
	timer_stop(&c->kato_timer);
	c->kato_ms = (uint32_t)rounded;
	c->kato_traffic = ctrlr_traffic(c);
	if (c->kato_ms)
		keepalive_arm(c, false);
	return true;
}

void nvme_keepalive_restart(struct nvme_ctrlr *c)
{
	c->kato_traffic = ctrlr_traffic(c);
	if (c->kato_ms)
		keepalive_arm(c, false);
}

void nvme_keepalive_stop(struct nvme_ctrlr *c)
{
	timer_stop(&c->kato_timer);
}
