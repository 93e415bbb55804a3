/* SPDX-License-Identifier: Apache-2.0 */
/* What the loop counts, in the text format of Prometheus. Any thread. */
#ifndef LITEPOOL_CONTROLLER_METRICS_H
#define LITEPOOL_CONTROLLER_METRICS_H

#include <stdio.h>

#include "controller/control.h"

void metrics_write(const struct control_stats *stats, FILE *out);

#endif
