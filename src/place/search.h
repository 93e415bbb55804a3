/* SPDX-License-Identifier: Apache-2.0 */
/* The two ways to the best pool; for src/place only. Both fill decision->pool, node, score, looked_at. */
#ifndef LITEPOOL_PLACE_SEARCH_H
#define LITEPOOL_PLACE_SEARCH_H

#include "place/decide.h"

/* All pools. Counts who refused; with PLACE_EXPLAIN fills the candidates. -ENOMEM, -EAGAIN. */
int place_scan(const struct place_ctx *ctx, unsigned flags, struct place_decision *decision);
/* As few as need be; only when no hook has a priority and there is no extender. -EAGAIN. */
int place_search(const struct place_ctx *ctx, struct place_decision *decision);

#endif
