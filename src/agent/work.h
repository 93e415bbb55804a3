/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LITEPOOL_AGENT_WORK_H
#define LITEPOOL_AGENT_WORK_H

#include "agent/agent.h"

/* Steps of background threads; ctx is the agent. */
/* Each worker runs this once, until the queue is shut. Nothing is decided before all lists are there. */
int work_run(void *ctx);
/* Looks at everything now and then. */
int work_tick(void *ctx);
/* All lists are there. Any thread. */
bool work_synced(struct agent *a);

#endif
