/* SPDX-License-Identifier: Apache-2.0 */
/* A dump under way, for dump*.c alone. */
#ifndef LITEPOOL_POOL_DUMP_PRIV_H
#define LITEPOOL_POOL_DUMP_PRIV_H

#include "base/check.h"
#include "base/json.h"
#include "pool/checkpoint.h"
#include "pool/dump.h"
#include "pool/load.h"

struct dump {
	enum dump_step {
		DUMP_SUPER,
		DUMP_LOAD,
		DUMP_READ_RING,
		DUMP_READ_HEAD,
		DUMP_SEGMENTS,
		DUMP_STATE,
		DUMP_CLOSE,
		DUMP_END,
	} step;
	const struct pool_env *env;
	struct blk_dev *dev;
	unsigned what;
	json_t *into;
	pool_done_fn done;
	void *ctx;
	struct err err;
	struct msg msg;
	struct pool_super super;
	struct pool *pool;
	struct batch batch;
	struct batch_xfer *xfer;
	uint8_t *ring, *head, *segment;
	uint32_t next_segment;
	json_t *pages;
};

/* A member of an object that is a new array; borrowed. */
json_t *dump_array(json_t *object, const char *name);
#define DUMP_U64(v) ((json_int_t)(v))

void dump_super(struct dump *d);
void dump_journal(struct dump *d); /* of d->ring */
void dump_slot(struct dump *d, const uint8_t *page, uint64_t place);
void dump_state(struct dump *d); /* layers, objects, maps, space */

#endif
