/* SPDX-License-Identifier: Apache-2.0 */
/* A decision that was made with PLACE_EXPLAIN, in words: which pools were refused by what, and how the rest scored. Pure. */
#ifndef LITEPOOL_PLACE_EXPLAIN_H
#define LITEPOOL_PLACE_EXPLAIN_H

#include <jansson.h>

#include "place/place.h"

/* malloc'ed; at most rows_max pools of each table, the rest is counted (0: all). NULL without memory. */
char *place_explain_text(const struct place_request *request, const struct place_decision *decision,
			 size_t rows_max);
/* New reference. */
json_t *place_explain_json(const struct place_request *request,
			   const struct place_decision *decision);

#endif
