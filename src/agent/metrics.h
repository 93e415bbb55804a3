/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics, in Prometheus' text format, on threads of its own: a slow scraper delays nothing. */
#ifndef LITEPOOL_AGENT_METRICS_H
#define LITEPOOL_AGENT_METRICS_H

#include "agent/agent.h"

struct metrics;

int metrics_start(struct agent *a, struct metrics **ret, struct err *err);
void metrics_stop(struct metrics *metrics);
void metrics_write(struct agent *a, FILE *out);

#endif
