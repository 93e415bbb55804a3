/* SPDX-License-Identifier: Apache-2.0 */
/* Hot upgrades in sim-nvme: the target is frozen at any moment, and thawed at any moment after that. */
#include "base/check.h"
#include "sim/nvme_world.h"

static uint64_t below(struct nvme_world *w, uint64_t n)
{
	return rng_below(sim_rng(w->sim), n);
}

static void frozen(void *ctx, int res)
{
	struct nvme_world *w = ctx;

	if (w->handover != HANDOVER_FREEZING || res)
		sim_fail("a freeze that was not asked for ended with %d", res);
	sim_trace(w->sim, "frozen", 0, 0);
	w->handover = HANDOVER_FROZEN;
	w->freezes++;
}

static void freeze_run(void *arg)
{
	struct nvme_world *w = arg;

	sim_trace(w->sim, "freeze", 0, 0);
	w->handover = HANDOVER_FREEZING;
	tcp_transport_freeze(w->transport, frozen, w);
}

static void thaw_run(void *arg)
{
	struct nvme_world *w = arg;

	sim_trace(w->sim, "thaw", 0, 0);
	w->handover = HANDOVER_NONE;
	w->thaws++;
	tcp_transport_thaw(w->transport);
}

void handover_chaos(struct nvme_world *w)
{
	switch (w->handover) {
	case HANDOVER_NONE:
		world_call(w, w->control, freeze_run, w);
		return;
	case HANDOVER_FREEZING:
		if (below(w, 4) == 0) /* before it is complete */
			world_call(w, w->control, thaw_run, w);
		return;
	case HANDOVER_FROZEN:
		world_call(w, w->control, thaw_run, w);
		return;
	}
}

void handover_settle(struct nvme_world *w)
{
	if (w->handover != HANDOVER_NONE)
		world_call(w, w->control, thaw_run, w);
}
