/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LITEPOOL_AGENT_BLOCKS_H
#define LITEPOOL_AGENT_BLOCKS_H

#include "agent/agent.h"

/* JSON: {"id": TEXT, "base": UID of an earlier snapshot (optional), "offset": bytes, "max": 1 to BLOCKS_MAX extents}. */
#define AGENT_NOTE_BLOCKS  "litepool.io/blocks"
#define BLOCKS_MAX         2048u
#define BLOCKS_REQUEST_MAX 512u /* bytes; a longer one is not looked at */

/* status.blocks as it is to be, of a snapshot that is ready: a new reference, or NULL: none. Asks the engine. */
json_t *blocks_answer(struct agent *a, const json_t *snapshot, const json_t *pool);

#endif
